//! Target groups and targets as AWS keeps them.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod common;

use common::*;
use daymark_aws::api::*;
use daymark_aws_fake::{Aws, Quotas};
use daymark_model::Family;

fn register(arn: &str, targets: &[Target]) -> RegisterTargets {
    RegisterTargets { arn: arn.to_owned(), targets: targets.to_vec() }
}

fn deregister(arn: &str, targets: &[Target]) -> DeregisterTargets {
    DeregisterTargets { arn: arn.to_owned(), targets: targets.to_vec() }
}

#[tokio::test(start_paused = true)]
async fn a_name_is_given_back_to_whoever_asks_for_the_same() {
    let aws = Aws::builder().build();
    let made = done(&aws, pool(&aws, "web")).await;
    assert_eq!(done(&aws, pool(&aws, "web")).await.arn, made.arn);
    for other in [
        CreateTargetGroup { port: 81, ..pool(&aws, "web") },
        CreateTargetGroup { protocol: NlbProtocol::Udp, ..pool(&aws, "web") },
        CreateTargetGroup { target_type: TargetType::Ip, ..pool(&aws, "web") },
        CreateTargetGroup { health: HealthCheck { interval: 30, ..health() }, ..pool(&aws, "web") },
    ] {
        assert_eq!(code(&aws, other.clone()).await, "DuplicateTargetGroupName", "{other:?}");
    }
    let elsewhere = CreateTargetGroup { vpc: "vpc-0".into(), ..pool(&aws, "elsewhere") };
    assert_eq!(code(&aws, elsewhere).await, "ValidationError");
    let missing = DescribeTargetGroups { which: Which::Names(vec!["nobody".into()]) };
    assert_eq!(code(&aws, missing).await, "TargetGroupNotFound");
    let many = DescribeTargetGroups { which: Which::Arns(vec![made.arn; 21]) };
    assert_eq!(code(&aws, many).await, "ValidationError");
}

#[tokio::test(start_paused = true)]
async fn health_checks_are_within_bounds() {
    let aws = Aws::builder().build();
    let arn = done(&aws, pool(&aws, "web")).await.arn;
    let http = HealthCheck { protocol: HealthProtocol::Http, ..health() };
    for (health, expected) in [
        (HealthCheck { interval: 4, timeout: 4, ..health() }, "ValidationError"),
        (HealthCheck { timeout: 11, ..health() }, "ValidationError"),
        (HealthCheck { healthy: 1, ..health() }, "ValidationError"),
        (HealthCheck { unhealthy: 11, ..health() }, "ValidationError"),
        (HealthCheck { path: Some("/".into()), ..health() }, "ValidationError"),
        (HealthCheck { path: Some("healthz".into()), ..http.clone() }, "ValidationError"),
        (HealthCheck { codes: Some("100".into()), ..http.clone() }, "ValidationError"),
        (HealthCheck { codes: Some("200,300-399".into()), ..http.clone() }, "ok"),
        (http, "ok"),
    ] {
        let call = ModifyTargetGroup { arn: arn.clone(), health };
        assert_eq!(code(&aws, call.clone()).await, expected, "{call:?}");
    }
    let now = done(&aws, DescribeTargetGroups { which: Which::Arns(vec![arn]) }).await.remove(0).health;
    assert_eq!((now.path.as_deref(), now.codes.as_deref()), (Some("/"), Some("200-399")));
}

#[tokio::test(start_paused = true)]
async fn attributes_depend_on_the_kind() {
    let aws = Aws::builder().build();
    let udp =
        CreateTargetGroup { protocol: NlbProtocol::Udp, target_type: TargetType::Ip, ..pool(&aws, "udp") };
    let ip = CreateTargetGroup { target_type: TargetType::Ip, ..pool(&aws, "ip") };
    let tls = CreateTargetGroup { protocol: NlbProtocol::Tls, ..pool(&aws, "tls") };
    let mut made = Vec::new();
    for (create, preserves) in [(pool(&aws, "web"), "true"), (udp, "true"), (ip, "false"), (tls, "true")] {
        let arn = done(&aws, create).await.arn;
        let attributes = done(&aws, DescribeTargetGroupAttributes { arn: arn.clone() }).await;
        assert_eq!(attributes["preserve_client_ip.enabled"], preserves);
        assert_eq!(attributes["deregistration_delay.timeout_seconds"], "300");
        made.push(arn);
    }
    for (arn, name, value, expected) in [
        (&made[0], "preserve_client_ip.enabled", "false", "ok"),
        (&made[1], "preserve_client_ip.enabled", "false", "InvalidConfigurationRequest"),
        (&made[3], "stickiness.enabled", "true", "InvalidConfigurationRequest"),
        (&made[0], "stickiness.enabled", "true", "ok"),
        (&made[0], "deregistration_delay.timeout_seconds", "3601", "ValidationError"),
        (&made[0], "slow_start.duration_seconds", "30", "ValidationError"),
    ] {
        let call = ModifyTargetGroupAttributes { arn: arn.clone(), attributes: tags(&[(name, value)]) };
        assert_eq!(code(&aws, call).await, expected, "{name}={value}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_target_becomes_healthy_only_where_it_is_used() {
    let aws = Aws::builder().build();
    let arn = done(&aws, pool(&aws, "web")).await.arn;
    let instances = aws.account().instances.clone();
    let targets: Vec<Target> = instances.iter().map(|id| target(id)).collect();
    done(&aws, register(&arn, &targets)).await;
    pass(600).await;
    assert_eq!(states(&aws, &arn).await, [TargetState::Unused]);
    let one_zone = CreateLoadBalancer { subnets: public(&aws)[..1].to_vec(), ..nlb(&aws, "web") };
    let load_balancer = done(&aws, one_zone).await.arn;
    done(&aws, listener(&load_balancer, 80, &arn)).await;
    assert_eq!(states(&aws, &arn).await, [TargetState::Initial, TargetState::Unused]);
    pass(179).await;
    assert_eq!(states(&aws, &arn).await, [TargetState::Initial, TargetState::Unused]);
    pass(1).await;
    assert_eq!(states(&aws, &arn).await, [TargetState::Healthy, TargetState::Unused]);
    done(&aws, SetSubnets { arn: load_balancer, subnets: public(&aws), source_nat: None }).await;
    assert_eq!(states(&aws, &arn).await, [TargetState::Initial, TargetState::Healthy]);
    pass(60).await;
    assert_eq!(states(&aws, &arn).await, [TargetState::Healthy]);
    aws.make_sick(&instances[0]);
    assert_eq!(states(&aws, &arn).await, [TargetState::Healthy, TargetState::Unhealthy]);
    aws.make_well(&instances[0]);
    let sick = instances[1].clone();
    aws.set_health(move |target| target.id != sick);
    assert_eq!(states(&aws, &arn).await, [TargetState::Healthy, TargetState::Unhealthy]);
    aws.set_health(|_| true);
    aws.stop_instance(&instances[2]);
    assert_eq!(states(&aws, &arn).await, [TargetState::Healthy, TargetState::Unused]);
}

#[tokio::test(start_paused = true)]
async fn a_deregistered_target_drains_and_goes() {
    let aws = Aws::builder().build();
    let Served { target_group, .. } = served(&aws, "web").await;
    let arn = target_group.arn;
    let first = target(&aws.account().instances[0]);
    let delay = tags(&[("deregistration_delay.timeout_seconds", "20")]);
    done(&aws, ModifyTargetGroupAttributes { arn: arn.clone(), attributes: delay }).await;
    pass(600).await;
    done(&aws, deregister(&arn, &[first.clone(), target("i-nobody")])).await;
    assert_eq!(states(&aws, &arn).await, [TargetState::Healthy, TargetState::Draining]);
    pass(19).await;
    done(&aws, deregister(&arn, std::slice::from_ref(&first))).await;
    pass(1).await;
    assert_eq!(states(&aws, &arn).await, [TargetState::Healthy]);
    let count = || async { done(&aws, DescribeTargetHealth { arn: arn.clone() }).await.len() };
    assert_eq!(count().await, 5);

    // Back while it drains: a target as any other, checked anew.
    let second = target(&aws.account().instances[1]);
    done(&aws, deregister(&arn, std::slice::from_ref(&second))).await;
    done(&aws, register(&arn, &[second])).await;
    assert_eq!(states(&aws, &arn).await, [TargetState::Initial, TargetState::Healthy]);
    pass(100).await;
    assert_eq!(count().await, 5);

    aws.terminate_instance(&aws.account().instances[2]);
    assert_eq!(states(&aws, &arn).await, [TargetState::Healthy, TargetState::Draining]);
    pass(20).await;
    assert_eq!(count().await, 4);
}

#[tokio::test(start_paused = true)]
async fn targets_are_known_by_id_and_port() {
    let aws = Aws::builder().build();
    let arn = done(&aws, pool(&aws, "web")).await.arn;
    let first = target(&aws.account().instances[0]);
    let other_port = Target { port: 30081, ..first.clone() };
    done(&aws, register(&arn, &[first.clone(), other_port.clone(), first.clone()])).await;
    assert_eq!(done(&aws, DescribeTargetHealth { arn: arn.clone() }).await.len(), 2);
    done(&aws, deregister(&arn, &[first])).await;
    let left = done(&aws, DescribeTargetHealth { arn }).await;
    assert_eq!(left.into_iter().map(|health| health.target).collect::<Vec<_>>(), [other_port]);
}

#[tokio::test(start_paused = true)]
async fn only_what_can_be_a_target_is_one() {
    let aws = Aws::builder().build();
    let account = aws.account();
    let instance = done(&aws, pool(&aws, "instance")).await.arn;
    let ip =
        |name: &str, family| CreateTargetGroup { target_type: TargetType::Ip, family, ..pool(&aws, name) };
    let v4 = done(&aws, ip("v4", Family::V4)).await.arn;
    let v6 = done(&aws, ip("v6", Family::V6)).await.arn;
    aws.stop_instance(&account.instances[1]);
    let pod = account.pod(1, 4);
    let zoned = |id: &str, zone: &str| Target { zone: Some(zone.to_owned()), ..target(id) };
    for (arn, target, expected) in [
        (&instance, target("i-0"), "InvalidTarget"),
        (&instance, target(&account.instances[1]), "InvalidTarget"),
        (&instance, target("10.0.128.9"), "InvalidTarget"),
        (&instance, zoned(&account.instances[0], "all"), "ValidationError"),
        (&instance, Target { port: 0, ..target(&account.instances[0]) }, "ValidationError"),
        (&instance, target(&account.instances[0]), "ok"),
        (&v4, target("pod"), "ValidationError"),
        (&v4, target("2a05:d018:100:aa80::9"), "ValidationError"),
        (&v4, target("192.168.1.1"), "ValidationError"),
        (&v4, zoned("192.168.1.1", &account.zones[0]), "ValidationError"),
        (&v4, zoned("8.8.8.8", "all"), "ValidationError"),
        (&v4, zoned("192.168.1.1", "all"), "ok"),
        (&v4, zoned(&pod, &account.zones[0]), "ValidationError"),
        (&v4, target(&pod), "ok"),
        (&v4, zoned(&pod, &account.zones[1]), "ok"),
        (&v6, target(&pod), "ValidationError"),
        (&v6, target("2a05:d018:0100:aa80::9"), "ok"),
    ] {
        assert_eq!(code(&aws, register(arn, std::slice::from_ref(&target))).await, expected, "{target:?}");
    }
    let seen = done(&aws, DescribeTargetHealth { arn: v4.clone() }).await;
    let seen: Vec<_> =
        seen.into_iter().map(|health| (health.target.id, health.target.zone.unwrap())).collect();
    assert_eq!(seen, [(pod.clone(), account.zones[1].clone()), ("192.168.1.1".into(), "all".into())]);
    assert_eq!(code(&aws, deregister(&v4, &[target("192.168.1.1")])).await, "ValidationError");
    assert_eq!(code(&aws, deregister(&v4, &[zoned("192.168.1.1", "all"), target(&pod)])).await, "ok");
    assert!(done(&aws, DescribeTargetHealth { arn: v4 }).await.is_empty());
    done(&aws, deregister(&v6, &[target("2a05:d018:100:aa80:0::9")])).await;
    assert!(done(&aws, DescribeTargetHealth { arn: v6 }).await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_call_with_one_bad_target_does_nothing() {
    let aws = Aws::builder().build();
    let arn = done(&aws, pool(&aws, "web")).await.arn;
    let targets = [target(&aws.account().instances[0]), target("i-0")];
    assert_eq!(code(&aws, register(&arn, &targets)).await, "InvalidTarget");
    assert!(done(&aws, DescribeTargetHealth { arn }).await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn quotas_count_targets_in_all_that_a_load_balancer_uses() {
    let aws = Aws::builder()
        .quotas(Quotas { targets_per_group: 3, targets_per_zone: 3, ..Quotas::default() })
        .build();
    let account = aws.account();
    let load_balancer = done(&aws, nlb(&aws, "web")).await.arn;
    let mut pools = Vec::new();
    for port in [80, 81] {
        let arn = done(&aws, pool(&aws, &format!("web-{port}"))).await.arn;
        done(&aws, listener(&load_balancer, port, &arn)).await;
        pools.push(arn);
    }
    // Two nodes in each of three zones.
    let targets: Vec<Target> = account.instances.iter().map(|id| target(id)).collect();
    assert_eq!(code(&aws, register(&pools[0], &targets[..4])).await, "TooManyTargets");
    assert_eq!(code(&aws, register(&pools[0], &targets[..3])).await, "ok");
    assert_eq!(code(&aws, register(&pools[1], &targets[..2])).await, "TooManyTargets");
    assert_eq!(code(&aws, register(&pools[1], &targets[1..4])).await, "ok");
    // What drains still counts.
    done(&aws, deregister(&pools[0], &targets[..1])).await;
    let third = done(&aws, pool(&aws, "third")).await.arn;
    done(&aws, register(&third, &targets[..1])).await;
    assert_eq!(code(&aws, listener(&load_balancer, 82, &third)).await, "TooManyTargets");
    pass(300).await;
    assert_eq!(code(&aws, listener(&load_balancer, 82, &third)).await, "ok");
    let cross_zone = tags(&[("load_balancing.cross_zone.enabled", "true")]);
    done(&aws, ModifyLoadBalancerAttributes { arn: load_balancer, attributes: cross_zone }).await;
    assert_eq!(code(&aws, register(&third, &targets[5..])).await, "TooManyTargets");
}
