//! What others say about their holds, and what follows from it.

use std::cmp::Ordering;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use crate::hold::{Hold, Phase};
use crate::member::MemberId;

use super::Election;
use super::entry::{Entry, Origin, Stage};
use super::output::{Action, ElectionOutput, GaveUp};
use super::peer::{Part, is_let_go, is_live};
use super::view::precedence;

/// How often another holder is told to yield, at first and at last.
const DUEL: (Duration, Duration) = (Duration::from_millis(40), Duration::from_secs(1));

impl Election {
    /// Tells other holders to yield until they do.
    pub(super) fn duel(&mut self, now: Instant) {
        let Self { duels, entries, post, .. } = self;
        duels.retain(|address, (at, wait)| {
            let Some(entry) = entries.get(address).filter(|entry| matches!(entry.stage, Stage::Holding))
            else {
                return false;
            };
            let others = entry.holders.iter().filter(|holder| holder.phase == Phase::Holding);
            if *at <= now {
                others.clone().for_each(|other| post.tell(other.id, *address));
                *wait = (*wait * 2).min(DUEL.1);
                *at = now + *wait;
            }
            others.count() > 0
        });
    }

    /// `news`: it has just happened, and is not part of all.
    pub(super) fn hear_hold(
        &mut self,
        now: Instant,
        from: MemberId,
        hold: Hold,
        news: bool,
        out: &mut ElectionOutput,
    ) {
        let address = hold.address;
        if is_let_go(&hold) {
            return self.hear_let_go(now, from, address, out);
        }
        let Some(before) = self.peer(now, from).apply(now, hold) else { return };
        let entry = self.entries.entry(address).or_insert_with(|| Entry::new(now));
        entry.touched = now;
        match hold.phase {
            Phase::Released => {
                let newer = hold.epoch >= entry.epoch;
                // A hand-over may be under way when all holds are told: only news is a release for all.
                let end = if news { Origin::Planned } else { Origin::Silent };
                entry.epoch = entry.epoch.max(hold.epoch);
                match before {
                    Some(phase) => {
                        if phase == Phase::Holding {
                            self.moves.saw_move(now, from);
                        }
                        self.vacated(now, address, (from, phase), end, out);
                    }
                    None if newer && entry.holders.is_empty() && !matches!(entry.stage, Stage::Holding) => {
                        entry.origin = end;
                        if matches!(entry.stage, Stage::Idle) {
                            self.look_at(now, address);
                        }
                    }
                    None => {}
                }
            }
            Phase::Claiming => {
                if before == Some(Phase::Holding) {
                    self.vacated(now, address, (from, Phase::Holding), Origin::Silent, out);
                }
                self.hear_claim(now, from, hold, out);
            }
            Phase::Holding => {
                entry.epoch = entry.epoch.max(hold.epoch);
                if !matches!(entry.stage, Stage::Holding) {
                    entry.origin = Origin::Silent;
                }
                entry.set_holder(now, from, Phase::Holding);
                self.hear_holding(now, from, hold, out);
            }
        }
    }

    fn hear_claim(&mut self, now: Instant, from: MemberId, hold: Hold, out: &mut ElectionOutput) {
        let address = hold.address;
        let Some(entry) = self.entries.get_mut(&address) else { return };
        entry.set_holder(now, from, Phase::Claiming);
        match (&entry.stage, entry.own) {
            (Stage::Holding, _) => self.post.tell(from, address),
            (Stage::Claiming { .. }, Some(own)) => {
                if precedence(address, (self.me, &own), (from, &hold)) == Ordering::Greater {
                    self.post.tell(from, address);
                } else {
                    self.drop_claim(now, address, out);
                }
            }
            (Stage::Idle, _) => self.look_at(now, address),
            (Stage::Giving(_) | Stage::Claiming { .. }, _) => {}
        }
    }

    fn hear_holding(&mut self, now: Instant, from: MemberId, hold: Hold, out: &mut ElectionOutput) {
        let address = hold.address;
        let Some(entry) = self.entries.get_mut(&address) else { return };
        match (&entry.stage, entry.own) {
            (Stage::Holding, Some(own)) => {
                if precedence(address, (self.me, &own), (from, &hold)) == Ordering::Greater {
                    self.post.tell(from, address);
                    self.duels.entry(address).or_insert((now + DUEL.0, DUEL.0));
                } else {
                    self.stop(address, GaveUp::Yielded { to: from }, out);
                    self.set_hold(address, None);
                    self.post.unclaimed(address);
                }
            }
            (Stage::Claiming { .. }, _) => {
                self.drop_claim(now, address, out);
                self.rest(address, out);
            }
            (Stage::Giving(_), _) => self.given(now, address),
            (Stage::Idle, _) => self.rest(address, out),
            (Stage::Holding, None) => {}
        }
    }

    /// Another member answers: nothing is to be done about the address.
    fn rest(&mut self, address: IpAddr, out: &mut ElectionOutput) {
        let Some(entry) = self.entries.get_mut(&address) else { return };
        entry.retry = None;
        entry.vacant_since = None;
        entry.schedule(&mut self.timers, address, None);
        if entry.conflict.take().is_some() {
            out.events.push(super::ElectionEvent::ConflictEnded { address });
        }
    }

    /// A member does not hold or claim an address any more.
    pub(super) fn vacated(
        &mut self,
        now: Instant,
        address: IpAddr,
        (from, phase): (MemberId, Phase),
        end: Origin,
        out: &mut ElectionOutput,
    ) {
        let Some(entry) = self.entries.get_mut(&address) else { return };
        entry.drop_holder(from);
        entry.touched = now;
        let held_still = entry.held_by().is_some();
        match entry.stage {
            Stage::Holding => {
                if phase == Phase::Holding {
                    self.moves.review(address);
                    out.actions.push(Action::Burst { address });
                }
            }
            Stage::Idle | Stage::Claiming { .. } | Stage::Giving(_) => {
                if phase == Phase::Holding && !held_still {
                    entry.origin = end;
                }
            }
        }
        if matches!(entry.stage, Stage::Idle) && !held_still && entry.offer.is_some() {
            entry.vacant_since = Some(now);
            self.look_at(now, address);
        }
    }

    pub(super) fn hear_all(
        &mut self,
        now: Instant,
        from: MemberId,
        part: Part,
        holds: Vec<Hold>,
        out: &mut ElectionOutput,
    ) {
        for hold in &holds {
            self.hear_hold(now, from, *hold, false, out);
        }
        let peer = self.peer(now, from);
        for address in peer.assemble(now, part, &holds) {
            if let Some(phase) = self.peer(now, from).remove(address) {
                self.vacated(now, address, (from, phase), Origin::Silent, out);
            }
        }
    }

    /// A member lets go of an address in favour of another.
    fn hear_let_go(&mut self, now: Instant, from: MemberId, address: IpAddr, out: &mut ElectionOutput) {
        let known = self.peer(now, from).hold(address).copied();
        match known {
            Some(hold) if is_live(&hold) => {
                if let Some(phase) = self.peer(now, from).remove(address) {
                    if phase == Phase::Holding {
                        self.moves.saw_move(now, from);
                    }
                    self.vacated(now, address, (from, phase), Origin::Silent, out);
                }
            }
            Some(_) => {}
            // It heard of this member's hold before this member heard of its.
            None => {
                let entry = self.entries.get(&address);
                if entry.is_some_and(|entry| matches!(entry.stage, Stage::Holding)) {
                    out.actions.push(Action::Burst { address });
                }
            }
        }
    }
}
