//! From a first call to nothing left.

use std::collections::BTreeSet;

use daymark_tests::{Result, ensure, wait_for};
use k8s_openapi::api::core::v1::{Node, Service};
use kube::api::{Patch, PatchParams};
use serde_json::json;

use crate::common;
use crate::stage::{PATIENCE, Stage, service};

const TWO_PORTS: &str =
    "[{name: http, port: 80, targetPort: 8080}, {name: https, port: 443, targetPort: 8443}]";

#[tokio::test(flavor = "multi_thread")]
async fn a_service_gets_a_load_balancer_which_follows_it_and_leaves_nothing() -> Result<()> {
    let stage = Stage::set("aws-life", "").await?;
    stage.lab.apply(&service("web", &[("scheme", "internet-facing")], TWO_PORTS)).await?;
    let hostname = stage.hostname("web").await?;
    let balancer = stage.only_balancer("two listeners", |b| b.listeners.len() == 2).await?;
    ensure!(hostname.starts_with(&balancer.name), "{hostname} {balancer:?}");
    ensure!(
        balancer.scheme == "internet-facing" && balancer.name.starts_with("dm-default-web-"),
        "{balancer:?}"
    );
    assert_eq!(balancer.tags["daymark.dev/owner"], "default/web");
    let shown = common::get(&stage.lab, "web").await?;
    assert_eq!(
        shown["status"]["loadBalancer"]["ingress"][0]["ports"],
        json!([{"port": 80, "protocol": "TCP"}, {"port": 443, "protocol": "TCP"}])
    );
    assert_eq!(shown["metadata"]["finalizers"], json!(["service.kubernetes.io/load-balancer-cleanup"]));

    // Both nodes, at the node ports; the nodes let them in by one range.
    let node_ports: Vec<u16> = shown["spec"]["ports"]
        .as_array()
        .unwrap()
        .iter()
        .map(|p| p["nodePort"].as_u64().unwrap() as u16)
        .collect();
    let ids: Vec<&str> = stage.ground.instances.iter().map(|i| i.id.as_str()).collect();
    let wanted: BTreeSet<BTreeSet<(String, u16)>> =
        node_ports.iter().map(|port| ids.iter().map(|id| ((*id).to_owned(), *port)).collect()).collect();
    wait_for("targets in both groups", PATIENCE, async || {
        let found: BTreeSet<_> = stage.target_groups().await?.into_values().collect();
        ensure!(found == wanted, "{found:?}, not {wanted:?}");
        Ok(())
    })
    .await?;
    wait_for("a rule for the nodes", PATIENCE, async || {
        let rules = stage.rules(&stage.ground.node_group).await?;
        let lowest = *node_ports.iter().min().unwrap();
        let covers = rules.iter().any(|(protocol, from, to, peer)| {
            protocol == "tcp" && *from <= lowest && *to >= lowest && peer.starts_with("sg-")
        });
        ensure!(covers && rules.len() == 1, "{rules:?}");
        Ok(())
    })
    .await?;

    // A port more, one less, other clients.
    let services = stage.lab.namespaced::<Service>("default");
    let change = json!({"spec": {
        "ports": [{"name": "http", "port": 80, "targetPort": 8080}, {"name": "dns", "port": 53, "protocol": "UDP"}],
        "loadBalancerSourceRanges": ["192.0.2.0/24"],
    }});
    services.patch("web", &PatchParams::default(), &Patch::Merge(&change)).await?;
    let changed = stage
        .only_balancer("TCP 80 and UDP 53", |b| {
            b.listeners
                .iter()
                .map(|(port, protocol)| (*port, protocol.as_str()))
                .eq([(53, "UDP"), (80, "TCP")])
        })
        .await?;
    assert_eq!(changed.arn, balancer.arn);
    wait_for("the clients", PATIENCE, async || {
        let groups = stage.security_groups().await?;
        let mut peers = BTreeSet::new();
        for id in groups.values() {
            peers.extend(stage.rules(id).await?.into_iter().map(|rule| (rule.0, rule.1, rule.3)));
        }
        let wanted = [("tcp".into(), 80, "192.0.2.0/24".into()), ("udp".into(), 53, "192.0.2.0/24".into())];
        ensure!(peers == BTreeSet::from(wanted), "{peers:?}");
        Ok(())
    })
    .await?;

    // A node that is to get nothing.
    let exclude =
        json!({"metadata": {"labels": {"node.kubernetes.io/exclude-from-external-load-balancers": ""}}});
    stage.lab.all::<Node>().patch("n2", &PatchParams::default(), &Patch::Merge(&exclude)).await?;
    wait_for("only the first node behind both ports", PATIENCE, async || {
        let groups = stage.target_groups().await?;
        // The group of the port that went drains, and goes.
        let alone =
            |targets: &&BTreeSet<(String, u16)>| targets.iter().map(|(id, _)| id.as_str()).eq([ids[0]]);
        ensure!(groups.values().filter(alone).count() == 2, "{groups:?}");
        Ok(())
    })
    .await?;

    stage.delete("web").await?;
    stage.nothing_left().await?;
    stage.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_of_another_type_lets_its_load_balancer_go_and_one_of_the_same_name_waits() -> Result<()> {
    let stage = Stage::set("aws-types", "").await?;
    let yaml = service("web", &[], "[{port: 80}]");
    stage.lab.apply(&yaml).await?;
    stage.hostname("web").await?;
    let services = stage.lab.namespaced::<Service>("default");
    let change = json!({"spec": {"type": "ClusterIP"}});
    services.patch("web", &PatchParams::default(), &Patch::Merge(&change)).await?;
    stage.nothing_left().await?;
    wait_for("nothing of ours on the Service", PATIENCE, async || {
        let found = services.get("web").await?;
        ensure!(found.metadata.finalizers.is_none(), "{:?}", found.metadata.finalizers);
        ensure!(stage.provisioned("web").await?.is_none());
        Ok(())
    })
    .await?;

    // Back again, and then another Service of that name at once.
    stage.lab.delete(&yaml).await?;
    stage.lab.apply(&yaml).await?;
    let first = stage.hostname("web").await?;
    stage.delete("web").await?;
    stage.lab.apply(&yaml).await?;
    let second = stage.hostname("web").await?;
    ensure!(first != second, "{first}");
    stage.only_balancer("of the second", |b| second.starts_with(&b.name)).await?;
    stage.delete("web").await?;
    stage.nothing_left().await?;
    stage.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn services_of_a_group_share_one_load_balancer() -> Result<()> {
    let stage = Stage::set("aws-groups", "").await?;
    let group = [("daymark.dev/group", "edge")];
    stage.lab.apply(&service("a", &group, "[{port: 80}]")).await?;
    let hostname = stage.hostname("a").await?;
    stage.lab.apply(&service("b", &group, "[{port: 443}]")).await?;
    assert_eq!(stage.hostname("b").await?, hostname);
    stage.only_balancer("both ports", |b| b.listeners.keys().copied().eq([80, 443])).await?;
    // The port is taken: the younger is told, the others go on.
    stage.lab.apply(&service("c", &group, "[{port: 80}]")).await?;
    let message = stage.told("c", "False", "PortConflict").await?;
    ensure!(message.contains('a'), "{message}");
    stage.delete("a").await?;
    stage.only_balancer("b's and c's ports", |b| b.listeners.keys().copied().eq([80, 443])).await?;
    stage.hostname("c").await?;
    // The oldest has a mistake: all stands as it is, and who goes does not wait.
    stage.annotate("b", "daymark.dev/grup", Some("edge")).await?;
    stage.told("b", "False", "UnknownAnnotation").await?;
    stage.told("c", "False", "GroupWaits").await?;
    stage.only_balancer("both ports", |b| b.listeners.keys().copied().eq([80, 443])).await?;
    stage.delete("c").await?;
    stage.annotate("b", "daymark.dev/grup", None).await?;
    stage.hostname("b").await?;
    stage.only_balancer("b's port", |b| b.listeners.keys().copied().eq([443])).await?;
    stage.delete("b").await?;
    stage.nothing_left().await?;
    stage.finish().await
}
