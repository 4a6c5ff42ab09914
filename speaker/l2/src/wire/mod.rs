//! Ethernet, ARP and NDP bytes: read strictly, written in one form each.
//!
//! Frames carry no VLAN tag. What a frame claims is checked here as far as the frame alone can tell; what it means for
//! an address is the [responder](crate::responder)'s.

#![cfg_attr(not(test), deny(clippy::indexing_slicing, clippy::arithmetic_side_effects))]

pub mod arp;
pub mod ethernet;
pub mod ndp;

pub use arp::{ArpError, ArpOperation, ArpPacket};
pub use ethernet::{EtherType, EthernetError, EthernetHeader};
pub use ndp::{
    Advertisement, AdvertisementFlags, NdpError, NdpMessage, Solicitation, multicast_mac, solicited_node,
};
