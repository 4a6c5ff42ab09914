//! The zones of a load balancer: one subnet in each, and the addresses there, which cannot change while the zone is enabled.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, Ipv6Addr};

use daymark_aws::api::{IpAddressType, Scheme, Subnet, SubnetMapping, Zone, ZoneAddress};
use daymark_model::Family;
use ipnet::Ipv6Net;
use tokio::time::Instant;

use crate::attributes::is_datagram;
use crate::load_balancer::Balancer;
use crate::network::Interface;
use crate::refusal::{Answer, refusal, refuse, require};
use crate::state::State;

/// The word for a source NAT prefix of AWS's choice.
const AUTO_ASSIGNED: &str = "auto_assigned";

/// A zone that is enabled.
#[derive(Debug, Clone)]
pub(crate) struct Enabled {
    /// What was asked for.
    pub(crate) asked: SubnetMapping,
    pub(crate) ipv6: Option<Ipv6Addr>,
    pub(crate) source_nat_prefix: Option<String>,
    pub(crate) since: Instant,
}

impl State {
    /// A zone as AWS tells it: only the addresses that were chosen, and IPv6.
    pub(crate) fn shown_zone(&self, name: &str, enabled: &Enabled) -> Zone {
        let allocation = enabled.asked.allocation.clone();
        let public = allocation.as_ref().and_then(|id| self.allocations.get(id)).map(|found| found.address);
        Zone {
            name: name.to_owned(),
            subnet: enabled.asked.subnet.clone(),
            address: ZoneAddress { allocation, public, private: enabled.asked.private, ipv6: enabled.ipv6 },
            source_nat_prefix: enabled.source_nat_prefix.clone(),
        }
    }

    fn subnet(&self, id: &str) -> Answer<&Subnet> {
        let message = || format!("The subnet ID '{id}' does not exist");
        let subnetwork = self.subnets.get(id).ok_or_else(|| refusal("SubnetNotFound", message()))?;
        Ok(&subnetwork.subnet)
    }

    /// The one VPC of all these subnets.
    pub(crate) fn vpc_of(&self, subnets: &[SubnetMapping]) -> Answer<String> {
        let mut vpcs = BTreeSet::new();
        for mapping in subnets {
            vpcs.insert(self.subnet(&mapping.subnet)?.vpc.clone());
        }
        require(!subnets.is_empty(), "ValidationError", "At least one subnet must be specified")?;
        let message = "All subnets must be in the same VPC";
        require(vpcs.len() == 1, "InvalidConfigurationRequest", message)?;
        vpcs.pop_first().ok_or_else(|| refusal("InvalidConfigurationRequest", message))
    }

    /// The zones that a load balancer has when it gets these subnets; those that it has stay as they are.
    pub(crate) fn zones(
        &mut self,
        balancer: &Balancer,
        subnets: &[SubnetMapping],
    ) -> Answer<BTreeMap<String, Enabled>> {
        let vpc = self.vpc_of(subnets)?;
        let message = "The subnets are not in the VPC of the load balancer";
        require(vpc == balancer.vpc, "InvalidConfigurationRequest", message)?;
        let with_allocation = subnets.iter().filter(|mapping| mapping.allocation.is_some()).count();
        let message = "You must specify an Elastic IP address for each subnet, or for none";
        require([0, subnets.len()].contains(&with_allocation), "InvalidConfigurationRequest", message)?;
        let allocations: BTreeSet<_> =
            subnets.iter().filter_map(|mapping| mapping.allocation.as_ref()).collect();
        let message = "An Elastic IP address can be specified once";
        require(allocations.len() == with_allocation, "InvalidConfigurationRequest", message)?;
        let mut zones = BTreeMap::new();
        for mapping in subnets {
            let subnet = self.subnet(&mapping.subnet)?.clone();
            let enabled = match balancer.zones.get(&subnet.zone) {
                Some(enabled) => kept(enabled, mapping, &subnet.zone)?,
                None => {
                    self.check_address(balancer.scheme, &subnet, mapping)?;
                    Enabled { asked: mapping.clone(), ipv6: None, source_nat_prefix: None, since: self.now }
                }
            };
            let enabled = self.with_ipv6(balancer, &subnet, mapping, enabled)?;
            if zones.insert(subnet.zone.clone(), enabled).is_some() {
                let message =
                    "A load balancer cannot be attached to multiple subnets in the same Availability Zone";
                return refuse("InvalidConfigurationRequest", message);
            }
        }
        Ok(zones)
    }

    /// Whether a mapping can be had in a zone that is new.
    fn check_address(&self, scheme: Scheme, subnet: &Subnet, mapping: &SubnetMapping) -> Answer<()> {
        self.require_room(subnet)?;
        if let Some(id) = &mapping.allocation {
            let message = "Elastic IP addresses are not supported for internal load balancers";
            require(scheme == Scheme::InternetFacing, "InvalidConfigurationRequest", message)?;
            let message = format!("The allocation IDs '{id}' do not exist");
            require(self.allocations.contains_key(id), "AllocationIdNotFound", message)?;
            let message = format!("The allocation ID '{id}' is already in use");
            require(!self.is_allocated(id), "ResourceInUse", message)?;
        }
        if let Some(address) = mapping.private {
            let message = "Private IPv4 addresses can be specified only for internal load balancers";
            require(scheme == Scheme::Internal, "InvalidConfigurationRequest", message)?;
            self.check_private(subnet, address)?;
        }
        Ok(())
    }

    fn check_private(&self, subnet: &Subnet, address: Ipv4Addr) -> Answer<()> {
        // AWS keeps the first four addresses of a subnet, and the last.
        let offset = u32::from(address).wrapping_sub(u32::from(subnet.ipv4.network()));
        let is_reserved = offset < 4 || address == subnet.ipv4.broadcast();
        let message =
            format!("The private IPv4 address '{address}' is not in the range of subnet '{}'", subnet.id);
        let is_usable = subnet.ipv4.contains(&address) && !is_reserved;
        require(is_usable, "InvalidConfigurationRequest", message)?;
        let is_taken = self.interfaces.values().any(|interface| interface.private == Some(address));
        let message = format!("The private IPv4 address '{address}' is already in use");
        require(!is_taken, "InvalidConfigurationRequest", message)
    }

    /// A zone with the IPv6 side that the load balancer's families and source NAT ask for.
    fn with_ipv6(
        &mut self,
        balancer: &Balancer,
        subnet: &Subnet,
        mapping: &SubnetMapping,
        enabled: Enabled,
    ) -> Answer<Enabled> {
        if balancer.ip_address_type == IpAddressType::Ipv4 {
            let message = "IPv6 addresses require the dualstack IP address type";
            require(mapping.ipv6.is_none(), "InvalidConfigurationRequest", message)?;
            let message = "Source NAT prefixes require the dualstack IP address type";
            require(mapping.source_nat_prefix.is_none(), "InvalidConfigurationRequest", message)?;
            return Ok(Enabled { ipv6: None, source_nat_prefix: None, ..enabled });
        }
        let message =
            format!("You must specify subnets with an associated IPv6 CIDR block: '{}' has none", subnet.id);
        let Some(net) = subnet.ipv6.first().copied() else { return refuse("InvalidSubnet", message) };
        let ipv6 = match (mapping.ipv6, enabled.ipv6) {
            (Some(asked), _) => {
                let message =
                    format!("The IPv6 address '{asked}' is not in the range of subnet '{}'", subnet.id);
                let is_inside = subnet.ipv6.iter().any(|net| net.contains(&asked));
                require(is_inside, "InvalidConfigurationRequest", message)?;
                asked
            }
            (None, Some(current)) => current,
            (None, None) => Ipv6Addr::from(u128::from(net.network()) | u128::from(self.number())),
        };
        let source_nat_prefix = if balancer.source_nat {
            Some(self.source_nat_prefix(subnet, net, mapping, &enabled)?)
        } else {
            let message = "A source NAT prefix requires source NAT for IPv6";
            require(mapping.source_nat_prefix.is_none(), "InvalidConfigurationRequest", message)?;
            None
        };
        Ok(Enabled { ipv6: Some(ipv6), source_nat_prefix, ..enabled })
    }

    fn source_nat_prefix(
        &mut self,
        subnet: &Subnet,
        net: Ipv6Net,
        mapping: &SubnetMapping,
        enabled: &Enabled,
    ) -> Answer<String> {
        let asked = mapping.source_nat_prefix.as_deref().filter(|prefix| *prefix != AUTO_ASSIGNED);
        if let Some(asked) = asked {
            let prefix = asked.parse::<Ipv6Net>().ok().filter(|prefix| prefix.prefix_len() == 80);
            let is_inside = prefix.is_some_and(|prefix| subnet.ipv6.iter().any(|net| net.contains(&prefix)));
            let message =
                format!("The source NAT IPv6 prefix '{asked}' is not a /80 of subnet '{}'", subnet.id);
            require(is_inside, "InvalidConfigurationRequest", message)?;
            return Ok(asked.to_owned());
        }
        if let Some(current) = &enabled.source_nat_prefix {
            return Ok(current.clone());
        }
        let chosen = u128::from(self.number() & 0xffff) << 48;
        Ok(format!("{}/80", Ipv6Addr::from(u128::from(net.network()) | chosen)))
    }

    /// Interfaces for the zones of a load balancer that are not among those it had.
    pub(crate) fn add_interfaces(&mut self, balancer: &Balancer, had: &BTreeSet<String>) {
        for (_, enabled) in balancer.zones.iter().filter(|(zone, _)| !had.contains(*zone)) {
            let id = self.id("eni");
            let interface = Interface {
                description: format!("ELB {}", balancer.path()),
                groups: balancer.security_groups.clone(),
                subnet: enabled.asked.subnet.clone(),
                load_balancer: balancer.arn.clone(),
                allocation: enabled.asked.allocation.clone(),
                private: enabled.asked.private,
                gone_at: None,
            };
            self.interfaces.insert(id, interface);
        }
    }

    pub(crate) fn set_subnets(
        &mut self,
        arn: &str,
        subnets: &[SubnetMapping],
        source_nat: Option<bool>,
    ) -> Answer<()> {
        let mut balancer = self.balancer(arn)?.clone();
        balancer.source_nat = source_nat.unwrap_or(balancer.source_nat);
        self.check_families(&balancer)?;
        let had: BTreeSet<String> = balancer.zones.keys().cloned().collect();
        let zones = self.zones(&balancer, subnets)?;
        let gone = balancer.zones.iter().filter(|(zone, _)| !zones.contains_key(*zone));
        let gone: BTreeSet<String> = gone.map(|(_, enabled)| enabled.asked.subnet.clone()).collect();
        balancer.zones = zones;
        self.release_interfaces(arn, |subnet| gone.contains(subnet));
        self.add_interfaces(&balancer, &had);
        self.balancers.insert(arn.to_owned(), balancer);
        Ok(())
    }

    pub(crate) fn set_ip_address_type(&mut self, arn: &str, wanted: IpAddressType) -> Answer<()> {
        let mut balancer = self.balancer(arn)?.clone();
        balancer.ip_address_type = wanted;
        balancer.source_nat &= wanted == IpAddressType::Dualstack;
        self.check_families(&balancer)?;
        let kept = |enabled: &Enabled| SubnetMapping {
            ipv6: None,
            source_nat_prefix: None,
            ..enabled.asked.clone()
        };
        let subnets: Vec<SubnetMapping> = balancer.zones.values().map(kept).collect();
        balancer.zones = self.zones(&balancer, &subnets)?;
        self.balancers.insert(arn.to_owned(), balancer);
        Ok(())
    }

    /// Whether a load balancer's families fit its listeners and target groups.
    fn check_families(&self, balancer: &Balancer) -> Answer<()> {
        let is_dual = balancer.ip_address_type == IpAddressType::Dualstack;
        let message = "Source NAT for IPv6 requires the dualstack IP address type";
        require(is_dual || !balancer.source_nat, "InvalidConfigurationRequest", message)?;
        let own = |listening: &&crate::listener::Listening| listening.listener.load_balancer == balancer.arn;
        for listening in self.listeners.values().filter(own) {
            let needs_nat = is_dual && is_datagram(listening.listener.protocol);
            let message = "A dualstack load balancer with UDP listeners requires source NAT for IPv6";
            require(!needs_nat || balancer.source_nat, "InvalidConfigurationRequest", message)?;
            let pools =
                listening.listener.forward.iter().filter_map(|forward| self.pools.get(&forward.target_group));
            let message = "A load balancer with IPv6 target groups must be dualstack";
            let has_v6 = pools.into_iter().any(|pool| pool.family == Family::V6);
            require(is_dual || !has_v6, "InvalidConfigurationRequest", message)?;
        }
        Ok(())
    }
}

/// A zone that stays, when this is what is asked for it.
fn kept(enabled: &Enabled, mapping: &SubnetMapping, zone: &str) -> Answer<Enabled> {
    let asked = &enabled.asked;
    let is_kept = asked.subnet == mapping.subnet
        && asked.allocation == mapping.allocation
        && asked.private == mapping.private
        && mapping.ipv6.is_none_or(|address| enabled.ipv6.is_none_or(|current| current == address));
    let message =
        format!("The subnet and addresses of the enabled Availability Zone '{zone}' cannot be changed");
    require(is_kept, "InvalidConfigurationRequest", message)?;
    Ok(Enabled { asked: mapping.clone(), ..enabled.clone() })
}
