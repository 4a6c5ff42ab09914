//! A controller beside an API server in memory: watches lag and repeat, writes fail and cross, the process dies.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::num::NonZeroUsize;
use std::time::Duration;

use daymark_model::{ClaimState, Family, PoolName, ServiceKey, Timestamp};
use daymark_pool::{
    Assigner, ConditionStatus, FamilyCounts, Input, PoolReport, Settings, Write, WriteAction, WriteResult,
};

use super::brief;
use super::random::Random;
use super::store::{KINDS, Store};
use super::user;

pub struct World {
    pub random: Random,
    pub store: Store,
    pub now: Timestamp,
    pub trace: Option<Vec<String>>,
    assigner: Assigner,
    seen: [Option<usize>; 4],
    in_flight: Vec<(Write, Option<WriteResult>)>,
    reports: BTreeMap<PoolName, PoolReport>,
    /// Addresses about which somebody else than the controller had a say: they may be seen twice for a moment.
    disturbed: BTreeSet<IpAddr>,
}

fn new_assigner(now: Timestamp, window: usize) -> Assigner {
    let settings = Settings { window: NonZeroUsize::new(window).unwrap(), built_in_default: true };
    let mut assigner = Assigner::new(settings);
    assigner.handle(now, Input::ProfilesReset(Vec::new()));
    assigner
}

impl World {
    pub fn new(seed: u64, traced: bool) -> Self {
        let mut store = Store::default();
        store.put_namespace("a".into(), Default::default());
        store.put_namespace("b".into(), Default::default());
        let now = Timestamp(1_000_000_000_000);
        let mut random = Random::new(seed);
        let window = 1 + random.below(4);
        Self {
            random,
            store,
            now,
            trace: traced.then(Vec::new),
            assigner: new_assigner(now, window),
            seen: [None; 4],
            in_flight: Vec::new(),
            reports: BTreeMap::new(),
            disturbed: BTreeSet::new(),
        }
    }

    fn note(&mut self, text: impl FnOnce() -> String) {
        if let Some(trace) = &mut self.trace {
            trace.push(text());
        }
    }

    /// `operations` things that people do, with everything else going on between them.
    pub fn run(&mut self, operations: usize) -> Result<(), String> {
        for _ in 0..operations {
            let before: BTreeMap<ServiceKey, Vec<IpAddr>> = self.showing();
            let claims: Vec<IpAddr> = self.store.claims.keys().copied().collect();
            let text = user::act(&mut self.random, &mut self.store, self.now);
            self.note(|| text);
            for (key, shown) in self.showing() {
                if before.get(&key) != Some(&shown) {
                    self.disturbed.extend(shown);
                }
            }
            let gone = claims.into_iter().filter(|address| !self.store.claims.contains_key(address));
            self.disturbed.extend(gone);
            for _ in 0..self.random.below(6) {
                self.happen()?;
            }
        }
        self.settle()
    }

    fn showing(&self) -> BTreeMap<ServiceKey, Vec<IpAddr>> {
        let services = self.store.services.values();
        services.map(|view| (view.key.clone(), view.shown().collect())).collect()
    }

    fn happen(&mut self) -> Result<(), String> {
        match self.random.below(16) {
            0..=5 => {
                let kind = self.random.below(4);
                let events = 1 + self.random.below(4);
                self.deliver(kind, events);
            }
            6 => {
                let kind = self.random.below(4);
                if let Some(seen) = self.seen[kind] {
                    self.seen[kind] = Some(seen.saturating_sub(self.random.below(4)));
                }
            }
            7 if self.random.one_in(3) => {
                let kind = self.random.below(4);
                self.seen[kind] = None;
            }
            7..=9 => self.pull(),
            10 | 11 => self.execute_one()?,
            12 | 13 => self.answer_one(),
            14 => {
                let pause = *self.random.pick(&[10, 300, 2_000, 30_000]);
                self.now = self.now + Duration::from_millis(pause);
            }
            _ if self.random.one_in(4) => self.crash()?,
            _ => self.pull(),
        }
        Ok(())
    }

    fn deliver(&mut self, kind: usize, events: usize) {
        for _ in 0..events {
            match self.seen[kind] {
                None => {
                    let list = self.store.list(KINDS[kind]);
                    self.note(|| format!("  list {:?}", KINDS[kind]));
                    self.seen[kind] = Some(self.store.events(KINDS[kind]));
                    self.assigner.handle(self.now, list);
                    return;
                }
                Some(seen) if seen < self.store.events(KINDS[kind]) => {
                    let event = self.store.event(KINDS[kind], seen);
                    self.note(|| format!("  event {}", brief::input(&event)));
                    self.seen[kind] = Some(seen + 1);
                    self.assigner.handle(self.now, event);
                }
                Some(_) => return,
            }
        }
    }

    fn pull(&mut self) {
        while let Some(write) = self.assigner.next_write(self.now) {
            self.note(|| format!("  write {:?} {}", write.id, brief::action(&write.action)));
            self.in_flight.push((write, None));
        }
        while self.assigner.next_event().is_some() {}
        for report in self.assigner.take_pool_reports() {
            self.reports.insert(report.pool.clone(), report);
        }
    }

    fn execute_one(&mut self) -> Result<(), String> {
        let open: Vec<usize> = (0..self.in_flight.len()).filter(|i| self.in_flight[*i].1.is_none()).collect();
        if open.is_empty() {
            return Ok(());
        }
        let at = *self.random.pick(&open);
        if self.random.one_in(12) {
            self.in_flight[at].1 =
                Some(WriteResult::Failed { message: "refused".to_owned(), retry_after: None });
            return Ok(());
        }
        let result = self.execute(at)?;
        let lost = self.random.one_in(12);
        self.in_flight[at].1 = Some(if lost {
            WriteResult::Failed { message: "timed out".to_owned(), retry_after: None }
        } else {
            result
        });
        Ok(())
    }

    fn execute(&mut self, at: usize) -> Result<WriteResult, String> {
        let write = self.in_flight[at].0.clone();
        self.check_apart(at)?;
        let result = self.store.apply(self.now, &write.action);
        self.note(|| format!("  executed {:?}: {}", write.id, brief::result(&result)));
        if let (WriteResult::Done(_), WriteAction::PatchServiceStatus { key, patch, .. }) =
            (&result, &write.action)
        {
            let shown: Vec<IpAddr> = patch.ingress.iter().flatten().filter_map(|i| i.ip).collect();
            self.check_shown(key, &shown)?;
        }
        Ok(result)
    }

    /// No two writes for one object are under way.
    fn check_apart(&self, at: usize) -> Result<(), String> {
        let object = |action: &WriteAction| match action {
            WriteAction::CreateClaim(claim) | WriteAction::ReplaceClaim { claim, .. } => {
                claim.address.to_string()
            }
            WriteAction::DeleteClaim { address, .. } => address.to_string(),
            WriteAction::PatchServiceStatus { uid, .. } => uid.to_string(),
        };
        let mine = object(&self.in_flight[at].0.action);
        let rivals = self.in_flight.iter().filter(|(write, _)| object(&write.action) == mine);
        if rivals.count() > 1 { Err(format!("two writes of {mine} are in flight")) } else { Ok(()) }
    }

    /// What the controller just showed for `key` belongs to it and to nobody else.
    fn check_shown(&self, key: &ServiceKey, shown: &[IpAddr]) -> Result<(), String> {
        let me = &self.store.services[key];
        for address in shown.iter().filter(|address| !self.disturbed.contains(address)) {
            let held = self.store.claims.get(address).is_some_and(|view| {
                view.claim.holders.iter().any(|h| h.service == *key && h.uid.as_ref() == Some(&me.uid))
            });
            if !held {
                return Err(format!("{key} shows {address} without a claim on it"));
            }
            for other in self.store.services.values().filter(|other| other.key != *key) {
                let shares = me.sharing_key.is_some();
                if other.shown().any(|a| a == *address) && !shares {
                    return Err(format!("{key} and {} both show {address}", other.key));
                }
            }
        }
        Ok(())
    }

    fn answer_one(&mut self) {
        let done: Vec<usize> = (0..self.in_flight.len()).filter(|i| self.in_flight[*i].1.is_some()).collect();
        if done.is_empty() {
            return;
        }
        let at = *self.random.pick(&done);
        let (write, result) = self.in_flight.swap_remove(at);
        if let Some(result) = result {
            self.note(|| format!("  answer {:?} {}", write.id, brief::result(&result)));
            self.assigner.handle(self.now, Input::WriteDone { id: write.id, result });
        }
    }

    /// The process dies; what it sent may still arrive, before another leads.
    fn crash(&mut self) -> Result<(), String> {
        self.note(|| "  crash".to_owned());
        for at in 0..self.in_flight.len() {
            if self.in_flight[at].1.is_none() && self.random.one_in(2) {
                self.execute(at)?;
            }
        }
        self.in_flight.clear();
        self.seen = [None; 4];
        self.reports.clear();
        let window = 1 + self.random.below(4);
        self.assigner = new_assigner(self.now, window);
        Ok(())
    }

    /// Nobody does anything any more: everything arrives, all time that must pass passes.
    fn settle(&mut self) -> Result<(), String> {
        self.note(|| "settle".to_owned());
        let mut writes = 0;
        for _ in 0..2_000 {
            for kind in 0..4 {
                self.deliver(kind, usize::MAX);
            }
            self.pull();
            if self.in_flight.is_empty() {
                let behind = (0..4).any(|k| self.seen[k] != Some(self.store.events(KINDS[k])));
                if behind {
                    continue;
                }
                let Some(deadline) = self.assigner.next_deadline() else { return self.check(writes) };
                self.now = self.now.max(deadline);
                continue;
            }
            for at in 0..self.in_flight.len() {
                if self.in_flight[at].1.is_none() {
                    self.in_flight[at].1 = Some(self.execute(at)?);
                }
            }
            while !self.in_flight.is_empty() {
                writes += 1;
                self.answer_one();
            }
        }
        Err(format!("does not come to rest: {writes} writes so far"))
    }

    fn check(&mut self, _writes: usize) -> Result<(), String> {
        self.check_claims()?;
        self.check_services()?;
        self.check_reports()?;
        self.check_fresh_start()
    }

    /// Every claim that names a UID is held by that Service, which shows the address.
    fn check_claims(&self) -> Result<(), String> {
        for (address, view) in &self.store.claims {
            let claim = &view.claim;
            if claim.retain {
                continue;
            }
            match claim.state() {
                ClaimState::Reserved => {}
                ClaimState::Resting => return Err(format!("{address} rests for ever")),
                ClaimState::Bound => {
                    for holder in claim.holders.iter().filter(|h| h.uid.is_some()) {
                        let service = self.store.services.get(&holder.service);
                        let Some(service) = service.filter(|s| Some(&s.uid) == holder.uid.as_ref()) else {
                            return Err(format!("{address} leaks: {holder:?} is gone"));
                        };
                        if !service.deleting && !service.shown().any(|shown| shown == *address) {
                            return Err(format!("{address} leaks: {holder:?} does not show it"));
                        }
                    }
                }
            }
        }
        Ok(())
    }

    fn check_services(&self) -> Result<(), String> {
        let ours = |view: &&daymark_pool::ServiceView| view.is_load_balancer && view.class.is_none();
        for view in self.store.services.values().filter(|view| !view.deleting) {
            let key = &view.key;
            let assigned = view.condition.as_ref().map(|c| c.status);
            if !ours(&view) {
                if view.condition.is_some() {
                    return Err(format!("{key} is not ours and has our condition"));
                }
                continue;
            }
            let held: BTreeSet<IpAddr> = self
                .store
                .claims
                .values()
                .filter(|c| c.claim.state() == ClaimState::Bound)
                .filter(|c| c.claim.holders.iter().any(|h| h.uid.as_ref() == Some(&view.uid)))
                .map(|c| c.claim.address)
                .collect();
            match assigned {
                Some(ConditionStatus::True) => {
                    let shown: BTreeSet<IpAddr> = view.shown().collect();
                    if shown != held || shown.is_empty() || view.ingress.iter().any(|i| i.ports != view.ports)
                    {
                        return Err(format!("{key} shows {:?} and holds {held:?}", view.ingress));
                    }
                }
                Some(ConditionStatus::False) if held.is_empty() => {}
                Some(ConditionStatus::False | ConditionStatus::Unknown) | None => {
                    return Err(format!("{key} has {:?} and holds {held:?}", view.condition));
                }
            }
            for other in self.store.services.values().filter(|o| o.key > *key).filter(ours) {
                let both = view.shown().find(|a| held.contains(a) && other.shown().any(|b| b == *a));
                let fits = view.sharing_key.is_some()
                    && view.sharing_key == other.sharing_key
                    && !view.ports.iter().any(|p| other.ports.contains(p));
                if let Some(address) = both.filter(|_| !fits && !other.deleting) {
                    return Err(format!("{key} and {} both own {address}", other.key));
                }
            }
        }
        Ok(())
    }

    fn check_reports(&self) -> Result<(), String> {
        for (name, pool) in &self.store.pools {
            let report = self.reports.get(name).ok_or(format!("no report of pool {name}"))?;
            for (family, counts) in [(Family::V4, report.ipv4), (Family::V6, report.ipv6)] {
                let inside = |a: &&IpAddr| Family::of(**a) == family && pool.contains(**a);
                let assigned = self
                    .store
                    .claims
                    .keys()
                    .filter(inside)
                    .filter(|a| self.store.claims[*a].claim.state() != ClaimState::Resting);
                let expected = i64::try_from(assigned.count()).unwrap();
                if counts.assigned != expected {
                    return Err(format!("pool {name} {family} says {counts:?}, assigned are {expected}"));
                }
            }
        }
        Ok(())
    }

    /// A controller that starts now finds nothing to do, and judges everything alike.
    fn check_fresh_start(&mut self) -> Result<(), String> {
        let mut fresh = new_assigner(self.now, 32);
        for kind in KINDS {
            fresh.handle(self.now, self.store.list(kind));
        }
        if let Some(write) = fresh.next_write(self.now) {
            return Err(format!("a fresh start writes {write:?}"));
        }
        if fresh.summary() != self.assigner.summary() {
            return Err(format!(
                "a fresh start judges {:?}, the running one {:?}",
                fresh.summary(),
                self.assigner.summary()
            ));
        }
        let reports: BTreeMap<PoolName, PoolReport> =
            fresh.take_pool_reports().into_iter().map(|report| (report.pool.clone(), report)).collect();
        for (name, report) in &reports {
            if self.reports.get(name) != Some(report) {
                return Err(format!(
                    "a fresh start counts {report:?}, the running one {:?}",
                    self.reports.get(name)
                ));
            }
        }
        let empty = FamilyCounts::default();
        if reports.values().any(|r| r.ipv4.available > r.ipv4.total && r.ipv4 != empty) {
            return Err(format!("more is available than there is: {reports:?}"));
        }
        Ok(())
    }
}
