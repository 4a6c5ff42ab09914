//! The account: all that there is, and what time does to it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use daymark_aws::api::{Target, Vpc};
use tokio::time::Instant;

use crate::clock::{Birth, Consistency, Hand, Timing};
use crate::faults::split_mix;
use crate::listener::Listening;
use crate::load_balancer::Balancer;
use crate::network::{Allocation, Instance, Interface, Routes, Subnetwork};
use crate::quota::Quotas;
use crate::security_group::{Group, Rule};
use crate::target_group::Pool;

/// Decides whether a target passes its checks.
pub(crate) type HealthRule = Arc<dyn Fn(&Target) -> bool + Send + Sync>;

/// All that there is.
#[derive(Clone)]
pub(crate) struct State {
    pub(crate) now: Instant,
    pub(crate) hand: Hand,
    pub(crate) timing: Timing,
    pub(crate) consistency: Consistency,
    pub(crate) quotas: Quotas,
    pub(crate) region: String,
    pub(crate) vpcs: BTreeMap<String, Vpc>,
    pub(crate) subnets: BTreeMap<String, Subnetwork>,
    pub(crate) routes: Vec<Routes>,
    pub(crate) allocations: BTreeMap<String, Allocation>,
    pub(crate) instances: BTreeMap<String, Instance>,
    pub(crate) interfaces: BTreeMap<String, Interface>,
    pub(crate) prefix_lists: BTreeMap<String, u32>,
    pub(crate) groups: BTreeMap<String, Group>,
    pub(crate) rules: BTreeMap<String, Rule>,
    pub(crate) balancers: BTreeMap<String, Balancer>,
    pub(crate) ghosts: Vec<(Balancer, Instant)>,
    pub(crate) listeners: BTreeMap<String, Listening>,
    pub(crate) pools: BTreeMap<String, Pool>,
    pub(crate) certificates: BTreeSet<String>,
    pub(crate) sick: BTreeSet<String>,
    pub(crate) health: Option<HealthRule>,
    next_id: u64,
    due: Option<Instant>,
}

/// The account's number.
pub(crate) const ACCOUNT: &str = "123456789012";

impl State {
    pub(crate) fn new(region: &str, now: Instant) -> Self {
        Self {
            now,
            hand: Hand::Other,
            timing: Timing::default(),
            consistency: Consistency::default(),
            quotas: Quotas::default(),
            region: region.to_owned(),
            vpcs: BTreeMap::new(),
            subnets: BTreeMap::new(),
            routes: Vec::new(),
            allocations: BTreeMap::new(),
            instances: BTreeMap::new(),
            interfaces: BTreeMap::new(),
            prefix_lists: BTreeMap::new(),
            groups: BTreeMap::new(),
            rules: BTreeMap::new(),
            balancers: BTreeMap::new(),
            ghosts: Vec::new(),
            listeners: BTreeMap::new(),
            pools: BTreeMap::new(),
            certificates: BTreeSet::new(),
            sick: BTreeSet::new(),
            health: None,
            next_id: 0,
            due: None,
        }
    }

    /// Lets time pass: what was due has happened.
    pub(crate) fn settle(&mut self, now: Instant) {
        self.now = now;
        if self.due.is_none_or(|due| now < due) {
            return;
        }
        self.interfaces.retain(|_, interface| interface.gone_at.is_none_or(|at| now < at));
        self.ghosts.retain(|(_, until)| now < *until);
        for pool in self.pools.values_mut() {
            pool.targets.retain(|_, target| target.gone_at.is_none_or(|at| now < at));
            pool.released = pool.released.take().filter(|released| now < released.until);
        }
        let interfaces = self.interfaces.values().filter_map(|interface| interface.gone_at);
        let ghosts = self.ghosts.iter().map(|(_, until)| *until);
        let targets = self.pools.values().flat_map(|pool| pool.targets.values());
        let released = self.pools.values().filter_map(|pool| Some(pool.released.as_ref()?.until));
        let drained = targets.filter_map(|target| target.gone_at);
        self.due = interfaces.chain(ghosts).chain(released).chain(drained).min();
    }

    /// Something happens by itself at this time.
    pub(crate) fn due_at(&mut self, at: Instant) {
        self.due = Some(self.due.map_or(at, |due| due.min(at)));
    }

    /// Now, by whoever makes the call.
    pub(crate) fn birth(&self) -> Birth {
        Birth { at: self.now, by: self.hand }
    }

    /// A new id: `sg-0…`.
    pub(crate) fn id(&mut self, prefix: &str) -> String {
        format!("{prefix}-0{:016x}", self.number())
    }

    /// The last part of a new ARN.
    pub(crate) fn number(&mut self) -> u64 {
        self.next_id += 1;
        let mut seed = self.next_id;
        split_mix(&mut seed)
    }

    /// The ARN of what Elastic Load Balancing keeps.
    pub(crate) fn arn(&self, resource: &str) -> String {
        format!("arn:aws:elasticloadbalancing:{}:{ACCOUNT}:{resource}", self.region)
    }
}
