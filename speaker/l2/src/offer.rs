//! What a node is allowed to answer for, and how much it should.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use daymark_model::{Failback, InterfaceIndex, TimingProfile};
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use crate::member::NodeNameHash;

/// An Announcement, by the hash of its name: what all nodes agree on without exchanging it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct AnnouncementId(pub u64);

impl AnnouncementId {
    /// The id of the Announcement `name`.
    pub fn of(name: &str) -> Self {
        Self(xxh3_64(name.as_bytes()))
    }
}

/// An address that the node may answer for: everything has been decided, and the node can serve it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    /// The address.
    pub address: IpAddr,
    /// The interfaces that may answer.
    pub interfaces: Arc<[InterfaceIndex]>,
    /// What the Announcements say.
    pub terms: Arc<Terms>,
    /// Which nodes can serve it.
    pub servers: Servers,
}

/// What the Announcements that cover an address say together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terms {
    /// Those that cover it on any node, in ascending order: every node has the same list.
    pub announcements: Vec<AnnouncementId>,
    /// This node's preference weight: the sum over those that select it.
    pub weight: u32,
    /// When it goes back to a better node.
    pub failback: Failback,
    /// The time between periodic gratuitous frames; `None` = none.
    pub refresh: Option<Duration>,
    /// How fast the timers run.
    pub profile: TimingProfile,
}

/// Which nodes can serve an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Servers {
    /// Any: the node hands connections on to pods on other nodes (`externalTrafficPolicy: Cluster`).
    Any,
    /// Those with endpoints (`externalTrafficPolicy: Local`).
    Only(Arc<BTreeSet<NodeNameHash>>),
}

impl Servers {
    /// Whether the node with this name can serve.
    pub fn contains(&self, node: NodeNameHash) -> bool {
        match self {
            Self::Any => true,
            Self::Only(nodes) => nodes.contains(&node),
        }
    }
}
