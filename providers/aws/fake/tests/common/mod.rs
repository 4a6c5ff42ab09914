//! What the tests of the fake share: calls with sensible fields, so that each test says only what it is about.
#![allow(dead_code, reason = "each test file uses its part")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use std::time::Duration;

use daymark_aws::api::{
    Call, CreateListener, CreateLoadBalancer, CreateTargetGroup, Forward, HealthCheck, HealthProtocol,
    Ingress, IpAddressType, Listener, LoadBalancer, NlbProtocol, Peer, RegisterTargets, RuleProtocol, Scheme,
    SubnetMapping, Tags, Target, TargetGroup, TargetState, TargetType, ask,
};
use daymark_aws_fake::Aws;
use daymark_model::Family;

/// The code of a call's error; `ok` where there is none.
pub async fn code<C: Call>(aws: &Aws, call: C) -> String {
    ask(aws, call).await.map_or_else(|error| error.code, |_| "ok".to_owned())
}

pub async fn done<C: Call>(aws: &Aws, call: C) -> C::Answer {
    ask(aws, call).await.unwrap()
}

pub async fn pass(seconds: u64) {
    tokio::time::sleep(Duration::from_secs(seconds)).await;
}

pub fn mapping(subnet: &str) -> SubnetMapping {
    SubnetMapping { subnet: subnet.to_owned(), ..SubnetMapping::default() }
}

pub fn public(aws: &Aws) -> Vec<SubnetMapping> {
    aws.account().public.iter().map(|subnet| mapping(subnet)).collect()
}

pub fn private(aws: &Aws) -> Vec<SubnetMapping> {
    aws.account().private.iter().map(|subnet| mapping(subnet)).collect()
}

pub fn nlb(aws: &Aws, name: &str) -> CreateLoadBalancer {
    CreateLoadBalancer {
        name: name.to_owned(),
        scheme: Scheme::InternetFacing,
        ip_address_type: IpAddressType::Ipv4,
        subnets: public(aws),
        security_groups: vec![aws.account().node_group.clone()],
        source_nat: false,
        tags: Tags::new(),
    }
}

pub fn dualstack(aws: &Aws, name: &str) -> CreateLoadBalancer {
    CreateLoadBalancer { ip_address_type: IpAddressType::Dualstack, ..nlb(aws, name) }
}

pub fn health() -> HealthCheck {
    HealthCheck {
        protocol: HealthProtocol::Tcp,
        port: None,
        path: None,
        codes: None,
        interval: 10,
        timeout: 10,
        healthy: 3,
        unhealthy: 3,
    }
}

pub fn pool(aws: &Aws, name: &str) -> CreateTargetGroup {
    CreateTargetGroup {
        name: name.to_owned(),
        protocol: NlbProtocol::Tcp,
        port: 80,
        target_type: TargetType::Instance,
        family: Family::V4,
        vpc: aws.account().vpc.clone(),
        health: health(),
        tags: Tags::new(),
    }
}

pub fn forward(target_group: &str) -> Forward {
    Forward { target_group: target_group.to_owned(), weight: 1 }
}

pub fn listener(load_balancer: &str, port: u16, target_group: &str) -> CreateListener {
    CreateListener {
        load_balancer: load_balancer.to_owned(),
        port,
        protocol: NlbProtocol::Tcp,
        forward: vec![forward(target_group)],
        certificate: None,
        policy: None,
        alpn: None,
        tags: Tags::new(),
    }
}

pub fn target(id: &str) -> Target {
    Target { id: id.to_owned(), port: 30080, zone: None }
}

pub fn tags(pairs: &[(&str, &str)]) -> Tags {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

pub fn tcp(port: i32, peer: Peer) -> Ingress {
    Ingress { protocol: RuleProtocol::Tcp, from: port, to: port, peer }
}

pub fn cidr(cidr: &str) -> Peer {
    Peer::Cidr(cidr.parse().unwrap())
}

/// A load balancer that forwards port 80 to a target group with all nodes.
pub struct Served {
    pub load_balancer: LoadBalancer,
    pub target_group: TargetGroup,
    pub listener: Listener,
}

pub async fn served(aws: &Aws, name: &str) -> Served {
    let load_balancer = done(aws, nlb(aws, name)).await;
    let target_group = done(aws, pool(aws, name)).await;
    let listener = done(aws, listener(&load_balancer.arn, 80, &target_group.arn)).await;
    let targets = aws.account().instances.iter().map(|id| target(id)).collect();
    done(aws, RegisterTargets { arn: target_group.arn.clone(), targets }).await;
    Served { load_balancer, target_group, listener }
}

pub async fn states(aws: &Aws, target_group: &str) -> Vec<TargetState> {
    let call = daymark_aws::api::DescribeTargetHealth { arn: target_group.to_owned() };
    let mut states: Vec<_> = done(aws, call).await.into_iter().map(|health| health.state).collect();
    states.sort_unstable();
    states.dedup();
    states
}
