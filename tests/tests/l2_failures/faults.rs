//! What happens to nodes and networks.

use std::collections::BTreeSet;

use daymark_tests::network::Network;
use daymark_tests::{Dark, Lab, Result, Signal};

use super::dice::Dice;

/// Something that goes wrong and ends again.
#[derive(Clone, Debug)]
pub enum Fault {
    /// A node's speaker is killed, and started at the end.
    Killed(&'static str),
    /// A node's speaker stands still.
    Frozen(&'static str),
    /// A node's links break.
    Dark(&'static str, Vec<Network>, Dark),
    /// Networks fall into two parts; clients are with the first.
    Split(Vec<Network>, Vec<&'static str>, Vec<&'static str>),
}

impl Fault {
    /// Any fault that concerns `node` more than `others`.
    pub fn draw(dice: &mut Dice, node: &'static str, others: &[&'static str]) -> Self {
        let lan = vec![Network::Upstream];
        let both = vec![Network::Upstream, Network::Nodenet];
        let networks = dice.one_of(&[lan.clone(), vec![Network::Nodenet], both]);
        match dice.below(6) {
            0 => Self::Killed(node),
            1 => Self::Frozen(node),
            2 => Self::Dark(node, networks, Dark::Carrier),
            3 => Self::Dark(node, networks, Dark::Silent),
            4 => Self::Dark(node, lan, dice.one_of(&[Dark::Mute, Dark::Deaf, Dark::Lossy(10)])),
            _ => {
                let beside = others[..=dice.below(others.len() - 1)].to_vec();
                let alone: Vec<_> = std::iter::once(node)
                    .chain(others.iter().copied().filter(|n| !beside.contains(n)))
                    .collect();
                Self::Split(networks, beside, alone)
            }
        }
    }

    /// It happens.
    pub async fn begin(&self, lab: &Lab) -> Result<()> {
        match self {
            Self::Killed(node) => lab.speaker(node).await?.kill().await,
            Self::Frozen(node) => lab.speaker(node).await?.signal(Signal::Stop).await,
            Self::Dark(node, networks, dark) => lab.darken(node, networks, *dark).await,
            Self::Split(networks, first, second) => {
                let first: Vec<&str> = first.iter().copied().chain(["probe", "l1"]).collect();
                for network in networks {
                    // The clients are on the LAN only, the prober is on both.
                    let there = |host: &&str| *network != Network::Nodenet || *host != "l1";
                    let first: Vec<&str> = first.iter().copied().filter(there).collect();
                    lab.split(*network, &[&first, second]).await?;
                }
                Ok(())
            }
        }
    }

    /// It ends.
    pub async fn end(&self, lab: &Lab) -> Result<()> {
        match self {
            Self::Killed(node) => lab.speaker(node).await?.start().await,
            Self::Frozen(node) => lab.speaker(node).await?.signal(Signal::Continue).await,
            Self::Dark(node, networks, _) => lab.lighten(node, networks).await,
            Self::Split(networks, ..) => {
                for network in networks {
                    lab.heal(*network).await?;
                }
                Ok(())
            }
        }
    }

    /// Nodes that answer in a part of the LAN of their own meanwhile.
    pub fn apart(&self) -> BTreeSet<&'static str> {
        match self {
            Self::Split(networks, _, second) if networks.contains(&Network::Upstream) => {
                second.iter().copied().collect()
            }
            Self::Split(..) | Self::Killed(_) | Self::Frozen(_) | Self::Dark(..) => BTreeSet::new(),
        }
    }
}
