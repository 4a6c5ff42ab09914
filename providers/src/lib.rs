//! What every cloud needs, once: the trait, the plan with its consent, the pass that carries it out, retry by class of
//! error, the pace of calls.
//!
//! | module | about |
//! |---|---|
//! | [`view`] | what clouds see of Services, nodes and endpoints |
//! | [`cloud`] | `trait Cloud`: all that a cloud must be able to do |
//! | [`plan`] | ordered steps, and which of them wait for consent |
//! | [`pass`] | observe, plan, write ahead, apply: one load balancer, once |
//! | [`error`] | what goes wrong, by what helps |
//! | [`retry`] | when a load balancer is tried again |
//! | [`queue`] | whose turn it is |
//! | [`rate`] | how fast a cloud's API may be called |
//! | [`text`] | did-you-mean, names within limits |
//!
//! Nothing here knows Kubernetes or a particular cloud. A second cloud is a folder beside `aws` with an implementation of
//! [`cloud::Cloud`]; `DESIGN.md` in this folder says what it must promise.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

pub mod cloud;
pub mod error;
pub mod pass;
pub mod plan;
pub mod queue;
pub mod rate;
pub mod retry;
pub mod text;
pub mod view;

pub use cloud::{Capabilities, Cloud, Depth, Outcome, Published};
pub use error::{CloudError, ErrorClass};
pub use pass::{InventoryStore, PassReport, Policy, StoreError};
pub use plan::{Operation, Plan, Step, StepClass, Wait};
