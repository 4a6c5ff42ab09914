//! What cannot be changed in place: another load balancer is made, and the old one goes.

use std::collections::BTreeSet;

use daymark_model::aws::SubnetPolicy;
use daymark_model::{Ownership, Phase, Resource, ResourceKey};
use daymark_providers::StepClass;
use daymark_providers::plan::Manner;

use super::operation::{AwsOperation, say};
use super::{Planner, SOON};
use crate::api::{LoadBalancerState, TargetState};
use crate::model::{Adopt, Backend, Nlb, Security};
use crate::naming::fact;
use crate::observe::FoundLoadBalancer;

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
                None => {
                    let operation = AwsOperation::Enter { key: old.clone(), phase: Phase::Leaving };
                    self.step(StepClass::Change, operation, "its successor is ready");
                    let grace = self.nlb.policy.replacement_grace;
                    self.plan.wait("ReplacementGrace", grace_text(old), grace.max(SOON));
                }
                Some(why) if self.actual.load_balancers.contains_key(successor) => {
                    let text = format!("{} stays until its successor is ready: {why}", say(old));
                    self.plan.wait("WaitingForReplacement", text, SOON);
                }
                Some(_) => {}
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

    /// Why `successor` cannot take over yet.
    fn unready(&self, successor: &ResourceKey, old: &ResourceKey) -> Option<String> {
        let Some(found) = self.actual.load_balancers.get(successor) else {
            return Some("it is not made yet".to_owned());
        };
        match found.load_balancer.state {
            LoadBalancerState::Active | LoadBalancerState::ActiveImpaired => {}
            LoadBalancerState::Provisioning | LoadBalancerState::Failed => {
                return Some(format!("it is {}", found.load_balancer.state));
            }
        }
        for wish in self.nlb.listeners.values() {
            let Some(listener) = found.listeners.iter().find(|found| found.listener.port == wish.port) else {
                return Some(format!("listener {} is not made yet", wish.port));
            };
            for forward in &wish.forward {
                let Backend::Role(role) = &forward.to else { continue };
                let arns: Vec<&str> =
                    listener.listener.forward.iter().map(|forward| forward.target_group.as_str()).collect();
                let new = self.healthy(role, &arns);
                let before = self.healthy_behind(role, old);
                if new < before.min(self.nlb.target_groups.get(role).map_or(0, |wish| wish.targets.len())) {
                    return Some(format!("{new} of {before} targets of {role} are healthy"));
                }
            }
        }
        None
    }

    fn healthy_behind(&self, role: &str, load_balancer: &ResourceKey) -> usize {
        let Some(found) = self.actual.load_balancers.get(load_balancer) else { return 0 };
        let forwards = found.listeners.iter().flat_map(|found| &found.listener.forward);
        let arns: Vec<&str> = forwards.map(|forward| forward.target_group.as_str()).collect();
        self.healthy(role, &arns)
    }

    /// Healthy targets in those target groups of `role` that are among `arns`.
    fn healthy(&self, role: &str, arns: &[&str]) -> usize {
        let of_role = self.actual.target_groups.iter().filter(|(key, _)| key.role == role);
        let among = of_role.filter(|(_, found)| {
            found.group.as_ref().is_some_and(|group| arns.contains(&group.arn.as_str()))
        });
        among.map(|(_, found)| healthy_count(found)).sum()
    }
}

/// How many targets are healthy; where checks are off, every target counts.
pub(super) fn healthy_count(found: &crate::observe::FoundTargetGroup) -> usize {
    let is_healthy = |state: TargetState| matches!(state, TargetState::Healthy | TargetState::Unavailable);
    found.targets.iter().filter(|health| is_healthy(health.state)).count()
}

fn grace_text(old: &ResourceKey) -> String {
    format!("{} stays until clients have moved to its successor", say(old))
}
