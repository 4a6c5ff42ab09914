//! Layer 2, between the owner and the driver: started once the node is known, and told to people as problems, listings,
//! log lines and metrics.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use daymark_l2::member::NodeUid;
use daymark_l2::mesh::MeshKeys;
use daymark_l2::node::L2Event;
use daymark_model::{InterfaceIndex, MacAddr, NodeName, Reason, ServiceKey};
use kube::Client;
use serde_json::{Value, json};
use tokio::sync::{mpsc, watch};

use crate::index::{Index, Output};
use crate::l2::{L2Driver, L2Handle};
use crate::metrics::Metrics;
use crate::netlink::HostNetwork;
use crate::status::{Owned, Problem};

mod observer;
mod seeds;

use observer::Observer;

/// How many conflicts are named as problems.
const NAMED: usize = 16;

/// Something outside the cluster answers for an address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{mac} on {interface} has {address} and is no node of the cluster: take the address away from it, or from the pool"
)]
pub struct AddressConflict {
    /// The address.
    pub address: IpAddr,
    /// The interface on which it was heard.
    pub interface: String,
    /// Its Ethernet address.
    pub mac: MacAddr,
}

impl Reason for AddressConflict {
    fn code(&self) -> &'static str {
        "AddressConflict"
    }
}

/// What the owner hears of the driver.
#[derive(Debug)]
pub enum News {
    /// A conflict began, or ended.
    Conflict {
        /// The address.
        address: IpAddr,
        /// The interface on which it was heard.
        interface: InterfaceIndex,
        /// Who else has it; `None` = nobody any more.
        mac: Option<MacAddr>,
    },
    /// What does not work changed.
    Problems,
    /// What the node answers for changed.
    Owned(Owned),
}

/// What layer 2 is made with.
#[derive(Debug)]
pub struct SegmentsConfig {
    /// The node.
    pub node: NodeName,
    /// The UDP port of the node network's mesh.
    pub port: u16,
    /// The interfaces of the host, as they change.
    pub networks: watch::Receiver<HostNetwork>,
    /// What is counted.
    pub metrics: Metrics,
}

/// The owner's side of layer 2.
pub struct Segments {
    config: SegmentsConfig,
    /// For asking where other nodes are.
    client: Client,
    driver: Option<L2Handle>,
    keys: Option<MeshKeys>,
    conflicts: BTreeMap<(IpAddr, InterfaceIndex), MacAddr>,
    owned: Owned,
    news: mpsc::UnboundedReceiver<News>,
    tell: mpsc::UnboundedSender<News>,
}

impl Segments {
    /// Layer 2 of a node of which nothing but the name is known.
    pub fn new(config: SegmentsConfig, client: Client) -> Self {
        let (tell, news) = mpsc::unbounded_channel();
        Self {
            config,
            client,
            driver: None,
            keys: None,
            conflicts: BTreeMap::new(),
            owned: Owned::default(),
            news,
            tell,
        }
    }

    /// What the driver has to say.
    pub async fn heard(&mut self) -> Option<News> {
        self.news.recv().await
    }

    /// Does what a turn of `index` asks for.
    pub fn act(&mut self, index: &Index, out: &mut Output) {
        if out.l2_facts.is_none() && out.l2.is_empty() {
            return;
        }
        let Some(driver) = self.driver(index) else { return };
        if let Some(facts) = out.l2_facts.take() {
            driver.configure(facts);
        }
        let changes = std::mem::take(&mut out.l2);
        if !changes.is_empty() {
            driver.change(changes);
        }
    }

    /// The driver; `None` before the node has its UID.
    fn driver(&mut self, index: &Index) -> Option<&L2Handle> {
        if self.driver.is_none() {
            let uid = index.facts().map(|facts| facts.uid.as_str()).filter(|uid| !uid.is_empty())?;
            let SegmentsConfig { node, port, networks, metrics } = &self.config;
            let driver = L2Driver { node: NodeUid::of(uid), name: node.to_string(), port: *port };
            let (events, heard) = mpsc::unbounded_channel();
            let handle = driver.spawn(networks.clone(), events);
            handle.keys(self.keys.clone());
            let observer =
                Observer::new(handle.clone(), networks.clone(), metrics.clone(), self.tell.clone());
            tokio::spawn(observer.run(heard));
            tokio::spawn(seeds::run(self.client.clone(), node.clone(), *port, handle.clone()));
            self.driver = Some(handle);
        }
        self.driver.as_ref()
    }

    /// Takes the keys of the meshes.
    pub fn set_keys(&mut self, keys: Option<MeshKeys>) {
        if let Some(driver) = &self.driver {
            driver.keys(keys.clone());
        }
        self.keys = keys;
    }

    /// Takes in what the driver said.
    pub fn take(&mut self, news: News) {
        match news {
            News::Conflict { address, interface, mac: Some(mac) } => {
                self.conflicts.insert((address, interface), mac);
            }
            News::Conflict { address, interface, mac: None } => {
                self.conflicts.remove(&(address, interface));
            }
            News::Owned(owned) => self.owned = owned,
            News::Problems => {}
        }
    }

    /// What the node answers for.
    pub fn owned(&self) -> &Owned {
        &self.owned
    }

    /// What does not work, and who else has our addresses.
    pub fn problems(&self, index: &Index) -> Vec<Problem> {
        let mut problems = Vec::new();
        for conflict in self.conflicts().take(NAMED) {
            let services = index.holders(conflict.address);
            let subject = |key: &ServiceKey| format!("Service/{key}");
            problems.extend(services.iter().map(|key| Problem::new(subject(key), &conflict)));
        }
        let Some(driver) = &self.driver else { return problems };
        let status = driver.status();
        let of_driver = &status.borrow().problems;
        problems.extend(of_driver.iter().map(|(what, problem)| Problem {
            subject: format!("Node/{what}"),
            reason: problem.reason,
            message: problem.message.clone(),
        }));
        problems
    }

    fn conflicts(&self) -> impl Iterator<Item = AddressConflict> {
        self.conflicts.iter().map(|((address, interface), mac)| AddressConflict {
            address: *address,
            interface: interface_name(&self.config.networks.borrow(), *interface),
            mac: *mac,
        })
    }

    /// All but the addresses, for introspection.
    pub fn listing(&self) -> Value {
        let snapshot = self.driver.as_ref().map(|driver| driver.status().borrow().clone());
        let conflicts: Vec<Value> = self
            .conflicts()
            .map(|c| json!({"address": c.address, "interface": c.interface, "mac": c.mac}))
            .collect();
        let mut listing = json!(snapshot.unwrap_or_default());
        if let Some(fields) = listing.as_object_mut() {
            fields.insert("conflicts".to_owned(), json!(conflicts));
        }
        listing
    }

    /// The way to ask for addresses; `None` while there is no driver.
    pub fn asking(&self) -> Option<L2Handle> {
        self.driver.clone()
    }

    /// Hands over what the node answers for; ready when that is done, at the latest after about `wait`.
    pub fn shutdown(&self, wait: Duration) -> impl Future<Output = ()> + Send + use<> {
        let leaving = self.driver.as_ref().map(|driver| driver.shutdown(wait));
        async move {
            if let Some(leaving) = leaving {
                leaving.await;
            }
        }
    }
}

/// Adds to each address of `services` that goes out on segments who answers for it there.
pub async fn with_owners(driver: Option<L2Handle>, mut services: Value) -> Value {
    let Some(driver) = driver else { return services };
    let each = match services.get_mut("services") {
        Some(page) => page.as_array_mut().map(Vec::as_mut_slice).unwrap_or_default(),
        None => std::slice::from_mut(&mut services),
    };
    for service in each {
        let addresses = service.get_mut("addresses").and_then(Value::as_array_mut);
        for listing in addresses.into_iter().flatten() {
            let address = listing.get("address").and_then(Value::as_str).and_then(|text| text.parse().ok());
            let Some(l2) = listing.get_mut("l2").and_then(Value::as_object_mut) else { continue };
            let Some(address) = address else { continue };
            l2.insert("segments".to_owned(), json!(driver.address(address).await));
        }
    }
    services
}

/// A page of addresses, with the address behind which the next one begins.
pub async fn page(driver: Option<L2Handle>, after: Option<IpAddr>, limit: usize) -> Value {
    let addresses = match driver {
        Some(driver) => driver.addresses(after, limit).await,
        None => Vec::new(),
    };
    json!({"addresses": addresses, "after": addresses.last().map(|last| last.address)})
}

fn interface_name(network: &HostNetwork, index: InterfaceIndex) -> String {
    network.interfaces.get(&index.0).cloned().unwrap_or_else(|| format!("interface {index}"))
}
