//! What people see of an election.

use std::net::IpAddr;
use std::ops::Bound;

use super::Election;
use super::entry::{Entry, RetryCause, Stage};
use super::output::{AddressState, AddressStatus, Silence};
use super::view::Ineligible;

impl Election {
    /// Whether it has heard the holds of the others, so that it takes part.
    pub fn joined(&self) -> bool {
        self.joined
    }

    /// For how many addresses this member answers.
    pub fn answering(&self) -> usize {
        self.holding.len()
    }

    /// How many addresses this member has stopped answering for that nobody has taken yet.
    pub fn handing_over(&self) -> usize {
        self.giving.len()
    }

    /// How an address stands; `None` when it is neither offered nor known.
    pub fn status(&self, address: IpAddr) -> Option<AddressStatus> {
        self.entries.get(&address).map(|entry| self.describe(address, entry))
    }

    /// How the addresses behind `after` stand, in their order.
    pub fn addresses(&self, after: Option<IpAddr>) -> impl Iterator<Item = AddressStatus> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let known = self.entries.range((from, Bound::Unbounded)).filter(|(_, entry)| !entry.is_former());
        known.map(|(address, entry)| self.describe(*address, entry))
    }

    fn describe(&self, address: IpAddr, entry: &Entry) -> AddressStatus {
        let state = match entry.stage {
            Stage::Idle => AddressState::Silent,
            Stage::Claiming { .. } => AddressState::Probing,
            Stage::Holding => AddressState::Answering,
            Stage::Giving(_) => AddressState::HandingOver,
        };
        let (holder, silence) = match state {
            AddressState::Answering => (Some(self.me), None),
            AddressState::Probing | AddressState::HandingOver => (entry.held_by(), Some(Silence::InProgress)),
            AddressState::Silent => (entry.held_by(), Some(self.silence(entry))),
        };
        let conflict = entry.conflict.map(|conflict| conflict.mac);
        AddressStatus { address, state, holder, epoch: entry.epoch, silence, conflict }
    }

    fn silence(&self, entry: &Entry) -> Silence {
        let Some(offer) = &entry.offer else { return Silence::NotOffered };
        match self.view.mine(offer) {
            Err(Ineligible::Unknown) => return Silence::Joining,
            Err(Ineligible::Leaving) => return Silence::Leaving,
            Err(Ineligible::NoCarrier) => return Silence::NoCarrier,
            Err(Ineligible::NotAServer) => return Silence::NotAServer,
            Err(Ineligible::OtherInterface) => return Silence::OtherInterface,
            Ok(_) => {}
        }
        if entry.held_by().is_some() {
            return Silence::HeldByOther;
        }
        match entry.retry.map(|retry| retry.because) {
            Some(RetryCause::Stranger) => return Silence::AddressConflict,
            Some(RetryCause::Member) => return Silence::AnsweredByMember,
            None => {}
        }
        if !self.ready() {
            return Silence::Joining;
        }
        if entry.claims().next().is_some() { Silence::ClaimedByOther } else { Silence::WaitsForBetter }
    }
}
