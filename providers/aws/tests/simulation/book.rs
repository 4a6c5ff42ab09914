//! What outlives the controller: the saved inventories; and what is watched: that nothing is done which nobody agreed to.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use daymark_aws::model::Desired;
use daymark_model::aws::Replacement;
use daymark_model::{Inventory, Resource};
use daymark_providers::{InventoryStore, Policy, StoreError};

use crate::life::Life;

/// The object of one load balancer, as the API server keeps it.
#[derive(Debug, Clone, Default)]
pub struct Object {
    pub uid: String,
    pub inventory: Inventory,
    /// For what the pass runs that runs now, or ran last.
    pub desired: Option<Desired>,
    pub policy: Policy,
}

/// Shared by the store, the spy on the calls, and the checks.
#[derive(Debug, Default)]
pub struct Book {
    pub objects: BTreeMap<String, Object>,
    /// How many saves are refused.
    pub conflicts: usize,
    /// What must not be touched, by id.
    pub foreign: BTreeSet<String>,
    /// Attributes as they were before Daymark changed them, by resource and name.
    pub before: BTreeMap<(String, String), Option<String>>,
    /// Quotas leave no room for two at a time.
    pub is_tight: bool,
    pub violations: Vec<String>,
}

#[derive(Debug, Clone, Default)]
pub struct Shared(Arc<Mutex<Book>>);

impl Shared {
    pub fn book(&self) -> MutexGuard<'_, Book> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Book {
    /// The object and entry that account for an id.
    pub fn holder(&self, id: &str) -> Option<(&Object, &Resource)> {
        self.objects.values().find_map(|object| {
            let entry = object.inventory.resources().find(|entry| entry.id.as_deref() == Some(id))?;
            Some((object, entry))
        })
    }

    pub fn violation(&mut self, text: String) {
        self.violations.push(text);
    }

    /// Whether each new grant was consented to, or follows from the policy.
    fn check_grants(&mut self, key: &str, inventory: &Inventory) {
        let Some(object) = self.objects.get(key) else { return };
        let new: Vec<String> = inventory.granted.difference(&object.inventory.granted).cloned().collect();
        let by_policy = object.policy.replacement == Replacement::CreateBeforeDestroy;
        let consented = object.policy.consent.is_some();
        for change in new {
            if !(consented || by_policy && change.starts_with("replace ")) {
                self.violation(format!("{key}: nobody agreed to {change:?}"));
            }
        }
    }
}

/// The store of one load balancer.
pub struct Shelf {
    pub shared: Shared,
    pub key: String,
    pub uid: String,
    pub life: Life,
}

impl InventoryStore for Shelf {
    async fn save(&mut self, inventory: &Inventory) -> Result<(), StoreError> {
        self.life.step().await;
        {
            let mut book = self.shared.book();
            if book.conflicts > 0 {
                book.conflicts -= 1;
                return Err(StoreError("it was changed meanwhile".to_owned()));
            }
            book.check_grants(&self.key, inventory);
            match book.objects.get_mut(&self.key).filter(|object| object.uid == self.uid) {
                Some(object) => object.inventory = inventory.clone(),
                None => return Err(StoreError("it is gone".to_owned())),
            }
        }
        self.life.step().await;
        Ok(())
    }
}
