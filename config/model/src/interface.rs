//! A network interface of a node, as far as announcing on its segment needs it.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::address::Family;

/// An Ethernet address.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct MacAddr(pub [u8; 6]);

impl MacAddr {
    /// All stations of a segment.
    pub const BROADCAST: Self = Self([0xff; 6]);

    /// Whether it names a group of stations, or all.
    pub fn is_group(self) -> bool {
        self.0[0] & 1 == 1
    }
}

impl fmt::Display for MacAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl fmt::Debug for MacAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// A text that is no Ethernet address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no Ethernet address such as 02:00:5e:10:00:01")]
pub struct MacAddrError(pub String);

impl FromStr for MacAddr {
    type Err = MacAddrError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = || MacAddrError(text.to_owned());
        let mut octets = [0; 6];
        let mut parts = text.split(':');
        for octet in &mut octets {
            let part = parts.next().filter(|part| part.len() == 2).ok_or_else(error)?;
            *octet = u8::from_str_radix(part, 16).map_err(|_| error())?;
        }
        if parts.next().is_some() { Err(error()) } else { Ok(Self(octets)) }
    }
}

impl From<MacAddr> for String {
    fn from(mac: MacAddr) -> Self {
        mac.to_string()
    }
}

impl TryFrom<String> for MacAddr {
    type Error = MacAddrError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

/// A kernel's number of an interface; it also names the segment behind the interface on this node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct InterfaceIndex(pub u32);

impl fmt::Display for InterfaceIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// An interface on which ARP and NDP can be answered: Ethernet, not loopback, not enslaved to a bond or bridge.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Interface {
    /// Its number.
    pub index: InterfaceIndex,
    /// Its name.
    pub name: String,
    /// Its Ethernet address.
    pub mac: MacAddr,
    /// Whether it is up and has a carrier.
    pub up: bool,
    /// The networks of its own addresses, without link-local ones and without host prefixes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub subnets: Vec<IpNet>,
    /// The families whose default route leaves through it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub default_routes: Vec<Family>,
    /// Its link-local address, once that may be used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link_local: Option<Ipv6Addr>,
    /// The largest packet that it carries, in bytes.
    pub mtu: u32,
}

impl Interface {
    /// Whether one of its subnets contains `address`.
    pub fn has_subnet_of(&self, address: IpAddr) -> bool {
        self.subnets.iter().any(|subnet| subnet.contains(&address))
    }

    /// Whether the default route of the family of `address` leaves through it.
    pub fn has_default_route_for(&self, address: IpAddr) -> bool {
        self.default_routes.contains(&Family::of(address))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_ethernet_addresses() {
        let mac: MacAddr = "02:00:5e:10:00:0f".parse().unwrap();
        assert_eq!(mac.to_string(), "02:00:5e:10:00:0f");
        for garbage in ["", "02:00:5e:10:00", "02:00:5e:10:00:0f:11", "2:0:5e:10:0:f", "02:00:5e:10:00:zz"] {
            assert!(garbage.parse::<MacAddr>().is_err(), "{garbage}");
        }
        assert!(MacAddr::BROADCAST.is_group() && !mac.is_group());
    }
}
