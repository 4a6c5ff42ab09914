//! How a network breaks: a host's link without carrier or silently dark, in one direction or both, with loss, and a network
//! that falls into parts.

use std::sync::PoisonError;

use anyhow::{Result, bail};

use super::record::Time;
use crate::netns::Netns;
use crate::network::{Mute, Network, Switches};

/// How a host's link breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dark {
    /// The host sees that its carrier is gone.
    Carrier,
    /// Frames vanish both ways; the host sees nothing.
    Silent,
    /// What the host sends vanishes.
    Mute,
    /// What is sent to the host vanishes.
    Deaf,
    /// So many percent of the frames vanish, in each direction.
    Lossy(u8),
}

impl Switches {
    /// Breaks the link of `host` to `network`, however it was broken before.
    ///
    /// # Errors
    /// When the host is not on that network or the kernel refuses.
    pub async fn darken(&self, host: &Netns, network: Network, dark: Dark) -> Result<()> {
        for port in self.ports(host, network).await? {
            self.lighten_port(&port).await?;
            let (from_host, to_host) = match dark {
                Dark::Carrier => {
                    self.netns().ip(&format!("link set {port} down")).await?;
                    continue;
                }
                Dark::Silent => ("drop", "drop"),
                Dark::Mute => ("drop", "accept"),
                Dark::Deaf => ("accept", "drop"),
                Dark::Lossy(percent) if percent <= 100 => ("jump lose", "jump lose"),
                Dark::Lossy(percent) => bail!("{percent} percent"),
            };
            if from_host == "drop" {
                let mute = Mute { port: port.clone(), from: Time::now(), to: None };
                self.mutes().lock().unwrap_or_else(PoisonError::into_inner).push(mute);
            }
            let percent = if let Dark::Lossy(percent) = dark { percent } else { 0 };
            let table = table(&port);
            self.netns()
                .nft(&format!(
                    "table netdev {table} {{\n\
                     chain lose {{\nnumgen random mod 100 < {percent} drop\n}}\n\
                     chain in {{\ntype filter hook ingress device {port} priority 0;\n{from_host}\n}}\n\
                     chain out {{\ntype filter hook egress device {port} priority 0;\n{to_host}\n}}\n}}\n"
                ))
                .await?;
        }
        Ok(())
    }

    /// Mends the link of `host` to `network`.
    ///
    /// # Errors
    /// When the host is not on that network or the kernel refuses.
    pub async fn lighten(&self, host: &Netns, network: Network) -> Result<()> {
        for port in self.ports(host, network).await? {
            self.lighten_port(&port).await?;
        }
        Ok(())
    }

    /// Splits `network` into parts: no frame passes from a host of one part to a host of another. Hosts that are in no part
    /// hear everybody.
    ///
    /// # Errors
    /// When a host is not on that network or the kernel refuses.
    pub async fn split(&self, network: Network, parts: &[Vec<&Netns>]) -> Result<()> {
        let mut sets = Vec::new();
        for part in parts {
            let mut ports = Vec::new();
            for host in part {
                ports.extend(self.ports(host, network).await?);
            }
            sets.push(format!(
                "{{ {} }}",
                ports.iter().map(|port| format!("\"{port}\"")).collect::<Vec<_>>().join(", ")
            ));
        }
        let mut rules = String::new();
        for (one, from) in sets.iter().enumerate() {
            for (other, to) in sets.iter().enumerate() {
                if one != other {
                    rules.push_str(&format!("iifname {from} oifname {to} drop\n"));
                }
            }
        }
        self.heal(network).await?;
        let table = partition(network);
        self.netns()
            .nft(&format!(
                "table bridge {table} {{\nchain f {{\ntype filter hook forward priority 0;\n{rules}}}\n}}\n"
            ))
            .await
    }

    /// Ends a split.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub async fn heal(&self, network: Network) -> Result<()> {
        let table = partition(network);
        self.netns().nft(&format!("table bridge {table}\ndelete table bridge {table}\n")).await
    }

    async fn lighten_port(&self, port: &str) -> Result<()> {
        let table = table(port);
        self.netns().nft(&format!("table netdev {table}\ndelete table netdev {table}\n")).await?;
        self.netns().ip(&format!("link set {port} up")).await?;
        let mut mutes = self.mutes().lock().unwrap_or_else(PoisonError::into_inner);
        for mute in mutes.iter_mut().filter(|mute| mute.port == port) {
            mute.to.get_or_insert_with(Time::now);
        }
        Ok(())
    }
}

fn table(port: &str) -> String {
    format!("dark-{port}")
}

fn partition(network: Network) -> String {
    format!("split-{}", network.name())
}
