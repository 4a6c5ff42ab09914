//! Handing an address over: the holder stops first, then asks the best other candidate to begin.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use crate::hold::{Hold, Phase};
use crate::member::MemberId;

use super::Election;
use super::entry::{Giving, Origin, Stage};
use super::output::{Action, ElectionOutput, GaveUp, Took};

const URGE_AGAIN: Duration = Duration::from_millis(20);
const URGES: u8 = 5;
/// How many candidates are asked before the address is left to whoever wants it.
const MAX_TRIED: usize = 3;
/// How long a holder waits that found nobody to take its address, at first, and at last if it cannot serve well or if it
/// could.
const UNWANTED: Duration = Duration::from_secs(1);
const UNWANTED_UNFIT: Duration = Duration::from_secs(10);
const UNWANTED_FIT: Duration = Duration::from_secs(60);

impl Election {
    /// Stops answering for an address, and hands it over if there is somebody.
    pub(super) fn give(&mut self, now: Instant, address: IpAddr, cause: GaveUp, out: &mut ElectionOutput) {
        let Some(entry) = self.entries.get(&address) else { return };
        let Some(offer) = entry.offer.clone() else { return };
        let held_by_other = entry.held_by().is_some();
        self.stop(address, cause, out);
        let Some(entry) = self.entries.get_mut(&address) else { return };
        entry.origin = Origin::Planned;
        if held_by_other {
            entry.origin = Origin::Silent;
            self.set_hold(address, None);
            self.post.unclaimed(address);
            return;
        }
        entry.stage =
            Stage::Giving(Box::new(Giving { cause, offer, to: self.me, asked: 0, tried: Vec::new() }));
        self.giving.insert(address);
        self.next_taker(now, address, out);
    }

    fn next_taker(&mut self, now: Instant, address: IpAddr, out: &mut ElectionOutput) {
        let Some(entry) = self.entries.get_mut(&address) else { return };
        let Stage::Giving(giving) = &mut entry.stage else { return };
        let floor = match giving.cause {
            GaveUp::Unfit | GaveUp::Failback => {
                entry.offer.as_ref().and_then(|offer| self.view.mine(offer).ok())
            }
            GaveUp::Withdrawn | GaveUp::Leaving | GaveUp::Yielded { .. } | GaveUp::Lost => None,
        };
        let tried = &giving.tried;
        let taker = (!self.broken && tried.len() < MAX_TRIED)
            .then(|| {
                self.view.best_other(&giving.offer, |id, rank, _| {
                    !tried.contains(&id) && floor.is_none_or(|mine| rank > mine)
                })
            })
            .flatten();
        match taker {
            Some((id, _)) => {
                giving.to = id;
                giving.asked = 0;
                giving.tried.push(id);
                self.urge(now, address, out);
            }
            None => self.nobody_takes(now, address, out),
        }
    }

    /// Asks the candidate, again if need be; then the next one.
    pub(super) fn urge(&mut self, now: Instant, address: IpAddr, out: &mut ElectionOutput) {
        let Some(entry) = self.entries.get_mut(&address) else { return };
        let Stage::Giving(giving) = &mut entry.stage else { return };
        if giving.asked == URGES {
            return self.next_taker(now, address, out);
        }
        giving.asked += 1;
        let (to, again) = (giving.to, URGE_AGAIN * giving.offer.terms.profile.factor());
        if let Some(own) = entry.own {
            self.post.hand_over(to, own);
        }
        entry.schedule(&mut self.timers, address, Some(now + again));
    }

    fn nobody_takes(&mut self, now: Instant, address: IpAddr, out: &mut ElectionOutput) {
        self.giving.remove(&address);
        let Some(entry) = self.entries.get_mut(&address) else { return };
        let Stage::Giving(giving) = std::mem::replace(&mut entry.stage, Stage::Idle) else { return };
        entry.schedule(&mut self.timers, address, Some(now));
        entry.vacant_since = None;
        let eligible = entry.offer.as_ref().is_some_and(|offer| self.view.mine(offer).is_ok());
        match giving.cause {
            GaveUp::Unfit | GaveUp::Failback if eligible && self.ready() => {
                let most = if giving.cause == GaveUp::Unfit { UNWANTED_UNFIT } else { UNWANTED_FIT };
                let Some(entry) = self.entries.get_mut(&address) else { return };
                let wait = entry.unwanted.map_or(UNWANTED, |(_, wait)| (wait * 2).min(most));
                entry.unwanted = Some((now + wait, wait));
                self.hold(address, Took::TakenBack, out);
            }
            GaveUp::Unfit
            | GaveUp::Failback
            | GaveUp::Withdrawn
            | GaveUp::Leaving
            | GaveUp::Yielded { .. }
            | GaveUp::Lost => self.post.changed(address),
        }
    }

    /// Another member answers for an address that was being handed over.
    pub(super) fn given(&mut self, now: Instant, address: IpAddr) {
        self.giving.remove(&address);
        let Some(entry) = self.entries.get_mut(&address) else { return };
        entry.stage = Stage::Idle;
        entry.origin = Origin::Silent;
        entry.unwanted = None;
        entry.touched = now;
        entry.schedule(&mut self.timers, address, None);
        self.set_hold(address, None);
        self.post.unclaimed(address);
    }

    /// A member does not take what it was asked to, or is gone.
    pub(super) fn refused(
        &mut self,
        now: Instant,
        from: MemberId,
        address: IpAddr,
        out: &mut ElectionOutput,
    ) {
        let Some(entry) = self.entries.get(&address) else { return };
        if let Stage::Giving(giving) = &entry.stage
            && giving.to == from
        {
            self.next_taker(now, address, out);
        }
    }

    /// A member asks this one to begin: it has stopped.
    pub(super) fn hear_hand_over(
        &mut self,
        now: Instant,
        from: MemberId,
        holds: Vec<Hold>,
        out: &mut ElectionOutput,
    ) {
        for hold in holds {
            self.hear_hold(now, from, Hold { phase: Phase::Released, ..hold }, true, out);
            let address = hold.address;
            let Some(entry) = self.entries.get(&address) else { continue };
            let taken_from_me = entry.own.is_some_and(|own| hold.epoch > own.epoch);
            match &entry.stage {
                // Both answered: caches may name the one that has stopped.
                Stage::Holding => {
                    self.post.tell(from, address);
                    out.actions.push(Action::Burst { address });
                }
                Stage::Giving(giving) if giving.to != from || !taken_from_me => self.refuse(from, address),
                // It took what this member is handing over, and hands it back already.
                Stage::Giving(_) | Stage::Idle | Stage::Claiming { .. } => {
                    let claims = matches!(entry.stage, Stage::Claiming { .. });
                    if !self.may_take(address, hold) {
                        // It goes to another now.
                        self.refuse(from, address);
                        continue;
                    }
                    if claims {
                        out.actions.push(Action::CancelProbe { address });
                    }
                    self.hold(address, Took::HandedOver { by: from }, out);
                }
            }
        }
    }

    fn refuse(&mut self, from: MemberId, address: IpAddr) {
        if let Some(entry) = self.entries.get_mut(&address) {
            entry.origin = Origin::Silent;
            entry.declined = Some(from);
        }
        self.post.refuse(from, address);
    }

    /// Tells the holder whose hand-over was refused that it would be taken now.
    pub(super) fn tell_ready(&mut self, address: IpAddr) {
        let ready = self.ready();
        let Some(entry) = self.entries.get_mut(&address) else { return };
        let Some(holder) = entry.declined.filter(|_| ready) else { return };
        let Some(offer) = &entry.offer else { return };
        if self.view.mine(offer).is_ok() {
            entry.declined = None;
            if entry.held_by() == Some(holder) {
                self.post.ready(holder, address);
            }
        }
    }

    /// A member would take what it refused before: it is asked again if it is still wanted, without the pause.
    pub(super) fn hear_ready(&mut self, now: Instant, addresses: Vec<IpAddr>) {
        for address in addresses {
            let Some(entry) = self.entries.get_mut(&address) else { continue };
            if let (Stage::Holding, Some((at, _))) = (&entry.stage, &mut entry.unwanted) {
                *at = now;
                self.moves.review(address);
            }
        }
    }

    fn may_take(&self, address: IpAddr, hold: Hold) -> bool {
        let Some(entry) = self.entries.get(&address) else { return false };
        self.ready()
            && hold.epoch >= entry.epoch
            && entry.held_by().is_none()
            && entry.offer.as_ref().is_some_and(|offer| self.view.mine(offer).is_ok())
    }
}
