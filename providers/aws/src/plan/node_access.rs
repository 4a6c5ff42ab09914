//! What lets load balancers reach the nodes: one security group, and one rule per protocol in each group of the nodes.

use std::collections::BTreeSet;

use daymark_model::{Inventory, Resource, ResourceKey, Timestamp};
use daymark_providers::{Plan, StepClass};

use super::operation::{AwsOperation, GroupRef};
use super::{SETTLES_WITHIN, SOON};
use crate::api::{Ingress, IngressRule, Peer};
use crate::model::{NodeAccess, PortRange, Surplus};
use crate::naming::{BACKEND_ROLE, kind, rule_description};
use crate::observe::{Actual, NodeGroup};

/// The key of the security group.
pub fn backend_key() -> ResourceKey {
    ResourceKey::new(kind::SECURITY_GROUP, BACKEND_ROLE, 1)
}

/// The key of our rules in a security group of the nodes.
pub fn rules_key(group: &str) -> ResourceKey {
    ResourceKey::new(kind::NODE_RULES, group, 1)
}

/// What has to be done.
pub fn plan(
    access: &NodeAccess,
    actual: &Actual,
    inventory: &Inventory,
    now: Timestamp,
) -> Plan<AwsOperation> {
    let mut plan = Plan::default();
    let key = backend_key();
    if actual.unseen.contains(&key) {
        plan.wait(
            "WaitingForVisibility",
            "the security group was just made, and AWS does not show it yet",
            SOON,
        );
        return plan;
    }
    let found = actual.security_groups.get(&key);
    let tags = wanted_tags(access);
    match found {
        None => {
            let operation = AwsOperation::CreateSecurityGroup {
                key: key.clone(),
                name: access.owner.resource_name(&key),
                description: format!("Load balancers of Daymark in cluster {}", access.owner.cluster),
                vpc: access.vpc.clone(),
                tags,
            };
            plan.step(StepClass::Change, operation, "it does not exist");
        }
        Some(found) => {
            if let Some(operation) = super::tags::mend(&key, &tags, &found.tags, inventory, now) {
                plan.step(StepClass::Cosmetic, operation, "tags differ");
            }
        }
    }
    let backend = found.map(|found| found.id.as_str());
    let wanted: Vec<&NodeGroup> = actual.node_groups.iter().filter(|group| group.wanted).collect();
    for group in &wanted {
        widen(&mut plan, access, group, backend);
    }
    for group in wanted.iter().filter(|_| access.surplus == Surplus::Revoke) {
        narrow(&mut plan, access, group, backend);
    }
    for entry in inventory.of_kind(kind::NODE_RULES) {
        leave(&mut plan, access, actual, entry, backend, now);
    }
    plan
}

fn wanted_tags(access: &NodeAccess) -> crate::api::Tags {
    let mut tags = access.tags.clone();
    tags.extend(access.owner.tags(BACKEND_ROLE));
    tags
}

fn widen(plan: &mut Plan<AwsOperation>, access: &NodeAccess, group: &NodeGroup, backend: Option<&str>) {
    let present: BTreeSet<PortRange> =
        group.rules.iter().filter(|rule| is_from(rule, backend)).filter_map(range_of).collect();
    let missing: Vec<PortRange> =
        access.ranges.iter().filter(|range| !present.contains(range)).copied().collect();
    if missing.is_empty() {
        return;
    }
    let operation = AwsOperation::AuthorizeNodes {
        key: rules_key(&group.id),
        from: backend_key(),
        ranges: missing,
        description: rule_description(&access.owner.cluster),
    };
    plan.step(StepClass::Change, operation, "load balancers must reach these ports");
}

fn narrow(plan: &mut Plan<AwsOperation>, access: &NodeAccess, group: &NodeGroup, backend: Option<&str>) {
    let description = rule_description(&access.owner.cluster);
    let ours = group.rules.iter().filter(|rule| is_from(rule, backend) && rule.description == description);
    let surplus: Vec<String> = ours
        .filter(|rule| range_of(rule).is_none_or(|range| !access.ranges.contains(&range)))
        .map(|rule| rule.id.clone())
        .collect();
    if !surplus.is_empty() {
        let operation = AwsOperation::Revoke { group: GroupRef::Id(group.id.clone()), rules: surplus };
        plan.step(StepClass::Delete, operation, "no load balancer needs these ports");
    }
}

/// Takes our rules out of a group that is not one of the nodes' any longer.
fn leave(
    plan: &mut Plan<AwsOperation>,
    access: &NodeAccess,
    actual: &Actual,
    entry: &Resource,
    backend: Option<&str>,
    now: Timestamp,
) {
    let group = actual.node_groups.iter().find(|group| group.id == entry.key.role);
    if group.is_some_and(|group| group.wanted) {
        return;
    }
    let description = rule_description(&access.owner.cluster);
    let rules = group.into_iter().flat_map(|group| &group.rules);
    let ours = rules.filter(|rule| is_from(rule, backend) && rule.description == description);
    let ours: Vec<String> = ours.map(|rule| rule.id.clone()).collect();
    if !ours.is_empty() {
        let operation = AwsOperation::Revoke { group: GroupRef::Id(entry.key.role.clone()), rules: ours };
        plan.step(StepClass::Delete, operation, "it is not a group of the nodes any longer");
    }
    // A rule that was just made may not be visible.
    let age = now.since(entry.since);
    if age < SETTLES_WITHIN {
        let text = format!("rules in {} may just have been made", entry.key.role);
        plan.wait("WaitingForVisibility", text, SETTLES_WITHIN.saturating_sub(age));
        return;
    }
    plan.step(
        StepClass::Delete,
        AwsOperation::Strike { key: entry.key.clone() },
        "no rule of ours is left in it",
    );
}

fn is_from(rule: &IngressRule, backend: Option<&str>) -> bool {
    backend.is_some_and(|backend| is_from_any(rule, &[backend]))
}

/// Whether a rule lets in one of these security groups.
pub fn is_from_any(rule: &IngressRule, groups: &[&str]) -> bool {
    match &rule.ingress.peer {
        Peer::Group(id) => groups.contains(&id.as_str()),
        Peer::Cidr(_) | Peer::PrefixList(_) => false,
    }
}

fn range_of(rule: &IngressRule) -> Option<PortRange> {
    let Ingress { protocol, from, to, .. } = &rule.ingress;
    Some(PortRange { protocol: *protocol, from: u16::try_from(*from).ok()?, to: u16::try_from(*to).ok()? })
}
