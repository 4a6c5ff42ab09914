//! The lab's LAN itself: what the tests of layer 2 rely on. Kernels play the speakers: whoever has an address answers for it.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::net::IpAddr;
use std::time::Duration;

use daymark_tests::lan::frame::{self, Cast, SourceLinkLayer};
use daymark_tests::lan::watch::PACE;
use daymark_tests::network::Network;
use daymark_tests::{Attachment, Dark, Lab, Link, Result, Time, command, ensure, wait_for};

const SOON: Duration = Duration::from_secs(10);
const V4: &str = "10.20.0.100";
const V6: &str = "fd00:20::1:1";
const LAN: &[Network] = &[Network::Upstream];

fn vips() -> [IpAddr; 2] {
    [V4.parse().unwrap(), V6.parse().unwrap()]
}

async fn take(lab: &Lab, node: &str, address: IpAddr) -> Result<()> {
    let (length, quiet) = if address.is_ipv4() { (32, "") } else { (128, " nodad") };
    let line = format!("addr add {address}/{length} dev upstream{quiet}");
    lab.node(node)?.netns().ip(&line).await.map(drop)
}

async fn give_up(lab: &Lab, node: &str, address: IpAddr) -> Result<()> {
    let length = if address.is_ipv4() { 32 } else { 128 };
    lab.node(node)?.netns().ip(&format!("addr del {address}/{length} dev upstream")).await.map(drop)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_record_shows_who_answers_and_every_breakage() -> Result<()> {
    let lab = Lab::builder("lan-record").nodes(2).lan_clients(1).without_daymark().start().await?;
    let client = lab.lan_client("l1")?;
    let watch = lab.watch(&vips()).await?;
    for vip in vips() {
        watch.stays_silent(vip, Duration::from_millis(500)).await?;
        take(&lab, "n1", vip).await?;
        watch.answered_by(vip, "n1", SOON).await?;
        // Both have it.
        take(&lab, "n2", vip).await?;
        wait_for("two answerers", SOON, async || {
            let found = watch.answerers(vip).await?;
            ensure!(found.len() == 2, "{found:?}");
            Ok(())
        })
        .await?;
        tokio::time::sleep(Duration::from_millis(500)).await;
        give_up(&lab, "n1", vip).await?;
        watch.answered_by(vip, "n2", SOON).await?;
    }
    let record = watch.record().await?;
    for vip in vips() {
        let changes = record.changes(vip);
        assert_eq!(changes.len(), 1, "{}", record.story(vip));
        let (from, to) = (&changes[0].from, &changes[0].to);
        assert_eq!((&*from.0, &*to.0), ("n1", "n2"));
        assert_eq!(from.1, Some(lab.node("n1")?.mac().await?));
        assert_eq!(to.1, Some(lab.node("n2")?.mac().await?));
        assert!(changes[0].overlap > Duration::from_millis(400), "{changes:?}");
        record.check_single(vip, Duration::from_millis(300)).unwrap_err();
        record.check_single(vip, Duration::from_secs(20))?;
    }

    // The ways to be dark; and the client's own cache is the prober's business at no time.
    for dark in [Dark::Carrier, Dark::Silent, Dark::Mute, Dark::Deaf] {
        let since = Time::now();
        lab.darken("n2", LAN, dark).await?;
        for vip in vips() {
            watch.silent(vip, SOON).await?;
        }
        lab.lighten("n2", LAN).await?;
        for vip in vips() {
            watch.answered_by(vip, "n2", SOON).await?;
            let record = watch.record().await?.after(since.before(Duration::from_secs(1)));
            assert!(!record.silences(vip, 5 * PACE).is_empty(), "{dark:?}: {}", record.story(vip));
        }
    }
    for vip in vips() {
        assert_eq!(client.neighbor(vip).await?, None);
    }
    let carrier = async |interface: &str| lab.node("n2")?.netns().ip(&format!("link show {interface}")).await;
    lab.darken("n2", LAN, Dark::Silent).await?;
    assert!(carrier("upstream").await?.contains("LOWER_UP"));
    lab.darken("n2", LAN, Dark::Carrier).await?;
    assert!(carrier("upstream").await?.contains("NO-CARRIER"));
    lab.lighten("n2", LAN).await?;

    // Loss, and parts that hear only themselves.
    lab.darken("n2", LAN, Dark::Lossy(50)).await?;
    let begin = Time::now();
    tokio::time::sleep(Duration::from_secs(2)).await;
    let record = watch.record().await?.after(begin);
    let answers = record.claims(vips()[0]).count();
    assert!((30..170).contains(&answers), "{answers} answers to 200 requests of which half arrive");
    lab.lighten("n2", LAN).await?;
    lab.split(Network::Upstream, &[&["n1", "l1"], &["n2", "probe"]]).await?;
    watch.answered_by(vips()[0], "n2", SOON).await?;
    client.send(&[frame::gratuitous(client.mac().await?, V4.parse()?)]).await?;
    lab.split(Network::Upstream, &[&["n1", "probe"], &["n2", "l1"]]).await?;
    watch.silent(vips()[0], SOON).await?;
    lab.heal(Network::Upstream).await?;
    watch.answered_by(vips()[0], "n2", SOON).await?;
    lab.set_link(lab.node("n2")?.netns(), Network::Upstream, Link::Down).await?;
    watch.silent(vips()[0], SOON).await?;
    watch.stop().await?;
    lab.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn stations_claim_ask_and_find_out() -> Result<()> {
    let lab = Lab::builder("lan-stations").nodes(1).lan_clients(2).without_daymark().start().await?;
    let (client, stranger) = (lab.lan_client("l1")?, lab.lan_client("l2")?);
    let watch = lab.watch(&vips()).await?;
    for vip in vips() {
        assert!(!client.finds_taken(vip).await?, "{vip}");
        stranger.seize(vip).await?;
        watch.answered_by(vip, "l2", SOON).await?;
        assert!(client.finds_taken(vip).await?, "{vip}");
        // A stale entry is moved by a claim that nobody asked for.
        let (ours, other) = (stranger.mac().await?, lab.node("n1")?.mac().await?);
        client.set_neighbor(vip, other, "stale").await?;
        assert_eq!(client.neighbor(vip).await?.map(|entry| entry.mac), Some(other));
        let since = Time::now();
        stranger.send(&[frame::gratuitous(ours, vip)]).await?;
        wait_for("the entry to move", SOON, async || {
            let entry = client.neighbor(vip).await?;
            ensure!(entry.as_ref().is_some_and(|entry| entry.mac == ours), "{entry:?}");
            Ok(())
        })
        .await?;
        let seen = watch.wire().until("the claim", since, SOON, |seen| {
            seen.packet.is_gratuitous() && seen.packet.claim().is_some_and(|claim| claim.0 == vip)
        });
        assert_eq!(&*seen.await?.host, "l2");
        // A probe to one station only.
        let since = Time::now();
        let sender = client.sender().await?;
        client.send(&[frame::unicast_request(sender, vip, ours, SourceLinkLayer::Absent)]).await?;
        let asked = watch.wire().until("the probe", since, SOON, |seen| {
            &*seen.host == "l1" && seen.packet.asks_for() == Some(vip)
        });
        assert_eq!(asked.await?.cast, Cast::Unicast);
        stranger.release(vip).await?;
        watch.silent(vip, SOON).await?;
    }
    let record = watch.stop().await?;
    assert!(record.frames.len() > 100, "{}", record.frames.len());
    lab.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lan_as_real_ones_are() -> Result<()> {
    let lab = Lab::builder("lan-real")
        .nodes(3)
        .lan_clients(1)
        .kernel_dad()
        .snooping()
        .host_firewall()
        .attachment(2, Attachment::Bridge)
        .attachment(3, Attachment::Macvlan)
        .without_daymark()
        .start()
        .await?;
    let [v4, v6] = vips();
    let watch = lab.watch(&vips()).await?;
    for node in ["n1", "n2", "n3"] {
        take(&lab, node, v4).await?;
        watch.answered_by(v4, node, SOON).await?;
        give_up(&lab, node, v4).await?;
    }
    // With `nodad` the kernel joins the group; an address on another interface joins none here.
    take(&lab, "n1", v6).await?;
    watch.answered_by(v6, "n1", SOON).await?;
    give_up(&lab, "n1", v6).await?;
    watch.silent(v6, SOON).await?;
    // No group, no solicitation: the switch sends it nowhere once the membership is over.
    let group = format!("icmp6 and ip6[40] == 135 and dst {}", frame::solicited_node(V6.parse()?));
    wait_for("an end of solicitations", Duration::from_secs(20), async || {
        let mut capture = lab.node("n1")?.netns().command("timeout");
        capture.args(["0.5", "tcpdump", "-i", "upstream", "-c", "1", "-n", &group]);
        let said = command::output(capture, None).await?;
        ensure!(!said.status.success(), "{}", String::from_utf8_lossy(&said.stdout));
        Ok(())
    })
    .await?;
    // The firewall lets in what nodes need and nothing else.
    let node_address = lab.node("n1")?.upstream();
    let client = lab.lan_client("l1")?.netns();
    for (port, open) in [(10256_u16, true), (7472, false)] {
        let target = format!("http://{}:{port}/", node_address.v4);
        let answer = client.run("curl", &["-gsS", "--max-time", "1", &target]).await;
        assert_eq!(answer.is_ok(), open, "{port}: {answer:?}");
    }
    // DAD: an address of somebody else is not used.
    assert!(lab.lan_client("l1")?.finds_taken(node_address.v6.into()).await?);
    watch.stop().await?;
    lab.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn bonds_and_vlans_where_the_kernel_has_them() -> Result<()> {
    for (attachment, name) in [(Attachment::Bond, "lan-bond"), (Attachment::Vlan(7), "lan-vlan")] {
        if !attachment.is_offered().await? {
            println!("this kernel has no {attachment:?}");
            continue;
        }
        let builder = Lab::builder(name).nodes(1).lan_clients(1).without_daymark();
        let lab = if let Attachment::Vlan(id) = attachment {
            builder.vlan(id).start().await?
        } else {
            builder.attachment(1, attachment).start().await?
        };
        let watch = lab.watch(&vips()).await?;
        for vip in vips() {
            take(&lab, "n1", vip).await?;
            watch.answered_by(vip, "n1", SOON).await?;
        }
        lab.finish().await?;
    }
    Ok(())
}
