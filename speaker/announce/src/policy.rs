//! The decision: who announces which address how, and why not.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::Arc;

use daymark_model::{Announcement, Family, Interface, InterfaceIndex, Neighbor, NeighborName};
use ipnet::IpNet;

use crate::l2::{self, L2Export, L2Terms};
use crate::node::{Drain, Infrastructure, L2Standing, NodeView, ProxyStanding};
use crate::pools::{PoolIdentity, PoolTable};
use crate::reason::{Note, Reason, Refusal};
use crate::route::{Attributes, Route, Source, Standing, merge};
use crate::view::{AddressView, Sharer};

mod compiled;

use compiled::{Compiled, CompiledBgp, Way};

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
    /// The routes that it gives, by prefix and neighbor; empty = it does not go out by BGP.
    pub routes: Vec<Route>,
    /// How it goes out by ARP or NDP; `None` = it does not.
    pub l2: Option<Arc<L2Export>>,
    /// What was refused, by Service. A Service of an address that goes out may be here too: another sharer carries it,
    /// or another Announcement, the other way.
    pub reasons: Vec<Refusal>,
    /// What is worth saying about what goes out.
    pub notes: Vec<Note>,
}

/// Decides about one address on one node.
///
/// The order of sharers, Announcements, neighbors and pools does not matter.
pub fn decide(address: &AddressView<'_>, node: &NodeView, config: &Config) -> Decision {
    let mut policy = Policy::new(node, config);
    let Verdict { ways, reasons } = policy.decide(address, &config.pools);
    let routes = ways.bgp.iter().flat_map(|export| export.routes(address.address)).collect();
    let notes = ways.notes().cloned().collect();
    Decision { routes, l2: ways.l2, reasons, notes }
}

/// What becomes of an address, in the form for many addresses: those that go out alike share what is said of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Verdict {
    /// How it goes out.
    pub ways: Ways,
    /// What was refused.
    pub reasons: Vec<Refusal>,
}

/// The ways in which an address goes out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ways {
    /// By BGP.
    pub bgp: Option<Arc<Export>>,
    /// By ARP or NDP.
    pub l2: Option<Arc<L2Export>>,
}

impl Ways {
    /// Whether it does not go out at all.
    pub fn is_none(&self) -> bool {
        self.bgp.is_none() && self.l2.is_none()
    }

    /// Where the Announcements contradict each other.
    pub fn notes(&self) -> impl Iterator<Item = &Note> {
        let bgp = self.bgp.iter().flat_map(|export| &export.notes);
        bgp.chain(self.l2.iter().flat_map(|export| &export.notes))
    }
}

/// How addresses that the same Announcements cover go out by BGP.
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
    /// What holds for addresses that are out, while the node leaves. Routers need time to move traffic elsewhere; on a
    /// segment another node takes over at once.
    parting: Option<Rules>,
    /// What keeps the node from answering ARP and NDP at all.
    l2_refusal: Option<Reason>,
    interfaces: Vec<Interface>,
    infrastructure: HashMap<IpAddr, Infrastructure>,
    /// In the order in which they merge.
    announcements: Vec<Compiled>,
    exports: HashMap<(Family, Standing, Vec<usize>), Arc<Export>>,
    l2_exports: HashMap<L2Key, Arc<L2Export>>,
}

/// What an [`L2Export`] depends on.
#[derive(Debug, PartialEq, Eq, Hash)]
struct L2Key {
    carrying: Vec<usize>,
    covering: Vec<usize>,
    interfaces: Vec<InterfaceIndex>,
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
        announcements.sort_by(|a, b| {
            let order = |c: &Compiled| (c.announcement.created_at, c.announcement.name.clone());
            order(a).cmp(&order(b))
        });
        Self {
            rules: Rules::new(node),
            parting: Rules::parting(node),
            l2_refusal: l2_refusal(node.l2),
            interfaces: node.interfaces.clone(),
            infrastructure: infrastructure(node, config),
            announcements,
            exports: HashMap::new(),
            l2_exports: HashMap::new(),
        }
    }

    /// The addresses of the network itself changed, and nothing else did.
    pub fn set_infrastructure(&mut self, node: &NodeView, config: &Config) {
        self.infrastructure = infrastructure(node, config);
    }

    /// By which Announcements the node may answer ARP and NDP, whatever the address; none while it may not at all.
    pub fn l2_terms(&self) -> Vec<L2Terms> {
        if self.l2_refusal.is_some() || !self.rules.refusals.is_empty() {
            return Vec::new();
        }
        let here =
            self.announcements.iter().filter(|a| a.node_selected && self.rules.include(&a.announcement));
        let terms = here.filter_map(|compiled| {
            let (announcement, _, l2) = compiled.l2()?;
            let (weight, interfaces) = (l2.weight, l2.interfaces.clone());
            Some(L2Terms { announcement: announcement.name.clone(), weight, interfaces })
        });
        terms.collect()
    }

    /// Decides about one address. `pools` are those of the configuration that this was compiled from.
    pub fn decide(&mut self, view: &AddressView<'_>, pools: &PoolTable) -> Verdict {
        let homes = pools.homes(view.address);
        let mut bgp = self.decide_by(&self.rules, view, &homes, Way::Bgp);
        if let Some(parting) = self.parting.as_ref().filter(|_| view.out && bgp.carried.is_empty()) {
            let parting = self.decide_by(parting, view, &homes, Way::Bgp);
            if !parting.carried.is_empty() {
                bgp = parting;
            }
        }
        let mut verdict = Verdict { ways: Ways::default(), reasons: bgp.reasons };
        if !bgp.carried.is_empty() {
            verdict.ways.bgp = Some(self.export(view.family(), bgp.standing, bgp.carried));
        }
        if self.announcements.iter().any(|a| a.way() == Way::L2) {
            let l2 = self.decide_by(&self.rules, view, &homes, Way::L2);
            verdict.reasons.extend(l2.reasons);
            if !l2.carried.is_empty() {
                let covering = self.covering_anywhere(view, &homes);
                verdict.ways.l2 = Some(self.l2_export(view.address, l2.carried, covering));
            }
        }
        verdict.reasons.sort_unstable();
        verdict.reasons.dedup();
        verdict
    }

    fn decide_by(&self, rules: &Rules, view: &AddressView<'_>, homes: &[&PoolIdentity], way: Way) -> Carried {
        let mut carried = Vec::new();
        let mut reasons = Vec::new();
        for sharer in &view.sharers {
            let refused = match self.judge(rules, view.address, sharer, homes, way) {
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
        carried.sort_unstable();
        carried.dedup();
        Carried { standing: rules.standing, carried, reasons }
    }

    /// The Announcements that carry the address this way for one Service, or why none does. None and no reason when
    /// only Announcements of the other way cover it.
    fn judge(
        &self,
        rules: &Rules,
        address: IpAddr,
        sharer: &Sharer<'_>,
        homes: &[&PoolIdentity],
        way: Way,
    ) -> Result<Vec<usize>, Vec<Reason>> {
        if !sharer.service.holds(address) {
            return Err(vec![Reason::NotAssigned]);
        }
        if let Some(of) = self.infrastructure.get(&address) {
            return Err(vec![Reason::AddressIsInfrastructure { of: of.clone() }]);
        }
        let mut covering: Vec<(usize, &Compiled)> =
            self.announcements.iter().enumerate().filter(|(_, a)| a.covers(sharer, homes)).collect();
        if covering.is_empty() {
            return Err(vec![Reason::NoAnnouncement]);
        }
        covering.retain(|(_, a)| a.way() == way);
        if covering.is_empty() {
            return Ok(Vec::new());
        }
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
        if way == Way::L2 {
            reasons.extend(self.l2_refusal.clone());
        }
        if !selected.iter().any(|(_, a)| a.reaches(address, &self.interfaces)) {
            reasons.push(nobody_reached(&selected, address));
        }
        if !selected.iter().any(|(_, a)| a.endpoints_suffice(sharer)) {
            reasons.push(endpoint_reason(address, sharer));
        }
        if !reasons.is_empty() {
            return Err(reasons);
        }
        let carries =
            |a: &Compiled| included(a) && a.reaches(address, &self.interfaces) && a.endpoints_suffice(sharer);
        let carrying: Vec<usize> = selected.iter().filter(|(_, a)| carries(a)).map(|(i, _)| *i).collect();
        if carrying.is_empty() {
            Err(self.why_none_alone(rules, address, sharer, &selected))
        } else {
            Ok(carrying)
        }
    }

    /// Each condition is met by some Announcement, but no Announcement meets all: what stops the first of them.
    fn why_none_alone(
        &self,
        rules: &Rules,
        address: IpAddr,
        sharer: &Sharer<'_>,
        selected: &[(usize, &Compiled)],
    ) -> Vec<Reason> {
        let Some((_, first)) = selected.first() else { return Vec::new() };
        let mut reasons = Vec::new();
        if !rules.include(&first.announcement) {
            reasons.push(Reason::NodeExcluded);
        }
        if !first.reaches(address, &self.interfaces) {
            reasons.push(nobody_reached(selected.get(..1).unwrap_or_default(), address));
        }
        if !first.endpoints_suffice(sharer) {
            reasons.push(endpoint_reason(address, sharer));
        }
        reasons
    }

    /// The Announcements of layer 2 that cover the address, on whatever node: all nodes come to the same.
    fn covering_anywhere(&self, view: &AddressView<'_>, homes: &[&PoolIdentity]) -> Vec<usize> {
        let covers = |a: &Compiled| {
            a.way() == Way::L2
                && view.sharers.iter().any(|sharer| {
                    sharer.service.holds(view.address)
                        && a.covers(sharer, homes)
                        && a.endpoints_suffice_anywhere(sharer)
                })
        };
        self.announcements.iter().enumerate().filter(|(_, a)| covers(a)).map(|(i, _)| i).collect()
    }

    fn export(&mut self, family: Family, standing: Standing, carried: Vec<usize>) -> Arc<Export> {
        let announcements = &self.announcements;
        let export = self.exports.entry((family, standing, carried)).or_insert_with_key(|(.., carried)| {
            let carrying = carried.iter().filter_map(|i| announcements.get(*i)?.bgp());
            Arc::new(export(family, carrying, standing))
        });
        export.clone()
    }

    fn l2_export(&mut self, address: IpAddr, carrying: Vec<usize>, covering: Vec<usize>) -> Arc<L2Export> {
        let announcements = &self.announcements;
        let l2 = |indices: &[usize]| -> Vec<_> {
            indices.iter().filter_map(|i| announcements.get(*i)?.l2()).collect()
        };
        let compiled = l2(&carrying).into_iter().map(|(.., compiled)| compiled);
        let interfaces = l2::unite(compiled, address, &self.interfaces);
        let key = L2Key { carrying, covering, interfaces };
        let export = self.l2_exports.entry(key).or_insert_with_key(|key| {
            let covering = l2(&key.covering).into_iter().map(|(announcement, ..)| &announcement.name);
            Arc::new(l2::export(&key.interfaces, l2(&key.carrying).into_iter(), covering))
        });
        export.clone()
    }
}

fn l2_refusal(standing: L2Standing) -> Option<Reason> {
    match standing {
        L2Standing::Unknown => Some(Reason::MeshKeyUnknown),
        L2Standing::NoMeshKey => Some(Reason::NoMeshKey),
        L2Standing::InvalidMeshKey => Some(Reason::InvalidMeshKey),
        L2Standing::Ready => None,
    }
}

fn names(of: &[(usize, &Compiled)]) -> Vec<daymark_model::AnnouncementName> {
    of.iter().map(|(_, a)| a.announcement.name.clone()).collect()
}

/// Why nobody can learn the address from the node by any of `selected`, which are of one way.
fn nobody_reached(selected: &[(usize, &Compiled)], address: IpAddr) -> Reason {
    let mut ways = selected.iter().map(|(_, a)| a.bgp());
    if ways.clone().all(|bgp| bgp.is_none()) {
        return Reason::NoInterface { announcements: names(selected) };
    }
    if ways.all(|bgp| bgp.is_none_or(|bgp| bgp.neighbors.is_empty())) {
        return Reason::NoNeighbor { announcements: names(selected) };
    }
    Reason::FamilyNotEnabled { family: Family::of(address) }
}

/// What one set of rules says about an address.
#[derive(Debug)]
struct Carried {
    standing: Standing,
    carried: Vec<usize>,
    reasons: Vec<Refusal>,
}

/// The attributes of a route, and who gave them.
type Merged = (Arc<Attributes>, Arc<[Arc<Source>]>);

fn export<'a>(family: Family, carrying: impl Iterator<Item = &'a CompiledBgp>, standing: Standing) -> Export {
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

fn endpoint_reason(address: IpAddr, sharer: &Sharer<'_>) -> Reason {
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
    Reason::NoEndpoints { family: Family::of(address), terminating: endpoints.serving_terminating_anywhere }
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

#[cfg(test)]
mod tests;
