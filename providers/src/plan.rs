//! A plan: ordered steps, which of them wait for consent, and for what the rest waits.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use daymark_model::{Inventory, Timestamp};

/// What an operation of a cloud can tell of itself.
pub trait Operation: fmt::Debug + Clone + Send + Sync {
    /// What it does, in a line: `create target group dm-shop-web-… (TCP, ip)`.
    fn describe(&self) -> String;

    /// Notes in `inventory` what must be known should the process end in the middle of it: a resource that it makes, a
    /// setting that it changes.
    fn remember(&self, inventory: &mut Inventory, now: Timestamp);
}

/// How urgent a step is among those of all load balancers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StepClass {
    /// Traffic goes where it should.
    Targets,
    /// Something is made or changed.
    Change,
    /// Something is deleted.
    Delete,
    /// Tags and the like.
    Cosmetic,
}

/// One step.
#[derive(Debug, Clone)]
pub struct Step<O> {
    /// What is done.
    pub operation: O,
    /// Why, in a line.
    pub why: String,
    /// How urgent it is.
    pub class: StepClass,
    /// The id of the disruptive change that it belongs to: it waits for consent to that.
    pub change: Option<String>,
}

/// In which manner a change disturbs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Manner {
    /// The new one stands before the old one goes: clients follow the name.
    NewFirst,
    /// Something is interrupted.
    Interrupts,
    /// Something that others made is taken over.
    Adopts,
}

/// A change that nobody should be surprised by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disruption {
    /// In which manner it disturbs.
    pub manner: Manner,
    /// What it does to whom, in a sentence.
    pub text: String,
}

/// What a plan waits for before it can go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wait {
    /// The CamelCase word: `WaitingForTargets`.
    pub reason: &'static str,
    /// For what, in a sentence.
    pub message: String,
    /// When to look again.
    pub after: Duration,
}

/// What has to be done, in order.
#[derive(Debug, Clone)]
pub struct Plan<O> {
    /// The steps that can be taken now, in order; a step may rely on those before it.
    pub steps: Vec<Step<O>>,
    /// What further steps wait for.
    pub waits: Vec<Wait>,
    /// Disruptive changes by id. An id is the same in every plan until the change is finished.
    pub disruptive: BTreeMap<String, Disruption>,
    /// What is not as it should be and is left so: drift that is only reported, targets beyond a quota.
    pub remarks: Vec<Wait>,
}

impl<O> Default for Plan<O> {
    fn default() -> Self {
        Self { steps: Vec::new(), waits: Vec::new(), disruptive: BTreeMap::new(), remarks: Vec::new() }
    }
}

impl<O: Operation> Plan<O> {
    /// Whether nothing is to be done and nothing waited for.
    pub fn is_converged(&self) -> bool {
        self.steps.is_empty() && self.waits.is_empty() && self.disruptive.is_empty()
    }

    /// Adds a step that disturbs nobody.
    pub fn step(&mut self, class: StepClass, operation: O, why: impl Into<String>) {
        self.steps.push(Step { operation, why: why.into(), class, change: None });
    }

    /// Adds a step of the disruptive change `change`.
    pub fn held_step(&mut self, change: &str, class: StepClass, operation: O, why: impl Into<String>) {
        self.steps.push(Step { operation, why: why.into(), class, change: Some(change.to_owned()) });
    }

    /// Adds a disruptive change, and gives its id back for the steps that belong to it.
    pub fn disrupt(&mut self, id: String, manner: Manner, text: impl Into<String>) -> String {
        self.disruptive.insert(id.clone(), Disruption { manner, text: text.into() });
        id
    }

    /// Adds something to wait for.
    pub fn wait(&mut self, reason: &'static str, message: impl Into<String>, after: Duration) {
        self.waits.push(Wait { reason, message: message.into(), after });
    }

    /// The disruptive changes that are not granted in `inventory`.
    pub fn ungranted(&self, inventory: &Inventory) -> BTreeMap<&str, &Disruption> {
        let waiting = self.disruptive.iter().filter(|(id, _)| !inventory.granted.contains(*id));
        waiting.map(|(id, disruption)| (id.as_str(), disruption)).collect()
    }

    /// What consents to the changes that wait for it: the same text for the same changes, another one after they were
    /// carried out once. `None` where none waits.
    pub fn consent_hash(&self, inventory: &Inventory) -> Option<String> {
        let waiting = self.ungranted(inventory);
        if waiting.is_empty() {
            return None;
        }
        let mut digest = ring::digest::Context::new(&ring::digest::SHA256);
        digest.update(&inventory.epoch.to_be_bytes());
        for id in waiting.keys() {
            digest.update(&(id.len() as u64).to_be_bytes());
            digest.update(id.as_bytes());
        }
        Some(digest.finish().as_ref().iter().take(5).map(|byte| format!("{byte:02x}")).collect())
    }
}
