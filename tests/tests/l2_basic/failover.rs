//! The node that answers goes, in every way a node goes, and comes back.

use std::net::IpAddr;
use std::time::Duration;

use daymark_tests::lan::watch::Watch;
use daymark_tests::network::Network;
use daymark_tests::{Dark, Lab, Result, Signal, Time, ensure, wait_for};
use serde_json::{Value, json};

use super::common::SOON;
use super::common::l2::{everything, owners, served, web};
use super::{IMMEDIATE, lab};

/// What two nodes may answer side by side after the old one is back from where nothing could reach it.
const GRACE: Duration = Duration::from_secs(1);

struct Stage {
    lab: Lab,
    vips: Vec<IpAddr>,
    home: Vec<String>,
}

/// Two addresses, each with the node that answers for it.
async fn stage(name: &str) -> Result<Stage> {
    let lab = lab(name).await?;
    lab.apply(&everything(IMMEDIATE)).await?;
    lab.start_daymark().await?;
    let vips = web(&lab, "web", &["n1", "n2", "n3"], "").await?;
    let watch = lab.watch(&vips).await?;
    let home = owners(&watch, &vips).await?;
    served(&lab, &vips).await?;
    watch.stop().await?;
    Ok(Stage { lab, vips, home })
}

impl Stage {
    /// The addresses that `node` answers for at home.
    fn of<'a>(&'a self, node: &'a str) -> impl Iterator<Item = IpAddr> + 'a {
        self.vips.iter().zip(&self.home).filter(move |pair| pair.1 == node).map(|pair| *pair.0)
    }

    async fn moved(&self, watch: &Watch<'_>, node: &str) -> Result<()> {
        for vip in self.of(node) {
            watch.answered_by_other(vip, node, SOON).await?;
        }
        Ok(())
    }

    async fn at_home(&self, watch: &Watch<'_>) -> Result<()> {
        for (vip, owner) in self.vips.iter().zip(&self.home) {
            watch.answered_by(*vip, owner, SOON).await?;
        }
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_speaker_that_dies_or_freezes_is_followed_by_another() -> Result<()> {
    let stage = stage("l2-speaker-dies").await?;
    let (lab, node) = (&stage.lab, stage.home[0].as_str());
    let watch = lab.watch(&stage.vips).await?;
    let speaker = lab.speaker(node).await?;
    for round in ["killed", "frozen"] {
        let since = Time::now();
        match round {
            "killed" => speaker.kill().await?,
            _ => speaker.signal(Signal::Stop).await?,
        }
        stage.moved(&watch, node).await?;
        served(lab, &stage.vips).await?;
        match round {
            "killed" => speaker.start().await?,
            _ => speaker.signal(Signal::Continue).await?,
        }
        stage.at_home(&watch).await?;
        let record = watch.record().await?.after(since);
        for vip in &stage.vips {
            record.check_single(*vip, GRACE)?;
            println!("{round}: {vip}: {:?}", record.changes(*vip));
        }
    }
    watch.stop().await?;
    stage.lab.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_side_of_a_node_goes_dark_one_node_answers() -> Result<()> {
    let stage = stage("l2-dark").await?;
    let (lab, node) = (&stage.lab, stage.home[0].as_str());
    let watch = lab.watch(&stage.vips).await?;
    let both = [Network::Upstream, Network::Nodenet];
    for (networks, dark) in [
        (&both[..1], Dark::Carrier),
        (&both[..1], Dark::Silent),
        (&both[..1], Dark::Mute),
        (&both[1..], Dark::Carrier),
        (&both[1..], Dark::Silent),
        (&both[..], Dark::Carrier),
        (&both[..], Dark::Silent),
    ] {
        let since = Time::now();
        lab.darken(node, networks, dark).await?;
        // A node that is cut from the others cannot reach their pods.
        stage.moved(&watch, node).await?;
        served(lab, &stage.vips).await?;
        lab.lighten(node, networks).await?;
        stage.at_home(&watch).await?;
        served(lab, &stage.vips).await?;
        let record = watch.record().await?.after(since);
        for vip in &stage.vips {
            println!("{networks:?} {dark:?}: {vip}: {:?}", record.changes(*vip));
            record.check_single(*vip, GRACE)?;
        }
    }
    watch.stop().await?;
    stage.lab.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn each_part_of_a_split_lan_has_one_answerer_and_the_whole_again_one() -> Result<()> {
    let stage = stage("l2-split").await?;
    let lab = &stage.lab;
    let watch = lab.watch(&stage.vips).await?;
    // The prober and the client are with one node, then with two.
    for part in [&["n1", "probe", "l1"][..], &["n2", "n3", "probe", "l1"]] {
        let rest: Vec<&str> = ["n1", "n2", "n3"].into_iter().filter(|node| !part.contains(node)).collect();
        lab.split(Network::Upstream, &[part, &rest]).await?;
        for vip in &stage.vips {
            wait_for("an answerer in this part", SOON, async || {
                let found = watch.answerers(*vip).await?;
                let here: Vec<_> = found.iter().filter(|host| part.contains(&host.as_str())).collect();
                ensure!(here.len() == 1, "{found:?}");
                Ok(())
            })
            .await?;
        }
        served(lab, &stage.vips).await?;
        let healed = Time::now();
        lab.heal(Network::Upstream).await?;
        stage.at_home(&watch).await?;
        let record = watch.record().await?.after(healed);
        for vip in &stage.vips {
            record.check_single(*vip, GRACE)?;
        }
    }
    watch.stop().await?;
    stage.lab.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_hears_nobody_claims_nothing() -> Result<()> {
    let stage = stage("l2-deaf").await?;
    let (lab, node) = (&stage.lab, stage.home[0].as_str());
    let watch = lab.watch(&stage.vips).await?;
    // It hears no question and no answer, but others hear it: what it draws to itself is lost.
    let since = Time::now();
    lab.darken(node, &[Network::Upstream], Dark::Deaf).await?;
    stage.moved(&watch, node).await?;
    // Longer than a burst.
    wait_for("ten seconds", SOON, async || {
        ensure!(Time::now().since(since) > Duration::from_secs(10), "not yet");
        Ok(())
    })
    .await?;
    let record = watch.record().await?.after(since);
    for vip in &stage.vips {
        let late = record.claims(*vip).filter(|seen| &*seen.host == node && seen.at.since(since) > GRACE);
        assert_eq!(late.count(), 0, "{node} claims {vip}:\n{}", record.story(*vip));
    }
    for other in ["n1", "n2", "n3"].into_iter().filter(|other| *other != node) {
        let said: Value =
            serde_json::from_str(&lab.node(other)?.get("http://127.0.0.1:7472/debug/l2").await?)?;
        assert_eq!(said["conflicts"], json!([]), "{other} takes {node} for a stranger");
    }
    served(lab, &stage.vips).await?;
    lab.lighten(node, &[Network::Upstream]).await?;
    stage.at_home(&watch).await?;
    watch.stop().await?;
    stage.lab.finish().await
}
