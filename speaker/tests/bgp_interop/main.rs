//! The BGP driver against BIRD and FRR, in network namespaces (as root).

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod bird;
mod failures;
mod frr;
mod gobgp;
mod lab;
mod passive;
mod routers;
mod scale;
