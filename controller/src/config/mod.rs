//! Conditions and counts of Daymark's own objects.
//!
//! The board knows what the status of each object shows and what it should show; where the two differ it gives a write.
//! Conditions are written at once, counts at most every few seconds.

pub mod counts;
pub mod object;
mod verdicts;

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use daymark_kube::slim::Meta;
use daymark_kube::{CallError, Key, Kind, Update, status};
use daymark_model::{Announcement, LoadBalancerProfile, Neighbor, Pool, PoolName};
use daymark_pool::{ClaimView, PoolReport, ResourceVersion};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use serde_json::{Map, Value, json};

use counts::Counts;
use object::{ClaimObject, ConfigObject, PoolObject};

/// Counts of one pool are written at most this often.
const COUNTS_PACE: Duration = Duration::from_secs(5);
/// After the first, a failed write is tried again after this time, then after ever longer ones.
const FIRST_RETRY: Duration = Duration::from_secs(1);
const LAST_RETRY: Duration = Duration::from_secs(60);
/// Writes in flight: conditions must not slow down assignments.
const WINDOW: usize = 4;

/// A kind that has conditions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Sort {
    /// AddressPool.
    Pool,
    /// LoadBalancerProfile.
    Profile,
    /// Announcement.
    Announcement,
    /// BgpNeighbor.
    Neighbor,
    /// AddressClaim.
    Claim,
}

/// One object.
pub type Id = (Sort, String);

/// A status to be written.
#[derive(Debug, Clone)]
pub struct StatusWrite {
    /// Of which object.
    pub id: Id,
    /// Its kind.
    pub kind: Kind,
    /// Its name.
    pub key: Key,
    /// Exactly this version of it.
    pub meta: Meta,
    /// What is merged into its status.
    pub fields: Map<String, Value>,
    conditions: Vec<Condition>,
    counts: Option<Counts>,
}

#[derive(Debug)]
struct Record {
    object: ConfigObject<()>,
    counts: Counts,
    counts_written: Option<Instant>,
    failures: u32,
    not_before: Option<Instant>,
}

/// What the statuses of all objects show and should show.
#[derive(Debug, Default)]
pub struct Board {
    records: BTreeMap<Id, Record>,
    pools: BTreeMap<String, Pool>,
    profiles: BTreeMap<String, LoadBalancerProfile>,
    announcements: BTreeMap<String, Announcement>,
    reports: BTreeMap<PoolName, PoolReport>,
    /// The kinds whose first full list is there: nothing is said of an object before all is known that it depends on.
    listed: BTreeSet<Sort>,
    /// The AddressClaims that wait for their Service.
    reservations: BTreeSet<String>,
    /// Whose status may differ from what it should be.
    dirty: BTreeSet<Id>,
    in_flight: BTreeSet<Id>,
}

impl Board {
    /// Takes in what happened to AddressPools, and gives what the `Assigner` should know.
    pub fn pools(&mut self, update: Update<PoolObject>) -> Update<Option<Pool>> {
        let update = self.take(Sort::Pool, update, |board, name, PoolObject { config, counts }| {
            let (object, pool) = config.split();
            board.put((Sort::Pool, name.to_owned()), object, counts);
            pool
        });
        note(&mut self.pools, &update);
        let (pools, reports) = (&self.pools, &mut self.reports);
        reports.retain(|name, _| pools.contains_key(name.as_str()));
        self.touch(&[Sort::Announcement, Sort::Profile, Sort::Claim]);
        update
    }

    /// Takes in what happened to LoadBalancerProfiles, and gives all that are sound.
    pub fn profiles(
        &mut self,
        update: Update<ConfigObject<LoadBalancerProfile>>,
    ) -> Vec<LoadBalancerProfile> {
        let update = self.take_config(Sort::Profile, update);
        note(&mut self.profiles, &update);
        self.touch(&[Sort::Profile]);
        self.profiles.values().cloned().collect()
    }

    /// Takes in what happened to Announcements.
    pub fn announcements(&mut self, update: Update<ConfigObject<Announcement>>) {
        let update = self.take_config(Sort::Announcement, update);
        note(&mut self.announcements, &update);
    }

    /// Takes in what happened to BgpNeighbors.
    pub fn neighbors(&mut self, update: Update<ConfigObject<Neighbor>>) {
        self.take_config(Sort::Neighbor, update);
        self.touch(&[Sort::Announcement]);
    }

    /// Takes in what happened to AddressClaims, and gives what the `Assigner` should know.
    ///
    /// Of ten thousand claims only those are kept whose status says something or could.
    pub fn claims(&mut self, update: Update<ClaimObject>) -> Update<Option<ClaimView>> {
        self.take(Sort::Claim, update, |board, name, claim| {
            let id = (Sort::Claim, name.to_owned());
            let is_reservation = claim.is_reservation();
            let ClaimObject { config, view, extras: _ } = claim;
            if is_reservation {
                board.reservations.insert(name.to_owned());
            } else {
                board.reservations.remove(name);
            }
            if is_reservation || config.model.is_err() || !config.conditions.is_empty() {
                board.put(id, config, Counts::default());
            } else {
                board.forget(&id);
            }
            view
        })
    }

    /// Takes in the counts and overlaps of a pool.
    pub fn report(&mut self, report: PoolReport) {
        self.dirty.insert((Sort::Pool, report.pool.as_str().to_owned()));
        self.reports.insert(report.pool.clone(), report);
    }

    fn take_config<M>(&mut self, sort: Sort, update: Update<ConfigObject<M>>) -> Update<Option<M>> {
        self.take(sort, update, |board, name, config| {
            let (object, model) = config.split();
            board.put((sort, name.to_owned()), object, Counts::default());
            model
        })
    }

    fn take<T, M>(
        &mut self,
        sort: Sort,
        update: Update<T>,
        mut keep: impl FnMut(&mut Self, &str, T) -> Option<M>,
    ) -> Update<Option<M>> {
        match &update {
            Update::Reset(all) => {
                let gone = |id: &Id| {
                    id.0 == sort && !all.contains_key(&Key { name: id.1.clone(), ..Key::default() })
                };
                let gone: Vec<Id> = self.records.keys().filter(|id| gone(id)).cloned().collect();
                gone.iter().for_each(|id| self.forget(id));
                self.listed.insert(sort);
            }
            Update::Delete(key) => self.forget(&(sort, key.name.clone())),
            Update::Apply(..) => {}
        }
        crate::feed::map(update, |key, value| keep(self, &key.name, value))
    }

    fn put(&mut self, id: Id, object: ConfigObject<()>, counts: Counts) {
        self.dirty.insert(id.clone());
        let Some(known) = self.records.get_mut(&id) else {
            let record = Record { object, counts, counts_written: None, failures: 0, not_before: None };
            self.records.insert(id, record);
            return;
        };
        let version =
            |meta: &Meta| ResourceVersion::from(meta.resource_version.as_deref().unwrap_or_default());
        let echo = known.object.meta.uid == object.meta.uid
            && version(&object.meta).is_older_than(&version(&known.object.meta));
        if echo {
            // The watch lags behind our own write: its status is already known.
            known.object.model = object.model;
            return;
        }
        known.object = object;
        known.counts = counts;
        known.not_before = None;
        known.failures = 0;
    }

    fn forget(&mut self, id: &Id) {
        self.records.remove(id);
        self.dirty.remove(id);
        if id.0 == Sort::Claim {
            self.reservations.remove(&id.1);
        }
    }

    fn touch(&mut self, sorts: &[Sort]) {
        let touched = self.records.keys().filter(|id| sorts.contains(&id.0)).cloned();
        self.dirty.extend(touched);
    }

    /// The next status to write; `None` when nothing differs, or as many as allowed are in flight.
    pub fn next_write(&mut self, now: Instant, wall: jiff::Timestamp) -> Option<StatusWrite> {
        if self.in_flight.len() >= WINDOW {
            return None;
        }
        let candidates: Vec<Id> =
            self.dirty.iter().filter(|id| !self.in_flight.contains(*id)).cloned().collect();
        for id in candidates {
            match self.difference(&id, now, wall) {
                Difference::Nothing => {
                    self.dirty.remove(&id);
                }
                Difference::NotYet => {}
                Difference::Write(write) => {
                    self.dirty.remove(&id);
                    self.in_flight.insert(id);
                    return Some(*write);
                }
            }
        }
        None
    }

    fn can_judge(&self, id: &Id) -> bool {
        let listed = |sorts: &[Sort]| sorts.iter().all(|sort| self.listed.contains(sort));
        match id.0 {
            Sort::Pool => self.reports.contains_key(id.1.as_str()) || !self.pools.contains_key(&id.1),
            Sort::Profile => listed(&[Sort::Pool, Sort::Profile]),
            Sort::Announcement => listed(&[Sort::Pool, Sort::Neighbor]),
            Sort::Claim => listed(&[Sort::Pool]),
            Sort::Neighbor => true,
        }
    }

    fn difference(&self, id: &Id, now: Instant, wall: jiff::Timestamp) -> Difference {
        let Some(record) = self.records.get(id) else { return Difference::Nothing };
        if record.not_before.is_some_and(|at| now < at) || !self.can_judge(id) {
            return Difference::NotYet;
        }
        let generation = record.object.meta.generation;
        let said = self.verdicts(id, &record.object);
        let conditions =
            status::conditions(&record.object.conditions, &said.verdicts, &said.retired, generation, wall);
        let report = match id.0 {
            Sort::Pool => self.reports.get(id.1.as_str()),
            Sort::Profile | Sort::Announcement | Sort::Neighbor | Sort::Claim => None,
        };
        let counts = report.map(Counts::of).filter(|counts| *counts != record.counts);
        let resting = record.counts_written.is_some_and(|at| now < at + COUNTS_PACE);
        match (&conditions, counts) {
            (None, None) => return Difference::Nothing,
            (None, Some(_)) if resting => return Difference::NotYet,
            (None, Some(_)) | (Some(_), _) => {}
        }
        let conditions = conditions.unwrap_or_else(|| record.object.conditions.clone());
        let mut fields = counts.map(|counts| counts.fields()).unwrap_or_default();
        fields.insert("observedGeneration".into(), json!(generation));
        fields.insert("conditions".into(), json!(conditions));
        Difference::Write(Box::new(StatusWrite {
            id: id.clone(),
            kind: record.object.kind.clone(),
            key: record.object.key.clone(),
            meta: record.object.meta.clone(),
            fields,
            conditions,
            counts,
        }))
    }

    /// Takes in how a write ended.
    pub fn written(&mut self, write: StatusWrite, result: Result<Meta, CallError>, now: Instant) {
        self.in_flight.remove(&write.id);
        let Some(record) = self.records.get_mut(&write.id) else { return };
        match result {
            Ok(meta) if record.object.meta.uid == write.meta.uid => {
                record.object.meta.resource_version = meta.resource_version;
                record.object.conditions = write.conditions;
                record.failures = 0;
                if let Some(counts) = write.counts {
                    record.counts = counts;
                    record.counts_written = Some(now);
                }
            }
            Ok(_) => {}
            Err(error) => {
                record.failures = record.failures.saturating_add(1);
                let growth = 2_u32.saturating_pow(record.failures.min(6) - 1);
                record.not_before = Some(now + (FIRST_RETRY * growth).min(LAST_RETRY));
                let (kind, object) = (&write.kind, &write.key);
                // A conflict means that the watch is about to tell what has changed.
                if error.code() != Some(409) && record.failures.is_power_of_two() {
                    tracing::warn!(%kind, %object, %error, "the status is not written and will be tried again");
                }
            }
        }
        self.dirty.insert(write.id);
    }

    /// When [`Board::next_write`] may have something to give without any input.
    pub fn next_deadline(&self, now: Instant) -> Option<Instant> {
        let waiting = self.dirty.iter().filter(|id| !self.in_flight.contains(*id));
        let due = waiting.filter_map(|id| {
            let record = self.records.get(id)?;
            let rested = record.counts_written.map(|at| at + COUNTS_PACE);
            record.not_before.into_iter().chain(rested).filter(|at| *at > now).min()
        });
        due.min()
    }
}

enum Difference {
    Nothing,
    NotYet,
    Write(Box<StatusWrite>),
}

/// Keeps in `known` what `update` says is sound.
fn note<M: Clone>(known: &mut BTreeMap<String, M>, update: &Update<Option<M>>) {
    match update {
        Update::Reset(all) => {
            *known = all.iter().filter_map(|(key, m)| Some((key.name.clone(), m.clone()?))).collect();
        }
        Update::Apply(key, Some(model)) => {
            known.insert(key.name.clone(), model.clone());
        }
        Update::Apply(key, None) | Update::Delete(key) => {
            known.remove(&key.name);
        }
    }
}

#[cfg(test)]
mod tests;
