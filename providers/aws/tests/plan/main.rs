//! What is planned and done: against values built by hand, and against an account in memory.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod adoption;
mod changes;
mod deletion;
mod faults;
mod lifecycle;
mod node_access;
mod orphans;
mod refusals;
mod replacement;
mod subnets;
mod support;
mod targets;
