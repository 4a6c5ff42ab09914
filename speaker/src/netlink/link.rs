//! Interfaces as layer 2 sees them.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv6Addr};

use daymark_model::{Family, Interface, InterfaceIndex, MacAddr};
use ipnet::IpNet;
use rtnetlink::packet_route::AddressFamily;
use rtnetlink::packet_route::link::{
    InfoKind, LinkAttribute, LinkFlags, LinkInfo, LinkLayerType, LinkMessage,
};
use rtnetlink::packet_route::route::{RouteAttribute, RouteHeader, RouteMessage, RouteType};

use super::{HostNetwork, InterfaceAddress};

/// An interface without its addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Link {
    /// Its Ethernet address; `None` for what is no Ethernet, and where ARP is off (loopback, tunnels, dummies).
    pub mac: Option<MacAddr>,
    /// Whether it is up and has a carrier.
    pub up: bool,
    /// The interface that it is a part of.
    pub master: Option<u32>,
    /// Its kind.
    pub kind: LinkKind,
    /// The largest packet that it carries, in bytes.
    pub mtu: u32,
}

/// What matters of an interface's kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkKind {
    /// A routing domain: its members are interfaces like others.
    Vrf,
    /// Anything else: a member of it (of a bond, a bridge, a switch) does not speak for itself.
    Other,
}

/// One way out of a default route.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct DefaultRoute {
    /// Its family.
    pub family: Family,
    /// Its metric; the lowest wins.
    pub metric: u32,
    /// The index of the interface.
    pub interface: u32,
}

impl Link {
    pub(super) fn read(message: &LinkMessage) -> Self {
        let flags = message.header.flags;
        let silent = flags.intersects(LinkFlags::Loopback | LinkFlags::Noarp | LinkFlags::Pointopoint);
        let ethernet = message.header.link_layer_type == LinkLayerType::Ether && !silent;
        let mut link = Self {
            mac: None,
            up: flags.contains(LinkFlags::Up | LinkFlags::Running | LinkFlags::LowerUp),
            master: None,
            kind: LinkKind::Other,
            mtu: 0,
        };
        for attribute in &message.attributes {
            match attribute {
                LinkAttribute::Address(bytes) if ethernet => link.mac = ethernet_address(bytes),
                LinkAttribute::Controller(index) => link.master = Some(*index),
                LinkAttribute::Mtu(mtu) => link.mtu = *mtu,
                LinkAttribute::LinkInfo(infos) if infos.contains(&LinkInfo::Kind(InfoKind::Vrf)) => {
                    link.kind = LinkKind::Vrf;
                }
                _ => {}
            }
        }
        link
    }
}

fn ethernet_address(bytes: &[u8]) -> Option<MacAddr> {
    let mac = MacAddr(bytes.try_into().ok()?);
    (!mac.is_group() && mac != MacAddr::default()).then_some(mac)
}

impl DefaultRoute {
    /// The ways out that `message` tells of; none when it is about another route.
    pub(super) fn read(message: &RouteMessage) -> Vec<Self> {
        let header = &message.header;
        let family = match header.address_family {
            AddressFamily::Inet => Family::V4,
            AddressFamily::Inet6 => Family::V6,
            _ => return Vec::new(),
        };
        let default = header.destination_prefix_length == 0 && header.source_prefix_length == 0;
        if !default || header.table != RouteHeader::RT_TABLE_MAIN || header.kind != RouteType::Unicast {
            return Vec::new();
        }
        let mut metric = 0;
        let mut interfaces = Vec::new();
        for attribute in &message.attributes {
            match attribute {
                RouteAttribute::Priority(priority) => metric = *priority,
                RouteAttribute::Oif(index) => interfaces.push(*index),
                RouteAttribute::MultiPath(hops) => {
                    interfaces.extend(hops.iter().map(|hop| hop.interface_index));
                }
                _ => {}
            }
        }
        interfaces.into_iter().map(|interface| Self { family, metric, interface }).collect()
    }
}

impl HostNetwork {
    /// The interfaces on which ARP and NDP can be answered, in the order of their numbers.
    pub fn interfaces(&self) -> Vec<Interface> {
        self.links.iter().filter_map(|(&index, link)| self.interface(index, link)).collect()
    }

    fn interface(&self, index: u32, link: &Link) -> Option<Interface> {
        let mac = link.mac.filter(|_| self.speaks_for_itself(link))?;
        let addresses = || self.addresses.iter().filter(|a| a.interface == index);
        let subnets: BTreeSet<IpNet> = addresses().filter_map(subnet).collect();
        Some(Interface {
            index: InterfaceIndex(index),
            name: self.interfaces.get(&index)?.clone(),
            mac,
            up: link.up,
            subnets: subnets.into_iter().collect(),
            default_routes: self.families_by_default(index),
            link_local: addresses().find_map(usable_link_local),
            mtu: link.mtu,
        })
    }

    fn speaks_for_itself(&self, link: &Link) -> bool {
        let Some(master) = link.master else { return true };
        self.links.get(&master).is_some_and(|master| master.kind == LinkKind::Vrf)
    }

    fn families_by_default(&self, interface: u32) -> Vec<Family> {
        let leaves_through = |family: &Family| {
            let best = self.default_routes.iter().find(|route| route.family == *family);
            best.is_some_and(|best| self.default_routes.contains(&DefaultRoute { interface, ..*best }))
        };
        [Family::V4, Family::V6].into_iter().filter(leaves_through).collect()
    }
}

fn subnet(address: &InterfaceAddress) -> Option<IpNet> {
    let link_local = match address.address {
        IpAddr::V4(v4) => v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_unicast_link_local(),
    };
    let subnet = address.subnet;
    (!link_local && subnet.prefix_len() < subnet.max_prefix_len()).then_some(subnet)
}

fn usable_link_local(address: &InterfaceAddress) -> Option<Ipv6Addr> {
    match address.address {
        IpAddr::V6(v6) if v6.is_unicast_link_local() && !address.tentative => Some(v6),
        IpAddr::V4(_) | IpAddr::V6(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use rtnetlink::packet_route::address::{AddressAttribute, AddressFlags, AddressMessage, AddressScope};

    use super::*;

    const UP: LinkFlags = LinkFlags::Up.union(LinkFlags::Running).union(LinkFlags::LowerUp);

    fn link(index: u32, name: &str, flags: LinkFlags, more: &[LinkAttribute]) -> LinkMessage {
        let mut message = LinkMessage::default();
        message.header.index = index;
        message.header.link_layer_type = LinkLayerType::Ether;
        message.header.flags = flags;
        message.attributes = vec![
            LinkAttribute::IfName(name.to_owned()),
            LinkAttribute::Address(vec![2, 0, 0, 0, 0, index as u8]),
            LinkAttribute::Mtu(1500),
        ];
        message.attributes.extend_from_slice(more);
        message
    }

    fn address(index: u32, text: &str, flags: AddressFlags) -> AddressMessage {
        let net: IpNet = text.parse().unwrap();
        let mut message = AddressMessage::default();
        message.header.index = index;
        message.header.prefix_len = net.prefix_len();
        if text.starts_with("fe80") {
            message.header.scope = AddressScope::Link;
        }
        message.attributes = vec![AddressAttribute::Address(net.addr()), AddressAttribute::Flags(flags)];
        message
    }

    fn default_route(family: AddressFamily, interface: u32, metric: u32) -> RouteMessage {
        let mut message = RouteMessage::default();
        message.header.address_family = family;
        message.header.table = RouteHeader::RT_TABLE_MAIN;
        message.header.kind = RouteType::Unicast;
        message.attributes = vec![RouteAttribute::Oif(interface), RouteAttribute::Priority(metric)];
        message
    }

    fn names(network: &HostNetwork) -> Vec<String> {
        network.interfaces().into_iter().map(|interface| interface.name).collect()
    }

    #[test]
    fn an_interface_has_its_subnets_but_no_link_local_and_no_host_prefixes() {
        let mut network = HostNetwork::default();
        network.link_added(&link(2, "eth0", UP, &[]));
        for text in ["192.0.2.7/24", "203.0.113.9/32", "169.254.7.7/16", "2001:db8::7/64", "2001:db8::8/64"] {
            network.address_added(&address(2, text, AddressFlags::Permanent));
        }
        network.address_added(&address(2, "fe80::7/64", AddressFlags::Tentative));
        let interface = network.interfaces().remove(0);
        assert_eq!(interface.subnets, ["192.0.2.0/24", "2001:db8::/64"].map(|net| net.parse().unwrap()));
        assert_eq!((interface.mtu, interface.up, interface.link_local), (1500, true, None));
        assert_eq!(interface.mac.to_string(), "02:00:00:00:00:02");

        network.address_added(&address(2, "fe80::7/64", AddressFlags::Permanent));
        assert_eq!(network.interfaces()[0].link_local, Some("fe80::7".parse().unwrap()));
    }

    #[test]
    fn what_is_part_of_a_bond_does_not_speak_for_itself_and_what_is_in_a_vrf_does() {
        let mut network = HostNetwork::default();
        let kind = |kind| LinkAttribute::LinkInfo(vec![LinkInfo::Kind(kind)]);
        network.link_added(&link(2, "eth0", UP, &[LinkAttribute::Controller(9)]));
        network.link_added(&link(3, "eth1", UP, &[LinkAttribute::Controller(8)]));
        network.link_added(&link(8, "vrf-blue", UP | LinkFlags::Noarp, &[kind(InfoKind::Vrf)]));
        network.link_added(&link(9, "bond0", UP, &[kind(InfoKind::Bond)]));
        assert_eq!(names(&network), ["eth1", "bond0"]);
        network.link_added(&link(2, "eth0", UP, &[]));
        assert_eq!(names(&network), ["eth0", "eth1", "bond0"]);
    }

    #[test]
    fn what_does_not_speak_arp_is_left_out() {
        let mut network = HostNetwork::default();
        network.link_added(&link(1, "lo", UP | LinkFlags::Loopback, &[]));
        network.link_added(&link(2, "kube-ipvs0", LinkFlags::Noarp, &[]));
        let mut tunnel = link(3, "tun0", UP | LinkFlags::Pointopoint, &[]);
        tunnel.header.link_layer_type = LinkLayerType::None;
        network.link_added(&tunnel);
        network.link_added(&link(4, "eth0", LinkFlags::Up, &[]));
        assert_eq!(names(&network), ["eth0"]);
        assert!(!network.interfaces()[0].up, "there is no carrier");
    }

    #[test]
    fn the_default_route_is_the_one_with_the_lowest_metric() {
        let mut network = HostNetwork::default();
        network.link_added(&link(2, "eth0", UP, &[]));
        network.link_added(&link(3, "eth1", UP, &[]));
        for (family, interface, metric) in [
            (AddressFamily::Inet, 2, 600),
            (AddressFamily::Inet, 3, 100),
            (AddressFamily::Inet6, 2, 1024),
            (AddressFamily::Inet6, 3, 1024),
        ] {
            network.route_added(&default_route(family, interface, metric));
        }
        let mut elsewhere = default_route(AddressFamily::Inet, 2, 0);
        elsewhere.header.table = 100;
        network.route_added(&elsewhere);
        let families: Vec<_> = network.interfaces().into_iter().map(|i| i.default_routes).collect();
        assert_eq!(families, [vec![Family::V6], vec![Family::V4, Family::V6]]);
    }
}
