//! Services.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::meta::{Condition, Meta, lenient_list};

/// A Service.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
pub struct Service {
    /// Its metadata.
    #[serde(default)]
    pub metadata: Meta,
    /// What is wanted.
    pub spec: Option<ServiceSpec>,
    /// What was given.
    pub status: Option<ServiceStatus>,
}

super::object!(Service, "", "v1", "services");

/// What a Service wants.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ServiceSpec {
    /// `ClusterIP`, `NodePort`, `LoadBalancer` or `ExternalName`.
    #[serde(rename = "type")]
    pub type_: Option<String>,
    /// Who is to serve it.
    pub load_balancer_class: Option<String>,
    /// The requested address, deprecated but alive.
    #[serde(rename = "loadBalancerIP")]
    pub load_balancer_ip: Option<String>,
    /// The families, in order.
    pub ip_families: Option<Vec<String>>,
    /// `SingleStack`, `PreferDualStack` or `RequireDualStack`.
    pub ip_family_policy: Option<String>,
    /// The addresses inside the cluster.
    #[serde(rename = "clusterIPs")]
    pub cluster_ips: Option<Vec<String>>,
    /// Addresses that its author says are routed to the nodes.
    #[serde(rename = "externalIPs")]
    pub external_ips: Option<Vec<String>>,
    /// `Cluster` or `Local`.
    pub external_traffic_policy: Option<String>,
    /// Where clients may come from.
    pub load_balancer_source_ranges: Option<Vec<String>>,
    /// Whether ports are allocated on the nodes; absent = yes.
    pub allocate_load_balancer_node_ports: Option<bool>,
    /// `None` or `ClientIP`.
    pub session_affinity: Option<String>,
    /// Where kube-proxy answers whether the node has endpoints (`Local` only).
    pub health_check_node_port: Option<i64>,
    /// The pods.
    pub selector: Option<BTreeMap<String, String>>,
    /// The ports.
    pub ports: Option<Vec<ServicePort>>,
}

/// A port of a Service.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ServicePort {
    /// Its name.
    pub name: Option<String>,
    /// `TCP`, `UDP` or `SCTP`; absent = TCP.
    pub protocol: Option<String>,
    /// Its number.
    pub port: Option<i64>,
    /// Where it leads on a pod.
    #[serde(default, deserialize_with = "target_port")]
    pub target_port: Option<TargetPort>,
    /// The port on every node.
    pub node_port: Option<i64>,
}

/// Where a port of a Service leads on a pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TargetPort {
    /// This port.
    Number(i64),
    /// The container port of this name.
    Name(String),
}

fn target_port<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<TargetPort>, D::Error> {
    Ok(match Option::<Value>::deserialize(deserializer)? {
        Some(Value::Number(number)) => number.as_i64().map(TargetPort::Number),
        Some(Value::String(name)) => Some(TargetPort::Name(name)),
        Some(Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_)) | None => None,
    })
}

/// What a Service was given.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ServiceStatus {
    /// By the load balancer.
    pub load_balancer: Option<LoadBalancerStatus>,
    /// Conditions of all writers.
    #[serde(default, deserialize_with = "lenient_list")]
    pub conditions: Option<Vec<Condition>>,
}

/// What the load balancer gave.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
pub struct LoadBalancerStatus {
    /// Where clients reach the Service.
    #[serde(default, deserialize_with = "lenient_list")]
    pub ingress: Option<Vec<ServiceIngress>>,
}

/// Where clients reach a Service.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ServiceIngress {
    /// An address.
    pub ip: Option<String>,
    /// A host name.
    pub hostname: Option<String>,
    /// `VIP` or `Proxy`.
    pub ip_mode: Option<String>,
    /// The ports that it has there.
    pub ports: Option<Vec<PortStatus>>,
}

/// A port at an ingress.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct PortStatus {
    /// Its number.
    pub port: Option<i64>,
    /// Its protocol.
    pub protocol: Option<String>,
    /// What is wrong with it.
    pub error: Option<String>,
}
