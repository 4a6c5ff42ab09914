//! Subnets and addresses: zones are added at once; what is cut off waits for consent, zone by zone.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr};

use daymark_model::aws::SubnetPolicy;
use daymark_model::{Resource, ResourceKey};
use daymark_providers::plan::Manner;
use daymark_providers::{CloudError, StepClass};

use super::Planner;
use super::operation::{AwsOperation, Records};
use super::replacement::{causes, has_allocations};
use crate::api::{IpAddressType, Scheme, SubnetMapping, Zone};
use crate::naming::{fact, record};
use crate::observe::FoundLoadBalancer;
use crate::subnets::{Purpose, mappings};

/// The facts that say which addresses were asked for in which subnet.
pub fn static_facts(subnets: &[SubnetMapping]) -> BTreeMap<String, String> {
    let entry = |mapping: &SubnetMapping| {
        let allocation = mapping.allocation.clone().unwrap_or_default();
        let private = mapping.private.map(|address| address.to_string()).unwrap_or_default();
        let ipv6 = mapping.ipv6.map(|address| address.to_string()).unwrap_or_default();
        let text = format!("{allocation},{private},{ipv6}");
        (text != ",,").then(|| (format!("{}{}", fact::STATIC_PREFIX, mapping.subnet), text))
    };
    subnets.iter().filter_map(entry).collect()
}

/// The addresses that a zone has, as AWS tells them, or as they were asked for where it does not.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Known {
    allocation: Option<String>,
    private: Option<Ipv4Addr>,
    ipv6: Option<Ipv6Addr>,
    /// Whether any of them was asked for.
    asked: bool,
}

impl Known {
    fn of(zone: &Zone, entry: Option<&Resource>) -> Self {
        let noted =
            entry.and_then(|entry| entry.facts.get(&format!("{}{}", fact::STATIC_PREFIX, zone.subnet)));
        let mut parts = noted.map(|noted| noted.split(',')).into_iter().flatten();
        let mut next = || parts.next().filter(|part| !part.is_empty());
        let (allocation, private, ipv6) = (next(), next(), next());
        Self {
            asked: noted.is_some(),
            allocation: zone.address.allocation.clone().or_else(|| allocation.map(str::to_owned)),
            private: zone.address.private.or_else(|| private?.parse().ok()),
            ipv6: zone.address.ipv6.or_else(|| ipv6?.parse().ok()),
        }
    }

    /// Whether what is wished is there; what is not wished matters only where it was asked for before.
    fn fits(&self, wish: &SubnetMapping) -> bool {
        fits(&self.allocation, &wish.allocation, self.asked)
            && fits(&self.private, &wish.private, self.asked && wish.allocation.is_none())
            && fits(&self.ipv6, &wish.ipv6, false)
    }
}

fn fits<T: PartialEq>(is: &Option<T>, wish: &Option<T>, asked: bool) -> bool {
    match wish {
        Some(wish) => is.as_ref() == Some(wish),
        None => !asked || is.is_none(),
    }
}

impl Planner<'_> {
    /// The subnets of a load balancer that is about to be made.
    pub(super) fn new_mappings(&self, scheme: Scheme) -> Result<Vec<SubnetMapping>, CloudError> {
        mappings(&self.nlb.subnets, self.purpose(scheme), &self.actual.subnets, &self.actual.route_tables)
    }

    fn purpose(&self, scheme: Scheme) -> Purpose<'_> {
        let dualstack = self.nlb.ip_address_type == IpAddressType::Dualstack;
        Purpose { scheme, dualstack, cluster: &self.nlb.owner.cluster }
    }

    pub(super) fn zones(&mut self, key: &ResourceKey, found: &FoundLoadBalancer) -> Result<(), CloudError> {
        let load_balancer = &found.load_balancer;
        let mut current = self.mappings_of(key, found);
        let entry = self.entry(key);
        let Some(wanted) = self.wanted(key, found)? else {
            self.source_nat(key, found, &current);
            return Ok(());
        };
        let zone_of = |mapping: &SubnetMapping| {
            let subnet = self.actual.subnets.iter().find(|subnet| subnet.id == mapping.subnet);
            subnet.map(|subnet| subnet.zone.clone()).unwrap_or_default()
        };
        let mut added = Vec::new();
        let mut changed = Vec::new();
        let mut kept = Vec::new();
        for mapping in &wanted {
            let zone = zone_of(mapping);
            match load_balancer
                .zones
                .iter()
                .find(|found| found.subnet == mapping.subnet || found.name == zone)
            {
                None => added.push(mapping.clone()),
                Some(found) => {
                    kept.push(found.subnet.clone());
                    if found.subnet != mapping.subnet || !Known::of(found, entry).fits(mapping) {
                        changed.push((found.clone(), mapping.clone()));
                    }
                }
            }
        }
        let removed: Vec<Zone> =
            load_balancer.zones.iter().filter(|zone| !kept.contains(&zone.subnet)).cloned().collect();
        let add_only = self.nlb.subnets.named.is_empty() && self.nlb.policy.subnets == SubnetPolicy::AddOnly;
        if add_only {
            changed.clear();
        }
        if !added.is_empty() {
            current.extend(added.iter().cloned());
            let operation = set_subnets(key, current.clone(), &added);
            self.mend(operation, "zones are missing");
            if !self.repairs {
                return Ok(());
            }
        }
        self.changed_zones(key, found, &current, &changed);
        if changed.is_empty() && !add_only {
            self.removed_zones(key, found, &current, &removed);
        }
        self.source_nat(key, found, &current);
        Ok(())
    }

    /// What has to be said of the zones of a load balancer so that they stay as they are.
    pub(super) fn mappings_of(&self, key: &ResourceKey, found: &FoundLoadBalancer) -> Vec<SubnetMapping> {
        let (entry, load_balancer) = (self.entry(key), &found.load_balancer);
        load_balancer.zones.iter().map(|zone| mapping_of(zone, entry, load_balancer.scheme)).collect()
    }

    /// What the subnets of an existing load balancer are to be; `None` = as they are.
    fn wanted(
        &self,
        key: &ResourceKey,
        found: &FoundLoadBalancer,
    ) -> Result<Option<Vec<SubnetMapping>>, CloudError> {
        let Some(entry) = self.entry(key) else { return Ok(None) };
        // The subnets that are wished are those of its successor, where it is to have one; and no zone can be added to
        // one with Elastic IPs where none is named for it.
        let lacks_addresses = self.nlb.subnets.allocations.is_empty() && has_allocations(entry, found);
        if lacks_addresses || !causes(self.nlb, entry, found).is_empty() {
            return Ok(None);
        }
        let follows = match self.nlb.policy.subnets {
            SubnetPolicy::Sticky => !self.nlb.subnets.named.is_empty(),
            SubnetPolicy::AddOnly | SubnetPolicy::Exact => true,
        };
        if !follows || self.actual.subnets.is_empty() {
            return Ok(None);
        }
        self.new_mappings(found.load_balancer.scheme).map(Some)
    }

    fn changed_zones(
        &mut self,
        key: &ResourceKey,
        found: &FoundLoadBalancer,
        current: &[SubnetMapping],
        changed: &[(Zone, SubnetMapping)],
    ) {
        let name = &found.load_balancer.name;
        if current.len() < 2 && !changed.is_empty() {
            let text = format!(
                "the addresses of load balancer {name} differ from what is asked for, and cannot change while it is in one \
                 zone only: give it a second zone first"
            );
            self.remark("AddressNotChangeable", text);
            return;
        }
        let mut changes = Vec::new();
        for (zone, mapping) in changed {
            let id = format!("zone {} #{}: {}", zone.name, key.generation, describe(mapping));
            let text = format!(
                "the address of load balancer {name} in zone {} changes to {}: connections through that zone end",
                zone.name,
                describe(mapping)
            );
            changes.push((self.plan.disrupt(id, Manner::Interrupts, text), zone, mapping));
        }
        // One zone at a time: the next pass sees what is left.
        let granted = changes.iter().find(|(id, _, _)| self.inventory.granted.contains(id));
        let Some((change, zone, mapping)) = granted.or(changes.first()) else { return };
        let without: Vec<SubnetMapping> =
            current.iter().filter(|mapping| mapping.subnet != zone.subnet).cloned().collect();
        let mut with = without.clone();
        with.push((*mapping).clone());
        let why = "an address in a zone cannot change while the zone is enabled";
        self.plan.held_step(change, StepClass::Change, set_subnets(key, without, &[]), why);
        self.plan.held_step(
            change,
            StepClass::Change,
            set_subnets(key, with, std::slice::from_ref(*mapping)),
            "the zone gets its new address",
        );
    }

    fn removed_zones(
        &mut self,
        key: &ResourceKey,
        found: &FoundLoadBalancer,
        current: &[SubnetMapping],
        removed: &[Zone],
    ) {
        let Some(first) = removed.first() else { return };
        let names: Vec<&str> = removed.iter().map(|zone| zone.name.as_str()).collect();
        let text = format!(
            "load balancer {} leaves {}: connections through {} end",
            found.load_balancer.name,
            names.join(", "),
            if removed.len() == 1 { "that zone" } else { "those zones" },
        );
        let id = format!("leave {} #{}", names.join(","), key.generation);
        let change = self.plan.disrupt(id, Manner::Interrupts, text);
        let gone = |mapping: &&SubnetMapping| !removed.iter().any(|zone| zone.subnet == mapping.subnet);
        let left: Vec<SubnetMapping> = current.iter().filter(gone).cloned().collect();
        let why = format!("zone {} is not wished any longer", first.name);
        self.plan.held_step(&change, StepClass::Change, set_subnets(key, left, &[]), why);
    }

    fn source_nat(&mut self, key: &ResourceKey, found: &FoundLoadBalancer, current: &[SubnetMapping]) {
        if !self.may_switch_source_nat(found) {
            return;
        }
        if let Some(operation) = self.set_source_nat(key, found, current) {
            self.mend(operation, "prefixes for IPv6 source NAT differ");
        }
    }

    /// Switches source NAT to what is wished, or back to what it was.
    pub(super) fn set_source_nat(
        &self,
        key: &ResourceKey,
        found: &FoundLoadBalancer,
        current: &[SubnetMapping],
    ) -> Option<AwsOperation> {
        let is = found.load_balancer.source_nat;
        let recorded = self.entry(key).and_then(|entry| entry.recorded.get(record::SOURCE_NAT)).cloned();
        let mut records = Records::default();
        let wish = match (self.nlb.source_nat, recorded) {
            (Some(wish), _) if wish == is => return None,
            (Some(wish), recorded) => {
                if recorded.is_none() {
                    records.before.insert(record::SOURCE_NAT.to_owned(), Some(is.to_string()));
                }
                wish
            }
            (None, Some(before)) => {
                records.forget.push(record::SOURCE_NAT.to_owned());
                before.is_some_and(|before| before == "true")
            }
            (None, None) => return None,
        };
        Some(AwsOperation::SetSubnets {
            key: key.clone(),
            subnets: current.to_vec(),
            source_nat: Some(wish),
            facts: BTreeMap::new(),
            records,
        })
    }
}

/// Sets subnets; `asked` are those whose addresses are asked for now.
fn set_subnets(key: &ResourceKey, subnets: Vec<SubnetMapping>, asked: &[SubnetMapping]) -> AwsOperation {
    let facts = static_facts(asked);
    AwsOperation::SetSubnets {
        key: key.clone(),
        subnets,
        source_nat: None,
        facts,
        records: Records::default(),
    }
}

/// What has to be said of a zone so that it stays as it is.
fn mapping_of(zone: &Zone, entry: Option<&Resource>, scheme: Scheme) -> SubnetMapping {
    let known = Known::of(zone, entry);
    SubnetMapping {
        subnet: zone.subnet.clone(),
        allocation: known.allocation,
        private: known.private.filter(|_| scheme == Scheme::Internal),
        ipv6: known.ipv6,
        source_nat_prefix: zone.source_nat_prefix.clone(),
    }
}

fn describe(mapping: &SubnetMapping) -> String {
    let mut text = mapping.subnet.clone();
    let addresses = mapping.allocation.clone().into_iter();
    let addresses = addresses.chain(mapping.private.map(|address| address.to_string()));
    for address in addresses.chain(mapping.ipv6.map(|address| address.to_string())) {
        text.push(' ');
        text.push_str(&address);
    }
    text
}
