//! One family's routes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::BytesMut;
use daymark_model::Family;
use ipnet::IpNet;

use super::SessionContext;
use crate::route::{RouteAttributes, RouteChange, Standing};
use crate::status::{RouteCounts, RouteProblem};
use crate::wire::{
    EncodeError, NextHop, RefreshSubtype, RouteRefresh, encode_announce, encode_end_of_rib,
    encode_route_refresh, encode_withdraw,
};

/// Fewer prefixes than this do not begin another message at the end of a batch.
const SMALLEST_SHARE: usize = 100;

#[derive(Debug)]
pub(super) struct Table {
    family: Family,
    entries: BTreeMap<IpNet, Entry>,
    /// Prefixes that the neighbor holds and shall not.
    withdraw: BTreeSet<IpNet>,
    /// Prefixes that the neighbor shall hold with these attributes and does not.
    announce: BTreeMap<Arc<RouteAttributes>, BTreeSet<IpNet>>,
    feed: Option<Feed>,
    counts: RouteCounts,
}

/// `withdraw` and `announce` follow from the entries alone; an entry that is neither wanted nor held is dropped.
#[derive(Debug, Default)]
struct Entry {
    wanted: Option<Arc<RouteAttributes>>,
    held: Held,
}

/// What the neighbor has of a prefix.
#[derive(Debug, Default)]
enum Held {
    #[default]
    Nothing,
    /// Something that must be replaced or withdrawn.
    Outdated,
    /// Just this.
    Current(Arc<RouteAttributes>),
}

/// The family on a session that is up.
#[derive(Debug)]
struct Feed {
    next_hop: Option<NextHop>,
    end_of_rib_sent: bool,
    refresh_asked: bool,
    refresh: Option<Refresh>,
    /// Attributes that fit into no message.
    unsendable: BTreeMap<Arc<RouteAttributes>, EncodeError>,
}

/// A refresh under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Refresh {
    Plain,
    /// Between BoRR and EoRR (RFC 7313).
    Marked,
}

impl Feed {
    fn can_send(&self, attributes: &Arc<RouteAttributes>) -> bool {
        self.next_hop.is_some() && (self.unsendable.is_empty() || !self.unsendable.contains_key(attributes))
    }
}

impl Table {
    pub(super) fn new(family: Family) -> Self {
        Self {
            family,
            entries: BTreeMap::new(),
            withdraw: BTreeSet::new(),
            announce: BTreeMap::new(),
            feed: None,
            counts: RouteCounts::default(),
        }
    }

    pub(super) fn family(&self) -> Family {
        self.family
    }

    pub(super) fn counts(&self) -> RouteCounts {
        self.counts
    }

    pub(super) fn wanted(&self) -> impl Iterator<Item = RouteChange> {
        let wanted = |(prefix, entry): (&IpNet, &Entry)| {
            entry.wanted.clone().map(|wanted| RouteChange { prefix: *prefix, attributes: Some(wanted) })
        };
        self.entries.iter().filter_map(wanted)
    }

    pub(super) fn change(&mut self, prefix: IpNet, attributes: Option<Arc<RouteAttributes>>) {
        let entry = self.entries.entry(prefix).or_default();
        if let Some(wanted) = &entry.wanted {
            self.counts.wanted = self.counts.wanted.saturating_sub(1);
            unqueue(&mut self.announce, wanted, &prefix);
        }
        if attributes.is_some() {
            self.counts.wanted = self.counts.wanted.saturating_add(1);
        }
        entry.wanted = attributes;
        self.queue(prefix);
    }

    /// Puts a prefix that stands in no `announce` set where it belongs.
    fn queue(&mut self, prefix: IpNet) {
        let Some(entry) = self.entries.get(&prefix) else { return };
        let sendable = self.feed.as_ref().and_then(|feed| entry.wanted.as_ref().filter(|w| feed.can_send(w)));
        match (sendable, &entry.held) {
            (Some(wanted), Held::Current(held)) if wanted == held => {
                self.withdraw.remove(&prefix);
            }
            (Some(wanted), Held::Nothing | Held::Outdated | Held::Current(_)) => {
                self.withdraw.remove(&prefix);
                self.announce.entry(wanted.clone()).or_default().insert(prefix);
            }
            (None, Held::Outdated | Held::Current(_)) => {
                self.withdraw.insert(prefix);
            }
            (None, Held::Nothing) => {
                self.withdraw.remove(&prefix);
                if entry.wanted.is_none() {
                    self.entries.remove(&prefix);
                }
            }
        }
    }

    /// Queues anew from the entries, in one pass.
    fn queue_all(&mut self) {
        self.withdraw.clear();
        self.announce.clear();
        let Some(feed) = &self.feed else { return };
        let mut bucket: Option<Arc<RouteAttributes>> = None;
        let mut prefixes: Vec<IpNet> = Vec::new();
        let mut buckets: BTreeMap<Arc<RouteAttributes>, Vec<IpNet>> = BTreeMap::new();
        for (prefix, entry) in &self.entries {
            match (entry.wanted.as_ref().filter(|wanted| feed.can_send(wanted)), &entry.held) {
                (Some(wanted), Held::Current(held)) if wanted == held => {}
                (Some(wanted), Held::Nothing | Held::Outdated | Held::Current(_)) => {
                    if !bucket.as_ref().is_some_and(|bucket| Arc::ptr_eq(bucket, wanted))
                        && let Some(full) = bucket.replace(wanted.clone())
                    {
                        buckets.entry(full).or_default().append(&mut prefixes);
                    }
                    prefixes.push(*prefix);
                }
                (None, Held::Outdated | Held::Current(_)) => {
                    self.withdraw.insert(*prefix);
                }
                (None, Held::Nothing) => {}
            }
        }
        if let Some(full) = bucket {
            buckets.entry(full).or_default().append(&mut prefixes);
        }
        self.announce =
            buckets.into_iter().map(|(attributes, list)| (attributes, list.into_iter().collect())).collect();
    }

    pub(super) fn clear(&mut self) {
        for entry in self.entries.values_mut() {
            entry.wanted = None;
        }
        self.counts.wanted = 0;
        self.entries.retain(|_, entry| !matches!(entry.held, Held::Nothing));
        self.queue_all();
    }

    /// Everything that the neighbor holds is to be sent again.
    pub(super) fn resend(&mut self) {
        for entry in self.entries.values_mut() {
            if let Held::Current(_) = entry.held {
                entry.held = Held::Outdated;
            }
        }
        self.queue_all();
    }

    pub(super) fn begin(&mut self, next_hop: Option<NextHop>) {
        self.feed = Some(Feed {
            next_hop,
            end_of_rib_sent: false,
            refresh_asked: false,
            refresh: None,
            unsendable: BTreeMap::new(),
        });
        self.queue_all();
    }

    pub(super) fn end(&mut self) {
        self.feed = None;
        self.counts.sent = 0;
        for entry in self.entries.values_mut() {
            entry.held = Held::Nothing;
        }
        self.entries.retain(|_, entry| entry.wanted.is_some());
        self.queue_all();
    }

    pub(super) fn set_next_hop(&mut self, next_hop: Option<NextHop>) {
        let Some(feed) = &mut self.feed else { return };
        if feed.next_hop != next_hop {
            feed.next_hop = next_hop;
            self.resend();
        }
    }

    pub(super) fn ask_refresh(&mut self) {
        if let Some(feed) = &mut self.feed {
            feed.refresh_asked = true;
        }
    }

    /// The octets that a single address takes as a prefix: the longest that a prefix can be.
    fn longest_prefix(&self) -> usize {
        usize::from(self.family.max_prefix_len() / 8).saturating_add(1)
    }

    /// How many prefixes are taken up next; 0 when the budget is spent, or would be for a message that is not worth it.
    fn share(&self, budget: usize, out: &BytesMut) -> usize {
        let share = budget.saturating_sub(out.len()) / self.longest_prefix();
        if share < SMALLEST_SHARE && !out.is_empty() { 0 } else { share.max(1) }
    }

    pub(super) fn fill_withdrawals(&mut self, context: &SessionContext, budget: usize, out: &mut BytesMut) {
        while !self.withdraw.is_empty() {
            let share = self.share(budget, out);
            let taken = take(&mut self.withdraw, share);
            if taken.is_empty() {
                return;
            }
            // Cannot fail: the prefixes are of this family, and a bare prefix fits into any message.
            if encode_withdraw(&context.encode, self.family, &mut taken.iter().copied(), out).is_err() {
                return;
            }
            for prefix in taken {
                self.hold(prefix, Held::Nothing);
            }
        }
    }

    /// Notes what the neighbor holds from now on.
    fn hold(&mut self, prefix: IpNet, held: Held) {
        let Some(entry) = self.entries.get_mut(&prefix) else { return };
        match (&entry.held, &held) {
            (Held::Nothing, Held::Outdated | Held::Current(_)) => {
                self.counts.sent = self.counts.sent.saturating_add(1);
            }
            (Held::Outdated | Held::Current(_), Held::Nothing) => {
                self.counts.sent = self.counts.sent.saturating_sub(1);
            }
            (Held::Nothing, Held::Nothing)
            | (Held::Outdated | Held::Current(_), Held::Outdated | Held::Current(_)) => {}
        }
        entry.held = held;
        if entry.wanted.is_none() && matches!(entry.held, Held::Nothing) {
            self.entries.remove(&prefix);
        }
    }

    pub(super) fn fill_announcements(
        &mut self,
        context: &SessionContext,
        standing: Standing,
        synced: bool,
        budget: usize,
        out: &mut BytesMut,
    ) {
        self.begin_refresh(context, out);
        while let Some((attributes, prefixes)) = self.announce.pop_first() {
            if let Some(left) = self.announce_some(context, standing, &attributes, prefixes, budget, out) {
                self.announce.insert(attributes, left);
                return;
            }
        }
        if self.withdraw.is_empty() {
            self.finish(synced, out);
        }
    }

    /// Announces the prefixes of one set of attributes; gives back those that the budget leaves over.
    fn announce_some(
        &mut self,
        context: &SessionContext,
        standing: Standing,
        attributes: &Arc<RouteAttributes>,
        mut prefixes: BTreeSet<IpNet>,
        budget: usize,
        out: &mut BytesMut,
    ) -> Option<BTreeSet<IpNet>> {
        let next_hop = self.feed.as_ref()?.next_hop?;
        let path = attributes.to_path(context.local_asn, context.internal, standing);
        while !prefixes.is_empty() {
            let taken = take(&mut prefixes, self.share(budget, out));
            if taken.is_empty() {
                return Some(prefixes);
            }
            let mut list = taken.iter().copied();
            match encode_announce(&context.encode, self.family, next_hop, &path, &mut list, out) {
                Ok(_) => {
                    for prefix in taken {
                        self.hold(prefix, Held::Current(attributes.clone()));
                    }
                }
                Err(error) => {
                    self.feed.as_mut()?.unsendable.insert(attributes.clone(), error);
                    for prefix in taken.into_iter().chain(prefixes) {
                        self.queue(prefix);
                    }
                    return None;
                }
            }
        }
        None
    }

    fn begin_refresh(&mut self, context: &SessionContext, out: &mut BytesMut) {
        let Some(feed) = &mut self.feed else { return };
        if feed.refresh.is_some() || !std::mem::take(&mut feed.refresh_asked) {
            return;
        }
        // RFC 7313 section 4: the marks come only after the End-of-RIB of the initial routes.
        if context.enhanced_route_refresh && feed.end_of_rib_sent {
            feed.refresh = Some(Refresh::Marked);
            mark(self.family, RefreshSubtype::Begin, out);
        } else {
            feed.refresh = Some(Refresh::Plain);
        }
        self.resend();
    }

    /// Says that everything is said.
    fn finish(&mut self, synced: bool, out: &mut BytesMut) {
        let Some(feed) = &mut self.feed else { return };
        if feed.refresh.take() == Some(Refresh::Marked) {
            mark(self.family, RefreshSubtype::End, out);
        }
        if synced && !feed.end_of_rib_sent {
            feed.end_of_rib_sent = true;
            encode_end_of_rib(self.family, out);
        }
    }

    pub(super) fn problems(&self, problems: &mut Vec<RouteProblem>) {
        let Some(feed) = &self.feed else { return };
        let family = self.family;
        if feed.next_hop.is_none() && self.counts.wanted > 0 {
            problems.push(RouteProblem::NoNextHop { family });
        }
        for (attributes, error) in &feed.unsendable {
            let with = |entry: &&Entry| entry.wanted.as_ref() == Some(attributes);
            let routes = self.entries.values().filter(with).count();
            if routes > 0 {
                problems.push(RouteProblem::Unsendable { family, routes, error: error.clone() });
            }
        }
    }
}

fn mark(family: Family, subtype: RefreshSubtype, out: &mut BytesMut) {
    encode_route_refresh(RouteRefresh { family: family.into(), subtype }, out);
}

fn unqueue(
    announce: &mut BTreeMap<Arc<RouteAttributes>, BTreeSet<IpNet>>,
    attributes: &Arc<RouteAttributes>,
    prefix: &IpNet,
) {
    if let Some(prefixes) = announce.get_mut(attributes) {
        prefixes.remove(prefix);
        if prefixes.is_empty() {
            announce.remove(attributes);
        }
    }
}

/// The first `count` of a set.
fn take(set: &mut BTreeSet<IpNet>, count: usize) -> BTreeSet<IpNet> {
    if count >= set.len() {
        return std::mem::take(set);
    }
    let mut taken = BTreeSet::new();
    if let Some(first_left) = set.iter().nth(count).copied() {
        let left = set.split_off(&first_left);
        taken = std::mem::replace(set, left);
    }
    taken
}
