//! What the tests of Daymark say again and again.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used)]

pub mod l2;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use daymark_tests::{Lab, Result, bail, ensure, wait_for};
use serde_json::Value;

/// A deadline for what takes a moment.
pub const SOON: Duration = Duration::from_secs(30);

/// A pool of both families, neighbors of both transports for each router, and everything announced.
pub fn announce_everything(lab: &Lab) -> String {
    let mut yaml = String::from(
        "
apiVersion: daymark.dev/v1alpha1
kind: AddressPool
metadata: {name: public}
spec: {addresses: [198.51.100.0/24, '2001:db8:5::/112']}
---
apiVersion: daymark.dev/v1alpha1
kind: Announcement
metadata: {name: everything}
spec: {bgp: {}}
",
    );
    for router in lab.routers() {
        yaml.push_str(&neighbor(router.name(), router.addresses().v4.into(), router.asn()));
    }
    yaml
}

/// A neighbor of the speakers' AS 64512.
pub fn neighbor(name: &str, address: IpAddr, asn: u32) -> String {
    format!(
        "
---
apiVersion: daymark.dev/v1alpha1
kind: BgpNeighbor
metadata: {{name: {name}}}
spec: {{address: '{address}', asn: {asn}, localAsn: 64512, timers: {{connectRetry: 1s}}}}
"
    )
}

/// A LoadBalancer Service in the namespace `default` whose pods are labelled `app: NAME`; `more` are further lines of the
/// spec, in flow style, each with a comma behind it.
pub fn service(name: &str, more: &str) -> String {
    annotated_service(name, "", more)
}

/// As [`service`], with annotations in flow style.
pub fn annotated_service(name: &str, annotations: &str, more: &str) -> String {
    let ports = if more.contains("ports:") { "" } else { "ports: [{port: 80, targetPort: 8080}]," };
    format!(
        "
---
apiVersion: v1
kind: Service
metadata: {{name: {name}, annotations: {{{annotations}}}}}
spec: {{type: LoadBalancer, selector: {{app: {name}}}, {ports} {more}}}
"
    )
}

/// The Service as it stands.
pub async fn get(lab: &Lab, name: &str) -> Result<Value> {
    Ok(serde_json::from_str(&lab.raw(&format!("/api/v1/namespaces/default/services/{name}")).await?)?)
}

/// The addresses in the Service's status.
pub async fn shown(lab: &Lab, name: &str) -> Result<Vec<IpAddr>> {
    let service = get(lab, name).await?;
    let ingress = service["status"]["loadBalancer"]["ingress"].as_array().cloned().unwrap_or_default();
    ingress.iter().map(|entry| Ok(entry["ip"].as_str().unwrap_or_default().parse()?)).collect()
}

/// Waits until the Service shows `count` addresses.
pub async fn addresses(lab: &Lab, name: &str, count: usize) -> Result<Vec<IpAddr>> {
    wait_for(format_args!("{count} addresses of {name}"), SOON, async || {
        let found = shown(lab, name).await?;
        ensure!(found.len() == count, "{found:?}, {:?}", assigned_condition(lab, name).await?);
        Ok(found)
    })
    .await
}

/// Our condition on a Service: status, reason and message.
pub async fn assigned_condition(lab: &Lab, name: &str) -> Result<Option<(String, String, String)>> {
    Ok(find(&get(lab, name).await?, "daymark.dev/AddressAssigned"))
}

fn find(object: &Value, type_: &str) -> Option<(String, String, String)> {
    let conditions = object["status"]["conditions"].as_array()?;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let found = conditions.iter().find(|c| c["type"] == type_)?;
    Some((text(&found["status"]), text(&found["reason"]), text(&found["message"])))
}

/// Waits until the Service is refused for `reason`, and returns the message.
pub async fn refused(lab: &Lab, name: &str, reason: &str) -> Result<String> {
    wait_for(format_args!("{name} refused for {reason}"), SOON, async || {
        let found = assigned_condition(lab, name).await?;
        match &found {
            Some((status, why, message)) if status == "False" && why == reason => Ok(message.clone()),
            _ => bail!("{found:?}"),
        }
    })
    .await
}

/// A condition of a cluster-scoped object of Daymark: status, reason and message.
pub async fn condition(
    lab: &Lab,
    plural: &str,
    name: &str,
    type_: &str,
) -> Result<Option<(String, String, String)>> {
    let path = format!("/apis/daymark.dev/v1alpha1/{plural}/{name}");
    Ok(find(&serde_json::from_str(&lab.raw(&path).await?)?, type_))
}

/// Waits until the condition has this status and reason, and returns its message.
pub async fn wait_condition(
    lab: &Lab,
    (plural, name): (&str, &str),
    type_: &str,
    (status, reason): (&str, &str),
) -> Result<String> {
    wait_for(format_args!("{type_}={status} {reason} of {plural}/{name}"), SOON, async || {
        let found = condition(lab, plural, name, type_).await?;
        match &found {
            Some((s, r, message)) if s == status && (reason.is_empty() || r == reason) => Ok(message.clone()),
            _ => bail!("{found:?}"),
        }
    })
    .await
}

/// Waits until each router, and its kernel, has exactly the paths to `address` by `nodes`.
pub async fn routed_by(lab: &Lab, address: IpAddr, nodes: &[&str]) -> Result<()> {
    for router in lab.routers() {
        wait_for(format_args!("{} has {address} by {nodes:?}", router.name()), SOON, async || {
            let paths = router.paths_to(address).await?;
            let hops: BTreeSet<IpAddr> = paths.iter().map(|path| path.next_hop).collect();
            let mut wanted = BTreeSet::new();
            for node in nodes {
                let upstream = lab.node(node)?.upstream();
                wanted.insert(if address.is_ipv4() { IpAddr::from(upstream.v4) } else { upstream.v6.into() });
            }
            ensure!(hops == wanted, "{hops:?}");
            let kernel: BTreeSet<IpAddr> =
                router.kernel_next_hops(address.into()).await?.into_iter().collect();
            ensure!(kernel == wanted, "{hops:?}, and in its kernel {kernel:?}");
            Ok(())
        })
        .await?;
    }
    Ok(())
}

/// Waits until every router holds a session with every node.
pub async fn sessions_up(lab: &Lab) -> Result<()> {
    for router in lab.routers() {
        wait_for(format_args!("sessions of {}", router.name()), SOON, async || {
            let up = router.established().await?;
            ensure!(up.len() >= lab.nodes().len(), "{:?}", router.sessions().await?);
            Ok(())
        })
        .await?;
    }
    Ok(())
}

/// Every object that Daymark may write, except the Lease: its path and resourceVersion.
pub async fn versions(lab: &Lab) -> Result<BTreeMap<String, String>> {
    let mut found = BTreeMap::new();
    for path in [
        "/api/v1/services",
        "/api/v1/nodes",
        "/api/v1/namespaces",
        "/apis/daymark.dev/v1alpha1/addresspools",
        "/apis/daymark.dev/v1alpha1/addressclaims",
        "/apis/daymark.dev/v1alpha1/announcements",
        "/apis/daymark.dev/v1alpha1/bgpneighbors",
        "/apis/daymark.dev/v1alpha1/loadbalancerprofiles",
        "/apis/daymark.dev/v1alpha1/speakers",
        "/apis/events.k8s.io/v1/events",
    ] {
        let list: Value = serde_json::from_str(&lab.raw(path).await?)?;
        for item in list["items"].as_array().into_iter().flatten() {
            let meta = &item["metadata"];
            let key = format!("{path}/{}/{}", meta["namespace"].as_str().unwrap_or(""), meta["name"]);
            found.insert(key, meta["resourceVersion"].to_string());
        }
    }
    Ok(found)
}

/// Waits until nothing has been written for `pause`; the [`versions`] are those that stay.
pub async fn settled(lab: &Lab, pause: Duration, deadline: Duration) -> Result<BTreeMap<String, String>> {
    let mut before = versions(lab).await?;
    wait_for("nothing to be written any more", deadline, async || {
        tokio::time::sleep(pause).await;
        let now = versions(lab).await?;
        let same = now == before;
        before = now;
        ensure!(same, "objects still change");
        Ok(())
    })
    .await?;
    Ok(before)
}
