//! What the core sees of the objects in the API server: distilled, typed, free of Kubernetes.

use std::net::IpAddr;
use std::sync::Arc;

use daymark_model::{
    Claim, Family, IpMode, Labels, PoolName, PortProtocol, ServiceKey, Timestamp, TrafficPolicy, Uid,
};

/// The `metadata.resourceVersion` of an object.
///
/// Versions of one kind compare as numbers (KEP-5504); a text that is none is equal or different, never older.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ResourceVersion {
    text: Arc<str>,
    number: Option<u64>,
}

impl ResourceVersion {
    /// The version as the API server wrote it.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether `self` is known to be the state before `other`.
    pub fn is_older_than(&self, other: &Self) -> bool {
        matches!((self.number, other.number), (Some(a), Some(b)) if a < b)
    }
}

impl From<&str> for ResourceVersion {
    fn from(text: &str) -> Self {
        Self { number: text.parse().ok(), text: text.into() }
    }
}

/// `spec.ipFamilyPolicy` of a Service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FamilyPolicy {
    /// One family.
    #[default]
    SingleStack,
    /// Both where both are to be had.
    PreferDualStack,
    /// Both or nothing.
    RequireDualStack,
}

/// What a Service asks for by annotations or `spec.loadBalancerIP`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Requests {
    /// These addresses, at most one per family.
    pub addresses: Vec<IpAddr>,
    /// These pools, the first that can give comes first; empty = the profile's or the automatic ones.
    pub pools: Vec<PoolName>,
}

/// One entry of `status.loadBalancer.ingress`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ingress {
    /// The address.
    pub ip: Option<IpAddr>,
    /// The name, where a cloud gives names.
    pub hostname: Option<String>,
    /// How kube-proxy treats it; the API server fills in `VIP` beside an `ip`.
    pub ip_mode: Option<IpMode>,
    /// The ports it serves.
    pub ports: Vec<PortProtocol>,
}

/// `status` of a condition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConditionStatus {
    /// True.
    True,
    /// False.
    False,
    /// Neither is known.
    Unknown,
}

/// The condition `daymark.dev/AddressAssigned` of a Service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddressCondition {
    /// Whether an address is assigned: speakers announce only what is `True`.
    pub status: ConditionStatus,
    /// The CamelCase word.
    pub reason: String,
    /// The sentence.
    pub message: String,
    /// When `status` last changed; `None` when an object has none.
    pub last_transition_time: Option<Timestamp>,
}

/// A Service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceView {
    /// Namespace and name.
    pub key: ServiceKey,
    /// `metadata.uid`.
    pub uid: Uid,
    /// `metadata.resourceVersion`.
    pub resource_version: ResourceVersion,
    /// `metadata.creationTimestamp`.
    pub created_at: Timestamp,
    /// Its labels, for a pool's `serviceSelector`.
    pub labels: Labels,
    /// Whether `spec.type` is `LoadBalancer`.
    pub is_load_balancer: bool,
    /// `spec.loadBalancerClass`.
    pub class: Option<String>,
    /// `spec.ipFamilies` in order.
    pub families: Vec<Family>,
    /// `spec.ipFamilyPolicy`.
    pub family_policy: FamilyPolicy,
    /// What it asks for; `Err` is a sentence that names the annotation or field and what is wrong with it.
    pub requests: Result<Requests, String>,
    /// The key under which it shares its address.
    pub sharing_key: Option<String>,
    /// `spec.ports` in order.
    pub ports: Vec<PortProtocol>,
    /// `spec.externalTrafficPolicy`.
    pub traffic_policy: TrafficPolicy,
    /// `spec.selector`; empty = none.
    pub pod_selector: Labels,
    /// Whether it has a `metadata.deletionTimestamp`: it keeps what it has and gets nothing new.
    pub deleting: bool,
    /// `status.loadBalancer.ingress`.
    pub ingress: Vec<Ingress>,
    /// Our condition as found.
    pub condition: Option<AddressCondition>,
    /// The field manager other than Daymark that last wrote the status, where `metadata.managedFields` tells.
    pub ingress_manager: Option<String>,
}

impl ServiceView {
    /// The addresses in its status.
    pub fn shown(&self) -> impl Iterator<Item = IpAddr> + '_ {
        self.ingress.iter().filter_map(|i| i.ip)
    }
}

/// An AddressClaim as it stands in the API server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimView {
    /// What it says.
    pub claim: Claim,
    /// `metadata.uid`.
    pub uid: Uid,
    /// `metadata.resourceVersion`.
    pub resource_version: ResourceVersion,
    /// `metadata.creationTimestamp`.
    pub created_at: Timestamp,
}
