//! Solicited-node groups, counted: addresses with the same last 24 bits share one.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};

use super::outbox::{GroupChange, Outbox};
use crate::wire::solicited_node;

#[derive(Debug, Default)]
pub(super) struct Groups(BTreeMap<Ipv6Addr, usize>);

impl Groups {
    /// One more user of the group of `address`; IPv4 has none.
    // RFC 4861 7.2.1: a node MUST join the solicited-node multicast address corresponding to each of the IP addresses
    // assigned to the interface.
    pub(super) fn join(&mut self, address: IpAddr, out: &mut Outbox) {
        let IpAddr::V6(address) = address else { return };
        let group = solicited_node(address);
        let users = self.0.entry(group).or_insert(0);
        *users += 1;
        if *users == 1 {
            out.groups.push(GroupChange::Join(group));
        }
    }

    /// One user less.
    // RFC 4861 7.2.1: a node MUST NOT leave the group until all assigned addresses of that group have been removed.
    pub(super) fn leave(&mut self, address: IpAddr, out: &mut Outbox) {
        let IpAddr::V6(address) = address else { return };
        let group = solicited_node(address);
        let Some(users) = self.0.get_mut(&group) else { return };
        *users -= 1;
        if *users == 0 {
            self.0.remove(&group);
            out.groups.push(GroupChange::Leave(group));
        }
    }
}
