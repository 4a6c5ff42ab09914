//! The lab: a Kubernetes control plane, nodes, routers and clients in network namespaces of one Linux machine, all of them
//! real, made and removed by a test. `README.md` beside this crate shows how a test looks.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

pub mod aws;
pub mod client;
pub mod command;
pub mod control_plane;
pub mod daymark;
mod interrupt;
mod kubeconfig;
pub mod lab;
pub mod lan;
pub mod load;
pub mod look;
pub mod netns;
pub mod network;
pub mod node;
pub mod objects;
pub mod pod;
pub mod process;
pub mod report;
pub mod router;
pub mod sweep;
pub mod tools;
pub mod wait;

pub use anyhow::{Context, Error, Result, bail, ensure};
pub use lab::{Lab, Link, SPEAKER_ASN};
pub use lan::attachment::Attachment;
pub use lan::breakage::Dark;
pub use lan::record::Time;
pub use node::ProxyMode;
pub use pod::{PodSpec, Readiness};
pub use process::Signal;
pub use router::{Neighbors, RouterSpec, Segment};
pub use wait::{stays, wait_for};
