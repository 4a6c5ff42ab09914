//! What the checks look at.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use daymark_model::MacAddr;
use ipnet::IpNet;

use crate::cluster::Vips;
use crate::plan::status::Overview;
use crate::speakers::Testimony;
use crate::told::SpeakerObject;

/// Something that could be had, or the reason why not.
pub type Known<T> = Result<T, String>;

/// All that was found out.
#[derive(Debug, Clone)]
pub struct Facts {
    /// From the API server.
    pub cluster: Known<ClusterFacts>,
    /// From this host.
    pub host: Known<HostFacts>,
    /// From the speaker on this host.
    pub speaker: Known<Testimony>,
}

impl Facts {
    /// Why nothing at all could be looked at.
    pub fn nothing(&self) -> Option<String> {
        match (&self.cluster, &self.host) {
            (Err(cluster), Err(host)) => Some(format!("{cluster}; {host}")),
            (Ok(_), _) | (_, Ok(_)) => None,
        }
    }

    /// The addresses of Services, from whoever knows them.
    pub fn vips(&self) -> BTreeSet<IpAddr> {
        let told = self.cluster.as_ref().ok().map(|cluster| cluster.vips.keys().copied());
        let heard = self.speaker.as_ref().ok().map(|speaker| speaker.addresses.iter().map(|a| a.address));
        told.into_iter().flatten().chain(heard.into_iter().flatten()).collect()
    }
}

/// What the API server says.
#[derive(Debug, Clone)]
pub struct ClusterFacts {
    /// The namespace of Daymark's own objects.
    pub namespace: String,
    /// The addresses of each Node, internal ones first.
    pub nodes: BTreeMap<String, Vec<IpAddr>>,
    /// The Speakers.
    pub speakers: Vec<SpeakerObject>,
    /// The addresses of Services.
    pub vips: Vips,
    /// The Announcements that have `l2`.
    pub l2_announcements: Known<Vec<String>>,
    /// The key of the meshes.
    pub mesh_key: MeshKey,
    /// How kube-proxy is configured.
    pub proxy: Known<Option<ProxyConfig>>,
    /// Load balancers in clouds.
    pub cloud: Known<CloudFacts>,
}

/// What the API server says about load balancers in clouds.
#[derive(Debug, Clone)]
pub struct CloudFacts {
    /// How they are.
    pub overview: Overview,
    /// Whether a LoadBalancerProfile has `aws`.
    pub has_profile: bool,
    /// The profiles that serve the class of the AWS Load Balancer Controller.
    pub sharing: Vec<String>,
    /// Whether that controller runs.
    pub rival: Known<Rival>,
    /// What there is of it in the API server.
    pub leftovers: Known<Leftovers>,
}

impl CloudFacts {
    /// Whether Daymark has anything to do with clouds.
    pub fn is_used(&self) -> bool {
        self.has_profile || !self.overview.load_balancers.is_empty()
    }
}

/// Whether the AWS Load Balancer Controller runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rival {
    /// Its Lease is renewed by this holder.
    Running(String),
    /// It has no Lease, or one that nobody renews.
    Gone,
}

/// Objects of the AWS Load Balancer Controller.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Leftovers {
    /// Its webhooks, as `PLURAL/NAME`.
    pub webhooks: Vec<String>,
    /// How many TargetGroupBindings there are.
    pub bindings: usize,
}

/// The Secret with the key of the meshes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MeshKey {
    /// It has one.
    Sound,
    /// It has none of the right length.
    Unusable,
    /// It does not exist.
    Missing,
    /// It could not be read.
    Unread(String),
}

/// How kube-proxy is configured.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProxyConfig {
    /// Its mode: `iptables`, `ipvs`, `nftables`, or empty for the default.
    pub mode: String,
    /// `ipvs.strictARP`.
    pub strict_arp: bool,
}

/// What this host says of itself.
#[derive(Debug, Clone)]
pub struct HostFacts {
    /// The Node that it is.
    pub node: Option<String>,
    /// Its interfaces.
    pub interfaces: Vec<HostInterface>,
    /// Its neighbor table.
    pub neighbors: Known<Vec<Neighbor>>,
    /// UDP ports on which something listens.
    pub udp_ports: Known<BTreeSet<u16>>,
    /// The port of the mesh over the node network.
    pub mesh_port: u16,
    /// What `/healthz` of kube-proxy answers.
    pub proxy_health: Known<u16>,
    /// What the mesh ports of other nodes did when something was sent there.
    pub peers: Vec<Peer>,
    /// The addresses whose answerer was looked for.
    pub probed: BTreeSet<IpAddr>,
}

/// An interface of this host.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HostInterface {
    /// Its number.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// Its Ethernet address.
    pub mac: Option<MacAddr>,
    /// Whether it is switched on.
    pub enabled: bool,
    /// Whether it has a carrier.
    pub carrier: bool,
    /// Whether it is Ethernet, no loopback, and no part of a bond or bridge.
    pub can_answer: bool,
    /// Its addresses with their networks.
    pub networks: Vec<IpNet>,
    /// Whether a default route leaves through it.
    pub has_default_route: bool,
    /// Whether it is Wi-Fi.
    pub wireless: bool,
    /// `net.ipv4.conf`, the greater of `all` and its own.
    pub arp_ignore: Option<u8>,
    /// `net.ipv4.conf`, the greater of `all` and its own.
    pub arp_announce: Option<u8>,
    /// `net.ipv4.conf`, the greater of `all` and its own.
    pub rp_filter: Option<u8>,
}

impl HostInterface {
    /// Whether it may come to answer for one of `vips`.
    pub fn concerns(&self, vips: &BTreeSet<IpAddr>) -> bool {
        self.can_answer && (self.has_default_route || vips.iter().any(|vip| self.has_subnet_of(*vip)))
    }

    /// Whether `address` is its own.
    pub fn has(&self, address: IpAddr) -> bool {
        self.networks.iter().any(|network| network.addr() == address)
    }

    /// Whether one of its networks contains `address`.
    pub fn has_subnet_of(&self, address: IpAddr) -> bool {
        self.networks.iter().any(|n| n.prefix_len() < n.max_prefix_len() && n.contains(&address))
    }
}

/// An entry of the neighbor table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Neighbor {
    /// The number of the interface.
    pub interface: u32,
    /// The address.
    pub address: IpAddr,
    /// Who answered for it.
    pub mac: MacAddr,
    /// How long ago that was.
    pub freshness: Freshness,
}

/// What the kernel thinks of an entry of its neighbor table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Freshness {
    /// An answer came not long ago.
    Confirmed,
    /// The kernel is asking anew, or will.
    Doubtful,
}

/// Another node's mesh port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// The node.
    pub node: String,
    /// Its address.
    pub address: IpAddr,
    /// What came back.
    pub answer: PortAnswer,
}

/// What came back from a UDP port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PortAnswer {
    /// Nothing: whoever listens there throws away what is not sealed, and so may a firewall.
    Silence,
    /// Nobody listens there.
    Refused,
    /// It cannot be reached.
    Unreachable(String),
}
