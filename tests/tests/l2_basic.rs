//! Layer 2 as a user sees it: who answers for an address, from which nodes and interfaces, and that clients on the LAN are
//! served.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;
#[path = "l2_basic/failover.rs"]
mod failover;
#[path = "l2_basic/interfaces.rs"]
mod interfaces;
#[path = "l2_basic/selection.rs"]
mod selection;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use common::l2::{
    POOL, all_agree, announcement, answered, drain, everything, label, network_unavailable, owners,
    refused_by_all, served, unanswered, web,
};
use common::{SOON, addresses, annotated_service, service, shown};
use daymark_tests::{Lab, Result, ensure, stays, wait_for};

/// Three nodes and a client beside them.
async fn lab(name: &str) -> Result<Lab> {
    Lab::builder(name).nodes(3).lan_clients(1).start().await
}

const IMMEDIATE: &str = "failback: Immediate";

#[tokio::test(flavor = "multi_thread")]
async fn one_node_answers_and_clients_are_served() -> Result<()> {
    let lab = lab("l2-served").await?;
    lab.apply(&everything("")).await?;
    let cidr = "
apiVersion: daymark.dev/v1alpha1
kind: AddressPool
metadata: {name: cidr}
spec: {addresses: [10.20.0.192/29], assignment: OnRequest}
";
    lab.apply(cidr).await?;
    lab.start_daymark().await?;
    let ports = "ports: [{name: t, protocol: TCP, port: 80, targetPort: 8080}, \
                 {name: u, protocol: UDP, port: 80, targetPort: 8080}],";
    let mut vips = web(&lab, "web", &["n1", "n2", "n3"], ports).await?;
    lab.apply(
        &annotated_service("web-cidr", "daymark.dev/pool: cidr", "").replace("app: web-cidr", "app: web"),
    )
    .await?;
    vips.extend(addresses(&lab, "web-cidr", 1).await?);
    let watch = lab.watch(&vips).await?;
    let owners = owners(&watch, &vips).await?;

    // Every protocol of every address is served, by all pods, whoever answers.
    let client = lab.lan_client("l1")?;
    let pods = BTreeSet::from(["web-n1", "web-n2", "web-n3"].map(str::to_owned));
    for vip in &vips {
        let mut seen = BTreeSet::new();
        wait_for(format_args!("answers of all pods from {vip}"), SOON, async || {
            seen.insert(client.ask((*vip, 80).into()).await?.pod);
            ensure!(seen == pods, "{seen:?}");
            Ok(())
        })
        .await?;
    }
    for vip in &vips[..2] {
        client.ask_udp((*vip, 80).into()).await?;
    }
    // The client's kernel has found the node that answers.
    for (vip, owner) in vips.iter().zip(&owners) {
        let entry = client.neighbor(*vip).await?;
        assert_eq!(entry.map(|entry| entry.mac), Some(lab.node(owner)?.mac().await?), "{vip}");
    }
    for (vip, owner) in vips.iter().zip(&owners) {
        all_agree(&lab, *vip, owner).await?;
        watch.record().await?.check_single(*vip, Duration::ZERO)?;
    }

    // A Service of another class is nobody's of ours, and one that goes is answered for no more.
    lab.apply(&service("foreign", "loadBalancerClass: example.org/other,")).await?;
    lab.kubectl(&["delete", "service", "web"]).await?;
    unanswered(&watch, &vips[..2]).await?;
    watch.stays_with(vips[2], &owners[2], Duration::from_secs(1)).await?;
    assert_eq!(shown(&lab, "foreign").await?, [] as [IpAddr; 0]);
    watch.stop().await?;
    lab.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn local_is_answered_where_pods_are() -> Result<()> {
    let lab = lab("l2-local").await?;
    lab.apply(&everything("")).await?;
    lab.start_daymark().await?;
    let vips = web(&lab, "web", &[], "externalTrafficPolicy: Local,").await?;
    let watch = lab.watch(&vips).await?;
    for vip in &vips {
        watch.stays_silent(*vip, Duration::from_secs(2)).await?;
    }
    let client = lab.lan_client("l1")?;
    let own = client.addresses();
    let first = lab.pod("n1", "web-1", &[("app", "web")], &[8080]).await?;
    answered(&watch, &vips, "n1").await?;
    for vip in &vips {
        let answer = wait_for("an answer", SOON, async || client.ask((*vip, 80).into()).await).await?;
        let address = if vip.is_ipv4() { IpAddr::from(own.v4) } else { own.v6.into() };
        assert_eq!((answer.pod.as_str(), answer.client), ("web-1", address));
    }
    // Another node has a pod too: nothing moves. The first one's goes: the address follows.
    lab.pod("n3", "web-3", &[("app", "web")], &[8080]).await?;
    for vip in &vips {
        watch.stays_with(*vip, "n1", Duration::from_secs(2)).await?;
    }
    first.delete().await?;
    answered(&watch, &vips, "n3").await?;
    for vip in &vips {
        let answer = wait_for("an answer", SOON, async || client.ask((*vip, 80).into()).await).await?;
        assert_eq!(answer.pod, "web-3");
        watch.record().await?.check_single(*vip, Duration::ZERO)?;
    }
    watch.stop().await?;
    lab.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn services_that_share_an_address_are_answered_by_one_node() -> Result<()> {
    let lab = lab("l2-sharers").await?;
    lab.apply(&everything("")).await?;
    lab.start_daymark().await?;
    let dual = common::l2::DUAL;
    let mut yaml = String::new();
    for key in ["a", "b", "c", "d"] {
        for (number, port) in [(1, 80), (2, 81)] {
            let annotations = format!("daymark.dev/sharing-key: {key}");
            let more = format!("{dual} ports: [{{port: {port}, targetPort: 8080}}],");
            yaml.push_str(&annotated_service(&format!("{key}{number}"), &annotations, &more));
        }
    }
    lab.apply(&yaml).await?;
    // The sharers' pods are on different nodes.
    for key in ["a", "b", "c", "d"] {
        for (number, node) in [(1, "n1"), (2, "n2")] {
            let name = format!("{key}{number}");
            lab.pod(node, &format!("{name}-pod"), &[("app", &name)], &[8080]).await?;
        }
    }
    let client = lab.lan_client("l1")?;
    let mut all = Vec::new();
    for key in ["a", "b", "c", "d"] {
        let vips = addresses(&lab, &format!("{key}1"), 2).await?;
        assert_eq!(addresses(&lab, &format!("{key}2"), 2).await?, vips);
        all.extend(vips);
    }
    let watch = lab.watch(&all).await?;
    owners(&watch, &all).await?;
    for (number, key) in ["a", "b", "c", "d"].into_iter().enumerate() {
        for vip in &all[number * 2..number * 2 + 2] {
            for (sharer, port) in [("1", 80), ("2", 81)] {
                let answer =
                    wait_for("an answer", SOON, async || client.ask((*vip, port).into()).await).await?;
                assert_eq!(answer.pod, format!("{key}{sharer}-pod"));
            }
        }
    }
    // The other sharer's last pod goes: the address stays where it is.
    let before = owners(&watch, &all).await?;
    lab.kubectl(&["delete", "service", "a2"]).await?;
    for (vip, owner) in all.iter().zip(&before) {
        watch.stays_with(*vip, owner, Duration::from_millis(500)).await?;
    }
    let record = watch.stop().await?;
    for vip in &all {
        record.check_single(*vip, Duration::ZERO)?;
    }
    lab.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_that_may_not_answer_give_their_addresses_away() -> Result<()> {
    let lab = lab("l2-nodes").await?;
    lab.apply(&everything(IMMEDIATE)).await?;
    lab.start_daymark().await?;
    let vips = web(&lab, "web", &["n1", "n2", "n3"], "").await?;
    let watch = lab.watch(&vips).await?;
    let home = owners(&watch, &vips).await?;
    served(&lab, &vips).await?;

    // However a node is taken out, and put back, its addresses go and return.
    let exclude = "node.kubernetes.io/exclude-from-external-load-balancers";
    for way in ["network", "label", "drain"] {
        let node = &home[0];
        match way {
            "network" => network_unavailable(&lab, node, "True").await?,
            "label" => label(&lab, node, &format!("{exclude}=")).await?,
            _ => drain(&lab, node, true).await?,
        }
        for (vip, owner) in vips.iter().zip(&home) {
            if owner == node {
                watch.answered_by_other(*vip, node, SOON).await?;
            } else {
                watch.answered_by(*vip, owner, SOON).await?;
            }
        }
        served(&lab, &vips).await?;
        match way {
            "network" => network_unavailable(&lab, node, "False").await?,
            "label" => label(&lab, node, &format!("{exclude}-")).await?,
            _ => drain(&lab, node, false).await?,
        }
        for (vip, owner) in vips.iter().zip(&home) {
            watch.answered_by(*vip, owner, SOON).await?;
        }
    }
    // Taken out all of them: nobody answers.
    for node in ["n1", "n2", "n3"] {
        label(&lab, node, &format!("{exclude}=")).await?;
    }
    unanswered(&watch, &vips).await?;
    // Unless the Announcement does not care.
    lab.apply(&announcement("lan", "ignoreExcludeLabel: true, l2: {failback: Immediate}")).await?;
    for (vip, owner) in vips.iter().zip(&home) {
        watch.answered_by(*vip, owner, SOON).await?;
    }
    // No pod, no answer.
    for node in ["n1", "n2", "n3"] {
        lab.kubectl(&["delete", "pod", &format!("web-{node}"), "--force", "--grace-period=0"]).await?;
    }
    unanswered(&watch, &vips).await?;
    refused_by_all(&lab, "web", "NoEndpoints").await?;
    let record = watch.stop().await?;
    for vip in &vips {
        record.check_single(*vip, Duration::ZERO)?;
    }
    lab.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn many_addresses_spread_over_the_nodes() -> Result<()> {
    let lab = lab("l2-spread").await?;
    lab.apply(&everything("")).await?;
    lab.start_daymark().await?;
    lab.pod("n1", "web-1", &[("app", "web-0")], &[8080]).await?;
    let names: Vec<String> = (0..60).map(|number| format!("web-{number}")).collect();
    let yaml: String = names
        .iter()
        .map(|name| service(name, "ipFamilies: [IPv4],").replace(&format!("app: {name}"), "app: web-0"))
        .collect();
    lab.apply(&yaml).await?;
    let mut vips = Vec::new();
    for name in &names {
        vips.extend(addresses(&lab, name, 1).await?);
    }
    let watch = lab.watch(&vips).await?;
    let mut count: BTreeMap<String, u32> = BTreeMap::new();
    for owner in owners(&watch, &vips).await? {
        *count.entry(owner).or_default() += 1;
    }
    // 20 each on average; a hash of 60 addresses strays.
    assert!(count.len() == 3 && count.values().all(|count| *count >= 8), "{count:?}");
    stays("nobody overlaps", Duration::from_secs(1), async || {
        let record = watch.record().await?;
        vips.iter().try_for_each(|vip| record.check_single(*vip, Duration::ZERO))
    })
    .await?;
    lab.apply(POOL).await?;
    watch.stop().await?;
    lab.finish().await
}
