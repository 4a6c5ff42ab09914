//! Attributes: what is asked for is set, what is no longer asked for is put back, everything else is left alone.

use std::time::Duration;

use daymark_model::{Resource, Timestamp};
use daymark_providers::text::short_hash;

use super::SETTLES_WITHIN;
use super::operation::Records;
use crate::api::{Attributes, NlbProtocol, TargetType};
use crate::naming::{fact, kind, record};

/// For how long the attributes of a target group are not looked at again that were as wished.
const SEEN_LASTS: Duration = Duration::from_secs(1800);

/// What has to change.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AttributeChange {
    /// What is set.
    pub set: Attributes,
    /// What is recorded and forgotten.
    pub records: Records,
}

/// What has to change so that `found` is as `wish` says. `found` is `None` for what is not made yet.
pub fn settle(
    kind: &str,
    group: Option<(NlbProtocol, TargetType)>,
    wish: &Attributes,
    found: Option<&Attributes>,
    resource: Option<&Resource>,
) -> Option<AttributeChange> {
    let mut change = AttributeChange::default();
    let current = |key: &str| {
        let told = found.and_then(|found| found.get(key)).map(String::as_str);
        told.or_else(|| default_of(kind, group, key))
    };
    for (key, value) in wish {
        if current(key) == Some(value) {
            continue;
        }
        change.set.insert(key.clone(), value.clone());
        let name = format!("{}{key}", record::ATTRIBUTE_PREFIX);
        if resource.is_none_or(|resource| !resource.recorded.contains_key(&name)) {
            change.records.before.insert(name, found.and_then(|found| found.get(key)).cloned());
        }
    }
    let recorded = resource.into_iter().flat_map(|resource| &resource.recorded);
    for (name, before) in recorded {
        let Some(key) = name.strip_prefix(record::ATTRIBUTE_PREFIX) else { continue };
        if wish.contains_key(key) {
            continue;
        }
        change.records.forget.push(name.clone());
        let before = before.as_deref().or_else(|| default_of(kind, group, key));
        // Whatever was found: AWS may not show yet what was set.
        if let Some(before) = before {
            change.set.insert(key.to_owned(), before.to_owned());
        }
    }
    (change != AttributeChange::default()).then_some(change)
}

/// What is noted when attributes are set, so that they are not set again before AWS shows them.
pub fn note(attributes: &Attributes, now: Timestamp) -> String {
    format!("{} {}", now.0, hash(attributes))
}

/// Whether these attributes were set so recently that AWS may not show them yet.
pub fn is_settling(noted: &str, attributes: &Attributes, now: Timestamp) -> bool {
    is_noted(noted, attributes, now, SETTLES_WITHIN)
}

/// Whether attributes were set so recently that AWS may still show those of before.
pub fn were_set_lately(resource: &Resource, now: Timestamp) -> bool {
    let noted = resource.facts.get(fact::ATTRIBUTES_SET).and_then(|noted| read(noted));
    noted.is_some_and(|(at, _)| now.since(at) < SETTLES_WITHIN)
}

/// Whether the attributes of a target group were seen as they are wished not long ago: they are not looked at again.
pub fn is_known(resource: &Resource, wish: &Attributes, now: Timestamp) -> bool {
    let of_others = |name: &String| {
        name.strip_prefix(record::ATTRIBUTE_PREFIX).is_some_and(|key| !wish.contains_key(key))
    };
    let seen = resource.facts.get(fact::ATTRIBUTES_SEEN);
    seen.is_some_and(|noted| is_noted(noted, wish, now, SEEN_LASTS))
        && !resource.recorded.keys().any(of_others)
}

fn is_noted(noted: &str, attributes: &Attributes, now: Timestamp, within: Duration) -> bool {
    read(noted).is_some_and(|(at, of)| of == hash(attributes) && now.since(at) < within)
}

/// What [`note`] wrote: when, and the hash of what.
fn read(noted: &str) -> Option<(Timestamp, &str)> {
    let (at, of) = noted.split_once(' ')?;
    Some((Timestamp(at.parse().ok()?), of))
}

fn hash(attributes: &Attributes) -> String {
    short_hash(attributes.iter().flat_map(|(key, value)| [key.as_str(), value.as_str()]), 12)
}

/// Whether Daymark changed an attribute of it.
pub fn is_recorded(resource: &Resource) -> bool {
    resource.recorded.keys().any(|name| name.starts_with(record::ATTRIBUTE_PREFIX))
}

/// What AWS has where nobody set anything; AWS does not always tell it.
fn default_of(kind: &str, group: Option<(NlbProtocol, TargetType)>, key: &str) -> Option<&'static str> {
    match kind {
        kind::LOAD_BALANCER => load_balancer_default(key),
        kind::TARGET_GROUP => target_group_default(group, key),
        kind::LISTENER => (key == "tcp.idle_timeout.seconds").then_some("350"),
        _ => None,
    }
}

fn load_balancer_default(key: &str) -> Option<&'static str> {
    Some(match key {
        "deletion_protection.enabled"
        | "load_balancing.cross_zone.enabled"
        | "access_logs.s3.enabled"
        | "zonal_shift.config.enabled" => "false",
        "dns_record.client_routing_policy" => "any_availability_zone",
        "access_logs.s3.bucket" | "access_logs.s3.prefix" => "",
        _ => return None,
    })
}

fn target_group_default(group: Option<(NlbProtocol, TargetType)>, key: &str) -> Option<&'static str> {
    Some(match key {
        "deregistration_delay.timeout_seconds" => "300",
        "deregistration_delay.connection_termination.enabled" => match group?.0 {
            NlbProtocol::Udp | NlbProtocol::TcpUdp => "true",
            NlbProtocol::Tcp | NlbProtocol::Tls => "false",
        },
        "preserve_client_ip.enabled" => match group? {
            (NlbProtocol::Tcp | NlbProtocol::Tls, TargetType::Ip) => "false",
            (NlbProtocol::Udp | NlbProtocol::TcpUdp, TargetType::Ip) | (_, TargetType::Instance) => "true",
        },
        "proxy_protocol_v2.enabled" | "stickiness.enabled" => "false",
        "stickiness.type" => "source_ip",
        "load_balancing.cross_zone.enabled" => "use_load_balancer_configuration",
        "target_health_state.unhealthy.connection_termination.enabled" => "true",
        "target_health_state.unhealthy.draining_interval_seconds" => "0",
        "target_group_health.dns_failover.minimum_healthy_targets.count"
        | "target_group_health.unhealthy_state_routing.minimum_healthy_targets.count" => "1",
        "target_group_health.dns_failover.minimum_healthy_targets.percentage"
        | "target_group_health.unhealthy_state_routing.minimum_healthy_targets.percentage" => "off",
        _ => return None,
    })
}
