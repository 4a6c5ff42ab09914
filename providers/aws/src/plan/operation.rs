//! One thing that can be done in AWS, or in the inventory alone.

use std::collections::BTreeMap;

use daymark_model::{Family, Inventory, Ownership, Phase, Resource, ResourceKey, Timestamp};
use daymark_providers::Operation;

use super::tags::at_creation;
use crate::api::{
    Attributes, HealthCheck, Ingress, IpAddressType, NlbProtocol, Scheme, SubnetMapping, Tags, Target,
    TargetType,
};
use crate::naming::{fact, kind};

/// A security group: ours, whose id may not be known yet, or any other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GroupRef {
    /// Ours.
    Own(ResourceKey),
    /// Any.
    Id(String),
}

/// A target group: ours, whose ARN may not be known yet, or any other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BackendRef {
    /// Ours.
    Own(ResourceKey),
    /// Any.
    Arn(String),
}

/// Where how much of the traffic goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForwardRef {
    /// Where.
    pub to: BackendRef,
    /// How much.
    pub weight: u32,
}

/// A load balancer to make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewLoadBalancer {
    /// Its key.
    pub key: ResourceKey,
    /// Its name.
    pub name: String,
    /// Where its clients are.
    pub scheme: Scheme,
    /// Its families.
    pub ip_address_type: IpAddressType,
    /// Its subnets.
    pub subnets: Vec<SubnetMapping>,
    /// Its security groups.
    pub security_groups: Vec<GroupRef>,
    /// Prefixes for IPv6 source NAT.
    pub source_nat: bool,
    /// Its tags.
    pub tags: Tags,
    /// Facts to enter before it is made.
    pub facts: BTreeMap<String, String>,
}

/// A target group to make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewTargetGroup {
    /// Its key.
    pub key: ResourceKey,
    /// Its name.
    pub name: String,
    /// Its protocol.
    pub protocol: NlbProtocol,
    /// The port of targets that are registered without one.
    pub port: u16,
    /// What its targets are.
    pub target_type: TargetType,
    /// Their family.
    pub family: Family,
    /// Its VPC.
    pub vpc: String,
    /// How targets are checked.
    pub health: HealthCheck,
    /// Its tags.
    pub tags: Tags,
}

/// A listener to make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewListener {
    /// Its key.
    pub key: ResourceKey,
    /// Its load balancer.
    pub load_balancer: ResourceKey,
    /// Its port.
    pub port: u16,
    /// Its protocol.
    pub protocol: NlbProtocol,
    /// Where its traffic goes.
    pub forward: Vec<ForwardRef>,
    /// The default certificate (TLS).
    pub certificate: Option<String>,
    /// The security policy (TLS).
    pub policy: Option<String>,
    /// The ALPN policy (TLS).
    pub alpn: Option<String>,
    /// Its tags.
    pub tags: Tags,
}

/// What changes of a listener; what is `None` stays.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListenerChange {
    /// Which.
    pub key: ResourceKey,
    /// Its protocol.
    pub protocol: Option<NlbProtocol>,
    /// Where its traffic goes.
    pub forward: Option<Vec<ForwardRef>>,
    /// The default certificate.
    pub certificate: Option<String>,
    /// The security policy.
    pub policy: Option<String>,
    /// The ALPN policy.
    pub alpn: Option<String>,
    /// What becomes of the records of earlier values.
    pub records: Records,
}

/// What is noted of settings that Daymark changes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Records {
    /// What settings were before Daymark first changed them (`None` = not set).
    pub before: BTreeMap<String, Option<String>>,
    /// Settings that are as they were before, once this is done.
    pub forget: Vec<String>,
}

/// One thing that can be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AwsOperation {
    /// Makes a security group.
    CreateSecurityGroup {
        /// Its key.
        key: ResourceKey,
        /// Its name.
        name: String,
        /// What it is for.
        description: String,
        /// Its VPC.
        vpc: String,
        /// Its tags.
        tags: Tags,
    },
    /// Lets something in.
    Authorize {
        /// The security group.
        group: GroupRef,
        /// What.
        rules: Vec<Ingress>,
        /// The description of each rule.
        description: String,
        /// How many rules the group is to have then, as its quota counts them.
        total: usize,
    },
    /// Lets our security group into one of the nodes'.
    AuthorizeNodes {
        /// The entry of our rules there.
        key: ResourceKey,
        /// Our security group.
        from: ResourceKey,
        /// What.
        ranges: Vec<crate::model::PortRange>,
        /// The description of each rule.
        description: String,
        /// How many rules the group is to have then, as its quota counts them.
        total: usize,
    },
    /// Removes rules.
    Revoke {
        /// The security group.
        group: GroupRef,
        /// Their ids.
        rules: Vec<String>,
    },
    /// Deletes a security group.
    DeleteSecurityGroup {
        /// Which.
        key: ResourceKey,
    },
    /// Makes a target group.
    CreateTargetGroup(Box<NewTargetGroup>),
    /// Changes a health check.
    SetHealthCheck {
        /// Of which target group.
        key: ResourceKey,
        /// To what.
        health: HealthCheck,
    },
    /// Registers targets.
    Register {
        /// In which target group.
        key: ResourceKey,
        /// Which.
        targets: Vec<Target>,
    },
    /// Deregisters targets.
    Deregister {
        /// From which target group.
        key: ResourceKey,
        /// Which.
        targets: Vec<Target>,
    },
    /// Deletes a target group.
    DeleteTargetGroup {
        /// Which.
        key: ResourceKey,
    },
    /// Makes a load balancer.
    CreateLoadBalancer(Box<NewLoadBalancer>),
    /// Replaces the subnets of a load balancer.
    SetSubnets {
        /// Which.
        key: ResourceKey,
        /// All that it is to have.
        subnets: Vec<SubnetMapping>,
        /// Prefixes for IPv6 source NAT; `None` = as it is.
        source_nat: Option<bool>,
        /// Which addresses are asked for in them, as facts.
        facts: BTreeMap<String, String>,
        /// What becomes of the records of earlier values.
        records: Records,
    },
    /// Replaces the security groups of a load balancer.
    SetSecurityGroups {
        /// Which.
        key: ResourceKey,
        /// All that it is to have.
        groups: Vec<GroupRef>,
        /// Whether they hold for PrivateLink; `None` = as it is.
        private_link_rules: Option<bool>,
        /// What becomes of the records of earlier values.
        records: Records,
    },
    /// Changes the families of a load balancer.
    SetIpAddressType {
        /// Which.
        key: ResourceKey,
        /// To what.
        ip_address_type: IpAddressType,
    },
    /// Changes attributes of a load balancer, target group or listener.
    SetAttributes {
        /// Which.
        key: ResourceKey,
        /// What changes.
        attributes: Attributes,
        /// What becomes of the records of earlier values.
        records: Records,
    },
    /// Reserves capacity.
    SetCapacity {
        /// Of which load balancer.
        key: ResourceKey,
        /// How many units.
        units: u32,
        /// What becomes of the records of earlier values.
        records: Records,
    },
    /// Deletes a load balancer with its listeners.
    DeleteLoadBalancer {
        /// Which.
        key: ResourceKey,
    },
    /// Makes a listener.
    CreateListener(Box<NewListener>),
    /// Changes a listener.
    ModifyListener(Box<ListenerChange>),
    /// Adds certificates to a listener.
    AddCertificates {
        /// Which.
        key: ResourceKey,
        /// Their ARNs.
        certificates: Vec<String>,
    },
    /// Removes certificates from a listener.
    RemoveCertificates {
        /// Which.
        key: ResourceKey,
        /// Their ARNs.
        certificates: Vec<String>,
    },
    /// Deletes a listener.
    DeleteListener {
        /// Which.
        key: ResourceKey,
    },
    /// Sets and removes tags.
    SetTags {
        /// Of what.
        key: ResourceKey,
        /// The tags that are set.
        tags: Tags,
        /// The keys of the tags that are removed.
        remove: Vec<String>,
        /// What becomes of the records of earlier values.
        records: Records,
    },
    /// Removes our tags, and lets go of a resource that stays.
    Release {
        /// Which.
        key: ResourceKey,
        /// The keys of our tags; empty = it has none.
        tags: Vec<String>,
    },
    /// Enters something that exists already.
    Adopt {
        /// Its key.
        key: ResourceKey,
        /// Its name.
        name: String,
        /// Its id.
        id: String,
        /// Whether it becomes ours.
        ownership: Ownership,
        /// What is known of it.
        facts: BTreeMap<String, String>,
    },
    /// Notes that a resource is on its way out (`Leaving`) or is wanted again (`Present`).
    Enter {
        /// Which.
        key: ResourceKey,
        /// The phase.
        phase: Phase,
    },
    /// Notes a fact, without a call.
    Note {
        /// Of which resource.
        key: ResourceKey,
        /// Which.
        fact: &'static str,
        /// What it is.
        value: String,
    },
    /// Strikes an entry that stands for nothing.
    Strike {
        /// Which.
        key: ResourceKey,
    },
}

impl Operation for AwsOperation {
    fn describe(&self) -> String {
        match self {
            Self::CreateSecurityGroup { name, .. } => format!("create security group {name}"),
            Self::Authorize { group, rules, .. } => {
                format!("let {} in at {}", count(rules.len(), "rule"), group.say())
            }
            Self::AuthorizeNodes { key, ranges, .. } => {
                let ranges: Vec<_> = ranges
                    .iter()
                    .map(|range| format!("{} {}-{}", range.protocol, range.from, range.to))
                    .collect();
                format!("let load balancers into {} ({})", key.role, ranges.join(", "))
            }
            Self::Revoke { group, rules } => {
                format!("remove {} from {}", count(rules.len(), "rule"), group.say())
            }
            Self::DeleteSecurityGroup { key } => format!("delete {}", say(key)),
            Self::CreateTargetGroup(new) => {
                format!("create target group {} ({}, {})", new.name, new.protocol, new.target_type)
            }
            Self::SetHealthCheck { key, health } => {
                format!("set the health check of {} to {}", say(key), health.protocol)
            }
            Self::Register { key, targets } => {
                format!("register {} in {}", count(targets.len(), "target"), say(key))
            }
            Self::Deregister { key, targets } => {
                format!("deregister {} from {}", count(targets.len(), "target"), say(key))
            }
            Self::DeleteTargetGroup { key } => format!("delete {}", say(key)),
            Self::CreateLoadBalancer(new) => {
                format!("create load balancer {} ({}, {})", new.name, new.scheme, new.ip_address_type)
            }
            Self::SetSubnets { key, subnets, .. } => {
                let subnets: Vec<_> = subnets.iter().map(|mapping| mapping.subnet.as_str()).collect();
                format!("set the subnets of {} to {}", say(key), subnets.join(", "))
            }
            Self::SetSecurityGroups { key, groups, .. } => {
                let groups: Vec<_> = groups.iter().map(GroupRef::say).collect();
                format!("set the security groups of {} to {}", say(key), groups.join(", "))
            }
            Self::SetIpAddressType { key, ip_address_type } => {
                format!("set the address type of {} to {ip_address_type}", say(key))
            }
            Self::SetAttributes { key, attributes, .. } => {
                let pairs: Vec<_> =
                    attributes.iter().map(|(name, value)| format!("{name}={value}")).collect();
                format!("set {} of {}", pairs.join(", "), say(key))
            }
            Self::SetCapacity { key, units, .. } => {
                format!("reserve {units} capacity units for {}", say(key))
            }
            Self::DeleteLoadBalancer { key } => format!("delete {} with its listeners", say(key)),
            Self::CreateListener(new) => format!("create listener {}/{}", new.protocol, new.port),
            Self::ModifyListener(change) => format!("change {}{}", say(&change.key), change.say()),
            Self::AddCertificates { key, certificates } => {
                format!("add {} to {}", count(certificates.len(), "certificate"), say(key))
            }
            Self::RemoveCertificates { key, certificates } => {
                format!("remove {} from {}", count(certificates.len(), "certificate"), say(key))
            }
            Self::DeleteListener { key } => format!("delete {}", say(key)),
            Self::SetTags { key, tags, remove, .. } => {
                let set = (!tags.is_empty()).then(|| format!("set {}", count(tags.len(), "tag")));
                let removed = (!remove.is_empty()).then(|| format!("remove {}", count(remove.len(), "tag")));
                let parts: Vec<String> = set.into_iter().chain(removed).collect();
                format!("{} of {}", parts.join(" and "), say(key))
            }
            Self::Release { key, .. } => format!("let go of {} without deleting it", say(key)),
            Self::Adopt { key, name, id, .. } => format!("take over {} {name} ({id})", say(key)),
            Self::Enter { key, phase } => match phase {
                Phase::Leaving => format!("note that {} is on its way out", say(key)),
                Phase::Present | Phase::Intended => format!("note that {} stays", say(key)),
            },
            Self::Note { key, fact, .. } => format!("note {fact} of {}", say(key)),
            Self::Strike { key } => format!("forget {}, which was never made", say(key)),
        }
    }

    fn remember(&self, inventory: &mut Inventory, now: Timestamp) {
        match self {
            Self::CreateSecurityGroup { key, name, tags, .. } => {
                intend(inventory, key, name, now);
                at_creation(tags).write(inventory, key);
            }
            Self::CreateTargetGroup(new) => {
                intend(inventory, &new.key, &new.name, now);
                at_creation(&new.tags).write(inventory, &new.key);
            }
            Self::CreateLoadBalancer(new) => {
                intend(inventory, &new.key, &new.name, now);
                at_creation(&new.tags).write(inventory, &new.key);
                if let Some(resource) = inventory.get_mut(&new.key) {
                    // An attempt that failed may have asked for other addresses.
                    resource.facts.retain(|name, _| !name.starts_with(fact::STATIC_PREFIX));
                    resource.facts.extend(new.facts.clone());
                }
            }
            Self::CreateListener(new) => {
                intend(inventory, &new.key, "", now);
                at_creation(&new.tags).write(inventory, &new.key);
            }
            // What later steps make in it must be found again by its entry.
            Self::Adopt { key, name, id, ownership, facts } => {
                inventory.intend(Resource::intended(key.clone(), name.clone(), now));
                if let Some(entry) = inventory.get_mut(key) {
                    entry.ownership = *ownership;
                    entry.facts.extend(facts.clone());
                }
                inventory.made(key, id, now);
            }
            Self::AuthorizeNodes { key, .. } => intend(inventory, key, "", now),
            Self::SetSubnets { key, records, .. }
            | Self::SetSecurityGroups { key, records, .. }
            | Self::SetCapacity { key, records, .. }
            | Self::SetTags { key, records, .. } => records.write(inventory, key),
            Self::SetAttributes { key, records, .. } => {
                records.write(inventory, key);
                if let Some(resource) = inventory.get_mut(key) {
                    resource.facts.remove(fact::ATTRIBUTES_SEEN);
                }
            }
            Self::ModifyListener(change) => change.records.write(inventory, &change.key),
            Self::DeleteSecurityGroup { key }
            | Self::DeleteTargetGroup { key }
            | Self::DeleteLoadBalancer { key }
            | Self::DeleteListener { key } => inventory.leaving(key, now),
            Self::Authorize { .. }
            | Self::Revoke { .. }
            | Self::SetHealthCheck { .. }
            | Self::Register { .. }
            | Self::Deregister { .. }
            | Self::SetIpAddressType { .. }
            | Self::AddCertificates { .. }
            | Self::RemoveCertificates { .. }
            | Self::Release { .. }
            | Self::Enter { .. }
            | Self::Note { .. }
            | Self::Strike { .. } => {}
        }
    }
}

impl GroupRef {
    /// It in words.
    pub fn say(&self) -> String {
        match self {
            Self::Own(key) => say(key),
            Self::Id(id) => id.clone(),
        }
    }
}

impl ListenerChange {
    fn say(&self) -> String {
        let mut parts = Vec::new();
        parts.extend(self.protocol.map(|protocol| format!("protocol {protocol}")));
        parts.extend(
            self.forward.as_ref().map(|to| format!("forward to {}", count(to.len(), "target group"))),
        );
        parts.extend(self.certificate.as_ref().map(|arn| format!("certificate {arn}")));
        parts.extend(self.policy.as_ref().map(|policy| format!("policy {policy}")));
        parts.extend(self.alpn.as_ref().map(|alpn| format!("ALPN {alpn}")));
        if parts.is_empty() { String::new() } else { format!(": {}", parts.join(", ")) }
    }
}

impl Records {
    fn write(&self, inventory: &mut Inventory, key: &ResourceKey) {
        if self.before.is_empty() {
            return;
        }
        // The listener may be made in this very plan: its intent was written before.
        if let Some(resource) = inventory.get_mut(key) {
            for (name, value) in &self.before {
                resource.recorded.entry(name.clone()).or_insert_with(|| value.clone());
            }
        }
    }

    /// Strikes what is as it was before.
    pub fn strike(&self, inventory: &mut Inventory, key: &ResourceKey) {
        if let Some(resource) = inventory.get_mut(key) {
            self.forget.iter().for_each(|name| {
                resource.recorded.remove(name);
            });
        }
    }
}

/// Enters an intent; one that is there already becomes young again, because what it stands for is about to be made again.
fn intend(inventory: &mut Inventory, key: &ResourceKey, name: &str, now: Timestamp) {
    if inventory.intend(Resource::intended(key.clone(), name.to_owned(), now)) {
        return;
    }
    if let Some(resource) = inventory.get_mut(key)
        && resource.phase == Phase::Intended
    {
        resource.since = now;
    }
}

/// A resource in words.
pub fn say(key: &ResourceKey) -> String {
    let generation = if key.generation > 1 { format!(" #{}", key.generation) } else { String::new() };
    match key.kind.as_str() {
        kind::LOAD_BALANCER => format!("load balancer{generation}"),
        kind::LISTENER => format!("listener {}{generation}", key.role),
        kind::TARGET_GROUP => format!("target group {}{generation}", key.role),
        kind::SECURITY_GROUP => format!("security group {}{generation}", key.role),
        kind::NODE_RULES => format!("rules in {}", key.role),
        _ => key.to_string(),
    }
}

/// So many of something, in words.
pub(crate) fn count(n: usize, what: &str) -> String {
    if n == 1 { format!("1 {what}") } else { format!("{n} {what}s") }
}

/// The facts of a load balancer that are kept in the inventory.
pub fn load_balancer_facts(load_balancer: &crate::api::LoadBalancer) -> BTreeMap<String, String> {
    [
        (fact::DNS, load_balancer.dns_name.to_lowercase()),
        (fact::HOSTED_ZONE, load_balancer.hosted_zone.clone()),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value))
    .collect()
}
