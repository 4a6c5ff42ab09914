//! Interfaces that change, come and go, and are more than a cable.

use std::net::IpAddr;
use std::time::Duration;

use daymark_model::MacAddr;
use daymark_tests::lan::watch::Watch;
use daymark_tests::network::Network;
use daymark_tests::{Attachment, Dark, Lab, Result, Time, ensure, wait_for};

use super::by;
use super::common::SOON;
use super::common::l2::{POOL, answered, everything, served, unanswered, web};

/// The client's kernel, which asked nobody since, has this address by now.
async fn client_moved(lab: &Lab, vips: &[IpAddr], mac: MacAddr) -> Result<()> {
    let client = lab.lan_client("l1")?;
    for vip in vips {
        wait_for(format_args!("{vip} at {mac} in the client's cache"), SOON, async || {
            let entry = client.neighbor(*vip).await?;
            ensure!(entry.as_ref().is_some_and(|entry| entry.mac == mac), "{entry:?}");
            Ok(())
        })
        .await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interface_flaps_changes_and_is_made_anew() -> Result<()> {
    // Without a membership of its own in the group, no solicitation arrives on such a LAN.
    let lab = Lab::builder("l2-flaps").nodes(2).lan_clients(1).snooping().start().await?;
    lab.apply(&[POOL, &by("n1")].concat()).await?;
    lab.start_daymark().await?;
    let vips = web(&lab, "web", &["n1", "n2"], "").await?;
    let watch = lab.watch(&vips).await?;
    answered(&watch, &vips, "n1").await?;
    served(&lab, &vips).await?;
    let node = lab.node("n1")?;

    // Another Ethernet address: told to everybody at once.
    let new: MacAddr = "02:00:00:00:aa:01".parse()?;
    let since = Time::now();
    super::gag(lab.lan_client("l1")?).await?;
    node.netns().ip(&format!("link set upstream address {new}")).await?;
    client_moved(&lab, &vips, new).await?;
    super::ungag(lab.lan_client("l1")?).await?;
    served(&lab, &vips).await?;
    let settled = Time::now();
    answered(&watch, &vips, "n1").await?;
    for vip in &vips {
        wait_for("answers with the new address", SOON, async || {
            let record = watch.record().await?.after(settled);
            let macs: Vec<_> = record.claims(*vip).filter_map(|seen| seen.packet.claim()?.1).collect();
            ensure!(!macs.is_empty() && macs.iter().all(|mac| *mac == new), "{macs:?}");
            Ok(())
        })
        .await?;
    }
    watch.record().await?.after(since).check_single(vips[0], Duration::ZERO)?;

    // The carrier goes and comes; the interface goes down and up.
    lab.darken("n1", &[Network::Upstream], Dark::Carrier).await?;
    unanswered(&watch, &vips).await?;
    lab.lighten("n1", &[Network::Upstream]).await?;
    answered(&watch, &vips, "n1").await?;
    node.netns().sysctl(&[("ipv6/conf/upstream/keep_addr_on_down", "1")]).await?;
    node.netns().ip("link set upstream down").await?;
    unanswered(&watch, &vips).await?;
    node.netns().ip("link set upstream up").await?;
    answered(&watch, &vips, "n1").await?;
    served(&lab, &vips).await?;

    // It is deleted, and another one of that name is made.
    node.netns().ip("link del upstream").await?;
    unanswered(&watch, &vips).await?;
    lab.switches().connect(node.netns(), &[(Network::Upstream, 11)]).await?;
    answered(&watch, &vips, "n1").await?;
    served(&lab, &vips).await?;
    watch.stop().await?;
    lab.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn bridges_macvlans_and_bonds_answer_with_their_own_address() -> Result<()> {
    let mut attachments = vec![(2, Attachment::Bridge), (3, Attachment::Macvlan)];
    if Attachment::Bond.is_offered().await? {
        attachments.push((4, Attachment::Bond));
    } else {
        println!("this kernel has no bonds");
    }
    let nodes = u8::try_from(attachments.len())? + 1;
    let builder = Lab::builder("l2-attachments").nodes(nodes).lan_clients(1);
    let lab = attachments.iter().fold(builder, |builder, (node, kind)| builder.attachment(*node, *kind));
    let lab = lab.start().await?;
    lab.apply(&[POOL, &by("n1")].concat()).await?;
    lab.start_daymark().await?;
    let vips = web(&lab, "web", &["n1"], "").await?;
    let watch = lab.watch(&vips).await?;
    for node in lab.nodes() {
        lab.apply(&by(node.name())).await?;
        answered(&watch, &vips, node.name()).await?;
        served(&lab, &vips).await?;
        client_moved(&lab, &vips, node.mac().await?).await?;
    }
    if nodes == 4 {
        bond_fails_over(&lab, &watch, &vips).await?;
    }
    // Whatever the interface is: its speaker goes, another one takes over, and the other way round.
    lab.apply(&everything("failback: Never")).await?;
    let record = watch.stop().await?;
    for vip in &vips {
        record.check_single(*vip, Duration::ZERO)?;
    }
    lab.finish().await
}

/// The active cable of the bond goes dark: the bond says by which port it is reached now.
async fn bond_fails_over(lab: &Lab, watch: &Watch<'_>, vips: &[IpAddr]) -> Result<()> {
    let node = lab.node("n4")?;
    let active = node.netns().run("cat", &["/proc/net/bonding/upstream"]).await?;
    let active = if active.contains("Currently Active Slave: lan0") { "lan0" } else { "lan1" };
    let ports = lab.switches().ports(node.netns(), Network::Upstream).await?;
    let port = &ports[usize::from(active == "lan1")];
    let since = Time::now();
    lab.switches().netns().ip(&format!("link set {port} down")).await?;
    for vip in vips {
        watch
            .wire()
            .until("a gratuitous frame by the other cable", since, SOON, |seen| {
                seen.packet.is_gratuitous() && seen.packet.claim().is_some_and(|claim| claim.0 == *vip)
            })
            .await?;
    }
    served(lab, vips).await?;
    lab.switches().netns().ip(&format!("link set {port} up")).await?;
    answered(watch, vips, "n4").await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lan_in_a_vlan_is_a_lan() -> Result<()> {
    if !Attachment::Vlan(7).is_offered().await? {
        println!("this kernel has no VLANs");
        return Ok(());
    }
    let lab = Lab::builder("l2-vlan").nodes(2).lan_clients(1).vlan(7).start().await?;
    lab.apply(&everything("")).await?;
    lab.start_daymark().await?;
    let vips = web(&lab, "web", &["n1"], "").await?;
    let watch = lab.watch(&vips).await?;
    let owners = super::owners(&watch, &vips).await?;
    served(&lab, &vips).await?;
    let speaker = lab.speaker(&owners[0]).await?;
    speaker.kill().await?;
    watch.answered_by_other(vips[0], &owners[0], SOON).await?;
    served(&lab, &vips).await?;
    watch.stop().await?;
    lab.finish().await
}
