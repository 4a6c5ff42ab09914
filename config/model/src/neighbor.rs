//! BGP neighbors: the routers that a node's speaker holds sessions with.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use crate::address::Family;
use crate::bgp::{Asn, RouterId};
use crate::name::NeighborName;
use crate::selector::{Labels, Selector};

/// A router toward which nodes announce.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Neighbor {
    /// Its name.
    pub name: NeighborName,
    /// The labels of the BgpNeighbor object, for an Announcement's `neighborSelector`.
    pub labels: Labels,
    /// The nodes that hold a session with it; `None` = all.
    pub node_selector: Option<Selector>,
    /// Its address.
    pub address: IpAddr,
    /// Its TCP port.
    pub port: u16,
    /// Do not connect; wait for it to connect to us.
    pub passive: bool,
    /// Its AS.
    pub peer_asn: PeerAsn,
    /// Our AS toward it.
    pub local_asn: LocalAsn,
    /// Our BGP identifier toward it; `None` = the node's.
    pub router_id: Option<RouterId>,
    /// Where our end of the session is.
    pub source: Option<SessionSource>,
    /// Timers of the session.
    pub timers: Timers,
    /// How far away it may be.
    pub path: PeerPath,
    /// The families announced to it.
    pub families: BTreeSet<Family>,
}

/// The AS that a neighbor must show in its OPEN.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PeerAsn {
    /// This one.
    Exact(Asn),
    /// Ours (iBGP).
    Internal,
    /// Any but ours (eBGP).
    External,
}

/// The AS that we show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LocalAsn {
    /// This one.
    Exact(Asn),
    /// The node's: `spec.asn` of its Speaker.
    OfNode,
}

/// Our end of a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SessionSource {
    /// This address of the node.
    Address(IpAddr),
    /// The address of this interface.
    Interface(String),
}

/// How far a neighbor may be (RFC 5082).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PeerPath {
    /// On a link of the node.
    Direct,
    /// At most this many hops away.
    Multihop {
        /// The TTL of our packets.
        ttl: u8,
    },
}

/// Timers of a session (RFC 4271 section 10).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timers {
    /// How long silence is borne; zero = for ever. Whole seconds.
    pub hold: Duration,
    /// How often we say that we live.
    pub keepalive: Duration,
    /// The time between two attempts to connect, before growth and jitter.
    pub connect_retry: Duration,
}

impl Default for Timers {
    fn default() -> Self {
        Self {
            hold: Duration::from_secs(90),
            keepalive: Duration::from_secs(30),
            connect_retry: Duration::from_secs(5),
        }
    }
}
