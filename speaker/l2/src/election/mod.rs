//! One segment: which of its members answers for an address.
//!
//! Every member ranks the members for every address by the same function of what they report: (fitness, preference
//! weight, rendezvous hash). Rank decides who tries, a hold decides who answers:
//!
//! - An address without a holder is taken by the best candidate at once. The k-th best waits k times 150 ms for the
//!   better ones, whose offer may not be there yet; nobody is waited for for ever.
//! - A holder broadcasts its hold. Of two holders the greater [`Claimant`](crate::hold::Claimant) stays, the other stops
//!   at once and says so, and the first one bursts.
//! - A holder that is to go stops first, then hands over to the best other candidate; it looks for another one where
//!   nobody takes the address.
//! - A holder that is not the best hands over at once where another is fitter, and as [`Failback`](daymark_model::Failback)
//!   says where another has more weight or a greater hash.
//! - A joiner takes nothing before it has heard the holds of all others.
//!
//! Calls queue what they have to say; [`Election::tick`] sends it in few messages, and [`Election::next_deadline`] says
//! when that is. A digest covers holds that are claimed or held, not those that were released.

mod entry;
mod failback;
mod handover;
mod hear;
mod messages;
mod output;
mod peer;
mod post;
mod status;
mod take;
mod view;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::hold::{Hold, HoldMessage, fingerprint};
use crate::member::MemberId;
use crate::offer::{Offer, Servers};

use entry::{Entry, Origin, Stage};
use failback::Moves;
use peer::Peer;
use post::Post;
use view::View;

pub use messages::MAX_MESSAGE;
pub use output::{
    Action, AddressState, AddressStatus, ElectionEvent, ElectionOutput, GaveUp, Gone, MemberState,
    ProbeResult, Silence, Took,
};

/// How many addresses are decided in one [`Election::tick`].
const BUDGET: usize = 1_000;
/// How long a change of the members is awaited to be followed by others.
const GATHER: Duration = Duration::from_millis(20);
/// How long a member that says something before it reports itself is kept.
const STRAY: Duration = Duration::from_secs(3);
const SWEEP: Duration = Duration::from_secs(60);
const FORGET: Duration = Duration::from_secs(600);
/// How long a member that hears nobody, while others live, takes nothing: for the time that they need to say that they
/// hear it.
const BROKEN_PATIENCE: Duration = Duration::from_millis(1_500);
/// The most addresses remembered that are neither offered nor held.
const MAX_FORMER: usize = 20_000;
/// How soon after a new offer its address may fall back to a better member, which may be slower to have its offer.
const FRESH: Duration = Duration::from_secs(5);

/// Decides for which addresses one member answers on its segment.
#[derive(Debug)]
pub struct Election {
    me: MemberId,
    seed: u64,
    rolls: u64,
    /// The newest time heard of.
    now: Option<Instant>,
    view: View,
    peers: BTreeMap<MemberId, Peer>,
    entries: BTreeMap<IpAddr, Entry>,
    /// When to look at an entry again, as its `due` says.
    timers: BTreeSet<(Instant, IpAddr)>,
    /// The addresses for which this member answers.
    holding: BTreeSet<IpAddr>,
    /// The addresses that are being handed over.
    giving: BTreeSet<IpAddr>,
    settled: bool,
    joined: bool,
    broken: bool,
    /// While the membership is broken: before that nothing is taken, so that others can say whether we are heard.
    broken_until: Option<Instant>,
    /// Of this member's holds.
    digest: u64,
    moves: Moves,
    /// The addresses that another holds too, who is to yield: when to tell it again, and how long to wait then.
    duels: BTreeMap<IpAddr, (Instant, Duration)>,
    post: Post,
    rethink: Option<Instant>,
    sweep: Option<Instant>,
}

impl Election {
    /// An election in which `me` takes part; `seed` spreads what all members would do at the same time.
    pub fn new(me: MemberId, seed: u64) -> Self {
        Self {
            me,
            seed,
            rolls: 0,
            now: None,
            view: View::new(me),
            peers: BTreeMap::new(),
            entries: BTreeMap::new(),
            timers: BTreeSet::new(),
            holding: BTreeSet::new(),
            giving: BTreeSet::new(),
            settled: false,
            joined: false,
            broken: false,
            broken_until: None,
            digest: 0,
            moves: Moves::default(),
            duels: BTreeMap::new(),
            post: Post::default(),
            rethink: None,
            sweep: None,
        }
    }

    /// The node may answer for an address, or what it may do has changed.
    pub fn offer(&mut self, now: Instant, offer: &Offer, out: &mut ElectionOutput) {
        self.at(now);
        let address = offer.address;
        let entry = self.entries.entry(address).or_insert_with(|| Entry::new(now));
        entry.touched = now;
        let old = entry.offer.replace(offer.clone());
        match &old {
            Some(old) if old == offer => return,
            Some(old) if gained(&old.servers, &offer.servers) => entry.settles_at = now + failback::PATIENCE,
            Some(_) => {}
            None => entry.settles_at = now + FRESH,
        }
        match entry.stage {
            Stage::Holding => {
                let settings = |offer: &Offer| (offer.terms.refresh, offer.terms.profile);
                if old.is_none_or(|old| settings(&old) != settings(offer)) {
                    let (refresh, profile) = settings(offer);
                    out.actions.push(Action::Own { address, refresh, profile, burst: false });
                }
                self.moves.review(address);
            }
            Stage::Idle | Stage::Claiming { .. } => self.look_at(now, address),
            Stage::Giving(_) => {}
        }
    }

    /// The node may not answer for an address any more. Who answers for it stops at once, and hands it over.
    pub fn withdraw(&mut self, now: Instant, address: IpAddr, out: &mut ElectionOutput) {
        self.at(now);
        let Some(entry) = self.entries.get_mut(&address) else { return };
        if entry.offer.is_none() {
            return;
        }
        entry.touched = now;
        match entry.stage {
            Stage::Holding => self.give(now, address, GaveUp::Withdrawn, out),
            Stage::Claiming { .. } => self.drop_claim(now, address, out),
            Stage::Idle | Stage::Giving(_) => {}
        }
        let Some(entry) = self.entries.get_mut(&address) else { return };
        entry.offer = None;
        entry.retry = None;
        entry.vacant_since = None;
        if entry.conflict.take().is_some() {
            out.events.push(ElectionEvent::ConflictEnded { address });
        }
        if matches!(entry.stage, Stage::Idle) {
            entry.schedule(&mut self.timers, address, None);
        }
    }

    /// A member of the segment joined, or says something new of itself.
    pub fn member(&mut self, now: Instant, state: MemberState, _out: &mut ElectionOutput) {
        self.at(now);
        let id = state.id;
        if id == self.me {
            return;
        }
        self.peer(now, id);
        if self.view.set(now, state) {
            self.view_changed(now);
        }
    }

    /// A member is not there any more.
    pub fn gone(&mut self, now: Instant, id: MemberId, how: Gone, out: &mut ElectionOutput) {
        self.at(now);
        if self.view.remove(now, id) {
            self.view_changed(now);
        }
        self.post.forget(id);
        let Some(peer) = self.peers.remove(&id) else { return };
        let end = match how {
            Gone::Died => Origin::Silent,
            Gone::Left => Origin::Planned,
        };
        for (address, phase) in peer.into_live() {
            self.vacated(now, address, (id, phase), end, out);
        }
        let waits_for_it: Vec<IpAddr> = self.giving.iter().copied().collect();
        for address in waits_for_it {
            self.refused(now, id, address, out);
        }
    }

    /// How this member is itself, and whether it leaves.
    pub fn own(&mut self, now: Instant, state: MemberState, _out: &mut ElectionOutput) {
        self.at(now);
        if self.view.set_me(now, state) {
            self.view_changed(now);
        }
    }

    /// Nobody is heard on the segment although others live there.
    pub fn broken(&mut self, now: Instant, broken: bool, out: &mut ElectionOutput) {
        self.at(now);
        if self.broken != broken {
            self.broken = broken;
            self.broken_until = broken.then_some(now + BROKEN_PATIENCE);
            if broken {
                self.drop_claims(now, out);
            }
            self.view_changed(now);
        }
    }

    /// A member advertises the digest of its holds.
    pub fn digest_of(&mut self, now: Instant, id: MemberId, digest: u64, _out: &mut ElectionOutput) {
        self.at(now);
        if id == self.me {
            return;
        }
        let jitter = self.jitter(Duration::from_millis(50));
        self.peer(now, id).advertise(now, digest, jitter);
    }

    /// The process stood still, or the carrier was gone: nothing is answered for until it has been won again.
    pub fn lost(&mut self, now: Instant, out: &mut ElectionOutput) {
        self.at(now);
        let addresses: Vec<IpAddr> = self.entries.keys().copied().collect();
        for address in addresses {
            let Some(entry) = self.entries.get_mut(&address) else { continue };
            match std::mem::replace(&mut entry.stage, Stage::Idle) {
                Stage::Holding => {
                    out.actions.push(Action::Disown { address });
                    out.events.push(ElectionEvent::GaveUp { address, cause: GaveUp::Lost });
                    entry.origin = Origin::Silent;
                }
                Stage::Claiming { .. } => out.actions.push(Action::CancelProbe { address }),
                Stage::Giving(_) | Stage::Idle => {}
            }
            entry.own = None;
            entry.declined = None;
            entry.retry = None;
            entry.vacant_since = None;
            entry.schedule(&mut self.timers, address, None);
        }
        self.digest = 0;
        self.holding.clear();
        self.giving.clear();
        self.moves.clear();
        self.duels.clear();
        self.post = Post::default();
        self.post.announce_nothing();
        self.joined = false;
        for peer in self.peers.values_mut() {
            peer.start_over(now);
        }
    }

    fn drop_claims(&mut self, now: Instant, out: &mut ElectionOutput) {
        let claimed = |(address, entry): (&IpAddr, &Entry)| {
            matches!(entry.stage, Stage::Claiming { .. }).then_some(*address)
        };
        let addresses: Vec<IpAddr> = self.entries.iter().filter_map(claimed).collect();
        for address in addresses {
            self.drop_claim(now, address, out);
        }
    }

    /// Whether this member has had the time to hear others: before that it takes nothing.
    pub fn settled(&mut self, now: Instant, settled: bool, _out: &mut ElectionOutput) {
        self.at(now);
        if settled && !self.settled {
            // What came due meanwhile was passed over.
            self.rethink = Some(now);
        }
        self.settled = settled;
    }

    /// Time has passed: sends what is queued, and does what is due.
    pub fn tick(&mut self, now: Instant, out: &mut ElectionOutput) {
        self.at(now);
        self.join(now);
        if self.rethink.is_some_and(|at| at <= now) {
            self.rethink = None;
            self.moves.review_all(&self.holding);
            for (address, entry) in &mut self.entries {
                if entry.undecided() {
                    entry.schedule(&mut self.timers, *address, Some(now));
                }
            }
        }
        self.review(now);
        self.make_moves(now, out);
        let mut budget = BUDGET;
        while let Some((at, address)) =
            self.timers.first().copied().filter(|(at, _)| *at <= now && budget > 0)
        {
            self.timers.remove(&(at, address));
            budget -= 1;
            self.due(now, address, out);
        }
        self.duel(now);
        for (id, peer) in &mut self.peers {
            if peer.asks(now) {
                self.post.pulls.insert(*id);
            }
        }
        if self.sweep.is_none_or(|at| at <= now) {
            self.sweep = Some(now + SWEEP);
            self.forget_former(now);
        }
        self.drop_strays(now, out);
        self.post.flush(now, &self.entries, self.digest, out);
    }

    /// When [`Election::tick`] wants to be called; a time in the past = at once.
    pub fn next_deadline(&self) -> Option<Instant> {
        let now = self.now?;
        let timer = self.timers.first().map(|(at, _)| *at);
        let pull = self.peers.values().filter_map(Peer::next_pull).min();
        let join = (!self.joined && self.settled && self.view.me().is_some())
            .then(|| self.peers.values().filter_map(Peer::patience_ends).max().unwrap_or(now));
        let stray = self
            .peers
            .iter()
            .filter(|(id, _)| !self.view.contains(**id))
            .map(|(_, peer)| peer.since() + STRAY);
        let duel = self.duels.values().map(|(at, _)| *at).min();
        [
            timer,
            pull,
            duel,
            join,
            self.rethink,
            self.sweep,
            self.moves.next(now),
            self.post.next(now),
            stray.min(),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// The digest of this member's holds.
    pub fn my_digest(&self) -> u64 {
        self.digest
    }

    fn at(&mut self, now: Instant) {
        self.now = Some(now);
    }

    fn ready(&self) -> bool {
        self.settled && self.joined && self.view.me().is_some()
    }

    fn jitter(&mut self, most: Duration) -> Duration {
        self.rolls += 1;
        let roll = xxh3_64_with_seed(&self.rolls.to_be_bytes(), self.seed);
        most.mul_f64((roll >> 11) as f64 / (1_u64 << 53) as f64)
    }

    fn peer(&mut self, now: Instant, id: MemberId) -> &mut Peer {
        if !self.peers.contains_key(&id) {
            let wait = if self.joined { self.jitter(GATHER) } else { Duration::ZERO };
            self.peers.insert(id, Peer::new(now, now + wait));
        }
        self.peers.entry(id).or_insert_with(|| Peer::new(now, now))
    }

    fn look_at(&mut self, now: Instant, address: IpAddr) {
        if let Some(entry) = self.entries.get_mut(&address) {
            entry.schedule(&mut self.timers, address, Some(now));
        }
    }

    fn view_changed(&mut self, now: Instant) {
        self.rethink.get_or_insert(now + GATHER);
    }

    fn join(&mut self, now: Instant) {
        if self.joined || !self.settled || self.view.me().is_none() {
            return;
        }
        if self.peers.values().all(|peer| peer.waited_for(now)) {
            self.joined = true;
            self.rethink = Some(now);
        }
    }

    /// Does what an entry's timer was set for.
    fn due(&mut self, now: Instant, address: IpAddr, out: &mut ElectionOutput) {
        let Some(entry) = self.entries.get_mut(&address) else { return };
        entry.due = None;
        match entry.stage {
            Stage::Idle => self.consider(now, address, out),
            Stage::Claiming { .. } => self.reconsider_claim(now, address, out),
            Stage::Holding => self.end_conflict(now, address, out),
            Stage::Giving(_) => self.urge(now, address, out),
        }
    }

    /// Replaces this member's hold of `address`.
    fn set_hold(&mut self, address: IpAddr, hold: Option<Hold>) {
        let Some(entry) = self.entries.get_mut(&address) else { return };
        for old_or_new in [entry.own, hold].iter().flatten().filter(|hold| peer::is_live(hold)) {
            self.digest ^= fingerprint(old_or_new);
        }
        entry.own = hold;
    }

    fn forget_former(&mut self, now: Instant) {
        for peer in self.peers.values_mut() {
            peer.forget_released(now, SWEEP);
        }
        let former = |entry: &Entry| entry.is_former();
        self.entries
            .retain(|_, entry| !former(entry) || now.saturating_duration_since(entry.touched) < FORGET);
        let mut oldest: Vec<(Instant, IpAddr)> = self
            .entries
            .iter()
            .filter(|(_, entry)| former(entry))
            .map(|(at, entry)| (entry.touched, *at))
            .collect();
        if oldest.len() > MAX_FORMER {
            oldest.sort_unstable();
            oldest.truncate(oldest.len() - MAX_FORMER);
            for (_, address) in oldest {
                self.entries.remove(&address);
            }
        }
    }

    fn drop_strays(&mut self, now: Instant, out: &mut ElectionOutput) {
        let strays: Vec<MemberId> = self
            .peers
            .iter()
            .filter(|(id, peer)| !self.view.contains(**id) && peer.since() + STRAY <= now)
            .map(|(id, _)| *id)
            .collect();
        for id in strays {
            self.gone(now, id, Gone::Died, out);
        }
    }

    /// A member says something about holds.
    pub fn heard(&mut self, now: Instant, from: MemberId, message: HoldMessage, out: &mut ElectionOutput) {
        self.at(now);
        if from == self.me {
            return;
        }
        self.peer(now, from);
        match message {
            HoldMessage::Changed(holds) => {
                for hold in holds {
                    self.hear_hold(now, from, hold, true, out);
                }
            }
            HoldMessage::Pull => self.post.pulled(from),
            HoldMessage::All { digest, part, parts, holds } => {
                self.hear_all(now, from, peer::Part { digest, part, parts }, holds, out);
            }
            HoldMessage::HandOver(holds) => self.hear_hand_over(now, from, holds, out),
            HoldMessage::Refused(addresses) => {
                for address in addresses {
                    self.refused(now, from, address, out);
                }
            }
            HoldMessage::Ready(addresses) => self.hear_ready(now, addresses),
        }
    }
}

/// Whether `new` has nodes that `old` lacks.
fn gained(old: &Servers, new: &Servers) -> bool {
    match (old, new) {
        (Servers::Any, _) => false,
        (Servers::Only(_), Servers::Any) => true,
        (Servers::Only(old), Servers::Only(new)) => !new.is_subset(old),
    }
}
