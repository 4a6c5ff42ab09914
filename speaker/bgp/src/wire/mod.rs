//! The BGP-4 codec: bytes to messages and back, without sockets and without a clock.
//!
//! - [`Decoder`] cuts the byte stream into frames, checks header, lengths and values, and returns [`Message`]s. A
//!   [`WireError`] ends the session and knows the NOTIFICATION to send.
//! - An UPDATE is read shallowly, since nothing of it is installed: prefixes, End-of-RIB, the attributes as raw bytes,
//!   and what RFC 7606 says about each defect found (`disposition.rs` holds that table).
//! - `encode_*` write whole messages behind whatever the buffer already holds. [`encode_announce`] packs prefixes of
//!   equal attributes into as few messages as the negotiated size allows.
//!
//! Nothing here panics or loops on any input, and what a frame can make it hold is bounded by the frame. Crate
//! `zettabgp` is used in `zetta.rs` only.

#![cfg_attr(
    not(test),
    deny(
        clippy::indexing_slicing,
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::arithmetic_side_effects
    )
)]

mod attributes;
mod capability;
mod decoder;
mod disposition;
mod error;
mod family;
mod message;
mod nlri;
mod notification;
mod open;
mod pack;
mod reader;
mod update;
mod zetta;

pub use attributes::{AttributeType, NextHop, PathAttributes};
pub use capability::{
    AddPathFamily, Capability, ExtendedNextHop, GracefulRestart, GracefulRestartFamily,
    LongLivedGracefulRestartFamily,
};
pub use decoder::{DecodeContext, Decoder};
pub use disposition::{Defect, DefectKind, Disposition};
pub use error::{EncodeError, UpdateFault, WireError};
pub use family::AfiSafi;
pub use message::{Message, RefreshSubtype, RouteRefresh, encode_keepalive, encode_route_refresh};
pub use notification::{
    CeaseReason, FsmError, HeaderError, Notification, NotificationCode, OpenError, RouteRefreshError,
    UpdateError, encode_notification,
};
pub use open::{Open, encode_open};
pub use pack::{EncodeContext, encode_announce, encode_end_of_rib, encode_withdraw};
pub use update::{RawAttribute, Update};

/// The length of the header: marker, length, type (RFC 4271 section 4.1).
pub const HEADER_LEN: usize = 19;
/// The largest message without RFC 8654, and always the largest OPEN and KEEPALIVE.
pub const MAX_MESSAGE_LEN: u16 = 4096;
/// The largest message with RFC 8654.
pub const MAX_EXTENDED_MESSAGE_LEN: u16 = u16::MAX;
