//! What is to be said at the next opportunity, gathered into few messages.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use crate::hold::{Hold, HoldMessage};
use crate::member::MemberId;
use crate::responder::ProbePlan;

use super::entry::Entry;
use super::messages::{addresses_in_parts, all, holds_in_parts};
use super::output::{Action, ElectionOutput};
use super::peer::let_go;

/// How often all holds are told; who asks in between gets them together with others.
const ALL_EVERY: Duration = Duration::from_millis(100);
/// When a change is told once more, because a broadcast can be lost.
const ECHO: Duration = Duration::from_millis(60);

/// What is to be said.
#[derive(Debug, Default)]
pub(super) struct Post {
    changed: BTreeSet<IpAddr>,
    echo: BTreeSet<IpAddr>,
    echo_at: Option<Instant>,
    unclaimed: BTreeSet<IpAddr>,
    tells: BTreeMap<MemberId, BTreeSet<IpAddr>>,
    hand_overs: BTreeMap<MemberId, BTreeMap<IpAddr, Hold>>,
    refusals: BTreeMap<MemberId, BTreeSet<IpAddr>>,
    ready: BTreeMap<MemberId, BTreeSet<IpAddr>>,
    probes: BTreeMap<IpAddr, ProbePlan>,
    pub pulls: BTreeSet<MemberId>,
    pullers: BTreeSet<MemberId>,
    told_all: Option<Instant>,
    nothing_held: bool,
}

impl Post {
    /// This member's hold has changed.
    pub fn changed(&mut self, address: IpAddr) {
        self.changed.insert(address);
    }

    /// This member does not claim or hold an address any more, in favour of another.
    pub fn unclaimed(&mut self, address: IpAddr) {
        self.changed.remove(&address);
        self.probes.remove(&address);
        self.unclaimed.insert(address);
    }

    /// One member is to know this member's hold.
    pub fn tell(&mut self, to: MemberId, address: IpAddr) {
        self.tells.entry(to).or_default().insert(address);
    }

    pub fn hand_over(&mut self, to: MemberId, hold: Hold) {
        self.hand_overs.entry(to).or_default().insert(hold.address, hold);
    }

    pub fn refuse(&mut self, to: MemberId, address: IpAddr) {
        self.refusals.entry(to).or_default().insert(address);
    }

    /// What was refused before would be taken now.
    pub fn ready(&mut self, to: MemberId, address: IpAddr) {
        self.ready.entry(to).or_default().insert(address);
    }

    pub fn probe(&mut self, address: IpAddr, plan: ProbePlan) {
        self.probes.insert(address, plan);
    }

    pub fn pulled(&mut self, by: MemberId) {
        self.pullers.insert(by);
    }

    /// All are to know that this member holds nothing any more.
    pub fn announce_nothing(&mut self) {
        self.nothing_held = true;
    }

    pub fn forget(&mut self, id: MemberId) {
        self.tells.remove(&id);
        self.hand_overs.remove(&id);
        self.refusals.remove(&id);
        self.ready.remove(&id);
        self.pulls.remove(&id);
        self.pullers.remove(&id);
    }

    pub fn next(&self, now: Instant) -> Option<Instant> {
        let queued = !(self.changed.is_empty()
            && self.unclaimed.is_empty()
            && self.tells.is_empty()
            && self.hand_overs.is_empty()
            && self.refusals.is_empty()
            && self.ready.is_empty()
            && self.probes.is_empty()
            && self.pulls.is_empty()
            && !self.nothing_held);
        let all = (!self.pullers.is_empty()).then(|| self.told_all.map_or(now, |at| at + ALL_EVERY));
        [queued.then_some(now), all, self.echo_at].into_iter().flatten().min()
    }

    pub fn flush(
        &mut self,
        now: Instant,
        entries: &BTreeMap<IpAddr, Entry>,
        digest: u64,
        out: &mut ElectionOutput,
    ) {
        let own = |address: &IpAddr| entries.get(address).and_then(|entry| entry.own);
        let actions = &mut out.actions;
        if std::mem::take(&mut self.nothing_held) {
            actions.extend(all(0, []).into_iter().map(Action::Broadcast));
        }
        for (to, holds) in std::mem::take(&mut self.hand_overs) {
            let parts = holds_in_parts(holds.into_values());
            actions.extend(parts.into_iter().map(|part| Action::Send(to, HoldMessage::HandOver(part))));
        }
        let changed = std::mem::take(&mut self.changed);
        let mut unclaimed = std::mem::take(&mut self.unclaimed);
        let mut news = changed.clone();
        let echo = if self.echo_at.is_some_and(|at| at <= now) {
            self.echo_at = None;
            std::mem::take(&mut self.echo)
        } else {
            BTreeSet::new()
        };
        if !(changed.is_empty() && unclaimed.is_empty()) {
            self.echo.extend(changed.iter().chain(&unclaimed));
            self.echo_at.get_or_insert(now + ECHO);
        }
        for address in echo {
            let again = if own(&address).is_some() { &mut news } else { &mut unclaimed };
            again.insert(address);
        }
        unclaimed.retain(|address| own(address).is_none());
        let parts = holds_in_parts(news.iter().filter_map(own).chain(unclaimed.into_iter().map(let_go)));
        actions.extend(parts.into_iter().map(|part| Action::Broadcast(HoldMessage::Changed(part))));
        for (to, addresses) in std::mem::take(&mut self.tells) {
            let parts = holds_in_parts(addresses.difference(&changed).filter_map(own));
            actions.extend(parts.into_iter().map(|part| Action::Send(to, HoldMessage::Changed(part))));
        }
        for (to, addresses) in std::mem::take(&mut self.refusals) {
            let parts = addresses_in_parts(addresses);
            actions.extend(parts.into_iter().map(|part| Action::Send(to, HoldMessage::Refused(part))));
        }
        for (to, addresses) in std::mem::take(&mut self.ready) {
            let parts = addresses_in_parts(addresses);
            actions.extend(parts.into_iter().map(|part| Action::Send(to, HoldMessage::Ready(part))));
        }
        let pulls = std::mem::take(&mut self.pulls);
        actions.extend(pulls.into_iter().map(|to| Action::Send(to, HoldMessage::Pull)));
        if self.told_all.is_none_or(|at| at + ALL_EVERY <= now) && !self.pullers.is_empty() {
            self.told_all = Some(now);
            let pullers = std::mem::take(&mut self.pullers);
            let messages = all(digest, entries.values().filter_map(|entry| entry.own));
            match pullers.first() {
                Some(only) if pullers.len() == 1 => {
                    actions.extend(messages.into_iter().map(|part| Action::Send(*only, part)));
                }
                _ => actions.extend(messages.into_iter().map(Action::Broadcast)),
            }
        }
        let probes = std::mem::take(&mut self.probes);
        actions.extend(probes.into_iter().map(|(address, plan)| Action::Probe { address, plan }));
    }
}
