//! Pools of addresses.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::address::AddressBlock;
use crate::name::PoolName;
use crate::selector::{Labels, Selector};

/// A pool of addresses that Services may get.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pool {
    /// Its name.
    pub name: PoolName,
    /// The labels of the AddressPool object, for an Announcement's `poolSelector`.
    pub labels: Labels,
    /// The addresses it offers.
    pub addresses: Vec<AddressBlock>,
    /// Addresses that it never gives, although `addresses` contains them.
    pub exclude: Vec<AddressBlock>,
    /// Whether Services that do not ask for it may get one of its addresses.
    pub assignment: Assignment,
    /// Never give an IPv4 address that ends in .0 or .255 (some clients and firewalls drop them).
    pub avoid_edge_addresses: bool,
    /// Lower is tried first.
    pub priority: i32,
    /// The Services that may use it; `None` = all.
    pub service_selector: Option<Selector>,
    /// The namespaces whose Services may use it; `None` = all.
    pub namespace_selector: Option<Selector>,
    /// Whether Services may share one of its addresses.
    pub sharing: SharingPolicy,
    /// How long a released address rests before another Service may get it.
    pub quarantine: Quarantine,
    /// What is written as `ipMode` into the status of Services.
    pub ip_mode: IpMode,
    /// Blocks, or parts of blocks, that another pool has too: nothing new is given from them.
    pub overlapping: BTreeSet<AddressBlock>,
}

impl Pool {
    /// Whether `address` is one of its addresses (excluded ones are not).
    pub fn contains(&self, address: IpAddr) -> bool {
        let inside = |blocks: &[AddressBlock]| blocks.iter().any(|b| b.contains(address));
        inside(&self.addresses) && !inside(&self.exclude)
    }
}

/// Who gets addresses of a pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Assignment {
    /// Every permitted Service.
    #[default]
    Automatic,
    /// Only a Service that names the pool or one of its addresses.
    OnRequest,
}

/// Which Services may share one address (with the same sharing key and different ports).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum SharingPolicy {
    /// None.
    Never,
    /// Those of one namespace.
    #[default]
    SameNamespace,
    /// All.
    AnyNamespace,
}

/// How long a released address rests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quarantine {
    /// The default of five minutes; a pool with nothing else left gives the longest-rested one.
    Lenient(Duration),
    /// Set by hand, and kept strictly.
    Strict(Duration),
}

impl Quarantine {
    /// The default quarantine.
    pub const DEFAULT: Self = Self::Lenient(Duration::from_secs(300));

    /// The time an address rests.
    pub fn duration(self) -> Duration {
        match self {
            Self::Lenient(d) | Self::Strict(d) => d,
        }
    }
}

/// How kube-proxy treats traffic of the cluster to the address (KEP-1860).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum IpMode {
    /// Handled on the node, as if it had arrived from outside.
    #[default]
    VIP,
    /// Sent to the address itself.
    Proxy,
}
