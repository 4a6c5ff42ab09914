//! What this host says of itself: netlink, `/proc` and `/sys`.
#![allow(
    clippy::wildcard_enum_match_arm,
    reason = "the kernel's attributes are many, and a new one is none of ours"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::Path;

use daymark_model::MacAddr;
use futures::TryStreamExt;
use ipnet::IpNet;
use rtnetlink::packet_route::AddressFamily;
use rtnetlink::packet_route::address::{AddressAttribute, AddressMessage};
use rtnetlink::packet_route::link::{LinkAttribute, LinkFlags, LinkLayerType, LinkMessage};
use rtnetlink::packet_route::neighbour::{
    NeighbourAddress, NeighbourAttribute, NeighbourMessage, NeighbourState,
};
use rtnetlink::packet_route::route::{RouteAttribute, RouteMessage, RouteType};
use rtnetlink::{Handle, RouteMessageBuilder};
use std::net::{Ipv4Addr, Ipv6Addr};

use super::facts::{Freshness, HostInterface, Known, Neighbor};

/// Asks the kernel.
pub(super) struct Host {
    handle: Handle,
}

impl Host {
    /// Opens a netlink socket.
    pub(super) fn open() -> Known<Self> {
        let (connection, handle, _) = rtnetlink::new_connection().map_err(unread)?;
        tokio::spawn(connection);
        Ok(Self { handle })
    }

    /// The interfaces with what matters of them.
    pub(super) async fn interfaces(&self) -> Known<Vec<HostInterface>> {
        let links: Vec<LinkMessage> =
            self.handle.link().get().execute().try_collect().await.map_err(unread)?;
        let addresses: Vec<AddressMessage> =
            self.handle.address().get().execute().try_collect().await.map_err(unread)?;
        let mut interfaces: BTreeMap<u32, HostInterface> =
            links.iter().map(|link| (link.header.index, interface(link))).collect();
        for message in &addresses {
            if let (Some(found), Some(network)) =
                (interfaces.get_mut(&message.header.index), network(message))
            {
                found.networks.push(network);
            }
        }
        for index in self.uplinks().await? {
            if let Some(found) = interfaces.get_mut(&index) {
                found.has_default_route = true;
            }
        }
        Ok(interfaces.into_values().collect())
    }

    /// Through which interfaces default routes leave.
    async fn uplinks(&self) -> Known<BTreeSet<u32>> {
        let v4 = RouteMessageBuilder::<Ipv4Addr>::new().build();
        let v6 = RouteMessageBuilder::<Ipv6Addr>::new().build();
        let mut uplinks = BTreeSet::new();
        for request in [v4, v6] {
            let routes: Vec<RouteMessage> =
                self.handle.route().get(request).execute().try_collect().await.map_err(unread)?;
            routes.iter().for_each(|route| uplinks.extend(default_route(route)));
        }
        Ok(uplinks)
    }

    /// The neighbor table.
    pub(super) async fn neighbors(&self) -> Known<Vec<Neighbor>> {
        let entries: Vec<NeighbourMessage> =
            self.handle.neighbours().get().execute().try_collect().await.map_err(unread)?;
        Ok(entries.iter().filter_map(neighbor).collect())
    }
}

fn unread(error: impl std::fmt::Display) -> String {
    format!("the kernel cannot be asked over netlink: {error}")
}

fn interface(link: &LinkMessage) -> HostInterface {
    let mut found = HostInterface { index: link.header.index, ..HostInterface::default() };
    let flags = link.header.flags;
    let mut enslaved = false;
    for attribute in &link.attributes {
        match attribute {
            LinkAttribute::IfName(name) => found.name.clone_from(name),
            LinkAttribute::Address(bytes) => {
                found.mac = <[u8; 6]>::try_from(bytes.as_slice()).ok().map(MacAddr)
            }
            LinkAttribute::Controller(_) => enslaved = true,
            _ => {}
        }
    }
    found.enabled = flags.contains(LinkFlags::Up);
    found.carrier = flags.contains(LinkFlags::LowerUp);
    found.can_answer = link.header.link_layer_type == LinkLayerType::Ether
        && !flags.intersects(LinkFlags::Loopback | LinkFlags::Noarp)
        && !enslaved;
    let name = found.name.clone();
    let device = Path::new("/sys/class/net").join(&name);
    found.wireless = device.join("wireless").exists() || device.join("phy80211").exists();
    found.arp_ignore = effective(&name, "arp_ignore");
    found.arp_announce = effective(&name, "arp_announce");
    found.rp_filter = effective(&name, "rp_filter");
    found
}

/// The kernel uses the greater of `all` and the interface's own.
fn effective(interface: &str, key: &str) -> Option<u8> {
    let read = |of: &str| -> Option<u8> {
        let path = Path::new("/proc/sys/net/ipv4/conf").join(of).join(key);
        std::fs::read_to_string(path).ok()?.trim().parse().ok()
    };
    read(interface).max(read("all"))
}

fn network(message: &AddressMessage) -> Option<IpNet> {
    let mut found = None;
    for attribute in &message.attributes {
        match attribute {
            // On point-to-point links the other one is the peer's.
            AddressAttribute::Local(address) => {
                found = Some(*address);
                break;
            }
            AddressAttribute::Address(address) => found = Some(*address),
            _ => {}
        }
    }
    IpNet::new(found?, message.header.prefix_len).ok()
}

/// The interfaces of a default route.
fn default_route(route: &RouteMessage) -> Vec<u32> {
    if route.header.destination_prefix_length != 0 || route.header.kind != RouteType::Unicast {
        return Vec::new();
    }
    let mut through = Vec::new();
    for attribute in &route.attributes {
        match attribute {
            RouteAttribute::Oif(index) => through.push(*index),
            RouteAttribute::MultiPath(hops) => through.extend(hops.iter().map(|hop| hop.interface_index)),
            _ => {}
        }
    }
    through
}

fn neighbor(entry: &NeighbourMessage) -> Option<Neighbor> {
    let freshness = match entry.header.state {
        NeighbourState::Reachable => Freshness::Confirmed,
        NeighbourState::Stale | NeighbourState::Delay | NeighbourState::Probe => Freshness::Doubtful,
        _ => return None,
    };
    if !matches!(entry.header.family, AddressFamily::Inet | AddressFamily::Inet6) {
        return None;
    }
    let mut address = None;
    let mut mac = None;
    for attribute in &entry.attributes {
        match attribute {
            NeighbourAttribute::Destination(NeighbourAddress::Inet(v4)) => address = Some(IpAddr::V4(*v4)),
            NeighbourAttribute::Destination(NeighbourAddress::Inet6(v6)) => address = Some(IpAddr::V6(*v6)),
            NeighbourAttribute::LinkLayerAddress(bytes) => {
                mac = <[u8; 6]>::try_from(bytes.as_slice()).ok().map(MacAddr);
            }
            _ => {}
        }
    }
    Some(Neighbor { interface: entry.header.ifindex, address: address?, mac: mac?, freshness })
}

/// The UDP ports on which something listens.
pub(super) fn udp_ports() -> Known<BTreeSet<u16>> {
    let mut ports = BTreeSet::new();
    let v4 =
        std::fs::read_to_string("/proc/net/udp").map_err(|e| format!("/proc/net/udp cannot be read: {e}"))?;
    // A kernel without IPv6 has no such file.
    let v6 = std::fs::read_to_string("/proc/net/udp6").unwrap_or_default();
    ports.extend(v4.lines().chain(v6.lines()).filter_map(listening));
    Ok(ports)
}

/// The port of a line of `/proc/net/udp`.
fn listening(line: &str) -> Option<u16> {
    let local = line.split_whitespace().nth(1)?;
    u16::from_str_radix(local.rsplit_once(':')?.1, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_table_of_udp_sockets() {
        let line = "  641: 00000000:1F0B 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 1 2 0 0";
        assert_eq!(listening(line), Some(7947));
        assert_eq!(listening("   sl  local_address rem_address   st tx_queue"), None);
    }

    #[tokio::test]
    async fn the_loopback_interface_is_there_and_cannot_answer() {
        let interfaces = Host::open().unwrap().interfaces().await.unwrap();
        let loopback = interfaces.iter().find(|interface| interface.name == "lo").unwrap();
        assert!(!loopback.can_answer && !loopback.wireless, "{loopback:?}");
    }
}
