//! Holders that are not the best: when their addresses move, and how many at a time.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use daymark_model::Failback;

use crate::member::MemberId;

use super::Election;
use super::entry::Stage;
use super::output::{ElectionOutput, GaveUp};
use super::view::{Ineligible, Rank};

/// How long a better member must have been there.
pub(super) const PATIENCE: Duration = Duration::from_secs(300);
const BATCH: usize = 100;
const REVIEW_BATCH: usize = 500;
const URGENT_EVERY: Duration = Duration::from_millis(20);
const SWIFT_EVERY: Duration = Duration::from_millis(100);
/// The time between two gradual moves on a segment; every other member that moves addresses too adds as much.
const SLOW_EVERY: Duration = Duration::from_millis(100);
/// How long after its last move a member counts as one that moves addresses.
const MOVER: Duration = Duration::from_secs(5);

/// How fast addresses move.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pace {
    /// The holder cannot serve well, or leaves.
    Urgent,
    Swift,
    Slow,
}

enum Verdict {
    Stay,
    NotBefore(Instant),
    Move(Pace, GaveUp),
}

#[derive(Debug, Default)]
struct Queue {
    addresses: BTreeSet<IpAddr>,
    next: Option<Instant>,
}

/// Which addresses are to be looked at, and which are to move.
#[derive(Debug, Default)]
pub(super) struct Moves {
    review: BTreeSet<IpAddr>,
    again: Option<Instant>,
    urgent: Queue,
    swift: Queue,
    slow: Queue,
    movers: BTreeMap<MemberId, Instant>,
}

impl Moves {
    pub fn review(&mut self, address: IpAddr) {
        self.review.insert(address);
    }

    pub fn review_all(&mut self, addresses: &BTreeSet<IpAddr>) {
        self.review.extend(addresses);
    }

    /// Another member gave an address up.
    pub fn saw_move(&mut self, now: Instant, by: MemberId) {
        self.movers.insert(by, now);
    }

    pub fn clear(&mut self) {
        *self = Self { movers: std::mem::take(&mut self.movers), ..Self::default() };
    }

    pub fn next(&self, now: Instant) -> Option<Instant> {
        let review = (!self.review.is_empty()).then_some(now);
        let queues = [&self.urgent, &self.swift, &self.slow];
        let queued = queues.into_iter().filter(|queue| !queue.addresses.is_empty());
        let moves = queued.map(|queue| queue.next.unwrap_or(now)).min();
        [review, self.again, moves].into_iter().flatten().min()
    }

    fn queue(&mut self, pace: Pace) -> &mut Queue {
        match pace {
            Pace::Urgent => &mut self.urgent,
            Pace::Swift => &mut self.swift,
            Pace::Slow => &mut self.slow,
        }
    }

    /// The addresses whose turn it is.
    fn take(&mut self, now: Instant, pace: Pace) -> Vec<IpAddr> {
        self.movers.retain(|_, last| now.saturating_duration_since(*last) < MOVER);
        let others = u32::try_from(self.movers.len()).unwrap_or(u32::MAX);
        let (count, every) = match pace {
            Pace::Urgent => (BATCH, URGENT_EVERY),
            Pace::Swift => (BATCH, SWIFT_EVERY),
            Pace::Slow => (1, SLOW_EVERY * others.saturating_add(1)),
        };
        let queue = self.queue(pace);
        if queue.addresses.is_empty() || queue.next.is_some_and(|next| now < next) {
            return Vec::new();
        }
        queue.next = Some(now + every);
        let turn: Vec<IpAddr> = queue.addresses.iter().copied().take(count).collect();
        for address in &turn {
            queue.addresses.remove(address);
        }
        turn
    }
}

impl Election {
    /// Looks at some of the addresses that this member holds.
    pub(super) fn review(&mut self, now: Instant) {
        if self.moves.again.is_some_and(|at| at <= now) {
            self.moves.again = None;
            self.moves.review_all(&self.holding);
        }
        for _ in 0..REVIEW_BATCH {
            let Some(address) = self.moves.review.pop_first() else { break };
            match self.verdict(now, address) {
                Verdict::Stay => {}
                Verdict::NotBefore(at) => {
                    self.moves.again = Some(self.moves.again.map_or(at, |again| again.min(at)));
                }
                Verdict::Move(pace, _) => {
                    self.moves.queue(pace).addresses.insert(address);
                }
            }
        }
    }

    /// Hands over the addresses whose turn it is.
    pub(super) fn make_moves(&mut self, now: Instant, out: &mut ElectionOutput) {
        for pace in [Pace::Urgent, Pace::Swift, Pace::Slow] {
            for address in self.moves.take(now, pace) {
                match self.verdict(now, address) {
                    Verdict::Move(_, cause) => self.give(now, address, cause, out),
                    Verdict::Stay | Verdict::NotBefore(_) => self.moves.review(address),
                }
            }
        }
    }

    fn verdict(&mut self, now: Instant, address: IpAddr) -> Verdict {
        let Some(entry) = self.entries.get(&address) else { return Verdict::Stay };
        let (Stage::Holding, Some(offer), Some(own)) = (&entry.stage, &entry.offer, entry.own) else {
            return Verdict::Stay;
        };
        let mine = match self.view.mine(offer) {
            Ok(mine) => mine,
            Err(Ineligible::Leaving) => return Verdict::Move(Pace::Urgent, GaveUp::Leaving),
            Err(
                Ineligible::NoCarrier
                | Ineligible::NotAServer
                | Ineligible::OtherInterface
                | Ineligible::Unknown,
            ) => {
                return Verdict::Move(Pace::Urgent, GaveUp::Withdrawn);
            }
        };
        let verdict = if self.broken { Verdict::Stay } else { self.place(now, address, mine) };
        if (own.fitness, own.weight) != (mine.fitness, mine.weight) {
            let Rank { fitness, weight, .. } = mine;
            self.set_hold(address, Some(crate::hold::Hold { fitness, weight, ..own }));
            self.post.changed(address);
        }
        verdict
    }

    /// Whether this member is in the right place as the holder of an address.
    fn place(&self, now: Instant, address: IpAddr, mine: Rank) -> Verdict {
        let Some(entry) = self.entries.get(&address) else { return Verdict::Stay };
        let Some(offer) = &entry.offer else { return Verdict::Stay };
        let Some((_, best)) = self.view.best_other(offer, |_, rank, _| rank > mine) else {
            return Verdict::Stay;
        };
        let failback = offer.terms.failback;
        if best.fitness == mine.fitness && failback == Failback::Never {
            return Verdict::Stay;
        }
        // Of two that answer, the holds decide who stays: who moves now may leave nobody, if the other yields meanwhile.
        if entry.held_by().is_some() && best.fitness == mine.fitness {
            return Verdict::Stay;
        }
        if let Some((at, _)) = entry.unwanted.filter(|(at, _)| now < *at) {
            return Verdict::NotBefore(at);
        }
        if best.fitness > mine.fitness {
            return Verdict::Move(Pace::Urgent, GaveUp::Unfit);
        }
        match failback {
            Failback::Never => Verdict::Stay,
            Failback::Immediate => Verdict::Move(Pace::Swift, GaveUp::Failback),
            Failback::Gradual => {
                let mut earliest: Option<Instant> = None;
                let proven = self.view.best_other(offer, |_, rank, since| {
                    let at = (since + PATIENCE).max(entry.settles_at);
                    if rank > mine {
                        earliest = Some(earliest.map_or(at, |earliest| earliest.min(at)));
                    }
                    rank > mine && at <= now
                });
                match (proven, earliest) {
                    (Some(_), _) => Verdict::Move(Pace::Slow, GaveUp::Failback),
                    (None, Some(at)) => Verdict::NotBefore(at),
                    (None, None) => Verdict::Stay,
                }
            }
        }
    }
}
