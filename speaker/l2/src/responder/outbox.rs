//! What a responder gives back.

use std::net::{IpAddr, Ipv6Addr};

use daymark_model::MacAddr;

/// What there is to do after a call, in this order: groups, frames, events.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Outbox {
    /// Whole Ethernet frames to send.
    pub frames: Vec<Vec<u8>>,
    /// Solicited-node groups to join or leave on the interface.
    pub groups: Vec<GroupChange>,
    /// What happened.
    pub events: Vec<ResponderEvent>,
}

/// A change of the groups that the interface must be a member of; each group is joined once and left once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum GroupChange {
    /// To be joined.
    Join(Ipv6Addr),
    /// To be left.
    Leave(Ipv6Addr),
}

/// What the segment told of an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ResponderEvent {
    /// A probe came to its end; nobody has the address.
    ProbeUnanswered {
        /// The address.
        address: IpAddr,
    },
    /// Somebody has the address, or probes for it as well. The probe is over.
    ProbeAnswered {
        /// The address.
        address: IpAddr,
        /// Who.
        mac: MacAddr,
    },
    /// Somebody claims an owned address; told at most once a second for each.
    Contested {
        /// The address.
        address: IpAddr,
        /// Who.
        mac: MacAddr,
    },
}
