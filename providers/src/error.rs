//! What goes wrong between Daymark and a cloud, sorted by what helps.

use std::time::Duration;

use daymark_model::Reason;

/// What helps against an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ErrorClass {
    /// Calling less often.
    Throttled,
    /// Trying again: a 5xx, a lost connection, state that has not settled yet.
    Transient,
    /// A higher quota, or deleting something.
    Quota,
    /// Another IAM policy, or other credentials.
    Permission,
    /// Another annotation, or another field of the Service or its profile.
    User,
    /// Somebody outside letting go of a resource.
    Blocked,
}

impl ErrorClass {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Throttled, Self::Transient, Self::Quota, Self::Permission, Self::User, Self::Blocked];

    /// Its name in conditions, events and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Throttled => "Throttled",
            Self::Transient => "TransientError",
            Self::Quota => "QuotaExceeded",
            Self::Permission => "PermissionDenied",
            Self::User => "InvalidConfiguration",
            Self::Blocked => "Blocked",
        }
    }
}

/// A call, or a plan, that failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}{message}{}", action_prefix(.action), remedy_suffix(.remedy))]
pub struct CloudError {
    /// What helps.
    pub class: ErrorClass,
    /// The CamelCase word of the condition; [`ErrorClass::as_str`] where nothing more precise is known.
    pub reason: &'static str,
    /// The API action that failed, as an IAM policy names it (`elasticloadbalancing:CreateLoadBalancer`); `None` where
    /// nothing was called.
    pub action: Option<String>,
    /// The cloud's own code.
    pub code: Option<String>,
    /// What was wrong, in a sentence without a full stop.
    pub message: String,
    /// What to do about it, where that is known.
    pub remedy: Option<String>,
    /// Not before this time has passed.
    pub retry_after: Option<Duration>,
}

fn action_prefix(action: &Option<String>) -> String {
    action.as_ref().map(|action| format!("{action}: ")).unwrap_or_default()
}

fn remedy_suffix(remedy: &Option<String>) -> String {
    remedy.as_ref().map(|remedy| format!(": {remedy}")).unwrap_or_default()
}

impl CloudError {
    /// An error of `class` that no call gave.
    pub fn new(class: ErrorClass, reason: &'static str, message: impl Into<String>) -> Self {
        Self {
            class,
            reason,
            action: None,
            code: None,
            message: message.into(),
            remedy: None,
            retry_after: None,
        }
    }

    /// A fault of what the user wrote.
    pub fn user(reason: &'static str, message: impl Into<String>) -> Self {
        Self::new(ErrorClass::User, reason, message)
    }

    /// With what to do about it.
    #[must_use]
    pub fn remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = Some(remedy.into());
        self
    }
}

impl Reason for CloudError {
    fn code(&self) -> &'static str {
        self.reason
    }
}
