//! The controller comes and goes; addresses do not.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use common::{SOON, addresses, service, versions};
use daymark_tests::{Lab, Result, ensure, stays, wait_for};
use serde_json::Value;

const POOL: &str = "
apiVersion: daymark.dev/v1alpha1
kind: AddressPool
metadata: {name: public}
spec: {addresses: [198.51.100.0/24, 203.0.113.0/24, '2001:db8:5::/112'], quarantine: 0s}
";

async fn lab(name: &str) -> Result<Lab> {
    let lab = Lab::builder(name).nodes(1).clients(0).start().await?;
    lab.apply(POOL).await?;
    Ok(lab)
}

/// Who holds the Lease.
async fn leader(lab: &Lab) -> Result<String> {
    let path = "/apis/coordination.k8s.io/v1/namespaces/daymark-system/leases/daymark-controller";
    let lease: Value = serde_json::from_str(&lab.raw(path).await?)?;
    Ok(lease["spec"]["holderIdentity"].as_str().unwrap_or_default().to_owned())
}

/// Every Service has `count` addresses, no two have one in common, and claims and status say the same.
async fn consistent(lab: &Lab, count: usize) -> Result<BTreeMap<String, Vec<String>>> {
    let services: Value = serde_json::from_str(&lab.raw("/api/v1/services").await?)?;
    let claims: Value = serde_json::from_str(&lab.raw("/apis/daymark.dev/v1alpha1/addressclaims").await?)?;
    let mut held: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for service in services["items"].as_array().unwrap() {
        if service["spec"]["type"] != "LoadBalancer" {
            continue;
        }
        let uid = service["metadata"]["uid"].as_str().unwrap().to_owned();
        let shown = service["status"]["loadBalancer"]["ingress"].as_array().cloned().unwrap_or_default();
        ensure!(shown.len() == count, "{}: {}", service["metadata"]["name"], service["status"]);
        held.insert(uid, shown.iter().map(|i| i["ip"].as_str().unwrap().to_owned()).collect());
    }
    let mut claimed: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for claim in claims["items"].as_array().unwrap() {
        if !claim["spec"]["releasedAt"].is_null() {
            continue;
        }
        for holder in claim["spec"]["services"].as_array().unwrap() {
            let uid = holder["uid"].as_str().unwrap().to_owned();
            claimed.entry(uid).or_default().insert(claim["spec"]["address"].as_str().unwrap().to_owned());
        }
    }
    let shown: BTreeMap<String, BTreeSet<String>> =
        held.iter().map(|(uid, ips)| (uid.clone(), ips.iter().cloned().collect())).collect();
    ensure!(shown == claimed, "status and claims differ: {shown:?} and {claimed:?}");
    let all: Vec<&String> = held.values().flatten().collect();
    let distinct: BTreeSet<&String> = all.iter().copied().collect();
    ensure!(all.len() == distinct.len(), "an address was given twice: {held:?}");
    Ok(held)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_moves_and_writes_nothing() -> Result<()> {
    let lab = lab("controller-restart").await?;
    let controller = lab.start_controller("a").await?;
    let many: String =
        (0..50).map(|i| service(&format!("s{i}"), "ipFamilyPolicy: PreferDualStack,")).collect();
    lab.apply(&many).await?;
    // One that stays refused, and one of somebody else.
    lab.apply(&common::annotated_service("never", "daymark.dev/addresses: 10.9.9.9", "")).await?;
    common::refused(&lab, "never", "AddressOutsidePools").await?;
    for i in 0..50 {
        addresses(&lab, &format!("s{i}"), 2).await?;
    }
    // Counts of pools are written at a pace of their own: wait until nothing changes any more.
    let before = common::settled(&lab, Duration::from_secs(3), Duration::from_secs(60)).await?;
    controller.kill().await?;
    lab.start_controller("b").await?;
    wait_for("b to lead", SOON, async || {
        let leader = leader(&lab).await?;
        ensure!(leader == "b", "{leader}");
        Ok(())
    })
    .await?;
    stays("no object written", Duration::from_secs(8), async || {
        let now = versions(&lab).await?;
        let changed: Vec<_> = now.iter().filter(|(key, version)| before.get(*key) != Some(version)).collect();
        ensure!(changed.is_empty(), "{changed:?}");
        Ok(())
    })
    .await?;
    lab.apply(&service("late", "")).await?;
    addresses(&lab, "late", 1).await?;
    lab.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn two_replicas_one_leader_and_quick_succession() -> Result<()> {
    let lab = lab("controller-replicas").await?;
    let first = lab.start_controller("a").await?;
    wait_for("a to lead", SOON, async || {
        let leader = leader(&lab).await?;
        ensure!(leader == "a", "{leader}");
        Ok(())
    })
    .await?;
    let second = lab.start_controller("b").await?;
    lab.apply(&service("one", "")).await?;
    addresses(&lab, "one", 1).await?;
    assert_eq!(leader(&lab).await?, "a");

    // SIGKILL: the other's first write comes within 17 s.
    first.kill().await?;
    let killed = Instant::now();
    lab.apply(&service("two", "")).await?;
    wait_for("the successor's first write", Duration::from_secs(17), async || {
        let found = lab.service_addresses("default", "two").await?;
        ensure!(!found.is_empty(), "{:?} after the kill, leader {}", killed.elapsed(), leader(&lab).await?);
        Ok(())
    })
    .await?;
    assert_eq!(leader(&lab).await?, "b");

    // SIGTERM: within 2 s.
    lab.start_controller("a").await?;
    wait_for("a to stand by", SOON, async || {
        first.check_running().await?;
        let health = first.netns().run("curl", &["-s", "http://127.0.0.1:7472/healthz"]).await?;
        ensure!(!health.is_empty(), "no answer");
        Ok(())
    })
    .await?;
    let leaving = tokio::spawn({
        let second = second.clone();
        async move { second.terminate(Duration::from_secs(10)).await }
    });
    lab.apply(&service("three", "")).await?;
    wait_for("the successor's first write", Duration::from_secs(2), async || {
        let found = lab.service_addresses("default", "three").await?;
        ensure!(!found.is_empty(), "leader {}", leader(&lab).await?);
        Ok(())
    })
    .await?;
    assert!(leaving.await??.success());
    consistent(&lab, 1).await?;
    lab.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_kills_at_random_moments() -> Result<()> {
    let lab = lab("controller-kills").await?;
    let seed = std::env::var("DAYMARK_SEED")
        .ok()
        .and_then(|s| s.parse().ok())
        .unwrap_or_else(|| u64::try_from(jiff::Timestamp::now().as_millisecond()).unwrap_or(1));
    println!("seed {seed}: DAYMARK_SEED={seed} repeats it");
    let mut state = seed | 1;
    let mut random = move |below: u64| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state % below
    };
    let controller = lab.start_controller("a").await?;
    let mut alive: BTreeSet<u64> = BTreeSet::new();
    let mut held: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut next = 0;
    for kill in 0..50_u32 {
        // A burst of creations and deletions, and a kill somewhere in it.
        let moment = Duration::from_millis(random(400));
        let mut yaml = String::new();
        for _ in 0..4 {
            yaml.push_str(&service(&format!("s{next}"), ""));
            alive.insert(next);
            next += 1;
        }
        let gone: Vec<u64> =
            (0..2).filter_map(|_| alive.iter().nth(random(alive.len() as u64) as usize).copied()).collect();
        let gone: BTreeSet<u64> = gone.into_iter().filter(|i| next - i > 4).collect();
        let changes = async {
            lab.apply(&yaml).await?;
            for i in &gone {
                lab.kubectl(&["delete", "service", &format!("s{i}")]).await?;
            }
            Ok::<_, daymark_tests::Error>(())
        };
        let killing = async {
            tokio::time::sleep(moment).await;
            controller.kill().await?;
            controller.start().await
        };
        let (changed, killed) = tokio::join!(changes, killing);
        changed?;
        killed?;
        alive.retain(|i| !gone.contains(i));
        if kill % 10 == 9 {
            let now = wait_for(
                format_args!("order after kill {}", kill + 1),
                Duration::from_secs(60),
                async || consistent(&lab, 1).await,
            )
            .await?;
            for (uid, addresses) in &now {
                if let Some(before) = held.get(uid) {
                    assert_eq!(before, addresses, "the address of {uid} moved, seed {seed}");
                }
            }
            held = now;
        }
    }
    assert_eq!(held.len(), alive.len(), "seed {seed}");
    lab.finish().await
}
