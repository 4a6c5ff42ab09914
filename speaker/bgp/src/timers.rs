//! Deadlines, jitter, and the growing time between two attempts to connect.

use std::time::{Duration, Instant};

/// How long an OPEN is waited for. RFC 4271 section 8.2.2 suggests four minutes; a router that takes connections answers
/// them, and people want to know why this one does not.
pub(crate) const OPEN_WAIT: Duration = Duration::from_secs(60);
/// How long an attempt to connect may take.
pub(crate) const CONNECT_WAIT: Duration = Duration::from_secs(10);
/// The longest time between two attempts, unless a longer one is configured.
const LONGEST_RETRY: Duration = Duration::from_secs(60);
/// A session that was up for so long makes the next failure count as the first.
const STABLE: Duration = Duration::from_secs(300);
/// RFC 9687 section 3.2: the send hold time is at least eight minutes, and at least twice the hold time.
const SHORTEST_SEND_HOLD: Duration = Duration::from_secs(480);

/// RFC 4271 section 4.4: KEEPALIVEs come no more often than once per second.
const SHORTEST_KEEPALIVE: Duration = Duration::from_secs(1);
/// No timer is set for longer.
pub(crate) const LONGEST_WAIT: Duration = Duration::from_secs(24 * 3600);

/// The earliest of some deadlines.
pub(crate) fn earliest(deadlines: impl IntoIterator<Item = Option<Instant>>) -> Option<Instant> {
    deadlines.into_iter().flatten().min()
}

/// Whether a deadline is set and reached.
pub(crate) fn is_due(deadline: Option<Instant>, now: Instant) -> bool {
    deadline.is_some_and(|deadline| deadline <= now)
}

/// The send hold time that goes with a hold time.
pub(crate) fn send_hold(hold: Duration) -> Duration {
    hold.saturating_mul(2).max(SHORTEST_SEND_HOLD)
}

/// The interval of KEEPALIVEs: as configured, but at most a third of the hold time (RFC 4271 section 4.4).
pub(crate) fn keepalive(configured: Duration, hold: Duration) -> Option<Duration> {
    let third = hold.checked_div(3).filter(|third| !third.is_zero())?;
    Some(if configured.is_zero() { third } else { configured.max(SHORTEST_KEEPALIVE).min(third) })
}

/// Jitter from a seed (splitmix64: small, and good enough to spread timers).
#[derive(Debug, Clone)]
pub(crate) struct Jitter(u64);

impl Jitter {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Between three quarters of `span` and all of it, anew at each call (RFC 4271 section 10).
    pub(crate) fn shorten(&mut self, span: Duration) -> Duration {
        const QUARTER: u64 = 1 << 16;
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let share = (mixed ^ (mixed >> 31)) % QUARTER;
        let nanos = span.as_nanos().saturating_mul(u128::from(3 * QUARTER + share)) / u128::from(4 * QUARTER);
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}

/// The time between two attempts to connect: doubled with each failure, from the configured one to a minute
/// (DampPeerOscillations, RFC 4271 section 8.1.1).
#[derive(Debug, Clone)]
pub(crate) struct Retry {
    failures: u32,
}

impl Retry {
    pub(crate) fn new() -> Self {
        Self { failures: 0 }
    }

    /// The time to wait after one more failure.
    pub(crate) fn next(&mut self, base: Duration, jitter: &mut Jitter) -> Duration {
        let factor = 1_u32.checked_shl(self.failures.min(16)).unwrap_or(u32::MAX);
        self.failures = self.failures.saturating_add(1);
        jitter.shorten(base.saturating_mul(factor).min(LONGEST_RETRY.max(base)))
    }

    /// Counts a session that lasted from `since` to `now`.
    pub(crate) fn session_ended(&mut self, since: Instant, now: Instant) {
        if now.saturating_duration_since(since) >= STABLE {
            self.failures = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn jitter_only_shortens() {
        let mut jitter = Jitter::new(7);
        let spans: Vec<_> = (0..1000).map(|_| jitter.shorten(SECOND)).collect();
        assert!(spans.iter().all(|s| (SECOND * 3 / 4..=SECOND).contains(s)));
        assert!(spans.iter().max().unwrap().saturating_sub(*spans.iter().min().unwrap()) > SECOND / 5);
    }

    #[test]
    fn retries_grow_to_a_minute() {
        let (mut retry, mut jitter) = (Retry::new(), Jitter::new(1));
        let waits: Vec<_> = (0..10).map(|_| retry.next(SECOND, &mut jitter).as_secs_f64()).collect();
        for (wait, full) in waits.iter().zip([1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0, 60.0, 60.0]) {
            assert!((full * 0.75..=full).contains(wait), "{waits:?}");
        }
        assert!(retry.next(300 * SECOND, &mut jitter) > 200 * SECOND);
    }

    #[test]
    fn keepalives_fit_three_times_into_the_hold_time() {
        assert_eq!(keepalive(30 * SECOND, 90 * SECOND), Some(30 * SECOND));
        assert_eq!(keepalive(30 * SECOND, 9 * SECOND), Some(3 * SECOND));
        assert_eq!(keepalive(Duration::ZERO, 9 * SECOND), Some(3 * SECOND));
        assert_eq!(keepalive(SECOND, Duration::ZERO), None);
        assert_eq!(keepalive(SECOND / 1000, 90 * SECOND), Some(SECOND));
    }

    #[test]
    fn the_send_hold_time_is_at_least_eight_minutes() {
        assert_eq!(send_hold(90 * SECOND), 480 * SECOND);
        assert_eq!(send_hold(300 * SECOND), 600 * SECOND);
    }
}
