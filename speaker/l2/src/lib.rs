//! Layer 2 without I/O: who answers ARP and NDP for an address on a segment, how the answer looks on the wire, and how
//! nodes know of each other.
//!
//! Everything gets the time and bytes and gives back bytes, events and the next deadline. A [`node::L2`] is all of a
//! node; a driver owns its sockets and timers.
//!
//! | module | about |
//! |---|---|
//! | [`member`] | who is who: nodes, members of a segment |
//! | [`offer`] | what a node is allowed to answer for, and how much it should |
//! | [`report`] | what a node says of itself to all others |
//! | [`hold`] | holds, and the messages about them |
//! | [`wire`] | Ethernet, ARP and NDP bytes |
//! | [`responder`] | one interface: answers, probes, bursts, defence |
//! | [`mesh`] | one membership: encryption, SWIM, hello, healing |
//! | [`election`] | one segment: rank, holds, hand-over, failback |
//! | [`node`] | all of a node: responders, meshes and elections together |

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::disallowed_methods))]

pub mod election;
pub mod hold;
pub mod member;
pub mod mesh;
pub mod node;
pub mod offer;
pub mod report;
pub mod responder;
pub mod wire;
