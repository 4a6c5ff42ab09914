//! Asking for an address before it is taken.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use daymark_model::{MacAddr, TimingProfile};
use rand::RngExt;
use rand::rngs::SmallRng;

use super::schedule::Class;
use crate::wire::{ArpPacket, Solicitation, multicast_mac, solicited_node};

/// How an address is probed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProbePlan {
    /// An address that nobody of the mesh has held: as RFC 5227 2.1.1 tells, with its times in
    /// [`TimingProfile::Relaxed`] and with a fifth of them in [`TimingProfile::Fast`]. IPv6 in the same rhythm.
    First(TimingProfile),
    /// An address whose holder died: two probes 40 ms apart and 40 ms to answer, five times that in
    /// [`TimingProfile::Relaxed`].
    Takeover(TimingProfile),
}

/// How long an address's group is kept after its probe, so that it need not be left and joined again when the address is
/// then taken.
const LINGER: Duration = Duration::from_secs(1);

/// The last part of the wait for answers, times the profile's factor, is waited by itself: if the process came late to
/// its first part, it reads here what arrived meanwhile.
const HEARING: Duration = Duration::from_millis(5);

/// The times of a plan.
struct Times {
    /// The longest wait before the first.
    start: Duration,
    probes: u8,
    spacing: (Duration, Duration),
    /// How long answers are waited for after the last.
    wait: Duration,
    hearing: Duration,
}

impl ProbePlan {
    fn times(self) -> Times {
        let ms = Duration::from_millis;
        let (profile, start, probes, spacing, wait) = match self {
            // RFC 5227 1.1: PROBE_WAIT 1 s, PROBE_NUM 3, PROBE_MIN 1 s, PROBE_MAX 2 s, ANNOUNCE_WAIT 2 s.
            Self::First(profile) => (profile, ms(200), 3, (ms(200), ms(400)), ms(400)),
            Self::Takeover(profile) => (profile, Duration::ZERO, 2, (ms(40), ms(40)), ms(40)),
        };
        let factor = profile.factor();
        Times {
            start: start * factor,
            probes,
            spacing: (spacing.0 * factor, spacing.1 * factor),
            wait: (wait - HEARING) * factor,
            hearing: HEARING * factor,
        }
    }
}

/// A probe that runs, or whose group lingers.
#[derive(Debug)]
pub(super) struct Probe {
    plan: ProbePlan,
    stage: Stage,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Asking { sent: u8 },
    Waiting,
    Hearing,
    Over,
}

/// What comes of a probe's step.
pub(super) enum Step {
    /// A frame is sent; the next step is then.
    Send(Class, Instant),
    /// Nothing but the next step.
    Wait(Instant),
    /// Nobody answered.
    Unanswered,
    /// Its group may go.
    Forget,
}

impl Probe {
    pub(super) fn new(plan: ProbePlan) -> Self {
        Self { plan, stage: Stage::Asking { sent: 0 } }
    }

    /// Starts from the beginning; gives the time of the first frame.
    // RFC 5227 2.1.1: wait for a random time interval selected uniformly in the range zero to PROBE_WAIT seconds.
    pub(super) fn restart(&mut self, now: Instant, random: &mut SmallRng) -> Instant {
        self.stage = Stage::Asking { sent: 0 };
        now + random.random_range(Duration::ZERO..=self.plan.times().start)
    }

    /// Whether answers count.
    pub(super) fn is_running(&self) -> bool {
        self.stage != Stage::Over
    }

    /// Ends it; gives the time at which its group may go.
    pub(super) fn end(&mut self, now: Instant) -> Instant {
        self.stage = Stage::Over;
        now + LINGER
    }

    pub(super) fn step(&mut self, now: Instant, random: &mut SmallRng) -> Step {
        let times = self.plan.times();
        match self.stage {
            Stage::Asking { sent } if sent + 1 < times.probes => {
                self.stage = Stage::Asking { sent: sent + 1 };
                // each of these probe packets spaced randomly and uniformly, PROBE_MIN to PROBE_MAX seconds apart.
                let (least, most) = times.spacing;
                Step::Send(Class::ProbeAgain, now + random.random_range(least..=most))
            }
            Stage::Asking { .. } => {
                self.stage = Stage::Waiting;
                Step::Send(Class::Free, now + times.wait)
            }
            Stage::Waiting => {
                self.stage = Stage::Hearing;
                Step::Wait(now + times.hearing)
            }
            Stage::Hearing => Step::Unanswered,
            Stage::Over => Step::Forget,
        }
    }
}

/// The frame that asks for `address`.
pub(super) fn question(mac: MacAddr, address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(v4) => ArpPacket::probe(mac, v4).frame(MacAddr::BROADCAST),
        IpAddr::V6(v6) => Solicitation::duplicate_detection(v6).frame(mac, multicast_mac(solicited_node(v6))),
    }
}
