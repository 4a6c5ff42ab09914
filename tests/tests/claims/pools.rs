//! Pools and profiles come and go; nothing moves.

use std::time::Duration;

use daymark_tests::{Result, ensure, stays, wait_for};

use crate::common::{SOON, addresses, annotated_service, assigned_condition, service, shown};
use crate::steps::{bound, delete_pool, ip, lab, nothing_moves, pool, says, unclaimed};

#[tokio::test(flavor = "multi_thread")]
async fn pools_come_and_go_and_nothing_moves() -> Result<()> {
    let lab = lab("claims-pools").await?;
    lab.apply(&pool("old", "198.51.100.0/29", "quarantine: 0s,")).await?;
    lab.start_controller("a").await?;
    lab.apply(&[service("a", ""), service("b", "")].concat()).await?;
    lab.apply(&annotated_service("named", "daymark.dev/pool: old", "")).await?;
    lab.apply(&service("pair", "ipFamilyPolicy: PreferDualStack, ipFamilies: [IPv4, IPv6],")).await?;
    let mut held = Vec::new();
    for name in ["a", "b", "named", "pair"] {
        held.push((name, addresses(&lab, name, 1).await?));
    }
    let (status, _, message) = assigned_condition(&lab, "pair").await?.unwrap();
    assert!(status == "True" && message.contains("IPv6"), "{message}");

    // Renamed: deleted and made under another name.
    delete_pool(&lab, "old").await?;
    for (name, _) in &held {
        let message = says(&lab, name, "True", "PoolGone").await?;
        assert!(message.contains("pool"), "{message}");
    }
    nothing_moves(&lab, &held).await?;
    lab.apply(&pool("new", "198.51.100.0/29", "quarantine: 0s,")).await?;
    for (name, addresses) in &held {
        let message = says(&lab, name, "True", "AddressAssigned").await?;
        assert!(message.contains("new"), "{message}");
        let claim = bound(&lab, addresses[0], name).await?;
        assert_eq!(claim["spec"]["pool"], "new");
    }
    nothing_moves(&lab, &held).await?;

    // The second family comes with its pool, and goes with the policy.
    lab.apply(&pool("six", "'2001:db8:6::/120'", "quarantine: 0s,")).await?;
    let both = addresses(&lab, "pair", 2).await?;
    assert_eq!(both, [held[3].1[0], ip("2001:db8:6::")]);
    let single = r#"{"spec":{"ipFamilyPolicy":"SingleStack","ipFamilies":["IPv4"]}}"#;
    lab.kubectl(&["patch", "service", "pair", "--type=merge", "-p", single]).await?;
    assert_eq!(addresses(&lab, "pair", 1).await?, [both[0]]);
    unclaimed(&lab, both[1]).await?;

    // Shrunk: who is outside stays, who comes gets what is inside.
    lab.apply(&pool("new", "198.51.100.4/30", "quarantine: 0s,")).await?;
    for (name, _) in &held {
        says(&lab, name, "True", "PoolGone").await?;
    }
    lab.apply(&service("c", "")).await?;
    assert_eq!(addresses(&lab, "c", 1).await?, [ip("198.51.100.4")]);
    nothing_moves(&lab, &held).await?;

    // Moving is explicit: the claim of an address that no pool contains is deleted.
    lab.kubectl(&["delete", "addressclaim", &held[0].1[0].to_string()]).await?;
    wait_for("a to move into a pool", SOON, async || {
        let now = shown(&lab, "a").await?;
        ensure!(now == [ip("198.51.100.5")], "{now:?}");
        Ok(())
    })
    .await?;
    nothing_moves(&lab, &held[1..]).await?;
    lab.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_profile_names_its_pools_and_its_class() -> Result<()> {
    let lab = lab("claims-profiles").await?;
    lab.apply(
        &[
            pool("first", "198.51.100.0/32", "assignment: OnRequest,"),
            pool("second", "203.0.113.0/28", "assignment: OnRequest,"),
        ]
        .concat(),
    )
    .await?;
    lab.apply(&pool("automatic", "192.0.2.0/28", "priority: 1,")).await?;
    lab.apply(
        "
apiVersion: daymark.dev/v1alpha1
kind: LoadBalancerProfile
metadata: {name: edge}
spec: {loadBalancerClass: example.com/edge, default: true, pool: {pools: [first, second]}}
",
    )
    .await?;
    let controller = lab.start_controller("a").await?;
    lab.apply(&service("classed", "loadBalancerClass: example.com/edge,")).await?;
    assert_eq!(addresses(&lab, "classed", 1).await?, [ip("198.51.100.0")], "pools in their order");
    lab.apply(&service("plain", "")).await?;
    assert_eq!(
        addresses(&lab, "plain", 1).await?,
        [ip("203.0.113.0")],
        "the default profile, and its second pool"
    );
    lab.apply(&annotated_service("asks", "daymark.dev/pool: automatic", "")).await?;
    assert_eq!(addresses(&lab, "asks", 1).await?, [ip("192.0.2.0")]);
    lab.apply(&service("built-in", "loadBalancerClass: daymark.dev/pool,")).await?;
    stays("a class without profile untouched", Duration::from_secs(2), async || {
        ensure!(assigned_condition(&lab, "built-in").await?.is_none(), "it has our condition");
        Ok(())
    })
    .await?;
    // With the last profile gone the built-in one holds: other classes are released, the others keep their addresses.
    lab.kubectl(&["delete", "loadbalancerprofile", "edge"]).await?;
    addresses(&lab, "classed", 0).await?;
    assert_eq!(addresses(&lab, "built-in", 1).await?, [ip("192.0.2.1")]);
    assert_eq!(shown(&lab, "plain").await?, [ip("203.0.113.0")]);
    controller.check_running().await?;
    lab.finish().await
}
