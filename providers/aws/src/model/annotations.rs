//! The annotations that Daymark reads for load balancers of AWS, and those that it refuses by name.
//!
//! Keys, values and defaults are those of the AWS Load Balancer Controller (LBC), except where silence or an outage would
//! follow. What differs on purpose:
//!
//! | where | LBC | Daymark |
//! |---|---|---|
//! | unknown key under the prefix | ignored | refused, with the key that may have been meant |
//! | `quic-enabled-ports`, `multi-cluster-target-group: true` | served | refused: not supported |
//! | TCP and UDP on one port | one of them is lost unless a gate is open | one `TCP_UDP` listener |
//! | health check, instance targets, `externalTrafficPolicy: Cluster` | TCP to the node port | `GET /healthz` of kube-proxy (port 10256), which fails while a node drains; any of healthcheck-protocol, -port and -path brings LBC's defaults back |
//! | health check numbers | checked by AWS | checked here: 5-300 s, 2-120 s, 2-10 times, timeout not above the interval |
//! | `healthcheck-interval` below the default timeout | refused by AWS | the default timeout shrinks with it |
//! | `access-log-enabled: false` | ignored | access logs are switched off |
//! | `ssl-ports` without `ssl-cert`, or with a port that is not TCP | plain TCP | refused |
//! | listener attributes of a TLS or UDP listener | ignored | refused |
//! | per-port annotation for a port that the Service does not have | ignored | refused |
//! | `actions.…` with a null `forwardConfig` | the controller crashes | refused |
//! | `actions.…`: settings of a further Service's targets | the base's, per-port ones by the further port | the base's, per-port ones by the listener's port |
//! | `actions.…` without `decrypt` behind TLS | TLS to that target group | the protocol of the base's target group |
//! | `actions.…` with keys that nobody knows | ignored | refused |
//! | several values for one thing (`scheme`/`internal`) | the first silently wins | it wins, with a warning |
//! | `loadBalancerSourceRanges` that nothing enforces | ignored | a warning |
//! | maps in a profile's defaults | - | a default holds for each key that the Service does not name |

use std::collections::BTreeMap;

use daymark_model::AwsProfile;
use daymark_providers::CloudError;
use daymark_providers::text::did_you_mean;

/// What LBC's annotations begin with.
pub const PREFIX: &str = "service.beta.kubernetes.io/";
/// What nearly all of them begin with.
pub const AWS_PREFIX: &str = "service.beta.kubernetes.io/aws-load-balancer-";
/// Where clients may come from, where `spec.loadBalancerSourceRanges` does not say.
pub const SOURCE_RANGES: &str = "service.beta.kubernetes.io/load-balancer-source-ranges";
/// What weighted forwarding begins with: `actions.TCP-80`.
pub const ACTIONS: &str = "service.beta.kubernetes.io/actions.";
/// What Daymark's own annotations begin with.
pub const OWN_PREFIX: &str = "daymark.dev/";

/// Whom a setting is about: in a group, what is about the load balancer has one value for all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// The load balancer as a whole.
    LoadBalancer,
    /// The ports of the Service that carries it.
    Service,
}

use Scope::{LoadBalancer, Service};

/// All suffixes behind [`AWS_PREFIX`] that are read.
pub const KNOWN: &[(&str, Scope)] = &[
    ("access-log-enabled", LoadBalancer),
    ("access-log-s3-bucket-name", LoadBalancer),
    ("access-log-s3-bucket-prefix", LoadBalancer),
    ("additional-resource-tags", LoadBalancer),
    ("alpn-policy", Service),
    ("attributes", LoadBalancer),
    ("backend-protocol", Service),
    ("cross-zone-load-balancing-enabled", LoadBalancer),
    ("disable-nlb-sg", LoadBalancer),
    ("eip-allocations", LoadBalancer),
    ("enable-icmp-for-path-mtu-discovery", LoadBalancer),
    ("enable-prefix-for-ipv6-source-nat", LoadBalancer),
    ("enable-tcp-udp-listener", Service),
    ("healthcheck-healthy-threshold", Service),
    ("healthcheck-interval", Service),
    ("healthcheck-path", Service),
    ("healthcheck-port", Service),
    ("healthcheck-protocol", Service),
    ("healthcheck-success-codes", Service),
    ("healthcheck-timeout", Service),
    ("healthcheck-unhealthy-threshold", Service),
    ("inbound-sg-rules-on-private-link-traffic", LoadBalancer),
    ("internal", LoadBalancer),
    ("ip-address-type", LoadBalancer),
    ("ipv6-addresses", LoadBalancer),
    ("listener-attributes", Service),
    ("manage-backend-security-group-rules", LoadBalancer),
    ("minimum-load-balancer-capacity", LoadBalancer),
    ("multi-cluster-target-group", Service),
    ("name", LoadBalancer),
    ("nlb-target-type", Service),
    ("private-ipv4-addresses", LoadBalancer),
    ("proxy-protocol", Service),
    ("proxy-protocol-per-target-group", Service),
    ("scheme", LoadBalancer),
    ("security-group-prefix-lists", LoadBalancer),
    ("security-groups", LoadBalancer),
    ("source-nat-ipv6-prefixes", LoadBalancer),
    ("ssl-cert", Service),
    ("ssl-negotiation-policy", Service),
    ("ssl-ports", Service),
    ("subnets", LoadBalancer),
    ("target-group-attributes", Service),
    ("target-node-labels", Service),
    ("type", Service),
];

/// Suffixes that are refused, why, and what helps.
const REFUSED: &[(&str, &str, &str)] = &[
    ("quic-enabled-ports", "QUIC listeners are not supported", "remove it: UDP ports are served as UDP"),
    (
        "connection-draining-enabled",
        "it is about Classic Load Balancers",
        "use target-group-attributes: deregistration_delay.connection_termination.enabled",
    ),
    (
        "connection-draining-timeout",
        "it is about Classic Load Balancers",
        "use target-group-attributes: deregistration_delay.timeout_seconds",
    ),
    (
        "connection-idle-timeout",
        "it is about Classic Load Balancers",
        "use listener-attributes.TCP-PORT: tcp.idle_timeout.seconds",
    ),
    ("access-log-emit-interval", "it is about Classic Load Balancers", "remove it"),
    ("extra-security-groups", "it is about Classic Load Balancers", "use security-groups"),
    ("security-group", "it is not what the annotation is called", "use security-groups"),
];

/// Our own annotations of Services, for pools and for clouds, without [`OWN_PREFIX`].
pub const OWN_KNOWN: &[&str] = &[
    "pool",
    "addresses",
    "sharing-key",
    "group",
    "allow-replacement",
    "mode",
    "deletion-policy",
    "adopt",
    "wait-for",
];

/// Our own annotations that are about the load balancer as a whole.
pub(super) const OWN_LOAD_BALANCER: &[&str] = &["mode", "deletion-policy", "adopt", "wait-for"];
/// Our own annotations that only pools know.
pub(super) const OWN_POOL: &[&str] = &["pool", "addresses", "sharing-key"];

/// The whole key of a suffix.
pub fn key(suffix: &str) -> String {
    format!("{AWS_PREFIX}{suffix}")
}

/// Whom the annotation with this suffix is about; `None` where there is none.
pub(super) fn scope(suffix: &str) -> Option<Scope> {
    let base = match suffix.split_once('.') {
        Some((base @ ("target-group-attributes" | "listener-attributes"), _)) => base,
        None if suffix == "listener-attributes" => return None,
        Some(_) | None => suffix,
    };
    KNOWN.iter().find(|(known, _)| *known == base).map(|(_, scope)| *scope)
}

/// What is refused of the keys of a Service, whatever their values.
pub(super) fn refusals(annotations: &BTreeMap<String, String>) -> Vec<CloudError> {
    annotations.keys().filter_map(|key| refuse_aws(key).or_else(|| refuse_own(key))).collect()
}

fn refuse_aws(key: &str) -> Option<CloudError> {
    refuse_suffix(key.strip_prefix(AWS_PREFIX)?, key)
}

/// Why the annotation with this suffix, called `name` before people, is refused.
fn refuse_suffix(suffix: &str, name: &str) -> Option<CloudError> {
    if let Some((_, why, remedy)) = REFUSED.iter().find(|(refused, ..)| *refused == suffix) {
        return Some(CloudError::user("UnsupportedAnnotation", format!("{name}: {why}")).remedy(*remedy));
    }
    if scope(suffix).is_some() {
        return None;
    }
    let known = KNOWN.iter().map(|(known, _)| *known);
    let remedy = match did_you_mean(suffix, known) {
        Some("listener-attributes") => "write listener-attributes.PROTOCOL-PORT".to_owned(),
        Some(near) => format!("did you mean {near}?"),
        None => "remove it".to_owned(),
    };
    Some(CloudError::user("UnknownAnnotation", format!("{name}: there is no such annotation")).remedy(remedy))
}

pub(super) fn refuse_own(key: &str) -> Option<CloudError> {
    let name = key.strip_prefix(OWN_PREFIX)?;
    if OWN_KNOWN.contains(&name) {
        return None;
    }
    let remedy = match did_you_mean(name, OWN_KNOWN.iter().copied()) {
        Some(near) => format!("did you mean {OWN_PREFIX}{near}?"),
        None => format!("remove it: known are {}", OWN_KNOWN.join(", ")),
    };
    Some(CloudError::user("UnknownAnnotation", format!("{key}: there is no such annotation")).remedy(remedy))
}

/// How a default of a profile is called before people.
pub(super) fn default_name(profile: &AwsProfile, suffix: &str) -> String {
    format!("default {suffix:?} of the profile of cluster {:?}", profile.cluster_name)
}

/// What is refused of the defaults of a profile, whatever their values.
pub(super) fn refused_defaults(profile: &AwsProfile) -> Vec<CloudError> {
    let refuse = |suffix: &String| {
        let name = default_name(profile, suffix);
        refuse_suffix(suffix, &name).or_else(|| refuse_tail(suffix, &name))
    };
    profile.defaults.keys().filter_map(refuse).collect()
}

/// What a default says of a port holds for the Services that have it; of what can be no port it holds for none.
fn refuse_tail(suffix: &str, name: &str) -> Option<CloudError> {
    let (stem, tail) = suffix.split_once('.')?;
    let (port, form) = match stem {
        "target-group-attributes" => (tail, "target-group-attributes.80"),
        _ => (tail.rsplit_once('-').map_or("", |(_, port)| port), "listener-attributes.TCP-80"),
    };
    let is_port = port.parse::<u16>().is_ok_and(|port| port > 0);
    let what = format!("{name}: {tail:?} names no port");
    (!is_port).then(|| CloudError::user("UnknownPort", what).remedy(format!("write it like {form}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_known_once_and_slips_are_named() {
        let mut suffixes: Vec<_> = KNOWN.iter().map(|(suffix, _)| *suffix).collect();
        suffixes.dedup();
        assert_eq!(suffixes.len(), KNOWN.len());
        assert!(suffixes.is_sorted());
        let said = |key: &str| refusals(&BTreeMap::from([(key.to_owned(), String::new())]));
        assert!(said(&key("schem"))[0].to_string().ends_with("did you mean scheme?"));
        assert!(
            said(&key("healthcheck-intervall"))[0]
                .to_string()
                .ends_with("did you mean healthcheck-interval?")
        );
        assert!(said(&key("subnets.80"))[0].to_string().contains("no such annotation"));
        assert!(said(&key("listener-attributes"))[0].to_string().contains("PROTOCOL-PORT"));
        assert!(said("daymark.dev/wait_for")[0].to_string().ends_with("did you mean daymark.dev/wait-for?"));
        assert!(said(&key("target-group-attributes.80")).is_empty());
        assert!(said("service.beta.kubernetes.io/azure-load-balancer-internal").is_empty());
    }
}
