//! Many load balancers, worked on as the controller does it: its queue, its pace, its pauses; in an account in memory, on
//! tokio's own clock.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use daymark_aws::AwsCloud;
use daymark_aws::model::Desired;
use daymark_aws::naming::{BACKEND_ROLE, LOAD_BALANCER_ROLE, fact, kind};
use daymark_aws::pace::{Counts, Paced};
use daymark_aws_fake::{Aws, CallRecord};
use daymark_model::{AwsProfile, Inventory, ResourceKey, Timestamp};
use daymark_providers::pass::{self, End, PassReport};
use daymark_providers::queue::{Cause, Queue};
use daymark_providers::{Depth, InventoryStore, Policy, StepClass, StoreError};
use daymark_tests::{Context, Result, bail};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::aws_lbc::Calls;
use crate::aws_services::{PORTS, Service, node_access, profile};

/// As in the controller: passes side by side, and when all is looked at again, and targets that are not healthy.
const PASSES: usize = 1024;
const DRIFT: Duration = Duration::from_secs(480);
const SPREAD: Duration = Duration::from_secs(90);
/// The length of a round, in milliseconds.
const ROUND: i64 = 10_000;
const HEALTH: Duration = Duration::from_secs(15);
const HEALTH_LOOKS: u32 = 20;

type Connection = AwsCloud<Paced<Aws>>;

/// Saving costs nothing here: it is no call to AWS.
struct Saved;

impl InventoryStore for Saved {
    async fn save(&mut self, _: &Inventory) -> Result<(), StoreError> {
        Ok(())
    }
}

/// One load balancer.
#[derive(Default)]
struct Member {
    desired: Option<Arc<Desired>>,
    /// Counts its wishes, so that a pass for an earlier one settles nothing.
    version: u32,
    /// A look of this depth shows whether it is as it should be.
    depth: Option<Depth>,
    inventory: Inventory,
    looks: u32,
    passes: u32,
    /// Since when it is as it should be; `None` while it is not.
    settled: Option<Duration>,
}

/// A pass that has ended.
struct Ended {
    number: u32,
    version: u32,
    depth: Depth,
    report: PassReport,
}

/// All of them.
pub struct Fleet {
    aws: Aws,
    paced: Paced<Aws>,
    cloud: Arc<Connection>,
    profile: AwsProfile,
    node_access: String,
    members: BTreeMap<u32, Member>,
    queue: Queue<u32>,
    running: JoinSet<Ended>,
    started: Instant,
    /// Whether what rests is looked at again.
    periodic: bool,
}

impl Fleet {
    /// None yet, in an account where nodes may be reached already.
    pub async fn new(aws: &Aws) -> Result<Self> {
        let paced = Paced::new(aws.clone());
        let mut fleet = Self {
            aws: aws.clone(),
            cloud: Arc::new(AwsCloud::new(paced.clone())),
            paced,
            profile: profile(aws.account()),
            node_access: String::new(),
            members: BTreeMap::new(),
            queue: Queue::new(PASSES),
            running: JoinSet::new(),
            started: Instant::now(),
            periodic: true,
        };
        let (wish, now) = (node_access(aws.account()), fleet.now());
        let made = pass::run(
            &*fleet.cloud,
            &mut Saved,
            Some(&wish),
            Inventory::default(),
            Depth::Full,
            &Policy::default(),
            now,
        )
        .await;
        let key = ResourceKey::new(kind::SECURITY_GROUP, BACKEND_ROLE, 1);
        let group = made.inventory.id(&key).with_context(|| format!("no group: {:?}", made.end))?;
        fleet.node_access = group.to_owned();
        Ok(fleet)
    }

    /// Number so many as a Service that nobody changed yet.
    pub fn service(&self, number: u32) -> Service {
        Service::new(self.aws.account(), number, &self.node_access)
    }

    /// The profile of all.
    pub fn profile(&self) -> &AwsProfile {
        &self.profile
    }

    /// What is known of the one with this number: its wish and its inventory.
    pub fn record(&self, number: u32) -> Option<(Arc<Desired>, Inventory)> {
        let member = self.members.get(&number)?;
        Some((member.desired.clone()?, member.inventory.clone()))
    }

    /// The cloud they are made in.
    pub fn cloud(&self) -> Arc<Connection> {
        self.cloud.clone()
    }

    /// Since the beginning.
    pub fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// The wall clock, as far as there is one.
    pub fn now(&self) -> Timestamp {
        Timestamp(1_700_000_000_000) + self.elapsed()
    }

    /// Wishes for a load balancer, or for another one.
    pub fn wish(&mut self, number: u32, service: &Service, depth: Depth) -> Result<()> {
        let desired = service.desired(&self.profile)?;
        self.change(number, Some(Arc::new(desired)), depth);
        Ok(())
    }

    /// Wishes for no load balancer.
    pub fn remove(&mut self, number: u32) {
        self.change(number, None, Depth::Full);
    }

    fn change(&mut self, number: u32, desired: Option<Arc<Desired>>, depth: Depth) {
        let member = self.members.entry(number).or_default();
        (member.desired, member.settled, member.depth) = (desired, None, Some(depth));
        member.version += 1;
        let urgency = match depth {
            Depth::Targets => StepClass::Targets,
            Depth::Full => StepClass::Change,
        };
        self.queue.mark(&number, depth, self.now(), urgency, Cause::Changed);
    }

    /// Nothing is looked at from now on without being asked for.
    pub async fn stop_periodic(&mut self) {
        while let Some(ended) = self.running.join_next().await {
            ended.into_iter().for_each(|ended| self.ended(ended));
        }
        (self.queue, self.periodic) = (Queue::new(PASSES), false);
    }

    /// Has all of them looked at, as after a start.
    pub fn look_at_all(&mut self, depth: Depth) {
        let now = self.now();
        for (number, member) in &mut self.members {
            (member.settled, member.depth) = (None, Some(depth));
            member.version += 1;
            self.queue.mark(number, depth, now, StepClass::Change, Cause::Changed);
        }
    }

    /// How many are as they should be.
    pub fn settled(&self) -> usize {
        self.members.values().filter(|member| member.settled.is_some()).count()
    }

    /// The first that has all its listeners, whether or not it is known to be active, and is none of `others`.
    pub fn first_made(&self, others: &BTreeSet<u32>) -> Option<u32> {
        let listening = |member: &Member| {
            let listeners = member.inventory.of_kind(kind::LISTENER).filter(|entry| entry.id.is_some());
            listeners.count() >= PORTS as usize
        };
        let mut made = self.members.iter().filter(|(_, member)| listening(member));
        made.find(|(number, _)| !others.contains(number)).map(|(number, _)| *number)
    }

    /// When this one came to be as it should be.
    pub fn settled_at(&self, number: u32) -> Option<Duration> {
        self.members.get(&number)?.settled
    }

    /// When the last of them came to be as it should be.
    pub fn last_settled(&self) -> Duration {
        self.members.values().filter_map(|member| member.settled).max().unwrap_or_default()
    }

    /// How many passes there were.
    pub fn passes(&self) -> u32 {
        self.members.values().map(|member| member.passes).sum()
    }

    /// Works until all are as they should be.
    pub async fn settle(&mut self) -> Result<()> {
        let limit = self.elapsed() + Duration::from_secs(24 * 3600);
        self.work(limit, |fleet| fleet.settled() == fleet.members.len()).await;
        if self.settled() == self.members.len() {
            return Ok(());
        }
        let left = self.members.iter().find(|(_, member)| member.settled.is_none());
        bail!("after a day {} of {} are settled; {:?}", self.settled(), self.members.len(), left.map(|l| l.0))
    }

    /// Works until `until` since the beginning.
    pub async fn work_until(&mut self, until: Duration) {
        self.work(until, |_| false).await;
    }

    async fn work(&mut self, until: Duration, enough: impl Fn(&Self) -> bool) {
        while !enough(self) && self.elapsed() < until {
            while let Some((number, depth)) = self.queue.next(self.now()) {
                self.start(number, depth);
            }
            let due = self.queue.next_deadline().map(|at| at.since(self.now()));
            let pause = due.unwrap_or(Duration::from_secs(1)).max(Duration::from_millis(5));
            let pause = pause.min(until.saturating_sub(self.elapsed()));
            tokio::select! {
                Some(Ok(ended)) = self.running.join_next() => self.ended(ended),
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    fn start(&mut self, number: u32, depth: Depth) {
        let Some(member) = self.members.get_mut(&number) else {
            self.queue.forget(&number);
            return;
        };
        member.passes += 1;
        let (desired, inventory) = (member.desired.clone(), member.inventory.clone());
        let version = member.version;
        // As the controller's turns call.
        let class = match (&desired, depth) {
            (None, _) => StepClass::Delete,
            (Some(_), Depth::Targets) => StepClass::Targets,
            (Some(_), Depth::Full) => StepClass::Change,
        };
        let (cloud, now) = (self.cloud.through(self.paced.with_class(class)), self.now());
        self.running.spawn(async move {
            let policy = Policy::default();
            let report =
                pass::run(&cloud, &mut Saved, desired.as_deref(), inventory, depth, &policy, now).await;
            Ended { number, version, depth, report }
        });
    }

    /// As the controller's owner ends a turn: the queue, then what follows without any change.
    fn ended(&mut self, ended: Ended) {
        let Ended { number, version, depth, report } = ended;
        let (now, elapsed) = (self.now(), self.elapsed());
        let seed = u64::from(number).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
        match &report.end {
            End::Failed(error) if report.again.is_none() => {
                self.queue.failed(&number, error.class, error.retry_after, now, seed);
            }
            End::Failed(_)
            | End::Converged
            | End::Waiting(_)
            | End::Held
            | End::Shown
            | End::Gone
            | End::Unsaved(_) => self.queue.done(&number, report.again.map(|after| now + after)),
        }
        let Some(member) = self.members.get_mut(&number) else { return };
        member.inventory = report.inventory.clone();
        if report.end == End::Gone {
            member.settled = Some(elapsed);
            self.queue.forget(&number);
            return;
        }
        let active = ResourceKey::new(kind::LOAD_BALANCER, LOAD_BALANCER_ROLE, 1);
        let is_active = member.inventory.get(&active).is_some_and(|e| e.facts.contains_key(fact::ACTIVE));
        let rests = report.end == End::Converged && report.plan.steps.is_empty();
        let is_seen = version == member.version && Some(depth) >= member.depth;
        if rests && is_active && is_seen && member.desired.is_some() {
            member.settled.get_or_insert(elapsed);
        }
        if !self.periodic {
            return;
        }
        if depth == Depth::Full && member.desired.is_some() {
            let spread = SPREAD * u32::try_from(seed % 64).unwrap_or(0) / 64;
            let at = (now + DRIFT + spread).0;
            let at = Timestamp(at - at.rem_euclid(ROUND));
            self.queue.mark(&number, Depth::Full, at, StepClass::Cosmetic, Cause::Routine);
        }
        let mut ports = report.published.iter().flat_map(|published| &published.ports);
        if !ports.any(|port| port.healthy < port.total || port.draining > 0) {
            member.looks = 0;
            return;
        }
        member.looks += 1;
        if member.looks <= HEALTH_LOOKS {
            self.queue.mark(&number, Depth::Targets, now + HEALTH, StepClass::Cosmetic, Cause::Routine);
        }
    }

    /// Drops the record of calls.
    pub fn forget_calls(&self) {
        self.aws.reset_calls();
    }

    /// The calls since then.
    pub fn calls(&self) -> Vec<CallRecord> {
        self.aws.calls()
    }

    /// How many of them read, and how many wrote.
    pub fn counts(&self) -> Calls {
        let (reads, writes): (Vec<CallRecord>, Vec<CallRecord>) =
            self.calls().into_iter().partition(|call| call.name().starts_with("Describe"));
        let count = |calls: Vec<CallRecord>| u32::try_from(calls.len()).unwrap_or(u32::MAX);
        Calls { reads: count(reads), writes: count(writes) }
    }

    /// What the pace counted, by action.
    pub fn paced(&self) -> BTreeMap<&'static str, Counts> {
        self.paced.counts()
    }

    /// Whether every one of `count` load balancers is active and has its listeners and targets: as AWS has it.
    pub fn check(&self, count: usize, ports: usize) -> Result<()> {
        use daymark_aws::api::LoadBalancerState as State;
        let snapshot = self.aws.snapshot();
        let ours = snapshot.load_balancers_with("daymark.dev/cluster", crate::aws_services::CLUSTER);
        let active = ours.iter().filter(|one| one.load_balancer.state == State::Active);
        let listening = active.filter(|one| one.listeners.len() == ports).count();
        let filled = snapshot.target_groups.values().filter(|one| one.targets.len() >= 3).count();
        daymark_tests::ensure!(
            listening == count && filled == count * ports,
            "{listening} of {count} load balancers and {filled} target groups are complete"
        );
        Ok(())
    }

    /// Nothing of ours is left but what lets load balancers reach the nodes.
    pub fn check_gone(&self) -> Result<()> {
        let snapshot = self.aws.snapshot();
        let ours = snapshot.load_balancers_with("daymark.dev/cluster", crate::aws_services::CLUSTER).len();
        let groups = snapshot.security_groups.values();
        let groups = groups.filter(|one| one.group.tags.contains_key("daymark.dev/cluster")).count();
        daymark_tests::ensure!(ours == 0 && groups <= 1, "{ours} load balancers, {groups} groups are left");
        Ok(())
    }
}
