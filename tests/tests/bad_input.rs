//! What is wrong is named where a person looks, with the remedy; nothing else is disturbed.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::time::Duration;

use common::{SOON, addresses, announce_everything, neighbor, routed_by, service, wait_condition};
use daymark_tests::{Lab, Result, RouterSpec, ensure, stays, wait_for};
use serde_json::Value;

/// What the Speaker of `node` says of its session with `neighbor`: state and last error.
async fn session(lab: &Lab, node: &str, neighbor: &str) -> Result<(String, String)> {
    let speaker: Value =
        serde_json::from_str(&lab.raw(&format!("/apis/daymark.dev/v1alpha1/speakers/{node}")).await?)?;
    let sessions = speaker["status"]["sessions"].as_array().cloned().unwrap_or_default();
    let found = sessions.iter().find(|s| s["neighbor"] == neighbor);
    let found = found
        .ok_or_else(|| daymark_tests::Error::msg(format!("no session {neighbor}: {}", speaker["status"])))?;
    let text = |key: &str| found[key].as_str().unwrap_or_default().to_owned();
    Ok((text("state"), text("lastError")))
}

async fn says(lab: &Lab, neighbor: &str, words: &[&str]) -> Result<()> {
    wait_for(
        format_args!("the Speaker to say {words:?} of {neighbor}"),
        Duration::from_secs(60),
        async || {
            let (state, error) = session(lab, "n1", neighbor).await?;
            ensure!(state != "Established", "it is up");
            ensure!(
                words.iter().all(|word| error.to_lowercase().contains(&word.to_lowercase())),
                "{state}: {error:?}"
            );
            Ok(())
        },
    )
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn routers_that_do_not_answer_right_disturb_nobody() -> Result<()> {
    let lab = Lab::builder("bad-routers")
        .nodes(1)
        .router(RouterSpec::frr(65001))
        .router(RouterSpec::bird(65002))
        .start()
        .await?;
    lab.apply(&announce_everything(&lab)).await?;
    // A server that speaks garbage on port 179, in the client's namespace.
    let client = lab.client()?;
    let garbage = client.netns().clone();
    let mut speaker_of_garbage = garbage
        .command("python3")
        .args([
            "-c",
            "import socket
s = socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1); s.bind(('0.0.0.0', 179)); s.listen()
while True:
    c, _ = s.accept(); c.sendall(b'HTTP/1.1 400 Bad Request\\r\\n\\r\\n' * 4); c.close()",
        ])
        .kill_on_drop(true)
        .spawn()?;
    let wrong_asn = neighbor("r2", lab.router("r2")?.addresses().v4.into(), 65999);
    lab.apply(
        &[
            wrong_asn,
            neighbor("unreachable", "10.20.0.250".parse().unwrap(), 65003),
            neighbor("garbage", client.addresses().v4.into(), 65004)
                .replace("timers:", "multihop: 8, timers:"),
            neighbor("closed", lab.node("n1")?.upstream().v4.into(), 65005),
        ]
        .concat(),
    )
    .await?;
    lab.start_daymark().await?;
    lab.apply(&service("web", "")).await?;
    lab.pod("n1", "web-1", &[("app", "web")], &[8080]).await?;
    let vip = addresses(&lab, "web", 1).await?[0];
    let r1 = lab.router("r1")?;
    wait_for("the route in the good router", SOON, async || {
        let paths = r1.paths_to(vip).await?;
        ensure!(paths.len() == 1, "{paths:?}");
        Ok(())
    })
    .await?;
    says(&lab, "r2", &["65002", "65999"]).await?;
    says(&lab, "unreachable", &["cannot be reached"]).await?;
    says(&lab, "garbage", &["bgp"]).await?;
    let node = std::net::IpAddr::from(lab.node("n1")?.upstream().v4);
    let established = r1.sessions().await?[&node].established_count;
    stays("the good session", Duration::from_secs(5), async || {
        let sessions = r1.sessions().await?;
        ensure!(
            sessions[&node].is_established() && sessions[&node].established_count == established,
            "{sessions:?}"
        );
        Ok(())
    })
    .await?;
    speaker_of_garbage.kill().await?;
    // The remedy is applied: the session comes up by itself.
    lab.apply(&neighbor("r2", lab.router("r2")?.addresses().v4.into(), 65002)).await?;
    routed_by(&lab, vip, &["n1"]).await?;
    lab.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn references_to_nothing_are_told() -> Result<()> {
    let lab = Lab::builder("bad-references").nodes(1).clients(0).start().await?;
    lab.apply(
        "
apiVersion: daymark.dev/v1alpha1
kind: Announcement
metadata: {name: lost}
spec: {pools: [nowhere], bgp: {neighbors: [nobody]}}
---
apiVersion: daymark.dev/v1alpha1
kind: LoadBalancerProfile
metadata: {name: first}
spec: {loadBalancerClass: example.com/lb, pool: {pools: [nowhere]}}
",
    )
    .await?;
    lab.start_controller("a").await?;
    let message = wait_condition(&lab, ("announcements", "lost"), "ResolvedRefs", ("False", "")).await?;
    assert!(message.contains("nowhere") && message.contains("nobody"), "{message}");
    let message =
        wait_condition(&lab, ("loadbalancerprofiles", "first"), "ResolvedRefs", ("False", "")).await?;
    assert!(message.contains("nowhere"), "{message}");
    lab.apply(
        "
apiVersion: daymark.dev/v1alpha1
kind: LoadBalancerProfile
metadata: {name: second}
spec: {loadBalancerClass: example.com/lb, pool: {}}
",
    )
    .await?;
    let message = wait_condition(&lab, ("loadbalancerprofiles", "second"), "Accepted", ("False", "")).await?;
    assert!(message.contains("first") && message.contains("example.com/lb"), "{message}");
    wait_condition(&lab, ("loadbalancerprofiles", "first"), "Accepted", ("True", "")).await?;
    lab.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_role_is_named_and_the_rest_goes_on() -> Result<()> {
    let lab = Lab::builder("bad-roles").nodes(1).router(RouterSpec::bird(65001)).start().await?;
    // Nobody may read profiles any more, and the speaker no namespaces.
    lab.kubectl(&["get", "clusterrole", "daymark-controller", "-o", "json"]).await?;
    for (role, resource) in
        [("daymark-controller", "loadbalancerprofiles"), ("daymark-speaker", "namespaces")]
    {
        let mut object: Value =
            serde_json::from_str(&lab.kubectl(&["get", "clusterrole", role, "-o", "json"]).await?)?;
        for rule in object["rules"].as_array_mut().unwrap() {
            let resources = rule["resources"].as_array_mut().unwrap();
            resources.retain(|r| r != resource && r != &format!("{resource}/status"));
        }
        object["rules"]
            .as_array_mut()
            .unwrap()
            .retain(|rule| !rule["resources"].as_array().unwrap().is_empty());
        let file = lab.directory().join(format!("{role}.json"));
        std::fs::write(&file, object.to_string())?;
        lab.kubectl(&["replace", "-f", &file.display().to_string()]).await?;
    }
    lab.apply(&announce_everything(&lab)).await?;
    let controller = lab.start_controller("a").await?;
    let speaker = lab.start_speaker("n1").await?;
    lab.apply(&service("web", "")).await?;
    lab.pod("n1", "web-1", &[("app", "web")], &[8080]).await?;
    let vip = addresses(&lab, "web", 1).await?[0];
    routed_by(&lab, vip, &["n1"]).await?;
    for (process, kind) in [(&controller, "loadbalancerprofiles"), (&speaker, "namespaces")] {
        wait_for(format_args!("{} to name {kind}", process.name()), SOON, async || {
            let ready = process.netns().run("curl", &["-s", "http://127.0.0.1:7472/readyz?verbose"]).await?;
            let log = process.log_text().to_lowercase();
            ensure!(ready.to_lowercase().contains(&kind[..9]), "/readyz: {ready}");
            ensure!(log.contains(&kind[..9]) && log.contains("clusterrole"), "log: {log}");
            Ok(())
        })
        .await?;
    }
    lab.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn daemons_wait_for_the_definitions() -> Result<()> {
    let lab = Lab::builder("bad-no-crds").nodes(1).router(RouterSpec::bird(65001)).start().await?;
    let crds = lab.kubectl(&["get", "crd", "-o", "json"]).await?;
    let list: Value = serde_json::from_str(&crds)?;
    let ours: Vec<String> = list["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|crd| crd["metadata"]["name"].as_str().unwrap().to_owned())
        .filter(|name| name.ends_with(".daymark.dev"))
        .collect();
    assert_eq!(ours.len(), 7, "{ours:?}");
    for name in &ours {
        lab.kubectl(&["delete", "crd", name]).await?;
    }
    let controller = lab.start_controller("a").await?;
    let speaker = lab.start_speaker("n1").await?;
    for process in [&controller, &speaker] {
        wait_for(format_args!("{} to say what is missing", process.name()), SOON, async || {
            process.check_running().await?;
            let log = process.log_text();
            ensure!(log.contains("deploy/crds"), "{log}");
            Ok(())
        })
        .await?;
    }
    let root = daymark_tests::tools::project();
    lab.kubectl(&["apply", "-k", &root.join("deploy/crds").display().to_string()]).await?;
    wait_for("pools to be served", SOON, async || lab.apply(&announce_everything(&lab)).await).await?;
    lab.apply(&service("web", "")).await?;
    lab.pod("n1", "web-1", &[("app", "web")], &[8080]).await?;
    let vip = wait_for("an address", Duration::from_secs(90), async || {
        let found = lab.service_addresses("default", "web").await?;
        ensure!(found.len() == 1, "{found:?}");
        Ok(found[0])
    })
    .await?;
    wait_for("the route", Duration::from_secs(90), async || {
        let paths = lab.router("r1")?.paths_to(vip).await?;
        ensure!(paths.len() == 1, "{paths:?}");
        Ok(())
    })
    .await?;
    lab.finish().await
}
