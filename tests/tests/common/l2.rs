//! What the tests of layer 2 say again and again.

use std::net::IpAddr;

use daymark_tests::lan::watch::Watch;
use daymark_tests::{Lab, Result, ensure, wait_for};
use serde_json::Value;

use super::{SOON, addresses, service};

/// Both families, on one Service.
pub const DUAL: &str = "ipFamilyPolicy: RequireDualStack, ipFamilies: [IPv4, IPv6],";

/// Addresses of the LAN itself: a range of IPv4 and a prefix of IPv6.
pub const POOL: &str = "
---
apiVersion: daymark.dev/v1alpha1
kind: AddressPool
metadata: {name: lan, labels: {on: lan}}
spec: {addresses: [10.20.0.100-10.20.0.179, 'fd00:20::1:0/112'], quarantine: 0s}
";

/// An Announcement; `spec` in flow style. Applied again with another spec it replaces the old one.
pub fn announcement(name: &str, spec: &str) -> String {
    format!(
        "\n---\napiVersion: daymark.dev/v1alpha1\nkind: Announcement\nmetadata: {{name: {name}}}\nspec: {{{spec}}}\n"
    )
}

/// The pool, and everything announced with these settings.
pub fn everything(l2: &str) -> String {
    [POOL, &announcement("lan", &format!("l2: {{{l2}}}"))].concat()
}

/// A Service of both families with a ready pod on each of `nodes`; returns its two addresses. `more` as for [`service`].
pub async fn web(lab: &Lab, name: &str, nodes: &[&str], more: &str) -> Result<Vec<IpAddr>> {
    lab.apply(&service(name, &[DUAL, " ", more].concat())).await?;
    for node in nodes {
        lab.pod(node, &format!("{name}-{node}"), &[("app", name)], &[8080]).await?;
    }
    addresses(lab, name, 2).await
}

/// Sets or removes (`key-`) a label of a node.
pub async fn label(lab: &Lab, node: &str, label: &str) -> Result<()> {
    lab.kubectl(&["label", "--overwrite", "node", node, label]).await.map(drop)
}

/// Sets the condition NetworkUnavailable of a node.
pub async fn network_unavailable(lab: &Lab, node: &str, status: &str) -> Result<()> {
    let condition =
        format!(r#"{{"type":"NetworkUnavailable","status":"{status}","reason":"Lab","message":""}}"#);
    let patch = format!(r#"{{"status":{{"conditions":[{condition}]}}}}"#);
    lab.kubectl(&["patch", "node", node, "--subresource=status", "--type=strategic", "-p", &patch])
        .await
        .map(drop)
}

/// Drains a node's speaker, or ends that.
pub async fn drain(lab: &Lab, node: &str, drain: bool) -> Result<()> {
    let patch = format!(r#"{{"spec":{{"drain":{drain}}}}}"#);
    lab.kubectl(&["patch", "speaker", node, "--type=merge", "-p", &patch]).await.map(drop)
}

/// Waits until each address has exactly one answerer, and returns them in the order of the addresses.
pub async fn owners(watch: &Watch<'_>, vips: &[IpAddr]) -> Result<Vec<String>> {
    let mut owners = Vec::new();
    for vip in vips {
        owners.push(watch.answerer(*vip, SOON).await?);
    }
    Ok(owners)
}

/// Waits until `node` alone answers for each address.
pub async fn answered(watch: &Watch<'_>, vips: &[IpAddr], node: &str) -> Result<()> {
    for vip in vips {
        watch.answered_by(*vip, node, SOON).await?;
    }
    Ok(())
}

/// Waits until nobody answers for any address.
pub async fn unanswered(watch: &Watch<'_>, vips: &[IpAddr]) -> Result<()> {
    for vip in vips {
        watch.silent(*vip, SOON).await?;
    }
    Ok(())
}

/// Waits until a client on the LAN gets answers from each address, and from which pods.
pub async fn served(lab: &Lab, vips: &[IpAddr]) -> Result<()> {
    let client = lab.lan_client("l1")?;
    for vip in vips {
        wait_for(format_args!("an answer from {vip}"), SOON, async || client.ask((*vip, 80).into()).await)
            .await?;
    }
    Ok(())
}

/// Waits until every speaker gives `reason` for not announcing a Service.
pub async fn refused_by_all(lab: &Lab, name: &str, reason: &str) -> Result<()> {
    for node in lab.nodes() {
        wait_for(format_args!("{reason} for {name} on {}", node.name()), SOON, async || {
            let url = format!("http://127.0.0.1:7472/debug/services?namespace=default&name={name}");
            let said = node.get(&url).await?;
            ensure!(said.contains(&format!("\"{reason}\"")), "{said}");
            Ok(())
        })
        .await?;
    }
    Ok(())
}

/// What the speaker of `node` says of an address on an interface; `Null` when it says nothing.
pub async fn told(lab: &Lab, node: &str, vip: IpAddr) -> Result<Value> {
    let page = lab.node(node)?.get("http://127.0.0.1:7472/debug/l2/addresses?limit=1000").await?;
    let page: Value = serde_json::from_str(&page)?;
    let listed = page["addresses"].as_array().cloned().unwrap_or_default();
    Ok(listed.into_iter().find(|entry| entry["address"] == vip.to_string()).unwrap_or_default())
}

/// Waits until the speaker of every node says what the wire says: who answers for the address.
pub async fn all_agree(lab: &Lab, vip: IpAddr, owner: &str) -> Result<()> {
    let mac = lab.node(owner)?.mac().await?.to_string();
    for node in lab.nodes() {
        wait_for(format_args!("{} to say that {owner} answers for {vip}", node.name()), SOON, async || {
            let entry = told(lab, node.name(), vip).await?;
            let ours = entry["ours"] == (node.name() == owner);
            ensure!(ours && entry["owner"]["node"] == owner && entry["owner"]["mac"] == mac, "{entry}");
            Ok(())
        })
        .await?;
    }
    Ok(())
}

/// Waits until a speaker's status has, or no longer has, a problem with this reason; returns its message.
pub async fn problem(lab: &Lab, node: &str, reason: &str, there: bool) -> Result<String> {
    let path = format!("/apis/daymark.dev/v1alpha1/speakers/{node}");
    wait_for(
        format_args!("{reason} of {node} {}", if there { "to be told" } else { "to end" }),
        SOON * 2,
        async || {
            let speaker: Value = serde_json::from_str(&lab.raw(&path).await?)?;
            let problems = speaker["status"]["problems"].as_array().cloned().unwrap_or_default();
            let found = problems.iter().find(|problem| problem["reason"] == reason);
            ensure!(found.is_some() == there, "{problems:?}");
            Ok(found.and_then(|problem| problem["message"].as_str()).unwrap_or_default().to_owned())
        },
    )
    .await
}
