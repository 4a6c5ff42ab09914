use std::collections::BTreeSet;
use std::time::Duration;

use daymark_aws::api::{ModifyLoadBalancerAttributes, Tags};
use daymark_aws_fake::{Aws, Fault, On};
use serde_json::json;
use tokio::time::Instant;

use super::guard::{Cares, cares};
use super::{Kind, Order, find, purge, render};
use crate::output::Width;
use crate::plan::tests::{fake_service, provisioned};

fn order(kinds: &[Kind]) -> Order {
    Order {
        cluster: "test".into(),
        kinds: kinds.iter().copied().collect(),
        timeout: Duration::from_secs(900),
    }
}

async fn account() -> Aws {
    let aws = Aws::builder().build();
    provisioned(&aws, &fake_service(&[])).await;
    aws.foreign_load_balancer("other", Tags::from([("daymark.dev/cluster".into(), "another".into())]))
        .unwrap();
    aws.reset_calls();
    aws
}

#[tokio::test(start_paused = true)]
async fn looking_changes_nothing() {
    let aws = account().await;
    let report = find(&aws, &order(&[])).await.unwrap();
    let kinds: Vec<Kind> = report.left.iter().map(|found| found.kind).collect();
    assert_eq!(kinds, [Kind::LoadBalancer, Kind::TargetGroup, Kind::SecurityGroup, Kind::SecurityGroup]);
    assert_eq!(report.left[0].owner, "shop/web");
    assert!(aws.writes().is_empty(), "{:?}", aws.writes());
    let text = render::text(&report, Width::Usual);
    assert!(text.contains("--yes deletes it"), "{text}");
    let only = find(&aws, &order(&[Kind::TargetGroup])).await.unwrap();
    assert_eq!(only.left.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn everything_goes_and_nobody_elses() {
    let aws = account().await;
    aws.fail(On::action("DeleteLoadBalancer"), 1, Fault::Throttled);
    let mut lines = Vec::new();
    let report = purge(&aws, &order(&[]), |line| lines.push(line.to_owned())).await.unwrap();
    assert_eq!((report.deleted.len(), report.left.len()), (4, 0), "{report:?} {lines:?}");
    assert_eq!(aws.leaked("test"), Vec::<String>::new());
    assert_eq!(aws.snapshot().load_balancers.len(), 1);
    let told = |what: &str| {
        lines.iter().position(|line| line.starts_with(what) && line.ends_with("deleted")).unwrap()
    };
    assert!(told("LoadBalancer") < told("SecurityGroup"), "{lines:?}");
    assert!(
        lines.iter().any(|line| line.starts_with("SecurityGroup") && line.contains("waits")),
        "{lines:?}"
    );
    let again = purge(&aws, &order(&[]), |_| {}).await.unwrap();
    assert!(render::text(&again, Width::Usual).contains("nothing has the tag daymark.dev/cluster=test"));
}

#[tokio::test(start_paused = true)]
async fn what_is_protected_stays_and_says_why() {
    let aws = account().await;
    let arn = find(&aws, &order(&[])).await.unwrap().left[0].id.clone();
    let attributes = [("deletion_protection.enabled".to_owned(), "true".to_owned())].into();
    aws.as_other(ModifyLoadBalancerAttributes { arn, attributes }).unwrap();
    let began = Instant::now();
    let report = purge(&aws, &order(&[]), |_| {}).await.unwrap();
    assert!(began.elapsed() < Duration::from_secs(300), "{:?}", began.elapsed());
    let balancer = report.left.iter().find(|found| found.kind == Kind::LoadBalancer).unwrap();
    assert!(balancer.why.as_ref().unwrap().contains("deletion protection"), "{report:?}");
    let groups: Vec<_> = report.left.iter().filter(|found| found.kind == Kind::SecurityGroup).collect();
    assert!(
        groups.iter().all(|g| g.why.as_ref().unwrap().contains("network interfaces have it: eni-")),
        "{groups:?}"
    );
    assert!(render::text(&report, Width::Usual).contains("Left:"));
}

#[tokio::test(start_paused = true)]
async fn what_cannot_go_is_not_waited_for() {
    let aws = account().await;
    let began = Instant::now();
    let report = purge(&aws, &order(&[Kind::TargetGroup]), |_| {}).await.unwrap();
    assert_eq!((report.deleted.len(), report.left.len()), (0, 1), "{report:?}");
    assert!(report.left[0].why.as_ref().unwrap().contains("in use"), "{report:?}");
    assert!(began.elapsed() < Duration::from_secs(60), "{:?}", began.elapsed());
    assert_eq!(aws.count("DeleteLoadBalancer"), 0);
    aws.deny("DeleteSecurityGroup");
    let report = purge(&aws, &order(&[]), |_| {}).await.unwrap();
    let left: BTreeSet<Kind> = report.left.iter().map(|found| found.kind).collect();
    assert_eq!(left, [Kind::SecurityGroup].into(), "{report:?}");
    assert!(report.left[0].why.as_ref().unwrap().contains("ec2:DeleteSecurityGroup"), "{report:?}");
}

#[tokio::test(start_paused = true)]
async fn who_may_not_look_is_told_so() {
    let aws = account().await;
    aws.deny("DescribeLoadBalancers");
    let error = purge(&aws, &order(&[]), |_| {}).await.unwrap_err();
    assert!(error.to_string().contains("elasticloadbalancing:DescribeLoadBalancers"), "{error}");
    assert!(aws.writes().is_empty());
}

#[test]
fn a_cluster_that_lives_keeps_what_is_its_own() {
    let object = |cluster: &str| json!({"metadata": {"namespace": "shop", "name": "web"}, "spec": {"place": {"cluster": cluster}}});
    assert_eq!(cares(&[object("another")], "test"), Cares::No);
    let lives = cares(&[object("another"), object("test")], "test");
    assert_eq!(lives, Cares::For(vec!["shop/web".into()]));
    assert!(lives.objection("test").unwrap().contains("--force"));
    assert!(Cares::NotTold("403".into()).objection("test").is_some());
    assert_eq!(Cares::NotReached("refused".into()).objection("test"), None);
}
