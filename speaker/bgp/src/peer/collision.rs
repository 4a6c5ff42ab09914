//! Two connections with one neighbor (RFC 4271 section 6.8, RFC 6286 section 2.3).

use std::time::Instant;

use bytes::BytesMut;

use super::{Dial, Life, Peer};
use crate::event::{CloseMode, ConnectionId, Link, Origin, Output};
use crate::negotiate::Negotiated;
use crate::session::{Connection, Ended, Env};
use crate::status::SessionState;
use crate::wire::{CeaseReason, Notification, encode_notification};

impl Peer {
    /// The neighbor connected to us.
    pub(super) fn accepted(&mut self, id: ConnectionId, link: Link, now: Instant, out: &mut Vec<Output>) {
        let refusal = if self.life != Life::Running {
            Some(CeaseReason::AdministrativeShutdown)
        } else if self.established().is_some() {
            // RFC 4271 section 6.8: a session that is up stays, the new connection goes.
            Some(CeaseReason::ConnectionCollision)
        } else {
            None
        };
        if let Some(reason) = refusal {
            let mut bytes = BytesMut::new();
            encode_notification(&Notification::cease(reason, ""), &mut bytes);
            out.push(Output::Send { connection: id, bytes: bytes.freeze() });
            out.push(Output::Close { connection: id, mode: CloseMode::Linger });
            return;
        }
        // The neighbor would not connect again if it still held to the earlier one.
        if let Some(earlier) = self.incoming.take() {
            earlier.close(&Ended::collision(), now, out);
        }
        if let Dial::Waiting(_) = self.dial {
            self.dial = Dial::Rest;
        }
        let mut env = Env { now, config: &self.config, jitter: &mut self.jitter, out };
        self.incoming = Some(Connection::open(id, link, &mut env));
    }

    /// The OPENs on `id` agree: if there is another connection one of the two goes, else `id` is confirmed.
    ///
    /// The other one is judged in OpenSent too: whose OPEN just came is who will answer there.
    pub(super) fn open_agreed(&mut self, id: ConnectionId, now: Instant, out: &mut Vec<Output>) {
        if let Some(other) = self.ids().find(|other| *other != id) {
            let up = self.known(other).is_some_and(|other| other.state() == SessionState::Established);
            let winner = match self.known(id).and_then(|connection| connection.negotiated()) {
                Some(negotiated) if !up => {
                    let negotiated = negotiated.clone();
                    self.winner(&negotiated)
                }
                Some(_) | None => other.origin,
            };
            let loser = if winner == id.origin { other } else { id };
            self.end(loser, &Ended::collision(), now, out);
        }
        if let Some((connection, mut env)) = self.with_env(id, now, out) {
            connection.confirm(&mut env);
        }
    }

    /// Of two connections the one that the side with the higher identifier opened stays; where the identifiers are
    /// equal, which between two ASes they may be, the higher AS decides.
    fn winner(&self, theirs: &Negotiated) -> Origin {
        let ours = (self.config.router_id.get(), self.config.local_asn);
        if ours > (theirs.peer_router_id.get(), theirs.peer_asn) {
            Origin::Outgoing
        } else {
            Origin::Incoming
        }
    }
}
