//! The decision: who announces which address how, and why not.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::Arc;

use daymark_model::announcement::{TerminatingEndpoints, WithoutEndpoints};
use daymark_model::{Announcement, AnnouncementTarget, Family, Neighbor, NeighborName};
use ipnet::IpNet;

use crate::node::{Drain, Infrastructure, NodeView, ProxyStanding};
use crate::pools::{PoolIdentity, PoolTable};
use crate::reason::{Note, Reason, Refusal};
use crate::route::{Attributes, Route, Source, Standing, merge};
use crate::view::{AddressView, Sharer};

/// All that operators have said about announcing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Config {
    /// The accepted Announcements, in any order.
    pub announcements: Vec<Announcement>,
    /// The accepted BgpNeighbors, in any order.
    pub neighbors: Vec<Neighbor>,
    /// The accepted AddressPools, and what is remembered of removed ones.
    pub pools: PoolTable,
}

/// What becomes of an address on a node.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Decision {
    /// The routes that it gives, by prefix and neighbor; empty = it does not go out.
    pub routes: Vec<Route>,
    /// What was refused, by Service. A Service of an address that goes out may be here too: another sharer carries it.
    pub reasons: Vec<Refusal>,
    /// What is worth saying about the routes.
    pub notes: Vec<Note>,
}

/// Decides about one address on one node.
///
/// The order of sharers, Announcements, neighbors and pools does not matter.
pub fn decide(address: &AddressView<'_>, node: &NodeView, config: &Config) -> Decision {
    let mut policy = Policy::new(node, config);
    let verdict = policy.decide(address, &config.pools);
    let (routes, notes) = match &verdict.export {
        Some(export) => (export.routes(address.address).collect(), export.notes.clone()),
        None => (Vec::new(), Vec::new()),
    };
    Decision { routes, reasons: verdict.reasons, notes }
}

/// What becomes of an address, in the form for many addresses: those that go out alike share one [`Export`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Verdict {
    /// How it goes out; `None` = not at all.
    pub export: Option<Arc<Export>>,
    /// What was refused.
    pub reasons: Vec<Refusal>,
}

/// How addresses that the same Announcements cover go out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Export {
    /// The family of the addresses.
    pub family: Family,
    /// Whether routers should use the routes.
    pub standing: Standing,
    /// By prefix length and neighbor; never empty.
    pub routes: Vec<ExportedRoute>,
    /// Where the Announcements contradict each other.
    pub notes: Vec<Note>,
}

/// How addresses go to one neighbor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExportedRoute {
    /// The length of the prefix.
    pub prefix_len: u8,
    /// The neighbor.
    pub neighbor: NeighborName,
    /// What the route says.
    pub attributes: Arc<Attributes>,
    /// The Announcements that give it, in their order.
    pub sources: Arc<[Arc<Source>]>,
}

impl Export {
    /// The prefixes in which `address` goes out, each once.
    pub fn prefixes(&self, address: IpAddr) -> impl Iterator<Item = IpNet> {
        self.routes.chunk_by(|a, b| a.prefix_len == b.prefix_len).filter_map(move |same| {
            let length = same.first()?.prefix_len;
            prefix(address, length)
        })
    }

    /// The routes that `address` gives.
    pub fn routes(&self, address: IpAddr) -> impl Iterator<Item = Route> {
        self.routes.iter().filter_map(move |route| {
            Some(Route {
                prefix: prefix(address, route.prefix_len)?,
                neighbor: route.neighbor.clone(),
                attributes: route.attributes.clone(),
                sources: route.sources.clone(),
                standing: self.standing,
            })
        })
    }
}

fn prefix(address: IpAddr, length: u8) -> Option<IpNet> {
    IpNet::new(address, length).ok().map(|net| net.trunc())
}

/// Everything about announcing that does not depend on the address: compiled for one node and one configuration.
#[derive(Debug)]
pub struct Policy {
    rules: Rules,
    /// What holds for addresses that are out, while the node leaves.
    parting: Option<Rules>,
    infrastructure: HashMap<IpAddr, Infrastructure>,
    /// In the order in which they merge.
    announcements: Vec<Compiled>,
    exports: HashMap<(Family, Standing, Vec<usize>), Arc<Export>>,
}

/// What the node itself adds to each decision.
#[derive(Debug)]
struct Rules {
    refusals: Vec<Reason>,
    excluded: bool,
    standing: Standing,
}

impl Rules {
    fn new(node: &NodeView) -> Self {
        let demoted = node.proxy == ProxyStanding::Demoted;
        Self {
            refusals: refusals(node.drain != Drain::No, node.out_of_service, node),
            excluded: node.excluded(),
            standing: if demoted { Standing::LastResort } else { Standing::Normal },
        }
    }

    fn parting(node: &NodeView) -> Option<Self> {
        (node.leaving || node.drain == Drain::Leaving).then(|| Self {
            refusals: refusals(node.drain == Drain::Done, node.out_of_service && !node.leaving, node),
            excluded: node.excluded() && !node.leaving,
            standing: Standing::LastResort,
        })
    }

    fn include(&self, announcement: &Announcement) -> bool {
        !self.excluded || announcement.ignore_exclude_label
    }
}

fn refusals(draining: bool, out_of_service: bool, node: &NodeView) -> Vec<Reason> {
    let all = [
        (draining, Reason::Draining),
        (out_of_service, Reason::OutOfService),
        (node.network_unavailable, Reason::NetworkUnavailable),
    ];
    all.into_iter().filter(|(holds, _)| *holds).map(|(_, reason)| reason).collect()
}

#[derive(Debug)]
struct Compiled {
    announcement: Announcement,
    source: Arc<Source>,
    node_selected: bool,
    /// The neighbors of this node that it names, with their families.
    neighbors: Vec<(NeighborName, Vec<Family>)>,
}

impl Policy {
    /// Compiles what `config` says for `node`.
    pub fn new(node: &NodeView, config: &Config) -> Self {
        let here: BTreeMap<&NeighborName, &Neighbor> = config
            .neighbors
            .iter()
            .filter(|n| n.node_selector.as_ref().is_none_or(|s| s.matches(&node.labels)))
            .map(|n| (&n.name, n))
            .collect();
        let mut announcements: Vec<Compiled> = config
            .announcements
            .iter()
            .map(|announcement| Compiled::new(announcement, node, &here))
            .collect();
        announcements.sort_by(|a, b| a.source.cmp(&b.source));
        Self {
            rules: Rules::new(node),
            parting: Rules::parting(node),
            infrastructure: infrastructure(node, config),
            announcements,
            exports: HashMap::new(),
        }
    }

    /// The addresses of the network itself changed, and nothing else did.
    pub fn set_infrastructure(&mut self, node: &NodeView, config: &Config) {
        self.infrastructure = infrastructure(node, config);
    }

    /// Decides about one address. `pools` are those of the configuration that this was compiled from.
    pub fn decide(&mut self, view: &AddressView<'_>, pools: &PoolTable) -> Verdict {
        let homes = pools.homes(view.address);
        let verdict = self.decide_by(&self.rules, view, &homes);
        let hidden = verdict.carried.is_empty();
        let parting = self.parting.as_ref().filter(|_| view.out && hidden);
        let parting = parting.map(|rules| self.decide_by(rules, view, &homes));
        let Carried { standing, carried, reasons } =
            parting.filter(|parting| !parting.carried.is_empty()).unwrap_or(verdict);
        let export =
            if carried.is_empty() { None } else { Some(self.export(view.family(), standing, carried)) };
        Verdict { export, reasons }
    }

    fn decide_by(&self, rules: &Rules, view: &AddressView<'_>, homes: &[&PoolIdentity]) -> Carried {
        let family = view.family();
        let mut carried = Vec::new();
        let mut reasons = Vec::new();
        for sharer in &view.sharers {
            let refused = match self.judge(rules, view.address, family, sharer, homes) {
                Ok(announcements) => {
                    carried.extend(announcements);
                    continue;
                }
                Err(refused) => refused,
            };
            let service = &sharer.service.key;
            reasons.extend(refused.into_iter().map(|reason| Refusal {
                service: service.clone(),
                address: Some(view.address),
                reason,
            }));
        }
        reasons.sort_unstable();
        reasons.dedup();
        carried.sort_unstable();
        carried.dedup();
        Carried { standing: rules.standing, carried, reasons }
    }

    /// The Announcements that carry the address for one Service, or why none does.
    fn judge(
        &self,
        rules: &Rules,
        address: IpAddr,
        family: Family,
        sharer: &Sharer<'_>,
        homes: &[&PoolIdentity],
    ) -> Result<Vec<usize>, Vec<Reason>> {
        if !sharer.service.holds(address) {
            return Err(vec![Reason::NotAssigned]);
        }
        if let Some(of) = self.infrastructure.get(&address) {
            return Err(vec![Reason::AddressIsInfrastructure { of: of.clone() }]);
        }
        let covering: Vec<(usize, &Compiled)> =
            self.announcements.iter().enumerate().filter(|(_, a)| a.covers(sharer, homes)).collect();
        if covering.is_empty() {
            return Err(vec![Reason::NoAnnouncement]);
        }
        let names = |of: &[(usize, &Compiled)]| of.iter().map(|(_, a)| a.announcement.name.clone()).collect();
        let mut reasons = rules.refusals.clone();
        let selected: Vec<(usize, &Compiled)> =
            covering.iter().copied().filter(|(_, a)| a.node_selected).collect();
        if selected.is_empty() {
            reasons.push(Reason::NodeNotSelected { announcements: names(&covering) });
            return Err(reasons);
        }
        let included = |a: &Compiled| rules.include(&a.announcement);
        if !selected.iter().any(|(_, a)| included(a)) {
            reasons.push(Reason::NodeExcluded);
        }
        if selected.iter().all(|(_, a)| a.neighbors.is_empty()) {
            reasons.push(Reason::NoNeighbor { announcements: names(&selected) });
        } else if !selected.iter().any(|(_, a)| a.reaches(family)) {
            reasons.push(Reason::FamilyNotEnabled { family });
        }
        if !selected.iter().any(|(_, a)| a.endpoints_suffice(sharer)) {
            reasons.push(endpoint_reason(family, sharer));
        }
        if !reasons.is_empty() {
            return Err(reasons);
        }
        let carrying: Vec<usize> = selected
            .iter()
            .filter(|(_, a)| included(a) && a.reaches(family) && a.endpoints_suffice(sharer))
            .map(|(i, _)| *i)
            .collect();
        if carrying.is_empty() { Err(why_none_alone(rules, family, sharer, &selected)) } else { Ok(carrying) }
    }

    fn export(&mut self, family: Family, standing: Standing, carried: Vec<usize>) -> Arc<Export> {
        let announcements = &self.announcements;
        let export = self.exports.entry((family, standing, carried)).or_insert_with_key(|(.., carried)| {
            let carrying = carried.iter().filter_map(|i| announcements.get(*i));
            Arc::new(export(family, carrying, standing))
        });
        export.clone()
    }
}

/// What one set of rules says about an address.
#[derive(Debug)]
struct Carried {
    standing: Standing,
    carried: Vec<usize>,
    reasons: Vec<Refusal>,
}

/// Each condition is met by some Announcement, but no Announcement meets all: what stops the first of them.
fn why_none_alone(
    rules: &Rules,
    family: Family,
    sharer: &Sharer<'_>,
    selected: &[(usize, &Compiled)],
) -> Vec<Reason> {
    let mut reasons = Vec::new();
    if let Some((_, first)) = selected.first() {
        if !rules.include(&first.announcement) {
            reasons.push(Reason::NodeExcluded);
        }
        if first.neighbors.is_empty() {
            reasons.push(Reason::NoNeighbor { announcements: vec![first.announcement.name.clone()] });
        } else if !first.reaches(family) {
            reasons.push(Reason::FamilyNotEnabled { family });
        }
        if !first.endpoints_suffice(sharer) {
            reasons.push(endpoint_reason(family, sharer));
        }
    }
    reasons
}

/// The attributes of a route, and who gave them.
type Merged = (Arc<Attributes>, Arc<[Arc<Source>]>);

fn export<'a>(family: Family, carrying: impl Iterator<Item = &'a Compiled>, standing: Standing) -> Export {
    let mut by_target: BTreeMap<(u8, &NeighborName), Vec<Arc<Source>>> = BTreeMap::new();
    for compiled in carrying {
        let length = compiled.prefix_len(family);
        for (name, families) in &compiled.neighbors {
            if families.contains(&family) {
                by_target.entry((length, name)).or_default().push(compiled.source.clone());
            }
        }
    }
    let mut notes = Vec::new();
    let mut made: HashMap<Vec<Arc<Source>>, Merged> = HashMap::new();
    let mut routes = Vec::new();
    for ((prefix_len, neighbor), sources) in by_target {
        let (attributes, sources) = made
            .entry(sources)
            .or_insert_with_key(|sources| {
                let (attributes, said) = merge(sources, standing);
                notes.extend(said);
                (Arc::new(attributes), sources.as_slice().into())
            })
            .clone();
        routes.push(ExportedRoute { prefix_len, neighbor: neighbor.clone(), attributes, sources });
    }
    notes.sort_unstable();
    notes.dedup();
    Export { family, standing, routes, notes }
}

fn endpoint_reason(family: Family, sharer: &Sharer<'_>) -> Reason {
    let endpoints = sharer.endpoints;
    let elsewhere = match sharer.service.policy {
        daymark_model::TrafficPolicy::Cluster => 0,
        daymark_model::TrafficPolicy::Local if endpoints.ready_anywhere > 0 => endpoints.ready_anywhere,
        daymark_model::TrafficPolicy::Local if endpoints.serving_terminating_here == 0 => {
            endpoints.serving_terminating_anywhere
        }
        daymark_model::TrafficPolicy::Local => 0,
    };
    if elsewhere > 0 {
        return Reason::NoLocalEndpoint { ready_elsewhere: elsewhere };
    }
    Reason::NoEndpoints { family, terminating: endpoints.serving_terminating_anywhere }
}

fn infrastructure(node: &NodeView, config: &Config) -> HashMap<IpAddr, Infrastructure> {
    let next_hops = node.next_hops.iter().map(|a| (*a, Infrastructure::NextHop));
    // Of two neighbors with one address the lower name is told.
    let mut neighbors: Vec<&Neighbor> = config.neighbors.iter().collect();
    neighbors.sort_by(|a, b| b.name.cmp(&a.name));
    let neighbors = neighbors.into_iter().map(|n| (n.address, Infrastructure::Neighbor(n.name.clone())));
    let own = node.addresses.iter().map(|a| (*a, Infrastructure::Host));
    next_hops.chain(neighbors).chain(own).collect()
}

impl Compiled {
    fn new(announcement: &Announcement, node: &NodeView, here: &BTreeMap<&NeighborName, &Neighbor>) -> Self {
        let AnnouncementTarget::Bgp(bgp) = &announcement.target;
        let neighbors = here
            .values()
            .filter(|n| bgp.neighbors.as_ref().is_none_or(|names| names.contains(&n.name)))
            .filter(|n| bgp.neighbor_selector.as_ref().is_none_or(|s| s.matches(&n.labels)))
            .map(|n| (n.name.clone(), n.families.iter().copied().collect()))
            .collect();
        Self {
            source: Arc::new(Source::new(&announcement.name, announcement.created_at, bgp)),
            node_selected: announcement.node_selector.as_ref().is_none_or(|s| s.matches(&node.labels)),
            neighbors,
            announcement: announcement.clone(),
        }
    }

    fn prefix_len(&self, family: Family) -> u8 {
        let AnnouncementTarget::Bgp(bgp) = &self.announcement.target;
        bgp.prefix_len(family).min(family.max_prefix_len())
    }

    fn covers(&self, sharer: &Sharer<'_>, homes: &[&PoolIdentity]) -> bool {
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

    fn reaches(&self, family: Family) -> bool {
        self.neighbors.iter().any(|(_, families)| families.contains(&family))
    }

    fn endpoints_suffice(&self, sharer: &Sharer<'_>) -> bool {
        let (endpoints, policy) = (sharer.endpoints, sharer.service.policy);
        let terminating_count = self.announcement.terminating_endpoints == TerminatingEndpoints::Serve;
        let nobody_has_any = endpoints.ready_anywhere == 0
            && (!terminating_count || endpoints.serving_terminating_anywhere == 0);
        endpoints.ready(policy)
            || (terminating_count && endpoints.only_terminating(policy))
            || (nobody_has_any && self.announcement.without_endpoints == WithoutEndpoints::Announce)
    }
}

#[cfg(test)]
mod tests;
