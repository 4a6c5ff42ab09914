//! A cluster in which every write is answered at once and every event arrives: for tests of one behaviour each.

use std::net::IpAddr;
use std::time::Duration;

use daymark_model::{Labels, LoadBalancerProfile, Pool, ServiceKey, Timestamp};
use daymark_pool::{
    Assigner, ClaimView, ConditionStatus, Event, Input, PoolReport, ServiceView, Settings, Write, WriteResult,
};

use super::build;
use super::store::{KINDS, Store};

pub struct Cluster {
    pub store: Store,
    pub now: Timestamp,
    pub assigner: Assigner,
    pub events: Vec<Event>,
    pub writes: usize,
    profiles: Vec<LoadBalancerProfile>,
    seen: [usize; 4],
}

impl Cluster {
    pub fn new(pools: impl IntoIterator<Item = Pool>) -> Self {
        let mut cluster = Self {
            store: Store::default(),
            now: Timestamp(1_000_000),
            assigner: Assigner::new(Settings::default()),
            events: Vec::new(),
            writes: 0,
            profiles: Vec::new(),
            seen: [0; 4],
        };
        cluster.store.put_namespace("default".into(), Labels::new());
        pools.into_iter().for_each(|pool| cluster.store.put_pool(pool));
        cluster.restart();
        cluster
    }

    /// A new process with empty memory; nothing is written yet.
    pub fn restart(&mut self) {
        self.assigner = Assigner::new(Settings::default());
        self.assigner.handle(self.now, Input::ProfilesReset(self.profiles.clone()));
        for (i, kind) in KINDS.into_iter().enumerate() {
            self.assigner.handle(self.now, self.store.list(kind));
            self.seen[i] = self.store.events(kind);
        }
    }

    pub fn profiles(&mut self, profiles: Vec<LoadBalancerProfile>) {
        self.profiles = profiles.clone();
        self.assigner.handle(self.now, Input::ProfilesReset(profiles));
        self.settle();
    }

    pub fn deliver(&mut self) {
        for (i, kind) in KINDS.into_iter().enumerate() {
            while self.seen[i] < self.store.events(kind) {
                self.assigner.handle(self.now, self.store.event(kind, self.seen[i]));
                self.seen[i] += 1;
            }
        }
    }

    pub fn next_write(&mut self) -> Option<Write> {
        let write = self.assigner.next_write(self.now);
        self.events.extend(std::iter::from_fn(|| self.assigner.next_event()));
        write
    }

    pub fn answer(&mut self, write: &Write, result: WriteResult) {
        self.assigner.handle(self.now, Input::WriteDone { id: write.id, result });
    }

    /// Until nothing is left to write at this moment.
    pub fn settle(&mut self) {
        for _ in 0..10_000 {
            self.deliver();
            let Some(write) = self.next_write() else { return };
            self.writes += 1;
            let result = self.store.apply(self.now, &write.action);
            self.answer(&write, result);
        }
        panic!("does not settle");
    }

    pub fn wait(&mut self, time: Duration) {
        self.now = self.now + time;
        self.settle();
    }

    /// Puts a Service in place, new or changed, with the status it has.
    pub fn apply(&mut self, mut view: ServiceView) {
        if let Some(known) = self.store.services.get(&view.key) {
            view.uid = known.uid.clone();
            view.ingress = known.ingress.clone();
            view.condition = known.condition.clone();
            self.store.put_service(view);
        } else {
            self.store.create_service(view);
        }
        self.settle();
    }

    pub fn change(&mut self, name: &str, change: impl FnOnce(&mut ServiceView)) {
        let mut view = self.service(name).clone();
        change(&mut view);
        self.store.put_service(view);
        self.settle();
    }

    pub fn delete(&mut self, name: &str) {
        self.store.delete_service(&key(name));
        self.settle();
    }

    pub fn pool(&mut self, pool: Pool) {
        self.store.put_pool(pool);
        self.settle();
    }

    pub fn delete_pool(&mut self, name: &str) {
        self.store.delete_pool(&name.into());
        self.settle();
    }

    pub fn service(&self, name: &str) -> &ServiceView {
        &self.store.services[&key(name)]
    }

    /// The addresses in the status.
    pub fn shown(&self, name: &str) -> Vec<String> {
        self.service(name).shown().map(|ip| ip.to_string()).collect()
    }

    /// The condition: its status, reason and message.
    pub fn says(&self, name: &str) -> (bool, &str, &str) {
        let condition = self.service(name).condition.as_ref().expect("a condition");
        (condition.status == ConditionStatus::True, &condition.reason, &condition.message)
    }

    pub fn reason(&self, name: &str) -> &str {
        self.says(name).1
    }

    pub fn claim(&self, address: &str) -> Option<&ClaimView> {
        self.store.claims.get(&build::ip(address))
    }

    pub fn claimed(&self) -> Vec<IpAddr> {
        self.store.claims.keys().copied().collect()
    }

    pub fn report(&mut self, pool: &str) -> PoolReport {
        let reports = self.assigner.take_pool_reports();
        reports.into_iter().find(|report| report.pool.as_str() == pool).expect("a report")
    }

    /// The reasons of the events so far.
    pub fn told(&self) -> Vec<&'static str> {
        self.events.iter().map(|event| event.reason).collect()
    }
}

pub fn key(name: &str) -> ServiceKey {
    build::service(name).key
}
