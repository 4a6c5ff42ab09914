//! Which listeners the ports of a Service make: one for each number, TCP and UDP of one number together.

use std::collections::BTreeMap;

use daymark_model::Protocol;
use daymark_providers::CloudError;
use daymark_providers::view::{PortView, ServiceView};

use super::actions::{Action, action};
use super::annotations::ACTIONS;
use super::attributes::{IDLE_TIMEOUT, Of, check};
use super::traffic::{Traffic, port_names};
use super::value::{Bad, bad, boolean, map};
use super::written::{Layer, Reader};
use crate::api::{Attributes, NlbProtocol};

/// The ports of a Service behind one listener.
#[derive(Debug, Clone)]
pub(super) struct Front<'a> {
    /// The listener's port.
    pub(super) number: u16,
    /// The listener's protocol.
    pub(super) listener: NlbProtocol,
    /// The protocol of its own target group.
    pub(super) backend: NlbProtocol,
    /// One, or TCP before UDP.
    pub(super) ports: Vec<&'a PortView>,
}

impl Front<'_> {
    /// The role of a target group of `service` at `number` for these protocols.
    pub(super) fn role(&self, service: &str, number: u16) -> String {
        let protocols: Vec<String> = self.ports.iter().map(|port| protocol_word(port.protocol)).collect();
        format!("{service}/{}-{number}", protocols.join("_"))
    }

    /// Whether `word` names its protocol: the listener's, or a port's.
    fn speaks(&self, word: &str) -> bool {
        self.listener.as_str() == word || self.ports.iter().any(|port| port.protocol.to_string() == word)
    }
}

/// A protocol as roles of target groups say it.
pub(super) fn protocol_word(protocol: Protocol) -> String {
    protocol.to_string().to_ascii_lowercase()
}

/// The fronts of a Service, by port.
pub(super) fn fronts<'a>(
    reader: &mut Reader<'_>,
    service: &'a ServiceView,
    traffic: &Traffic,
) -> Vec<Front<'a>> {
    let together = reader.one("enable-tcp-udp-listener", boolean);
    let mut numbers: BTreeMap<u16, Vec<&PortView>> = BTreeMap::new();
    for port in &service.ports {
        if port.protocol == Protocol::Sctp {
            let what = format!("port {} is SCTP, which network load balancers do not know", port.port);
            reader.errors.push(
                CloudError::user("UnsupportedProtocol", what).remedy("take the port out of the Service"),
            );
            continue;
        }
        numbers.entry(port.port).or_default().push(port);
    }
    let mut fronts = Vec::new();
    for (number, mut ports) in numbers {
        ports.sort_by_key(|port| port.protocol);
        ports.dedup_by_key(|port| port.protocol);
        let ends_tls = traffic.tls_ports.contains(&number);
        if ports.len() > 1 {
            refuse_together(reader, number, ends_tls, together);
        }
        let Some(first) = ports.first() else { continue };
        let (listener, backend) = match (ports.len(), first.protocol) {
            (1, Protocol::Udp) => (NlbProtocol::Udp, NlbProtocol::Udp),
            (1, _) if ends_tls && traffic.backend_tls => (NlbProtocol::Tls, NlbProtocol::Tls),
            (1, _) if ends_tls => (NlbProtocol::Tls, NlbProtocol::Tcp),
            (1, _) => (NlbProtocol::Tcp, NlbProtocol::Tcp),
            (_, _) => (NlbProtocol::TcpUdp, NlbProtocol::TcpUdp),
        };
        fronts.push(Front { number, listener, backend, ports });
    }
    fronts
}

fn refuse_together(reader: &mut Reader<'_>, number: u16, ends_tls: bool, together: Option<bool>) {
    if ends_tls {
        let what = format!("port {number} is TLS and UDP, which one listener cannot be");
        let suffix = if reader.written.get("ssl-ports").is_some() { "ssl-ports" } else { "ssl-cert" };
        reader.conflict(
            suffix,
            &what,
            "name other ports with aws-load-balancer-ssl-ports, or give UDP a port of its own",
        );
    }
    if together == Some(false) {
        let what = format!("port {number} is TCP and UDP, and only one listener can have it");
        reader.conflict("enable-tcp-udp-listener", &what, "remove it, or use two ports");
    }
}

/// Which front `PROTOCOL-PORT` means.
fn front_for<'f, 'a>(
    fronts: &'f [Front<'a>],
    service: &ServiceView,
    tail: &str,
) -> Result<&'f Front<'a>, Bad> {
    let parsed = tail.split_once('-').and_then(|(word, port)| Some((word, port.parse::<u16>().ok()?)));
    let Some((word, number)) = parsed else {
        return bad(format!("{tail:?} is no PROTOCOL-PORT"), "write it like TCP-80");
    };
    match fronts.iter().find(|front| front.number == number) {
        None => bad(
            format!("Service {} has no port {number}", service.key),
            format!("name one of {}", port_names(service)),
        ),
        Some(front) if front.speaks(word) => Ok(front),
        Some(front) => bad(
            format!("the listener of port {number} is {}, not {word}", front.listener),
            format!("write {}-{number}", front.listener),
        ),
    }
}

/// What is written about listeners' attributes, by port.
pub(super) fn listener_attributes(
    reader: &mut Reader<'_>,
    service: &ServiceView,
    fronts: &[Front<'_>],
) -> BTreeMap<u16, Attributes> {
    const STEM: &str = "listener-attributes";
    let mut all: BTreeMap<u16, Attributes> = BTreeMap::new();
    for layer in Layer::ALL {
        let mut of_layer: BTreeMap<u16, Attributes> = BTreeMap::new();
        for tail in reader.written.tails(layer, STEM) {
            let suffix = format!("{STEM}.{tail}");
            let name = reader.written.name(layer, &suffix);
            let front = match front_for(fronts, service, tail) {
                Ok(front) => front,
                // A profile speaks of all Services.
                Err(_) if layer == Layer::Default => continue,
                Err(bad) => {
                    let _: Option<()> = reader.take(&name, Err(bad));
                    continue;
                }
            };
            let Some(attributes) = reader.at(layer, &suffix, map) else { continue };
            check(reader, &name, Of::Listener, &attributes);
            let has_timeout = matches!(front.listener, NlbProtocol::Tcp | NlbProtocol::TcpUdp);
            if attributes.contains_key(IDLE_TIMEOUT) && !has_timeout {
                if layer == Layer::Own {
                    let what =
                        format!("{IDLE_TIMEOUT} is about TCP listeners, and this is {}", front.listener);
                    reader.conflict(&suffix, &what, "remove it");
                }
                continue;
            }
            let of_port = of_layer.entry(front.number).or_default();
            for (key, value) in attributes {
                if of_port.get(&key).is_some_and(|before| *before != value) {
                    let what = format!("port {} is given two values of {key}", front.number);
                    reader.conflict(&suffix, &what, "write one");
                }
                of_port.insert(key, value);
            }
        }
        for (number, attributes) in of_layer {
            all.entry(number).or_default().extend(attributes);
        }
    }
    all
}

/// What is written about weighted forwarding, by port, with the annotation's key.
pub(super) fn actions(
    reader: &mut Reader<'_>,
    service: &ServiceView,
    fronts: &[Front<'_>],
) -> BTreeMap<u16, (String, Action)> {
    let mut all: BTreeMap<u16, (String, Action)> = BTreeMap::new();
    for (key, value) in &service.annotations {
        let Some(tail) = key.strip_prefix(ACTIONS) else { continue };
        let Some(front) = reader.take(key, front_for(fronts, service, tail)) else { continue };
        let Some(action) = reader.take(key, action(value)) else { continue };
        match all.get(&front.number) {
            Some((other, before)) if *before != action => {
                let what = format!("{key}: {other} says otherwise about the same listener");
                reader.errors.push(CloudError::user("ConflictingAnnotations", what).remedy("write one"));
            }
            Some(_) | None => {
                all.insert(front.number, (key.clone(), action));
            }
        }
    }
    all
}
