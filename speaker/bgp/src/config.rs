//! What a session is configured with.

use std::collections::BTreeSet;
use std::time::Duration;

use daymark_model::{Asn, Family, PeerAsn, RouterId, Timers};

use crate::timers::LONGEST_WAIT;

/// One neighbor, as far as the protocol is concerned: how its packets get there is the driver's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerConfig {
    /// Our AS toward it.
    pub local_asn: Asn,
    /// Our BGP identifier toward it.
    pub router_id: RouterId,
    /// The AS that it must show.
    pub peer_asn: PeerAsn,
    /// Hold time, keepalive interval and the time between two attempts to connect.
    pub timers: Timers,
    /// Never connect; wait for it to connect to us.
    pub passive: bool,
    /// The families that are announced to it.
    pub families: BTreeSet<Family>,
}

impl PeerConfig {
    /// Whether it is in our own AS; for [`PeerAsn::External`] it never is.
    pub fn is_internal(&self) -> bool {
        match self.peer_asn {
            PeerAsn::Exact(asn) => asn == self.local_asn,
            PeerAsn::Internal => true,
            PeerAsn::External => false,
        }
    }

    /// The hold time as an OPEN says it: 0, or at least 3 s (RFC 4271 section 4.2).
    pub(crate) fn hold_seconds(&self) -> u16 {
        match u16::try_from(self.timers.hold.as_secs()) {
            Ok(0) if self.timers.hold > Duration::ZERO => 3,
            Ok(0) => 0,
            Ok(seconds) => seconds.max(3),
            Err(_) => u16::MAX,
        }
    }

    /// The time between two attempts to connect: never so short that it would be a flood, nor beyond what a timer takes.
    pub(crate) fn connect_retry(&self) -> Duration {
        self.timers.connect_retry.clamp(Duration::from_secs(1), LONGEST_WAIT)
    }

    /// Whether a session opened with `self` is also one as `new` wants it, so that it can stay.
    pub(crate) fn keeps_session(&self, new: &Self) -> bool {
        self.local_asn == new.local_asn
            && self.router_id == new.router_id
            && self.peer_asn == new.peer_asn
            && self.families == new.families
            && self.hold_seconds() == new.hold_seconds()
    }
}
