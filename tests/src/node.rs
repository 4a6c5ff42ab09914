//! A node: a namespace on the node network and the upstream network, a Node object, and its kube-proxy.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::Path;
use std::sync::atomic::{AtomicU8, Ordering};

use anyhow::{Context, Result, bail};
use daymark_model::MacAddr;
use k8s_openapi::api::core::v1::Node as NodeObject;
use kube::api::PostParams;
use kube::{Api, Client};
use serde_json::json;

use crate::control_plane::{ControlPlane, START};
use crate::lan::environment::Environment;
use crate::netns::Netns;
use crate::network::{CLUSTER_CIDR, DualStack, Network, Switches, multipath, pod_addresses, pod_cidrs};
use crate::process::Process;
use crate::wait::wait_for;
use crate::{kubeconfig, tools};

/// Host numbers of nodes begin after this.
const FIRST_HOST: u8 = 10;

/// How kube-proxy programs the kernel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ProxyMode {
    /// nftables.
    #[default]
    Nftables,
    /// iptables.
    Iptables,
}

/// A node of the lab.
#[derive(Debug)]
pub struct Node {
    name: String,
    number: u8,
    netns: Netns,
    proxy: Process,
    pods: AtomicU8,
}

impl Node {
    /// Makes the namespace of node number `number` (from 1), named `n<number>`.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub async fn make(
        number: u8,
        switches: &Switches,
        control_plane: &ControlPlane,
        directory: &Path,
        environment: &Environment,
    ) -> Result<Self> {
        let name = format!("n{number}");
        let netns = switches.host(&name).await?;
        environment.prepare_station(&netns).await?;
        let host = FIRST_HOST + number;
        let networks = [(Network::Nodenet, host), (Network::Upstream, host)];
        switches.connect_as(&netns, &networks, environment.of_node(number)).await?;
        environment.fortify(&netns).await?;
        let config = directory.join(format!("{name}-proxy.kubeconfig"));
        let (user, token) = control_plane.proxy_user();
        kubeconfig::write(&config, &control_plane.server(), &control_plane.authority(), user, token)?;
        let proxy = Process::new(format!("{name}-proxy"), &netns, tools::kubelab(), &directory.join("logs"))
            .arguments([
                "proxy",
                &format!("--kubeconfig={}", config.display()),
                &format!("--hostname-override={name}"),
                &format!("--cluster-cidr={CLUSTER_CIDR}"),
                "--conntrack-max-per-core=0",
            ]);
        Ok(Self { name, number, netns, proxy, pods: AtomicU8::new(1) })
    }

    /// Routes to the pods of all other nodes and back to the clients by `routers`.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub async fn route(&self, nodes: u8, routers: &[DualStack]) -> Result<()> {
        let mut lines = Vec::new();
        for other in (1..=nodes).filter(|other| *other != self.number) {
            let via = Network::Nodenet.addresses(FIRST_HOST + other);
            for (cidr, via) in pod_cidrs(other).iter().zip(via.both()) {
                lines.push(format!("route replace {cidr} via {via}"));
            }
        }
        if !routers.is_empty() {
            lines.push(multipath(
                &Network::Clients.prefix_v4(),
                routers.iter().map(|router| router.v4.into()),
            ));
            lines.push(multipath(
                &Network::Clients.prefix_v6(),
                routers.iter().map(|router| router.v6.into()),
            ));
        }
        self.netns.ip_batch(&lines).await
    }

    /// Creates the Node object.
    ///
    /// # Errors
    /// When the API server refuses it.
    pub async fn register(&self, client: &Client, labels: &BTreeMap<String, String>) -> Result<()> {
        let mut all = labels.clone();
        all.insert("kubernetes.io/hostname".to_owned(), self.name.clone());
        let addresses = self.internal_ips();
        let [cidr_v4, cidr_v6] = pod_cidrs(self.number);
        let object = serde_json::from_value(json!({
            "metadata": {"name": self.name, "labels": all},
            "spec": {"podCIDR": cidr_v4, "podCIDRs": [cidr_v4, cidr_v6]},
            "status": {
                "addresses": [
                    {"type": "InternalIP", "address": addresses.v4},
                    {"type": "InternalIP", "address": addresses.v6},
                    {"type": "Hostname", "address": self.name},
                ],
                "conditions": [{"type": "Ready", "status": "True", "reason": "Lab"}],
            },
        }))?;
        let created: NodeObject = Api::all(client.clone()).create(&PostParams::default(), &object).await?;
        let shown = created.status.and_then(|status| status.addresses).unwrap_or_default();
        if shown.len() != 3 {
            bail!("the API server did not take the addresses of node {}", self.name);
        }
        Ok(())
    }

    /// Starts kube-proxy and waits until it is healthy.
    ///
    /// # Errors
    /// When it does not become healthy.
    pub async fn start_proxy(&self) -> Result<()> {
        self.proxy.start().await?;
        self.wait_proxy_healthy().await
    }

    /// Waits until kube-proxy's health check on port 10256 says 200.
    ///
    /// # Errors
    /// When it does not within two minutes.
    pub async fn wait_proxy_healthy(&self) -> Result<()> {
        wait_for(format_args!("kube-proxy of {}", self.name), START, async || {
            self.proxy.check_running().await?;
            self.get("http://127.0.0.1:10256/healthz").await.map(drop)
        })
        .await
    }

    /// Its name: `n1`, `n2`, …
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its number, from 1.
    pub fn number(&self) -> u8 {
        self.number
    }

    /// Its namespace.
    pub fn netns(&self) -> &Netns {
        &self.netns
    }

    /// Its kube-proxy.
    pub fn proxy(&self) -> &Process {
        &self.proxy
    }

    /// Its InternalIPs, on the node network.
    pub fn internal_ips(&self) -> DualStack {
        Network::Nodenet.addresses(FIRST_HOST + self.number)
    }

    /// Its addresses on the upstream network: the next hops of what its speaker announces.
    pub fn upstream(&self) -> DualStack {
        Network::Upstream.addresses(FIRST_HOST + self.number)
    }

    /// The Ethernet address of its LAN interface.
    ///
    /// # Errors
    /// When the kernel does not tell.
    pub async fn mac(&self) -> Result<MacAddr> {
        self.netns.mac(Network::Upstream.name()).await
    }

    /// The addresses that a pod may see as its client's when kube-proxy masquerades on this node.
    pub fn masquerade_addresses(&self) -> Vec<IpAddr> {
        [self.internal_ips(), pod_addresses(self.number, 1)].into_iter().flat_map(DualStack::both).collect()
    }

    /// GETs a URL from within the node, for example `http://127.0.0.1:10249/metrics`.
    ///
    /// # Errors
    /// When there is no answer within 3 s or its status is 400 or more.
    pub async fn get(&self, url: &str) -> Result<String> {
        self.netns.run("curl", &["-gsSf", "--max-time", "3", url]).await
    }

    /// The number of the next pod on this node.
    pub(crate) fn next_pod(&self) -> Result<u8> {
        let last = self.pods.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |last| last.checked_add(1));
        let number = last.ok().and_then(|last| last.checked_add(1)).filter(|number| *number < 255);
        number.with_context(|| format!("node {} has no pod address left", self.name))
    }

    /// In which mode kube-proxy is started.
    #[must_use]
    pub(crate) fn with_proxy_mode(mut self, mode: ProxyMode) -> Self {
        let mode = match mode {
            ProxyMode::Nftables => "--proxy-mode=nftables",
            ProxyMode::Iptables => "--proxy-mode=iptables",
        };
        self.proxy = self.proxy.arguments([mode]);
        self
    }
}
