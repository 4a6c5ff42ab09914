//! A station on the LAN: a client whose kernel finds addresses by ARP and NDP, or a stranger that claims them.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use anyhow::{Context, Result};
use daymark_model::MacAddr;
use serde_json::Value;

use super::environment::Environment;
use super::frame::{Frame, Sender};
use super::inject::{self, Injection};
use crate::client;
use crate::load::LoadSpec;
use crate::netns::Netns;
use crate::network::{DualStack, Network, Switches};
use crate::report::Answer;

/// What a kernel's cache says of a neighbor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Neighbor {
    /// Its Ethernet address.
    pub mac: MacAddr,
    /// `REACHABLE`, `STALE`, `DELAY`, `PROBE`, `PERMANENT`.
    pub state: String,
}

/// A host on the LAN.
#[derive(Debug)]
pub struct Station {
    name: String,
    host: u8,
    netns: Netns,
}

impl Station {
    /// Makes the namespace `name`, with host number `host` on each network.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub(crate) async fn make(
        name: &str,
        host: u8,
        networks: &[Network],
        switches: &Switches,
        environment: &Environment,
    ) -> Result<Self> {
        let netns = switches.host(name).await?;
        environment.prepare_station(&netns).await?;
        let networks: Vec<_> = networks.iter().map(|network| (*network, host)).collect();
        switches.connect_as(&netns, &networks, environment.of_stations()).await?;
        // No port is used twice within a minute of 200 connections per second.
        netns.sysctl(&[("ipv4/ip_local_port_range", "1024 65535")]).await?;
        Ok(Self { name: name.to_owned(), host, netns })
    }

    /// Its name: `l1`, `l2`, …
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its namespace.
    pub fn netns(&self) -> &Netns {
        &self.netns
    }

    /// Its addresses.
    pub fn addresses(&self) -> DualStack {
        Network::Upstream.addresses(self.host)
    }

    /// Its Ethernet address.
    ///
    /// # Errors
    /// When the kernel does not tell.
    pub async fn mac(&self) -> Result<MacAddr> {
        self.netns.mac(Network::Upstream.name()).await
    }

    /// What it puts into frames of its own making.
    ///
    /// # Errors
    /// When the kernel does not tell its Ethernet address.
    pub async fn sender(&self) -> Result<Sender> {
        self.sender_on(Network::Upstream).await
    }

    /// What it puts into frames of its own making on `network`.
    ///
    /// # Errors
    /// When it is not there.
    pub async fn sender_on(&self, network: Network) -> Result<Sender> {
        let DualStack { v4, v6 } = network.addresses(self.host);
        Ok(Sender { mac: self.netns.mac(network.name()).await?, v4, v6 })
    }

    /// Asks once over TCP, as HTTP.
    ///
    /// # Errors
    /// When no answer comes within 2 s.
    pub async fn ask(&self, target: SocketAddr) -> Result<Answer> {
        client::ask_once(&self.netns, target, "tcp").await
    }

    /// Asks once over UDP.
    ///
    /// # Errors
    /// When no answer comes within 2 s.
    pub async fn ask_udp(&self, target: SocketAddr) -> Result<Answer> {
        client::ask_once(&self.netns, target, "udp").await
    }

    /// Prepares a load on `target`: 200 new TCP connections per second unless said otherwise.
    pub fn load(&self, target: SocketAddr) -> LoadSpec {
        LoadSpec::new(&self.netns, target)
    }

    /// What its kernel's cache says of `address`; `None` when nothing, or that there is nobody.
    ///
    /// # Errors
    /// When the kernel does not tell.
    pub async fn neighbor(&self, address: IpAddr) -> Result<Option<Neighbor>> {
        let text = self.netns.ip(&format!("-json neigh show {address} dev upstream")).await?;
        let entries: Vec<Value> =
            if text.trim().is_empty() { Vec::new() } else { serde_json::from_str(&text)? };
        let Some(entry) = entries.first() else { return Ok(None) };
        let Some(mac) = entry["lladdr"].as_str() else { return Ok(None) };
        let state = entry["state"][0].as_str().unwrap_or_default().to_owned();
        Ok(Some(Neighbor { mac: mac.parse()?, state }))
    }

    /// Writes `address` into its kernel's cache, in the state `reachable`, `stale`, `delay` or `probe`.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub async fn set_neighbor(&self, address: IpAddr, mac: MacAddr, state: &str) -> Result<()> {
        self.netns
            .ip(&format!("neigh replace {address} lladdr {mac} dev upstream nud {state}"))
            .await
            .map(drop)
    }

    /// Empties its kernel's cache.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub async fn forget_neighbors(&self) -> Result<()> {
        for family in ["-4", "-6"] {
            self.netns.ip(&format!("{family} neigh flush dev upstream")).await?;
        }
        Ok(())
    }

    /// Makes `address` one of its own: its kernel answers ARP and solicitations for it from now on, without asking first
    /// whether it is free.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub async fn seize(&self, address: IpAddr) -> Result<()> {
        let length = if address.is_ipv4() { 32 } else { 128 };
        let quiet = if address.is_ipv4() { "" } else { " nodad" };
        self.netns.ip(&format!("addr add {address}/{length} dev upstream{quiet}")).await.map(drop)
    }

    /// Gives up what [`Station::seize`] took.
    ///
    /// # Errors
    /// When it does not have the address.
    pub async fn release(&self, address: IpAddr) -> Result<()> {
        let length = if address.is_ipv4() { 32 } else { 128 };
        self.netns.ip(&format!("addr del {address}/{length} dev upstream")).await.map(drop)
    }

    /// Sends each frame once.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub async fn send(&self, frames: &[Frame]) -> Result<()> {
        inject::once(&self.netns, Network::Upstream, frames).await
    }

    /// Sends the frames one after the other, again and again, one per `pause`.
    ///
    /// # Errors
    /// When the program cannot be started.
    pub fn repeat(&self, frames: &[Frame], pause: Duration) -> Result<Injection> {
        self.repeat_on(Network::Upstream, frames, pause)
    }

    /// As [`Station::repeat`], on `network`.
    ///
    /// # Errors
    /// When the program cannot be started.
    pub fn repeat_on(&self, network: Network, frames: &[Frame], pause: Duration) -> Result<Injection> {
        inject::repeat(&self.netns, network, frames, pause)
    }

    /// Whether duplicate address detection finds `address` taken, as `arping -D` and the kernel do it.
    ///
    /// # Errors
    /// When neither a yes nor a no is to be had.
    pub async fn finds_taken(&self, address: IpAddr) -> Result<bool> {
        if address.is_ipv6() {
            return self.kernel_finds_taken(address).await;
        }
        // This arping's -0 is RFC 5227's sender of zeros; it says how many answers came, and ends with the first.
        let arguments = ["-0", "-c", "3", "-C", "1", "-w", "3", "-I", "upstream", &address.to_string()];
        let mut command = self.netns.command("arping");
        command.args(arguments);
        let output = crate::command::output(command, None).await?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let line = text.lines().find(|line| line.contains("packets received")).context(text.clone())?;
        Ok(!line.contains(" 0 packets received"))
    }

    async fn kernel_finds_taken(&self, address: IpAddr) -> Result<bool> {
        self.netns
            .sysctl(&[("ipv6/conf/upstream/accept_dad", "1"), ("ipv6/conf/upstream/dad_transmits", "1")])
            .await?;
        self.netns.ip(&format!("addr add {address}/128 dev upstream")).await?;
        let judged = crate::wait::wait_for("the end of DAD", Duration::from_secs(10), async || {
            let text = self.netns.ip(&format!("-o -6 addr show dev upstream to {address}")).await?;
            let failed = text.contains("dadfailed");
            anyhow::ensure!(failed || !text.contains("tentative"), "{text}");
            Ok(failed)
        })
        .await;
        self.netns.ip(&format!("addr del {address}/128 dev upstream")).await?;
        judged
    }
}
