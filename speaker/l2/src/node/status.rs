//! What people see of layer 2 on a node.

use std::net::IpAddr;

use daymark_model::{InterfaceIndex, MacAddr};
use serde::{Deserialize, Serialize};

use super::reason::NotAnswering;
use crate::report::Standing;

/// Layer 2 on a node; addresses are asked for apart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct L2Status {
    /// The node's name.
    pub node: String,
    /// Whether there is a key for the meshes.
    pub key: KeyState,
    /// How the node is, as others are told.
    pub standing: Standing,
    /// How many nodes it reaches over the node network, itself included.
    pub nodes_reached: u16,
    /// How many addresses it may answer for.
    pub offers: u32,
    /// The mesh of the node network.
    pub network: MeshStatus,
    /// Its interfaces and what is behind them.
    pub segments: Vec<SegmentStatus>,
}

impl Default for L2Status {
    fn default() -> Self {
        Self {
            node: String::new(),
            key: KeyState::NoMeshKey,
            standing: Standing::default(),
            nodes_reached: 0,
            offers: 0,
            network: MeshStatus::default(),
            segments: Vec::new(),
        }
    }
}

/// Whether there is a key for the meshes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum KeyState {
    /// There is one.
    Present,
    /// There is one, and the one before it is understood too.
    Rotating,
    /// There is none: the node answers for nothing.
    NoMeshKey,
}

/// A mesh as this node sees it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MeshStatus {
    /// It has had the time to hear others.
    pub settled: bool,
    /// The others.
    pub members: Vec<MeshMember>,
}

/// Another member of a mesh.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MeshMember {
    /// The node's name, or its UID while it has not said its name.
    pub node: String,
    /// Its Ethernet address on a segment, its IP address and port in the node network.
    pub address: String,
    /// For how many seconds it has been there.
    pub alive_seconds: u64,
    /// It has missed a probe.
    pub suspect: bool,
}

/// An interface and what is behind it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SegmentStatus {
    /// Its number.
    pub interface: InterfaceIndex,
    /// Its name.
    pub name: String,
    /// Its Ethernet address.
    pub mac: MacAddr,
    /// Whether it is up with a carrier.
    pub carrier: bool,
    /// It hears nobody, while others live there.
    pub membership_broken: bool,
    /// The interface of this node that answers here, where that is another one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answered_by: Option<InterfaceIndex>,
    /// How many addresses it answers for.
    pub owned: u32,
    /// How many addresses it may answer for.
    pub offered: u32,
    /// How many members of the segment, itself included, may answer for something.
    pub candidates: u32,
    /// Its mesh.
    pub mesh: MeshStatus,
}

/// An address on an interface, as this node sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct L2Address {
    /// The address.
    pub address: IpAddr,
    /// The interface.
    pub interface: InterfaceIndex,
    /// Who answers there, as far as this node has heard.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<Owner>,
    /// This node answers.
    pub ours: bool,
    /// How many times it has been taken.
    pub epoch: u32,
    /// Something that is no node of ours claims it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conflict: Option<MacAddr>,
    /// Why this node does not answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_answering: Option<NotAnswering>,
}

/// Who answers for an address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Owner {
    /// The node's name, or its UID while it has not said its name.
    pub node: String,
    /// Its Ethernet address.
    pub mac: MacAddr,
}
