//! The planner alone, against values built by hand.

use std::collections::{BTreeMap, BTreeSet};

use daymark_aws::api::{
    Attributes, Forward, Listener, LoadBalancer, LoadBalancerState, NlbProtocol, Scheme, Subnet, Target,
    TargetGroup, TargetHealth, TargetState, Zone,
};
use daymark_aws::model::{Desired, Nlb, NodeAccessState, Security};
use daymark_aws::naming::{LOAD_BALANCER_ROLE, fact, kind};
use daymark_aws::observe::{Actual, FoundListener, FoundLoadBalancer, FoundTargetGroup, Quotas};
use daymark_aws::plan::{AwsOperation, plan};
use daymark_aws_fake::Aws;
use daymark_model::{Inventory, Phase, Resource, ResourceKey, Timestamp};
use daymark_providers::{CloudError, Depth, Operation, Plan, StepClass};

use crate::support::{desired, nlb, role};

const NOW: Timestamp = Timestamp(10_000_000);

fn load_balancer_key() -> ResourceKey {
    ResourceKey::new(kind::LOAD_BALANCER, LOAD_BALANCER_ROLE, 1)
}

fn group_key(generation: u32) -> ResourceKey {
    ResourceKey::new(kind::TARGET_GROUP, &role(80), generation)
}

fn health(target: &Target, state: TargetState) -> TargetHealth {
    TargetHealth { target: target.clone(), state, reason: None }
}

/// One load balancer without security groups that listens on port 80, as it is wished.
struct Scene {
    wish: Nlb,
    actual: Actual,
    inventory: Inventory,
}

fn entry(key: ResourceKey, id: &str) -> Resource {
    let mut entry = Resource::intended(key, format!("name-of-{id}"), Timestamp(0));
    entry.id = Some(id.to_owned());
    entry.phase = Phase::Present;
    entry
}

impl Scene {
    fn new() -> Self {
        let mut wish = nlb(&Aws::builder().build(), &[80]);
        wish.security = Security::Off;
        let mut actual = Actual::new(Depth::Full);
        let forward = vec![Forward { target_group: "tg".into(), weight: 1 }];
        let listener = Listener {
            arn: "listener".into(),
            load_balancer: "lb".into(),
            port: 80,
            protocol: NlbProtocol::Tcp,
            forward,
            certificate: None,
            policy: None,
            alpn: None,
        };
        let tags = |name: &str| wish.owner.tags(name).into_iter().chain(wish.tags.clone()).collect();
        let found = FoundLoadBalancer {
            load_balancer: LoadBalancer {
                arn: "lb".into(),
                name: "name-of-lb".into(),
                dns_name: "lb.example".into(),
                hosted_zone: "Z".into(),
                is_network: true,
                scheme: Scheme::Internal,
                state: LoadBalancerState::Active,
                state_reason: None,
                vpc: wish.vpc.clone(),
                ip_address_type: wish.ip_address_type,
                zones: vec![Zone { name: "a".into(), subnet: "subnet-a".into(), ..Zone::default() }],
                security_groups: vec![],
                private_link_rules: None,
                source_nat: false,
            },
            attributes: None,
            capacity: None,
            tags: tags(LOAD_BALANCER_ROLE),
            listeners: vec![FoundListener {
                listener,
                attributes: None,
                certificates: None,
                tags: tags("80"),
            }],
        };
        actual.load_balancers.insert(load_balancer_key(), found);
        let group = &wish.target_groups[&role(80)];
        let found = FoundTargetGroup {
            group: Some(TargetGroup {
                arn: "tg".into(),
                name: "name-of-tg".into(),
                protocol: group.protocol,
                port: group.port,
                target_type: group.target_type,
                family: group.family,
                vpc: wish.vpc.clone(),
                health: group.health.clone(),
                load_balancers: vec!["lb".into()],
            }),
            attributes: None,
            tags: tags(&role(80)),
            targets: group.targets.iter().map(|target| health(target, TargetState::Healthy)).collect(),
        };
        actual.target_groups.insert(group_key(1), found);
        let listener_key = ResourceKey::new(kind::LISTENER, "80", 1);
        let mut load_balancer = entry(load_balancer_key(), "lb");
        load_balancer.facts.insert(fact::DNS.into(), "lb.example".into());
        let inventory =
            [load_balancer, entry(listener_key, "listener"), entry(group_key(1), "tg")].into_iter().collect();
        Self { wish, actual, inventory }
    }

    fn plan(&self) -> Result<Plan<AwsOperation>, CloudError> {
        plan(Some(&desired(&self.wish)), &self.actual, &self.inventory, NOW)
    }

    fn steps(&self) -> Vec<String> {
        self.plan().unwrap().steps.iter().map(|step| step.operation.describe()).collect()
    }

    fn group(&mut self) -> &mut FoundTargetGroup {
        self.actual.target_groups.get_mut(&group_key(1)).unwrap()
    }
}

#[test]
fn what_is_as_wished_needs_nothing() {
    let plan = Scene::new().plan().unwrap();
    assert!(plan.is_converged(), "{plan:#?}");
    assert!(plan.remarks.is_empty());
}

#[test]
fn a_creation_is_in_the_order_that_aws_needs() {
    let mut scene = Scene::new();
    scene.actual = Actual::new(Depth::Full);
    scene.inventory = Inventory::default();
    scene.actual.subnets = vec![Subnet {
        id: "subnet-a".into(),
        vpc: scene.wish.vpc.clone(),
        zone: "a".into(),
        ipv4: "10.0.0.0/24".parse().unwrap(),
        ipv6: vec![],
        available: 100,
        tags: BTreeMap::from([("kubernetes.io/role/internal-elb".to_owned(), String::new())]),
    }];
    scene.wish.security = Security::Managed {
        sources: BTreeSet::from(["0.0.0.0/0".parse().unwrap()]),
        prefix_lists: BTreeSet::new(),
        path_mtu: false,
    };
    let steps = scene.steps();
    let beginnings = [
        "create security group",
        "let 1 rule in",
        "create target group",
        "register 3 targets",
        "create load balancer",
        "create listener",
    ];
    assert_eq!(steps.len(), beginnings.len(), "{steps:#?}");
    assert!(steps.iter().zip(beginnings).all(|(step, begins)| step.starts_with(begins)), "{steps:#?}");
    // All that is made is named beforehand.
    let mut inventory = Inventory::default();
    scene.plan().unwrap().steps.iter().for_each(|step| step.operation.remember(&mut inventory, NOW));
    assert_eq!(inventory.resources().count(), 4);
    assert!(inventory.resources().all(|entry| entry.phase == Phase::Intended && entry.id.is_none()));
    // Without the way to the nodes no load balancer is made.
    scene.wish.node_access = NodeAccessState::Awaited;
    let plan = scene.plan().unwrap();
    assert_eq!(plan.waits[0].reason, "WaitingForNodeAccess");
    assert!(!plan.steps.iter().any(|step| matches!(step.operation, AwsOperation::CreateLoadBalancer(_))));
}

#[test]
fn what_is_not_visible_yet_is_waited_for_and_not_made_again() {
    let mut scene = Scene::new();
    scene.actual.load_balancers.clear();
    scene.actual.unseen.insert(load_balancer_key());
    let plan = scene.plan().unwrap();
    assert!(plan.steps.is_empty(), "{:?}", plan.steps);
    assert_eq!(plan.waits[0].reason, "WaitingForVisibility");
}

#[test]
fn somebody_elses_names_are_left_to_them() {
    let mut scene = Scene::new();
    scene.actual.target_groups.clear();
    scene.inventory.gone(&group_key(1));
    let taken = scene.wish.owner.resource_name(&group_key(1));
    scene.actual.foreign_names.insert(taken);
    let plan = scene.plan().unwrap();
    let made = plan.steps.iter().find_map(|step| match &step.operation {
        AwsOperation::CreateTargetGroup(new) => Some(new.key.generation),
        _ => None,
    });
    assert_eq!(made, Some(2));
    scene.actual.load_balancers.clear();
    scene.inventory.gone(&load_balancer_key());
    let taken = scene.wish.owner.resource_name(&load_balancer_key());
    scene.actual.foreign_names.insert(taken);
    assert_eq!(scene.plan().unwrap_err().reason, "NameConflict");
}

#[test]
fn room_is_made_first_only_as_far_as_the_quota_asks() {
    let mut scene = Scene::new();
    let old: Vec<Target> =
        (1..=4).map(|n| Target { id: format!("10.0.9.{n}"), port: 80, zone: None }).collect();
    scene.group().targets = old.iter().map(|target| health(target, TargetState::Healthy)).collect();
    scene.actual.quotas = Quotas { per_group: 5, ..Quotas::default() };
    let expected = ["deregister 2 targets", "register 3 targets", "deregister 2 targets"];
    let steps = scene.steps();
    assert!(steps.iter().zip(expected).all(|(step, begins)| step.starts_with(begins)), "{steps:?}");
    scene.actual.quotas = Quotas::default();
    let steps = scene.steps();
    assert!(steps[0].starts_with("register 3 targets") && steps[1].starts_with("deregister 4"), "{steps:?}");
}

#[test]
fn zones_have_quotas_too() {
    let mut scene = Scene::new();
    let target = |n: u8| Target {
        id: format!("10.0.9.{n}"),
        port: 80,
        zone: Some(if n < 10 { "a" } else { "b" }.into()),
    };
    scene.wish.target_groups.get_mut(&role(80)).unwrap().targets = (1..=12).map(target).collect();
    scene.group().targets.clear();
    scene.actual.quotas = Quotas { per_zone: 4, ..Quotas::default() };
    let plan = scene.plan().unwrap();
    let AwsOperation::Register { targets, .. } = &plan.steps[0].operation else { panic!("{:?}", plan.steps) };
    assert_eq!(targets.len(), 7);
    assert!(targets.iter().all(|target| target.zone.is_none()));
    assert_eq!(plan.remarks[0].reason, "TargetsTruncated");
}

#[test]
fn draining_targets_that_are_wanted_are_registered_again() {
    let mut scene = Scene::new();
    let first = scene.group().targets[0].target.clone();
    scene.group().targets[0].state = TargetState::Draining;
    let plan = scene.plan().unwrap();
    let AwsOperation::Register { targets, .. } = &plan.steps[0].operation else { panic!("{:?}", plan.steps) };
    assert_eq!(targets, &[first]);
    assert_eq!(plan.steps[0].class, StepClass::Targets);
}

#[test]
fn a_failed_load_balancer_is_told_of() {
    let mut scene = Scene::new();
    let found = scene.actual.load_balancers.get_mut(&load_balancer_key()).unwrap();
    found.load_balancer.state = LoadBalancerState::Failed;
    found.load_balancer.state_reason = Some("no capacity".into());
    let error = scene.plan().unwrap_err();
    assert_eq!(error.reason, "LoadBalancerFailed");
    assert!(error.message.contains("no capacity"));
}

#[test]
fn a_protocol_change_makes_the_next_generation_and_moves_at_once() {
    let mut scene = Scene::new();
    scene.wish.target_groups.get_mut(&role(80)).unwrap().protocol = NlbProtocol::TcpUdp;
    scene.wish.listeners.get_mut(&80).unwrap().protocol = NlbProtocol::TcpUdp;
    let plan = scene.plan().unwrap();
    let change = plan.steps.iter().find_map(|step| match &step.operation {
        AwsOperation::ModifyListener(change) => Some(change),
        _ => None,
    });
    let change = change.unwrap();
    assert_eq!(change.protocol, Some(NlbProtocol::TcpUdp));
    assert_eq!(change.forward.as_ref().unwrap().len(), 1);
    assert!(!plan.steps.iter().any(|step| matches!(step.operation, AwsOperation::DeleteTargetGroup { .. })));
}

#[test]
fn a_change_keeps_its_id_until_it_is_finished() {
    let mut scene = Scene::new();
    scene.wish.scheme = Some(Scheme::InternetFacing);
    scene.actual.subnets = vec![Subnet {
        id: "subnet-p".into(),
        vpc: scene.wish.vpc.clone(),
        zone: "a".into(),
        ipv4: "10.0.7.0/24".parse().unwrap(),
        ipv6: vec![],
        available: 100,
        tags: BTreeMap::from([("kubernetes.io/role/elb".to_owned(), "1".to_owned())]),
    }];
    let before: Vec<String> = scene.plan().unwrap().disruptive.into_keys().collect();
    scene.plan().unwrap().steps.iter().for_each(|step| step.operation.remember(&mut scene.inventory, NOW));
    assert_eq!(scene.plan().unwrap().disruptive.into_keys().collect::<Vec<_>>(), before);
    scene.inventory.leaving(&load_balancer_key(), NOW);
    assert_eq!(scene.plan().unwrap().disruptive.into_keys().collect::<Vec<_>>(), before);
    scene.inventory.gone(&load_balancer_key());
    scene.actual.load_balancers.clear();
    assert!(scene.plan().unwrap().disruptive.is_empty());
}

#[test]
fn attributes_that_were_recorded_are_put_back_and_others_are_not_touched() {
    let mut scene = Scene::new();
    let mut entry = scene.inventory.get(&load_balancer_key()).unwrap().clone();
    entry.recorded.insert("attribute/load_balancing.cross_zone.enabled".into(), None);
    scene.inventory.put(entry);
    let found = scene.actual.load_balancers.get_mut(&load_balancer_key()).unwrap();
    found.attributes = Some(Attributes::from([
        ("load_balancing.cross_zone.enabled".into(), "true".into()),
        ("access_logs.s3.enabled".into(), "true".into()),
    ]));
    let plan = scene.plan().unwrap();
    let AwsOperation::SetAttributes { attributes, records, .. } = &plan.steps[0].operation else { panic!() };
    assert_eq!(attributes, &[("load_balancing.cross_zone.enabled".to_owned(), "false".to_owned())].into());
    assert_eq!(records.forget, ["attribute/load_balancing.cross_zone.enabled"]);
}

#[test]
fn nothing_is_deleted_by_a_look_at_targets() {
    let mut scene = Scene::new();
    scene.actual.depth = Depth::Targets;
    scene.actual.load_balancers.clear();
    scene.group().group = None;
    scene.group().targets.clear();
    scene.wish.listeners.clear();
    let steps = scene.steps();
    assert_eq!(steps, ["register 3 targets in target group web/tcp-80"]);
}

#[test]
fn deletion_goes_by_the_inventory_alone() {
    let scene = Scene::new();
    let actual = Actual::new(Depth::Full);
    let plan = plan(None::<&Desired>, &actual, &scene.inventory, NOW).unwrap();
    let steps: Vec<String> = plan.steps.iter().map(|step| step.operation.describe()).collect();
    assert_eq!(steps, ["delete load balancer with its listeners", "delete target group web/tcp-80"]);
}
