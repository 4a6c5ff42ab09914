//! The API server goes, and falls silent; what is announced stays announced.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::net::IpAddr;
use std::time::Duration;

use common::{SOON, addresses, announce_everything, routed_by, service};
use daymark_tests::control_plane::Silence;
use daymark_tests::{Lab, Readiness, Result, RouterSpec, bail, ensure, stays, wait_for};

const DUAL: &str = "ipFamilyPolicy: RequireDualStack, ipFamilies: [IPv4, IPv6],";

async fn lab(name: &str) -> Result<(Lab, Vec<IpAddr>)> {
    let lab = Lab::builder(name)
        .nodes(2)
        .router(RouterSpec::frr(65001))
        .router(RouterSpec::bird(65002))
        .start()
        .await?;
    lab.apply(&announce_everything(&lab)).await?;
    lab.start_daymark().await?;
    lab.apply(&service("web", DUAL)).await?;
    lab.pod("n1", "web-1", &[("app", "web")], &[8080]).await?;
    let vips = addresses(&lab, "web", 2).await?;
    for vip in &vips {
        routed_by(&lab, *vip, &["n1", "n2"]).await?;
    }
    Ok((lab, vips))
}

async fn nothing_withdrawn(lab: &Lab, vips: &[IpAddr], span: Duration) -> Result<()> {
    stays("every route", span, async || {
        for router in lab.routers() {
            for vip in vips {
                let paths = router.paths_to(*vip).await?;
                ensure!(
                    paths.len() == 2 && paths.iter().all(|p| !p.is_leaving()),
                    "{}: {paths:?}",
                    router.name()
                );
            }
        }
        Ok(())
    })
    .await
}

/// A change made now is on the wire within ten seconds, and a new Service has its address. (A new route may take longer: it
/// waits for kube-proxy, which comes back in its own time.)
async fn changes_pass(lab: &Lab, vips: &[IpAddr]) -> Result<()> {
    lab.kubectl(&[
        "patch",
        "announcement",
        "everything",
        "--type=merge",
        "-p",
        r#"{"spec":{"bgp":{"med":77}}}"#,
    ])
    .await?;
    lab.apply(&service("later", "")).await?;
    let passed = tokio::time::timeout(Duration::from_secs(10), async {
        addresses(lab, "later", 1).await?;
        for router in lab.routers() {
            wait_for(format_args!("the new MED in {}", router.name()), SOON, async || {
                let paths = router.paths_to(vips[0]).await?;
                ensure!(paths.len() == 2 && paths.iter().all(|path| path.med == Some(77)), "{paths:?}");
                Ok(())
            })
            .await?;
        }
        Ok(())
    });
    match passed.await {
        Ok(passed) => passed,
        Err(_) => {
            bail!("not within 10 s after the API server's return: {:?}", lab.router("r1")?.table().await?)
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_withdrawn_while_the_api_server_is_dead() -> Result<()> {
    let (lab, vips) = lab("survival-dead").await?;
    lab.control_plane().api_server().kill().await?;
    nothing_withdrawn(&lab, &vips, Duration::from_secs(30)).await?;
    lab.control_plane().api_server().start().await?;
    lab.wait_api_server().await?;
    changes_pass(&lab, &vips).await?;
    nothing_withdrawn(&lab, &vips, Duration::from_secs(5)).await?;
    lab.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_withdrawn_while_the_api_server_is_silent() -> Result<()> {
    let (lab, vips) = lab("survival-silent").await?;
    lab.control_plane().silence(Silence::Nodes).await?;
    nothing_withdrawn(&lab, &vips, Duration::from_secs(45)).await?;
    lab.control_plane().api_server().kill().await?;
    lab.control_plane().api_server().start().await?;
    nothing_withdrawn(&lab, &vips, Duration::from_secs(45)).await?;
    lab.control_plane().unsilence().await?;
    lab.wait_api_server().await?;
    changes_pass(&lab, &vips).await?;
    nothing_withdrawn(&lab, &vips, Duration::from_secs(5)).await?;
    lab.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_lost_while_the_api_server_is_away_is_withdrawn_at_its_return() -> Result<()> {
    let (lab, vips) = lab("survival-endpoint").await?;
    let pod = lab.pod("n1", "web-2", &[("app", "web")], &[8080]).await?;
    lab.control_plane().silence(Silence::Nodes).await?;
    pod.set_ready(Readiness::NotReady).await?;
    lab.kubectl(&["delete", "pod", "web-1", "--force", "--grace-period=0"]).await?;
    nothing_withdrawn(&lab, &vips, Duration::from_secs(5)).await?;
    lab.control_plane().unsilence().await?;
    for vip in &vips {
        routed_by(&lab, *vip, &[]).await?;
    }
    lab.finish().await
}
