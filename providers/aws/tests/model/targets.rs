//! Who gets the traffic.

use std::collections::BTreeMap;

use daymark_aws::api::Target;
use daymark_model::{Family, TrafficPolicy};
use daymark_providers::view::{EndpointState, NodeView, ServiceView, TargetPort, World};

use crate::support::*;

/// The targets of the port http of `web`, as text.
fn targets(world: &World) -> Vec<String> {
    let built = built(&profile(), world, &["web"]);
    assert!(built.refused.is_empty(), "{:?}", built.refused);
    let nlb = built.nlb.unwrap();
    let line =
        |target: &Target| format!("{}:{} {}", target.id, target.port, target.zone.as_deref().unwrap_or("-"));
    nlb.target_groups["web/tcp-80"].targets.iter().map(line).collect()
}

fn nodes(service: ServiceView, nodes: &[NodeView]) -> World {
    let nodes: BTreeMap<_, _> = nodes.iter().map(|node| (node.name.clone(), node.clone())).collect();
    World { nodes: nodes.into(), ..world(&[service]) }
}

#[test]
fn instances_are_nodes_that_are_to_have_traffic() {
    let excluded = NodeView { excluded: true, ..node("n2", "i-2") };
    let unknown = NodeView { provider_id: None, ..node("n3", "i-3") };
    let fargate = node("n4", "1234/fargate-ip-10-0-0-1");
    let elsewhere = NodeView { provider_id: Some("gce://p/z/i-5".into()), ..node("n5", "i-5") };
    let all = [node("n1", "i-1"), excluded, unknown, fargate, elsewhere, node("n6", "i-6")];
    assert_eq!(targets(&nodes(web(), &all)), ["i-1:30080 -", "i-6:30080 -"]);

    let mut local = web();
    local.traffic_policy = TrafficPolicy::Local;
    local.health_check_node_port = Some(31_000);
    assert_eq!(targets(&nodes(local, &all)), ["i-1:30080 -", "i-6:30080 -"]);
}

#[test]
fn labels_choose_among_instances() {
    let mut blue = node("n1", "i-1");
    blue.labels = [("color".into(), "blue".into()), ("disk".into(), "ssd".into())].into();
    let mut half = node("n2", "i-2");
    half.labels = [("color".into(), "blue".into())].into();
    let service = web().with(&[("target-node-labels", "color=blue, disk=ssd")]);
    assert_eq!(targets(&nodes(service, &[blue, half])), ["i-1:30080 -"]);
}

#[test]
fn addresses_are_ready_endpoints_of_the_family_and_port() {
    use EndpointState::{Draining, Ready};
    let mut world = world(&[web().with(&[("nlb-target-type", "ip")])]);
    let mut homeless = endpoint("10.0.0.4", &[("http", 8081)], Ready);
    homeless.zone = None;
    let all = vec![
        endpoint("10.0.0.1", &[("http", 8080), ("https", 8443)], Ready),
        endpoint("10.0.0.2", &[("http", 8080)], Draining),
        endpoint("2001:db8::3", &[("http", 8080)], Ready),
        homeless,
        endpoint("10.0.0.5", &[("https", 8443)], Ready),
    ];
    world.endpoints.insert("web".into(), all);
    assert_eq!(targets(&world), ["10.0.0.1:8080 eu-west-1a", "10.0.0.4:8081 -"]);

    world.endpoints.insert(
        "web".into(),
        vec![
            endpoint("10.0.0.2", &[("http", 8080)], Draining),
            endpoint("2001:db8::3", &[("http", 8080)], Ready),
        ],
    );
    assert_eq!(targets(&world), ["10.0.0.2:8080 eu-west-1a"], "none is ready: those that drain serve");

    let v6 = world.services.get_mut("web").unwrap();
    v6.families = vec![Family::V6];
    *v6 = v6.clone().with(&[("ip-address-type", "dualstack")]);
    assert_eq!(targets(&world), ["2001:db8::3:8080 eu-west-1a"]);
}

#[test]
fn the_port_of_a_group_follows_a_named_target_port() {
    let mut service = web().with(&[("nlb-target-type", "ip")]);
    service.ports[0].target_port = TargetPort::Name("app".to_owned());
    let mut world = world(&[service]);
    let port =
        |world: &World| built(&profile(), world, &["web"]).nlb.unwrap().target_groups["web/tcp-80"].port;
    assert_eq!(port(&world), 80);
    world.endpoints.insert("web".into(), vec![endpoint("10.0.0.1", &[("http", 9090)], EndpointState::Ready)]);
    assert_eq!(port(&world), 9090);
}
