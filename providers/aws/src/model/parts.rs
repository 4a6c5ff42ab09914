//! What one Service brings to a load balancer: listeners and target groups.

use std::collections::{BTreeMap, BTreeSet};

use daymark_model::{AwsProfile, Family, PortProtocol, Protocol};
use daymark_providers::CloudError;
use daymark_providers::view::{PortView, ServiceView, TargetPort, World};

use super::actions::{Action, Other, OtherBackend};
use super::attributes::{Of, PRESERVE_CLIENT_IP, PROXY_PROTOCOL, STICKINESS, check};
use super::ports::{Front, actions, fronts, listener_attributes};
use super::settings::{LoadBalancerSettings, Read};
use super::targets::{endpoints, instances};
use super::traffic::{Proxy, Traffic, port_names};
use super::value::{bad, map};
use super::written::{Layer, Reader};
use super::{Backend, ForwardWish, ListenerWish, TargetGroupWish};
use crate::api::{Attributes, IpAddressType, NlbProtocol, Target, TargetType};

/// What one Service brings to a load balancer.
#[derive(Debug, Clone, Default)]
pub(super) struct Parts {
    pub(super) listeners: Vec<ListenerWish>,
    pub(super) target_groups: BTreeMap<String, TargetGroupWish>,
}

/// Reads it; `load_balancer` is what it is brought to.
pub(super) fn parts(
    profile: &AwsProfile,
    world: &World,
    service: &ServiceView,
    load_balancer: &LoadBalancerSettings,
) -> Read<Parts> {
    let mut reader = Reader::new(profile, &service.annotations);
    let traffic = Traffic::read(&mut reader, service);
    let fronts = fronts(&mut reader, service, &traffic);
    let attributes = listener_attributes(&mut reader, service, &fronts);
    let actions = actions(&mut reader, service, &fronts);
    refuse_unknown_ports(&mut reader, service);
    let mut making =
        Making { world, service, traffic, load_balancer, parts: Parts::default(), named_by: BTreeMap::new() };
    if service.ports.is_empty() {
        let what = format!("Service {} has no ports", service.key);
        reader.errors.push(CloudError::user("NoPorts", what).remedy("give it a port"));
    }
    for front in &fronts {
        refuse_udp_without_source_nat(&mut reader, front, load_balancer);
        let action = actions.get(&front.number);
        let Some(forward) = making.forward(&mut reader, front, action) else { continue };
        let is_tls = front.listener == NlbProtocol::Tls;
        making.parts.listeners.push(ListenerWish {
            port: front.number,
            protocol: front.listener,
            forward,
            tls: making.traffic.tls.clone().filter(|_| is_tls),
            attributes: attributes.get(&front.number).cloned().unwrap_or_default(),
            serves: front.ports.iter().map(|port| (service.key.clone(), port_protocol(port))).collect(),
        });
    }
    let Reader { mut errors, mut warnings, .. } = reader;
    without_repeats(&mut errors);
    without_repeats(&mut warnings);
    if errors.is_empty() { Ok((making.parts, warnings)) } else { Err(errors) }
}

/// What is said of all ports is read for each of them.
fn without_repeats(errors: &mut Vec<CloudError>) {
    let mut seen = BTreeSet::new();
    errors.retain(|error| seen.insert(error.to_string()));
}

fn port_protocol(port: &PortView) -> PortProtocol {
    PortProtocol { protocol: port.protocol, port: port.port }
}

const GROUP_ATTRIBUTES: &str = "target-group-attributes";

fn refuse_unknown_ports(reader: &mut Reader<'_>, service: &ServiceView) {
    for tail in reader.written.tails(Layer::Own, GROUP_ATTRIBUTES) {
        let number = tail.parse::<u16>().ok();
        if service.ports.iter().all(|port| Some(port.port) != number) {
            let name = reader.written.name(Layer::Own, &format!("{GROUP_ATTRIBUTES}.{tail}"));
            let what = format!("{name}: Service {} has no port {tail:?}", service.key);
            let remedy = format!("name one of {}", port_names(service));
            reader.errors.push(CloudError::user("UnknownPort", what).remedy(remedy));
        }
    }
}

/// AWS: a dual-stack load balancer serves UDP only with prefixes to translate clients' IPv6 addresses to.
fn refuse_udp_without_source_nat(
    reader: &mut Reader<'_>,
    front: &Front<'_>,
    settings: &LoadBalancerSettings,
) {
    let has_udp = front.ports.iter().any(|port| port.protocol == Protocol::Udp);
    if has_udp && settings.ip_address_type == IpAddressType::Dualstack && settings.source_nat != Some(true) {
        reader.conflict(
            "ip-address-type",
            &format!(
                "port {} is UDP, which a dualstack load balancer serves only with IPv6 source NAT",
                front.number
            ),
            "set aws-load-balancer-enable-prefix-for-ipv6-source-nat: on",
        );
    }
}

struct Making<'a> {
    world: &'a World,
    service: &'a ServiceView,
    traffic: Traffic,
    load_balancer: &'a LoadBalancerSettings,
    parts: Parts,
    /// The annotation that named a target group before the Service's own port did, by role.
    named_by: BTreeMap<String, String>,
}

impl Making<'_> {
    /// Where a listener forwards to; makes the target groups that it needs.
    fn forward(
        &mut self,
        reader: &mut Reader<'_>,
        front: &Front<'_>,
        action: Option<&(String, Action)>,
    ) -> Option<Vec<ForwardWish>> {
        let service = self.service;
        let role = front.role(service.key.name.as_str(), front.number);
        let group = self.target_group(reader, front, service, &front.ports)?;
        let family = group.family;
        let before = self.parts.target_groups.insert(role.clone(), group.clone());
        if let (Some(before), Some(key)) = (before, self.named_by.get(&role))
            && before != group
        {
            let what = format!("port {} of the Service itself has other settings", front.number);
            let _: Option<()> = reader.take(key, bad(what, "name another Service"));
        }
        let base = action.map_or(1, |(_, action)| action.base);
        let mut forward = vec![ForwardWish { to: Backend::Role(role), weight: base }];
        let Some((key, action)) = action else { return Some(forward) };
        for other in &action.others {
            let to = self.other(reader, front, key, other, family)?;
            if forward.iter().any(|wish| wish.to == to) {
                let what = format!("{to:?} is named twice, or is the Service itself");
                let _: Option<()> = reader.take(key, bad(what, "name every backend once"));
                return None;
            }
            forward.push(ForwardWish { to, weight: other.weight });
        }
        Some(forward)
    }

    fn other(
        &mut self,
        reader: &mut Reader<'_>,
        front: &Front<'_>,
        key: &str,
        other: &Other,
        family: Family,
    ) -> Option<Backend> {
        if let Some(decrypt) = other.decrypt
            && front.listener == NlbProtocol::Tls
            && decrypt != (front.backend == NlbProtocol::Tcp)
        {
            let what = "the target groups of one listener have one protocol, and decrypt says otherwise";
            let remedy = "remove decrypt, or set aws-load-balancer-backend-protocol: ssl for all";
            return reader.take(key, bad(what, remedy));
        }
        let (name, port) = match &other.to {
            OtherBackend::Arn(arn) => return Some(Backend::Arn(arn.clone())),
            OtherBackend::Service { name, port } => (name, port),
        };
        let Some(service) = self.world.services.get(name) else {
            let what =
                format!("{key}: there is no Service {name:?} in namespace {}", self.service.key.namespace);
            let remedy = "make it, or name another one";
            reader.errors.push(CloudError::user("BackendMissing", what).remedy(remedy));
            return None;
        };
        let ports = ports_like(service, port, front);
        let Some(number) = ports.first().map(|port| port.port).filter(|_| ports.len() == front.ports.len())
        else {
            let what = format!("{key}: Service {} has no port {port:?} for {}", service.key, front.listener);
            let remedy = format!("name one of {}", port_names(service));
            reader.errors.push(CloudError::user("BackendMissing", what).remedy(remedy));
            return None;
        };
        let group = self.target_group(reader, front, service, &ports)?;
        if group.family != family {
            let what = format!("Service {} is {}, and the others are {family}", service.key, group.family);
            return reader.take(key, bad(what, "name Services of one family"));
        }
        let role = front.role(name, number);
        match self.parts.target_groups.get(&role) {
            Some(before) if *before != group => {
                let what = format!(
                    "port {number} of Service {} gets traffic with other settings already",
                    service.key
                );
                reader.take(key, bad(what, "use another port or Service"))
            }
            Some(_) | None => {
                self.parts.target_groups.insert(role.clone(), group);
                self.named_by.entry(role.clone()).or_insert_with(|| key.to_owned());
                Some(Backend::Role(role))
            }
        }
    }

    fn target_group(
        &self,
        reader: &mut Reader<'_>,
        front: &Front<'_>,
        service: &ServiceView,
        ports: &[&PortView],
    ) -> Option<TargetGroupWish> {
        let family = service.families.first().copied().unwrap_or(Family::V4);
        if family == Family::V6 && self.load_balancer.ip_address_type == IpAddressType::Ipv4 {
            let name = reader.written.name_of("ip-address-type");
            let what = format!("{name}: Service {} is IPv6, and the load balancer is not", service.key);
            let remedy = "set aws-load-balancer-ip-address-type: dualstack";
            reader.errors.push(CloudError::user("FamilyMismatch", what).remedy(remedy));
            return None;
        }
        let health = self.traffic.health.resolve(reader, service, self.traffic.target_type);
        let attributes = self.group_attributes(reader, front);
        let found = match self.traffic.target_type {
            TargetType::Instance => self.nodes(service, ports),
            TargetType::Ip => self.pods(service, ports, family),
        };
        let (port, targets) = match found {
            Ok(found) => found,
            Err(error) => {
                reader.errors.push(error);
                return None;
            }
        };
        let health = health?;
        if front.backend == NlbProtocol::Udp && health.port.is_none() {
            let what = format!(
                "the targets of port {} are checked by TCP on a UDP port: they are healthy only if something listens \
                 there; name a TCP port with {}",
                front.number,
                super::annotations::key("healthcheck-port"),
            );
            reader.warn("HealthCheckDoubtful", what);
        }
        let first = ports.first()?;
        Some(TargetGroupWish {
            service: service.key.clone(),
            service_port: port_protocol(first),
            protocol: front.backend,
            target_type: self.traffic.target_type,
            family,
            port,
            health,
            attributes,
            targets,
        })
    }

    fn nodes(
        &self,
        service: &ServiceView,
        ports: &[&PortView],
    ) -> Result<(u16, BTreeSet<Target>), CloudError> {
        let mut found = None;
        for port in ports {
            let Some(node_port) = port.node_port else {
                let what =
                    format!("port {} of Service {} has no node port", port_protocol(port), service.key);
                let remedy = "allow node ports (allocateLoadBalancerNodePorts), or set \
                              aws-load-balancer-nlb-target-type: ip";
                return Err(CloudError::user("NodePortMissing", what).remedy(remedy));
            };
            if found.is_some_and(|other| other != node_port) {
                let what =
                    format!("TCP and UDP port {} of Service {} have two node ports", port.port, service.key);
                let remedy = "set both nodePorts to one number, or set aws-load-balancer-nlb-target-type: ip";
                return Err(CloudError::user("TcpUdpMismatch", what).remedy(remedy));
            }
            found = Some(node_port);
        }
        let port = found.unwrap_or_default();
        Ok((port, instances(self.world, &self.traffic.node_labels, port)))
    }

    fn pods(
        &self,
        service: &ServiceView,
        ports: &[&PortView],
        family: Family,
    ) -> Result<(u16, BTreeSet<Target>), CloudError> {
        let mismatch = |why: String| {
            let numbers: BTreeSet<u16> = ports.iter().map(|port| port.port).collect();
            let what =
                format!("TCP and UDP port {numbers:?} of Service {} lead to two ports{why}", service.key);
            CloudError::user("TcpUdpMismatch", what).remedy("give both one targetPort, or two ports")
        };
        let numbers: BTreeSet<u16> = ports
            .iter()
            .filter_map(|port| match port.target_port {
                TargetPort::Number(number) => Some(number),
                TargetPort::Name(_) => None,
            })
            .collect();
        if numbers.len() > 1 {
            return Err(mismatch(String::new()));
        }
        let targets = endpoints(self.world, service.key.name.as_str(), ports, family)
            .map_err(|differ| mismatch(format!(" on {}", differ.address)))?;
        // Of a name nobody knows the number before there is a pod; the Service's own is the likeliest.
        let of_pods = targets.iter().map(|target| target.port).min();
        let own = ports.first().map(|port| port.port);
        let port = numbers.first().copied().or(of_pods).or(own).unwrap_or_default();
        Ok((port, targets))
    }

    /// The attributes of a target group behind `front`: said for all ports, for this one, and PROXY protocol by its own
    /// annotations.
    fn group_attributes(&self, reader: &mut Reader<'_>, front: &Front<'_>) -> Attributes {
        let mut all = Attributes::from([(PROXY_PROTOCOL.to_owned(), "false".to_owned())]);
        let of_port = format!("{GROUP_ATTRIBUTES}.{}", front.number);
        for layer in Layer::ALL {
            for suffix in [GROUP_ATTRIBUTES, &of_port] {
                let mut attributes = reader.at(layer, suffix, map).unwrap_or_default();
                attributes.retain(|_, value| !value.is_empty());
                let name = reader.written.name(layer, suffix);
                check(reader, &name, Of::TargetGroup, &attributes);
                all.extend(attributes);
            }
            let proxy = match self.traffic.proxy.get(&layer) {
                None => continue,
                Some(Proxy::All) => true,
                Some(Proxy::Only(ports)) => ports.contains(&front.number),
            };
            all.insert(PROXY_PROTOCOL.to_owned(), proxy.to_string());
        }
        let said = |all: &Attributes, key: &str, value: &str| all.get(key).is_some_and(|said| said == value);
        let said_by = |reader: &Reader<'_>| {
            let is_of_port = reader.written.get(&of_port).is_some();
            if is_of_port { of_port.clone() } else { GROUP_ATTRIBUTES.to_owned() }
        };
        let is_udp = matches!(front.backend, NlbProtocol::Udp | NlbProtocol::TcpUdp);
        if is_udp && said(&all, PRESERVE_CLIENT_IP, "false") {
            all.remove(PRESERVE_CLIENT_IP);
            let name = reader.written.name_of(&said_by(reader));
            let what = format!(
                "{name}: port {} is UDP, whose clients' addresses AWS always preserves",
                front.number
            );
            reader.warn("IgnoredAnnotation", what);
        }
        if front.listener == NlbProtocol::Tls && said(&all, STICKINESS, "true") {
            let what = format!("port {} is TLS, for which AWS has no stickiness", front.number);
            let remedy =
                "set stickiness with aws-load-balancer-target-group-attributes.PORT for other ports only";
            reader.conflict(&said_by(reader), &what, remedy);
        }
        all
    }
}

/// The ports of `service` that `named` means, for the protocols of `front` and in their order.
fn ports_like<'s>(service: &'s ServiceView, named: &str, front: &Front<'_>) -> Vec<&'s PortView> {
    let is_meant = |port: &&PortView| port.name == named || port.port.to_string() == named;
    let Some(number) = service.ports.iter().find(is_meant).map(|port| port.port) else { return Vec::new() };
    let like = |wanted: &&PortView| {
        service.ports.iter().find(|port| port.port == number && port.protocol == wanted.protocol)
    };
    front.ports.iter().filter_map(like).collect()
}
