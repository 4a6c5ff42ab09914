//! What real routers learn: prefixes, next hops, paths, attributes; and when they unlearn it.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use common::{SOON, addresses, announce_everything, neighbor, routed_by, service, sessions_up};
use daymark_tests::{Lab, Readiness, Result, RouterSpec, Segment, ensure, stays, wait_for};
use ipnet::IpNet;

const DUAL: &str = "ipFamilyPolicy: RequireDualStack, ipFamilies: [IPv4, IPv6],";

async fn lab(name: &str, nodes: u8) -> Result<Lab> {
    let lab = Lab::builder(name)
        .nodes(nodes)
        .router(RouterSpec::frr(65001))
        .router(RouterSpec::bird(4_200_000_002))
        .start()
        .await?;
    lab.apply(&announce_everything(&lab)).await?;
    lab.start_daymark().await?;
    Ok(lab)
}

/// Every router has routes to exactly these addresses, as host routes.
async fn only(lab: &Lab, wanted: &[IpAddr]) -> Result<()> {
    let wanted: BTreeSet<IpNet> = wanted.iter().map(|address| IpNet::from(*address)).collect();
    for router in lab.routers() {
        wait_for(format_args!("{} has {wanted:?} and nothing else", router.name()), SOON, async || {
            let found: BTreeSet<IpNet> = router.table().await?.into_keys().collect();
            ensure!(found == wanted, "{found:?}");
            Ok(())
        })
        .await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn routers_hold_exactly_what_can_be_served() -> Result<()> {
    let lab = lab("routes-exact", 3).await?;
    lab.apply(&[service("web", DUAL), service("idle", DUAL)].concat()).await?;
    let pod = lab.pod("n1", "web-1", &[("app", "web")], &[8080]).await?;
    let vips = addresses(&lab, "web", 2).await?;
    sessions_up(&lab).await?;
    only(&lab, &vips).await?;
    for vip in &vips {
        routed_by(&lab, *vip, &["n1", "n2", "n3"]).await?;
        for router in lab.routers() {
            for path in router.paths_to(*vip).await? {
                assert_eq!(path.as_path, [Segment::Sequence(vec![64512])], "{path:?}");
                assert!(path.communities.is_empty() && path.large_communities.is_empty(), "{path:?}");
            }
            wait_for(
                format_args!("ECMP over all nodes in the kernel of {}", router.name()),
                SOON,
                async || {
                    let hops = router.kernel_next_hops(IpNet::from(*vip)).await?;
                    ensure!(hops.len() == 3, "{hops:?}");
                    Ok(())
                },
            )
            .await?;
        }
    }
    // The last endpoint goes, and comes back.
    pod.set_ready(Readiness::NotReady).await?;
    only(&lab, &[]).await?;
    pod.set_ready(Readiness::Ready).await?;
    only(&lab, &vips).await?;
    // The Service goes.
    lab.kubectl(&["delete", "service", "web"]).await?;
    only(&lab, &[]).await?;
    lab.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn local_follows_the_pods() -> Result<()> {
    let lab = lab("routes-local", 3).await?;
    lab.apply(&service("web", &format!("externalTrafficPolicy: Local, {DUAL}"))).await?;
    let vips = addresses(&lab, "web", 2).await?;
    let first = lab.pod("n1", "web-1", &[("app", "web")], &[8080]).await?;
    for vip in &vips {
        routed_by(&lab, *vip, &["n1"]).await?;
    }
    let second = lab.pod("n3", "web-3", &[("app", "web")], &[8080]).await?;
    for vip in &vips {
        routed_by(&lab, *vip, &["n1", "n3"]).await?;
    }
    first.delete().await?;
    for vip in &vips {
        routed_by(&lab, *vip, &["n3"]).await?;
    }
    // Terminating but serving, and nobody else is ready: the node goes on.
    second.terminate(60).await?;
    for vip in &vips {
        stays("the terminating pod's node announced", Duration::from_secs(3), async || {
            for router in lab.routers() {
                let paths = router.paths_to(*vip).await?;
                ensure!(paths.len() == 1, "{paths:?}");
            }
            Ok(())
        })
        .await?;
    }
    let third = lab.pod("n2", "web-2", &[("app", "web")], &[8080]).await?;
    for vip in &vips {
        routed_by(&lab, *vip, &["n2"]).await?;
    }
    drop(third);
    lab.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn labels_and_drain_take_a_node_out() -> Result<()> {
    let lab = lab("routes-nodes", 3).await?;
    lab.apply(&service("web", "")).await?;
    lab.pod("n1", "web-1", &[("app", "web")], &[8080]).await?;
    let vip = addresses(&lab, "web", 1).await?[0];
    routed_by(&lab, vip, &["n1", "n2", "n3"]).await?;

    let label = "node.kubernetes.io/exclude-from-external-load-balancers";
    lab.kubectl(&["label", "node", "n2", &format!("{label}=")]).await?;
    routed_by(&lab, vip, &["n1", "n3"]).await?;
    lab.kubectl(&["label", "node", "n2", &format!("{label}-")]).await?;
    routed_by(&lab, vip, &["n1", "n2", "n3"]).await?;

    let drain = |value: bool| format!(r#"{{"spec":{{"drain":{value}}}}}"#);
    lab.kubectl(&["patch", "speaker", "n3", "--type=merge", "-p", &drain(true)]).await?;
    routed_by(&lab, vip, &["n1", "n2"]).await?;
    sessions_up(&lab).await?;
    wait_for("the Speaker says that it drains", SOON, async || {
        let speaker = lab.raw("/apis/daymark.dev/v1alpha1/speakers/n3").await?;
        let speaker: serde_json::Value = serde_json::from_str(&speaker)?;
        ensure!(speaker["status"]["facts"]["drain"] == "Done", "{}", speaker["status"]);
        Ok(())
    })
    .await?;
    lab.kubectl(&["patch", "speaker", "n3", "--type=merge", "-p", &drain(false)]).await?;
    routed_by(&lab, vip, &["n1", "n2", "n3"]).await?;
    lab.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn attributes_reach_the_routers_they_are_meant_for() -> Result<()> {
    let lab = Lab::builder("routes-attributes")
        .nodes(1)
        .router(RouterSpec::frr(64512))
        .router(RouterSpec::bird(65002))
        .start()
        .await?;
    let (r1, r2) = (lab.router("r1")?, lab.router("r2")?);
    lab.apply(&format!(
        "
apiVersion: daymark.dev/v1alpha1
kind: AddressPool
metadata: {{name: public, labels: {{zone: a}}}}
spec: {{addresses: [198.51.100.0/24, '2001:db8:5::/112']}}
---
apiVersion: daymark.dev/v1alpha1
kind: Announcement
metadata: {{name: internal}}
spec:
  poolSelector: {{matchLabels: {{zone: a}}}}
  bgp: {{neighbors: [r1], localPreference: 250, communities: ['64512:10'], med: 7}}
---
apiVersion: daymark.dev/v1alpha1
kind: Announcement
metadata: {{name: external}}
spec:
  bgp: {{neighbors: [r2], communities: ['64512:20', '64512:1:4200000000', no-export], prepend: 2}}
{}{}",
        neighbor("r1", r1.addresses().v4.into(), 64512),
        // IPv6 transport carries both families.
        neighbor("r2", r2.addresses().v6.into(), 65002),
    ))
    .await?;
    lab.start_daymark().await?;
    lab.apply(&service("web", DUAL)).await?;
    lab.pod("n1", "web-1", &[("app", "web")], &[8080]).await?;
    for vip in addresses(&lab, "web", 2).await? {
        routed_by(&lab, vip, &["n1"]).await?;
        let path = r1.paths_to(vip).await?.remove(0);
        assert_eq!((path.local_preference, path.med), (Some(250), Some(7)), "{path:?}");
        assert_eq!(path.as_path, [], "{path:?}");
        assert_eq!(path.communities, BTreeSet::from([(64512, 10)]), "{path:?}");
        let path = r2.paths_to(vip).await?.remove(0);
        assert_eq!(path.as_path, [Segment::Sequence(vec![64512; 3])], "{path:?}");
        assert_eq!(path.communities, BTreeSet::from([(64512, 20), (65535, 65281)]), "{path:?}");
        assert_eq!(path.large_communities, BTreeSet::from([(64512, 1, 4_200_000_000)]), "{path:?}");
    }
    // An attribute changes: the routes change in place, no session is touched.
    let flaps = r1.sessions().await?;
    lab.kubectl(&[
        "patch",
        "announcement",
        "internal",
        "--type=merge",
        "-p",
        r#"{"spec":{"bgp":{"med":9}}}"#,
    ])
    .await?;
    let vip = addresses(&lab, "web", 2).await?[0];
    wait_for("the new MED", SOON, async || {
        let path = r1.paths_to(vip).await?.remove(0);
        ensure!(path.med == Some(9), "{path:?}");
        Ok(())
    })
    .await?;
    for (address, session) in r1.sessions().await? {
        assert_eq!(session.established_count, flaps[&address].established_count);
    }
    // Neighbor r2 goes: its session ends, r1's stays.
    lab.kubectl(&["delete", "bgpneighbor", "r2"]).await?;
    wait_for("the end of r2's sessions", SOON, async || {
        let up = r2.established().await?;
        ensure!(up.is_empty(), "{up:?}");
        Ok(())
    })
    .await?;
    routed_by_r1(&lab, vip).await?;
    lab.finish().await
}

async fn routed_by_r1(lab: &Lab, vip: IpAddr) -> Result<()> {
    let paths = lab.router("r1")?.paths_to(vip).await?;
    ensure!(paths.len() == 1, "{paths:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_speaker_leaves_at_once_and_comes_back() -> Result<()> {
    let lab = Lab::builder("routes-killed")
        .nodes(2)
        .router(RouterSpec::frr(65001))
        .router(RouterSpec::bird(65002))
        .start()
        .await?;
    lab.apply(&announce_everything(&lab)).await?;
    lab.start_controller("a").await?;
    lab.start_speaker("n1").await?;
    let speaker = lab.start_speaker("n2").await?;
    lab.apply(&service("web", DUAL)).await?;
    lab.pod("n1", "web-1", &[("app", "web")], &[8080]).await?;
    let vips = addresses(&lab, "web", 2).await?;
    for vip in &vips {
        routed_by(&lab, *vip, &["n1", "n2"]).await?;
    }
    speaker.kill().await?;
    for vip in &vips {
        routed_by(&lab, *vip, &["n1"]).await?;
    }
    lab.start_speaker("n2").await?;
    for vip in &vips {
        routed_by(&lab, *vip, &["n1", "n2"]).await?;
    }
    lab.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_of_the_network_itself_is_never_announced() -> Result<()> {
    let lab = Lab::builder("routes-infrastructure").nodes(1).router(RouterSpec::bird(65001)).start().await?;
    lab.apply(&announce_everything(&lab)).await?;
    lab.start_daymark().await?;
    // The router, the node itself, and a next hop of the node's routes.
    let own = lab.node("n1")?.upstream().v4;
    let router = lab.router("r1")?.addresses().v4;
    lab.apply(&format!(
        "
apiVersion: daymark.dev/v1alpha1
kind: AddressPool
metadata: {{name: mistake}}
spec: {{addresses: [{own}/32, {router}/32], assignment: OnRequest}}
{}{}{}",
        common::annotated_service("as-node", &format!("daymark.dev/addresses: {own}"), ""),
        common::annotated_service("as-router", &format!("daymark.dev/addresses: {router}"), ""),
        service("web", "ipFamilies: [IPv4],"),
    ))
    .await?;
    for name in ["as-node", "as-router", "web"] {
        lab.pod("n1", &format!("{name}-1"), &[("app", name)], &[8080]).await?;
        addresses(&lab, name, 1).await?;
    }
    let vip = addresses(&lab, "web", 1).await?[0];
    only(&lab, &[vip]).await?;
    for name in ["as-node", "as-router"] {
        wait_for(format_args!("the reason for {name}"), SOON, async || {
            let url = format!("http://127.0.0.1:7472/debug/services?namespace=default&name={name}");
            let told = lab.node("n1")?.get(&url).await?;
            ensure!(told.contains("AddressIsInfrastructure"), "{told}");
            Ok(())
        })
        .await?;
    }
    stays("only the good route", Duration::from_secs(2), async || {
        let table = lab.router("r1")?.table().await?;
        ensure!(table.len() == 1, "{table:?}");
        Ok(())
    })
    .await?;
    lab.finish().await
}
