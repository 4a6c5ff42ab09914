//! The account that a test starts with: a VPC with public and private subnets, a cluster's nodes, addresses, certificates.

use std::net::{Ipv4Addr, Ipv6Addr};

use daymark_aws::api::{RouteTable, Subnet, Tags, Vpc};
use ipnet::{Ipv4Net, Ipv6Net};
use tokio::time::Instant;

use crate::Aws;
use crate::clock::{Birth, Consistency, Hand, Lagged, Timing};
use crate::network::{Allocation, Instance, InstanceState, Interface, Routes, Subnetwork};
use crate::quota::Quotas;
use crate::security_group::Group;
use crate::state::{ACCOUNT, State};
use crate::throttle::{CallClass, Throttle};

/// What was there at the start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// The cluster that the nodes are of.
    pub cluster: String,
    /// The region.
    pub region: String,
    /// The zones' names.
    pub zones: Vec<String>,
    /// The VPC: 10.0.0.0/16, and IPv6.
    pub vpc: String,
    /// A public subnet in each zone.
    pub public: Vec<String>,
    /// A private subnet in each zone.
    pub private: Vec<String>,
    /// The security group of the nodes.
    pub node_group: String,
    /// The nodes, zone by zone.
    pub instances: Vec<String>,
    /// Elastic IPs that nothing uses.
    pub elastic_ips: Vec<String>,
    /// Certificates.
    pub certificates: Vec<String>,
}

impl Account {
    /// The IPv4 address of a pod in the private subnet of a zone (counted from 0).
    pub fn pod(&self, zone: u8, number: u16) -> String {
        let offset = 256 + u32::from(number);
        let base = u32::from(private_net(zone).network());
        Ipv4Addr::from(base.saturating_add(offset)).to_string()
    }
}

/// What the account is to be.
#[derive(Debug, Clone)]
pub struct Builder {
    cluster: String,
    region: String,
    zones: u8,
    nodes_per_zone: u32,
    elastic_ips: u8,
    certificates: u8,
    timing: Timing,
    consistency: Consistency,
    quotas: Quotas,
    classes: Vec<CallClass>,
}

impl Default for Builder {
    fn default() -> Self {
        Self {
            cluster: "test".to_owned(),
            region: "eu-west-1".to_owned(),
            zones: 3,
            nodes_per_zone: 2,
            elastic_ips: 6,
            certificates: 3,
            timing: Timing::default(),
            consistency: Consistency::default(),
            quotas: Quotas::default(),
            classes: Vec::new(),
        }
    }
}

/// The most zones that the VPC's subnets leave room for.
const MAX_ZONES: u8 = 6;

fn private_net(zone: u8) -> Ipv4Net {
    let address = Ipv4Addr::new(10, 0, 128_u8.saturating_add(zone.saturating_mul(16)), 0);
    Ipv4Net::new_assert(address, 20)
}

fn public_net(zone: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(10, 0, zone, 0), 24)
}

/// A /64 of the VPC's IPv6 prefix.
fn ipv6_net(number: u8) -> Ipv6Net {
    Ipv6Net::new_assert(Ipv6Addr::new(0x2a05, 0xd018, 0x100, 0xaa00 | u16::from(number), 0, 0, 0, 0), 64)
}

impl Builder {
    /// The cluster whose nodes there are.
    #[must_use]
    pub fn cluster(self, cluster: &str) -> Self {
        Self { cluster: cluster.to_owned(), ..self }
    }

    /// In how many zones (1 to 6) there are a public and a private subnet.
    #[must_use]
    pub fn zones(self, zones: u8) -> Self {
        Self { zones: zones.clamp(1, MAX_ZONES), ..self }
    }

    /// How many nodes there are in each zone.
    #[must_use]
    pub fn nodes_per_zone(self, nodes_per_zone: u32) -> Self {
        Self { nodes_per_zone, ..self }
    }

    /// How many Elastic IPs there are.
    #[must_use]
    pub fn elastic_ips(self, elastic_ips: u8) -> Self {
        Self { elastic_ips, ..self }
    }

    /// How many certificates there are.
    #[must_use]
    pub fn certificates(self, certificates: u8) -> Self {
        Self { certificates, ..self }
    }

    /// How long things take.
    #[must_use]
    pub fn timing(self, timing: Timing) -> Self {
        Self { timing, ..self }
    }

    /// How late things are seen.
    #[must_use]
    pub fn consistency(self, consistency: Consistency) -> Self {
        Self { consistency, ..self }
    }

    /// How many of what there may be.
    #[must_use]
    pub fn quotas(self, quotas: Quotas) -> Self {
        Self { quotas, ..self }
    }

    /// How fast the API may be called; [`crate::throttle::like_aws`], or as it fits. None = as fast as one likes.
    #[must_use]
    pub fn throttle(self, classes: Vec<CallClass>) -> Self {
        Self { classes, ..self }
    }

    /// The account.
    pub fn build(self) -> Aws {
        let now = Instant::now();
        let mut state = State::new(&self.region, now);
        state.timing = self.timing.clone();
        state.consistency = self.consistency.clone();
        state.quotas = self.quotas.clone();
        let account = self.fill(&mut state);
        Aws::new(state, account, Throttle::new(self.classes, now))
    }

    fn fill(&self, state: &mut State) -> Account {
        let vpc = add_vpc(state, Ipv4Net::new_assert(Ipv4Addr::new(10, 0, 0, 0), 16));
        if let Some(vpc) = state.vpcs.get_mut(&vpc) {
            let prefix = Ipv6Net::new_assert(ipv6_net(0).network(), 56);
            vpc.cidrs.push(prefix.into());
        }
        let mut account = Account {
            cluster: self.cluster.clone(),
            region: self.region.clone(),
            zones: Vec::new(),
            vpc: vpc.clone(),
            public: Vec::new(),
            private: Vec::new(),
            node_group: String::new(),
            instances: Vec::new(),
            elastic_ips: Vec::new(),
            certificates: Vec::new(),
        };
        let cluster_tag = (format!("kubernetes.io/cluster/{}", self.cluster), "owned".to_owned());
        account.node_group = add_group(state, &vpc, "nodes", [cluster_tag].into());
        for zone in 0..self.zones {
            let name = format!("{}{}", self.region, char::from(b'a'.saturating_add(zone)));
            let ends = [
                ("public", "kubernetes.io/role/elb", public_net(zone), ipv6_net(zone)),
                ("private", "kubernetes.io/role/internal-elb", private_net(zone), ipv6_net(0x80 | zone)),
            ];
            for (end, role, ipv4, ipv6) in ends {
                let tags: Tags =
                    [("Name".to_owned(), format!("{end}-{name}")), (role.to_owned(), "1".to_owned())].into();
                let id = add_subnet(state, &vpc, &name, ipv4, vec![ipv6], tags);
                let ids = if end == "public" { &mut account.public } else { &mut account.private };
                ids.push(id);
            }
            account.zones.push(name);
        }
        add_routes(state, &vpc, &account);
        self.add_nodes(state, &mut account);
        for number in 0..self.elastic_ips {
            let address = Ipv4Addr::new(198, 51, 100, 10_u8.saturating_add(number));
            account.elastic_ips.push(add_elastic_ip(state, address));
        }
        for number in 0..self.certificates {
            let arn = format!("arn:aws:acm:{}:{ACCOUNT}:certificate/{number}", self.region);
            state.certificates.insert(arn.clone());
            account.certificates.push(arn);
        }
        account
    }

    fn add_nodes(&self, state: &mut State, account: &mut Account) {
        for (zone, subnet) in account.zones.iter().zip(&account.private) {
            for _ in 0..self.nodes_per_zone {
                account.instances.push(add_instance(state, &account.vpc, zone, subnet, &account.node_group));
            }
        }
    }
}

pub(crate) fn add_vpc(state: &mut State, cidr: Ipv4Net) -> String {
    let id = state.id("vpc");
    state.vpcs.insert(id.clone(), Vpc { id: id.clone(), cidrs: vec![cidr.into()] });
    add_group(state, &id, "default", Tags::new());
    id
}

fn add_group(state: &mut State, vpc: &str, name: &str, tags: Tags) -> String {
    let id = state.id("sg");
    let birth = Birth { at: state.now, by: Hand::Other };
    let tags = Lagged::settled(tags, state.now);
    state.groups.insert(id.clone(), Group { name: name.to_owned(), vpc: vpc.to_owned(), tags, birth });
    id
}

pub(crate) fn add_subnet(
    state: &mut State,
    vpc: &str,
    zone: &str,
    ipv4: Ipv4Net,
    ipv6: Vec<Ipv6Net>,
    tags: Tags,
) -> String {
    let id = state.id("subnet");
    // AWS keeps five addresses of each subnet.
    let available =
        1_u32.checked_shl(32 - u32::from(ipv4.prefix_len())).map_or(u32::MAX, |size| size.saturating_sub(5));
    let subnet =
        Subnet { id: id.clone(), vpc: vpc.to_owned(), zone: zone.to_owned(), ipv4, ipv6, available, tags };
    state.subnets.insert(id.clone(), Subnetwork { subnet });
    id
}

fn add_routes(state: &mut State, vpc: &str, account: &Account) {
    let tables = [
        RouteTable { subnets: account.public.clone(), is_main: false, is_public: true },
        RouteTable { subnets: account.private.clone(), is_main: false, is_public: false },
        RouteTable { subnets: Vec::new(), is_main: true, is_public: false },
    ];
    state.routes.extend(tables.into_iter().map(|table| Routes { vpc: vpc.to_owned(), table }));
}

pub(crate) fn add_elastic_ip(state: &mut State, address: Ipv4Addr) -> String {
    let id = state.id("eipalloc");
    state.allocations.insert(id.clone(), Allocation { address, is_taken: false });
    id
}

pub(crate) fn add_instance(state: &mut State, vpc: &str, zone: &str, subnet: &str, group: &str) -> String {
    let id = state.id("i");
    let instance = Instance { vpc: vpc.to_owned(), zone: zone.to_owned(), state: InstanceState::Running };
    state.instances.insert(id.clone(), instance);
    let interface = Interface {
        description: String::new(),
        groups: vec![group.to_owned()],
        subnet: subnet.to_owned(),
        load_balancer: String::new(),
        allocation: None,
        private: None,
        gone_at: None,
    };
    let interface_id = state.id("eni");
    state.interfaces.insert(interface_id, interface);
    id
}
