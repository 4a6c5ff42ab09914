//! Stations that are no nodes of the cluster and claim its addresses.

use std::net::IpAddr;
use std::time::Duration;

use daymark_model::MacAddr;
use daymark_tests::lan::frame;
use daymark_tests::{Lab, Result, Time, ensure, stays, wait_for};

use super::common::SOON;
use super::common::l2::{everything, owners, problem, served, told, web};

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_that_has_the_address_first_keeps_it_and_is_told() -> Result<()> {
    let lab = Lab::builder("l2-stranger-first").nodes(2).lan_clients(2).start().await?;
    lab.apply(&everything("")).await?;
    let stranger = lab.lan_client("l2")?;
    // The addresses that the Service will get.
    let vips: [IpAddr; 2] = ["10.20.0.100".parse()?, "fd00:20::1:0".parse()?];
    for vip in vips {
        stranger.seize(vip).await?;
    }
    let watch = lab.watch(&vips).await?;
    lab.start_daymark().await?;
    assert_eq!(web(&lab, "web", &["n1", "n2"], "").await?, vips);
    let mac = stranger.mac().await?.to_string();
    for vip in vips {
        wait_for(format_args!("a node that says that {mac} has {vip}"), SOON, async || {
            let mut entries = Vec::new();
            for node in lab.nodes() {
                entries.push(told(&lab, node.name(), vip).await?);
            }
            ensure!(entries.iter().any(|entry| entry["conflict"] == mac), "{entries:?}");
            Ok(())
        })
        .await?;
        watch.stays_with(vip, "l2", Duration::from_secs(2)).await?;
    }
    wait_for("the Speaker or another that says so", SOON, async || {
        let mut seen = Vec::new();
        for node in ["n1", "n2"] {
            let speaker = lab.raw(&format!("/apis/daymark.dev/v1alpha1/speakers/{node}")).await?;
            if speaker.contains("AddressConflict") && speaker.contains(&mac) {
                return Ok(());
            }
            seen.push(speaker);
        }
        daymark_tests::bail!("{seen:?}")
    })
    .await?;
    // It gives up: a node takes the address, and nothing is left of the conflict.
    for vip in vips {
        stranger.release(vip).await?;
    }
    owners(&watch, &vips).await?;
    served(&lab, &vips).await?;
    for node in ["n1", "n2"] {
        problem(&lab, node, "AddressConflict", false).await?;
    }
    watch.stop().await?;
    lab.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_that_comes_later_is_told_and_the_address_defended_with_measure() -> Result<()> {
    let lab = Lab::builder("l2-stranger-later").nodes(2).lan_clients(2).start().await?;
    lab.apply(&everything("refresh: 0s")).await?;
    lab.start_daymark().await?;
    let vips = web(&lab, "web", &["n1", "n2"], "").await?;
    let stranger = lab.lan_client("l2")?;
    let watch = lab.watch(&vips).await?;
    let before = owners(&watch, &vips).await?;
    served(&lab, &vips).await?;
    // The burst is over.
    for vip in &vips {
        wait_for("the end of the burst", SOON, async || {
            let record = watch.record().await?.after(Time::now().before(Duration::from_secs(3)));
            ensure!(record.gratuitous(*vip).next().is_none(), "it goes on");
            Ok(())
        })
        .await?;
    }

    // It claims the addresses twenty times per second, each time from another Ethernet address.
    let since = Time::now();
    let strange = |number: u8| MacAddr([2, 0xbb, 0, 0, 0, number]);
    let frames: Vec<_> =
        (0..40).map(|number| frame::gratuitous(strange(number), vips[usize::from(number) % 2])).collect();
    let storm = stranger.repeat(&frames, Duration::from_millis(25))?;
    for node in before.iter().collect::<std::collections::BTreeSet<_>>() {
        let message = problem(&lab, node, "AddressConflict", true).await?;
        assert!(message.contains("02:bb:00:00:00:"), "{message}");
    }
    stays("the owner goes on answering", Duration::from_secs(12), async || {
        for (vip, owner) in vips.iter().zip(&before) {
            let found = watch.answerers(*vip).await?;
            ensure!(
                found.contains(owner) && found.iter().all(|host| host == owner || host == "l2"),
                "{found:?}"
            );
        }
        Ok(())
    })
    .await?;
    let length = Time::now().since(since);
    storm.stop().await?;
    let record = watch.record().await?.after(since);
    for (vip, owner) in vips.iter().zip(&before) {
        // RFC 5227 section 2.4 (b): one announcement per ten seconds; ARP may take two frames for it.
        let mut defences = 0;
        let mut last = None;
        for seen in record.gratuitous(*vip).filter(|seen| &*seen.host == owner) {
            if last.is_none_or(|last| seen.at.since(last) > Duration::from_millis(50)) {
                defences += 1;
            }
            last = Some(seen.at);
        }
        let allowed = 1 + length.as_secs() / 10 + 1;
        assert!((1..=allowed).contains(&defences), "{defences} defences of {vip} in {length:?}");
    }
    // The speaker is not kept busy by it, and forgets it when it is over.
    served(&lab, &vips).await?;
    for node in ["n1", "n2"] {
        problem(&lab, node, "AddressConflict", false).await?;
    }
    for (vip, owner) in vips.iter().zip(&before) {
        watch.answered_by(*vip, owner, SOON).await?;
    }
    watch.stop().await?;
    lab.finish().await
}
