//! The time of day, for what people and other processes read.

use std::time::{Duration, SystemTime};

use daymark_model::Timestamp;

/// The time since the Unix epoch; zero on a clock that stands before it.
pub fn since_epoch() -> Duration {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}

/// The time as a value.
pub fn now() -> Timestamp {
    Timestamp(i64::try_from(since_epoch().as_millis()).unwrap_or(i64::MAX))
}
