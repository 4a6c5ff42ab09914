//! What is told of a load balancer: where clients reach it, and how its ports are.

use std::net::IpAddr;

use daymark_model::aws::{AddressForm, PublishWhen};
use daymark_model::{Inventory, IpMode, Phase, Resource, ResourceKey};
use daymark_providers::Published;
use daymark_providers::cloud::{Address, PortHealth};

use crate::api::TargetState;
use crate::model::{Backend, ListenerWish, Nlb};
use crate::naming::{fact, kind};
use crate::observe::Actual;

/// What is told of the load balancers of one wish. While one is replaced, the old one is told of until it is deleted, and
/// the new one, first, as soon as it takes over.
pub fn published(nlb: &Nlb, actual: &Actual, inventory: &Inventory) -> Published {
    let all: Vec<&Resource> =
        inventory.of_kind(kind::LOAD_BALANCER).filter(|entry| entry.facts.contains_key(fact::DNS)).collect();
    let staying: Vec<&Resource> = all.iter().copied().filter(|entry| entry.phase != Phase::Leaving).collect();
    let leaving = all.iter().copied().filter(|entry| entry.phase == Phase::Leaving);
    // The oldest that stays is what clients use until its successor has taken over.
    let in_use = staying.first().copied();
    let shown = in_use.into_iter().chain(leaving);
    let mut addresses = Vec::new();
    for entry in shown {
        if is_ready(nlb, actual, inventory, entry) {
            addresses.extend(addresses_of(nlb, entry));
        }
    }
    let mut facts = Vec::new();
    if let Some(entry) = in_use.or(all.last().copied()) {
        facts.extend(entry.id.clone().map(|arn| ("arn", arn)));
        facts.extend(entry.facts.get(fact::HOSTED_ZONE).cloned().map(|zone| ("hostedZone", zone)));
    }
    let ports = nlb.listeners.values().flat_map(|wish| port_health(wish, actual, inventory)).collect();
    Published { addresses, facts, ports }
}

fn is_ready(nlb: &Nlb, actual: &Actual, inventory: &Inventory, entry: &Resource) -> bool {
    let once = |name: &str| entry.facts.contains_key(name);
    match nlb.policy.publish {
        PublishWhen::Created => true,
        PublishWhen::Active => once(fact::ACTIVE),
        // Once published, an address stays: without healthy targets nothing is gained by taking it away.
        PublishWhen::Healthy => once(fact::READY) || is_served(nlb, actual, inventory, &entry.key),
    }
}

fn addresses_of(nlb: &Nlb, entry: &Resource) -> Vec<Address> {
    let hostname = entry.facts.get(fact::DNS).map(|dns| Address::Hostname(dns.to_lowercase()));
    match nlb.policy.address_form {
        AddressForm::Hostname => hostname.into_iter().collect(),
        AddressForm::StaticAddresses => {
            let noted = entry.facts.get(fact::ADDRESSES).map(String::as_str).unwrap_or_default();
            let addresses: Vec<IpAddr> = noted.split(',').filter_map(|text| text.parse().ok()).collect();
            if addresses.is_empty() {
                return hostname.into_iter().collect();
            }
            addresses.into_iter().map(|address| Address::Ip(address, IpMode::Proxy)).collect()
        }
    }
}

/// Whether every port has a healthy target behind this load balancer. At [`daymark_providers::Depth::Targets`] the
/// listeners are not known, and every target group of the port counts.
pub(crate) fn is_served(nlb: &Nlb, actual: &Actual, inventory: &Inventory, key: &ResourceKey) -> bool {
    let listeners = actual.load_balancers.get(key).map(|found| &found.listeners);
    nlb.listeners.values().all(|wish| {
        let forward = listeners.map(|listeners| {
            let listener = listeners.iter().find(|found| found.listener.port == wish.port);
            listener.map(|found| &found.listener.forward)
        });
        let counts = |group: &Resource| match &forward {
            Some(None) => false,
            Some(Some(forward)) => {
                let sole = forward.len() == 1;
                let mut serving = forward.iter().filter(|part| sole || part.weight > 0);
                serving.any(|part| Some(&part.target_group) == group.id.as_ref())
            }
            None => true,
        };
        let foreign = wish.forward.iter().any(|part| matches!(part.to, Backend::Arn(_)));
        foreign
            || groups_of(wish, inventory)
                .filter(|group| counts(group))
                .any(|group| count(actual, group).0 > 0)
    })
}

fn groups_of<'a>(wish: &'a ListenerWish, inventory: &'a Inventory) -> impl Iterator<Item = &'a Resource> {
    let serves = |entry: &&Resource| {
        wish.forward.iter().any(|part| match &part.to {
            Backend::Role(role) => *role == entry.key.role,
            Backend::Arn(_) => false,
        })
    };
    inventory.of_kind(kind::TARGET_GROUP).filter(|entry| entry.phase == Phase::Present).filter(serves)
}

/// Healthy, registered and draining targets.
fn count(actual: &Actual, group: &Resource) -> (u32, u32, u32) {
    let mut counts = (0, 0, 0);
    let found = actual.target_groups.get(&group.key);
    for health in found.into_iter().flat_map(|found| &found.targets) {
        match health.state {
            TargetState::Healthy | TargetState::Unavailable => {
                counts.0 += 1;
                counts.1 += 1;
            }
            TargetState::Initial
            | TargetState::Unhealthy
            | TargetState::UnhealthyDraining
            | TargetState::Unused => counts.1 += 1,
            TargetState::Draining => counts.2 += 1,
        }
    }
    counts
}

/// The health of the ports of one listener: of the best of several target groups that follow each other. What gets no
/// traffic does not count.
fn port_health(wish: &ListenerWish, actual: &Actual, inventory: &Inventory) -> Vec<PortHealth> {
    let mut sums = (0, 0, 0);
    let sole = wish.forward.len() == 1;
    for part in wish.forward.iter().filter(|part| sole || part.weight > 0) {
        let Backend::Role(role) = &part.to else { continue };
        let generations = groups_of(wish, inventory).filter(|entry| entry.key.role == *role);
        let best = generations.map(|entry| count(actual, entry)).max().unwrap_or_default();
        sums = (sums.0 + best.0, sums.1 + best.1, sums.2 + best.2);
    }
    let (healthy, total, draining) = sums;
    let health = |(service, port): &(daymark_model::ServiceKey, daymark_model::PortProtocol)| PortHealth {
        service: service.clone(),
        port: *port,
        healthy,
        total,
        draining,
    };
    wish.serves.iter().map(health).collect()
}
