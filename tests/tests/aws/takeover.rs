//! What others made: a load balancer by its ARN, and what the AWS Load Balancer Controller left.

use std::time::Duration;

use daymark_tests::{Result, ensure, wait_for};
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use kube::api::{Patch, PatchParams, PostParams};
use serde_json::json;

use crate::common;
use crate::stage::{PATIENCE, Stage, service};

const LBC_CLASS: &str = "service.k8s.aws/nlb";

#[tokio::test(flavor = "multi_thread")]
async fn what_the_other_controller_made_is_taken_over_and_nothing_is_made_anew() -> Result<()> {
    let stage = Stage::set_without_profile("aws-lbc").await?;
    let aws = stage.aws();
    let tag = |number: usize, key: &str, value: &str| {
        [
            (format!("Tags.member.{number}.Key"), key.to_owned()),
            (format!("Tags.member.{number}.Value"), value.to_owned()),
        ]
    };
    let tags = |resource: &str| -> Vec<(String, String)> {
        [
            ("elbv2.k8s.aws/cluster", "old"),
            ("service.k8s.aws/stack", "default/web"),
            ("service.k8s.aws/resource", resource),
        ]
        .iter()
        .enumerate()
        .flat_map(|(i, (key, value))| tag(i + 1, key, value))
        .collect()
    };
    let call = async |action: &str, fields: Vec<(String, String)>| {
        let fields: Vec<(&str, &str)> = fields.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        aws.elb(action, &fields).await
    };
    let own = |fields: &[(&str, &str)]| -> Vec<(String, String)> {
        fields.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
    };
    // A Service first: its node port is what the target group's targets are reached at.
    let yaml = service("web", &[("type", "external"), ("nlb-target-type", "instance")], "[{port: 80}]")
        .replace(crate::stage::CLASS, LBC_CLASS);
    stage.lab.apply(&yaml).await?;
    let services = stage.lab.namespaced::<Service>("default");
    let theirs = json!({"metadata": {"finalizers": ["service.k8s.aws/resources"]}});
    services.patch("web", &PatchParams::default(), &Patch::Merge(&theirs)).await?;
    let node_port = common::get(&stage.lab, "web").await?["spec"]["ports"][0]["nodePort"].to_string();

    let group =
        [("GroupName", "k8s-default-web-managed"), ("GroupDescription", "lbc"), ("VpcId", &stage.ground.vpc)];
    let theirs = aws.ec2("CreateSecurityGroup", &group).await?.first("groupId")?;
    for (key, value) in [
        ("elbv2.k8s.aws/cluster", "old"),
        ("service.k8s.aws/stack", "default/web"),
        ("service.k8s.aws/resource", "ManagedLBSecurityGroup"),
    ] {
        aws.ec2(
            "CreateTags",
            &[("ResourceId.1", theirs.as_str()), ("Tag.1.Key", key), ("Tag.1.Value", value)],
        )
        .await?;
    }
    let mut fields =
        own(&[("Name", "k8s-default-web-0123456789"), ("Type", "network"), ("Scheme", "internal")]);
    fields.extend(
        stage
            .ground
            .private
            .iter()
            .enumerate()
            .map(|(i, s)| (format!("Subnets.member.{}", i + 1), s.clone())),
    );
    fields.push(("SecurityGroups.member.1".to_owned(), theirs.clone()));
    fields.extend(tags("LoadBalancer"));
    let balancer = call("CreateLoadBalancer", fields).await?.first("LoadBalancerArn")?;
    let mut fields = own(&[
        ("Name", "k8s-default-web-abcdef0123"),
        ("Protocol", "TCP"),
        ("Port", &node_port),
        ("VpcId", &stage.ground.vpc),
        ("TargetType", "instance"),
        ("HealthCheckProtocol", "TCP"),
    ]);
    fields.extend(tags("default/web:80"));
    let group = call("CreateTargetGroup", fields).await?.first("TargetGroupArn")?;
    for instance in &stage.ground.instances {
        let fields = own(&[
            ("TargetGroupArn", &group),
            ("Targets.member.1.Id", &instance.id),
            ("Targets.member.1.Port", &node_port),
        ]);
        call("RegisterTargets", fields).await?;
    }
    let mut fields = own(&[
        ("LoadBalancerArn", &balancer),
        ("Protocol", "TCP"),
        ("Port", "80"),
        ("DefaultActions.member.1.Type", "forward"),
        ("DefaultActions.member.1.TargetGroupArn", &group),
    ]);
    fields.extend(tags("80"));
    let listener = call("CreateListener", fields).await?.first("ListenerArn")?;

    // It still runs: nothing is touched.
    let leases = stage.lab.namespaced::<Lease>("kube-system");
    let lease = Lease {
        metadata: ObjectMeta {
            name: Some("aws-load-balancer-controller-leader".to_owned()),
            ..ObjectMeta::default()
        },
        spec: Some(LeaseSpec { holder_identity: Some("lbc-0".to_owned()), ..LeaseSpec::default() }),
    };
    leases.create(&PostParams::default(), &lease).await?;
    let renewals = leases.clone();
    let renewing = tokio::spawn(async move {
        loop {
            let now = MicroTime(k8s_openapi::jiff::Timestamp::now());
            let patch = json!({"spec": {"renewTime": now}});
            let name = "aws-load-balancer-controller-leader";
            let _ = renewals.patch(name, &PatchParams::default(), &Patch::Merge(&patch)).await;
            tokio::time::sleep(Duration::from_secs(2)).await;
        }
    });
    stage.profile("lbc", LBC_CLASS, "adoptLBC: true, lbcClusterName: old, replacementGrace: 5s").await?;
    stage.lab.start_controller("a").await?;
    let message = stage.told("web", "False", "RivalRunning").await?;
    ensure!(message.contains("lbc-0") && message.contains("scale it down"), "{message}");
    let touched = stage.proxy.log();
    ensure!(touched.is_empty(), "{touched:?}");
    renewing.abort();

    // It is gone: the plan is shown, and only that.
    let told = wait_for("the plan to be shown", PATIENCE, async || {
        let told = stage.provisioned("web").await?;
        ensure!(told.as_ref().is_some_and(|(_, reason, _)| reason == "PlanPending"), "{told:?}");
        Ok(told.unwrap())
    })
    .await?;
    ensure!(told.2.contains("k8s-default-web-0123456789"), "{told:?}");
    ensure!(!stage.tags(&balancer).await?.contains_key("daymark.dev/cluster"));
    let hash = stage.consent("web").await?;
    stage.annotate("web", "daymark.dev/allow-replacement", Some(&hash)).await?;
    stage.hostname("web").await?;
    wait_for("our tags and our finalizer", PATIENCE, async || {
        let tags = stage.tags(&balancer).await?;
        ensure!(tags.get("daymark.dev/owner").is_some_and(|owner| owner == "default/web"), "{tags:?}");
        let found = services.get("web").await?.metadata.finalizers.unwrap_or_default();
        ensure!(found == ["service.kubernetes.io/load-balancer-cleanup"], "{found:?}");
        Ok(())
    })
    .await?;
    let made: Vec<String> = stage
        .proxy
        .log()
        .into_iter()
        .map(|call| call.action)
        .filter(|a| ["CreateLoadBalancer", "CreateListener"].contains(&a.as_str()))
        .collect();
    ensure!(made.is_empty(), "{made:?}");
    let all = stage.balancers().await?;
    ensure!(all.len() == 1 && all[0].arn == balancer, "{all:?}");
    let now = stage.aws().elb("DescribeListeners", &[("LoadBalancerArn", &balancer)]).await?;
    assert_eq!(now.all("ListenerArn"), [listener]);
    stage.delete("web").await?;
    stage.nothing_left().await?;
    stage.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_load_balancer_of_somebody_else_is_used_and_given_back() -> Result<()> {
    let stage = Stage::set("aws-adopt", "").await?;
    let mut fields = vec![
        ("Name".to_owned(), "theirs".to_owned()),
        ("Type".to_owned(), "network".to_owned()),
        ("Scheme".to_owned(), "internal".to_owned()),
    ];
    fields.extend(
        stage
            .ground
            .private
            .iter()
            .enumerate()
            .map(|(i, s)| (format!("Subnets.member.{}", i + 1), s.clone())),
    );
    let fields: Vec<(&str, &str)> = fields.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    let arn = stage.aws().elb("CreateLoadBalancer", &fields).await?.first("LoadBalancerArn")?;
    stage.lab.apply(&service("web", &[("daymark.dev/adopt", &arn)], "[{port: 80}]")).await?;
    stage.told("web", "False", "PlanPending").await?;
    let hash = stage.consent("web").await?;
    stage.annotate("web", "daymark.dev/allow-replacement", Some(&hash)).await?;
    let hostname = stage.hostname("web").await?;
    ensure!(hostname.starts_with("theirs"), "{hostname}");
    stage.only_balancer("our listener on theirs", |b| b.arn == arn && b.listeners.contains_key(&80)).await?;
    stage.delete("web").await?;
    let left =
        stage.only_balancer("without our listener", |b| b.arn == arn && b.listeners.is_empty()).await?;
    ensure!(!left.tags.keys().any(|key| key.starts_with("daymark.dev/")), "{left:?}");
    let groups = stage.target_groups().await?;
    ensure!(groups.is_empty(), "{groups:?}");
    stage.finish().await
}
