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
mod faults;
mod lifecycle;
mod node_access;
mod orphans;
mod pure;
mod refusals;
mod replacement;
mod subnets;
mod support;
mod tags;
mod targets;
