//! The one task that owns what is known of load balancers in clouds: updates in, turns and writes out.

mod tell;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::{Duration, Instant};

use daymark_aws::model::{Desired, NodeAccessState, PortRange};
use daymark_config::names::finalizer;
use daymark_kube::events::{Recorder, Severity};
use daymark_kube::lease::Tenure;
use daymark_kube::slim::Meta;
use daymark_kube::views::cloud::subject;
use daymark_kube::{Check, Health, Key, Update};
use daymark_model::{ServiceKey, Timestamp};
use daymark_providers::cloud::Depth;
use daymark_providers::error::{CloudError, ErrorClass};
use daymark_providers::pass::{End, PassReport};
use daymark_providers::plan::StepClass;
use daymark_providers::queue::{Cause, Queue};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::board::{Board, Shown, Write};
use super::connection::Connections;
use super::feed::Signal;
use super::index::{Index, Remove, Serve, Task, Touched};
use super::lbc::{Rival, Watch};
use super::metrics::CloudMetrics;
use super::object::{CloudObject, Objects};
use super::orphans::{self, Search};
use super::turn::{self, Tools, Turn};
use super::{Surroundings, say};

/// Passes side by side. They cost little and wait most of the time, some of them for minutes: AWS makes a dozen load
/// balancers in a minute. Those must not keep targets from others.
const PASSES: usize = 1024;
/// Updates taken in before the next look at what is to be done.
const BATCH: usize = 256;
/// How often everything is compared with what AWS has: drift is found within ten minutes.
const DRIFT: Duration = Duration::from_secs(480);
/// Beyond 700 load balancers that takes longer: the looks alone would use up what AWS answers.
const DRIFT_EACH: Duration = Duration::from_millis(700);
/// Such looks come in rounds: what is asked about several load balancers at once is one call.
const ROUND: Duration = Duration::from_secs(10);
/// By how much that is spread, so that load balancers made together are not looked at together.
const SPREAD: Duration = Duration::from_secs(90);
/// How often it is looked whether targets became healthy, while some are not.
const HEALTH: Duration = Duration::from_secs(15);
/// How long that goes on before a look with everything else is enough.
const HEALTH_LOOKS: u32 = 20;
/// How often the AWS Load Balancer Controller's Lease is looked at.
const RIVAL: Duration = Duration::from_secs(10);
const TICK: Duration = Duration::from_secs(1);
const ALIVE: Duration = Duration::from_secs(60);

/// What a task comes back with.
enum Done {
    Turn(Key, Box<Turn>, Depth, Option<Box<Serve>>, Option<Box<Remove>>),
    Write(Box<(Write, Result<Option<Meta>, super::object::WriteError>)>),
    Rival(Result<Rival, daymark_kube::CallError>, Watch),
    Orphans(Box<orphans::Findings>),
}

/// The owner.
pub struct Owner {
    index: Index,
    queue: Queue<Key>,
    board: Board,
    tools: Tools,
    tenure: Tenure,
    recorder: Recorder,
    metrics: CloudMetrics,
    health: Health,
    tasks: JoinSet<Done>,
    rival: Rival,
    rival_watch: Option<Watch>,
    rival_due: Instant,
    search: Search,
    /// Turns since a load balancer's targets were last all healthy.
    looks: HashMap<Key, u32>,
    /// Of what a load balancer was told last in an event.
    told: HashMap<Key, String>,
    /// What each load balancer must reach on the nodes.
    ranges: HashMap<Key, BTreeSet<PortRange>>,
    /// Load balancers that have their turn now: their objects are not written by anybody else of us.
    turning: BTreeSet<Key>,
    /// What the watch told of the objects of those that have their turn.
    stashed: BTreeMap<Key, CloudObject>,
    /// Load balancers whose turn comes when the write of their status has ended.
    parked: BTreeMap<Key, Depth>,
    ready: bool,
}

impl Owner {
    /// An owner that knows nothing yet.
    pub fn new(surroundings: Surroundings) -> Self {
        let Surroundings { namespace, client, tenure, recorder, metrics, health } = surroundings;
        let objects = Objects::new(client, tenure.clone());
        Self {
            index: Index::new(&namespace),
            queue: Queue::new(PASSES),
            board: Board::default(),
            tools: Tools { objects, connections: Arc::new(Connections::new(tenure.clone())) },
            tenure,
            recorder,
            metrics,
            health,
            tasks: JoinSet::new(),
            rival: Rival::Unknown,
            rival_watch: Some(Watch::default()),
            rival_due: Instant::now(),
            search: Search::default(),
            looks: HashMap::new(),
            told: HashMap::new(),
            ranges: HashMap::new(),
            turning: BTreeSet::new(),
            stashed: BTreeMap::new(),
            parked: BTreeMap::new(),
            ready: false,
        }
    }

    /// Runs until `stop`, or until the feed ends. `watch_rest` is called when something needs a cloud.
    pub async fn run(
        mut self,
        mut feed: mpsc::Receiver<Signal>,
        watch_rest: impl FnOnce(),
        stop: CancellationToken,
    ) {
        let mut watch_rest = Some(watch_rest);
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut batch = Vec::with_capacity(BATCH);
        loop {
            let pause = self.until_due();
            tokio::select! {
                received = feed.recv_many(&mut batch, BATCH) => {
                    if received == 0 {
                        return;
                    }
                    for signal in batch.drain(..) {
                        self.take(signal);
                    }
                    if self.index.is_needed() && let Some(watch_rest) = watch_rest.take() {
                        self.health.set("cloud", Check::Degraded("waiting for the first lists".into()));
                        watch_rest();
                    }
                }
                Some(done) = self.tasks.join_next() => match done {
                    Ok(done) => self.ended(done),
                    Err(error) => warn!(%error, "a task for the cloud ended badly"),
                },
                () = tokio::time::sleep(pause) => {}
                _ = tick.tick() => self.show(),
                () = stop.cancelled() => return,
            }
            self.act();
        }
    }

    fn until_due(&self) -> Duration {
        let due = self.queue.next_deadline().map(|at| at.since(wall()));
        due.unwrap_or(TICK).min(TICK).max(Duration::from_millis(5))
    }

    fn take(&mut self, signal: Signal) {
        let touched = match signal {
            Signal::Services(update) => {
                match &update {
                    Update::Reset(_) => self.board.services_changed(),
                    Update::Apply(key, _) | Update::Delete(key) => {
                        self.board.service_changed(&ServiceKey::from(key))
                    }
                }
                self.index.take_services(update)
            }
            Signal::Nodes(update) => self.index.take_nodes(update),
            Signal::Slices(update) => self.index.take_slices(update),
            // What comes of a turn is told by its end; what others wrote meanwhile is looked at then.
            Signal::Objects(Update::Apply(key, object)) if self.turning.contains(&key) => {
                self.stashed.insert(key, object);
                return;
            }
            Signal::Objects(update) => self.index.take_objects(update),
            Signal::Profiles(update) => {
                self.rival_due = Instant::now();
                self.index.take_profiles(update)
            }
        };
        self.mark(touched, Cause::Changed);
    }

    fn mark(&mut self, touched: Touched, cause: Cause) {
        if !self.ready {
            return;
        }
        for (key, depth) in touched {
            let urgency = match depth {
                Depth::Targets => StepClass::Targets,
                Depth::Full => StepClass::Change,
            };
            self.queue.mark(&key, depth, wall(), urgency, cause);
        }
    }

    fn act(&mut self) {
        if !self.ready && self.index.is_complete() {
            self.ready = true;
            self.health.set("cloud", Check::Good);
            info!("all lists are there: provisioning in the cloud");
            let all = self.index.all();
            self.mark(all, Cause::Changed);
            let ways = self.index.ways();
            self.mark(ways, Cause::Changed);
        }
        if !self.ready || !self.tenure.allows(crate::writer::DEADLINE) {
            return;
        }
        self.look_for_rival();
        while let Some((key, depth)) = self.queue.next(wall()) {
            if self.board.is_writing(&key) {
                self.parked.insert(key, depth);
            } else {
                self.start(key, depth);
            }
        }
        for write in self.board.next_writes(&self.index, &self.turning) {
            let objects = self.tools.objects.clone();
            self.tasks.spawn(async move {
                let result = write.send(&objects).await;
                Done::Write(Box::new((write, result)))
            });
        }
        if let Some(place) = self.search.next(&self.index) {
            let connections = self.tools.connections.clone();
            self.tasks
                .spawn(async move { Done::Orphans(Box::new(orphans::search(&connections, place).await)) });
        }
    }

    fn look_for_rival(&mut self) {
        let shared = self.index.profiles().iter().any(super::index::Served::shares_class_with_lbc);
        if !shared || Instant::now() < self.rival_due {
            return;
        }
        let Some(mut watch) = self.rival_watch.take() else { return };
        self.rival_due = Instant::now() + RIVAL;
        let client = self.tools.objects.client().clone();
        self.tasks.spawn(async move {
            let seen = watch.look(&client).await;
            Done::Rival(seen, watch)
        });
    }

    /// Starts the turn of a load balancer, or says at once why there is none.
    fn start(&mut self, key: Key, depth: Depth) {
        match self.index.task(&key) {
            Task::Nothing => {
                self.board.forget(&key);
                self.looks.remove(&key);
                self.told.remove(&key);
                self.queue.forget(&key);
            }
            Task::Leave(error) => {
                self.queue.done(&key, None);
                self.tell_object(&key, &error);
            }
            Task::Serve(task) => self.start_serve(key, task, depth),
            Task::Remove(task) => {
                for service in &task.waiting {
                    self.board.say(&service.view.key, &service.view.uid, say::waits_for_namesake(), None);
                }
                if self.told.get(&key).is_none_or(|told| told != "Deleting") && task.object.is_some() {
                    self.told.insert(key.clone(), "Deleting".to_owned());
                    for service in &task.leaving {
                        self.event(
                            &service.view.key,
                            &service.view.uid,
                            Severity::Normal,
                            "DeletingLoadBalancer",
                            "Delete",
                            "deleting what was made in the cloud".to_owned(),
                        );
                    }
                }
                self.ranges.remove(&key);
                self.turning.insert(key.clone());
                let tools = self.tools.clone();
                self.tasks.spawn(async move {
                    let turn = turn::remove(tools, &task, wall()).await;
                    Done::Turn(key, Box::new(turn), Depth::Full, None, Some(task))
                });
            }
        }
    }

    fn start_serve(&mut self, key: Key, task: Box<Serve>, depth: Depth) {
        for (service, errors) in &task.refused {
            if let Some(member) = task.members.iter().find(|member| member.view.key == *service) {
                let verdict = say::refused(errors, task.stands());
                self.refusal_event(service, &member.view.uid, &verdict);
                self.board.say(service, &member.view.uid, verdict, None);
            }
        }
        if let Some(error) = self.rival_in_the_way(&task) {
            for member in &task.members {
                let verdict = say::refused(std::slice::from_ref(&error), false);
                self.refusal_event(&member.view.key, &member.view.uid, &verdict);
                self.board.say(&member.view.key, &member.view.uid, verdict, None);
            }
            self.queue.done(&key, Some(wall() + RIVAL));
            return;
        }
        if task.desired.is_none() {
            self.queue.done(&key, None);
            return;
        }
        // What was never made or looked at whole has no targets to look at alone.
        let depth = match (task.only_stands(), task.stands()) {
            (true, _) => Depth::Targets,
            (false, true) => depth,
            (false, false) => Depth::Full,
        };
        let is_new = task.object.as_ref().is_none_or(|object| object.record.is_err());
        if is_new && !task.members.is_empty() && !self.told.contains_key(&key) {
            self.told.insert(key.clone(), "Ensuring".to_owned());
            for member in &task.members {
                self.event(
                    &member.view.key,
                    &member.view.uid,
                    Severity::Normal,
                    "EnsuringLoadBalancer",
                    "Provision",
                    "making a network load balancer".to_owned(),
                );
            }
        }
        self.note_ranges(&key, &task);
        self.turning.insert(key.clone());
        let tools = self.tools.clone();
        self.tasks.spawn(async move {
            let turn = turn::serve(tools, key.clone(), &task, depth, wall()).await;
            Done::Turn(key, Box::new(turn), depth, Some(task), None)
        });
    }

    /// When what is to be reached on the nodes changes, the way there is looked at.
    fn note_ranges(&mut self, key: &Key, task: &Serve) {
        let Some(Desired::LoadBalancer(nlb)) = &task.desired else { return };
        let ranges = nlb.node_ranges();
        let is_awaited = nlb.node_access == NodeAccessState::Awaited;
        if is_awaited || self.ranges.get(key) != Some(&ranges) {
            self.ranges.insert(key.clone(), ranges);
            let way = subject::node_access(self.index.namespace(), task.profile.name.as_str());
            self.queue.mark(&way, Depth::Full, wall(), StepClass::Change, Cause::Changed);
        }
    }

    fn rival_in_the_way(&self, task: &Serve) -> Option<CloudError> {
        if !task.profile.shares_class_with_lbc() {
            return None;
        }
        match &self.rival {
            Rival::Gone => None,
            Rival::Unknown => Some(CloudError::new(
                ErrorClass::Blocked,
                "WaitingForRival",
                "it is being watched whether the AWS Load Balancer Controller still runs",
            )),
            Rival::Running(holder) => Some(
                CloudError::new(
                    ErrorClass::Blocked,
                    "RivalRunning",
                    format!(
                        "the AWS Load Balancer Controller serves this class too: {holder} renews its Lease"
                    ),
                )
                .remedy("scale it down to zero replicas; nothing of this class is touched before"),
            ),
        }
    }

    fn ended(&mut self, done: Done) {
        match done {
            Done::Turn(key, turn, depth, Some(task), _) => {
                self.served(key.clone(), *turn, depth, &task);
                self.turn_ended(key);
            }
            Done::Turn(key, turn, _, None, task) => {
                self.removed(key.clone(), *turn, task.as_deref());
                self.turn_ended(key);
            }
            Done::Write(written) => {
                let (write, result) = *written;
                let object = write.object().cloned();
                if let (Some(key), Ok(Some(meta))) = (&object, &result) {
                    self.index.object_written(key, meta);
                }
                self.board.written(write, result.map(drop));
                if let Some((key, depth)) = object.and_then(|key| self.parked.remove_entry(&key)) {
                    self.start(key, depth);
                }
            }
            Done::Rival(seen, watch) => {
                self.rival_watch = Some(watch);
                match seen {
                    Ok(rival) => {
                        if rival != self.rival {
                            self.rival = rival;
                            let all = self.index.all();
                            self.mark(all, Cause::Changed);
                        }
                    }
                    Err(error) => {
                        warn!(%error, "it is not known whether the AWS Load Balancer Controller runs")
                    }
                }
            }
            Done::Orphans(findings) => {
                self.metrics.orphans(&findings);
                self.search.found(*findings);
            }
        }
    }

    fn turn_ended(&mut self, key: Key) {
        self.turning.remove(&key);
        if let Some(object) = self.stashed.remove(&key) {
            let touched = self.index.take_objects(Update::Apply(key, object));
            self.mark(touched, Cause::Changed);
        }
    }

    fn served(&mut self, key: Key, turn: Turn, depth: Depth, task: &Serve) {
        let way_before = self.way_of(&key);
        if let Some(object) = turn.object.clone() {
            self.index.wrote(object);
        }
        let error = turn.failed.as_ref().or_else(|| failure(turn.report.as_ref()));
        let failed_before = self.queue.failures(&key) > 0;
        let retry = self.end_in_queue(&key, &turn, error);
        let failures = self.queue.failures(&key);
        if let Some(report) = &turn.report {
            self.metrics.pass(&report.end);
            if depth == Depth::Targets && error.is_none() {
                // Nothing else was looked at: what was said of it stands.
                self.tell_health(&key, report);
                if failed_before {
                    self.queue.mark(&key, Depth::Full, wall(), StepClass::Cosmetic, Cause::Routine);
                }
            } else {
                self.tell_services(task, report, failures);
                self.tell_status(&key, task, report, &turn, retry);
            }
            let is_whole = depth == Depth::Full || task.only_stands();
            self.follow_up(&key, report, is_whole);
        }
        if let Some(error) = &turn.failed
            && let Some(verdict) = say::failed(error, failures)
        {
            for member in task.accepted() {
                self.board.say(&member.view.key, &member.view.uid, verdict.clone(), None);
            }
        }
        self.tell_events(&key, task, turn.report.as_ref(), error, failures);
        for service in &turn.released {
            self.board.forget_service(service);
        }
        if way_before != self.way_of(&key) {
            // Load balancers wait for the group that nodes let in.
            let all = self.index.all();
            self.mark(all, Cause::Changed);
        }
    }

    /// The group that nodes let in, if the object is about that.
    fn way_of(&self, key: &Key) -> Option<String> {
        self.index.way_profile(key)?;
        self.index.object(key)?.way_group().map(str::to_owned)
    }

    /// Ends the turn in the queue; how long until it is tried again after a failure.
    fn end_in_queue(&mut self, key: &Key, turn: &Turn, error: Option<&CloudError>) -> Option<Duration> {
        let now = wall();
        let again = turn.report.as_ref().and_then(|report| report.again);
        if let Some(error) = error {
            if turn.failed.is_none()
                && let Some(again) = again
            {
                // Only a part failed; the rest goes on then.
                self.queue.done(key, Some(now + again));
                return Some(again);
            }
            let at = self.queue.failed(key, error.class, error.retry_after, now, seed(key));
            return at.map(|at| at.since(now));
        }
        if turn.report.as_ref().is_some_and(|report| matches!(report.end, End::Unsaved(_))) {
            self.queue.failed(key, ErrorClass::Transient, None, now, seed(key));
            return None;
        }
        self.queue.done(key, again.map(|after| now + after));
        None
    }

    /// When it is to be looked at again without any change.
    fn follow_up(&mut self, key: &Key, report: &PassReport, is_whole: bool) {
        let now = wall();
        if is_whole {
            let spread = SPREAD * u32::try_from(seed(key) % 64).unwrap_or(0) / 64;
            let all = u32::try_from(self.index.objects().count()).unwrap_or(u32::MAX);
            let drift = DRIFT.max(DRIFT_EACH.saturating_mul(all)) + spread;
            self.queue.mark(key, Depth::Full, round(now + drift), StepClass::Cosmetic, Cause::Routine);
        }
        let sick =
            report.published.iter().flat_map(|p| &p.ports).any(|p| p.healthy < p.total || p.draining > 0);
        if !sick {
            self.looks.remove(key);
            return;
        }
        let looks = self.looks.entry(key.clone()).or_default();
        *looks += 1;
        if *looks <= HEALTH_LOOKS {
            self.queue.mark(key, Depth::Targets, now + HEALTH, StepClass::Cosmetic, Cause::Routine);
        }
    }

    fn removed(&mut self, key: Key, turn: Turn, task: Option<&Remove>) {
        let error = turn.failed.clone().or_else(|| failure(turn.report.as_ref()).cloned());
        let retry = self.end_in_queue(&key, &turn, error.as_ref());
        for service in &turn.released {
            self.board.forget_service(service);
        }
        let Some(object) = turn.object else {
            self.index.forget(&key);
            self.stashed.remove(&key);
            self.board.forget(&key);
            for service in task.into_iter().flat_map(|task| &task.leaving) {
                self.event(
                    &service.view.key,
                    &service.view.uid,
                    Severity::Normal,
                    "DeletedLoadBalancer",
                    "Delete",
                    "nothing is left in the cloud".to_owned(),
                );
            }
            self.told.remove(&key);
            self.queue.mark(&key, Depth::Full, wall(), StepClass::Change, Cause::Changed);
            let ways = self.index.ways();
            self.mark(ways, Cause::Routine);
            return;
        };
        self.index.wrote(object);
        let Some(task) = task else { return };
        for service in &task.leaving {
            let verdict = say::leaving(turn.report.as_ref(), error.as_ref());
            if let Some(error) = &error {
                let told = format!("DeleteLoadBalancerFailed {error}");
                if self.told.get(&key) != Some(&told) {
                    self.event(
                        &service.view.key,
                        &service.view.uid,
                        Severity::Warning,
                        "DeleteLoadBalancerFailed",
                        "Delete",
                        error.to_string(),
                    );
                    self.told.insert(key.clone(), told);
                }
            }
            // A Service without our finalizer may be gone any moment; there is nobody to tell.
            if service.has_finalizer(finalizer::LOAD_BALANCER_CLEANUP) {
                self.board.say(&service.view.key, &service.view.uid, verdict, None);
            }
        }
        if let Some(report) = &turn.report {
            let found = self.index.object(&key).and_then(|o| o.raw()?.status.clone()).unwrap_or_default();
            let status = say::status(report, &found, &[], retry, jiff::Timestamp::now());
            let verdicts = vec![say::leaving(Some(report), None)];
            self.board.show(&key, Shown { status, verdicts, pending: report.plan.consent.is_some() });
        }
    }

    fn show(&mut self) {
        self.health.beat("cloud", ALIVE);
        let objects: BTreeSet<&Key> = self.index.objects().map(|object| &object.key).collect();
        self.metrics.load_balancers(objects.len());
        self.metrics.overdue(self.queue.overdue(wall()));
        self.metrics.calls(&self.tools.connections.all());
        let unreadable: BTreeMap<&Key, String> = self
            .index
            .objects()
            .filter_map(|object| Some((&object.key, object.record.as_ref().err()?.first()?.to_string())))
            .collect();
        match unreadable.first_key_value() {
            Some((key, error)) => {
                let text = format!("the CloudLoadBalancer {key} cannot be read and is left alone: {error}");
                self.health.set("cloud", Check::Degraded(text));
            }
            None if self.ready => self.health.set("cloud", Check::Good),
            None => {}
        }
    }
}

fn failure(report: Option<&PassReport>) -> Option<&CloudError> {
    match &report?.end {
        End::Failed(error) => Some(error),
        End::Converged | End::Waiting(_) | End::Held | End::Shown | End::Gone | End::Unsaved(_) => None,
    }
}

/// What spreads load balancers over time, the same in every process.
fn seed(key: &Key) -> u64 {
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    hasher.finish()
}

/// The beginning of the round that `at` is in.
fn round(at: Timestamp) -> Timestamp {
    let length = i64::try_from(ROUND.as_millis()).unwrap_or(1);
    Timestamp(at.0 - at.0.rem_euclid(length))
}

fn wall() -> Timestamp {
    Timestamp(jiff::Timestamp::now().as_millisecond())
}
