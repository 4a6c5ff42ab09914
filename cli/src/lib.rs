//! The command-line tool: what Daymark does in a cluster, and what keeps it from doing it.
//!
//! | module | about |
//! |---|---|
//! | [`flags`] | the command line |
//! | [`app`] | from flags to an exit code |
//! | [`cluster`] | what the API server says |
//! | [`speakers`] | what running speakers say of themselves |
//! | [`told`] | the shapes in which speakers tell it |
//! | [`output`] | tables, JSON and YAML |
//! | [`aws`] | the connection to AWS, in builds that have one |
//! | [`l2`] | `daymark l2`: who answers for which address |
//! | [`plan`] | `daymark plan`: load balancers in clouds, and what is to be done for them |
//! | [`purge`] | `daymark purge`: what a cluster left in AWS |
//! | [`doctor`] | `daymark doctor`: what breaks layer 2 and load balancers in clouds in practice |

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

pub mod app;
pub mod aws;
pub mod cluster;
pub mod doctor;
pub mod flags;
mod forward;
pub mod l2;
pub mod output;
pub mod plan;
pub mod purge;
pub mod speakers;
pub mod told;

pub use app::run;
