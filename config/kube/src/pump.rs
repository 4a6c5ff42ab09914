//! One watch per kind: objects in, [`Update`]s out, into the channel of the task that owns the index.
//!
//! Every list is handed on as a whole ([`Update::Reset`]), so that what vanished while nobody watched is found. A kind that
//! cannot be listed (not installed, forbidden, a dead conversion webhook) is reported by name with the remedy, asked for
//! again with growing delay, and counts as empty where it is optional. An object that cannot be read is named in log, metric
//! and `/readyz`, and skipped.

use std::collections::BTreeMap;
use std::marker::PhantomData;
use std::time::{Duration, Instant};

use backoff::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use kube::Client;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use tokio::sync::mpsc;

use crate::health::{Check, Health};
use crate::list_watch::{Change, Failure, Freshness, Read, Scope};
use crate::object::{Key, Kind, Object, Unreadable};

/// What a pump tells of its kind; `T` is what the owner keeps of an object.
#[derive(Debug, Clone, PartialEq)]
pub enum Update<T> {
    /// This is all there is; whatever else was known is gone.
    Reset(BTreeMap<Key, T>),
    /// This one is new or changed.
    Apply(Key, T),
    /// This one is gone.
    Delete(Key),
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct KindLabel {
    kind: String,
}

/// What all pumps of a process have in common; cheap to clone.
#[derive(Clone)]
pub struct PumpContext {
    client: Client,
    health: Health,
    metrics: PumpMetrics,
}

#[derive(Clone, Default)]
struct PumpMetrics {
    synced: Family<KindLabel, Gauge>,
    unreadable: Family<KindLabel, Gauge>,
    events: Family<KindLabel, Counter>,
    failures: Family<KindLabel, Counter>,
    last_heard: Family<KindLabel, Gauge>,
}

impl PumpContext {
    /// Pumps that use `client`, report to `health` and count in `registry`.
    pub fn new(client: Client, health: Health, registry: &mut Registry) -> Self {
        let metrics = PumpMetrics::default();
        let m = metrics.clone();
        registry.register("daymark_watch_synced", "1 when the kind was listed and is watched", m.synced);
        registry.register(
            "daymark_unreadable_objects",
            "Objects that do not fit their type and are skipped",
            m.unreadable,
        );
        registry.register("daymark_watch_events", "Changes received", m.events);
        registry.register("daymark_watch_failures", "Lists and watches that failed", m.failures);
        registry.register(
            "daymark_watch_last_heard_timestamp_seconds",
            "When the API server last said something about the kind",
            m.last_heard,
        );
        Self { client, health, metrics }
    }
}

/// What an absent kind means to the daemon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Presence {
    Required,
    Optional,
}

/// The owner of the channel is gone: nobody listens any more.
struct Closed;

/// A watch of one kind, not yet running.
pub struct Pump<K> {
    context: PumpContext,
    scope: Scope,
    presence: Presence,
    kind: PhantomData<fn() -> K>,
}

impl<K: Object> Pump<K> {
    /// A watch of all objects of the kind, from the server's cache, without which the daemon is not ready.
    pub fn new(context: &PumpContext) -> Self {
        let kind = K::kind();
        context.health.set(&check_name(&kind), Check::Failing("not listed yet".into()));
        let scope = Scope { kind, namespace: None, fields: None, labels: None, freshness: Freshness::Any };
        Self { context: context.clone(), scope, presence: Presence::Required, kind: PhantomData }
    }

    /// The daemon works without it: while it is absent it counts as empty.
    pub fn optional(mut self) -> Self {
        self.presence = Presence::Optional;
        self
    }

    /// Lists from etcd, not from a cache that may lag: for a new leader.
    pub fn most_recent(mut self) -> Self {
        self.scope.freshness = Freshness::MostRecent;
        self
    }

    /// Only one namespace.
    pub fn namespaced(mut self, namespace: &str) -> Self {
        self.scope.namespace = Some(namespace.to_owned());
        self
    }

    /// Only what the field selector allows, as `metadata.name=x`.
    pub fn fields(mut self, selector: &str) -> Self {
        self.scope.fields = Some(selector.to_owned());
        self
    }

    /// Only what the label selector allows.
    pub fn labels(mut self, selector: &str) -> Self {
        self.scope.labels = Some(selector.to_owned());
        self
    }

    /// Runs until the receiver is gone. `distill` makes of an object what the owner keeps; `None` counts as deleted.
    /// `wrap` makes of an update what the owner's channel carries.
    pub async fn run<T: Send + 'static, M: Send + 'static>(
        self,
        distill: impl Fn(K) -> Option<T> + Send + Sync + 'static,
        wrap: impl Fn(Update<T>) -> M + Send + Sync + 'static,
        to: mpsc::Sender<M>,
    ) {
        self.run_with_unreadable(distill, |_| None, wrap, to).await;
    }

    /// As [`Pump::run`]; `salvage` makes something of an object that cannot be read.
    pub async fn run_with_unreadable<T: Send + 'static, M: Send + 'static>(
        self,
        distill: impl Fn(K) -> Option<T> + Send + Sync + 'static,
        salvage: impl Fn(&Unreadable) -> Option<T> + Send + Sync + 'static,
        wrap: impl Fn(Update<T>) -> M + Send + Sync + 'static,
        to: mpsc::Sender<M>,
    ) {
        let reporter = Reporter::new(&self.context, &self.scope.kind, self.presence);
        let outlet = Outlet {
            distill: Box::new(move |read: Read<K>| match read {
                Ok(object) => distill(object),
                Err(unreadable) => salvage(&unreadable),
            }),
            send: Box::new(wrap),
            to,
        };
        let mut driver = Driver {
            client: self.context.client,
            scope: self.scope,
            presence: self.presence,
            reporter,
            outlet,
            state: State::Unlisted,
            pause: Pause::default(),
            listed_at: None,
            out_of_reach: false,
        };
        while driver.step().await.is_ok() {}
    }
}

fn check_name(kind: &Kind) -> String {
    format!("watch/{kind}")
}

/// From what was read to what the owner gets.
struct Outlet<K, T, M> {
    distill: Box<dyn Fn(Read<K>) -> Option<T> + Send + Sync>,
    send: Box<dyn Fn(Update<T>) -> M + Send + Sync>,
    to: mpsc::Sender<M>,
}

impl<K, T, M> Outlet<K, T, M> {
    async fn send(&self, update: Update<T>) -> Result<(), Closed> {
        self.to.send((self.send)(update)).await.map_err(|_| Closed)
    }
}

/// Where a pump stands.
enum State {
    /// Nothing was listed yet.
    Unlisted,
    /// The kind is absent, and the owner was told that there is nothing.
    Absent,
    /// Listed up to this resource version; a watch goes on from here.
    Listed(String),
    /// Listed once, up to this version, but the history is gone: list again.
    Stale(String),
}

struct Driver<K, T, M> {
    client: Client,
    scope: Scope,
    presence: Presence,
    reporter: Reporter,
    outlet: Outlet<K, T, M>,
    state: State,
    pause: Pause,
    listed_at: Option<Instant>,
    /// The last attempt got no answer at all.
    out_of_reach: bool,
}

impl<K: Object, T: Send, M: Send> Driver<K, T, M> {
    async fn step(&mut self) -> Result<(), Closed> {
        match &self.state {
            State::Unlisted | State::Absent => self.list(None).await,
            State::Stale(version) => self.list(Some(version.clone())).await,
            State::Listed(version) => self.watch(version.clone()).await,
        }
    }

    async fn list(&mut self, known: Option<String>) -> Result<(), Closed> {
        let mut all = BTreeMap::new();
        let mut unreadable = BTreeMap::new();
        let mut objects = 0_usize;
        let distill = &self.outlet.distill;
        let each = |read: Read<K>| {
            objects += 1;
            let key = key_of(&read);
            if let Err(Unreadable { error, .. }) = &read {
                unreadable.insert(key.clone(), error.clone());
            }
            if let Some(kept) = distill(read) {
                all.insert(key, kept);
            }
        };
        let listed = tokio::select! {
            listed = self.scope.list::<K>(&self.client, known.as_deref(), each) => listed,
            () = self.outlet.to.closed() => return Err(Closed),
        };
        match listed {
            Ok(version) => {
                self.reporter.listed(objects, unreadable);
                self.listed_at = Some(Instant::now());
                self.out_of_reach = false;
                self.state = State::Listed(version);
                self.outlet.send(Update::Reset(all)).await
            }
            Err(failure) => {
                let remedy = Remedy::of(&self.scope.kind, &failure);
                self.reporter.failed(&failure, remedy.as_ref());
                let optional = self.presence == Presence::Optional;
                if optional && remedy.is_some() && matches!(self.state, State::Unlisted) {
                    self.state = State::Absent;
                    self.outlet.send(Update::Reset(BTreeMap::new())).await?;
                }
                // A server that was restored from a backup never reaches the version that we know.
                if failure.code() == Some(504) && matches!(self.state, State::Stale(_)) {
                    self.state = State::Unlisted;
                }
                self.wait(&failure, remedy.is_some()).await
            }
        }
    }

    async fn watch(&mut self, version: String) -> Result<(), Closed> {
        let started = Instant::now();
        let mut version = version;
        let ended = self.follow(&mut version).await;
        let lived = started.elapsed() > Pause::CALM;
        if lived {
            self.pause = Pause::default();
        }
        let failure = match ended {
            Ended::Closed => return Err(Closed),
            Ended::InOrder => {
                self.state = State::Listed(version);
                return if lived { Ok(()) } else { self.sleep(false).await };
            }
            Ended::Failed(failure) => failure,
        };
        let remedy = Remedy::of(&self.scope.kind, &failure);
        self.reporter.failed(&failure, remedy.as_ref());
        self.state = match &failure {
            Failure::Expired => State::Stale(version),
            // A definition that was removed and made again starts a new history.
            Failure::Call(_) if failure.code() == Some(404) => State::Stale(version),
            Failure::Call(_) | Failure::Garbled(_) => State::Listed(version),
        };
        let fresh = self.listed_at.is_some_and(|at| at.elapsed() < Pause::CALM);
        if matches!(failure, Failure::Expired) && !fresh {
            return Ok(());
        }
        self.wait(&failure, remedy.is_some()).await
    }

    async fn follow(&mut self, version: &mut String) -> Ended {
        let mut watch = match self.scope.watch(&self.client, version).await {
            Ok(watch) => watch,
            Err(failure) => return Ended::Failed(failure),
        };
        let _open = self.reporter.watching();
        if std::mem::take(&mut self.out_of_reach) {
            self.pause = Pause::default();
        }
        loop {
            let next = tokio::select! {
                next = watch.next::<K>() => next,
                () = self.outlet.to.closed() => return Ended::Closed,
            };
            let (change, at) = match next {
                Ok(Some(change)) => change,
                Ok(None) => return Ended::InOrder,
                Err(failure) => return Ended::Failed(failure),
            };
            self.reporter.heard(&change);
            let update = match change {
                Change::Bookmark => None,
                Change::Deleted(key) => Some(Update::Delete(key)),
                Change::Applied(read) => {
                    let key = key_of(&read);
                    Some(match (self.outlet.distill)(read) {
                        Some(kept) => Update::Apply(key, kept),
                        None => Update::Delete(key),
                    })
                }
            };
            if let Some(update) = update
                && self.outlet.send(update).await.is_err()
            {
                return Ended::Closed;
            }
            if !at.is_empty() {
                *version = at;
            }
        }
    }

    /// Waits before the next attempt, longer each time; a server that answers again, whatever it says, is asked at the
    /// pace of a first failure.
    async fn wait(&mut self, failure: &Failure, absent: bool) -> Result<(), Closed> {
        let was_out_of_reach = std::mem::replace(&mut self.out_of_reach, failure.code().is_none());
        if was_out_of_reach && !self.out_of_reach {
            self.pause = Pause::default();
        }
        self.sleep(absent).await
    }

    async fn sleep(&mut self, absent: bool) -> Result<(), Closed> {
        let delay = self.pause.next(absent);
        tokio::select! {
            () = tokio::time::sleep(delay) => Ok(()),
            () = self.outlet.to.closed() => Err(Closed),
        }
    }
}

fn key_of<K: Object>(read: &Read<K>) -> Key {
    match read {
        Ok(object) => object.key(),
        Err(unreadable) => unreadable.key.clone(),
    }
}

/// How a watch ended.
enum Ended {
    Closed,
    InOrder,
    Failed(Failure),
}

/// Growing delays with jitter. A server that comes back is asked within 3 s, a kind that was absent within 12 s.
struct Pause {
    delays: ExponentialBackoff,
    longest: ExponentialBackoff,
}

impl Default for Pause {
    fn default() -> Self {
        let growing = |to| {
            ExponentialBuilder::default()
                .with_min_delay(Duration::from_millis(250))
                .with_max_delay(Duration::from_secs(to))
                .with_jitter()
                .without_max_times()
                .build()
        };
        Self { delays: growing(3), longest: growing(12) }
    }
}

impl Pause {
    /// A watch that lived for so long counts as a success.
    const CALM: Duration = Duration::from_secs(10);

    fn next(&mut self, absent: bool) -> Duration {
        let delays = if absent { &mut self.longest } else { &mut self.delays };
        delays.next().unwrap_or(Duration::from_secs(5))
    }
}

mod report;
use report::{Remedy, Reporter};

#[cfg(test)]
mod tests;
