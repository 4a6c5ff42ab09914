//! What is said of an owned address unasked: a burst when it has been taken, then refreshes.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use daymark_model::{MacAddr, TimingProfile};

use super::schedule::Class;
use crate::wire::ndp::ALL_NODES;
use crate::wire::{Advertisement, ArpPacket, multicast_mac};

/// How an address is owned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ownership {
    /// The time between gratuitous frames behind the burst; `None` = none. Longer when there are so many addresses that
    /// it would come to more than 50 frames per second.
    pub refresh: Option<Duration>,
    /// Whether others are told at once that the address is here.
    pub burst: bool,
    /// How fast the burst is.
    pub profile: TimingProfile,
}

/// When the rounds of a burst are, counted from the first. The fourth is beyond the second for which Linux may hold on
/// to an entry (`locktime`); the others are for lost frames and switches that are busy.
const ROUNDS: [Duration; 6] = [
    Duration::ZERO,
    Duration::from_millis(100),
    Duration::from_millis(300),
    Duration::from_millis(1_100),
    Duration::from_millis(2_500),
    Duration::from_millis(5_000),
];

/// Longer times between refreshes would not help anybody.
const LONGEST_REFRESH: Duration = Duration::from_secs(24 * 3600);

/// RFC 5227 1.1, DEFEND_INTERVAL.
const DEFEND_INTERVAL: Duration = Duration::from_secs(10);

/// How often somebody else's claim is told.
const TELL_INTERVAL: Duration = Duration::from_secs(1);

/// An owned address.
#[derive(Debug)]
pub(super) struct Owned {
    pub(super) ownership: Ownership,
    stage: Stage,
    defended: Option<Instant>,
    told: Option<Instant>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// The first frame is to be sent.
    Fresh,
    /// `sent` frames have been sent since `since`.
    Bursting { since: Instant, sent: usize },
    /// The burst is over.
    Settled,
}

impl Owned {
    pub(super) fn new(ownership: Ownership) -> Self {
        Self { ownership, stage: Stage::Settled, defended: None, told: None }
    }

    /// Starts the burst again; `false` when it has not even started.
    pub(super) fn restart(&mut self) -> bool {
        let started = self.stage != Stage::Fresh;
        self.stage = Stage::Fresh;
        started
    }

    pub(super) fn is_settled(&self) -> bool {
        self.stage == Stage::Settled
    }

    /// Whether it may be defended now, and if so notes that it was.
    // RFC 5227 2.4 (c): the host MUST NOT defend its address more than once in DEFEND_INTERVAL seconds.
    pub(super) fn defend(&mut self, now: Instant) -> bool {
        once_per(DEFEND_INTERVAL, now, &mut self.defended)
    }

    /// Whether a claim may be told now, and if so notes that it was.
    pub(super) fn tell(&mut self, now: Instant) -> bool {
        once_per(TELL_INTERVAL, now, &mut self.told)
    }

    /// The frame whose time has come, and when the next is due.
    pub(super) fn announce(
        &mut self,
        now: Instant,
        mac: MacAddr,
        address: IpAddr,
        jitter: impl FnOnce(Duration) -> Duration,
    ) -> (Vec<u8>, Option<(Class, Instant)>) {
        let (since, sent) = match self.stage {
            Stage::Fresh => (now, 0),
            Stage::Bursting { since, sent } => (since, sent),
            Stage::Settled => return (gratuitous(mac, address, 0), self.refresh_at(now, jitter)),
        };
        let frame = gratuitous(mac, address, sent);
        let sent = sent + 1;
        if let Some(round) = ROUNDS.get(sent / forms(address)) {
            self.stage = Stage::Bursting { since, sent };
            let class = if round.is_zero() { Class::OtherForm } else { Class::Later };
            return (frame, Some((class, since + *round * self.ownership.profile.factor())));
        }
        self.stage = Stage::Settled;
        (frame, self.refresh_at(now, jitter))
    }

    /// When the next refresh is due.
    pub(super) fn refresh_at(
        &self,
        now: Instant,
        jitter: impl FnOnce(Duration) -> Duration,
    ) -> Option<(Class, Instant)> {
        self.ownership.refresh.map(|refresh| (Class::Refresh, now + jitter(refresh.min(LONGEST_REFRESH))))
    }
}

fn once_per(interval: Duration, now: Instant, last: &mut Option<Instant>) -> bool {
    let may = last.is_none_or(|last| now.saturating_duration_since(last) >= interval);
    if may {
        *last = Some(now);
    }
    may
}

/// How many frames a round of a burst has: of ARP both forms, since devices differ in what they heed.
fn forms(address: IpAddr) -> usize {
    match address {
        IpAddr::V4(_) => 2,
        IpAddr::V6(_) => 1,
    }
}

/// The gratuitous frame number `n` of a burst.
pub(super) fn gratuitous(mac: MacAddr, address: IpAddr, n: usize) -> Vec<u8> {
    match address {
        IpAddr::V4(v4) if n.is_multiple_of(2) => ArpPacket::announcement(mac, v4).frame(MacAddr::BROADCAST),
        IpAddr::V4(v4) => ArpPacket::gratuitous_reply(mac, v4).frame(MacAddr::BROADCAST),
        // RFC 4861 7.2.6: unsolicited advertisements go to the all-nodes group; the Solicited flag is zero, the Override
        // flag is set when the link-layer address changed.
        IpAddr::V6(v6) => Advertisement::unsolicited(mac, v6).frame(mac, multicast_mac(ALL_NODES)),
    }
}
