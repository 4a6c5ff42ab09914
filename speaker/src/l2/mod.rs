//! Layer 2 on sockets: frames on the interfaces, datagrams of the node network's mesh, memberships of groups.
//!
//! All of it runs on one thread of its own around a [`daymark_l2::node::L2`], so that nothing else that the speaker does
//! delays an answer or lets others think that the node died. The thread starts with the first Announcement that
//! concerns one of the node's interfaces; until then there is no socket.
//!
//! | module | about |
//! |---|---|
//! | [`handle`] | the driver as its callers see it, and its late start |
//! | [`status`] | what callers may read: a snapshot and counters |
//! | `driver` | the thread: turns of the loop, stalls, leaving |
//! | `ports` | the frame socket of each interface |
//! | `groups` | solicited-node groups, spread over sockets |
//! | `datagrams` | the sockets of the node network's mesh |
//! | `tally` | what the responders of all interfaces count together |

mod datagrams;
mod driver;
mod groups;
pub mod handle;
mod ports;
mod retry;
pub mod status;
mod tally;

pub use handle::{Change, L2Driver, L2Handle};
pub use status::{L2Counters, L2Snapshot, Phase, Problem};
