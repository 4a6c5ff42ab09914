//! Each call of Elastic Load Balancing once, in the life of one load balancer.

use daymark_aws::api::{
    AddListenerCertificates, AddTags, ApiError, CreateListener, CreateTargetGroup, DeleteListener,
    DeleteLoadBalancer, DeleteTargetGroup, DeregisterTargets, DescribeAccountLimits,
    DescribeCapacityReservation, DescribeListenerAttributes, DescribeListenerCertificates, DescribeListeners,
    DescribeLoadBalancerAttributes, DescribeLoadBalancers, DescribeTags, DescribeTargetGroupAttributes,
    DescribeTargetGroups, DescribeTargetHealth, Forward, HealthCheck, HealthProtocol, IpAddressType,
    LoadBalancerState, ModifyCapacityReservation, ModifyListener, ModifyListenerAttributes,
    ModifyLoadBalancerAttributes, ModifyTargetGroup, ModifyTargetGroupAttributes, NlbProtocol,
    RegisterTargets, RemoveListenerCertificates, RemoveTags, Scheme, SetIpAddressType, SetSecurityGroups,
    SetSubnets, Target, TargetState, TargetType, Which,
};
use daymark_model::Family;
use daymark_tests::aws::{Ground, Moto, REGION};

use super::{Account, load_balancer, made, map, mappings, target_group};

#[tokio::test]
async fn each_call_once() {
    let moto = Moto::start().await.unwrap();
    let account = Account::new(&moto, "111111111111").await;
    let ground = Ground::lay(&account.proxy.past(), "lab", 3, 2).await.unwrap();
    assert_eq!(account.ask(DescribeLoadBalancers { which: Which::All }).await, []);
    assert_eq!(account.ask(DescribeTargetGroups { which: Which::All }).await, []);
    made(&account, &["DescribeLoadBalancers", "DescribeTargetGroups"]);

    load_balancers(&account, &ground).await;
    target_groups(&account, &ground).await;
    let listener = listeners(&account).await;
    tags_and_limits(&account).await;
    everything_goes(&account, listener).await;
}

async fn load_balancers(account: &Account, ground: &Ground) {
    let created = account.ask(load_balancer("web", &ground.public[..2])).await;
    let arn = || created.arn.clone();
    assert_eq!(
        (created.name.as_str(), created.vpc.as_str(), created.is_network),
        ("web", &*ground.vpc, true)
    );
    assert_eq!(created.scheme, Scheme::InternetFacing);
    assert_eq!(created.zones.len(), 2);
    let found =
        account.ask(DescribeLoadBalancers { which: Which::Names(vec!["web".to_owned()]) }).await.remove(0);
    assert_eq!((&found.arn, found.state), (&created.arn, LoadBalancerState::Active));
    assert!(!found.dns_name.is_empty() && !found.hosted_zone.is_empty(), "{found:?}");
    let which = Which::Arns(vec![format!("{}x", created.arn)]);
    let error = account.try_ask(DescribeLoadBalancers { which }).await.unwrap_err();
    assert_eq!(error.code, "LoadBalancerNotFound");

    account.ask(SetSubnets { arn: arn(), subnets: mappings(&ground.public), source_nat: None }).await;
    let security_groups = vec![ground.node_group.clone()];
    account.ask(SetSecurityGroups { arn: arn(), security_groups, private_link_rules: Some(false) }).await;
    account.ask(SetIpAddressType { arn: arn(), ip_address_type: IpAddressType::Dualstack }).await;
    let found = account.ask(DescribeLoadBalancers { which: Which::Arns(vec![arn()]) }).await.remove(0);
    assert_eq!((found.zones.len(), found.ip_address_type), (3, IpAddressType::Dualstack));
    assert_eq!(found.security_groups, std::slice::from_ref(&ground.node_group));

    let cross_zone = map([("load_balancing.cross_zone.enabled", "true")]);
    account.ask(ModifyLoadBalancerAttributes { arn: arn(), attributes: cross_zone }).await;
    let attributes = account.ask(DescribeLoadBalancerAttributes { arn: arn() }).await;
    assert_eq!(attributes["load_balancing.cross_zone.enabled"], "true");
    account.ask(DescribeCapacityReservation { arn: arn() }).await;
    // The one call that moto does not know; it says so with a page for people.
    let error = account.try_ask(ModifyCapacityReservation { arn: arn(), units: 10 }).await.unwrap_err();
    assert_eq!(
        (error.code.as_str(), error.status.is_some_and(|status| status >= 400)),
        (ApiError::GARBLED, true)
    );
    made(
        account,
        &[
            "CreateLoadBalancer",
            "DescribeLoadBalancers",
            "DescribeLoadBalancers",
            "SetSubnets",
            "SetSecurityGroups",
            "SetIpAddressType",
            "DescribeLoadBalancers",
            "ModifyLoadBalancerAttributes",
            "DescribeLoadBalancerAttributes",
            "DescribeCapacityReservation",
            "ModifyCapacityReservation",
        ],
    );
}

async fn target_groups(account: &Account, ground: &Ground) {
    let wanted = target_group("web-80", &ground.vpc);
    let created = account.ask(wanted.clone()).await;
    let arn = || created.arn.clone();
    let read =
        (created.name.clone(), created.protocol, created.port, created.target_type, created.vpc.clone());
    assert_eq!(read, (wanted.name, wanted.protocol, wanted.port, wanted.target_type, wanted.vpc));
    assert_eq!((created.family, &created.health), (Family::V4, &wanted.health));
    let error = account.try_ask(target_group("web-80", &ground.vpc)).await.unwrap_err();
    assert_eq!(error.code, "DuplicateTargetGroupName");
    let health = HealthCheck {
        protocol: HealthProtocol::Tcp,
        port: None,
        path: None,
        codes: None,
        interval: 30,
        timeout: 10,
        healthy: 3,
        unhealthy: 3,
    };
    account.ask(ModifyTargetGroup { arn: arn(), health: health.clone() }).await;
    let found = account.ask(DescribeTargetGroups { which: Which::Arns(vec![arn()]) }).await.remove(0);
    assert_eq!(found.health, health);
    let attributes = map([("proxy_protocol_v2.enabled", "true")]);
    account.ask(ModifyTargetGroupAttributes { arn: arn(), attributes }).await;
    let attributes = account.ask(DescribeTargetGroupAttributes { arn: arn() }).await;
    assert_eq!(attributes["proxy_protocol_v2.enabled"], "true");

    let target = |number: usize| Target { id: ground.instances[number].id.clone(), port: 30080, zone: None };
    account.ask(RegisterTargets { arn: arn(), targets: vec![target(0), target(1)] }).await;
    let health = account.ask(DescribeTargetHealth { arn: arn() }).await;
    let mut ids: Vec<&str> = health.iter().map(|one| one.target.id.as_str()).collect();
    ids.sort_unstable();
    let mut expected: Vec<&str> = ground.instances.iter().map(|one| one.id.as_str()).collect();
    expected.sort_unstable();
    assert_eq!(ids, expected);
    assert!(
        health.iter().all(|one| one.state == TargetState::Healthy && one.target.port == 30080),
        "{health:?}"
    );
    account.ask(DeregisterTargets { arn: arn(), targets: vec![target(0)] }).await;
    let health = account.ask(DescribeTargetHealth { arn: arn() }).await;
    assert_eq!(health.iter().map(|one| &one.target.id).collect::<Vec<_>>(), [&ground.instances[1].id]);
    let plain = CreateTargetGroup {
        target_type: TargetType::Ip,
        family: Family::V6,
        protocol: NlbProtocol::Udp,
        ..target_group("web-53", &ground.vpc)
    };
    let created = account.ask(plain).await;
    assert_eq!(
        (created.family, created.protocol, created.target_type),
        (Family::V6, NlbProtocol::Udp, TargetType::Ip)
    );
    made(
        account,
        &[
            "CreateTargetGroup",
            "CreateTargetGroup",
            "ModifyTargetGroup",
            "DescribeTargetGroups",
            "ModifyTargetGroupAttributes",
            "DescribeTargetGroupAttributes",
            "RegisterTargets",
            "DescribeTargetHealth",
            "DeregisterTargets",
            "DescribeTargetHealth",
            "CreateTargetGroup",
        ],
    );
}

async fn listeners(account: &Account) -> String {
    let load_balancer = account.ask(DescribeLoadBalancers { which: Which::All }).await.remove(0).arn;
    let names = vec!["web-80".to_owned()];
    let group = account.ask(DescribeTargetGroups { which: Which::Names(names) }).await.remove(0).arn;
    assert_eq!(account.ask(DescribeListeners { load_balancer: load_balancer.clone() }).await, []);
    account.proxy.take_log();
    let forward = vec![Forward { target_group: group.clone(), weight: 1 }];
    let wanted = CreateListener {
        load_balancer: load_balancer.clone(),
        port: 80,
        protocol: NlbProtocol::Tcp,
        forward: forward.clone(),
        certificate: None,
        policy: None,
        alpn: None,
        tags: map([]),
    };
    let created = account.ask(wanted.clone()).await;
    let arn = || created.arn.clone();
    assert_eq!((created.port, created.protocol, &created.forward), (80, NlbProtocol::Tcp, &forward));
    let tls = CreateListener {
        port: 443,
        protocol: NlbProtocol::Tls,
        certificate: Some(format!("arn:aws:acm:{REGION}:111111111111:certificate/none")),
        policy: Some("ELBSecurityPolicy-TLS13-1-2-2021-06".to_owned()),
        ..wanted
    };
    assert_eq!(account.try_ask(tls).await.unwrap_err().code, "CertificateNotFound");
    // Moto moves the port of no listener and changes what is sent alone.
    let other = account.ask(DescribeTargetGroups { which: Which::Names(vec!["web-53".to_owned()]) }).await;
    let both = vec![
        Forward { target_group: group.clone(), weight: 10 },
        Forward { target_group: other[0].arn.clone(), weight: 0 },
    ];
    let change = ModifyListener {
        arn: arn(),
        protocol: None,
        forward: Some(both.clone()),
        certificate: None,
        policy: None,
        alpn: None,
    };
    account.ask(change.clone()).await;
    let found = account.ask(DescribeListeners { load_balancer }).await.remove(0);
    let mut sorted = both;
    sorted.sort();
    assert_eq!((found.forward, found.policy), (sorted, None));
    account.ask(ModifyListener { forward: Some(forward), ..change }).await;
    let attributes = map([("tcp.idle_timeout.seconds", "400")]);
    account.ask(ModifyListenerAttributes { arn: arn(), attributes }).await;
    let attributes = account.ask(DescribeListenerAttributes { arn: arn() }).await;
    assert_eq!(attributes["tcp.idle_timeout.seconds"], "400");
    // Moto takes the first for the default one, which is not told.
    let certificate = |name: &str| format!("arn:aws:acm:{REGION}:111111111111:certificate/{name}");
    let certificates = vec![certificate("default"), certificate("more")];
    account.ask(AddListenerCertificates { arn: arn(), certificates: certificates.clone() }).await;
    assert_eq!(account.ask(DescribeListenerCertificates { arn: arn() }).await, certificates[1..]);
    account.ask(RemoveListenerCertificates { arn: arn(), certificates }).await;
    assert_eq!(account.ask(DescribeListenerCertificates { arn: arn() }).await, Vec::<String>::new());
    made(
        account,
        &[
            "CreateListener",
            "CreateListener",
            "DescribeTargetGroups",
            "ModifyListener",
            "DescribeListeners",
            "ModifyListener",
            "ModifyListenerAttributes",
            "DescribeListenerAttributes",
            "AddListenerCertificates",
            "DescribeListenerCertificates",
            "RemoveListenerCertificates",
            "DescribeListenerCertificates",
        ],
    );
    arn()
}

async fn tags_and_limits(account: &Account) {
    let arn = account.ask(DescribeLoadBalancers { which: Which::All }).await.remove(0).arn;
    account.proxy.take_log();
    account.ask(AddTags { arn: arn.clone(), tags: map([("more", "a & b"), ("gone", "")]) }).await;
    account.ask(RemoveTags { arn: arn.clone(), keys: vec!["gone".to_owned()] }).await;
    let tags = account.ask(DescribeTags { arns: vec![arn.clone()] }).await;
    assert_eq!(tags[&arn], map([("daymark.dev/cluster", "lab"), ("more", "a & b")]));
    let limits = account.ask(DescribeAccountLimits {}).await;
    assert!(limits.iter().any(|limit| limit.name == "network-load-balancers" && limit.max > 0), "{limits:?}");
    made(account, &["AddTags", "RemoveTags", "DescribeTags", "DescribeAccountLimits"]);
}

async fn everything_goes(account: &Account, listener: String) {
    let load_balancer = account.ask(DescribeLoadBalancers { which: Which::All }).await.remove(0).arn;
    let groups = account.ask(DescribeTargetGroups { which: Which::All }).await;
    let used = groups.iter().find(|group| group.name == "web-80").unwrap();
    assert_eq!(used.load_balancers, std::slice::from_ref(&load_balancer));
    let error = account.try_ask(DeleteTargetGroup { arn: used.arn.clone() }).await.unwrap_err();
    assert_eq!(error.code, "ResourceInUse");
    account.ask(DeleteListener { arn: listener.clone() }).await;
    account.ask(DeleteListener { arn: listener }).await;
    account.ask(DeleteLoadBalancer { arn: load_balancer.clone() }).await;
    account.ask(DeleteLoadBalancer { arn: load_balancer }).await;
    for group in &groups {
        account.ask(DeleteTargetGroup { arn: group.arn.clone() }).await;
        account.ask(DeleteTargetGroup { arn: group.arn.clone() }).await;
    }
    assert_eq!(account.ask(DescribeLoadBalancers { which: Which::All }).await, []);
    assert_eq!(account.ask(DescribeTargetGroups { which: Which::All }).await, []);
}
