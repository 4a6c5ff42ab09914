//! Holds: which member answers for an address on a segment, and the messages about them.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use crate::member::{MemberId, NodeUid};

/// How well a node can serve; a greater one is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Fitness {
    /// Not well: it stands still at times, or is cut off from what others reach.
    Unfit,
    /// Its service proxy is behind or silent.
    Demoted,
    /// Well.
    Fit,
}

/// How many times an address has been taken on a segment. The next holder counts one up from what it has heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct Epoch(pub u32);

/// How far a hold has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Phase {
    /// Given up on purpose: whoever is next need not probe. With [`Epoch`] 0 it was let go in favour of another, and does
    /// not mean that the address is free.
    Released,
    /// Taken; the holder still probes whether somebody else has the address.
    Claiming,
    /// The holder answers.
    Holding,
}

/// A member's hold of an address on the segment of the mesh in which it is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// The address.
    pub address: IpAddr,
    /// Its epoch.
    pub epoch: Epoch,
    /// How far it has come.
    pub phase: Phase,
    /// How well the holder can serve it, by its own word.
    pub fitness: Fitness,
    /// The holder's preference weight.
    pub weight: u32,
}

/// What decides between two holders of one address: the greater stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Claimant {
    /// See [`Hold::fitness`].
    pub fitness: Fitness,
    /// See [`Hold::weight`].
    pub weight: u32,
    /// See [`Hold::epoch`].
    pub epoch: Epoch,
    /// See [`score`].
    pub score: u64,
}

impl Hold {
    /// What it weighs in the hand of `member`.
    pub fn claimant(&self, member: MemberId) -> Claimant {
        let Self { address, epoch, fitness, weight, .. } = *self;
        Claimant { fitness, weight, epoch, score: score(member.node, address) }
    }
}

/// The rendezvous hash of a node and an address: xxh3 (64 bits, seed 0) over the 16 bytes of the node's UID and the 16
/// bytes of the address, an IPv4 address mapped into IPv6. The greatest is the address's home. Part of the protocol.
pub fn score(node: NodeUid, address: IpAddr) -> u64 {
    let mut bytes = [0; 32];
    let (left, right) = bytes.split_at_mut(16);
    left.copy_from_slice(&node.0);
    right.copy_from_slice(&match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
        IpAddr::V6(v6) => v6.octets(),
    });
    xxh3_64(&bytes)
}

/// What members of a segment's mesh tell each other about holds. Versions meet: what cannot be read is left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum HoldMessage {
    /// The sender's holds that changed.
    Changed(Vec<Hold>),
    /// Asks the receiver for all of its holds.
    Pull,
    /// One part of all of the sender's holds, in answer to a [`HoldMessage::Pull`].
    All {
        /// [`digest`] of all.
        digest: u64,
        /// Which part, from 0.
        part: u16,
        /// How many parts there are.
        parts: u16,
        /// The holds.
        holds: Vec<Hold>,
    },
    /// The sender has stopped answering for these and wants the receiver to: the epochs are those that it gave up.
    HandOver(Vec<Hold>),
    /// The receiver of a [`HoldMessage::HandOver`] may not take these.
    Refused(Vec<IpAddr>),
    /// The sender refused these before, and would take them now.
    Ready(Vec<IpAddr>),
}

/// What the holds of a member that are claimed or held come to, whatever their order: members compare it to find out that
/// they missed something.
pub fn digest<'a>(holds: impl IntoIterator<Item = &'a Hold>) -> u64 {
    holds.into_iter().fold(0, |sum, hold| sum ^ fingerprint(hold))
}

/// What one hold adds to a [`digest`]; adding it twice takes it out again.
pub fn fingerprint(hold: &Hold) -> u64 {
    let mut bytes = [0; 26];
    let octets = match hold.address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
        IpAddr::V6(v6) => v6.octets(),
    };
    bytes[..16].copy_from_slice(&octets);
    bytes[16..20].copy_from_slice(&hold.epoch.0.to_be_bytes());
    bytes[20] = hold.phase as u8;
    bytes[21] = hold.fitness as u8;
    bytes[22..].copy_from_slice(&hold.weight.to_be_bytes());
    xxh3_64(&bytes)
}
