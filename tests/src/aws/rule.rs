//! What a proxy does to which calls.

use std::time::Duration;

/// What happens to a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// AWS says that there were too many, with the code that the service has for it.
    Throttled,
    /// It fails, and nothing is done.
    Error {
        /// The HTTP status.
        status: u16,
        /// AWS's code.
        code: &'static str,
        /// Seconds of the header `Retry-After`.
        retry_after: Option<u64>,
    },
    /// It is done, and answered late.
    Delay(Duration),
    /// Nothing is done, and the connection is closed without an answer.
    Cut,
    /// It is done, and the connection is closed without an answer.
    AnswerLost,
    /// Nothing is done, and nothing answered.
    Silence,
}

impl Fault {
    /// An error inside AWS.
    pub const INTERNAL: Self = Self::Error { status: 500, code: "InternalFailure", retry_after: None };
    /// The policy does not allow it.
    pub const ACCESS_DENIED: Self = Self::Error { status: 403, code: "AccessDenied", retry_after: None };
    /// The credentials are too old.
    pub const EXPIRED_TOKEN: Self = Self::Error { status: 403, code: "ExpiredToken", retry_after: None };
}

/// A fault and whom it meets.
#[derive(Clone, Debug)]
pub struct Rule {
    action: Option<String>,
    passes: usize,
    left: Option<usize>,
    pub(super) fault: Fault,
}

impl Rule {
    /// Meets each call of `action`.
    pub fn on(action: &str, fault: Fault) -> Self {
        Self { action: Some(action.to_owned()), passes: 0, left: None, fault }
    }

    /// Meets every call.
    pub fn everywhere(fault: Fault) -> Self {
        Self { action: None, passes: 0, left: None, fault }
    }

    /// Only so many of them.
    #[must_use]
    pub fn times(mut self, times: usize) -> Self {
        self.left = Some(times);
        self
    }

    /// Only after so many have passed.
    #[must_use]
    pub fn after(mut self, passes: usize) -> Self {
        self.passes = passes;
        self
    }

    /// Whether it meets this call, which counts.
    pub(super) fn meets(&mut self, action: &str) -> bool {
        if self.action.as_ref().is_some_and(|wanted| wanted != action) || self.left == Some(0) {
            return false;
        }
        if self.passes > 0 {
            self.passes -= 1;
            return false;
        }
        if let Some(left) = &mut self.left {
            *left -= 1;
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_meet_by_action_and_count() {
        let mut rule = Rule::on("A", Fault::Cut).after(1).times(2);
        let met: Vec<bool> = ["A", "B", "A", "A", "A"].into_iter().map(|action| rule.meets(action)).collect();
        assert_eq!(met, [false, false, true, true, false]);
        let mut every = Rule::everywhere(Fault::Throttled);
        assert!(every.meets("A") && every.meets("B"));
    }
}
