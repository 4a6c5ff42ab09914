//! A lab's LAN: its clients, its capture, its breakages.

use std::net::IpAddr;
use std::sync::Arc;

use anyhow::{Context, Result};

use super::Lab;
use crate::lan::breakage::Dark;
use crate::lan::station::Station;
use crate::lan::watch::Watch;
use crate::lan::wire::Wire;
use crate::network::Network;
use crate::process::{Process, Signal};

impl Lab {
    /// All clients on the LAN.
    pub fn lan_clients(&self) -> &[Station] {
        &self.lan_clients
    }

    /// The LAN client `l1`, `l2`, …
    ///
    /// # Errors
    /// When there is none of that name.
    pub fn lan_client(&self, name: &str) -> Result<&Station> {
        let found = self.lan_clients.iter().find(|client| client.name() == name);
        found.with_context(|| format!("no LAN client {name}; the builder has `lan_clients`"))
    }

    /// The station that [`Lab::watch`] asks from.
    ///
    /// # Errors
    /// When the lab was described without LAN clients.
    pub fn prober(&self) -> Result<&Station> {
        self.prober.as_ref().context("the lab has no prober; the builder has `lan_clients`")
    }

    /// Records every ARP and neighbor discovery frame on the LAN, and asks for each of `addresses` every 10 ms.
    ///
    /// # Errors
    /// When capture or prober cannot be started.
    pub async fn watch(&self, addresses: &[IpAddr]) -> Result<Watch<'_>> {
        self.watch_on(Network::Upstream, addresses).await
    }

    /// As [`Lab::watch`], on another network: the prober is on the node network too.
    ///
    /// # Errors
    /// When capture or prober cannot be started.
    pub async fn watch_on(&self, network: Network, addresses: &[IpAddr]) -> Result<Watch<'_>> {
        let wire = Wire::start(&self.switches, network).await?;
        Watch::start(wire, self.prober()?, network, addresses).await
    }

    /// The speaker of a node, which has been started before.
    ///
    /// # Errors
    /// When it has not.
    pub async fn speaker(&self, node: &str) -> Result<Arc<Process>> {
        let speakers = self.speakers.lock().await;
        speakers.get(node).map(Arc::clone).with_context(|| format!("no speaker was started on {node}"))
    }

    /// Breaks a node's links to `networks`.
    ///
    /// # Errors
    /// When there is no such node or the kernel refuses.
    pub async fn darken(&self, node: &str, networks: &[Network], dark: Dark) -> Result<()> {
        for network in networks {
            self.switches.darken(self.node(node)?.netns(), *network, dark).await?;
        }
        Ok(())
    }

    /// Mends a node's links to `networks`.
    ///
    /// # Errors
    /// When there is no such node or the kernel refuses.
    pub async fn lighten(&self, node: &str, networks: &[Network]) -> Result<()> {
        for network in networks {
            self.switches.lighten(self.node(node)?.netns(), *network).await?;
        }
        Ok(())
    }

    /// Splits a network into parts, given by nodes; hosts that are in none hear all parts.
    ///
    /// # Errors
    /// When there is no such node or the kernel refuses.
    pub async fn split(&self, network: Network, parts: &[&[&str]]) -> Result<()> {
        let hosts = |part: &&[&str]| part.iter().map(|name| self.host(name)).collect::<Result<Vec<_>>>();
        let parts = parts.iter().map(hosts).collect::<Result<Vec<_>>>()?;
        self.switches.split(network, &parts).await
    }

    /// Ends a split.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub async fn heal(&self, network: Network) -> Result<()> {
        self.switches.heal(network).await
    }

    /// Stops every process of a node as it stands, or lets all go on.
    ///
    /// # Errors
    /// When there is no such node.
    pub async fn signal_node(&self, node: &str, signal: Signal) -> Result<()> {
        self.node(node)?.netns().signal_all(signal).await
    }

    /// The namespace of a node, a LAN client or the prober.
    fn host(&self, name: &str) -> Result<&crate::netns::Netns> {
        if let Ok(node) = self.node(name) {
            return Ok(node.netns());
        }
        match &self.prober {
            Some(prober) if prober.name() == name => Ok(prober.netns()),
            _ => Ok(self.lan_client(name)?.netns()),
        }
    }
}
