//! What routers hold, the same for every software.

use std::collections::BTreeSet;
use std::net::IpAddr;

/// A segment of an AS path (RFC 4271 section 4.3, RFC 5065).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Segment {
    /// AS_SEQUENCE.
    Sequence(Vec<u32>),
    /// AS_SET.
    Set(Vec<u32>),
    /// AS_CONFED_SEQUENCE.
    ConfederationSequence(Vec<u32>),
    /// AS_CONFED_SET.
    ConfederationSet(Vec<u32>),
}

/// One path to a prefix in a router's BGP table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Path {
    /// The neighbor it came from, where the router says so.
    pub from: Option<IpAddr>,
    /// The global next hop.
    pub next_hop: IpAddr,
    /// The AS path; empty from an internal neighbor.
    pub as_path: Vec<Segment>,
    /// Communities (RFC 1997); well-known ones by number, GRACEFUL_SHUTDOWN is (65535, 0).
    pub communities: BTreeSet<(u16, u16)>,
    /// Large communities (RFC 8092).
    pub large_communities: BTreeSet<(u32, u32, u32)>,
    /// Local preference, as the router uses it.
    pub local_preference: Option<u32>,
    /// Multi-exit discriminator.
    pub med: Option<u32>,
    /// Whether the router may use it.
    pub valid: bool,
    /// Whether it is the best one.
    pub best: bool,
}

impl Path {
    /// Whether GRACEFUL_SHUTDOWN (RFC 8326) is on it.
    pub fn is_leaving(&self) -> bool {
        self.communities.contains(&(65535, 0))
    }
}

/// A neighbor as a router sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Neighbor {
    /// The state in the router's words.
    pub state: String,
    /// The neighbor's AS number.
    pub asn: Option<u32>,
    /// IPv4 prefixes accepted from it.
    pub prefixes_v4: u64,
    /// IPv6 prefixes accepted from it.
    pub prefixes_v6: u64,
    /// How often a session was established, where the router counts it.
    pub established_count: Option<u64>,
    /// Why the last session ended, in the router's words.
    pub last_error: Option<String>,
}

impl Neighbor {
    /// Whether the session is up.
    pub fn is_established(&self) -> bool {
        self.state == "Established"
    }
}

/// Communities written as `65000:1` or by a well-known name.
pub(super) fn community(word: &str) -> Option<(u16, u16)> {
    let named = match word.to_ascii_lowercase().replace('-', "").as_str() {
        "gracefulshutdown" => Some(0),
        "acceptown" => Some(1),
        "llgrstale" => Some(6),
        "nollgr" => Some(7),
        "blackhole" => Some(666),
        "noexport" => Some(65281),
        "noadvertise" => Some(65282),
        "localas" => Some(65283),
        "nopeer" => Some(65284),
        _ => None,
    };
    if let Some(low) = named {
        return Some((65535, low));
    }
    let (high, low) = word.split_once([':', ','])?;
    Some((high.trim().parse().ok()?, low.trim().parse().ok()?))
}

/// Large communities written as `1:2:3` or `1, 2, 3`.
pub(super) fn large_community(word: &str) -> Option<(u32, u32, u32)> {
    let mut parts = word.split([':', ',']).map(|part| part.trim().parse().ok());
    Some((parts.next()??, parts.next()??, parts.next()??))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn communities_are_read_in_every_spelling() {
        assert_eq!(community("65000:17"), Some((65000, 17)));
        assert_eq!(community("65000,17"), Some((65000, 17)));
        assert_eq!(community("graceful-shutdown"), Some((65535, 0)));
        assert_eq!(community("gracefulShutdown"), Some((65535, 0)));
        assert_eq!(community("no-export"), Some((65535, 65281)));
        assert_eq!(large_community("4200000000, 2, 3"), Some((4_200_000_000, 2, 3)));
    }
}
