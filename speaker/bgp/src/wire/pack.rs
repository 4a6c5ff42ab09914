//! UPDATE as it is sent: as many prefixes as fit into each message.

use bytes::{BufMut, BytesMut};
use daymark_model::Family;
use ipnet::IpNet;

use super::attributes::{
    AttributeForm, AttributeType, NextHop, OPTIONAL, PathAttributes, finish_attribute, start_attribute,
};
use super::error::EncodeError;
use super::family::AfiSafi;
use super::message::{UPDATE, finish, set_u16, start};
use super::nlri::{Encoded, max_encoded_len};
use super::{HEADER_LEN, MAX_EXTENDED_MESSAGE_LEN, MAX_MESSAGE_LEN};

/// What the two OPENs agreed on, as far as it decides how messages are written.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct EncodeContext {
    /// AS numbers have four octets (both sides sent capability 65).
    pub four_octet_asn: bool,
    /// The largest message the peer takes: 4096, or 65535 when it sent capability 6.
    pub max_message_len: usize,
    /// The peer is in the own AS.
    pub internal: bool,
    /// IPv4 prefixes may have an IPv6 next hop (capability 5, RFC 8950).
    pub extended_next_hop: bool,
}

impl EncodeContext {
    fn limit(&self) -> usize {
        self.max_message_len.clamp(usize::from(MAX_MESSAGE_LEN), usize::from(MAX_EXTENDED_MESSAGE_LEN))
    }
}

/// Withdrawn routes' length and attributes' length.
const LENGTHS: usize = 4;

/// Announces all `prefixes` with the same attributes, in as few messages as they fit into. Gives their number.
///
/// IPv4 prefixes with an IPv4 next hop stand in the NLRI field with NEXT_HOP, all others in MP_REACH_NLRI, which is
/// then the first attribute (RFC 7606 section 5.1).
///
/// # Errors
/// `out` is then as it was before.
pub fn encode_announce(
    context: &EncodeContext,
    family: Family,
    next_hop: NextHop,
    attributes: &PathAttributes,
    prefixes: &mut impl Iterator<Item = IpNet>,
    out: &mut BytesMut,
) -> Result<usize, EncodeError> {
    let classic = match (family, next_hop) {
        (Family::V4, NextHop::V4(address)) => Some(address),
        (Family::V4, NextHop::V6 { .. }) if context.extended_next_hop => None,
        (Family::V6, NextHop::V6 { .. }) => None,
        (Family::V4, NextHop::V6 { .. }) | (Family::V6, NextHop::V4(_)) => {
            return Err(EncodeError::NextHopFamily { family });
        }
    };
    let form = AttributeForm {
        next_hop: classic,
        four_octet_asn: context.four_octet_asn,
        internal: context.internal,
    };
    let mut encoded = BytesMut::new();
    attributes.encode(&form, &mut encoded)?;
    if classic.is_some() {
        pack(context, family, prefixes, out, &mut Classic { attributes: &encoded })
    } else {
        pack(context, family, prefixes, out, &mut Reach { family, next_hop, attributes: &encoded, at: 0 })
    }
}

/// Withdraws all `prefixes`, in as few messages as they fit into. Gives their number.
///
/// # Errors
/// `out` is then as it was before.
pub fn encode_withdraw(
    context: &EncodeContext,
    family: Family,
    prefixes: &mut impl Iterator<Item = IpNet>,
    out: &mut BytesMut,
) -> Result<usize, EncodeError> {
    match family {
        Family::V4 => pack(context, family, prefixes, out, &mut ClassicWithdraw),
        Family::V6 => pack(context, family, prefixes, out, &mut Unreach { family, at: 0 }),
    }
}

/// Writes End-of-RIB (RFC 4724 section 2): an empty UPDATE, or one with an empty MP_UNREACH_NLRI.
pub fn encode_end_of_rib(family: Family, out: &mut BytesMut) {
    let at = start(UPDATE, out);
    match family {
        Family::V4 => out.put_bytes(0, LENGTHS),
        Family::V6 => {
            let mut layout = Unreach { family, at: 0 };
            layout.before(out);
            layout.after(at, out);
        }
    }
    finish(at, out);
}

/// Where in an UPDATE the prefixes stand, and what stands around them.
trait Layout {
    /// The octets of a message with this layout beside its prefixes, at most.
    fn overhead(&self) -> usize;
    /// Writes what precedes the prefixes, behind the header.
    fn before(&mut self, out: &mut BytesMut);
    /// Writes what follows them, and sets the lengths inside the message that begins at `at`.
    fn after(&mut self, at: usize, out: &mut BytesMut);
}

struct Classic<'a> {
    attributes: &'a [u8],
}

struct Reach<'a> {
    family: Family,
    next_hop: NextHop,
    attributes: &'a [u8],
    at: usize,
}

struct ClassicWithdraw;

struct Unreach {
    family: Family,
    at: usize,
}

impl Layout for Classic<'_> {
    fn overhead(&self) -> usize {
        HEADER_LEN.saturating_add(LENGTHS).saturating_add(self.attributes.len())
    }

    fn before(&mut self, out: &mut BytesMut) {
        out.put_u16(0);
        out.put_u16(u16::try_from(self.attributes.len()).unwrap_or(u16::MAX));
        out.put_slice(self.attributes);
    }

    fn after(&mut self, _: usize, _: &mut BytesMut) {}
}

impl Layout for Reach<'_> {
    fn overhead(&self) -> usize {
        // Attribute head, family, length of the next hop, reserved octet.
        const HEAD: usize = 4 + 3 + 1 + 1;
        HEADER_LEN
            .saturating_add(LENGTHS)
            .saturating_add(HEAD)
            .saturating_add(self.next_hop.octets().into())
            .saturating_add(self.attributes.len())
    }

    fn before(&mut self, out: &mut BytesMut) {
        out.put_u32(0);
        self.at = start_attribute(OPTIONAL, AttributeType::MP_REACH_NLRI, out);
        put_family(self.family, out);
        self.next_hop.put(out);
        out.put_u8(0);
    }

    fn after(&mut self, at: usize, out: &mut BytesMut) {
        finish_attribute(self.at, out);
        out.put_slice(self.attributes);
        set_attributes_len(at, out);
    }
}

impl Layout for ClassicWithdraw {
    fn overhead(&self) -> usize {
        HEADER_LEN.saturating_add(LENGTHS)
    }

    fn before(&mut self, out: &mut BytesMut) {
        out.put_u16(0);
    }

    fn after(&mut self, at: usize, out: &mut BytesMut) {
        let length_at = at.saturating_add(HEADER_LEN);
        let length = out.len().saturating_sub(length_at).saturating_sub(2);
        set_u16(out, length_at, u16::try_from(length).unwrap_or(u16::MAX));
        out.put_u16(0);
    }
}

impl Layout for Unreach {
    fn overhead(&self) -> usize {
        // Attribute head and family.
        const HEAD: usize = 4 + 3;
        HEADER_LEN.saturating_add(LENGTHS).saturating_add(HEAD)
    }

    fn before(&mut self, out: &mut BytesMut) {
        out.put_u32(0);
        self.at = start_attribute(OPTIONAL, AttributeType::MP_UNREACH_NLRI, out);
        put_family(self.family, out);
    }

    fn after(&mut self, at: usize, out: &mut BytesMut) {
        finish_attribute(self.at, out);
        set_attributes_len(at, out);
    }
}

fn put_family(family: Family, out: &mut BytesMut) {
    let family = AfiSafi::from(family);
    out.put_u16(family.afi());
    out.put_u8(family.safi());
}

/// For an UPDATE without withdrawn routes and NLRI fields.
fn set_attributes_len(at: usize, out: &mut BytesMut) {
    let attributes_at = at.saturating_add(HEADER_LEN).saturating_add(LENGTHS);
    let length = out.len().saturating_sub(attributes_at);
    set_u16(out, attributes_at.saturating_sub(2), u16::try_from(length).unwrap_or(u16::MAX));
}

fn pack(
    context: &EncodeContext,
    family: Family,
    prefixes: &mut impl Iterator<Item = IpNet>,
    out: &mut BytesMut,
    layout: &mut impl Layout,
) -> Result<usize, EncodeError> {
    let limit = context.limit();
    let octets = layout.overhead();
    let room = limit.saturating_sub(octets);
    if room < max_encoded_len(family) {
        return Err(EncodeError::AttributesTooLong { octets, limit });
    }
    let untouched = out.len();
    let mut written: usize = 0;
    let mut next = prefixes.next();
    while next.is_some() {
        let expected = prefixes.size_hint().0.saturating_add(1).saturating_mul(max_encoded_len(family));
        out.reserve(octets.saturating_add(expected.min(room)));
        let at = start(UPDATE, out);
        layout.before(out);
        let mut left = room;
        while let Some(prefix) = next {
            if Family::of(prefix.addr()) != family {
                out.truncate(untouched);
                return Err(EncodeError::WrongFamily { prefix, family });
            }
            let encoded = Encoded::new(&prefix);
            let Some(rest) = left.checked_sub(encoded.len()) else { break };
            left = rest;
            encoded.put(out);
            written = written.saturating_add(1);
            next = prefixes.next();
        }
        layout.after(at, out);
        finish(at, out);
    }
    Ok(written)
}
