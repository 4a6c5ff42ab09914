//! What the node's kernel knows: its interfaces, their addresses, and the next hops of its routes.
//!
//! Addresses and next hops are places that an address of a Service must never collide with
//! (`AddressIsInfrastructure`), and the addresses of an interface tell which next hop a session carries for the family
//! that it does not run over. [`HostNetwork::interfaces`] are those on which layer 2 can announce.

#![allow(
    clippy::wildcard_enum_match_arm,
    reason = "the kernel's messages have far more kinds than concern us"
)]

mod link;
mod table;
mod watch;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use daymark_model::Family;
use ipnet::IpNet;

pub use link::{DefaultRoute, Link, LinkKind};
pub use watch::{NetlinkError, Watcher, follow};

/// Interfaces whose addresses are no addresses of the node: kube-proxy in IPVS mode binds every Service address here.
const SERVICE_INTERFACES: [&str; 1] = ["kube-ipvs0"];

/// An address on an interface.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct InterfaceAddress {
    /// The index of the interface.
    pub interface: u32,
    /// The address.
    pub address: IpAddr,
    /// The network that its prefix makes; a host prefix where it has none.
    pub subnet: IpNet,
    /// Whether it is usable beyond the link: global scope, neither tentative nor deprecated.
    pub usable: bool,
    /// Whether the kernel has not found out yet that it is the only one with it, or that it is not.
    pub tentative: bool,
}

/// A snapshot of the node's interfaces, addresses and next hops.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HostNetwork {
    /// The addresses, of Services' own interfaces excepted.
    pub addresses: BTreeSet<InterfaceAddress>,
    /// The next hops of the routes of all tables.
    pub next_hops: BTreeSet<IpAddr>,
    /// The names of the interfaces by index.
    pub interfaces: BTreeMap<u32, String>,
    /// What the interfaces are, by index.
    pub links: BTreeMap<u32, Link>,
    /// The default routes of the main table.
    pub default_routes: BTreeSet<DefaultRoute>,
}

impl HostNetwork {
    /// The node's addresses, each once.
    pub fn own_addresses(&self) -> BTreeSet<IpAddr> {
        self.addresses.iter().map(|a| a.address).collect()
    }

    /// The usable addresses of `family` on the interface that has `local`, lowest first.
    pub fn beside(&self, local: IpAddr, family: Family) -> Option<IpAddr> {
        let interface = self.addresses.iter().find(|a| a.address == local)?.interface;
        self.usable_on(interface, family)
    }

    /// A usable address of `family` on the interface called `name`.
    pub fn on_interface(&self, name: &str, family: Family) -> Option<IpAddr> {
        let (&interface, _) = self.interfaces.iter().find(|(_, n)| n.as_str() == name)?;
        self.usable_on(interface, family)
    }

    fn usable_on(&self, interface: u32, family: Family) -> Option<IpAddr> {
        self.addresses
            .iter()
            .filter(|a| a.interface == interface && a.usable && Family::of(a.address) == family)
            .map(|a| a.address)
            .min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(interface: u32, address: &str, usable: bool) -> InterfaceAddress {
        let address: IpAddr = address.parse().unwrap();
        InterfaceAddress { interface, address, subnet: address.into(), usable, tentative: false }
    }

    #[test]
    fn finds_the_other_familys_address_on_the_same_interface() {
        let network = HostNetwork {
            addresses: [
                address(2, "192.0.2.1", true),
                address(2, "fe80::1", false),
                address(2, "2001:db8::1", true),
                address(3, "2001:db8:3::1", true),
            ]
            .into(),
            interfaces: [(2, "eth0".to_owned()), (3, "eth1".to_owned())].into(),
            ..HostNetwork::default()
        };
        let beside = |local: &str, family| network.beside(local.parse().unwrap(), family);
        assert_eq!(beside("192.0.2.1", Family::V6), Some("2001:db8::1".parse().unwrap()));
        assert_eq!(beside("2001:db8:3::1", Family::V4), None);
        assert_eq!(beside("198.51.100.1", Family::V4), None);
        assert_eq!(network.on_interface("eth1", Family::V6), Some("2001:db8:3::1".parse().unwrap()));
        assert_eq!(network.on_interface("eth9", Family::V6), None);
    }
}
