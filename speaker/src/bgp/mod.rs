//! The BGP driver: sockets and timers for the neighbors of this node.
//!
//! It runs on a thread of its own, so that nothing else this process does delays a KEEPALIVE. Each neighbor is one task
//! that owns its [`daymark_bgp::Peer`], its sockets and its timer; a change of configuration reaches only the neighbor
//! that it concerns.

mod config;
mod connect;
mod driver;
mod listener;
mod neighbor;
mod socket;
mod status;

pub use config::{NeighborConfig, Transport};
pub use driver::{BgpDriver, BgpEvent, BgpHandle, Change};
pub use status::{BgpStatus, ListenError, NeighborStatus};
