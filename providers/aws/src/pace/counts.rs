//! How many calls were made and what came of them.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::api::ApiError;

/// What came of the calls of one action.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Calls that were sent.
    pub calls: u64,
    /// Those that AWS refused for their rate.
    pub throttled: u64,
    /// Those that no answer came to in time.
    pub timeouts: u64,
    /// Those that failed otherwise.
    pub errors: u64,
    /// How long calls waited for their turn, in sum.
    pub waited: Duration,
    /// Questions that were answered by calls which others made too.
    pub shared: u64,
}

/// Counters by action (`elasticloadbalancing:DescribeTags`).
#[derive(Debug, Default)]
pub(super) struct Counters(Mutex<BTreeMap<&'static str, Counts>>);

impl Counters {
    pub(super) fn note(&self, action: &'static str, change: impl FnOnce(&mut Counts)) {
        change(self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(action).or_default());
    }

    pub(super) fn outcome(&self, action: &'static str, error: Option<&ApiError>) {
        let Some(error) = error else { return };
        self.note(action, |counts| {
            if is_throttled(error) {
                counts.throttled += 1;
            } else if error.code == ApiError::TIMEOUT {
                counts.timeouts += 1;
            } else {
                counts.errors += 1;
            }
        });
    }

    pub(super) fn snapshot(&self) -> BTreeMap<&'static str, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Whether AWS refused a call for its rate: `ThrottlingException` is ELBv2's word (`Throttling` over its query protocol),
/// `RequestLimitExceeded` EC2's; the others are those that the SDKs take for the same.
pub(super) fn is_throttled(error: &ApiError) -> bool {
    const CODES: [&str; 10] = [
        "Throttling",
        "ThrottlingException",
        "ThrottledException",
        "RequestThrottled",
        "RequestThrottledException",
        "RequestLimitExceeded",
        "EC2ThrottledException",
        "TooManyRequestsException",
        "PriorRequestNotComplete",
        "SlowDown",
    ];
    error.status == Some(429) || CODES.contains(&error.code.as_str())
}
