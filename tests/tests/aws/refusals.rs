//! What cannot be: told with cause and remedy, and nothing else is kept from going on.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use daymark_tests::aws::{Fault, Rule};
use daymark_tests::{Result, ensure, wait_for};

use crate::common;
use crate::stage::{PATIENCE, Stage, service};

/// A Service's name and annotations; the reason that it is told (empty = any), and what the message says among others.
type Case<'a> = (&'a str, Vec<(&'a str, &'a str)>, &'a str, &'a str);

#[tokio::test(flavor = "multi_thread")]
async fn every_refusal_names_cause_and_remedy_and_others_go_on() -> Result<()> {
    let stage = Stage::set("aws-refusals", "").await?;
    let [a, b] = [&stage.ground.public[0], &stage.ground.public[1]];
    let both = format!("{a},{b}");
    let one_zone = format!("{a},{}", stage.ground.private[0]);
    let internet = ("scheme", "internet-facing");
    let cases: [Case<'_>; 8] = [
        ("typo", vec![("subnet", a)], "UnknownAnnotation", "did you mean subnets"),
        ("own-typo", vec![("daymark.dev/grup", "x")], "UnknownAnnotation", "did you mean"),
        ("quic", vec![("quic-enabled-ports", "80")], "", "not supported"),
        (
            "eips",
            vec![internet, ("subnets", &both), ("eip-allocations", "eipalloc-1")],
            "",
            "eip-allocations",
        ),
        ("private", vec![internet, ("private-ipv4-addresses", "10.100.0.9")], "", "private-ipv4-addresses"),
        ("no-subnet", vec![("subnets", "subnet-00000000000000000")], "", "subnet-00000000000000000"),
        ("one-zone", vec![("subnets", &one_zone)], "SubnetsInOneZone", "zone"),
        ("no-cert", vec![("ssl-ports", "80")], "", "ssl-cert"),
    ];
    for (name, annotations, ..) in &cases {
        stage.lab.apply(&service(name, annotations, "[{port: 80}]")).await?;
    }
    stage.lab.apply(&service("fine", &[], "[{port: 80}]")).await?;
    stage.hostname("fine").await?;
    for (name, _, reason, part) in &cases {
        wait_for(format_args!("{name} to be refused"), PATIENCE, async || {
            let told = stage.provisioned(name).await?;
            let fits = told.as_ref().is_some_and(|(status, why, message)| {
                status == "False" && (reason.is_empty() || why == reason) && message.contains(part)
            });
            ensure!(fits, "{told:?}, not {reason} with {part}");
            Ok(())
        })
        .await?;
    }
    ensure!(stage.balancers().await?.len() == 1, "{:?}", stage.balancers().await?);

    // Corrected, it is served.
    stage.annotate("typo", "service.beta.kubernetes.io/aws-load-balancer-subnet", None).await?;
    stage.hostname("typo").await?;
    for (name, ..) in &cases {
        stage.delete(name).await?;
    }
    stage.delete("fine").await?;
    stage.nothing_left().await?;
    stage.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_right_is_named_and_not_asked_for_again_and_again() -> Result<()> {
    let stage = Stage::set("aws-rights", "").await?;
    stage.proxy.inject(Rule::on("CreateTargetGroup", Fault::ACCESS_DENIED));
    stage.lab.apply(&service("web", &[], "[{port: 80}]")).await?;
    let message = stage.told("web", "False", "PermissionDenied").await?;
    ensure!(message.contains("elasticloadbalancing:CreateTargetGroup"), "{message}");
    let before = stage.proxy.count("CreateTargetGroup");
    ensure!(before <= 2, "{before} calls");
    wait_for("the action in the status", PATIENCE, async || {
        let error = stage.objects().await?["default/web"]["status"]["lastError"].clone();
        ensure!(error["action"] == "elasticloadbalancing:CreateTargetGroup", "{error}");
        ensure!(error["remedy"].as_str().is_some_and(|remedy| !remedy.is_empty()), "{error}");
        Ok(())
    })
    .await?;
    let after = stage.proxy.count("CreateTargetGroup");
    ensure!(after <= 2, "{after} calls");
    stage.proxy.heal();
    // A change of the Service is tried at once.
    stage.annotate("web", "example.com/touched", Some("yes")).await?;
    stage.hostname("web").await?;

    stage.proxy.inject(Rule::everywhere(Fault::EXPIRED_TOKEN));
    stage
        .annotate(
            "web",
            "service.beta.kubernetes.io/aws-load-balancer-attributes",
            Some("load_balancing.cross_zone.enabled=true"),
        )
        .await?;
    stage.told("web", "False", "CredentialsExpired").await?;
    stage.proxy.heal();
    stage.annotate("web", "example.com/touched", Some("again")).await?;
    stage.hostname("web").await?;
    stage.delete("web").await?;
    stage.nothing_left().await?;
    stage.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_typing_mistake_takes_nobodys_traffic_away() -> Result<()> {
    let stage = Stage::set("aws-typo", "").await?;
    let ip = [("nlb-target-type", "ip")];
    stage.lab.apply(&service("web", &ip, "[{port: 80, targetPort: 8080}]")).await?;
    let first = stage.lab.pod("n1", "web-1", &[("app", "web")], &[8080]).await?;
    stage.hostname("web").await?;
    let served_by = async |what: &str, addresses: &[Ipv4Addr]| {
        let wanted: BTreeSet<(String, u16)> =
            addresses.iter().map(|address| (address.to_string(), 8080)).collect();
        wait_for(format_args!("the targets {what}"), PATIENCE, async || {
            let groups: Vec<_> = stage.target_groups().await?.into_values().collect();
            ensure!(groups == [wanted.clone()], "{groups:?}, not {wanted:?}");
            Ok(())
        })
        .await
    };
    served_by("of the first pod", &[first.addresses().v4]).await?;

    stage.annotate("web", "daymark.dev/deletion-polcy", Some("Retain")).await?;
    let message = stage.told("web", "False", "UnknownAnnotation").await?;
    ensure!(message.contains("stays as it is"), "{message}");
    let second = stage.lab.pod("n2", "web-2", &[("app", "web")], &[8080]).await?;
    served_by("of both pods", &[first.addresses().v4, second.addresses().v4]).await?;
    stage.lab.kubectl(&["delete", "pod", "web-1", "--force", "--grace-period=0"]).await?;
    served_by("of the second pod", &[second.addresses().v4]).await?;
    let listeners = stage.only_balancer("it stands", |_| true).await?.listeners;
    ensure!(listeners.len() == 1, "{listeners:?}");
    let ingress = common::get(&stage.lab, "web").await?["status"]["loadBalancer"]["ingress"].clone();
    ensure!(ingress[0]["hostname"].is_string(), "{ingress}");

    stage.annotate("web", "daymark.dev/deletion-polcy", None).await?;
    stage.hostname("web").await?;
    stage.delete("web").await?;
    stage.nothing_left().await?;
    stage.finish().await
}
