//! What is planned and done: against values built by hand, and against an account in memory.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::wildcard_enum_match_arm,
    missing_docs,
    reason = "tests"
)]

mod adoption;
mod changes;
mod deletion;
mod families;
mod faults;
mod lifecycle;
mod node_access;
mod orphans;
mod published;
mod pure;
mod refusals;
mod replacement;
mod sources;
mod standing;
mod subnets;
mod support;
mod tags;
mod targets;
