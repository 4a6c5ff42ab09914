//! Moves that somebody planned, under 200 new connections per second: none of them fails, no SYN is sent twice, and never do two
//! nodes answer. Pods are on all nodes, so most requests go on to another node.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use common::SOON;
use common::l2::{POOL, announcement, drain, everything, label, owners, served, web};
use daymark_tests::lan::watch::Watch;
use daymark_tests::load::Load;
use daymark_tests::report::Failure;
use daymark_tests::{Lab, Result, Time, ensure};

const RATE: u32 = 200;
const NODES: [&str; 3] = ["n1", "n2", "n3"];
const EXCLUDE: &str = "node.kubernetes.io/exclude-from-external-load-balancers";

struct Scene<'a> {
    lab: &'a Lab,
    watch: Watch<'a>,
    vips: Vec<IpAddr>,
}

async fn lab(name: &str, l2: &str) -> Result<Lab> {
    let lab = Lab::builder(name).nodes(3).lan_clients(1).start().await?;
    lab.apply(&everything(l2)).await?;
    lab.start_daymark().await?;
    Ok(lab)
}

async fn scene<'a>(lab: &'a Lab, more: &str) -> Result<Scene<'a>> {
    let vips = web(lab, "web", &NODES, more).await?;
    let watch = lab.watch(&vips).await?;
    owners(&watch, &vips).await?;
    served(lab, &vips).await?;
    Ok(Scene { lab, watch, vips })
}

impl Scene<'_> {
    async fn owners(&self) -> Result<Vec<String>> {
        owners(&self.watch, &self.vips).await
    }

    /// New connections to all addresses.
    async fn loads(&self) -> Result<BTreeMap<IpAddr, Load>> {
        let each = RATE / u32::try_from(self.vips.len())?;
        let mut loads = BTreeMap::new();
        for vip in &self.vips {
            let load = self.lab.lan_client("l1")?.load((*vip, 80).into()).rate(each);
            loads.insert(*vip, load.start().await?);
        }
        for load in loads.values_mut() {
            load.until_sent(u64::from(each)).await?;
        }
        Ok(loads)
    }

    /// All addresses of `node` have gone to others.
    async fn left(&self, node: &str) -> Result<()> {
        for vip in &self.vips {
            let found = self.watch.answerer(*vip, SOON).await?;
            if found == node {
                self.watch.answered_by_other(*vip, node, SOON).await?;
            }
        }
        Ok(())
    }

    /// All addresses are where they were.
    async fn back(&self, home: &[String]) -> Result<()> {
        for (vip, owner) in self.vips.iter().zip(home) {
            self.watch.answered_by(*vip, owner, SOON).await?;
        }
        Ok(())
    }

    /// Nothing was lost by what happened since `since`, and nobody answered beside another.
    async fn judge(&self, what: &str, since: Time, mut loads: BTreeMap<IpAddr, Load>) -> Result<()> {
        for load in loads.values_mut() {
            load.until_sent(u64::from(RATE / 2)).await?;
        }
        let record = self.watch.wire().record_after(since).await?;
        for (vip, load) in loads {
            let report = load.stop().await?;
            println!(
                "{what}: {vip}: {} requests, {} moves, {} open connections reset, slowest {} ms",
                report.sent,
                record.changes(vip).len(),
                report.open_and_reset(),
                report.slowest_us / 1000
            );
            // The kernel tells of a reset while connecting only when the connection stood already.
            let stood = |failure: &&&Failure| failure.error.contains("reset by peer");
            let not_served = report.not_served();
            let lost: Vec<_> = not_served.iter().filter(|failure| !stood(failure)).collect();
            ensure!(lost.is_empty(), "{what}: {vip}: {lost:?}\n{}", record.story(vip));
            let again = report.syn_retrans();
            ensure!(again == 0, "{what}: {vip}: {again} SYNs sent again: {report:?}\n{}", record.story(vip));
            record.check_single(vip, Duration::ZERO)?;
        }
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_is_taken_out_and_put_back_loses_no_connection() -> Result<()> {
    let lab = lab("l2-taken-out", "failback: Immediate").await?;
    let scene = scene(&lab, "").await?;
    let home = scene.owners().await?;
    for way in ["drain", "label"] {
        let node = home[0].as_str();
        let (since, loads) = (Time::now(), scene.loads().await?);
        match way {
            "drain" => drain(&lab, node, true).await?,
            _ => label(&lab, node, &format!("{EXCLUDE}=")).await?,
        }
        scene.left(node).await?;
        scene.judge(&format!("{way} of {node}"), since, loads).await?;

        let (since, loads) = (Time::now(), scene.loads().await?);
        match way {
            "drain" => drain(&lab, node, false).await?,
            _ => label(&lab, node, &format!("{EXCLUDE}-")).await?,
        }
        scene.back(&home).await?;
        scene.judge(&format!("{way} of {node} ends"), since, loads).await?;
    }
    scene.watch.stop().await?;
    lab.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_announcement_that_changes_its_mind_loses_no_connection() -> Result<()> {
    let lab = lab("l2-preferences", "failback: Immediate").await?;
    let scene = scene(&lab, "").await?;
    let prefer = |node: &str| {
        let selector = format!("selector: {{matchLabels: {{kubernetes.io/hostname: {node}}}}}");
        announcement(
            "lan",
            &format!("l2: {{failback: Immediate, preferredNodes: [{{weight: 10, {selector}}}]}}"),
        )
    };
    for node in ["n1", "n3", "n2"] {
        let (since, loads) = (Time::now(), scene.loads().await?);
        lab.apply(&prefer(node)).await?;
        for vip in &scene.vips {
            scene.watch.answered_by(*vip, node, SOON).await?;
        }
        scene.judge(&format!("{node} is preferred"), since, loads).await?;
    }
    // Other nodes alone may answer.
    let (since, loads) = (Time::now(), scene.loads().await?);
    let others =
        "nodeSelector: {matchExpressions: [{key: kubernetes.io/hostname, operator: NotIn, values: [n2]}]}";
    lab.apply(&announcement("lan", &format!("{others}, l2: {{failback: Immediate}}"))).await?;
    scene.left("n2").await?;
    scene.judge("n2 may not answer", since, loads).await?;
    scene.watch.stop().await?;
    lab.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn speakers_are_updated_one_after_the_other_and_no_connection_is_lost() -> Result<()> {
    for failback in ["Never", "Immediate"] {
        let lab =
            lab(&format!("l2-update-{}", failback.to_lowercase()), &format!("failback: {failback}")).await?;
        let scene = scene(&lab, "").await?;
        let (since, loads) = (Time::now(), scene.loads().await?);
        for node in NODES {
            let before = scene.owners().await?;
            let speaker = lab.speaker(node).await?;
            let status = speaker.terminate(SOON).await?;
            ensure!(status.success(), "{node}: {status}");
            scene.left(node).await?;
            speaker.start().await?;
            common::l2::all_agree(&lab, scene.vips[0], &scene.owners().await?[0]).await?;
            if failback == "Immediate" {
                scene.back(&before).await?;
            }
        }
        scene.judge(&format!("rolling update, failback {failback}"), since, loads).await?;
        scene.watch.stop().await?;
        lab.finish().await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_follows_its_local_pods_without_losing_a_connection() -> Result<()> {
    let lab = lab("l2-local-moves", "failback: Immediate").await?;
    lab.apply(POOL).await?;
    let scene = scene(&lab, "externalTrafficPolicy: Local,").await?;
    // The pod beside the speaker that answers terminates, and goes on serving what comes.
    let node = scene.owners().await?[0].clone();
    let (since, loads) = (Time::now(), scene.loads().await?);
    let pod = format!("web-{node}");
    lab.kubectl(&["delete", "pod", &pod, "--grace-period=60", "--wait=false"]).await?;
    scene.left(&node).await?;
    scene.judge(&format!("the pod of {node} terminates"), since, loads).await?;

    // The next one stops cleanly.
    let node = scene.owners().await?[0].clone();
    let (since, loads) = (Time::now(), scene.loads().await?);
    let status = lab.speaker(&node).await?.terminate(SOON).await?;
    ensure!(status.success(), "{status}");
    scene.left(&node).await?;
    scene.judge(&format!("the speaker of {node} stops"), since, loads).await?;
    scene.watch.stop().await?;
    lab.finish().await
}
