//! Assignment on a real API server: a Service of each kind gets what it asks for, or is told why not.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::net::IpAddr;
use std::time::Duration;

use common::{SOON, addresses, annotated_service, assigned_condition, get, refused, service, wait_condition};
use daymark_model::Family;
use daymark_tests::{Lab, Result, ensure, stays, wait_for};
use kube::api::{Patch, PatchParams};
use serde_json::json;

const POOLS: &str = "
apiVersion: daymark.dev/v1alpha1
kind: AddressPool
metadata: {name: public}
spec: {addresses: [198.51.100.0/26, '2001:db8:5::/112'], quarantine: 0s}
---
apiVersion: daymark.dev/v1alpha1
kind: AddressPool
metadata: {name: reserved}
spec: {addresses: [203.0.113.0/28], assignment: OnRequest}
---
apiVersion: daymark.dev/v1alpha1
kind: AddressPool
metadata: {name: six}
spec: {addresses: ['2001:db8:6::10-2001:db8:6::1f'], assignment: OnRequest}
---
apiVersion: daymark.dev/v1alpha1
kind: AddressPool
metadata: {name: gold}
spec: {addresses: [192.0.2.0/28], priority: 10, serviceSelector: {matchLabels: {tier: gold}}}
---
apiVersion: daymark.dev/v1alpha1
kind: AddressPool
metadata: {name: tiny}
spec: {addresses: [192.0.2.100/32], assignment: OnRequest}
";

async fn lab(name: &str) -> Result<Lab> {
    let lab = Lab::builder(name).nodes(1).clients(0).start().await?;
    lab.apply(POOLS).await?;
    lab.start_controller("a").await?;
    Ok(lab)
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn families(found: &[IpAddr]) -> Vec<Family> {
    found.iter().map(|address| Family::of(*address)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_of_each_kind_is_served() -> Result<()> {
    let lab = lab("assign-kinds").await?;
    let (four, six) = ("ipFamilies: [IPv4],", "ipFamilies: [IPv6],");
    let yaml = [
        service("v4", four),
        service("v6", six),
        service("prefer-46", "ipFamilyPolicy: PreferDualStack, ipFamilies: [IPv4, IPv6],"),
        service("prefer-64", "ipFamilyPolicy: PreferDualStack, ipFamilies: [IPv6, IPv4],"),
        service("require-46", "ipFamilyPolicy: RequireDualStack, ipFamilies: [IPv4, IPv6],"),
        service("require-64", "ipFamilyPolicy: RequireDualStack, ipFamilies: [IPv6, IPv4],"),
        service(
            "dns",
            "ports: [{name: tcp, protocol: TCP, port: 53, targetPort: 8080}, {name: udp, protocol: UDP, port: 53, targetPort: 8080}],",
        ),
        service("local", "externalTrafficPolicy: Local,"),
        service("ours", "loadBalancerClass: daymark.dev/pool,"),
        service("foreign", "loadBalancerClass: example.com/other,"),
        service("no-node-ports", "allocateLoadBalancerNodePorts: false,"),
        annotated_service("asked", "daymark.dev/addresses: 198.51.100.40", ""),
        service("asked-by-field", "loadBalancerIP: 198.51.100.41,"),
        annotated_service("asked-of-metallb", "metallb.io/loadBalancerIPs: 198.51.100.42", ""),
        annotated_service(
            "two-pools",
            "daymark.dev/pool: 'reserved, six'",
            "ipFamilyPolicy: RequireDualStack, ipFamilies: [IPv4, IPv6],",
        ),
        service("gold", "").replace("metadata: {name: gold,", "metadata: {name: gold, labels: {tier: gold},"),
    ];
    lab.apply(&yaml.concat()).await?;

    assert_eq!(families(&addresses(&lab, "v4", 1).await?), [Family::V4]);
    assert_eq!(families(&addresses(&lab, "v6", 1).await?), [Family::V6]);
    for name in ["prefer-46", "require-46"] {
        assert_eq!(families(&addresses(&lab, name, 2).await?), [Family::V4, Family::V6], "{name}");
    }
    for name in ["prefer-64", "require-64"] {
        assert_eq!(families(&addresses(&lab, name, 2).await?), [Family::V6, Family::V4], "{name}");
    }
    for (name, address) in [
        ("asked", "198.51.100.40"),
        ("asked-by-field", "198.51.100.41"),
        ("asked-of-metallb", "198.51.100.42"),
    ] {
        assert_eq!(addresses(&lab, name, 1).await?, [ip(address)], "{name}");
    }
    assert_eq!(addresses(&lab, "two-pools", 2).await?, [ip("203.0.113.0"), ip("2001:db8:6::10")]);
    assert_eq!(addresses(&lab, "gold", 1).await?, [ip("192.0.2.0")]);
    for name in ["dns", "local", "ours", "no-node-ports"] {
        addresses(&lab, name, 1).await?;
    }

    let dns = get(&lab, "dns").await?["status"]["loadBalancer"]["ingress"][0].clone();
    assert_eq!(dns["ipMode"], "VIP");
    assert_eq!(dns["ports"], json!([{"port": 53, "protocol": "TCP"}, {"port": 53, "protocol": "UDP"}]));
    let (status, reason, message) = assigned_condition(&lab, "dns").await?.unwrap();
    assert_eq!((status.as_str(), reason.as_str()), ("True", "AddressAssigned"), "{message}");

    let foreign = get(&lab, "foreign").await?;
    assert_eq!(foreign["status"], json!({"loadBalancer": {}}), "a foreign class is not touched");
    assert_eq!(lab.service_addresses("default", "foreign").await?, [] as [IpAddr; 0]);
    wait_for("the count of the pool", SOON, async || {
        let pool: serde_json::Value =
            serde_json::from_str(&lab.raw("/apis/daymark.dev/v1alpha1/addresspools/reserved").await?)?;
        let counts = &pool["status"]["ipv4"];
        ensure!(
            counts["assigned"] == 1 && counts["available"] == 15 && counts["total"] == 16,
            "{}",
            pool["status"]
        );
        Ok(())
    })
    .await?;
    lab.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_says_why_and_ends_when_its_cause_ends() -> Result<()> {
    let lab = lab("assign-refusals").await?;
    lab.apply(
        &[
            annotated_service("first", "daymark.dev/pool: tiny", ""),
            annotated_service("unknown", "daymark.dev/pool: nowhere", ""),
            annotated_service("garbage", "daymark.dev/addresses: not-an-address", ""),
            annotated_service("outside", "daymark.dev/addresses: 10.99.99.99", ""),
            annotated_service(
                "wrong-family",
                "daymark.dev/addresses: '2001:db8:5::77'",
                "ipFamilies: [IPv4],",
            ),
            annotated_service("not-permitted", "daymark.dev/pool: gold", ""),
        ]
        .concat(),
    )
    .await?;
    assert_eq!(addresses(&lab, "first", 1).await?, [ip("192.0.2.100")]);
    lab.apply(&annotated_service("second", "daymark.dev/pool: tiny", "")).await?;
    lab.apply(&annotated_service("same", "daymark.dev/addresses: 192.0.2.100", "")).await?;

    for (name, reason, says) in [
        ("second", "PoolExhausted", "tiny"),
        ("same", "AddressInUse", "default/first"),
        ("unknown", "UnknownPool", "nowhere"),
        ("garbage", "InvalidRequest", "not-an-address"),
        ("outside", "AddressOutsidePools", "10.99.99.99"),
        ("wrong-family", "FamilyMismatch", "2001:db8:5::77"),
        ("not-permitted", "NotPermitted", "serviceSelector"),
    ] {
        let message = refused(&lab, name, reason).await?;
        assert!(message.contains(says), "{name}: {message}");
        wait_for(format_args!("an event {reason} of {name}"), SOON, async || {
            let events = lab
                .kubectl(&[
                    "get",
                    "events",
                    "--field-selector",
                    &format!("involvedObject.name={name}"),
                    "-o",
                    "wide",
                ])
                .await?;
            ensure!(events.contains(reason) && events.contains(says), "{events}");
            Ok(())
        })
        .await?;
    }

    // What stood in the way goes away; nobody touches the refused Services.
    lab.apply(
        "
apiVersion: daymark.dev/v1alpha1
kind: AddressPool
metadata: {name: nowhere}
spec: {addresses: [10.99.99.0/24]}
",
    )
    .await?;
    assert!(addresses(&lab, "unknown", 1).await?[0].to_string().starts_with("10.99.99."));
    assert_eq!(addresses(&lab, "outside", 1).await?, [ip("10.99.99.99")]);
    lab.apply(
        "
apiVersion: daymark.dev/v1alpha1
kind: AddressPool
metadata: {name: tiny}
spec: {addresses: [192.0.2.100-192.0.2.101], assignment: OnRequest}
",
    )
    .await?;
    assert_eq!(addresses(&lab, "second", 1).await?, [ip("192.0.2.101")]);
    lab.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_stops_being_ours_is_released() -> Result<()> {
    let lab = lab("assign-release").await?;
    lab.apply(&[service("deleted", ""), service("retyped", ""), service("kept", "")].concat()).await?;
    let mut held = Vec::new();
    for name in ["deleted", "retyped", "kept"] {
        held.push(addresses(&lab, name, 1).await?[0]);
    }
    lab.kubectl(&["delete", "service", "deleted"]).await?;
    let services = lab.namespaced::<k8s_openapi::api::core::v1::Service>("default");
    let cluster_ip = json!({"spec": {"type": "ClusterIP"}});
    services.patch("retyped", &PatchParams::default(), &Patch::Merge(&cluster_ip)).await?;
    wait_for("the claims of the two to go", SOON, async || {
        let claims = lab.kubectl(&["get", "addressclaims", "-o", "name"]).await?;
        ensure!(claims.lines().count() == 1 && claims.contains(&held[2].to_string()), "{claims}");
        Ok(())
    })
    .await?;
    wait_for("no trace on the retyped Service", SOON, async || {
        let status = get(&lab, "retyped").await?["status"].clone();
        ensure!(status["conditions"].as_array().is_none_or(Vec::is_empty), "{status}");
        ensure!(status["loadBalancer"]["ingress"].is_null(), "{status}");
        Ok(())
    })
    .await?;
    let back = json!({"spec": {"type": "LoadBalancer", "loadBalancerClass": "example.com/other"}});
    services.patch("retyped", &PatchParams::default(), &Patch::Merge(&back)).await?;
    lab.apply(&service("next", "")).await?;
    assert_eq!(addresses(&lab, "next", 1).await?, [held[0]], "the lowest free address");
    stays("the foreign Service untouched", Duration::from_secs(2), async || {
        ensure!(assigned_condition(&lab, "retyped").await?.is_none(), "it has our condition");
        Ok(())
    })
    .await?;
    lab.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn pools_that_overlap_say_so_and_give_nothing_new_from_there() -> Result<()> {
    let lab = lab("assign-overlap").await?;
    lab.apply(&annotated_service("holder", "daymark.dev/pool: tiny", "")).await?;
    assert_eq!(addresses(&lab, "holder", 1).await?, [ip("192.0.2.100")]);
    lab.apply(
        "
apiVersion: daymark.dev/v1alpha1
kind: AddressPool
metadata: {name: rival}
spec: {addresses: [192.0.2.100-192.0.2.103], assignment: OnRequest}
",
    )
    .await?;
    for (pool, other) in [("tiny", "rival"), ("rival", "tiny")] {
        let message = wait_condition(&lab, ("addresspools", pool), "Overlap", ("True", "")).await?;
        assert!(message.contains(other) && message.contains("192.0.2.100"), "{pool}: {message}");
    }
    lab.apply(&annotated_service("new", "daymark.dev/pool: rival", "")).await?;
    assert_eq!(addresses(&lab, "new", 1).await?, [ip("192.0.2.101")]);
    assert_eq!(addresses(&lab, "holder", 1).await?, [ip("192.0.2.100")], "a claimed address stays");
    lab.apply(&annotated_service("asks", "daymark.dev/addresses: 192.0.2.100", "")).await?;
    refused(&lab, "asks", "AddressInUse").await?;
    lab.delete("{apiVersion: daymark.dev/v1alpha1, kind: AddressPool, metadata: {name: rival}}").await?;
    wait_condition(&lab, ("addresspools", "tiny"), "Overlap", ("False", "")).await.ok();
    assert_eq!(addresses(&lab, "new", 1).await?, [ip("192.0.2.101")], "an address whose pool is gone stays");
    lab.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn services_share_an_address_by_key() -> Result<()> {
    let lab = lab("assign-sharing").await?;
    let keyed = |name: &str, more: &str| annotated_service(name, "daymark.dev/sharing-key: team", more);
    lab.apply(&keyed("web", "ports: [{port: 80, targetPort: 8080}],")).await?;
    let shared = addresses(&lab, "web", 1).await?;
    lab.apply(&keyed("tls", "ports: [{port: 443, targetPort: 8443}],")).await?;
    assert_eq!(addresses(&lab, "tls", 1).await?, shared);
    lab.apply(&annotated_service(
        "clash",
        &format!("daymark.dev/sharing-key: team, daymark.dev/addresses: '{}'", shared[0]),
        "ports: [{port: 443, targetPort: 8443}],",
    ))
    .await?;
    let message = refused(&lab, "clash", "SharingConflict").await?;
    assert!(message.contains("TCP/443") && message.contains("default/tls"), "{message}");
    lab.kubectl(&["delete", "service", "tls"]).await?;
    assert_eq!(addresses(&lab, "clash", 1).await?, shared, "the port is free again");
    lab.finish().await
}
