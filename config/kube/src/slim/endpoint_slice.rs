//! EndpointSlices.

use serde::Deserialize;

use super::meta::Meta;

/// A slice of a Service's endpoints, of one family.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EndpointSlice {
    /// Its metadata; the label `kubernetes.io/service-name` names the Service.
    #[serde(default)]
    pub metadata: Meta,
    /// `IPv4`, `IPv6` or `FQDN`.
    pub address_type: Option<String>,
    /// The endpoints.
    pub endpoints: Option<Vec<Endpoint>>,
}

super::object!(EndpointSlice, "discovery.k8s.io", "v1", "endpointslices");

impl EndpointSlice {
    /// The label that names a slice's Service.
    pub const SERVICE_NAME: &'static str = "kubernetes.io/service-name";

    /// The name of its Service.
    pub fn service_name(&self) -> Option<&str> {
        self.metadata.labels.as_ref()?.get(Self::SERVICE_NAME).map(String::as_str)
    }
}

/// An endpoint.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Endpoint {
    /// Its addresses; clients use the first.
    pub addresses: Option<Vec<String>>,
    /// Its state.
    pub conditions: Option<EndpointConditions>,
    /// The node it runs on.
    pub node_name: Option<String>,
}

/// The state of an endpoint.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
pub struct EndpointConditions {
    /// Takes new connections; absent = yes.
    pub ready: Option<bool>,
    /// Answers, terminating or not; absent = as `ready`.
    pub serving: Option<bool>,
    /// Is on its way out; absent = no.
    pub terminating: Option<bool>,
}
