//! When something that failed is tried again.

use std::time::Duration;

use daymark_model::Timestamp;

const FIRST: Duration = Duration::from_millis(250);
const LONGEST: Duration = Duration::from_secs(60);

/// Pauses that grow with each failure in a row.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Pause {
    failures: u32,
    until: Option<Timestamp>,
    stale: bool,
}

impl Pause {
    /// The write was built on an old view: a fresh one ends the pause. Returns its end.
    pub fn stale(&mut self, now: Timestamp) -> Timestamp {
        self.begin(now, None, true)
    }

    /// The server did not take the write. Returns the end of the pause.
    pub fn failed(&mut self, now: Timestamp, at_least: Option<Duration>) -> Timestamp {
        self.begin(now, at_least, false)
    }

    /// Something new was seen of the object.
    pub fn refreshed(&mut self) {
        if self.stale {
            self.until = None;
            self.stale = false;
        }
    }

    /// A write succeeded.
    pub fn succeeded(&mut self) {
        *self = Self::default();
    }

    /// The end of the pause, if it is not over.
    pub fn until(&self, now: Timestamp) -> Option<Timestamp> {
        self.until.filter(|until| *until > now)
    }

    fn begin(&mut self, now: Timestamp, at_least: Option<Duration>, stale: bool) -> Timestamp {
        let grown = FIRST.saturating_mul(1 << self.failures.min(16)).min(LONGEST);
        self.failures = self.failures.saturating_add(1);
        let until = now + grown.max(at_least.unwrap_or_default());
        self.until = Some(until);
        self.stale = stale;
        until
    }
}
