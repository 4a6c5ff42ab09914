//! Slim objects to the views that the pure cores decide on.
//!
//! Nothing here fails: what cannot be read in an object is left out, so that a daemon goes on with the rest of it.

pub mod announce;
pub mod claim;
pub mod cloud;
pub mod node;
pub mod pool;

use daymark_config::names::annotation::AWS_LOAD_BALANCER_TYPE;
use daymark_config::names::condition::ADDRESS_ASSIGNED;
use daymark_model::{AwsProfile, Family, PortProtocol, Protocol, ServiceKey, TrafficPolicy};

use crate::Key;
use crate::slim::{Condition, Service, ServiceSpec};

impl From<&Key> for ServiceKey {
    fn from(key: &Key) -> Self {
        Self::new(&key.namespace, &key.name)
    }
}

/// Whether `spec.type` is `LoadBalancer`.
pub fn is_load_balancer(spec: &ServiceSpec) -> bool {
    spec.type_.as_deref() == Some("LoadBalancer")
}

/// The class of a Service: its `spec.loadBalancerClass`, or the one that an annotation stands for which is older than
/// classes. A Service that says by it which controller of AWS is to serve it is nobody else's.
pub fn class(service: &Service) -> Option<String> {
    let class = service.spec.as_ref().and_then(|spec| spec.load_balancer_class.clone());
    let annotations = service.metadata.annotations.as_ref();
    class.or_else(|| match annotations?.get(AWS_LOAD_BALANCER_TYPE)?.trim() {
        "nlb-ip" | "external" => Some(AwsProfile::LBC_CLASS.to_owned()),
        "nlb" => Some(IN_TREE_NLB.to_owned()),
        _ => None,
    })
}

/// The class of Services that ask for an NLB of the in-tree controller: no profile can have it, it is no qualified name.
pub const IN_TREE_NLB: &str = "service.beta.kubernetes.io/aws-load-balancer-type=nlb";

fn family(name: &str) -> Option<Family> {
    match name {
        "IPv4" => Some(Family::V4),
        "IPv6" => Some(Family::V6),
        _ => None,
    }
}

fn traffic_policy(spec: &ServiceSpec) -> TrafficPolicy {
    match spec.external_traffic_policy.as_deref() {
        Some("Local") => TrafficPolicy::Local,
        _ => TrafficPolicy::Cluster,
    }
}

fn protocol(text: Option<&str>) -> Option<Protocol> {
    match text {
        None | Some("TCP") => Some(Protocol::Tcp),
        Some("UDP") => Some(Protocol::Udp),
        Some("SCTP") => Some(Protocol::Sctp),
        Some(_) => None,
    }
}

fn port(number: Option<i64>, protocol_name: Option<&str>) -> Option<PortProtocol> {
    let port = u16::try_from(number?).ok().filter(|p| *p != 0)?;
    Some(PortProtocol { protocol: protocol(protocol_name)?, port })
}

fn condition<'a>(service: &'a Service, type_: &str) -> Option<&'a Condition> {
    let conditions = service.status.as_ref()?.conditions.as_ref()?;
    conditions.iter().find(|c| c.type_.as_deref() == Some(type_))
}
