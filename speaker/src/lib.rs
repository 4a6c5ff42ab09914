//! The daemon on every node: decides what the node announces, holds its BGP sessions, answers ARP and NDP on its
//! segments, and reports in its Speaker.
//!
//! Data flows one way: watches and local observations -> [`index`] -> decisions -> [`bgp`] and [`l2`] -> sockets; what is
//! seen on the way is published as [`status`], metrics and introspection.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

pub mod app;
pub mod bgp;
pub mod flags;
pub mod identity;
pub mod index;
pub mod introspection;
pub mod l2;
pub mod mesh_key;
pub mod metrics;
pub mod netlink;
pub mod owner;
pub mod probe;
pub mod segments;
pub mod sessions;
pub mod status;
mod sys;
pub mod wall_clock;
pub mod watches;
