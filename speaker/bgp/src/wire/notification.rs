//! NOTIFICATION: why a session ends (RFC 4271 sections 4.5 and 6, RFC 4486, 6608, 7313, 8538, 9003, 9384, 9687).

use std::fmt;

use bytes::{BufMut, Bytes, BytesMut};

use super::capability::Capability;
use super::error::EncodeError;
use super::message::{NOTIFICATION, finish, start};
use super::reader::Reader;
use super::{HEADER_LEN, MAX_MESSAGE_LEN};

/// A NOTIFICATION message.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Notification {
    /// Code and subcode.
    pub code: NotificationCode,
    /// What else the sender says; its meaning depends on the code.
    pub data: Bytes,
}

/// An error code with its subcode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NotificationCode {
    /// 1: message header error.
    Header(HeaderError),
    /// 2: OPEN message error.
    Open(OpenError),
    /// 3: UPDATE message error.
    Update(UpdateError),
    /// 4: hold timer expired.
    HoldTimerExpired,
    /// 5: finite state machine error.
    Fsm(FsmError),
    /// 6: cease.
    Cease(CeaseReason),
    /// 7: ROUTE-REFRESH message error.
    RouteRefresh(RouteRefreshError),
    /// 8: send hold timer expired (RFC 9687).
    SendHoldTimerExpired,
    /// Any other, and 4 and 8 with a subcode (they have none).
    Unknown {
        /// The code.
        code: u8,
        /// The subcode.
        subcode: u8,
    },
}

macro_rules! subcodes {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $octet:literal, $text:literal;)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name {
            $($(#[$variant_doc])* $variant,)*
            /// A subcode without a name here.
            Other(u8),
        }

        impl $name {
            /// Every subcode that has a name, by its number.
            pub const NAMED: &'static [(u8, Self)] = &[$(($octet, Self::$variant)),*];

            /// The subcode by its number.
            pub fn new(octet: u8) -> Self {
                match octet {
                    $($octet => Self::$variant,)*
                    other => Self::Other(other),
                }
            }

            /// The number of the subcode.
            pub fn octet(self) -> u8 {
                match self {
                    $(Self::$variant => $octet,)*
                    Self::Other(other) => other,
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self {
                    $(Self::$variant => f.write_str($text),)*
                    Self::Other(other) => write!(f, "subcode {other}"),
                }
            }
        }
    };
}

subcodes! {
    /// Subcodes of a message header error (RFC 4271 section 6.1).
    HeaderError {
        /// 0.
        Unspecific = 0, "unspecific";
        /// 1.
        ConnectionNotSynchronized = 1, "connection not synchronized";
        /// 2; data: the length field.
        BadMessageLength = 2, "bad message length";
        /// 3; data: the type field.
        BadMessageType = 3, "bad message type";
    }
}

subcodes! {
    /// Subcodes of an OPEN message error (RFC 4271 section 6.2, RFC 5492, RFC 9234).
    OpenError {
        /// 0.
        Unspecific = 0, "unspecific";
        /// 1; data: the highest version supported.
        UnsupportedVersion = 1, "unsupported version number";
        /// 2.
        BadPeerAs = 2, "bad peer AS";
        /// 3.
        BadBgpIdentifier = 3, "bad BGP identifier";
        /// 4.
        UnsupportedOptionalParameter = 4, "unsupported optional parameter";
        /// 6.
        UnacceptableHoldTime = 6, "unacceptable hold time";
        /// 7; data: the capabilities that are missing.
        UnsupportedCapability = 7, "unsupported capability";
        /// 11 (RFC 9234).
        RoleMismatch = 11, "role mismatch";
    }
}

subcodes! {
    /// Subcodes of an UPDATE message error (RFC 4271 section 6.3).
    UpdateError {
        /// 0.
        Unspecific = 0, "unspecific";
        /// 1.
        MalformedAttributeList = 1, "malformed attribute list";
        /// 2; data: the attribute.
        UnrecognizedWellKnownAttribute = 2, "unrecognized well-known attribute";
        /// 3; data: the type of the attribute.
        MissingWellKnownAttribute = 3, "missing well-known attribute";
        /// 4; data: the attribute.
        AttributeFlags = 4, "attribute flags error";
        /// 5; data: the attribute.
        AttributeLength = 5, "attribute length error";
        /// 6; data: the attribute.
        InvalidOrigin = 6, "invalid ORIGIN attribute";
        /// 8; data: the attribute.
        InvalidNextHop = 8, "invalid NEXT_HOP attribute";
        /// 9; data: the attribute.
        OptionalAttribute = 9, "optional attribute error";
        /// 10.
        InvalidNetworkField = 10, "invalid network field";
        /// 11.
        MalformedAsPath = 11, "malformed AS_PATH";
    }
}

subcodes! {
    /// Subcodes of a finite state machine error (RFC 6608).
    FsmError {
        /// 0.
        Unspecific = 0, "unspecific";
        /// 1; data: the type of the message.
        UnexpectedInOpenSent = 1, "unexpected message in OpenSent";
        /// 2; data: the type of the message.
        UnexpectedInOpenConfirm = 2, "unexpected message in OpenConfirm";
        /// 3; data: the type of the message.
        UnexpectedInEstablished = 3, "unexpected message in Established";
    }
}

subcodes! {
    /// Subcodes of a Cease (RFC 4486, RFC 8538, RFC 9384).
    CeaseReason {
        /// 0.
        Unspecific = 0, "unspecific";
        /// 1; data may hold the family and the limit.
        MaximumPrefixes = 1, "maximum number of prefixes reached";
        /// 2; data may hold a text (RFC 9003).
        AdministrativeShutdown = 2, "administrative shutdown";
        /// 3.
        PeerDeconfigured = 3, "peer de-configured";
        /// 4; data may hold a text (RFC 9003).
        AdministrativeReset = 4, "administrative reset";
        /// 5.
        ConnectionRejected = 5, "connection rejected";
        /// 6.
        OtherConfigurationChange = 6, "other configuration change";
        /// 7.
        ConnectionCollision = 7, "connection collision resolution";
        /// 8.
        OutOfResources = 8, "out of resources";
        /// 9; data: the NOTIFICATION it wraps (RFC 8538).
        HardReset = 9, "hard reset";
        /// 10 (RFC 9384).
        BfdDown = 10, "BFD down";
    }
}

subcodes! {
    /// Subcodes of a ROUTE-REFRESH message error (RFC 7313 section 5).
    RouteRefreshError {
        /// 0.
        Reserved = 0, "reserved";
        /// 1; data: the message.
        InvalidMessageLength = 1, "invalid message length";
    }
}

impl NotificationCode {
    /// Code and subcode by their numbers.
    pub fn new(code: u8, subcode: u8) -> Self {
        match (code, subcode) {
            (1, subcode) => Self::Header(HeaderError::new(subcode)),
            (2, subcode) => Self::Open(OpenError::new(subcode)),
            (3, subcode) => Self::Update(UpdateError::new(subcode)),
            (4, 0) => Self::HoldTimerExpired,
            (5, subcode) => Self::Fsm(FsmError::new(subcode)),
            (6, subcode) => Self::Cease(CeaseReason::new(subcode)),
            (7, subcode) => Self::RouteRefresh(RouteRefreshError::new(subcode)),
            (8, 0) => Self::SendHoldTimerExpired,
            (code, subcode) => Self::Unknown { code, subcode },
        }
    }

    /// The number of the code.
    pub fn code(self) -> u8 {
        match self {
            Self::Header(_) => 1,
            Self::Open(_) => 2,
            Self::Update(_) => 3,
            Self::HoldTimerExpired => 4,
            Self::Fsm(_) => 5,
            Self::Cease(_) => 6,
            Self::RouteRefresh(_) => 7,
            Self::SendHoldTimerExpired => 8,
            Self::Unknown { code, .. } => code,
        }
    }

    /// The number of the subcode; 0 where the code has none.
    pub fn subcode(self) -> u8 {
        match self {
            Self::Header(subcode) => subcode.octet(),
            Self::Open(subcode) => subcode.octet(),
            Self::Update(subcode) => subcode.octet(),
            Self::HoldTimerExpired | Self::SendHoldTimerExpired => 0,
            Self::Fsm(subcode) => subcode.octet(),
            Self::Cease(subcode) => subcode.octet(),
            Self::RouteRefresh(subcode) => subcode.octet(),
            Self::Unknown { subcode, .. } => subcode,
        }
    }
}

impl fmt::Display for NotificationCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Header(subcode) => write!(f, "message header error: {subcode}"),
            Self::Open(subcode) => write!(f, "OPEN message error: {subcode}"),
            Self::Update(subcode) => write!(f, "UPDATE message error: {subcode}"),
            Self::HoldTimerExpired => f.write_str("hold timer expired"),
            Self::Fsm(subcode) => write!(f, "finite state machine error: {subcode}"),
            Self::Cease(subcode) => write!(f, "cease: {subcode}"),
            Self::RouteRefresh(subcode) => write!(f, "ROUTE-REFRESH message error: {subcode}"),
            Self::SendHoldTimerExpired => f.write_str("send hold timer expired"),
            Self::Unknown { code: 4, .. } => f.write_str("hold timer expired: unknown subcode"),
            Self::Unknown { code: 8, .. } => f.write_str("send hold timer expired: unknown subcode"),
            Self::Unknown { .. } => f.write_str("unknown error"),
        }?;
        write!(f, " ({}/{})", self.code(), self.subcode())
    }
}

impl Notification {
    const FIXED_LEN: usize = HEADER_LEN.saturating_add(2);
    const MAX_DATA: usize = (MAX_MESSAGE_LEN as usize).saturating_sub(Self::FIXED_LEN);

    /// A NOTIFICATION without data.
    pub fn new(code: NotificationCode) -> Self {
        Self { code, data: Bytes::new() }
    }

    /// A NOTIFICATION with data.
    pub fn with_data(code: NotificationCode, data: impl Into<Bytes>) -> Self {
        Self { code, data: data.into() }
    }

    /// A Cease. The text (RFC 9003) goes out with an administrative shutdown or reset, cut to 255 octets at a
    /// character's end; the other reasons carry none.
    pub fn cease(reason: CeaseReason, text: &str) -> Self {
        let code = NotificationCode::Cease(reason);
        let text = text.get(..text.floor_char_boundary(255)).unwrap_or_default();
        let length = match u8::try_from(text.len()) {
            Ok(length) if length > 0 && carries_text(reason) => length,
            Ok(_) | Err(_) => return Self::new(code),
        };
        let mut data = BytesMut::new();
        data.put_u8(length);
        data.put_slice(text.as_bytes());
        Self::with_data(code, data)
    }

    /// 2/7 with the capabilities that the peer lacks (RFC 5492 section 5).
    ///
    /// # Errors
    /// A capability that has no form on the wire.
    pub fn unsupported_capability(missing: &[Capability]) -> Result<Self, EncodeError> {
        let mut data = BytesMut::new();
        for capability in missing {
            capability.encode(&mut data)?;
        }
        Ok(Self::with_data(NotificationCode::Open(OpenError::UnsupportedCapability), data))
    }

    /// The text that came with an administrative shutdown or reset (RFC 9003), control characters escaped and
    /// what is no UTF-8 replaced. `None` when there is none or its length is wrong.
    pub fn shutdown_communication(&self) -> Option<String> {
        let NotificationCode::Cease(reason) = self.code else { return None };
        if !carries_text(reason) {
            return None;
        }
        let mut data = self.data.clone();
        let length = usize::from(data.u8()?);
        let text = data.octets(length).filter(|text| !text.is_empty())?;
        let mut readable = String::new();
        for c in String::from_utf8_lossy(&text).chars() {
            if c.is_control() { readable.extend(c.escape_default()) } else { readable.push(c) }
        }
        Some(readable)
    }

    pub(super) fn decode(mut body: Bytes) -> Option<Self> {
        let code = body.u8()?;
        let subcode = body.u8()?;
        Some(Self { code: NotificationCode::new(code, subcode), data: body })
    }
}

fn carries_text(reason: CeaseReason) -> bool {
    match reason {
        CeaseReason::AdministrativeShutdown | CeaseReason::AdministrativeReset => true,
        CeaseReason::Unspecific
        | CeaseReason::MaximumPrefixes
        | CeaseReason::PeerDeconfigured
        | CeaseReason::ConnectionRejected
        | CeaseReason::OtherConfigurationChange
        | CeaseReason::ConnectionCollision
        | CeaseReason::OutOfResources
        | CeaseReason::HardReset
        | CeaseReason::BfdDown
        | CeaseReason::Other(_) => false,
    }
}

impl fmt::Display for Notification {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.code.fmt(f)?;
        if let Some(text) = self.shutdown_communication() {
            return write!(f, ": \"{text}\"");
        }
        if !self.data.is_empty() {
            f.write_str(", data ")?;
            for octet in self.data.iter().take(32) {
                write!(f, "{octet:02x}")?;
            }
            if self.data.len() > 32 {
                f.write_str("...")?;
            }
        }
        Ok(())
    }
}

/// Writes a NOTIFICATION. Data that would not fit into 4096 octets is cut: any session takes that much.
pub fn encode_notification(message: &Notification, out: &mut BytesMut) {
    let at = start(NOTIFICATION, out);
    out.put_u8(message.code.code());
    out.put_u8(message.code.subcode());
    out.put_slice(message.data.get(..Notification::MAX_DATA).unwrap_or(&message.data));
    finish(at, out);
}
