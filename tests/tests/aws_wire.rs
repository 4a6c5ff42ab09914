//! The SDK against moto, through a proxy that fails as AWS does: each call once, pages, and what goes wrong.

use std::collections::BTreeMap;
use std::time::Duration;

use daymark_aws::api::{
    AddListenerCertificates, AddTags, ApiError, AuthorizeSecurityGroupIngress, Call, CreateListener,
    CreateLoadBalancer, CreateSecurityGroup, CreateTags, CreateTargetGroup, DeleteListener,
    DeleteLoadBalancer, DeleteSecurityGroup, DeleteTags, DeleteTargetGroup, DeregisterTargets,
    DescribeAccountLimits, DescribeAddresses, DescribeCapacityReservation, DescribeListenerAttributes,
    DescribeListenerCertificates, DescribeListeners, DescribeLoadBalancerAttributes, DescribeLoadBalancers,
    DescribeNetworkInterfaces, DescribeRouteTables, DescribeSecurityGroupRules, DescribeSecurityGroups,
    DescribeSubnets, DescribeTags, DescribeTargetGroupAttributes, DescribeTargetGroups, DescribeTargetHealth,
    DescribeVpcs, Filter, Forward, HealthCheck, HealthProtocol, Ingress, IpAddressType, LoadBalancerState,
    ModifyCapacityReservation, ModifyListener, ModifyListenerAttributes, ModifyLoadBalancerAttributes,
    ModifyTargetGroup, ModifyTargetGroupAttributes, NlbProtocol, Peer, RegisterTargets,
    RemoveListenerCertificates, RemoveTags, RevokeSecurityGroupIngress, RuleProtocol, Scheme,
    SetIpAddressType, SetSecurityGroups, SetSubnets, SubnetMapping, Target, TargetState, TargetType, Which,
    ask,
};
use daymark_aws::sdk::{Sdk, Settings};
use daymark_model::Family;
use daymark_tests::Lab;
use daymark_tests::aws::{Fault, FaultProxy, Ground, Moto, Outcome, REGION, Rule};

/// An account of moto behind a proxy, and the SDK that asks it.
struct Account {
    proxy: FaultProxy,
    sdk: Sdk,
}

impl Account {
    async fn new(moto: &Moto, number: &str) -> Self {
        let proxy = FaultProxy::start(moto, number).await.unwrap();
        let settings =
            Settings { region: Some(REGION.to_owned()), endpoint: Some(proxy.endpoint()), role_arn: None };
        let sdk = Sdk::connect_with_key(settings, "test", "test").await.unwrap();
        Self { proxy, sdk }
    }

    async fn try_ask<C: Call>(&self, call: C) -> Result<C::Answer, ApiError> {
        ask(&self.sdk, call).await
    }

    async fn ask<C: Call>(&self, call: C) -> C::Answer {
        self.try_ask(call).await.unwrap()
    }
}

fn mappings(subnets: &[String]) -> Vec<SubnetMapping> {
    let mapping = |subnet: &String| SubnetMapping { subnet: subnet.clone(), ..SubnetMapping::default() };
    subnets.iter().map(mapping).collect()
}

fn load_balancer(name: &str, subnets: &[String]) -> CreateLoadBalancer {
    CreateLoadBalancer {
        name: name.to_owned(),
        scheme: Scheme::InternetFacing,
        ip_address_type: IpAddressType::Ipv4,
        subnets: mappings(subnets),
        security_groups: Vec::new(),
        source_nat: false,
        tags: map([("daymark.dev/cluster", "lab")]),
    }
}

fn target_group(name: &str, vpc: &str) -> CreateTargetGroup {
    let health = HealthCheck {
        protocol: HealthProtocol::Http,
        port: Some(10256),
        path: Some("/healthz".to_owned()),
        codes: Some("200-399".to_owned()),
        interval: 10,
        timeout: 6,
        healthy: 2,
        unhealthy: 2,
    };
    CreateTargetGroup {
        name: name.to_owned(),
        protocol: NlbProtocol::Tcp,
        port: 30080,
        target_type: TargetType::Instance,
        family: Family::V4,
        vpc: vpc.to_owned(),
        health,
        tags: map([("daymark.dev/cluster", "lab")]),
    }
}

fn map<const N: usize>(pairs: [(&str, &str); N]) -> BTreeMap<String, String> {
    pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).into()
}

/// Takes the actions out of the log and fails where they are not these.
fn made(account: &Account, expected: &[&str]) {
    let log = account.proxy.take_log();
    let actions: Vec<&str> = log.iter().map(|call| call.action.as_str()).collect();
    assert_eq!(actions, expected);
}

#[tokio::test]
async fn each_call_of_load_balancing_once() {
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

#[tokio::test]
async fn each_call_of_ec2_once() {
    let moto = Moto::start().await.unwrap();
    let account = Account::new(&moto, "111111111111").await;
    let ground = Ground::lay(&account.proxy.past(), "lab", 2, 1).await.unwrap();
    network(&account, &ground).await;
    security_groups(&account, &ground).await;
}

async fn network(account: &Account, ground: &Ground) {
    let vpcs = account.ask(DescribeVpcs { ids: vec![ground.vpc.clone()] }).await;
    assert_eq!(vpcs[0].cidrs, ["10.100.0.0/16".parse().unwrap()]);
    let error = account.try_ask(DescribeVpcs { ids: vec!["vpc-0".to_owned()] }).await.unwrap_err();
    assert_eq!(error.code, "InvalidVpcID.NotFound");
    let filter = Filter {
        vpc: Some(ground.vpc.clone()),
        tags: [("kubernetes.io/role/elb".to_owned(), vec![String::new(), "1".to_owned()])].into(),
        ..Filter::default()
    };
    let mut subnets = account.ask(DescribeSubnets { filter }).await;
    subnets.sort_by(|a, b| a.zone.cmp(&b.zone));
    assert_eq!(subnets.iter().map(|one| one.id.clone()).collect::<Vec<_>>(), ground.public);
    assert_eq!((subnets[0].ipv4.to_string().as_str(), subnets[0].ipv6.len()), ("10.100.0.0/24", 0));
    assert_eq!((subnets[0].zone.as_str(), subnets[0].available > 200), ("eu-central-1a", true));
    let filter = Filter { ids: ground.private.clone(), ..Filter::default() };
    assert_eq!(account.ask(DescribeSubnets { filter }).await.len(), 2);

    let tables = account.ask(DescribeRouteTables { vpc: ground.vpc.clone() }).await;
    let public: Vec<_> = tables.iter().filter(|table| table.is_public).collect();
    assert_eq!((public.len(), public[0].is_main), (1, false));
    assert_eq!(public[0].subnets.len(), ground.public.len());
    assert_eq!(tables.iter().filter(|table| table.is_main).count(), 1);

    let interfaces = account.ask(DescribeNetworkInterfaces { group: ground.node_group.clone() }).await;
    assert_eq!(interfaces.len(), ground.instances.len());
    assert_eq!(interfaces[0].security_groups, std::slice::from_ref(&ground.node_group));

    let allocation = account.proxy.past().ec2("AllocateAddress", &[("Domain", "vpc")]).await.unwrap();
    let allocation = allocation.first("allocationId").unwrap();
    let addresses = account.ask(DescribeAddresses { allocations: vec![allocation.clone()] }).await;
    assert_eq!((addresses[0].allocation.as_str(), addresses[0].in_use), (allocation.as_str(), false));
    made(
        account,
        &[
            "DescribeVpcs",
            "DescribeVpcs",
            "DescribeSubnets",
            "DescribeSubnets",
            "DescribeRouteTables",
            "DescribeNetworkInterfaces",
            "DescribeAddresses",
        ],
    );
}

async fn security_groups(account: &Account, ground: &Ground) {
    let wanted = CreateSecurityGroup {
        name: "web".to_owned(),
        description: "of Service default/web".to_owned(),
        vpc: ground.vpc.clone(),
        tags: map([("daymark.dev/cluster", "lab")]),
    };
    let id = account.ask(wanted.clone()).await;
    assert_eq!(account.try_ask(wanted).await.unwrap_err().code, "InvalidGroup.Duplicate");
    account.ask(CreateTags { id: id.clone(), tags: map([("more", "1"), ("gone", "2")]) }).await;
    account.ask(DeleteTags { id: id.clone(), keys: vec!["gone".to_owned()] }).await;
    let filter = Filter { vpc: Some(ground.vpc.clone()), names: vec!["web".to_owned()], ..Filter::default() };
    let found = account.ask(DescribeSecurityGroups { filter }).await;
    assert_eq!((found.len(), found[0].id.as_str(), found[0].name.as_str()), (1, id.as_str(), "web"));
    assert_eq!(found[0].tags, map([("daymark.dev/cluster", "lab"), ("more", "1")]));

    let ingress = |protocol, from, to, peer| Ingress { protocol, from, to, peer };
    let mut rules = vec![
        ingress(RuleProtocol::Tcp, 80, 80, Peer::Cidr("0.0.0.0/0".parse().unwrap())),
        ingress(RuleProtocol::Udp, 53, 54, Peer::Cidr("2001:db8::/32".parse().unwrap())),
        ingress(RuleProtocol::Icmp, 3, 4, Peer::Cidr("10.0.0.0/8".parse().unwrap())),
        ingress(RuleProtocol::Tcp, 30000, 32767, Peer::Group(ground.node_group.clone())),
    ];
    let wanted = AuthorizeSecurityGroupIngress {
        group: id.clone(),
        rules: rules.clone(),
        description: "daymark".to_owned(),
    };
    account.ask(wanted.clone()).await;
    assert_eq!(account.try_ask(wanted).await.unwrap_err().code, "InvalidPermission.Duplicate");
    let found = account.ask(DescribeSecurityGroupRules { groups: vec![id.clone()] }).await;
    let mut read: Vec<Ingress> = found.iter().map(|rule| rule.ingress.clone()).collect();
    read.sort();
    rules.sort();
    assert_eq!(read, rules);
    let described = found.iter().filter(|rule| rule.description == "daymark").count();
    assert!(described >= 3, "moto lacks at most the description of the rule with a group: {found:?}");
    let ids = found.into_iter().map(|rule| rule.id).collect();
    account.ask(RevokeSecurityGroupIngress { group: id.clone(), rules: ids }).await;
    assert_eq!(account.ask(DescribeSecurityGroupRules { groups: vec![id.clone()] }).await, []);
    account.ask(DeleteSecurityGroup { id: id.clone() }).await;
    assert_eq!(account.try_ask(DeleteSecurityGroup { id }).await.unwrap_err().code, "InvalidGroup.NotFound");
    made(
        account,
        &[
            "CreateSecurityGroup",
            "CreateSecurityGroup",
            "CreateTags",
            "DeleteTags",
            "DescribeSecurityGroups",
            "AuthorizeSecurityGroupIngress",
            "AuthorizeSecurityGroupIngress",
            "DescribeSecurityGroupRules",
            "RevokeSecurityGroupIngress",
            "DescribeSecurityGroupRules",
            "DeleteSecurityGroup",
            "DeleteSecurityGroup",
        ],
    );
}

/// Moto gives fifty at once.
#[tokio::test]
async fn all_pages_come_and_accounts_are_apart() {
    let moto = Moto::start().await.unwrap();
    let account = Account::new(&moto, "111111111111").await;
    let other = Account::new(&moto, "222222222222").await;
    let ground = Ground::lay(&account.proxy.past(), "lab", 1, 0).await.unwrap();
    for number in 0..60 {
        account.ask(load_balancer(&format!("web-{number}"), &ground.public)).await;
    }
    account.proxy.take_log();
    let found = account.ask(DescribeLoadBalancers { which: Which::All }).await;
    let mut names: Vec<&str> = found.iter().map(|one| one.name.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), 60);
    made(&account, &["DescribeLoadBalancers", "DescribeLoadBalancers"]);
    assert_eq!(other.ask(DescribeLoadBalancers { which: Which::All }).await, []);
    moto.reset().await.unwrap();
    assert_eq!(account.ask(DescribeLoadBalancers { which: Which::All }).await, []);
}

#[tokio::test]
async fn what_goes_wrong_is_told_and_nothing_is_tried_twice() {
    let moto = Moto::start().await.unwrap();
    let account = Account::new(&moto, "111111111111").await;
    let ground = Ground::lay(&account.proxy.past(), "lab", 1, 0).await.unwrap();
    let throttled = |action: &str| Rule::on(action, Fault::Throttled).times(1);
    account.proxy.inject(throttled("CreateLoadBalancer"));
    account.proxy.inject(throttled("DescribeVpcs"));
    let create = || load_balancer("web", &ground.public);
    let vpcs = || DescribeVpcs { ids: vec![ground.vpc.clone()] };
    assert_eq!(account.try_ask(create()).await.unwrap_err().code, "Throttling");
    let error = account.try_ask(vpcs()).await.unwrap_err();
    assert_eq!((error.code.as_str(), error.status), ("RequestLimitExceeded", Some(503)));
    account.ask(create()).await;
    account.ask(vpcs()).await;
    made(&account, &["CreateLoadBalancer", "DescribeVpcs", "CreateLoadBalancer", "DescribeVpcs"]);

    let slow_down = Fault::Error { status: 503, code: "ServiceUnavailable", retry_after: Some(3) };
    let faults = [
        (Fault::INTERNAL, "InternalFailure", Some(500)),
        (Fault::ACCESS_DENIED, "AccessDenied", Some(403)),
        (Fault::EXPIRED_TOKEN, "ExpiredToken", Some(403)),
        (slow_down, "ServiceUnavailable", Some(503)),
        (Fault::Cut, ApiError::CONNECTION, None),
    ];
    for (fault, code, status) in faults {
        account.proxy.inject(Rule::everywhere(fault).times(1));
        let error = account.try_ask(vpcs()).await.unwrap_err();
        assert_eq!((error.code.as_str(), error.status), (code, status), "{error}");
        let wait = (code == "ServiceUnavailable").then(|| Duration::from_secs(3));
        assert_eq!(error.retry_after, wait, "{error}");
    }
    assert_eq!(account.proxy.count("DescribeVpcs"), 5);
    account.proxy.inject(Rule::everywhere(Fault::Delay(Duration::from_millis(50))));
    account.ask(vpcs()).await;
    account.proxy.heal();
    account.ask(vpcs()).await;
}

/// The answer is lost after the work is done: the error says so little that only looking helps.
#[tokio::test]
async fn a_lost_answer_leaves_what_was_made() {
    let moto = Moto::start().await.unwrap();
    let account = Account::new(&moto, "111111111111").await;
    let ground = Ground::lay(&account.proxy.past(), "lab", 1, 0).await.unwrap();
    account.proxy.inject(Rule::on("CreateTargetGroup", Fault::AnswerLost).after(1).times(1));
    account.ask(target_group("first", &ground.vpc)).await;
    let error = account.try_ask(target_group("second", &ground.vpc)).await.unwrap_err();
    assert_eq!((error.code.as_str(), error.status), (ApiError::CONNECTION, None), "{error}");
    assert_eq!(account.proxy.count("CreateTargetGroup"), 2);
    assert_eq!(account.proxy.log()[1].outcome, Outcome::Met(Fault::AnswerLost));
    let found = account.ask(DescribeTargetGroups { which: Which::Names(vec!["second".to_owned()]) }).await;
    assert_eq!(found[0].name, "second");
}

/// From a namespace of a lab, where controllers and nodes are.
#[tokio::test(flavor = "multi_thread")]
async fn the_hosts_of_a_lab_reach_the_proxy() {
    let lab = Lab::builder("aws").nodes(1).clients(0).without_daymark().start().await.unwrap();
    let moto = Moto::start().await.unwrap();
    let proxy = FaultProxy::in_lab(&lab, &moto, "111111111111").await.unwrap();
    let form = "Action=DescribeAccountLimits&Version=2015-12-01";
    let endpoint = proxy.endpoint();
    let scope = format!(
        "authorization: AWS4-HMAC-SHA256 Credential=t/20260101/{REGION}/elasticloadbalancing/aws4_request"
    );
    let arguments = ["-sS", "--max-time", "20", "-H", &scope, "-d", form, &endpoint];
    let answer = lab.nodes()[0].netns().run("curl", &arguments).await.unwrap();
    assert!(answer.contains("network-load-balancers"), "{answer}");
    assert_eq!(proxy.log()[0].outcome, Outcome::Answered(200));
    lab.finish().await.unwrap();
}
