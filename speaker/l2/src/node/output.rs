//! What the core wants done.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use daymark_model::{InterfaceIndex, MacAddr};
use serde::{Deserialize, Serialize};

use crate::election::Took;
use crate::responder::GroupChange;

/// What is to be sent and told. The caller drains it.
#[derive(Debug, Default)]
pub struct Output {
    /// Whole Ethernet frames.
    pub frames: Vec<(InterfaceIndex, Vec<u8>)>,
    /// Datagrams of the node network's mesh.
    pub datagrams: Vec<(SocketAddr, Vec<u8>)>,
    /// Multicast groups to join and to leave.
    pub groups: Vec<(InterfaceIndex, GroupChange)>,
    /// What people and metrics hear of.
    pub events: Vec<L2Event>,
}

/// Something worth a log line, an event or a count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum L2Event {
    /// The node answers for an address.
    Took {
        /// The address.
        address: IpAddr,
        /// Where.
        interface: InterfaceIndex,
        /// Why.
        cause: TakeCause,
    },
    /// The node no longer answers for an address.
    GaveUp {
        /// The address.
        address: IpAddr,
        /// Where.
        interface: InterfaceIndex,
        /// Why.
        cause: GiveUpCause,
    },
    /// Something that is no node of ours claims an address.
    Conflict {
        /// The address.
        address: IpAddr,
        /// Where.
        interface: InterfaceIndex,
        /// The claimant's Ethernet address.
        mac: MacAddr,
    },
    /// The claimant has been silent for long enough.
    ConflictEnded {
        /// The address.
        address: IpAddr,
        /// Where.
        interface: InterfaceIndex,
    },
    /// Another node is there.
    MemberUp {
        /// The segment; `None` = the node network.
        interface: Option<InterfaceIndex>,
        /// Its name, or its UID while it has not said its name.
        node: String,
    },
    /// Another node is gone.
    MemberDown {
        /// The segment; `None` = the node network.
        interface: Option<InterfaceIndex>,
        /// Its name, or its UID where it never said its name.
        node: String,
        /// It said goodbye.
        left: bool,
    },
    /// Somebody speaks with another key.
    WrongKey {
        /// The segment; `None` = the node network.
        interface: Option<InterfaceIndex>,
        /// Where it speaks from: an Ethernet address, or an IP address and port.
        from: String,
    },
    /// Another node says that it is this one: two nodes have one UID, or one node runs two of us.
    DuplicateNode {
        /// The segment; `None` = the node network.
        interface: Option<InterfaceIndex>,
        /// Where it speaks from: an Ethernet address, or an IP address and port.
        from: String,
    },
    /// Others hear this node on a segment, and it hears none of them: it answers for nothing there.
    SegmentDeaf {
        /// The segment.
        interface: InterfaceIndex,
        /// It began, else it ended.
        on: bool,
    },
    /// The node hears nobody on a segment on which others live, or hears them again.
    SegmentMembershipBroken {
        /// The segment.
        interface: InterfaceIndex,
        /// It began, else it ended.
        on: bool,
    },
    /// The node stands still too often and is no longer asked first, or is well again.
    Stalls {
        /// It began, else it ended.
        on: bool,
    },
}

/// Why the node began to answer for an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum TakeCause {
    /// Nobody had it before.
    First,
    /// The one that had it is gone.
    HolderGone,
    /// The one that had it gave it up.
    Released,
    /// The one that had it gave it to this node.
    HandedOver,
    /// Nobody wanted to take it over from this node.
    TakenBack,
}

/// Why the node stopped answering for an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum GiveUpCause {
    /// It may no longer answer for it, or cannot serve it.
    Withdrawn,
    /// The node is drained, or its speaker ends.
    Leaving,
    /// Another node can serve it better.
    Unfit,
    /// It went back to a better node.
    Failback,
    /// Another node had it too, with the greater claim.
    Yielded,
    /// The interface has no carrier.
    NoCarrier,
    /// The interface is gone.
    InterfaceGone,
    /// The process stood still.
    StoodStill,
    /// There is no mesh key.
    NoMeshKey,
}

impl TakeCause {
    /// The label of metrics.
    pub fn code(self) -> &'static str {
        match self {
            Self::First => "First",
            Self::HolderGone => "HolderGone",
            Self::Released => "Released",
            Self::HandedOver => "HandedOver",
            Self::TakenBack => "TakenBack",
        }
    }
}

impl GiveUpCause {
    /// The label of metrics.
    pub fn code(self) -> &'static str {
        match self {
            Self::Withdrawn => "Withdrawn",
            Self::Leaving => "Leaving",
            Self::Unfit => "Unfit",
            Self::Failback => "Failback",
            Self::Yielded => "Yielded",
            Self::NoCarrier => "NoCarrier",
            Self::InterfaceGone => "InterfaceGone",
            Self::StoodStill => "StoodStill",
            Self::NoMeshKey => "NoMeshKey",
        }
    }
}

impl fmt::Display for TakeCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::First => "nobody had it",
            Self::HolderGone => "the node that had it is gone",
            Self::Released => "the node that had it gave it up",
            Self::HandedOver => "the node that had it handed it over",
            Self::TakenBack => "no other node took it over",
        })
    }
}

impl fmt::Display for GiveUpCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Withdrawn => "the node may no longer answer for it, or cannot serve it",
            Self::Leaving => "the node is drained or its speaker ends",
            Self::Unfit => "another node can serve it better",
            Self::Failback => "it went back to a better node",
            Self::Yielded => "another node had it too and keeps it",
            Self::NoCarrier => "the interface has no carrier",
            Self::InterfaceGone => "the interface is gone",
            Self::StoodStill => "the process stood still",
            Self::NoMeshKey => "there is no mesh key",
        })
    }
}

impl From<Took> for TakeCause {
    fn from(cause: Took) -> Self {
        match cause {
            Took::First => Self::First,
            Took::HolderGone => Self::HolderGone,
            Took::Released => Self::Released,
            Took::HandedOver { .. } => Self::HandedOver,
            Took::TakenBack => Self::TakenBack,
        }
    }
}
