//! Targets: registered before others are deregistered, within quotas, fairly among ports.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use daymark_model::{Inventory, Phase, Resource, ResourceKey};
use daymark_providers::text::short_hash;
use daymark_providers::{Plan, Step, StepClass, Wait};
use ipnet::IpNet;

use super::{Planner, REMARKED, operation::AwsOperation, operation::say};
use crate::api::{MAX_TARGETS_PER_CALL, Target, TargetHealth, TargetState};
use crate::naming::fact;
use crate::observe::{Actual, Quotas};

/// What one target group of a load balancer is to have.
pub(super) struct Share<'a> {
    /// The target group.
    pub key: ResourceKey,
    /// Who is to get its traffic.
    pub targets: &'a BTreeSet<Target>,
}

/// The targets of what exists, of each load balancer by itself, because each has quotas of its own. `wish` says who is to
/// get the traffic of a target group; `None` = whoever gets it.
pub(super) fn targets_only<'a>(
    actual: &Actual,
    inventory: &Inventory,
    across_zones: bool,
    wish: impl Fn(&Resource) -> Option<&'a BTreeSet<Target>>,
) -> Plan<AwsOperation> {
    let mut by_load_balancer: BTreeMap<&str, Vec<Share<'a>>> = BTreeMap::new();
    for key in actual.target_groups.keys() {
        let Some(entry) = inventory.get(key).filter(|entry| entry.phase == Phase::Present) else { continue };
        let Some(targets) = wish(entry) else { continue };
        let used_by = entry.facts.get(fact::USED_BY).map(String::as_str).unwrap_or_default();
        by_load_balancer.entry(used_by).or_default().push(Share { key: key.clone(), targets });
    }
    let mut plan = Plan::default();
    for shares in by_load_balancer.into_values() {
        Targeting { actual, across_zones, held: None, plan: &mut plan }.bring(&shares);
    }
    plan
}

impl Planner<'_> {
    /// Brings the targets of all target groups of one load balancer to what is wished.
    pub(super) fn targets(&mut self, shares: &[Share<'_>]) {
        let Self { nlb, actual, held, plan, .. } = self;
        Targeting { actual, across_zones: nlb.is_across_zones(), held: held.clone(), plan }.bring(shares);
    }
}

/// Steps that bring targets to what is wished.
struct Targeting<'a> {
    actual: &'a Actual,
    /// Whether all targets count as if they were in each zone.
    across_zones: bool,
    /// The disruptive change that the steps belong to.
    held: Option<String>,
    plan: &'a mut Plan<AwsOperation>,
}

impl Targeting<'_> {
    fn bring(&mut self, shares: &[Share<'_>]) {
        let quotas = self.quotas();
        let subsets = within(shares, quotas);
        for (share, subset) in shares.iter().zip(subsets) {
            let left_out = share.targets.len().saturating_sub(subset.len());
            if left_out > 0 {
                let text = format!(
                    "{} of {} targets of {} get no traffic: the quotas allow {} per target group, {} per load balancer and {} \
                     per zone",
                    left_out,
                    share.targets.len(),
                    say(&share.key),
                    quotas.per_group,
                    quotas.per_load_balancer,
                    quotas.per_zone,
                );
                self.plan.remarks.push(Wait { reason: "TargetsTruncated", message: text, after: REMARKED });
            }
            self.sync(&share.key, &placed(&subset, &self.actual.vpc), quotas);
        }
    }

    fn quotas(&self) -> Quotas {
        let quotas = self.actual.quotas;
        let per_zone = if self.across_zones { quotas.per_zone } else { u32::MAX };
        Quotas { per_load_balancer: quotas.per_load_balancer.min(per_zone), ..quotas }
    }

    fn step(&mut self, class: StepClass, operation: AwsOperation, why: &str) {
        self.plan.steps.push(Step { operation, why: why.to_owned(), class, change: self.held.clone() });
    }

    fn sync(&mut self, key: &ResourceKey, wish: &BTreeSet<Target>, quotas: Quotas) {
        if self.actual.unseen.contains(key) {
            return;
        }
        let nothing = Vec::new();
        let found = self.actual.target_groups.get(key);
        // What is about to be made is made with its targets.
        let class = if found.is_some() { StepClass::Targets } else { StepClass::Change };
        let changes = TargetChanges::between(wish, found.map_or(&nothing, |found| &found.targets));
        let room = usize::try_from(quotas.per_group).unwrap_or(usize::MAX).saturating_sub(changes.registered);
        let first = changes.register.len().saturating_sub(room).min(changes.deregister.len());
        let (early, late) = changes.deregister.split_at(first);
        self.deregister(key, early, "the quota leaves no room for both");
        for chunk in changes.register.chunks(MAX_TARGETS_PER_CALL) {
            let operation = AwsOperation::Register { key: key.clone(), targets: chunk.to_vec() };
            self.step(class, operation, "ready, and not registered");
        }
        self.deregister(key, late, "not wanted any longer");
    }

    fn deregister(&mut self, key: &ResourceKey, targets: &[Target], why: &str) {
        for chunk in targets.chunks(MAX_TARGETS_PER_CALL) {
            let operation = AwsOperation::Deregister { key: key.clone(), targets: chunk.to_vec() };
            self.step(StepClass::Targets, operation, why);
        }
    }
}

/// What differs between the targets that are wished and those that are registered.
struct TargetChanges {
    registered: usize,
    register: Vec<Target>,
    deregister: Vec<Target>,
}

impl TargetChanges {
    /// A target is its id and port: AWS does not tell its zone reliably.
    fn between(wish: &BTreeSet<Target>, found: &[TargetHealth]) -> Self {
        let registered: BTreeMap<(&str, u16), &Target> = found
            .iter()
            .filter(|health| health.state != TargetState::Draining)
            .map(|health| ((health.target.id.as_str(), health.target.port), &health.target))
            .collect();
        let wished: BTreeSet<(&str, u16)> =
            wish.iter().map(|target| (target.id.as_str(), target.port)).collect();
        let register =
            wish.iter().filter(|target| !registered.contains_key(&(target.id.as_str(), target.port)));
        let deregister = registered.iter().filter(|(id, _)| !wished.contains(*id));
        Self {
            registered: registered.len(),
            register: register.cloned().collect(),
            deregister: deregister.map(|(_, target)| (*target).clone()).collect(),
        }
    }
}

/// Targets with the zone that AWS wants to hear: `all` for an address outside the VPC, none for others.
fn placed(targets: &BTreeSet<Target>, vpc: &[IpNet]) -> BTreeSet<Target> {
    let place = |target: &Target| {
        let address: Option<IpAddr> = target.id.parse().ok();
        let outside =
            address.is_some_and(|address| !vpc.is_empty() && !vpc.iter().any(|net| net.contains(&address)));
        Target { zone: outside.then(|| "all".to_owned()), ..target.clone() }
    };
    targets.iter().map(place).collect()
}

/// The targets of each target group that the quotas leave room for: first in each zone, then in all.
fn within(shares: &[Share<'_>], quotas: Quotas) -> Vec<BTreeSet<Target>> {
    let mut sets: Vec<BTreeSet<Target>> = shares.iter().map(|share| share.targets.clone()).collect();
    let zones: BTreeSet<String> = sets.iter().flatten().filter_map(|target| target.zone.clone()).collect();
    let zone_quotas = Quotas { per_group: u32::MAX, per_load_balancer: quotas.per_zone, per_zone: u32::MAX };
    for zone in zones {
        let is_there = |target: &Target| target.zone.as_ref() == Some(&zone);
        let parts: Vec<BTreeSet<Target>> =
            sets.iter().map(|set| set.iter().filter(|target| is_there(target)).cloned().collect()).collect();
        let allowed = fair(&parts.iter().map(BTreeSet::len).collect::<Vec<_>>(), zone_quotas);
        for (((set, part), allowed), share) in sets.iter_mut().zip(parts).zip(allowed).zip(shares) {
            if part.len() > allowed {
                set.retain(|target| !is_there(target));
                set.extend(rendezvous(&share.key.role, part, allowed));
            }
        }
    }
    let allowed = fair(&sets.iter().map(BTreeSet::len).collect::<Vec<_>>(), quotas);
    let sets = sets.into_iter().zip(allowed).zip(shares);
    sets.map(|((set, allowed), share)| rendezvous(&share.key.role, set, allowed)).collect()
}

/// How many targets each target group may have: none gets less so that another gets more than it.
fn fair(wanted: &[usize], quotas: Quotas) -> Vec<usize> {
    let per_group = usize::try_from(quotas.per_group).unwrap_or(usize::MAX);
    let mut left = usize::try_from(quotas.per_load_balancer).unwrap_or(usize::MAX);
    let mut order: Vec<usize> = (0..wanted.len()).collect();
    order.sort_by_key(|position| wanted.get(*position));
    let mut allowed = vec![0; wanted.len()];
    for (served, position) in order.iter().enumerate() {
        let share = left / (wanted.len() - served);
        let (Some(want), Some(slot)) = (wanted.get(*position), allowed.get_mut(*position)) else { continue };
        *slot = (*want).min(per_group).min(share);
        left -= *slot;
    }
    allowed
}

/// The same `count` of `targets` wherever it is decided; when one comes or goes, the others stay.
fn rendezvous(role: &str, targets: BTreeSet<Target>, count: usize) -> BTreeSet<Target> {
    if targets.len() <= count {
        return targets;
    }
    let score = |target: &Target| short_hash([role, &target.id, &target.port.to_string()], 16);
    let mut rated: Vec<(String, Target)> =
        targets.into_iter().map(|target| (score(&target), target)).collect();
    rated.sort();
    rated.into_iter().take(count).map(|(_, target)| target).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_port_is_not_starved_by_a_large_one() {
        let quotas = Quotas { per_group: 100, per_load_balancer: 150, per_zone: 150 };
        assert_eq!(fair(&[90, 10, 90], quotas), [70, 10, 70]);
        assert_eq!(fair(&[300, 5], quotas), [100, 5]);
        assert_eq!(fair(&[], quotas), Vec::<usize>::new());
    }

    #[test]
    fn one_target_less_moves_no_other() {
        let target = |n: u8| Target { id: format!("10.0.0.{n}"), port: 80, zone: None };
        let all: BTreeSet<Target> = (0..100).map(target).collect();
        let before = rendezvous("web", all.clone(), 20);
        let gone = before.first().unwrap().clone();
        let fewer: BTreeSet<Target> = all.into_iter().filter(|target| *target != gone).collect();
        let after = rendezvous("web", fewer, 20);
        assert_eq!(before.intersection(&after).count(), 19);
    }
}
