//! The SDK against moto, through a proxy that fails as AWS does: each call once, pages, and what goes wrong.
#![allow(clippy::unwrap_used)]

#[path = "aws_wire/ec2.rs"]
mod ec2;
#[path = "aws_wire/load_balancing.rs"]
mod load_balancing;

use std::collections::BTreeMap;
use std::time::Duration;

use daymark_aws::api::{
    ApiError, Call, CreateLoadBalancer, CreateTargetGroup, DescribeLoadBalancers, DescribeTargetGroups,
    DescribeVpcs, HealthCheck, HealthProtocol, IpAddressType, NlbProtocol, Scheme, SubnetMapping, TargetType,
    Which, ask,
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
