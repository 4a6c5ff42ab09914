//! Address families as BGP numbers them (RFC 4760).

use std::fmt;

use daymark_model::Family;

const AFI_IPV4: u16 = 1;
const AFI_IPV6: u16 = 2;
const SAFI_UNICAST: u8 = 1;

/// An address family and subsequent address family.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AfiSafi {
    /// 1/1.
    Ipv4Unicast,
    /// 2/1.
    Ipv6Unicast,
    /// Any other pair; never 1/1 or 2/1 when made by [`AfiSafi::new`].
    Other {
        /// Address family identifier.
        afi: u16,
        /// Subsequent address family identifier.
        safi: u8,
    },
}

impl AfiSafi {
    /// The pair by its numbers.
    pub fn new(afi: u16, safi: u8) -> Self {
        match (afi, safi) {
            (AFI_IPV4, SAFI_UNICAST) => Self::Ipv4Unicast,
            (AFI_IPV6, SAFI_UNICAST) => Self::Ipv6Unicast,
            (afi, safi) => Self::Other { afi, safi },
        }
    }

    /// The address family identifier.
    pub fn afi(self) -> u16 {
        match self {
            Self::Ipv4Unicast => AFI_IPV4,
            Self::Ipv6Unicast => AFI_IPV6,
            Self::Other { afi, .. } => afi,
        }
    }

    /// The subsequent address family identifier.
    pub fn safi(self) -> u8 {
        match self {
            Self::Ipv4Unicast | Self::Ipv6Unicast => SAFI_UNICAST,
            Self::Other { safi, .. } => safi,
        }
    }

    /// The IP family whose unicast routes it carries.
    pub fn family(self) -> Option<Family> {
        match self {
            Self::Ipv4Unicast => Some(Family::V4),
            Self::Ipv6Unicast => Some(Family::V6),
            Self::Other { .. } => None,
        }
    }
}

impl From<Family> for AfiSafi {
    fn from(family: Family) -> Self {
        match family {
            Family::V4 => Self::Ipv4Unicast,
            Family::V6 => Self::Ipv6Unicast,
        }
    }
}

impl fmt::Display for AfiSafi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ipv4Unicast => f.write_str("IPv4 unicast"),
            Self::Ipv6Unicast => f.write_str("IPv6 unicast"),
            Self::Other { afi, safi } => write!(f, "AFI {afi} SAFI {safi}"),
        }
    }
}
