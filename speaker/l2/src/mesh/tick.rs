//! What happens as time passes.

use std::time::{Duration, Instant};

use rand::RngExt;
use rand::rngs::SmallRng;
use rand::seq::IteratorRandom;

use super::Mesh;
use super::message::{Body, Identity};
use super::swim::SUSPICION;
use super::types::{Departure, MeshAddress, MeshEvent, MeshOutput};
use crate::member::MemberId;

/// The least time between two comparisons of views.
pub(super) const COMPARE_PAUSE: Duration = Duration::from_millis(100);
/// Members told our advert one by one in a row, and the time between two rows.
const TELL_AT_ONCE: usize = 32;
const TELL_PAUSE: Duration = Duration::from_millis(10);
/// Members told that they are held dead, in one packet.
const VERDICTS: usize = 16;
/// Members to whom each member hands a death on in the node network.
const RUMOUR: usize = 4;
/// The time between two looks at whether we are settled.
const SETTLE_PAUSE: Duration = Duration::from_millis(20);
/// Lonely members try so many places at once.
const SEEK_AT_ONCE: usize = 8;

impl Mesh {
    /// Does what is due.
    pub fn tick(&mut self, now: Instant, out: &mut MeshOutput) {
        if self.left {
            return;
        }
        let late = self.swim.next_deadline().map_or(Duration::ZERO, |due| now.saturating_duration_since(due));
        if late > SUSPICION * self.profile.factor() / 2 {
            self.stalled(now, late, out);
        }
        if self.swim.tick(now) {
            let before = out.events.len();
            self.absorb(now, out);
            self.mark_suspects();
            self.report_deaths(before, out);
        }
        self.judge(now, out);
        self.challenge(now, out);
        self.pronounce(now, out);
        if self.hello.poll(now, self.peers.is_empty(), &mut self.rng) {
            self.say_hello(now, out);
        }
        self.tell_all(now, out);
        self.tell_each(now, out);
        self.pull(now, out);
        self.compare_views(now, out);
        self.settle(now);
    }

    /// When [`Mesh::tick`] is to be called next.
    pub fn next_deadline(&self) -> Option<Instant> {
        if self.left {
            return None;
        }
        [
            Some(self.hello.next_deadline()),
            self.swim.next_deadline(),
            self.sessions.next_deadline(),
            self.verdicts.next_deadline(),
            self.trials.values().min().copied(),
            self.own.next_deadline(),
            self.tell_at,
            self.wants.next_deadline(),
            self.compare.map(|(due, ..)| due),
            (!self.settled).then_some(self.settle_at),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// What our own probes found out is known to all at once, before gossip brings it.
    fn report_deaths(&mut self, before: usize, out: &mut MeshOutput) {
        let died = |event: &MeshEvent| {
            if let MeshEvent::Down { id, why: Departure::Died } = event { Some(*id) } else { None }
        };
        let dead = out.events.iter().skip(before).filter_map(died);
        let dead: Vec<Identity> = dead.filter_map(|id| self.swim.held(id)).collect();
        for found in dead {
            if self.broadcast {
                self.post_all(&Body::Dead { found }, &[], out);
            }
            self.spread_death(found, out);
        }
    }

    /// Tells some members, and they tell others, where one packet may not reach all.
    pub(super) fn spread_death(&mut self, found: Identity, out: &mut MeshOutput) {
        if self.broadcast {
            return;
        }
        let some = sample(self.peers.keys().copied(), RUMOUR, &mut self.rng);
        for member in some {
            self.post_to(member, Body::Dead { found }, &[], out);
        }
    }

    fn mark_suspects(&mut self) {
        self.peers.values_mut().for_each(|peer| peer.member.suspect = false);
        for id in self.swim.suspects() {
            if let Some(peer) = self.peers.get_mut(&id) {
                peer.member.suspect = true;
            }
        }
    }

    pub(super) fn challenge(&mut self, now: Instant, out: &mut MeshOutput) {
        for (address, nonce) in self.sessions.challenges(now) {
            self.post_at(address, Body::Challenge { nonce }, out);
        }
    }

    /// Tells members what is held against them.
    pub(super) fn pronounce(&mut self, now: Instant, out: &mut MeshOutput) {
        let (to_all, to_each) = self.verdicts.due(now);
        for held in to_all.chunks(VERDICTS) {
            self.post_all(&Body::Declared { held: held.to_vec() }, &[], out);
        }
        for (address, held) in to_each {
            self.post_at(address, Body::Declared { held: vec![held] }, out);
        }
    }

    fn hello_body(&mut self) -> Body {
        Body::Hello { view: self.view().digest, told: self.own.advert.told }
    }

    pub(super) fn post_hello_at(&mut self, address: MeshAddress, out: &mut MeshOutput) {
        let body = self.hello_body();
        self.post_at(address, body, out);
    }

    /// Says hello to one member.
    pub(super) fn greet(&mut self, member: MemberId, out: &mut MeshOutput) {
        let body = self.hello_body();
        self.post_to(member, body, &[], out);
    }

    /// Says hello to all, or where that cannot be or seems not to pass, to some.
    pub(super) fn say_hello(&mut self, now: Instant, out: &mut MeshOutput) {
        if self.broadcast {
            let body = self.hello_body();
            self.post_all(&body, &[], out);
        }
        let silent = now > self.heard_all + super::hello::INTERVAL * 3 * self.profile.factor();
        if !self.broadcast || silent {
            let some = sample(self.peers.keys().copied(), 2, &mut self.rng);
            for member in some {
                self.greet(member, out);
            }
        }
        self.seek(now, out);
    }

    /// Tries where members may be that are not heard: the more others do the same, the less often.
    pub(super) fn seek(&mut self, _now: Instant, out: &mut MeshOutput) {
        let alone = self.peers.is_empty();
        let together = u32::try_from(self.peers.len()).unwrap_or(u32::MAX).saturating_add(1);
        let eager = if self.broadcast { 3 } else { 8 };
        if !alone && self.rng.random_range(0..together) >= eager {
            return;
        }
        let me = self.me();
        let departed = self.swim.departed().filter(|id| id.member != me.member).map(|id| id.address);
        let reached = |address: &MeshAddress| {
            *address == me.address || self.peers.values().any(|peer| peer.identity.address == *address)
        };
        let places = departed.chain(self.seeds.iter().copied()).filter(|address| !reached(address));
        let some = sample(places, if alone { SEEK_AT_ONCE } else { 1 }, &mut self.rng);
        for address in some {
            self.post_hello_at(address, out);
        }
    }

    /// Tells all what is new about us.
    pub(super) fn tell_all(&mut self, now: Instant, out: &mut MeshOutput) {
        let Some(with_body) = self.own.poll(now) else { return };
        if !self.broadcast {
            for member in self.peers.keys() {
                *self.tell.entry(*member).or_default() |= with_body;
            }
            self.tell_at.get_or_insert(now);
            return self.tell_each(now, out);
        }
        let me = self.me();
        let (owner, process, told) = (me.member, me.process, self.own.advert.told);
        if !with_body {
            return self.post_all(&Body::Told { owner, process, told }, &[], out);
        }
        let total = self.own.advert.total();
        for (offset, part) in self.own.advert.parts() {
            self.post_all(&Body::Part { owner, process, told, total, offset }, &part, out);
        }
    }

    /// Tells single members what is new about us, some at a time.
    fn tell_each(&mut self, now: Instant, out: &mut MeshOutput) {
        if self.tell_at.is_none_or(|at| now < at) {
            return;
        }
        let me = self.me();
        let told = self.own.advert.told;
        for _ in 0..TELL_AT_ONCE {
            let Some((member, with_body)) = self.tell.pop_first() else { break };
            if told.version == 0 {
                continue;
            }
            if with_body {
                self.relay(member, me.member, out);
            } else {
                let body = Body::Told { owner: me.member, process: me.process, told };
                self.post_to(member, body, &[], out);
            }
        }
        self.tell_at = (!self.tell.is_empty()).then_some(now + TELL_PAUSE);
    }

    /// Asks for adverts that did not come by themselves.
    fn pull(&mut self, now: Instant, out: &mut MeshOutput) {
        for (owner, anybody) in self.wants.due(now) {
            let other = self.peers.keys().copied().filter(|id| *id != owner).choose(&mut self.rng);
            let asked = if anybody { other.unwrap_or(owner) } else { owner };
            self.post_to(asked, Body::Pull { owners: vec![owner] }, &[], out);
        }
    }

    /// Compares views with a member whose view differed.
    fn compare_views(&mut self, now: Instant, out: &mut MeshOutput) {
        let Some((_, member, theirs)) = self.compare.filter(|(due, ..)| *due <= now) else { return };
        self.compare = None;
        if self.view().digest != theirs {
            self.compared = Some(now);
            let buckets = self.view().buckets.clone();
            self.post_to(member, Body::Summary { buckets }, &[], out);
        }
    }

    fn settle(&mut self, now: Instant) {
        if self.settled || now < self.settle_at {
            return;
        }
        let complete = self.wants.is_empty() && self.compare.is_none();
        self.settled = complete || now >= self.settle_by;
        self.settle_at = now + SETTLE_PAUSE;
    }
}

/// At most `most` of `from`, by chance.
pub(super) fn sample<T: Copy>(from: impl Iterator<Item = T>, most: usize, rng: &mut SmallRng) -> Vec<T> {
    let mut chosen = Vec::with_capacity(most);
    for (seen, one) in from.enumerate() {
        if chosen.len() < most {
            chosen.push(one);
        } else if let Some(place) = chosen.get_mut(rng.random_range(0..=seen)) {
            *place = one;
        }
    }
    chosen
}
