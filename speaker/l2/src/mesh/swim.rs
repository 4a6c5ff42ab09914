//! SWIM by foca: who answers probes, who is suspected, who is dead, and gossip about it.

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::num::{NonZeroU8, NonZeroUsize};
use std::time::{Duration, Instant};

use daymark_model::TimingProfile;
use foca::{Config, Foca, NoCustomBroadcast, Notification, PostcardCodec, Runtime, State, Timer};
use rand::rngs::SmallRng;

use super::message::Identity;
use crate::member::MemberId;

const PROBE: Duration = Duration::from_millis(50);
const PROBE_RTT: Duration = Duration::from_millis(20);
/// How long a member that left probes without an answer has to speak up. A process that stands still for as long does
/// not count as dead.
pub(super) const SUSPICION: Duration = Duration::from_millis(300);
/// With more members than this, probes come twice as fast: a death is found by one of many, but has farther to travel.
const MANY_MEMBERS: usize = 100;
/// How long a dead member is remembered.
const REMEMBER_DEAD: Duration = Duration::from_secs(600);
/// The longest message of foca, in bytes.
const MAX_DATAGRAM: usize = 1_200;

/// What foca found out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Notice {
    Up(Identity),
    Down(Identity),
    Replaced(Identity, Identity),
    /// Others took us for dead; we go by another generation now.
    Renewed,
}

/// Foca, and what it asked for.
pub(super) struct Swim {
    foca: Foca<Identity, PostcardCodec, SmallRng, NoCustomBroadcast>,
    queue: Queue,
}

#[derive(Debug)]
struct Queue {
    now: Instant,
    profile: TimingProfile,
    many: bool,
    sequence: u64,
    timers: BinaryHeap<Due>,
    packets: Vec<(Identity, Vec<u8>)>,
    notices: Vec<Notice>,
}

#[derive(Debug)]
struct Due {
    at: Instant,
    sequence: u64,
    timer: Timer<Identity>,
}

impl PartialEq for Due {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Due {}

impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Due {
    /// The earliest is the greatest, as the heap wants it.
    fn cmp(&self, other: &Self) -> Ordering {
        (other.at, &other.timer, other.sequence).cmp(&(self.at, &self.timer, self.sequence))
    }
}

impl Runtime<Identity> for Queue {
    fn notify(&mut self, notification: Notification<'_, Identity>) {
        self.notices.push(match notification {
            Notification::MemberUp(id) => Notice::Up(*id),
            Notification::MemberDown(id) => Notice::Down(*id),
            Notification::Rename(before, after) => Notice::Replaced(*before, *after),
            Notification::Rejoin(_) => Notice::Renewed,
            Notification::Active | Notification::Idle | Notification::Defunct => return,
        });
    }

    fn send_to(&mut self, to: Identity, data: &[u8]) {
        self.packets.push((to, data.to_vec()));
    }

    fn submit_after(&mut self, timer: Timer<Identity>, after: Duration) {
        let factor = self.profile.factor();
        let after = match timer {
            Timer::ProbeRandomMember(_) | Timer::SendIndirectProbe { .. } => {
                after * factor / if self.many { 2 } else { 1 }
            }
            Timer::ChangeSuspectToDown { .. } | Timer::PeriodicGossip(_) => after * factor,
            Timer::PeriodicAnnounce(_) | Timer::PeriodicAnnounceDown(_) | Timer::RemoveDown(_) => after,
        };
        self.sequence += 1;
        self.timers.push(Due { at: self.now + after, sequence: self.sequence, timer });
    }
}

impl Swim {
    pub(super) fn new(now: Instant, me: Identity, rng: SmallRng, profile: TimingProfile) -> Self {
        let config = Config {
            probe_period: PROBE,
            probe_rtt: PROBE_RTT,
            num_indirect_probes: NonZeroUsize::MIN.saturating_add(2),
            max_transmissions: NonZeroU8::MIN.saturating_add(14),
            suspect_to_down_after: SUSPICION,
            remove_down_after: Some(REMEMBER_DEAD),
            max_packet_size: NonZeroUsize::MIN.saturating_add(MAX_DATAGRAM - 1),
            notify_down_members: false,
            ..Config::simple()
        };
        let queue = Queue {
            now,
            profile,
            many: false,
            sequence: 0,
            timers: BinaryHeap::new(),
            packets: Vec::new(),
            notices: Vec::new(),
        };
        Self { foca: Foca::new(me, config, rng, PostcardCodec), queue }
    }

    pub(super) fn me(&self) -> Identity {
        *self.foca.identity()
    }

    pub(super) fn set_profile(&mut self, profile: TimingProfile) {
        self.queue.profile = profile;
    }

    /// A message of another member's foca. False when it cannot be read.
    pub(super) fn handle(&mut self, now: Instant, data: &[u8]) -> bool {
        self.at(now);
        let result = self.foca.handle_data(data, &mut self.queue);
        !matches!(
            result,
            Err(foca::Error::Decode(_) | foca::Error::MalformedPacket | foca::Error::DataTooBig)
        )
    }

    /// Somebody who was heard, or of whom a member says that it lives. What is known against that stays.
    pub(super) fn alive(&mut self, now: Instant, id: Identity) {
        self.update(now, Some(foca::Member::alive(id)));
    }

    pub(super) fn dead(&mut self, now: Instant, id: Identity) {
        self.update(now, Some(foca::Member::down(id)));
    }

    fn update(&mut self, now: Instant, update: Option<foca::Member<Identity>>) {
        self.at(now);
        // The only error is that of an identity that cannot be encoded, which every one can.
        let _ = self.foca.apply_many(update.into_iter(), true, &mut self.queue);
    }

    /// Goes by another identity, and forgets which probes are under way.
    pub(super) fn renew(&mut self, now: Instant, me: Identity) {
        self.at(now);
        // The errors are that of the same identity, which changes nothing, and that of one that cannot be encoded.
        let _ = self.foca.change_identity(me, &mut self.queue);
        self.update(now, None);
    }

    /// Runs what is due. True when something was.
    pub(super) fn tick(&mut self, now: Instant) -> bool {
        self.at(now);
        let mut ran = false;
        while self.queue.timers.peek().is_some_and(|due| due.at <= now)
            && let Some(due) = self.queue.timers.pop()
        {
            // A probe that was cut short is begun anew by itself.
            let _ = self.foca.handle_timer(due.timer, &mut self.queue);
            ran = true;
        }
        ran
    }

    fn at(&mut self, now: Instant) {
        self.queue.now = now;
        self.queue.many = self.foca.num_members() > MANY_MEMBERS;
    }

    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.queue.timers.peek().map(|due| due.at)
    }

    pub(super) fn take_packets(&mut self) -> Vec<(Identity, Vec<u8>)> {
        std::mem::take(&mut self.queue.packets)
    }

    pub(super) fn take_notices(&mut self) -> Vec<Notice> {
        std::mem::take(&mut self.queue.notices)
    }

    /// What is held of `member`, dead or alive.
    pub(super) fn held(&self, member: MemberId) -> Option<Identity> {
        self.foca.iter_membership_state().map(foca::Member::id).find(|id| id.member == member).copied()
    }

    pub(super) fn suspects(&self) -> impl Iterator<Item = MemberId> {
        self.foca
            .iter_members()
            .filter(|member| member.state() == State::Suspect)
            .map(|member| member.id().member)
    }

    /// Those remembered as dead, without those that left.
    pub(super) fn departed(&self) -> impl Iterator<Item = &Identity> {
        let down = self.foca.iter_membership_state().filter(|member| member.state() == State::Down);
        down.map(foca::Member::id).filter(|id| !id.left)
    }
}
