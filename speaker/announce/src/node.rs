//! What is known of a node: the part of a decision that only the node itself can say.

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;

use daymark_model::{Interface, Labels, NodeName};
use serde::{Deserialize, Serialize};

/// A node as decisions see it. Its speaker publishes it as `status.facts` of its Speaker object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NodeView {
    /// The node's name.
    pub name: NodeName,
    /// The labels of its Node object.
    #[serde(default, skip_serializing_if = "Labels::is_empty")]
    pub labels: Labels,
    /// Whether an operator takes it out of service with `spec.drain` of its Speaker, or its speaker is about to end.
    #[serde(default)]
    pub drain: Drain,
    /// Whether it has the taint `node.kubernetes.io/out-of-service`.
    #[serde(default, skip_serializing_if = "is_false")]
    pub out_of_service: bool,
    /// Whether the label or the taint that takes it out is so new that its routes are still out, as with
    /// [`Drain::Leaving`].
    #[serde(default, skip_serializing_if = "is_false")]
    pub leaving: bool,
    /// Whether its condition `NetworkUnavailable` is `True`.
    #[serde(default, skip_serializing_if = "is_false")]
    pub network_unavailable: bool,
    /// What its service proxy says of itself.
    #[serde(default)]
    pub proxy: ProxyStanding,
    /// The addresses that the host and its Node object have.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub addresses: BTreeSet<IpAddr>,
    /// Those of its addresses by which other nodes reach it: the InternalIPs of its Node object.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub internal: BTreeSet<IpAddr>,
    /// The next hops of the host's routes.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub next_hops: BTreeSet<IpAddr>,
    /// Whether it may answer ARP and NDP.
    #[serde(default)]
    pub l2: L2Standing,
    /// The interfaces on which it could, in the order of their numbers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub interfaces: Vec<Interface>,
}

fn is_false(value: &bool) -> bool {
    !value
}

/// The label by which a node asks to be left out.
///
/// Source: Kubernetes `core/v1.LabelNodeExcludeBalancers`.
pub const EXCLUDE_LABEL: &str = "node.kubernetes.io/exclude-from-external-load-balancers";

impl NodeView {
    /// A node of which nothing but the name is known.
    pub fn new(name: NodeName) -> Self {
        Self {
            name,
            labels: Labels::new(),
            drain: Drain::No,
            out_of_service: false,
            leaving: false,
            network_unavailable: false,
            proxy: ProxyStanding::Unknown,
            addresses: BTreeSet::new(),
            internal: BTreeSet::new(),
            next_hops: BTreeSet::new(),
            l2: L2Standing::Unknown,
            interfaces: Vec::new(),
        }
    }

    /// Whether it carries [`EXCLUDE_LABEL`]; its value does not matter.
    pub fn excluded(&self) -> bool {
        self.labels.contains_key(EXCLUDE_LABEL)
    }
}

/// How far a drain has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub enum Drain {
    /// The node serves.
    #[default]
    No,
    /// Its routes are still out, as the last resort (RFC 8326), so that routers move traffic before they go.
    Leaving,
    /// Its routes are withdrawn.
    Done,
}

/// What a node's service proxy says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub enum ProxyStanding {
    /// It never answered.
    #[default]
    Unknown,
    /// It answered well.
    Healthy,
    /// It says that it is behind, or it fell silent: the node's routes are the last resort.
    Demoted,
}

/// Whether a node may answer ARP and NDP: nodes agree on who answers over meshes that are encrypted, so without a key
/// none does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub enum L2Standing {
    /// Nothing is known yet of its key.
    #[default]
    Unknown,
    /// There is no Secret with the key.
    NoMeshKey,
    /// The Secret holds no key.
    InvalidMeshKey,
    /// It may.
    Ready,
}

/// Which part of the network an address belongs to that no Service may have.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Infrastructure {
    /// This host.
    Host,
    /// A BGP neighbor.
    Neighbor(daymark_model::NeighborName),
    /// A next hop of this host's routes.
    NextHop,
}

impl fmt::Display for Infrastructure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host => f.write_str("this node"),
            Self::Neighbor(name) => write!(f, "the BGP neighbor {name}"),
            Self::NextHop => f.write_str("a next hop of this node's routes"),
        }
    }
}
