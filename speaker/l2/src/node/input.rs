//! What the core is told.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use daymark_model::{Interface, InterfaceIndex, TimingProfile};

use crate::member::NodeUid;
use crate::mesh::MeshKeys;
use crate::offer::{AnnouncementId, Offer};
use crate::report::{SegmentTerms, Standing};

/// What does not change while the process lives.
#[derive(Clone)]
pub struct L2Config {
    /// The node.
    pub node: NodeUid,
    /// Its name.
    pub name: String,
    /// The UDP port of the node network's mesh.
    pub port: u16,
    /// What the order of timers comes from; not secret.
    pub seed: u64,
    /// 32 bytes from the kernel's random source, new in each process: what sessions are made of.
    pub sessions: [u8; 32],
}

/// What the node knows of itself from elsewhere.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NodeFacts {
    /// Its InternalIPs.
    pub internal: Vec<IpAddr>,
    /// How it is; [`Standing::stalls`] is found out by the core itself and ignored here, [`Standing::leaving`] is a drain.
    pub standing: Standing,
    /// How it stands toward the Announcements, by interface.
    pub terms: BTreeMap<InterfaceIndex, BTreeMap<AnnouncementId, SegmentTerms>>,
    /// How fast the meshes run: the slowest profile of its Announcements.
    pub profile: TimingProfile,
}

/// Something that happened.
pub enum Input<'a> {
    /// The node's interfaces, all of them.
    Interfaces(Vec<Interface>),
    /// What the node knows of itself.
    Node(NodeFacts),
    /// The keys of the meshes; `None` = there are none, and the node answers for nothing.
    Keys(Option<MeshKeys>),
    /// An address that the node may answer for, or new terms of one.
    Offer(Offer),
    /// An address that the node may no longer answer for.
    Withdraw(IpAddr),
    /// Where other nodes hear the node network's mesh.
    Seeds(Vec<SocketAddr>),
    /// An untagged Ethernet frame from an interface, whole.
    Frame {
        /// The interface.
        interface: InterfaceIndex,
        /// Its bytes.
        frame: &'a [u8],
    },
    /// A datagram from the node network.
    Datagram {
        /// Its source.
        from: SocketAddr,
        /// Its bytes.
        payload: &'a [u8],
    },
    /// The process stood still for so long; what came in meanwhile has been thrown away.
    Stalled(Duration),
    /// The process is to end: hand everything over and say goodbye. [`super::L2::left`] says when that is done.
    Leave,
}
