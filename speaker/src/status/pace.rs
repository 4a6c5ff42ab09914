//! When the status may be written: pure, with the clock and the randomness given.

use std::time::{Duration, Instant};

/// The least time between two writes; the jitter comes on top.
const INTERVAL: Duration = Duration::from_secs(10);
/// The largest addition to [`INTERVAL`]: the speakers of a cluster that all saw the same event do not write together.
const JITTER: Duration = Duration::from_secs(3);
/// Within this time after the start the first write comes.
const FIRST: Duration = Duration::from_secs(1);
const FIRST_RETRY: Duration = Duration::from_secs(1);
const LONGEST_RETRY: Duration = Duration::from_secs(60);

/// Tells when the next write may come.
#[derive(Debug)]
pub(super) struct Pace {
    earliest: Instant,
    failures: u32,
}

impl Pace {
    /// `random` is any number; speakers should have different ones.
    pub(super) fn new(now: Instant, random: u64) -> Self {
        Self { earliest: now + part(FIRST, random), failures: 0 }
    }

    pub(super) fn earliest(&self) -> Instant {
        self.earliest
    }

    pub(super) fn written(&mut self, now: Instant, random: u64) {
        self.failures = 0;
        self.earliest = now + INTERVAL + part(JITTER, random);
    }

    pub(super) fn failed(&mut self, now: Instant, random: u64) {
        let delay = (FIRST_RETRY * 2_u32.pow(self.failures.min(6))).min(LONGEST_RETRY);
        self.failures = self.failures.saturating_add(1);
        self.earliest = now + delay + part(delay / 2, random);
    }
}

/// A random part of `whole`.
fn part(whole: Duration, random: u64) -> Duration {
    let millis = u64::try_from(whole.as_millis()).unwrap_or(u64::MAX);
    Duration::from_millis(random.checked_rem(millis).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_are_at_least_ten_seconds_apart_and_failures_grow() {
        let start = Instant::now();
        let mut pace = Pace::new(start, 12_345);
        assert!(pace.earliest() <= start + FIRST);
        let now = pace.earliest();
        for random in [0, 1, u64::MAX] {
            pace.written(now, random);
            assert!((INTERVAL..INTERVAL + JITTER).contains(&(pace.earliest() - now)));
        }
        let mut delays = Vec::new();
        for _ in 0..8 {
            pace.failed(now, 0);
            delays.push((pace.earliest() - now).as_secs());
        }
        assert_eq!(delays, [1, 2, 4, 8, 16, 32, 60, 60]);
        pace.written(now, 0);
        pace.failed(now, 0);
        assert_eq!(pace.earliest() - now, FIRST_RETRY);
    }
}
