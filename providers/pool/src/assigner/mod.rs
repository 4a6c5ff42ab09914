//! The state machine that decides every write.
//!
//! Inputs change the index and put whom they concern into a line; [`Assigner::next_write`] takes the next of the line,
//! judges it from everything that is known at that moment, and gives out the one write that comes next for it. So a plan
//! of several writes is never stored: it is found again after each answer, as it is after a restart.

mod acquire;
mod book;
mod claim_step;
mod contest;
mod decide;
mod done;
mod input;
mod pause;
mod service_step;
mod services;
mod status;
mod waiting;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;

use daymark_model::{Family, Reason, ServiceKey, Timestamp, Uid};

use crate::io::{Event, EventKind, Input, PoolReport, Settings, Write, WriteAction, WriteId};
use crate::profiles::ProfileTable;
use crate::reason::Refusal;
use crate::view::ServiceView;
use decide::Index;
use pause::Pause;
use services::{Rank, Standing};
use status::News;
use waiting::Waiting;

/// Assigns addresses to Services: objects in, writes, events and pool counts out.
///
/// The driver feeds every input, then pulls [`next_write`](Self::next_write) until it is empty, the events and the
/// pool reports, and comes back at [`next_deadline`](Self::next_deadline).
#[derive(Debug)]
pub struct Assigner {
    settings: Settings,
    synced: Synced,
    index: Index,
    line: BTreeSet<Ticket>,
    timers: BTreeSet<(Timestamp, Item)>,
    waiting: Waiting,
    in_flight: BTreeMap<WriteId, InFlight>,
    last_id: u64,
    claim_pauses: BTreeMap<IpAddr, Pause>,
    deleted: BTreeMap<IpAddr, Uid>,
    overtaken: BTreeMap<IpAddr, Overtaken>,
    events: VecDeque<Event>,
    summary: Summary,
}

/// How the Services of this controller stand.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Summary {
    /// With all that they want.
    pub assigned: usize,
    /// Waiting, in whole or in part, by the code of the refusal.
    pub waiting: BTreeMap<&'static str, usize>,
    /// Writes in flight.
    pub in_flight: usize,
}

/// Which kinds have delivered their first full set.
#[derive(Debug, Default)]
struct Synced {
    services: bool,
    namespaces: bool,
    pools: bool,
    claims: bool,
    profiles: bool,
}

impl Synced {
    fn all(&self) -> bool {
        self.services && self.namespaces && self.pools && self.claims && self.profiles
    }
}

/// Something to look at.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Item {
    Claim(IpAddr),
    Service(ServiceKey),
}

/// A place in the line: claims to clean up first, then Services that have something already (so that what is in use is
/// settled before anything is given away), then the others; within each the oldest first.
type Ticket = (Class, Timestamp, Item);

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Class {
    Claim,
    Settled,
    New,
}

/// What was seen of a claim while a write of it was in flight: the answer may be older.
#[derive(Debug, Default)]
struct Overtaken {
    gone: BTreeSet<Uid>,
    by_list: bool,
}

/// A write that was given out and not answered yet.
#[derive(Debug)]
struct InFlight {
    service: Option<(ServiceKey, Uid)>,
    claim: Option<(IpAddr, Option<Uid>)>,
    news: Option<News>,
}

impl Assigner {
    /// An assigner that knows nothing and therefore decides nothing yet.
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            synced: Synced::default(),
            index: Index {
                profiles: ProfileTable::new(Vec::new(), settings.built_in_default),
                ..Index::default()
            },
            line: BTreeSet::new(),
            timers: BTreeSet::new(),
            waiting: Waiting::default(),
            in_flight: BTreeMap::new(),
            last_id: 0,
            claim_pauses: BTreeMap::new(),
            deleted: BTreeMap::new(),
            overtaken: BTreeMap::new(),
            events: VecDeque::new(),
            summary: Summary::default(),
        }
    }

    /// Takes in what happened.
    pub fn handle(&mut self, now: Timestamp, input: Input) {
        let was_synced = self.synced.all();
        self.take_in(now, input);
        if !was_synced && self.synced.all() {
            self.index.book.take_touched();
            self.line_up_everything();
        }
        self.wake();
    }

    /// The next write to send; `None` when there is none, or as many as allowed are in flight.
    pub fn next_write(&mut self, now: Timestamp) -> Option<Write> {
        if !self.synced.all() {
            return None;
        }
        while self.timers.first().is_some_and(|(at, _)| *at <= now) {
            if let Some((_, item)) = self.timers.pop_first() {
                self.line_up(item);
            }
        }
        while self.in_flight.len() < self.settings.window.get() {
            let (_, _, item) = self.line.pop_first()?;
            let write = match &item {
                Item::Claim(address) => self.step_claim(now, *address),
                Item::Service(key) => self.step_service(now, key),
            };
            self.wake();
            if write.is_some() {
                return write;
            }
        }
        None
    }

    /// The next event to publish.
    pub fn next_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// The pools whose counts or overlaps changed since the last call, sorted by name.
    ///
    /// Counts include claims on their way in only once they are there. Before [`is_synced`](Self::is_synced) there are
    /// none.
    pub fn take_pool_reports(&mut self) -> Vec<PoolReport> {
        if self.synced.all() { self.index.book.take_reports() } else { Vec::new() }
    }

    /// When [`next_write`](Self::next_write) may have more to give without any input.
    pub fn next_deadline(&self) -> Option<Timestamp> {
        self.timers.first().map(|(at, _)| *at)
    }

    /// Whether the first full set of every kind is there.
    pub fn is_synced(&self) -> bool {
        self.synced.all()
    }

    /// How the Services of this controller stand, for metrics.
    pub fn summary(&self) -> Summary {
        Summary { in_flight: self.in_flight.len(), ..self.summary.clone() }
    }

    /// The profiles that hold, and which of them claim something in vain.
    pub fn profiles(&self) -> &ProfileTable {
        &self.index.profiles
    }

    fn line_up(&mut self, item: Item) {
        let (class, age) = match &item {
            Item::Claim(_) => (Class::Claim, Timestamp::default()),
            Item::Service(key) => {
                let Some(service) = self.index.services.get(key) else { return };
                let settled =
                    !service.view.ingress.is_empty() || self.index.book.claims_naming(key).next().is_some();
                (if settled { Class::Settled } else { Class::New }, service.view.created_at)
            }
        };
        self.line.insert((class, age, item));
    }

    fn line_up_services(&mut self, keys: impl IntoIterator<Item = ServiceKey>) {
        for key in keys {
            self.line_up(Item::Service(key));
        }
    }

    fn line_up_everything(&mut self) {
        let services: Vec<ServiceKey> = self
            .index
            .services
            .iter()
            .filter(|s| self.may_concern_us(&s.view))
            .map(|s| s.view.key.clone())
            .collect();
        self.line_up_services(services);
        let claims: Vec<IpAddr> = self.index.book.claimed().collect();
        claims.into_iter().for_each(|address| self.line_up(Item::Claim(address)));
    }

    /// Whether there can be anything to do for `view`; most Services of a cluster are none of ours.
    fn may_concern_us(&self, view: &ServiceView) -> bool {
        self.index.profile_of(view).is_some()
            || view.condition.is_some()
            || self.index.book.claims_naming(&view.key).next().is_some()
    }

    fn at(&mut self, time: Timestamp, item: Item) {
        self.timers.insert((time, item));
    }

    /// Lines up whoever waits for an address that was touched.
    fn wake(&mut self) {
        let touched = self.index.book.take_touched();
        if !self.synced.all() {
            return;
        }
        for touched in touched {
            let mut woken = self.waiting.for_address(touched.address);
            if touched.freed {
                let pools = self.index.book.pools_at(touched.address);
                woken.extend(self.waiting.begin_chains(pools, Family::of(touched.address)));
            }
            self.line_up_services(woken);
        }
    }

    /// `rank` had its turn at what became free; if something is left, it is the next one's.
    fn pass_on(&mut self, rank: &Rank) {
        let book = &self.index.book;
        let woken = self.waiting.continue_chains(rank, |pools, family| {
            pools.iter().filter_map(|name| book.pool(name)).any(|state| state.can_give(family))
        });
        self.line_up_services(woken);
    }

    fn stands(&mut self, key: &ServiceKey, standing: Standing) {
        let Some(service) = self.index.services.get_mut(key) else { return };
        let before = std::mem::replace(&mut service.standing, standing);
        if before == standing {
            return;
        }
        match before {
            Standing::Outside => {}
            Standing::Assigned => self.summary.assigned -= 1,
            Standing::Waiting(code) => {
                if let Some(n) = self.summary.waiting.get_mut(code) {
                    *n -= 1;
                    if *n == 0 {
                        self.summary.waiting.remove(code);
                    }
                }
            }
        }
        match standing {
            Standing::Outside => {}
            Standing::Assigned => self.summary.assigned += 1,
            Standing::Waiting(code) => *self.summary.waiting.entry(code).or_default() += 1,
        }
    }

    fn give_out(&mut self, action: WriteAction, record: InFlight) -> Write {
        self.last_id += 1;
        let id = WriteId(self.last_id);
        if let Some((key, _)) = &record.service
            && let Some(service) = self.index.services.get_mut(key)
        {
            service.in_flight = true;
        }
        if let Some((address, _)) = record.claim {
            self.index.book.begin_write(address);
        }
        self.in_flight.insert(id, record);
        Write { id, action }
    }

    fn tell(&mut self, service: &ServiceKey, uid: &Uid, news: News) {
        self.events.push_back(Event {
            service: service.clone(),
            uid: uid.clone(),
            kind: news.kind,
            reason: news.reason,
            text: news.text,
        });
    }

    fn tell_refusal(&mut self, service: &ServiceKey, uid: &Uid, refusal: &Refusal) {
        let news = News { kind: EventKind::Refused, reason: refusal.code(), text: refusal.to_string() };
        self.tell(service, uid, news);
    }
}
