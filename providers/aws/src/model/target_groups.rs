//! Target groups: whom they are for, how they are checked, what their attributes are.

use std::collections::BTreeSet;

use daymark_model::{Family, PortProtocol};
use daymark_providers::CloudError;
use daymark_providers::view::{PortView, ServiceView, TargetPort, World};

use super::TargetGroupWish;
use super::annotations::key;
use super::attributes::{Of, PRESERVE_CLIENT_IP, PROXY_PROTOCOL, STICKINESS, check};
use super::ports::Front;
use super::settings::LoadBalancerSettings;
use super::targets::{endpoints, instances};
use super::traffic::{Proxy, Traffic, port_names};
use super::value::map;
use super::written::{Layer, Reader};
use crate::api::{Attributes, IpAddressType, NlbProtocol, Target, TargetType};

/// What target groups are made from.
pub(super) struct TargetGroups<'a> {
    pub(super) world: &'a World,
    pub(super) traffic: Traffic,
    pub(super) load_balancer: &'a LoadBalancerSettings,
}

const GROUP_ATTRIBUTES: &str = "target-group-attributes";

/// Refuses attributes for ports that the Service does not have.
pub(super) fn refuse_unknown_ports(reader: &mut Reader<'_>, service: &ServiceView) {
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

pub(super) fn port_protocol(port: &PortView) -> PortProtocol {
    PortProtocol { protocol: port.protocol, port: port.port }
}

impl TargetGroups<'_> {
    /// The target group for `ports` of `service` behind `front`.
    pub(super) fn make(
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
                key("healthcheck-port"),
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
