//! Routes, as the peer is given them.

use std::collections::BTreeSet;
use std::sync::Arc;

use daymark_model::{Asn, Community, StandardCommunity};
use ipnet::IpNet;

use crate::wire::PathAttributes;

/// What a route says beside its prefix and next hop. The AS path is the session's: empty toward the own AS, else ours.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RouteAttributes {
    /// Communities of all sorts.
    pub communities: BTreeSet<Community>,
    /// LOCAL_PREF, for neighbors in the own AS only; 100 when `None`.
    pub local_preference: Option<u32>,
    /// MULTI_EXIT_DISC.
    pub med: Option<u32>,
    /// How many more times our AS stands in the path, for neighbors in other ASes only.
    pub prepend: u8,
}

/// One prefix, announced or withdrawn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteChange {
    /// The prefix, without host bits.
    pub prefix: IpNet,
    /// What it says; `None` withdraws it.
    pub attributes: Option<Arc<RouteAttributes>>,
}

/// How routes leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// As they were given.
    Normal,
    /// With GRACEFUL_SHUTDOWN, because we are about to go (RFC 8326).
    Leaving,
}

impl RouteAttributes {
    /// The attributes on the wire.
    pub(crate) fn to_path(&self, local_asn: Asn, internal: bool, standing: Standing) -> PathAttributes {
        let mut path =
            PathAttributes { med: self.med, local_preference: self.local_preference, ..Default::default() };
        if !internal {
            path.as_path = vec![local_asn; usize::from(self.prepend).saturating_add(1)];
        }
        for community in &self.communities {
            match community {
                Community::Standard(c) => drop(path.communities.insert(*c)),
                Community::Large(c) => drop(path.large_communities.insert(*c)),
                Community::Extended(c) => drop(path.extended_communities.insert(*c)),
            }
        }
        if standing == Standing::Leaving {
            path.communities.insert(StandardCommunity::GRACEFUL_SHUTDOWN);
            // RFC 8326 section 4.1: the lowest preference where it is ours to set.
            path.local_preference = Some(0);
        }
        path
    }
}
