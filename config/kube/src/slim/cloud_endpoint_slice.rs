//! EndpointSlices with what clouds need of them: ports and zones, which the speakers do without.

use serde::Deserialize;

use super::endpoint_slice::{EndpointConditions, EndpointSlice};
use super::meta::{Meta, lenient_list};

/// A slice of a Service's endpoints, of one family, with its ports.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CloudEndpointSlice {
    /// Its metadata; the label `kubernetes.io/service-name` names the Service.
    #[serde(default)]
    pub metadata: Meta,
    /// `IPv4`, `IPv6` or `FQDN`.
    pub address_type: Option<String>,
    /// The endpoints.
    #[serde(default, deserialize_with = "lenient_list")]
    pub endpoints: Option<Vec<CloudEndpoint>>,
    /// The ports of every endpoint.
    #[serde(default, deserialize_with = "lenient_list")]
    pub ports: Option<Vec<EndpointPort>>,
}

super::object!(CloudEndpointSlice as "EndpointSlice", "discovery.k8s.io", "v1", "endpointslices");

impl CloudEndpointSlice {
    /// The name of its Service.
    pub fn service_name(&self) -> Option<&str> {
        self.metadata.labels.as_ref()?.get(EndpointSlice::SERVICE_NAME).map(String::as_str)
    }
}

/// An endpoint.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CloudEndpoint {
    /// Its addresses; clients use the first.
    pub addresses: Option<Vec<String>>,
    /// Its state.
    pub conditions: Option<EndpointConditions>,
    /// The node it runs on.
    pub node_name: Option<String>,
    /// Its zone.
    pub zone: Option<String>,
}

/// A port of the endpoints of a slice.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct EndpointPort {
    /// The name of the Service's port; empty where that has none.
    pub name: Option<String>,
    /// Its number; absent = all ports.
    pub port: Option<i64>,
    /// `TCP`, `UDP` or `SCTP`.
    pub protocol: Option<String>,
}
