//! What was made in a cloud for one load balancer, or may have been: the durable record that nothing is forgotten.
//!
//! A resource is entered before the first call that may bring it into being, and leaves when the cloud has said that it
//! is gone. Whoever reads the inventory after a crash finds by name what has no id yet.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::time::Timestamp;

/// What a resource is for inside its load balancer; one-to-one with a [`Resource`].
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ResourceKey {
    /// Its kind, in the cloud's words: `LoadBalancer`, `TargetGroup`, `SecurityGroup`.
    pub kind: String,
    /// What it is for: `frontend`, or the port that a target group serves.
    pub role: String,
    /// Which of several that follow each other: a replacement has the next number.
    pub generation: u32,
}

impl ResourceKey {
    /// The key of a resource.
    pub fn new(kind: &str, role: &str, generation: u32) -> Self {
        Self { kind: kind.to_owned(), role: role.to_owned(), generation }
    }
}

impl fmt::Display for ResourceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} #{}", self.kind, self.role, self.generation)
    }
}

/// Where a resource stands in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Phase {
    /// It is about to be made; it may exist.
    Intended,
    /// It exists.
    Present,
    /// It is on its way out.
    Leaving,
}

/// Whose a resource is: it decides whether it may be deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub enum Ownership {
    /// Made by Daymark, or taken over whole: goes with the load balancer.
    #[default]
    Owned,
    /// Somebody else's, managed on request: given back as it was, never deleted.
    Borrowed,
}

/// A resource in a cloud.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resource {
    /// What it is for.
    pub key: ResourceKey,
    /// The name that it is given, chosen before it is made: it is found by it while its id is unknown.
    pub name: String,
    /// The cloud's id, once known: an ARN, `sg-…`.
    pub id: Option<String>,
    /// Where it stands.
    pub phase: Phase,
    /// When it came into this phase.
    pub since: Timestamp,
    /// Whose it is.
    pub ownership: Ownership,
    /// What the cloud said of it that does not change, by name: a DNS name, a hosted zone.
    pub facts: BTreeMap<String, String>,
    /// Settings that Daymark changed, with what they were before (`None` = not set): restored when the wish goes.
    pub recorded: BTreeMap<String, Option<String>>,
}

impl Resource {
    /// One that is about to be made.
    pub fn intended(key: ResourceKey, name: String, now: Timestamp) -> Self {
        Self {
            key,
            name,
            id: None,
            phase: Phase::Intended,
            since: now,
            ownership: Ownership::Owned,
            facts: BTreeMap::new(),
            recorded: BTreeMap::new(),
        }
    }
}

/// All resources of one load balancer.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Inventory {
    resources: BTreeMap<ResourceKey, Resource>,
    /// Counts up with each disruptive plan that was carried out, so that no consent holds twice.
    pub epoch: u32,
    /// Disruptive changes that were consented to and are not finished.
    pub granted: BTreeSet<String>,
}

impl Inventory {
    /// Whether nothing is left in the cloud.
    pub fn is_empty(&self) -> bool {
        self.resources.is_empty()
    }

    /// All resources, by key.
    pub fn resources(&self) -> impl Iterator<Item = &Resource> {
        self.resources.values()
    }

    /// The resources of `kind`, by role and generation.
    pub fn of_kind<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = &'a Resource> {
        self.resources.values().filter(move |resource| resource.key.kind == kind)
    }

    /// One resource.
    pub fn get(&self, key: &ResourceKey) -> Option<&Resource> {
        self.resources.get(key)
    }

    /// One resource, to change it.
    pub fn get_mut(&mut self, key: &ResourceKey) -> Option<&mut Resource> {
        self.resources.get_mut(key)
    }

    /// The id of a resource that exists.
    pub fn id(&self, key: &ResourceKey) -> Option<&str> {
        self.resources.get(key)?.id.as_deref()
    }

    /// Enters a resource, over one that has its key.
    pub fn put(&mut self, resource: Resource) {
        self.resources.insert(resource.key.clone(), resource);
    }

    /// Enters `resource` unless its key is there already, and says whether it was not.
    pub fn intend(&mut self, resource: Resource) -> bool {
        let new = !self.resources.contains_key(&resource.key);
        if new {
            self.put(resource);
        }
        new
    }

    /// Notes that a resource exists.
    pub fn made(&mut self, key: &ResourceKey, id: &str, now: Timestamp) {
        if let Some(resource) = self.resources.get_mut(key) {
            resource.id = Some(id.to_owned());
            resource.enter(Phase::Present, now);
        }
    }

    /// Notes that a resource is on its way out.
    pub fn leaving(&mut self, key: &ResourceKey, now: Timestamp) {
        if let Some(resource) = self.resources.get_mut(key) {
            resource.enter(Phase::Leaving, now);
        }
    }

    /// Notes that a resource is gone.
    pub fn gone(&mut self, key: &ResourceKey) {
        self.resources.remove(key);
    }

    /// A generation that no resource of this kind and role has or is known to have had.
    pub fn next_generation(&self, kind: &str, role: &str) -> u32 {
        let taken = self.of_kind(kind).filter(|r| r.key.role == role).map(|r| r.key.generation);
        taken.max().map_or(1, |last| last.saturating_add(1))
    }
}

impl Resource {
    fn enter(&mut self, phase: Phase, now: Timestamp) {
        if self.phase != phase {
            self.phase = phase;
            self.since = now;
        }
    }
}

impl FromIterator<Resource> for Inventory {
    fn from_iter<I: IntoIterator<Item = Resource>>(resources: I) -> Self {
        let resources = resources.into_iter().map(|r| (r.key.clone(), r)).collect();
        Self { resources, ..Self::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_intent_is_not_written_over_and_a_phase_keeps_its_beginning() {
        let key = ResourceKey::new("TargetGroup", "tcp-80", 1);
        let mut inventory = Inventory::default();
        assert!(inventory.intend(Resource::intended(key.clone(), "a".into(), Timestamp(1))));
        assert!(!inventory.intend(Resource::intended(key.clone(), "b".into(), Timestamp(2))));
        inventory.made(&key, "arn", Timestamp(3));
        inventory.made(&key, "arn", Timestamp(4));
        let resource = inventory.get(&key).unwrap();
        assert_eq!((resource.name.as_str(), resource.id.as_deref()), ("a", Some("arn")));
        assert_eq!((resource.phase, resource.since), (Phase::Present, Timestamp(3)));
        assert_eq!(inventory.next_generation("TargetGroup", "tcp-80"), 2);
        assert_eq!(inventory.next_generation("TargetGroup", "tcp-443"), 1);
        inventory.gone(&key);
        assert!(inventory.is_empty());
    }
}
