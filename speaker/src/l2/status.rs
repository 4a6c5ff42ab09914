//! What callers may read of the driver at any time.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use daymark_l2::node::L2Status;
use serde::Serialize;

/// How far the driver has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub enum Phase {
    /// No Announcement has concerned an interface of the node: there is neither thread nor socket.
    #[default]
    Idle,
    /// It runs.
    Running,
    /// It hands over what it has.
    Leaving,
    /// It is gone.
    Left,
}

/// Something that a socket refuses, tried again until it works.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// What it concerns, machine-readable: `FrameSocket`, `GroupMembership`, `MeshSocket` or `Thread`.
    pub reason: &'static str,
    /// One sentence.
    pub message: String,
}

/// The driver's state, told at most every 100 ms.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct L2Snapshot {
    /// How far the driver has come.
    pub phase: Phase,
    /// What the core says; `None` while [`Phase::Idle`].
    pub node: Option<L2Status>,
    /// What does not work, by the name of the interface or the address of the socket.
    pub problems: BTreeMap<String, Problem>,
}

/// Counts since the start of the process; they only grow.
#[derive(Debug, Default)]
pub struct L2Counters {
    /// Frames taken from interfaces.
    pub frames_received: Counter,
    /// Frames given to interfaces.
    pub frames_sent: Counter,
    /// Frames that an interface did not take.
    pub frames_unsent: Counter,
    /// Frames that came faster than they were taken, or that waited while the process stood still.
    pub frames_dropped: Counter,
    /// Datagrams taken from the node network.
    pub datagrams_received: Counter,
    /// Datagrams given to the node network.
    pub datagrams_sent: Counter,
    /// Datagrams that the node network did not take.
    pub datagrams_unsent: Counter,
    /// Requests and solicitations for addresses that the node answers for.
    pub requests: Counter,
    /// Answers to them.
    pub answers: Counter,
    /// Gratuitous frames: bursts, refreshes, defence.
    pub gratuitous: Counter,
    /// Probes for addresses that the node wants to take.
    pub probes: Counter,
    /// How many times the process stood still.
    pub stalls: Counter,
}

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Its value.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    pub(super) fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }
}
