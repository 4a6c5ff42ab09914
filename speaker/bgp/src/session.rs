//! One connection with the neighbor, from our OPEN to its end (RFC 4271 section 8.2.2).
//!
//! Each state has its method, which takes each message. What concerns two connections at once (collisions), the time
//! before a connection and the time after it belong to [`Peer`](crate::Peer).

use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use daymark_model::Family;

use crate::config::PeerConfig;
use crate::error::{LocalOpen, SessionError};
use crate::event::{CloseMode, ConnectionId, Link, Output};
use crate::negotiate::{Negotiated, negotiate, open};
use crate::status::SessionState;
use crate::timers::{Jitter, OPEN_WAIT, earliest, is_due, keepalive, send_hold};
use crate::wire::{
    CeaseReason, Decoder, FsmError, Message, Notification, NotificationCode, Open, RefreshSubtype,
    RouteRefresh, WireError, encode_keepalive, encode_notification, encode_open,
};

const NOTIFICATION_TYPE: u8 = 3;

/// What a connection needs from its peer while it handles something.
pub(crate) struct Env<'a> {
    pub(crate) now: Instant,
    pub(crate) config: &'a PeerConfig,
    pub(crate) jitter: &'a mut Jitter,
    pub(crate) out: &'a mut Vec<Output>,
}

/// A connection.
#[derive(Debug)]
pub(crate) struct Connection {
    id: ConnectionId,
    link: Link,
    state: State,
    decoder: Decoder,
    /// Octets that were sent and that the kernel has not taken.
    unwritten: usize,
    hold: Option<Instant>,
    keepalive: Option<Instant>,
    send_hold: Option<Instant>,
    prefixes_received: u64,
}

#[derive(Debug)]
enum State {
    OpenSent,
    OpenConfirm(Negotiated),
    Established { negotiated: Negotiated, since: Instant },
}

/// What a message led to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// Nothing that concerns anybody else.
    Nothing,
    /// The OPENs agree. Unless another connection wins, [`Connection::confirm`] goes on.
    OpenAgreed,
    /// The session is up.
    Established,
    /// The neighbor asks for a family's routes again.
    RefreshAsked(Family),
}

/// The end of a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ended {
    pub(crate) error: SessionError,
    /// What the neighbor is told.
    pub(crate) notification: Option<Notification>,
    pub(crate) mode: CloseMode,
}

impl Ended {
    /// We end it and say why.
    fn with(error: SessionError, notification: Notification) -> Self {
        Self { error, notification: Some(notification), mode: CloseMode::Linger }
    }

    /// There is nobody to tell.
    pub(crate) fn silently(error: SessionError) -> Self {
        Self { error, notification: None, mode: CloseMode::Abort }
    }

    /// We leave.
    pub(crate) fn cease(error: SessionError, reason: CeaseReason, text: &str) -> Self {
        Self::with(error, Notification::cease(reason, text))
    }

    /// Another connection with the same neighbor stays (RFC 4271 section 6.8).
    pub(crate) fn collision() -> Self {
        Self::cease(SessionError::Collision, CeaseReason::ConnectionCollision, "")
    }
}

impl Connection {
    /// A connection that stands now: our OPEN goes out.
    pub(crate) fn open(id: ConnectionId, link: Link, env: &mut Env<'_>) -> Self {
        let mut connection = Self {
            id,
            link,
            state: State::OpenSent,
            decoder: Decoder::new(),
            unwritten: 0,
            hold: Some(env.now + OPEN_WAIT),
            keepalive: None,
            send_hold: None,
            prefixes_received: 0,
        };
        let mut bytes = BytesMut::new();
        // Cannot fail: a handful of capabilities of a few octets.
        if encode_open(&open(env.config), &mut bytes).is_ok() {
            connection.send(bytes.freeze(), env.now, env.out);
        }
        connection
    }

    pub(crate) fn id(&self) -> ConnectionId {
        self.id
    }

    pub(crate) fn link(&self) -> &Link {
        &self.link
    }

    pub(crate) fn set_link(&mut self, link: Link) {
        self.link = link;
    }

    pub(crate) fn state(&self) -> SessionState {
        match self.state {
            State::OpenSent => SessionState::OpenSent,
            State::OpenConfirm(_) => SessionState::OpenConfirm,
            State::Established { .. } => SessionState::Established,
        }
    }

    pub(crate) fn negotiated(&self) -> Option<&Negotiated> {
        match &self.state {
            State::OpenSent => None,
            State::OpenConfirm(negotiated) | State::Established { negotiated, .. } => Some(negotiated),
        }
    }

    /// Since when it is Established, if it is.
    pub(crate) fn established_since(&self) -> Option<Instant> {
        match self.state {
            State::OpenSent | State::OpenConfirm(_) => None,
            State::Established { since, .. } => Some(since),
        }
    }

    pub(crate) fn unwritten(&self) -> usize {
        self.unwritten
    }

    pub(crate) fn prefixes_received(&self) -> u64 {
        self.prefixes_received
    }

    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        earliest([self.hold, self.keepalive, self.send_hold])
    }

    pub(crate) fn send(&mut self, bytes: Bytes, now: Instant, out: &mut Vec<Output>) {
        if self.unwritten == 0 {
            self.send_hold = Some(now + send_hold(self.hold_time()));
        }
        self.unwritten = self.unwritten.saturating_add(bytes.len());
        out.push(Output::Send { connection: self.id, bytes });
    }

    /// The kernel took `octets`: the neighbor reads.
    pub(crate) fn written(&mut self, octets: usize, now: Instant) {
        self.unwritten = self.unwritten.saturating_sub(octets);
        self.send_hold = (self.unwritten > 0).then(|| now + send_hold(self.hold_time()));
    }

    fn hold_time(&self) -> Duration {
        self.negotiated().map_or(Duration::ZERO, |negotiated| negotiated.hold)
    }

    pub(crate) fn feed(&mut self, bytes: &[u8]) {
        self.decoder.feed(bytes);
    }

    /// The next message, if one is complete.
    pub(crate) fn next_message(&mut self) -> Result<Option<Message>, Ended> {
        self.decoder.next().map_err(|error| match error {
            // RFC 4271 section 6.4: an error in a NOTIFICATION is never answered with one.
            WireError::BadMessageLength { kind: NOTIFICATION_TYPE, .. } => {
                Ended { error: error.into(), notification: None, mode: CloseMode::Linger }
            }
            WireError::NotSynchronized
            | WireError::BadMessageLength { .. }
            | WireError::BadMessageType { .. }
            | WireError::UnsupportedVersion { .. }
            | WireError::BadPeerAs { .. }
            | WireError::ZeroBgpIdentifier
            | WireError::UnsupportedOptionalParameter { .. }
            | WireError::UnacceptableHoldTime { .. }
            | WireError::MalformedOpen { .. }
            | WireError::Update { .. }
            | WireError::BadRefreshLength { .. } => {
                let notification = error.notification();
                Ended::with(error.into(), notification)
            }
        })
    }

    /// Takes a message.
    pub(crate) fn receive(&mut self, message: Message, env: &mut Env<'_>) -> Result<Step, Ended> {
        match self.state {
            State::OpenSent => self.open_sent(message, env),
            State::OpenConfirm(_) => self.open_confirm(message, env),
            State::Established { .. } => self.established(message, env),
        }
    }

    fn open_sent(&mut self, message: Message, env: &mut Env<'_>) -> Result<Step, Ended> {
        match message {
            Message::Open(theirs) => self.agree(&theirs, env.config),
            Message::Notification(notification) => Err(notified(notification, env.config)),
            Message::Update(_) | Message::Keepalive | Message::RouteRefresh(_) => {
                Err(unexpected(&message, FsmError::UnexpectedInOpenSent, self.state()))
            }
        }
    }

    fn agree(&mut self, theirs: &Open, config: &PeerConfig) -> Result<Step, Ended> {
        let negotiated =
            negotiate(config, theirs).map_err(|refusal| Ended::with(refusal.error, refusal.notification))?;
        self.decoder.set_context(negotiated.decode_context());
        self.state = State::OpenConfirm(negotiated);
        Ok(Step::OpenAgreed)
    }

    /// Confirms the neighbor's OPEN with a KEEPALIVE.
    pub(crate) fn confirm(&mut self, env: &mut Env<'_>) {
        self.send_keepalive(env);
        self.heard(env.now);
    }

    fn open_confirm(&mut self, message: Message, env: &mut Env<'_>) -> Result<Step, Ended> {
        match message {
            Message::Keepalive => {
                self.heard(env.now);
                if let State::OpenConfirm(negotiated) = &self.state {
                    self.state = State::Established { negotiated: negotiated.clone(), since: env.now };
                }
                Ok(Step::Established)
            }
            Message::Notification(notification) => Err(notified(notification, env.config)),
            Message::Open(_) | Message::Update(_) | Message::RouteRefresh(_) => {
                Err(unexpected(&message, FsmError::UnexpectedInOpenConfirm, self.state()))
            }
        }
    }

    fn established(&mut self, message: Message, env: &mut Env<'_>) -> Result<Step, Ended> {
        match message {
            Message::Keepalive => {
                self.heard(env.now);
                Ok(Step::Nothing)
            }
            Message::Update(update) => {
                self.heard(env.now);
                let count = u64::try_from(update.announced.len()).unwrap_or(u64::MAX);
                self.prefixes_received = self.prefixes_received.saturating_add(count);
                Ok(Step::Nothing)
            }
            Message::RouteRefresh(refresh) => {
                self.heard(env.now);
                Ok(self.asked(refresh))
            }
            Message::Notification(notification) => Err(notified(notification, env.config)),
            Message::Open(_) => Err(unexpected(&message, FsmError::UnexpectedInEstablished, self.state())),
        }
    }

    /// RFC 2918 section 4: a request for a family that was not negotiated is ignored. What the neighbor says about its
    /// own routes (BoRR, EoRR) concerns nobody, since none is kept.
    fn asked(&self, refresh: RouteRefresh) -> Step {
        let spoken = |family: &Family| self.negotiated().is_some_and(|n| n.families.contains(family));
        match refresh.subtype {
            RefreshSubtype::Request => {
                refresh.family.family().filter(spoken).map_or(Step::Nothing, Step::RefreshAsked)
            }
            RefreshSubtype::Begin | RefreshSubtype::End | RefreshSubtype::Other(_) => Step::Nothing,
        }
    }

    /// The neighbor lives.
    fn heard(&mut self, now: Instant) {
        let hold = self.hold_time();
        self.hold = (!hold.is_zero()).then(|| now + hold);
    }

    fn send_keepalive(&mut self, env: &mut Env<'_>) {
        let mut bytes = BytesMut::new();
        encode_keepalive(&mut bytes);
        self.send(bytes.freeze(), env.now, env.out);
        let interval = keepalive(env.config.timers.keepalive, self.hold_time());
        self.keepalive = interval.map(|interval| env.now + env.jitter.shorten(interval));
    }

    /// Does what is due.
    pub(crate) fn tick(&mut self, env: &mut Env<'_>) -> Result<(), Ended> {
        if is_due(self.hold, env.now) {
            let error = match self.state {
                State::OpenSent => SessionError::NoOpen { waited: OPEN_WAIT },
                State::OpenConfirm(_) | State::Established { .. } => {
                    SessionError::HoldTimerExpired { hold: self.hold_time() }
                }
            };
            return Err(Ended::with(error, Notification::new(NotificationCode::HoldTimerExpired)));
        }
        if is_due(self.send_hold, env.now) {
            // RFC 9687 section 3.3: nothing can be sent, so the connection is closed without a NOTIFICATION.
            return Err(Ended::silently(SessionError::SendHoldTimerExpired {
                waited: send_hold(self.hold_time()),
            }));
        }
        if is_due(self.keepalive, env.now) {
            self.send_keepalive(env);
        }
        Ok(())
    }

    /// Says what is to be said and closes.
    pub(crate) fn close(mut self, ended: &Ended, now: Instant, out: &mut Vec<Output>) {
        if let Some(notification) = &ended.notification {
            let mut bytes = BytesMut::new();
            encode_notification(notification, &mut bytes);
            self.send(bytes.freeze(), now, out);
        }
        out.push(Output::Close { connection: self.id, mode: ended.mode });
    }
}

fn notified(notification: Notification, config: &PeerConfig) -> Ended {
    let local = LocalOpen { asn: config.local_asn, router_id: config.router_id, hold: config.hold_seconds() };
    Ended {
        error: SessionError::Notified { notification, local },
        notification: None,
        mode: CloseMode::Linger,
    }
}

/// RFC 6608: the data is the type of the message.
fn unexpected(message: &Message, subcode: FsmError, state: SessionState) -> Ended {
    let (name, kind): (_, u8) = match message {
        Message::Open(_) => ("an OPEN", 1),
        Message::Update(_) => ("an UPDATE", 2),
        Message::Notification(_) => ("a NOTIFICATION", NOTIFICATION_TYPE),
        Message::Keepalive => ("a KEEPALIVE", 4),
        Message::RouteRefresh(_) => ("a ROUTE-REFRESH", 5),
    };
    let notification = Notification::with_data(NotificationCode::Fsm(subcode), vec![kind]);
    Ended::with(SessionError::UnexpectedMessage { message: name, state: state.as_str() }, notification)
}
