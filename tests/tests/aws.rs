//! Load balancers in AWS: the real controller and the real API server against moto, behind a proxy that fails as AWS does.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "aws/annotations.rs"]
mod annotations;
mod common;
#[path = "aws/faults.rs"]
mod faults;
#[path = "aws/life.rs"]
mod life;
#[path = "aws/plans.rs"]
mod plans;
#[path = "aws/refusals.rs"]
mod refusals;
#[path = "aws/stage.rs"]
mod stage;
#[path = "aws/takeover.rs"]
mod takeover;
