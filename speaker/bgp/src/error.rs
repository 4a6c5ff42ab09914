//! What ends a session or keeps it from coming up.

use std::time::Duration;

use daymark_model::{Asn, Family, PeerAsn, Reason, RouterId};

use crate::wire::{CeaseReason, Notification, NotificationCode, OpenError, WireError};

/// Why a connection could not be had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConnectFault {
    /// RST, or an ICMP error that says as much.
    #[error(
        "connection refused: check that the router runs BGP on this port and has this node's address as its neighbor"
    )]
    Refused,
    /// No route, or an ICMP error that says as much.
    #[error("the router cannot be reached ({error}): check the route to it from this node")]
    Unreachable {
        /// What the kernel says.
        error: String,
    },
    /// Nobody answered in time.
    #[error(
        "no answer to the connection attempt: check the address, the path and the firewalls between here and the router"
    )]
    TimedOut,
    /// The source that is configured is not there.
    #[error("cannot connect from {origin}: {error}; check the neighbor's source on this node")]
    Source {
        /// The address or interface.
        origin: String,
        /// Why not.
        error: String,
    },
    /// Anything else.
    #[error("cannot connect: {error}")]
    Other {
        /// What the kernel says.
        error: String,
    },
}

/// What ended a session, or an attempt at one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SessionError {
    /// No connection.
    #[error("{0}")]
    Connect(ConnectFault),
    /// The neighbor is in another AS than the configuration says.
    #[error("the router is in AS {offered}, but {}: change the neighbor's asn here or the AS number on the router", expectation(*.expected, *.local))]
    WrongAsn {
        /// What is configured.
        expected: PeerAsn,
        /// Our AS.
        local: Asn,
        /// What its OPEN says.
        offered: Asn,
    },
    /// A neighbor in our AS has our BGP identifier.
    #[error("the router has this node's router id {id}: give one of the two another")]
    SameRouterId {
        /// The identifier.
        id: RouterId,
    },
    /// The two offer no family in common.
    #[error("the router takes none of the families {}: activate one of them on the router", list(.offered))]
    NoCommonFamily {
        /// What we offer.
        offered: Vec<Family>,
    },
    /// Bytes that are no BGP, or break its rules.
    #[error("{0}")]
    Wire(#[from] WireError),
    /// A message that has no place in the state of the session (RFC 6608).
    #[error("the router sent {message} in {state}: check that it speaks BGP version 4 (RFC 4271)")]
    UnexpectedMessage {
        /// The message.
        message: &'static str,
        /// The state.
        state: &'static str,
    },
    /// The neighbor was silent for the hold time.
    #[error("nothing was heard from the router for {} s: check the link and whether the router is alive", .hold.as_secs())]
    HoldTimerExpired {
        /// The hold time.
        hold: Duration,
    },
    /// The neighbor took the connection but sent no OPEN.
    #[error("the router accepted the connection but sent no OPEN for {} s: check that it has this node's address as its neighbor, and TTL security and passwords on both sides", .waited.as_secs())]
    NoOpen {
        /// How long it was waited for.
        waited: Duration,
    },
    /// The neighbor's TCP took nothing (RFC 9687).
    #[error("the router read nothing for {} s: it is stuck", .waited.as_secs())]
    SendHoldTimerExpired {
        /// For how long.
        waited: Duration,
    },
    /// The neighbor ended the session with a NOTIFICATION.
    #[error("the router ended the session: {notification}{}", remedy(.notification, .local))]
    Notified {
        /// What it sent.
        notification: Notification,
        /// What we had said in our OPEN.
        local: LocalOpen,
    },
    /// The connection was closed by the neighbor, or broke.
    #[error("the connection was lost in {state}: {}", .error.as_deref().unwrap_or("closed by the router"))]
    ConnectionLost {
        /// The state.
        state: &'static str,
        /// The error of the socket, if there was one.
        error: Option<String>,
    },
    /// Of two connections this one was too many (RFC 4271 section 6.8).
    #[error("closed in favour of another connection with the same router")]
    Collision,
    /// The configuration changed in a way that needs another session.
    #[error("the session is opened anew because its configuration changed")]
    Reconfigured,
    /// We left.
    #[error("stopped here: {reason}")]
    Stopped {
        /// What the Cease says.
        reason: CeaseReason,
    },
}

/// What our OPEN says of us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LocalOpen {
    /// Our AS.
    pub asn: Asn,
    /// Our BGP identifier.
    pub router_id: RouterId,
    /// The hold time offered, in seconds.
    pub hold: u16,
}

fn expectation(expected: PeerAsn, local: Asn) -> String {
    match expected {
        PeerAsn::Exact(asn) => format!("AS {asn} is configured for it"),
        PeerAsn::Internal => format!("it is configured as internal, in AS {local}"),
        PeerAsn::External => format!("it is configured as external, outside AS {local}"),
    }
}

fn list(families: &[Family]) -> String {
    families.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// What to do about a NOTIFICATION, where its code tells.
fn remedy(notification: &Notification, local: &LocalOpen) -> String {
    match notification.code {
        NotificationCode::Open(OpenError::BadPeerAs) => {
            format!(": it does not expect AS {}; check the AS number it has for this node", local.asn)
        }
        NotificationCode::Open(OpenError::BadBgpIdentifier) => {
            format!(": it refuses the router id {}; give this node another", local.router_id)
        }
        NotificationCode::Open(OpenError::UnacceptableHoldTime) => {
            format!(": it refuses a hold time of {} s; set a longer one in the neighbor's timers", local.hold)
        }
        NotificationCode::Open(OpenError::UnsupportedCapability) => {
            ": the two offer no address family in common; compare the neighbor's families with the router's"
                .into()
        }
        NotificationCode::Cease(CeaseReason::ConnectionRejected) => {
            ": check that it has this node's address as its neighbor".into()
        }
        NotificationCode::Cease(CeaseReason::MaximumPrefixes) => {
            ": more routes are announced than it allows; raise its limit or announce aggregates".into()
        }
        NotificationCode::HoldTimerExpired => {
            ": it heard nothing from this node in time; check the link".into()
        }
        NotificationCode::Cease(_)
        | NotificationCode::Open(_)
        | NotificationCode::Header(_)
        | NotificationCode::Update(_)
        | NotificationCode::Fsm(_)
        | NotificationCode::RouteRefresh(_)
        | NotificationCode::SendHoldTimerExpired
        | NotificationCode::Unknown { .. } => String::new(),
    }
}

impl Reason for SessionError {
    fn code(&self) -> &'static str {
        match self {
            Self::Connect(ConnectFault::Refused) => "ConnectionRefused",
            Self::Connect(ConnectFault::Unreachable { .. }) => "Unreachable",
            Self::Connect(ConnectFault::TimedOut) => "ConnectTimedOut",
            Self::Connect(ConnectFault::Source { .. }) => "SourceUnusable",
            Self::Connect(ConnectFault::Other { .. }) => "ConnectFailed",
            Self::WrongAsn { .. } => "WrongAsn",
            Self::SameRouterId { .. } => "SameRouterId",
            Self::NoCommonFamily { .. } => "NoCommonFamily",
            Self::Wire(WireError::NotSynchronized) => "NotBgp",
            Self::Wire(_) => "MalformedMessage",
            Self::UnexpectedMessage { .. } => "UnexpectedMessage",
            Self::HoldTimerExpired { .. } => "HoldTimerExpired",
            Self::NoOpen { .. } => "NoOpen",
            Self::SendHoldTimerExpired { .. } => "SendHoldTimerExpired",
            Self::Notified { .. } => "NotificationReceived",
            Self::ConnectionLost { .. } => "ConnectionLost",
            Self::Collision => "Collision",
            Self::Reconfigured => "Reconfigured",
            Self::Stopped { .. } => "Stopped",
        }
    }
}
