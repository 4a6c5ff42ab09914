//! The one owner of the speaker's state: updates in, what has to be done out.
//!
//! No I/O and no clock: [`Index::handle`] and [`Index::tick`] get the time, [`Index::next_deadline`] says when to call again.
//! A change touches only the addresses that it can concern: those of the Service, or of the Services in the namespace; a
//! change of Announcements, neighbors, pools or of the node itself touches all.
//!
//! Nothing goes out before every kind has delivered its first list and the node's own addresses are known.

mod address;
mod drain;
mod listing;
mod problems;
mod rib;
mod segments;
mod sources;
mod turn;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use daymark_announce::node::EXCLUDE_LABEL;
use daymark_announce::{
    Config, Drain, EndpointFold, Gate, GateSettings, NodeView, Policy, Probes, ProxyHealth, ServiceView,
    SliceView,
};
use daymark_config::native::SpeakerSettings;
use daymark_kube::views::node::NodeFacts;
use daymark_model::{Labels, NamespaceName, Neighbor, NodeName, Pool, ServiceKey};

use address::Addresses;
use drain::LeaveTimer;
pub use drain::{Cause, Leaving, Step};
pub use listing::{AddressListing, AddressState, L2Listing, ReasonListing, RouteListing, ServiceListing};
use rib::Rib;
use segments::Segments;
use sources::Sources;
pub use turn::{Network, Output, Update};

/// How long the routes of a leaving node stay out as the last resort, unless told otherwise.
const DRAIN_WAIT: Duration = Duration::from_secs(5);

/// The speaker's state.
#[derive(Debug)]
pub struct Index {
    node: NodeView,
    facts: Option<NodeFacts>,
    host: BTreeSet<IpAddr>,
    settings: SpeakerSettings,
    config: Config,
    policy: Policy,
    services: BTreeMap<ServiceKey, ServiceView>,
    namespaces: BTreeMap<NamespaceName, Labels>,
    endpoints: EndpointFold,
    addresses: Addresses,
    rib: Rib,
    segments: Segments,
    gate: Gate,
    health: ProxyHealth,
    drain: LeaveTimer,
    /// As a drain, for the label and the taint of the Node object.
    exclusion: LeaveTimer,
    sources: Sources,
    synced: bool,
    probes: Probes,
    /// To be decided again in this turn.
    touched: BTreeSet<IpAddr>,
}

impl Index {
    /// The state of a speaker on `node` that knows nothing yet.
    pub fn new(node: NodeName, gate: GateSettings) -> Self {
        let view = NodeView::new(node.clone());
        let config = Config::default();
        Self {
            policy: Policy::new(&view, &config),
            node: view,
            facts: None,
            host: BTreeSet::new(),
            settings: SpeakerSettings::default(),
            config,
            services: BTreeMap::new(),
            namespaces: BTreeMap::new(),
            endpoints: EndpointFold::new(node),
            addresses: Addresses::default(),
            rib: Rib::default(),
            segments: Segments::default(),
            gate: Gate::new(gate),
            health: ProxyHealth::default(),
            drain: LeaveTimer::new(DRAIN_WAIT),
            exclusion: LeaveTimer::new(DRAIN_WAIT),
            sources: Sources::default(),
            synced: false,
            probes: Probes::default(),
            touched: BTreeSet::new(),
        }
    }

    /// Lets the routes of a leaving node stay out for `wait` as the last resort, instead of five seconds.
    pub fn with_drain_wait(mut self, wait: Duration) -> Self {
        self.drain = LeaveTimer::new(wait);
        self.exclusion = LeaveTimer::new(wait);
        self
    }

    /// Takes in `update`, received at `now`.
    pub fn handle(&mut self, now: Instant, update: Update, out: &mut Output) {
        self.take(now, update, out);
        self.finish(now, out);
    }

    /// Time has come to `now`.
    pub fn tick(&mut self, now: Instant, out: &mut Output) {
        let mut open = Vec::new();
        self.gate.tick(now, &mut open);
        self.open(now, open, out);
        let health = self.health.tick(now);
        let gone = [self.drain.tick(now), self.exclusion.tick(now)];
        let routed = self.addresses.out().routed;
        if health || gone != [None, None] {
            self.node_changed(out);
        }
        self.finish(now, out);
        let withdrawn = Step::Withdrawn { addresses: routed.saturating_sub(self.addresses.out().routed) };
        out.leaving.extend(gone.into_iter().flatten().map(|cause| Leaving { cause, step: withdrawn }));
    }

    /// When [`Index::tick`] is to be called.
    pub fn next_deadline(&self) -> Option<Instant> {
        let leaving = [self.drain.next_deadline(), self.exclusion.next_deadline()];
        leaving.into_iter().chain([self.gate.next_deadline()]).flatten().min()
    }

    /// The node as decisions see it: what the Speaker reports as its facts.
    pub fn node(&self) -> &NodeView {
        &self.node
    }

    /// What the Node object says; `None` until it was seen.
    pub fn facts(&self) -> Option<&NodeFacts> {
        self.facts.as_ref()
    }

    /// The operator's word.
    pub fn settings(&self) -> &SpeakerSettings {
        &self.settings
    }

    /// Whether it was last told that nothing has been heard from the API server for long.
    pub fn api_stale(&self) -> bool {
        self.segments.api_stale
    }

    /// Whether all that was there at the start has been decided.
    pub fn is_synced(&self) -> bool {
        self.synced
    }

    /// How many addresses are out.
    pub fn announced(&self) -> usize {
        self.addresses.out().all
    }

    /// How many addresses are out by routes.
    pub fn routed(&self) -> usize {
        self.addresses.out().routed
    }

    /// The Services that hold `address`.
    pub fn holders(&self, address: IpAddr) -> &[ServiceKey] {
        self.addresses.get(address).map(|entry| entry.holders.as_slice()).unwrap_or_default()
    }

    /// How many addresses wait at the gate.
    pub fn waiting(&self) -> usize {
        self.gate.len()
    }

    /// What is still missing before anything may go out; empty once synced.
    pub fn missing(&self) -> Vec<&'static str> {
        self.sources.missing(self.facts.is_some())
    }

    fn take(&mut self, now: Instant, update: Update, out: &mut Output) {
        use daymark_kube::Update::{Apply, Delete, Reset};
        let first_word = self.sources.heard(&update);
        match update {
            Update::Services(update) => self.services_changed(update),
            Update::EndpointSlices(update) => self.slices_changed(update),
            Update::Namespaces(update) => self.namespaces_changed(update),
            Update::Pools(update) => self.pools_changed(update),
            Update::Announcements(update) => {
                if merge(&mut self.config.announcements, update, |a| a.name.as_str()) {
                    self.policy_changed(out);
                }
            }
            Update::Neighbors(update) => {
                if merge(&mut self.config.neighbors, update, |n| n.name.as_str()) {
                    self.policy_changed(out);
                    self.sessions_changed(out);
                }
            }
            Update::Node(Apply(_, facts)) => self.node_object_changed(now, facts, out),
            Update::Node(Reset(all)) => {
                if let Some((_, facts)) = all.into_iter().next() {
                    self.node_object_changed(now, facts, out);
                }
            }
            // A Node object that is gone takes the speaker with it; until then its last word holds.
            Update::Node(Delete(_)) => {}
            Update::Speaker(Apply(_, settings)) => self.settings_changed(now, settings, out),
            Update::Speaker(Delete(_)) => self.settings_changed(now, SpeakerSettings::default(), out),
            Update::Speaker(Reset(all)) => {
                let settings = all.into_values().next().unwrap_or_default();
                self.settings_changed(now, settings, out);
            }
            Update::Network(network) => self.network_changed(network, out),
            Update::MeshKey(standing) => {
                if self.segments.key != standing {
                    self.segments.key = standing;
                    self.node_changed(out);
                }
            }
            Update::ApiStale(stale) => self.segments.api_stale = stale,
            Update::Proxy(observation) => {
                let mut open = Vec::new();
                self.gate.observe(&observation, &mut open);
                self.open(now, open, out);
            }
            Update::ProxyHealth { asked, status } => {
                if self.health.observe(asked, status) {
                    self.node_changed(out);
                }
            }
        }
        if first_word {
            self.sessions_changed(out);
        }
    }

    fn services_changed(&mut self, update: daymark_kube::Update<ServiceView>) {
        match update {
            daymark_kube::Update::Reset(all) => {
                let known: BTreeSet<ServiceKey> = all.values().map(|s| s.key.clone()).collect();
                let gone: Vec<_> = self.services.keys().filter(|key| !known.contains(key)).cloned().collect();
                gone.iter().for_each(|key| self.remove_service(key));
                all.into_values().for_each(|service| self.apply_service(service));
            }
            daymark_kube::Update::Apply(_, service) => self.apply_service(service),
            daymark_kube::Update::Delete(key) => {
                self.remove_service(&ServiceKey::new(&key.namespace, &key.name));
            }
        }
    }

    fn apply_service(&mut self, service: ServiceView) {
        let known = self.services.get(&service.key);
        if known == Some(&service) {
            return;
        }
        let before = known.map(held).unwrap_or_default();
        let after = held(&service);
        for address in before.difference(&after) {
            self.addresses.release(*address, &service.key);
        }
        for address in &after {
            self.addresses.hold(*address, &service.key);
        }
        self.touched.extend(before);
        self.touched.extend(after);
        self.services.insert(service.key.clone(), service);
    }

    fn remove_service(&mut self, key: &ServiceKey) {
        let Some(service) = self.services.remove(key) else { return };
        for address in held(&service) {
            self.addresses.release(address, key);
            self.touched.insert(address);
        }
    }

    fn slices_changed(&mut self, update: daymark_kube::Update<SliceView>) {
        let mut changed = BTreeSet::new();
        match update {
            daymark_kube::Update::Reset(all) => {
                let all = all.iter().map(|(key, slice)| (key.namespace.as_str(), key.name.as_str(), slice));
                self.endpoints.reset(all, &mut changed);
            }
            daymark_kube::Update::Apply(key, slice) => {
                self.endpoints.apply(&key.namespace, &key.name, &slice, &mut changed);
            }
            daymark_kube::Update::Delete(key) => {
                self.endpoints.remove(&key.namespace, &key.name, &mut changed);
            }
        }
        for service in changed.iter().filter_map(|key| self.services.get(key)) {
            self.touched.extend(held(service));
        }
    }

    fn namespaces_changed(&mut self, update: daymark_kube::Update<Labels>) {
        let mut changed = BTreeSet::new();
        let mut set = |namespaces: &mut BTreeMap<NamespaceName, Labels>, name: String, labels: Labels| {
            let name = NamespaceName::from(name);
            if namespaces.get(&name) != Some(&labels) {
                namespaces.insert(name.clone(), labels);
                changed.insert(name);
            }
        };
        match update {
            daymark_kube::Update::Reset(all) => {
                let before = std::mem::take(&mut self.namespaces);
                for (key, labels) in all {
                    set(&mut self.namespaces, key.name, labels);
                }
                changed.retain(|name| self.namespaces.get(name) != before.get(name));
                changed.extend(before.into_keys().filter(|name| !self.namespaces.contains_key(name)));
            }
            daymark_kube::Update::Apply(key, labels) => set(&mut self.namespaces, key.name, labels),
            daymark_kube::Update::Delete(key) => {
                changed.extend(self.namespaces.remove_entry(key.name.as_str()).map(|(name, _)| name));
            }
        }
        for service in self.services.values().filter(|s| changed.contains(&s.key.namespace)) {
            self.touched.extend(held(service));
        }
    }

    fn pools_changed(&mut self, update: daymark_kube::Update<Pool>) {
        let pools = &mut self.config.pools;
        let changed = match update {
            daymark_kube::Update::Reset(all) => {
                let gone: Vec<_> =
                    pools.names().filter(|name| !all.values().any(|p| p.name == **name)).cloned().collect();
                let mut changed = false;
                for name in gone {
                    changed |= pools.remove(&name);
                }
                for pool in all.values() {
                    changed |= pools.apply(pool);
                }
                changed
            }
            daymark_kube::Update::Apply(_, pool) => pools.apply(&pool),
            daymark_kube::Update::Delete(key) => pools.remove(&key.name.as_str().into()),
        };
        if changed {
            self.touch_all();
        }
    }

    fn node_object_changed(&mut self, now: Instant, facts: NodeFacts, out: &mut Output) {
        if self.facts.as_ref() == Some(&facts) {
            return;
        }
        let same_sessions =
            self.facts.as_ref().is_some_and(|f| f.internal == facts.internal && f.labels == facts.labels);
        let cause = exclusion(&facts);
        self.facts = Some(facts);
        out.leaving.extend(self.exclusion.set(now, cause, self.addresses.out()));
        self.node_changed(out);
        if !same_sessions {
            self.sessions_changed(out);
        }
    }

    fn settings_changed(&mut self, now: Instant, settings: SpeakerSettings, out: &mut Output) {
        if self.settings == settings {
            return;
        }
        let identity_changed =
            (self.settings.asn, self.settings.router_id) != (settings.asn, settings.router_id);
        self.settings = settings;
        let cause = settings.drain.then_some(Cause::Drain);
        if let Some(step) = self.drain.set(now, cause, self.addresses.out()) {
            out.leaving.push(step);
            self.node_changed(out);
        }
        if identity_changed {
            self.sessions_changed(out);
        }
    }

    fn network_changed(&mut self, network: Network, out: &mut Output) {
        let routable = |addresses: BTreeSet<IpAddr>| -> BTreeSet<IpAddr> {
            addresses.into_iter().filter(|a| !is_link_local(*a)).collect()
        };
        let (host, next_hops) = (routable(network.addresses), routable(network.next_hops));
        if self.host != host || self.node.next_hops != next_hops {
            self.touched.extend(self.host.symmetric_difference(&host));
            self.touched.extend(self.node.next_hops.symmetric_difference(&next_hops));
            self.host = host;
            self.node.next_hops = next_hops;
            self.node.addresses = self.own_addresses();
            self.policy.set_infrastructure(&self.node, &self.config);
            out.report = true;
        }
        self.segments.interfaces = network.interfaces;
        let interfaces = segments::announcing(&self.segments.interfaces, &self.config.announcements);
        if self.node.interfaces != interfaces {
            let same = segments::same_for_decisions(&self.node.interfaces, &interfaces);
            self.node.interfaces = interfaces;
            out.report = true;
            if !same && self.uses_l2() {
                self.policy_changed(out);
            }
        }
    }

    /// Something that [`NodeView`] is made of changed.
    fn node_changed(&mut self, out: &mut Output) {
        let facts = self.facts.as_ref();
        self.node = NodeView {
            name: self.node.name.clone(),
            labels: facts.map(|f| f.labels.clone()).unwrap_or_default(),
            drain: self.drain.state(),
            out_of_service: facts.is_some_and(|f| f.out_of_service),
            leaving: self.exclusion.state() == Drain::Leaving,
            network_unavailable: facts.is_some_and(|f| f.network_unavailable),
            proxy: self.health.standing(),
            addresses: self.own_addresses(),
            internal: facts.map(|f| f.internal.clone()).unwrap_or_default(),
            next_hops: std::mem::take(&mut self.node.next_hops),
            l2: self.segments.key,
            interfaces: std::mem::take(&mut self.node.interfaces),
        };
        self.policy_changed(out);
    }

    fn own_addresses(&self) -> BTreeSet<IpAddr> {
        let of_node = self.facts.iter().flat_map(|f| &f.addresses);
        self.host.iter().chain(of_node).copied().collect()
    }

    fn policy_changed(&mut self, out: &mut Output) {
        self.node.interfaces = segments::announcing(&self.segments.interfaces, &self.config.announcements);
        self.policy = Policy::new(&self.node, &self.config);
        self.rib.forget_attributes();
        self.segments.forget_terms();
        self.touch_all();
        out.report = true;
    }

    /// Sessions begin as soon as it is known with whom, while the longer lists are still on their way.
    fn sessions_changed(&self, out: &mut Output) {
        if self.sources.sessions_known(self.facts.is_some()) {
            out.neighbors = Some(self.neighbors());
            out.report = true;
        }
    }

    /// The neighbors that the node holds sessions with, by name.
    fn neighbors(&self) -> Vec<Neighbor> {
        let selected = |n: &&Neighbor| n.node_selector.as_ref().is_none_or(|s| s.matches(&self.node.labels));
        let mut neighbors: Vec<_> = self.config.neighbors.iter().filter(selected).cloned().collect();
        neighbors.sort_by(|a, b| a.name.cmp(&b.name));
        neighbors
    }

    fn touch_all(&mut self) {
        self.touched.extend(self.addresses.iter().map(|(address, _)| address));
    }

    /// Decides what was touched, and says what follows from it.
    fn finish(&mut self, now: Instant, out: &mut Output) {
        if !self.synced && self.missing().is_empty() {
            self.synced = true;
            out.synced = true;
            self.touch_all();
        }
        if self.synced {
            for address in std::mem::take(&mut self.touched) {
                self.decide(now, address, out);
            }
            self.rib.flush(&mut out.routes);
            self.tell_facts(out);
            self.forget_pools();
        }
        let probes = self.gate.probes();
        if probes != self.probes {
            self.probes = probes.clone();
            out.probes = Some(probes);
        }
    }

    fn forget_pools(&mut self) {
        if self.config.pools.remembers() {
            let addresses = &self.addresses;
            self.config.pools.forget(|block| addresses.any_within(block));
        }
    }
}

/// What in the Node object takes the node out.
fn exclusion(facts: &NodeFacts) -> Option<Cause> {
    let excluded = facts.labels.contains_key(EXCLUDE_LABEL).then_some(Cause::ExclusionLabel);
    excluded.or(facts.out_of_service.then_some(Cause::OutOfService))
}

/// The addresses that the Service holds.
fn held(service: &ServiceView) -> BTreeSet<IpAddr> {
    if service.assigned { service.addresses.iter().copied().collect() } else { BTreeSet::new() }
}

fn is_link_local(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(a) => a.is_link_local(),
        IpAddr::V6(a) => a.is_unicast_link_local(),
    }
}

/// Merges an update into a list of named things; returns whether the list changed.
fn merge<T: PartialEq>(list: &mut Vec<T>, update: daymark_kube::Update<T>, name: fn(&T) -> &str) -> bool {
    match update {
        daymark_kube::Update::Reset(all) => {
            let all: Vec<T> = all.into_values().collect();
            let changed = *list != all;
            *list = all;
            changed
        }
        daymark_kube::Update::Apply(_, item) => {
            match list.iter_mut().find(|known| name(known) == name(&item)) {
                Some(known) if *known == item => false,
                Some(known) => {
                    *known = item;
                    true
                }
                None => {
                    list.push(item);
                    true
                }
            }
        }
        daymark_kube::Update::Delete(key) => {
            let before = list.len();
            list.retain(|known| name(known) != key.name);
            list.len() != before
        }
    }
}

#[cfg(test)]
mod tests;
