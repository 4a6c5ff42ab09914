//! VPCs, subnets, routes, Elastic IPs, instances and network interfaces.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use daymark_aws::api::{ElasticIp, Filter, NetworkInterface, RouteTable, Subnet, Tags, Vpc};
use tokio::time::Instant;

use crate::refusal::{Answer, refuse, require};
use crate::state::State;

/// Load balancers want this many free addresses in each subnet.
const FREE_ADDRESSES: u32 = 8;

/// A subnet; `available` is what it had when it was empty.
#[derive(Debug, Clone)]
pub(crate) struct Subnetwork {
    pub(crate) subnet: Subnet,
}

#[derive(Debug, Clone)]
pub(crate) struct Routes {
    pub(crate) vpc: String,
    pub(crate) table: RouteTable,
}

#[derive(Debug, Clone)]
pub(crate) struct Allocation {
    pub(crate) address: Ipv4Addr,
    /// Something other than a load balancer has it.
    pub(crate) is_taken: bool,
}

/// What an instance does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum InstanceState {
    Running,
    Stopped,
    Terminated,
}

#[derive(Debug, Clone)]
pub(crate) struct Instance {
    pub(crate) vpc: String,
    pub(crate) zone: String,
    pub(crate) state: InstanceState,
}

/// A network interface; `load_balancer` is empty for those of instances.
#[derive(Debug, Clone)]
pub(crate) struct Interface {
    pub(crate) description: String,
    pub(crate) groups: Vec<String>,
    pub(crate) subnet: String,
    pub(crate) load_balancer: String,
    pub(crate) allocation: Option<String>,
    pub(crate) private: Option<Ipv4Addr>,
    /// Its owner is gone, and it goes then.
    pub(crate) gone_at: Option<Instant>,
}

impl State {
    pub(crate) fn describe_vpcs(&self, ids: &[String]) -> Answer<Vec<Vpc>> {
        if ids.is_empty() {
            return Ok(self.vpcs.values().cloned().collect());
        }
        ids.iter().map(|id| self.vpc(id).cloned()).collect()
    }

    pub(crate) fn vpc(&self, id: &str) -> Answer<&Vpc> {
        let missing = || format!("The vpc ID '{id}' does not exist");
        self.vpcs.get(id).ok_or_else(|| crate::refusal::refusal("InvalidVpcID.NotFound", missing()))
    }

    pub(crate) fn describe_subnets(&self, filter: &Filter) -> Answer<Vec<Subnet>> {
        for id in &filter.ids {
            let message = format!("The subnet ID '{id}' does not exist");
            require(self.subnets.contains_key(id), "InvalidSubnetID.NotFound", message)?;
        }
        let subnets = self.subnets.values().map(|subnetwork| &subnetwork.subnet);
        let fitting = subnets.filter(|subnet| {
            let name = subnet.tags.get("Name").map_or("", String::as_str);
            fits(filter, &subnet.id, &subnet.vpc, &subnet.tags, name)
        });
        let now = fitting.map(|subnet| Subnet { available: self.free_addresses(subnet), ..subnet.clone() });
        Ok(now.collect())
    }

    fn free_addresses(&self, subnet: &Subnet) -> u32 {
        let taken = self.interfaces.values().filter(|interface| interface.subnet == subnet.id).count();
        subnet.available.saturating_sub(u32::try_from(taken).unwrap_or(u32::MAX))
    }

    /// Whether there is room for a load balancer.
    pub(crate) fn require_room(&self, subnet: &Subnet) -> Answer<()> {
        let message = format!(
            "Not enough IP space available in {}. ELB requires at least {FREE_ADDRESSES} free IP addresses in each subnet.",
            subnet.id
        );
        require(self.free_addresses(subnet) >= FREE_ADDRESSES, "InvalidSubnet", message)
    }

    pub(crate) fn describe_route_tables(&self, vpc: &str) -> Vec<RouteTable> {
        self.routes.iter().filter(|routes| routes.vpc == vpc).map(|routes| routes.table.clone()).collect()
    }

    pub(crate) fn describe_addresses(&self, allocations: &[String]) -> Answer<Vec<ElasticIp>> {
        for id in allocations {
            let message = format!("The allocation ID '{id}' does not exist");
            require(self.allocations.contains_key(id), "InvalidAllocationID.NotFound", message)?;
        }
        let asked =
            self.allocations.iter().filter(|(id, _)| allocations.is_empty() || allocations.contains(id));
        let addresses = asked.map(|(id, allocation)| ElasticIp {
            allocation: id.clone(),
            address: allocation.address,
            in_use: self.is_allocated(id),
        });
        Ok(addresses.collect())
    }

    /// Whether something uses an Elastic IP.
    pub(crate) fn is_allocated(&self, id: &str) -> bool {
        let holds = |interface: &Interface| interface.allocation.as_deref() == Some(id);
        self.allocations.get(id).is_some_and(|allocation| allocation.is_taken)
            || self.interfaces.values().any(holds)
    }

    pub(crate) fn describe_network_interfaces(&self, group: &str) -> Vec<NetworkInterface> {
        let on =
            self.interfaces.iter().filter(|(_, interface)| interface.groups.iter().any(|on| on == group));
        on.map(|(id, interface)| shown(id, interface)).collect()
    }

    /// The interfaces of a load balancer that is gone, or of a zone of it, go in a while.
    pub(crate) fn release_interfaces(&mut self, load_balancer: &str, goes: impl Fn(&str) -> bool) {
        let gone_at = self.now + self.timing.interfaces_linger;
        let mut any = false;
        for interface in self.interfaces.values_mut() {
            let is_its = interface.load_balancer == load_balancer && goes(&interface.subnet);
            if is_its && interface.gone_at.is_none() {
                interface.gone_at = Some(gone_at);
                any = true;
            }
        }
        if any {
            self.due_at(gone_at);
        }
    }

    /// The zone of an address in the VPC's subnets.
    pub(crate) fn zone_of(&self, vpc: &str, address: IpAddr) -> Option<&str> {
        let contains = |subnet: &Subnet| match address {
            IpAddr::V4(address) => subnet.ipv4.contains(&address),
            IpAddr::V6(address) => subnet.ipv6.iter().any(|net| net.contains(&address)),
        };
        let mut subnets = self.subnets.values().map(|subnetwork| &subnetwork.subnet);
        subnets.find(|subnet| subnet.vpc == vpc && contains(subnet)).map(|subnet| &*subnet.zone)
    }

    /// An instance that can be a target in this VPC.
    pub(crate) fn require_instance(&self, vpc: &str, id: &str) -> Answer<()> {
        match self.instances.get(id) {
            None => refuse("InvalidTarget", format!("The following targets are not valid instances: '{id}'")),
            Some(instance) if instance.vpc != vpc => refuse(
                "InvalidTarget",
                format!("The following targets are not in the target group VPC '{vpc}': '{id}'"),
            ),
            Some(instance) => match instance.state {
                InstanceState::Running => Ok(()),
                InstanceState::Stopped | InstanceState::Terminated => refuse(
                    "InvalidTarget",
                    format!(
                        "The following targets are not in a running state and cannot be registered: '{id}'"
                    ),
                ),
            },
        }
    }
}

pub(crate) fn shown(id: &str, interface: &Interface) -> NetworkInterface {
    NetworkInterface {
        id: id.to_owned(),
        description: interface.description.clone(),
        security_groups: interface.groups.clone(),
    }
}

/// Whether an EC2 resource fits everything that a filter asks.
pub(crate) fn fits(filter: &Filter, id: &str, vpc: &str, tags: &Tags, name: &str) -> bool {
    let has = |wanted: &[String], value: &str| wanted.is_empty() || wanted.iter().any(|want| want == value);
    has(&filter.ids, id)
        && filter.vpc.as_deref().is_none_or(|want| want == vpc)
        && has(&filter.names, name)
        && has_tags(&filter.tags, tags)
}

fn has_tags(wanted: &BTreeMap<String, Vec<String>>, tags: &Tags) -> bool {
    wanted
        .iter()
        .all(|(key, values)| tags.get(key).is_some_and(|value| values.is_empty() || values.contains(value)))
}
