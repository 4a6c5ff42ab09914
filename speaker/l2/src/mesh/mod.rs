//! One membership: who else is there, and what they tell everybody.
//!
//! A mesh lives on a segment, in frames of its own EtherType, or in the node network, in UDP datagrams. What members
//! say is sealed ([`Key`]) and counts only from sessions that answered a challenge. SWIM finds out who is dead. Hellos,
//! said unless two with the same view were heard, find everything that got lost: each has the digest of the sender's
//! view, and two who differ compare their views. Who is heard though it is held dead is told so and renews itself, by
//! which partitions heal as soon as one packet passes.
//!
//! | file | about |
//! |---|---|
//! | `crypto` | sealed packets |
//! | `session` | other processes' sessions: challenges, replay windows, limits |
//! | `message` | what is in a packet |
//! | `swim` | foca: probes, suspicion, gossip |
//! | `hello` | when to say hello |
//! | `view` | views and their digests |
//! | `verdict` | who must be told that it is held dead |
//! | `advert` | adverts in parts, who lacks which |
//! | `receive`, `tick` | what happens when a packet comes, and as time passes |

mod advert;
mod crypto;
mod hello;
mod message;
mod receive;
mod session;
mod swim;
mod tick;
mod types;
mod verdict;
mod view;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use bytes::Bytes;
use daymark_model::TimingProfile;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use xxhash_rust::xxh3::xxh3_64;

use self::advert::{Advert, Own, Wants};
use self::crypto::{MeshKind, SessionId};
use self::hello::Hello;
use self::message::{Audience, Body, Entry, Envelope, Identity};
use self::session::{Budget, Sessions};
use self::swim::{Notice, Swim};
use self::verdict::Verdicts;
use self::view::View;
use crate::member::MemberId;

pub use self::advert::MAX_ADVERT;
pub use self::crypto::Key;
pub use self::types::{
    Departure, Member, MeshAddress, MeshConfig, MeshCounters, MeshDestination, MeshEvent, MeshKeys,
    MeshOutput,
};

/// The longest payload of [`Mesh::broadcast`] and [`Mesh::send`], in bytes.
pub const MAX_PAYLOAD: usize = 1_200;

/// How long a new member listens before it counts as settled.
const SETTLING: Duration = Duration::from_millis(600);
/// How long it waits at most for what it knows to be missing.
const PATIENCE: Duration = Duration::from_secs(1);
/// Members younger than this tell others of themselves without being asked.
const YOUNG: Duration = Duration::from_secs(2);
const MAX_SEEDS: usize = 1_024;
/// How long a live member has to prove gossip of its death wrong.
const TRIAL: Duration = Duration::from_millis(200);
/// How long a member must have ignored that it is held dead to count as deaf, and how long it counts as that after its
/// last word.
const DEAF: Duration = Duration::from_millis(200);
const DEAF_FOR: Duration = Duration::from_millis(1_500);
/// The most deaf members remembered.
const MAX_DEAF: usize = 64;
/// How often others may make us renew ourselves, per second.
const RENEWALS_PER_SECOND: u32 = 5;

/// A member's part in one mesh.
pub struct Mesh {
    broadcast: bool,
    address: MeshAddress,
    profile: TimingProfile,
    rng: SmallRng,
    sessions: Sessions,
    swim: Swim,
    hello: Hello,
    own: Own,
    peers: BTreeMap<MemberId, Peer>,
    /// The digests of the view; `None` = to be counted again.
    view: Option<View>,
    wants: Wants,
    /// Who is to be told our advert (true) or its digest by itself, and when the next of them.
    tell: BTreeMap<MemberId, bool>,
    tell_at: Option<Instant>,
    verdicts: Verdicts,
    /// Live members that others say are dead, until when they may prove them wrong.
    trials: BTreeMap<MemberId, Instant>,
    /// Members held dead that speak, and go on without an answer to being told so.
    deaf: BTreeMap<MemberId, Spoke>,
    /// When to compare views with whom, and the digest of its view.
    compare: Option<(Instant, MemberId, u64)>,
    compared: Option<Instant>,
    answers: Budget,
    renewals: Budget,
    takeovers: Budget,
    splits: Budget,
    duplicate_told: Option<Instant>,
    heard_all: Instant,
    seeds: Vec<MeshAddress>,
    started: Instant,
    /// When to look whether we are settled, and when that is not put off any more.
    settle_at: Instant,
    settle_by: Instant,
    settled: bool,
    left: bool,
}

/// When a member that is held dead was heard first and last.
struct Spoke {
    first: Instant,
    last: Instant,
}

/// How sure a death is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Word {
    /// Found out here, or told by who found it out.
    Firsthand,
    /// Gossip: who comes back from the dark still spreads what it believed there.
    Hearsay,
}

/// A live member and what we know of it.
struct Peer {
    member: Member,
    identity: Identity,
    advert: Advert,
    /// When it was last heard itself.
    heard: Instant,
}

impl Mesh {
    /// A member that knows nobody yet.
    pub fn new(now: Instant, config: MeshConfig) -> Self {
        let MeshConfig { me, address, broadcast, session, keys, seed, profile } = config;
        let kind = if broadcast { MeshKind::Segment } else { MeshKind::NodeNetwork };
        let session = SessionId::derive(session, &view::bytes_of(me), kind);
        let mut rng = SmallRng::seed_from_u64(seed ^ xxh3_64(&session.0));
        let mut process = [0; 8];
        process.iter_mut().zip(session.0).for_each(|(to, from)| *to = from);
        let identity = Identity { generation: 1, left: false, process, member: me, address };
        let swim_rng = SmallRng::seed_from_u64(rng.next_u64());
        Self {
            broadcast,
            address,
            profile,
            sessions: Sessions::new(kind, session, keys),
            swim: Swim::new(now, identity, swim_rng, profile),
            hello: Hello::new(now, profile.factor(), &mut rng),
            own: Own::new(broadcast),
            peers: BTreeMap::new(),
            view: None,
            wants: Wants::default(),
            tell: BTreeMap::new(),
            tell_at: None,
            verdicts: Verdicts::default(),
            trials: BTreeMap::new(),
            deaf: BTreeMap::new(),
            compare: None,
            compared: None,
            answers: Budget::default(),
            renewals: Budget::default(),
            takeovers: Budget::default(),
            splits: Budget::default(),
            duplicate_told: None,
            heard_all: now,
            seeds: Vec::new(),
            started: now,
            settle_at: now + SETTLING * profile.factor(),
            settle_by: now + (SETTLING + PATIENCE) * profile.factor(),
            settled: false,
            left: false,
            rng,
        }
    }

    /// Seals with other secrets from now on.
    pub fn set_keys(&mut self, keys: MeshKeys) {
        self.sessions.set_keys(keys);
    }

    /// Is reached elsewhere from now on.
    pub fn set_address(&mut self, now: Instant, address: MeshAddress, out: &mut MeshOutput) {
        if self.address != address && !self.left {
            self.address = address;
            self.renew(now, 0, Duration::ZERO, out);
        }
    }

    /// Runs faster or slower from now on.
    pub fn set_profile(&mut self, now: Instant, profile: TimingProfile) {
        self.profile = profile;
        self.swim.set_profile(profile);
        self.hello.set_factor(profile.factor());
        self.hello.soon(now, hello::INTERVAL, &mut self.rng);
    }

    /// Tells all members, also those that join, `advert` (at most [`MAX_ADVERT`] bytes; a longer one is not told) and
    /// `digest`. Of several in a row only the last may arrive.
    pub fn advertise(&mut self, now: Instant, advert: Bytes, digest: u64, out: &mut MeshOutput) {
        if advert.len() <= MAX_ADVERT && !self.left && self.own.set(now, advert, digest) {
            self.view = None;
            self.tell_all(now, out);
        }
    }

    /// Where members may be that are not heard: tried one after the other until they are. Replaces those before.
    pub fn seed(&mut self, now: Instant, seeds: &[MeshAddress], out: &mut MeshOutput) {
        self.seeds = seeds.iter().copied().filter(|seed| *seed != self.address).take(MAX_SEEDS).collect();
        if !self.left {
            self.seek(now, out);
        }
    }

    /// Sends `bytes` (at most [`MAX_PAYLOAD`]) to all members; may get lost.
    pub fn broadcast(&mut self, _now: Instant, bytes: &[u8], out: &mut MeshOutput) {
        if bytes.len() <= MAX_PAYLOAD && !self.left {
            self.post_all(&Body::Payload, bytes, out);
        }
    }

    /// Sends `bytes` (at most [`MAX_PAYLOAD`]) to one member, if it is alive; may get lost.
    pub fn send(&mut self, _now: Instant, to: MemberId, bytes: &[u8], out: &mut MeshOutput) {
        if bytes.len() <= MAX_PAYLOAD && !self.left {
            self.post_to(to, Body::Payload, bytes, out);
        }
    }

    /// This process stood still for `_gap`: what it did not hear in that time says nothing about others, and others
    /// may hold it dead.
    pub fn stalled(&mut self, now: Instant, _gap: Duration, out: &mut MeshOutput) {
        if self.left {
            return;
        }
        self.settled = false;
        self.settle_at = now + SETTLING / 2 * self.profile.factor();
        self.settle_by = self.settle_at + PATIENCE * self.profile.factor();
        self.renew(now, 0, Duration::ZERO, out);
    }

    /// Says goodbye, three times. Nothing is heard or said after that.
    pub fn leave(&mut self, _now: Instant, out: &mut MeshOutput) {
        if self.left {
            return;
        }
        for _ in 0..3 {
            self.post_all(&Body::Leave, &[], out);
        }
        self.left = true;
    }

    /// All other members that are alive.
    pub fn members(&self) -> impl Iterator<Item = &Member> {
        self.peers.values().map(|peer| &peer.member)
    }

    /// Another member, if it is alive.
    pub fn member(&self, id: MemberId) -> Option<&Member> {
        self.peers.get(&id).map(|peer| &peer.member)
    }

    /// Members that do not hear: held dead, they speak and do not mind being told so.
    pub fn deaf(&self, now: Instant) -> impl Iterator<Item = MemberId> {
        let factor = self.profile.factor();
        let speaks = move |spoke: &Spoke| {
            spoke.last >= spoke.first + DEAF * factor && now < spoke.last + DEAF_FOR * factor
        };
        self.deaf.iter().filter(move |(_, spoke)| speaks(spoke)).map(|(id, _)| *id)
    }

    /// Whether there has been time to hear of others, since the beginning and since this process stood still.
    pub fn settled(&self) -> bool {
        self.settled
    }

    /// What has been refused.
    pub fn counters(&self) -> MeshCounters {
        self.sessions.counters
    }

    fn me(&self) -> Identity {
        Identity { address: self.address, ..self.swim.me() }
    }

    fn entry(&self) -> Entry {
        Entry { identity: self.me(), told: self.own.advert.told }
    }

    fn entries(&self) -> impl Iterator<Item = Entry> {
        let others =
            self.peers.values().map(|peer| Entry { identity: peer.identity, told: peer.advert.told });
        others.chain([self.entry()])
    }

    fn view(&mut self) -> &View {
        let view = self.view.take().unwrap_or_else(|| View::of(self.entries()));
        self.view.insert(view)
    }

    /// A time within which one of all members may speak so that not all do at once.
    fn spread(&self, base: Duration, per_member: Duration) -> Duration {
        base + per_member * u32::try_from(self.peers.len()).unwrap_or(u32::MAX).min(1_000)
    }

    fn post(
        &mut self,
        to: MeshDestination,
        audience: Audience,
        body: Body,
        tail: &[u8],
        out: &mut MeshOutput,
    ) {
        let envelope = Envelope { from: self.me(), to: audience, body };
        if let Some(packet) = envelope.write(tail).and_then(|bytes| self.sessions.seal(&bytes)) {
            out.packets.push((to, packet));
        }
    }

    fn post_to(&mut self, to: MemberId, body: Body, tail: &[u8], out: &mut MeshOutput) {
        if let Some(address) = self.peers.get(&to).map(|peer| peer.identity.address) {
            self.post(MeshDestination::To(address), Audience::Member(to), body, tail, out);
        }
    }

    /// Nobody knows who is there.
    fn post_at(&mut self, address: MeshAddress, body: Body, out: &mut MeshOutput) {
        self.post(MeshDestination::To(address), Audience::Anyone, body, &[], out);
    }

    fn post_all(&mut self, body: &Body, tail: &[u8], out: &mut MeshOutput) {
        if self.broadcast {
            return self.post(MeshDestination::Broadcast, Audience::All, body.clone(), tail, out);
        }
        let everybody: Vec<MemberId> = self.peers.keys().copied().collect();
        for member in everybody {
            self.post_to(member, body.clone(), tail, out);
        }
    }

    /// Goes by a generation above `held`, and says hello within `spread`, at once without one.
    fn renew(&mut self, now: Instant, held: u32, spread: Duration, out: &mut MeshOutput) {
        let me = self.me().above(held);
        self.swim.renew(now, me);
        self.view = None;
        self.hello.urgent(now, spread, &mut self.rng);
        self.absorb(now, out);
        if spread.is_zero() {
            self.say_hello(now, out);
        }
        if !self.broadcast {
            let some = tick::sample(self.peers.keys().copied(), 8, &mut self.rng);
            for member in some {
                self.greet(member, out);
            }
        }
    }

    /// Hands on what foca wants sent and has found out.
    fn absorb(&mut self, now: Instant, out: &mut MeshOutput) {
        self.absorb_word(now, Word::Firsthand, out);
    }

    fn absorb_word(&mut self, now: Instant, word: Word, out: &mut MeshOutput) {
        for (to, data) in self.swim.take_packets() {
            let (address, audience) = (MeshDestination::To(to.address), Audience::Member(to.member));
            self.post(address, audience, Body::Swim, &data, out);
        }
        for notice in self.swim.take_notices() {
            match notice {
                Notice::Up(identity) => self.came(now, identity, out),
                Notice::Down(identity) if word == Word::Hearsay && !identity.left => {
                    self.doubt(now, identity, out);
                }
                Notice::Down(identity) => {
                    self.went(identity.member, identity.left, out);
                }
                Notice::Replaced(before, after) => self.replaced(now, before, after, out),
                Notice::Renewed => {
                    self.view = None;
                    self.hello.urgent(now, Duration::ZERO, &mut self.rng);
                }
            }
        }
    }

    /// Others say that a live member is dead: it is told, and gone if it does not object.
    fn doubt(&mut self, now: Instant, held: Identity, out: &mut MeshOutput) {
        let Some(peer) = self.peers.get(&held.member) else { return };
        let at = peer.member.address;
        self.trials.entry(held.member).or_insert(now + TRIAL * self.profile.factor());
        self.hold_against(now, held, at, false);
        self.pronounce(now, out);
    }

    /// Ends the trials whose time is over.
    fn judge(&mut self, now: Instant, out: &mut MeshOutput) {
        let over: Vec<MemberId> =
            self.trials.iter().filter(|(_, until)| **until <= now).map(|(id, _)| *id).collect();
        for id in over {
            self.went(id, false, out);
        }
    }

    fn came(&mut self, now: Instant, identity: Identity, out: &mut MeshOutput) {
        let id = identity.member;
        if id == self.me().member {
            return;
        }
        self.deaf.remove(&id);
        if self.trials.remove(&id).is_some() {
            match self.peers.get_mut(&id) {
                Some(peer) if peer.identity.process == identity.process => {
                    peer.identity = identity;
                    peer.member.address = identity.address;
                    peer.heard = now;
                    self.verdicts.settle(id);
                    self.view = None;
                    return;
                }
                Some(_) => self.went(id, true, out),
                None => {}
            }
        }
        let member = Member {
            id,
            address: identity.address,
            alive_since: now,
            advert: Bytes::new(),
            digest: 0,
            suspect: false,
        };
        self.peers.insert(id, Peer { member, identity, advert: Advert::default(), heard: now });
        self.view = None;
        self.verdicts.settle(id);
        self.wants.want(now, id, &mut self.rng);
        if !self.broadcast {
            self.tell.insert(id, true);
            self.tell_at.get_or_insert(now + Duration::from_millis(5));
        } else if now < self.started + YOUNG {
            self.own.tell_again(now + Duration::from_millis(20));
        }
        out.events.push(MeshEvent::Up(id));
    }

    fn went(&mut self, id: MemberId, left: bool, out: &mut MeshOutput) {
        self.trials.remove(&id);
        if self.peers.remove(&id).is_none() {
            return;
        }
        self.view = None;
        self.wants.have(id);
        self.tell.remove(&id);
        let why = if left { Departure::Left } else { Departure::Died };
        out.events.push(MeshEvent::Down { id, why });
    }

    fn replaced(&mut self, now: Instant, before: Identity, after: Identity, out: &mut MeshOutput) {
        self.verdicts.settle(after.member);
        self.deaf.remove(&after.member);
        let Some(peer) = self.peers.get_mut(&after.member) else { return };
        if before.process == after.process {
            peer.identity = after;
            peer.member.address = after.address;
            self.view = None;
            return;
        }
        self.went(after.member, true, out);
        self.came(now, after, out);
    }
}
