//! What was found, as plain values: all that the planner sees of AWS.

use std::collections::{BTreeMap, BTreeSet};

use daymark_model::ResourceKey;
use daymark_providers::Depth;
use ipnet::IpNet;

use crate::api::{
    Attributes, IngressRule, Listener, LoadBalancer, RouteTable, Subnet, Tags, TargetGroup, TargetHealth,
};

/// What was found of one CloudLoadBalancer. Everything is filed under the key that it has in the inventory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actual {
    /// How much was looked at.
    pub depth: Depth,
    /// Load balancers.
    pub load_balancers: BTreeMap<ResourceKey, FoundLoadBalancer>,
    /// Target groups.
    pub target_groups: BTreeMap<ResourceKey, FoundTargetGroup>,
    /// Our own security groups.
    pub security_groups: BTreeMap<ResourceKey, FoundSecurityGroup>,
    /// The security groups of the nodes, those that are wished and those that hold rules of ours.
    pub node_groups: Vec<NodeGroup>,
    /// In the inventory, too young to be called gone, and not visible.
    pub unseen: BTreeSet<ResourceKey>,
    /// In the inventory and gone; kept there because drift is only reported.
    pub missing: BTreeSet<ResourceKey>,
    /// Names that were about to be used, and are somebody else's.
    pub foreign_names: BTreeSet<String>,
    /// The subnets of the VPC, where they matter.
    pub subnets: Vec<Subnet>,
    /// The route tables of the VPC, where no subnet has the tag of its role.
    pub route_tables: Vec<RouteTable>,
    /// The ids of the security groups that the user gave.
    pub given_groups: Vec<String>,
    /// The prefixes of the VPC.
    pub vpc: Vec<IpNet>,
    /// How many targets there may be.
    pub quotas: Quotas,
    /// What exists already and is to be taken over, with the names and ids to enter.
    pub adoptable: Vec<Adoptable>,
}

impl Actual {
    /// Nothing was found.
    pub fn new(depth: Depth) -> Self {
        Self {
            depth,
            load_balancers: BTreeMap::new(),
            target_groups: BTreeMap::new(),
            security_groups: BTreeMap::new(),
            node_groups: Vec::new(),
            unseen: BTreeSet::new(),
            missing: BTreeSet::new(),
            foreign_names: BTreeSet::new(),
            subnets: Vec::new(),
            route_tables: Vec::new(),
            given_groups: Vec::new(),
            vpc: Vec::new(),
            quotas: Quotas::default(),
            adoptable: Vec::new(),
        }
    }
}

/// A load balancer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundLoadBalancer {
    /// Itself.
    pub load_balancer: LoadBalancer,
    /// Its attributes; `None` = not looked at.
    pub attributes: Option<Attributes>,
    /// Its reserved capacity; `None` = not looked at.
    pub capacity: Option<u32>,
    /// Its tags.
    pub tags: Tags,
    /// Its listeners, ours and others'.
    pub listeners: Vec<FoundListener>,
}

/// A listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundListener {
    /// Itself.
    pub listener: Listener,
    /// Its attributes; `None` = not looked at.
    pub attributes: Option<Attributes>,
    /// Its certificates beside the default one; `None` = not looked at.
    pub certificates: Option<Vec<String>>,
    /// Its tags.
    pub tags: Tags,
}

/// A target group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundTargetGroup {
    /// Itself; `None` at [`Depth::Targets`].
    pub group: Option<TargetGroup>,
    /// Its attributes; `None` = not looked at.
    pub attributes: Option<Attributes>,
    /// Its tags.
    pub tags: Tags,
    /// Its targets.
    pub targets: Vec<TargetHealth>,
}

/// A security group of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundSecurityGroup {
    /// `sg-…`.
    pub id: String,
    /// Its tags.
    pub tags: Tags,
    /// What it lets in.
    pub rules: Vec<IngressRule>,
}

/// A security group of the nodes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeGroup {
    /// `sg-…`.
    pub id: String,
    /// Whether it is to have rules of ours.
    pub wanted: bool,
    /// What it lets in.
    pub rules: Vec<IngressRule>,
}

/// Something to take over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Adoptable {
    /// The key that it gets.
    pub key: ResourceKey,
    /// Its name.
    pub name: String,
    /// Its id.
    pub id: String,
}

/// How many targets there may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quotas {
    /// In one target group.
    pub per_group: u32,
    /// In all target groups of a load balancer.
    pub per_load_balancer: u32,
    /// In one zone, in all target groups of a load balancer.
    pub per_zone: u32,
}

impl Default for Quotas {
    /// Those of a new account.
    fn default() -> Self {
        Self { per_group: 1000, per_load_balancer: 3000, per_zone: 500 }
    }
}
