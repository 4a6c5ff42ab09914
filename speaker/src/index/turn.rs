//! What goes into a turn of the index, and what comes out of it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use daymark_announce::{L2Standing, Observation, Probes, ServiceView, SliceView};
use daymark_bgp::RouteChange;
use daymark_config::native::SpeakerSettings;
use daymark_kube::views::node::NodeFacts;
use daymark_l2::node::NodeFacts as L2Facts;
use daymark_model::{Announcement, Interface, Labels, Neighbor, NeighborName, Pool};

use super::Leaving;
use crate::l2;

/// Something that changed.
#[derive(Debug)]
pub enum Update {
    /// Services of type LoadBalancer.
    Services(daymark_kube::Update<ServiceView>),
    /// EndpointSlices.
    EndpointSlices(daymark_kube::Update<SliceView>),
    /// The labels of Namespaces.
    Namespaces(daymark_kube::Update<Labels>),
    /// The accepted AddressPools.
    Pools(daymark_kube::Update<Pool>),
    /// The accepted Announcements.
    Announcements(daymark_kube::Update<Announcement>),
    /// The accepted BgpNeighbors.
    Neighbors(daymark_kube::Update<Neighbor>),
    /// The node's own Node object.
    Node(daymark_kube::Update<NodeFacts>),
    /// The node's own Speaker object: the operator's word.
    Speaker(daymark_kube::Update<SpeakerSettings>),
    /// What the kernel says.
    Network(Network),
    /// Whether there is a key for the meshes of layer 2.
    MeshKey(L2Standing),
    /// Whether nothing has been heard from the API server for over a minute.
    ApiStale(bool),
    /// What the service proxy says of its rules.
    Proxy(Observation),
    /// What the service proxy's `/healthz` says.
    ProxyHealth {
        /// When it was asked.
        asked: Instant,
        /// The HTTP status; `None` when nothing answers.
        status: Option<u16>,
    },
}

/// What the kernel says of the host.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Network {
    /// Its addresses.
    pub addresses: BTreeSet<IpAddr>,
    /// The next hops of its routes.
    pub next_hops: BTreeSet<IpAddr>,
    /// The interfaces on which ARP and NDP can be answered.
    pub interfaces: Vec<Interface>,
}

/// What has to be done after a turn; everything in it is a change.
#[derive(Debug, Default)]
pub struct Output {
    /// The neighbors to hold sessions with, by name, when they or what identifies the node to them changed.
    pub neighbors: Option<Vec<Neighbor>>,
    /// Routes by neighbor.
    pub routes: BTreeMap<NeighborName, Vec<RouteChange>>,
    /// Addresses that the node may answer ARP and NDP for, and those that it no longer may.
    pub l2: Vec<l2::Change>,
    /// How the node stands on its segments, when that changed.
    pub l2_facts: Option<L2Facts>,
    /// All that was there at the start has been decided: End-of-RIB may go. Said once.
    pub synced: bool,
    /// What to ask the service proxy, when that changed.
    pub probes: Option<Probes>,
    /// How long each address waited that went out through the gate.
    pub waits: Vec<Duration>,
    /// How the node leaves and comes back.
    pub leaving: Vec<Leaving>,
    /// Facts, reasons or problems changed: the Speaker's status may have to be written.
    pub report: bool,
}

impl Output {
    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.neighbors.is_none()
            && self.routes.is_empty()
            && self.l2.is_empty()
            && self.l2_facts.is_none()
            && !self.synced
            && self.probes.is_none()
            && self.waits.is_empty()
            && self.leaving.is_empty()
            && !self.report
    }
}
