//! The LAN that nodes announce on by ARP and NDP: stations on the bridge `upstream`, what they send, a record of every
//! ARP and neighbor discovery frame on it, and the ways in which it breaks.
//!
//! | module | about |
//! |---|---|
//! | [`station`] | clients and strangers on the LAN, with the caches of their kernels |
//! | [`frame`] | the bytes of ARP and neighbor discovery |
//! | [`inject`] | frames of a test's own making |
//! | [`wire`] | the capture of all ports of the LAN |
//! | [`record`] | who answered for an address, and when |
//! | [`watch`] | a capture and a prober that asks for addresses a hundred times per second |
//! | [`breakage`] | darkness, loss, partitions |
//! | [`environment`] | what real LANs and hosts have: DAD, snooping, firewalls, hosts without IPv6 |
//! | [`attachment`] | how a host hangs on the LAN: bridge, macvlan, bond, VLAN |

pub mod attachment;
pub mod breakage;
pub mod environment;
pub mod frame;
pub mod inject;
pub mod record;
pub mod station;
pub mod watch;
pub mod wire;
