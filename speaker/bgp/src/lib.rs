//! A BGP-4 speaker that originates: it announces the routes it is given and installs nothing it receives.
//!
//! No sockets and no clock. [`Peer`] is one neighbor: it takes [`Input`]s with the time at which they happened, gives
//! back [`Output`]s for a driver to act on, and says with [`Peer::next_deadline`] when it wants to be called again.
//!
//! - [`wire`]: bytes to messages and back.
//! - `negotiate`: what two OPENs agree on.
//! - `session`: one connection through OpenSent, OpenConfirm and Established.
//! - `rib_out`: what the neighbor shall have, what it has, and the messages in between.
//! - `peer`: connect, retry, collision, shutdown.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

mod config;
mod error;
mod event;
mod negotiate;
mod peer;
mod rib_out;
mod route;
mod session;
mod status;
mod timers;
pub mod wire;

pub use config::PeerConfig;
pub use error::{ConnectFault, LocalOpen, SessionError};
pub use event::{CloseMode, ConnectionId, Input, Link, Origin, Output};
pub use negotiate::Negotiated;
pub use peer::Peer;
pub use route::{RouteAttributes, RouteChange};
pub use status::{RouteCounts, RouteProblem, SessionState, SessionStatus};
