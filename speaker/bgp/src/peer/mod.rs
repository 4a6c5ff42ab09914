//! One neighbor: connecting, retrying, collisions, and leaving.
//!
//! While there is no connection, a passive peer waits and an active one connects at growing intervals; a failure of
//! any kind, a received NOTIFICATION too, leads to such a wait and never straight to another attempt. There may be two
//! connections, one from each side, until an OPEN decides which stays. Routes belong to the neighbor, not to a
//! connection: they are kept while there is none, and all of them go out when one is Established.

mod collision;
mod leave;

use std::time::Instant;

use bytes::BytesMut;

use crate::config::PeerConfig;
use crate::error::{ConnectFault, SessionError};
use crate::event::{CloseMode, ConnectionId, Input, Link, Origin, Output};
use crate::rib_out::{RibOut, SessionContext};
use crate::route::RouteChange;
use crate::session::{Connection, Ended, Env, Step};
use crate::status::{SessionState, SessionStatus};
use crate::timers::{CONNECT_WAIT, Jitter, Retry, earliest};
use crate::wire::CeaseReason;
use leave::Life;

/// Octets per batch of updates.
const BATCH: usize = 128 * 1024;
/// While more octets than this wait for the socket no further batch is made.
const MOST_UNWRITTEN: usize = 256 * 1024;

/// One neighbor: at most one session, its connections on the way there, and the routes that it shall have.
#[derive(Debug)]
pub struct Peer {
    config: PeerConfig,
    life: Life,
    dial: Dial,
    last_attempt: Option<Instant>,
    attempts: u64,
    outgoing: Option<Connection>,
    incoming: Option<Connection>,
    rib: RibOut,
    jitter: Jitter,
    retry: Retry,
    state: SessionState,
    since: Instant,
    flaps: u64,
    last_error: Option<(Instant, SessionError)>,
    /// What went wrong in the call of [`Peer::handle`] under way.
    fresh_error: Option<SessionError>,
}

/// Our own connecting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Dial {
    /// Nothing is to be done: there is a connection, the peer is passive, or it is stopped.
    Rest,
    /// The next attempt is due then.
    Waiting(Instant),
    /// An attempt is under way and is given up then.
    Connecting(ConnectionId, Instant),
}

impl Peer {
    /// A neighbor that is connected to at the first [`Input::Tick`]. `seed` feeds the jitter of its timers.
    pub fn new(config: PeerConfig, seed: u64, now: Instant) -> Self {
        let dial = if config.passive { Dial::Rest } else { Dial::Waiting(now) };
        Self {
            config,
            life: Life::Running,
            dial,
            last_attempt: None,
            attempts: 0,
            outgoing: None,
            incoming: None,
            rib: RibOut::new(),
            jitter: Jitter::new(seed),
            retry: Retry::new(),
            state: SessionState::Active,
            since: now,
            flaps: 0,
            last_error: None,
            fresh_error: None,
        }
    }

    /// The configuration in force.
    pub fn config(&self) -> &PeerConfig {
        &self.config
    }

    /// Takes what happened at `now` and appends what is to be done.
    ///
    /// Inputs about connections that are closed or unknown are ignored.
    pub fn handle(&mut self, now: Instant, input: Input<'_>, out: &mut Vec<Output>) {
        match input {
            Input::Connected { connection, link } => self.connected(connection, link, now, out),
            Input::ConnectFailed { connection, fault } => self.connect_failed(connection, fault, now),
            Input::Accepted { connection, link } => self.accepted(connection, link, now, out),
            Input::Received { connection, bytes } => self.received(connection, bytes, now, out),
            Input::Written { connection, octets } => {
                if let Some(connection) = self.known(connection) {
                    connection.written(octets, now);
                }
            }
            Input::Closed { connection, error } => self.closed(connection, error, now, out),
            Input::LinkChanged { connection, link } => self.link_changed(connection, link),
            Input::Tick => self.tick(now, out),
            Input::RoutesChanged(changes) => {
                for change in changes {
                    self.rib.change(change);
                }
            }
            Input::Synced => self.rib.set_synced(),
            Input::Reconfigured(config) => self.reconfigure(config, now, out),
            Input::Reset { reason } => self.reset(reason, now, out),
            Input::Stop { reason, text } => self.stop(reason, &text, now, out),
            Input::Shutdown { text, wait } => self.shut_down(text, wait, now, out),
        }
        self.send_updates(now, out);
        self.leave_on(now, out);
        self.report(now, out);
    }

    /// When [`Input::Tick`] is due next.
    pub fn next_deadline(&self) -> Option<Instant> {
        let dial = match self.dial {
            Dial::Rest => None,
            Dial::Waiting(at) | Dial::Connecting(_, at) => Some(at),
        };
        let connections =
            [&self.outgoing, &self.incoming].map(|c| c.as_ref().and_then(Connection::next_deadline));
        earliest([dial, self.life.deadline(), connections[0], connections[1]])
    }

    /// What is to be told about it.
    pub fn status(&self) -> SessionStatus {
        let up = self.established();
        let negotiated = self.furthest().and_then(Connection::negotiated);
        let agreed = up.and_then(Connection::negotiated);
        SessionStatus {
            state: self.state,
            since: self.since,
            flaps: self.flaps,
            families: agreed.map(|n| n.families.clone()).unwrap_or_default(),
            hold: agreed.map(|n| n.hold),
            peer_asn: negotiated.map(|n| n.peer_asn),
            peer_router_id: negotiated.map(|n| n.peer_router_id),
            ipv4: self.rib.counts(daymark_model::Family::V4),
            ipv6: self.rib.counts(daymark_model::Family::V6),
            prefixes_received: up.map_or(0, Connection::prefixes_received),
            problems: self.rib.problems(),
            last_error: self.last_error.clone(),
            next_attempt: match self.dial {
                Dial::Waiting(at) => Some(at),
                Dial::Rest | Dial::Connecting(..) => None,
            },
        }
    }

    /// The routes that the neighbor shall have.
    pub fn routes(&self) -> impl Iterator<Item = RouteChange> {
        self.rib.wanted()
    }

    fn slot(&mut self, origin: Origin) -> &mut Option<Connection> {
        match origin {
            Origin::Outgoing => &mut self.outgoing,
            Origin::Incoming => &mut self.incoming,
        }
    }

    fn known(&mut self, id: ConnectionId) -> Option<&mut Connection> {
        self.slot(id.origin).as_mut().filter(|connection| connection.id() == id)
    }

    /// The connection, with what it needs to work.
    fn with_env<'a>(
        &'a mut self,
        id: ConnectionId,
        now: Instant,
        out: &'a mut Vec<Output>,
    ) -> Option<(&'a mut Connection, Env<'a>)> {
        let slot = match id.origin {
            Origin::Outgoing => &mut self.outgoing,
            Origin::Incoming => &mut self.incoming,
        };
        let connection = slot.as_mut().filter(|connection| connection.id() == id)?;
        Some((connection, Env { now, config: &self.config, jitter: &mut self.jitter, out }))
    }

    fn ids(&self) -> impl Iterator<Item = ConnectionId> + use<> {
        [&self.outgoing, &self.incoming].map(|slot| slot.as_ref().map(Connection::id)).into_iter().flatten()
    }

    fn furthest(&self) -> Option<&Connection> {
        [&self.outgoing, &self.incoming].into_iter().flatten().max_by_key(|connection| connection.state())
    }

    fn established(&self) -> Option<&Connection> {
        self.furthest().filter(|connection| connection.state() == SessionState::Established)
    }

    fn connect(&mut self, now: Instant, out: &mut Vec<Output>) {
        let connection = ConnectionId { origin: Origin::Outgoing, number: self.attempts };
        self.attempts = self.attempts.wrapping_add(1);
        self.last_attempt = Some(now);
        self.dial = Dial::Connecting(connection, now + CONNECT_WAIT);
        out.push(Output::Connect { connection });
    }

    /// Waits for longer than the last time before the next attempt, if there is to be one.
    fn retry_later(&mut self, now: Instant) {
        let alone = self.outgoing.is_none() && self.incoming.is_none();
        self.dial = if alone && !self.config.passive && self.life == Life::Running {
            Dial::Waiting(now + self.retry.next(self.config.connect_retry(), &mut self.jitter))
        } else {
            Dial::Rest
        };
    }

    fn connected(&mut self, id: ConnectionId, link: Link, now: Instant, out: &mut Vec<Output>) {
        if !matches!(self.dial, Dial::Connecting(attempt, _) if attempt == id) {
            return;
        }
        self.dial = Dial::Rest;
        let mut env = Env { now, config: &self.config, jitter: &mut self.jitter, out };
        self.outgoing = Some(Connection::open(id, link, &mut env));
    }

    fn connect_failed(&mut self, id: ConnectionId, fault: ConnectFault, now: Instant) {
        if matches!(self.dial, Dial::Connecting(attempt, _) if attempt == id) {
            self.note(SessionError::Connect(fault), now);
            self.retry_later(now);
        }
    }

    fn give_up_connecting(&mut self, out: &mut Vec<Output>) {
        if let Dial::Connecting(connection, _) = self.dial {
            out.push(Output::Close { connection, mode: CloseMode::Abort });
        }
        self.dial = Dial::Rest;
    }

    fn received(&mut self, id: ConnectionId, bytes: &[u8], now: Instant, out: &mut Vec<Output>) {
        let Some(connection) = self.known(id) else { return };
        connection.feed(bytes);
        while let Some((connection, mut env)) = self.with_env(id, now, out) {
            let step = match connection.next_message() {
                Ok(Some(message)) => connection.receive(message, &mut env),
                Ok(None) => return,
                Err(ended) => Err(ended),
            };
            match step {
                Ok(Step::Nothing) => {}
                Ok(Step::OpenAgreed) => self.open_agreed(id, now, out),
                Ok(Step::Established) => self.came_up(id, now, out),
                Ok(Step::RefreshAsked(family)) => self.rib.refresh(family),
                Err(ended) => self.end(id, &ended, now, out),
            }
        }
    }

    fn came_up(&mut self, id: ConnectionId, now: Instant, out: &mut Vec<Output>) {
        self.give_up_connecting(out);
        for other in self.ids().filter(|other| *other != id) {
            self.end(other, &Ended::collision(), now, out);
        }
        let local_asn = self.config.local_asn;
        let Some(connection) = self.known(id) else { return };
        let Some(negotiated) = connection.negotiated() else { return };
        let context = SessionContext {
            internal: negotiated.internal,
            families: negotiated.families.clone(),
            enhanced_route_refresh: negotiated.enhanced_route_refresh,
            encode: negotiated.encode_context(),
            local_asn,
        };
        let link = *connection.link();
        self.rib.begin(context, &link);
    }

    fn closed(&mut self, id: ConnectionId, error: Option<String>, now: Instant, out: &mut Vec<Output>) {
        let Some(connection) = self.known(id) else { return };
        let state = connection.state().as_str();
        self.end(id, &Ended::silently(SessionError::ConnectionLost { state, error }), now, out);
    }

    /// Ends a connection, and the session if it was the one.
    fn end(&mut self, id: ConnectionId, ended: &Ended, now: Instant, out: &mut Vec<Output>) {
        let Some(connection) = self.slot(id.origin).take_if(|connection| connection.id() == id) else {
            return;
        };
        if let Some(since) = connection.established_since() {
            self.rib.end();
            self.flaps = self.flaps.saturating_add(1);
            self.retry.session_ended(since, now);
        }
        connection.close(ended, now, out);
        if ended.error != SessionError::Collision {
            self.note(ended.error.clone(), now);
        }
        if self.dial == Dial::Rest {
            self.retry_later(now);
        }
    }

    fn note(&mut self, error: SessionError, now: Instant) {
        self.last_error = Some((now, error.clone()));
        self.fresh_error = Some(error);
    }

    fn tick(&mut self, now: Instant, out: &mut Vec<Output>) {
        for id in self.ids() {
            let Some((connection, mut env)) = self.with_env(id, now, out) else { continue };
            if let Err(ended) = connection.tick(&mut env) {
                self.end(id, &ended, now, out);
            }
        }
        match self.dial {
            Dial::Waiting(at) if at <= now => self.connect(now, out),
            Dial::Connecting(connection, until) if until <= now => {
                out.push(Output::Close { connection, mode: CloseMode::Abort });
                self.note(SessionError::Connect(ConnectFault::TimedOut), now);
                self.retry_later(now);
            }
            Dial::Rest | Dial::Waiting(_) | Dial::Connecting(..) => {}
        }
    }

    fn link_changed(&mut self, id: ConnectionId, link: Link) {
        let Some(connection) = self.known(id) else { return };
        connection.set_link(link);
        if connection.state() == SessionState::Established {
            self.rib.set_link(&link);
        }
    }

    /// A session stays unless what its OPEN said has changed.
    fn reconfigure(&mut self, config: PeerConfig, now: Instant, out: &mut Vec<Output>) {
        let old = std::mem::replace(&mut self.config, config);
        if self.life != Life::Running {
            return;
        }
        if !old.keeps_session(&self.config) {
            return self.reset(CeaseReason::OtherConfigurationChange, now, out);
        }
        if self.config.passive != old.passive {
            self.give_up_connecting(out);
        }
        self.retry_soon(now);
    }

    fn reset(&mut self, reason: CeaseReason, now: Instant, out: &mut Vec<Output>) {
        self.give_up_connecting(out);
        for id in self.ids() {
            self.end(id, &Ended::cease(SessionError::Reconfigured, reason, ""), now, out);
        }
        self.retry_soon(now);
    }

    /// What kept the last attempts from success may be mended: the next one comes early, but as far from the last one
    /// and from the last failure as is configured.
    fn retry_soon(&mut self, now: Instant) {
        let idle =
            self.outgoing.is_none() && self.incoming.is_none() && !matches!(self.dial, Dial::Connecting(..));
        if !idle || self.config.passive || self.life != Life::Running {
            return;
        }
        self.retry = Retry::new();
        let pause = self.jitter.shorten(self.config.connect_retry());
        let last = self.last_attempt.max(self.last_error.as_ref().map(|(at, _)| *at));
        self.dial = Dial::Waiting(last.map_or(now, |last| now.max(last + pause)));
    }

    /// Sends what the neighbor shall hear, as far as the socket takes it.
    fn send_updates(&mut self, now: Instant, out: &mut Vec<Output>) {
        let Self { outgoing, incoming, rib, .. } = self;
        let mut connections = [outgoing, incoming].into_iter().flatten();
        let Some(connection) = connections.find(|c| c.state() == SessionState::Established) else { return };
        while connection.unwritten() < MOST_UNWRITTEN {
            let mut batch = BytesMut::new();
            rib.fill(BATCH, &mut batch);
            if batch.is_empty() {
                break;
            }
            connection.send(batch.freeze(), now, out);
        }
    }

    fn report(&mut self, now: Instant, out: &mut Vec<Output>) {
        let state = match (self.furthest(), self.dial) {
            (Some(connection), _) => connection.state(),
            (None, Dial::Connecting(..)) => SessionState::Connect,
            (None, Dial::Rest | Dial::Waiting(_)) if self.life == Life::Stopped => SessionState::Idle,
            (None, Dial::Rest | Dial::Waiting(_)) => SessionState::Active,
        };
        let error = self.fresh_error.take();
        if state != self.state {
            let from = std::mem::replace(&mut self.state, state);
            self.since = now;
            out.push(Output::StateChanged { from, to: state, error });
        }
    }
}
