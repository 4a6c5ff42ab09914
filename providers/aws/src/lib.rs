//! Network Load Balancers of AWS for Services.
//!
//! | module | about |
//! |---|---|
//! | [`api`] | what Daymark asks of AWS, as plain values |
//! | [`model`] | what a load balancer should be: from Services, annotations and a profile |
//! | [`naming`] | names and tags of what is made |
//! | [`observe`] | what there is |
//! | [`plan`] | what has to be done: pure |
//! | [`apply`] | one operation, once or again |
//! | [`refusal`] | AWS's errors, sorted by what helps |
//! | [`subnets`] | which subnets a load balancer gets |
//! | [`cloud`] | all of it behind [`daymark_providers::Cloud`] |
//! | [`pace`] | call classes and their token buckets, batched describes |
//! | [`orphans`] | what is tagged with this cluster and accounted for by nobody |
//! | [`sdk`] | the real thing, with the feature `sdk` |

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

pub mod api;
pub mod apply;
pub mod cloud;
pub mod model;
pub mod naming;
pub mod observe;
pub mod orphans;
pub mod pace;
pub mod plan;
pub mod refusal;
#[cfg(feature = "sdk")]
pub mod sdk;
pub mod subnets;

pub use cloud::AwsCloud;
