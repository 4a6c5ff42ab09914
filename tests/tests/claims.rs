//! Claims on a real API server, and what users, other controllers and a changing configuration do to them.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;
#[path = "claims/peace.rs"]
mod peace;
#[path = "claims/pools.rs"]
mod pools;
#[path = "claims/steps.rs"]
mod steps;

use std::time::Duration;

use common::{SOON, addresses, annotated_service, get, refused, service, shown, wait_condition};
use daymark_tests::{Result, ensure, wait_for};
use serde_json::{Value, json};
use steps::{
    bound, claim, claim_of, delete_service, ingress, ip, lab, nothing_moves, pool, resting, says,
    write_status,
};

#[tokio::test(flavor = "multi_thread")]
async fn what_a_user_reserves_keeps_and_deletes() -> Result<()> {
    let lab = lab("claims-users").await?;
    lab.apply(&pool("public", "198.51.100.0/28", "quarantine: 0s,")).await?;
    lab.apply(&pool(
        "nobodys",
        "203.0.113.0/28",
        "priority: 1, namespaceSelector: {matchLabels: {team: none}},",
    ))
    .await?;
    let web = "services: [{namespace: default, name: web}],";
    lab.apply(&[claim("198.51.100.9", web), claim("198.51.100.0", "")].concat()).await?;
    let controller = lab.start_controller("a").await?;

    // A reservation waits for its name, one for nobody for nobody.
    lab.apply(&[service("other", ""), service("web", "")].concat()).await?;
    assert_eq!(addresses(&lab, "web", 1).await?, [ip("198.51.100.9")]);
    assert_eq!(
        addresses(&lab, "other", 1).await?,
        [ip("198.51.100.1")],
        "neither the reserved ones nor nobodys' pool"
    );
    bound(&lab, ip("198.51.100.9"), "web").await?;
    lab.apply(&annotated_service("asks", "daymark.dev/addresses: 198.51.100.0", "")).await?;
    let message = refused(&lab, "asks", "AddressInUse").await?;
    assert!(message.contains("reservation"), "{message}");
    lab.kubectl(&["delete", "addressclaim", "198.51.100.0"]).await?;
    assert_eq!(addresses(&lab, "asks", 1).await?, [ip("198.51.100.0")]);

    // Invalid requests: told, and in nobody's way.
    lab.apply(&annotated_service("odd", "daymark.dev/addresses: '198.51.100.300, x'", "")).await?;
    lab.apply(&annotated_service("odder", "daymark.dev/pool: 'Not A Name'", "")).await?;
    for name in ["odd", "odder"] {
        refused(&lab, name, "InvalidRequest").await?;
    }
    lab.apply(&service("after", "")).await?;
    assert_eq!(addresses(&lab, "after", 1).await?, [ip("198.51.100.2")]);
    // A Service that is served and then asks for nonsense keeps what it has.
    lab.apply(&annotated_service("after", "daymark.dev/addresses: nonsense", "")).await?;
    says(&lab, "after", "True", "InvalidRequest").await?;
    assert_eq!(shown(&lab, "after").await?, [ip("198.51.100.2")]);

    // Kept over delete and re-create, even while the controller is away.
    lab.kubectl(&[
        "patch",
        "addressclaim",
        "198.51.100.1",
        "--type=merge",
        "-p",
        r#"{"spec":{"retain":true}}"#,
    ])
    .await?;
    delete_service(&lab, "other").await?;
    lab.apply(&service("thief", "")).await?;
    assert_eq!(addresses(&lab, "thief", 1).await?, [ip("198.51.100.3")]);
    lab.apply(&service("other", "")).await?;
    assert_eq!(addresses(&lab, "other", 1).await?, [ip("198.51.100.1")]);
    bound(&lab, ip("198.51.100.1"), "other").await?;
    controller.kill().await?;
    for name in ["other", "thief"] {
        delete_service(&lab, name).await?;
        lab.apply(&service(name, "")).await?;
    }
    controller.start().await?;
    assert_eq!(addresses(&lab, "other", 1).await?, [ip("198.51.100.1")]);
    bound(&lab, ip("198.51.100.1"), "other").await?;
    // Without `retain` the re-created Service is another one: its former self is released.
    let given = addresses(&lab, "thief", 1).await?[0];
    bound(&lab, given, "thief").await?;
    let claims: Value = serde_json::from_str(&lab.raw("/apis/daymark.dev/v1alpha1/addressclaims").await?)?;
    let named =
        claims["items"].as_array().unwrap().iter().filter(|c| c["spec"]["services"][0]["name"] == "thief");
    assert_eq!(named.count(), 1, "{claims}");

    // A claim deleted while it is held is made again, even when others wait for an address.
    lab.apply(&annotated_service("wants", "daymark.dev/addresses: 198.51.100.9", "")).await?;
    refused(&lab, "wants", "AddressInUse").await?;
    let before = bound(&lab, ip("198.51.100.9"), "web").await?;
    lab.kubectl(&["delete", "addressclaim", "198.51.100.9"]).await?;
    let after = bound(&lab, ip("198.51.100.9"), "web").await?;
    assert_ne!(before["metadata"]["uid"], after["metadata"]["uid"]);
    nothing_moves(&lab, &[("web", vec![ip("198.51.100.9")]), ("wants", vec![])]).await?;

    // A reservation that nothing can come of says so; one that can does not.
    lab.apply(&claim("10.77.0.1", "services: [{namespace: default, name: late}],")).await?;
    let message =
        wait_condition(&lab, ("addressclaims", "10.77.0.1"), "Accepted", ("False", "AddressOutsidePools"))
            .await?;
    assert!(message.contains("10.77.0.1") && message.contains("pool"), "{message}");
    lab.apply(&service("late", "")).await?;
    addresses(&lab, "late", 1).await?;
    lab.apply(&pool("wider", "10.77.0.0/24", "assignment: OnRequest,")).await?;
    wait_for("no word about the reservation any more", SOON, async || {
        let found = common::condition(&lab, "addressclaims", "10.77.0.1", "Accepted").await?;
        ensure!(found.is_none(), "{found:?}");
        Ok(())
    })
    .await?;
    lab.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_released_address_rests_as_its_pool_says() -> Result<()> {
    let lab = lab("claims-quarantine").await?;
    lab.apply(&pool("strict", "198.51.100.1/32", "assignment: OnRequest, quarantine: 12s,")).await?;
    lab.apply(&pool("lenient", "198.51.100.2/32", "assignment: OnRequest,")).await?;
    lab.start_controller("a").await?;
    let of = |name: &str, pool: &str| annotated_service(name, &format!("daymark.dev/pool: {pool}"), "");

    lab.apply(&[of("first", "strict"), of("soft", "lenient")].concat()).await?;
    let uid = get(&lab, "first").await?["metadata"]["uid"].clone();
    assert_eq!(addresses(&lab, "first", 1).await?, [ip("198.51.100.1")]);
    assert_eq!(addresses(&lab, "soft", 1).await?, [ip("198.51.100.2")]);
    delete_service(&lab, "first").await?;
    resting(&lab, ip("198.51.100.1")).await?;
    // Its own name has it back at once, under another UID.
    lab.apply(&of("first", "strict")).await?;
    assert_eq!(addresses(&lab, "first", 1).await?, [ip("198.51.100.1")]);
    let holder = bound(&lab, ip("198.51.100.1"), "first").await?["spec"]["services"].clone();
    assert!(holder.as_array().unwrap().len() == 1 && holder[0]["uid"] != uid, "{holder}");

    // Another waits, and is served when the time is over.
    delete_service(&lab, "first").await?;
    resting(&lab, ip("198.51.100.1")).await?;
    lab.apply(&of("second", "strict")).await?;
    refused(&lab, "second", "PoolExhausted").await?;
    let counts = async || -> Result<Value> {
        let found: Value =
            serde_json::from_str(&lab.raw("/apis/daymark.dev/v1alpha1/addresspools/strict").await?)?;
        Ok(found["status"]["ipv4"].clone())
    };
    wait_for("one in quarantine", SOON, async || {
        let found = counts().await?;
        ensure!(found == json!({"total": 1, "assigned": 0, "available": 0, "quarantined": 1}), "{found}");
        Ok(())
    })
    .await?;
    assert_eq!(addresses(&lab, "second", 1).await?, [ip("198.51.100.1")]);

    // The default lets a pool with nothing else left give what rests.
    delete_service(&lab, "soft").await?;
    resting(&lab, ip("198.51.100.2")).await?;
    lab.apply(&of("next", "lenient")).await?;
    assert_eq!(addresses(&lab, "next", 1).await?, [ip("198.51.100.2")]);
    bound(&lab, ip("198.51.100.2"), "next").await?;
    lab.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn addresses_of_another_controller_are_adopted_before_any_choice() -> Result<()> {
    let lab = lab("claims-adoption").await?;
    let dual = "ipFamilyPolicy: RequireDualStack, ipFamilies: [IPv6, IPv4],";
    // The oldest Service has nothing and would get the lowest address, which a younger one shows.
    lab.apply(&service("oldest", "")).await?;
    tokio::time::sleep(Duration::from_millis(1100)).await;
    lab.apply(
        &[
            service("one", ""),
            service("two", dual),
            service("twin", ""),
            service("foreign", "loadBalancerClass: example.com/other,"),
            service("outside", ""),
            service("reserved", ""),
        ]
        .concat(),
    )
    .await?;
    tokio::time::sleep(Duration::from_millis(1100)).await;
    lab.apply(&service("rival", "")).await?;
    let held: [(&str, &[&str]); 7] = [
        ("one", &["198.51.100.0"]),
        ("two", &["2001:db8:5::7", "198.51.100.7"]),
        ("twin", &["198.51.100.2"]),
        ("rival", &["198.51.100.2"]),
        ("foreign", &["198.51.100.1"]),
        ("outside", &["10.1.2.3"]),
        ("reserved", &["203.0.113.5"]),
    ];
    for (name, addresses) in held {
        write_status(&lab, name, "metallb-controller", ingress(addresses)).await?;
    }
    lab.apply(&pool("public", "198.51.100.0/28, '2001:db8:5::/112'", "quarantine: 0s,")).await?;
    lab.apply(&pool(
        "asked",
        "203.0.113.0/28",
        "assignment: OnRequest, serviceSelector: {matchLabels: {a: b}},",
    ))
    .await?;
    let controller = lab.start_controller("a").await?;

    let oldest = addresses(&lab, "oldest", 1).await?[0];
    let taken = ["198.51.100.0", "198.51.100.1", "198.51.100.2", "198.51.100.7"].map(ip);
    assert!(!taken.contains(&oldest), "{oldest} was shown by another Service, one of them foreign");
    for name in ["one", "two", "twin", "rival", "outside", "reserved"] {
        says(&lab, name, "True", "AddressAssigned").await?;
    }
    assert_eq!(shown(&lab, "one").await?, [ip("198.51.100.0")]);
    assert_eq!(shown(&lab, "two").await?, [ip("2001:db8:5::7"), ip("198.51.100.7")]);
    assert_eq!(shown(&lab, "reserved").await?, [ip("203.0.113.5")]);
    assert_eq!(shown(&lab, "twin").await?, [ip("198.51.100.2")], "the older keeps it");
    let rival = shown(&lab, "rival").await?;
    assert!(rival.len() == 1 && rival[0] != ip("198.51.100.2"), "{rival:?}");
    let outside = shown(&lab, "outside").await?;
    assert!(outside[0].to_string().starts_with("198.51.100."), "{outside:?}");
    let foreign = get(&lab, "foreign").await?["status"].clone();
    assert_eq!(
        (foreign["loadBalancer"]["ingress"][0]["ip"].as_str(), &foreign["conditions"]),
        (Some("198.51.100.1"), &Value::Null)
    );
    lab.apply(&annotated_service("asks", "daymark.dev/addresses: 198.51.100.1", "")).await?;
    let message = refused(&lab, "asks", "AddressInUse").await?;
    assert!(message.contains("default/foreign"), "{message}");
    delete_service(&lab, "foreign").await?;
    assert_eq!(addresses(&lab, "asks", 1).await?, [ip("198.51.100.1")]);

    // A crash between claim and status, and beside it a Service that has waited for longer.
    controller.kill().await?;
    lab.apply(&[service("waits", ""), service("claimed", "")].concat()).await?;
    let uid = get(&lab, "claimed").await?["metadata"]["uid"].as_str().unwrap().to_owned();
    let lowest = (0..16).map(|i| ip(&format!("198.51.100.{i}")));
    let mut free = Vec::new();
    for address in lowest {
        if claim_of(&lab, address).await?.is_none() {
            free.push(address);
        }
    }
    let holder = format!("services: [{{namespace: default, name: claimed, uid: {uid}}}], pool: public,");
    lab.apply(&claim(&free[0].to_string(), &holder)).await?;
    controller.start().await?;
    assert_eq!(addresses(&lab, "claimed", 1).await?, [free[0]]);
    assert_eq!(addresses(&lab, "waits", 1).await?, [free[1]]);
    lab.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_garbled_claim_says_so_and_harms_nobody() -> Result<()> {
    let lab = lab("claims-garbled").await?;
    lab.apply(&pool("public", "198.51.100.0/28", "quarantine: 0s,")).await?;
    let controller = lab.start_controller("a").await?;
    lab.apply(&service("web", "")).await?;
    assert_eq!(addresses(&lab, "web", 1).await?, [ip("198.51.100.0")]);
    // The definition loses its rules, as when an old one is installed.
    let loose = json!([{"op": "replace", "path": "/spec/versions/0/schema", "value": {"openAPIV3Schema": {
        "type": "object",
        "x-kubernetes-preserve-unknown-fields": true,
        "properties": {"status": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}},
    }}}]);
    lab.kubectl(&["patch", "crd", "addressclaims.daymark.dev", "--type=json", "-p", &loose.to_string()])
        .await?;
    let garbled = [
        ("198.51.100.1", json!({"address": "198.51.100.1", "services": "web"})),
        ("198.51.100.2", json!({"address": "198.51.100.9"})),
        ("198.51.100.3", json!({"address": ["x"], "retain": 7})),
        ("not-an-address", json!({"address": "198.51.100.4"})),
    ];
    for (name, spec) in &garbled {
        let object = json!({
            "apiVersion": "daymark.dev/v1alpha1", "kind": "AddressClaim", "metadata": {"name": name}, "spec": spec,
        });
        let file = lab.directory().join(format!("{name}.json"));
        std::fs::write(&file, object.to_string())?;
        wait_for("the garbled claim to be stored", SOON, async || {
            lab.kubectl(&["create", "--validate=false", "-f", &file.display().to_string()]).await
        })
        .await?;
    }
    for (name, _) in &garbled {
        let message = wait_condition(&lab, ("addressclaims", name), "Accepted", ("False", "")).await?;
        assert!(!message.is_empty(), "{name}");
    }
    // Their addresses are nobody's, and whoever comes gets the next; at once, and after a restart.
    lab.apply(&service("next", "")).await?;
    assert_eq!(addresses(&lab, "next", 1).await?, [ip("198.51.100.4")]);
    lab.apply(&annotated_service("asks", "daymark.dev/addresses: 198.51.100.3", "")).await?;
    refused(&lab, "asks", "AddressInUse").await?;
    controller.kill().await?;
    // What names its holder still holds for it.
    let garble = json!({"spec": {"pool": {"no": "name"}, "sharingKey": 7}}).to_string();
    lab.kubectl(&["patch", "addressclaim", "198.51.100.0", "--type=merge", "-p", &garble]).await?;
    lab.apply(&service("late", "")).await?;
    controller.start().await?;
    assert_eq!(addresses(&lab, "late", 1).await?, [ip("198.51.100.5")]);
    nothing_moves(&lab, &[("web", vec![ip("198.51.100.0")]), ("next", vec![ip("198.51.100.4")])]).await?;
    let kept = bound(&lab, ip("198.51.100.0"), "web").await?;
    assert_eq!(kept["spec"]["pool"], "public", "it is put right");
    // The remedy: the claim is deleted.
    lab.kubectl(&["delete", "addressclaim", "198.51.100.3"]).await?;
    assert_eq!(addresses(&lab, "asks", 1).await?, [ip("198.51.100.3")]);
    lab.finish().await
}
