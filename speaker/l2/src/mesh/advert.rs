//! Adverts: each member's word about itself, in parts where it is long, and who still lacks whose.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use bytes::Bytes;
use rand::rngs::SmallRng;

use super::hello::within;
use super::message::Told;
use crate::member::MemberId;

/// The longest advert, in bytes.
pub const MAX_ADVERT: usize = 8_192;
/// The longest part, in bytes.
const PART: usize = 1_100;

/// A member's advert as far as it is known.
#[derive(Debug, Default)]
pub(super) struct Advert {
    pub(super) told: Told,
    /// The version of `bytes`.
    body: u64,
    pub(super) bytes: Bytes,
    assembly: Option<Assembly>,
}

#[derive(Debug)]
struct Assembly {
    body: u64,
    bytes: Vec<u8>,
    missing: Vec<bool>,
}

impl Advert {
    /// Its owner is this far. True when that was news.
    pub(super) fn learn(&mut self, told: Told) -> bool {
        let news = told.version > self.told.version;
        if news {
            self.told = told;
        }
        news
    }

    /// Whether the newest is all here.
    pub(super) fn complete(&self) -> bool {
        self.body == self.told.body
    }

    /// Takes in a part. True when that completes an advert newer than the one before.
    pub(super) fn part(&mut self, body: u64, total: u16, offset: u16, part: &[u8]) -> bool {
        let (total, offset) = (usize::from(total), usize::from(offset));
        if body <= self.body || total > MAX_ADVERT || offset % PART != 0 {
            return false;
        }
        if part.len() != PART.min(total.saturating_sub(offset)) {
            return false;
        }
        if self.assembly.as_ref().is_some_and(|assembly| assembly.body > body) {
            return false;
        }
        let fresh =
            Assembly { body, bytes: vec![0; total], missing: vec![true; total.div_ceil(PART).max(1)] };
        let assembly = match self.assembly.take() {
            Some(assembly) if assembly.body == body && assembly.bytes.len() == total => assembly,
            Some(_) | None => fresh,
        };
        let assembly = self.assembly.insert(assembly);
        if let Some(place) = assembly.bytes.get_mut(offset..offset + part.len()) {
            place.copy_from_slice(part);
        }
        if let Some(missing) = assembly.missing.get_mut(offset / PART) {
            *missing = false;
        }
        if assembly.missing.contains(&true) {
            return false;
        }
        let Some(assembly) = self.assembly.take() else { return false };
        self.bytes = Bytes::from(assembly.bytes);
        self.body = body;
        true
    }

    /// The parts to send, each with its offset: at least one, so that an empty advert arrives too.
    pub(super) fn parts(&self) -> Vec<(u16, Bytes)> {
        let starts = (0..self.bytes.len().max(1)).step_by(PART);
        starts
            .filter_map(|start| {
                let end = self.bytes.len().min(start + PART);
                Some((u16::try_from(start).ok()?, self.bytes.slice(start..end)))
            })
            .collect()
    }

    /// The whole length, as told in every part.
    pub(super) fn total(&self) -> u16 {
        u16::try_from(self.bytes.len()).unwrap_or(u16::MAX)
    }
}

/// What is to be told when, so that a change reaches all though packets get lost.
#[derive(Debug, Default)]
pub(super) struct Own {
    pub(super) advert: Advert,
    /// How often a change is repeated.
    again: u8,
    /// Whether the advert itself goes with it, or the digest alone.
    with_body: bool,
    repeats: u8,
    next: Option<Instant>,
    told_at: Option<Instant>,
}

impl Own {
    /// The least time between two packets to all about changes.
    const PAUSE: Duration = Duration::from_millis(20);
    /// Times between repetitions.
    const REPEAT: [Duration; 2] = [Duration::from_millis(120), Duration::from_millis(40)];

    /// On a segment a packet to all is lost on many at once, and cheap; in the node network every member is told by
    /// itself, and asks where that is lost.
    pub(super) fn new(broadcast: bool) -> Self {
        Self { again: if broadcast { 2 } else { 0 }, ..Self::default() }
    }

    /// Takes in what is to be told. False when it is no news.
    pub(super) fn set(&mut self, now: Instant, bytes: Bytes, digest: u64) -> bool {
        let first = self.advert.told.version == 0;
        let other_body = first || self.advert.bytes != bytes;
        if !other_body && self.advert.told.digest == digest {
            return false;
        }
        self.advert.told.version += 1;
        self.advert.told.digest = digest;
        if other_body {
            self.advert.told.body = self.advert.told.version;
            self.advert.body = self.advert.told.version;
            self.advert.bytes = bytes;
            self.with_body = true;
        }
        self.repeats = self.again;
        self.next = Some(self.told_at.map_or(now, |told| now.max(told + Self::PAUSE)));
        true
    }

    /// Somebody new may have missed it.
    pub(super) fn tell_again(&mut self, at: Instant) {
        if self.advert.told.version > 0 {
            self.with_body = true;
            self.repeats = self.repeats.max(self.again.min(1));
            self.next = Some(self.next.map_or(at, |next| next.min(at)));
        }
    }

    /// Whether it is to be told to all now: with the advert (true) or the digest alone (false).
    pub(super) fn poll(&mut self, now: Instant) -> Option<bool> {
        self.next.filter(|next| *next <= now)?;
        self.told_at = Some(now);
        let with_body = self.with_body;
        self.next = None;
        if self.repeats > 0 {
            self.repeats -= 1;
            self.next = Self::REPEAT.get(usize::from(self.repeats)).map(|pause| now + *pause);
        } else {
            self.with_body = false;
        }
        Some(with_body)
    }

    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.next
    }
}

/// Whose adverts are missing here, and when to ask for them.
#[derive(Debug, Default)]
pub(super) struct Wants {
    wants: BTreeMap<MemberId, Want>,
    /// Nothing is due before.
    next: Option<Instant>,
}

#[derive(Debug)]
struct Want {
    due: Instant,
    tries: u32,
}

impl Wants {
    const PATIENCE: Duration = Duration::from_millis(25);
    const PAUSE: Duration = Duration::from_millis(60);
    /// Asked at once.
    const MOST: usize = 32;

    /// It most likely comes by itself; if not, it is asked for.
    pub(super) fn want(&mut self, now: Instant, owner: MemberId, rng: &mut SmallRng) {
        if self.wants.contains_key(&owner) {
            return;
        }
        let due = now + Self::PATIENCE + within(Self::PATIENCE, rng);
        self.wants.insert(owner, Want { due, tries: 0 });
        self.next = Some(self.next.map_or(due, |next| next.min(due)));
    }

    pub(super) fn have(&mut self, owner: MemberId) {
        self.wants.remove(&owner);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.wants.is_empty()
    }

    /// Whom to ask for now: the first time its owner, then (true) anybody.
    pub(super) fn due(&mut self, now: Instant) -> Vec<(MemberId, bool)> {
        let mut due = Vec::new();
        if self.next.is_none_or(|next| now < next) {
            return due;
        }
        for (owner, want) in self.wants.iter_mut().filter(|(_, want)| want.due <= now).take(Self::MOST) {
            due.push((*owner, want.tries % 3 != 0));
            want.tries += 1;
            want.due = now + Self::PAUSE * want.tries.min(16);
        }
        self.next = self.wants.values().map(|want| want.due).min();
        due
    }

    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.next
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(len: usize) -> Advert {
        let mut own = Own::default();
        own.set(Instant::now(), (0..len).map(|at| at as u8).collect(), 3);
        own.advert
    }

    #[test]
    fn arrives_in_parts_of_any_order_and_number() {
        for len in [0, 1, PART, PART + 1, MAX_ADVERT] {
            let sent = of(len);
            let mut received = Advert::default();
            assert!(received.learn(sent.told) && !received.complete());
            let parts = sent.parts();
            let mut completed = 0;
            for (offset, part) in parts.iter().rev().chain(&parts) {
                completed += usize::from(received.part(1, sent.total(), *offset, part));
            }
            assert_eq!((completed, received.bytes == sent.bytes), (1, true), "{len} bytes");
            assert!(received.complete());
        }
    }

    #[test]
    fn refuses_parts_that_do_not_fit() {
        let mut advert = Advert::default();
        assert!(!advert.part(1, 9_000, 0, &[0; PART]), "too long in all");
        assert!(!advert.part(1, 2_000, 7, &[0; PART]), "not where a part begins");
        assert!(!advert.part(1, 2_000, 0, &[0; 5]), "too short");
        assert!(!advert.part(1, 5, 1_100, &[]) || advert.bytes.is_empty(), "behind the end");
        assert!(advert.part(2, 3, 0, b"new"));
        assert!(!advert.part(1, 3, 0, b"old"));
        assert_eq!(advert.bytes, "new");
    }
}
