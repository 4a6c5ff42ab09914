//! Conditions in the statuses of our kinds.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use std::fmt;

/// How much of a message is written: enough for a person, and below the server's bound.
const MAX_MESSAGE: usize = 4096;

/// Whether a condition holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConditionStatus {
    /// It holds.
    True,
    /// It does not.
    False,
    /// Nobody can tell.
    Unknown,
}

impl ConditionStatus {
    /// The word in the object.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::True => "True",
            Self::False => "False",
            Self::Unknown => "Unknown",
        }
    }
}

impl fmt::Display for ConditionStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a condition is to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// Its type: one of [`crate::names::condition`].
    pub kind: &'static str,
    /// Whether it holds.
    pub status: ConditionStatus,
    /// Why, in one CamelCase word.
    pub reason: String,
    /// Why, in a sentence.
    pub message: String,
}

/// Makes `conditions` say `verdict`, and says whether that changed anything. `lastTransitionTime` moves only with
/// `status`.
pub fn set(
    conditions: &mut Vec<Condition>,
    verdict: &Verdict,
    generation: Option<i64>,
    now: Timestamp,
) -> bool {
    let message = shortened(&verdict.message, MAX_MESSAGE);
    let status = verdict.status.as_str();
    let Some(present) = conditions.iter_mut().find(|c| c.type_ == verdict.kind) else {
        conditions.push(Condition {
            type_: verdict.kind.to_owned(),
            status: status.to_owned(),
            observed_generation: generation,
            last_transition_time: Time(now),
            reason: verdict.reason.clone(),
            message: message.to_owned(),
        });
        return true;
    };
    if present.status == status
        && present.reason == verdict.reason
        && present.message == message
        && present.observed_generation == generation
    {
        return false;
    }
    if present.status != status {
        present.status = status.to_owned();
        present.last_transition_time = Time(now);
    }
    present.reason.clone_from(&verdict.reason);
    present.message = message.to_owned();
    present.observed_generation = generation;
    true
}

/// Takes the condition `kind` out, and says whether it was there.
pub fn remove(conditions: &mut Vec<Condition>, kind: &str) -> bool {
    let before = conditions.len();
    conditions.retain(|c| c.type_ != kind);
    conditions.len() != before
}

/// The longest beginning of `text` that has at most `max` bytes.
pub fn shortened(text: &str, max: usize) -> &str {
    &text[..text.floor_char_boundary(max)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::condition::ACCEPTED;

    fn verdict(status: ConditionStatus, reason: &str) -> Verdict {
        Verdict { kind: ACCEPTED, status, reason: reason.into(), message: String::new() }
    }

    #[test]
    fn the_transition_time_moves_only_with_the_status() {
        let at = |s| Timestamp::from_second(s).unwrap();
        let mut conditions = Vec::new();
        assert!(set(&mut conditions, &verdict(ConditionStatus::True, "Accepted"), Some(1), at(10)));
        assert!(!set(&mut conditions, &verdict(ConditionStatus::True, "Accepted"), Some(1), at(20)));
        assert!(set(&mut conditions, &verdict(ConditionStatus::True, "Other"), Some(2), at(30)));
        assert_eq!(conditions[0].last_transition_time, Time(at(10)));
        assert!(set(&mut conditions, &verdict(ConditionStatus::False, "Other"), Some(2), at(40)));
        assert_eq!(conditions[0].last_transition_time, Time(at(40)));
        assert!(remove(&mut conditions, ACCEPTED) && !remove(&mut conditions, ACCEPTED));
    }

    #[test]
    fn messages_are_cut_between_characters() {
        assert_eq!(shortened("aéb", 2), "a");
        assert_eq!(shortened("aéb", 3), "aé");
        assert_eq!(shortened("ab", 9), "ab");
    }
}
