//! From Services, annotations and a profile to the load balancer that they want.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod actions;
mod annotations;
mod groups;
mod options;
mod ports;
mod property;
mod refusals;
mod standing;
mod support;
mod targets;
