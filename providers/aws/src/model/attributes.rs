//! Attributes of load balancers, target groups and listeners: known keys, and the values that AWS takes.

use std::ops::RangeInclusive;

use daymark_providers::text::did_you_mean;

use super::value::{Bad, bad, boolean, number, word};
use super::written::Reader;
use crate::api::Attributes;

/// What an attribute may be.
#[derive(Debug, Clone)]
pub(super) enum Takes {
    Bool,
    Number(RangeInclusive<u32>),
    /// `off`, or a number.
    OffOr(RangeInclusive<u32>),
    Words(&'static [&'static str]),
    Text,
}

/// Whose attributes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Of {
    LoadBalancer,
    TargetGroup,
    Listener,
}

/// Off, or on for a while: targets that a client keeps.
pub(super) const STICKINESS: &str = "stickiness.enabled";
/// Whether targets see the client's address.
pub(super) const PRESERVE_CLIENT_IP: &str = "preserve_client_ip.enabled";
/// Whether targets are told the client's address in a header of its own.
pub(super) const PROXY_PROTOCOL: &str = "proxy_protocol_v2.enabled";
/// How long an idle TCP connection is kept.
pub(super) const IDLE_TIMEOUT: &str = "tcp.idle_timeout.seconds";

const LOAD_BALANCER: &[(&str, Takes)] = &[
    ("access_logs.s3.bucket", Takes::Text),
    ("access_logs.s3.enabled", Takes::Bool),
    ("access_logs.s3.prefix", Takes::Text),
    ("deletion_protection.enabled", Takes::Bool),
    (
        "dns_record.client_routing_policy",
        Takes::Words(&[
            "availability_zone_affinity",
            "partial_availability_zone_affinity",
            "any_availability_zone",
        ]),
    ),
    ("ipv6.deny_all_igw_traffic", Takes::Bool),
    ("load_balancing.cross_zone.enabled", Takes::Bool),
    ("secondary_ips.auto_assigned.per_subnet", Takes::Number(0..=7)),
    ("zonal_shift.config.enabled", Takes::Bool),
];

const TARGET_GROUP: &[(&str, Takes)] = &[
    ("deregistration_delay.connection_termination.enabled", Takes::Bool),
    ("deregistration_delay.timeout_seconds", Takes::Number(0..=3600)),
    (
        "load_balancing.cross_zone.enabled",
        Takes::Words(&["true", "false", "use_load_balancer_configuration"]),
    ),
    (PRESERVE_CLIENT_IP, Takes::Bool),
    (PROXY_PROTOCOL, Takes::Bool),
    (STICKINESS, Takes::Bool),
    ("stickiness.type", Takes::Words(&["source_ip"])),
    ("target_group_health.dns_failover.minimum_healthy_targets.count", Takes::OffOr(1..=u32::MAX)),
    ("target_group_health.dns_failover.minimum_healthy_targets.percentage", Takes::OffOr(1..=100)),
    (
        "target_group_health.unhealthy_state_routing.minimum_healthy_targets.count",
        Takes::Number(1..=u32::MAX),
    ),
    ("target_group_health.unhealthy_state_routing.minimum_healthy_targets.percentage", Takes::OffOr(1..=100)),
    ("target_health_state.unhealthy.connection_termination.enabled", Takes::Bool),
    ("target_health_state.unhealthy.draining_interval_seconds", Takes::Number(0..=360_000)),
];

const LISTENER: &[(&str, Takes)] = &[(IDLE_TIMEOUT, Takes::Number(60..=6000))];

fn known(of: Of) -> &'static [(&'static str, Takes)] {
    match of {
        Of::LoadBalancer => LOAD_BALANCER,
        Of::TargetGroup => TARGET_GROUP,
        Of::Listener => LISTENER,
    }
}

/// Checks attributes that stand in what is called `name`: values of known keys must be AWS's, an unknown key is passed on
/// with a warning, for AWS may have learned it since.
pub(super) fn check(reader: &mut Reader<'_>, name: &str, of: Of, attributes: &Attributes) {
    for (key, value) in attributes {
        match known(of).iter().find(|(known, _)| known == key) {
            Some((_, takes)) => {
                let within = |bad: Bad| Bad { what: format!("{key}: {}", bad.what), ..bad };
                let _: Option<()> = reader.take(name, fits(takes, value).map_err(within));
            }
            None => {
                let near = did_you_mean(key, known(of).iter().map(|(known, _)| *known));
                let hint = near.map(|near| format!(": did you mean {near}?")).unwrap_or_default();
                reader.warn(
                    "UnknownAttribute",
                    format!("{name}: {key} is no attribute that Daymark knows{hint}"),
                );
            }
        }
    }
}

fn fits(takes: &Takes, value: &str) -> Result<(), Bad> {
    match takes {
        Takes::Bool => match value {
            "true" | "false" => Ok(()),
            _ => boolean(value)
                .and_then(|_| bad(format!("AWS does not take {value:?}"), "write true or false")),
        },
        Takes::Number(range) => number(value, range.clone()).map(|_| ()),
        Takes::OffOr(_) if value == "off" => Ok(()),
        Takes::OffOr(range) => number(value, range.clone())
            .map(|_| ())
            .map_err(|bad| Bad { remedy: format!("{}, or off", bad.remedy), ..bad }),
        Takes::Words(words) => {
            let words: Vec<(&str, ())> = words.iter().map(|word| (*word, ())).collect();
            word(value, &words)
        }
        Takes::Text => Ok(()),
    }
}
