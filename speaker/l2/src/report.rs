//! What a node says of itself to all others, over every mesh: facts about the node only, so that the report stays small
//! however many addresses there are. What concerns single addresses is in the holds.

use std::collections::BTreeMap;
use std::net::IpAddr;

use daymark_model::{Family, InterfaceIndex, MacAddr};
use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::member::{NodeNameHash, NodeUid};
use crate::offer::AnnouncementId;

/// A node's word about itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeReport {
    /// The node.
    pub node: NodeUid,
    /// Its name, at most 253 bytes.
    pub name: String,
    /// The greater of two reports of one process is the newer.
    pub version: u64,
    /// Where it hears the mesh of the node network: its InternalIPs, at most four, and the port.
    pub internal: Vec<IpAddr>,
    /// The UDP port of the node network's mesh.
    pub port: u16,
    /// How it is.
    pub standing: Standing,
    /// How many nodes it reaches over the node network, itself included.
    pub nodes_reached: u16,
    /// Its interfaces, at most [`NodeReport::MAX_SEGMENTS`].
    pub segments: Vec<SegmentReport>,
}

impl NodeReport {
    /// The most interfaces in a report.
    pub const MAX_SEGMENTS: usize = 16;
    /// The most Announcements in a segment's report.
    pub const MAX_TERMS: usize = 64;
    /// The most subnets in a segment's report.
    pub const MAX_SUBNETS: usize = 8;

    /// The hash of its name.
    pub fn name_hash(&self) -> NodeNameHash {
        NodeNameHash::of(&self.name)
    }

    /// What it says about one of its interfaces.
    pub fn segment(&self, interface: InterfaceIndex) -> Option<&SegmentReport> {
        self.segments.iter().find(|segment| segment.interface == interface)
    }
}

/// How a node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Standing {
    /// It has not heard from the API server for over a minute.
    pub api_stale: bool,
    /// It stood still twice within ten minutes; this holds for five.
    pub stalls: bool,
    /// Its service proxy is behind or silent.
    pub proxy_demoted: bool,
    /// It leaves: it takes nothing and gives away what it has.
    pub leaving: bool,
}

/// A node's word about one of its interfaces.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SegmentReport {
    /// The interface.
    pub interface: InterfaceIndex,
    /// Its Ethernet address.
    pub mac: MacAddr,
    /// Whether it is up with a carrier, and hears those who hear it.
    pub carrier: bool,
    /// Nodes that are heard there although they hear nobody, at most [`SegmentReport::MAX_DEAF`].
    pub deaf: Vec<NodeUid>,
    /// How many other members it hears there.
    pub peers_heard: u16,
    /// Its subnets.
    pub subnets: Vec<IpNet>,
    /// The families whose default route leaves through it.
    pub default_routes: Vec<Family>,
    /// The Announcements by which the node may answer here, with its preference weight by each.
    pub terms: BTreeMap<AnnouncementId, SegmentTerms>,
}

/// How a node stands toward one Announcement on one interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SegmentTerms {
    /// The preference weight.
    pub weight: u32,
    /// The Announcement names the interface by a pattern, so that its subnets do not matter.
    pub by_pattern: bool,
}

impl SegmentReport {
    /// The most nodes in [`SegmentReport::deaf`].
    pub const MAX_DEAF: usize = 8;

    /// The weight with which the node may answer for `address`, covered by `announcements`, as far as others can tell;
    /// `None` when it may not.
    pub fn weight_for(&self, address: IpAddr, announcements: &[AnnouncementId]) -> Option<u32> {
        let here = self.subnets.iter().any(|subnet| subnet.contains(&address))
            || self.default_routes.contains(&Family::of(address));
        let mut weight = None;
        for terms in announcements.iter().filter_map(|id| self.terms.get(id)) {
            if terms.by_pattern || here {
                weight = Some(weight.unwrap_or(0_u32).saturating_add(terms.weight));
            }
        }
        weight
    }
}
