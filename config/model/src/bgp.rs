//! BGP's small values: AS numbers, router ids, communities.

use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// An autonomous system number, never 0 (RFC 6793, RFC 7607).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
pub struct Asn(u32);

/// AS 0 is reserved (RFC 7607).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "AS 0 is reserved (RFC 7607): use 1-4294967295; 64512-65534 and 4200000000-4294967294 are for private use"
)]
pub struct AsnZero;

impl Asn {
    /// What a speaker with a larger number says to one that knows only 16 bits (RFC 6793).
    pub const TRANS: Self = Self(23456);

    /// The number, refused when 0.
    pub fn new(number: u32) -> Result<Self, AsnZero> {
        if number == 0 { Err(AsnZero) } else { Ok(Self(number)) }
    }

    /// The number.
    pub fn get(self) -> u32 {
        self.0
    }
}

impl TryFrom<u32> for Asn {
    type Error = AsnZero;

    fn try_from(number: u32) -> Result<Self, AsnZero> {
        Self::new(number)
    }
}

impl From<Asn> for u32 {
    fn from(asn: Asn) -> Self {
        asn.0
    }
}

impl fmt::Display for Asn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A BGP identifier: any number but 0 (RFC 6286), written like an IPv4 address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RouterId(Ipv4Addr);

impl RouterId {
    /// The identifier; `None` for 0.0.0.0.
    pub fn new(id: Ipv4Addr) -> Option<Self> {
        (!id.is_unspecified()).then_some(Self(id))
    }

    /// The identifier in the form of an address.
    pub fn get(self) -> Ipv4Addr {
        self.0
    }
}

impl fmt::Display for RouterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A community of 32 bits (RFC 1997), written `65000:100` or by its well-known name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct StandardCommunity(pub u32);

impl StandardCommunity {
    /// GRACEFUL_SHUTDOWN (RFC 8326).
    pub const GRACEFUL_SHUTDOWN: Self = Self(0xffff_0000);
    /// NO_EXPORT (RFC 1997).
    pub const NO_EXPORT: Self = Self(0xffff_ff01);
    /// NO_ADVERTISE (RFC 1997).
    pub const NO_ADVERTISE: Self = Self(0xffff_ff02);
    /// NO_EXPORT_SUBCONFED (RFC 1997).
    pub const NO_EXPORT_SUBCONFED: Self = Self(0xffff_ff03);
    /// NOPEER (RFC 3765).
    pub const NO_PEER: Self = Self(0xffff_ff04);
    /// BLACKHOLE (RFC 7999).
    pub const BLACKHOLE: Self = Self(0xffff_029a);
    /// NO_LLGR (RFC 9494).
    pub const NO_LLGR: Self = Self(0xffff_0007);
    /// ACCEPT_OWN (RFC 7611).
    pub const ACCEPT_OWN: Self = Self(0xffff_0001);

    /// The names people may write, with their values.
    pub const WELL_KNOWN: [(&'static str, Self); 8] = [
        ("graceful-shutdown", Self::GRACEFUL_SHUTDOWN),
        ("no-export", Self::NO_EXPORT),
        ("no-advertise", Self::NO_ADVERTISE),
        ("no-export-subconfed", Self::NO_EXPORT_SUBCONFED),
        ("no-peer", Self::NO_PEER),
        ("blackhole", Self::BLACKHOLE),
        ("no-llgr", Self::NO_LLGR),
        ("accept-own", Self::ACCEPT_OWN),
    ];
}

impl fmt::Display for StandardCommunity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.0 >> 16, self.0 & 0xffff)
    }
}

/// A large community (RFC 8092), written `65000:1:2`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct LargeCommunity {
    /// Global administrator.
    pub global: u32,
    /// Local data, part 1.
    pub local1: u32,
    /// Local data, part 2.
    pub local2: u32,
}

impl fmt::Display for LargeCommunity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.global, self.local1, self.local2)
    }
}

/// An extended community (RFC 4360) as its eight octets, written `rt:65000:100` or `soo:65000:100`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ExtendedCommunity(pub [u8; 8]);

impl ExtendedCommunity {
    /// A route target or site of origin: two-octet AS form (RFC 4360 section 3.1) where the AS fits, else the
    /// four-octet AS form (RFC 5668).
    fn as_specific(subtype: u8, asn: u32, local: u32) -> Option<Self> {
        let [a, b, c, d] = asn.to_be_bytes();
        let [e, f, g, h] = local.to_be_bytes();
        if asn <= 0xffff {
            Some(Self([0x00, subtype, c, d, e, f, g, h]))
        } else if local <= 0xffff {
            Some(Self([0x02, subtype, a, b, c, d, g, h]))
        } else {
            None
        }
    }
}

impl fmt::Display for ExtendedCommunity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [kind, subtype, a, b, c, d, e, g] = self.0;
        let name = match subtype {
            0x02 => "rt",
            0x03 => "soo",
            _ => return write!(f, "0x{:016x}", u64::from_be_bytes(self.0)),
        };
        match kind {
            0x00 => write!(f, "{name}:{}:{}", u16::from_be_bytes([a, b]), u32::from_be_bytes([c, d, e, g])),
            0x02 => write!(f, "{name}:{}:{}", u32::from_be_bytes([a, b, c, d]), u16::from_be_bytes([e, g])),
            _ => write!(f, "0x{:016x}", u64::from_be_bytes(self.0)),
        }
    }
}

/// A community of any of the three sorts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Community {
    /// RFC 1997.
    Standard(StandardCommunity),
    /// RFC 8092.
    Large(LargeCommunity),
    /// RFC 4360.
    Extended(ExtendedCommunity),
}

/// Why a text is no [`Community`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{text:?} is no community: write 65000:100 (standard), 65000:1:2 (large), rt:65000:100 or soo:65000:100 \
     (extended), or a well-known name such as no-export"
)]
pub struct CommunityError {
    /// What was written.
    pub text: String,
}

impl FromStr for Community {
    type Err = CommunityError;

    fn from_str(text: &str) -> Result<Self, CommunityError> {
        let error = || CommunityError { text: text.to_owned() };
        if let Some((_, known)) = StandardCommunity::WELL_KNOWN.iter().find(|(name, _)| *name == text) {
            return Ok(Self::Standard(*known));
        }
        let number = |part: &str| -> Result<u32, CommunityError> {
            if part.is_empty() || !part.bytes().all(|b| b.is_ascii_digit()) {
                return Err(error());
            }
            part.parse().map_err(|_| error())
        };
        let short = |part: &str| u16::try_from(number(part)?).map_err(|_| error());
        let parts: Vec<&str> = text.split(':').collect();
        match parts.as_slice() {
            [high, low] => {
                Ok(Self::Standard(StandardCommunity(u32::from(short(high)?) << 16 | u32::from(short(low)?))))
            }
            ["rt", asn, local] => ExtendedCommunity::as_specific(0x02, number(asn)?, number(local)?)
                .map(Self::Extended)
                .ok_or_else(error),
            ["soo", asn, local] => ExtendedCommunity::as_specific(0x03, number(asn)?, number(local)?)
                .map(Self::Extended)
                .ok_or_else(error),
            [global, local1, local2] => Ok(Self::Large(LargeCommunity {
                global: number(global)?,
                local1: number(local1)?,
                local2: number(local2)?,
            })),
            _ => Err(error()),
        }
    }
}

impl fmt::Display for Community {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Standard(c) => c.fmt(f),
            Self::Large(c) => c.fmt(f),
            Self::Extended(c) => c.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn communities_round_trip() {
        for text in ["65000:100", "65000:1:4294967295", "rt:65000:100", "soo:65000:100", "rt:4200000000:7"] {
            assert_eq!(text.parse::<Community>().unwrap().to_string(), text);
        }
        assert_eq!("no-export".parse::<Community>().unwrap().to_string(), "65535:65281");
    }

    #[test]
    fn garbage_is_refused() {
        for text in [
            "",
            ":",
            "1",
            "65536:1",
            "1:65536",
            "-1:2",
            "+1:2",
            "1:2:3:4",
            "rt:4200000000:65536",
            "x:1",
            "1:2:4294967296",
        ] {
            assert!(text.parse::<Community>().is_err(), "{text}");
        }
    }

    #[test]
    fn as_zero_is_refused() {
        assert!(Asn::new(0).is_err());
        assert_eq!(Asn::new(65000).unwrap().get(), 65000);
    }
}
