//! What a load balancer should be: from Services, annotations and a profile.
//!
//! | module | about |
//! |---|---|
//! | [`annotations`] | all keys, and where Daymark differs from the AWS Load Balancer Controller |
//! | `written`, `value` | a Service's annotations over its profile's defaults, parsed |
//! | `settings`, `security`, `attributes` | what is written about the load balancer as a whole |
//! | `traffic`, `health`, `actions` | what is written about the ports of a Service |
//! | `ports`, `targets`, `target_groups`, `parts` | listeners and target groups of a Service |
//! | `standing` | what stands of Services that cannot be served as they are written now |
//! | `group` | several Services on one load balancer |
//! | [`build`](fn@build) | all of it |
//! | `options`, `claim` | Daymark's own annotations; whose a Service is |

mod actions;
pub mod annotations;
mod attributes;
mod build;
mod claim;
mod group;
mod health;
mod options;
mod parts;
mod ports;
mod security;
mod settings;
mod standing;
mod target_groups;
mod targets;
mod traffic;
mod value;
mod written;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use daymark_model::aws::{AddressForm, Deletion, Drift, PublishWhen, SubnetPolicy};
use daymark_model::{Family, PortProtocol, ServiceKey};
use ipnet::IpNet;

use crate::api::{
    Attributes, HealthCheck, IpAddressType, NlbProtocol, RuleProtocol, Scheme, Tags, Target, TargetType,
};
use crate::naming::Owner;

pub use build::{Built, Subject, build, check_profile};
pub use claim::{Claimant, ELSEWHERE, claimant, wanted_class};
pub use options::{ServiceOptions, service_options};
pub use standing::Standing;

/// What one CloudLoadBalancer should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Desired {
    /// A network load balancer.
    LoadBalancer(Box<Nlb>),
    /// What lets load balancers reach the nodes.
    NodeAccess(NodeAccess),
    /// A load balancer that stays as it is, but for its targets: none of its Services can be served as it is written now.
    Standing(Standing),
}

/// A network load balancer for one Service, or for the Services of a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Nlb {
    /// On whose behalf.
    pub owner: Owner,
    /// The VPC.
    pub vpc: String,
    /// The name that the user chose.
    pub name: Option<String>,
    /// What exists already and is to be taken over.
    pub adopt: Option<Adopt>,
    /// Where its clients are; `None` = as it is, and internal for a new one.
    pub scheme: Option<Scheme>,
    /// Its families.
    pub ip_address_type: IpAddressType,
    /// Its subnets.
    pub subnets: SubnetWish,
    /// Who may reach it.
    pub security: Security,
    /// Whether security groups hold for traffic through PrivateLink; `None` = as it is.
    pub private_link_rules: Option<bool>,
    /// Prefixes for IPv6 source NAT; `None` = as it is.
    pub source_nat: Option<bool>,
    /// The attributes that somebody asked for; others stay as they are.
    pub attributes: Attributes,
    /// Reserved capacity units; `None` = as it is.
    pub capacity: Option<u32>,
    /// Tags on everything, beside ours.
    pub tags: Tags,
    /// Its listeners, by port.
    pub listeners: BTreeMap<u16, ListenerWish>,
    /// Its target groups, by role ([`crate::naming::kind::TARGET_GROUP`]).
    pub target_groups: BTreeMap<String, TargetGroupWish>,
    /// What it keeps of Services that cannot be served as they are written now.
    pub standing: Standing,
    /// The security group that nodes let in.
    pub node_access: NodeAccessState,
    /// How it is treated.
    pub policy: NlbPolicy,
}

/// How a load balancer is treated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NlbPolicy {
    /// How its subnets follow those that are found.
    pub subnets: SubnetPolicy,
    /// What is done about changes that others made.
    pub drift: Drift,
    /// What becomes of it in the end.
    pub deletion: Deletion,
    /// When its address is published.
    pub publish: PublishWhen,
    /// How its address is published.
    pub address_form: AddressForm,
    /// How long it stays beside its replacement.
    pub replacement_grace: Duration,
}

/// What exists already and is to be taken over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Adopt {
    /// This load balancer. It is not ours: its listeners on our ports are managed, and it is never deleted.
    Arn(String),
    /// What the AWS Load Balancer Controller made for a Service; it becomes ours.
    Lbc {
        /// Its `elbv2.k8s.aws/cluster`.
        cluster: String,
        /// Its `service.k8s.aws/stack`: `NAMESPACE/NAME`.
        stack: String,
    },
}

/// Which subnets.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SubnetWish {
    /// Ids (`subnet-…`) or values of the tag `Name`, in order; empty = those that are found by tags.
    pub named: Vec<String>,
    /// Elastic IPs, one per named subnet, in the order of the subnets; empty = AWS's own addresses.
    pub allocations: Vec<String>,
    /// Private IPv4 addresses, one in each subnet.
    pub private: Vec<Ipv4Addr>,
    /// IPv6 addresses, one in each subnet.
    pub ipv6: Vec<Ipv6Addr>,
    /// Prefixes for IPv6 source NAT, one per subnet, in the order of the subnets; empty = AWS's choice.
    pub source_nat_prefixes: Vec<String>,
}

/// Who may reach a load balancer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Security {
    /// A security group of our own lets these in on the ports of the listeners.
    Managed {
        /// CIDRs.
        sources: BTreeSet<IpNet>,
        /// Prefix lists (`pl-…`).
        prefix_lists: BTreeSet<String>,
        /// ICMP for path MTU discovery too.
        path_mtu: bool,
    },
    /// These security groups, ids or values of the tag `Name`, as the user keeps them.
    Given {
        /// Which.
        groups: Vec<String>,
        /// With the group that nodes let in.
        node_access: bool,
    },
    /// None, for ever.
    Off,
}

/// The state of what lets a load balancer reach the nodes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NodeAccessState {
    /// The user sees to it.
    NotManaged,
    /// The security group does not exist yet.
    Awaited,
    /// This security group is let in.
    Group(String),
}

/// A listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListenerWish {
    /// Its port.
    pub port: u16,
    /// Its protocol.
    pub protocol: NlbProtocol,
    /// Where its traffic goes, at least one.
    pub forward: Vec<ForwardWish>,
    /// How TLS is ended (protocol TLS).
    pub tls: Option<Tls>,
    /// The attributes that somebody asked for.
    pub attributes: Attributes,
    /// The Service ports that it serves: one, or TCP and UDP together.
    pub serves: Vec<(ServiceKey, PortProtocol)>,
}

/// Where how much of the traffic goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForwardWish {
    /// Where.
    pub to: Backend,
    /// How much, relative to the others: 0 to 999.
    pub weight: u32,
}

/// A target group that a listener forwards to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Backend {
    /// Ours, by role.
    Role(String),
    /// Somebody else's, by ARN.
    Arn(String),
}

/// How TLS is ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tls {
    /// The default certificate's ARN.
    pub certificate: String,
    /// Further certificates (SNI).
    pub more: BTreeSet<String>,
    /// The security policy.
    pub policy: String,
    /// The ALPN policy; `None` = as it is.
    pub alpn: Option<String>,
}

/// A target group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TargetGroupWish {
    /// The Service whose port it serves.
    pub service: ServiceKey,
    /// That port; for TCP and UDP together the TCP one.
    pub service_port: PortProtocol,
    /// Its protocol.
    pub protocol: NlbProtocol,
    /// What its targets are.
    pub target_type: TargetType,
    /// Their family.
    pub family: Family,
    /// The port of targets that are registered without one; ours all have one, so it never matters again.
    pub port: u16,
    /// How targets are checked.
    pub health: HealthCheck,
    /// The attributes that somebody asked for.
    pub attributes: Attributes,
    /// Who gets its traffic, before quotas. An address's `zone` is the pod's; it matters only outside the VPC.
    pub targets: BTreeSet<Target>,
}

/// A range of ports on nodes or pods.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PortRange {
    /// TCP or UDP.
    pub protocol: RuleProtocol,
    /// The first port.
    pub from: u16,
    /// The last port.
    pub to: u16,
}

/// What lets the load balancers of a profile reach the nodes: one security group on all of them, and rules that let it
/// into the security groups of the nodes, one for each protocol.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeAccess {
    /// On whose behalf.
    pub owner: Owner,
    /// The VPC.
    pub vpc: String,
    /// The security groups of the nodes; empty = those tagged `kubernetes.io/cluster/<cluster>`.
    pub node_groups: Vec<String>,
    /// What is let in: at most one range for each protocol.
    pub ranges: BTreeSet<PortRange>,
    /// What is done with rules beyond those ranges.
    pub surplus: Surplus,
    /// Tags, beside ours.
    pub tags: Tags,
}

/// What is done with our rules that no load balancer is known to need.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Surplus {
    /// They are revoked.
    #[default]
    Revoke,
    /// They stay: what some load balancer needs cannot be told, because its Service is refused.
    Keep,
}

impl Nlb {
    /// Whether every zone's addresses lead to the targets of all zones.
    pub fn is_across_zones(&self) -> bool {
        self.attributes.get("load_balancing.cross_zone.enabled").is_some_and(|value| value == "true")
    }

    /// The ports on nodes or pods that it must reach: one range for each protocol.
    pub fn node_ranges(&self) -> BTreeSet<PortRange> {
        let mut single = Vec::new();
        for group in self.target_groups.values() {
            let protocols: &[RuleProtocol] = match group.protocol {
                NlbProtocol::Tcp | NlbProtocol::Tls => &[RuleProtocol::Tcp],
                NlbProtocol::Udp => &[RuleProtocol::Udp],
                NlbProtocol::TcpUdp => &[RuleProtocol::Tcp, RuleProtocol::Udp],
            };
            let mut cover = |protocol, port| single.push(PortRange { protocol, from: port, to: port });
            for port in group.targets.iter().map(|target| target.port).chain([group.port]) {
                protocols.iter().for_each(|protocol| cover(*protocol, port));
                if group.health.port.is_none() {
                    cover(RuleProtocol::Tcp, port);
                }
            }
            if let Some(port) = group.health.port {
                cover(RuleProtocol::Tcp, port);
            }
        }
        joined(single)
    }
}

/// One range for each protocol that covers all `ranges` of it.
pub fn joined(ranges: impl IntoIterator<Item = PortRange>) -> BTreeSet<PortRange> {
    let mut joined: BTreeMap<RuleProtocol, PortRange> = BTreeMap::new();
    for range in ranges {
        let whole = joined.entry(range.protocol).or_insert(range);
        (whole.from, whole.to) = (whole.from.min(range.from), whole.to.max(range.to));
    }
    joined.into_values().collect()
}
