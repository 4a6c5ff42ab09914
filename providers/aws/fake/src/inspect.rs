//! What there is, without lag; what was called; what was left behind.

use std::collections::BTreeMap;

use daymark_aws::api::{
    Attributes, IngressRule, Listener, LoadBalancer, NetworkInterface, Peer, SecurityGroup, Tags,
    TargetGroup, TargetHealth,
};
use daymark_aws::naming::tag;

use crate::Aws;
use crate::clock::{Birth, Hand};
use crate::log::CallRecord;
use crate::network;
use crate::security_group::{self, Rule};
use crate::state::State;

/// A load balancer with all that belongs to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoadBalancerState {
    /// Itself.
    pub load_balancer: LoadBalancer,
    /// Its tags.
    pub tags: Tags,
    /// Its attributes.
    pub attributes: Attributes,
    /// Its reserved capacity units.
    pub capacity: u32,
    /// Its listeners, by port.
    pub listeners: BTreeMap<u16, ListenerState>,
}

/// A listener with all that belongs to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListenerState {
    /// Itself.
    pub listener: Listener,
    /// Its tags.
    pub tags: Tags,
    /// Its attributes.
    pub attributes: Attributes,
    /// Its certificates beside the default one.
    pub certificates: Vec<String>,
}

/// A target group with all that belongs to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TargetGroupState {
    /// Itself.
    pub target_group: TargetGroup,
    /// Its tags.
    pub tags: Tags,
    /// Its attributes.
    pub attributes: Attributes,
    /// Its targets, those that drain too.
    pub targets: Vec<TargetHealth>,
}

/// A security group with its rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecurityGroupState {
    /// Itself.
    pub group: SecurityGroup,
    /// What it lets in.
    pub rules: Vec<IngressRule>,
}

/// All that there is, by ARN or id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// Load balancers.
    pub load_balancers: BTreeMap<String, LoadBalancerState>,
    /// Target groups.
    pub target_groups: BTreeMap<String, TargetGroupState>,
    /// Security groups.
    pub security_groups: BTreeMap<String, SecurityGroupState>,
    /// Network interfaces.
    pub interfaces: Vec<NetworkInterface>,
}

impl Snapshot {
    /// The load balancer with this name.
    pub fn load_balancer(&self, name: &str) -> Option<&LoadBalancerState> {
        self.load_balancers.values().find(|state| state.load_balancer.name == name)
    }

    /// The target group with this name.
    pub fn target_group(&self, name: &str) -> Option<&TargetGroupState> {
        self.target_groups.values().find(|state| state.target_group.name == name)
    }

    /// The load balancers that have this tag.
    pub fn load_balancers_with(&self, key: &str, value: &str) -> Vec<&LoadBalancerState> {
        let has = |state: &&LoadBalancerState| state.tags.get(key).is_some_and(|tag| tag == value);
        self.load_balancers.values().filter(has).collect()
    }
}

impl Aws {
    /// All that there is.
    pub fn snapshot(&self) -> Snapshot {
        self.with_state(|state| snapshot(state))
    }

    /// What of a cluster is still there: all that is tagged with it, all that the caller made and nobody's tag claims, and rules
    /// of others' security groups that the caller made, or that let in a security group of the cluster or one that is gone.
    pub fn leaked(&self, cluster: &str) -> Vec<String> {
        self.with_state(|state| leaked(state, cluster))
    }

    /// The calls since the start or the last reset; those of [`Self::as_other`] are not among them.
    pub fn calls(&self) -> Vec<CallRecord> {
        self.lock().log.calls.clone()
    }

    /// How often each action was called since the start or the last reset: `CreateLoadBalancer`.
    pub fn counts(&self) -> BTreeMap<&'static str, usize> {
        self.lock().log.counts()
    }

    /// How often an action was called since the start or the last reset.
    pub fn count(&self, name: &str) -> usize {
        self.counts().get(name).copied().unwrap_or_default()
    }

    /// The calls since the start or the last reset that could change something.
    pub fn writes(&self) -> Vec<CallRecord> {
        let mut calls = self.calls();
        calls.retain(|call| crate::log::is_write(&call.request));
        calls
    }

    /// Forgets the calls.
    pub fn reset_calls(&self) {
        self.lock().log.reset();
    }
}

fn snapshot(state: &State) -> Snapshot {
    let load_balancers = state.balancers.values().map(|balancer| {
        let own = state.listeners.values().filter(|one| one.listener.load_balancer == balancer.arn);
        let listeners = own.map(|listening| {
            let shown = ListenerState {
                listener: listening.listener.clone(),
                tags: listening.tags.truth().clone(),
                attributes: listening.attributes.truth().clone(),
                certificates: listening.certificates.iter().cloned().collect(),
            };
            (listening.listener.port, shown)
        });
        let shown = LoadBalancerState {
            load_balancer: state.shown_balancer(balancer),
            tags: balancer.tags.truth().clone(),
            attributes: balancer.attributes.truth().clone(),
            capacity: balancer.capacity,
            listeners: listeners.collect(),
        };
        (balancer.arn.clone(), shown)
    });
    let target_groups = state.pools.values().map(|pool| {
        let shown = TargetGroupState {
            target_group: state.shown_pool(pool),
            tags: pool.tags.truth().clone(),
            attributes: pool.attributes.truth().clone(),
            targets: state.describe_target_health(&pool.arn).unwrap_or_default(),
        };
        (pool.arn.clone(), shown)
    });
    let security_groups = state.groups.iter().map(|(id, group)| {
        let own = state.rules.iter().filter(|(_, rule)| rule.group == *id);
        let shown = SecurityGroupState {
            group: SecurityGroup {
                id: id.clone(),
                name: group.name.clone(),
                vpc: group.vpc.clone(),
                tags: group.tags.truth().clone(),
            },
            rules: own.map(|(id, rule)| security_group::shown(id, rule)).collect(),
        };
        (id.clone(), shown)
    });
    Snapshot {
        load_balancers: load_balancers.collect(),
        target_groups: target_groups.collect(),
        security_groups: security_groups.collect(),
        interfaces: state.interfaces.iter().map(|(id, interface)| network::shown(id, interface)).collect(),
    }
}

/// Whether a resource is a cluster's: by its tag, or because the caller made it and no tag says otherwise.
fn is_of(cluster: &str, tags: &Tags, birth: Birth) -> bool {
    match tags.get(tag::CLUSTER) {
        Some(owner) => owner == cluster,
        None => birth.by == Hand::Caller,
    }
}

fn leaked(state: &State, cluster: &str) -> Vec<String> {
    let balancers = state.balancers.values().map(|one| (&one.arn, one.tags.truth(), one.birth));
    let pools = state.pools.values().map(|one| (&one.arn, one.tags.truth(), one.birth));
    let listeners = state.listeners.values().map(|one| (&one.listener.arn, one.tags.truth(), one.birth));
    let groups = state.groups.iter().map(|(id, one)| (id, one.tags.truth(), one.birth));
    let all = balancers.chain(pools).chain(listeners).chain(groups);
    let resources = all.filter(|(_, tags, birth)| is_of(cluster, tags, *birth)).map(|(id, _, _)| id.clone());
    let rules = state.rules.iter().filter(|(_, rule)| is_left(state, cluster, rule));
    resources.chain(rules.map(|(id, rule)| format!("{id} in {}", rule.group))).collect()
}

/// Whether a rule in a security group that is not the cluster's was left behind by it.
fn is_left(state: &State, cluster: &str, rule: &Rule) -> bool {
    let is_ours =
        |id: &str| state.groups.get(id).is_some_and(|group| is_of(cluster, group.tags.truth(), group.birth));
    if is_ours(&rule.group) {
        return false;
    }
    let by_caller = rule.birth.by == Hand::Caller;
    match &rule.ingress.peer {
        Peer::Group(peer) => match state.groups.get(peer) {
            Some(group) => is_ours(peer) || (by_caller && !group.tags.truth().contains_key(tag::CLUSTER)),
            None => true,
        },
        Peer::Cidr(_) | Peer::PrefixList(_) => by_caller,
    }
}
