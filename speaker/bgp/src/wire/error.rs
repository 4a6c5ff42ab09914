//! What ends a session because of its bytes, and what cannot be encoded.

use bytes::{Bytes, BytesMut};
use daymark_model::Family;
use ipnet::IpNet;

use super::notification::{
    HeaderError, Notification, NotificationCode, OpenError, RouteRefreshError, UpdateError,
};

/// Received bytes that a session does not survive.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// The marker is not all ones: no BGP, or bytes were lost.
    #[error("the peer's bytes do not start with a BGP marker: check that it speaks BGP on this port")]
    NotSynchronized,
    /// A length field out of bounds for the session or for the message type.
    #[error("a message of type {kind} with the impossible length {length}")]
    BadMessageLength {
        /// The length field.
        length: u16,
        /// The type field.
        kind: u8,
    },
    /// A message type that does not exist.
    #[error("a message of the unknown type {kind}")]
    BadMessageType {
        /// The type field.
        kind: u8,
    },
    /// An OPEN of another version than 4.
    #[error("the peer speaks BGP version {version}, only 4 is spoken here")]
    UnsupportedVersion {
        /// What the OPEN says.
        version: u8,
    },
    /// AS 0, AS_TRANS without a four-octet number, or two numbers that contradict each other.
    #[error("the peer's OPEN names no usable AS: {two_octet} in the message, {four_octet:?} as capability")]
    BadPeerAs {
        /// The field of the OPEN.
        two_octet: u16,
        /// Capability 65, if it came.
        four_octet: Option<u32>,
    },
    /// BGP identifier 0.0.0.0 (RFC 6286).
    #[error("the peer's BGP identifier is 0.0.0.0: give the peer a router id")]
    ZeroBgpIdentifier,
    /// An optional parameter other than capabilities.
    #[error("the peer's OPEN has the unsupported optional parameter {kind}")]
    UnsupportedOptionalParameter {
        /// The type of the parameter.
        kind: u8,
    },
    /// A hold time of one or two seconds.
    #[error("the peer offers a hold time of {seconds} s: set it to 0 or to at least 3 there")]
    UnacceptableHoldTime {
        /// What the OPEN says.
        seconds: u16,
    },
    /// An OPEN whose parts do not fit together.
    #[error("the peer's OPEN is malformed: {what}")]
    MalformedOpen {
        /// Which part.
        what: &'static str,
    },
    /// An UPDATE that RFC 7606 answers with a session reset.
    #[error("the peer's UPDATE is malformed: {fault}")]
    Update {
        /// What is wrong.
        fault: UpdateFault,
        /// The data for the NOTIFICATION: the attribute, where one is at fault.
        attribute: Bytes,
    },
    /// A BoRR or EoRR of a wrong length (RFC 7313 section 5).
    #[error("a ROUTE-REFRESH with the impossible length {}", .message.len())]
    BadRefreshLength {
        /// The whole message.
        message: Bytes,
    },
}

/// Why an UPDATE resets the session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum UpdateFault {
    /// Withdrawn routes or attributes longer than the message (RFC 7606 section 3).
    #[error("the lengths of its parts exceed it")]
    Lengths,
    /// MP_REACH_NLRI or MP_UNREACH_NLRI twice (RFC 7606 section 3).
    #[error("MP_REACH_NLRI or MP_UNREACH_NLRI appears twice")]
    DuplicateMultiprotocol,
    /// MP_REACH_NLRI or MP_UNREACH_NLRI that cannot be read (RFC 7606 sections 5.3 and 7.11).
    #[error("MP_REACH_NLRI or MP_UNREACH_NLRI cannot be read")]
    Multiprotocol,
    /// Prefixes that cannot be read (RFC 7606 section 5.3).
    #[error("a prefix cannot be read")]
    Prefix,
    /// A well-known attribute that nobody knows (RFC 4271 section 6.3).
    #[error("a well-known attribute is unknown")]
    UnknownWellKnown,
    /// A defect in the attributes of a message that names no reachable prefix (RFC 7606 section 5.2).
    #[error("its attributes are wrong and it names no reachable prefix that could be withdrawn")]
    NothingToWithdraw,
}

impl WireError {
    /// The NOTIFICATION to send before the connection is closed.
    pub fn notification(&self) -> Notification {
        match self {
            Self::NotSynchronized => {
                Notification::new(NotificationCode::Header(HeaderError::ConnectionNotSynchronized))
            }
            Self::BadMessageLength { length, .. } => Notification::with_data(
                NotificationCode::Header(HeaderError::BadMessageLength),
                length.to_be_bytes().to_vec(),
            ),
            Self::BadMessageType { kind } => {
                Notification::with_data(NotificationCode::Header(HeaderError::BadMessageType), vec![*kind])
            }
            Self::UnsupportedVersion { .. } => Notification::with_data(
                NotificationCode::Open(OpenError::UnsupportedVersion),
                4_u16.to_be_bytes().to_vec(),
            ),
            Self::BadPeerAs { .. } => Notification::new(NotificationCode::Open(OpenError::BadPeerAs)),
            Self::ZeroBgpIdentifier => Notification::new(NotificationCode::Open(OpenError::BadBgpIdentifier)),
            Self::UnsupportedOptionalParameter { .. } => {
                Notification::new(NotificationCode::Open(OpenError::UnsupportedOptionalParameter))
            }
            Self::UnacceptableHoldTime { seconds } => Notification::with_data(
                NotificationCode::Open(OpenError::UnacceptableHoldTime),
                seconds.to_be_bytes().to_vec(),
            ),
            Self::MalformedOpen { .. } => Notification::new(NotificationCode::Open(OpenError::Unspecific)),
            Self::Update { fault, attribute } => {
                Notification::with_data(NotificationCode::Update(fault.subcode()), attribute.clone())
            }
            Self::BadRefreshLength { message } => Notification::with_data(
                NotificationCode::RouteRefresh(RouteRefreshError::InvalidMessageLength),
                message.clone(),
            ),
        }
    }
}

impl UpdateFault {
    fn subcode(self) -> UpdateError {
        match self {
            Self::Lengths | Self::DuplicateMultiprotocol | Self::NothingToWithdraw => {
                UpdateError::MalformedAttributeList
            }
            Self::Multiprotocol => UpdateError::OptionalAttribute,
            Self::Prefix => UpdateError::InvalidNetworkField,
            Self::UnknownWellKnown => UpdateError::UnrecognizedWellKnownAttribute,
        }
    }

    /// The error with the attribute at fault, in the form it has on the wire.
    pub(super) fn in_attribute(self, flags: u8, kind: u8, value: &[u8]) -> WireError {
        let mut attribute = BytesMut::new();
        super::attributes::put_attribute(flags, kind, value, &mut attribute);
        WireError::Update { fault: self, attribute: attribute.freeze() }
    }

    /// The error without data.
    pub(super) fn alone(self) -> WireError {
        WireError::Update { fault: self, attribute: Bytes::new() }
    }
}

/// A message that cannot be written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// A prefix of the other family than the message.
    #[error("the prefix {prefix} is not {family}")]
    WrongFamily {
        /// The prefix.
        prefix: IpNet,
        /// The family of the message.
        family: Family,
    },
    /// A next hop that the session cannot carry for the family.
    #[error(
        "{family} prefixes cannot have a next hop of the other family on this session: give the node an {family} \
         address that the neighbor can reach"
    )]
    NextHopFamily {
        /// The family of the prefixes.
        family: Family,
    },
    /// So many attributes that not one prefix fits beside them.
    #[error(
        "the attributes take {octets} octets and leave no room for a prefix in a message of {limit}: remove \
         communities"
    )]
    AttributesTooLong {
        /// What the attributes take.
        octets: usize,
        /// The largest message of the session.
        limit: usize,
    },
    /// Communities that have no form on the wire.
    #[error("communities cannot be encoded: {reason}")]
    Communities {
        /// Why.
        reason: String,
    },
    /// A capability whose value exceeds 255 octets.
    #[error("the value of capability {code} exceeds 255 octets")]
    CapabilityTooLong {
        /// Its code.
        code: u8,
    },
    /// Capabilities that exceed an OPEN.
    #[error("an OPEN of {octets} octets exceeds the limit of 4096: send fewer capabilities")]
    OpenTooLong {
        /// What it would take.
        octets: usize,
    },
}
