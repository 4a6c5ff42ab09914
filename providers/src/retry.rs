//! When a load balancer is tried again.

use std::collections::BTreeMap;
use std::time::Duration;

use daymark_model::Timestamp;

use crate::error::ErrorClass;

/// How long after a call that was throttled nothing is tried, whatever changed.
const THROTTLED_AT_LEAST: Duration = Duration::from_secs(2);

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

/// The failures of one load balancer, by class, since it last went well.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Backoff {
    failures: BTreeMap<ErrorClass, u32>,
    last: Option<Failure>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Failure {
    class: ErrorClass,
    at: Timestamp,
    not_before: Timestamp,
}

impl Backoff {
    /// Notes a failure at `now`. Those of other classes still count: a cloud that is throttled and broken by turns is not
    /// asked faster than one that is only throttled.
    pub fn failed(&mut self, class: ErrorClass, retry_after: Option<Duration>, now: Timestamp, seed: u64) {
        let failures = self.failures.entry(class).or_default();
        *failures = failures.saturating_add(1);
        let not_before = now + pause(class, *failures, retry_after, seed);
        self.last = Some(Failure { class, at: now, not_before });
    }

    /// Notes that all went well.
    pub fn succeeded(&mut self) {
        *self = Self::default();
    }

    /// Notes that something else is wished for: it is tried at once, after a throttled call nearly so.
    pub fn changed(&mut self) {
        if let Some(failure) = &mut self.last {
            let at_least = match failure.class {
                ErrorClass::Throttled => THROTTLED_AT_LEAST,
                ErrorClass::Transient
                | ErrorClass::Quota
                | ErrorClass::Permission
                | ErrorClass::User
                | ErrorClass::Blocked => Duration::ZERO,
            };
            failure.not_before = failure.not_before.min(failure.at + at_least);
        }
    }

    /// Nothing is tried before.
    pub fn not_before(&self) -> Timestamp {
        self.last.map_or(Timestamp(i64::MIN), |failure| failure.not_before)
    }

    /// How many failures there were since it last went well.
    pub fn failures(&self) -> u32 {
        self.failures.values().fold(0, |sum, failures| sum.saturating_add(*failures))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_tried_at_once_and_after_throttling_nearly_so() {
        for class in ErrorClass::ALL {
            let mut backoff = Backoff::default();
            backoff.failed(class, Some(Duration::from_secs(30)), Timestamp(1000), 0);
            assert!(backoff.not_before() >= Timestamp(31_000), "{class:?}");
            backoff.changed();
            let earliest = if class == ErrorClass::Throttled { 3000 } else { 1000 };
            assert_eq!(backoff.not_before(), Timestamp(earliest), "{class:?}");
        }
    }

    #[test]
    fn classes_count_apart_until_it_goes_well() {
        let mut backoff = Backoff::default();
        let fail = |backoff: &mut Backoff, class| {
            backoff.failed(class, None, Timestamp(0), 0);
            backoff.not_before().0 / 1000
        };
        assert_eq!(fail(&mut backoff, ErrorClass::Transient), 1);
        assert_eq!(fail(&mut backoff, ErrorClass::Quota), 60);
        assert_eq!(fail(&mut backoff, ErrorClass::Transient), 2);
        assert_eq!(backoff.failures(), 3);
        backoff.succeeded();
        assert_eq!(fail(&mut backoff, ErrorClass::Transient), 1);
    }

    #[test]
    fn pauses_grow_to_their_limit_and_heed_the_cloud() {
        let seconds = |class, failures| pause(class, failures, None, 0).as_secs();
        assert_eq!([1, 2, 3, 9].map(|n| seconds(ErrorClass::Transient, n)), [1, 2, 4, 60]);
        assert_eq!(seconds(ErrorClass::User, 1), 300);
        assert_eq!(pause(ErrorClass::Throttled, 1, Some(Duration::from_secs(30)), 0).as_secs(), 30);
        assert!(pause(ErrorClass::Blocked, u32::MAX, None, 1023) < Duration::from_secs(376));
    }
}
