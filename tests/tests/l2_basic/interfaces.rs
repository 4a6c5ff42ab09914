//! On which interfaces a node answers.

use std::net::IpAddr;
use std::time::Duration;

use daymark_tests::Result;
use daymark_tests::lan::watch::Watch;
use daymark_tests::network::Network;

use super::common::SOON;
use super::common::l2::{POOL, announcement, answered, owners, refused_by_all, unanswered, web};
use super::lab;

fn naming(interfaces: &str, more: &str) -> String {
    announcement("lan", &format!("{more} l2: {{interfaces: [{interfaces}], failback: Immediate}}"))
}

/// The Ethernet addresses in the answers of each host are those of its own interface on that network.
async fn own_macs(
    lab: &daymark_tests::Lab,
    watch: &Watch<'_>,
    network: Network,
    vips: &[IpAddr],
) -> Result<()> {
    let record = watch.record().await?;
    for vip in vips {
        for seen in record.claims(*vip) {
            let mac = lab.node(&seen.host)?.netns().mac(network.name()).await?;
            let claimed = seen.packet.claim().and_then(|claim| claim.1);
            assert_eq!((seen.source, claimed), (mac, Some(mac)), "{seen:?}");
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn interfaces_are_chosen_by_subnet_or_by_name() -> Result<()> {
    let lab = lab("l2-interfaces").await?;
    lab.apply(&[POOL, &announcement("lan", "l2: {failback: Immediate}")].concat()).await?;
    lab.start_daymark().await?;
    let vips = web(&lab, "web", &["n1", "n2", "n3"], "").await?;
    let lan = lab.watch(&vips).await?;
    let mut inner = lab.watch_on(Network::Nodenet, &vips).await?;

    // The subnet decides; nobody answers on the other network.
    owners(&lan, &vips).await?;
    for vip in &vips {
        inner.stays_silent(*vip, Duration::from_secs(1)).await?;
    }
    // By name: there and nowhere else; a glob; several.
    lab.apply(&naming("nodenet", "")).await?;
    unanswered(&lan, &vips).await?;
    owners(&inner, &vips).await?;
    lab.apply(&naming("'up*'", "")).await?;
    owners(&lan, &vips).await?;
    unanswered(&inner, &vips).await?;
    lab.apply(&naming("'up?tream', nodenet", "")).await?;
    owners(&lan, &vips).await?;
    owners(&inner, &vips).await?;
    own_macs(&lab, &lan, Network::Upstream, &vips).await?;
    own_macs(&lab, &inner, Network::Nodenet, &vips).await?;

    // Two Announcements name one interface each: both answer.
    lab.apply(&[naming("upstream", ""), announcement("inner", "l2: {interfaces: [nodenet]}")].concat())
        .await?;
    for vip in &vips {
        lan.answerer(*vip, SOON).await?;
        inner.answerer(*vip, SOON).await?;
    }
    lab.delete(&announcement("inner", "l2: {}")).await?;
    unanswered(&inner, &vips).await?;

    // An interface that no node has: nobody answers, and the speakers say why.
    lab.apply(&naming("eth7", "")).await?;
    unanswered(&lan, &vips).await?;
    refused_by_all(&lab, "web", "NoInterface").await?;
    // Interface and node together.
    lab.apply(&naming("upstream", "nodeSelector: {matchLabels: {kubernetes.io/hostname: n2}},")).await?;
    answered(&lan, &vips, "n2").await?;
    inner.probe(&[]).await?;
    for vip in &vips {
        lan.record().await?.check_single(*vip, Duration::ZERO)?;
        inner.record().await?.check_single(*vip, Duration::ZERO)?;
    }
    lab.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_outside_every_subnet_goes_by_the_default_route() -> Result<()> {
    let lab = lab("l2-default-route").await?;
    let pool = "
apiVersion: daymark.dev/v1alpha1
kind: AddressPool
metadata: {name: lan}
spec: {addresses: [198.51.100.0/28, '2001:db8:5::/112']}
";
    lab.apply(&[pool, &announcement("lan", "l2: {}")].concat()).await?;
    lab.start_daymark().await?;
    let vips = web(&lab, "web", &["n1"], "").await?;
    let watch = lab.watch(&vips).await?;
    for vip in &vips {
        watch.stays_silent(*vip, Duration::from_secs(2)).await?;
    }
    // A node gets a default route by the LAN.
    let node = lab.node("n2")?.netns();
    node.ip_batch(&["route add default via 10.20.0.201".into(), "route add default via fd00:20::201".into()])
        .await?;
    answered(&watch, &vips, "n2").await?;
    node.ip_batch(&["route del default via 10.20.0.201".into(), "route del default via fd00:20::201".into()])
        .await?;
    unanswered(&watch, &vips).await?;
    watch.stop().await?;
    lab.finish().await
}
