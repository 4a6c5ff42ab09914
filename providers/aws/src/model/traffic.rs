//! What is written about the ports of one Service.

use std::collections::{BTreeMap, BTreeSet};

use daymark_model::{Labels, Protocol};
use daymark_providers::CloudError;
use daymark_providers::view::{PortView, ServiceView};

use super::Tls;
use super::health::HealthWish;
use super::value::{Bad, arn, bad, boolean, distinct, list, port, text, word};
use super::written::{Layer, Reader};
use crate::api::TargetType;

/// What is written about the ports of one Service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Traffic {
    pub(super) target_type: TargetType,
    pub(super) node_labels: Labels,
    pub(super) tls: Option<Tls>,
    /// The ports on which TLS is ended, by number.
    pub(super) tls_ports: BTreeSet<u16>,
    /// Whether TLS is spoken with targets, behind TLS listeners.
    pub(super) backend_tls: bool,
    /// Over the attributes of the layer that says it.
    pub(super) proxy: BTreeMap<Layer, Proxy>,
    pub(super) health: HealthWish,
}

/// Which targets are told the client's address in a header of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Proxy {
    /// All.
    All,
    /// Those of these ports.
    Only(BTreeSet<u16>),
}

impl Traffic {
    pub(super) fn read(reader: &mut Reader<'_>, service: &ServiceView) -> Self {
        refuse_unsupported(reader);
        let tls = tls(reader);
        let traffic = Self {
            target_type: target_type(reader),
            node_labels: reader.merged("target-node-labels"),
            tls_ports: tls_ports(reader, service, tls.is_some()),
            tls,
            backend_tls: reader
                .one("backend-protocol", |value| word(value, &[("ssl", true), ("tcp", false)]))
                .unwrap_or(false),
            proxy: proxy(reader, service),
            health: HealthWish::read(reader),
        };
        let ends_tls = !traffic.tls_ports.is_empty();
        for suffix in ["alpn-policy", "backend-protocol"] {
            if reader.written.is_own(suffix) && !ends_tls {
                let name = reader.written.name_of(suffix);
                reader.warn(
                    "IgnoredAnnotation",
                    format!("{name}: it is about TLS listeners, and there is none"),
                );
            }
        }
        traffic
    }
}

fn refuse_unsupported(reader: &mut Reader<'_>) {
    let suffix = "multi-cluster-target-group";
    if reader.one(suffix, boolean) == Some(true) {
        let name = reader.written.name_of(suffix);
        reader.errors.push(
            CloudError::user(
                "UnsupportedAnnotation",
                format!("{name}: target groups that several clusters share are not supported"),
            )
            .remedy("remove it"),
        );
    }
    if let Some((layer, value)) = reader.written.get("type")
        && !["nlb", "nlb-ip", "external"].contains(&value.trim())
    {
        let name = reader.written.name(layer, "type");
        reader.errors.push(
            CloudError::user(
                "UnsupportedAnnotation",
                format!("{name}: {:?} is no type that Daymark serves", value.trim()),
            )
            .remedy("write external, nlb-ip or nlb, or remove it"),
        );
    }
}

/// `nlb-target-type`; the older `type: nlb-ip` says it too.
fn target_type(reader: &mut Reader<'_>) -> TargetType {
    let words: Vec<(&str, TargetType)> = TargetType::ALL.iter().map(|t| (t.as_str(), *t)).collect();
    let named = reader.one("nlb-target-type", |value| word(value, &words));
    let named_by = reader.written.get("nlb-target-type").map(|(layer, _)| layer);
    let nlb_ip = reader.written.get("type").filter(|(_, value)| value.trim() == "nlb-ip");
    let holds = nlb_ip.is_some_and(|(layer, _)| Some(layer) >= named_by);
    if !holds {
        return named.unwrap_or(TargetType::Instance);
    }
    if named == Some(TargetType::Instance) && reader.written.is_own("nlb-target-type") {
        let name = reader.written.name_of("nlb-target-type");
        let other = reader.written.name_of("type");
        reader.warn("ConflictingAnnotations", format!("{name}: {other} holds, and says ip"));
    }
    TargetType::Ip
}

const ALPN: &[(&str, &str)] = &[
    ("None", "None"),
    ("HTTP1Only", "HTTP1Only"),
    ("HTTP2Only", "HTTP2Only"),
    ("HTTP2Optional", "HTTP2Optional"),
    ("HTTP2Preferred", "HTTP2Preferred"),
];

/// How TLS is ended: there is TLS where there are certificates.
fn tls(reader: &mut Reader<'_>) -> Option<Tls> {
    let policy = reader.one("ssl-negotiation-policy", text);
    let alpn = reader.one("alpn-policy", |value| word(value, ALPN));
    let certificates = reader.one("ssl-cert", |value| {
        list(value)?.iter().map(|item| arn(item, ":", "a certificate")).collect::<Result<Vec<_>, Bad>>()
    })?;
    let (first, more) = certificates.split_first()?;
    Some(Tls {
        certificate: first.clone(),
        more: more.iter().filter(|other| *other != first).cloned().collect(),
        policy: policy.unwrap_or_else(|| "ELBSecurityPolicy-2016-08".to_owned()),
        alpn: alpn.map(str::to_owned),
    })
}

/// The ports on which TLS is ended: with certificates those of `ssl-ports`, else all TCP ports.
fn tls_ports(reader: &mut Reader<'_>, service: &ServiceView, has_certificate: bool) -> BTreeSet<u16> {
    const SUFFIX: &str = "ssl-ports";
    let is_tcp = |port: &&PortView| port.protocol == Protocol::Tcp;
    let Some((layer, _)) = reader.written.get(SUFFIX) else {
        let tcp = service.ports.iter().filter(is_tcp).map(|port| port.port);
        return if has_certificate { tcp.collect() } else { BTreeSet::new() };
    };
    if !has_certificate && reader.written.get("ssl-cert").is_none() {
        // A profile may name the usual TLS ports for those Services that bring a certificate.
        if layer == Layer::Own {
            let name = reader.written.name(layer, SUFFIX);
            reader.errors.push(
                CloudError::user("CertificateMissing", format!("{name}: TLS needs a certificate"))
                    .remedy("set aws-load-balancer-ssl-cert, or remove it"),
            );
        }
        return BTreeSet::new();
    }
    let named = reader.one(SUFFIX, list).unwrap_or_default();
    let mut found = BTreeSet::new();
    for name in named {
        let number = name.parse::<u16>().ok();
        let of_name = |port: &&PortView| port.name == name || Some(port.port) == number;
        let matching: Vec<&PortView> = service.ports.iter().filter(of_name).collect();
        match matching.iter().copied().find(is_tcp) {
            Some(port) => {
                found.insert(port.port);
            }
            None if layer == Layer::Default => {}
            None => unknown_port(reader, SUFFIX, &name, service, matching.is_empty()),
        }
    }
    found
}

fn unknown_port(reader: &mut Reader<'_>, suffix: &str, named: &str, service: &ServiceView, is_unknown: bool) {
    let name = reader.written.name_of(suffix);
    let (what, remedy) = match (named, is_unknown) {
        ("*", _) => {
            ("it names ports, not patterns".to_owned(), "leave it out: then all TCP ports are meant".into())
        }
        (_, true) => (format!("there is no port {named:?}"), format!("write one of {}", port_names(service))),
        (_, false) => (format!("the port {named:?} is not TCP"), "name TCP ports only".to_owned()),
    };
    reader.errors.push(CloudError::user("UnknownPort", format!("{name}: {what}")).remedy(remedy));
}

/// The ports of a Service, for people.
pub(super) fn port_names(service: &ServiceView) -> String {
    let name = |port: &PortView| match port.name.as_str() {
        "" => port.port.to_string(),
        name => format!("{} ({name})", port.port),
    };
    let names: BTreeSet<String> = service.ports.iter().map(name).collect();
    names.into_iter().collect::<Vec<_>>().join(", ")
}

/// What each layer says, so that a Service's attributes win over what its profile says for all.
fn proxy(reader: &mut Reader<'_>, service: &ServiceView) -> BTreeMap<Layer, Proxy> {
    Layer::ALL.into_iter().filter_map(|layer| Some((layer, proxy_at(reader, service, layer)?))).collect()
}

fn proxy_at(reader: &mut Reader<'_>, service: &ServiceView, layer: Layer) -> Option<Proxy> {
    const PER_GROUP: &str = "proxy-protocol-per-target-group";
    let all = reader.at(layer, "proxy-protocol", |value| match value.trim() {
        "*" => Ok(()),
        other => bad(
            format!("{other:?} is not \"*\""),
            "write \"*\", or name ports with aws-load-balancer-proxy-protocol-per-target-group",
        ),
    });
    let ports = reader.at(layer, PER_GROUP, |value| {
        distinct(value)?.iter().map(|item| port(item)).collect::<Result<BTreeSet<u16>, Bad>>()
    });
    if let (Some(ports), Layer::Own) = (&ports, layer) {
        for port in ports.iter().filter(|port| service.ports.iter().all(|other| other.port != **port)) {
            unknown_port(reader, PER_GROUP, &port.to_string(), service, true);
        }
    }
    match (all, ports) {
        (Some(()), _) => Some(Proxy::All),
        (None, Some(ports)) => Some(Proxy::Only(ports)),
        (None, None) => None,
    }
}
