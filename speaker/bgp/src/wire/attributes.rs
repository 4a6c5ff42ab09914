//! Path attributes as they are sent, and their numbers (RFC 4271 section 5).

use std::collections::BTreeSet;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use bytes::{BufMut, BytesMut};
use daymark_model::{Asn, ExtendedCommunity, Family, LargeCommunity, StandardCommunity};

use super::error::EncodeError;
use super::message::set_u16;
use super::open::two_octet_asn;
use super::zetta;

/// The attribute is optional.
pub(super) const OPTIONAL: u8 = 0x80;
/// The attribute is transitive.
pub(super) const TRANSITIVE: u8 = 0x40;
/// The length has two octets.
pub(super) const EXTENDED_LENGTH: u8 = 0x10;

const ORIGIN_IGP: u8 = 0;
const AS_SEQUENCE: u8 = 2;
/// How many AS numbers a segment can hold: its count has one octet.
const SEGMENT_LEN: usize = 255;

/// The type of a path attribute.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AttributeType(pub u8);

macro_rules! attribute_types {
    ($($name:ident = $octet:literal, $rfc:literal;)*) => {
        impl AttributeType {
            $(#[doc = $rfc] pub const $name: Self = Self($octet);)*

            /// The name, where it has one here.
            pub fn name(self) -> Option<&'static str> {
                match self {
                    $(Self::$name => Some(stringify!($name)),)*
                    Self(_) => None,
                }
            }
        }
    };
}

attribute_types! {
    ORIGIN = 1, "RFC 4271.";
    AS_PATH = 2, "RFC 4271.";
    NEXT_HOP = 3, "RFC 4271.";
    MULTI_EXIT_DISC = 4, "RFC 4271.";
    LOCAL_PREF = 5, "RFC 4271.";
    ATOMIC_AGGREGATE = 6, "RFC 4271.";
    AGGREGATOR = 7, "RFC 4271.";
    COMMUNITIES = 8, "RFC 1997.";
    ORIGINATOR_ID = 9, "RFC 4456.";
    CLUSTER_LIST = 10, "RFC 4456.";
    MP_REACH_NLRI = 14, "RFC 4760.";
    MP_UNREACH_NLRI = 15, "RFC 4760.";
    EXTENDED_COMMUNITIES = 16, "RFC 4360.";
    AS4_PATH = 17, "RFC 6793.";
    AS4_AGGREGATOR = 18, "RFC 6793.";
    IPV6_EXTENDED_COMMUNITIES = 25, "RFC 5701.";
    LARGE_COMMUNITIES = 32, "RFC 8092.";
    ONLY_TO_CUSTOMER = 35, "RFC 9234.";
}

impl fmt::Display for AttributeType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "attribute {}", self.0),
        }
    }
}

/// The attributes that announced prefixes share. ORIGIN is always IGP.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PathAttributes {
    /// The AS path, nearest AS first, one AS_SEQUENCE; empty towards the own AS.
    pub as_path: Vec<Asn>,
    /// MULTI_EXIT_DISC.
    pub med: Option<u32>,
    /// LOCAL_PREF; sent within the own AS only, and 100 there when `None` (it is mandatory).
    pub local_preference: Option<u32>,
    /// Standard communities.
    pub communities: BTreeSet<StandardCommunity>,
    /// Large communities.
    pub large_communities: BTreeSet<LargeCommunity>,
    /// Extended communities.
    pub extended_communities: BTreeSet<ExtendedCommunity>,
}

/// Where the announced prefixes are reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NextHop {
    /// An IPv4 address.
    V4(Ipv4Addr),
    /// An IPv6 address, with the link-local one beside it when sender, next hop and receiver share a link (RFC 2545
    /// section 3).
    V6 {
        /// The global address, or the link-local one where there is no other.
        address: Ipv6Addr,
        /// The link-local address that follows it.
        link_local: Option<Ipv6Addr>,
    },
}

impl NextHop {
    /// The family of the address.
    pub fn family(&self) -> Family {
        match self {
            Self::V4(_) => Family::V4,
            Self::V6 { .. } => Family::V6,
        }
    }

    /// The length of its addresses.
    pub(super) fn octets(&self) -> u8 {
        match self {
            Self::V4(_) => 4,
            Self::V6 { link_local: None, .. } => 16,
            Self::V6 { link_local: Some(_), .. } => 32,
        }
    }

    /// Length octet and addresses, as in MP_REACH_NLRI.
    pub(super) fn put(&self, out: &mut BytesMut) {
        out.put_u8(self.octets());
        match self {
            Self::V4(address) => out.put_slice(&address.octets()),
            Self::V6 { address, link_local } => {
                out.put_slice(&address.octets());
                if let Some(link_local) = link_local {
                    out.put_slice(&link_local.octets());
                }
            }
        }
    }
}

impl From<IpAddr> for NextHop {
    fn from(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(address) => Self::V4(address),
            IpAddr::V6(address) => Self::V6 { address, link_local: None },
        }
    }
}

/// What decides the form of attributes.
pub(super) struct AttributeForm {
    /// NEXT_HOP, where the prefixes stand behind the attributes.
    pub(super) next_hop: Option<Ipv4Addr>,
    /// The receiver reads AS numbers of four octets.
    pub(super) four_octet_asn: bool,
    /// The receiver is in the own AS.
    pub(super) internal: bool,
}

impl PathAttributes {
    /// Writes all attributes but MP_REACH_NLRI, by ascending type (RFC 4271 section 5).
    pub(super) fn encode(&self, form: &AttributeForm, out: &mut BytesMut) -> Result<(), EncodeError> {
        put_attribute(TRANSITIVE, AttributeType::ORIGIN.0, &[ORIGIN_IGP], out);
        let mut value = BytesMut::new();
        put_as_path(&self.as_path, form.four_octet_asn, &mut value);
        put_attribute(TRANSITIVE, AttributeType::AS_PATH.0, &value, out);
        if let Some(next_hop) = form.next_hop {
            put_attribute(TRANSITIVE, AttributeType::NEXT_HOP.0, &next_hop.octets(), out);
        }
        if let Some(med) = self.med {
            put_attribute(OPTIONAL, AttributeType::MULTI_EXIT_DISC.0, &med.to_be_bytes(), out);
        }
        // RFC 4271 section 5.1.5: LOCAL_PREF to every internal peer and to no external one.
        if form.internal {
            let preference = self.local_preference.unwrap_or(100);
            put_attribute(TRANSITIVE, AttributeType::LOCAL_PREF.0, &preference.to_be_bytes(), out);
        }
        put_communities(AttributeType::COMMUNITIES, &zetta::communities(&self.communities)?, out);
        put_communities(
            AttributeType::EXTENDED_COMMUNITIES,
            &zetta::extended_communities(&self.extended_communities)?,
            out,
        );
        // RFC 6793 section 4.2.2: AS4_PATH for a receiver of two octets, when AS_PATH could not say it all.
        if !form.four_octet_asn && self.as_path.iter().any(|asn| asn.get() > u32::from(u16::MAX)) {
            let mut value = BytesMut::new();
            put_as_path(&self.as_path, true, &mut value);
            put_attribute(OPTIONAL | TRANSITIVE, AttributeType::AS4_PATH.0, &value, out);
        }
        put_communities(
            AttributeType::LARGE_COMMUNITIES,
            &zetta::large_communities(&self.large_communities)?,
            out,
        );
        Ok(())
    }
}

fn put_as_path(path: &[Asn], four_octet: bool, out: &mut BytesMut) {
    for segment in path.chunks(SEGMENT_LEN) {
        out.put_u8(AS_SEQUENCE);
        out.put_u8(u8::try_from(segment.len()).unwrap_or(u8::MAX));
        for asn in segment {
            if four_octet { out.put_u32(asn.get()) } else { out.put_u16(two_octet_asn(*asn)) }
        }
    }
}

/// An empty communities attribute is malformed (RFC 7606 section 7.8), so none is sent.
fn put_communities(kind: AttributeType, value: &[u8], out: &mut BytesMut) {
    if !value.is_empty() {
        put_attribute(OPTIONAL | TRANSITIVE, kind.0, value, out);
    }
}

/// Writes an attribute; the length takes two octets only when it needs them.
pub(super) fn put_attribute(flags: u8, kind: u8, value: &[u8], out: &mut BytesMut) {
    match u8::try_from(value.len()) {
        Ok(length) => out.put_slice(&[flags & !EXTENDED_LENGTH, kind, length]),
        Err(_) => {
            out.put_slice(&[flags | EXTENDED_LENGTH, kind]);
            out.put_u16(u16::try_from(value.len()).unwrap_or(u16::MAX));
        }
    }
    out.put_slice(value);
}

/// Starts an attribute whose length is not known, for [`finish_attribute`] to set.
pub(super) fn start_attribute(flags: u8, kind: AttributeType, out: &mut BytesMut) -> usize {
    let at = out.len();
    out.put_slice(&[flags | EXTENDED_LENGTH, kind.0, 0, 0]);
    at
}

/// Sets the length of the attribute that [`start_attribute`] began at `at`, and moves a short value up by an octet.
pub(super) fn finish_attribute(at: usize, out: &mut BytesMut) {
    let value_at = at.saturating_add(4);
    let length = out.len().saturating_sub(value_at);
    match u8::try_from(length) {
        Ok(short) => {
            if let Some([flags, _, high, _]) = out.get_mut(at..value_at) {
                *flags &= !EXTENDED_LENGTH;
                *high = short;
            }
            let end = out.len();
            out.copy_within(value_at..end, value_at.saturating_sub(1));
            out.truncate(end.saturating_sub(1));
        }
        Err(_) => set_u16(out, at.saturating_add(2), u16::try_from(length).unwrap_or(u16::MAX)),
    }
}
