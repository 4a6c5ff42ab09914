//! The holds of another member, as far as they were heard.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use crate::hold::{Epoch, Fitness, Hold, Phase, digest, fingerprint};

/// The most holds of a member that are kept.
const MAX_HOLDS: usize = 20_000;
const PULL_AGAIN: Duration = Duration::from_millis(100);
const PULL_SLOWLY: Duration = Duration::from_secs(1);
const QUICK_PULLS: u32 = 5;
/// How long a member is waited for that does not answer.
const PATIENCE: Duration = Duration::from_secs(1);
/// How long changes on their way may take before a differing digest means that something is missing.
const ON_THE_WAY: Duration = Duration::from_millis(100);

/// Which part of all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Part {
    pub digest: u64,
    pub part: u16,
    pub parts: u16,
}

#[derive(Debug)]
struct Pull {
    noticed: Instant,
    next: Instant,
    asked: u32,
}

#[derive(Debug)]
struct Assembly {
    digest: u64,
    parts: u16,
    begun: Instant,
    got: BTreeMap<u16, Vec<Hold>>,
}

/// Another member's holds.
#[derive(Debug)]
pub(super) struct Peer {
    since: Instant,
    holds: BTreeMap<IpAddr, (Hold, Instant)>,
    digest: u64,
    advertised: Option<u64>,
    /// All of its holds have been heard once.
    complete: bool,
    asked_first: Option<Instant>,
    pull: Option<Pull>,
    assembly: Option<Assembly>,
}

/// Whether a hold counts: it is claimed or held.
pub(super) fn is_live(hold: &Hold) -> bool {
    match hold.phase {
        Phase::Released => false,
        Phase::Claiming | Phase::Holding => true,
    }
}

/// What a member says that lets go of an address in favour of another: a release of no epoch. It leaves nothing behind,
/// and does not mean that the address is free.
pub(super) fn let_go(address: IpAddr) -> Hold {
    Hold { address, epoch: Epoch(0), phase: Phase::Released, fitness: Fitness::Unfit, weight: 0 }
}

pub(super) fn is_let_go(hold: &Hold) -> bool {
    hold.epoch == Epoch(0) && hold.phase == Phase::Released
}

/// In which order the phases of one epoch follow each other.
fn progress(hold: &Hold) -> (Epoch, u8) {
    let step = match hold.phase {
        Phase::Claiming => 0,
        Phase::Holding => 1,
        Phase::Released => 2,
    };
    (hold.epoch, step)
}

impl Peer {
    /// A member that has just been heard, and is to be asked for its holds at `ask`.
    pub fn new(now: Instant, ask: Instant) -> Self {
        Self {
            since: now,
            holds: BTreeMap::new(),
            digest: 0,
            advertised: None,
            complete: false,
            asked_first: None,
            pull: Some(Pull { noticed: now, next: ask, asked: 0 }),
            assembly: None,
        }
    }

    pub fn since(&self) -> Instant {
        self.since
    }

    /// What was heard may be outdated: all has to be heard again.
    pub fn start_over(&mut self, now: Instant) {
        self.advertised = None;
        self.complete = false;
        self.asked_first = None;
        self.assembly = None;
        self.pull = Some(Pull { noticed: now, next: now, asked: 0 });
    }

    pub fn advertise(&mut self, now: Instant, digest: u64, jitter: Duration) {
        self.advertised = Some(digest);
        if self.compare() {
            return;
        }
        let wait = if self.complete { ON_THE_WAY } else { Duration::ZERO };
        self.pull.get_or_insert(Pull { noticed: now, next: now + wait + jitter, asked: 0 });
    }

    fn compare(&mut self) -> bool {
        let equal = self.advertised == Some(self.digest);
        if equal {
            self.complete = true;
            self.pull = None;
            self.assembly = None;
        }
        equal
    }

    pub fn waited_for(&self, now: Instant) -> bool {
        self.complete || self.asked_first.is_some_and(|at| at + PATIENCE <= now)
    }

    /// When it is not waited for any more.
    pub fn patience_ends(&self) -> Option<Instant> {
        self.asked_first.filter(|_| !self.complete).map(|at| at + PATIENCE)
    }

    pub fn next_pull(&self) -> Option<Instant> {
        self.pull.as_ref().map(|pull| pull.next)
    }

    /// Whether it is time to ask it for its holds; counts as asked.
    pub fn asks(&mut self, now: Instant) -> bool {
        let Some(pull) = self.pull.as_mut().filter(|pull| pull.next <= now) else { return false };
        pull.asked += 1;
        pull.next = now + if pull.asked < QUICK_PULLS { PULL_AGAIN } else { PULL_SLOWLY };
        self.asked_first.get_or_insert(now);
        true
    }

    pub fn hold(&self, address: IpAddr) -> Option<&Hold> {
        self.holds.get(&address).map(|(hold, _)| hold)
    }

    /// Takes in what was heard of one hold. `None`: it is older than what is known; else the phase before, if it counted.
    pub fn apply(&mut self, now: Instant, hold: Hold) -> Option<Option<Phase>> {
        let old = self.hold(hold.address).copied();
        if old.is_some_and(|old| progress(&hold) < progress(&old)) {
            return None;
        }
        if old.is_none() && self.holds.len() >= MAX_HOLDS {
            return None;
        }
        for changed in [old, Some(hold)].iter().flatten().filter(|hold| is_live(hold)) {
            self.digest ^= fingerprint(changed);
        }
        self.holds.insert(hold.address, (hold, now));
        if !self.compare()
            && self.complete
            && let Some(pull) = self.pull.as_mut().filter(|pull| pull.asked == 0)
        {
            pull.next = pull.next.max(now + ON_THE_WAY).min(pull.noticed + PATIENCE);
        }
        Some(old.filter(is_live).map(|hold| hold.phase))
    }

    /// It holds or claims an address no longer.
    pub fn remove(&mut self, address: IpAddr) -> Option<Phase> {
        let (hold, _) = self.holds.remove(&address)?;
        if !is_live(&hold) {
            return None;
        }
        self.digest ^= fingerprint(&hold);
        self.compare();
        Some(hold.phase)
    }

    /// Takes in that a part of all came; when it was the last one: the addresses that it does not hold any more.
    pub fn assemble(&mut self, now: Instant, part: Part, holds: &[Hold]) -> Vec<IpAddr> {
        if part.part >= part.parts {
            return Vec::new();
        }
        let fits = |assembly: &Assembly| (assembly.digest, assembly.parts) == (part.digest, part.parts);
        if !self.assembly.as_ref().is_some_and(fits) {
            let Part { digest, parts, .. } = part;
            self.assembly = Some(Assembly { digest, parts, begun: now, got: BTreeMap::new() });
        }
        let Some(assembly) = self.assembly.as_mut() else { return Vec::new() };
        let kept: usize = assembly.got.values().map(Vec::len).sum();
        if kept + holds.len() > 2 * MAX_HOLDS {
            self.assembly = None;
            return Vec::new();
        }
        assembly.got.insert(part.part, holds.to_vec());
        if assembly.got.len() < usize::from(assembly.parts) {
            return Vec::new();
        }
        let all: BTreeMap<IpAddr, Hold> = assembly
            .got
            .values()
            .flatten()
            .filter(|hold| is_live(hold))
            .map(|hold| (hold.address, *hold))
            .collect();
        let begun = assembly.begun;
        self.assembly = None;
        if digest(all.values()) != part.digest {
            return Vec::new();
        }
        self.complete = true;
        self.advertised = Some(part.digest);
        let missing = self.holds.iter().filter(|(address, (hold, heard))| {
            is_live(hold) && *heard <= begun && !all.contains_key(*address)
        });
        let missing = missing.map(|(address, _)| *address).collect();
        self.compare();
        missing
    }

    pub fn forget_released(&mut self, now: Instant, age: Duration) {
        self.holds.retain(|_, (hold, heard)| is_live(hold) || now.saturating_duration_since(*heard) < age);
    }

    pub fn into_live(self) -> impl Iterator<Item = (IpAddr, Phase)> {
        self.holds.into_values().map(|(hold, _)| hold).filter(is_live).map(|hold| (hold.address, hold.phase))
    }
}
