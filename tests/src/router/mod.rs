//! A router between the nodes and the clients: FRR or BIRD, asked for what it really holds.

mod bird;
mod frr;
mod route;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::{Path as FilePath, PathBuf};

use anyhow::{Context, Result, bail};
use ipnet::IpNet;
use serde_json::Value;

use crate::control_plane::START;
use crate::netns::Netns;
use crate::network::{DualStack, Network, Switches};
use crate::process::Process;
use crate::wait::wait_for;
pub use route::{Neighbor, Path, Segment};

/// Which program a router runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Software {
    /// FRR: zebra and bgpd.
    Frr,
    /// BIRD 2.
    Bird,
}

/// How a router knows its neighbors.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Neighbors {
    /// Each node by its IPv4 and by its IPv6 address; the router connects and accepts.
    #[default]
    Each,
    /// Each node by both addresses; the router only accepts.
    EachPassive,
    /// Whoever comes from the upstream network (dynamic neighbors); the router only accepts.
    Range,
    /// None; for a configuration that brings its own.
    None,
}

/// What a router is to be.
#[derive(Clone, Debug)]
pub struct RouterSpec {
    software: Software,
    asn: u32,
    neighbors: Neighbors,
    extra: String,
}

impl RouterSpec {
    /// An FRR router with this AS number.
    pub fn frr(asn: u32) -> Self {
        Self { software: Software::Frr, asn, neighbors: Neighbors::Each, extra: String::new() }
    }

    /// A BIRD router with this AS number.
    pub fn bird(asn: u32) -> Self {
        Self { software: Software::Bird, ..Self::frr(asn) }
    }

    /// How it knows its neighbors.
    #[must_use]
    pub fn neighbors(mut self, neighbors: Neighbors) -> Self {
        self.neighbors = neighbors;
        self
    }

    /// Text behind the router's configuration, in its own language. In FRR's the peer group of the nodes is `NODES`; in
    /// BIRD's the template is `nodes`.
    #[must_use]
    pub fn extra(mut self, text: impl Into<String>) -> Self {
        self.extra = text.into();
        self
    }
}

/// What a router's configuration is made of.
struct Setting<'a> {
    name: &'a str,
    addresses: DualStack,
    asn: u32,
    speaker_asn: u32,
    neighbors: Neighbors,
    nodes: &'a [(String, DualStack)],
    extra: &'a str,
}

/// A router of the lab.
#[derive(Debug)]
pub struct Router {
    name: String,
    number: u8,
    software: Software,
    asn: u32,
    netns: Netns,
    directory: PathBuf,
    processes: Vec<Process>,
}

impl Router {
    /// Makes the namespace of router number `number` (from 1), named `r<number>`.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub async fn make(
        number: u8,
        spec: &RouterSpec,
        speaker_asn: u32,
        nodes: &[(String, DualStack)],
        switches: &Switches,
        lab_directory: &FilePath,
    ) -> Result<Self> {
        let name = format!("r{number}");
        let netns = switches.host(&name).await?;
        switches.connect(&netns, &[(Network::Upstream, number), (Network::Clients, number)]).await?;
        let directory = lab_directory.join(&name);
        std::fs::create_dir_all(&directory)?;
        let setting = Setting {
            name: &name,
            addresses: Network::Upstream.addresses(number),
            asn: spec.asn,
            speaker_asn,
            neighbors: spec.neighbors,
            nodes,
            extra: &spec.extra,
        };
        let logs = lab_directory.join("logs");
        let processes = match spec.software {
            Software::Frr => frr::prepare(&setting, &netns, &directory, &logs).await?,
            Software::Bird => bird::prepare(&setting, &netns, &directory, &logs)?,
        };
        Ok(Self { name, number, software: spec.software, asn: spec.asn, netns, directory, processes })
    }

    /// Starts its programs and waits until they answer.
    ///
    /// # Errors
    /// When they do not.
    pub async fn start(&self) -> Result<()> {
        if self.software == Software::Bird {
            bird::forget_socket(&self.directory)?;
        }
        for process in &self.processes {
            process.start().await?;
            wait_for(format_args!("{} of {}", process.name(), self.name), START, async || {
                process.check_running().await?;
                match self.software {
                    Software::Frr => frr::answers(&self.netns, &self.directory, process).await,
                    Software::Bird => bird::ask(&self.netns, &self.directory, "show status").await.map(drop),
                }
            })
            .await?;
        }
        Ok(())
    }

    /// Kills its programs. Their kernel routes stay.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub async fn kill(&self) -> Result<()> {
        for process in self.processes.iter().rev() {
            process.kill().await?;
        }
        Ok(())
    }

    /// Its name: `r1`, `r2`, …
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it runs.
    pub fn software(&self) -> Software {
        self.software
    }

    /// Its AS number.
    pub fn asn(&self) -> u32 {
        self.asn
    }

    /// Its namespace.
    pub fn netns(&self) -> &Netns {
        &self.netns
    }

    /// Its addresses on the upstream network: the neighbors of the nodes' speakers.
    pub fn addresses(&self) -> DualStack {
        Network::Upstream.addresses(self.number)
    }

    /// Its programs; for FRR zebra and bgpd.
    pub fn processes(&self) -> &[Process] {
        &self.processes
    }

    /// The program that speaks BGP.
    ///
    /// # Errors
    /// Never for a router that was made.
    pub fn bgp(&self) -> Result<&Process> {
        self.processes.last().context("the router has no program")
    }

    /// What the router's own command line says: `vtysh -c` or `birdc`.
    ///
    /// # Errors
    /// When it does not answer or refuses the command.
    pub async fn ask(&self, command: &str) -> Result<String> {
        match self.software {
            Software::Frr => frr::ask(&self.netns, &self.directory, &[command]).await,
            Software::Bird => bird::ask(&self.netns, &self.directory, command).await,
        }
    }

    /// Gives FRR lines of configuration while it runs (`configure terminal` comes before them).
    ///
    /// # Errors
    /// When it is not FRR, or FRR refuses a line.
    pub async fn configure(&self, lines: &[&str]) -> Result<()> {
        if self.software != Software::Frr {
            bail!("BIRD is configured by its file; replace it and ask `configure`");
        }
        let commands: Vec<&str> = ["configure terminal"].into_iter().chain(lines.iter().copied()).collect();
        frr::ask(&self.netns, &self.directory, &commands).await.map(drop)
    }

    /// All paths that it holds for exactly this prefix, in its BGP table. None is no error.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn paths(&self, prefix: IpNet) -> Result<Vec<Path>> {
        match self.software {
            Software::Frr => frr::paths(&self.netns, &self.directory, prefix).await,
            Software::Bird => Ok(bird::table(&self.netns, &self.directory, Some(prefix))
                .await?
                .remove(&prefix)
                .unwrap_or_default()),
        }
    }

    /// All paths for the host route of an address (/32, /128).
    ///
    /// # Errors
    /// As [`Router::paths`].
    pub async fn paths_to(&self, address: impl Into<IpAddr>) -> Result<Vec<Path>> {
        self.paths(IpNet::from(address.into())).await
    }

    /// The whole BGP table, both families.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn table(&self) -> Result<BTreeMap<IpNet, Vec<Path>>> {
        match self.software {
            Software::Frr => frr::table(&self.netns, &self.directory).await,
            Software::Bird => bird::table(&self.netns, &self.directory, None).await,
        }
    }

    /// How many prefixes its BGP table holds, without reading it.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn prefix_count(&self) -> Result<u64> {
        match self.software {
            Software::Frr => frr::prefix_count(&self.netns, &self.directory).await,
            Software::Bird => bird::prefix_count(&self.netns, &self.directory).await,
        }
    }

    /// Its neighbors, by address.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn sessions(&self) -> Result<BTreeMap<IpAddr, Neighbor>> {
        match self.software {
            Software::Frr => frr::sessions(&self.netns, &self.directory).await,
            Software::Bird => bird::sessions(&self.netns, &self.directory).await,
        }
    }

    /// The addresses of all neighbors with an established session.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn established(&self) -> Result<Vec<IpAddr>> {
        let sessions = self.sessions().await?.into_iter();
        Ok(sessions.filter(|(_, neighbor)| neighbor.is_established()).map(|(address, _)| address).collect())
    }

    /// The next hops of the kernel's route for exactly this prefix, sorted; none when there is no route.
    ///
    /// # Errors
    /// When `ip` fails.
    pub async fn kernel_next_hops(&self, prefix: IpNet) -> Result<Vec<IpAddr>> {
        let family = if prefix.addr().is_ipv4() { "-4" } else { "-6" };
        let text = self.netns.run("ip", &[family, "-json", "route", "show", &prefix.to_string()]).await?;
        if text.trim().is_empty() {
            return Ok(Vec::new());
        }
        let routes: Vec<Value> = serde_json::from_str(&text).with_context(|| text.clone())?;
        let mut hops: Vec<IpAddr> = Vec::new();
        for route in &routes {
            let several = route["nexthops"].as_array().into_iter().flatten();
            for hop in several.chain([route]) {
                // An IPv4 route by an IPv6 gateway (RFC 8950) is shown as `via`.
                let gateway = hop["gateway"].as_str().or_else(|| hop["via"]["host"].as_str());
                hops.extend(gateway.map(str::parse::<IpAddr>).transpose()?);
            }
        }
        hops.sort();
        hops.dedup();
        Ok(hops)
    }
}
