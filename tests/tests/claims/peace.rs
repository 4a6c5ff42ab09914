//! Who writes when: no war with a rival, and silence when all is settled.

use std::collections::BTreeMap;
use std::time::Duration;

use daymark_tests::{Lab, Result, ensure, stays, wait_for};
use serde_json::{Value, json};

use crate::common::{
    SOON, addresses, annotated_service, assigned_condition, get, refused, service, settled, shown, versions,
};
use crate::steps::{claim, ingress, ip, lab, pool, says, write_status};

#[tokio::test(flavor = "multi_thread")]
async fn a_rival_is_named_and_there_is_no_war() -> Result<()> {
    let lab = lab("claims-rival").await?;
    lab.apply(&pool("public", "198.51.100.0/28", "")).await?;
    lab.start_controller("a").await?;
    lab.apply(&[service("web", ""), service("quiet", ""), service("conditions", "")].concat()).await?;
    let ours = addresses(&lab, "web", 1).await?;
    for name in ["quiet", "conditions"] {
        addresses(&lab, name, 1).await?;
    }

    // Once is an accident: it is put right.
    write_status(&lab, "web", "janitor", json!({"loadBalancer": null, "conditions": null})).await?;
    assert_eq!(addresses(&lab, "web", 1).await?, ours);
    says(&lab, "web", "True", "AddressAssigned").await?;
    for _ in 0..2 {
        write_status(&lab, "web", "metallb-controller", ingress(&["10.9.9.9"])).await?;
        wait_for("our address or a word about the rival", SOON, async || {
            let (now, condition) = (shown(&lab, "web").await?, assigned_condition(&lab, "web").await?);
            ensure!(
                now == ours || condition.as_ref().is_some_and(|c| c.1 == "StatusContested"),
                "{now:?} {condition:?}"
            );
            Ok(())
        })
        .await?;
    }
    let message = says(&lab, "web", "False", "StatusContested").await?;
    assert!(message.contains("metallb-controller"), "{message}");
    assert_eq!(shown(&lab, "web").await?, [ip("10.9.9.9")], "the rival's address is left alone");
    let events = lab.kubectl(&["get", "events", "--field-selector", "involvedObject.name=web"]).await?;
    assert!(events.contains("StatusContested") && events.contains("metallb-controller"), "{events}");

    // A rival that knows no other conditions than its own makes no war either.
    for second in 0..3 {
        let at = format!("2026-01-01T00:00:0{second}Z");
        let narrow = json!([{"type": "example.com/Narrow", "status": "True", "reason": "Narrow", "message": "", "lastTransitionTime": at}]);
        write_status(&lab, "conditions", "narrow-controller", json!({"conditions": narrow})).await?;
        wait_for("a word about it", SOON, async || {
            ensure!(assigned_condition(&lab, "conditions").await?.is_some(), "nothing");
            Ok(())
        })
        .await?;
    }
    let message = says(&lab, "conditions", "True", "StatusContested").await?;
    assert!(message.contains("narrow-controller"), "{message}");
    for name in ["web", "conditions"] {
        let version = get(&lab, name).await?["metadata"]["resourceVersion"].clone();
        stays("no write war", Duration::from_secs(5), async || {
            ensure!(get(&lab, name).await?["metadata"]["resourceVersion"] == version, "{name} was written");
            Ok(())
        })
        .await?;
    }
    says(&lab, "quiet", "True", "AddressAssigned").await?;
    lab.finish().await
}

async fn unchanged(lab: &Lab, time: Duration, before: &BTreeMap<String, String>) -> Result<()> {
    stays("every object as it is", time, async || {
        let now = versions(lab).await?;
        let changed: Vec<_> = now.iter().filter(|(key, version)| before.get(*key) != Some(version)).collect();
        ensure!(changed.is_empty(), "{changed:?}");
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_settled_is_left_alone() -> Result<()> {
    const SERVICES: usize = 200;
    let lab = lab("claims-settled").await?;
    lab.apply(
        &[
            pool("public", "198.51.100.0/24, '2001:db8:5::/112'", ""),
            pool("rival", "198.51.100.250-198.51.100.255", ""),
        ]
        .concat(),
    )
    .await?;
    lab.apply(&[claim("10.9.9.9", ""), claim("198.51.100.240", "")].concat()).await?;
    lab.apply(
        "
apiVersion: daymark.dev/v1alpha1
kind: LoadBalancerProfile
metadata: {name: edge}
spec: {loadBalancerClass: example.com/edge, default: true, pool: {pools: [public, nowhere]}}
---
apiVersion: daymark.dev/v1alpha1
kind: Announcement
metadata: {name: everything}
spec: {pools: [public, rival], bgp: {neighbors: [r1]}}
---
apiVersion: daymark.dev/v1alpha1
kind: BgpNeighbor
metadata: {name: r1}
spec: {address: 10.20.0.1, asn: 65001, localAsn: 64512}
",
    )
    .await?;
    let first = lab.start_controller("a").await?;
    let many: Vec<String> =
        (0..SERVICES).map(|i| service(&format!("s{i:03}"), "ipFamilyPolicy: PreferDualStack,")).collect();
    lab.apply(&many.concat()).await?;
    lab.apply(&annotated_service("never", "daymark.dev/addresses: 10.8.8.8", "")).await?;
    refused(&lab, "never", "AddressOutsidePools").await?;
    wait_for("all Services to be served", Duration::from_secs(60), async || {
        let list: Value = serde_json::from_str(&lab.raw("/api/v1/services").await?)?;
        let served =
            |s: &&Value| s["status"]["loadBalancer"]["ingress"].as_array().is_some_and(|i| i.len() == 2);
        let count = list["items"].as_array().unwrap().iter().filter(served).count();
        ensure!(count == SERVICES, "{count} are");
        Ok(())
    })
    .await?;
    let second = lab.start_controller("b").await?;
    let before = settled(&lab, Duration::from_secs(6), Duration::from_secs(90)).await?;
    let said = first.log_text().lines().count();
    unchanged(&lab, Duration::from_secs(30), &before).await?;
    assert_eq!(first.log_text().lines().count(), said, "a settled controller is silent");

    // A replica that stands by is ready, and says what it is.
    let ready = second
        .netns()
        .run("curl", &["-s", "-w", "%{http_code}", "http://127.0.0.1:7472/readyz?verbose"])
        .await?;
    assert!(ready.ends_with("200") && ready.contains("another replica leads"), "{ready}");

    // Its taking over writes nothing either.
    first.terminate(Duration::from_secs(10)).await?;
    wait_for("b to lead", SOON, async || {
        ensure!(second.log_text().contains("all lists are there"), "{}", second.log_text());
        Ok(())
    })
    .await?;
    unchanged(&lab, Duration::from_secs(10), &before).await?;
    lab.finish().await
}
