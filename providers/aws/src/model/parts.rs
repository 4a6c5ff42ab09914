//! What one Service brings to a load balancer: listeners and target groups.

use std::collections::{BTreeMap, BTreeSet};

use daymark_model::{AwsProfile, Family, Protocol};
use daymark_providers::CloudError;
use daymark_providers::view::{PortView, ServiceView, World};

use super::actions::{Action, Other, OtherBackend};
use super::ports::{Front, actions, fronts, listener_attributes};
use super::settings::{LoadBalancerSettings, Read};
use super::target_groups::{TargetGroups, port_protocol, refuse_unknown_ports};
use super::traffic::{Traffic, port_names};
use super::value::bad;
use super::written::Reader;
use super::{Backend, ForwardWish, ListenerWish, TargetGroupWish};
use crate::api::{IpAddressType, NlbProtocol};

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
    let groups = TargetGroups { world, traffic, load_balancer };
    let mut making = Making { world, service, groups, parts: Parts::default(), named_by: BTreeMap::new() };
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
            tls: making.groups.traffic.tls.clone().filter(|_| is_tls),
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
    groups: TargetGroups<'a>,
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
        let group = self.groups.make(reader, front, service, &front.ports)?;
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
        let group = self.groups.make(reader, front, service, &ports)?;
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
