//! What is kept of the objects that a decision rests on.

use std::net::IpAddr;
use std::num::NonZeroU16;

use daymark_model::{Family, Labels, NodeName, ServiceKey, TrafficPolicy};

use crate::endpoints::Endpoints;

/// What is kept of a Service of type LoadBalancer; a Service of another type has no view.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceView {
    /// Its namespace and name.
    pub key: ServiceKey,
    /// Its labels.
    pub labels: Labels,
    /// Whether its condition `daymark.dev/AddressAssigned` is `True`.
    pub assigned: bool,
    /// The addresses in `status.loadBalancer.ingress`, without those that cannot be read.
    pub addresses: Vec<IpAddr>,
    /// `spec.externalTrafficPolicy`.
    pub policy: TrafficPolicy,
    /// `spec.healthCheckNodePort`; `None` when it is absent or 0.
    pub health_check_node_port: Option<NonZeroU16>,
}

impl ServiceView {
    /// Whether it holds `address`: it shows it, and the controller says that it assigned it.
    pub fn holds(&self, address: IpAddr) -> bool {
        self.assigned && self.addresses.contains(&address)
    }
}

/// One Service as a holder of one address.
#[derive(Debug, Clone, Copy)]
pub struct Sharer<'a> {
    /// The Service.
    pub service: &'a ServiceView,
    /// The labels of its namespace.
    pub namespace_labels: &'a Labels,
    /// Its endpoints of the address's family, as seen from the node.
    pub endpoints: Endpoints,
}

/// An address and the Services that hold it, usually one.
#[derive(Debug, Clone)]
pub struct AddressView<'a> {
    /// The address.
    pub address: IpAddr,
    /// The Services on it, in any order.
    pub sharers: Vec<Sharer<'a>>,
    /// Whether it is out already: a node that leaves keeps for a moment what is out, and takes nothing new.
    pub out: bool,
}

impl AddressView<'_> {
    /// The family of the address.
    pub fn family(&self) -> Family {
        Family::of(self.address)
    }
}

/// An EndpointSlice on its way into the [`EndpointFold`](crate::EndpointFold).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SliceView {
    /// The Service named by its label `kubernetes.io/service-name`; without one nobody uses the slice.
    pub service: Option<ServiceKey>,
    /// Its endpoints; those without a readable address (`addressType: FQDN`) are left out.
    pub endpoints: Vec<EndpointView>,
}

/// One endpoint of an EndpointSlice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndpointView {
    /// The first of its addresses: they are fungible, and service proxies use the first.
    pub address: IpAddr,
    /// Its conditions as written.
    pub conditions: Conditions,
    /// The node it runs on, if it says so.
    pub node: Option<NodeName>,
}

/// The conditions of an endpoint as written; absent ones have the meaning that Kubernetes gives them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Conditions {
    /// `ready`: absent = true.
    pub ready: Option<bool>,
    /// `serving`: absent = true.
    pub serving: Option<bool>,
    /// `terminating`: absent = false.
    pub terminating: Option<bool>,
}
