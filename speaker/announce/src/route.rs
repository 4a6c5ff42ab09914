//! Routes, and how Announcements that give one route merge.
//!
//! The total order of Announcements is (creation time, name). Per (prefix, neighbor) communities are the union over all
//! that announce it; each scalar is that of the first in the order that sets it. What one Announcement says for one
//! neighbor never reaches another neighbor through a merge.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use daymark_model::{
    AnnouncementName, BgpAnnouncement, Community, NeighborName, StandardCommunity, Timestamp,
};
use ipnet::IpNet;

use crate::reason::{Note, Scalar};

/// What a route says beside its prefix and next hop.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Attributes {
    /// Its communities.
    pub communities: BTreeSet<Community>,
    /// LOCAL_PREF, for iBGP neighbors only.
    pub local_preference: Option<u32>,
    /// MULTI_EXIT_DISC.
    pub med: Option<u32>,
    /// How many more times our AS stands in the path, for eBGP neighbors only.
    pub prepend: u8,
}

/// Whether routers should use a node's routes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Standing {
    /// As those of any other node.
    Normal,
    /// Only when there is no other (RFC 8326): GRACEFUL_SHUTDOWN, the lowest local preference, a longer path.
    LastResort,
}

/// By how much the path of a last-resort route is longer, for routers that do not act on GRACEFUL_SHUTDOWN.
pub const LAST_RESORT_PREPEND: u8 = 3;

/// What one Announcement gives to a route.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Source {
    /// When the Announcement was made.
    pub created_at: Timestamp,
    /// Its name.
    pub announcement: AnnouncementName,
    /// Its communities.
    pub communities: BTreeSet<Community>,
    /// Its local preference.
    pub local_preference: Option<u32>,
    /// Its MED.
    pub med: Option<u32>,
    /// Its prepends; 0 = it sets none.
    pub prepend: u8,
}

impl Source {
    /// What `bgp`, of the Announcement `name`, gives.
    pub fn new(name: &AnnouncementName, created_at: Timestamp, bgp: &BgpAnnouncement) -> Self {
        Self {
            created_at,
            announcement: name.clone(),
            communities: bgp.communities.clone(),
            local_preference: bgp.local_preference,
            med: bgp.med,
            prepend: bgp.prepend,
        }
    }
}

/// A prefix that goes to a neighbor.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Route {
    /// The prefix.
    pub prefix: IpNet,
    /// The neighbor.
    pub neighbor: NeighborName,
    /// What it says.
    pub attributes: Arc<Attributes>,
    /// The Announcements that give it, in their order.
    pub sources: Arc<[Arc<Source>]>,
    /// Whether routers should use it.
    pub standing: Standing,
}

/// The attributes of a route that `sources`, in their order, give together.
pub fn merge(sources: &[Arc<Source>], standing: Standing) -> (Attributes, Vec<Note>) {
    let mut notes = Vec::new();
    let mut pick = |scalar: Scalar, of: fn(&Source) -> Option<u32>| {
        let mut setters = sources.iter().filter_map(|s| of(s).map(|value| (value, s)));
        let (value, first) = setters.next()?;
        notes.extend(setters.filter(|(other, _)| *other != value).map(|(_, s)| Note {
            scalar,
            kept: first.announcement.clone(),
            overruled: s.announcement.clone(),
        }));
        Some(value)
    };
    let local_preference = pick(Scalar::LocalPreference, |s| s.local_preference);
    let med = pick(Scalar::Med, |s| s.med);
    let prepend = pick(Scalar::Prepend, |s| (s.prepend > 0).then_some(s.prepend.into()));
    let mut attributes = Attributes {
        communities: sources.iter().flat_map(|s| &s.communities).copied().collect(),
        local_preference,
        med,
        prepend: prepend.and_then(|p| p.try_into().ok()).unwrap_or(0),
    };
    if standing == Standing::LastResort {
        attributes.communities.insert(Community::Standard(StandardCommunity::GRACEFUL_SHUTDOWN));
        // RFC 8326 section 4.1: toward iBGP the lowest preference; the community is for the border.
        attributes.local_preference = Some(0);
        attributes.prepend = attributes.prepend.saturating_add(LAST_RESORT_PREPEND);
    }
    (attributes, notes)
}

/// Folds the routes of decided addresses into those that go out: one per (prefix, neighbor). An aggregate is there while
/// any address in it gives it, with the attributes of all Announcements that do; it is the last resort only where it is
/// that for all.
pub fn fold(routes: impl IntoIterator<Item = Route>) -> Vec<Route> {
    let mut folded: BTreeMap<(IpNet, NeighborName), Route> = BTreeMap::new();
    for route in routes {
        match folded.entry((route.prefix, route.neighbor.clone())) {
            std::collections::btree_map::Entry::Vacant(entry) => {
                entry.insert(route);
            }
            std::collections::btree_map::Entry::Occupied(mut entry) => {
                let known = entry.get_mut();
                let standing = known.standing.min(route.standing);
                let sources = union(&known.sources, &route.sources);
                if sources.is_some() || standing != known.standing {
                    known.sources = sources.unwrap_or_else(|| known.sources.clone());
                    known.standing = standing;
                    known.attributes = Arc::new(merge(&known.sources, standing).0);
                }
            }
        }
    }
    folded.into_values().collect()
}

/// All of `a` and `b` in order; `None` when that is `a`.
pub(crate) fn union(a: &Arc<[Arc<Source>]>, b: &Arc<[Arc<Source>]>) -> Option<Arc<[Arc<Source>]>> {
    if Arc::ptr_eq(a, b) || b.iter().all(|s| a.contains(s)) {
        return None;
    }
    let all: BTreeSet<Arc<Source>> = a.iter().chain(b.iter()).cloned().collect();
    Some(all.into_iter().collect())
}

#[cfg(test)]
mod tests;
