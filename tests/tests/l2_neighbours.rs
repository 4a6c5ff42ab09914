//! Layer 2 on the wire: caches of real kernels, every form of question, interfaces that change, strangers.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;
#[path = "l2_neighbours/interfaces.rs"]
mod interfaces;
#[path = "l2_neighbours/strangers.rs"]
mod strangers;

use std::net::IpAddr;
use std::time::Duration;

use common::SOON;
use common::l2::{announcement, everything, owners, served, unanswered, web};
use daymark_model::MacAddr;
use daymark_tests::lan::frame::{self, Cast, Frame, Packet, SourceLinkLayer};
use daymark_tests::lan::record::Seen;
use daymark_tests::lan::station::Station;
use daymark_tests::lan::watch::Watch;
use daymark_tests::{Lab, Result, Time, bail, ensure, wait_for};

/// An Announcement by one node only.
fn by(node: &str) -> String {
    announcement(
        "lan",
        &format!("nodeSelector: {{matchLabels: {{kubernetes.io/hostname: {node}}}}}, l2: {{}}"),
    )
}

/// The station's kernel asks nobody any more; it hears.
async fn gag(station: &Station) -> Result<()> {
    let script = "
table arp gag { chain out { type filter hook output priority 0; arp operation request drop; }; }
table ip6 gag { chain out { type filter hook output priority 0; icmpv6 type nd-neighbor-solicit drop; }; }
";
    station.netns().nft(script).await
}

async fn ungag(station: &Station) -> Result<()> {
    station.netns().nft("delete table arp gag\ndelete table ip6 gag\n").await
}

#[tokio::test(flavor = "multi_thread")]
async fn stale_caches_are_moved_by_gratuitous_frames_alone() -> Result<()> {
    let lab = Lab::builder("l2-caches").nodes(2).lan_clients(3).start().await?;
    lab.apply(&everything("failback: Never")).await?;
    lab.start_daymark().await?;
    let vips = web(&lab, "web", &["n1", "n2"], "").await?;
    let watch = lab.watch(&vips).await?;
    for vip in &vips {
        watch.answerer(*vip, SOON).await?;
    }
    served(&lab, &vips).await?;
    for planned in [false, true] {
        let before = owners(&watch, &vips).await?;
        // Three kernels with three kinds of memory of the one that goes; the third learned it a moment ago, and Linux
        // lets nobody change an entry within a second of that except by the forms of frames that a take-over sends.
        for (station, state) in lab.lan_clients().iter().zip(["reachable", "stale", "reachable"]) {
            gag(station).await?;
            for (vip, owner) in vips.iter().zip(&before) {
                station.set_neighbor(*vip, lab.node(owner)?.mac().await?, state).await?;
            }
        }
        let gone = before[0].clone();
        let speaker = lab.speaker(&gone).await?;
        if planned {
            assert!(speaker.terminate(SOON).await?.success());
        } else {
            speaker.kill().await?;
        }
        for (vip, owner) in vips.iter().zip(&before).filter(|pair| *pair.1 == gone) {
            let heir = watch.answered_by_other(*vip, owner, SOON).await?;
            let mac = lab.node(&heir)?.mac().await?;
            for station in lab.lan_clients() {
                wait_for(format_args!("{} to know of {heir} for {vip}", station.name()), SOON, async || {
                    let entry = station.neighbor(*vip).await?;
                    ensure!(entry.as_ref().is_some_and(|entry| entry.mac == mac), "{entry:?}");
                    Ok(())
                })
                .await?;
            }
        }
        for station in lab.lan_clients() {
            ungag(station).await?;
        }
        served(&lab, &vips).await?;
        speaker.start().await?;
        // The one that is back holds nothing, and takes part before the next one goes.
        common::l2::all_agree(&lab, vips[0], &owners(&watch, &vips).await?[0]).await?;
    }
    let record = watch.stop().await?;
    for vip in &vips {
        record.check_single(*vip, Duration::ZERO)?;
    }
    lab.finish().await
}

/// Sends a frame and waits for what `host` claims of `vip` in answer to it.
async fn answer(watch: &Watch<'_>, from: &Station, frame: Frame, vip: IpAddr, host: &str) -> Result<Seen> {
    let since = Time::now();
    from.send(&[frame]).await?;
    let what = format!("an answer of {host} for {vip}");
    watch
        .wire()
        .until(&what, since, SOON, |seen| {
            &*seen.host == host && seen.packet.claim().is_some_and(|claim| claim.0 == vip)
        })
        .await
}

/// The answer is to the one who asked, with the right address and flags.
fn check_solicited(seen: &Seen, mac: MacAddr) {
    assert_eq!((seen.cast, seen.source), (Cast::Unicast, mac), "{seen:?}");
    match seen.packet {
        Packet::Arp { request, sender, .. } => assert!(!request && sender.0 == mac, "{seen:?}"),
        Packet::Advertisement { link_layer, router, solicited, overriding, .. } => {
            assert_eq!(
                (link_layer, router, solicited, overriding),
                (Some(mac), false, true, true),
                "{seen:?}"
            );
        }
        Packet::Solicitation { .. } => panic!("{seen:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_form_of_question_is_answered_by_the_owner_alone() -> Result<()> {
    let lab = Lab::builder("l2-questions").nodes(2).lan_clients(2).start().await?;
    lab.apply(&everything("refresh: 2s")).await?;
    lab.apply(&by("n1").replace("l2: {}", "l2: {refresh: 2s}")).await?;
    lab.start_daymark().await?;
    let vips = web(&lab, "web", &["n1", "n2"], "").await?;
    let mut watch = lab.watch(&vips).await?;
    for vip in &vips {
        watch.answered_by(*vip, "n1", SOON).await?;
    }
    // The first seconds' burst is over, and the prober rests.
    watch.probe(&[]).await?;
    unanswered_but_refreshed(&watch, &vips).await?;

    let client = lab.lan_client("l1")?;
    let asker = client.sender().await?;
    let (owner, other) = (lab.node("n1")?.mac().await?, lab.node("n2")?.mac().await?);
    for vip in &vips {
        let seen = answer(&watch, client, frame::request(asker, *vip), *vip, "n1").await?;
        check_solicited(&seen, owner);
        for told in [SourceLinkLayer::Told, SourceLinkLayer::Absent] {
            let question = frame::unicast_request(asker, *vip, owner, told);
            check_solicited(&answer(&watch, client, question, *vip, "n1").await?, owner);
        }
        // Somebody looks whether the address is free.
        let seen = answer(&watch, client, frame::duplicate_probe(asker.mac, *vip), *vip, "n1").await?;
        if let Packet::Advertisement { destination, solicited, overriding, link_layer, .. } = seen.packet {
            let all_nodes = "ff02::1".parse().unwrap();
            assert_eq!((destination, solicited, overriding), (all_nodes, false, true), "{seen:?}");
            assert_eq!((seen.cast, link_layer), (Cast::Multicast, Some(owner)));
        }
        for station in lab.lan_clients() {
            assert!(station.finds_taken(*vip).await?, "{} {vip}", station.name());
        }
    }
    // Not for others: other addresses of the pool, another node's question to the wrong node, frames of a VLAN.
    let free: [IpAddr; 2] = ["10.20.0.179".parse()?, "fd00:20::1:ffff".parse()?];
    let since = Time::now();
    for (vip, free) in vips.iter().zip(free) {
        client
            .send(&[
                frame::request(asker, free),
                frame::unicast_request(asker, free, owner, SourceLinkLayer::Told),
                frame::unicast_request(asker, *vip, other, SourceLinkLayer::Told),
                frame::tagged(&frame::unicast_request(asker, *vip, owner, SourceLinkLayer::Told), 7),
            ])
            .await?;
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    let record = watch.record().await?.after(since);
    let asked_by = [Some(asker.v4.into()), Some(asker.v6.into())];
    for address in vips.iter().chain(&free) {
        let wrong: Vec<_> =
            record.claims(*address).filter(|seen| asked_by.contains(&seen.packet.answers_to())).collect();
        assert!(wrong.is_empty(), "{wrong:?}");
    }
    for address in free {
        assert!(!client.finds_taken(address).await?, "{address}");
    }
    watch.stop().await?;
    lab.finish().await
}

/// Nobody answers, because nobody asks; but the owner says every two seconds that it is there.
async fn unanswered_but_refreshed(watch: &Watch<'_>, vips: &[IpAddr]) -> Result<()> {
    for vip in vips {
        wait_for(format_args!("a second refresh of {vip}"), SOON, async || {
            let record = watch.record().await?.after(Time::now().before(Duration::from_secs(7)));
            let last: Vec<&Seen> = record.gratuitous(*vip).collect();
            let Some(newest) = last.last() else { bail!("none") };
            // Both forms of ARP may go out together.
            let pause =
                last.iter().rev().map(|seen| newest.at.since(seen.at)).find(|pause| pause.as_millis() > 50);
            let Some(pause) = pause else { bail!("only one") };
            ensure!((1000..=3000).contains(&pause.as_millis()), "{pause:?}");
            Ok(())
        })
        .await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_owner_that_is_alone_in_asking_and_answering_repeats_its_burst() -> Result<()> {
    let lab = Lab::builder("l2-burst").nodes(1).lan_clients(1).start().await?;
    lab.apply(&everything("refresh: 0s")).await?;
    lab.start_daymark().await?;
    let watch = lab.watch(&[]).await?;
    let vips = web(&lab, "web", &["n1"], "").await?;
    let mac = lab.node("n1")?.mac().await?;
    for vip in &vips {
        // 0, 100 ms, 300 ms, 1.1 s, 2.5 s, 5 s.
        let rounds = wait_for(format_args!("the burst for {vip}"), SOON, async || {
            let record = watch.record().await?;
            let mut rounds: Vec<Vec<Seen>> = Vec::new();
            for seen in record.gratuitous(*vip).filter(|seen| &*seen.host == "n1") {
                match rounds.last_mut().filter(|round| seen.at.since(round[0].at) < Duration::from_millis(50))
                {
                    Some(round) => round.push(seen.clone()),
                    None => rounds.push(vec![seen.clone()]),
                }
            }
            ensure!(rounds.len() >= 6, "{} rounds", rounds.len());
            Ok(rounds)
        })
        .await?;
        for round in &rounds {
            assert!(round.iter().all(|seen| seen.source == mac && seen.cast != Cast::Unicast), "{round:?}");
            if vip.is_ipv4() {
                // The two forms that Linux takes at once.
                let forms: Vec<(bool, bool)> = round
                    .iter()
                    .filter_map(|seen| match seen.packet {
                        Packet::Arp { request, sender, target } => Some((request, target.0 == sender.0)),
                        Packet::Solicitation { .. } | Packet::Advertisement { .. } => None,
                    })
                    .collect();
                assert!(forms.iter().any(|form| form.0) && forms.contains(&(false, true)), "{forms:?}");
            } else {
                let flags = round.iter().all(|seen| {
                    matches!(
                        seen.packet,
                        Packet::Advertisement { router: false, overriding: true, solicited: false, .. }
                    )
                });
                assert!(flags, "{round:?}");
            }
        }
    }
    // With a refresh of 0 there is nothing behind it, and a Service that goes takes its address along.
    let since = Time::now();
    tokio::time::sleep(Duration::from_secs(6)).await;
    let record = watch.record().await?.after(since);
    for vip in &vips {
        assert_eq!(record.gratuitous(*vip).count(), 0, "{}", record.story(*vip));
    }
    lab.kubectl(&["delete", "service", "web"]).await?;
    unanswered(&watch, &vips).await?;
    watch.stop().await?;
    lab.finish().await
}
