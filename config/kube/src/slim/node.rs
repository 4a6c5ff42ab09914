//! Nodes.

use serde::Deserialize;

use super::meta::{Condition, Meta, lenient_list};

/// A Node.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
pub struct Node {
    /// Its metadata.
    #[serde(default)]
    pub metadata: Meta,
    /// What is wanted.
    pub spec: Option<NodeSpec>,
    /// How it is.
    pub status: Option<NodeStatus>,
}

super::object!(Node, "", "v1", "nodes");

/// What is wanted of a Node.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NodeSpec {
    /// Its pod networks.
    #[serde(rename = "podCIDRs")]
    pub pod_cidrs: Option<Vec<String>>,
    /// Its name at the cloud.
    #[serde(rename = "providerID")]
    pub provider_id: Option<String>,
    /// Its taints.
    #[serde(default, deserialize_with = "lenient_list")]
    pub taints: Option<Vec<Taint>>,
}

/// A taint of a Node.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct Taint {
    /// Its key.
    pub key: Option<String>,
    /// Its value.
    pub value: Option<String>,
    /// `NoSchedule`, `PreferNoSchedule` or `NoExecute`.
    pub effect: Option<String>,
}

/// How a Node is.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
pub struct NodeStatus {
    /// Its addresses.
    #[serde(default, deserialize_with = "lenient_list")]
    pub addresses: Option<Vec<NodeAddress>>,
    /// Conditions of all writers.
    #[serde(default, deserialize_with = "lenient_list")]
    pub conditions: Option<Vec<Condition>>,
}

/// An address of a Node.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct NodeAddress {
    /// `InternalIP`, `ExternalIP`, `Hostname`, …
    #[serde(rename = "type")]
    pub type_: Option<String>,
    /// The address or name.
    pub address: Option<String>,
}
