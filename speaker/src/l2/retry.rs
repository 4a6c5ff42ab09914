//! When to try again what the kernel refused.

use std::time::{Duration, Instant};

const FIRST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(10);

/// A growing pause between attempts.
#[derive(Debug)]
pub(super) struct Retry {
    next: Option<Instant>,
    pause: Duration,
}

impl Default for Retry {
    fn default() -> Self {
        Self { next: None, pause: FIRST }
    }
}

impl Retry {
    /// Waits before the next attempt, longer each time. Failures of one attempt count once.
    pub(super) fn failed(&mut self, now: Instant) {
        if !self.is_due(now) {
            return;
        }
        self.next = Some(now + self.pause);
        self.pause = self.pause.saturating_mul(2).min(LONGEST);
    }

    /// It worked: the next failure is the first one.
    pub(super) fn worked(&mut self) {
        *self = Self::default();
    }

    /// Something changed that may help.
    pub(super) fn hurry(&mut self) {
        self.next = None;
    }

    pub(super) fn is_due(&self, now: Instant) -> bool {
        self.next.is_none_or(|next| next <= now)
    }

    /// When the next attempt is due, where one failed.
    pub(super) fn next(&self) -> Option<Instant> {
        self.next
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_until_it_works() {
        let now = Instant::now();
        let mut retry = Retry::default();
        assert!(retry.is_due(now));
        retry.failed(now);
        assert!(!retry.is_due(now) && retry.is_due(now + FIRST));
        retry.failed(now);
        assert_eq!(retry.next(), Some(now + FIRST));
        let mut later = now;
        for _ in 0..20 {
            later += LONGEST;
            retry.failed(later);
        }
        assert_eq!(retry.next(), Some(later + LONGEST));
        retry.hurry();
        assert!(retry.is_due(now));
        retry.worked();
        retry.failed(later);
        assert_eq!(retry.next(), Some(later + FIRST));
    }
}
