//! Who has which address, kept so that every question is one lookup: claims, statuses that show an address, decisions on
//! their way to the API server, and what that leaves free in each pool.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;

use daymark_model::{ClaimState, Family, Pool, PoolName, Quarantine, ServiceKey, Timestamp};

use crate::free::{FreeSet, given_between};
use crate::io::{FamilyCounts, PoolOverlap, PoolReport};
use crate::overlap::{Layout, effective};
use crate::ranges::{IntervalSet, PerFamily, number_of};
use crate::view::ClaimView;

/// What is known of one address.
#[derive(Debug, Clone, Default)]
pub struct Entry {
    /// The claim on it.
    pub claim: Option<ClaimView>,
    /// The Services of type LoadBalancer whose status shows it.
    pub shown_by: Vec<ServiceKey>,
    /// The Services for which it was chosen and that have no claim on it yet, each with its sharing key.
    pub intended_by: Vec<(ServiceKey, Option<String>)>,
    /// Whether a write of its claim is in flight.
    pub in_flight: bool,
}

impl Entry {
    fn is_empty(&self) -> bool {
        self.claim.is_none() && self.shown_by.is_empty() && self.intended_by.is_empty() && !self.in_flight
    }

    fn names(&self) -> Vec<ServiceKey> {
        self.claim.iter().flat_map(|view| view.claim.holders.iter().map(|h| h.service.clone())).collect()
    }

    fn sharing_keys(&self) -> Vec<String> {
        let claimed = self.claim.iter().filter_map(|view| view.claim.sharing_key.clone());
        claimed.chain(self.intended_by.iter().filter_map(|(_, key)| key.clone())).collect()
    }

    fn use_of(&self) -> Use {
        match &self.claim {
            None if self.is_empty() => Use::Free,
            None => Use::Spoken,
            Some(view) => match view.claim.state() {
                ClaimState::Reserved | ClaimState::Bound => Use::Assigned,
                ClaimState::Resting => Use::Resting {
                    since: view.claim.released_at.unwrap_or_default(),
                    for_anybody: !view.claim.retain && self.intended_by.is_empty() && !self.in_flight,
                },
            },
        }
    }
}

/// What an address is used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Use {
    Free,
    Spoken,
    Assigned,
    Resting { since: Timestamp, for_anybody: bool },
}

/// A pool and what is left in it.
#[derive(Debug, Clone)]
pub struct PoolState {
    /// The pool.
    pub pool: Pool,
    /// What it contains.
    effective: PerFamily<IntervalSet>,
    free: PerFamily<FreeSet>,
    resting: PerFamily<BTreeSet<(Timestamp, IpAddr)>>,
    assigned: PerFamily<u64>,
    quarantined: PerFamily<u64>,
    overlaps: Vec<PoolOverlap>,
}

impl PoolState {
    /// Whether it contains addresses of `family` at all.
    pub fn has(&self, family: Family) -> bool {
        !self.effective.get(family).is_empty()
    }

    /// Its lowest free address of `family`.
    pub fn lowest_free(&self, family: Family) -> Option<IpAddr> {
        self.free.get(family).lowest().map(|number| crate::ranges::address_of(family, number))
    }

    /// Whether it may give `address` to somebody new: not excluded, not an edge to avoid, not overlapping.
    pub fn gives(&self, address: IpAddr) -> bool {
        self.free.get(Family::of(address)).gives(number_of(address))
    }

    /// What it may give although it rests: the address that has rested longest, in a pool with a lenient quarantine.
    pub fn longest_rested(&self, family: Family) -> Option<IpAddr> {
        match self.pool.quarantine {
            Quarantine::Strict(_) => None,
            Quarantine::Lenient(_) => {
                let mut rested = self.resting.get(family).iter().map(|(_, address)| *address);
                rested.find(|address| self.gives(*address))
            }
        }
    }

    /// Whether something of `family` may be had.
    pub fn can_give(&self, family: Family) -> bool {
        self.free.get(family).lowest().is_some() || self.longest_rested(family).is_some()
    }

    fn report(&self) -> PoolReport {
        let counts = |family: Family| {
            let skip_edges = self.pool.avoid_edge_addresses && family == Family::V4;
            let total =
                self.effective.get(family).iter().fold(0_u128, |n, (first, last)| {
                    n.saturating_add(given_between(skip_edges, first, last))
                });
            FamilyCounts {
                total: i64::try_from(total).unwrap_or(i64::MAX),
                assigned: i64::try_from(*self.assigned.get(family)).unwrap_or(i64::MAX),
                available: i64::try_from(self.free.get(family).available()).unwrap_or(i64::MAX),
                quarantined: i64::try_from(*self.quarantined.get(family)).unwrap_or(i64::MAX),
            }
        };
        PoolReport {
            pool: self.pool.name.clone(),
            ipv4: counts(Family::V4),
            ipv6: counts(Family::V6),
            overlaps: self.overlaps.clone(),
        }
    }

    fn record(&mut self, address: IpAddr, before: Use, after: Use) {
        let family = Family::of(address);
        match before {
            Use::Assigned => *self.assigned.get_mut(family) -= 1,
            Use::Resting { since, .. } => {
                *self.quarantined.get_mut(family) -= 1;
                self.resting.get_mut(family).remove(&(since, address));
            }
            Use::Free | Use::Spoken => {}
        }
        match after {
            Use::Assigned => *self.assigned.get_mut(family) += 1,
            Use::Resting { since, for_anybody } => {
                *self.quarantined.get_mut(family) += 1;
                if for_anybody {
                    self.resting.get_mut(family).insert((since, address));
                }
            }
            Use::Free | Use::Spoken => {}
        }
        let free = self.free.get_mut(family);
        if after == Use::Free {
            free.give_back(number_of(address));
        } else {
            free.take(number_of(address));
        }
    }
}

/// What happened to an address in the book.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Touched {
    /// The address.
    pub address: IpAddr,
    /// Whether somebody else may perhaps have it now.
    pub freed: bool,
}

/// The book.
#[derive(Debug, Clone, Default)]
pub struct Book {
    /// In order of preference.
    pools: Vec<PoolState>,
    places: BTreeMap<PoolName, usize>,
    layout: Layout,
    addresses: BTreeMap<IpAddr, Box<Entry>>,
    claims_of: HashMap<ServiceKey, BTreeSet<IpAddr>>,
    by_sharing_key: BTreeMap<String, BTreeSet<IpAddr>>,
    touched: Vec<Touched>,
    changed_pools: BTreeSet<PoolName>,
}

impl Book {
    /// The entry of `address`.
    pub fn entry(&self, address: IpAddr) -> Option<&Entry> {
        self.addresses.get(&address).map(|entry| &**entry)
    }

    /// The claim on `address`.
    pub fn claim(&self, address: IpAddr) -> Option<&ClaimView> {
        self.entry(address).and_then(|entry| entry.claim.as_ref())
    }

    /// All claimed addresses.
    pub fn claimed(&self) -> impl Iterator<Item = IpAddr> + '_ {
        self.addresses.iter().filter(|(_, entry)| entry.claim.is_some()).map(|(address, _)| *address)
    }

    /// The known addresses that lie in `pools`, whatever they are used for.
    pub fn known_in(&self, sets: &PerFamily<IntervalSet>) -> Vec<IpAddr> {
        let mut found = Vec::new();
        for family in [Family::V4, Family::V6] {
            for (first, last) in sets.get(family).iter() {
                let bounds =
                    crate::ranges::address_of(family, first)..=crate::ranges::address_of(family, last);
                found.extend(self.addresses.range(bounds).map(|(address, _)| *address));
            }
        }
        found
    }

    /// The addresses whose claim names a Service `key`, whatever its UID.
    pub fn claims_naming(&self, key: &ServiceKey) -> impl Iterator<Item = (IpAddr, &ClaimView)> + '_ {
        let named = self.claims_of.get(key).into_iter().flatten();
        named.filter_map(|address| Some((*address, self.claim(*address)?)))
    }

    /// The claimed addresses under a sharing key.
    pub fn shared_under(&self, sharing_key: &str) -> impl Iterator<Item = IpAddr> + '_ {
        self.by_sharing_key.get(sharing_key).into_iter().flatten().copied()
    }

    /// The pools that contain `address`, in order of preference.
    pub fn pools_at(&self, address: IpAddr) -> &[PoolName] {
        self.layout.pools_at(address).map_or(&[], |pools| pools)
    }

    /// All pools.
    pub fn pools(&self) -> impl Iterator<Item = &Pool> {
        self.pools.iter().map(|state| &state.pool)
    }

    /// The pool.
    pub fn pool(&self, name: &PoolName) -> Option<&PoolState> {
        self.places.get(name).map(|place| &self.pools[*place])
    }

    /// All pools in order of preference: priority, then specificity of the selectors, then name.
    pub fn by_preference(&self) -> impl Iterator<Item = &PoolState> {
        self.pools.iter()
    }

    /// Where `address` is at home: the pool that its claim remembers if that contains it, else the first that does.
    pub fn home(&self, address: IpAddr) -> Option<&PoolState> {
        let pools = self.pools_at(address);
        let remembered = self.claim(address).and_then(|view| view.claim.pool.as_ref());
        let name = remembered.filter(|name| pools.contains(name)).or(pools.first())?;
        self.pool(name)
    }

    /// How `address` rests after a release.
    pub fn quarantine(&self, address: IpAddr) -> Quarantine {
        self.home(address).map_or(Quarantine::DEFAULT, |state| state.pool.quarantine)
    }

    /// Changes what is known of `address`, and everything that follows from it.
    pub fn edit(&mut self, address: IpAddr, change: impl FnOnce(&mut Entry)) {
        let entry = self.addresses.entry(address).or_default();
        let before = entry.use_of();
        let (old_names, old_keys) = (entry.names(), entry.sharing_keys());
        change(entry);
        let after = entry.use_of();
        let (new_names, new_keys) = (entry.names(), entry.sharing_keys());
        if entry.is_empty() {
            self.addresses.remove(&address);
        }
        if old_names != new_names {
            for key in &old_names {
                if let Some(addresses) = self.claims_of.get_mut(key) {
                    addresses.remove(&address);
                    if addresses.is_empty() {
                        self.claims_of.remove(key);
                    }
                }
            }
            for key in &new_names {
                self.claims_of.entry(key.clone()).or_default().insert(address);
            }
        }
        if old_keys != new_keys {
            old_keys.iter().for_each(|key| forget(&mut self.by_sharing_key, key, address));
            for key in &new_keys {
                self.by_sharing_key.entry(key.clone()).or_default().insert(address);
            }
        }
        if before != after
            && let Some(pools) = self.layout.pools_at(address).cloned()
        {
            for name in pools.iter() {
                if let Some(place) = self.places.get(name) {
                    self.pools[*place].record(address, before, after);
                    if !self.changed_pools.contains(name) {
                        self.changed_pools.insert(name.clone());
                    }
                }
            }
        }
        let obtainable = |u: Use| matches!(u, Use::Free | Use::Resting { for_anybody: true, .. });
        self.touched.push(Touched { address, freed: obtainable(after) && before != after });
    }

    /// A write of the claim on `address` goes out: nobody gains by that, so nobody is woken.
    pub fn begin_write(&mut self, address: IpAddr) {
        let touched = self.touched.len();
        self.edit(address, |entry| entry.in_flight = true);
        self.touched.truncate(touched);
    }

    /// The addresses touched since the last call.
    pub fn take_touched(&mut self) -> Vec<Touched> {
        std::mem::take(&mut self.touched)
    }

    /// Puts pools in place, or takes them away, and returns the known addresses that this can concern.
    pub fn set_pools(&mut self, changes: Vec<(PoolName, Option<Pool>)>) -> Vec<IpAddr> {
        let mut concerned = PerFamily::<IntervalSet>::default();
        let mut add = |sets: &PerFamily<IntervalSet>| {
            for family in [Family::V4, Family::V6] {
                for (first, last) in sets.get(family).iter() {
                    concerned.get_mut(family).insert(first, last);
                }
            }
        };
        let mut changed = BTreeSet::new();
        for (name, pool) in changes {
            if let Some(place) = self.pools.iter().position(|state| state.pool.name == name) {
                add(&self.pools.remove(place).effective);
            }
            if let Some(pool) = pool {
                let state = PoolState {
                    effective: PerFamily::of(|family| effective(&pool, family)),
                    free: PerFamily::of(|family| FreeSet::new(family, IntervalSet::default(), false)),
                    resting: PerFamily::default(),
                    assigned: PerFamily::default(),
                    quarantined: PerFamily::default(),
                    overlaps: Vec::new(),
                    pool,
                };
                add(&state.effective);
                self.pools.push(state);
            }
            changed.insert(name);
        }
        self.lay_out(&changed);
        self.known_in(&concerned)
    }

    /// The reports of the pools that changed since the last call.
    pub fn take_reports(&mut self) -> Vec<PoolReport> {
        let changed = std::mem::take(&mut self.changed_pools);
        changed.iter().filter_map(|name| Some(self.pool(name)?.report())).collect()
    }

    /// Lays the pools out anew after `changed` changed; only they, and those whose overlaps changed, are counted again.
    fn lay_out(&mut self, changed: &BTreeSet<PoolName>) {
        self.pools.sort_by_cached_key(|state| preference(&state.pool));
        let places = self.pools.iter().enumerate();
        self.places = places.map(|(place, state)| (state.pool.name.clone(), place)).collect();
        self.layout = Layout::new(self.pools.iter().map(|state| (&state.pool.name, &state.effective)));
        let mut overlaps = self.layout.overlaps();
        let contested = PerFamily::of(|family| self.layout.contested(family));
        for place in 0..self.pools.len() {
            let state = &mut self.pools[place];
            let name = state.pool.name.clone();
            let overlapping = overlaps.remove(&name).unwrap_or_default();
            let base = PerFamily::of(|family| {
                let mut base = state.effective.get(family).clone();
                base.subtract(contested.get(family));
                let told: Vec<_> = state.pool.overlapping.iter().copied().collect();
                base.subtract(&IntervalSet::from_blocks(family, &told));
                base
            });
            let same_base =
                [Family::V4, Family::V6].iter().all(|f| base.get(*f) == state.free.get(*f).base());
            if overlapping != state.overlaps {
                state.overlaps = overlapping;
                self.changed_pools.insert(name.clone());
            }
            if changed.contains(&name) || !same_base {
                self.recount(place, base);
            }
        }
    }

    fn recount(&mut self, place: usize, mut base: PerFamily<IntervalSet>) {
        let known = self.known_in(&self.pools[place].effective);
        let state = &mut self.pools[place];
        let avoid_edges = state.pool.avoid_edge_addresses;
        state.free =
            PerFamily::of(|family| FreeSet::new(family, std::mem::take(base.get_mut(family)), avoid_edges));
        state.resting = PerFamily::default();
        state.assigned = PerFamily::default();
        state.quarantined = PerFamily::default();
        for address in known {
            if let Some(entry) = self.addresses.get(&address) {
                state.record(address, Use::Free, entry.use_of());
            }
        }
        self.changed_pools.insert(state.pool.name.clone());
    }
}

/// The order in which pools are tried: lower priority value, more specific selectors, lower name.
fn preference(pool: &Pool) -> (i32, std::cmp::Reverse<usize>, PoolName) {
    let selectors = [&pool.service_selector, &pool.namespace_selector];
    let specificity = selectors.iter().filter_map(|s| s.as_ref()).map(|s| s.specificity()).sum();
    (pool.priority, std::cmp::Reverse(specificity), pool.name.clone())
}

fn forget<K: Ord>(map: &mut BTreeMap<K, BTreeSet<IpAddr>>, key: &K, address: IpAddr) {
    if let Some(addresses) = map.get_mut(key) {
        addresses.remove(&address);
        if addresses.is_empty() {
            map.remove(key);
        }
    }
}
