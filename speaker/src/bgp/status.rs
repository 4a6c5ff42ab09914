//! What the driver publishes.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use daymark_bgp::{RouteCounts, RouteProblem, SessionError, SessionState, SessionStatus};
use daymark_model::{Asn, Family, NeighborName, Reason, RouterId, Timestamp};

use crate::wall_clock;

/// All that is to be told, as of now.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BgpStatus {
    /// The neighbors.
    pub neighbors: BTreeMap<NeighborName, NeighborStatus>,
    /// Why the passive neighbors cannot reach us.
    pub listener: Option<ListenError>,
}

/// A neighbor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NeighborStatus {
    /// The state of its session.
    pub state: SessionState,
    /// Since when it is in it.
    pub since: Timestamp,
    /// How many times an Established session was lost.
    pub flaps: u64,
    /// The families that both sides offered; empty unless Established.
    pub families: Vec<Family>,
    /// The hold time agreed on; `None` unless Established, zero when there is none.
    pub hold: Option<Duration>,
    /// Its AS, as its OPEN has it.
    pub peer_asn: Option<Asn>,
    /// Its BGP identifier.
    pub peer_router_id: Option<RouterId>,
    /// The IPv4 routes.
    pub ipv4: RouteCounts,
    /// The IPv6 routes.
    pub ipv6: RouteCounts,
    /// Prefixes that it has announced to us on this session; nothing is done with them.
    pub prefixes_received: u64,
    /// What keeps routes back.
    pub problems: Vec<RouteProblem>,
    /// What last ended the session or kept it from coming up, and when.
    pub last_error: Option<(Timestamp, SessionError)>,
}

/// The listener cannot be had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "cannot listen on TCP port {port} for passive neighbors: {error}; free the port, grant NET_BIND_SERVICE, or let \
     the neighbor be connected to (passive: false)"
)]
pub struct ListenError {
    /// The port.
    pub port: u16,
    /// What the kernel says.
    pub error: String,
}

impl Reason for ListenError {
    fn code(&self) -> &'static str {
        "ListenFailed"
    }
}

/// From instants to wall-clock time, so that one instant always gives one time.
#[derive(Debug, Default)]
pub(super) struct Clock {
    since: Option<(Instant, Timestamp)>,
    error: Option<(Instant, Timestamp)>,
}

impl Clock {
    /// The status of a session, told in wall-clock time.
    pub(super) fn render(&mut self, status: SessionStatus) -> NeighborStatus {
        NeighborStatus {
            state: status.state,
            since: remember(&mut self.since, status.since),
            flaps: status.flaps,
            families: status.families,
            hold: status.hold,
            peer_asn: status.peer_asn,
            peer_router_id: status.peer_router_id,
            ipv4: status.ipv4,
            ipv6: status.ipv6,
            prefixes_received: status.prefixes_received,
            problems: status.problems,
            last_error: status.last_error.map(|(at, error)| (remember(&mut self.error, at), error)),
        }
    }
}

fn remember(known: &mut Option<(Instant, Timestamp)>, at: Instant) -> Timestamp {
    match known {
        Some((instant, timestamp)) if *instant == at => *timestamp,
        Some(_) | None => {
            let timestamp = wall_clock::now() - at.elapsed();
            *known = Some((at, timestamp));
            timestamp
        }
    }
}
