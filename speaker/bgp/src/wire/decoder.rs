//! From a stream of bytes to messages (RFC 4271 sections 4.1 and 6.1).

use bytes::{Bytes, BytesMut};
use daymark_model::Family;

use super::error::WireError;
use super::message::{KEEPALIVE, Message, NOTIFICATION, OPEN, ROUTE_REFRESH, RouteRefresh, UPDATE};
use super::notification::Notification;
use super::open::Open;
use super::reader::Reader;
use super::update::Update;
use super::{HEADER_LEN, MAX_MESSAGE_LEN};

const MARKER_LEN: usize = 16;
const OFFENDING_LEN: usize = 64;

/// What the two OPENs agreed on, as far as it decides how messages are read.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct DecodeContext {
    /// AS numbers have four octets (both sides sent capability 65).
    pub four_octet_asn: bool,
    /// The largest message the peer may send: 4096, or 65535 when capability 6 was sent to it.
    pub max_message_len: u16,
    /// The families that both sides offered.
    pub families: Vec<Family>,
    /// The peer is in the own AS.
    pub internal: bool,
    /// Both sides sent capability 70.
    pub enhanced_route_refresh: bool,
}

/// Cuts a byte stream into messages.
///
/// Until [`set_context`](Self::set_context) the body of an UPDATE is not read (it comes back empty): no UPDATE is legal
/// there, whatever it holds. After an error the rest of the stream is dropped.
#[derive(Debug, Default)]
pub struct Decoder {
    buffer: BytesMut,
    context: Option<DecodeContext>,
    failed: Option<WireError>,
    offending: Bytes,
}

struct Header {
    length: usize,
    kind: u8,
}

impl Decoder {
    /// A decoder at the start of a stream.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets what was negotiated, for all messages not yet taken out.
    pub fn set_context(&mut self, context: DecodeContext) {
        self.context = Some(context);
    }

    /// Adds received bytes. To keep memory bounded call [`next`](Self::next) until it has no more after each call.
    pub fn feed(&mut self, bytes: &[u8]) {
        if self.failed.is_none() {
            self.buffer.extend_from_slice(bytes);
        }
    }

    /// The next message; `None` when more bytes are needed.
    ///
    /// # Errors
    /// What the session does not survive; the same again on each further call.
    #[expect(clippy::should_implement_trait, reason = "more bytes may follow a None")]
    pub fn next(&mut self) -> Result<Option<Message>, WireError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        let result = self.try_next();
        if let Err(error) = &result {
            self.failed = Some(error.clone());
            self.buffer = BytesMut::new();
        }
        result
    }

    /// The first octets, at most 64, of the message that [`next`](Self::next) failed on.
    pub fn offending(&self) -> &[u8] {
        &self.offending
    }

    fn try_next(&mut self) -> Result<Option<Message>, WireError> {
        let header = match self.header() {
            Ok(Some(header)) => header,
            Ok(None) => return Ok(None),
            Err(error) => {
                let excerpt = self.buffer.get(..OFFENDING_LEN).unwrap_or(&self.buffer);
                self.offending = Bytes::copy_from_slice(excerpt);
                return Err(error);
            }
        };
        if self.buffer.len() < header.length {
            return Ok(None);
        }
        let frame = self.buffer.split_to(header.length).freeze();
        self.message(header.kind, frame.clone()).map(Some).inspect_err(|_| {
            self.offending = Bytes::copy_from_slice(frame.get(..OFFENDING_LEN).unwrap_or(&frame));
        })
    }

    /// Checks as much of the header as has arrived, so that a peer that speaks something else is known at once.
    fn header(&self) -> Result<Option<Header>, WireError> {
        if self.buffer.iter().take(MARKER_LEN).any(|octet| *octet != 0xff) {
            return Err(WireError::NotSynchronized);
        }
        let Some([high, low, kind]) = self.buffer.get(MARKER_LEN..HEADER_LEN) else { return Ok(None) };
        let (length, kind) = (u16::from_be_bytes([*high, *low]), *kind);
        let bad_length = WireError::BadMessageLength { length, kind };
        let Some(body) = usize::from(length).checked_sub(HEADER_LEN) else { return Err(bad_length) };
        let negotiated = self.context.as_ref().map_or(MAX_MESSAGE_LEN, |context| context.max_message_len);
        let (min_body, limit) = match kind {
            // RFC 8654 section 4: OPEN and KEEPALIVE stay within 4096 octets.
            OPEN => (Open::MIN_BODY_LEN, MAX_MESSAGE_LEN),
            KEEPALIVE => (0, MAX_MESSAGE_LEN),
            UPDATE => (Update::MIN_BODY_LEN, negotiated),
            NOTIFICATION => (2, negotiated),
            ROUTE_REFRESH => (0, negotiated),
            _ if length > negotiated => return Err(bad_length),
            kind => return Err(WireError::BadMessageType { kind }),
        };
        if length > limit || body < min_body || (kind == KEEPALIVE && body != 0) {
            return Err(bad_length);
        }
        Ok(Some(Header { length: length.into(), kind }))
    }

    fn message(&self, kind: u8, frame: Bytes) -> Result<Message, WireError> {
        let length = u16::try_from(frame.len()).unwrap_or(u16::MAX);
        let bad_length = WireError::BadMessageLength { length, kind };
        let mut body = frame.clone();
        body.octets(HEADER_LEN).ok_or(bad_length.clone())?;
        match kind {
            OPEN => Open::decode(body).map(Message::Open),
            UPDATE => match &self.context {
                Some(context) => Update::decode(body, context).map(Message::Update),
                None => Ok(Message::Update(Update::default())),
            },
            NOTIFICATION => Notification::decode(body).map(Message::Notification).ok_or(bad_length),
            KEEPALIVE => Ok(Message::Keepalive),
            ROUTE_REFRESH => {
                let enhanced = self.context.as_ref().is_some_and(|context| context.enhanced_route_refresh);
                // RFC 7313 section 5: a BoRR or EoRR of a wrong length has an error code of its own.
                let marks = enhanced && matches!(body.get(2), Some(1 | 2));
                RouteRefresh::decode(body).map(Message::RouteRefresh).ok_or(if marks {
                    WireError::BadRefreshLength { message: frame }
                } else {
                    bad_length
                })
            }
            kind => Err(WireError::BadMessageType { kind }),
        }
    }
}
