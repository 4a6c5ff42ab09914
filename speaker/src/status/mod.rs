//! What the speaker reports in its Speaker object: rendered from a [`Report`], written seldom.

mod pace;
mod render;
mod writer;

use std::net::IpAddr;

use daymark_announce::NodeView;
use daymark_model::{Family, NeighborName, Reason, Timestamp};

pub use render::render;
pub use writer::Writer;

/// What is to be reported.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// The generation of the spec that is obeyed; `None` while there is no Speaker object.
    pub generation: Option<i64>,
    /// Whether the Speaker object was deleted under us, how many times: it is made again.
    pub deletions: u64,
    /// The sessions, by neighbor.
    pub sessions: Vec<SessionReport>,
    /// What the node answers for by ARP and NDP.
    pub owned: Owned,
    /// What only the node knows of itself.
    pub facts: NodeView,
    /// What is wrong with the spec.
    pub spec_problems: Vec<Problem>,
    /// What keeps the node from doing what it was told.
    pub problems: Vec<Problem>,
}

/// What a node answers for by ARP and NDP.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Owned {
    /// How many addresses, counted once per interface.
    pub count: usize,
    /// The first of them, in their order; no more than a status holds.
    pub first: Vec<OwnedAddress>,
}

/// An address that a node answers for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnedAddress {
    /// The address.
    pub address: IpAddr,
    /// The interface's name.
    pub interface: String,
    /// Since when.
    pub since: Timestamp,
}

/// A session, as people see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionReport {
    /// The neighbor.
    pub neighbor: NeighborName,
    /// The state's name (RFC 4271).
    pub state: &'static str,
    /// Since when it is in this state.
    pub since: Timestamp,
    /// How often it was lost.
    pub flaps: u64,
    /// The families that both sides agreed on.
    pub families: Vec<Family>,
    /// What last ended it, or kept it from coming up.
    pub last_error: Option<String>,
}

/// Something that could not be done.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
#[error("{subject}: {message}")]
pub struct Problem {
    /// The object, as `Kind/name`.
    pub subject: String,
    /// Why, in one word.
    pub reason: &'static str,
    /// Why, in a sentence.
    pub message: String,
}

impl Problem {
    /// `reason`, as far as `subject` (`Kind/name`) is concerned.
    pub fn new(subject: String, reason: &dyn Reason) -> Self {
        Self { subject, reason: reason.code(), message: reason.to_string() }
    }
}
