//! How a world is built, and of what.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use daymark_l2::mesh::{Key, MeshKeys};
use daymark_l2::offer::AnnouncementId;
use daymark_model::{Failback, Interface, InterfaceIndex, MacAddr};

use crate::world::Client;

/// Clients ask for every address so often.
const PERIOD: Duration = Duration::from_millis(10);

/// How a world is built.
#[derive(Clone)]
pub struct Plan {
    pub seed: u64,
    pub nodes: usize,
    pub segments: usize,
    /// Addresses on each segment; every second one is of IPv6.
    pub addresses: usize,
    pub failback: Failback,
    pub period: Duration,
    /// Whether nodes are told where others hear the node network's mesh.
    pub seeds: bool,
}

impl Plan {
    pub fn new(seed: u64, nodes: usize) -> Self {
        Self {
            seed,
            nodes,
            segments: 1,
            addresses: 4,
            failback: Failback::Immediate,
            period: PERIOD,
            seeds: true,
        }
    }

    pub fn segments(self, segments: usize) -> Self {
        Self { segments, ..self }
    }

    pub fn addresses(self, addresses: usize) -> Self {
        Self { addresses, ..self }
    }

    pub fn failback(self, failback: Failback) -> Self {
        Self { failback, ..self }
    }

    pub fn without_seeds(self) -> Self {
        Self { seeds: false, ..self }
    }

    pub fn period(self, period: Duration) -> Self {
        Self { period, ..self }
    }
}

pub fn mac(node: usize, segment: usize) -> MacAddr {
    let [high, low] = (node as u16).to_be_bytes();
    MacAddr([2, 0, 0, segment as u8, high, low])
}

pub fn seconds(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}

pub fn announcement() -> AnnouncementId {
    AnnouncementId::of("lan")
}

pub fn client(segment: usize, number: u8) -> Client {
    Client {
        segment,
        mac: MacAddr([2, 0xcc, 0, segment as u8, 0, number]),
        v4: Ipv4Addr::new(10, segment as u8, 250, number + 1),
        v6: Ipv6Addr::new(0xfd00, segment as u16, 0, 0, 0, 0, 0xcccc, u16::from(number)),
        learnt: BTreeMap::new(),
    }
}

pub fn interface(index: InterfaceIndex, mac: MacAddr, segment: usize) -> Interface {
    let v4 = format!("10.{segment}.0.0/16").parse().expect("a network");
    let v6 = format!("fd00:{segment:x}::/64").parse().expect("a network");
    Interface {
        index,
        name: format!("eth{}", index.0 - 2),
        mac,
        up: true,
        subnets: vec![v4, v6],
        default_routes: Vec::new(),
        link_local: None,
        mtu: 1500,
    }
}

/// Keys made of a byte.
pub fn keys(current: u8, previous: Option<u8>) -> MeshKeys {
    MeshKeys { current: Key::new([current; 32]), previous: previous.map(|byte| Key::new([byte; 32])) }
}
