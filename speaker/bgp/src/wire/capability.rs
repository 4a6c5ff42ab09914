//! Capabilities (RFC 5492) as they stand in an OPEN.

use bytes::{BufMut, Bytes, BytesMut};

use super::error::{EncodeError, WireError};
use super::family::AfiSafi;
use super::reader::Reader;

mod code {
    pub(super) const MULTIPROTOCOL: u8 = 1;
    pub(super) const ROUTE_REFRESH: u8 = 2;
    pub(super) const EXTENDED_NEXT_HOP: u8 = 5;
    pub(super) const EXTENDED_MESSAGE: u8 = 6;
    pub(super) const ROLE: u8 = 9;
    pub(super) const GRACEFUL_RESTART: u8 = 64;
    pub(super) const FOUR_OCTET_ASN: u8 = 65;
    pub(super) const ADD_PATH: u8 = 69;
    pub(super) const ENHANCED_ROUTE_REFRESH: u8 = 70;
    pub(super) const LONG_LIVED_GRACEFUL_RESTART: u8 = 71;
    pub(super) const FQDN: u8 = 73;
}

/// A capability.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Capability {
    /// 1: routes of a family (RFC 4760).
    Multiprotocol(AfiSafi),
    /// 2: ROUTE-REFRESH (RFC 2918).
    RouteRefresh,
    /// 5: next hops of another family (RFC 8950).
    ExtendedNextHop(Vec<ExtendedNextHop>),
    /// 6: messages up to 65535 octets (RFC 8654).
    ExtendedMessage,
    /// 9: the role of the sender (RFC 9234), as its number.
    Role(u8),
    /// 64: graceful restart (RFC 4724, RFC 8538).
    GracefulRestart(GracefulRestart),
    /// 65: AS numbers of four octets (RFC 6793), with the sender's.
    FourOctetAsn(u32),
    /// 69: several paths per prefix (RFC 7911).
    AddPath(Vec<AddPathFamily>),
    /// 70: marked begin and end of a refresh (RFC 7313).
    EnhancedRouteRefresh,
    /// 71: long-lived graceful restart (RFC 9494).
    LongLivedGracefulRestart(Vec<LongLivedGracefulRestartFamily>),
    /// 73: host and domain name (draft-walton-bgp-hostname-capability), no text encoding promised.
    Fqdn {
        /// The host's name.
        host: Bytes,
        /// The domain's name.
        domain: Bytes,
    },
    /// One that has no name here, or whose value does not have the form of its code.
    Unknown {
        /// The capability code.
        code: u8,
        /// The value.
        value: Bytes,
    },
}

/// A family and what its next hops may be (RFC 8950 section 4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ExtendedNextHop {
    /// The family of the routes, with a SAFI of two octets.
    pub afi: u16,
    /// The SAFI of the routes.
    pub safi: u16,
    /// The address family of the next hop.
    pub next_hop_afi: u16,
}

impl ExtendedNextHop {
    /// IPv4 unicast with IPv6 next hops.
    pub const IPV4_OVER_IPV6: Self = Self { afi: 1, safi: 1, next_hop_afi: 2 };
}

/// The value of the graceful restart capability (RFC 4724 section 3).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct GracefulRestart {
    /// R: the sender has restarted.
    pub restarted: bool,
    /// N: NOTIFICATIONs too are survived (RFC 8538).
    pub notification: bool,
    /// Within how many seconds the sender will be back, at most 4095.
    pub restart_seconds: u16,
    /// The families it covers.
    pub families: Vec<GracefulRestartFamily>,
}

/// A family under graceful restart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GracefulRestartFamily {
    /// The family.
    pub family: AfiSafi,
    /// F in the highest bit: forwarding went on through the restart.
    pub flags: u8,
}

/// A family under long-lived graceful restart (RFC 9494 section 3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LongLivedGracefulRestartFamily {
    /// The family.
    pub family: AfiSafi,
    /// F in the highest bit.
    pub flags: u8,
    /// For how many seconds stale routes live, at most 2^24 - 1.
    pub stale_seconds: u32,
}

/// A family with several paths per prefix (RFC 7911 section 4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AddPathFamily {
    /// The family.
    pub family: AfiSafi,
    /// 1: can receive, 2: can send, 3: both.
    pub direction: u8,
}

impl Capability {
    /// The capability code.
    pub fn code(&self) -> u8 {
        match self {
            Self::Multiprotocol(_) => code::MULTIPROTOCOL,
            Self::RouteRefresh => code::ROUTE_REFRESH,
            Self::ExtendedNextHop(_) => code::EXTENDED_NEXT_HOP,
            Self::ExtendedMessage => code::EXTENDED_MESSAGE,
            Self::Role(_) => code::ROLE,
            Self::GracefulRestart(_) => code::GRACEFUL_RESTART,
            Self::FourOctetAsn(_) => code::FOUR_OCTET_ASN,
            Self::AddPath(_) => code::ADD_PATH,
            Self::EnhancedRouteRefresh => code::ENHANCED_ROUTE_REFRESH,
            Self::LongLivedGracefulRestart(_) => code::LONG_LIVED_GRACEFUL_RESTART,
            Self::Fqdn { .. } => code::FQDN,
            Self::Unknown { code, .. } => *code,
        }
    }

    /// Reads a value. Multiprotocol and four-octet AS must have their form, since the session stands on them; any
    /// other value without the form of its code is kept as it came and does not count as that capability.
    pub(super) fn decode(code: u8, value: Bytes) -> Result<Self, WireError> {
        match (Self::parse(code, value.clone()), code) {
            (Some(capability), _) => Ok(capability),
            (None, code::MULTIPROTOCOL) => {
                Err(WireError::MalformedOpen { what: "the multiprotocol capability is not 4 octets long" })
            }
            (None, code::FOUR_OCTET_ASN) => {
                Err(WireError::MalformedOpen { what: "the four-octet AS capability is not 4 octets long" })
            }
            (None, code) => Ok(Self::Unknown { code, value }),
        }
    }

    fn parse(code: u8, mut value: Bytes) -> Option<Self> {
        let capability = match code {
            code::MULTIPROTOCOL => {
                let afi = value.u16()?;
                value.u8()?;
                Self::Multiprotocol(AfiSafi::new(afi, value.u8()?))
            }
            code::ROUTE_REFRESH => Self::RouteRefresh,
            code::EXTENDED_NEXT_HOP => Self::ExtendedNextHop(all(&mut value, |value| {
                Some(ExtendedNextHop { afi: value.u16()?, safi: value.u16()?, next_hop_afi: value.u16()? })
            })?),
            code::EXTENDED_MESSAGE => Self::ExtendedMessage,
            code::ROLE => Self::Role(value.u8()?),
            code::GRACEFUL_RESTART => {
                let head = value.u16()?;
                Self::GracefulRestart(GracefulRestart {
                    restarted: head & 0x8000 != 0,
                    notification: head & 0x4000 != 0,
                    restart_seconds: head & 0x0fff,
                    families: all(&mut value, |value| {
                        Some(GracefulRestartFamily { family: family(value)?, flags: value.u8()? })
                    })?,
                })
            }
            code::FOUR_OCTET_ASN => Self::FourOctetAsn(value.u32()?),
            code::ADD_PATH => Self::AddPath(all(&mut value, |value| {
                Some(AddPathFamily { family: family(value)?, direction: value.u8()? })
            })?),
            code::ENHANCED_ROUTE_REFRESH => Self::EnhancedRouteRefresh,
            code::LONG_LIVED_GRACEFUL_RESTART => Self::LongLivedGracefulRestart(all(&mut value, |value| {
                let family = family(value)?;
                let rest = value.u32()?;
                let [flags, ..] = rest.to_be_bytes();
                Some(LongLivedGracefulRestartFamily { family, flags, stale_seconds: rest & 0x00ff_ffff })
            })?),
            code::FQDN => {
                let host = value.u8()?;
                let host = value.octets(host.into())?;
                let domain = value.u8()?;
                Self::Fqdn { host, domain: value.octets(domain.into())? }
            }
            code => Self::Unknown { code, value: std::mem::take(&mut value) },
        };
        value.is_empty().then_some(capability)
    }

    fn put_value(&self, out: &mut BytesMut) {
        match self {
            Self::Multiprotocol(family) => {
                out.put_u16(family.afi());
                out.put_u8(0);
                out.put_u8(family.safi());
            }
            Self::RouteRefresh | Self::ExtendedMessage | Self::EnhancedRouteRefresh => {}
            Self::ExtendedNextHop(entries) => {
                for entry in entries {
                    out.put_u16(entry.afi);
                    out.put_u16(entry.safi);
                    out.put_u16(entry.next_hop_afi);
                }
            }
            Self::Role(role) => out.put_u8(*role),
            Self::GracefulRestart(restart) => {
                let flags = (u16::from(restart.restarted) << 15) | (u16::from(restart.notification) << 14);
                out.put_u16(flags | (restart.restart_seconds & 0x0fff));
                for entry in &restart.families {
                    put_family(entry.family, out);
                    out.put_u8(entry.flags);
                }
            }
            Self::FourOctetAsn(asn) => out.put_u32(*asn),
            Self::AddPath(entries) => {
                for entry in entries {
                    put_family(entry.family, out);
                    out.put_u8(entry.direction);
                }
            }
            Self::LongLivedGracefulRestart(entries) => {
                for entry in entries {
                    put_family(entry.family, out);
                    out.put_u32((u32::from(entry.flags) << 24) | (entry.stale_seconds & 0x00ff_ffff));
                }
            }
            Self::Fqdn { host, domain } => {
                for name in [host, domain] {
                    let length = u8::try_from(name.len()).unwrap_or(u8::MAX);
                    out.put_u8(length);
                    out.put_slice(name.get(..usize::from(length)).unwrap_or_default());
                }
            }
            Self::Unknown { value, .. } => out.put_slice(value),
        }
    }

    /// Writes code, length and value.
    pub(super) fn encode(&self, out: &mut BytesMut) -> Result<(), EncodeError> {
        let mut value = BytesMut::new();
        self.put_value(&mut value);
        let length =
            u8::try_from(value.len()).map_err(|_| EncodeError::CapabilityTooLong { code: self.code() })?;
        out.put_u8(self.code());
        out.put_u8(length);
        out.put_slice(&value);
        Ok(())
    }

    /// Adds `self` to what the OPEN held before it. RFC 5492 section 4: a capability may come more than once.
    pub(super) fn merge_into(self, earlier: &mut Vec<Self>) {
        if earlier.contains(&self) {
            return;
        }
        for known in earlier.iter_mut() {
            match (known, &self) {
                (Self::ExtendedNextHop(known), Self::ExtendedNextHop(more)) => return extend(known, more),
                (Self::AddPath(known), Self::AddPath(more)) => return extend(known, more),
                (Self::LongLivedGracefulRestart(known), Self::LongLivedGracefulRestart(more)) => {
                    return extend(known, more);
                }
                // RFC 4724 section 3: of several, all but the last are ignored.
                (Self::GracefulRestart(known), Self::GracefulRestart(last)) => {
                    last.clone_into(known);
                    return;
                }
                _ => {}
            }
        }
        earlier.push(self);
    }
}

fn extend<T: Copy + PartialEq>(known: &mut Vec<T>, more: &[T]) {
    for entry in more {
        if !known.contains(entry) {
            known.push(*entry);
        }
    }
}

fn all<T>(value: &mut Bytes, entry: impl Fn(&mut Bytes) -> Option<T>) -> Option<Vec<T>> {
    let mut entries = Vec::new();
    while !value.is_empty() {
        entries.push(entry(value)?);
    }
    Some(entries)
}

fn family(value: &mut Bytes) -> Option<AfiSafi> {
    let afi = value.u16()?;
    Some(AfiSafi::new(afi, value.u8()?))
}

fn put_family(family: AfiSafi, out: &mut BytesMut) {
    out.put_u16(family.afi());
    out.put_u8(family.safi());
}
