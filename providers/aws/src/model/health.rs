//! How targets are checked.
//!
//! | targets | `externalTrafficPolicy` | check, where nobody says otherwise |
//! |---|---|---|
//! | ip | any | TCP to the port of the traffic, every 10 s, timeout 10 s, 3 and 3 times |
//! | instance | `Local` | `GET /healthz` on `healthCheckNodePort`: does the node have endpoints; 10 s, 6 s, 2 and 2 times |
//! | instance | `Cluster` | `GET /healthz` on kube-proxy's port 10256: is the node to stay; 10 s, 10 s, 3 and 3 times |
//!
//! In the last case any of healthcheck-protocol, -port and -path brings back the first line: who writes one means the check
//! of the AWS Load Balancer Controller. A cluster without kube-proxy says `healthcheck-port: traffic-port` in its profile.

use daymark_model::TrafficPolicy;
use daymark_providers::view::{ServiceView, TargetPort};

use super::value::{Bad, bad, number, port, text};
use super::written::{Layer, Reader};
use crate::api::{HealthCheck, HealthProtocol, TargetType};

/// The port of kube-proxy's own health check (`--healthz-bind-address`).
const KUBE_PROXY: u16 = 10256;

/// What is written about health checks.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct HealthWish {
    protocol: Option<HealthProtocol>,
    port: Option<WishedPort>,
    path: Option<String>,
    codes: Option<String>,
    interval: Option<u32>,
    timeout: Option<u32>,
    healthy: Option<u32>,
    unhealthy: Option<u32>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum WishedPort {
    Traffic,
    Number(u16),
    Name(String),
}

struct Defaults {
    protocol: HealthProtocol,
    port: Option<u16>,
    path: &'static str,
    timeout: u32,
    times: u32,
}

impl HealthWish {
    pub(super) fn read(reader: &mut Reader<'_>) -> Self {
        let mut wish = Self {
            protocol: reader.one("healthcheck-protocol", protocol),
            port: reader.one("healthcheck-port", wished_port),
            path: reader.one("healthcheck-path", path),
            codes: reader.one("healthcheck-success-codes", codes),
            interval: reader.one("healthcheck-interval", |value| number(value, 5..=300)),
            timeout: reader.one("healthcheck-timeout", |value| number(value, 2..=120)),
            healthy: reader.one("healthcheck-healthy-threshold", |value| number(value, 2..=10)),
            unhealthy: reader.one("healthcheck-unhealthy-threshold", |value| number(value, 2..=10)),
        };
        if let Some(timeout) = wish.timeout {
            let interval = wish.interval.unwrap_or(INTERVAL);
            let of_profile =
                reader.written.get("healthcheck-timeout").is_some_and(|(l, _)| l == Layer::Default);
            if timeout > interval && of_profile && reader.written.is_own("healthcheck-interval") {
                wish.timeout = Some(interval);
            } else if timeout > interval {
                let what = format!("a timeout of {timeout} s is longer than the interval of {interval} s");
                let remedy = format!("set aws-load-balancer-healthcheck-interval to {timeout} or more");
                reader.conflict("healthcheck-timeout", &what, &remedy);
            }
        }
        wish
    }

    /// The check of the targets of `service`.
    pub(super) fn resolve(
        &self,
        reader: &mut Reader<'_>,
        service: &ServiceView,
        targets: TargetType,
    ) -> Option<HealthCheck> {
        let defaults = self.defaults(service, targets);
        let protocol = self.protocol.unwrap_or(defaults.protocol);
        let port = match &self.port {
            None => defaults.port,
            Some(WishedPort::Traffic) => None,
            Some(WishedPort::Number(port)) => Some(*port),
            Some(WishedPort::Name(name)) => {
                let found = named_port(service, name, targets);
                let key = reader.written.name_of("healthcheck-port");
                Some(reader.take(&key, found)?)
            }
        };
        let interval = self.interval.unwrap_or(INTERVAL);
        let (path, codes) = match protocol {
            HealthProtocol::Tcp => (None, None),
            HealthProtocol::Http | HealthProtocol::Https => (
                Some(self.path.clone().unwrap_or_else(|| defaults.path.to_owned())),
                Some(self.codes.clone().unwrap_or_else(|| "200-399".to_owned())),
            ),
        };
        Some(HealthCheck {
            protocol,
            port,
            path,
            codes,
            interval,
            timeout: self.timeout.unwrap_or(defaults.timeout.min(interval)),
            healthy: self.healthy.unwrap_or(defaults.times),
            unhealthy: self.unhealthy.unwrap_or(defaults.times),
        })
    }

    fn defaults(&self, service: &ServiceView, targets: TargetType) -> Defaults {
        let plain = Defaults { protocol: HealthProtocol::Tcp, port: None, path: "/", timeout: 10, times: 3 };
        let healthz = |port| Defaults { protocol: HealthProtocol::Http, port, path: "/healthz", ..plain };
        let is_said = self.protocol.is_some() || self.port.is_some() || self.path.is_some();
        match (targets, service.traffic_policy, service.health_check_node_port) {
            (TargetType::Ip, _, _) => plain,
            (TargetType::Instance, TrafficPolicy::Local, Some(port)) => {
                Defaults { timeout: 6, times: 2, ..healthz(Some(port)) }
            }
            // Only Services of the type LoadBalancer have that port; a node without endpoints refuses connections.
            (TargetType::Instance, TrafficPolicy::Local, None) => plain,
            (TargetType::Instance, TrafficPolicy::Cluster, _) if is_said => plain,
            (TargetType::Instance, TrafficPolicy::Cluster, _) => healthz(Some(KUBE_PROXY)),
        }
    }
}

/// Seconds between two checks.
const INTERVAL: u32 = 10;

fn protocol(value: &str) -> Result<HealthProtocol, Bad> {
    let value = value.trim();
    match HealthProtocol::parse(&value.to_ascii_uppercase()) {
        Some(protocol) => Ok(protocol),
        None => bad(format!("{value:?} is no protocol of a health check"), "write tcp, http or https"),
    }
}

fn wished_port(value: &str) -> Result<WishedPort, Bad> {
    let value = text(value)?;
    if value == "traffic-port" {
        return Ok(WishedPort::Traffic);
    }
    if value.starts_with(|c: char| c.is_ascii_digit() || c == '-') {
        return port(&value).map(WishedPort::Number);
    }
    Ok(WishedPort::Name(value))
}

fn path(value: &str) -> Result<String, Bad> {
    let value = text(value)?;
    if !value.starts_with('/') || value.len() > 1024 {
        return bad(
            format!("{value:?} is no path"),
            "write a path that begins with /, at most 1024 characters",
        );
    }
    Ok(value)
}

/// `200`, `200,204` or `200-399`.
fn codes(value: &str) -> Result<String, Bad> {
    let value = text(value)?;
    let code = |text: &str| number(text, 200..=599).ok();
    let fits = value.split(',').all(|piece| match piece.split_once('-') {
        Some((first, last)) => {
            matches!((code(first), code(last)), (Some(first), Some(last)) if first <= last)
        }
        None => code(piece).is_some(),
    });
    if fits {
        return Ok(value);
    }
    bad(format!("{value:?} are no HTTP codes"), "write codes from 200 to 599 like 200, 200,204 or 200-399")
}

fn named_port(service: &ServiceView, name: &str, targets: TargetType) -> Result<u16, Bad> {
    let Some(found) = service.ports.iter().find(|port| port.name == name) else {
        return bad(
            format!("Service {} has no port {name:?}", service.key),
            "write traffic-port, a number, or the name of a port of the Service",
        );
    };
    match (targets, &found.target_port, found.node_port) {
        (TargetType::Ip, TargetPort::Number(port), _) => Ok(*port),
        (TargetType::Instance, _, Some(port)) => Ok(port),
        (TargetType::Ip, TargetPort::Name(_), _) => bad(
            format!("the port {name:?} of Service {} has a target port that is a name", service.key),
            "write the number of the port on the pods",
        ),
        (TargetType::Instance, _, None) => bad(
            format!("the port {name:?} of Service {} has no node port", service.key),
            "write a number, or let node ports be allocated",
        ),
    }
}
