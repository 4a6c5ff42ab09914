//! What AWS's answers say, as far as Daymark reads it.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

use daymark_model::Family;

/// Tags.
pub type Tags = BTreeMap<String, String>;
/// Attributes of a load balancer, target group or listener.
pub type Attributes = BTreeMap<String, String>;

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name { $($(#[$variant_doc])* $variant,)* }

        impl $name {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// AWS's word.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }

            /// The one that AWS calls `word`.
            pub fn parse(word: &str) -> Option<Self> {
                match word { $($text => Some(Self::$variant),)* _ => None }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

words! {
    /// Where clients of a load balancer are.
    Scheme {
        /// In the VPC and what is connected to it.
        Internal = "internal",
        /// Anywhere.
        InternetFacing = "internet-facing",
    }
}
words! {
    /// The families that a load balancer has addresses of.
    IpAddressType {
        /// IPv4.
        Ipv4 = "ipv4",
        /// IPv4 and IPv6.
        Dualstack = "dualstack",
    }
}
words! {
    /// The protocol of a listener or target group.
    NlbProtocol {
        /// TCP.
        Tcp = "TCP",
        /// UDP.
        Udp = "UDP",
        /// TCP and UDP on one port.
        TcpUdp = "TCP_UDP",
        /// TLS.
        Tls = "TLS",
    }
}
words! {
    /// The protocol of a health check.
    HealthProtocol {
        /// A connection is enough.
        Tcp = "TCP",
        /// HTTP.
        Http = "HTTP",
        /// HTTPS.
        Https = "HTTPS",
    }
}
words! {
    /// What a target is.
    TargetType {
        /// An EC2 instance, reached at a node port.
        Instance = "instance",
        /// An address, reached at a pod's port.
        Ip = "ip",
    }
}
words! {
    /// The state of a load balancer.
    LoadBalancerState {
        /// It is being made.
        Provisioning = "provisioning",
        /// It works.
        Active = "active",
        /// It works, and lacks capacity.
        ActiveImpaired = "active_impaired",
        /// It could not be made.
        Failed = "failed",
    }
}
words! {
    /// The state of a target.
    TargetState {
        /// Its first checks run.
        Initial = "initial",
        /// It passes its checks.
        Healthy = "healthy",
        /// It fails them.
        Unhealthy = "unhealthy",
        /// Its health checks run again.
        UnhealthyDraining = "unhealthy.draining",
        /// Its target group has no listener, its zone is not enabled, or the instance is stopped.
        Unused = "unused",
        /// It was deregistered and finishes its connections.
        Draining = "draining",
        /// Health checks are off.
        Unavailable = "unavailable",
    }
}

/// An address of a load balancer in a zone.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ZoneAddress {
    /// The Elastic IP (`eipalloc-…`).
    pub allocation: Option<String>,
    /// The public address.
    pub public: Option<Ipv4Addr>,
    /// The private address.
    pub private: Option<Ipv4Addr>,
    /// The IPv6 address.
    pub ipv6: Option<Ipv6Addr>,
}

/// A zone in which a load balancer is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Zone {
    /// The zone's name.
    pub name: String,
    /// The subnet.
    pub subnet: String,
    /// The address there; AWS does not always tell it.
    pub address: ZoneAddress,
    /// The prefix for IPv6 source NAT.
    pub source_nat_prefix: Option<String>,
}

/// A load balancer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoadBalancer {
    /// Its ARN.
    pub arn: String,
    /// Its name.
    pub name: String,
    /// Its DNS name.
    pub dns_name: String,
    /// The hosted zone of its DNS name.
    pub hosted_zone: String,
    /// Whether it is a network load balancer.
    pub is_network: bool,
    /// Where its clients are.
    pub scheme: Scheme,
    /// Its state.
    pub state: LoadBalancerState,
    /// Why it is in that state.
    pub state_reason: Option<String>,
    /// Its VPC.
    pub vpc: String,
    /// Its families.
    pub ip_address_type: IpAddressType,
    /// Its zones.
    pub zones: Vec<Zone>,
    /// Its security groups; none for ever where it was made without.
    pub security_groups: Vec<String>,
    /// Whether security groups hold for traffic through PrivateLink; `None` where AWS does not tell.
    pub private_link_rules: Option<bool>,
    /// Whether it has prefixes for IPv6 source NAT.
    pub source_nat: bool,
}

/// What a load balancer is to have in one subnet.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct SubnetMapping {
    /// The subnet.
    pub subnet: String,
    /// The Elastic IP.
    pub allocation: Option<String>,
    /// The private address.
    pub private: Option<Ipv4Addr>,
    /// The IPv6 address.
    pub ipv6: Option<Ipv6Addr>,
    /// The prefix for IPv6 source NAT: a /80, or `auto_assigned`.
    pub source_nat_prefix: Option<String>,
}

/// How targets are checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthCheck {
    /// The protocol.
    pub protocol: HealthProtocol,
    /// The port; `None` = the port that the target gets traffic on.
    pub port: Option<u16>,
    /// The path (HTTP and HTTPS).
    pub path: Option<String>,
    /// The codes of success (HTTP and HTTPS): `200-399`.
    pub codes: Option<String>,
    /// Seconds between two checks.
    pub interval: u32,
    /// Seconds after which a check has failed.
    pub timeout: u32,
    /// Successes that make a target healthy.
    pub healthy: u32,
    /// Failures that make it unhealthy.
    pub unhealthy: u32,
}

/// A target group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TargetGroup {
    /// Its ARN.
    pub arn: String,
    /// Its name.
    pub name: String,
    /// Its protocol.
    pub protocol: NlbProtocol,
    /// The port of targets that are registered without one.
    pub port: u16,
    /// What its targets are.
    pub target_type: TargetType,
    /// The family of its targets.
    pub family: Family,
    /// Its VPC.
    pub vpc: String,
    /// How targets are checked.
    pub health: HealthCheck,
    /// The load balancers that forward to it: at most one.
    pub load_balancers: Vec<String>,
}

/// A target.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Target {
    /// `i-…`, or an address.
    pub id: String,
    /// Its port.
    pub port: u16,
    /// `all` for an address outside the VPC; a zone's name; `None` otherwise.
    pub zone: Option<String>,
}

/// A target and how it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TargetHealth {
    /// The target.
    pub target: Target,
    /// How it is.
    pub state: TargetState,
    /// Why: `Elb.RegistrationInProgress`, `Target.FailedHealthChecks`.
    pub reason: Option<String>,
}

/// To which target group how much of a listener's traffic goes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Forward {
    /// The target group's ARN.
    pub target_group: String,
    /// Its weight, 0 to 999; 1 where it is the only one.
    pub weight: u32,
}

/// A listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listener {
    /// Its ARN.
    pub arn: String,
    /// The load balancer's ARN.
    pub load_balancer: String,
    /// Its port.
    pub port: u16,
    /// Its protocol.
    pub protocol: NlbProtocol,
    /// Where its traffic goes, sorted.
    pub forward: Vec<Forward>,
    /// The default certificate (TLS).
    pub certificate: Option<String>,
    /// The security policy (TLS).
    pub policy: Option<String>,
    /// The ALPN policy (TLS).
    pub alpn: Option<String>,
}

/// A quota of the account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limit {
    /// Its name: `targets-per-network-load-balancer`.
    pub name: String,
    /// How many there may be.
    pub max: u32,
}

/// A subnet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subnet {
    /// `subnet-…`.
    pub id: String,
    /// Its VPC.
    pub vpc: String,
    /// Its zone.
    pub zone: String,
    /// Its IPv4 prefix.
    pub ipv4: ipnet::Ipv4Net,
    /// Its IPv6 prefixes.
    pub ipv6: Vec<ipnet::Ipv6Net>,
    /// How many IPv4 addresses are free.
    pub available: u32,
    /// Its tags.
    pub tags: Tags,
}

/// A security group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecurityGroup {
    /// `sg-…`.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its VPC.
    pub vpc: String,
    /// Its tags.
    pub tags: Tags,
}

/// Whose traffic a rule lets in.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Peer {
    /// These addresses.
    Cidr(ipnet::IpNet),
    /// Those of this prefix list (`pl-…`).
    PrefixList(String),
    /// Those of this security group (`sg-…`).
    Group(String),
}

words! {
    /// The protocol of a rule.
    RuleProtocol {
        /// TCP.
        Tcp = "tcp",
        /// UDP.
        Udp = "udp",
        /// ICMP.
        Icmp = "icmp",
        /// ICMPv6.
        Icmpv6 = "icmpv6",
        /// Any.
        All = "-1",
    }
}

/// What a rule of a security group lets in.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ingress {
    /// The protocol.
    pub protocol: RuleProtocol,
    /// The first port, or the ICMP type.
    pub from: i32,
    /// The last port, or the ICMP code.
    pub to: i32,
    /// Whose traffic.
    pub peer: Peer,
}

/// A rule of a security group that lets something in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IngressRule {
    /// `sgr-…`.
    pub id: String,
    /// The security group.
    pub group: String,
    /// What it lets in.
    pub ingress: Ingress,
    /// Its description.
    pub description: String,
}

/// A network interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetworkInterface {
    /// `eni-…`.
    pub id: String,
    /// Its description: `ELB net/…`.
    pub description: String,
    /// Its security groups.
    pub security_groups: Vec<String>,
}

/// A VPC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vpc {
    /// `vpc-…`.
    pub id: String,
    /// Its prefixes of both families.
    pub cidrs: Vec<ipnet::IpNet>,
}

/// A route table, as far as reachability matters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteTable {
    /// The subnets that use it.
    pub subnets: Vec<String>,
    /// Whether it holds for subnets that name none.
    pub is_main: bool,
    /// Whether a route leads to an internet gateway.
    pub is_public: bool,
}

/// An Elastic IP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ElasticIp {
    /// `eipalloc-…`.
    pub allocation: String,
    /// The address.
    pub address: Ipv4Addr,
    /// Whether something uses it.
    pub in_use: bool,
}
