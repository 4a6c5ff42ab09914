//! Announcements: which addresses go out from which nodes, and how.

use std::collections::BTreeSet;

use crate::address::Family;
use crate::bgp::Community;
use crate::name::{AnnouncementName, NeighborName, PoolName};
use crate::selector::Selector;
use crate::time::Timestamp;

/// Which addresses go out from which nodes how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Announcement {
    /// Its name.
    pub name: AnnouncementName,
    /// When it was made: where two differ in a scalar, the oldest wins (then the lower name).
    pub created_at: Timestamp,
    /// The pools whose addresses it covers; `None` = all.
    pub pools: Option<BTreeSet<PoolName>>,
    /// A selector over pools' labels; `None` = no restriction.
    pub pool_selector: Option<Selector>,
    /// The Services it covers; `None` = all.
    pub service_selector: Option<Selector>,
    /// The namespaces whose Services it covers; `None` = all.
    pub namespace_selector: Option<Selector>,
    /// The nodes that announce; `None` = all.
    pub node_selector: Option<Selector>,
    /// Announce from nodes that carry `node.kubernetes.io/exclude-from-external-load-balancers` too.
    pub ignore_exclude_label: bool,
    /// What happens to an address without usable endpoints.
    pub without_endpoints: WithoutEndpoints,
    /// Whether endpoints that terminate but still serve count when no ready one is left.
    pub terminating_endpoints: TerminatingEndpoints,
    /// How the addresses go out.
    pub target: AnnouncementTarget,
}

/// What happens to an address without usable endpoints.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum WithoutEndpoints {
    /// It is withdrawn.
    #[default]
    Withdraw,
    /// It stays announced.
    Announce,
}

/// Whether terminating endpoints that still serve count (KEP-1669).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TerminatingEndpoints {
    /// They count when no ready one is left.
    #[default]
    Serve,
    /// They never count.
    Ignore,
}

/// How addresses go out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AnnouncementTarget {
    /// By BGP.
    Bgp(BgpAnnouncement),
}

/// How addresses go out by BGP.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BgpAnnouncement {
    /// The neighbors that learn them; `None` = all.
    pub neighbors: Option<BTreeSet<NeighborName>>,
    /// A selector over neighbors' labels; `None` = no restriction.
    pub neighbor_selector: Option<Selector>,
    /// Communities of the routes.
    pub communities: BTreeSet<Community>,
    /// LOCAL_PREF toward iBGP neighbors.
    pub local_preference: Option<u32>,
    /// MULTI_EXIT_DISC.
    pub med: Option<u32>,
    /// How many more times our AS stands in the path.
    pub prepend: u8,
    /// The prefix length of an IPv4 route; `None` = 32.
    pub aggregate_v4: Option<u8>,
    /// The prefix length of an IPv6 route; `None` = 128.
    pub aggregate_v6: Option<u8>,
}

impl BgpAnnouncement {
    /// The prefix length of a route of `family`.
    pub fn prefix_len(&self, family: Family) -> u8 {
        match family {
            Family::V4 => self.aggregate_v4,
            Family::V6 => self.aggregate_v6,
        }
        .unwrap_or(family.max_prefix_len())
    }
}
