//! How a lab is described and started.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::AtomicU8;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use futures::future::{try_join, try_join_all, try_join3};
use tokio::sync::Mutex;

use super::footprint::Footprint;
use super::{Lab, SPEAKER_ASN};
use crate::client::Client;
use crate::control_plane::ControlPlane;
use crate::lan::attachment::Attachment;
use crate::lan::environment::Environment;
use crate::lan::station::Station;
use crate::network::{Network, Switches};
use crate::node::{Node, ProxyMode};
use crate::router::{Router, RouterSpec};
use crate::sweep::{Kept, Registration, register, sweep};
use crate::{daymark, interrupt, tools};

/// The host numbers of LAN clients begin after this.
const FIRST_LAN_CLIENT: u8 = 200;
const MOST_LAN_CLIENTS: u8 = 40;
/// Their host numbers lie below those that tests give to Services, 100 to 199.
const MOST_NODES_BESIDE: u8 = 80;
/// The prober's host number.
const PROBER: u8 = 250;

/// The description of a lab.
#[derive(Clone, Debug)]
pub struct LabBuilder {
    name: String,
    nodes: u8,
    node_labels: BTreeMap<u8, BTreeMap<String, String>>,
    routers: Vec<RouterSpec>,
    clients: u8,
    lan_clients: u8,
    environment: Environment,
    speaker_asn: u32,
    proxy_mode: ProxyMode,
    with_daymark: bool,
    keep: bool,
}

impl LabBuilder {
    /// 3 nodes and 1 client.
    pub(super) fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            nodes: 3,
            node_labels: BTreeMap::new(),
            routers: Vec::new(),
            clients: 1,
            lan_clients: 0,
            environment: Environment::asked_for(),
            speaker_asn: SPEAKER_ASN,
            proxy_mode: ProxyMode::default(),
            with_daymark: true,
            keep: false,
        }
    }

    /// So many nodes (3 unless said otherwise), named `n1`, `n2`, …
    #[must_use]
    pub fn nodes(mut self, nodes: u8) -> Self {
        self.nodes = nodes;
        self
    }

    /// A label on node number `node`.
    #[must_use]
    pub fn node_label(mut self, node: u8, key: &str, value: &str) -> Self {
        self.node_labels.entry(node).or_default().insert(key.to_owned(), value.to_owned());
        self
    }

    /// One more router: `r1`, `r2`, … Without any there is no way between clients and nodes.
    #[must_use]
    pub fn router(mut self, router: RouterSpec) -> Self {
        self.routers.push(router);
        self
    }

    /// So many clients (1 unless said otherwise), named `c1`, …
    #[must_use]
    pub fn clients(mut self, clients: u8) -> Self {
        self.clients = clients;
        self
    }

    /// So many clients on the nodes' own LAN (none unless said otherwise), named `l1`, …, and a prober beside them, so that
    /// [`Lab::watch`] works.
    #[must_use]
    pub fn lan_clients(mut self, clients: u8) -> Self {
        self.lan_clients = clients;
        self
    }

    /// The kernels of nodes and LAN clients detect duplicate addresses as they do by default; else their own addresses are
    /// usable at once.
    #[must_use]
    pub fn kernel_dad(mut self) -> Self {
        self.environment.kernel_dad = true;
        self
    }

    /// The LAN's switch snoops on multicast, with a querier.
    #[must_use]
    pub fn snooping(mut self) -> Self {
        self.environment.snooping = true;
        self
    }

    /// Nodes have a firewall that drops by default.
    #[must_use]
    pub fn host_firewall(mut self) -> Self {
        self.environment.host_firewall = true;
        self
    }

    /// The nodes' LAN interface has `disable_ipv6`.
    #[must_use]
    pub fn lan_without_ipv6(mut self) -> Self {
        self.environment.lan_without_ipv6 = true;
        self
    }

    /// How node number `node` hangs on the LAN.
    #[must_use]
    pub fn attachment(mut self, node: u8, attachment: Attachment) -> Self {
        self.environment.attachments.insert(node, attachment);
        self
    }

    /// The LAN is the VLAN `id` on the cables.
    #[must_use]
    pub fn vlan(mut self, id: u16) -> Self {
        self.environment.vlan = Some(id);
        self
    }

    /// The AS number that the routers expect of the nodes.
    #[must_use]
    pub fn speaker_asn(mut self, asn: u32) -> Self {
        self.speaker_asn = asn;
        self
    }

    /// How kube-proxy programs the kernel.
    #[must_use]
    pub fn proxy_mode(mut self, mode: ProxyMode) -> Self {
        self.proxy_mode = mode;
        self
    }

    /// Does not apply `deploy/manifests`.
    #[must_use]
    pub fn without_daymark(mut self) -> Self {
        self.with_daymark = false;
        self
    }

    /// Leaves the lab running at its end and says how to look around; so does `KEEP=1` in the environment.
    #[must_use]
    pub fn keep(mut self) -> Self {
        self.keep = true;
        self
    }

    /// Starts the lab: when this returns, the API server is ready, all nodes are registered, kube-proxy is healthy
    /// everywhere, the routers run, and Daymark's manifests are applied (no Daymark process runs yet).
    ///
    /// # Errors
    /// When this machine cannot run a lab (the error says what to do), or a part does not come up. What was made is
    /// removed.
    pub async fn start(self) -> Result<Lab> {
        tools::check()?;
        if self.nodes == 0 || self.nodes > 200 || self.routers.len() > 9 {
            bail!("a lab has 1 to 200 nodes and at most 9 routers");
        }
        if self.lan_clients > MOST_LAN_CLIENTS || (self.lan_clients > 0 && self.nodes > MOST_NODES_BESIDE) {
            bail!(
                "a lab has at most {MOST_LAN_CLIENTS} LAN clients, and {MOST_NODES_BESIDE} nodes beside them"
            );
        }
        tokio::task::spawn_blocking(|| sweep(Kept::Leave)).await.context("the sweep")??;
        let registration = register()?;
        let footprint = Footprint {
            id: registration.id,
            name: self.name.clone(),
            keep: self.keep || std::env::var("KEEP").is_ok_and(|value| value != "0" && !value.is_empty()),
            finished: false,
        };
        interrupt::guard(registration.id);
        let begin = Instant::now();
        let lab = self.build(registration, footprint).await;
        let lab = lab.with_context(|| format!("lab {} does not start", registration.id))?;
        eprintln!("lab {} is up after {:.1?}", lab.id(), begin.elapsed());
        Ok(lab)
    }

    async fn build(self, registration: Registration, footprint: Footprint) -> Result<Lab> {
        let directory = registration.id.directory();
        let switches = Switches::make(registration.id).await?;
        self.environment.prepare_switches(&switches).await?;
        let control_plane = ControlPlane::launch(&registration, &switches).await?;
        let manifests = async {
            match self.with_daymark {
                true => daymark::manifests().await.map(Some),
                false => Ok(None),
            }
        };
        let (client, manifests, (nodes, routers, clients, lan_clients, prober)) =
            try_join3(control_plane.ready(), manifests, self.hosts(&switches, &control_plane, &directory))
                .await?;
        let no_labels = BTreeMap::new();
        let labels = |node: &Node| self.node_labels.get(&node.number()).unwrap_or(&no_labels);
        try_join_all(nodes.iter().map(|node| node.register(&client, labels(node)))).await?;
        let install = async {
            match &manifests {
                Some(manifests) => daymark::install(&client, manifests).await,
                None => Ok(()),
            }
        };
        try_join(try_join_all(nodes.iter().map(Node::start_proxy)), install).await?;
        Ok(Lab {
            registration,
            directory,
            client,
            nodes,
            routers,
            clients,
            lan_clients,
            prober,
            pods: Mutex::default(),
            speakers: Mutex::default(),
            controllers: Mutex::default(),
            controller_count: AtomicU8::new(0),
            control_plane,
            switches,
            footprint,
        })
    }

    async fn hosts(
        &self,
        switches: &Switches,
        control_plane: &ControlPlane,
        directory: &Path,
    ) -> Result<(Vec<Node>, Vec<Router>, Vec<Client>, Vec<Station>, Option<Station>)> {
        let mut nodes = Vec::new();
        for number in 1..=self.nodes {
            let node = Node::make(number, switches, control_plane, directory, &self.environment).await?;
            nodes.push(node.with_proxy_mode(self.proxy_mode));
        }
        let upstream: Vec<_> = nodes.iter().map(|node| (node.name().to_owned(), node.upstream())).collect();
        let mut routers = Vec::new();
        for (number, spec) in (1..).zip(&self.routers) {
            routers.push(Router::make(number, spec, self.speaker_asn, &upstream, switches, directory).await?);
        }
        let ways: Vec<_> = routers.iter().map(Router::addresses).collect();
        for node in &nodes {
            node.route(self.nodes, &ways).await?;
        }
        let ways: Vec<_> =
            (1..).zip(&routers).map(|(number, _)| Network::Clients.addresses(number)).collect();
        let mut clients = Vec::new();
        for number in 1..=self.clients {
            clients.push(Client::make(number, switches, &ways).await?);
        }
        let (lan, environment) = ([Network::Upstream], &self.environment);
        let mut lan_clients = Vec::new();
        for number in 1..=self.lan_clients {
            let (name, host) = (format!("l{number}"), FIRST_LAN_CLIENT + number);
            lan_clients.push(Station::make(&name, host, &lan, switches, environment).await?);
        }
        let prober = match self.lan_clients {
            0 => None,
            _ => {
                let networks = [Network::Upstream, Network::Nodenet];
                Some(Station::make("probe", PROBER, &networks, switches, environment).await?)
            }
        };
        try_join_all(routers.iter().map(Router::start)).await?;
        Ok((nodes, routers, clients, lan_clients, prober))
    }
}
