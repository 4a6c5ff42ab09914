//! The next write for a claim that no living Service looks after: dead holders leave, rested ones go.

use std::net::IpAddr;

use daymark_model::{ClaimState, Holder, Timestamp};

use super::{Assigner, Item};
use crate::io::Write;

impl Assigner {
    /// Judges the claim on `address` and gives out what comes next for it, if anything.
    pub(super) fn step_claim(&mut self, now: Timestamp, address: IpAddr) -> Option<Write> {
        let entry = self.index.book.entry(address)?;
        if entry.in_flight {
            return None;
        }
        let Some(view) = &entry.claim else {
            self.claim_pauses.remove(&address);
            return None;
        };
        if view.claim.retain {
            return None;
        }
        let state = view.claim.state();
        let released_at = view.claim.released_at;
        let is_intended = !entry.intended_by.is_empty();
        let dead: Vec<Holder> = view
            .claim
            .holders
            .iter()
            .filter(|holder| {
                holder
                    .uid
                    .as_ref()
                    .is_some_and(|uid| self.index.services.with_uid(&holder.service, uid).is_none())
            })
            .cloned()
            .collect();
        if let Some(until) = self.claim_pauses.get(&address).and_then(|pause| pause.until(now)) {
            self.at(until, Item::Claim(address));
            return None;
        }
        match state {
            ClaimState::Reserved => None,
            ClaimState::Bound if dead.is_empty() => None,
            ClaimState::Bound => self.let_go(now, address, &dead, None),
            ClaimState::Resting if is_intended => None,
            ClaimState::Resting => {
                let due = released_at.unwrap_or_default() + self.index.book.quarantine(address).duration();
                if due > now {
                    self.at(due, Item::Claim(address));
                    return None;
                }
                self.delete(address, None)
            }
        }
    }
}
