//! How a drain proceeds: the node's routes become the last resort, a moment later they are withdrawn.

use std::time::{Duration, Instant};

use daymark_announce::Drain;

/// Where a drain stands.
#[derive(Debug)]
pub(super) struct DrainTimer {
    /// How long the routes of a draining node stay out as the last resort, so that routers move traffic before they go.
    wait: Duration,
    state: Drain,
    done_at: Option<Instant>,
}

impl DrainTimer {
    pub(super) fn new(wait: Duration) -> Self {
        Self { wait, state: Drain::No, done_at: None }
    }

    /// The operator's word. Returns whether the state changed. With nothing announced there is nothing to wait for.
    pub(super) fn set(&mut self, now: Instant, drain: bool, anything_out: bool) -> bool {
        let before = self.state;
        match (drain, self.state) {
            (true, Drain::No) if anything_out => {
                self.state = Drain::Leaving;
                self.done_at = Some(now + self.wait);
            }
            (true, Drain::No) => self.state = Drain::Done,
            (true, Drain::Leaving | Drain::Done) => {}
            (false, _) => *self = Self::new(self.wait),
        }
        self.state != before
    }

    /// Time has come to `now`. Returns whether the state changed.
    pub(super) fn tick(&mut self, now: Instant) -> bool {
        let done = self.done_at.is_some_and(|at| at <= now);
        if done {
            (self.state, self.done_at) = (Drain::Done, None);
        }
        done
    }

    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.done_at
    }

    pub(super) fn state(&self) -> Drain {
        self.state
    }
}
