//! Label selectors with the semantics of Kubernetes.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

/// The labels of an object.
pub type Labels = BTreeMap<String, String>;

/// A label selector: all of its requirements hold, or it does not match. An empty one matches everything.
///
/// Source: Kubernetes `meta/v1.LabelSelector`.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Selector {
    /// Labels that must have exactly these values.
    pub match_labels: BTreeMap<String, String>,
    /// Further requirements.
    pub match_expressions: Vec<Expression>,
}

/// One requirement on one label.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Expression {
    /// The label's key.
    pub key: String,
    /// What is asked of it.
    pub operator: Operator,
}

/// What an [`Expression`] asks of its label.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Operator {
    /// The label is there and its value is one of these.
    In(BTreeSet<String>),
    /// The label is absent, or its value is none of these.
    NotIn(BTreeSet<String>),
    /// The label is there.
    Exists,
    /// The label is absent.
    DoesNotExist,
}

impl Selector {
    /// Whether `labels` meet every requirement.
    pub fn matches(&self, labels: &Labels) -> bool {
        self.match_labels.iter().all(|(key, value)| labels.get(key) == Some(value))
            && self.match_expressions.iter().all(|e| e.matches(labels))
    }

    /// How many requirements it has: the more, the more specific.
    pub fn specificity(&self) -> usize {
        self.match_labels.len() + self.match_expressions.len()
    }
}

impl Expression {
    fn matches(&self, labels: &Labels) -> bool {
        let value = labels.get(&self.key);
        match &self.operator {
            Operator::In(values) => value.is_some_and(|v| values.contains(v)),
            Operator::NotIn(values) => value.is_none_or(|v| !values.contains(v)),
            Operator::Exists => value.is_some(),
            Operator::DoesNotExist => value.is_none(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_operator() {
        let labels: Labels = [("tier".to_owned(), "web".to_owned())].into();
        let holds = |key: &str, operator| Expression { key: key.into(), operator }.matches(&labels);
        let values = |v: &str| BTreeSet::from([v.to_owned()]);
        assert!(holds("tier", Operator::In(values("web"))));
        assert!(!holds("tier", Operator::In(values("db"))));
        assert!(!holds("zone", Operator::In(values("db"))));
        assert!(holds("zone", Operator::NotIn(values("db"))));
        assert!(!holds("tier", Operator::NotIn(values("web"))));
        assert!(holds("tier", Operator::Exists) && !holds("zone", Operator::Exists));
        assert!(holds("zone", Operator::DoesNotExist) && !holds("tier", Operator::DoesNotExist));
    }

    #[test]
    fn the_empty_selector_matches_everything() {
        assert!(Selector::default().matches(&Labels::new()));
    }
}
