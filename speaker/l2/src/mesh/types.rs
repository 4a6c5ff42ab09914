//! What goes into a mesh and comes out of it.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Instant;

use bytes::Bytes;
use daymark_model::{MacAddr, TimingProfile};
use serde::{Deserialize, Serialize};

use super::crypto::Key;
use crate::member::MemberId;

/// Where a member hears its mesh.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "WireAddress", from = "WireAddress")]
pub enum MeshAddress {
    /// On a segment.
    Mac(MacAddr),
    /// On the node network.
    Socket(SocketAddr),
}

impl fmt::Display for MeshAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mac(mac) => mac.fmt(f),
            Self::Socket(socket) => socket.fmt(f),
        }
    }
}

/// A [`MeshAddress`] as bytes rather than text.
#[derive(Clone, Copy, Serialize, Deserialize)]
enum WireAddress {
    Mac([u8; 6]),
    V4([u8; 4], u16),
    V6([u8; 16], u16),
}

impl From<MeshAddress> for WireAddress {
    fn from(address: MeshAddress) -> Self {
        match address {
            MeshAddress::Mac(mac) => Self::Mac(mac.0),
            MeshAddress::Socket(socket) => match socket.ip() {
                IpAddr::V4(ip) => Self::V4(ip.octets(), socket.port()),
                IpAddr::V6(ip) => Self::V6(ip.octets(), socket.port()),
            },
        }
    }
}

impl From<WireAddress> for MeshAddress {
    fn from(address: WireAddress) -> Self {
        match address {
            WireAddress::Mac(octets) => Self::Mac(MacAddr(octets)),
            WireAddress::V4(octets, port) => Self::Socket((Ipv4Addr::from(octets), port).into()),
            WireAddress::V6(octets, port) => Self::Socket((Ipv6Addr::from(octets), port).into()),
        }
    }
}

/// The secrets of a mesh: sealed is with the current one, opened with either.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MeshKeys {
    /// The one to seal with.
    pub current: Key,
    /// The one that others may still, or already, seal with while the secret rotates.
    pub previous: Option<Key>,
}

/// Who takes part in a mesh, and how.
#[derive(Debug, Clone)]
pub struct MeshConfig {
    /// Who we are.
    pub me: MemberId,
    /// Where the others reach us.
    pub address: MeshAddress,
    /// Whether one packet can reach all: true on a segment.
    pub broadcast: bool,
    /// 16 random bytes, other ones in every process.
    pub session: [u8; 16],
    /// The secrets.
    pub keys: MeshKeys,
    /// The seed of all choices by chance.
    pub seed: u64,
    /// How fast the timers run.
    pub profile: TimingProfile,
}

/// Another member that is alive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Who it is.
    pub id: MemberId,
    /// Where it is reached.
    pub address: MeshAddress,
    /// Since when it has been heard of without a break.
    pub alive_since: Instant,
    /// What it told all others last; empty until it has arrived.
    pub advert: Bytes,
    /// The digest that it told with it.
    pub digest: u64,
    /// It left a probe without an answer and has a while left to speak up.
    pub suspect: bool,
}

/// Where a packet goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MeshDestination {
    /// To all members on the segment.
    Broadcast,
    /// To one.
    To(MeshAddress),
}

/// Why a member is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Departure {
    /// It fell silent.
    Died,
    /// It said so, or came back as another process.
    Left,
}

/// What happened in a mesh.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MeshEvent {
    /// Somebody joined.
    Up(MemberId),
    /// Somebody is gone.
    Down {
        /// Who.
        id: MemberId,
        /// How.
        why: Departure,
    },
    /// A member's advert is another one now.
    Advert(MemberId),
    /// A member's digest is another one now.
    Digest(MemberId),
    /// A member sent us something.
    Payload {
        /// Which member.
        from: MemberId,
        /// What.
        bytes: Bytes,
    },
    /// Somebody seals with a secret that is none of ours; told once in a while per source.
    WrongKey {
        /// The source.
        from: MeshAddress,
    },
    /// Another process says that it is us; told once in a while.
    Duplicate {
        /// Where it is.
        from: MeshAddress,
    },
}

/// What a mesh wants sent and told.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MeshOutput {
    /// Packets to send, each behind an Ethernet header or in a UDP datagram of its own.
    pub packets: Vec<(MeshDestination, Vec<u8>)>,
    /// What happened, in order.
    pub events: Vec<MeshEvent>,
}

/// What a mesh has refused, since it began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MeshCounters {
    /// Of another version of the protocol.
    pub other_version: u64,
    /// Too short or too long, or not to be read once opened: also kinds of messages that a newer version has.
    pub unreadable: u64,
    /// Sealed with a secret that is none of ours.
    pub wrong_key: u64,
    /// Under a known session, but forged or broken on the way.
    pub forged: u64,
    /// Heard before, or too old to tell.
    pub replayed: u64,
    /// More of new sessions than are looked at in a second.
    pub over_limit: u64,
}
