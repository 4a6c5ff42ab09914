//! Services and EndpointSlices as `daymark-announce` sees them.

use std::num::NonZeroU16;

use daymark_announce::view::{Conditions, EndpointView, ServiceView, SliceView};
use daymark_model::ServiceKey;

use super::{ADDRESS_ASSIGNED, condition, is_load_balancer, traffic_policy};
use crate::slim::{Endpoint, EndpointSlice, Service};

/// What is kept of a Service; `None` for one that is not of type LoadBalancer.
pub fn service(service: &Service) -> Option<ServiceView> {
    let spec = service.spec.as_ref().filter(|spec| is_load_balancer(spec))?;
    let ingress =
        service.status.as_ref().and_then(|s| s.load_balancer.as_ref()).and_then(|l| l.ingress.as_ref());
    let assigned = condition(service, ADDRESS_ASSIGNED).and_then(|c| c.status.as_deref()) == Some("True");
    let check_port = spec.health_check_node_port.and_then(|port| u16::try_from(port).ok());
    Some(ServiceView {
        key: ServiceKey::from(&service.metadata.key()),
        labels: service.metadata.labels(),
        assigned,
        addresses: ingress.into_iter().flatten().filter_map(|i| i.ip.as_ref()?.parse().ok()).collect(),
        policy: traffic_policy(spec),
        health_check_node_port: check_port.and_then(NonZeroU16::new),
    })
}

/// What is kept of an EndpointSlice.
pub fn slice(slice: &EndpointSlice) -> SliceView {
    let namespace = slice.metadata.namespace.as_deref().unwrap_or_default();
    SliceView {
        service: slice.service_name().map(|name| ServiceKey::new(namespace, name)),
        endpoints: slice.endpoints.iter().flatten().filter_map(endpoint).collect(),
    }
}

fn endpoint(endpoint: &Endpoint) -> Option<EndpointView> {
    let conditions = endpoint.conditions.unwrap_or_default();
    Some(EndpointView {
        address: endpoint.addresses.as_ref()?.first()?.parse().ok()?,
        conditions: Conditions {
            ready: conditions.ready,
            serving: conditions.serving,
            terminating: conditions.terminating,
        },
        node: endpoint.node_name.as_deref().map(Into::into),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_service_holds_what_it_shows_and_is_assigned() {
        let mut object = json!({
            "metadata": {"name": "web", "namespace": "shop", "labels": {"app": "web"}},
            "spec": {"type": "LoadBalancer", "externalTrafficPolicy": "Local", "healthCheckNodePort": 30123},
            "status": {
                "loadBalancer": {"ingress": [{"ip": "192.0.2.1", "ipMode": "VIP"}, {"hostname": "x"}, {"ip": "odd"}]},
                "conditions": [{"type": ADDRESS_ASSIGNED, "status": "True", "lastTransitionTime": null}],
            },
        });
        let view = service(&serde_json::from_value(object.clone()).unwrap()).unwrap();
        assert!(view.holds("192.0.2.1".parse().unwrap()));
        assert_eq!(view.addresses.len(), 1);
        assert_eq!(view.health_check_node_port, NonZeroU16::new(30123));
        object["spec"]["type"] = json!("ClusterIP");
        assert_eq!(service(&serde_json::from_value(object).unwrap()), None);
    }

    #[test]
    fn an_endpoint_counts_by_its_first_address() {
        let object = json!({
            "metadata": {"name": "web-1", "namespace": "shop", "labels": {"kubernetes.io/service-name": "web"}},
            "addressType": "IPv4",
            "endpoints": [
                {"addresses": ["10.0.0.1", "10.0.0.2"], "nodeName": "n1", "conditions": {"ready": true}},
                {"addresses": ["example.com"]},
                {"addresses": null},
            ],
        });
        let view = slice(&serde_json::from_value(object).unwrap());
        assert_eq!(view.service, Some(ServiceKey::new("shop", "web")));
        assert_eq!(view.endpoints.len(), 1);
        assert_eq!(view.endpoints[0].node.as_ref().map(|n| n.as_str()), Some("n1"));
    }
}
