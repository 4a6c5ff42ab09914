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
//! | [`l2`] | `daymark l2`: who answers for which address |
//! | [`doctor`] | `daymark doctor`: what breaks layer 2 in practice |

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

pub mod app;
pub mod cluster;
pub mod doctor;
pub mod flags;
mod forward;
pub mod l2;
pub mod output;
pub mod speakers;
pub mod told;

pub use app::run;
