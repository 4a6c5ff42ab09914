//! Sessions of other processes: none counts before it has answered a challenge of ours, so that what was recorded of a
//! session that is over changes nothing; within one, no packet counts twice.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use xxhash_rust::xxh3::xxh3_64;

use super::crypto::{Header, HeaderError, MeshKind, SessionId, SessionKey};
use super::types::{MeshAddress, MeshCounters, MeshKeys};
use crate::member::MemberId;

const MAX_PROVEN: usize = 4_096;
const MAX_PENDING: usize = 1_024;
/// Packets of a session that wait until it is proven.
const MAX_HELD: usize = 2;
const SESSIONS_PER_MEMBER: usize = 2;
const MAX_CHALLENGES: u32 = 3;
const CHALLENGE_PAUSE: Duration = Duration::from_millis(40);
const WRONG_KEY_PAUSE: Duration = Duration::from_secs(10);
const MAX_WRONG_KEYS: usize = 256;
/// Sources share slots, so that whoever floods with unknown sessions takes only its own slot's budget.
const TRIAL_SLOTS: usize = 64;
const TRIALS_PER_SECOND: u32 = 128;

/// What became of a packet.
#[derive(Debug)]
pub(super) enum Opened {
    /// From a session that lives.
    Proven { session: SessionId, body: Vec<u8> },
    /// Sealed with our secret, but perhaps long ago.
    Unproven { session: SessionId, counter: u64, body: Vec<u8> },
    /// Sealed with another secret, and it is time to say so.
    WrongKey,
    /// Refused and counted, or our own.
    Nothing,
}

#[derive(Debug)]
struct Proven {
    member: MemberId,
    keys: Vec<SessionKey>,
    window: Window,
    heard: Instant,
}

#[derive(Debug)]
struct Pending {
    key: SessionKey,
    from: MeshAddress,
    nonce: u64,
    tries: u32,
    due: Instant,
    held: Vec<(u64, Vec<u8>)>,
}

/// Ours and those of others.
#[derive(Debug)]
pub(super) struct Sessions {
    kind: MeshKind,
    own: SessionId,
    counter: u64,
    keys: MeshKeys,
    seal: Option<SessionKey>,
    proven: BTreeMap<SessionId, Proven>,
    pending: BTreeMap<SessionId, Pending>,
    /// No challenge is due before.
    next: Option<Instant>,
    trials: Vec<Budget>,
    wrong_keys: BTreeMap<MeshAddress, Instant>,
    pub(super) counters: MeshCounters,
}

impl Sessions {
    pub(super) fn new(kind: MeshKind, own: SessionId, keys: MeshKeys) -> Self {
        Self {
            kind,
            own,
            counter: 0,
            seal: SessionKey::derive(&keys.current, own, kind),
            keys,
            proven: BTreeMap::new(),
            pending: BTreeMap::new(),
            next: None,
            trials: vec![Budget::default(); TRIAL_SLOTS],
            wrong_keys: BTreeMap::new(),
            counters: MeshCounters::default(),
        }
    }

    pub(super) fn set_keys(&mut self, keys: MeshKeys) {
        if self.keys == keys {
            return;
        }
        self.seal = SessionKey::derive(&keys.current, self.own, self.kind);
        self.keys = keys;
        self.pending.clear();
        self.proven.values_mut().for_each(|peer| peer.keys.clear());
        self.wrong_keys.clear();
    }

    pub(super) fn seal(&mut self, body: &[u8]) -> Option<Vec<u8>> {
        self.counter = self.counter.checked_add(1)?;
        self.seal.as_ref()?.seal(self.own, self.counter, body)
    }

    /// Which member a proven session belongs to.
    pub(super) fn member(&self, session: SessionId) -> Option<MemberId> {
        self.proven.get(&session).map(|peer| peer.member)
    }

    /// Opens a packet; everything that can be refused without arithmetic is. A session heard for the first time is
    /// challenged with `nonce`, once a message of it is held.
    pub(super) fn open(&mut self, now: Instant, from: MeshAddress, packet: &[u8], nonce: u64) -> Opened {
        let header = match Header::read(packet) {
            Ok(header) => header,
            Err(HeaderError::Version) => return count(&mut self.counters.other_version),
            Err(HeaderError::Length) => return count(&mut self.counters.unreadable),
        };
        if header.session == self.own {
            return Opened::Nothing;
        }
        let ours = [Some(&self.keys.current), self.keys.previous.as_ref()];
        if !ours.iter().flatten().any(|secret| secret.id() == header.key_id) {
            return self.wrong_key(now, from);
        }
        if self.proven.contains_key(&header.session) {
            return self.open_proven(now, &header, packet);
        }
        if !self.trial(now, from) {
            return count(&mut self.counters.over_limit);
        }
        if let Some(pending) = self.pending.get(&header.session)
            && pending.key.id() == header.key_id
        {
            return match pending.key.open(&header, packet) {
                Some(body) => Opened::Unproven { session: header.session, counter: header.counter, body },
                None => count(&mut self.counters.forged),
            };
        }
        let Some((key, body)) = self.try_secrets(&header, packet) else { return self.wrong_key(now, from) };
        if self.pending.len() >= MAX_PENDING {
            return count(&mut self.counters.over_limit);
        }
        let due = now + CHALLENGE_PAUSE;
        self.due_by(due);
        self.pending.insert(header.session, Pending { key, from, nonce, tries: 0, due, held: Vec::new() });
        Opened::Unproven { session: header.session, counter: header.counter, body }
    }

    fn open_proven(&mut self, now: Instant, header: &Header, packet: &[u8]) -> Opened {
        let Some(peer) = self.proven.get(&header.session) else { return Opened::Nothing };
        if !peer.window.is_new(header.counter) {
            return count(&mut self.counters.replayed);
        }
        let known = peer.keys.iter().find(|key| key.id() == header.key_id);
        let (added, body) = match known.map(|key| key.open(header, packet)) {
            Some(body) => (None, body),
            None => {
                self.try_secrets(header, packet).map_or((None, None), |(key, body)| (Some(key), Some(body)))
            }
        };
        let Some(body) = body else { return count(&mut self.counters.forged) };
        if let Some(peer) = self.proven.get_mut(&header.session) {
            peer.keys.extend(added);
            peer.window.mark(header.counter);
            peer.heard = now;
        }
        Opened::Proven { session: header.session, body }
    }

    fn try_secrets(&self, header: &Header, packet: &[u8]) -> Option<(SessionKey, Vec<u8>)> {
        [Some(&self.keys.current), self.keys.previous.as_ref()]
            .into_iter()
            .flatten()
            .filter(|secret| secret.id() == header.key_id)
            .find_map(|secret| {
                let key = SessionKey::derive(secret, header.session, self.kind)?;
                let body = key.open(header, packet)?;
                Some((key, body))
            })
    }

    fn trial(&mut self, now: Instant, from: MeshAddress) -> bool {
        let hash = match from {
            MeshAddress::Mac(mac) => xxh3_64(&mac.0),
            MeshAddress::Socket(socket) => match socket.ip() {
                std::net::IpAddr::V4(ip) => xxh3_64(&ip.octets()),
                std::net::IpAddr::V6(ip) => xxh3_64(&ip.octets()),
            },
        };
        let slot = usize::try_from(hash % TRIAL_SLOTS as u64).unwrap_or(0);
        self.trials.get_mut(slot).is_some_and(|budget| budget.take(now, TRIALS_PER_SECOND))
    }

    fn wrong_key(&mut self, now: Instant, from: MeshAddress) -> Opened {
        self.counters.wrong_key += 1;
        if self.wrong_keys.get(&from).is_some_and(|told| now < *told + WRONG_KEY_PAUSE) {
            return Opened::Nothing;
        }
        if self.wrong_keys.len() >= MAX_WRONG_KEYS {
            self.wrong_keys.retain(|_, told| now < *told + WRONG_KEY_PAUSE);
        }
        if self.wrong_keys.len() >= MAX_WRONG_KEYS {
            return Opened::Nothing;
        }
        self.wrong_keys.insert(from, now);
        Opened::WrongKey
    }

    /// Keeps a message of a session until it is proven, which it is asked to do at `due`.
    pub(super) fn hold(&mut self, session: SessionId, counter: u64, body: Vec<u8>, due: Instant) {
        let Some(pending) = self.pending.get_mut(&session) else { return };
        if pending.tries == 0 {
            pending.due = pending.due.min(due);
        }
        let due = pending.due;
        if pending.held.len() < MAX_HELD && pending.held.iter().all(|(held, _)| *held != counter) {
            pending.held.push((counter, body));
        }
        self.due_by(due);
    }

    fn due_by(&mut self, due: Instant) {
        self.next = Some(self.next.map_or(due, |next| next.min(due)));
    }

    /// The challenge that goes with an answer to somebody else's.
    pub(super) fn challenge_with_echo(&mut self, now: Instant, session: SessionId) -> Option<u64> {
        let pending = self.pending.get_mut(&session)?;
        pending.tries += 1;
        pending.due = now + CHALLENGE_PAUSE;
        Some(pending.nonce)
    }

    /// The session of `member` answered with `nonce` under `counter`: what was held of it, if that is right.
    pub(super) fn prove(
        &mut self,
        now: Instant,
        session: SessionId,
        counter: u64,
        nonce: u64,
        member: MemberId,
    ) -> Option<Vec<Vec<u8>>> {
        self.pending.get(&session).filter(|pending| pending.nonce == nonce)?;
        let pending = self.pending.remove(&session)?;
        self.make_room(member);
        let window = Window::starting_at(counter);
        self.proven.insert(session, Proven { member, keys: vec![pending.key], window, heard: now });
        let recent = counter.saturating_sub(Window::SIZE)..counter;
        Some(
            pending
                .held
                .into_iter()
                .filter(|(held, _)| recent.contains(held))
                .map(|(_, body)| body)
                .collect(),
        )
    }

    fn make_room(&mut self, member: MemberId) {
        let of_member = self.proven.iter().filter(|(_, peer)| peer.member == member);
        let crowded = of_member.count() >= SESSIONS_PER_MEMBER;
        if !crowded && self.proven.len() < MAX_PROVEN {
            return;
        }
        let candidates = self.proven.iter().filter(|(_, peer)| !crowded || peer.member == member);
        if let Some(oldest) = candidates.min_by_key(|(_, peer)| peer.heard).map(|(session, _)| *session) {
            self.proven.remove(&oldest);
        }
    }

    /// The challenges that are due: where to, and the nonce.
    pub(super) fn challenges(&mut self, now: Instant) -> Vec<(MeshAddress, u64)> {
        if self.next.is_none_or(|next| now < next) {
            return Vec::new();
        }
        self.pending.retain(|_, pending| pending.due > now || pending.tries < MAX_CHALLENGES);
        let mut due = Vec::new();
        for pending in self.pending.values_mut().filter(|pending| pending.due <= now) {
            pending.tries += 1;
            pending.due = now + CHALLENGE_PAUSE * pending.tries;
            due.push((pending.from, pending.nonce));
        }
        self.next = self.pending.values().map(|pending| pending.due).min();
        due
    }

    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.next
    }
}

fn count(counter: &mut u64) -> Opened {
    *counter += 1;
    Opened::Nothing
}

/// So many per second, and as many at once.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Budget {
    used_micros: u64,
    at: Option<Instant>,
}

impl Budget {
    pub(super) fn take(&mut self, now: Instant, per_second: u32) -> bool {
        let passed = self.at.map_or(Duration::from_secs(1), |at| now.saturating_duration_since(at));
        let used = self.used_micros.saturating_sub(u64::try_from(passed.as_micros()).unwrap_or(u64::MAX));
        let cost = 1_000_000 / u64::from(per_second.max(1));
        let fits = used + cost <= 1_000_000;
        self.used_micros = if fits { used + cost } else { used };
        self.at = Some(now);
        fits
    }
}

/// Which counters of a session have been heard, as far back as [`Window::SIZE`].
#[derive(Debug, Clone)]
struct Window {
    top: u64,
    seen: [u64; 16],
}

impl Window {
    const SIZE: u64 = 1_024;

    /// Everything up to `counter` counts as heard.
    fn starting_at(counter: u64) -> Self {
        Self { top: counter, seen: [u64::MAX; 16] }
    }

    fn slot(counter: u64) -> (usize, u64) {
        (usize::try_from(counter % Self::SIZE / 64).unwrap_or(0), 1 << (counter % 64))
    }

    fn is_new(&self, counter: u64) -> bool {
        let (word, bit) = Self::slot(counter);
        counter > self.top
            || (self.top - counter < Self::SIZE && self.seen.get(word).is_some_and(|seen| seen & bit == 0))
    }

    fn mark(&mut self, counter: u64) {
        if counter > self.top {
            if counter - self.top >= Self::SIZE {
                self.seen = [0; 16];
            } else {
                (self.top + 1..counter).for_each(|skipped| self.set(skipped, false));
            }
            self.top = counter;
        }
        self.set(counter, true);
    }

    fn set(&mut self, counter: u64, heard: bool) {
        let (word, bit) = Self::slot(counter);
        if let Some(seen) = self.seen.get_mut(word) {
            *seen = if heard { *seen | bit } else { *seen & !bit };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_counter_counts_once() {
        let mut window = Window::starting_at(5);
        assert!(!window.is_new(5) && !window.is_new(1) && window.is_new(6));
        window.mark(9);
        assert!(window.is_new(6) && window.is_new(8) && !window.is_new(9));
        window.mark(7);
        assert!(!window.is_new(7) && window.is_new(6));
        window.mark(7 + Window::SIZE);
        assert!(!window.is_new(7) && window.is_new(8), "8 is just within");
        window.mark(5_000_000);
        assert!(!window.is_new(9) && window.is_new(4_999_999) && !window.is_new(5_000_000));
    }

    #[test]
    fn a_budget_is_per_second() {
        let now = Instant::now();
        let mut budget = Budget::default();
        let granted = (0..200).filter(|_| budget.take(now, 100)).count();
        assert_eq!(granted, 100);
        let later = now + Duration::from_millis(500);
        assert_eq!((0..200).filter(|_| budget.take(later, 100)).count(), 50);
    }
}
