//! Services, nodes and endpoints in a few words, and what is built from them.

use daymark_aws::model::annotations::AWS_PREFIX;
use daymark_aws::model::{Built, Nlb, NodeAccessState, Subject, build};
use daymark_model::{AwsProfile, Family, Protocol, ServiceKey, Timestamp, TrafficPolicy};
use daymark_providers::CloudError;
use daymark_providers::view::{
    EndpointState, EndpointView, NodeView, PortView, ServiceView, TargetPort, World,
};

/// Annotations as tests write them: a key without a `/` stands behind LBC's prefix.
pub type Written = &'static [(&'static str, &'static str)];

/// A certificate.
pub const CERTIFICATE: &str = "arn:aws:acm:eu-west-1:1:certificate/a";

/// A profile with every default.
pub fn profile() -> AwsProfile {
    AwsProfile::new("prod", "vpc-1")
}

/// A port: `TCP`, 80, with the node port 30000 + 80 and the target port 8000 + 80.
pub fn port(name: &str, protocol: Protocol, number: u16) -> PortView {
    PortView {
        name: name.to_owned(),
        protocol,
        port: number,
        target_port: TargetPort::Number(8000 + number),
        node_port: Some(30_000 + number),
    }
}

/// A Service `shop/NAME` with these ports.
pub fn service(name: &str, ports: &[PortView]) -> ServiceView {
    ServiceView {
        key: ServiceKey::new("shop", name),
        uid: name.into(),
        created_at: Timestamp::default(),
        deleting: false,
        is_load_balancer: true,
        class: Some(AwsProfile::CLASS.to_owned()),
        annotations: Default::default(),
        ports: ports.to_vec(),
        families: vec![Family::V4],
        traffic_policy: TrafficPolicy::Cluster,
        health_check_node_port: None,
        source_ranges: Vec::new(),
    }
}

/// The Service `web` with the ports http (80) and https (443).
pub fn web() -> ServiceView {
    service("web", &[port("http", Protocol::Tcp, 80), port("https", Protocol::Tcp, 443)])
}

/// Adds annotations: a key without a `/` stands behind LBC's prefix.
pub trait Annotate: Sized {
    /// With these annotations too.
    fn with(self, annotations: &[(&str, &str)]) -> Self;
}

impl Annotate for ServiceView {
    fn with(mut self, annotations: &[(&str, &str)]) -> Self {
        for (key, value) in annotations {
            let key = if key.contains('/') { (*key).to_owned() } else { format!("{AWS_PREFIX}{key}") };
            self.annotations.insert(key, (*value).to_owned());
        }
        self
    }
}

/// A world of these Services.
pub fn world(services: &[ServiceView]) -> World {
    let services = services.iter().map(|service| (service.key.name.to_string(), service.clone()));
    World { services: services.collect(), ..World::default() }
}

/// A node with an instance.
pub fn node(name: &str, instance: &str) -> NodeView {
    NodeView {
        name: name.to_owned(),
        labels: Default::default(),
        provider_id: Some(format!("aws:///eu-west-1a/{instance}")),
        excluded: false,
    }
}

/// An endpoint with these ports.
pub fn endpoint(address: &str, ports: &[(&str, u16)], state: EndpointState) -> EndpointView {
    EndpointView {
        address: address.parse().unwrap(),
        ports: ports.iter().map(|(name, port)| ((*name).to_owned(), *port)).collect(),
        state,
        node: Some("n1".to_owned()),
        zone: Some("eu-west-1a".to_owned()),
    }
}

/// The load balancer of these members, the oldest first.
pub fn built(profile: &AwsProfile, world: &World, members: &[&str]) -> Built {
    let subject = Subject {
        namespace: "shop".to_owned(),
        object: "lb".to_owned(),
        uid: "u1".to_owned(),
        group: (members.len() > 1).then(|| "front".to_owned()),
        members: members.iter().map(|name| (*name).to_owned()).collect(),
    };
    build(profile, &subject, world, NodeAccessState::Group("sg-nodes".to_owned()))
}

/// What one Service alone gives.
pub fn alone(service: ServiceView) -> Built {
    let name = service.key.name.to_string();
    built(&profile(), &world(&[service]), &[&name])
}

/// The load balancer of one Service alone.
pub fn nlb(service: ServiceView) -> Nlb {
    let built = alone(service);
    assert!(built.refused.is_empty(), "refused: {:?}", built.refused);
    built.nlb.unwrap()
}

/// The load balancer of `web` with these annotations.
pub fn web_nlb(annotations: &[(&str, &str)]) -> Nlb {
    nlb(web().with(annotations))
}

/// What keeps a Service from being served.
pub fn refused(service: ServiceView) -> Vec<CloudError> {
    let name = service.key.name.to_string();
    let built = alone(service);
    assert_eq!(built.nlb, None);
    built.refused.get(&name).cloned().unwrap_or_default()
}

/// The only error in `errors`: its reason and sentence.
#[track_caller]
pub fn only(errors: &[CloudError]) -> (&'static str, String) {
    assert_eq!(errors.len(), 1, "{errors:?}");
    (errors[0].reason, errors[0].to_string())
}

/// The reasons and sentences of the warnings about a Service that is served.
pub fn warnings(service: ServiceView) -> Vec<(&'static str, String)> {
    let name = service.key.name.to_string();
    let built = alone(service);
    assert!(built.refused.is_empty(), "refused: {:?}", built.refused);
    let warnings = built.warnings.get(&name).cloned().unwrap_or_default();
    warnings.into_iter().map(|warning| (warning.reason, warning.to_string())).collect()
}
