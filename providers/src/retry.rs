//! When a load balancer is tried again.

use std::time::Duration;

use crate::error::ErrorClass;

/// The pauses of one class of error: the first, and the longest.
fn pauses(class: ErrorClass) -> (Duration, Duration) {
    let seconds = |first, longest| (Duration::from_secs(first), Duration::from_secs(longest));
    match class {
        ErrorClass::Throttled => seconds(2, 60),
        ErrorClass::Transient => seconds(1, 60),
        ErrorClass::Quota => seconds(60, 900),
        ErrorClass::Permission => seconds(60, 600),
        // A change of the Service or its profile comes by itself; what AWS says may change without one.
        ErrorClass::User => seconds(300, 1800),
        ErrorClass::Blocked => seconds(15, 300),
    }
}

/// How long to wait after the `failures`-th failure in a row (from 1). `seed` spreads those that failed together over a
/// quarter of the pause.
pub fn pause(class: ErrorClass, failures: u32, retry_after: Option<Duration>, seed: u64) -> Duration {
    let (first, longest) = pauses(class);
    let grown = first.saturating_mul(2_u32.saturating_pow(failures.saturating_sub(1).min(16))).min(longest);
    let spread = grown / 4 * u32::try_from(seed % 1024).unwrap_or(0) / 1024;
    retry_after.map_or(grown, |after| after.max(grown)).saturating_add(spread)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_their_limit_and_heed_the_cloud() {
        let seconds = |class, failures| pause(class, failures, None, 0).as_secs();
        assert_eq!([1, 2, 3, 9].map(|n| seconds(ErrorClass::Transient, n)), [1, 2, 4, 60]);
        assert_eq!(seconds(ErrorClass::User, 1), 300);
        assert_eq!(pause(ErrorClass::Throttled, 1, Some(Duration::from_secs(30)), 0).as_secs(), 30);
        assert!(pause(ErrorClass::Blocked, u32::MAX, None, 1023) < Duration::from_secs(376));
    }
}
