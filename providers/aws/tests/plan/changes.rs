//! What changes in place, and what others changed.

use std::collections::BTreeSet;

use daymark_aws::api::{
    AuthorizeSecurityGroupIngress, CreateListener, DeregisterTargets, Forward, Ingress, IpAddressType,
    ModifyLoadBalancerAttributes, NlbProtocol, Peer, RuleProtocol, TargetType,
};
use daymark_aws::model::{Nlb, Security, Tls};
use daymark_aws_fake::{Aws, Snapshot};
use daymark_model::aws::{Drift, SubnetPolicy};
use daymark_providers::Depth;
use daymark_providers::pass::End;

use crate::support::{
    desired, group_wish, internet_facing, listener_wish, nlb, pod, registered, role, settled,
};

fn only(snapshot: &Snapshot) -> &daymark_aws_fake::inspect::LoadBalancerState {
    assert_eq!(snapshot.load_balancers.len(), 1);
    snapshot.load_balancers.values().next().unwrap()
}

#[tokio::test(start_paused = true)]
async fn ports_come_and_go_and_their_target_groups_drain() {
    let aws = Aws::builder().build();
    let mut wish = nlb(&aws, &[80, 81]);
    let mut driver = settled(&aws, &wish).await;
    wish.listeners.remove(&81);
    wish.target_groups.remove(&role(81));
    wish.listeners.insert(82, listener_wish(82));
    wish.target_groups.insert(role(82), group_wish(82, [pod(&aws, 1, 8082)]));
    driver.settled(&wish).await;
    let snapshot = aws.snapshot();
    assert_eq!(only(&snapshot).listeners.keys().copied().collect::<Vec<_>>(), [80, 82]);
    assert_eq!(snapshot.target_groups.len(), 2);
    let frontend =
        snapshot.security_groups.values().find(|group| group.group.name.starts_with("dm-")).unwrap();
    let ports: BTreeSet<i32> = frontend.rules.iter().map(|rule| rule.ingress.from).collect();
    assert_eq!(ports, [80, 82].into());
}

#[tokio::test(start_paused = true)]
async fn attributes_are_put_back_when_the_wish_goes() {
    let aws = Aws::builder().build();
    let mut wish = nlb(&aws, &[80]);
    let mut driver = settled(&aws, &wish).await;
    let cross_zone = "load_balancing.cross_zone.enabled";
    wish.attributes.insert(cross_zone.into(), "true".into());
    let group = wish.target_groups.get_mut(&role(80)).unwrap();
    group.attributes.insert("deregistration_delay.timeout_seconds".into(), "5".into());
    wish.listeners.get_mut(&80).unwrap().attributes.insert("tcp.idle_timeout.seconds".into(), "600".into());
    driver.settled(&wish).await;
    let snapshot = aws.snapshot();
    assert_eq!(only(&snapshot).attributes[cross_zone], "true");
    assert_eq!(only(&snapshot).listeners[&80].attributes["tcp.idle_timeout.seconds"], "600");
    let mut plain = nlb(&aws, &[80]);
    plain.tags.clear();
    driver.settled(&plain).await;
    let snapshot = aws.snapshot();
    assert_eq!(only(&snapshot).attributes[cross_zone], "false");
    assert_eq!(only(&snapshot).listeners[&80].attributes["tcp.idle_timeout.seconds"], "350");
    let group = snapshot.target_groups.values().next().unwrap();
    assert_eq!(group.attributes["deregistration_delay.timeout_seconds"], "300");
    assert!(driver.inventory.resources().all(|entry| entry.recorded.is_empty()));
}

#[tokio::test(start_paused = true)]
async fn attributes_that_change_there_and_back_are_looked_at() {
    let aws = Aws::builder().build();
    let mut wish = nlb(&aws, &[80]);
    let say = |wish: &mut Nlb, value: &str| {
        let group = wish.target_groups.get_mut(&role(80)).unwrap();
        group.attributes.insert("proxy_protocol_v2.enabled".into(), value.into());
    };
    say(&mut wish, "false");
    let mut driver = settled(&aws, &wish).await;
    for value in ["true", "false", "true"] {
        say(&mut wish, value);
        driver.settled(&wish).await;
        let snapshot = aws.snapshot();
        let group = snapshot.target_groups.values().next().unwrap();
        assert_eq!(group.attributes["proxy_protocol_v2.enabled"], value);
    }
}

#[tokio::test(start_paused = true)]
async fn another_kind_of_target_warms_up_before_the_listener_moves() {
    let aws = Aws::builder().build();
    let mut wish = nlb(&aws, &[80]);
    let mut driver = settled(&aws, &wish).await;
    let old = only(&aws.snapshot()).listeners[&80].listener.forward[0].target_group.clone();
    let group = wish.target_groups.get_mut(&role(80)).unwrap();
    group.target_type = TargetType::Instance;
    group.targets = aws
        .account()
        .instances
        .iter()
        .map(|id| daymark_aws::api::Target { id: id.clone(), port: 30080, zone: None })
        .collect();
    driver.pass(Some(&desired(&wish)), Depth::Full).await;
    let snapshot = aws.snapshot();
    let forward = &only(&snapshot).listeners[&80].listener.forward;
    let weights: Vec<(bool, u32)> =
        forward.iter().map(|forward| (forward.target_group == old, forward.weight)).collect();
    assert!(weights.contains(&(true, 1)) && weights.contains(&(false, 0)), "{weights:?}");
    driver.settled(&wish).await;
    let snapshot = aws.snapshot();
    assert_eq!(snapshot.target_groups.len(), 1);
    assert_ne!(only(&snapshot).listeners[&80].listener.forward[0].target_group, old);
    assert_eq!(registered(&aws, 80).len(), aws.account().instances.len());
}

#[tokio::test(start_paused = true)]
async fn tcp_becomes_tls_and_certificates_follow() {
    let aws = Aws::builder().build();
    let certificates = aws.account().certificates.clone();
    let mut wish = nlb(&aws, &[443]);
    let mut driver = settled(&aws, &wish).await;
    let listener = wish.listeners.get_mut(&443).unwrap();
    listener.protocol = NlbProtocol::Tls;
    listener.tls = Some(Tls {
        certificate: certificates[0].clone(),
        more: [certificates[1].clone()].into(),
        policy: "ELBSecurityPolicy-TLS13-1-2-2021-06".into(),
        alpn: Some("HTTP2Preferred".into()),
    });
    driver.settled(&wish).await;
    let snapshot = aws.snapshot();
    let found = &only(&snapshot).listeners[&443];
    assert_eq!(found.listener.certificate.as_ref(), Some(&certificates[0]));
    assert_eq!(found.listener.alpn.as_deref(), Some("HTTP2Preferred"));
    assert!(found.certificates.contains(&certificates[1]));
    let tls = wish.listeners.get_mut(&443).unwrap().tls.as_mut().unwrap();
    tls.certificate = certificates[2].clone();
    tls.more = [certificates[0].clone()].into();
    tls.alpn = None;
    driver.settled(&wish).await;
    let snapshot = aws.snapshot();
    let found = &only(&snapshot).listeners[&443];
    assert_eq!(found.listener.certificate.as_ref(), Some(&certificates[2]));
    assert!(!found.certificates.contains(&certificates[1]));
    assert_eq!(found.listener.alpn.as_deref().unwrap_or("None"), "None");
}

#[tokio::test(start_paused = true)]
async fn what_others_change_is_undone() {
    let aws = Aws::builder().build();
    let mut wish = nlb(&aws, &[80]);
    wish.attributes.insert("load_balancing.cross_zone.enabled".into(), "true".into());
    let mut driver = settled(&aws, &wish).await;
    disturb(&aws);
    driver.settled(&wish).await;
    let snapshot = aws.snapshot();
    assert_eq!(only(&snapshot).attributes["load_balancing.cross_zone.enabled"], "true");
    assert_eq!(registered(&aws, 80).len(), 3);
    let frontend =
        snapshot.security_groups.values().find(|group| group.group.name.starts_with("dm-")).unwrap();
    assert_eq!(frontend.rules.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn where_drift_is_reported_only_targets_are_put_back() {
    let aws = Aws::builder().build();
    let mut wish = nlb(&aws, &[80]);
    wish.policy.drift = Drift::Report;
    wish.attributes.insert("load_balancing.cross_zone.enabled".into(), "true".into());
    let mut driver = settled(&aws, &wish).await;
    disturb(&aws);
    let report = driver.settled(&wish).await;
    assert_eq!(
        report.remarks.iter().filter(|remark| remark.reason == "Drift").count(),
        2,
        "{:?}",
        report.remarks
    );
    assert_eq!(registered(&aws, 80).len(), 3);
    assert_eq!(only(&aws.snapshot()).attributes["load_balancing.cross_zone.enabled"], "false");
    // Another wish is no drift.
    wish.attributes.insert("zonal_shift.config.enabled".into(), "true".into());
    driver.settled(&wish).await;
    assert_eq!(only(&aws.snapshot()).attributes["load_balancing.cross_zone.enabled"], "true");
}

fn disturb(aws: &Aws) {
    let snapshot = aws.snapshot();
    let arn = only(&snapshot).load_balancer.arn.clone();
    let attributes = [("load_balancing.cross_zone.enabled".to_owned(), "false".to_owned())].into();
    aws.as_other(ModifyLoadBalancerAttributes { arn, attributes }).unwrap();
    let group = snapshot.target_groups.values().next().unwrap();
    let target = group.targets[0].target.clone();
    aws.as_other(DeregisterTargets { arn: group.target_group.arn.clone(), targets: vec![target] }).unwrap();
    let frontend =
        snapshot.security_groups.values().find(|group| group.group.name.starts_with("dm-")).unwrap();
    let rule = Ingress {
        protocol: RuleProtocol::Tcp,
        from: 22,
        to: 22,
        peer: Peer::Cidr("192.0.2.0/24".parse().unwrap()),
    };
    let call = AuthorizeSecurityGroupIngress {
        group: frontend.group.id.clone(),
        rules: vec![rule],
        description: String::new(),
    };
    aws.as_other(call).unwrap();
}

#[tokio::test(start_paused = true)]
async fn listeners_of_others_are_left_alone_and_told_of() {
    let aws = Aws::builder().build();
    let wish = nlb(&aws, &[80]);
    let mut driver = settled(&aws, &wish).await;
    let snapshot = aws.snapshot();
    let found = only(&snapshot);
    let call = CreateListener {
        load_balancer: found.load_balancer.arn.clone(),
        port: 9000,
        protocol: NlbProtocol::Tcp,
        forward: vec![Forward {
            target_group: found.listeners[&80].listener.forward[0].target_group.clone(),
            weight: 1,
        }],
        certificate: None,
        policy: None,
        alpn: None,
        tags: Default::default(),
    };
    aws.as_other(call).unwrap();
    let report = driver.settled(&wish).await;
    assert!(report.remarks.iter().any(|remark| remark.message.contains("9000")), "{:?}", report.remarks);
    assert_eq!(only(&aws.snapshot()).listeners.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn sources_follow_the_wish() {
    let aws = Aws::builder().build();
    let mut wish = nlb(&aws, &[80]);
    let mut driver = settled(&aws, &wish).await;
    let net = |text: &str| text.parse().unwrap();
    wish.security = Security::Managed {
        sources: [net("192.0.2.0/24"), net("192.0.2.128/25"), net("198.51.100.0/24")].into(),
        prefix_lists: BTreeSet::new(),
        path_mtu: true,
    };
    driver.settled(&wish).await;
    let snapshot = aws.snapshot();
    let frontend =
        snapshot.security_groups.values().find(|group| group.group.name.starts_with("dm-")).unwrap();
    // Two networks (one was inside another), each for the port and for path MTU discovery.
    assert_eq!(frontend.rules.len(), 4, "{:?}", frontend.rules);
    assert!(frontend.rules.iter().all(|rule| rule.description == "daymark.dev/test"));
}

#[tokio::test(start_paused = true)]
async fn zones_are_added_at_once_and_left_with_consent() {
    let aws = Aws::builder().build();
    let mut wish = nlb(&aws, &[80]);
    wish.subnets.named = aws.account().private[..2].to_vec();
    let mut driver = settled(&aws, &wish).await;
    assert_eq!(only(&aws.snapshot()).load_balancer.zones.len(), 2);
    wish.subnets.named = aws.account().private.clone();
    driver.settled(&wish).await;
    assert_eq!(only(&aws.snapshot()).load_balancer.zones.len(), 3);
    wish.subnets.named = aws.account().private[1..].to_vec();
    let report = driver.settle(Some(&desired(&wish))).await;
    assert_eq!(report.end, End::Held);
    assert!(report.plan.disruptive[0].contains("connections through that zone end"), "{:?}", report.plan);
    assert_eq!(only(&aws.snapshot()).load_balancer.zones.len(), 3);
    driver.consent(&wish).await;
    assert_eq!(only(&aws.snapshot()).load_balancer.zones.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn an_elastic_ip_changes_zone_by_zone_with_consent() {
    let aws = Aws::builder().build();
    let ips = aws.account().elastic_ips.clone();
    let mut wish = nlb(&aws, &[80]);
    internet_facing(&mut wish);
    wish.subnets.named = aws.account().public.clone();
    wish.subnets.allocations = ips[..3].to_vec();
    let mut driver = settled(&aws, &wish).await;
    wish.subnets.allocations = vec![ips[3].clone(), ips[4].clone(), ips[2].clone()];
    driver.consent(&wish).await;
    let snapshot = aws.snapshot();
    let zones = &only(&snapshot).load_balancer.zones;
    let allocations: BTreeSet<String> =
        zones.iter().filter_map(|zone| zone.address.allocation.clone()).collect();
    assert_eq!(allocations, wish.subnets.allocations.iter().cloned().collect());
}

#[tokio::test(start_paused = true)]
async fn a_sticky_load_balancer_stays_in_its_zones_and_another_follows() {
    for (policy, zones) in [(SubnetPolicy::Sticky, 2), (SubnetPolicy::AddOnly, 3), (SubnetPolicy::Exact, 3)] {
        let aws = Aws::builder().build();
        let untagged = aws.account().private[2].clone();
        aws.edit_subnet(&untagged, |subnet| subnet.tags.clear());
        let mut wish = nlb(&aws, &[80]);
        wish.policy.subnets = policy;
        let mut driver = settled(&aws, &wish).await;
        aws.edit_subnet(&untagged, |subnet| {
            subnet.tags.insert("kubernetes.io/role/internal-elb".into(), String::new());
        });
        driver.settled(&wish).await;
        assert_eq!(only(&aws.snapshot()).load_balancer.zones.len(), zones, "{policy:?}");
        // What is not found any longer is left only where that is asked for, and only with consent.
        aws.edit_subnet(&untagged, |subnet| subnet.tags.clear());
        let report = driver.settle(Some(&desired(&wish))).await;
        let held = policy == SubnetPolicy::Exact;
        assert_eq!(report.end == End::Held, held, "{policy:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn ipv6_comes_at_once_and_goes_with_consent() {
    let aws = Aws::builder().build();
    let mut wish = nlb(&aws, &[80]);
    let mut driver = settled(&aws, &wish).await;
    wish.ip_address_type = IpAddressType::Dualstack;
    driver.settled(&wish).await;
    assert_eq!(only(&aws.snapshot()).load_balancer.ip_address_type, IpAddressType::Dualstack);
    wish.ip_address_type = IpAddressType::Ipv4;
    driver.consent(&wish).await;
    assert_eq!(only(&aws.snapshot()).load_balancer.ip_address_type, IpAddressType::Ipv4);
}

#[tokio::test(start_paused = true)]
async fn capacity_and_privatelink_are_put_back() {
    let aws = Aws::builder().build();
    let mut wish = nlb(&aws, &[80]);
    wish.capacity = Some(100);
    wish.private_link_rules = Some(false);
    let mut driver = settled(&aws, &wish).await;
    driver.settled(&wish).await;
    let snapshot = aws.snapshot();
    assert_eq!(only(&snapshot).capacity, 100);
    assert_eq!(only(&snapshot).load_balancer.private_link_rules, Some(false));
    wish.capacity = None;
    wish.private_link_rules = None;
    driver.settled(&wish).await;
    let snapshot = aws.snapshot();
    assert_eq!(only(&snapshot).capacity, 0);
    assert_eq!(only(&snapshot).load_balancer.private_link_rules, Some(true));
}
