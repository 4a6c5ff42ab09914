//! Requests of a client behind the routers: answered by all pods, and none lost when Daymark moves something.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use common::{SOON, addresses, announce_everything, routed_by, service};
use daymark_tests::report::Report;
use daymark_tests::{Lab, ProxyMode, Result, RouterSpec, ensure, stays, wait_for};

const DUAL: &str = "ipFamilyPolicy: RequireDualStack, ipFamilies: [IPv4, IPv6],";
/// New connections per second.
const RATE: u32 = 200;
/// What is sent in half a minute.
const HALF_A_MINUTE: u64 = 30 * RATE as u64;

async fn lab(name: &str, mode: ProxyMode) -> Result<Lab> {
    let lab = Lab::builder(name)
        .nodes(3)
        .proxy_mode(mode)
        .router(RouterSpec::frr(65001))
        .router(RouterSpec::bird(65002))
        .start()
        .await?;
    lab.apply(&announce_everything(&lab)).await?;
    Ok(lab)
}

/// A Service `web` with a pod on each of `nodes`, reachable on its addresses.
async fn web(lab: &Lab, policy: &str, nodes: &[&str]) -> Result<Vec<IpAddr>> {
    lab.apply(&service("web", &format!("externalTrafficPolicy: {policy}, {DUAL}"))).await?;
    for node in nodes {
        lab.pod(node, &format!("web-{node}"), &[("app", "web")], &[8080]).await?;
    }
    let vips = addresses(lab, "web", 2).await?;
    for vip in &vips {
        routed_by(lab, *vip, if policy == "Local" { nodes } else { &["n1", "n2", "n3"] }).await?;
    }
    Ok(vips)
}

async fn answered_by_all(lab: &Lab, vip: IpAddr, pods: &[&str]) -> Result<BTreeSet<IpAddr>> {
    let mut seen = BTreeSet::new();
    let mut clients = BTreeSet::new();
    wait_for(format_args!("answers of {pods:?} on {vip}"), SOON, async || {
        let answer = lab.client()?.ask((vip, 80).into()).await?;
        clients.insert(answer.client);
        seen.insert(answer.pod);
        ensure!(seen.iter().map(String::as_str).eq(pods.iter().copied()), "{seen:?}");
        Ok(())
    })
    .await?;
    Ok(clients)
}

/// Every connection was opened at the first SYN and answered. Connections that were open while a router moved flows to
/// another node may break, which no announcing can prevent; a request takes a millisecond, so they are few.
fn nothing_lost(report: &Report) {
    assert_eq!((report.not_served().len(), report.syn_retrans()), (0, 0), "{report:?}");
    assert!(report.open_and_reset() <= 20, "{report:?}");
    println!("{} connections, {} open ones broke when flows moved", report.sent, report.open_and_reset());
}

async fn reached(name: &str, mode: ProxyMode) -> Result<()> {
    let lab = lab(name, mode).await?;
    lab.start_daymark().await?;
    let pods = ["web-n1", "web-n2", "web-n3"];
    let nodes = ["n1", "n2", "n3"];
    let vips = web(&lab, "Cluster", &nodes).await?;
    for vip in &vips {
        answered_by_all(&lab, *vip, &pods).await?;
        assert!(lab.client()?.ask_udp((*vip, 80).into()).await.is_err(), "the Service has no UDP port");
    }
    lab.kubectl(&["patch", "service", "web", "-p", r#"{"spec":{"externalTrafficPolicy":"Local"}}"#]).await?;
    let client = lab.client()?.addresses();
    for vip in &vips {
        let own = if vip.is_ipv4() { IpAddr::from(client.v4) } else { client.v6.into() };
        wait_for("the client's own address in the pods", SOON, async || {
            let seen = answered_by_all(&lab, *vip, &pods).await?;
            ensure!(seen == BTreeSet::from([own]), "{seen:?}");
            Ok(())
        })
        .await?;
    }
    lab.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn all_pods_answer_and_local_keeps_the_clients_address() -> Result<()> {
    reached("traffic-nftables", ProxyMode::Nftables).await
}

#[tokio::test(flavor = "multi_thread")]
async fn all_pods_answer_with_kube_proxy_in_iptables_mode() -> Result<()> {
    reached("traffic-iptables", ProxyMode::Iptables).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drain_loses_no_connection() -> Result<()> {
    let lab = lab("traffic-drain", ProxyMode::Nftables).await?;
    lab.start_daymark().await?;
    let vips = web(&lab, "Cluster", &["n1", "n2", "n3"]).await?;
    answered_by_all(&lab, vips[0], &["web-n1", "web-n2", "web-n3"]).await?;
    let mut loads = Vec::new();
    for vip in &vips {
        loads.push(lab.client()?.load((*vip, 80).into()).rate(RATE / 2).start().await?);
    }
    loads[0].until_sent(HALF_A_MINUTE / 2).await?;
    lab.kubectl(&["patch", "speaker", "n2", "--type=merge", "-p", r#"{"spec":{"drain":true}}"#]).await?;
    for vip in &vips {
        routed_by(&lab, *vip, &["n1", "n3"]).await?;
    }
    loads[0].until_sent(HALF_A_MINUTE / 2).await?;
    let mut reports = Vec::new();
    for load in loads {
        reports.push(load.stop().await?);
    }
    println!("{reports:?}");
    reports.iter().for_each(nothing_lost);
    lab.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_speaker_that_stops_loses_no_connection() -> Result<()> {
    let lab = lab("traffic-sigterm", ProxyMode::Nftables).await?;
    lab.start_controller("a").await?;
    lab.start_speaker("n1").await?;
    lab.start_speaker("n3").await?;
    let leaving = lab.start_speaker("n2").await?;
    let vips = web(&lab, "Local", &["n1", "n2", "n3"]).await?;
    answered_by_all(&lab, vips[0], &["web-n1", "web-n2", "web-n3"]).await?;
    let mut load = lab.client()?.load((vips[0], 80).into()).rate(RATE).start().await?;
    load.until_sent(HALF_A_MINUTE).await?;
    let status = leaving.terminate(SOON).await?;
    assert!(status.success(), "{status}");
    routed_by(&lab, vips[0], &["n1", "n3"]).await?;
    load.until_sent(HALF_A_MINUTE).await?;
    nothing_lost(&load.stop().await?);
    lab.finish().await
}

/// Twenty other Services change per second, so that kube-proxy is always busy.
async fn churn(lab: &Lab, until: Instant) -> Result<()> {
    let mut generation = 0_u32;
    while Instant::now() < until {
        generation += 1;
        for i in 0..20 {
            let started = Instant::now();
            let patch = format!(
                r#"{{"spec":{{"ports":[{{"port":{},"targetPort":8080}}]}}}}"#,
                1000 + generation % 1000
            );
            let services = lab.namespaced::<k8s_openapi::api::core::v1::Service>("default");
            let patch: serde_json::Value = serde_json::from_str(&patch)?;
            services
                .patch(
                    &format!("busy-{i}"),
                    &kube::api::PatchParams::default(),
                    &kube::api::Patch::Merge(&patch),
                )
                .await?;
            let pace = Duration::from_millis(50).saturating_sub(started.elapsed());
            tokio::time::sleep(pace).await;
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_route_appears_only_when_the_node_can_serve() -> Result<()> {
    let lab = lab("traffic-gate", ProxyMode::Nftables).await?;
    lab.start_daymark().await?;
    let busy: Vec<String> = (0..20)
        .map(|i| service(&format!("busy-{i}"), "").replace("type: LoadBalancer", "type: ClusterIP"))
        .collect();
    lab.apply(&busy.concat()).await?;
    lab.pod("n1", "busy-1", &[("app", "busy-0")], &[8080]).await?;

    let under_churn = async {
        // A new Service under Cluster: asked from the moment on that a router has its route.
        for round in 0..3 {
            let name = format!("fresh-{round}");
            lab.pod("n3", &format!("{name}-pod"), &[("app", &name)], &[8080]).await?;
            lab.apply(&service(&name, "ipFamilies: [IPv4],")).await?;
            let vip = addresses(&lab, &name, 1).await?[0];
            let prefix = ipnet::IpNet::from(vip);
            wait_for(format_args!("a kernel route to {name}"), SOON, async || {
                let hops = lab.router("r2")?.kernel_next_hops(prefix).await?;
                ensure!(!hops.is_empty(), "none");
                Ok(())
            })
            .await?;
            wait_for(format_args!("a kernel route to {name} in the other router"), SOON, async || {
                let hops = lab.router("r1")?.kernel_next_hops(prefix).await?;
                ensure!(!hops.is_empty(), "none");
                Ok(())
            })
            .await?;
            let load = lab.client()?.load((vip, 80).into()).rate(RATE).duration(Duration::from_secs(4));
            let report = load.run().await?;
            nothing_lost(&report);
        }
        // Pods added under Local while requests run.
        lab.apply(&service("grow", "externalTrafficPolicy: Local, ipFamilies: [IPv4],")).await?;
        lab.pod("n1", "grow-n1", &[("app", "grow")], &[8080]).await?;
        let vip = addresses(&lab, "grow", 1).await?[0];
        routed_by(&lab, vip, &["n1"]).await?;
        let mut load = lab.client()?.load((vip, 80).into()).rate(RATE).start().await?;
        load.until_sent(u64::from(RATE)).await?;
        lab.pod("n2", "grow-n2", &[("app", "grow")], &[8080]).await?;
        routed_by(&lab, vip, &["n1", "n2"]).await?;
        lab.pod("n3", "grow-n3", &[("app", "grow")], &[8080]).await?;
        routed_by(&lab, vip, &["n1", "n2", "n3"]).await?;
        load.until_sent(5 * u64::from(RATE)).await?;
        let report = load.stop().await?;
        nothing_lost(&report);
        assert_eq!(report.answers_by_pod.len(), 3, "{report:?}");
        Ok::<_, daymark_tests::Error>(())
    };
    let churning = churn(&lab, Instant::now() + Duration::from_secs(120));
    tokio::select! {
        done = under_churn => done?,
        ended = churning => { ended?; daymark_tests::bail!("two minutes were not enough"); }
    }
    lab.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn kube_proxy_away_for_a_minute_withdraws_nothing() -> Result<()> {
    let lab = lab("traffic-proxy-away", ProxyMode::Nftables).await?;
    lab.start_daymark().await?;
    let vips = web(&lab, "Cluster", &["n1", "n2", "n3"]).await?;
    answered_by_all(&lab, vips[0], &["web-n1", "web-n2", "web-n3"]).await?;
    let load = lab.client()?.load((vips[0], 80).into()).rate(RATE).start().await?;
    for node in lab.nodes() {
        node.proxy().kill().await?;
    }
    stays("every node's route", Duration::from_secs(70), async || {
        for router in lab.routers() {
            for vip in &vips {
                let paths = router.paths_to(*vip).await?;
                ensure!(paths.len() == 3, "{}: {paths:?}", router.name());
            }
        }
        Ok(())
    })
    .await?;
    nothing_lost(&load.stop().await?);
    for node in lab.nodes() {
        node.start_proxy().await?;
    }
    wait_for("no route marked as leaving", SOON, async || {
        for router in lab.routers() {
            for path in router.paths_to(vips[0]).await? {
                ensure!(!path.is_leaving(), "{path:?}");
            }
        }
        Ok(())
    })
    .await?;
    lab.finish().await
}
