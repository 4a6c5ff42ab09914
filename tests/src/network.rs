//! The lab's networks and its address plan.
//!
//! | network | who | IPv4 | IPv6 |
//! |---|---|---|---|
//! | `nodenet` | API server .2, nodes .11-, controllers .201- | 10.10.0.0/24 | fd00:10::/64 |
//! | `upstream` | routers .1-, nodes .11-, LAN clients .201-, prober .250 | 10.20.0.0/24 | fd00:20::/64 |
//! | `clients` | routers .1-, clients .101- | 10.30.0.0/24 | fd00:30::/64 |
//! | pods of node i | gateway .1, pods .2- | 10.244.i.0/24 | fd00:244:0:i::/64 |
//! | Service ClusterIPs | | 10.96.0.0/16 | fd00:96::/108 |
//!
//! The host part is the same digits in both families. The three networks are bridges in the lab's namespace `sw`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use anyhow::Result;

use crate::lan::attachment::Attachment;
use crate::lan::record::Time;
use crate::netns::{Netns, ip_batch};
use crate::sweep::LabId;

/// A bridge of the lab; also the name of a host's interface on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Network {
    /// Where nodes and API server talk.
    Nodenet,
    /// Between nodes and routers; the LAN on which nodes announce by ARP and NDP.
    Upstream,
    /// Behind the routers.
    Clients,
}

impl Network {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Nodenet, Self::Upstream, Self::Clients];

    /// The name of the bridge and of each host's interface on it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Nodenet => "nodenet",
            Self::Upstream => "upstream",
            Self::Clients => "clients",
        }
    }

    fn number(self) -> u8 {
        match self {
            Self::Nodenet => 10,
            Self::Upstream => 20,
            Self::Clients => 30,
        }
    }

    /// The addresses of host `host` on this network.
    pub fn addresses(self, host: u8) -> DualStack {
        let v6 = format!("fd00:{}::{host}", self.number());
        DualStack {
            v4: Ipv4Addr::new(10, self.number(), 0, host),
            v6: v6.parse().unwrap_or(Ipv6Addr::UNSPECIFIED),
        }
    }

    /// Its IPv4 prefix.
    pub fn prefix_v4(self) -> String {
        format!("10.{}.0.0/24", self.number())
    }

    /// Its IPv6 prefix.
    pub fn prefix_v6(self) -> String {
        format!("fd00:{}::/64", self.number())
    }
}

/// One address of each family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DualStack {
    /// The IPv4 address.
    pub v4: Ipv4Addr,
    /// The IPv6 address.
    pub v6: Ipv6Addr,
}

impl DualStack {
    /// Both, IPv4 first.
    pub fn both(self) -> [IpAddr; 2] {
        [self.v4.into(), self.v6.into()]
    }
}

/// All pod addresses, as kube-proxy wants to know them.
pub const CLUSTER_CIDR: &str = "10.244.0.0/16,fd00:244::/48";
/// The ClusterIP ranges.
pub const SERVICE_CIDR: &str = "10.96.0.0/16,fd00:96::/108";

/// The pod prefixes of node number `node`.
pub fn pod_cidrs(node: u8) -> [String; 2] {
    [format!("10.244.{node}.0/24"), format!("fd00:244:0:{node}::/64")]
}

/// The addresses of pod number `pod` on node number `node`; number 1 is the node's side of every pod's link.
pub fn pod_addresses(node: u8, pod: u8) -> DualStack {
    let v6 = format!("fd00:244:0:{node}::{pod}");
    DualStack { v4: Ipv4Addr::new(10, 244, node, pod), v6: v6.parse().unwrap_or(Ipv6Addr::UNSPECIFIED) }
}

/// Kernel parameters of every namespace, set before it has an interface. Addresses are usable at once (no duplicate
/// address detection), nothing is learned from router advertisements, every host forwards.
const SYSCTLS: &[(&str, &str)] = &[
    ("ipv6/conf/all/disable_ipv6", "0"),
    ("ipv6/conf/default/disable_ipv6", "0"),
    ("ipv6/conf/default/accept_dad", "0"),
    ("ipv6/conf/default/dad_transmits", "0"),
    ("ipv6/conf/default/accept_ra", "0"),
    ("ipv4/conf/all/rp_filter", "0"),
    ("ipv4/conf/default/rp_filter", "0"),
    // The kernel's default may be bbr, whose pacing would make figures differ between machines; a namespace may always
    // choose reno, cubic only where the root namespace allows it.
    ("ipv4/tcp_congestion_control", "reno"),
];
/// Parameters of namespaces that route.
const ROUTING_SYSCTLS: &[(&str, &str)] = &[
    ("ipv4/ip_forward", "1"),
    ("ipv6/conf/all/forwarding", "1"),
    // Choose among equal paths by ports too: one client reaches all nodes.
    ("ipv4/fib_multipath_hash_policy", "1"),
    ("ipv6/fib_multipath_hash_policy", "1"),
];

/// How a host is connected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Wiring {
    /// Its kernel detects duplicate addresses before it uses its own.
    pub(crate) kernel_dad: bool,
    /// Its LAN interface has `disable_ipv6`.
    pub(crate) lan_without_ipv6: bool,
    /// How it hangs on the LAN.
    pub(crate) attachment: Attachment,
}

/// A time in which what a host sends does not get past its port.
#[derive(Clone, Debug)]
pub(crate) struct Mute {
    pub(crate) port: String,
    pub(crate) from: Time,
    pub(crate) to: Option<Time>,
}

/// The switches of a lab, and the maker of hosts on them.
#[derive(Debug)]
pub struct Switches {
    lab: LabId,
    netns: Netns,
    ports: AtomicU32,
    mutes: Arc<Mutex<Vec<Mute>>>,
}

impl Switches {
    /// Makes the namespace with the bridges.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub async fn make(lab: LabId) -> Result<Self> {
        let netns = Netns::named(lab.netns("sw"));
        ip_batch(None, &[format!("netns add {}", netns.name())]).await?;
        let mut lines = Vec::new();
        for network in Network::ALL {
            let name = network.name();
            lines.push(format!("link add {name} type bridge forward_delay 0 stp_state 0 mcast_snooping 0"));
            lines.push(format!("link set {name} addrgenmode none"));
            lines.push(format!("link set {name} up"));
        }
        netns.ip_batch(&lines).await?;
        Ok(Self { lab, netns, ports: AtomicU32::new(0), mutes: Arc::default() })
    }

    /// The namespace with the bridges, for captures (`tcpdump`) and broken links.
    pub fn netns(&self) -> &Netns {
        &self.netns
    }

    /// The lab's name.
    pub(crate) fn lab(&self) -> LabId {
        self.lab
    }

    /// When which port swallowed what its host sent.
    pub(crate) fn mutes(&self) -> &Arc<Mutex<Vec<Mute>>> {
        &self.mutes
    }

    /// Makes a namespace for `host` without an interface.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub async fn host(&self, host: &str) -> Result<Netns> {
        let netns = Netns::named(self.lab.netns(host));
        ip_batch(None, &[format!("netns add {}", netns.name())]).await?;
        let sysctls: Vec<_> = SYSCTLS.iter().chain(ROUTING_SYSCTLS).copied().collect();
        netns.sysctl(&sysctls).await?;
        netns.ip("link set lo up").await?;
        Ok(netns)
    }

    /// Connects `netns` to networks, under a host number on each. The switch's end of the link carries the host's name
    /// as its alias.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub async fn connect(&self, netns: &Netns, networks: &[(Network, u8)]) -> Result<()> {
        self.connect_as(netns, networks, Wiring::default()).await
    }

    /// As [`Switches::connect`], with a wiring of its own.
    pub(crate) async fn connect_as(
        &self,
        netns: &Netns,
        networks: &[(Network, u8)],
        wiring: Wiring,
    ) -> Result<()> {
        let mut links = Vec::new();
        let mut switch = Vec::new();
        let mut uppers = Vec::new();
        let mut host = Vec::new();
        for (network, number) in networks {
            let name = network.name();
            let lan = *network == Network::Upstream;
            let attachment = if lan { wiring.attachment } else { Attachment::Direct };
            for cable in attachment.cables(name) {
                let port = format!("port{}", self.ports.fetch_add(1, Ordering::Relaxed));
                let (here, there) = (netns.name(), self.netns.name());
                links.push(format!("link add {cable} netns {here} type veth peer name {port} netns {there}"));
                switch.push(format!("link set {port} addrgenmode none alias {here}"));
                switch.push(format!("link set {port} master {name} up"));
            }
            uppers.extend(attachment.lines(name));
            let addresses = network.addresses(*number);
            host.push(format!("addr add {}/24 dev {name}", addresses.v4));
            if !(lan && wiring.lan_without_ipv6) {
                let nodad = if wiring.kernel_dad { "" } else { " nodad" };
                host.push(format!("addr add {}/64 dev {name}{nodad}", addresses.v6));
            }
            host.push(format!("link set {name} up"));
        }
        ip_batch(None, &links).await?;
        self.netns.ip_batch(&switch).await?;
        netns.ip_batch(&uppers).await?;
        if wiring.lan_without_ipv6 {
            let parameter = format!("ipv6/conf/{}/disable_ipv6", Network::Upstream.name());
            netns.sysctl(&[(&parameter, "1")]).await?;
        }
        netns.ip_batch(&host).await
    }

    /// The switch's ports to `host` on `network`, as interfaces of [`Switches::netns`]: one, or as many as it has cables.
    ///
    /// # Errors
    /// When the host is not on that network.
    pub async fn ports(&self, host: &Netns, network: Network) -> Result<Vec<String>> {
        let text = self.netns.ip(&format!("-json link show master {}", network.name())).await?;
        let links: Vec<serde_json::Value> = serde_json::from_str(&text)?;
        let ports = links.iter().filter(|link| link["ifalias"] == host.name());
        let names: Vec<String> =
            ports.filter_map(|link| link["ifname"].as_str()).map(str::to_owned).collect();
        anyhow::ensure!(!names.is_empty(), "{} is not on {}", host.name(), network.name());
        Ok(names)
    }
}

/// Words of `ip route`: a route to `destination` over all `gateways` with equal weight.
pub fn multipath(destination: &str, gateways: impl IntoIterator<Item = IpAddr>) -> String {
    let hops: Vec<String> = gateways.into_iter().map(|gateway| format!("nexthop via {gateway}")).collect();
    format!("route replace {destination} {}", hops.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_families_carry_the_same_digits() {
        assert_eq!(Network::Upstream.addresses(11).v4.to_string(), "10.20.0.11");
        assert_eq!(Network::Upstream.addresses(11).v6.to_string(), "fd00:20::11");
        assert_eq!(pod_addresses(2, 3).v6.to_string(), "fd00:244:0:2::3");
    }
}
