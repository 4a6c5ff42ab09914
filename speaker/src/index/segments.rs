//! What goes to the segments' elections: the addresses that the node may answer for, and how it stands itself.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::Arc;

use daymark_announce::{Drain, L2Export, L2Interfaces, L2Standing, NodeHash, ProxyStanding};
use daymark_l2::member::NodeNameHash;
use daymark_l2::node::NodeFacts;
use daymark_l2::offer::{AnnouncementId, Offer, Servers, Terms};
use daymark_l2::report::{SegmentTerms, Standing};
use daymark_model::{
    Announcement, AnnouncementTarget, Family, Interface, InterfaceIndex, TimingProfile, TrafficPolicy,
};

use super::address::State;
use super::{Index, Output};
use crate::l2::Change;

/// How many interfaces a node may announce on; a node that runs many pods has hundreds that lead to one pod each.
const MAX_INTERFACES: usize = 64;

/// What the node has for its segments beside addresses.
#[derive(Debug, Default)]
pub(super) struct Segments {
    /// All interfaces of the node.
    pub(super) interfaces: Vec<Interface>,
    pub(super) key: L2Standing,
    pub(super) api_stale: bool,
    told: NodeFacts,
    /// Equal terms are one object.
    terms: HashMap<Arc<L2Export>, Arc<Terms>>,
}

impl Segments {
    /// Terms of an older policy need not be kept for sharing.
    pub(super) fn forget_terms(&mut self) {
        self.terms.clear();
    }

    fn terms(&mut self, export: &Arc<L2Export>) -> Arc<Terms> {
        let terms = self.terms.entry(export.clone()).or_insert_with_key(|export| {
            let ids = export.announcements.iter().map(|name| AnnouncementId::of(name.as_str()));
            let mut announcements: Vec<_> = ids.collect();
            announcements.sort_unstable();
            Arc::new(Terms {
                announcements,
                weight: export.weight,
                failback: export.failback,
                refresh: export.refresh,
                profile: export.profile,
            })
        });
        terms.clone()
    }
}

/// Those of `interfaces` on which an address can go out: with a subnet or a default route, or named by an Announcement.
pub(super) fn announcing(interfaces: &[Interface], announcements: &[Announcement]) -> Vec<Interface> {
    let patterns: Vec<_> = announcements
        .iter()
        .filter_map(|announcement| match &announcement.target {
            AnnouncementTarget::L2(l2) => l2.interfaces.as_ref(),
            AnnouncementTarget::Bgp(_) => None,
        })
        .flatten()
        .collect();
    let fits = |interface: &&Interface| {
        !interface.subnets.is_empty()
            || !interface.default_routes.is_empty()
            || patterns.iter().any(|pattern| pattern.matches(&interface.name))
    };
    let mut fitting: Vec<_> = interfaces.iter().filter(fits).cloned().collect();
    fitting.sort_by_key(|interface| interface.index);
    fitting.truncate(MAX_INTERFACES);
    fitting
}

/// Whether decisions see no difference: an Ethernet address or a carrier is nothing to them.
pub(super) fn same_for_decisions(a: &[Interface], b: &[Interface]) -> bool {
    a.len() == b.len()
        && a.iter().zip(b).all(|(a, b)| {
            (a.index, &a.name, &a.subnets, &a.default_routes)
                == (b.index, &b.name, &b.subnets, &b.default_routes)
        })
}

impl Index {
    /// Whether any Announcement is of layer 2.
    pub(super) fn uses_l2(&self) -> bool {
        self.config.announcements.iter().any(|a| matches!(a.target, AnnouncementTarget::L2(_)))
    }

    /// Tells the segments what became of one address.
    pub(super) fn offer(&mut self, address: IpAddr, out: &mut Output) {
        let Some(entry) = self.addresses.get(address) else { return };
        let export = match &entry.state {
            State::Out(ways) => ways.l2.clone(),
            State::Hidden | State::Waiting(..) => None,
        };
        let offer = export.map(|export| Offer {
            address,
            interfaces: export.interfaces.clone(),
            terms: self.segments.terms(&export),
            servers: servers(self, address),
        });
        let known = self.addresses.get(address).and_then(|entry| entry.offered.as_ref());
        if known == offer.as_ref() {
            return;
        }
        out.l2.push(offer.clone().map_or(Change::Withdraw(address), Change::Offer));
        self.addresses.set_offered(address, offer);
    }

    /// Tells the segments how the node stands, when that changed.
    pub(super) fn tell_facts(&mut self, out: &mut Output) {
        let node = &self.node;
        let standing = Standing {
            api_stale: self.segments.api_stale,
            stalls: false,
            proxy_demoted: node.proxy == ProxyStanding::Demoted,
            leaving: node.drain != Drain::No || node.out_of_service || node.network_unavailable,
        };
        let facts = NodeFacts {
            internal: node.internal.iter().copied().collect(),
            standing,
            terms: self.segment_terms(),
            profile: slowest(&self.config.announcements),
        };
        if self.segments.told != facts {
            self.segments.told = facts.clone();
            out.l2_facts = Some(facts);
        }
    }

    /// By which Announcements the node may answer, by interface.
    fn segment_terms(&self) -> BTreeMap<InterfaceIndex, BTreeMap<AnnouncementId, SegmentTerms>> {
        let mut all: BTreeMap<InterfaceIndex, BTreeMap<_, _>> = BTreeMap::new();
        for terms in self.policy.l2_terms() {
            let (indices, by_pattern): (Vec<_>, bool) = match &terms.interfaces {
                L2Interfaces::Named(indices) => (indices.clone(), true),
                L2Interfaces::OfAddress => (self.node.interfaces.iter().map(|i| i.index).collect(), false),
            };
            let id = AnnouncementId::of(terms.announcement.as_str());
            for index in indices {
                let stands = SegmentTerms { weight: terms.weight, by_pattern };
                all.entry(index).or_default().insert(id, stands);
            }
        }
        all
    }
}

/// All nodes must come to the same: half of a mesh cannot be slower.
fn slowest(announcements: &[Announcement]) -> TimingProfile {
    let profiles = announcements.iter().filter_map(|announcement| match &announcement.target {
        AnnouncementTarget::L2(l2) => Some(l2.profile),
        AnnouncementTarget::Bgp(_) => None,
    });
    profiles.max_by_key(|profile| profile.factor()).unwrap_or_default()
}

/// Which nodes can serve the address, for any of the Services on it.
fn servers(index: &Index, address: IpAddr) -> Servers {
    let family = Family::of(address);
    let holders = index.addresses.get(address).map(|entry| entry.holders.as_slice()).unwrap_or_default();
    let mut nodes: BTreeSet<NodeHash> = BTreeSet::new();
    for service in holders.iter().filter_map(|key| index.services.get(key)) {
        match service.policy {
            TrafficPolicy::Cluster => {
                if index.endpoints.of(&service.key, family).can_serve(TrafficPolicy::Cluster) {
                    return Servers::Any;
                }
            }
            TrafficPolicy::Local => nodes.extend(index.endpoints.nodes(&service.key, family)),
        }
    }
    if nodes.is_empty() {
        // Announced without endpoints: no node is better than another.
        return Servers::Any;
    }
    Servers::Only(Arc::new(nodes.into_iter().map(|node| NodeNameHash(node.0)).collect()))
}
