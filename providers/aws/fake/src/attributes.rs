//! Attributes of load balancers, target groups and listeners: their names, defaults and what they may be.

use daymark_aws::api::{Attributes, NlbProtocol, Scheme, TargetType};

use crate::refusal::{Answer, require};

/// What an attribute may be.
#[derive(Debug, Clone, Copy)]
enum Allows {
    Switch,
    Words(&'static [&'static str]),
    Number(u32, u32),
    OffOrNumber(u32, u32),
    Text,
}

impl Allows {
    fn fits(self, value: &str) -> bool {
        let within = |min, max| value.parse::<u32>().is_ok_and(|number| (min..=max).contains(&number));
        match self {
            Self::Switch => matches!(value, "true" | "false"),
            Self::Words(words) => words.contains(&value),
            Self::Number(min, max) => within(min, max),
            Self::OffOrNumber(min, max) => value == "off" || within(min, max),
            Self::Text => true,
        }
    }
}

type Table = &'static [(&'static str, &'static str, Allows)];

/// The attribute that protects a load balancer from being deleted.
pub(crate) const DELETION_PROTECTION: &str = "deletion_protection.enabled";
/// Whether targets of all zones get the traffic of each.
pub(crate) const CROSS_ZONE: &str = "load_balancing.cross_zone.enabled";
/// How long a deregistered target finishes its connections.
pub(crate) const DEREGISTRATION_DELAY: &str = "deregistration_delay.timeout_seconds";
/// Whether targets see clients' addresses.
pub(crate) const PRESERVE_CLIENT_IP: &str = "preserve_client_ip.enabled";
const STICKINESS: &str = "stickiness.enabled";
const CONNECTION_TERMINATION: &str = "deregistration_delay.connection_termination.enabled";
const DENY_GATEWAY: &str = "ipv6.deny_all_igw_traffic";

const LOAD_BALANCER: Table = &[
    ("access_logs.s3.enabled", "false", Allows::Switch),
    ("access_logs.s3.bucket", "", Allows::Text),
    ("access_logs.s3.prefix", "", Allows::Text),
    (DELETION_PROTECTION, "false", Allows::Switch),
    (CROSS_ZONE, "false", Allows::Switch),
    (
        "dns_record.client_routing_policy",
        "any_availability_zone",
        Allows::Words(&[
            "any_availability_zone",
            "availability_zone_affinity",
            "partial_availability_zone_affinity",
        ]),
    ),
    ("zonal_shift.config.enabled", "false", Allows::Switch),
    ("secondary_ips.auto_assigned.per_subnet", "0", Allows::Number(0, 7)),
    (DENY_GATEWAY, "false", Allows::Switch),
];

const TARGET_GROUP: Table = &[
    (DEREGISTRATION_DELAY, "300", Allows::Number(0, 3600)),
    (CONNECTION_TERMINATION, "false", Allows::Switch),
    (PRESERVE_CLIENT_IP, "true", Allows::Switch),
    ("proxy_protocol_v2.enabled", "false", Allows::Switch),
    (STICKINESS, "false", Allows::Switch),
    ("stickiness.type", "source_ip", Allows::Words(&["source_ip"])),
    (
        "load_balancing.cross_zone.enabled",
        "use_load_balancer_configuration",
        Allows::Words(&["true", "false", "use_load_balancer_configuration"]),
    ),
    ("target_group_health.dns_failover.minimum_healthy_targets.count", "1", Allows::OffOrNumber(1, 1000)),
    (
        "target_group_health.dns_failover.minimum_healthy_targets.percentage",
        "off",
        Allows::OffOrNumber(1, 100),
    ),
    (
        "target_group_health.unhealthy_state_routing.minimum_healthy_targets.count",
        "1",
        Allows::OffOrNumber(1, 1000),
    ),
    (
        "target_group_health.unhealthy_state_routing.minimum_healthy_targets.percentage",
        "off",
        Allows::OffOrNumber(1, 100),
    ),
    ("target_health_state.unhealthy.connection_termination.enabled", "true", Allows::Switch),
    ("target_health_state.unhealthy.draining_interval_seconds", "0", Allows::Number(0, 360_000)),
];

const TCP_LISTENER: Table = &[("tcp.idle_timeout.seconds", "350", Allows::Number(60, 6000))];

fn defaults(table: Table) -> Attributes {
    table.iter().map(|(name, default, _)| ((*name).to_owned(), (*default).to_owned())).collect()
}

fn check(table: Table, what: &str, changes: &Attributes) -> Answer<()> {
    for (name, value) in changes {
        let known = table.iter().find(|(known, _, _)| known == name);
        let message = format!("{what} attribute key '{name}' is not recognized");
        require(known.is_some(), "ValidationError", message)?;
        let message = format!("'{value}' is not a valid value for {what} attribute '{name}'");
        require(known.is_some_and(|(_, _, allows)| allows.fits(value)), "ValidationError", message)?;
    }
    Ok(())
}

/// Those of a new load balancer.
pub(crate) fn of_load_balancer(scheme: Scheme) -> Attributes {
    let mut attributes = defaults(LOAD_BALANCER);
    let deny = match scheme {
        Scheme::Internal => "true",
        Scheme::InternetFacing => "false",
    };
    attributes.insert(DENY_GATEWAY.to_owned(), deny.to_owned());
    attributes
}

/// Those of a new target group.
pub(crate) fn of_target_group(protocol: NlbProtocol, target_type: TargetType) -> Attributes {
    let mut attributes = defaults(TARGET_GROUP);
    let preserves = match target_type {
        TargetType::Instance => true,
        TargetType::Ip => is_datagram(protocol),
    };
    attributes.insert(PRESERVE_CLIENT_IP.to_owned(), preserves.to_string());
    attributes.insert(CONNECTION_TERMINATION.to_owned(), is_datagram(protocol).to_string());
    attributes
}

/// Those of a new listener.
pub(crate) fn of_listener(protocol: NlbProtocol) -> Attributes {
    defaults(listener_table(protocol))
}

fn listener_table(protocol: NlbProtocol) -> Table {
    match protocol {
        NlbProtocol::Tcp | NlbProtocol::TcpUdp => TCP_LISTENER,
        NlbProtocol::Tls | NlbProtocol::Udp => &[],
    }
}

/// Whether UDP is among what a protocol carries.
pub(crate) fn is_datagram(protocol: NlbProtocol) -> bool {
    match protocol {
        NlbProtocol::Udp | NlbProtocol::TcpUdp => true,
        NlbProtocol::Tcp | NlbProtocol::Tls => false,
    }
}

/// Whether an attribute is switched on.
pub(crate) fn is_on(attributes: &Attributes, name: &str) -> bool {
    attributes.get(name).is_some_and(|value| value == "true")
}

/// The attributes of a load balancer after a change.
pub(crate) fn change_load_balancer(current: &Attributes, changes: &Attributes) -> Answer<Attributes> {
    check(LOAD_BALANCER, "Load balancer", changes)?;
    let mut all = current.clone();
    all.extend(changes.clone());
    let has_bucket = all.get("access_logs.s3.bucket").is_some_and(|bucket| !bucket.is_empty());
    let message = "The value of 'access_logs.s3.bucket' cannot be empty when access logs are enabled";
    require(has_bucket || !is_on(&all, "access_logs.s3.enabled"), "InvalidConfigurationRequest", message)?;
    Ok(all)
}

/// The attributes of a target group after a change.
pub(crate) fn change_target_group(
    protocol: NlbProtocol,
    current: &Attributes,
    changes: &Attributes,
) -> Answer<Attributes> {
    check(TARGET_GROUP, "Target group", changes)?;
    let mut all = current.clone();
    all.extend(changes.clone());
    let message = format!("Client IP preservation cannot be disabled for {protocol} target groups");
    let preserves = is_on(&all, PRESERVE_CLIENT_IP);
    require(preserves || !is_datagram(protocol), "InvalidConfigurationRequest", message)?;
    let is_tls = protocol == NlbProtocol::Tls;
    let message = "Stickiness type 'source_ip' is not supported for target groups with the TLS protocol";
    require(!(is_tls && is_on(&all, STICKINESS)), "InvalidConfigurationRequest", message)?;
    Ok(all)
}

/// The attributes of a listener after a change.
pub(crate) fn change_listener(
    protocol: NlbProtocol,
    current: &Attributes,
    changes: &Attributes,
) -> Answer<Attributes> {
    let message = format!("Listener attributes cannot be modified for {protocol} listeners");
    let has_any = !listener_table(protocol).is_empty() || changes.is_empty();
    require(has_any, "InvalidConfigurationRequest", message)?;
    check(listener_table(protocol), "Listener", changes)?;
    let mut all = current.clone();
    all.extend(changes.clone());
    Ok(all)
}
