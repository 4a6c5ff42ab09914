//! Messages, and the two small ones: KEEPALIVE and ROUTE-REFRESH.

use bytes::{BufMut, Bytes, BytesMut};

use super::family::AfiSafi;
use super::notification::Notification;
use super::open::Open;
use super::reader::Reader;
use super::update::Update;

pub(super) const OPEN: u8 = 1;
pub(super) const UPDATE: u8 = 2;
pub(super) const NOTIFICATION: u8 = 3;
pub(super) const KEEPALIVE: u8 = 4;
pub(super) const ROUTE_REFRESH: u8 = 5;

/// A received message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// OPEN.
    Open(Open),
    /// UPDATE.
    Update(Update),
    /// NOTIFICATION.
    Notification(Notification),
    /// KEEPALIVE.
    Keepalive,
    /// ROUTE-REFRESH (RFC 2918, RFC 7313).
    RouteRefresh(RouteRefresh),
}

impl Message {
    /// The type as it stands in the header; an FSM error carries it as data (RFC 6608).
    pub fn kind(&self) -> u8 {
        match self {
            Self::Open(_) => OPEN,
            Self::Update(_) => UPDATE,
            Self::Notification(_) => NOTIFICATION,
            Self::Keepalive => KEEPALIVE,
            Self::RouteRefresh(_) => ROUTE_REFRESH,
        }
    }

    /// The name of the type.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Open(_) => "OPEN",
            Self::Update(_) => "UPDATE",
            Self::Notification(_) => "NOTIFICATION",
            Self::Keepalive => "KEEPALIVE",
            Self::RouteRefresh(_) => "ROUTE-REFRESH",
        }
    }
}

/// A ROUTE-REFRESH message (RFC 2918, RFC 7313).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RouteRefresh {
    /// The family that is asked for, or whose refresh begins or ends.
    pub family: AfiSafi,
    /// What it says about it.
    pub subtype: RefreshSubtype,
}

/// The subtype of a ROUTE-REFRESH (RFC 7313 section 3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RefreshSubtype {
    /// 0: send everything again.
    Request,
    /// 1: BoRR, a refresh begins.
    Begin,
    /// 2: EoRR, the refresh has ended.
    End,
    /// Any other; to be ignored (RFC 7313 section 5).
    Other(u8),
}

impl RefreshSubtype {
    pub(super) fn new(octet: u8) -> Self {
        match octet {
            0 => Self::Request,
            1 => Self::Begin,
            2 => Self::End,
            other => Self::Other(other),
        }
    }

    fn octet(self) -> u8 {
        match self {
            Self::Request => 0,
            Self::Begin => 1,
            Self::End => 2,
            Self::Other(other) => other,
        }
    }
}

impl RouteRefresh {
    pub(super) fn decode(mut body: Bytes) -> Option<Self> {
        let afi = body.u16()?;
        let subtype = RefreshSubtype::new(body.u8()?);
        let safi = body.u8()?;
        body.is_empty().then_some(Self { family: AfiSafi::new(afi, safi), subtype })
    }
}

/// Starts a message of `kind`: marker, a length of 0 for [`finish`] to set, type.
pub(super) fn start(kind: u8, out: &mut BytesMut) -> usize {
    let at = out.len();
    out.put_bytes(0xff, 16);
    out.put_u16(0);
    out.put_u8(kind);
    at
}

/// Sets the length of the message that [`start`] began at `at`.
pub(super) fn finish(at: usize, out: &mut BytesMut) {
    let length = u16::try_from(out.len().saturating_sub(at)).unwrap_or(u16::MAX);
    set_u16(out, at.saturating_add(16), length);
}

/// Overwrites the two octets at `at`, if they are there.
pub(super) fn set_u16(out: &mut BytesMut, at: usize, value: u16) {
    if let Some(field) = out.get_mut(at..at.saturating_add(2)) {
        field.copy_from_slice(&value.to_be_bytes());
    }
}

/// Writes a KEEPALIVE.
pub fn encode_keepalive(out: &mut BytesMut) {
    let at = start(KEEPALIVE, out);
    finish(at, out);
}

/// Writes a ROUTE-REFRESH.
pub fn encode_route_refresh(message: RouteRefresh, out: &mut BytesMut) {
    let at = start(ROUTE_REFRESH, out);
    out.put_u16(message.family.afi());
    out.put_u8(message.subtype.octet());
    out.put_u8(message.family.safi());
    finish(at, out);
}
