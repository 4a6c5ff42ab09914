//! Leaving: at once, or without losing a packet (RFC 8326, RFC 9003).

use std::time::{Duration, Instant};

use super::Peer;
use crate::error::SessionError;
use crate::event::Output;
use crate::route::Standing;
use crate::session::Ended;
use crate::timers::{LONGEST_WAIT, is_due};
use crate::wire::CeaseReason;

/// How long the withdrawals may take to leave the socket.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// Whether the peer still wants a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Life {
    /// It does.
    Running,
    /// The routes carry GRACEFUL_SHUTDOWN so that the neighbor moves its traffic; they are withdrawn then.
    Leaving { until: Instant, text: String },
    /// The routes are being withdrawn; the Cease follows when that is written, or then.
    Withdrawing { until: Instant, text: String },
    /// It does not.
    Stopped,
}

impl Life {
    pub(super) fn deadline(&self) -> Option<Instant> {
        match self {
            Self::Running | Self::Stopped => None,
            Self::Leaving { until, .. } | Self::Withdrawing { until, .. } => Some(*until),
        }
    }
}

impl Peer {
    /// Leaves at once.
    pub(super) fn stop(&mut self, reason: CeaseReason, text: &str, now: Instant, out: &mut Vec<Output>) {
        if self.life == Life::Stopped {
            return;
        }
        self.life = Life::Stopped;
        self.give_up_connecting(out);
        for id in self.ids() {
            self.end(id, &Ended::cease(SessionError::Stopped { reason }, reason, text), now, out);
        }
        out.push(Output::Stopped);
    }

    /// Begins to leave. Where no routes are held there is nothing to wait for.
    pub(super) fn shut_down(&mut self, text: String, wait: Duration, now: Instant, out: &mut Vec<Output>) {
        if self.life != Life::Running {
            return;
        }
        if self.established().is_none() || self.rib.is_empty() {
            return self.stop(CeaseReason::AdministrativeShutdown, &text, now, out);
        }
        self.rib.set_standing(Standing::Leaving);
        self.life = Life::Leaving { until: now + wait.min(LONGEST_WAIT), text };
    }

    /// Takes the next steps of leaving that can be taken.
    pub(super) fn leave_on(&mut self, now: Instant, out: &mut Vec<Output>) {
        let lost = self.established().is_none();
        let due = is_due(self.life.deadline(), now);
        match &self.life {
            Life::Running | Life::Stopped => {}
            Life::Leaving { text, .. } | Life::Withdrawing { text, .. } if lost => {
                let text = text.clone();
                self.stop(CeaseReason::AdministrativeShutdown, &text, now, out);
            }
            Life::Leaving { text, .. } => {
                if due {
                    self.life = Life::Withdrawing { until: now + LAST_WORDS, text: text.clone() };
                    self.rib.clear();
                    self.send_updates(now, out);
                }
            }
            Life::Withdrawing { text, .. } => {
                let written = self.established().is_some_and(|connection| connection.unwritten() == 0);
                if due || (written && self.rib.is_empty()) {
                    let text = text.clone();
                    self.stop(CeaseReason::AdministrativeShutdown, &text, now, out);
                }
            }
        }
    }
}
