//! Words of the meshes that nobody said, or that were said long ago.

use std::net::IpAddr;
use std::time::Duration;

use daymark_tests::lan::frame::Frame;
use daymark_tests::lan::watch::Watch;
use daymark_tests::network::Network;
use daymark_tests::{Context, Lab, Result, Time, ensure, wait_for};
use serde_json::Value;

use super::common::SOON;
use super::common::l2::{all_agree, everything, owners, served, web};
use super::tap::{MESH, Tap};

const NODES: [&str; 3] = ["n1", "n2", "n3"];
const NETWORKS: [Network; 2] = [Network::Upstream, Network::Nodenet];
/// Behind the Ethernet header and a length, and behind IPv4 and UDP headers.
const PAYLOAD: [usize; 2] = [16, 42];

/// For how long each member has been there in the eyes of `node`, over both meshes; all others must be.
async fn ages(lab: &Lab, node: &str) -> Result<Vec<u64>> {
    let told: Value = serde_json::from_str(&lab.node(node)?.get("http://127.0.0.1:7472/debug/l2").await?)?;
    let told = &told["node"];
    let segments = told["segments"].as_array().context("no segments")?;
    let lan = segments.iter().find(|segment| segment["name"] == "upstream").context("no segment upstream")?;
    let mut ages = Vec::new();
    for mesh in [&lan["mesh"], &told["network"]] {
        let members = mesh["members"].as_array().context("no members")?;
        ensure!(members.len() == NODES.len() - 1, "{node} hears {members:?}");
        ages.extend(members.iter().filter_map(|member| member["aliveSeconds"].as_u64()));
    }
    Ok(ages)
}

/// What is sent into both networks from a station that is no node, and what must not come of it.
struct Peace<'a> {
    lab: &'a Lab,
    watch: &'a Watch<'a>,
    vips: &'a [IpAddr],
    owners: Vec<String>,
}

impl Peace<'_> {
    /// Sends `frames[i]` into network `i`, again and again for some seconds.
    async fn holds_under(&self, what: &str, frames: &[Vec<Frame>; 2]) -> Result<()> {
        for node in NODES {
            wait_for("all members", SOON, async || ages(self.lab, node).await.map(drop)).await?;
        }
        let since = Time::now();
        let mut injections = Vec::new();
        for (network, frames) in NETWORKS.iter().zip(frames) {
            ensure!(!frames.is_empty(), "{what}: nothing was recorded on {network:?}");
            // From the station's own Ethernet address: the switch must not be led astray by it. One command line takes so many.
            let mac = self.lab.prober()?.sender_on(*network).await?.mac;
            let mut some: Vec<_> = frames.iter().rev().take(300).rev().cloned().collect();
            some.iter_mut().for_each(|frame| frame[6..12].copy_from_slice(&mac.0));
            injections.push(self.lab.prober()?.repeat_on(*network, &some, Duration::from_millis(2))?);
        }
        for (vip, owner) in self.vips.iter().zip(&self.owners) {
            self.watch.stays_with(*vip, owner, Duration::from_secs(2)).await?;
        }
        for injection in injections {
            injection.stop().await?;
        }
        for (vip, owner) in self.vips.iter().zip(&self.owners) {
            all_agree(self.lab, *vip, owner).await?;
        }
        let length = Time::now().since(since);
        for node in NODES {
            let ages = ages(self.lab, node).await.with_context(|| format!("after {what}"))?;
            ensure!(
                ages.iter().all(|age| *age + 1 >= length.as_secs()),
                "{what}: {node} lost somebody: {ages:?}"
            );
        }
        let record = self.watch.wire().record_after(since).await?;
        for vip in self.vips {
            record.check_single(*vip, Duration::ZERO)?;
            ensure!(record.changes(*vip).is_empty(), "{what}: {}", record.story(*vip));
        }
        served(self.lab, self.vips).await
    }
}

/// The frames with every byte from `from` behind the headers on turned over.
fn garbled(frames: &[Vec<Frame>; 2], from: usize) -> [Vec<Frame>; 2] {
    let mut garbled = frames.clone();
    for (frames, header) in garbled.iter_mut().zip(PAYLOAD) {
        for frame in frames {
            frame.iter_mut().skip(header + from).for_each(|byte| *byte ^= 0x5a);
        }
    }
    garbled
}

#[tokio::test(flavor = "multi_thread")]
async fn forged_and_old_gossip_changes_nothing() -> Result<()> {
    let lab = Lab::builder("l2-gossip").nodes(3).lan_clients(1).start().await?;
    lab.apply(&everything("failback: Never")).await?;
    lab.start_daymark().await?;
    let vips = web(&lab, "web", &NODES, "").await?;
    let watch = lab.watch(&vips).await?;
    let first = owners(&watch, &vips).await?;
    served(&lab, &vips).await?;

    // The owner leaves, which is recorded: its goodbye, and how it hands over.
    let node = first[0].as_str();
    let taps = [Tap::start(&lab, node, NETWORKS[0]).await?, Tap::start(&lab, node, NETWORKS[1]).await?];
    let speaker = lab.speaker(node).await?;
    ensure!(speaker.terminate(SOON).await?.success(), "it does not stop cleanly");
    for (vip, owner) in vips.iter().zip(&first).filter(|pair| pair.1 == node) {
        watch.answered_by_other(*vip, owner, SOON).await?;
    }
    let [lan, nodenet] = taps;
    let recorded = [lan.stop().await?, nodenet.stop().await?];
    let mesh = recorded[0].iter().filter(|frame| frame[12..14] == MESH.to_be_bytes()).count();
    println!("recorded {mesh} frames on the LAN and {} on the node network", recorded[1].len());
    ensure!(mesh == recorded[0].len() && mesh > 0, "{mesh} of {} frames are the mesh's", recorded[0].len());

    // It is back, and is given everything that the others have: it says all that again, in a session of its own.
    speaker.start().await?;
    let now = owners(&watch, &vips).await?;
    for vip in &vips {
        all_agree(&lab, *vip, &now[vips.iter().position(|v| v == vip).unwrap_or_default()]).await?;
    }
    let peace = Peace { lab: &lab, watch: &watch, vips: &vips, owners: now };
    peace.holds_under("a goodbye and a session of the process before", &recorded).await?;

    // What the living say now, again.
    let taps = [
        Tap::start(&lab, &peace.owners[0], NETWORKS[0]).await?,
        Tap::start(&lab, &peace.owners[0], NETWORKS[1]).await?,
    ];
    watch.stays_with(vips[0], &peace.owners[0], Duration::from_secs(2)).await?;
    let [lan, nodenet] = taps;
    let living = [lan.stop().await?, nodenet.stop().await?];
    peace.holds_under("gossip said twice", &living).await?;

    // The same with another body, another counter and session, another key, another version.
    for (what, from) in [("body", 26), ("session", 2), ("key", 1), ("version", 0)] {
        peace.holds_under(&format!("gossip with a forged {what}"), &garbled(&living, from)).await?;
    }
    // A key that is not ours is told of, whatever way it came.
    let mut told = String::new();
    for node in NODES {
        told.push_str(&lab.node(node)?.get("http://127.0.0.1:7472/metrics").await?);
    }
    for mesh in ["upstream", "node-network"] {
        let metric = format!("daymark_l2_wrong_key_total{{mesh=\"{mesh}\"}}");
        ensure!(told.contains(&metric), "nobody has {metric}");
    }
    watch.stop().await?;
    lab.finish().await
}
