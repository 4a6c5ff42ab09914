//! OPEN (RFC 4271 section 4.2, RFC 5492, RFC 6793, RFC 9072).

use std::net::Ipv4Addr;

use bytes::{BufMut, Bytes, BytesMut};
use daymark_model::{Asn, RouterId};

use super::MAX_MESSAGE_LEN;
use super::capability::Capability;
use super::error::{EncodeError, WireError};
use super::message::{OPEN, finish, start};
use super::reader::Reader;

const VERSION: u8 = 4;
const CAPABILITIES: u8 = 2;
/// RFC 9072: as length and as type of the first parameter it announces the extended form.
const EXTENDED: u8 = 255;

/// An OPEN message.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Open {
    /// The sender's AS: capability 65 where it is there, else the field of the message.
    pub asn: Asn,
    /// Seconds; 0 for none, never 1 or 2.
    pub hold_time: u16,
    /// The sender's BGP identifier.
    pub router_id: RouterId,
    /// The capabilities in the order in which they first came, repeated ones merged.
    pub capabilities: Vec<Capability>,
}

impl Open {
    /// The length of the body without optional parameters.
    pub(super) const MIN_BODY_LEN: usize = 10;

    pub(super) fn decode(mut body: Bytes) -> Result<Self, WireError> {
        let short = WireError::MalformedOpen { what: "it ends before its optional parameters" };
        let (Some(version), Some(two_octet), Some(hold_time), Some(id)) =
            (body.u8(), body.u16(), body.u16(), body.u32())
        else {
            return Err(short);
        };
        if version != VERSION {
            return Err(WireError::UnsupportedVersion { version });
        }
        let Some(length) = body.u8() else { return Err(short) };
        let capabilities = optional_parameters(length, body)?;
        let asn = resolve_asn(two_octet, &capabilities)?;
        // RFC 4271 section 6.2: a hold time of one or two seconds MUST be refused.
        if matches!(hold_time, 1 | 2) {
            return Err(WireError::UnacceptableHoldTime { seconds: hold_time });
        }
        let router_id = RouterId::new(Ipv4Addr::from_bits(id)).ok_or(WireError::ZeroBgpIdentifier)?;
        Ok(Self { asn, hold_time, router_id, capabilities })
    }
}

fn optional_parameters(length: u8, mut body: Bytes) -> Result<Vec<Capability>, WireError> {
    let overrun = WireError::MalformedOpen { what: "the optional parameters do not fill the message" };
    // RFC 9072 section 2: a first parameter of type 255 announces the extended form; the length before it is ignored
    // unless it is 0.
    let extended = length != 0 && body.first() == Some(&EXTENDED);
    let length = if extended {
        body.u8().ok_or(overrun.clone())?;
        usize::from(body.u16().ok_or(overrun.clone())?)
    } else {
        usize::from(length)
    };
    if length != body.len() {
        return Err(overrun);
    }
    let mut capabilities = Vec::new();
    while !body.is_empty() {
        let kind = body.u8().ok_or(overrun.clone())?;
        let length = if extended { body.u16() } else { body.u8().map(u16::from) };
        let value = length.and_then(|length| body.octets(length.into())).ok_or(overrun.clone())?;
        if kind != CAPABILITIES {
            return Err(WireError::UnsupportedOptionalParameter { kind });
        }
        read_capabilities(value, &mut capabilities)?;
    }
    Ok(capabilities)
}

fn read_capabilities(mut value: Bytes, capabilities: &mut Vec<Capability>) -> Result<(), WireError> {
    while !value.is_empty() {
        let parts = value.u8().zip(value.u8());
        let Some((code, value)) = parts.and_then(|(code, length)| Some((code, value.octets(length.into())?)))
        else {
            return Err(WireError::MalformedOpen { what: "a capability exceeds its parameter" });
        };
        Capability::decode(code, value)?.merge_into(capabilities);
    }
    Ok(())
}

/// RFC 6793 section 4.2.3 and RFC 7607: the AS number, refused when there is none to trust.
fn resolve_asn(two_octet: u16, capabilities: &[Capability]) -> Result<Asn, WireError> {
    let mut four_octet = None;
    for capability in capabilities {
        let Capability::FourOctetAsn(asn) = capability else { continue };
        if four_octet.replace(*asn).is_some() {
            return Err(WireError::BadPeerAs { two_octet, four_octet: Some(*asn) });
        }
    }
    let bad = WireError::BadPeerAs { two_octet, four_octet };
    let in_message = u32::from(two_octet);
    let agreed = match four_octet {
        Some(asn) if in_message == asn || in_message == Asn::TRANS.get() => asn,
        None if in_message != Asn::TRANS.get() => in_message,
        Some(_) | None => return Err(bad),
    };
    Asn::new(agreed).map_err(|_| bad)
}

/// Writes an OPEN with all capabilities in one optional parameter, in the form of RFC 9072 only when they need it.
///
/// # Errors
/// Capabilities that exceed their own bounds or the message's.
pub fn encode_open(message: &Open, out: &mut BytesMut) -> Result<(), EncodeError> {
    let mut capabilities = BytesMut::new();
    for capability in &message.capabilities {
        capability.encode(&mut capabilities)?;
    }
    let at = start(OPEN, out);
    out.put_u8(VERSION);
    out.put_u16(two_octet_asn(message.asn));
    out.put_u16(message.hold_time);
    out.put_slice(&message.router_id.get().octets());
    match u8::try_from(capabilities.len()).ok().zip(parameter_length(capabilities.len())) {
        _ if capabilities.is_empty() => out.put_u8(0),
        Some((length, with_head)) => {
            out.put_slice(&[with_head, CAPABILITIES, length]);
        }
        None => {
            let length = u16::try_from(capabilities.len()).unwrap_or(u16::MAX);
            out.put_slice(&[EXTENDED, EXTENDED]);
            out.put_u16(length.saturating_add(3));
            out.put_u8(CAPABILITIES);
            out.put_u16(length);
        }
    }
    out.put_slice(&capabilities);
    let octets = out.len().saturating_sub(at);
    if octets > usize::from(MAX_MESSAGE_LEN) {
        out.truncate(at);
        return Err(EncodeError::OpenTooLong { octets });
    }
    finish(at, out);
    Ok(())
}

/// The optional parameters' length with one parameter of `octets`. 255 itself announces the extended form.
fn parameter_length(octets: usize) -> Option<u8> {
    u8::try_from(octets.saturating_add(2)).ok().filter(|length| *length != EXTENDED)
}

/// The number for a field of two octets (RFC 6793 section 4.2.3).
pub(super) fn two_octet_asn(asn: Asn) -> u16 {
    u16::try_from(asn.get()).unwrap_or(TRANS)
}

/// AS_TRANS (RFC 6793).
const TRANS: u16 = 23456;
