//! What cannot be changed in place: another load balancer is made, and the old one goes.

use std::collections::BTreeSet;
use std::time::Duration;

use daymark_model::aws::SubnetPolicy;
use daymark_model::{Ownership, Phase, Resource, ResourceKey};
use daymark_providers::StepClass;
use daymark_providers::plan::Manner;

use super::listeners::WARM_UP;
use super::operation::{AwsOperation, say};
use super::{Planner, SOON};
use crate::api::{LoadBalancerState, TargetState};
use crate::model::{Adopt, Backend, Nlb, Security};
use crate::naming::fact;
use crate::observe::{FoundLoadBalancer, FoundTargetGroup};

/// When it is looked again at what waits for a person.
const LATER: Duration = Duration::from_secs(60);

/// Why `found` cannot become what `nlb` says: none = it can, or is.
pub fn causes(nlb: &Nlb, entry: &Resource, found: &FoundLoadBalancer) -> Vec<String> {
    let load_balancer = &found.load_balancer;
    match (&nlb.adopt, entry.ownership) {
        (Some(Adopt::Arn(arn)), _) if *arn == load_balancer.arn => return Vec::new(),
        (Some(Adopt::Arn(arn)), _) => return vec![format!("the load balancer to take over is {arn}")],
        (None | Some(Adopt::Lbc { .. }), Ownership::Borrowed) => {
            return vec!["the load balancer is no longer to be taken over".to_owned()];
        }
        (None | Some(Adopt::Lbc { .. }), Ownership::Owned) => {}
    }
    let mut causes = Vec::new();
    if let Some(scheme) = nlb.scheme
        && scheme != load_balancer.scheme
    {
        causes.push(format!("the scheme {} cannot become {scheme}", load_balancer.scheme));
    }
    if let Some(name) = &nlb.name
        && *name != load_balancer.name
    {
        causes.push(format!("the name {} cannot become {name}", load_balancer.name));
    }
    if load_balancer.vpc != nlb.vpc {
        causes.push(format!("it cannot move from {} to {}", load_balancer.vpc, nlb.vpc));
    }
    match (wants_groups(&nlb.security), load_balancer.security_groups.is_empty()) {
        (true, true) => causes.push("it was made without security groups, and can never have one".to_owned()),
        (false, false) => {
            causes.push("it was made with security groups, and can never be without".to_owned())
        }
        (true, false) | (false, true) => {}
    }
    // AWS wants an Elastic IP in every subnet or in none, and zones change one by one.
    match (!nlb.subnets.allocations.is_empty(), has_allocations(entry, found)) {
        (true, false) => causes.push("it was made without Elastic IPs, and cannot get them".to_owned()),
        (false, true) if !nlb.subnets.named.is_empty() || nlb.policy.subnets == SubnetPolicy::Exact => {
            causes.push("it was made with Elastic IPs, and cannot be without".to_owned());
        }
        (true, true) | (false, _) => {}
    }
    causes
}

/// Whether a load balancer has Elastic IPs, as AWS tells it or as they were asked for.
pub(super) fn has_allocations(entry: &Resource, found: &FoundLoadBalancer) -> bool {
    let statics = entry.facts.iter().filter(|(name, _)| name.starts_with(fact::STATIC_PREFIX));
    found.load_balancer.zones.iter().any(|zone| zone.address.allocation.is_some())
        || statics.into_iter().any(|(_, value)| value.starts_with("eipalloc-"))
}

fn wants_groups(security: &Security) -> bool {
    match security {
        Security::Managed { .. } | Security::Given { .. } => true,
        Security::Off => false,
    }
}

/// Whether the successor needs what only one load balancer can have at a time: its name, or addresses.
pub(super) fn manner(nlb: &Nlb, entry: &Resource, found: &FoundLoadBalancer) -> Manner {
    let same_name = nlb.name.as_ref() == Some(&found.load_balancer.name);
    let mut held: BTreeSet<String> = BTreeSet::new();
    for zone in &found.load_balancer.zones {
        held.extend(zone.address.allocation.clone());
        held.extend(zone.address.private.map(|address| address.to_string()));
        held.extend(zone.address.ipv6.map(|address| address.to_string()));
    }
    let statics = entry.facts.iter().filter(|(name, _)| name.starts_with(fact::STATIC_PREFIX));
    held.extend(statics.flat_map(|(_, value)| value.split(',').map(str::to_owned)));
    let wish = &nlb.subnets;
    let mut wanted = wish.allocations.iter().cloned();
    let same_address = wanted.any(|allocation| held.contains(&allocation))
        || wish.private.iter().any(|address| held.contains(&address.to_string()))
        || wish.ipv6.iter().any(|address| held.contains(&address.to_string()));
    if same_name || same_address { Manner::Interrupts } else { Manner::NewFirst }
}

/// The id of the change that ends the load balancer `old`.
pub(super) fn change_id(old: &ResourceKey, causes: &[String]) -> String {
    format!("replace {} #{}: {}", old.role, old.generation, causes.join("; "))
}

impl Planner<'_> {
    /// What becomes of `old` when `successor` takes its place: it stays until clients have moved.
    pub(super) fn retire(&mut self, old: &ResourceKey, successor: &ResourceKey) {
        let Some(entry) = self.entry(old) else { return };
        let (phase, since) = (entry.phase, entry.since);
        match phase {
            Phase::Present | Phase::Intended => match self.unready(successor, old) {
                None => self.leave(old, "its successor is ready"),
                Some(lack) => self.take_over_late(old, successor, &lack),
            },
            Phase::Leaving => {
                let left = self.nlb.policy.replacement_grace.saturating_sub(self.now.since(since));
                if left.is_zero() {
                    self.end(old);
                } else {
                    self.plan.wait("ReplacementGrace", grace_text(old), left);
                }
            }
        }
    }

    fn leave(&mut self, old: &ResourceKey, why: &str) {
        let operation = AwsOperation::Enter { key: old.clone(), phase: Phase::Leaving };
        self.step(StepClass::Change, operation, why);
        let grace = self.nlb.policy.replacement_grace;
        self.plan.wait("ReplacementGrace", grace_text(old), grace.max(SOON));
    }

    /// What becomes of `old` while its successor is not as it was. After a while fewer healthy targets are enough; but a
    /// port that it serves, and its successor would not, keeps it until somebody helps.
    fn take_over_late(&mut self, old: &ResourceKey, successor: &ResourceKey, lack: &Lack) {
        let Some(found) = self.actual.load_balancers.get(successor) else { return };
        let zones: Vec<&str> = found.load_balancer.zones.iter().map(|zone| zone.name.as_str()).collect();
        let zones = zones.join(", ");
        let text = format!("{} stays until its successor is ready: {}", say(old), lack.say());
        let late = self.entry(successor).is_some_and(|entry| self.now.since(entry.since) >= WARM_UP);
        let Lack::Targets(ports) = lack else {
            return self.plan.wait("WaitingForReplacement", text, SOON);
        };
        if !late {
            return self.plan.wait("WaitingForReplacement", text, SOON);
        }
        if ports.iter().all(|port| port.now > 0) {
            let text = format!(
                "{} takes over with fewer healthy targets than {}, in zones {zones}: {}",
                say(successor),
                say(old),
                lack.say()
            );
            self.remark("TargetsNotHealthy", text);
            return self.leave(old, "its successor serves every port, and had time enough");
        }
        let unused = ports.iter().any(|port| port.now == 0 && port.is_unused);
        let cause = if unused {
            format!(
                "AWS uses no target outside the zones of the successor, which are {zones}: enable the zones of the targets"
            )
        } else {
            format!("the successor is in zones {zones}: see the health of its targets")
        };
        let text = format!("{text}, for more than 10 minutes; {cause}, or take the change back");
        let reason = if unused { "TargetsOutsideZones" } else { "TargetsNotHealthy" };
        self.remark(reason, text.clone());
        self.plan.wait("WaitingForReplacement", text, LATER);
    }

    /// Deletes a load balancer, or gives it back where it is not ours.
    pub(super) fn end(&mut self, old: &ResourceKey) {
        let borrowed = self.entry(old).is_some_and(|entry| entry.ownership == Ownership::Borrowed);
        let listeners: Vec<ResourceKey> =
            super::listeners::entries_of(&self.inventory, old).cloned().collect();
        if borrowed {
            for key in listeners {
                self.late_step(
                    StepClass::Delete,
                    AwsOperation::DeleteListener { key },
                    "it is given back as it was",
                );
            }
            let operation = AwsOperation::Release { key: old.clone(), tags: Vec::new() };
            self.late_step(StepClass::Delete, operation, "it is not ours");
        } else {
            let operation = AwsOperation::DeleteLoadBalancer { key: old.clone() };
            self.late_step(StepClass::Delete, operation, "it is replaced");
        }
    }

    /// What `successor` lacks to take over.
    fn unready(&self, successor: &ResourceKey, old: &ResourceKey) -> Option<Lack> {
        let Some(found) = self.actual.load_balancers.get(successor) else {
            return Some(Lack::Itself("it is not made yet".to_owned()));
        };
        match found.load_balancer.state {
            LoadBalancerState::Active | LoadBalancerState::ActiveImpaired => {}
            LoadBalancerState::Provisioning | LoadBalancerState::Failed => {
                return Some(Lack::Itself(format!("it is {}", found.load_balancer.state)));
            }
        }
        let mut ports = Vec::new();
        for wish in self.nlb.listeners.values() {
            let Some(listener) = found.listeners.iter().find(|found| found.listener.port == wish.port) else {
                return Some(Lack::Itself(format!("listener {} is not made yet", wish.port)));
            };
            for forward in &wish.forward {
                let Backend::Role(role) = &forward.to else { continue };
                let arns: Vec<&str> =
                    listener.listener.forward.iter().map(|forward| forward.target_group.as_str()).collect();
                let now = self.healthy(role, &arns);
                let before = self.healthy_behind(role, old);
                if now < before.min(self.nlb.target_groups.get(role).map_or(0, |wish| wish.targets.len())) {
                    let is_unused = self.is_unused(role, &arns);
                    ports.push(PortLack { port: wish.port, role: role.clone(), now, before, is_unused });
                }
            }
        }
        (!ports.is_empty()).then_some(Lack::Targets(ports))
    }

    /// Whether AWS uses none of the targets: none is in a zone of the load balancer.
    fn is_unused(&self, role: &str, arns: &[&str]) -> bool {
        self.behind(role, arns)
            .flat_map(|found| &found.targets)
            .all(|health| matches!(health.state, TargetState::Unused | TargetState::Draining))
    }

    fn healthy_behind(&self, role: &str, load_balancer: &ResourceKey) -> usize {
        let Some(found) = self.actual.load_balancers.get(load_balancer) else { return 0 };
        let forwards = found.listeners.iter().flat_map(|found| &found.listener.forward);
        let arns: Vec<&str> = forwards.map(|forward| forward.target_group.as_str()).collect();
        self.healthy(role, &arns)
    }

    /// Healthy targets in those target groups of `role` that are among `arns`.
    fn healthy(&self, role: &str, arns: &[&str]) -> usize {
        self.behind(role, arns).map(healthy_count).sum()
    }

    fn behind(&self, role: &str, arns: &[&str]) -> impl Iterator<Item = &FoundTargetGroup> {
        let of_role = self.actual.target_groups.iter().filter(move |(key, _)| key.role == role);
        of_role
            .map(|(_, found)| found)
            .filter(move |found| found.group.as_ref().is_some_and(|group| arns.contains(&group.arn.as_str())))
    }
}

/// What a successor lacks to take over.
enum Lack {
    /// It is not made yet, or not whole.
    Itself(String),
    /// Ports have fewer healthy targets than before.
    Targets(Vec<PortLack>),
}

struct PortLack {
    port: u16,
    role: String,
    now: usize,
    before: usize,
    /// AWS uses none of its targets.
    is_unused: bool,
}

impl Lack {
    fn say(&self) -> String {
        match self {
            Self::Itself(why) => why.clone(),
            Self::Targets(ports) => {
                let say = |lack: &PortLack| {
                    format!(
                        "port {} has {} of {} healthy targets ({})",
                        lack.port, lack.now, lack.before, lack.role
                    )
                };
                ports.iter().map(say).collect::<Vec<_>>().join("; ")
            }
        }
    }
}

/// How many targets are healthy; where checks are off, every target counts.
pub(super) fn healthy_count(found: &FoundTargetGroup) -> usize {
    let is_healthy = |state: TargetState| matches!(state, TargetState::Healthy | TargetState::Unavailable);
    found.targets.iter().filter(|health| is_healthy(health.state)).count()
}

fn grace_text(old: &ResourceKey) -> String {
    format!("{} stays until clients have moved to its successor", say(old))
}
