//! The addresses that Services hold, and what becomes of each.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::num::NonZeroU16;
use std::time::Instant;

use daymark_announce::gate::Servable;
use daymark_announce::{AddressView, Refusal, Sharer, Verdict, Ways};
use daymark_l2::offer::Offer;
use daymark_model::{AddressBlock, Family, Labels, ServiceKey, TrafficPolicy};

use super::{Index, Output};

/// All addresses that a Service holds.
#[derive(Debug, Default)]
pub(super) struct Addresses {
    all: BTreeMap<IpAddr, Entry>,
    out: OutCounts,
}

/// How many addresses are out.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct OutCounts {
    /// In any way.
    pub(super) all: usize,
    /// By routes.
    pub(super) routed: usize,
    /// Offered on segments.
    pub(super) offered: usize,
}

impl OutCounts {
    fn of(state: &State) -> Self {
        match state {
            State::Hidden | State::Waiting(..) => Self::default(),
            State::Out(ways) => {
                Self { all: 1, routed: ways.bgp.is_some().into(), offered: ways.l2.is_some().into() }
            }
        }
    }
}

/// One address.
#[derive(Debug, Default)]
pub(super) struct Entry {
    pub(super) holders: Vec<ServiceKey>,
    pub(super) state: State,
    pub(super) refusals: Vec<Refusal>,
    /// What the segments were told.
    pub(super) offered: Option<Offer>,
    /// Since when the node's service proxy has had reason to serve it.
    servable: Option<Servable>,
    ceased: Option<Instant>,
}

/// Where an address stands.
#[derive(Debug, Default, Clone)]
pub(super) enum State {
    /// It does not go out.
    #[default]
    Hidden,
    /// It goes out so as soon as the gate lets it.
    Waiting(Ways, Instant),
    /// It is out.
    Out(Ways),
}

impl State {
    fn is_routed(&self) -> bool {
        matches!(self, Self::Out(ways) if ways.bgp.is_some())
    }
}

impl Addresses {
    pub(super) fn hold(&mut self, address: IpAddr, service: &ServiceKey) {
        let holders = &mut self.all.entry(address).or_default().holders;
        if !holders.contains(service) {
            holders.push(service.clone());
        }
    }

    pub(super) fn release(&mut self, address: IpAddr, service: &ServiceKey) {
        if let Some(entry) = self.all.get_mut(&address) {
            entry.holders.retain(|holder| holder != service);
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (IpAddr, &Entry)> {
        self.all.iter().map(|(address, entry)| (*address, entry))
    }

    pub(super) fn get(&self, address: IpAddr) -> Option<&Entry> {
        self.all.get(&address)
    }

    pub(super) fn any_within(&self, block: &AddressBlock) -> bool {
        self.all.range(block.first()..=block.last()).next().is_some()
    }

    /// How many are out.
    pub(super) fn out(&self) -> OutCounts {
        self.out
    }

    pub(super) fn set_offered(&mut self, address: IpAddr, offered: Option<Offer>) {
        if let Some(entry) = self.all.get_mut(&address) {
            entry.offered = offered;
        }
    }

    fn set_state(&mut self, address: IpAddr, state: State) {
        let Some(entry) = self.all.get_mut(&address) else { return };
        let (before, after) = (OutCounts::of(&entry.state), OutCounts::of(&state));
        self.out.all = self.out.all + after.all - before.all;
        self.out.routed = self.out.routed + after.routed - before.routed;
        self.out.offered = self.out.offered + after.offered - before.offered;
        entry.state = state;
    }
}

impl Entry {
    /// Notes what the service proxy has to serve from now on.
    fn note_servable(&mut self, now: Instant, can_serve: bool, health_check: Option<NonZeroU16>) {
        match (&mut self.servable, can_serve) {
            (Some(servable), true) => servable.health_check = health_check,
            (None, true) => self.servable = Some(Servable { since: now, ceased: self.ceased, health_check }),
            (Some(_), false) => (self.servable, self.ceased) = (None, Some(now)),
            (None, false) => {}
        }
    }
}

impl Index {
    /// Decides about one address and acts on it.
    pub(super) fn decide(&mut self, now: Instant, address: IpAddr, out: &mut Output) {
        let Some(entry) = self.addresses.all.get_mut(&address) else { return };
        let family = Family::of(address);
        let unlabelled = Labels::new();
        let sharers: Vec<Sharer<'_>> = entry
            .holders
            .iter()
            .filter_map(|key| self.services.get(key))
            .map(|service| Sharer {
                service,
                namespace_labels: self.namespaces.get(&service.key.namespace).unwrap_or(&unlabelled),
                endpoints: self.endpoints.of(&service.key, family),
            })
            .collect();
        let can_serve = sharers.iter().any(|s| s.endpoints.can_serve(s.service.policy));
        entry.note_servable(now, can_serve, sharers.iter().find_map(health_check));

        let is_routed = entry.state.is_routed();
        let Verdict { ways, reasons: refusals } =
            self.policy.decide(&AddressView { address, sharers, out: is_routed }, &self.config.pools);
        if entry.refusals != refusals {
            entry.refusals = refusals;
            out.report = true;
        }
        let (abandoned, servable) = (entry.holders.is_empty(), entry.servable);
        let next = self.next_state(now, address, ways, servable);
        if let Some(next) = next {
            self.addresses.set_state(address, next);
        }
        self.offer(address, out);
        if abandoned {
            self.addresses.all.remove(&address);
        }
    }

    /// Moves the address toward `ways`; `None` when it stands there already.
    fn next_state(
        &mut self,
        now: Instant,
        address: IpAddr,
        ways: Ways,
        servable: Option<Servable>,
    ) -> Option<State> {
        let state = self.addresses.get(address)?.state.clone();
        if ways.is_none() {
            match state {
                State::Hidden => return None,
                State::Waiting(..) => self.gate.cancel(address),
                State::Out(old) => self.route(address, &old, &Ways::default()),
            }
            return Some(State::Hidden);
        }
        match (state, servable) {
            (State::Out(old), _) if old == ways => None,
            (State::Out(old), _) => {
                self.route(address, &old, &ways);
                Some(State::Out(ways))
            }
            (State::Hidden | State::Waiting(..), None) => {
                // Announced without endpoints: there is no rule to wait for.
                self.gate.cancel(address);
                self.route(address, &Ways::default(), &ways);
                Some(State::Out(ways))
            }
            (state @ (State::Hidden | State::Waiting(..)), Some(servable)) => {
                self.gate.wait(now, address, servable);
                let since = if let State::Waiting(_, since) = state { since } else { now };
                Some(State::Waiting(ways, since))
            }
        }
    }

    /// Routes that were out as `old` says go out as `new` says.
    fn route(&mut self, address: IpAddr, old: &Ways, new: &Ways) {
        if old.bgp == new.bgp {
            return;
        }
        if let Some(old) = &old.bgp {
            self.rib.remove(address, old);
        }
        if let Some(new) = &new.bgp {
            self.rib.add(address, new);
        }
    }

    /// The gate lets these go out.
    pub(super) fn open(&mut self, now: Instant, addresses: Vec<IpAddr>, out: &mut Output) {
        for address in addresses {
            let Some(State::Waiting(ways, since)) = self.addresses.get(address).map(|e| e.state.clone())
            else {
                continue;
            };
            out.waits.push(now.saturating_duration_since(since));
            self.route(address, &Ways::default(), &ways);
            self.addresses.set_state(address, State::Out(ways));
            self.offer(address, out);
        }
    }
}

/// The health check that says whether the proxy serves the Service, if it counts the endpoints that do.
fn health_check(sharer: &Sharer<'_>) -> Option<NonZeroU16> {
    let counts = sharer.service.policy == TrafficPolicy::Local && sharer.endpoints.ready_here > 0;
    sharer.service.health_check_node_port.filter(|_| counts)
}
