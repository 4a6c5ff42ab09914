//! Finding an address that a Service does not hold yet.
//!
//! In this order: what its status already shows, the address that it requests, claims under its name, an address that
//! it may share, the lowest free address, and at last the address that has rested longest.

use std::net::IpAddr;
use std::sync::Arc;

use daymark_model::{Assignment, ClaimState, Family, LoadBalancerProfile, PoolName, Quarantine, Timestamp};

use super::book::{Entry, PoolState};
use super::decide::{Act, Choice, Index};
use super::services::Service;
use super::waiting::WaitKey;
use crate::claims::holder_named;
use crate::profiles::default_pools;
use crate::reason::{Barrier, Mismatch, Occupant, Refusal, SharingBarrier};
use crate::sharing;
use crate::view::{ClaimView, ServiceView};
use crate::wanted::Wanted;

/// What came of the search.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Acquired {
    /// This one.
    Choice(Choice),
    /// It depends on an answer that is on its way.
    Pending(Vec<WaitKey>),
    /// None, and what can change that.
    Refused(Refusal, Vec<WaitKey>),
}

/// How an address stands toward one Service that does not hold it.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Standing {
    /// Nobody has it.
    Free,
    /// Its claim waits for a Service of this name.
    Named(Named),
    /// Others have it and share it.
    Joinable,
    /// It rests, and may be had if nothing else is.
    Rested,
    /// An answer that is on its way decides.
    Pending,
    /// Somebody has it.
    Taken(Refusal),
}

/// How a claim names a Service that does not hold it; the first is the strongest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Named {
    Retained,
    Reserved,
    Resting,
}

/// An address of `family` for `service`.
pub fn acquire(
    index: &Index,
    service: &Service,
    wanted: &Wanted<'_>,
    profile: &LoadBalancerProfile,
    family: Family,
    now: Timestamp,
) -> Acquired {
    let search = Search { index, service, view: &service.view, wanted, now };
    match search.find(family, default_pools(profile)) {
        Acquired::Refused(refusal, mut waits) => {
            // What it would have rather, and somebody is in the way of.
            let named = index.book.claims_naming(&service.view.key).map(|(address, _)| address);
            let own = named.chain(service.view.shown()).filter(|a| Family::of(*a) == family);
            waits.extend(own.map(WaitKey::Address));
            Acquired::Refused(refusal, waits)
        }
        found @ (Acquired::Choice(_) | Acquired::Pending(_)) => found,
    }
}

struct Search<'a> {
    index: &'a Index,
    service: &'a Service,
    view: &'a ServiceView,
    wanted: &'a Wanted<'a>,
    now: Timestamp,
}

impl<'a> Search<'a> {
    fn find(&self, family: Family, defaults: &[PoolName]) -> Acquired {
        if let Some(found) = self.shown(family) {
            return found;
        }
        if let Some(address) = self.wanted.address(family) {
            return self.exactly(address);
        }
        let candidates = self.candidates(family, defaults);
        let pools: &[&PoolState] = candidates.as_deref().unwrap_or_default();
        if let Some(found) = self.under_own_name(family, pools) {
            return found;
        }
        match candidates {
            Ok(pools) => self.anything(family, &pools),
            Err(refusal) => Acquired::Refused(refusal, Vec::new()),
        }
    }

    /// Adoption: the status shows an address that nobody has claimed, and a pool contains it.
    fn shown(&self, family: Family) -> Option<Acquired> {
        let fits = |address: &IpAddr| {
            Family::of(*address) == family
                && self.wanted.address(family).is_none_or(|requested| requested == *address)
                && !self.index.book.pools_at(*address).is_empty()
                && self.index.fits_named_pools(self.wanted, *address)
        };
        for address in self.view.shown().filter(fits) {
            match self.standing(address) {
                Standing::Free => return Some(choice(address, Act::Create)),
                Standing::Joinable => return Some(choice(address, Act::Bind)),
                Standing::Pending => return Some(pending(address)),
                Standing::Named(_) | Standing::Rested | Standing::Taken(_) => {}
            }
        }
        None
    }

    /// A requested address, or the reason why not.
    fn exactly(&self, address: IpAddr) -> Acquired {
        let standing = self.standing(address);
        let refused = |refusal| Acquired::Refused(refusal, vec![WaitKey::Address(address)]);
        if standing == Standing::Named(Named::Retained) {
            return choice(address, Act::Bind);
        }
        let named = self.wanted.pools;
        let at: Vec<&PoolState> = self
            .index
            .book
            .pools_at(address)
            .iter()
            .filter(|name| named.is_empty() || named.contains(name))
            .filter_map(|name| self.index.book.pool(name))
            .collect();
        let Some(first) = at.first() else {
            return refused(Refusal::AddressOutsidePools { address, pools: named.to_vec() });
        };
        if standing == Standing::Named(Named::Reserved) {
            return choice(address, Act::Bind);
        }
        let Some(giver) = at.iter().find(|state| self.barrier(state).is_none()) else {
            let barrier = self.barrier(first).unwrap_or(Barrier::ServiceSelector);
            return refused(Refusal::NotPermitted { pool: first.pool.name.clone(), barrier });
        };
        match standing {
            Standing::Taken(refusal) => self.refused_at(address, refusal),
            Standing::Joinable => choice(address, Act::Bind),
            Standing::Pending => pending(address),
            Standing::Free | Standing::Rested | Standing::Named(_) if !giver.gives(address) => {
                refused(self.withheld(address, giver))
            }
            Standing::Free => choice(address, Act::Create),
            Standing::Rested | Standing::Named(_) => choice(address, Act::Bind),
        }
    }

    fn withheld(&self, address: IpAddr, giver: &PoolState) -> Refusal {
        let pools = self.index.book.pools_at(address);
        if pools.len() > 1 || giver.pool.overlapping.iter().any(|block| block.contains(address)) {
            Refusal::Overlap { address, pools: pools.to_vec() }
        } else {
            Refusal::NotPermitted { pool: giver.pool.name.clone(), barrier: Barrier::EdgeAddress }
        }
    }

    fn refused_at(&self, address: IpAddr, refusal: Refusal) -> Acquired {
        let mut waits = vec![WaitKey::Address(address)];
        waits.extend(self.view.sharing_key.clone().map(WaitKey::SharingKey));
        Acquired::Refused(refusal, waits)
    }

    /// A claim that was kept, reserved or left to rest under the Service's name.
    fn under_own_name(&self, family: Family, pools: &[&PoolState]) -> Option<Acquired> {
        let shown: Vec<IpAddr> = self.view.shown().collect();
        let mut best: Option<((bool, Named, IpAddr), Acquired)> = None;
        for (address, _) in self.index.book.claims_naming(&self.view.key) {
            if Family::of(address) != family || !self.index.fits_named_pools(self.wanted, address) {
                continue;
            }
            let given = pools.iter().any(|state| state.gives(address));
            let (named, found) = match self.standing(address) {
                Standing::Named(Named::Resting) if !given => continue,
                Standing::Named(Named::Reserved) if self.index.book.pools_at(address).is_empty() => continue,
                Standing::Named(named) => (named, choice(address, Act::Bind)),
                Standing::Pending if given => (Named::Resting, pending(address)),
                Standing::Free
                | Standing::Joinable
                | Standing::Rested
                | Standing::Pending
                | Standing::Taken(_) => continue,
            };
            let rank = (!shown.contains(&address), named, address);
            if best.as_ref().is_none_or(|(before, _)| rank < *before) {
                best = Some((rank, found));
            }
        }
        best.map(|(_, found)| found)
    }

    /// Any address of `pools`.
    fn anything(&self, family: Family, pools: &[&PoolState]) -> Acquired {
        if let Some(key) = &self.view.sharing_key
            && let Some(found) = self.shareable(family, pools, key)
        {
            return found;
        }
        let intended = self.service.intended.iter().copied().filter(|a| Family::of(*a) == family);
        for address in intended.filter(|a| pools.iter().any(|state| state.gives(*a))) {
            match self.standing(address) {
                Standing::Free => return choice(address, Act::Create),
                Standing::Rested | Standing::Named(_) => return choice(address, Act::Bind),
                Standing::Joinable | Standing::Pending | Standing::Taken(_) => {}
            }
        }
        if let Some(address) = pools.iter().find_map(|state| state.lowest_free(family)) {
            return choice(address, Act::Create);
        }
        if let Some(address) = pools.iter().find_map(|state| state.longest_rested(family)) {
            return choice(address, Act::Bind);
        }
        let names: Arc<[PoolName]> = pools.iter().map(|state| state.pool.name.clone()).collect();
        let refusal = Refusal::PoolExhausted { family, pools: names.to_vec() };
        let mut waits = vec![WaitKey::Pools(names, family)];
        waits.extend(self.view.sharing_key.clone().map(WaitKey::SharingKey));
        Acquired::Refused(refusal, waits)
    }

    /// An address under the same sharing key, of the first pool that has one.
    fn shareable(&self, family: Family, pools: &[&PoolState], key: &str) -> Option<Acquired> {
        let mut best: Option<((usize, IpAddr), Acquired)> = None;
        for address in self.index.book.shared_under(key).filter(|a| Family::of(*a) == family) {
            let at = self.index.book.pools_at(address);
            let Some(place) = pools.iter().position(|state| at.contains(&state.pool.name)) else { continue };
            let found = match self.standing(address) {
                Standing::Joinable => choice(address, Act::Bind),
                Standing::Pending => pending(address),
                Standing::Free | Standing::Named(_) | Standing::Rested | Standing::Taken(_) => continue,
            };
            if best.as_ref().is_none_or(|(before, _)| (place, address) < *before) {
                best = Some(((place, address), found));
            }
        }
        best.map(|(_, found)| found)
    }

    /// The pools that may give the Service an address of `family`, in order.
    fn candidates(&self, family: Family, defaults: &[PoolName]) -> Result<Vec<&'a PoolState>, Refusal> {
        let named = if self.wanted.pools.is_empty() { defaults } else { self.wanted.pools };
        if named.is_empty() {
            let automatic: Vec<&PoolState> = self
                .index
                .book
                .by_preference()
                .filter(|state| state.pool.assignment == Assignment::Automatic && state.has(family))
                .filter(|state| self.barrier(state).is_none())
                .collect();
            return if automatic.is_empty() { Err(Refusal::NoPool { family }) } else { Ok(automatic) };
        }
        let mut usable = Vec::new();
        let mut not_permitted = None;
        for name in named {
            let Some(state) = self.index.book.pool(name).filter(|state| state.has(family)) else { continue };
            match self.barrier(state) {
                None => usable.push(state),
                Some(barrier) => {
                    let refusal = Refusal::NotPermitted { pool: name.clone(), barrier };
                    not_permitted.get_or_insert(refusal);
                }
            }
        }
        if !usable.is_empty() {
            return Ok(usable);
        }
        let unknown = named.iter().find(|name| self.index.book.pool(name).is_none());
        Err(match (unknown, not_permitted) {
            (Some(pool), _) => Refusal::UnknownPool { pool: pool.clone() },
            (None, Some(refusal)) => refusal,
            (None, None) => Refusal::FamilyMismatch(Mismatch::Pools { family, pools: named.to_vec() }),
        })
    }

    fn barrier(&self, state: &PoolState) -> Option<Barrier> {
        let pool = &state.pool;
        self.index.barrier(self.view, pool.service_selector.as_ref(), pool.namespace_selector.as_ref())
    }

    fn standing(&self, address: IpAddr) -> Standing {
        let Some(entry) = self.index.book.entry(address) else { return Standing::Free };
        if let Some((rival, _)) = entry.intended_by.iter().find(|(key, _)| *key != self.view.key) {
            let fits =
                self.index.services.get(rival).is_some_and(|r| sharing::fit(self.view, &r.view).is_ok());
            return if fits {
                Standing::Pending
            } else {
                Standing::Taken(in_use(address, Occupant::Service(rival.clone())))
            };
        }
        let standing = match &entry.claim {
            None => self.unclaimed(address, entry),
            Some(claim) if claim.claim.state() == ClaimState::Resting => self.resting(address, claim),
            Some(claim) => self.claimed(address, claim),
        };
        match standing {
            Standing::Taken(_) => standing,
            Standing::Free
            | Standing::Named(_)
            | Standing::Joinable
            | Standing::Rested
            | Standing::Pending
                if entry.in_flight =>
            {
                Standing::Pending
            }
            Standing::Free
            | Standing::Named(_)
            | Standing::Joinable
            | Standing::Rested
            | Standing::Pending => standing,
        }
    }

    fn unclaimed(&self, address: IpAddr, entry: &Entry) -> Standing {
        let i_show_it = entry.shown_by.contains(&self.view.key);
        let rank = (self.view.created_at, &self.view.key);
        for key in entry.shown_by.iter().filter(|key| **key != self.view.key) {
            let Some(other) = self.index.services.get(key) else { continue };
            let ours = self.index.profile_of(&other.view).is_some();
            let older = i_show_it && rank < (other.view.created_at, key);
            if !ours || !older && sharing::fit(self.view, &other.view).is_err() {
                return Standing::Taken(in_use(address, Occupant::Service(key.clone())));
            }
        }
        Standing::Free
    }

    fn resting(&self, address: IpAddr, view: &ClaimView) -> Standing {
        let claim = &view.claim;
        if holder_named(claim, &self.view.key).is_some() {
            return Standing::Named(Named::Resting);
        }
        if claim.retain {
            return reserved(address, claim.holders.first().map(|h| h.service.clone()));
        }
        let quarantine = self.index.book.quarantine(address);
        let over = claim.released_at.unwrap_or_default() + quarantine.duration() <= self.now;
        match quarantine {
            Quarantine::Strict(_) if !over => Standing::Taken(in_use(address, Occupant::Quarantine)),
            Quarantine::Strict(_) | Quarantine::Lenient(_) => Standing::Rested,
        }
    }

    fn claimed(&self, address: IpAddr, view: &ClaimView) -> Standing {
        let claim = &view.claim;
        let mine = holder_named(claim, &self.view.key);
        let mut living = Vec::new();
        let mut dead = false;
        for holder in claim.holders.iter().filter(|h| h.service != self.view.key) {
            let Some(uid) = &holder.uid else { continue };
            match self.index.services.with_uid(&holder.service, uid) {
                Some(service) => living.push(&service.view),
                None if claim.retain => return reserved(address, Some(holder.service.clone())),
                None => dead = true,
            }
        }
        for holder in &living {
            if let Err(barrier) = self.may_join(holder, address) {
                let by = Occupant::Service(holder.key.clone());
                return Standing::Taken(match (&barrier, &self.view.sharing_key) {
                    (SharingBarrier::Key { .. }, None) => in_use(address, by),
                    (
                        SharingBarrier::Key { .. }
                        | SharingBarrier::Port { .. }
                        | SharingBarrier::LocalTraffic { .. }
                        | SharingBarrier::Never { .. }
                        | SharingBarrier::OtherNamespace { .. },
                        _,
                    ) => Refusal::SharingConflict { address, barrier },
                });
            }
        }
        match mine.map(|holder| &holder.uid) {
            Some(None) => Standing::Named(Named::Reserved),
            Some(Some(uid)) if *uid == self.view.uid => Standing::Joinable,
            Some(Some(_)) if claim.retain => Standing::Named(Named::Retained),
            // Its former self is released first.
            Some(Some(_)) => Standing::Pending,
            None if !living.is_empty() => Standing::Joinable,
            None if dead => Standing::Pending,
            None => reserved(address, claim.holders.first().map(|h| h.service.clone())),
        }
    }

    fn may_join(&self, holder: &ServiceView, address: IpAddr) -> Result<(), SharingBarrier> {
        sharing::fit(self.view, holder)?;
        match self.index.book.home(address) {
            Some(home) => sharing::allowed(self.view, holder, &home.pool),
            None => Ok(()),
        }
    }
}

fn choice(address: IpAddr, act: Act) -> Acquired {
    Acquired::Choice(Choice { address, act })
}

fn pending(address: IpAddr) -> Acquired {
    Acquired::Pending(vec![WaitKey::Address(address)])
}

fn in_use(address: IpAddr, by: Occupant) -> Refusal {
    Refusal::AddressInUse { address, by }
}

fn reserved(address: IpAddr, for_whom: Option<daymark_model::ServiceKey>) -> Standing {
    Standing::Taken(in_use(address, Occupant::Reservation(for_whom)))
}
