//! Taking an address that nobody holds, and strangers that have it.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use daymark_model::MacAddr;

use crate::hold::{Hold, Phase};
use crate::responder::ProbePlan;

use super::Election;
use super::entry::{Conflict, Origin, Retry, RetryCause, Stage};
use super::output::{Action, ElectionEvent, ElectionOutput, GaveUp, ProbeResult, Took};
use super::view::Rank;

/// How long a candidate waits for each better one.
const FIRST_WORD: Duration = Duration::from_millis(150);
/// How long another's claim is believed: longer than the longest probe.
const CLAIM_LASTS: Duration = Duration::from_secs(5);
/// How often a probe is repeated that a member answered whose claim must yield.
const PROBE_AGAIN: u8 = 3;
const MEMBER_RETRY: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(5));
const STRANGER_RETRY: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(60));
/// How often a stranger is told of, and fought.
const CONFLICT_AGAIN: Duration = Duration::from_secs(10);
const CONFLICT_ENDS: Duration = Duration::from_secs(60);

impl Election {
    /// Looks at an address that this member neither holds nor claims: takes it, or waits for better members.
    pub(super) fn consider(&mut self, now: Instant, address: IpAddr, out: &mut ElectionOutput) {
        self.tell_ready(address);
        let ready = self.ready();
        let Some(entry) = self.entries.get_mut(&address) else { return };
        let Some(offer) = entry.offer.as_ref().filter(|_| ready && entry.held_by().is_none()) else { return };
        let Ok(rank) = self.view.mine(offer) else {
            entry.vacant_since = None;
            return;
        };
        if let Some(until) = self.broken_until.filter(|until| now < *until) {
            entry.schedule(&mut self.timers, address, Some(until));
            return;
        }
        let factor = offer.terms.profile.factor();
        let claim = claim(address, entry.next_epoch(), rank);
        let contested = entry.claims().filter(|holder| now < holder.heard + CLAIM_LASTS * factor);
        let mut believed_until = None;
        for holder in contested {
            let theirs = self.peers.get(&holder.id).and_then(|peer| peer.hold(address));
            let mine_is_greater =
                theirs.is_none_or(|theirs| claim.claimant(self.me) > theirs.claimant(holder.id));
            if entry.origin != Origin::Never || !mine_is_greater {
                believed_until = believed_until.max(Some(holder.heard + CLAIM_LASTS * factor));
            }
        }
        if believed_until.is_some() {
            entry.schedule(&mut self.timers, address, believed_until);
            return;
        }
        let better = self.view.better_than(offer, rank);
        let vacant = *entry.vacant_since.get_or_insert(now);
        let from = entry.retry.map_or(vacant, |retry| retry.at.max(vacant));
        let at = from + FIRST_WORD * factor * better;
        if at > now {
            entry.schedule(&mut self.timers, address, Some(at));
            return;
        }
        let profile = offer.terms.profile;
        let plan = match entry.origin {
            Origin::Never if !self.broken => ProbePlan::First(profile),
            Origin::Planned if !self.broken => return self.hold(address, Took::Released, out),
            Origin::Never | Origin::Silent | Origin::Planned => ProbePlan::Takeover(profile),
        };
        let first = self.broken || entry.origin == Origin::Never;
        entry.stage = Stage::Claiming { first, again: 0 };
        self.set_hold(address, Some(claim));
        self.post.changed(address);
        self.post.probe(address, plan);
    }

    /// Answers for an address from now on.
    pub(super) fn hold(&mut self, address: IpAddr, cause: Took, out: &mut ElectionOutput) {
        let Some(entry) = self.entries.get_mut(&address) else { return };
        let Some(offer) = entry.offer.as_ref() else { return };
        let Ok(rank) = self.view.mine(offer) else { return };
        let (refresh, profile) = (offer.terms.refresh, offer.terms.profile);
        let hold = Hold { phase: Phase::Holding, ..claim(address, entry.next_epoch(), rank) };
        entry.epoch = hold.epoch;
        entry.origin = Origin::Silent;
        entry.stage = Stage::Holding;
        entry.retry = None;
        entry.declined = None;
        entry.vacant_since = None;
        entry.schedule(&mut self.timers, address, None);
        self.holding.insert(address);
        self.giving.remove(&address);
        self.set_hold(address, Some(hold));
        self.post.changed(address);
        self.moves.review(address);
        out.actions.push(Action::Own { address, refresh, profile, burst: true });
        out.events.push(ElectionEvent::Took { address, cause });
    }

    /// Stops answering at once. The hold is a released one from now on; that it is told is up to the caller.
    pub(super) fn stop(&mut self, address: IpAddr, cause: GaveUp, out: &mut ElectionOutput) {
        let Some(entry) = self.entries.get_mut(&address) else { return };
        let Some(own) = entry.own else { return };
        let released = Hold { phase: Phase::Released, epoch: entry.epoch, ..own };
        entry.stage = Stage::Idle;
        entry.vacant_since = None;
        entry.schedule(&mut self.timers, address, None);
        self.holding.remove(&address);
        self.set_hold(address, Some(released));
        out.actions.push(Action::Disown { address });
        out.events.push(ElectionEvent::GaveUp { address, cause });
        self.forget_conflict(address, out);
    }

    /// Lets go of an address that was claimed but never answered for.
    pub(super) fn drop_claim(&mut self, now: Instant, address: IpAddr, out: &mut ElectionOutput) {
        let Some(entry) = self.entries.get_mut(&address) else { return };
        if !matches!(entry.stage, Stage::Claiming { .. }) {
            return;
        }
        entry.stage = Stage::Idle;
        entry.vacant_since = None;
        entry.schedule(&mut self.timers, address, Some(now));
        self.set_hold(address, None);
        self.post.unclaimed(address);
        out.actions.push(Action::CancelProbe { address });
    }

    /// The members have changed while an address is claimed.
    pub(super) fn reconsider_claim(&mut self, now: Instant, address: IpAddr, out: &mut ElectionOutput) {
        let Some(entry) = self.entries.get(&address) else { return };
        let (Some(offer), Some(own)) = (&entry.offer, entry.own) else { return };
        match self.view.mine(offer) {
            Err(_) => self.drop_claim(now, address, out),
            Ok(rank) if (rank.fitness, rank.weight) != (own.fitness, own.weight) => {
                self.set_hold(address, Some(claim(address, own.epoch, rank)));
                self.post.changed(address);
            }
            Ok(_) => {}
        }
    }

    /// A probe has ended.
    pub fn probed(&mut self, now: Instant, address: IpAddr, result: ProbeResult, out: &mut ElectionOutput) {
        self.at(now);
        let Some(entry) = self.entries.get_mut(&address) else { return };
        let Stage::Claiming { first, again } = &mut entry.stage else { return };
        let first = *first;
        match result {
            ProbeResult::Unanswered => {
                let cause = match entry.origin {
                    Origin::Never => Took::First,
                    Origin::Silent => Took::HolderGone,
                    Origin::Planned => Took::Released,
                };
                self.forget_conflict(address, out);
                self.hold(address, cause, out);
            }
            ProbeResult::AnsweredByMember(id) => {
                let theirs = self.peers.get(&id).and_then(|peer| peer.hold(address));
                let must_yield = entry.own.zip(theirs).is_some_and(|(own, theirs)| {
                    theirs.phase == Phase::Claiming && own.claimant(self.me) > theirs.claimant(id)
                });
                if must_yield && *again < PROBE_AGAIN {
                    *again += 1;
                    let profile = entry.profile();
                    let plan = if first && !self.broken {
                        ProbePlan::First(profile)
                    } else {
                        ProbePlan::Takeover(profile)
                    };
                    self.post.tell(id, address);
                    self.post.probe(address, plan);
                    return;
                }
                self.back_off(now, address, RetryCause::Member, out);
            }
            ProbeResult::AnsweredByStranger(mac) if first => {
                self.saw_stranger(now, address, mac, out);
                self.back_off(now, address, RetryCause::Stranger, out);
            }
            ProbeResult::AnsweredByStranger(mac) => {
                self.hold(address, Took::HolderGone, out);
                self.contested(now, address, mac, out);
            }
        }
    }

    fn back_off(&mut self, now: Instant, address: IpAddr, because: RetryCause, out: &mut ElectionOutput) {
        self.drop_claim(now, address, out);
        let Some(entry) = self.entries.get_mut(&address) else { return };
        let factor = entry.profile().factor();
        let (least, most) = match because {
            RetryCause::Member => (MEMBER_RETRY.0 * factor, MEMBER_RETRY.1 * factor),
            RetryCause::Stranger => STRANGER_RETRY,
        };
        let wait = entry.retry.filter(|retry| retry.because == because).map_or(least, |retry| retry.wait);
        entry.retry = Some(Retry { at: now + wait, wait: (wait * 2).min(most), because });
        self.look_at(now, address);
    }

    /// Somebody else claims an address for which this member answers.
    pub fn contested(&mut self, now: Instant, address: IpAddr, mac: MacAddr, out: &mut ElectionOutput) {
        self.at(now);
        let held = self.entries.get(&address).is_some_and(|entry| matches!(entry.stage, Stage::Holding));
        if !held || self.view.has_mac(mac) {
            return;
        }
        if self.saw_stranger(now, address, mac, out) {
            out.actions.push(Action::Defend { address });
        }
        if let Some(entry) = self.entries.get_mut(&address) {
            entry.schedule(&mut self.timers, address, Some(now + CONFLICT_ENDS));
        }
    }

    /// Whether it was time to tell.
    fn saw_stranger(
        &mut self,
        now: Instant,
        address: IpAddr,
        mac: MacAddr,
        out: &mut ElectionOutput,
    ) -> bool {
        let Some(entry) = self.entries.get_mut(&address) else { return false };
        let told = entry.conflict.map(|conflict| conflict.told).filter(|told| now < *told + CONFLICT_AGAIN);
        entry.conflict = Some(Conflict { mac, seen: now, told: told.unwrap_or(now) });
        if told.is_none() {
            out.events.push(ElectionEvent::Conflict { address, mac });
        }
        told.is_none()
    }

    pub(super) fn end_conflict(&mut self, now: Instant, address: IpAddr, out: &mut ElectionOutput) {
        let Some(entry) = self.entries.get(&address) else { return };
        if entry.conflict.is_some_and(|conflict| now >= conflict.seen + CONFLICT_ENDS) {
            self.forget_conflict(address, out);
        }
    }

    pub(super) fn forget_conflict(&mut self, address: IpAddr, out: &mut ElectionOutput) {
        if self.entries.get_mut(&address).and_then(|entry| entry.conflict.take()).is_some() {
            out.events.push(ElectionEvent::ConflictEnded { address });
        }
    }
}

fn claim(address: IpAddr, epoch: crate::hold::Epoch, rank: Rank) -> Hold {
    Hold { address, epoch, phase: Phase::Claiming, fitness: rank.fitness, weight: rank.weight }
}
