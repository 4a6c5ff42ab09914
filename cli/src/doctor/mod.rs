//! `daymark doctor`: what breaks layer 2 and load balancers in clouds in practice.
//!
//! [`gather`] collects facts from the API server, from this host and from the speaker on it; each check is a pure function
//! over those facts. A check whose facts could not be had says so: it is skipped, never passed.

pub mod checks;
mod cloud;
pub mod facts;
pub mod gather;
mod host;
mod probe;
pub mod render;

use serde::Serialize;

use facts::Facts;

/// What one check found about one thing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The check.
    pub check: &'static str,
    /// What it is about: an interface, a node, an address; empty when about all.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub subject: String,
    /// How it is.
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// How a thing is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "result")]
pub enum Outcome {
    /// Nothing is wrong with it.
    Ok {
        /// What was seen.
        what: String,
    },
    /// Works, but not always or not well.
    Warning {
        /// What is wrong.
        what: String,
        /// What to do about it.
        remedy: String,
    },
    /// Does not work, or works wrongly.
    Problem {
        /// What is wrong.
        what: String,
        /// What to do about it.
        remedy: String,
    },
    /// Could not be looked at.
    Skipped {
        /// Why.
        what: String,
    },
}

/// All findings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Diagnosis {
    /// The node that this runs on, when it is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// In the order of the checks.
    pub findings: Vec<Finding>,
}

impl Diagnosis {
    /// Whether something does not work.
    pub fn has_problems(&self) -> bool {
        self.findings.iter().any(|finding| matches!(finding.outcome, Outcome::Problem { .. }))
    }
}

/// Collects what a check finds.
#[derive(Debug)]
pub struct Chart {
    check: &'static str,
    findings: Vec<Finding>,
}

impl Chart {
    fn new(check: &'static str) -> Self {
        Self { check, findings: Vec::new() }
    }

    fn add(&mut self, subject: &str, outcome: Outcome) {
        self.findings.push(Finding { check: self.check, subject: subject.to_owned(), outcome });
    }

    /// Nothing is wrong with `subject`.
    pub fn ok(&mut self, subject: &str, what: impl Into<String>) {
        self.add(subject, Outcome::Ok { what: what.into() });
    }

    /// Works, but not always or not well.
    pub fn warning(&mut self, subject: &str, what: impl Into<String>, remedy: impl Into<String>) {
        self.add(subject, Outcome::Warning { what: what.into(), remedy: remedy.into() });
    }

    /// Does not work.
    pub fn problem(&mut self, subject: &str, what: impl Into<String>, remedy: impl Into<String>) {
        self.add(subject, Outcome::Problem { what: what.into(), remedy: remedy.into() });
    }

    /// Could not be looked at.
    pub fn skipped(&mut self, what: impl Into<String>) {
        self.add("", Outcome::Skipped { what: what.into() });
    }

    /// What a check says that found nothing to complain of.
    pub fn unless_found(&mut self, what: impl Into<String>) {
        if self.findings.is_empty() {
            self.ok("", what);
        }
    }
}

/// Runs every check.
pub fn examine(facts: &Facts) -> Diagnosis {
    let mut findings = Vec::new();
    for (name, check) in checks::ALL {
        let mut chart = Chart::new(name);
        check(facts, &mut chart);
        findings.append(&mut chart.findings);
    }
    let node = facts.host.as_ref().ok().and_then(|host| host.node.clone());
    Diagnosis { node, findings }
}
