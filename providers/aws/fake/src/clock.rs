//! How long things take, and how late they are seen. Time is tokio's, so that a paused test decides how it passes.

use std::time::Duration;

use tokio::time::Instant;

/// How long things take in the account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timing {
    /// From the creation of a load balancer until it is active.
    pub provisioning: Duration,
    /// From the registration of a target (or its target group's first listener) until its first checks are done.
    pub first_checks: Duration,
    /// How long network interfaces stay after their load balancer or zone is gone.
    pub interfaces_linger: Duration,
    /// How long a target group stays in use after its load balancer is gone.
    pub target_groups_linger: Duration,
    /// What a call that reads takes.
    pub read: Duration,
    /// What a call that writes takes.
    pub write: Duration,
    /// After what time a caller gives up on an answer that does not come.
    pub timeout: Duration,
}

impl Default for Timing {
    /// As people meet it on AWS, with answers at once.
    fn default() -> Self {
        Self {
            provisioning: Duration::from_secs(120),
            first_checks: Duration::from_secs(60),
            interfaces_linger: Duration::from_secs(45),
            target_groups_linger: Duration::from_secs(5),
            read: Duration::ZERO,
            write: Duration::ZERO,
            timeout: Duration::from_secs(30),
        }
    }
}

/// How late what was written is seen. What acts on a resource that is found acts on the truth.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Consistency {
    /// A new resource is missing from lists and filters, and a deleted one still in lists.
    pub lists: Duration,
    /// A new resource is not found by ARN, id or name, neither to read nor to change it; only to delete it.
    pub identities: Duration,
    /// Tags are as they were; those of a new resource are missing.
    pub tags: Duration,
    /// Attributes are as they were.
    pub attributes: Duration,
}

impl Consistency {
    /// Everything is late by `lag`, except that a resource is found by its ARN, id or name at once.
    pub fn late(lag: Duration) -> Self {
        Self { lists: lag, identities: Duration::ZERO, tags: lag, attributes: lag }
    }
}

/// A value that is seen late.
#[derive(Debug, Clone)]
pub(crate) struct Lagged<T> {
    value: T,
    before: T,
    changed: Instant,
}

impl<T: Clone> Lagged<T> {
    /// A value that has never been another.
    pub(crate) fn settled(value: T, now: Instant) -> Self {
        Self { before: value.clone(), value, changed: now }
    }

    /// A value that has just come after `before`.
    pub(crate) fn fresh(value: T, before: T, now: Instant) -> Self {
        Self { value, before, changed: now }
    }

    /// What it is.
    pub(crate) fn truth(&self) -> &T {
        &self.value
    }

    /// What those see who look `now`, `lag` late.
    pub(crate) fn seen(&self, now: Instant, lag: Duration) -> &T {
        if now < self.changed + lag { &self.before } else { &self.value }
    }

    /// Changes it.
    pub(crate) fn change(&mut self, now: Instant, lag: Duration, change: impl FnOnce(&mut T)) {
        self.before = self.seen(now, lag).clone();
        change(&mut self.value);
        self.changed = now;
    }
}

/// Who makes a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hand {
    /// Whoever holds the fake as [`daymark_aws::api::Api`].
    Caller,
    /// Somebody else in the account; what they make has been there for long.
    Other,
}

/// When a resource was made, and by whom.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Birth {
    pub(crate) at: Instant,
    pub(crate) by: Hand,
}

impl Birth {
    /// Whether those see it who look `now`, `lag` late.
    pub(crate) fn is_seen(&self, now: Instant, lag: Duration) -> bool {
        match self.by {
            Hand::Caller => now >= self.at + lag,
            Hand::Other => true,
        }
    }
}
