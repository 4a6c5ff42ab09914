//! The node that answers is cut from the other nodes, but not from the clients.

use std::time::Duration;

use daymark_tests::network::Network;
use daymark_tests::{Dark, Lab, Result, Time, bail, stays, wait_for};

use super::common::SOON;
use super::common::l2::{answered, everything, owners, served, web};
use super::{agree, services};

const NODENET: &[Network] = &[Network::Nodenet];

#[tokio::test(flavor = "multi_thread")]
async fn who_cannot_reach_the_pods_gives_the_address_away_and_keeps_that_of_its_own_pods() -> Result<()> {
    let lab = Lab::builder("l2-node-network").nodes(3).lan_clients(1).start().await?;
    lab.apply(&everything("failback: Never")).await?;
    lab.start_daymark().await?;
    // Three Services have pods on all nodes; of each other one all pods are on one node.
    let nodes = ["n1", "n2", "n3"];
    let cluster = services(&lab, 3, &nodes).await?;
    let mut all = cluster.clone();
    let mut local = Vec::new();
    for node in nodes {
        let vips = web(&lab, &format!("local-{node}"), &[node], "externalTrafficPolicy: Local,").await?;
        all.extend(vips.clone());
        local.push((node, vips));
    }
    let watch = lab.watch(&all).await?;
    for (node, vips) in &local {
        answered(&watch, vips, node).await?;
    }
    served(&lab, &all).await?;
    for dark in [Dark::Carrier, Dark::Silent] {
        let before = owners(&watch, &cluster).await?;
        let node = before[0].clone();
        let Some((_, own)) = local.iter().find(|(local, _)| *local == node) else { bail!("no node {node}") };
        let since = Time::now();
        let mut load = lab.lan_client("l1")?.load((own[0], 80).into()).rate(100).start().await?;
        load.until_sent(100).await?;
        lab.darken(&node, NODENET, dark).await?;
        for (vip, owner) in cluster.iter().zip(&before) {
            if *owner == node {
                watch.answered_by_other(*vip, &node, SOON).await?;
            } else {
                watch.answered_by(*vip, owner, SOON).await?;
            }
            // Two thirds of the pods are where the new node reaches them.
            wait_for(format_args!("an answer from {vip}"), SOON, async || {
                lab.lan_client("l1")?.ask((*vip, 80).into()).await
            })
            .await?;
        }
        for (home, vips) in &local {
            for vip in vips {
                watch.stays_with(*vip, home, Duration::from_secs(1)).await?;
            }
        }
        load.until_sent(100).await?;
        let meanwhile = owners(&watch, &cluster).await?;
        lab.lighten(&node, NODENET).await?;
        agree(&lab, &watch, &cluster, &nodes).await?;
        stays("nothing moves back", Duration::from_secs(2), async || {
            for (vip, owner) in cluster.iter().zip(&meanwhile) {
                watch.answered_by(*vip, owner, SOON).await?;
            }
            Ok(())
        })
        .await?;
        served(&lab, &all).await?;
        let report = load.stop().await?;
        assert!(report.failed == 0 && report.slow.is_empty(), "{dark:?}: {report:?}");
        // The old owner hears the others on the LAN all the time.
        let record = watch.record().await?.after(since);
        for vip in &all {
            record.check_single(*vip, Duration::ZERO)?;
        }
    }
    watch.stop().await?;
    lab.finish().await
}
