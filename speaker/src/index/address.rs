//! The addresses that Services hold, and what becomes of each.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::num::NonZeroU16;
use std::sync::Arc;
use std::time::Instant;

use daymark_announce::gate::Servable;
use daymark_announce::{AddressView, Export, Refusal, Sharer, Verdict};
use daymark_model::{AddressBlock, Family, Labels, ServiceKey, TrafficPolicy};

use super::{Index, Output};

/// All addresses that a Service holds.
#[derive(Debug, Default)]
pub(super) struct Addresses {
    all: BTreeMap<IpAddr, Entry>,
    out: usize,
}

/// One address.
#[derive(Debug, Default)]
pub(super) struct Entry {
    pub(super) holders: Vec<ServiceKey>,
    pub(super) state: State,
    pub(super) refusals: Vec<Refusal>,
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
    Waiting(Arc<Export>, Instant),
    /// It is out.
    Out(Arc<Export>),
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
    pub(super) fn out(&self) -> usize {
        self.out
    }

    fn set_state(&mut self, address: IpAddr, state: State) {
        let Some(entry) = self.all.get_mut(&address) else { return };
        self.out -= usize::from(matches!(entry.state, State::Out(_)));
        self.out += usize::from(matches!(state, State::Out(_)));
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

        let is_out = matches!(entry.state, State::Out(_));
        let Verdict { export, reasons: refusals } =
            self.policy.decide(&AddressView { address, sharers, out: is_out }, &self.config.pools);
        if entry.refusals != refusals {
            entry.refusals = refusals;
            out.report = true;
        }
        let (abandoned, servable) = (entry.holders.is_empty(), entry.servable);
        let next = self.next_state(now, address, export, servable);
        if let Some(next) = next {
            self.addresses.set_state(address, next);
        }
        if abandoned {
            self.addresses.all.remove(&address);
        }
    }

    /// Moves the address toward `export`; `None` when it stands there already.
    fn next_state(
        &mut self,
        now: Instant,
        address: IpAddr,
        export: Option<Arc<Export>>,
        servable: Option<Servable>,
    ) -> Option<State> {
        let state = self.addresses.get(address)?.state.clone();
        match (state, export) {
            (State::Hidden, None) => None,
            (State::Waiting(..), None) => {
                self.gate.cancel(address);
                Some(State::Hidden)
            }
            (State::Out(old), None) => {
                self.rib.remove(address, &old);
                Some(State::Hidden)
            }
            (State::Out(old), Some(new)) if *old == *new => None,
            (State::Out(old), Some(new)) => {
                self.rib.remove(address, &old);
                self.rib.add(address, &new);
                Some(State::Out(new))
            }
            (State::Hidden | State::Waiting(..), Some(export)) if servable.is_none() => {
                // Announced without endpoints: there is no rule to wait for.
                self.gate.cancel(address);
                self.rib.add(address, &export);
                Some(State::Out(export))
            }
            (state @ (State::Hidden | State::Waiting(..)), Some(export)) => {
                if let Some(servable) = servable {
                    self.gate.wait(now, address, servable);
                }
                let since = if let State::Waiting(_, since) = state { since } else { now };
                Some(State::Waiting(export, since))
            }
        }
    }

    /// The gate lets these go out.
    pub(super) fn open(&mut self, now: Instant, addresses: Vec<IpAddr>, out: &mut Output) {
        for address in addresses {
            let Some(State::Waiting(export, since)) = self.addresses.get(address).map(|e| e.state.clone())
            else {
                continue;
            };
            out.waits.push(now.saturating_duration_since(since));
            self.rib.add(address, &export);
            self.addresses.set_state(address, State::Out(export));
        }
    }
}

/// The health check that says whether the proxy serves the Service, if it counts the endpoints that do.
fn health_check(sharer: &Sharer<'_>) -> Option<NonZeroU16> {
    let counts = sharer.service.policy == TrafficPolicy::Local && sharer.endpoints.ready_here > 0;
    sharer.service.health_check_node_port.filter(|_| counts)
}
