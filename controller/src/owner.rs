//! The one task that owns all state: updates in, writes out.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use daymark_kube::events::Recorder;
use daymark_kube::slim::Meta;
use daymark_kube::{CallError, Check, Health, Key, Update, status};
use daymark_model::{Claim, ServiceKey, Timestamp};
use daymark_pool::{
    Assigner, Input, ServiceView, Settings, Write, WriteAction, WriteId, WriteResult, Written,
};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::config::object::ClaimObject;
use crate::config::{Board, StatusWrite};
use crate::feed::{self, Identities, Signal};
use crate::metrics::{Metrics, name_of};
use crate::speakers::{self, Census};
use crate::writer::{ClaimExtras, Writer};
use crate::{NAME, news};

/// Updates taken in before the next look at what is to be written.
const BATCH: usize = 256;
/// How often counts for people are brought up to date, and the loop says that it lives.
const TICK: Duration = Duration::from_secs(1);
const ALIVE: Duration = Duration::from_secs(60);
/// How often Speakers without Node are looked for when nothing points to one.
const CENSUS_EVERY: Duration = Duration::from_secs(60);
/// How often it is looked whether the Lease was renewed, when there is no time left for a write.
const RENEWAL_WAIT: Duration = Duration::from_millis(100);

/// What a task that the owner started comes back with.
enum Done {
    Write { id: WriteId, action: &'static str, result: WriteResult, took: Duration },
    Status(Box<StatusWrite>, Result<Meta, CallError>),
    Census(Result<(), CallError>),
}

/// The owner of all state.
pub struct Owner {
    assigner: Assigner,
    board: Board,
    census: Census,
    census_due: Instant,
    census_running: bool,
    identities: Identities,
    extras: HashMap<IpAddr, ClaimExtras>,
    waiting_since: HashMap<ServiceKey, Instant>,
    writer: Writer,
    recorder: Recorder,
    metrics: Metrics,
    health: Health,
    tasks: JoinSet<Done>,
    /// Failures of each action since its last success.
    failures: HashMap<&'static str, u64>,
    synced: bool,
}

impl Owner {
    /// An owner that knows nothing yet.
    pub fn new(
        settings: Settings,
        writer: Writer,
        recorder: Recorder,
        metrics: Metrics,
        health: Health,
    ) -> Self {
        health.set("assigner", Check::Failing("waiting for the first lists".into()));
        Self {
            assigner: Assigner::new(settings),
            board: Board::default(),
            census: Census::default(),
            census_due: Instant::now(),
            census_running: false,
            identities: Identities::default(),
            extras: HashMap::new(),
            waiting_since: HashMap::new(),
            writer,
            recorder,
            metrics,
            health,
            tasks: JoinSet::new(),
            failures: HashMap::new(),
            synced: false,
        }
    }

    /// Runs until `stop`, or until the feed ends.
    pub async fn run(&mut self, mut feed: mpsc::Receiver<Signal>, stop: &CancellationToken) {
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut batch = Vec::with_capacity(BATCH);
        loop {
            let wake = self.next_deadline();
            tokio::select! {
                received = feed.recv_many(&mut batch, BATCH) => {
                    if received == 0 {
                        return;
                    }
                    for signal in batch.drain(..) {
                        self.take(signal);
                    }
                }
                Some(done) = self.tasks.join_next() => match done {
                    Ok(done) => self.ended(done),
                    Err(error) => warn!(%error, "a task of the owner ended badly"),
                },
                () = tokio::time::sleep_until(wake.into()) => {}
                _ = tick.tick() => self.show(),
                () = stop.cancelled() => return,
            }
            self.act();
        }
    }

    /// Waits for the writes in flight, and starts none.
    pub async fn drain(mut self) {
        while self.tasks.join_next().await.is_some() {}
    }

    fn take(&mut self, signal: Signal) {
        match signal {
            Signal::Services(update) => {
                self.stopwatch(&update);
                let input = self.identities.services(update);
                self.handle(input);
            }
            Signal::Namespaces(update) => self.handle(Some(feed::namespaces(update))),
            Signal::Claims(update) => {
                self.keep_extras(&update);
                let update = self.board.claims(update);
                let input = self.identities.claims(update);
                self.handle(input);
            }
            Signal::Pools(update) => {
                let gone = match &update {
                    Update::Delete(key) => Some(key.name.clone()),
                    Update::Reset(_) | Update::Apply(..) => None,
                };
                let update = self.board.pools(update);
                self.handle(Some(feed::pools(update)));
                if let Some(gone) = gone {
                    self.metrics.pool_gone(&gone);
                }
            }
            Signal::Profiles(update) => {
                let profiles = self.board.profiles(update);
                self.handle(Some(Input::ProfilesReset(profiles)));
            }
            Signal::Announcements(update) => self.board.announcements(update),
            Signal::Neighbors(update) => self.board.neighbors(update),
            Signal::Nodes(update) => {
                if !matches!(update, Update::Apply(..)) {
                    self.census_due = Instant::now();
                }
                self.census.nodes(update);
            }
            Signal::Speakers(update) => {
                if matches!(update, Update::Reset(_)) {
                    self.census_due = Instant::now();
                }
                self.census.speakers(update);
                for trouble in self.census.news() {
                    if let Some(uid) = self.identities.service(&trouble.service) {
                        news::warn(&self.recorder, uid, &trouble);
                    }
                }
            }
        }
    }

    fn handle(&mut self, input: Option<Input>) {
        if let Some(input) = input {
            self.assigner.handle(wall(), input);
        }
    }

    /// Remembers since when Services lack an address.
    fn stopwatch(&mut self, update: &Update<ServiceView>) {
        let now = Instant::now();
        let mut see = |view: &ServiceView| {
            if view.is_load_balancer && view.ingress.is_empty() {
                self.waiting_since.entry(view.key.clone()).or_insert(now);
            }
        };
        match update {
            Update::Reset(all) => all.values().for_each(see),
            Update::Apply(_, view) => see(view),
            Update::Delete(key) => {
                self.waiting_since.remove(&ServiceKey::from(key));
            }
        }
    }

    fn keep_extras(&mut self, update: &Update<ClaimObject>) {
        if matches!(update, Update::Reset(_)) {
            self.extras.clear();
        }
        let mut keep = |key: &Key, extras: Option<&ClaimExtras>| {
            let Some(address) = Claim::address_of(&key.name) else { return };
            match extras.filter(|extras| !extras.is_empty()) {
                Some(extras) => self.extras.insert(address, extras.clone()),
                None => self.extras.remove(&address),
            };
        };
        match update {
            Update::Reset(all) => all.iter().for_each(|(key, claim)| keep(key, Some(&claim.extras))),
            Update::Apply(key, claim) => keep(key, Some(&claim.extras)),
            Update::Delete(key) => keep(key, None),
        }
    }

    fn ended(&mut self, done: Done) {
        match done {
            Done::Write { id, action, result, took } => {
                self.metrics.write(action, &result, took);
                self.count_failure(action, &result);
                if let WriteResult::Done(Written::Service(view)) = &result
                    && !view.ingress.is_empty()
                    && let Some(since) = self.waiting_since.remove(&view.key)
                {
                    self.metrics.allocated(since.elapsed());
                }
                self.handle(Some(Input::WriteDone { id, result }));
            }
            Done::Status(write, result) => self.board.written(*write, result, Instant::now()),
            Done::Census(result) => {
                self.census_running = false;
                if let Err(error) = result {
                    warn!(%error, "Speakers whose Node is gone are not deleted");
                }
            }
        }
    }

    /// Ten thousand writes that fail for one cause are told in a few lines, and in `/readyz`.
    fn count_failure(&mut self, action: &'static str, result: &WriteResult) {
        let check = format!("write/{action}");
        let WriteResult::Failed { message, .. } = result else {
            if self.failures.remove(action).is_some() {
                self.health.clear(&check);
            }
            return;
        };
        let count = self.failures.entry(action).or_default();
        *count += 1;
        if count.is_power_of_two() {
            warn!(action, failures = *count, error = %message, "a write failed and will be tried again");
            self.health.set(&check, Check::Degraded(message.clone()));
        }
    }

    /// Starts whatever is to be done now.
    fn act(&mut self) {
        if !self.synced && self.assigner.is_synced() {
            self.synced = true;
            self.health.set("assigner", Check::Good);
            info!("all lists are there: assigning");
        }
        while let Some(event) = self.assigner.next_event() {
            info!(service = %event.service, reason = event.reason, "{}", event.text);
            news::publish(&self.recorder, event);
        }
        for report in self.assigner.take_pool_reports() {
            self.metrics.pool(&report);
            self.board.report(report);
        }
        if !self.writer.may_write() {
            return;
        }
        while let Some(write) = self.assigner.next_write(wall()) {
            self.send(write);
        }
        while let Some(write) = self.board.next_write(Instant::now(), jiff::Timestamp::now()) {
            let client = self.writer.client().clone();
            self.tasks.spawn(async move {
                let StatusWrite { kind, key, meta, fields, .. } = write.clone();
                let result = status::patch(&client, NAME, &kind, &key, &meta, fields).await;
                Done::Status(Box::new(write), result)
            });
        }
        if !self.census_running && Instant::now() >= self.census_due {
            self.census_due = Instant::now() + CENSUS_EVERY;
            let orphans = self.census.orphans();
            if !orphans.is_empty() {
                self.census_running = true;
                let client = self.writer.client().clone();
                self.tasks.spawn(async move { Done::Census(speakers::delete(&client, orphans).await) });
            }
        }
    }

    fn send(&mut self, Write { id, action }: Write) {
        let extras = match &action {
            WriteAction::ReplaceClaim { claim, .. } => self.extras.get(&claim.address).cloned(),
            WriteAction::CreateClaim(_)
            | WriteAction::DeleteClaim { .. }
            | WriteAction::PatchServiceStatus { .. } => None,
        };
        let extras = extras.unwrap_or_default();
        let writer = self.writer.clone();
        self.tasks.spawn(async move {
            let (name, sent) = (name_of(&action), Instant::now());
            let result = writer.execute(action, extras).await;
            Done::Write { id, action: name, result, took: sent.elapsed() }
        });
    }

    fn next_deadline(&self) -> Instant {
        let now = Instant::now();
        if !self.writer.may_write() {
            return now + RENEWAL_WAIT;
        }
        let assigner = self.assigner.next_deadline().map(|at| now + at.since(wall()));
        let board = self.board.next_deadline(now);
        let census = (!self.census_running).then_some(self.census_due);
        [assigner, board, census].into_iter().flatten().min().unwrap_or(now + TICK)
    }

    /// Brings what people see up to date.
    fn show(&mut self) {
        self.health.beat("owner", ALIVE);
        self.metrics.summary(&self.assigner.summary());
    }
}

fn wall() -> Timestamp {
    Timestamp(jiff::Timestamp::now().as_millisecond())
}
