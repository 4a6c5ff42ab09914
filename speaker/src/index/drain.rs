//! How a node leaves: its routes become the last resort, a moment later they are withdrawn. On its segments other nodes
//! take over at once.

use std::fmt;
use std::time::{Duration, Instant};

use daymark_announce::Drain;

use super::address::OutCounts;

/// Why a node leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// `spec.drain` of its Speaker.
    Drain,
    /// The label `node.kubernetes.io/exclude-from-external-load-balancers`.
    ExclusionLabel,
    /// The taint `node.kubernetes.io/out-of-service`.
    OutOfService,
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Drain => "the drain",
            Self::ExclusionLabel => "the exclusion label",
            Self::OutOfService => "the out-of-service taint",
        })
    }
}

/// A step of leaving, as people read it in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Routes are the last resort from now on, and stay out so for a while.
    Begun {
        /// How many addresses are out.
        addresses: usize,
        /// For how long they stay.
        wait: Duration,
    },
    /// Other nodes answer ARP and NDP from now on; there are no routes.
    HandedOver {
        /// How many addresses the node could answer for.
        addresses: usize,
    },
    /// It began with nothing that is out.
    Hidden,
    /// The routes are withdrawn.
    Withdrawn {
        /// How many addresses went.
        addresses: usize,
    },
    /// The cause is gone.
    Ended,
}

/// A step of leaving, with its cause.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Leaving {
    /// Why.
    pub cause: Cause,
    /// What happens.
    pub step: Step,
}

impl fmt::Display for Leaving {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cause = self.cause;
        match self.step {
            Step::Begun { addresses, wait } => write!(
                f,
                "{cause} takes the node out: {} become the last resort (GRACEFUL_SHUTDOWN) and are withdrawn in {wait:?}",
                routes(addresses)
            ),
            Step::HandedOver { addresses: 1 } => {
                write!(f, "{cause} takes the node out: 1 address is left to other nodes of its segment")
            }
            Step::HandedOver { addresses } => {
                write!(
                    f,
                    "{cause} takes the node out: {addresses} addresses are left to other nodes of their segments"
                )
            }
            Step::Hidden => write!(f, "{cause} keeps the node out: nothing was announced"),
            Step::Withdrawn { addresses } => {
                write!(f, "{cause} took the node out: {} are withdrawn", routes(addresses))
            }
            Step::Ended => write!(f, "{cause} is gone and keeps the node out no longer"),
        }
    }
}

fn routes(addresses: usize) -> String {
    match addresses {
        1 => "the routes of 1 address".to_owned(),
        _ => format!("the routes of {addresses} addresses"),
    }
}

/// Where leaving stands.
#[derive(Debug)]
pub(super) struct LeaveTimer {
    /// How long the routes stay out as the last resort, so that routers move traffic before they go.
    wait: Duration,
    cause: Option<Cause>,
    state: Drain,
    done_at: Option<Instant>,
}

impl LeaveTimer {
    pub(super) fn new(wait: Duration) -> Self {
        Self { wait, cause: None, state: Drain::No, done_at: None }
    }

    /// Why the node is to leave, if it is, while so many addresses are out. Where no routes are out there is nothing to
    /// wait for.
    pub(super) fn set(&mut self, now: Instant, cause: Option<Cause>, out: OutCounts) -> Option<Leaving> {
        let (cause, step) = match (self.cause, cause) {
            (None, Some(cause)) if out.routed > 0 => {
                self.state = Drain::Leaving;
                self.done_at = Some(now + self.wait);
                (cause, Step::Begun { addresses: out.routed, wait: self.wait })
            }
            (None, Some(cause)) => {
                self.state = Drain::Done;
                let handed_over = Step::HandedOver { addresses: out.offered };
                (cause, if out.offered > 0 { handed_over } else { Step::Hidden })
            }
            (Some(known), None) => {
                *self = Self::new(self.wait);
                return Some(Leaving { cause: known, step: Step::Ended });
            }
            (Some(_), Some(_)) | (None, None) => return None,
        };
        self.cause = Some(cause);
        Some(Leaving { cause, step })
    }

    /// Time has come to `now`. Returns why the routes are withdrawn, when they are.
    pub(super) fn tick(&mut self, now: Instant) -> Option<Cause> {
        self.done_at.take_if(|at| *at <= now)?;
        self.state = Drain::Done;
        self.cause
    }

    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.done_at
    }

    pub(super) fn state(&self) -> Drain {
        self.state
    }
}
