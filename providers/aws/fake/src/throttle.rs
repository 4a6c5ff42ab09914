//! AWS's token buckets: each class of calls has a rate and a burst, per account and region.

use std::time::Duration;

use tokio::time::Instant;

use crate::faults::On;

/// A class of calls that share a bucket.
#[derive(Debug, Clone, PartialEq)]
pub struct CallClass {
    /// Which calls.
    pub calls: On,
    /// Tokens per second.
    pub rate: f64,
    /// How many tokens the bucket holds.
    pub burst: f64,
}

impl CallClass {
    /// The calls that `action` fits.
    pub fn new(action: &str, rate: f64, burst: f64) -> Self {
        Self { calls: On::action(action), rate, burst }
    }
}

/// Classes as people meet them on AWS: registrations are the scarcest, reads the cheapest, and EC2's are its own.
pub fn like_aws() -> Vec<CallClass> {
    vec![
        CallClass::new("elasticloadbalancing:RegisterTargets", 4.0, 20.0),
        CallClass::new("elasticloadbalancing:DeregisterTargets", 4.0, 20.0),
        CallClass::new("elasticloadbalancing:Describe*", 40.0, 100.0),
        CallClass::new("elasticloadbalancing:Modify*", 3.0, 20.0),
        CallClass::new("elasticloadbalancing:*", 5.0, 40.0),
        CallClass::new("ec2:Describe*", 20.0, 100.0),
        CallClass::new("ec2:*", 5.0, 50.0),
    ]
}

#[derive(Debug, Clone)]
pub(crate) struct Bucket {
    class: CallClass,
    tokens: f64,
    filled: Instant,
}

/// The buckets, in the order in which a call looks for its own.
#[derive(Debug, Clone, Default)]
pub(crate) struct Throttle {
    buckets: Vec<Bucket>,
}

impl Throttle {
    pub(crate) fn new(classes: Vec<CallClass>, now: Instant) -> Self {
        let bucket = |class: CallClass| Bucket { tokens: class.burst, class, filled: now };
        Self { buckets: classes.into_iter().map(bucket).collect() }
    }

    /// Whether a call may pass; it takes a token from the first bucket that it fits.
    pub(crate) fn admits(&mut self, action: &str, is_write: bool, now: Instant) -> bool {
        let Some(bucket) = self.buckets.iter_mut().find(|bucket| bucket.class.calls.fits(action, is_write))
        else {
            return true;
        };
        let passed: Duration = now.saturating_duration_since(bucket.filled);
        bucket.tokens = (bucket.tokens + passed.as_secs_f64() * bucket.class.rate).min(bucket.class.burst);
        bucket.filled = now;
        let admits = bucket.tokens >= 1.0;
        if admits {
            bucket.tokens -= 1.0;
        }
        admits
    }
}
