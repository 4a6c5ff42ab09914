//! What happens when a packet comes.

use std::time::{Duration, Instant};

use bytes::Bytes;
use rand::Rng;

use super::crypto::SessionId;
use super::hello::within;
use super::message::{Audience, Body, Entry, Envelope, Identity, Told};
use super::session::Opened;
use super::types::{MeshAddress, MeshDestination, MeshEvent, MeshOutput};
use super::view::{self, BUCKETS};
use super::{DEAF_FOR, MAX_DEAF, MAX_PAYLOAD, Mesh, RENEWALS_PER_SECOND, Spoke, Word};
use crate::member::MemberId;

/// Members told of in one packet.
const ENTRIES: usize = 16;
/// Answers to summaries and pulls per second.
const ANSWERS_PER_SECOND: u32 = 1_000;
/// Adverts asked for in one packet.
const MAX_PULLS: usize = 64;
/// Who was heard within this time is not dead, whoever says so.
const HEARD_JUST_NOW: Duration = Duration::from_millis(200);
const DUPLICATE_PAUSE: Duration = Duration::from_secs(10);

impl Mesh {
    /// Takes in what came from `from`: the bytes behind the Ethernet header, or of a UDP datagram. They may be anybody's.
    pub fn handle(&mut self, now: Instant, from: MeshAddress, payload: &[u8], out: &mut MeshOutput) {
        if self.left {
            return;
        }
        let nonce = self.rng.next_u64();
        match self.sessions.open(now, from, payload, nonce) {
            Opened::Proven { session, body } => match Envelope::read(&body) {
                Some((envelope, tail)) => {
                    if self.sessions.member(session) == Some(envelope.from.member) {
                        self.receive(now, envelope, tail, out);
                    } else {
                        self.sessions.counters.forged += 1;
                    }
                }
                None => self.sessions.counters.unreadable += 1,
            },
            Opened::Unproven { session, counter, body } => {
                self.receive_unproven(now, from, (session, counter), body, out);
            }
            Opened::WrongKey => out.events.push(MeshEvent::WrongKey { from }),
            Opened::Nothing => {}
        }
    }

    fn receive_unproven(
        &mut self,
        now: Instant,
        from: MeshAddress,
        (session, counter): (SessionId, u64),
        body: Vec<u8>,
        out: &mut MeshOutput,
    ) {
        let Some((envelope, _)) = Envelope::read(&body) else {
            self.sessions.counters.unreadable += 1;
            return;
        };
        if !self.concerns_us(&envelope.to) {
            return;
        }
        match envelope.body {
            Body::Challenge { nonce } => {
                let challenge = self.sessions.challenge_with_echo(now, session);
                let audience = Audience::Member(envelope.from.member);
                let echo = Body::Echo { nonce, challenge };
                self.post(MeshDestination::To(from), audience, echo, &[], out);
            }
            Body::Echo { nonce, challenge } => {
                let member = envelope.from.member;
                let Some(held) = self.sessions.prove(now, session, counter, nonce, member) else { return };
                for body in &held {
                    if let Some((envelope, tail)) = Envelope::read(body)
                        && envelope.from.member == member
                    {
                        self.receive(now, envelope, tail, out);
                    }
                }
                let body = Body::Echo { nonce, challenge };
                self.receive(now, Envelope { body, ..envelope }, &[], out);
            }
            Body::Swim
            | Body::Hello { .. }
            | Body::Declared { .. }
            | Body::Leave
            | Body::Dead { .. }
            | Body::Told { .. }
            | Body::Part { .. }
            | Body::Summary { .. }
            | Body::View { .. }
            | Body::Pull { .. }
            | Body::Payload => {
                let patience = match envelope.to {
                    Audience::All => self.spread(Duration::ZERO, Duration::from_micros(200)),
                    Audience::Anyone | Audience::Member(_) => Duration::ZERO,
                };
                let due = now + within(patience, &mut self.rng);
                self.sessions.hold(session, counter, body, due);
                self.challenge(now, out);
            }
        }
    }

    fn concerns_us(&self, audience: &Audience) -> bool {
        match audience {
            Audience::All | Audience::Anyone => true,
            Audience::Member(member) => *member == self.me().member,
        }
    }

    /// A message from a session that lives.
    fn receive(&mut self, now: Instant, envelope: Envelope, tail: &[u8], out: &mut MeshOutput) {
        let Envelope { from, to, body } = envelope;
        if !self.concerns_us(&to) {
            return;
        }
        if from.member == self.me().member {
            return self.duplicate(now, from, out);
        }
        let to_all = to == Audience::All;
        if body == Body::Leave {
            return self.farewell(now, from, out);
        }
        let new = self.hear(now, from, to_all, out);
        match body {
            Body::Challenge { nonce } => {
                let (to, audience) = (MeshDestination::To(from.address), Audience::Member(from.member));
                self.post(to, audience, Body::Echo { nonce, challenge: None }, &[], out);
            }
            Body::Echo { challenge: Some(nonce), .. } => {
                let (to, audience) = (MeshDestination::To(from.address), Audience::Member(from.member));
                self.post(to, audience, Body::Echo { nonce, challenge: None }, &[], out);
            }
            Body::Echo { challenge: None, .. } | Body::Leave => {}
            Body::Swim => {
                if !self.swim.handle(now, tail) {
                    self.sessions.counters.unreadable += 1;
                }
                self.absorb_word(now, Word::Hearsay, out);
            }
            Body::Hello { view, told } => {
                self.learn(now, from.member, (from.member, from.process), told, out);
                self.compare_hello(now, from, view, to_all);
            }
            Body::Dead { found } => self.found_dead(now, from.member, found, out),
            Body::Declared { held } => self.declared(now, from, &held, out),
            Body::Told { owner, process, told } => self.learn(now, from.member, (owner, process), told, out),
            Body::Part { owner, process, told, total, offset } => {
                self.learn(now, from.member, (owner, process), told, out);
                self.take_part(owner, process, (told.body, total, offset), tail, out);
            }
            Body::Summary { buckets } => self.answer_summary(now, from.member, &buckets, out),
            Body::View { covers, entries, answer } => {
                self.take_view(now, from.member, covers, &entries, answer, out);
            }
            Body::Pull { owners } => self.answer_pull(now, from.member, &owners, out),
            Body::Payload => {
                if self.peers.contains_key(&from.member) && tail.len() <= MAX_PAYLOAD {
                    let bytes = Bytes::copy_from_slice(tail);
                    out.events.push(MeshEvent::Payload { from: from.member, bytes });
                }
            }
        }
        if new && !to_all {
            self.greet(from.member, out);
        }
    }

    /// Another process that lives goes by our name.
    fn duplicate(&mut self, now: Instant, other: Identity, out: &mut MeshOutput) {
        if self.duplicate_told.is_none_or(|told| now >= told + DUPLICATE_PAUSE) {
            self.duplicate_told = Some(now);
            out.events.push(MeshEvent::Duplicate { from: other.address });
        }
        if other > self.me() && self.may_renew(now, &other) {
            self.renew(now, other.generation, Duration::ZERO, out);
        }
    }

    fn farewell(&mut self, now: Instant, from: Identity, out: &mut MeshOutput) {
        if let Some(peer) = self.peers.get(&from.member)
            && peer.identity.process == from.process
        {
            let identity = peer.identity.max(from);
            self.swim.dead(now, Identity { left: true, ..identity });
            self.absorb(now, out);
        }
    }

    /// A member has found another one dead. One that was heard just now is not: it is told what others think.
    fn found_dead(&mut self, now: Instant, by: MemberId, found: Identity, out: &mut MeshOutput) {
        if !self.peers.contains_key(&by) {
            return;
        }
        if found.member == self.me().member {
            if found >= self.me() && self.may_renew(now, &found) {
                self.renew(now, found.generation, Duration::ZERO, out);
            }
            return;
        }
        let Some(peer) = self.peers.get(&found.member).filter(|peer| peer.identity == found) else { return };
        if now < peer.heard + HEARD_JUST_NOW * self.profile.factor() {
            self.hold_against(now, found, found.address, false);
            return self.pronounce(now, out);
        }
        self.swim.dead(now, found);
        self.absorb(now, out);
        self.spread_death(found, out);
    }

    /// A member speaks, so it lives. Whoever holds something against it tells it. True when it has come up by that.
    fn hear(&mut self, now: Instant, from: Identity, to_all: bool, out: &mut MeshOutput) -> bool {
        if let Some(peer) = self.peers.get_mut(&from.member) {
            let overtaken = peer.identity.process == from.process && peer.identity > from;
            if peer.identity == from || overtaken {
                peer.heard = now;
                return false;
            }
        }
        let was_up = self.peers.contains_key(&from.member);
        self.swim.alive(now, from);
        self.absorb(now, out);
        if self.peers.get(&from.member).is_some_and(|peer| peer.identity == from) {
            return !was_up;
        }
        if let Some(held) = self.swim.held(from.member) {
            self.note_deaf(now, from.member);
            self.hold_against(now, held, from.address, to_all && self.broadcast);
            self.pronounce(now, out);
        }
        false
    }

    fn note_deaf(&mut self, now: Instant, id: MemberId) {
        if self.peers.contains_key(&id) {
            return;
        }
        let quiet = DEAF_FOR * self.profile.factor();
        self.deaf.retain(|_, spoke| now < spoke.last + quiet);
        if self.deaf.len() < MAX_DEAF || self.deaf.contains_key(&id) {
            self.deaf.entry(id).or_insert(Spoke { first: now, last: now }).last = now;
        }
    }

    /// A process that was here before us is outdone once; one that lives must not be fought without a pause.
    fn may_renew(&mut self, now: Instant, held: &Identity) -> bool {
        if held.process == self.me().process {
            self.renewals.take(now, RENEWALS_PER_SECOND)
        } else {
            self.takeovers.take(now, 1)
        }
    }

    pub(super) fn hold_against(&mut self, now: Instant, held: Identity, at: MeshAddress, to_all: bool) {
        let spread = self.spread(Duration::from_millis(2), Duration::from_micros(100));
        let due = if to_all { now + within(spread, &mut self.rng) } else { now };
        self.verdicts.add(held, at, to_all, due);
    }

    /// Somebody holds these against those that go by their names.
    fn declared(&mut self, now: Instant, from: Identity, held: &[Identity], out: &mut MeshOutput) {
        let me = self.me();
        let against_us = held.iter().filter(|held| held.member == me.member && **held >= me);
        if let Some(held) = against_us.max() {
            if self.may_renew(now, held) {
                self.renew(now, held.generation, Duration::ZERO, out);
                self.post_hello_at(from.address, out);
            }
            return;
        }
        held.iter().for_each(|held| self.verdicts.told(held));
        let named = held.iter().any(|held| held.member == me.member);
        if !named && !self.peers.contains_key(&from.member) && self.splits.take(now, 1) {
            // We hold dead who holds others dead: there was a split, and we are on their side of it.
            let spread = self.spread(Duration::from_millis(5), Duration::from_micros(400));
            self.renew(now, 0, spread, out);
        }
    }

    fn compare_hello(&mut self, now: Instant, from: Identity, view: u64, to_all: bool) {
        if to_all {
            self.heard_all = now;
        }
        if self.view().digest == view {
            if to_all {
                self.hello.heard_same();
            }
            return;
        }
        if to_all {
            let spread = self.spread(Duration::from_millis(20), Duration::from_micros(200));
            self.hello.soon(now, spread, &mut self.rng);
        }
        if self.compare.is_none() && self.peers.contains_key(&from.member) {
            let spread = match to_all {
                true => self.spread(Duration::from_millis(30), Duration::from_micros(500)),
                false => Duration::from_millis(20),
            };
            let earliest = self.compared.map_or(now, |at| now.max(at + super::tick::COMPARE_PAUSE));
            let due = earliest + within(spread, &mut self.rng) * self.profile.factor();
            self.compare = Some((due, from.member, view));
        }
    }

    /// A member's word about itself is this far, by its own word or by another's.
    fn learn(
        &mut self,
        now: Instant,
        by: MemberId,
        (owner, process): (MemberId, [u8; 8]),
        told: Told,
        out: &mut MeshOutput,
    ) {
        let Some(peer) = self.peers.get_mut(&owner).filter(|peer| peer.identity.process == process) else {
            return;
        };
        if peer.advert.learn(told) {
            self.view = None;
            if peer.member.digest != told.digest {
                peer.member.digest = told.digest;
                out.events.push(MeshEvent::Digest(owner));
            }
        }
        if peer.advert.complete() && (peer.advert.told.version > 0 || by == owner) {
            // Who has not told anything yet tells it to all once it has.
            self.wants.have(owner);
        } else if !peer.advert.complete() {
            self.wants.want(now, owner, &mut self.rng);
        }
    }

    fn take_part(
        &mut self,
        owner: MemberId,
        process: [u8; 8],
        (body, total, offset): (u64, u16, u16),
        part: &[u8],
        out: &mut MeshOutput,
    ) {
        let Some(peer) = self.peers.get_mut(&owner).filter(|peer| peer.identity.process == process) else {
            return;
        };
        if peer.advert.part(body, total, offset, part) {
            peer.member.advert = peer.advert.bytes.clone();
            out.events.push(MeshEvent::Advert(owner));
        }
        if peer.advert.complete() {
            self.wants.have(owner);
        }
    }

    /// Another member's view in short: it gets what differs of ours.
    fn answer_summary(&mut self, now: Instant, from: MemberId, theirs: &[u64], out: &mut MeshOutput) {
        if theirs.len() != BUCKETS || !self.answers.take(now, ANSWERS_PER_SECOND) {
            return;
        }
        let mask = self.view().differences(theirs);
        if mask != 0 {
            let entries = self.entries().filter(|entry| view::covers(mask, entry.identity.member)).collect();
            self.post_view(from, mask, entries, true, out);
        }
    }

    /// Sends entries to `to`, each bucket of `mask` whole in one packet where it fits.
    fn post_view(
        &mut self,
        to: MemberId,
        mask: u64,
        mut entries: Vec<Entry>,
        answer: bool,
        out: &mut MeshOutput,
    ) {
        entries.sort_by_key(|entry| view::bucket(entry.identity.member));
        let mut covers = 0;
        let mut packet: Vec<Entry> = Vec::new();
        for bucket in (0..BUCKETS).filter(|bucket| mask >> bucket & 1 == 1) {
            let inside: Vec<Entry> = entries
                .iter()
                .filter(|entry| view::bucket(entry.identity.member) == bucket)
                .copied()
                .collect();
            if packet.len() + inside.len() > ENTRIES {
                let full = std::mem::take(&mut packet);
                self.post_to(to, Body::View { covers, entries: full, answer }, &[], out);
                covers = 0;
            }
            if inside.len() > ENTRIES {
                for some in inside.chunks(ENTRIES) {
                    let entries = some.to_vec();
                    self.post_to(to, Body::View { covers: 0, entries, answer }, &[], out);
                }
            } else {
                packet.extend(inside);
                covers |= 1 << bucket;
            }
        }
        if covers != 0 {
            self.post_to(to, Body::View { covers, entries: packet, answer }, &[], out);
        }
    }

    /// A part of another member's view: takes in what is new, and answers with what is newer here.
    fn take_view(
        &mut self,
        now: Instant,
        from: MemberId,
        covers: u64,
        entries: &[Entry],
        answer: bool,
        out: &mut MeshOutput,
    ) {
        let mine = self.entry();
        for entry in entries {
            if entry.identity.member == mine.identity.member {
                self.seen_as(now, &mine, entry, from, out);
                continue;
            }
            let held = self.peers.get(&entry.identity.member).map(|peer| peer.identity);
            if held.is_none_or(|held| held < entry.identity) {
                self.hear_of(now, entry.identity, out);
            }
            let owner = (entry.identity.member, entry.identity.process);
            self.learn(now, from, owner, entry.told, out);
        }
        if !answer {
            return;
        }
        let newer: Vec<Entry> = self
            .entries()
            .filter(|ours| {
                let theirs = entries.iter().find(|theirs| theirs.identity.member == ours.identity.member);
                match theirs {
                    Some(theirs) => {
                        ours.identity > theirs.identity
                            || (ours.identity.process == theirs.identity.process
                                && ours.told.version > theirs.told.version)
                    }
                    None => view::covers(covers, ours.identity.member),
                }
            })
            .collect();
        for some in newer.chunks(ENTRIES) {
            self.post_to(from, Body::View { covers: 0, entries: some.to_vec(), answer: false }, &[], out);
        }
    }

    /// Another member sees us like this.
    fn seen_as(&mut self, now: Instant, mine: &Entry, seen: &Entry, by: MemberId, out: &mut MeshOutput) {
        if seen.identity > mine.identity && seen.identity.process != mine.identity.process {
            if self.may_renew(now, &seen.identity) {
                self.renew(now, seen.identity.generation, Duration::ZERO, out);
            }
        } else if seen.identity != mine.identity {
            self.greet(by, out);
        } else if seen.told.version < mine.told.version {
            self.tell.insert(by, true);
            self.tell_at.get_or_insert(now);
        }
    }

    /// Another member says that this one lives.
    fn hear_of(&mut self, now: Instant, identity: Identity, out: &mut MeshOutput) {
        self.swim.alive(now, identity);
        self.absorb(now, out);
        if !self.peers.contains_key(&identity.member)
            && let Some(held) = self.swim.held(identity.member)
        {
            self.hold_against(now, held, identity.address, false);
            self.pronounce(now, out);
        }
    }

    fn answer_pull(&mut self, now: Instant, from: MemberId, owners: &[MemberId], out: &mut MeshOutput) {
        for owner in owners.iter().take(MAX_PULLS) {
            if !self.answers.take(now, ANSWERS_PER_SECOND) {
                return;
            }
            self.relay(from, *owner, out);
        }
    }

    /// Tells `to` the advert of `owner`, ours or another's.
    pub(super) fn relay(&mut self, to: MemberId, owner: MemberId, out: &mut MeshOutput) {
        let me = self.me();
        let (process, advert) = match self.peers.get(&owner) {
            Some(peer) => (peer.identity.process, &peer.advert),
            None if owner == me.member => (me.process, &self.own.advert),
            None => return,
        };
        if !advert.complete() || (advert.told.version == 0 && owner != me.member) {
            return;
        }
        if advert.told.version == 0 {
            return self.post_to(to, Body::Told { owner, process, told: Told::default() }, &[], out);
        }
        let (told, total) = (advert.told, advert.total());
        for (offset, part) in advert.parts() {
            self.post_to(to, Body::Part { owner, process, told, total, offset }, &part, out);
        }
    }
}
