//! Whatever is called in whatever order, while calls fail and time passes: the account stays one that AWS could have.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod common;

use std::collections::{BTreeMap, BTreeSet};

use common::*;
use daymark_aws::api::*;
use daymark_aws_fake::{Aws, Quotas, RandomFaults, Snapshot};
use proptest::prelude::*;

/// A step, by small numbers that pick among few names, subnets, ports and nodes.
#[derive(Debug, Clone)]
enum Step {
    CreateLoadBalancer { name: usize, zones: usize, allocation: usize, dual: bool },
    DeleteLoadBalancer { name: usize },
    SetSubnets { name: usize, zones: usize, allocation: usize },
    CreateTargetGroup { name: usize },
    DeleteTargetGroup { name: usize },
    Listen { load_balancer: usize, port: u16, to: usize },
    Forward { load_balancer: usize, port: u16, to: usize },
    Unlisten { load_balancer: usize, port: u16 },
    Register { name: usize, nodes: usize },
    Deregister { name: usize, nodes: usize },
    CreateGroup { name: usize },
    DeleteGroup { name: usize },
    Authorize { group: usize, peer: usize, port: i32 },
    Wait { seconds: u64 },
}

fn step() -> impl Strategy<Value = Step> {
    let (name, zones, port) = (0..3_usize, 1..8_usize, 80..83_u16);
    prop_oneof![
        3 => (name.clone(), zones.clone(), 0..4_usize, any::<bool>()).prop_map(|(name, zones, allocation, dual)| {
            Step::CreateLoadBalancer { name, zones, allocation, dual }
        }),
        1 => name.clone().prop_map(|name| Step::DeleteLoadBalancer { name }),
        2 => (name.clone(), zones, 0..4_usize)
            .prop_map(|(name, zones, allocation)| Step::SetSubnets { name, zones, allocation }),
        3 => name.clone().prop_map(|name| Step::CreateTargetGroup { name }),
        1 => name.clone().prop_map(|name| Step::DeleteTargetGroup { name }),
        3 => (name.clone(), port.clone(), name.clone())
            .prop_map(|(load_balancer, port, to)| Step::Listen { load_balancer, port, to }),
        2 => (name.clone(), port.clone(), name.clone())
            .prop_map(|(load_balancer, port, to)| Step::Forward { load_balancer, port, to }),
        1 => (name.clone(), port).prop_map(|(load_balancer, port)| Step::Unlisten { load_balancer, port }),
        3 => (name.clone(), 1..6_usize).prop_map(|(name, nodes)| Step::Register { name, nodes }),
        2 => (name.clone(), 1..6_usize).prop_map(|(name, nodes)| Step::Deregister { name, nodes }),
        2 => name.clone().prop_map(|name| Step::CreateGroup { name }),
        2 => name.clone().prop_map(|name| Step::DeleteGroup { name }),
        2 => (name.clone(), name, 80..90_i32)
            .prop_map(|(group, peer, port)| Step::Authorize { group, peer, port }),
        2 => (1..200_u64).prop_map(|seconds| Step::Wait { seconds }),
    ]
}

/// Subnets by the bits of `zones`, with Elastic IPs from `allocation` on unless that is 0.
fn subnets(aws: &Aws, zones: usize, allocation: usize) -> Vec<SubnetMapping> {
    let account = aws.account();
    let chosen = (0..3).filter(|zone| zones & (1 << zone) != 0);
    chosen
        .map(|zone| SubnetMapping {
            allocation: (allocation > 0).then(|| account.elastic_ips[(allocation + zone) % 6].clone()),
            ..mapping(&account.public[zone])
        })
        .collect()
}

struct Names<'a>(&'a Snapshot);

impl Names<'_> {
    fn load_balancer(&self, name: usize) -> String {
        let found = self.0.load_balancer(&format!("lb{name}"));
        found.map_or_else(missing_load_balancer, |state| state.load_balancer.arn.clone())
    }

    fn target_group(&self, name: usize) -> String {
        let found = self.0.target_group(&format!("tg{name}"));
        found.map_or_else(missing_target_group, |state| state.target_group.arn.clone())
    }

    fn listener(&self, load_balancer: usize, port: u16) -> Option<String> {
        let state = self.0.load_balancer(&format!("lb{load_balancer}"))?;
        Some(state.listeners.get(&port)?.listener.arn.clone())
    }

    fn group(&self, name: usize) -> String {
        let mut groups = self.0.security_groups.values();
        let found = groups.find(|state| state.group.name == format!("g{name}"));
        found.map_or_else(|| "sg-0".to_owned(), |state| state.group.id.clone())
    }
}

fn missing_load_balancer() -> String {
    "arn:aws:elasticloadbalancing:eu-west-1:123456789012:loadbalancer/net/none/0".to_owned()
}

fn missing_target_group() -> String {
    "arn:aws:elasticloadbalancing:eu-west-1:123456789012:targetgroup/none/0".to_owned()
}

async fn take(aws: &Aws, step: &Step) {
    let snapshot = aws.snapshot();
    let names = Names(&snapshot);
    let nodes = |count: usize| aws.account().instances.iter().take(count).map(|id| target(id)).collect();
    match step {
        Step::CreateLoadBalancer { name, zones, allocation, dual } => {
            let ip_address_type = if *dual { IpAddressType::Dualstack } else { IpAddressType::Ipv4 };
            let own = Some(names.group(*name)).filter(|id| snapshot.security_groups.contains_key(id));
            let security_groups = own.into_iter().chain([aws.account().node_group.clone()]).collect();
            let subnets = subnets(aws, *zones, *allocation);
            let plain = nlb(aws, &format!("lb{name}"));
            code(aws, CreateLoadBalancer { subnets, ip_address_type, security_groups, ..plain }).await;
        }
        Step::DeleteLoadBalancer { name } => {
            code(aws, DeleteLoadBalancer { arn: names.load_balancer(*name) }).await;
        }
        Step::SetSubnets { name, zones, allocation } => {
            let (arn, subnets) = (names.load_balancer(*name), subnets(aws, *zones, *allocation));
            code(aws, SetSubnets { arn, subnets, source_nat: None }).await;
        }
        Step::CreateTargetGroup { name } => {
            code(aws, pool(aws, &format!("tg{name}"))).await;
        }
        Step::DeleteTargetGroup { name } => {
            code(aws, DeleteTargetGroup { arn: names.target_group(*name) }).await;
        }
        Step::Listen { load_balancer, port, to } => {
            let load_balancer = names.load_balancer(*load_balancer);
            code(aws, listener(&load_balancer, *port, &names.target_group(*to))).await;
        }
        Step::Forward { load_balancer, port, to } => {
            let Some(arn) = names.listener(*load_balancer, *port) else { return };
            let forward = Some(vec![forward(&names.target_group(*to))]);
            let (protocol, certificate, policy, alpn) = (None, None, None, None);
            code(aws, ModifyListener { arn, protocol, forward, certificate, policy, alpn }).await;
        }
        Step::Unlisten { load_balancer, port } => {
            let Some(arn) = names.listener(*load_balancer, *port) else { return };
            code(aws, DeleteListener { arn }).await;
        }
        Step::Register { name, nodes: count } => {
            code(aws, RegisterTargets { arn: names.target_group(*name), targets: nodes(*count) }).await;
        }
        Step::Deregister { name, nodes: count } => {
            code(aws, DeregisterTargets { arn: names.target_group(*name), targets: nodes(*count) }).await;
        }
        Step::CreateGroup { name } => {
            let (name, description) = (format!("g{name}"), "x".to_owned());
            let vpc = aws.account().vpc.clone();
            code(aws, CreateSecurityGroup { name, description, vpc, tags: Tags::new() }).await;
        }
        Step::DeleteGroup { name } => {
            code(aws, DeleteSecurityGroup { id: names.group(*name) }).await;
        }
        Step::Authorize { group, peer, port } => {
            let rules = vec![tcp(*port, Peer::Group(names.group(*peer)))];
            let (group, description) = (names.group(*group), String::new());
            code(aws, AuthorizeSecurityGroupIngress { group, rules, description }).await;
        }
        Step::Wait { seconds } => pass(*seconds).await,
    }
}

fn assert_possible(snapshot: &Snapshot, quotas: &Quotas) {
    let mut allocations = BTreeSet::new();
    let mut users: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (arn, state) in &snapshot.load_balancers {
        let zones = &state.load_balancer.zones;
        assert!(!zones.is_empty(), "{arn} has no zone");
        for zone in zones {
            let is_dual = state.load_balancer.ip_address_type == IpAddressType::Dualstack;
            assert_eq!(zone.address.ipv6.is_some(), is_dual, "{arn}");
            let allocation = zone.address.allocation.iter();
            allocation.for_each(|one| assert!(allocations.insert(one), "{one} is used twice"));
        }
        for group in &state.load_balancer.security_groups {
            assert!(snapshot.security_groups.contains_key(group), "{arn} has a group that is gone");
        }
        assert!(state.listeners.len() <= quotas.listeners as usize);
        for forward in state.listeners.values().flat_map(|listener| &listener.listener.forward) {
            users.entry(&forward.target_group).or_default().insert(arn);
        }
    }
    for (target_group, users) in users {
        assert!(snapshot.target_groups.contains_key(target_group), "{target_group} is gone and used");
        assert_eq!(users.len(), 1, "{target_group} is used by {users:?}");
    }
    for state in snapshot.target_groups.values() {
        assert!(state.targets.len() <= quotas.targets_per_group as usize);
        let is_used = !state.target_group.load_balancers.is_empty();
        let healthy = state.targets.iter().any(|target| target.state == TargetState::Healthy);
        assert!(is_used || !healthy, "a target is healthy that nobody checks");
    }
    for state in snapshot.security_groups.values() {
        assert!(state.rules.len() <= quotas.rules as usize);
        for rule in &state.rules {
            let Peer::Group(peer) = &rule.ingress.peer else { continue };
            assert!(snapshot.security_groups.contains_key(peer), "a rule lets in a group that is gone");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn the_account_is_one_that_aws_could_have(steps in prop::collection::vec(step(), 1..60), seed: u64) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let quotas = Quotas { listeners: 2, targets_per_group: 4, rules: 6, ..Quotas::default() };
            let aws = Aws::builder().quotas(quotas.clone()).build();
            aws.fail_at_random(Some(RandomFaults::survivable(seed, 100)));
            for step in &steps {
                take(&aws, step).await;
                assert_possible(&aws.snapshot(), &quotas);
            }
        });
    }
}
