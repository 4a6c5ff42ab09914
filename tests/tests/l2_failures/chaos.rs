//! Faults drawn by lot, one or two at a time.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use daymark_tests::lan::record::Record;
use daymark_tests::lan::watch::Watch;
use daymark_tests::{Lab, Result, Time, ensure, wait_for};
use tokio::time::sleep;

use super::common::l2::{everything, served};
use super::connection::Kept;
use super::dice::Dice;
use super::faults::Fault;
use super::{AGAIN, GRACE, agree, services, settled};

const NODES: [&str; 4] = ["n1", "n2", "n3", "n4"];
const ROUNDS: usize = 10;

/// What is looked at all the time.
struct Scene<'a> {
    lab: &'a Lab,
    watch: Watch<'a>,
    vips: Vec<IpAddr>,
}

impl Scene<'_> {
    /// What hosts other than `faults` keep apart have sent since `since`.
    async fn record(&self, since: Time, until: Time, faults: &[Fault]) -> Result<Record> {
        let mut record = self.watch.wire().record_after(since).await?;
        let apart: Vec<_> = faults.iter().flat_map(Fault::apart).collect();
        record.frames.retain(|seen| seen.at > until || !apart.contains(&&*seen.host));
        Ok(record)
    }

    /// Waits until one node, and one alone, answers for each address where the clients are.
    async fn one_answers(&self, faults: &[Fault]) -> Result<()> {
        let apart: Vec<_> = faults.iter().flat_map(Fault::apart).collect();
        for vip in &self.vips {
            wait_for(format_args!("one answerer for {vip}"), AGAIN, async || {
                let mut found = self.watch.answerers(*vip).await?;
                found.retain(|host| !apart.contains(&host.as_str()));
                ensure!(found.len() == 1, "{found:?}, apart are {apart:?}");
                Ok(())
            })
            .await?;
        }
        Ok(())
    }

    /// Faults come, and all is well where the clients are; they end, and all is well everywhere.
    async fn round(&self, dice: &mut Dice, kept: &mut BTreeMap<IpAddr, Kept>) -> Result<()> {
        let nodes = dice.shuffled(NODES.to_vec());
        let mut faults = vec![Fault::draw(dice, nodes[0], &nodes[1..])];
        if dice.below(2) == 0 && !matches!(faults[0], Fault::Split(..)) {
            let second = Fault::draw(dice, nodes[1], &nodes[2..]);
            faults.extend(Some(second).filter(|fault| !matches!(fault, Fault::Split(..))));
        }
        println!("{faults:?}");
        let before = settled(self.lab, &self.watch, &self.vips, &NODES).await?;
        let begin = Time::now();
        for fault in &faults {
            fault.begin(self.lab).await?;
            sleep(dice.time(Duration::from_millis(800))).await;
        }
        self.one_answers(&faults).await?;
        sleep(dice.time(Duration::from_secs(2))).await;
        let end = Time::now();
        for fault in dice.shuffled(faults.clone()) {
            fault.end(self.lab).await?;
            sleep(dice.time(Duration::from_millis(500))).await;
        }
        let after = settled(self.lab, &self.watch, &self.vips, &NODES).await?;
        served(self.lab, &self.vips).await?;
        let record = self.record(begin, end, &faults).await?;
        for vip in &self.vips {
            record.check_single(*vip, GRACE)?;
            let silences = record.silences(*vip, AGAIN);
            ensure!(silences.is_empty(), "nobody answered for {vip}: {silences:?}\n{}", record.story(*vip));
            let moved = record.terms(*vip).iter().any(|term| *term.host != *before[vip]);
            if !moved && before[vip] == after[vip] {
                kept[vip].survived().await?;
            } else {
                kept.insert(*vip, Kept::open(self.lab.lan_client("l1")?, *vip).await?);
            }
        }
        Ok(())
    }
}

async fn chaos(name: &str, failback: &str) -> Result<()> {
    let mut dice = Dice::thrown(name);
    let lab = Lab::builder(name).nodes(4).lan_clients(1).start().await?;
    lab.apply(&everything(&format!("failback: {failback}"))).await?;
    lab.start_daymark().await?;
    let vips = services(&lab, 3, &NODES).await?;
    let watch = lab.watch(&vips).await?;
    let scene = Scene { lab: &lab, watch, vips };
    settled(&lab, &scene.watch, &scene.vips, &NODES).await?;
    let mut kept = BTreeMap::new();
    for vip in &scene.vips {
        kept.insert(*vip, Kept::open(lab.lan_client("l1")?, *vip).await?);
    }
    for round in 1..=ROUNDS {
        print!("round {round}: ");
        scene.round(&mut dice, &mut kept).await?;
    }
    // Nobody needs the API server for that.
    lab.control_plane().api_server().kill().await?;
    let nodes = dice.shuffled(NODES.to_vec());
    for fault in [Fault::Killed(nodes[0]), Fault::Frozen(nodes[1])] {
        println!("without API server: {fault:?}");
        let begin = Time::now();
        fault.begin(&lab).await?;
        scene.one_answers(&[]).await?;
        served(&lab, &scene.vips).await?;
        if let Fault::Frozen(_) = fault {
            fault.end(&lab).await?;
            agree(&lab, &scene.watch, &scene.vips, &nodes[1..]).await?;
        }
        let record = scene.watch.wire().record_after(begin).await?;
        scene.vips.iter().try_for_each(|vip| record.check_single(*vip, GRACE))?;
    }
    lab.control_plane().api_server().start().await?;
    lab.wait_api_server().await?;
    lab.start_speaker(nodes[0]).await?;
    settled(&lab, &scene.watch, &scene.vips, &NODES).await?;
    scene.watch.stop().await?;
    lab.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn one_node_answers_whatever_fails_when_addresses_stay() -> Result<()> {
    chaos("l2-chaos-never", "Never").await
}

#[tokio::test(flavor = "multi_thread")]
async fn one_node_answers_whatever_fails_when_addresses_go_home() -> Result<()> {
    chaos("l2-chaos-immediate", "Immediate").await
}
