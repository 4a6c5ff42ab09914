//! The kernel's messages folded into a [`HostNetwork`].

use std::net::IpAddr;

use ipnet::IpNet;
use rtnetlink::packet_route::AddressFamily;
use rtnetlink::packet_route::address::{AddressAttribute, AddressFlags, AddressMessage, AddressScope};
use rtnetlink::packet_route::link::{LinkAttribute, LinkMessage};
use rtnetlink::packet_route::route::{RouteAddress, RouteAttribute, RouteMessage, RouteType, RouteVia};

use super::{DefaultRoute, HostNetwork, InterfaceAddress, Link, SERVICE_INTERFACES};

/// What an event means for what is already known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Effect {
    /// It was known.
    Unchanged,
    /// Something was added or removed.
    Changed,
    /// Something may be gone: only a new dump can tell (another route may use the same next hop).
    Doubtful,
}

impl Effect {
    fn changed(changed: bool) -> Self {
        if changed { Self::Changed } else { Self::Unchanged }
    }
}

impl HostNetwork {
    pub(super) fn link_added(&mut self, message: &LinkMessage) -> Effect {
        let Some(name) = link_name(message).filter(|_| is_of_the_node(message)) else {
            return Effect::Unchanged;
        };
        let index = message.header.index;
        let name_before = self.interfaces.insert(index, name.to_owned());
        let link = Link::read(message);
        let link_before = self.links.insert(index, link);
        Effect::changed(name_before.as_deref() != Some(name) || link_before != Some(link))
    }

    pub(super) fn link_removed(&mut self, message: &LinkMessage) -> Effect {
        if !is_of_the_node(message) {
            return Effect::Unchanged;
        }
        let index = message.header.index;
        let known = self.addresses.len();
        self.addresses.retain(|a| a.interface != index);
        self.links.remove(&index);
        Effect::changed(self.interfaces.remove(&index).is_some() || known != self.addresses.len())
    }

    pub(super) fn address_added(&mut self, message: &AddressMessage) -> Effect {
        let interface = message.header.index;
        let Some(added) = read_address(message) else { return Effect::Unchanged };
        if self.interfaces.get(&interface).is_some_and(|name| SERVICE_INTERFACES.contains(&name.as_str())) {
            return Effect::Unchanged;
        }
        if self.addresses.contains(&added) {
            return Effect::Unchanged;
        }
        self.forget_address(interface, added.address);
        self.addresses.insert(added);
        Effect::Changed
    }

    pub(super) fn address_removed(&mut self, message: &AddressMessage) -> Effect {
        let Some(address) = own_address(message) else { return Effect::Unchanged };
        let known = self.addresses.len();
        self.forget_address(message.header.index, address);
        Effect::changed(known != self.addresses.len())
    }

    fn forget_address(&mut self, interface: u32, address: IpAddr) {
        self.addresses.retain(|a| (a.interface, a.address) != (interface, address));
    }

    pub(super) fn route_added(&mut self, message: &RouteMessage) -> Effect {
        let mut changed = false;
        next_hops(message, &mut |address| changed |= self.next_hops.insert(address));
        for route in DefaultRoute::read(message) {
            changed |= self.default_routes.insert(route);
        }
        Effect::changed(changed)
    }

    pub(super) fn route_removed(&self, message: &RouteMessage) -> Effect {
        let mut doubtful = false;
        next_hops(message, &mut |address| doubtful |= self.next_hops.contains(&address));
        doubtful |= DefaultRoute::read(message).iter().any(|route| self.default_routes.contains(route));
        if doubtful { Effect::Doubtful } else { Effect::Unchanged }
    }
}

fn link_name(message: &LinkMessage) -> Option<&str> {
    message.attributes.iter().find_map(|attribute| match attribute {
        LinkAttribute::IfName(name) => Some(name.as_str()),
        _ => None,
    })
}

/// Whether it is about the interface itself. A bridge tells of its ports too, and of the end of one as if the interface
/// were gone.
fn is_of_the_node(message: &LinkMessage) -> bool {
    message.header.interface_family == AddressFamily::Unspec
}

/// The node's own address: IFA_LOCAL where there is one, since IFA_ADDRESS is the peer's on point-to-point links.
fn own_address(message: &AddressMessage) -> Option<IpAddr> {
    let mut found = None;
    for attribute in &message.attributes {
        match attribute {
            AddressAttribute::Local(address) => return Some(*address),
            AddressAttribute::Address(address) => found = Some(*address),
            _ => {}
        }
    }
    found
}

fn read_address(message: &AddressMessage) -> Option<InterfaceAddress> {
    let address = own_address(message)?;
    let mut prefix_of = address;
    let mut flags = AddressFlags::empty();
    for attribute in &message.attributes {
        match attribute {
            AddressAttribute::Address(on_link) => prefix_of = *on_link,
            AddressAttribute::Flags(found) => flags = *found,
            _ => {}
        }
    }
    let subnet = IpNet::new(prefix_of, message.header.prefix_len).map_or(address.into(), |net| net.trunc());
    let tentative = flags.intersects(AddressFlags::Tentative | AddressFlags::Dadfailed);
    let everywhere = message.header.scope == AddressScope::Universe;
    let usable = everywhere && !tentative && !flags.contains(AddressFlags::Deprecated);
    Some(InterfaceAddress { interface: message.header.index, address, subnet, usable, tentative })
}

fn next_hops(message: &RouteMessage, found: &mut dyn FnMut(IpAddr)) {
    if message.header.kind != RouteType::Unicast {
        return;
    }
    each_gateway(&message.attributes, found);
}

fn each_gateway(attributes: &[RouteAttribute], found: &mut dyn FnMut(IpAddr)) {
    for attribute in attributes {
        match attribute {
            RouteAttribute::Gateway(RouteAddress::Inet(address)) => found(IpAddr::V4(*address)),
            RouteAttribute::Gateway(RouteAddress::Inet6(address)) => found(IpAddr::V6(*address)),
            RouteAttribute::Via(RouteVia::Inet(address)) => found(IpAddr::V4(*address)),
            RouteAttribute::Via(RouteVia::Inet6(address)) => found(IpAddr::V6(*address)),
            RouteAttribute::MultiPath(hops) => {
                hops.iter().for_each(|hop| each_gateway(&hop.attributes, found));
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(gateway: &str) -> RouteMessage {
        let mut message = RouteMessage::default();
        message.header.kind = RouteType::Unicast;
        message.attributes.push(RouteAttribute::Gateway(gateway.parse::<IpAddr>().unwrap().into()));
        message
    }

    fn link(index: u32, name: &str) -> LinkMessage {
        let mut message = LinkMessage::default();
        message.header.index = index;
        message.attributes.push(LinkAttribute::IfName(name.to_owned()));
        message
    }

    fn address(index: u32, address: &str) -> AddressMessage {
        let mut message = AddressMessage::default();
        message.header.index = index;
        message.attributes.push(AddressAttribute::Address(address.parse().unwrap()));
        message
    }

    #[test]
    fn a_removed_route_leaves_its_next_hop_in_doubt() {
        let mut network = HostNetwork::default();
        assert_eq!(network.route_added(&route("192.0.2.254")), Effect::Changed);
        assert_eq!(network.route_added(&route("192.0.2.254")), Effect::Unchanged);
        assert_eq!(network.route_removed(&route("192.0.2.254")), Effect::Doubtful);
        assert_eq!(network.route_removed(&route("192.0.2.253")), Effect::Unchanged);
    }

    #[test]
    fn addresses_that_kube_proxy_binds_are_not_the_nodes() {
        let mut network = HostNetwork::default();
        network.link_added(&link(2, "eth0"));
        network.link_added(&link(3, "kube-ipvs0"));
        assert_eq!(network.address_added(&address(2, "192.0.2.1")), Effect::Changed);
        assert_eq!(network.address_added(&address(3, "203.0.113.1")), Effect::Unchanged);
        assert_eq!(network.own_addresses(), ["192.0.2.1".parse().unwrap()].into());
        assert_eq!(network.link_removed(&link(2, "eth0")), Effect::Changed);
        assert!(network.own_addresses().is_empty());
    }

    #[test]
    fn a_port_that_leaves_a_bridge_is_not_gone() {
        let mut network = HostNetwork::default();
        network.link_added(&link(2, "eth0"));
        let mut message = link(2, "eth0");
        message.header.interface_family = AddressFamily::Bridge;
        assert_eq!(network.link_removed(&message), Effect::Unchanged);
        assert_eq!(network.interfaces.len(), 1);
    }

    #[test]
    fn a_tentative_address_becomes_usable() {
        let mut network = HostNetwork::default();
        let mut message = address(2, "2001:db8::1");
        message.attributes.push(AddressAttribute::Flags(AddressFlags::Tentative));
        network.address_added(&message);
        assert!(!network.addresses.first().unwrap().usable);
        assert_eq!(network.address_added(&address(2, "2001:db8::1")), Effect::Changed);
        assert_eq!(network.addresses.len(), 1);
        assert!(network.addresses.first().unwrap().usable);
    }
}
