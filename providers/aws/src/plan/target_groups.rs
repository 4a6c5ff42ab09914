//! Which target group serves a port of a load balancer, and what becomes of those that serve none.

use std::collections::BTreeMap;
use std::time::Duration;

use daymark_model::{Phase, Resource, ResourceKey};
use daymark_providers::StepClass;

use super::attributes::{is_settling, settle};
use super::operation::{AwsOperation, NewTargetGroup, say};
use super::targets::Share;
use super::{Planner, SETTLES_WITHIN, SOON};
use crate::api::{MAX_TARGETS_PER_CALL, TargetGroup, TargetState};
use crate::model::TargetGroupWish;
use crate::naming::{fact, kind};
use crate::observe::FoundTargetGroup;

/// How long AWS lets targets drain where nobody says otherwise.
const DRAIN: Duration = Duration::from_secs(300);

/// The target group of each role.
pub(super) type Chosen = BTreeMap<String, ResourceKey>;

impl Planner<'_> {
    /// Chooses, makes and changes the target groups of one load balancer, and their targets.
    pub(super) fn target_groups(&mut self, load_balancer: &ResourceKey) -> Chosen {
        let nlb = self.nlb;
        let mut chosen = Chosen::new();
        for (role, wish) in &nlb.target_groups {
            let key = self.choose(load_balancer, role, wish);
            self.claimed.insert(key.clone());
            self.target_group(&key, wish);
            chosen.insert(role.clone(), key);
        }
        self.targets_of(load_balancer, &chosen);
        chosen
    }

    /// Keeps the targets of a load balancer that leaves.
    pub(super) fn attached_targets(&mut self, load_balancer: &ResourceKey) {
        for key in self.attached(load_balancer) {
            self.claimed.insert(key);
        }
        self.targets_of(load_balancer, &Chosen::new());
    }

    fn targets_of(&mut self, load_balancer: &ResourceKey, chosen: &Chosen) {
        let nlb = self.nlb;
        let mut keys: Vec<ResourceKey> = chosen.values().cloned().collect();
        keys.extend(
            self.attached(load_balancer).into_iter().filter(|key| !chosen.values().any(|own| own == key)),
        );
        let mut shares = Vec::new();
        for key in keys {
            if self.actual.missing.contains(&key) && !self.repairs {
                continue;
            }
            let Some(wish) = nlb.target_groups.get(&key.role) else {
                shares.extend(nlb.standing.targets.get(&key).map(|targets| Share { key, targets }));
                continue;
            };
            let group = self.actual.target_groups.get(&key).and_then(|found| found.group.as_ref());
            // A target group with other kinds of targets drains as it is.
            if group.is_none_or(|group| group.target_type == wish.target_type && group.family == wish.family)
            {
                shares.push(Share { key, targets: &wish.targets });
            }
        }
        self.targets(&shares);
    }

    /// The target groups of ours that this load balancer forwards to.
    fn attached(&self, load_balancer: &ResourceKey) -> Vec<ResourceKey> {
        let Some(arn) = self.inventory.id(load_balancer) else { return Vec::new() };
        let is_attached = |found: &FoundTargetGroup| {
            found
                .group
                .as_ref()
                .is_some_and(|group| group.load_balancers.iter().any(|used_by| used_by == arn))
        };
        let all = self.actual.target_groups.iter();
        all.filter(|(_, found)| is_attached(found)).map(|(key, _)| key.clone()).collect()
    }

    /// The one that is as wished and free, best if the load balancer forwards to it already; else the next one.
    fn choose(&self, load_balancer: &ResourceKey, role: &str, wish: &TargetGroupWish) -> ResourceKey {
        let arn = self.inventory.id(load_balancer);
        let attached = |key: &ResourceKey| {
            let group = self.actual.target_groups.get(key).and_then(|found| found.group.as_ref());
            group
                .is_some_and(|group| group.load_balancers.iter().any(|used_by| Some(used_by.as_str()) == arn))
        };
        let fits = |entry: &&Resource| {
            let group = self.actual.target_groups.get(&entry.key).and_then(|found| found.group.as_ref());
            let free = group.is_none_or(|group| group.load_balancers.is_empty()) || attached(&entry.key);
            let name_free = group.is_some() || !self.actual.foreign_names.contains(&entry.name);
            entry.key.role == role
                && entry.phase != Phase::Leaving
                && !self.claimed.contains(&entry.key)
                && group.is_none_or(|group| is_as(group, wish, &self.nlb.vpc))
                && free
                && name_free
        };
        let candidates = self.inventory.of_kind(kind::TARGET_GROUP).filter(fits);
        let best = candidates.max_by_key(|entry| (attached(&entry.key), entry.key.generation));
        best.map(|entry| entry.key.clone()).unwrap_or_else(|| self.next_target_group(role))
    }

    fn next_target_group(&self, role: &str) -> ResourceKey {
        let mut generation = self.inventory.next_generation(kind::TARGET_GROUP, role);
        loop {
            let key = ResourceKey::new(kind::TARGET_GROUP, role, generation);
            let taken = self.claimed.contains(&key)
                || self.actual.foreign_names.contains(&self.nlb.owner.resource_name(&key));
            if !taken || generation == u32::MAX {
                return key;
            }
            generation += 1;
        }
    }

    fn target_group(&mut self, key: &ResourceKey, wish: &TargetGroupWish) {
        if self.actual.unseen.contains(key) {
            return;
        }
        let kinds = Some((wish.protocol, wish.target_type));
        let entry = self.inventory.get(key).cloned();
        let entry = entry.as_ref();
        let Some(found) = self.actual.target_groups.get(key) else {
            let name = entry.map(|entry| entry.name.clone()).filter(|name| !name.is_empty());
            let new = NewTargetGroup {
                key: key.clone(),
                name: name.unwrap_or_else(|| self.nlb.owner.resource_name(key)),
                protocol: wish.protocol,
                port: wish.port,
                target_type: wish.target_type,
                family: wish.family,
                vpc: self.nlb.vpc.clone(),
                health: wish.health.clone(),
                tags: self.tags_of(&key.role),
            };
            let change = settle(kind::TARGET_GROUP, kinds, &wish.attributes, None, entry);
            self.mend(AwsOperation::CreateTargetGroup(Box::new(new)), "it does not exist");
            if let Some(change) = change.filter(|_| self.repairs) {
                self.set_attributes(key, change);
            }
            return;
        };
        if found.group.as_ref().is_some_and(|group| !same_check(&group.health, &wish.health)) {
            let operation = AwsOperation::SetHealthCheck { key: key.clone(), health: wish.health.clone() };
            self.mend(operation, "the health check differs");
        }
        if let Some(attributes) = &found.attributes
            && let Some(change) = settle(kind::TARGET_GROUP, kinds, &wish.attributes, Some(attributes), entry)
        {
            self.set_attributes(key, change);
        }
        self.tags(key, &found.tags);
    }

    pub(super) fn set_attributes(&mut self, key: &ResourceKey, change: super::attributes::AttributeChange) {
        let noted = self.entry(key).and_then(|entry| entry.facts.get(fact::ATTRIBUTES_SET));
        if noted.is_some_and(|noted| is_settling(noted, &change.set, self.now)) {
            let text = format!("attributes of {} were just set, and AWS does not show them yet", say(key));
            self.plan.wait("WaitingForVisibility", text, SOON);
            return;
        }
        let operation =
            AwsOperation::SetAttributes { key: key.clone(), attributes: change.set, records: change.records };
        self.mend(operation, "attributes differ");
    }

    /// Drains and deletes the target groups that nothing forwards to and no port needs.
    pub(super) fn surplus_target_groups(&mut self) {
        let entries: Vec<Resource> = self.inventory.of_kind(kind::TARGET_GROUP).cloned().collect();
        for entry in entries {
            if self.claimed.contains(&entry.key) || self.actual.unseen.contains(&entry.key) {
                continue;
            }
            match self.actual.target_groups.get(&entry.key) {
                Some(found) => {
                    let used_by = found.group.iter().flat_map(|group| &group.load_balancers).next();
                    match used_by {
                        None => self.drain(&entry, found),
                        Some(arn) if !self.stands(arn) => {
                            // AWS says so for a while after the load balancer is gone.
                            let text = format!("{} is still in use by what is gone", say(&entry.key));
                            self.plan.wait("WaitingForListeners", text, SOON);
                        }
                        Some(_) => {}
                    }
                }
                None => self.strike(&entry),
            }
        }
    }

    fn stands(&self, arn: &str) -> bool {
        self.actual.load_balancers.values().any(|found| found.load_balancer.arn == arn)
    }

    fn drain(&mut self, entry: &Resource, found: &FoundTargetGroup) {
        let key = &entry.key;
        let registered = found.targets.iter().filter(|health| health.state != TargetState::Draining);
        let registered: Vec<_> = registered.map(|health| health.target.clone()).collect();
        if entry.phase != Phase::Leaving {
            let operation = AwsOperation::Enter { key: key.clone(), phase: Phase::Leaving };
            self.late_step(StepClass::Delete, operation, "no port needs it");
        }
        if !registered.is_empty() {
            for chunk in registered.chunks(MAX_TARGETS_PER_CALL) {
                let operation = AwsOperation::Deregister { key: key.clone(), targets: chunk.to_vec() };
                self.late_step(StepClass::Delete, operation, "connections end before it is deleted");
            }
            self.plan.wait("Draining", format!("{} drains", say(key)), SOON);
            return;
        }
        let drained = entry.phase == Phase::Leaving && self.now.since(entry.since) >= drain_time(found);
        if !found.targets.is_empty() && !drained {
            self.plan.wait("Draining", format!("{} drains", say(key)), SOON);
            return;
        }
        let operation = AwsOperation::DeleteTargetGroup { key: key.clone() };
        self.late_step(StepClass::Delete, operation, "no port needs it");
    }

    /// Forgets what was only intended, once it would be visible if it existed.
    pub(super) fn strike(&mut self, entry: &Resource) {
        if self.now.since(entry.since) < SETTLES_WITHIN {
            let text = format!("{} may just have been made", say(&entry.key));
            self.plan.wait("WaitingForVisibility", text, SETTLES_WITHIN);
            return;
        }
        let operation = AwsOperation::Strike { key: entry.key.clone() };
        self.late_step(StepClass::Delete, operation, "it does not exist");
    }
}

/// Whether `group` has what can never change as it is wished.
fn is_as(group: &TargetGroup, wish: &TargetGroupWish, vpc: &str) -> bool {
    group.protocol == wish.protocol
        && group.target_type == wish.target_type
        && group.family == wish.family
        && group.vpc == vpc
}

/// Whether the checks are the same; path and codes matter only where they are asked for.
fn same_check(is: &crate::api::HealthCheck, wish: &crate::api::HealthCheck) -> bool {
    let timing =
        |check: &crate::api::HealthCheck| (check.interval, check.timeout, check.healthy, check.unhealthy);
    is.protocol == wish.protocol
        && is.port == wish.port
        && timing(is) == timing(wish)
        && (wish.path.is_none() || is.path == wish.path)
        && (wish.codes.is_none() || is.codes == wish.codes)
}

fn drain_time(found: &FoundTargetGroup) -> Duration {
    let told = found.attributes.as_ref().and_then(|all| all.get("deregistration_delay.timeout_seconds"));
    told.and_then(|seconds| seconds.parse().ok()).map_or(DRAIN, Duration::from_secs)
}
