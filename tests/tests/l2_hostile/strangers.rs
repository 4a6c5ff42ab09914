//! A station that is no node claims an address, from more Ethernet addresses than anybody can remember.

use std::net::IpAddr;
use std::time::Duration;

use daymark_model::MacAddr;
use daymark_tests::lan::frame::{Frame, gratuitous};
use daymark_tests::{Lab, Result, ensure, stays, wait_for};
use serde_json::Value;

use super::common::SOON;
use super::common::l2::{everything, owners, problem, served, web};
use super::{memory, metric};

const NODES: [&str; 2] = ["n1", "n2"];
const MACS: u16 = 1_200;

/// Claims of `vip`, each from an Ethernet address of its own.
fn claims(vip: IpAddr) -> Vec<Frame> {
    (0..MACS)
        .map(|number| {
            let [high, low] = number.to_be_bytes();
            gratuitous(MacAddr([2, 0xdd, 0, 0, high, low]), vip)
        })
        .collect()
}

async fn conflict_events(lab: &Lab) -> Result<Vec<Value>> {
    let events: Value = serde_json::from_str(&lab.kubectl(&["get", "events", "-A", "-o", "json"]).await?)?;
    let all = events["items"].as_array().cloned().unwrap_or_default();
    Ok(all.into_iter().filter(|event| event["reason"] == "AddressConflict").collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_with_a_thousand_faces_costs_neither_memory_nor_events() -> Result<()> {
    let lab = Lab::builder("l2-thousand-faces").nodes(2).lan_clients(2).start().await?;
    lab.apply(&everything("")).await?;
    lab.start_daymark().await?;
    let vips = web(&lab, "web", &NODES, "").await?;
    let watch = lab.watch(&vips).await?;
    let before = owners(&watch, &vips).await?;
    served(&lab, &vips).await?;
    let stranger = lab.lan_client("l2")?;

    let mut held = Vec::new();
    for round in 1..=2 {
        let mut storms = Vec::new();
        for vip in &vips {
            storms.push(stranger.repeat(&claims(*vip), Duration::from_millis(2))?);
        }
        if round == 1 {
            for node in &before {
                let message = problem(&lab, node, "AddressConflict", true).await?;
                assert!(message.contains("02:dd:00:00:"), "{message}");
                let count = metric(&lab, node, "daymark_l2_address_conflicts_total").await?;
                assert!(count >= 1.0, "{count}");
            }
        }
        // Whoever owns an address defends it and does not give way to claims alone.
        stays("the owners answer", Duration::from_secs(3), async || {
            for (vip, owner) in vips.iter().zip(&before) {
                let found = watch.answerers(*vip).await?;
                ensure!(found.contains(owner), "{found:?}");
                ensure!(found.iter().all(|host| host == owner || host == "l2"), "{found:?}");
            }
            Ok(())
        })
        .await?;
        for storm in storms {
            storm.stop().await?;
        }
        let mut sizes = Vec::new();
        for node in NODES {
            sizes.push(memory(&*lab.speaker(node).await?).await?);
        }
        held.push(sizes);
    }
    println!("memory in MiB after each round: {held:?}");
    for (first, second) in held[0].iter().zip(&held[1]) {
        ensure!(second - first < 8.0, "memory grows: {held:?}");
    }
    wait_for("an event", SOON, async || {
        ensure!(!conflict_events(&lab).await?.is_empty(), "none");
        Ok(())
    })
    .await?;
    let events = conflict_events(&lab).await?;
    assert!(events.len() <= 8, "{} events: {events:?}", events.len());
    // Calm again, with the same owners.
    for (vip, owner) in vips.iter().zip(&before) {
        watch.answered_by(*vip, owner, SOON).await?;
    }
    served(&lab, &vips).await?;
    watch.stop().await?;
    lab.finish().await
}
