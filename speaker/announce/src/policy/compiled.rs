//! An Announcement as it holds on one node.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use daymark_model::announcement::{TerminatingEndpoints, WithoutEndpoints};
use daymark_model::{
    Announcement, AnnouncementTarget, BgpAnnouncement, Family, Interface, L2Announcement, Neighbor,
    NeighborName, TrafficPolicy,
};

use crate::l2::CompiledL2;
use crate::node::NodeView;
use crate::pools::PoolIdentity;
use crate::route::Source;
use crate::view::Sharer;

/// How an Announcement lets addresses out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Way {
    Bgp,
    L2,
}

#[derive(Debug)]
pub(super) struct Compiled {
    pub(super) announcement: Announcement,
    pub(super) node_selected: bool,
    pub(super) target: Target,
}

#[derive(Debug)]
pub(super) enum Target {
    Bgp(CompiledBgp),
    L2(L2Announcement, CompiledL2),
}

/// What an Announcement says about BGP on one node.
#[derive(Debug)]
pub(super) struct CompiledBgp {
    settings: BgpAnnouncement,
    pub(super) source: Arc<Source>,
    /// The neighbors of this node that it names, with their families.
    pub(super) neighbors: Vec<(NeighborName, Vec<Family>)>,
}

impl CompiledBgp {
    fn new(
        announcement: &Announcement,
        bgp: &BgpAnnouncement,
        here: &BTreeMap<&NeighborName, &Neighbor>,
    ) -> Self {
        let neighbors = here
            .values()
            .filter(|n| bgp.neighbors.as_ref().is_none_or(|names| names.contains(&n.name)))
            .filter(|n| bgp.neighbor_selector.as_ref().is_none_or(|s| s.matches(&n.labels)))
            .map(|n| (n.name.clone(), n.families.iter().copied().collect()))
            .collect();
        Self {
            settings: bgp.clone(),
            source: Arc::new(Source::new(&announcement.name, announcement.created_at, bgp)),
            neighbors,
        }
    }

    pub(super) fn prefix_len(&self, family: Family) -> u8 {
        self.settings.prefix_len(family).min(family.max_prefix_len())
    }

    pub(super) fn reaches(&self, family: Family) -> bool {
        self.neighbors.iter().any(|(_, families)| families.contains(&family))
    }
}

impl Compiled {
    pub(super) fn new(
        announcement: &Announcement,
        node: &NodeView,
        here: &BTreeMap<&NeighborName, &Neighbor>,
    ) -> Self {
        Self {
            node_selected: announcement.node_selector.as_ref().is_none_or(|s| s.matches(&node.labels)),
            target: match &announcement.target {
                AnnouncementTarget::Bgp(bgp) => Target::Bgp(CompiledBgp::new(announcement, bgp, here)),
                AnnouncementTarget::L2(l2) => Target::L2(l2.clone(), CompiledL2::new(l2, node)),
            },
            announcement: announcement.clone(),
        }
    }

    pub(super) fn way(&self) -> Way {
        match self.target {
            Target::Bgp(_) => Way::Bgp,
            Target::L2(..) => Way::L2,
        }
    }

    pub(super) fn bgp(&self) -> Option<&CompiledBgp> {
        match &self.target {
            Target::Bgp(bgp) => Some(bgp),
            Target::L2(..) => None,
        }
    }

    pub(super) fn l2(&self) -> Option<(&Announcement, &L2Announcement, &CompiledL2)> {
        match &self.target {
            Target::Bgp(_) => None,
            Target::L2(settings, l2) => Some((&self.announcement, settings, l2)),
        }
    }

    pub(super) fn covers(&self, sharer: &Sharer<'_>, homes: &[&PoolIdentity]) -> bool {
        let a = &self.announcement;
        let restricts_pools = a.pools.is_some() || a.pool_selector.is_some();
        let pool_matches = |pool: &PoolIdentity| {
            a.pools.as_ref().is_none_or(|names| names.contains(&pool.name))
                && a.pool_selector.as_ref().is_none_or(|s| s.matches(&pool.labels))
        };
        (!restricts_pools || homes.iter().any(|pool| pool_matches(pool)))
            && a.service_selector.as_ref().is_none_or(|s| s.matches(&sharer.service.labels))
            && a.namespace_selector.as_ref().is_none_or(|s| s.matches(sharer.namespace_labels))
    }

    /// Whether anybody can learn `address` from the node by it.
    pub(super) fn reaches(&self, address: IpAddr, here: &[Interface]) -> bool {
        match &self.target {
            Target::Bgp(bgp) => bgp.reaches(Family::of(address)),
            Target::L2(_, l2) => l2.fits(address, here),
        }
    }

    pub(super) fn endpoints_suffice(&self, sharer: &Sharer<'_>) -> bool {
        let (endpoints, policy) = (sharer.endpoints, sharer.service.policy);
        let without = self.announcement.without_endpoints == WithoutEndpoints::Announce;
        endpoints.ready(policy)
            || (self.terminating_count() && endpoints.only_terminating(policy))
            || (without && !self.somebody_serves(sharer))
    }

    /// Whether endpoints suffice on any node, this or another.
    pub(super) fn endpoints_suffice_anywhere(&self, sharer: &Sharer<'_>) -> bool {
        self.somebody_serves(sharer) || self.announcement.without_endpoints == WithoutEndpoints::Announce
    }

    fn somebody_serves(&self, sharer: &Sharer<'_>) -> bool {
        let anywhere = TrafficPolicy::Cluster;
        sharer.endpoints.ready(anywhere)
            || (self.terminating_count() && sharer.endpoints.only_terminating(anywhere))
    }

    fn terminating_count(&self) -> bool {
        self.announcement.terminating_endpoints == TerminatingEndpoints::Serve
    }
}
