//! What the driver is told about a neighbor.

use std::net::IpAddr;

use daymark_bgp::PeerConfig;
use daymark_model::{Asn, Neighbor, NeighborName, PeerPath, RouterId, SessionSource};

/// A neighbor of this node: the protocol's part and the sockets' part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NeighborConfig {
    /// Its name.
    pub name: NeighborName,
    /// What the session is configured with.
    pub peer: PeerConfig,
    /// Where it is and how its packets get there.
    pub transport: Transport,
}

/// Where a neighbor is and how packets get there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transport {
    /// Its address.
    pub address: IpAddr,
    /// Its TCP port.
    pub port: u16,
    /// Our end.
    pub source: Option<SessionSource>,
    /// How far away it may be.
    pub path: PeerPath,
}

impl NeighborConfig {
    /// The configuration of `neighbor` on a node that is `local_asn` and `router_id` toward it.
    pub fn new(neighbor: &Neighbor, local_asn: Asn, router_id: RouterId) -> Self {
        Self {
            name: neighbor.name.clone(),
            peer: PeerConfig {
                local_asn,
                router_id,
                peer_asn: neighbor.peer_asn,
                timers: neighbor.timers,
                passive: neighbor.passive,
                families: neighbor.families.clone(),
            },
            transport: Transport {
                address: neighbor.address.to_canonical(),
                port: neighbor.port,
                source: neighbor.source.clone(),
                path: neighbor.path,
            },
        }
    }

    /// The TTL of our packets: 1 to a router of another AS on the link, so that nothing reaches further than meant; 64
    /// within the AS, where neighbors need not share a link.
    pub(super) fn ttl(&self) -> u32 {
        match self.transport.path {
            PeerPath::Multihop { ttl } => ttl.into(),
            PeerPath::Direct if self.peer.is_internal() => 64,
            PeerPath::Direct => 1,
        }
    }
}
