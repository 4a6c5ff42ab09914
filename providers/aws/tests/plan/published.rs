//! What is told of the ports: of whose, and never more healthy targets than there are.

use std::collections::BTreeMap;

use daymark_aws::api::{Forward, Target, TargetHealth, TargetState};
use daymark_aws::cloud::published::published;
use daymark_aws::model::{Backend, ForwardWish, Nlb};
use daymark_aws::naming::kind;
use daymark_aws::observe::{Actual, FoundTargetGroup};
use daymark_aws_fake::Aws;
use daymark_model::aws::PublishWhen;
use daymark_model::{Inventory, Phase, PortProtocol, Protocol, Resource, ResourceKey, ServiceKey, Timestamp};
use daymark_providers::Depth;
use daymark_providers::cloud::PortHealth;

use crate::support::{Driver, desired, group_wish, hostnames, listener_wish, nlb, pod, role};

const STATES: [TargetState; 7] = [
    TargetState::Initial,
    TargetState::Healthy,
    TargetState::Unhealthy,
    TargetState::Unused,
    TargetState::Draining,
    TargetState::UnhealthyDraining,
    TargetState::Unavailable,
];

/// Target groups with targets in these states.
struct Scene {
    actual: Actual,
    inventory: Inventory,
}

impl Scene {
    fn new() -> Self {
        Self { actual: Actual::new(Depth::Targets), inventory: Inventory::default() }
    }

    fn group(mut self, role: &str, generation: u32, phase: Phase, states: &[TargetState]) -> Self {
        let key = ResourceKey::new(kind::TARGET_GROUP, role, generation);
        let mut entry = Resource::intended(key.clone(), String::new(), Timestamp(0));
        (entry.id, entry.phase) = (Some(format!("{role}#{generation}")), phase);
        self.inventory.put(entry);
        let target = |n: usize| Target { id: format!("10.0.0.{n}"), port: 80, zone: None };
        let health = |(n, state): (usize, &TargetState)| TargetHealth {
            target: target(n),
            state: *state,
            reason: None,
        };
        let targets = states.iter().enumerate().map(health).collect();
        let found = FoundTargetGroup { group: None, attributes: None, tags: BTreeMap::new(), targets };
        self.actual.target_groups.insert(key, found);
        self
    }

    fn ports(&self, wish: &Nlb) -> Vec<PortHealth> {
        published(wish, &self.actual, &self.inventory).ports
    }
}

fn counts(health: &PortHealth) -> (u32, u32, u32) {
    (health.healthy, health.total, health.draining)
}

#[test]
fn there_are_never_more_healthy_targets_than_targets() {
    let mut wish = nlb(&Aws::builder().build(), &[80]);
    // Another target group gets a part of the traffic.
    let other = ForwardWish { to: Backend::Role("canary/tcp-80".into()), weight: 1 };
    wish.listeners.get_mut(&80).unwrap().forward.push(other);
    for a in STATES {
        for b in STATES {
            for c in STATES {
                let scene = Scene::new()
                    .group(&role(80), 1, Phase::Present, &[a, b])
                    .group(&role(80), 2, Phase::Present, &[c])
                    .group("canary/tcp-80", 1, Phase::Present, &[c, a, b]);
                let [health] = scene.ports(&wish).try_into().unwrap();
                assert!(health.healthy <= health.total, "{a:?} {b:?} {c:?}: {health:?}");
                assert!(health.total + health.draining <= 5, "{a:?} {b:?} {c:?}: {health:?}");
            }
        }
    }
}

#[test]
fn what_gets_no_traffic_does_not_count() {
    use TargetState::{Draining, Healthy, Initial};
    let mut wish = nlb(&Aws::builder().build(), &[80]);
    let scene = Scene::new()
        .group(&role(80), 1, Phase::Leaving, &[Healthy; 5])
        .group(&role(80), 2, Phase::Present, &[Healthy, Initial, Draining])
        .group("canary/tcp-80", 1, Phase::Present, &[Healthy; 4]);
    assert_eq!(counts(&scene.ports(&wish)[0]), (1, 2, 1));
    let canary = |weight| ForwardWish { to: Backend::Role("canary/tcp-80".into()), weight };
    wish.listeners.get_mut(&80).unwrap().forward.push(canary(0));
    assert_eq!(counts(&scene.ports(&wish)[0]), (1, 2, 1));
    wish.listeners.get_mut(&80).unwrap().forward[1] = canary(5);
    assert_eq!(counts(&scene.ports(&wish)[0]), (5, 6, 1));
    // Of a single one the weight means nothing.
    wish.listeners.get_mut(&80).unwrap().forward = vec![canary(0)];
    assert_eq!(counts(&scene.ports(&wish)[0]), (4, 4, 0));
}

#[test]
fn ports_of_a_group_are_told_by_their_own_services() {
    use TargetState::{Healthy, Unhealthy};
    let aws = Aws::builder().build();
    let mut wish = nlb(&aws, &[80]);
    let tcp = |port| PortProtocol { protocol: Protocol::Tcp, port };
    let udp = |port| PortProtocol { protocol: Protocol::Udp, port };
    let other = ServiceKey::new("shop", "dns");
    let mut listener = listener_wish(53);
    listener.forward[0].to = Backend::Role("dns/tcp-53".into());
    listener.serves = vec![(other.clone(), tcp(53)), (other.clone(), udp(53))];
    wish.listeners.insert(53, listener);
    wish.target_groups.insert("dns/tcp-53".into(), group_wish(53, []));
    let scene = Scene::new().group(&role(80), 1, Phase::Present, &[Healthy]).group(
        "dns/tcp-53",
        1,
        Phase::Present,
        &[Healthy, Unhealthy],
    );
    let told: Vec<_> = scene
        .ports(&wish)
        .iter()
        .map(|health| (health.service.to_string(), health.port, counts(health)))
        .collect();
    let expected = [
        ("shop/dns".to_owned(), tcp(53), (1, 2, 0)),
        ("shop/dns".to_owned(), udp(53), (1, 2, 0)),
        ("shop/web".to_owned(), tcp(80), (1, 1, 0)),
    ];
    assert_eq!(told, expected);
}

#[tokio::test(start_paused = true)]
async fn a_target_group_that_warms_up_does_not_make_a_port_ready() {
    let aws = Aws::builder().build();
    let mut driver = Driver::new(&aws);
    let mut wish = nlb(&aws, &[80]);
    driver.settled(&wish).await;
    tokio::time::sleep(std::time::Duration::from_secs(120)).await;
    wish.policy.publish = PublishWhen::Healthy;
    let full = Some(desired(&wish));
    let mut inventory = driver.inventory.clone();
    let now = driver.now();
    let cloud = &driver.cloud;
    let look = daymark_providers::Cloud::observe(cloud, full.as_ref(), &mut inventory, Depth::Full, now);
    let mut actual = look.await.unwrap();
    for entry in inventory.resources().map(|entry| entry.key.clone()).collect::<Vec<_>>() {
        inventory.get_mut(&entry).unwrap().facts.remove(daymark_aws::naming::fact::READY);
    }
    assert_eq!(published(&wish, &actual, &inventory).addresses.len(), 1);
    let found = actual.load_balancers.values_mut().next().unwrap();
    let forward = &mut found.listeners[0].listener.forward;
    forward[0].weight = 0;
    forward.push(Forward { target_group: "old".into(), weight: 1 });
    assert_eq!(published(&wish, &actual, &inventory).addresses.len(), 0);
    assert_eq!(hostnames(&driver.settled(&wish).await).len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_look_at_what_is_as_wished_costs_few_calls() {
    let aws = Aws::builder().build();
    let mut driver = Driver::new(&aws);
    let mut wish = nlb(&aws, &[80, 81, 82]);
    driver.settled(&wish).await;
    let (mut looks, mut later) = (Vec::new(), Vec::new());
    let delay = "deregistration_delay.timeout_seconds".to_owned();
    for attributes in [BTreeMap::new(), BTreeMap::from([(delay, "5".to_owned())]), BTreeMap::new()] {
        wish.target_groups.get_mut(&role(81)).unwrap().attributes = attributes;
        driver.settled(&wish).await;
        tokio::time::sleep(std::time::Duration::from_secs(120)).await;
        driver.settled(&wish).await;
        aws.reset_calls();
        driver.pass(Some(&desired(&wish)), Depth::Full).await;
        looks.push(aws.counts());
        // Attributes that were as wished are looked at again after half an hour.
        tokio::time::sleep(std::time::Duration::from_secs(1800)).await;
        aws.reset_calls();
        driver.pass(Some(&desired(&wish)), Depth::Full).await;
        later.push(aws.count("DescribeTargetGroupAttributes"));
    }
    assert_eq!(later, [0, 1, 0]);
    let plain = BTreeMap::from([
        ("DescribeListeners", 1),
        ("DescribeLoadBalancers", 1),
        ("DescribeSecurityGroupRules", 1),
        ("DescribeSecurityGroups", 1),
        ("DescribeTags", 1),
        ("DescribeTargetGroups", 1),
        ("DescribeTargetHealth", 3),
    ]);
    assert_eq!(looks, [plain.clone(), plain.clone(), plain]);
    aws.reset_calls();
    driver.pass(Some(&desired(&wish)), Depth::Targets).await;
    assert_eq!(aws.counts(), [("DescribeTargetHealth", 3)].into());
    // Who gets traffic changes: nothing is looked at that does not matter.
    wish.target_groups.get_mut(&role(80)).unwrap().targets.insert(pod(&aws, 9, 8080));
    aws.reset_calls();
    driver.pass(Some(&desired(&wish)), Depth::Targets).await;
    assert_eq!(aws.counts(), [("DescribeTargetHealth", 3), ("RegisterTargets", 1)].into());
}
