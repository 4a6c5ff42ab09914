//! Who gets the traffic.

use std::collections::BTreeSet;
use std::net::IpAddr;

use daymark_model::{Family, Labels};
use daymark_providers::view::{EndpointState, EndpointView, NodeView, PortView, World};

use crate::api::Target;

/// Nodes with all of `labels`, at `port`. `externalTrafficPolicy` does not matter: the health check decides.
pub(super) fn instances(world: &World, labels: &Labels, port: u16) -> BTreeSet<Target> {
    let fits = |node: &&NodeView| {
        !node.excluded && labels.iter().all(|(key, value)| node.labels.get(key) == Some(value))
    };
    let id = |node: &NodeView| instance_id(node.provider_id.as_deref()?).map(str::to_owned);
    let ids = world.nodes.values().filter(fits).filter_map(id);
    ids.map(|id| Target { id, port, zone: None }).collect()
}

/// The instance of a `providerID`: `aws:///ZONE/i-…`. Fargate's nodes have none.
fn instance_id(provider_id: &str) -> Option<&str> {
    let (_, id) = provider_id.strip_prefix("aws://")?.rsplit_once('/')?;
    id.starts_with("i-").then_some(id)
}

/// Why one target group cannot serve two ports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PortsDiffer {
    pub(super) address: IpAddr,
}

/// The endpoints of `service` for `ports`, which one target group serves: the ready ones, or where none is those that drain
/// (KEP-1669).
pub(super) fn endpoints(
    world: &World,
    service: &str,
    ports: &[&PortView],
    family: Family,
) -> Result<BTreeSet<Target>, PortsDiffer> {
    let all = world.endpoints.get(service).map(Vec::as_slice).unwrap_or_default();
    let mut ready = BTreeSet::new();
    let mut draining = BTreeSet::new();
    for endpoint in all.iter().filter(|endpoint| Family::of(endpoint.address) == family) {
        let Some(port) = shared_port(endpoint, ports)? else { continue };
        let target = Target { id: endpoint.address.to_string(), port, zone: endpoint.zone.clone() };
        match endpoint.state {
            EndpointState::Ready => ready.insert(target),
            EndpointState::Draining => draining.insert(target),
        };
    }
    Ok(if ready.is_empty() { draining } else { ready })
}

fn shared_port(endpoint: &EndpointView, ports: &[&PortView]) -> Result<Option<u16>, PortsDiffer> {
    let numbers: BTreeSet<u16> =
        ports.iter().filter_map(|port| endpoint.ports.get(&port.name).copied()).collect();
    if numbers.len() > 1 {
        return Err(PortsDiffer { address: endpoint.address });
    }
    Ok(numbers.first().copied())
}
