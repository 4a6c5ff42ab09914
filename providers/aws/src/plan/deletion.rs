//! How all of it goes: load balancers, target groups, rules, security groups; or how it is let go of.

use std::time::Duration;

use daymark_model::{Inventory, Ownership, Resource, ResourceKey, Timestamp};
use daymark_providers::{CloudError, ErrorClass, Plan, StepClass};

use super::load_balancer::is_protected;
use super::operation::{AwsOperation, GroupRef, Records, say};
use super::{SETTLES_WITHIN, listeners};
use crate::naming::{fact, kind, tag};
use crate::observe::{Actual, FoundLoadBalancer};

/// What has to be done so that nothing is left.
///
/// # Errors
/// `DeletionProtected`.
pub fn plan(
    actual: &Actual,
    inventory: &Inventory,
    now: Timestamp,
) -> Result<Plan<AwsOperation>, CloudError> {
    let mut deletion = Deletion { actual, inventory, now, plan: Plan::default() };
    if deletion.retains() {
        deletion.release_all();
        return Ok(deletion.plan);
    }
    for entry in inventory.of_kind(kind::LOAD_BALANCER) {
        deletion.load_balancer(entry)?;
    }
    deletion.stray_listeners();
    for entry in inventory.of_kind(kind::TARGET_GROUP) {
        let key = entry.key.clone();
        deletion.delete(entry, AwsOperation::DeleteTargetGroup { key });
    }
    for entry in inventory.of_kind(kind::NODE_RULES) {
        deletion.node_rules(entry);
    }
    for entry in inventory.of_kind(kind::SECURITY_GROUP) {
        let key = entry.key.clone();
        deletion.delete(entry, AwsOperation::DeleteSecurityGroup { key });
    }
    // A rule that is not visible yet still holds the group: until that one is gone it is not forgotten where rules are.
    for entry in inventory.of_kind(kind::NODE_RULES) {
        let operation = AwsOperation::Strike { key: entry.key.clone() };
        deletion.plan.step(StepClass::Delete, operation, "no rule is left");
    }
    Ok(deletion.plan)
}

struct Deletion<'a> {
    actual: &'a Actual,
    inventory: &'a Inventory,
    now: Timestamp,
    plan: Plan<AwsOperation>,
}

const WHY: &str = "nothing needs it any longer";

impl Deletion<'_> {
    fn retains(&self) -> bool {
        let mut facts =
            self.inventory.of_kind(kind::LOAD_BALANCER).filter_map(|entry| entry.facts.get(fact::DELETION));
        facts.any(|deletion| deletion == "Retain")
    }

    fn release_all(&mut self) {
        for entry in self.inventory.resources() {
            self.release(entry);
        }
    }

    fn release(&mut self, entry: &Resource) {
        let tagged = entry.id.is_some() && entry.key.kind != kind::NODE_RULES;
        let tags = tag::OURS.map(str::to_owned).to_vec();
        let tags = if tagged { tags } else { Vec::new() };
        let operation = AwsOperation::Release { key: entry.key.clone(), tags };
        self.plan.step(StepClass::Delete, operation, "it is to stay");
    }

    fn load_balancer(&mut self, entry: &Resource) -> Result<(), CloudError> {
        let key = &entry.key;
        let found = self.actual.load_balancers.get(key);
        if entry.ownership == Ownership::Borrowed {
            self.give_back(entry);
            return Ok(());
        }
        if let Some(found) = found
            && is_protected(found)
        {
            self.unprotect(entry, found)?;
        }
        self.delete(entry, AwsOperation::DeleteLoadBalancer { key: key.clone() });
        Ok(())
    }

    /// Switches protection off where the user said so before, and refuses otherwise.
    fn unprotect(&mut self, entry: &Resource, found: &FoundLoadBalancer) -> Result<(), CloudError> {
        if entry.facts.get(fact::PROTECTION).is_some_and(|value| value == "false") {
            let name = "deletion_protection.enabled".to_owned();
            let operation = AwsOperation::SetAttributes {
                key: entry.key.clone(),
                attributes: [(name, "false".to_owned())].into(),
                records: Records::default(),
            };
            self.plan.step(
                StepClass::Delete,
                operation,
                "the Service asked for deletion_protection.enabled=false",
            );
            return Ok(());
        }
        let text = format!("AWS protects load balancer {} from deletion", found.load_balancer.name);
        let mut error = CloudError::new(ErrorClass::Blocked, "DeletionProtected", text)
            .remedy("set its attribute deletion_protection.enabled to false in AWS; it is deleted then");
        error.retry_after = Some(Duration::from_secs(60));
        Err(error)
    }

    /// Deletes our listeners, puts settings back, and lets go.
    fn give_back(&mut self, entry: &Resource) {
        let waits = self.plan.waits.len();
        for listener in
            listeners::entries_of(self.inventory, &entry.key).filter_map(|key| self.inventory.get(key))
        {
            let operation = AwsOperation::DeleteListener { key: listener.key.clone() };
            self.delete(listener, operation);
        }
        if self.plan.waits.len() > waits {
            return;
        }
        let operation = AwsOperation::Release { key: entry.key.clone(), tags: Vec::new() };
        self.plan.step(StepClass::Delete, operation, "it is not ours");
    }

    /// Entries of listeners whose load balancer is not in the inventory.
    fn stray_listeners(&mut self) {
        for entry in self.inventory.of_kind(kind::LISTENER) {
            let mut owners = self.inventory.of_kind(kind::LOAD_BALANCER);
            if !owners.any(|owner| owner.key.generation == entry.key.generation) {
                let operation = AwsOperation::Strike { key: entry.key.clone() };
                self.plan.step(StepClass::Delete, operation, "it went with its load balancer");
            }
        }
    }

    /// Deletes what exists; what was only intended is waited for as long as it may become visible.
    fn delete(&mut self, entry: &Resource, operation: AwsOperation) {
        let key = &entry.key;
        if entry.id.is_some() {
            self.plan.step(StepClass::Delete, operation, WHY);
            return;
        }
        let age = self.now.since(entry.since);
        if age < SETTLES_WITHIN {
            let text = format!("{} may just have been made", say(key));
            self.plan.wait("WaitingForVisibility", text, SETTLES_WITHIN.saturating_sub(age));
            return;
        }
        self.plan.step(StepClass::Delete, AwsOperation::Strike { key: key.clone() }, "it does not exist");
    }

    fn node_rules(&mut self, entry: &Resource) {
        let backends: Vec<&ResourceKey> = self.actual.security_groups.keys().collect();
        let groups: Vec<&str> = backends.iter().filter_map(|key| self.inventory.id(key)).collect();
        let node_group = self.actual.node_groups.iter().find(|group| group.id == entry.key.role);
        let ours = node_group.into_iter().flat_map(|group| &group.rules);
        let ours = ours.filter(|rule| super::node_access::is_from_any(rule, &groups));
        let rules: Vec<String> = ours.map(|rule| rule.id.clone()).collect();
        if !rules.is_empty() {
            let operation = AwsOperation::Revoke { group: GroupRef::Id(entry.key.role.clone()), rules };
            self.plan.step(StepClass::Delete, operation, WHY);
        }
    }
}
