//! Load balancers as AWS keeps them.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod common;

use common::*;
use daymark_aws::api::*;
use daymark_aws_fake::{Aws, Quotas};

fn arns(arns: &[&str]) -> DescribeLoadBalancers {
    DescribeLoadBalancers { which: Which::Arns(arns.iter().map(|arn| (*arn).to_owned()).collect()) }
}

fn attributes(pairs: &[(&str, &str)]) -> Attributes {
    tags(pairs)
}

#[tokio::test(start_paused = true)]
async fn a_load_balancer_is_provisioned_for_a_while() {
    let aws = Aws::builder().build();
    let made = done(&aws, nlb(&aws, "web")).await;
    assert_eq!(made.state, LoadBalancerState::Provisioning);
    assert!(made.arn.contains(":loadbalancer/net/web/"), "{}", made.arn);
    pass(119).await;
    assert_eq!(done(&aws, arns(&[&made.arn])).await[0].state, LoadBalancerState::Provisioning);
    pass(1).await;
    assert_eq!(done(&aws, arns(&[&made.arn])).await[0].state, LoadBalancerState::Active);
}

#[tokio::test(start_paused = true)]
async fn names_are_what_aws_allows() {
    let aws = Aws::builder().build();
    for (name, expected) in [
        ("a", "ok"),
        (&*"a".repeat(32), "ok"),
        (&*"a".repeat(33), "ValidationError"),
        ("", "ValidationError"),
        ("-a", "ValidationError"),
        ("a-", "ValidationError"),
        ("a_b", "ValidationError"),
        ("internal-a", "ValidationError"),
    ] {
        assert_eq!(code(&aws, nlb(&aws, name)).await, expected, "{name}");
    }
    assert_eq!(code(&aws, pool(&aws, "internal-a")).await, "ok");
    assert_eq!(code(&aws, pool(&aws, "a.b")).await, "ValidationError");
}

#[tokio::test(start_paused = true)]
async fn a_name_is_given_back_to_whoever_asks_for_the_same() {
    let aws = Aws::builder().build();
    let call = CreateLoadBalancer { tags: tags(&[("owner", "first")]), ..nlb(&aws, "web") };
    let made = done(&aws, call).await;
    let again = CreateLoadBalancer { tags: tags(&[("owner", "second")]), ..nlb(&aws, "web") };
    assert_eq!(done(&aws, again).await.arn, made.arn);
    let kept = done(&aws, DescribeTags { arns: vec![made.arn.clone()] }).await;
    assert_eq!(kept[&made.arn]["owner"], "first");

    let mut fewer = nlb(&aws, "web");
    fewer.subnets.pop();
    let others = [
        CreateLoadBalancer { scheme: Scheme::Internal, ..nlb(&aws, "web") },
        CreateLoadBalancer { security_groups: vec![], ..nlb(&aws, "web") },
        CreateLoadBalancer { ip_address_type: IpAddressType::Dualstack, ..nlb(&aws, "web") },
        fewer,
    ];
    for other in others {
        assert_eq!(code(&aws, other.clone()).await, "DuplicateLoadBalancerName", "{other:?}");
    }
    aws.foreign_application_load_balancer("alb").unwrap();
    assert_eq!(code(&aws, nlb(&aws, "alb")).await, "DuplicateLoadBalancerName");
}

#[tokio::test(start_paused = true)]
async fn subnets_and_addresses_are_checked() {
    let aws = Aws::builder().build();
    let account = aws.account();
    let (vpc, elsewhere) = aws.add_vpc("192.168.0.0/24".parse().unwrap());
    assert_ne!(vpc, account.vpc);
    let eip = |zone: usize, ip: usize| SubnetMapping {
        allocation: Some(account.elastic_ips[ip].clone()),
        ..mapping(&account.public[zone])
    };
    let at = |zone: usize, address: &str| SubnetMapping {
        private: Some(address.parse().unwrap()),
        ..mapping(&account.private[zone])
    };
    aws.take_elastic_ip(&account.elastic_ips[5]);
    let taken = eip(0, 5);
    let unknown = SubnetMapping { allocation: Some("eipalloc-0".into()), ..mapping(&account.public[0]) };
    let v6 = SubnetMapping { ipv6: Some("2a05::1".parse().unwrap()), ..mapping(&account.public[0]) };
    use Scheme::{Internal, InternetFacing};
    let cases = [
        (InternetFacing, vec![], "ValidationError"),
        (InternetFacing, vec![mapping("subnet-0")], "SubnetNotFound"),
        (
            InternetFacing,
            vec![mapping(&account.public[0]), mapping(&account.private[0])],
            "InvalidConfigurationRequest",
        ),
        (
            InternetFacing,
            vec![mapping(&account.public[0]), mapping(&elsewhere)],
            "InvalidConfigurationRequest",
        ),
        (InternetFacing, vec![unknown], "AllocationIdNotFound"),
        (InternetFacing, vec![taken], "ResourceInUse"),
        (InternetFacing, vec![eip(0, 0), mapping(&account.public[1])], "InvalidConfigurationRequest"),
        (InternetFacing, vec![eip(0, 0), eip(1, 0)], "InvalidConfigurationRequest"),
        (Internal, vec![eip(0, 0)], "InvalidConfigurationRequest"),
        (InternetFacing, vec![at(0, "10.0.128.9")], "InvalidConfigurationRequest"),
        (Internal, vec![at(0, "10.0.1.9")], "InvalidConfigurationRequest"),
        (Internal, vec![at(0, "10.0.128.3")], "InvalidConfigurationRequest"),
        (InternetFacing, vec![v6], "InvalidConfigurationRequest"),
        (Internal, vec![at(0, "10.0.128.9"), at(1, "10.0.144.9")], "ok"),
    ];
    for (number, (scheme, subnets, expected)) in cases.into_iter().enumerate() {
        // What is in an internal load balancer is in the same VPC as the groups.
        let call = CreateLoadBalancer { scheme, subnets, ..nlb(&aws, &format!("a{number}")) };
        assert_eq!(code(&aws, call.clone()).await, expected, "{call:?}");
    }
    let call = CreateLoadBalancer { subnets: vec![eip(0, 0)], ..nlb(&aws, "eip") };
    let zone = done(&aws, call).await.zones.remove(0);
    assert_eq!(zone.address.public, Some("198.51.100.10".parse().unwrap()));
    let other = CreateLoadBalancer { subnets: vec![eip(0, 0)], ..nlb(&aws, "other") };
    assert_eq!(code(&aws, other).await, "ResourceInUse");
    aws.edit_subnet(&account.public[2], |subnet| subnet.available = 7);
    assert_eq!(code(&aws, nlb(&aws, "full")).await, "InvalidSubnet");
    aws.edit_subnet(&account.public[2], |subnet| subnet.available = 100);
    aws.edit_subnet(&account.public[2], |subnet| subnet.ipv6.clear());
    assert_eq!(code(&aws, dualstack(&aws, "v6")).await, "InvalidSubnet");
}

#[tokio::test(start_paused = true)]
async fn an_enabled_zone_stays_as_it_is() {
    let aws = Aws::builder().build();
    let account = aws.account();
    let eips: Vec<SubnetMapping> = (0..2)
        .map(|zone| SubnetMapping {
            allocation: Some(account.elastic_ips[zone].clone()),
            ..mapping(&account.public[zone])
        })
        .collect();
    let made = done(&aws, CreateLoadBalancer { subnets: eips.clone(), ..nlb(&aws, "web") }).await;
    let set = |subnets: Vec<SubnetMapping>| SetSubnets { arn: made.arn.clone(), subnets, source_nat: None };
    let moved = SubnetMapping { allocation: Some(account.elastic_ips[4].clone()), ..eips[1].clone() };
    let added =
        SubnetMapping { allocation: Some(account.elastic_ips[2].clone()), ..mapping(&account.public[2]) };
    for (subnets, expected) in [
        (vec![], "ValidationError"),
        (vec![eips[0].clone(), moved.clone()], "InvalidConfigurationRequest"),
        (vec![eips[0].clone(), mapping(&account.public[1])], "InvalidConfigurationRequest"),
        (vec![eips[0].clone(), mapping(&account.private[1])], "InvalidConfigurationRequest"),
        (vec![eips[0].clone(), eips[1].clone(), added], "ok"),
        (vec![eips[0].clone()], "ok"),
        // The address is held by what is left of the zone.
        (eips.clone(), "ResourceInUse"),
        (vec![eips[0].clone(), moved], "ok"),
    ] {
        assert_eq!(code(&aws, set(subnets.clone())).await, expected, "{subnets:?}");
    }
    pass(45).await;
    let addresses = done(&aws, DescribeAddresses { allocations: vec![account.elastic_ips[1].clone()] }).await;
    assert!(!addresses[0].in_use);
    let missing = SetSubnets { arn: made.arn.replace("web", "x"), subnets: eips, source_nat: None };
    assert_eq!(code(&aws, missing).await, "LoadBalancerNotFound");
}

#[tokio::test(start_paused = true)]
async fn security_groups_are_for_those_who_had_them_from_the_start() {
    let aws = Aws::builder().build();
    let group = aws.account().node_group.clone();
    let with = done(&aws, nlb(&aws, "with")).await.arn;
    let without = done(&aws, CreateLoadBalancer { security_groups: vec![], ..nlb(&aws, "without") }).await;
    assert_eq!(without.private_link_rules, None);
    let (vpc, _) = aws.add_vpc("192.168.0.0/24".parse().unwrap());
    let elsewhere = aws
        .as_other(CreateSecurityGroup { name: "x".into(), description: "x".into(), vpc, tags: Tags::new() })
        .unwrap();
    let mut six = Vec::new();
    for number in 0..6 {
        let create = CreateSecurityGroup {
            name: format!("g{number}"),
            description: "x".into(),
            vpc: aws.account().vpc.clone(),
            tags: Tags::new(),
        };
        six.push(done(&aws, create).await);
    }
    for (arn, security_groups, expected) in [
        (&without.arn, vec![group.clone()], "InvalidConfigurationRequest"),
        (&with, vec![], "InvalidConfigurationRequest"),
        (&with, vec!["sg-0".to_owned()], "InvalidSecurityGroup"),
        (&with, vec![elsewhere], "InvalidConfigurationRequest"),
        (&with, six.clone(), "InvalidConfigurationRequest"),
        (&with, six[..5].to_vec(), "ok"),
    ] {
        let call = SetSecurityGroups { arn: arn.clone(), security_groups, private_link_rules: Some(false) };
        assert_eq!(code(&aws, call.clone()).await, expected, "{call:?}");
    }
    let seen = done(&aws, arns(&[&with])).await.remove(0);
    assert_eq!((seen.security_groups.len(), seen.private_link_rules), (5, Some(false)));
    let on = done(&aws, DescribeNetworkInterfaces { group: six[0].clone() }).await;
    assert_eq!(on.len(), 3);
    assert!(on[0].description.starts_with("ELB net/with/"), "{}", on[0].description);
}

#[tokio::test(start_paused = true)]
async fn families_fit_listeners_and_target_groups() {
    let aws = Aws::builder().build();
    let v4 = done(&aws, nlb(&aws, "v4")).await.arn;
    let dual = done(&aws, dualstack(&aws, "dual")).await.arn;
    let nat = done(&aws, CreateLoadBalancer { source_nat: true, ..dualstack(&aws, "nat") }).await;
    assert!(nat.zones[0].source_nat_prefix.as_ref().unwrap().ends_with("/80"));
    assert!(nat.zones[0].address.ipv6.is_some());
    let bad = CreateLoadBalancer { source_nat: true, ..nlb(&aws, "bad") };
    assert_eq!(code(&aws, bad).await, "InvalidConfigurationRequest");
    let mut udp = Vec::new();
    for name in ["udp0", "udp1", "udp2"] {
        let create = CreateTargetGroup { protocol: NlbProtocol::Udp, ..pool(&aws, name) };
        udp.push(done(&aws, create).await.arn);
    }
    let on = |arn: &str, pool: &str| CreateListener { protocol: NlbProtocol::Udp, ..listener(arn, 53, pool) };
    assert_eq!(code(&aws, on(&dual, &udp[0])).await, "InvalidConfigurationRequest");
    assert_eq!(code(&aws, on(&nat.arn, &udp[1])).await, "ok");
    assert_eq!(code(&aws, on(&v4, &udp[2])).await, "ok");
    let off = SetSubnets { arn: nat.arn.clone(), subnets: public(&aws), source_nat: Some(false) };
    assert_eq!(code(&aws, off).await, "InvalidConfigurationRequest");
    let to = |arn: &str, ip_address_type| SetIpAddressType { arn: arn.to_owned(), ip_address_type };
    assert_eq!(code(&aws, to(&v4, IpAddressType::Dualstack)).await, "InvalidConfigurationRequest");
    let v6 = CreateTargetGroup {
        family: daymark_model::Family::V6,
        target_type: TargetType::Ip,
        ..pool(&aws, "v6")
    };
    let v6 = done(&aws, v6).await.arn;
    assert_eq!(code(&aws, listener(&v4, 80, &v6)).await, "InvalidConfigurationRequest");
    assert_eq!(code(&aws, listener(&dual, 80, &v6)).await, "ok");
    assert_eq!(code(&aws, to(&dual, IpAddressType::Ipv4)).await, "InvalidConfigurationRequest");
    assert_eq!(code(&aws, to(&nat.arn, IpAddressType::Ipv4)).await, "ok");
    assert!(!done(&aws, arns(&[&nat.arn])).await[0].source_nat);
}

#[tokio::test(start_paused = true)]
async fn deletion_has_its_guards_and_its_lag() {
    let aws = Aws::builder().build();
    let Served { load_balancer, target_group, .. } = served(&aws, "web").await;
    let arn = load_balancer.arn;
    let protect = |value: &str| ModifyLoadBalancerAttributes {
        arn: arn.clone(),
        attributes: attributes(&[("deletion_protection.enabled", value)]),
    };
    let delete = || DeleteLoadBalancer { arn: arn.clone() };
    done(&aws, protect("true")).await;
    assert_eq!(code(&aws, delete()).await, "OperationNotPermitted");
    done(&aws, protect("false")).await;
    aws.add_endpoint_service(&arn);
    assert_eq!(code(&aws, delete()).await, "ResourceInUse");
    aws.remove_endpoint_service(&arn);
    assert_eq!(code(&aws, delete()).await, "ok");
    assert_eq!(code(&aws, delete()).await, "ok");
    assert_eq!(code(&aws, DeleteLoadBalancer { arn: "web".into() }).await, "ValidationError");
    assert_eq!(code(&aws, DescribeListeners { load_balancer: arn.clone() }).await, "LoadBalancerNotFound");

    let of_group = || DescribeNetworkInterfaces { group: aws.account().node_group.clone() };
    let nodes = aws.account().instances.len();
    let delete_pool = || DeleteTargetGroup { arn: target_group.arn.clone() };
    assert_eq!(code(&aws, delete_pool()).await, "ResourceInUse");
    pass(5).await;
    assert_eq!(code(&aws, delete_pool()).await, "ok");
    assert_eq!(code(&aws, delete_pool()).await, "ok");
    assert_eq!(done(&aws, of_group()).await.len(), nodes + 3);
    pass(40).await;
    assert_eq!(done(&aws, of_group()).await.len(), nodes);
}

#[tokio::test(start_paused = true)]
async fn describes_name_what_is_there_and_no_more_than_twenty() {
    let aws = Aws::builder().build();
    aws.crowd(25).unwrap();
    let all = done(&aws, DescribeLoadBalancers { which: Which::All }).await;
    assert_eq!(all.len(), 25);
    let many: Vec<&str> = all.iter().map(|one| &*one.arn).collect();
    assert_eq!(code(&aws, arns(&many[..20])).await, "ok");
    assert_eq!(code(&aws, arns(&many[..21])).await, "ValidationError");
    let missing = many[0].replace("crowd", "nobody");
    assert_eq!(code(&aws, arns(&[many[0], &missing])).await, "LoadBalancerNotFound");
    let named = |name: &str| DescribeLoadBalancers { which: Which::Names(vec![name.to_owned()]) };
    assert_eq!(done(&aws, named("crowd-3")).await[0].name, "crowd-3");
    assert_eq!(code(&aws, named("nobody")).await, "LoadBalancerNotFound");
    // As on the wire: no ARNs are all of them.
    assert_eq!(done(&aws, arns(&[])).await.len(), 25);
    let described =
        |count: usize| DescribeTags { arns: many[..count].iter().map(|arn| (*arn).to_owned()).collect() };
    assert_eq!(code(&aws, described(0)).await, "ValidationError");
    assert_eq!(done(&aws, described(20)).await.len(), 20);
    assert_eq!(code(&aws, described(21)).await, "ValidationError");
    assert_eq!(code(&aws, DescribeTags { arns: vec![missing] }).await, "LoadBalancerNotFound");
}

#[tokio::test(start_paused = true)]
async fn attributes_have_defaults_and_values_that_fit() {
    let aws = Aws::builder().build();
    let arn = done(&aws, nlb(&aws, "web")).await.arn;
    let read = || DescribeLoadBalancerAttributes { arn: arn.clone() };
    assert_eq!(done(&aws, read()).await["load_balancing.cross_zone.enabled"], "false");
    for (name, value, expected) in [
        ("load_balancing.cross_zone.enabled", "true", "ok"),
        ("load_balancing.cross_zone.enabled", "yes", "ValidationError"),
        ("idle_timeout.timeout_seconds", "60", "ValidationError"),
        ("dns_record.client_routing_policy", "availability_zone_affinity", "ok"),
        ("dns_record.client_routing_policy", "near", "ValidationError"),
        ("access_logs.s3.enabled", "true", "InvalidConfigurationRequest"),
    ] {
        let call =
            ModifyLoadBalancerAttributes { arn: arn.clone(), attributes: attributes(&[(name, value)]) };
        assert_eq!(code(&aws, call).await, expected, "{name}={value}");
    }
    let now = done(&aws, read()).await;
    assert_eq!(now["load_balancing.cross_zone.enabled"], "true");
    assert_eq!(now["dns_record.client_routing_policy"], "availability_zone_affinity");
    let reserve = |units| ModifyCapacityReservation { arn: arn.clone(), units };
    assert_eq!(code(&aws, reserve(3000)).await, "InvalidConfigurationRequest");
    pass(120).await;
    assert_eq!(code(&aws, reserve(3000)).await, "ok");
    assert_eq!(done(&aws, DescribeCapacityReservation { arn: arn.clone() }).await, 3000);
}

#[tokio::test(start_paused = true)]
async fn quotas_hold_and_are_told() {
    let quotas = Quotas { load_balancers: 1, target_groups: 2, listeners: 1, ..Quotas::default() };
    let aws = Aws::builder().quotas(quotas).build();
    let Served { load_balancer, .. } = served(&aws, "web").await;
    assert_eq!(code(&aws, nlb(&aws, "more")).await, "TooManyLoadBalancers");
    assert_eq!(code(&aws, nlb(&aws, "web")).await, "ok");
    let second = done(&aws, pool(&aws, "second")).await.arn;
    assert_eq!(code(&aws, pool(&aws, "third")).await, "TooManyTargetGroups");
    assert_eq!(code(&aws, listener(&load_balancer.arn, 81, &second)).await, "TooManyListeners");
    let limits = done(&aws, DescribeAccountLimits {}).await;
    let listeners = limits.iter().find(|limit| limit.name == "listeners-per-network-load-balancer");
    assert_eq!(listeners.unwrap().max, 1);
}
