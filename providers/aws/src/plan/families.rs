//! Its address families: IPv6 comes at once, and goes with consent.
//!
//! A dualstack load balancer has UDP listeners only with IPv6 source NAT, and source NAT only when it is dualstack: AWS
//! refuses either before the other while there is such a listener. Those go first, and come back after both.

use daymark_model::{Ownership, ResourceKey};
use daymark_providers::plan::Manner;
use daymark_providers::{CloudError, StepClass};

use super::listeners::listener_key;
use super::operation::{AwsOperation, count};
use super::{Planner, SOON};
use crate::api::{IpAddressType, NlbProtocol};
use crate::model::ListenerWish;
use crate::observe::{FoundListener, FoundLoadBalancer};

impl Planner<'_> {
    /// # Errors
    /// `SourceNatNeeded`, and `NoIpv6` where a zone has no IPv6 prefix.
    pub(super) fn families(
        &mut self,
        key: &ResourceKey,
        found: &FoundLoadBalancer,
    ) -> Result<(), CloudError> {
        let (is, wish) = (found.load_balancer.ip_address_type, self.nlb.ip_address_type);
        let operation = AwsOperation::SetIpAddressType { key: key.clone(), ip_address_type: wish };
        match (is, wish) {
            (IpAddressType::Ipv4, IpAddressType::Ipv4)
            | (IpAddressType::Dualstack, IpAddressType::Dualstack) => {}
            (IpAddressType::Ipv4, IpAddressType::Dualstack) => {
                self.datagrams_need_source_nat()?;
                self.zones_have_ipv6(found)?;
                if !self.repairs || self.in_the_way(found).is_empty() {
                    self.mend(operation, "it is to have IPv6 addresses");
                }
            }
            (IpAddressType::Dualstack, IpAddressType::Ipv4) if self.repairs => {
                let text = format!(
                    "load balancer {} loses its IPv6 addresses: clients that use them are cut off",
                    found.load_balancer.name
                );
                let change = self.plan.disrupt(ipv4_only(key), Manner::Interrupts, text);
                self.plan.held_step(
                    &change,
                    StepClass::Change,
                    operation,
                    "it is to have IPv4 addresses only",
                );
            }
            (IpAddressType::Dualstack, IpAddressType::Ipv4) => {
                self.mend(operation, "it is to have IPv4 only")
            }
        }
        Ok(())
    }

    /// Refuses UDP on a dualstack load balancer without source NAT, before AWS does.
    pub(super) fn datagrams_need_source_nat(&self) -> Result<(), CloudError> {
        let dualstack = self.nlb.ip_address_type == IpAddressType::Dualstack;
        let datagrams = self.nlb.listeners.values().find(|wish| is_datagram(wish.protocol));
        match datagrams {
            Some(wish) if dualstack && self.nlb.source_nat != Some(true) => {
                let text = format!(
                    "port {} is {}, which a dualstack load balancer serves only with IPv6 source NAT",
                    wish.port, wish.protocol
                );
                Err(CloudError::user("SourceNatNeeded", text).remedy(
                    "set aws-load-balancer-enable-prefix-for-ipv6-source-nat: on, or ip-address-type: ipv4",
                ))
            }
            Some(_) | None => Ok(()),
        }
    }

    fn zones_have_ipv6(&self, found: &FoundLoadBalancer) -> Result<(), CloudError> {
        let lacks = |zone: &&crate::api::Zone| {
            let mut subnets = self.actual.subnets.iter();
            subnets.any(|subnet| subnet.id == zone.subnet && subnet.ipv6.is_empty())
        };
        match found.load_balancer.zones.iter().find(lacks) {
            None => Ok(()),
            Some(zone) => {
                let text = format!(
                    "subnet {} of load balancer {} has no IPv6 prefix, which a dualstack load balancer needs",
                    zone.subnet, found.load_balancer.name
                );
                Err(CloudError::user("NoIpv6", text).remedy("give it one, or use ip-address-type ipv4"))
            }
        }
    }

    /// The listeners that keep an IPv4 load balancer from becoming dualstack.
    fn in_the_way<'f>(&self, found: &'f FoundLoadBalancer) -> Vec<&'f FoundListener> {
        match (found.load_balancer.ip_address_type, self.nlb.ip_address_type) {
            (IpAddressType::Ipv4, IpAddressType::Dualstack) => datagrams(found),
            (IpAddressType::Ipv4 | IpAddressType::Dualstack, IpAddressType::Ipv4)
            | (IpAddressType::Dualstack, IpAddressType::Dualstack) => Vec::new(),
        }
    }

    /// Whether AWS lets source NAT be switched now.
    pub(super) fn may_switch_source_nat(&self, found: &FoundLoadBalancer) -> bool {
        match (found.load_balancer.ip_address_type, self.nlb.ip_address_type) {
            (IpAddressType::Dualstack, IpAddressType::Dualstack) => {
                !found.load_balancer.source_nat || datagrams(found).is_empty()
            }
            // It goes with the IPv6 addresses.
            (IpAddressType::Dualstack, IpAddressType::Ipv4) => false,
            (IpAddressType::Ipv4, IpAddressType::Ipv4 | IpAddressType::Dualstack) => {
                self.in_the_way(found).is_empty()
            }
        }
    }

    /// The change that a listener with this protocol has to wait for: one for UDP, until the load balancer has lost its
    /// IPv6 addresses.
    pub(super) fn awaits_ipv4(
        &self,
        key: &ResourceKey,
        found: Option<&FoundLoadBalancer>,
        protocol: NlbProtocol,
    ) -> Option<String> {
        let load_balancer = &found?.load_balancer;
        let change = ipv4_only(key);
        let refused = load_balancer.ip_address_type == IpAddressType::Dualstack && !load_balancer.source_nat;
        (refused && is_datagram(protocol) && self.plan.disruptive.contains_key(&change)).then_some(change)
    }

    /// Whether a listener with this protocol is not made before the load balancer has IPv6 addresses: that is agreed to, and
    /// it would be in the way.
    pub(super) fn awaits_ipv6(
        &self,
        key: &ResourceKey,
        found: Option<&FoundLoadBalancer>,
        protocol: NlbProtocol,
    ) -> bool {
        is_datagram(protocol)
            && self.inventory.granted.contains(&ipv6_for_datagrams(key))
            && found.is_some_and(|found| !self.in_the_way(found).is_empty())
    }

    /// Brings IPv6 to a load balancer with UDP listeners: they go, and come back at the next look.
    pub(super) fn datagrams_over_ipv6(&mut self, key: &ResourceKey, found: &FoundLoadBalancer) {
        let in_the_way = self.in_the_way(found);
        let borrowed = self.entry(key).is_none_or(|entry| entry.ownership == Ownership::Borrowed);
        if in_the_way.is_empty() || borrowed || !self.repairs {
            return;
        }
        let mut ports = Vec::new();
        for one in in_the_way {
            let port = one.listener.port;
            let listener = listener_key(key, port);
            if self.nlb.listeners.get(&port).is_some_and(|wish| is_datagram(wish.protocol)) {
                ports.push(listener);
            } else if self.entry(&listener).is_some() {
                let text = format!("the load balancer gets IPv6 addresses when UDP port {port} is gone");
                self.plan.wait("WaitingForListeners", text, SOON);
                return;
            } else {
                let text = format!(
                    "the load balancer gets no IPv6 addresses while it has the UDP listener {port}, which somebody else made: \
                     delete that one"
                );
                self.remark("ListenerInTheWay", text);
                return;
            }
        }
        let words: Vec<&str> = ports.iter().map(|key| key.role.as_str()).collect();
        let text = format!(
            "load balancer {} gets IPv6 addresses: AWS allows that only without UDP listeners, and UDP on {} ({}) is not \
             served for some seconds",
            found.load_balancer.name,
            count(ports.len(), "port"),
            words.join(", ")
        );
        let change = self.plan.disrupt(ipv6_for_datagrams(key), Manner::Interrupts, text);
        // What is about to be made is served until the change is agreed to, and goes with the others.
        let mut wishes = self.nlb.listeners.values();
        let is_made = |wish: &ListenerWish| ports.contains(&listener_key(key, wish.port));
        let more = wishes.any(|wish| is_datagram(wish.protocol) && !is_made(wish));
        if more && !self.inventory.granted.contains(&change) {
            return;
        }
        for key in ports {
            let operation = AwsOperation::DeleteListener { key };
            let why = "it comes back when the load balancer has IPv6 addresses and source NAT";
            self.plan.held_step(&change, StepClass::Change, operation, why);
        }
        let dualstack = IpAddressType::Dualstack;
        let operation = AwsOperation::SetIpAddressType { key: key.clone(), ip_address_type: dualstack };
        self.plan.held_step(&change, StepClass::Change, operation, "it is to have IPv6 addresses");
        if let Some(operation) = self.set_source_nat(key, found, &self.mappings_of(key, found)) {
            let why = "UDP over IPv6 needs prefixes for source NAT";
            self.plan.held_step(&change, StepClass::Change, operation, why);
        }
    }
}

fn ipv4_only(key: &ResourceKey) -> String {
    format!("ipv4 only #{}", key.generation)
}

fn ipv6_for_datagrams(key: &ResourceKey) -> String {
    format!("ipv6 for UDP #{}", key.generation)
}

fn datagrams(found: &FoundLoadBalancer) -> Vec<&FoundListener> {
    found.listeners.iter().filter(|one| is_datagram(one.listener.protocol)).collect()
}

fn is_datagram(protocol: NlbProtocol) -> bool {
    match protocol {
        NlbProtocol::Udp | NlbProtocol::TcpUdp => true,
        NlbProtocol::Tcp | NlbProtocol::Tls => false,
    }
}
