//! A client behind the routers.

use std::net::SocketAddr;

use anyhow::{Context, Result};

use crate::load::LoadSpec;
use crate::netns::Netns;
use crate::network::{DualStack, Network, Switches, multipath};
use crate::report::Answer;
use crate::tools;

const FIRST_HOST: u8 = 100;

/// A client host; it reaches the rest of the world over all routers at once (ECMP).
#[derive(Debug)]
pub struct Client {
    netns: Netns,
    number: u8,
}

impl Client {
    /// Makes client number `number` (from 1), named `c<number>`.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub async fn make(number: u8, switches: &Switches, routers: &[DualStack]) -> Result<Self> {
        let netns = switches.host(&format!("c{number}")).await?;
        switches.connect(&netns, &[(Network::Clients, FIRST_HOST + number)]).await?;
        if !routers.is_empty() {
            let lines = [
                multipath("default", routers.iter().map(|router| router.v4.into())),
                multipath("default", routers.iter().map(|router| router.v6.into())),
            ];
            netns.ip_batch(&lines).await?;
        }
        // No port is used twice within a minute of 200 connections per second.
        netns.sysctl(&[("ipv4/ip_local_port_range", "1024 65535")]).await?;
        Ok(Self { netns, number })
    }

    /// Its namespace.
    pub fn netns(&self) -> &Netns {
        &self.netns
    }

    /// Its addresses.
    pub fn addresses(&self) -> DualStack {
        Network::Clients.addresses(FIRST_HOST + self.number)
    }

    /// Asks once over TCP, as HTTP.
    ///
    /// # Errors
    /// When no answer comes within 2 s.
    pub async fn ask(&self, target: SocketAddr) -> Result<Answer> {
        ask_once(&self.netns, target, "tcp").await
    }

    /// Asks once over UDP.
    ///
    /// # Errors
    /// When no answer comes within 2 s.
    pub async fn ask_udp(&self, target: SocketAddr) -> Result<Answer> {
        ask_once(&self.netns, target, "udp").await
    }

    /// Asks with `curl` and returns what it prints.
    ///
    /// # Errors
    /// When there is no answer within 3 s or its status is 400 or more.
    pub async fn curl(&self, url: &str) -> Result<String> {
        self.netns.run("curl", &["-gsSf", "--max-time", "3", url]).await
    }

    /// Prepares a load on `target`: 200 new TCP connections per second unless said otherwise.
    pub fn load(&self, target: SocketAddr) -> LoadSpec {
        LoadSpec::new(&self.netns, target)
    }
}

/// Asks once from `netns`.
pub(crate) async fn ask_once(netns: &Netns, target: SocketAddr, protocol: &str) -> Result<Answer> {
    let program = tools::binary("lab-load")?;
    let mut command = netns.command(program);
    command.args(["--once", "--protocol", protocol, "--timeout-ms", "2000", &target.to_string()]);
    let text = crate::command::capture(command, None).await?;
    serde_json::from_str(&text).with_context(|| format!("{target} answered {text}"))
}
