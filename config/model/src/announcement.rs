//! Announcements: which addresses go out from which nodes, and how.

use std::collections::BTreeSet;
use std::time::Duration;

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
    /// By ARP and NDP.
    L2(L2Announcement),
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

/// How addresses go out by ARP (IPv4) and NDP (IPv6) on the segments of the nodes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct L2Announcement {
    /// The interfaces that answer; `None` = those with a subnet that contains the address, else those with the default
    /// route of its family.
    pub interfaces: Option<Vec<InterfacePattern>>,
    /// The nodes that should rather answer than others.
    pub preferred_nodes: Vec<PreferredNodes>,
    /// The time between two periodic gratuitous ARPs or unsolicited advertisements; `None` = none after the burst.
    pub refresh: Option<Duration>,
    /// When an address goes back to a better node.
    pub failback: Failback,
    /// How fast all timers run.
    pub profile: TimingProfile,
}

impl L2Announcement {
    /// [`L2Announcement::refresh`] unless told otherwise: below the ageing time of switches' tables (300 s).
    pub const DEFAULT_REFRESH: Duration = Duration::from_secs(60);
}

impl Default for L2Announcement {
    fn default() -> Self {
        Self {
            interfaces: None,
            preferred_nodes: Vec::new(),
            refresh: Some(Self::DEFAULT_REFRESH),
            failback: Failback::default(),
            profile: TimingProfile::default(),
        }
    }
}

/// Nodes that should rather answer than others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PreferredNodes {
    /// How much rather, 1 to 100; the weights of all that match a node add up.
    pub weight: u32,
    /// Which nodes.
    pub selector: Selector,
}

/// When an address goes back to a node that is better for it than its holder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Failback {
    /// Once the better node has been there for five minutes; a few addresses at a time.
    #[default]
    Gradual,
    /// Not while the holder lives and may hold it.
    Never,
    /// At once.
    Immediate,
}

/// How fast all timers of layer 2 run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum TimingProfile {
    /// For wired networks.
    #[default]
    Fast,
    /// Five times slower: for Wi-Fi, and for machines that are moved while they run.
    Relaxed,
}

impl TimingProfile {
    /// By how much times are multiplied.
    pub fn factor(self) -> u32 {
        match self {
            Self::Fast => 1,
            Self::Relaxed => 5,
        }
    }
}

/// A pattern for names of interfaces: `*` stands for any number of characters, `?` for one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InterfacePattern(String);

/// A text that is no [`InterfacePattern`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no pattern for names of interfaces: write 1 to 15 characters without spaces and '/', such as eth0 or bond*"
)]
pub struct InterfacePatternError(pub String);

impl std::str::FromStr for InterfacePattern {
    type Err = InterfacePatternError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        // The kernel's IFNAMSIZ is 16 with the final zero.
        let allowed = (1..=15).contains(&text.len())
            && text.chars().all(|c| c.is_ascii_graphic() && c != '/' && c != ':');
        if allowed { Ok(Self(text.to_owned())) } else { Err(InterfacePatternError(text.to_owned())) }
    }
}

impl InterfacePattern {
    /// Whether `name` fits it.
    pub fn matches(&self, name: &str) -> bool {
        fits(self.0.as_bytes(), name.as_bytes())
    }

    /// The pattern as written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn fits(pattern: &[u8], name: &[u8]) -> bool {
    match (pattern.split_first(), name.split_first()) {
        (None, None) => true,
        (Some((b'*', rest)), None) => fits(rest, name),
        (Some((b'*', rest)), Some((_, tail))) => fits(rest, name) || fits(pattern, tail),
        (Some((b'?', rest)), Some((_, tail))) => fits(rest, tail),
        (Some((a, rest)), Some((b, tail))) => a == b && fits(rest, tail),
        (None, Some(_)) | (Some(_), None) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_names_of_interfaces() {
        let matches = |pattern: &str, name: &str| pattern.parse::<InterfacePattern>().unwrap().matches(name);
        assert!(matches("eth0", "eth0") && !matches("eth0", "eth01") && !matches("eth", "eth0"));
        assert!(matches("*", "bond0") && matches("b*0", "bond0") && matches("eth?", "eth7"));
        assert!(!matches("eth?", "eth") && !matches("en*s?", "ens") && matches("en*s?", "enp3s0"));
        for garbage in ["", "a b", "a/b", "0123456789abcdef"] {
            assert!(garbage.parse::<InterfacePattern>().is_err(), "{garbage}");
        }
    }
}
