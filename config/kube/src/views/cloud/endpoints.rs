//! The endpoints of a Service out of its slices.

use std::collections::BTreeMap;
use std::net::IpAddr;

use daymark_model::{Family, ServiceKey, Timestamp};
use daymark_providers::view::{EndpointState, EndpointView};

use super::{family, number};
use crate::slim::{CloudEndpoint, CloudEndpointSlice};

/// What is kept of an EndpointSlice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CloudSlice {
    /// Its Service.
    pub service: ServiceKey,
    /// The family of its addresses.
    pub family: Family,
    /// When it was made.
    pub created_at: Timestamp,
    /// Its endpoints that may get traffic, by address.
    pub endpoints: Vec<EndpointView>,
}

/// What is kept of an EndpointSlice; `None` for one of no Service, or of host names.
pub fn endpoints(slice: &CloudEndpointSlice) -> Option<CloudSlice> {
    let family = family(slice.address_type.as_deref()?)?;
    let namespace = slice.metadata.namespace.as_deref().unwrap_or_default();
    let named = slice.ports.iter().flatten();
    let ports: BTreeMap<String, u16> =
        named.filter_map(|port| Some((port.name.clone().unwrap_or_default(), number(port.port?)?))).collect();
    let mut endpoints: Vec<EndpointView> =
        slice.endpoints.iter().flatten().filter_map(|written| endpoint(written, family, &ports)).collect();
    endpoints.sort();
    Some(CloudSlice {
        service: ServiceKey::new(namespace, slice.service_name()?),
        family,
        created_at: slice.metadata.created_at(),
        endpoints,
    })
}

fn endpoint(written: &CloudEndpoint, family: Family, ports: &BTreeMap<String, u16>) -> Option<EndpointView> {
    let address: IpAddr = written.addresses.as_ref()?.first()?.parse().ok()?;
    let conditions = written.conditions.unwrap_or_default();
    let ready = conditions.ready.unwrap_or(true);
    let serving = conditions.serving.unwrap_or(ready);
    let state = if ready {
        EndpointState::Ready
    } else if serving && conditions.terminating == Some(true) {
        EndpointState::Draining
    } else {
        return None;
    };
    (Family::of(address) == family).then(|| EndpointView {
        address,
        ports: ports.clone(),
        state,
        node: written.node_name.clone(),
        zone: written.zone.clone(),
    })
}

/// The endpoints of one Service out of all its slices, by address.
///
/// An endpoint that changes its slice is in two for a moment, and one whose ports are spread over several is in each of
/// them: it is one endpoint with the ports of all. Where they say different things of a port, the slice that was made
/// last holds; it is ready if one says so.
pub fn merged<'a>(slices: impl IntoIterator<Item = &'a CloudSlice>) -> Vec<EndpointView> {
    let mut slices: Vec<&CloudSlice> = slices.into_iter().collect();
    slices.sort_by_key(|slice| slice.created_at);
    let mut by_address: BTreeMap<IpAddr, EndpointView> = BTreeMap::new();
    for endpoint in slices.into_iter().flat_map(|slice| &slice.endpoints) {
        match by_address.get_mut(&endpoint.address) {
            None => drop(by_address.insert(endpoint.address, endpoint.clone())),
            Some(known) => {
                known.ports.extend(endpoint.ports.iter().map(|(name, port)| (name.clone(), *port)));
                known.state = known.state.min(endpoint.state);
                known.node = endpoint.node.clone().or(known.node.take());
                known.zone = endpoint.zone.clone().or(known.zone.take());
            }
        }
    }
    by_address.into_values().collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn slice(name: &str, day: u8, ports: Value, endpoints: Value) -> CloudSlice {
        let object = json!({
            "metadata": {
                "name": name, "namespace": "shop", "labels": {"kubernetes.io/service-name": "web"},
                "creationTimestamp": format!("2026-01-0{day}T00:00:00Z"),
            },
            "addressType": "IPv4",
            "ports": ports,
            "endpoints": endpoints,
        });
        endpoints_of(object).unwrap()
    }

    fn endpoints_of(object: Value) -> Option<CloudSlice> {
        endpoints(&serde_json::from_value(object).unwrap())
    }

    fn brief(endpoints: &[EndpointView]) -> Vec<String> {
        let one = |e: &EndpointView| format!("{} {:?} {:?}", e.address, e.state, e.ports);
        endpoints.iter().map(one).collect()
    }

    #[test]
    fn endpoints_with_ports_state_node_and_zone() {
        let slice = slice(
            "web-1",
            1,
            json!([{"name": "http", "port": 8080, "protocol": "TCP"}, {"name": "all", "port": null}, {"port": 90}]),
            json!([
                {"addresses": ["10.0.0.4"], "conditions": {"ready": false, "serving": true, "terminating": false}},
                {"addresses": ["10.0.0.3"], "conditions": {"ready": false, "terminating": true}},
                {"addresses": ["10.0.0.2"], "conditions": {"ready": false, "serving": true, "terminating": true}},
                {"addresses": ["10.0.0.1", "10.0.0.9"], "nodeName": "n1", "zone": "a"},
                {"addresses": ["2001:db8::1"]},
                {"addresses": ["example.com"]},
                {"addresses": []},
                "garbage",
            ]),
        );
        assert_eq!((slice.service.to_string(), slice.family), ("shop/web".into(), Family::V4));
        assert_eq!(
            brief(&slice.endpoints),
            [r#"10.0.0.1 Ready {"": 90, "http": 8080}"#, r#"10.0.0.2 Draining {"": 90, "http": 8080}"#]
        );
        let first = &slice.endpoints[0];
        assert_eq!((first.node.as_deref(), first.zone.as_deref()), (Some("n1"), Some("a")));
    }

    #[test]
    fn slices_of_no_service_and_of_names_are_left_out() {
        let of = |labels: Value, kind: &str| {
            endpoints_of(json!({"metadata": {"name": "x", "labels": labels}, "addressType": kind}))
        };
        assert_eq!(of(json!({}), "IPv4"), None);
        assert_eq!(of(json!({"kubernetes.io/service-name": "web"}), "FQDN"), None);
        assert!(of(json!({"kubernetes.io/service-name": "web"}), "IPv6").is_some());
    }

    #[test]
    fn an_endpoint_in_two_slices_is_one() {
        let draining = json!({"ready": false, "serving": true, "terminating": true});
        let old = slice(
            "z",
            1,
            json!([{"name": "http", "port": 80}, {"name": "dns", "port": 53}]),
            json!([{"addresses": ["10.0.0.1"], "zone": "a"}, {"addresses": ["10.0.0.2"], "conditions": draining}]),
        );
        let new = slice(
            "a",
            2,
            json!([{"name": "http", "port": 8080}]),
            json!([{"addresses": ["10.0.0.1"], "conditions": draining, "nodeName": "n1"}, {"addresses": ["10.0.0.3"]}]),
        );
        let expected = [
            r#"10.0.0.1 Ready {"dns": 53, "http": 8080}"#,
            r#"10.0.0.2 Draining {"dns": 53, "http": 80}"#,
            r#"10.0.0.3 Ready {"http": 8080}"#,
        ];
        for order in [[&old, &new], [&new, &old]] {
            let merged = merged(order);
            assert_eq!(brief(&merged), expected);
            assert_eq!((merged[0].node.as_deref(), merged[0].zone.as_deref()), (Some("n1"), Some("a")));
        }
        assert_eq!(merged([]), []);
    }
}
