//! What real LANs and hosts have and a bare lab has not: duplicate address detection by the kernels, switches that deliver
//! multicast only where somebody joined, host firewalls, hosts without IPv6.

use std::collections::BTreeMap;

use anyhow::Result;

use super::attachment::Attachment;
use crate::netns::Netns;
use crate::network::{Network, Switches, Wiring};

/// The environment of a lab.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Environment {
    /// Kernels detect duplicate addresses as they do by default.
    pub kernel_dad: bool,
    /// The LAN's switch snoops on MLD and IGMP, and queries.
    pub snooping: bool,
    /// Nodes drop what comes in, but for what every node lets in.
    pub host_firewall: bool,
    /// The nodes' LAN interface has `disable_ipv6`.
    pub lan_without_ipv6: bool,
    /// How nodes hang on the LAN, by number; the others directly.
    pub attachments: BTreeMap<u8, Attachment>,
    /// The VLAN of all stations and of all nodes that hang on the LAN directly.
    pub vlan: Option<u16>,
}

/// The kernel's own values.
const KERNEL_DAD: &[(&str, &str)] =
    &[("ipv6/conf/default/accept_dad", "1"), ("ipv6/conf/default/dad_transmits", "1")];

/// What nodes let in: what they asked for, the control protocols of IPv6 (RFC 4890), kubelet, kube-proxy's health, the mesh
/// of Daymark on the node network, node ports.
const FIREWALL: &str = "
table inet host-firewall {
  chain input {
    type filter hook input priority 0; policy drop;
    iifname lo accept
    ct state established,related accept
    ip6 nexthdr ipv6-icmp icmpv6 type { destination-unreachable, packet-too-big, time-exceeded, parameter-problem, mld-listener-query, mld-listener-report, mld-listener-done, mld2-listener-report, nd-router-solicit, nd-router-advert, nd-neighbor-solicit, nd-neighbor-advert } accept
    ip6 nexthdr hopopt icmpv6 type { mld-listener-query, mld-listener-report, mld2-listener-report } accept
    tcp dport { 6443, 10250, 10256 } accept
    iifname nodenet udp dport 7947 accept
    tcp dport 30000-32767 accept
    udp dport 30000-32767 accept
  }
}
";

impl Environment {
    /// What `LAB_ENVIRONMENT` names for every lab of this process: `kernel-dad`, `snooping`, `host-firewall`.
    pub(crate) fn asked_for() -> Self {
        let words = std::env::var("LAB_ENVIRONMENT").unwrap_or_default();
        let has = |wanted: &str| words.split_whitespace().any(|word| word == wanted);
        Self {
            kernel_dad: has("kernel-dad"),
            snooping: has("snooping"),
            host_firewall: has("host-firewall"),
            ..Self::default()
        }
    }

    /// Sets what must stand before a namespace has interfaces.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub(crate) async fn prepare_station(&self, netns: &Netns) -> Result<()> {
        if self.kernel_dad {
            netns.sysctl(KERNEL_DAD).await?;
        }
        Ok(())
    }

    /// How stations are connected.
    pub(crate) fn of_stations(&self) -> Wiring {
        Wiring { kernel_dad: self.kernel_dad, lan_without_ipv6: false, attachment: self.direct() }
    }

    /// How node number `number` is connected.
    pub(crate) fn of_node(&self, number: u8) -> Wiring {
        let attachment = self.attachments.get(&number).copied().unwrap_or_else(|| self.direct());
        Wiring { kernel_dad: self.kernel_dad, lan_without_ipv6: self.lan_without_ipv6, attachment }
    }

    /// Puts up the firewall of a node.
    ///
    /// # Errors
    /// When nft refuses.
    pub(crate) async fn fortify(&self, node: &Netns) -> Result<()> {
        if self.host_firewall { node.nft(FIREWALL).await } else { Ok(()) }
    }

    /// Turns snooping on. Queries come every two seconds, so that a lab need not wait for minutes.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub(crate) async fn prepare_switches(&self, switches: &Switches) -> Result<()> {
        if !self.snooping {
            return Ok(());
        }
        let lan = Network::Upstream.name();
        let lines = [
            // MLD queries come from a link-local address (RFC 3810 section 5.1.14).
            format!("addr add fe80::ffff/64 dev {lan} nodad"),
            format!(
                "link set {lan} type bridge mcast_query_interval 200 mcast_query_response_interval 50 \
                 mcast_membership_interval 500 mcast_startup_query_interval 50"
            ),
            format!("link set {lan} type bridge mcast_snooping 1 mcast_querier 1"),
        ];
        switches.netns().ip_batch(&lines).await
    }

    fn direct(&self) -> Attachment {
        self.vlan.map_or(Attachment::Direct, Attachment::Vlan)
    }
}
