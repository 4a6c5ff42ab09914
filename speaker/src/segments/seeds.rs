//! Where other nodes are, for a node whose mesh is empty: their Speaker objects tell.

use std::hash::{BuildHasher, RandomState};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use daymark_config::crd::Speaker;
use daymark_kube::within;
use daymark_model::NodeName;
use kube::api::ListParams;
use kube::{Api, Client};
use serde_json::Value;
use tracing::debug;

use crate::l2::{L2Handle, Phase};

/// The mesh is given this time to find others by itself.
const PATIENCE: Duration = Duration::from_secs(2);
/// How often Speakers are asked for while the mesh stays empty; up to half of it is added, so that nodes that were all
/// cut off do not ask together.
const INTERVAL: Duration = Duration::from_secs(30);
const CALL: Duration = Duration::from_secs(5);
/// One that lives is enough: it knows the others.
const PAGE: u32 = 500;

/// Looks for other nodes whenever the mesh is empty, until the driver is gone.
pub(super) async fn run(client: Client, node: NodeName, port: u16, driver: L2Handle) {
    let speakers: Api<Speaker> = Api::all(client);
    let mut status = driver.status();
    loop {
        let lonely = |snapshot: &crate::l2::L2Snapshot| {
            let members = snapshot.node.as_ref().map(|node| node.network.members.len());
            snapshot.phase == Phase::Running && members == Some(0)
        };
        if status.wait_for(lonely).await.is_err() {
            return;
        }
        tokio::time::sleep(jittered(PATIENCE)).await;
        if !lonely(&status.borrow_and_update()) {
            continue;
        }
        match within(CALL, speakers.list(&ListParams::default().limit(PAGE))).await {
            Ok(list) => {
                let others = list.items.iter().filter(|s| s.metadata.name.as_deref() != Some(node.as_str()));
                let seeds: Vec<SocketAddr> = others.flat_map(|s| addresses(s, port)).collect();
                debug!(
                    seeds = seeds.len(),
                    "the mesh of the node network is empty: asking the Speakers' nodes"
                );
                driver.seeds(seeds);
            }
            Err(error) => {
                debug!(%error, "the mesh of the node network is empty, and Speakers cannot be listed")
            }
        }
        tokio::time::sleep(jittered(INTERVAL)).await;
    }
}

/// Where the node of a Speaker hears its mesh, as its facts say.
fn addresses(speaker: &Speaker, port: u16) -> Vec<SocketAddr> {
    let facts = speaker.status.as_ref().and_then(|status| status.facts.as_ref());
    let internal = facts.and_then(|facts| facts.get("internal")).and_then(Value::as_array);
    let addresses = internal.into_iter().flatten().filter_map(|text| text.as_str()?.parse::<IpAddr>().ok());
    addresses.map(|address| SocketAddr::new(address, port)).collect()
}

/// `time` and up to half of it more.
fn jittered(time: Duration) -> Duration {
    let random = RandomState::new().hash_one(0);
    let half = u64::try_from(time.as_millis() / 2).unwrap_or(u64::MAX);
    time + Duration::from_millis(random.checked_rem(half).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn internal_addresses_of_other_nodes_are_seeds() {
        let speaker: Speaker = serde_json::from_value(json!({
            "apiVersion": "daymark.dev/v1alpha1", "kind": "Speaker", "metadata": {"name": "n2"}, "spec": {},
            "status": {"facts": {"name": "n2", "internal": ["192.0.2.2", "2001:db8::2", 7]}},
        }))
        .unwrap();
        let seeds: Vec<String> = addresses(&speaker, 7947).iter().map(ToString::to_string).collect();
        assert_eq!(seeds, ["192.0.2.2:7947", "[2001:db8::2]:7947"]);
    }
}
