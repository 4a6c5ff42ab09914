//! What people and metrics are told about a session.

use std::fmt;
use std::time::{Duration, Instant};

use daymark_model::{Asn, Family, RouterId};

use crate::error::SessionError;
use crate::wire::EncodeError;

/// The state of a neighbor (RFC 4271 section 8.2.2); of two connections, that of the further one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SessionState {
    /// Stopped.
    Idle,
    /// Waiting: for the next attempt to connect, or for the neighbor to connect.
    Active,
    /// Connecting.
    Connect,
    /// Connected, our OPEN is sent.
    OpenSent,
    /// The OPENs agree, its KEEPALIVE is awaited.
    OpenConfirm,
    /// Up.
    Established,
}

impl SessionState {
    /// The name that the RFC gives it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Idle => "Idle",
            Self::Active => "Active",
            Self::Connect => "Connect",
            Self::OpenSent => "OpenSent",
            Self::OpenConfirm => "OpenConfirm",
            Self::Established => "Established",
        }
    }
}

impl fmt::Display for SessionState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Routes of a family.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RouteCounts {
    /// How many the neighbor shall have.
    pub wanted: usize,
    /// How many it has been sent and has.
    pub sent: usize,
}

/// Why routes are not announced although the session is up.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RouteProblem {
    /// The neighbor did not offer the family.
    #[error("the neighbor does not take {family} routes: activate the address family on the router")]
    FamilyRefused {
        /// The family.
        family: Family,
    },
    /// There is no address that could be the next hop.
    #[error(
        "no {family} route is announced: the interface of the session has no global {family} address to be the next \
         hop; give it one"
    )]
    NoNextHop {
        /// The family.
        family: Family,
    },
    /// Attributes that fit into no message.
    #[error("{routes} {family} routes cannot be announced: {error}")]
    Unsendable {
        /// The family.
        family: Family,
        /// How many routes have them.
        routes: usize,
        /// Why.
        error: EncodeError,
    },
}

impl daymark_model::Reason for RouteProblem {
    fn code(&self) -> &'static str {
        match self {
            Self::FamilyRefused { .. } => "FamilyRefused",
            Self::NoNextHop { .. } => "NoNextHop",
            Self::Unsendable { .. } => "UnsendableRoutes",
        }
    }
}

/// A snapshot of a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionStatus {
    /// Its state.
    pub state: SessionState,
    /// Since when it is in it.
    pub since: Instant,
    /// How many times an Established session was lost.
    pub flaps: u64,
    /// The families that both sides offered; empty unless Established.
    pub families: Vec<Family>,
    /// The hold time agreed on; `None` unless Established, zero when there is none.
    pub hold: Option<Duration>,
    /// The neighbor's AS, as its OPEN has it.
    pub peer_asn: Option<Asn>,
    /// The neighbor's BGP identifier.
    pub peer_router_id: Option<RouterId>,
    /// The IPv4 routes.
    pub ipv4: RouteCounts,
    /// The IPv6 routes.
    pub ipv6: RouteCounts,
    /// Prefixes that the neighbor has announced to us on this session; nothing is done with them.
    pub prefixes_received: u64,
    /// What keeps routes back.
    pub problems: Vec<RouteProblem>,
    /// What last ended the session or kept it from coming up, and when.
    pub last_error: Option<(Instant, SessionError)>,
    /// When the next attempt to connect is due, if one waits.
    pub next_attempt: Option<Instant>,
}
