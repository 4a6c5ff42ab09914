//! The members of the segment, and how they rank.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Instant;

use crate::hold::{Fitness, score};
use crate::member::MemberId;
use crate::offer::{Offer, Servers};

use super::output::MemberState;

/// How well a member can serve an address; the greatest should.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Rank {
    pub fitness: Fitness,
    pub weight: u32,
    pub score: u64,
}

/// What members are measured by: the best of those that live.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Company {
    some_fresh: bool,
    most_reached: u16,
}

/// A member's place.
#[derive(Debug, Clone)]
struct Seat {
    state: MemberState,
    /// Since when it could have served as well as it can.
    since: Instant,
    /// For addresses with [`Servers::Any`].
    fitness_for_any: Fitness,
    /// For addresses that only some nodes can serve.
    fitness_for_some: Fitness,
    /// Another interface of the same node is a member too.
    twin: bool,
}

impl Seat {
    fn new(now: Instant, state: MemberState) -> Self {
        let (fitness_for_any, fitness_for_some) = (Fitness::Unfit, Fitness::Unfit);
        Self { state, since: now, fitness_for_any, fitness_for_some, twin: false }
    }

    fn able(&self) -> bool {
        self.state.segment.carrier && !self.state.standing.leaving
    }

    fn fitness(&self, servers: &Servers) -> Fitness {
        match servers {
            Servers::Any => self.fitness_for_any,
            Servers::Only(_) => self.fitness_for_some,
        }
    }

    fn weight(&self, offer: &Offer) -> Option<u32> {
        if !self.able() || !offer.servers.contains(self.state.name) {
            return None;
        }
        self.state.segment.weight_for(offer.address, &offer.terms.announcements)
    }

    fn measure(&mut self, now: Instant, company: Company) {
        let standing = self.state.standing;
        let unfit = standing.stalls || (standing.api_stale && company.some_fresh);
        let fitness = match (unfit, standing.proxy_demoted) {
            (true, _) => Fitness::Unfit,
            (false, true) => Fitness::Demoted,
            (false, false) => Fitness::Fit,
        };
        let cut = u32::from(self.state.nodes_reached) * 2 <= u32::from(company.most_reached);
        let for_any = if cut { Fitness::Unfit } else { fitness };
        if for_any > self.fitness_for_any || fitness > self.fitness_for_some {
            self.since = now;
        }
        (self.fitness_for_any, self.fitness_for_some) = (for_any, fitness);
    }
}

/// The members of the segment.
#[derive(Debug)]
pub(super) struct View {
    id: MemberId,
    me: Option<Seat>,
    others: BTreeMap<MemberId, Seat>,
}

impl View {
    pub fn new(id: MemberId) -> Self {
        Self { id, me: None, others: BTreeMap::new() }
    }

    pub fn me(&self) -> Option<&MemberState> {
        self.me.as_ref().map(|seat| &seat.state)
    }

    pub fn contains(&self, id: MemberId) -> bool {
        self.others.contains_key(&id)
    }

    pub fn has_mac(&self, mac: daymark_model::MacAddr) -> bool {
        self.others.values().any(|seat| seat.state.mac == mac)
    }

    /// Whether anything changed.
    pub fn set_me(&mut self, now: Instant, state: MemberState) -> bool {
        if self.me() == Some(&state) {
            return false;
        }
        let seat = match self.me.take() {
            Some(old) => renewed(now, old, state),
            None => Seat::new(now, state),
        };
        self.me = Some(seat);
        self.measure(now);
        true
    }

    /// Whether anything changed.
    pub fn set(&mut self, now: Instant, state: MemberState) -> bool {
        let id = state.id;
        let old = self.others.remove(&id);
        let same = old.as_ref().is_some_and(|old| old.state == state);
        let seat = match old {
            Some(old) => renewed(now, old, state),
            None => Seat::new(now, state),
        };
        self.others.insert(id, seat);
        if !same {
            self.measure(now);
        }
        !same
    }

    /// Whether it was there.
    pub fn remove(&mut self, now: Instant, id: MemberId) -> bool {
        let removed = self.others.remove(&id).is_some();
        if removed {
            self.measure(now);
        }
        removed
    }

    fn measure(&mut self, now: Instant) {
        let mut company = Company::default();
        let mut interfaces: BTreeMap<_, usize> = BTreeMap::new();
        for seat in self.others.values().chain(&self.me) {
            company.some_fresh |= !seat.state.standing.api_stale;
            company.most_reached = company.most_reached.max(seat.state.nodes_reached);
            *interfaces.entry(seat.state.id.node).or_default() += 1;
        }
        for seat in self.others.values_mut().chain(&mut self.me) {
            seat.measure(now, company);
            seat.twin = interfaces.get(&seat.state.id.node).is_some_and(|count| *count > 1);
        }
    }

    /// Whether the node answers for the address by a lower interface number.
    fn outnumbered(&self, seat: &Seat, offer: &Offer) -> bool {
        let id = seat.state.id;
        let first = MemberId { interface: MemberId::NODE_NETWORK, ..id };
        seat.twin
            && (self.others.range(first..id).any(|(_, twin)| twin.weight(offer).is_some())
                || (self.id.node == id.node
                    && self.id < id
                    && self.me.as_ref().is_some_and(|me| me.weight(offer).is_some())))
    }

    /// This member's rank, unless it may not answer for `offer`.
    pub fn mine(&self, offer: &Offer) -> Result<Rank, Ineligible> {
        let seat = self.me.as_ref().ok_or(Ineligible::Unknown)?;
        if seat.state.standing.leaving {
            return Err(Ineligible::Leaving);
        }
        if !seat.state.segment.carrier {
            return Err(Ineligible::NoCarrier);
        }
        if !offer.servers.contains(seat.state.name) {
            return Err(Ineligible::NotAServer);
        }
        if self.outnumbered(seat, offer) {
            return Err(Ineligible::OtherInterface);
        }
        let fitness = seat.fitness(&offer.servers);
        Ok(Rank { fitness, weight: offer.terms.weight, score: score(self.id.node, offer.address) })
    }

    fn rank(&self, id: MemberId, seat: &Seat, offer: &Offer) -> Option<Rank> {
        let weight = seat.weight(offer)?;
        if self.outnumbered(seat, offer) {
            return None;
        }
        let fitness = seat.fitness(&offer.servers);
        Some(Rank { fitness, weight, score: score(id.node, offer.address) })
    }

    fn candidates<'a>(&'a self, offer: &'a Offer) -> impl Iterator<Item = (MemberId, &'a Seat, Rank)> {
        self.others.iter().filter_map(|(id, seat)| Some((*id, seat, self.rank(*id, seat, offer)?)))
    }

    /// How many other members rank above `mine`.
    pub fn better_than(&self, offer: &Offer, mine: Rank) -> u32 {
        let better = self.candidates(offer).filter(|(.., rank)| *rank > mine).count();
        u32::try_from(better).unwrap_or(u32::MAX)
    }

    /// The best of the other members, and those for which `admit` holds.
    pub fn best_other(
        &self,
        offer: &Offer,
        mut admit: impl FnMut(MemberId, Rank, Instant) -> bool,
    ) -> Option<(MemberId, Rank)> {
        self.candidates(offer)
            .filter(|(id, seat, rank)| admit(*id, *rank, seat.since))
            .map(|(id, _, rank)| (id, rank))
            .max_by(|(a, left), (b, right)| left.cmp(right).then(b.cmp(a)))
    }
}

/// Why this member may not answer for an address that it was offered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ineligible {
    Unknown,
    Leaving,
    NoCarrier,
    NotAServer,
    OtherInterface,
}

fn renewed(now: Instant, old: Seat, state: MemberState) -> Seat {
    let could = old.able();
    let new_terms = state.segment.terms.keys().any(|id| !old.state.segment.terms.contains_key(id));
    let mut seat = Seat { state, ..old };
    if (seat.able() && !could) || new_terms {
        seat.since = now;
    }
    seat
}

/// Which of two holders of one address stays: the greater claimant, among two interfaces of one node the lower number.
pub(super) fn precedence(
    address: IpAddr,
    (a, left): (MemberId, &crate::hold::Hold),
    (b, right): (MemberId, &crate::hold::Hold),
) -> Ordering {
    debug_assert_eq!((left.address, right.address), (address, address));
    left.claimant(a).cmp(&right.claimant(b)).then(b.cmp(&a))
}
