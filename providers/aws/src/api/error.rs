//! Errors of calls, and which of them say that a thing is gone.

use std::time::Duration;

/// What a call that failed said.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{action}: {code}: {message}")]
pub struct ApiError {
    /// The action as an IAM policy names it: `elasticloadbalancing:CreateLoadBalancer`.
    pub action: &'static str,
    /// AWS's code; [`ApiError::TIMEOUT`], [`ApiError::CONNECTION`] or [`ApiError::GARBLED`] where none came.
    pub code: String,
    /// AWS's message.
    pub message: String,
    /// The HTTP status; `None` where no answer came.
    pub status: Option<u16>,
    /// Not before this time has passed.
    pub retry_after: Option<Duration>,
}

impl ApiError {
    /// No answer came in time; the call may have been done.
    pub const TIMEOUT: &'static str = "RequestTimeout";
    /// No connection, or a broken one; the call may have been done.
    pub const CONNECTION: &'static str = "ConnectionFailed";
    /// An answer that cannot be read.
    pub const GARBLED: &'static str = "UnreadableAnswer";
    /// There are no credentials, or they cannot be renewed.
    pub const CREDENTIALS: &'static str = "NoCredentials";

    /// An error with AWS's code.
    pub fn new(action: &'static str, code: &str, message: impl Into<String>) -> Self {
        let status = Some(400);
        Self { action, code: code.to_owned(), message: message.into(), status, retry_after: None }
    }

    pub(super) fn unexpected(action: &'static str) -> Self {
        Self { status: None, ..Self::new(action, Self::GARBLED, "the answer is one to another call") }
    }
}
