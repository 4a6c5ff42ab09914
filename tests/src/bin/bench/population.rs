//! The Services and EndpointSlices that the measurements stand beside.

use std::net::Ipv4Addr;

use daymark_tests::Result;
use kube::Client;
use serde_json::{Value, json};

use crate::server::{self, Object, side_by_side};

/// Where Services are.
pub const SERVICES: &str = "/api/v1/namespaces/default/services";
/// Where EndpointSlices are.
pub const SLICES: &str = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices";
/// Endpoints of each Service.
const ENDPOINTS: u32 = 5;
/// The first endpoint's address.
const FIRST_ENDPOINT: u32 = u32::from_be_bytes([10, 160, 0, 0]);

/// The pool of all Services, and their announcement to every router.
pub const POOL: &str = "
apiVersion: daymark.dev/v1alpha1
kind: AddressPool
metadata: {name: bench}
spec: {addresses: [100.64.0.0/16]}
---
apiVersion: daymark.dev/v1alpha1
kind: Announcement
metadata: {name: bench}
spec: {bgp: {}}
";

/// The name of the Service with this number.
pub fn name(prefix: &str, number: u32) -> String {
    format!("{prefix}-{number:05}")
}

/// The name of the only EndpointSlice of a Service.
pub fn slice_name(service: &str) -> String {
    format!("{service}-v4")
}

/// A LoadBalancer Service without a selector. It has no node port: there are fewer of those than Services.
pub fn service(name: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name},
        "spec": {
            "type": "LoadBalancer",
            "allocateLoadBalancerNodePorts": false,
            "ports": [{"port": 80, "targetPort": 8080}],
        },
    })
}

/// The ready endpoints of Service number `number`.
pub fn endpoints(number: u32) -> Value {
    let address = |place| Ipv4Addr::from(FIRST_ENDPOINT + number * ENDPOINTS + place);
    let endpoint =
        |place| json!({"addresses": [address(place)], "conditions": {"ready": true}, "nodeName": "n1"});
    (0..ENDPOINTS).map(endpoint).collect()
}

fn slice(service: &str, number: u32) -> Value {
    json!({
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": slice_name(service), "labels": {
            "kubernetes.io/service-name": service,
            "endpointslice.kubernetes.io/managed-by": "daymark-bench",
        }},
        "addressType": "IPv4",
        "ports": [{"name": "", "protocol": "TCP", "port": 8080}],
        "endpoints": endpoints(number),
    })
}

/// Creates so many Services, `prefix-00000` and upward.
pub async fn services(client: &Client, prefix: &str, count: u32) -> Result<Vec<Object>> {
    let bodies: Vec<Value> = (0..count).map(|number| service(&name(prefix, number))).collect();
    side_by_side("Services", bodies, async |body| {
        server::post::<Object>(client, SERVICES, serde_json::to_vec(&body)?).await
    })
    .await
}

/// Creates the EndpointSlices of so many Services; `first` counts endpoints that others have.
pub async fn slices(client: &Client, prefix: &str, count: u32, first: u32) -> Result<()> {
    let bodies: Vec<Value> = (0..count).map(|number| slice(&name(prefix, number), first + number)).collect();
    side_by_side("EndpointSlices", bodies, async |body| {
        server::post::<Object>(client, SLICES, serde_json::to_vec(&body)?).await.map(drop)
    })
    .await
    .map(drop)
}
