//! What goes into a [`Peer`](crate::Peer) and what comes out of it.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;

use crate::config::PeerConfig;
use crate::error::{ConnectFault, SessionError};
use crate::route::RouteChange;
use crate::status::SessionState;
use crate::wire::CeaseReason;

/// Who opened a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Origin {
    /// We connected to the neighbor.
    Outgoing,
    /// The neighbor connected to us.
    Incoming,
}

/// A TCP connection, or an attempt at one. Never used again for another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId {
    /// Who opened it.
    pub origin: Origin,
    /// Counted by the peer for outgoing connections, by the driver for incoming ones.
    pub number: u64,
}

/// Our end of a connection, and the addresses that routes can have as their next hop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Link {
    /// The local address of the socket: the next hop of its own family.
    pub local: SocketAddr,
    /// A global IPv4 address of the interface that holds the local address, for a session over IPv6.
    pub local_v4: Option<Ipv4Addr>,
    /// A global IPv6 address of that interface, for a session over IPv4 or over link-local addresses.
    pub local_v6: Option<Ipv6Addr>,
}

/// What happened.
#[derive(Debug, Clone)]
pub enum Input<'a> {
    /// The connection that [`Output::Connect`] asked for stands.
    Connected {
        /// The connection.
        connection: ConnectionId,
        /// Our end of it.
        link: Link,
    },
    /// It could not be had.
    ConnectFailed {
        /// The attempt.
        connection: ConnectionId,
        /// Why.
        fault: ConnectFault,
    },
    /// The neighbor connected to us.
    Accepted {
        /// The new connection, with [`Origin::Incoming`] and a number not used before.
        connection: ConnectionId,
        /// Our end of it.
        link: Link,
    },
    /// Bytes were read.
    Received {
        /// From which connection.
        connection: ConnectionId,
        /// The bytes.
        bytes: &'a [u8],
    },
    /// The kernel took bytes of [`Output::Send`].
    Written {
        /// On which connection.
        connection: ConnectionId,
        /// How many.
        octets: usize,
    },
    /// The neighbor closed the connection, or it broke.
    Closed {
        /// Which.
        connection: ConnectionId,
        /// The error of the socket; `None` when the neighbor closed it in an orderly way.
        error: Option<String>,
    },
    /// The addresses beside a connection's own have changed.
    LinkChanged {
        /// Which.
        connection: ConnectionId,
        /// Our end of it as it is now.
        link: Link,
    },
    /// Time has passed: [`Peer::next_deadline`](crate::Peer::next_deadline) is reached.
    Tick,
    /// Routes are announced, changed or withdrawn. The last word per prefix counts.
    RoutesChanged(Vec<RouteChange>),
    /// All routes that there are have been given: End-of-RIB may go out.
    Synced,
    /// The configuration is another. A session that it does not concern stays up.
    Reconfigured(PeerConfig),
    /// End the session and open another one: something beneath it has changed.
    Reset {
        /// What the Cease says.
        reason: CeaseReason,
    },
    /// Leave at once.
    Stop {
        /// What the Cease says.
        reason: CeaseReason,
        /// A text for the neighbor's log (RFC 9003).
        text: String,
    },
    /// Leave without losing a packet: GRACEFUL_SHUTDOWN on all routes (RFC 8326), wait, withdraw, Cease.
    Shutdown {
        /// A text for the neighbor's log (RFC 9003).
        text: String,
        /// How long the routes stay, marked.
        wait: Duration,
    },
}

/// How a connection is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CloseMode {
    /// Write what is queued, shut down the write side, read for up to a second, then close: unread input would turn
    /// the FIN into a RST and the neighbor would lose the NOTIFICATION.
    Linger,
    /// Close now.
    Abort,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// Connect to the neighbor; answer with [`Input::Connected`] or [`Input::ConnectFailed`].
    Connect {
        /// The name of the attempt.
        connection: ConnectionId,
    },
    /// Write; answer with [`Input::Written`] as the kernel takes it.
    Send {
        /// On which connection.
        connection: ConnectionId,
        /// Whole messages.
        bytes: Bytes,
    },
    /// Close the connection, or give up the attempt. Nothing more is to be reported of it.
    Close {
        /// Which.
        connection: ConnectionId,
        /// How.
        mode: CloseMode,
    },
    /// The session's state is another.
    StateChanged {
        /// The old one.
        from: SessionState,
        /// The new one.
        to: SessionState,
        /// What ended the session or the attempt, when something did.
        error: Option<SessionError>,
    },
    /// [`Input::Stop`] or [`Input::Shutdown`] is done; the peer does nothing any more.
    Stopped,
}
