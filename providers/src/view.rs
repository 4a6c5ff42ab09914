//! What clouds see of Kubernetes: distilled, typed, free of its types.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use daymark_model::{Family, Labels, Protocol, ServiceKey, Timestamp, TrafficPolicy, Uid};

/// Where a Service's traffic goes on a pod.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TargetPort {
    /// This port.
    Number(u16),
    /// The container port of this name.
    Name(String),
}

/// A port of a Service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortView {
    /// Its name; empty where the Service has one unnamed port.
    pub name: String,
    /// Its protocol.
    pub protocol: Protocol,
    /// Its number.
    pub port: u16,
    /// Where it leads on a pod.
    pub target_port: TargetPort,
    /// The port on every node; `None` where none is allocated.
    pub node_port: Option<u16>,
}

/// A Service that a cloud serves, or that such a Service names as a further backend.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceView {
    /// Namespace and name.
    pub key: ServiceKey,
    /// `metadata.uid`.
    pub uid: Uid,
    /// `metadata.creationTimestamp`.
    pub created_at: Timestamp,
    /// Whether it has a `metadata.deletionTimestamp`.
    pub deleting: bool,
    /// Whether `spec.type` is `LoadBalancer`.
    pub is_load_balancer: bool,
    /// `spec.loadBalancerClass`.
    pub class: Option<String>,
    /// `metadata.annotations`.
    pub annotations: BTreeMap<String, String>,
    /// `spec.ports` in order.
    pub ports: Vec<PortView>,
    /// `spec.ipFamilies` in order.
    pub families: Vec<Family>,
    /// `spec.externalTrafficPolicy`.
    pub traffic_policy: TrafficPolicy,
    /// `spec.healthCheckNodePort`.
    pub health_check_node_port: Option<u16>,
    /// `spec.loadBalancerSourceRanges`, as written.
    pub source_ranges: Vec<String>,
}

/// A node, for targets of the type instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeView {
    /// Its name.
    pub name: String,
    /// Its labels.
    pub labels: Labels,
    /// `spec.providerID`; `None` while the cloud's controller has not set it.
    pub provider_id: Option<String>,
    /// It is to get no traffic from outside: the exclude label, a taint that announces its removal, or its deletion.
    pub excluded: bool,
}

/// Whether an endpoint is to get traffic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EndpointState {
    /// Ready.
    Ready,
    /// Terminating, and still serving (KEP-1669): used only where none is ready.
    Draining,
}

/// An endpoint of a Service, for targets of the type ip.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct EndpointView {
    /// Its address.
    pub address: IpAddr,
    /// Its port for each port of the Service, by name.
    pub ports: BTreeMap<String, u16>,
    /// Whether it is to get traffic.
    pub state: EndpointState,
    /// The node it runs on.
    pub node: Option<String>,
    /// Its zone.
    pub zone: Option<String>,
}

/// All that the load balancers of one namespace are made from.
#[derive(Debug, Clone, Default)]
pub struct World {
    /// The Services of the namespace, by name.
    pub services: BTreeMap<String, ServiceView>,
    /// The endpoints of those Services, by Service name.
    pub endpoints: BTreeMap<String, Vec<EndpointView>>,
    /// All nodes, by name.
    pub nodes: Arc<BTreeMap<String, NodeView>>,
}
