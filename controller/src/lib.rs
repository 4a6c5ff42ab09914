//! Gives addresses to Services.
//!
//! | module | about |
//! |---|---|
//! | [`flags`] | the command line |
//! | [`app`] | start, leadership, stop |
//! | [`feed`] | watches, and what they tell as inputs of the `Assigner` |
//! | [`owner`] | the one task that owns all state |
//! | [`writer`] | executes writes against the API server |
//! | [`news`] | events about Services |
//! | `cloud` | load balancers in clouds (feature `aws`) |
//! | [`config`] | conditions and counts of Daymark's own objects |
//! | [`mesh_key`] | the Secret of the layer 2 meshes |
//! | [`speakers`] | Speakers whose Node is gone |
//! | [`metrics`] | what is counted |

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

pub mod app;
#[cfg(feature = "aws")]
pub mod cloud;
pub mod config;
pub mod feed;
pub mod flags;
pub mod mesh_key;
pub mod metrics;
pub mod news;
pub mod owner;
pub mod speakers;
pub mod writer;

pub use app::run;
pub use flags::Flags;

/// The name under which the controller writes: field manager, event source, Lease.
pub const NAME: &str = "daymark-controller";
