//! Daymark's objects in Kubernetes: the custom resources, the annotations of Services, and how both become the model.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

pub mod annotations;
pub mod conditions;
pub mod crd;
pub mod duration;
pub mod names;
pub mod native;
pub mod problem;
pub mod references;

pub use problem::{Fault, Problem};
