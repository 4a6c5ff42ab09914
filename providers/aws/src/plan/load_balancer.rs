//! The load balancers of one wish: usually one; while one is replaced, two.

use std::collections::BTreeMap;

use daymark_model::{Ownership, Phase, ResourceKey};
use daymark_providers::plan::Manner;
use daymark_providers::{CloudError, ErrorClass, StepClass};

use super::attributes::settle;
use super::listeners::entries_of;
use super::operation::{AwsOperation, GroupRef, NewLoadBalancer, Records, say};
use super::replacement::{causes, change_id, manner};
use super::{Planner, SOON};
use crate::api::{LoadBalancerState, Scheme};
use crate::model::{Adopt, NodeAccessState, Security};
use crate::naming::{LOAD_BALANCER_ROLE, fact, kind, record};
use crate::observe::FoundLoadBalancer;

/// The key of the load balancer with this generation.
pub(super) fn key(generation: u32) -> ResourceKey {
    ResourceKey::new(kind::LOAD_BALANCER, LOAD_BALANCER_ROLE, generation)
}

impl Planner<'_> {
    pub(super) fn load_balancers(&mut self) -> Result<(), CloudError> {
        let entries: Vec<ResourceKey> =
            self.inventory.of_kind(kind::LOAD_BALANCER).map(|entry| entry.key.clone()).collect();
        let stands = |key: &&ResourceKey| self.actual.load_balancers.contains_key(*key);
        let (standing, unmade): (Vec<&ResourceKey>, Vec<&ResourceKey>) = entries.iter().partition(stands);
        // One that stands is better than one that was only intended: the wish may have come back to what there is.
        let fitting = standing.iter().rev().find(|key| self.causes(key).is_empty());
        let wished = fitting.or(unmade.last()).map(|key| (*key).clone());
        let olds: Vec<ResourceKey> =
            standing.into_iter().filter(|key| Some(*key) != wished.as_ref()).cloned().collect();
        let adoption = self.held.clone();
        for key in unmade.into_iter().filter(|key| Some(*key) != wished.as_ref()) {
            self.forget_unmade(key);
        }
        // What clients use now comes first, so that it keeps its target groups.
        for old in &olds {
            self.maintain(old)?;
        }
        let target = wished
            .unwrap_or_else(|| key(self.inventory.next_generation(kind::LOAD_BALANCER, LOAD_BALANCER_ROLE)));
        if olds.is_empty() {
            return self.line(&target);
        }
        let mut changes = Vec::new();
        for old in &olds {
            if let Some((change, manner)) = self.announce(old) {
                changes.push((old, change, manner));
            }
        }
        let stands = self.actual.load_balancers.contains_key(&target);
        let mut interrupted =
            changes.iter().filter(|(_, _, manner)| *manner == Manner::Interrupts).peekable();
        if interrupted.peek().is_some() && !stands {
            for (old, change, _) in interrupted {
                self.held = Some(change.clone());
                self.end(old);
            }
            self.held = adoption;
            return Ok(());
        }
        // What stands was consented to, or never needed consent.
        if stands {
            self.line(&target)?;
        } else if let Some((_, change, _)) = changes.first() {
            self.held = Some(change.clone());
            self.line(&target)?;
        }
        for (old, change, _) in &changes {
            self.held = Some(change.clone());
            self.retire(old, &target);
        }
        self.held = adoption;
        Ok(())
    }

    fn causes(&self, key: &ResourceKey) -> Vec<String> {
        // What is taken over is taken over as it is; whether it must be replaced is a plan of its own, shown afterwards.
        if self.actual.adoptable.iter().any(|one| one.key == *key) {
            return Vec::new();
        }
        match (self.entry(key), self.actual.load_balancers.get(key)) {
            (Some(entry), Some(found)) => causes(self.nlb, entry, found),
            _ => Vec::new(),
        }
    }

    /// Tells that `old` is to be replaced, unless AWS protects it, or its successor would leave out a Service that it
    /// serves.
    fn announce(&mut self, old: &ResourceKey) -> Option<(String, Manner)> {
        let mut causes = self.causes(old);
        if causes.is_empty() {
            causes.push("another one is as wished".to_owned());
        }
        let change = change_id(old, &causes);
        let found = self.actual.load_balancers.get(old)?;
        let entry = self.entry(old)?;
        let manner = manner(self.nlb, entry, found);
        if is_protected(found) && entry.ownership == Ownership::Owned {
            let text = format!(
                "{} is to be replaced ({}), and AWS protects it from deletion: set deletion_protection.enabled=false first",
                found.load_balancer.name,
                causes.join("; ")
            );
            self.remark("DeletionProtected", text);
            return None;
        }
        let left_out: Vec<String> =
            self.standing_listeners(found).map(|listener| listener.port.to_string()).collect();
        if !left_out.is_empty() {
            let text = format!(
                "{} is to be replaced ({}), and is not while Services that it serves on port {} cannot be served as they \
                 are written now: mend those first",
                found.load_balancer.name,
                causes.join("; "),
                left_out.join(", "),
            );
            self.remark("ReplacementWaits", text);
            return None;
        }
        let how = match manner {
            Manner::NewFirst => {
                "another one is made, with another DNS name; both are published until this one goes"
            }
            Manner::Interrupts | Manner::Adopts => {
                "it is deleted before another one can be made, because the name or the addresses are the same: nothing \
                 is reachable meanwhile"
            }
        };
        let text =
            format!("load balancer {} is replaced: {}; {how}", found.load_balancer.name, causes.join("; "));
        let change = self.plan.disrupt(change, manner, text);
        Some((change, manner))
    }

    /// Strikes a load balancer that nobody wants any longer and that does not stand, with its listeners; but not while it
    /// may still appear. Its target groups go as all do that serve no port.
    fn forget_unmade(&mut self, key: &ResourceKey) {
        // That it is not visible yet is told already.
        if self.actual.unseen.contains(key) {
            return;
        }
        let listeners: Vec<ResourceKey> = entries_of(&self.inventory, key).cloned().collect();
        for key in listeners.into_iter().chain([key.clone()]) {
            let Some(entry) = self.entry(&key).cloned() else { continue };
            self.strike(&entry);
        }
    }

    /// Keeps an old load balancer as wished as it can be; one that leaves only keeps its targets.
    fn maintain(&mut self, old: &ResourceKey) -> Result<(), CloudError> {
        if self.entry(old).is_none_or(|entry| entry.phase != Phase::Leaving) {
            return self.line(old);
        }
        self.attached_targets(old);
        Ok(())
    }

    /// One load balancer with its target groups and listeners.
    fn line(&mut self, key: &ResourceKey) -> Result<(), CloudError> {
        let chosen = self.target_groups(key);
        let found = self.actual.load_balancers.get(key);
        if self.actual.unseen.contains(key) {
            return Ok(());
        }
        match found {
            None => {
                if self.actual.missing.contains(key) && !self.repairs {
                    self.remark("Drift", format!("{} was deleted in AWS", say(key)));
                    return Ok(());
                }
                if !self.create(key)? {
                    return Ok(());
                }
            }
            Some(found) => self.update(key, found)?,
        }
        self.listeners(key, found, &chosen)?;
        if let Some(found) = found {
            self.datagrams_over_ipv6(key, found);
        }
        Ok(())
    }

    /// Whether the load balancer is about to stand.
    fn create(&mut self, key: &ResourceKey) -> Result<bool, CloudError> {
        if let Some(Adopt::Arn(arn)) = &self.nlb.adopt {
            return Err(CloudError::user("AdoptNotFound", format!("there is no load balancer {arn}"))
                .remedy("check the ARN and the region of the profile"));
        }
        let name = self.load_balancer_name(key);
        if self.actual.foreign_names.contains(&name) {
            let text = format!("a load balancer named {name} exists already, and it is not of this Service");
            return Err(
                CloudError::user("NameConflict", text).remedy("choose another name, or delete the other one")
            );
        }
        let Some(security_groups) = self.groups() else {
            let text = "the security group that lets load balancers reach the nodes is being made";
            self.plan.wait("WaitingForNodeAccess", text, SOON);
            return Ok(false);
        };
        self.datagrams_need_source_nat()?;
        let scheme = self.scheme();
        let subnets = self.new_mappings(scheme)?;
        let mut facts = self.kept_facts();
        facts.extend(super::zones::static_facts(&subnets));
        let new = NewLoadBalancer {
            key: key.clone(),
            name,
            scheme,
            ip_address_type: self.nlb.ip_address_type,
            subnets,
            security_groups,
            source_nat: self.nlb.source_nat.unwrap_or(false),
            tags: self.tags_of(LOAD_BALANCER_ROLE),
            facts,
        };
        let why =
            if self.actual.missing.contains(key) { "it was deleted in AWS" } else { "it does not exist" };
        self.step(StepClass::Change, AwsOperation::CreateLoadBalancer(Box::new(new)), why);
        if !self.nlb.attributes.is_empty()
            && let Some(change) =
                settle(kind::LOAD_BALANCER, None, &self.nlb.attributes, None, self.entry(key))
        {
            let operation = AwsOperation::SetAttributes {
                key: key.clone(),
                attributes: change.set,
                records: change.records,
            };
            self.step(StepClass::Change, operation, "asked for");
        }
        let text = "AWS makes the load balancer";
        if self.held.is_none() {
            self.plan.wait("Provisioning", text, SOON);
        }
        Ok(true)
    }

    fn load_balancer_name(&self, key: &ResourceKey) -> String {
        if let Some(entry) = self.entry(key)
            && !entry.name.is_empty()
        {
            return entry.name.clone();
        }
        self.nlb.name.clone().unwrap_or_else(|| self.nlb.owner.resource_name(key))
    }

    /// What must be known when the wish is gone.
    pub(super) fn kept_facts(&self) -> BTreeMap<String, String> {
        let mut facts = BTreeMap::new();
        facts.insert(fact::DELETION.to_owned(), format!("{:?}", self.nlb.policy.deletion));
        if let Some(value) = self.nlb.attributes.get("deletion_protection.enabled") {
            facts.insert(fact::PROTECTION.to_owned(), value.clone());
        }
        facts
    }

    /// The scheme that is wished; else that of what exists, so that a replacement for another reason keeps it.
    pub(super) fn scheme(&self) -> Scheme {
        let existing =
            self.actual.load_balancers.values().next_back().map(|found| found.load_balancer.scheme);
        self.nlb.scheme.or(existing).unwrap_or(Scheme::Internal)
    }

    fn update(&mut self, key: &ResourceKey, found: &FoundLoadBalancer) -> Result<(), CloudError> {
        if self.entry(key).is_some_and(|entry| entry.ownership == Ownership::Borrowed) {
            return Ok(());
        }
        match found.load_balancer.state {
            LoadBalancerState::Active | LoadBalancerState::ActiveImpaired => {}
            LoadBalancerState::Provisioning => {
                self.plan.wait("Provisioning", "AWS makes the load balancer", SOON);
            }
            LoadBalancerState::Failed => {
                let why = found.load_balancer.state_reason.as_deref().unwrap_or("AWS does not say why");
                let text = format!("AWS could not make load balancer {}: {why}", found.load_balancer.name);
                return Err(CloudError::new(ErrorClass::Blocked, "LoadBalancerFailed", text).remedy(
                    "delete the load balancer in AWS once the cause is removed; it is then made again",
                ));
            }
        }
        if self.entry(key).is_some_and(|entry| entry.phase == Phase::Leaving) {
            let operation = AwsOperation::Enter { key: key.clone(), phase: Phase::Present };
            self.step(StepClass::Change, operation, "it is wanted again");
        }
        self.security_of(key, found);
        self.families(key, found)?;
        self.zones(key, found)?;
        self.attributes_of(key, found);
        self.capacity(key, found);
        self.tags(key, &found.tags);
        Ok(())
    }

    fn attributes_of(&mut self, key: &ResourceKey, found: &FoundLoadBalancer) {
        let Some(attributes) = &found.attributes else { return };
        let change = settle(
            kind::LOAD_BALANCER,
            None,
            &self.nlb.attributes,
            Some(attributes),
            self.inventory.get(key),
        );
        if let Some(change) = change {
            self.set_attributes(key, change);
        }
    }

    fn capacity(&mut self, key: &ResourceKey, found: &FoundLoadBalancer) {
        let (Some(is), true) = (found.capacity, found.load_balancer.state == LoadBalancerState::Active)
        else {
            return;
        };
        let recorded = self.entry(key).and_then(|entry| entry.recorded.get(record::CAPACITY)).cloned();
        let mut records = Records::default();
        let units = match (self.nlb.capacity, recorded) {
            (Some(wish), recorded) => {
                if wish == is {
                    return;
                }
                if recorded.is_none() {
                    records.before.insert(record::CAPACITY.to_owned(), Some(is.to_string()));
                }
                wish
            }
            (None, Some(before)) => {
                records.forget.push(record::CAPACITY.to_owned());
                before.and_then(|units| units.parse().ok()).unwrap_or(0)
            }
            (None, None) => return,
        };
        self.mend(
            AwsOperation::SetCapacity { key: key.clone(), units, records },
            "reserved capacity differs",
        );
    }

    /// The security groups that the load balancer is to have; `None` while they are not known.
    pub(super) fn groups(&self) -> Option<Vec<GroupRef>> {
        let (mut groups, with_nodes) = match &self.nlb.security {
            Security::Managed { .. } => (vec![GroupRef::Own(self.frontend_key())], true),
            Security::Given { node_access, .. } => {
                (self.actual.given_groups.iter().cloned().map(GroupRef::Id).collect(), *node_access)
            }
            Security::Off => return Some(Vec::new()),
        };
        if with_nodes {
            match &self.nlb.node_access {
                NodeAccessState::NotManaged => {}
                NodeAccessState::Awaited => return None,
                NodeAccessState::Group(id) => groups.push(GroupRef::Id(id.clone())),
            }
        }
        Some(groups)
    }
}

/// Whether AWS refuses to delete it.
pub(super) fn is_protected(found: &FoundLoadBalancer) -> bool {
    let value = found.attributes.as_ref().and_then(|all| all.get("deletion_protection.enabled"));
    value.is_some_and(|value| value == "true")
}
