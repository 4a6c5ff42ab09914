//! The routes that the neighbor shall have, those that it has, and the messages in between.
//!
//! Per prefix there is what is wanted and what the neighbor holds; the difference is queued: withdrawals in one set,
//! announcements in one set per attributes, so that equal attributes are packed into full messages. A change touches
//! its own prefix only, and a prefix is queued at most once however often it changes while the neighbor does not read.

mod table;

use std::net::IpAddr;

use bytes::BytesMut;
use daymark_model::{Asn, Family};

use crate::event::Link;
use crate::route::{RouteChange, Standing};
use crate::status::{RouteCounts, RouteProblem};
use crate::wire::{EncodeContext, NextHop};
use table::Table;

/// What the session fixes about the routes that go over it.
#[derive(Debug, Clone)]
pub(crate) struct SessionContext {
    pub(crate) local_asn: Asn,
    pub(crate) internal: bool,
    pub(crate) families: Vec<Family>,
    pub(crate) enhanced_route_refresh: bool,
    pub(crate) encode: EncodeContext,
}

/// The adj-rib-out of one neighbor.
#[derive(Debug)]
pub(crate) struct RibOut {
    ipv4: Table,
    ipv6: Table,
    session: Option<SessionContext>,
    standing: Standing,
    synced: bool,
}

impl RibOut {
    pub(crate) fn new() -> Self {
        Self {
            ipv4: Table::new(Family::V4),
            ipv6: Table::new(Family::V6),
            session: None,
            standing: Standing::Normal,
            synced: false,
        }
    }

    fn table(&mut self, family: Family) -> &mut Table {
        match family {
            Family::V4 => &mut self.ipv4,
            Family::V6 => &mut self.ipv6,
        }
    }

    fn tables(&mut self) -> [&mut Table; 2] {
        [&mut self.ipv4, &mut self.ipv6]
    }

    /// Takes a new word on a prefix.
    pub(crate) fn change(&mut self, change: RouteChange) {
        self.table(Family::of(change.prefix.addr())).change(change.prefix, change.attributes);
    }

    /// Everything that is wanted.
    pub(crate) fn wanted(&self) -> impl Iterator<Item = RouteChange> {
        self.ipv4.wanted().chain(self.ipv6.wanted())
    }

    /// Nothing is wanted any more.
    pub(crate) fn clear(&mut self) {
        for table in self.tables() {
            table.clear();
        }
    }

    /// Every route that there is has been given.
    pub(crate) fn set_synced(&mut self) {
        self.synced = true;
    }

    /// All routes leave again in another standing.
    pub(crate) fn set_standing(&mut self, standing: Standing) {
        self.standing = standing;
        for table in self.tables() {
            table.resend();
        }
    }

    /// A session is up: everything is to be sent on it.
    pub(crate) fn begin(&mut self, context: SessionContext, link: &Link) {
        for family in &context.families {
            self.table(*family).begin(next_hop(*family, link));
        }
        self.session = Some(context);
    }

    /// The session is gone, and with it all that the neighbor had.
    pub(crate) fn end(&mut self) {
        self.session = None;
        for table in self.tables() {
            table.end();
        }
    }

    /// The addresses of the link are others.
    pub(crate) fn set_link(&mut self, link: &Link) {
        for table in self.tables() {
            table.set_next_hop(next_hop(table.family(), link));
        }
    }

    /// The neighbor asks for a family's routes again (RFC 2918).
    pub(crate) fn refresh(&mut self, family: Family) {
        self.table(family).ask_refresh();
    }

    /// Appends messages until `out` holds about `budget` octets or nothing is left to say. Withdrawals go first.
    pub(crate) fn fill(&mut self, budget: usize, out: &mut BytesMut) {
        let Some(context) = &self.session else { return };
        let (standing, synced) = (self.standing, self.synced);
        for table in [&mut self.ipv4, &mut self.ipv6] {
            table.fill_withdrawals(context, budget, out);
        }
        for table in [&mut self.ipv4, &mut self.ipv6] {
            table.fill_announcements(context, standing, synced, budget, out);
        }
    }

    /// Whether the neighbor holds any route.
    pub(crate) fn is_empty(&self) -> bool {
        self.ipv4.counts().sent == 0 && self.ipv6.counts().sent == 0
    }

    pub(crate) fn counts(&self, family: Family) -> RouteCounts {
        match family {
            Family::V4 => self.ipv4.counts(),
            Family::V6 => self.ipv6.counts(),
        }
    }

    /// What keeps wanted routes back while the session is up.
    pub(crate) fn problems(&self) -> Vec<RouteProblem> {
        let Some(context) = &self.session else { return Vec::new() };
        let mut problems = Vec::new();
        for table in [&self.ipv4, &self.ipv6] {
            if !context.families.contains(&table.family()) && table.counts().wanted > 0 {
                problems.push(RouteProblem::FamilyRefused { family: table.family() });
            }
            table.problems(&mut problems);
        }
        problems
    }
}

/// The next hop of a family: the socket's own address, or that of the other family on the same link (RFC 2545).
fn next_hop(family: Family, link: &Link) -> Option<NextHop> {
    match (family, link.local.ip().to_canonical()) {
        (Family::V4, IpAddr::V4(local)) => Some(NextHop::V4(local)),
        (Family::V4, IpAddr::V6(_)) => link.local_v4.map(NextHop::V4),
        (Family::V6, IpAddr::V6(local)) if local.is_unicast_link_local() => Some(match link.local_v6 {
            Some(address) => NextHop::V6 { address, link_local: Some(local) },
            None => NextHop::V6 { address: local, link_local: None },
        }),
        (Family::V6, IpAddr::V6(local)) => Some(NextHop::V6 { address: local, link_local: None }),
        (Family::V6, IpAddr::V4(_)) => link.local_v6.map(|address| NextHop::V6 { address, link_local: None }),
    }
}
