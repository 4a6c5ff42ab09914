//! Builders, a random source and an API server in memory.
#![allow(dead_code)]

pub mod brief;
pub mod build;
pub mod cluster;
pub mod random;
pub mod store;
pub mod user;
pub mod world;
