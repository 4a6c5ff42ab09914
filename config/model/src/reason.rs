//! What every refusal and every observation has in common.

use std::fmt;

/// A reason that people and machines read: in a condition, an event, a metric label, a log line.
///
/// `Display` is one sentence that names the thing and, where it is known, the remedy.
pub trait Reason: fmt::Display {
    /// The CamelCase word of the reason, stable across releases: `condition.reason`, event reason, metric label.
    fn code(&self) -> &'static str;
}
