//! Addresses, families and blocks of addresses.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

/// An IP address family.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Family {
    /// IPv4.
    #[serde(rename = "IPv4")]
    V4,
    /// IPv6.
    #[serde(rename = "IPv6")]
    V6,
}

impl Family {
    /// The family of `address`.
    pub fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(_) => Self::V4,
            IpAddr::V6(_) => Self::V6,
        }
    }

    /// The other family.
    pub fn other(self) -> Self {
        match self {
            Self::V4 => Self::V6,
            Self::V6 => Self::V4,
        }
    }

    /// The length in bits of an address of this family.
    pub fn max_prefix_len(self) -> u8 {
        match self {
            Self::V4 => 32,
            Self::V6 => 128,
        }
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::V4 => "IPv4",
            Self::V6 => "IPv6",
        })
    }
}

/// A contiguous, non-empty block of addresses of one family, first and last included.
///
/// Written as a CIDR (`192.0.2.0/24`) or as a range (`192.0.2.10-192.0.2.20`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AddressBlock {
    /// IPv4 addresses.
    V4 {
        /// The lowest address.
        first: Ipv4Addr,
        /// The highest address, never below `first`.
        last: Ipv4Addr,
    },
    /// IPv6 addresses.
    V6 {
        /// The lowest address.
        first: Ipv6Addr,
        /// The highest address, never below `first`.
        last: Ipv6Addr,
    },
}

/// Why a text is no [`AddressBlock`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// Neither a CIDR nor a range.
    #[error("{text:?} is neither a CIDR such as 192.0.2.0/24 nor a range such as 192.0.2.10-192.0.2.20")]
    Unreadable {
        /// What was written.
        text: String,
    },
    /// A CIDR with bits set behind the prefix length.
    #[error(
        "{text:?} has host bits set: write {network}, or a range, or {address}/{full} for the one address"
    )]
    HostBits {
        /// What was written.
        text: String,
        /// The network that contains it.
        network: IpNet,
        /// The address as written.
        address: IpAddr,
        /// The prefix length of a single address.
        full: u8,
    },
    /// A range whose end lies before its start.
    #[error("the range {text:?} is reversed: write {last}-{first}")]
    Reversed {
        /// What was written.
        text: String,
        /// The written start.
        first: IpAddr,
        /// The written end.
        last: IpAddr,
    },
    /// A range from one family to the other.
    #[error("the range {text:?} mixes IPv4 and IPv6: write one range per family")]
    MixedFamilies {
        /// What was written.
        text: String,
    },
}

impl AddressBlock {
    /// The block of one address.
    pub fn single(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(a) => Self::V4 { first: a, last: a },
            IpAddr::V6(a) => Self::V6 { first: a, last: a },
        }
    }

    /// The family of its addresses.
    pub fn family(&self) -> Family {
        match self {
            Self::V4 { .. } => Family::V4,
            Self::V6 { .. } => Family::V6,
        }
    }

    /// The lowest address.
    pub fn first(&self) -> IpAddr {
        match self {
            Self::V4 { first, .. } => IpAddr::V4(*first),
            Self::V6 { first, .. } => IpAddr::V6(*first),
        }
    }

    /// The highest address.
    pub fn last(&self) -> IpAddr {
        match self {
            Self::V4 { last, .. } => IpAddr::V4(*last),
            Self::V6 { last, .. } => IpAddr::V6(*last),
        }
    }

    /// Whether `address` lies in it.
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self, address) {
            (Self::V4 { first, last }, IpAddr::V4(a)) => (*first..=*last).contains(&a),
            (Self::V6 { first, last }, IpAddr::V6(a)) => (*first..=*last).contains(&a),
            (Self::V4 { .. }, IpAddr::V6(_)) | (Self::V6 { .. }, IpAddr::V4(_)) => false,
        }
    }

    /// Whether the two have an address in common.
    pub fn overlaps(&self, other: &Self) -> bool {
        self.family() == other.family() && self.first() <= other.last() && other.first() <= self.last()
    }

    /// The addresses that both have, if any.
    pub fn intersection(&self, other: &Self) -> Option<Self> {
        match (self, other) {
            (Self::V4 { first: a, last: b }, Self::V4 { first: c, last: d }) => {
                let (first, last) = (*a.max(c), *b.min(d));
                (first <= last).then_some(Self::V4 { first, last })
            }
            (Self::V6 { first: a, last: b }, Self::V6 { first: c, last: d }) => {
                let (first, last) = (*a.max(c), *b.min(d));
                (first <= last).then_some(Self::V6 { first, last })
            }
            (Self::V4 { .. }, Self::V6 { .. }) | (Self::V6 { .. }, Self::V4 { .. }) => None,
        }
    }
}

impl From<IpNet> for AddressBlock {
    fn from(net: IpNet) -> Self {
        match net {
            IpNet::V4(n) => Self::V4 { first: n.network(), last: n.broadcast() },
            IpNet::V6(n) => Self::V6 { first: n.network(), last: n.broadcast() },
        }
    }
}

impl FromStr for AddressBlock {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let unreadable = || AddressError::Unreadable { text: text.to_owned() };
        if let Some((first, last)) = text.split_once('-') {
            let first: IpAddr = first.trim().parse().map_err(|_| unreadable())?;
            let last: IpAddr = last.trim().parse().map_err(|_| unreadable())?;
            return match (first, last) {
                (IpAddr::V4(a), IpAddr::V4(b)) if a <= b => Ok(Self::V4 { first: a, last: b }),
                (IpAddr::V6(a), IpAddr::V6(b)) if a <= b => Ok(Self::V6 { first: a, last: b }),
                (IpAddr::V4(_), IpAddr::V4(_)) | (IpAddr::V6(_), IpAddr::V6(_)) => {
                    Err(AddressError::Reversed { text: text.to_owned(), first, last })
                }
                (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => {
                    Err(AddressError::MixedFamilies { text: text.to_owned() })
                }
            };
        }
        let net: IpNet = text.trim().parse().map_err(|_| unreadable())?;
        if net.addr() != net.network() {
            return Err(AddressError::HostBits {
                text: text.to_owned(),
                network: net.trunc(),
                address: net.addr(),
                full: net.max_prefix_len(),
            });
        }
        Ok(net.into())
    }
}

impl fmt::Display for AddressBlock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (first, last) = (self.first(), self.last());
        if first == last { write!(f, "{first}") } else { write!(f, "{first}-{last}") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_cidrs_and_ranges() {
        let block: AddressBlock = "192.0.2.0/30".parse().unwrap();
        assert_eq!(block.to_string(), "192.0.2.0-192.0.2.3");
        let block: AddressBlock = "2001:db8::1 - 2001:db8::f".parse().unwrap();
        assert!(block.contains("2001:db8::a".parse().unwrap()));
        assert!(!block.contains("192.0.2.1".parse().unwrap()));
        assert_eq!("192.0.2.7/32".parse::<AddressBlock>().unwrap().to_string(), "192.0.2.7");
    }

    #[test]
    fn refuses_with_the_remedy() {
        let message = |text: &str| text.parse::<AddressBlock>().unwrap_err().to_string();
        assert!(message("192.0.2.5/24").contains("write 192.0.2.0/24"));
        assert!(message("192.0.2.9-192.0.2.1").contains("write 192.0.2.1-192.0.2.9"));
        assert!(message("192.0.2.9-2001:db8::1").contains("one range per family"));
        for garbage in ["", "-", "/", "192.0.2.1", "192.0.2.0/33", "a-b", "1.2.3.4-", "::/129"] {
            assert!(message(garbage).contains("neither a CIDR"), "{garbage}");
        }
    }

    #[test]
    fn overlaps_and_intersections() {
        let a: AddressBlock = "192.0.2.0/28".parse().unwrap();
        let b: AddressBlock = "192.0.2.10-192.0.2.40".parse().unwrap();
        assert!(a.overlaps(&b) && b.overlaps(&a));
        assert_eq!(a.intersection(&b).unwrap().to_string(), "192.0.2.10-192.0.2.15");
        assert!(!a.overlaps(&"2001:db8::/64".parse().unwrap()));
    }
}
