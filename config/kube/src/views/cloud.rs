//! Services, nodes and endpoints as clouds see them (`daymark-providers`).

mod endpoints;
pub mod subject;

use std::net::IpAddr;

use daymark_config::names::condition::PROVISIONED;
use daymark_config::names::{finalizer, label};
use daymark_model::{IpMode, ServiceKey};
use daymark_providers::view::{NodeView, PortView, ServiceView, TargetPort};

use super::{condition, family, is_load_balancer, port, traffic_policy};
use crate::slim::{self, Condition, Node, Service, ServiceIngress, ServicePort, Taint};

pub use endpoints::{CloudSlice, endpoints, merged};

/// A Service with what the controller needs to write to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CloudService {
    /// What clouds see of it.
    pub view: ServiceView,
    /// Its resource version.
    pub resource_version: String,
    /// Its finalizers, in order.
    pub finalizers: Vec<String>,
    /// What its status shows.
    pub ingress: Vec<ShownIngress>,
    /// Our condition `daymark.dev/Provisioned`, as it is found.
    pub provisioned: Option<Condition>,
    /// `spec.allocateLoadBalancerNodePorts`.
    pub allocates_node_ports: bool,
    /// Whether `spec.sessionAffinity` is `ClientIP`.
    pub session_affinity: bool,
    /// The field manager, other than Daymark's, that last wrote its status.
    pub status_writer: Option<String>,
}

impl CloudService {
    /// Whether it carries this finalizer.
    pub fn has_finalizer(&self, finalizer: &str) -> bool {
        self.finalizers.iter().any(|carried| carried == finalizer)
    }

    /// Whether it is to have a load balancer: of that type, and not on its way out.
    pub fn wants_load_balancer(&self) -> bool {
        self.view.is_load_balancer && !self.view.deleting
    }

    /// An annotation, trimmed; `None` where it is absent or empty.
    pub fn annotation(&self, key: &str) -> Option<&str> {
        self.view.annotations.get(key).map(|text| text.trim()).filter(|text| !text.is_empty())
    }
}

/// One entry of `status.loadBalancer.ingress`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShownIngress {
    /// Its host name.
    pub hostname: Option<String>,
    /// Its address.
    pub ip: Option<IpAddr>,
    /// What its address is.
    pub ip_mode: Option<IpMode>,
    /// Its ports, in order, each with its error.
    pub ports: Vec<slim::PortStatus>,
}

/// What is kept of a Service for its own sake; `None` for one that neither wants a load balancer nor carries our
/// finalizer or our condition.
pub fn service(service: &Service) -> Option<CloudService> {
    let meta = &service.metadata;
    let provisioned = condition(service, PROVISIONED).cloned();
    let finalizers = meta.finalizers.clone().unwrap_or_default();
    let is_ours = provisioned.is_some() || finalizers.iter().any(|f| f == finalizer::LOAD_BALANCER_CLEANUP);
    if !is_ours && !service.spec.as_ref().is_some_and(is_load_balancer) {
        return None;
    }
    let spec = service.spec.as_ref();
    let ingress = service.status.as_ref().and_then(|s| s.load_balancer.as_ref()?.ingress.as_ref());
    Some(CloudService {
        view: view(service),
        resource_version: meta.resource_version.clone().unwrap_or_default(),
        finalizers,
        ingress: ingress.into_iter().flatten().map(shown).collect(),
        provisioned,
        allocates_node_ports: spec.and_then(|s| s.allocate_load_balancer_node_ports).unwrap_or(true),
        session_affinity: spec.and_then(|s| s.session_affinity.as_deref()) == Some("ClientIP"),
        status_writer: meta.foreign_status_writer().map(str::to_owned),
    })
}

/// What clouds see of any Service; another may name it as a further backend.
pub fn view(service: &Service) -> ServiceView {
    let meta = &service.metadata;
    let nothing = slim::ServiceSpec::default();
    let spec = service.spec.as_ref().unwrap_or(&nothing);
    ServiceView {
        key: ServiceKey::from(&meta.key()),
        uid: meta.uid.as_deref().unwrap_or_default().into(),
        created_at: meta.created_at(),
        deleting: meta.deletion_timestamp.is_some(),
        is_load_balancer: is_load_balancer(spec),
        class: super::class(service),
        annotations: meta.annotations.clone().unwrap_or_default(),
        ports: spec.ports.iter().flatten().filter_map(port_view).collect(),
        families: spec.ip_families.iter().flatten().filter_map(|name| family(name)).collect(),
        traffic_policy: traffic_policy(spec),
        health_check_node_port: spec.health_check_node_port.and_then(number),
        source_ranges: spec.load_balancer_source_ranges.clone().unwrap_or_default(),
    }
}

/// A port number; 0 is none.
fn number(value: i64) -> Option<u16> {
    u16::try_from(value).ok().filter(|port| *port != 0)
}

fn port_view(written: &ServicePort) -> Option<PortView> {
    let own = port(written.port, written.protocol.as_deref())?;
    Some(PortView {
        name: written.name.clone().unwrap_or_default(),
        protocol: own.protocol,
        port: own.port,
        target_port: match &written.target_port {
            Some(slim::TargetPort::Name(name)) if !name.is_empty() => TargetPort::Name(name.clone()),
            Some(slim::TargetPort::Number(value)) => TargetPort::Number(number(*value).unwrap_or(own.port)),
            Some(slim::TargetPort::Name(_)) | None => TargetPort::Number(own.port),
        },
        node_port: written.node_port.and_then(number),
    })
}

fn shown(ingress: &ServiceIngress) -> ShownIngress {
    ShownIngress {
        hostname: ingress.hostname.clone().filter(|name| !name.is_empty()),
        ip: ingress.ip.as_ref().and_then(|ip| ip.parse().ok()),
        ip_mode: match ingress.ip_mode.as_deref() {
            Some("VIP") => Some(IpMode::VIP),
            Some("Proxy") => Some(IpMode::Proxy),
            _ => None,
        },
        ports: ingress.ports.clone().unwrap_or_default(),
    }
}

/// The taint of a node that the cluster autoscaler is about to remove.
const AUTOSCALER: &str = "ToBeDeletedByClusterAutoscaler";
/// The taint of a node that Karpenter is about to remove.
const KARPENTER: (&str, &str) = ("karpenter.sh/disrupted", "NoSchedule");

/// What clouds see of a node.
pub fn node(node: &Node) -> NodeView {
    let spec = node.spec.as_ref();
    let labels = node.metadata.labels();
    let mut taints = spec.and_then(|spec| spec.taints.as_ref()).into_iter().flatten();
    let excluded = labels.get(label::EXCLUDE_FROM_LOAD_BALANCERS).is_some_and(|value| excludes(value))
        || node.metadata.deletion_timestamp.is_some()
        || taints.any(announces_removal);
    NodeView {
        name: node.metadata.name.clone().unwrap_or_default(),
        labels,
        provider_id: spec.and_then(|spec| spec.provider_id.clone()).filter(|id| !id.is_empty()),
        excluded,
    }
}

/// Whether the exclude label with this value holds: only what says plainly that it is false does not, as the service
/// controller of Kubernetes has it.
fn excludes(value: &str) -> bool {
    !["0", "f", "F", "false", "FALSE", "False"].contains(&value)
}

fn announces_removal(taint: &Taint) -> bool {
    let key = taint.key.as_deref();
    key == Some(AUTOSCALER) || (key, taint.effect.as_deref()) == (Some(KARPENTER.0), Some(KARPENTER.1))
}

#[cfg(test)]
mod tests {
    use daymark_model::{Family, Protocol, Timestamp, TrafficPolicy};
    use serde_json::{Value, json};

    use super::*;

    fn read(object: Value) -> Option<CloudService> {
        service(&serde_json::from_value(object).unwrap())
    }

    #[test]
    fn everything_that_matters_to_a_cloud_is_kept() {
        let found = read(json!({
            "metadata": {
                "name": "web", "namespace": "shop", "uid": "u", "resourceVersion": "7",
                "creationTimestamp": "2026-01-01T00:00:00Z", "deletionTimestamp": "2026-01-02T00:00:00Z",
                "annotations": {"daymark.dev/group": " edge ", "daymark.dev/mode": " "},
                "finalizers": ["service.k8s.aws/resources", "service.kubernetes.io/load-balancer-cleanup"],
            },
            "spec": {
                "type": "LoadBalancer", "loadBalancerClass": "daymark.dev/aws-nlb", "ipFamilies": ["IPv4", "IPv6"],
                "externalTrafficPolicy": "Local", "healthCheckNodePort": 30123, "sessionAffinity": "ClientIP",
                "loadBalancerSourceRanges": ["192.0.2.0/24"], "allocateLoadBalancerNodePorts": false,
                "ports": [
                    {"name": "http", "port": 80, "targetPort": "web", "nodePort": 30080},
                    {"name": "dns", "port": 53, "protocol": "UDP", "targetPort": 5353},
                    {"port": 81, "targetPort": {"odd": true}}, {"port": 82, "targetPort": 0}, {"port": 99999},
                ],
            },
            "status": {
                "loadBalancer": {"ingress": [{"hostname": "a.example"}, {"ip": "192.0.2.1", "ipMode": "Proxy"}]},
                "conditions": [{"type": PROVISIONED, "status": "True", "lastTransitionTime": null}],
            },
        }))
        .unwrap();
        let view = &found.view;
        assert_eq!(view.families, [Family::V4, Family::V6]);
        assert_eq!((view.traffic_policy, view.health_check_node_port), (TrafficPolicy::Local, Some(30123)));
        assert_eq!((&view.source_ranges[..], view.deleting), (&["192.0.2.0/24".to_owned()][..], true));
        assert_eq!(view.created_at, Timestamp(1_767_225_600_000));
        let ports: Vec<_> = view.ports.iter().map(|p| (p.port, p.target_port.clone(), p.node_port)).collect();
        assert_eq!(
            ports,
            [
                (80, TargetPort::Name("web".into()), Some(30080)),
                (53, TargetPort::Number(5353), None),
                (81, TargetPort::Number(81), None),
                (82, TargetPort::Number(82), None),
            ]
        );
        assert_eq!(view.ports[1].protocol, Protocol::Udp);
        assert!(found.has_finalizer(finalizer::LBC_RESOURCES) && !found.wants_load_balancer());
        assert!(found.session_affinity && !found.allocates_node_ports);
        assert_eq!(found.annotation("daymark.dev/group"), Some("edge"));
        assert_eq!(found.annotation("daymark.dev/mode"), None);
        assert_eq!(found.ingress[0].hostname.as_deref(), Some("a.example"));
        assert_eq!(found.ingress[1].ip_mode, Some(IpMode::Proxy));
        assert_eq!(found.provisioned.unwrap().status.as_deref(), Some("True"));
    }

    #[test]
    fn a_service_is_kept_while_it_is_or_was_a_load_balancer() {
        let object = |kind: &str, finalizers: Value, condition: &str| {
            read(json!({
                "metadata": {"name": "web", "finalizers": finalizers},
                "spec": {"type": kind},
                "status": {"conditions": [{"type": condition, "status": "False"}]},
            }))
            .map(|found| found.wants_load_balancer())
        };
        let ours = json!([finalizer::LOAD_BALANCER_CLEANUP]);
        assert_eq!(object("LoadBalancer", json!(null), "x"), Some(true));
        assert_eq!(object("ClusterIP", ours.clone(), "x"), Some(false));
        assert_eq!(object("NodePort", json!([]), PROVISIONED), Some(false));
        assert_eq!(object("ClusterIP", json!([finalizer::LBC_RESOURCES]), "x"), None);
        assert!(read(json!({"metadata": {"name": "web", "finalizers": ours}})).is_some());
    }

    #[test]
    fn nodes_that_are_to_get_no_traffic() {
        let of = |metadata: Value, taints: Value| {
            let object =
                json!({"metadata": metadata, "spec": {"providerID": "aws:///a/i-1", "taints": taints}});
            node(&serde_json::from_value(object).unwrap()).excluded
        };
        let labelled =
            |value: &str| json!({"name": "n", "labels": {label::EXCLUDE_FROM_LOAD_BALANCERS: value}});
        for (value, excluded) in [("", true), ("true", true), ("no", true), ("false", false), ("0", false)] {
            assert_eq!(of(labelled(value), json!([])), excluded, "{value:?}");
        }
        let plain = json!({"name": "n"});
        assert!(!of(plain.clone(), json!(null)));
        assert!(of(
            plain.clone(),
            json!([{"key": "ToBeDeletedByClusterAutoscaler", "effect": "NoSchedule"}])
        ));
        assert!(of(plain.clone(), json!([{"key": "karpenter.sh/disrupted", "effect": "NoSchedule"}])));
        assert!(!of(plain.clone(), json!([{"key": "karpenter.sh/disrupted", "effect": "NoExecute"}])));
        assert!(!of(plain, json!([{"key": "node.kubernetes.io/not-ready", "effect": "NoExecute"}])));
        assert!(of(json!({"name": "n", "deletionTimestamp": "2026-01-01T00:00:00Z"}), json!([])));
    }

    #[test]
    fn a_node_without_an_id_at_the_cloud_has_none() {
        let of = |spec: Value| {
            node(&serde_json::from_value(json!({"metadata": {}, "spec": spec})).unwrap()).provider_id
        };
        assert_eq!(of(json!({"providerID": ""})), None);
        assert_eq!(of(json!(null)), None);
        assert_eq!(of(json!({"providerID": "aws:///a/i-1"})).as_deref(), Some("aws:///a/i-1"));
    }
}
