//! Steps of the tests of claims.

use std::net::IpAddr;
use std::time::Duration;

use daymark_tests::{Lab, Result, bail, ensure, stays, wait_for};
use serde_json::{Value, json};

use crate::common::{SOON, assigned_condition, get, shown};

/// The address.
pub fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// A lab with one node and without clients.
pub async fn lab(name: &str) -> Result<Lab> {
    Lab::builder(name).nodes(1).clients(0).start().await
}

/// An AddressPool; `more` are further lines of the spec, in flow style, each with a comma behind it.
pub fn pool(name: &str, addresses: &str, more: &str) -> String {
    format!(
        "
---
apiVersion: daymark.dev/v1alpha1
kind: AddressPool
metadata: {{name: {name}}}
spec: {{addresses: [{addresses}], {more}}}
"
    )
}

/// An AddressClaim, as a person writes it; `more` as in [`pool`].
pub fn claim(address: &str, more: &str) -> String {
    format!(
        "
---
apiVersion: daymark.dev/v1alpha1
kind: AddressClaim
metadata: {{name: {address}}}
spec: {{address: {address}, {more}}}
"
    )
}

/// The claim on an address.
pub async fn claim_of(lab: &Lab, address: IpAddr) -> Result<Option<Value>> {
    let list: Value = serde_json::from_str(&lab.raw("/apis/daymark.dev/v1alpha1/addressclaims").await?)?;
    let items = list["items"].as_array().unwrap();
    Ok(items.iter().find(|item| item["spec"]["address"] == address.to_string()).cloned())
}

/// Waits until the claim on `address` names the Service `name`, with its UID.
pub async fn bound(lab: &Lab, address: IpAddr, name: &str) -> Result<Value> {
    wait_for(format_args!("{address} bound to {name}"), SOON, async || {
        let uid = get(lab, name).await?["metadata"]["uid"].clone();
        let Some(found) = claim_of(lab, address).await? else { bail!("there is no claim") };
        let holders = found["spec"]["services"].as_array().cloned().unwrap_or_default();
        ensure!(holders.iter().any(|h| h["name"] == name && h["uid"] == uid), "{}", found["spec"]);
        ensure!(found["spec"]["releasedAt"].is_null(), "{}", found["spec"]);
        Ok(found)
    })
    .await
}

/// Waits until the claim on `address` rests.
pub async fn resting(lab: &Lab, address: IpAddr) -> Result<()> {
    wait_for(format_args!("{address} to rest"), SOON, async || {
        let Some(found) = claim_of(lab, address).await? else { bail!("there is no claim") };
        ensure!(!found["spec"]["releasedAt"].is_null(), "{}", found["spec"]);
        Ok(())
    })
    .await
}

/// Waits until there is no claim on `address`.
pub async fn unclaimed(lab: &Lab, address: IpAddr) -> Result<()> {
    wait_for(format_args!("no claim on {address}"), SOON, async || {
        let found = claim_of(lab, address).await?;
        ensure!(found.is_none(), "{found:?}");
        Ok(())
    })
    .await
}

/// Deletes a Service.
pub async fn delete_service(lab: &Lab, name: &str) -> Result<()> {
    lab.kubectl(&["delete", "service", name]).await.map(drop)
}

/// Deletes a pool.
pub async fn delete_pool(lab: &Lab, name: &str) -> Result<()> {
    lab.kubectl(&["delete", "addresspool", name]).await.map(drop)
}

/// Writes into a Service's status as the controller `manager` does.
pub async fn write_status(lab: &Lab, name: &str, manager: &str, status: Value) -> Result<()> {
    let (manager, patch) = (format!("--field-manager={manager}"), json!({"status": status}).to_string());
    lab.kubectl(&["patch", "service", name, "--subresource=status", "--type=merge", &manager, "-p", &patch])
        .await?;
    Ok(())
}

/// A status that shows these addresses.
pub fn ingress(addresses: &[&str]) -> Value {
    let list: Vec<Value> = addresses.iter().map(|address| json!({"ip": address})).collect();
    json!({"loadBalancer": {"ingress": list}})
}

/// Waits for the condition of a Service, and returns its message.
pub async fn says(lab: &Lab, name: &str, status: &str, reason: &str) -> Result<String> {
    wait_for(format_args!("{name} to be {status} {reason}"), SOON, async || {
        match assigned_condition(lab, name).await? {
            Some((is, why, message)) if is == status && why == reason => Ok(message),
            other => bail!("{other:?}"),
        }
    })
    .await
}

/// The Services keep exactly these addresses for a while.
pub async fn nothing_moves(lab: &Lab, held: &[(&str, Vec<IpAddr>)]) -> Result<()> {
    stays("every address", Duration::from_secs(3), async || {
        for (name, addresses) in held {
            let now = shown(lab, name).await?;
            ensure!(now == *addresses, "{name} has {now:?}, it had {addresses:?}");
        }
        Ok(())
    })
    .await
}
