//! Layer 2 while speakers, links and networks fail and come back, one by one and at once: one node answers for each address,
//! and what need not move does not.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "l2_failures/chaos.rs"]
mod chaos;
mod common;
#[path = "l2_failures/connection.rs"]
mod connection;
#[path = "l2_failures/dice.rs"]
mod dice;
#[path = "l2_failures/faults.rs"]
mod faults;
#[path = "l2_failures/joins.rs"]
mod joins;
#[path = "l2_failures/node_network.rs"]
mod node_network;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use common::SOON;
use common::l2::web;
use daymark_tests::lan::watch::Watch;
use daymark_tests::{Context, Lab, Result, ensure, stays, wait_for};
use serde_json::Value;

/// How long two nodes may answer side by side after what parted them has ended: the detection time, on a machine that is not
/// alone.
const GRACE: Duration = Duration::from_secs(2);
/// Somebody answers again within this time.
const AGAIN: Duration = Duration::from_secs(10);

/// Services of both families, with a pod on each of `nodes`; returns all addresses.
async fn services(lab: &Lab, count: usize, nodes: &[&str]) -> Result<Vec<IpAddr>> {
    let mut vips = Vec::new();
    for number in 1..=count {
        vips.extend(web(lab, &format!("web{number}"), nodes, "").await?);
    }
    Ok(vips)
}

/// Waits until the wire and every one of `nodes` say the same of all addresses: which node, and one alone, answers. Returns the
/// answering nodes.
async fn agree(
    lab: &Lab,
    watch: &Watch<'_>,
    vips: &[IpAddr],
    nodes: &[&str],
) -> Result<BTreeMap<IpAddr, String>> {
    wait_for(format_args!("{nodes:?} and the wire to agree"), SOON, async || {
        let mut owners = BTreeMap::new();
        for vip in vips {
            let found = watch.answerers(*vip).await?;
            ensure!(found.len() == 1, "{found:?} answer for {vip}");
            owners.extend(found.into_iter().map(|owner| (*vip, owner)));
        }
        for node in nodes {
            let page = lab.node(node)?.get("http://127.0.0.1:7472/debug/l2/addresses?limit=1000").await?;
            let page: Value = serde_json::from_str(&page)?;
            let listed = page["addresses"].as_array().context("no list of addresses")?;
            for (vip, owner) in &owners {
                let entry = listed.iter().find(|entry| entry["address"] == vip.to_string());
                let entry = entry.with_context(|| format!("{node} does not know {vip}"))?;
                let ours = entry["ours"] == (*node == owner.as_str());
                ensure!(
                    ours && entry["owner"]["node"] == owner.as_str(),
                    "{owner} answers, {node} says {entry}"
                );
            }
        }
        Ok(owners)
    })
    .await
}

/// As [`agree`], once every node hears all others over both meshes, and what they say has stood for a second.
async fn settled(
    lab: &Lab,
    watch: &Watch<'_>,
    vips: &[IpAddr],
    nodes: &[&str],
) -> Result<BTreeMap<IpAddr, String>> {
    wait_for("owners that stay", SOON * 2, async || {
        for node in nodes {
            hears(lab, node, nodes.len() - 1).await?;
        }
        let before = agree(lab, watch, vips, nodes).await?;
        stays("the owners", Duration::from_secs(1), async || {
            for (vip, owner) in &before {
                let found = watch.answerers(*vip).await?;
                ensure!(found.len() == 1 && found.contains(owner), "{owner} and {found:?} answer for {vip}");
            }
            Ok(())
        })
        .await?;
        Ok(before)
    })
    .await
}

/// The node hears so many others, both on the LAN and over the node network.
async fn hears(lab: &Lab, node: &str, others: usize) -> Result<()> {
    let told: Value = serde_json::from_str(&lab.node(node)?.get("http://127.0.0.1:7472/debug/l2").await?)?;
    let told = &told["node"];
    let segments = told["segments"].as_array().context("no segments")?;
    let lan = segments.iter().find(|segment| segment["name"] == "upstream").context("no segment upstream")?;
    for (name, mesh) in [("LAN", &lan["mesh"]), ("node network", &told["network"])] {
        let members = mesh["members"].as_array().context("no members")?;
        ensure!(members.len() == others, "{node} hears {} others on the {name}", members.len());
    }
    Ok(())
}
