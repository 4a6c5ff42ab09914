//! The layer 2 driver on real interfaces: nodes and a client in network namespaces on one bridge (as root).

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod failover;
mod interfaces;
mod lan;
mod node;
mod surroundings;
