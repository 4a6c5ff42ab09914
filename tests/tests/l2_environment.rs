//! The way of an address through its life on LANs and hosts as they really are: answered, served, taken over, handed over.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::net::IpAddr;
use std::time::Duration;

use common::SOON;
use common::l2::{DUAL, drain, everything, owners, served, unanswered};
use common::{addresses, service};
use daymark_tests::lab::LabBuilder;
use daymark_tests::network::Network;
use daymark_tests::{Dark, Lab, Result, Signal};

const LAN: &[Network] = &[Network::Upstream];

/// Everything that can happen to an address, in one lab.
async fn life(builder: LabBuilder, families: &str, count: usize) -> Result<()> {
    let lab = builder.nodes(3).lan_clients(1).start().await?;
    lab.apply(&everything("failback: Immediate")).await?;
    lab.start_daymark().await?;
    lab.apply(&service("web", families)).await?;
    for node in ["n1", "n2", "n3"] {
        lab.pod(node, &format!("web-{node}"), &[("app", "web")], &[8080]).await?;
    }
    let vips: Vec<IpAddr> = addresses(&lab, "web", count).await?;
    let watch = lab.watch(&vips).await?;
    let home = owners(&watch, &vips).await?;
    served(&lab, &vips).await?;
    let node = home[0].as_str();
    for way in ["kill", "freeze", "carrier", "silent", "drain", "stop"] {
        let speaker = lab.speaker(node).await?;
        match way {
            "kill" => speaker.kill().await?,
            "freeze" => speaker.signal(Signal::Stop).await?,
            "carrier" => lab.darken(node, LAN, Dark::Carrier).await?,
            "silent" => lab.darken(node, LAN, Dark::Silent).await?,
            "drain" => drain(&lab, node, true).await?,
            _ => assert!(speaker.terminate(SOON).await?.success()),
        }
        for (vip, owner) in vips.iter().zip(&home) {
            if owner == node {
                watch.answered_by_other(*vip, node, SOON).await?;
            }
        }
        served(&lab, &vips).await?;
        match way {
            "freeze" => speaker.signal(Signal::Continue).await?,
            "carrier" | "silent" => lab.lighten(node, LAN).await?,
            "drain" => drain(&lab, node, false).await?,
            _ => speaker.start().await?,
        }
        for (vip, owner) in vips.iter().zip(&home) {
            watch.answered_by(*vip, owner, SOON).await?;
        }
        let record = watch.record().await?;
        for vip in &vips {
            record.check_single(*vip, Duration::from_secs(1))?;
        }
        println!("{way}: done");
    }
    served(&lab, &vips).await?;
    lab.kubectl(&["delete", "service", "web"]).await?;
    unanswered(&watch, &vips).await?;
    watch.stop().await?;
    lab.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn with_dad_snooping_and_a_firewall() -> Result<()> {
    let builder = Lab::builder("l2-real-hosts").kernel_dad().snooping().host_firewall();
    life(builder, DUAL, 2).await
}

#[tokio::test(flavor = "multi_thread")]
async fn on_a_lan_interface_without_ipv6() -> Result<()> {
    let builder = Lab::builder("l2-without-ipv6").lan_without_ipv6().host_firewall();
    life(builder, "ipFamilies: [IPv4],", 1).await
}
