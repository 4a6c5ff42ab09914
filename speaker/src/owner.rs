//! The task that owns the index: inputs in, and what follows from them out to the drivers.
//!
//! It is the only one that decides. Sessions, probes and the status writer get what concerns them over channels, and
//! what they see comes back the same way.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use daymark_announce::{GateSettings, ProxyStanding};
use daymark_kube::{Check, Health, Update};
use daymark_model::{Family, Neighbor, NeighborName, NodeName};
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot, watch};
use tracing::{info, warn};

use crate::bgp::{BgpHandle, NeighborConfig};
use crate::identity;
use crate::index::{self, Index, Output};
use crate::introspection::{About, Question};
use crate::mesh_key;
use crate::metrics::Metrics;
use crate::probe::{Answer, Wanted};
use crate::segments::{self, News, Segments};
use crate::sessions::{self, Routers, Steady};
use crate::status::{Problem, Report};
use crate::sys::memory;
use crate::wall_clock;
use crate::watches::{Input, Rejected, SpeakerWord};

/// How many inputs are taken in one turn: sessions are told once per turn.
const TURN: usize = 256;
/// The least time between two looks at everything for the status and the gauges.
const REPORT_INTERVAL: Duration = Duration::from_secs(1);
/// How long after a list the memory that it took is given back.
const TIDY_DELAY: Duration = Duration::from_secs(5);
/// The loop says that it lives at least so often.
const HEARTBEAT: Duration = Duration::from_secs(20);
const HEARTBEAT_LIMIT: Duration = Duration::from_secs(60);
/// A node that has heard nothing from the API server for so long decides by what may be over.
const STALE: Duration = Duration::from_secs(60);

/// What the owner talks to.
pub struct Wires {
    /// What changes.
    pub inputs: mpsc::Receiver<Input>,
    /// What the prober hears.
    pub answers: mpsc::Receiver<Answer>,
    /// What the prober is to ask.
    pub wanted: watch::Sender<Wanted>,
    /// What the status writer is to write.
    pub reports: watch::Sender<Option<Report>>,
    /// The sessions.
    pub bgp: BgpHandle,
    /// Where the neighbors are, for those that speak of them.
    pub routers: watch::Sender<Routers>,
    /// Layer 2.
    pub segments: Segments,
}

/// The owner of the speaker's state.
pub struct Owner {
    node: NodeName,
    index: Index,
    wires: Wires,
    metrics: Metrics,
    health: Health,
    rejected: Rejected,
    word: SpeakerWord,
    deletions: u64,
    /// Neighbors without a session, because something is missing.
    unusable: Vec<Problem>,
    known_neighbors: BTreeSet<NeighborName>,
    steady: Steady,
    report_due: Option<Instant>,
    reported_at: Option<Instant>,
    tidy_at: Option<Instant>,
}

impl Owner {
    /// The owner of a state in which nothing is known.
    pub fn new(
        node: NodeName,
        gate: GateSettings,
        drain_wait: Duration,
        wires: Wires,
        metrics: Metrics,
        health: Health,
    ) -> Self {
        health.set(SYNC_CHECK, Check::Failing("nothing was heard yet".to_owned()));
        Self {
            index: Index::new(node.clone(), gate).with_drain_wait(drain_wait),
            node,
            wires,
            metrics,
            health,
            rejected: Rejected::default(),
            word: SpeakerWord::default(),
            deletions: 0,
            unusable: Vec::new(),
            known_neighbors: BTreeSet::new(),
            steady: Steady::default(),
            report_due: None,
            reported_at: None,
            tidy_at: None,
        }
    }

    /// Runs until `end`, or until nobody is left who could say anything.
    pub async fn run_until(&mut self, end: impl Future) {
        tokio::pin!(end);
        let mut status = self.wires.bgp.status();
        let mut inputs = Vec::with_capacity(TURN);
        loop {
            self.health.beat("owner", HEARTBEAT_LIMIT);
            let mut out = Output::default();
            let wake = self.wake();
            tokio::select! {
                biased;
                _ = &mut end => return,
                Some(answer) = self.wires.answers.recv() => self.answered(answer, &mut out),
                taken = self.wires.inputs.recv_many(&mut inputs, TURN) => {
                    if taken == 0 {
                        return;
                    }
                    for input in inputs.drain(..) {
                        self.take(input, &mut out);
                    }
                }
                Ok(()) = status.changed() => self.report_soon(),
                Some(news) = self.wires.segments.heard() => self.segments_changed(news),
                () = tokio::time::sleep_until(wake.into()) => {}
            }
            let now = Instant::now();
            let stale = self.health.cut_off_for() > STALE;
            if stale != self.index.api_stale() {
                self.index.handle(now, index::Update::ApiStale(stale), &mut out);
            }
            if self.index.next_deadline().is_some_and(|at| at <= now) {
                self.index.tick(now, &mut out);
            }
            self.act(out);
            if self.report_due.is_some_and(|at| at <= now) {
                self.report(now);
            }
            if self.tidy_at.take_if(|at| *at <= now).is_some() {
                tokio::task::spawn_blocking(memory::trim);
            }
        }
    }

    /// Reports for the last time, with the sessions as they were left.
    pub fn last_report(&mut self) {
        self.report(Instant::now());
    }

    /// How many addresses are announced.
    pub fn announced(&self) -> usize {
        self.index.announced()
    }

    /// How many addresses are announced by routes.
    pub fn routed(&self) -> usize {
        self.index.routed()
    }

    /// Leaves the addresses that the node answers ARP and NDP for to others; ready when that is done, at the latest after
    /// about `wait`.
    pub fn hand_over(&self, wait: Duration) -> impl Future<Output = ()> + Send + use<> {
        self.wires.segments.shutdown(wait)
    }

    fn wake(&self) -> Instant {
        let heartbeat = Instant::now() + HEARTBEAT;
        let wakes = [self.index.next_deadline(), self.report_due, self.tidy_at];
        wakes.into_iter().flatten().fold(heartbeat, Instant::min)
    }

    fn take(&mut self, input: Input, out: &mut Output) {
        match input {
            Input::Index { at, update } => self.turn(at, update, out),
            Input::Configured { at, change } => {
                let update = self.rejected.sift(change);
                self.turn(at, update, out);
            }
            Input::Speaker { at, update } => {
                let update = self.speaker_changed(update);
                self.turn(at, update, out);
            }
            Input::Network(network) => {
                let known = index::Network {
                    addresses: network.own_addresses(),
                    next_hops: network.next_hops.clone(),
                    interfaces: network.interfaces(),
                };
                self.wires.bgp.network(network);
                self.turn(Instant::now(), index::Update::Network(known), out);
            }
            Input::MeshKey(update) => {
                let (standing, keys) = mesh_key::settle(update);
                self.wires.segments.set_keys(keys);
                self.turn(Instant::now(), index::Update::MeshKey(standing), out);
            }
            Input::Asked(question) => self.tell(question),
        }
    }

    fn answered(&mut self, answer: Answer, out: &mut Output) {
        let update = match answer {
            Answer::Evidence(observation) => index::Update::Proxy(observation),
            Answer::ProxyHealth { asked, status } => index::Update::ProxyHealth { asked, status },
        };
        self.turn(Instant::now(), update, out);
    }

    /// One update through the index. What it says about routes goes out at once, with the time of its cause.
    fn turn(&mut self, at: Instant, update: index::Update, out: &mut Output) {
        if is_list(&update) {
            self.tidy_at = Some(at + TIDY_DELAY);
        }
        let was_synced = self.index.is_synced();
        self.index.handle(at, update, out);
        if was_synced {
            self.send_routes(at, out);
            self.wires.segments.act(&self.index, out);
        } else if !self.index.is_synced() {
            let missing = self.index.missing().join(", ");
            self.health.set(SYNC_CHECK, Check::Failing(format!("waits for {missing}")));
        }
    }

    fn send_routes(&self, since: Instant, out: &mut Output) {
        for (neighbor, changes) in std::mem::take(&mut out.routes) {
            self.wires.bgp.update(neighbor, changes, since);
        }
    }

    fn speaker_changed(&mut self, update: Update<SpeakerWord>) -> index::Update {
        let (word, update) = match update {
            Update::Reset(all) => {
                let word = all.values().next().cloned().unwrap_or_default();
                (word, Update::Reset(all.into_iter().map(|(key, word)| (key, word.settings)).collect()))
            }
            Update::Apply(key, word) => {
                let settings = word.settings;
                (word, Update::Apply(key, settings))
            }
            Update::Delete(key) => {
                self.deletions = self.deletions.saturating_add(1);
                (SpeakerWord::default(), Update::Delete(key))
            }
        };
        if self.word != word {
            self.word = word;
            self.report_soon();
        }
        index::Update::Speaker(update)
    }

    fn act(&mut self, mut out: Output) {
        if let Some(neighbors) = out.neighbors.take() {
            self.configure(&neighbors);
        }
        self.send_routes(Instant::now(), &mut out);
        self.wires.segments.act(&self.index, &mut out);
        if out.synced {
            self.synced();
        }
        if let Some(probes) = out.probes {
            let host = self.index.facts().and_then(|facts| facts.internal.first().copied());
            self.wires.wanted.send_replace(Wanted { host, probes });
        }
        for step in out.leaving {
            info!(node = %self.node, "{step}");
        }
        for wait in out.waits {
            self.metrics.gate_wait.observe(wait.as_secs_f64());
        }
        if out.report {
            self.report_soon();
        }
    }

    fn synced(&mut self) {
        self.wires.bgp.synced();
        self.health.set(SYNC_CHECK, Check::Good);
        self.metrics.synced_at.set(wall_clock::since_epoch().as_secs_f64());
        info!(node = %self.node, "all caches are complete: announcing");
    }

    /// Tells the driver which sessions to hold. A neighbor toward which the node has no AS gets none.
    fn configure(&mut self, neighbors: &[Neighbor]) {
        let settings = self.index.settings();
        let nothing = BTreeSet::new();
        let internal = self.index.facts().map_or(&nothing, |facts| &facts.internal);
        let mut usable = Vec::new();
        let mut unusable = Vec::new();
        for neighbor in neighbors {
            match identity::local_asn(&self.node, settings, neighbor) {
                Ok(asn) => {
                    let router_id = identity::router_id(&self.node, settings, neighbor, internal);
                    usable.push(NeighborConfig::new(neighbor, asn, router_id));
                }
                Err(error) => {
                    let problem = Problem::new(format!("BgpNeighbor/{}", neighbor.name), &error);
                    if !self.unusable.contains(&problem) {
                        warn!(neighbor = %neighbor.name, reason = problem.reason, "no session: {error}");
                    }
                    unusable.push(problem);
                }
            }
        }
        let names: BTreeSet<NeighborName> = usable.iter().map(|config| config.name.clone()).collect();
        for gone in self.known_neighbors.difference(&names) {
            self.metrics.forget_neighbor(gone.as_str());
        }
        self.known_neighbors = names;
        self.unusable = unusable;
        self.wires.routers.send_replace(Routers::new(&usable));
        self.wires.bgp.configure(usable);
    }

    fn segments_changed(&mut self, news: News) {
        self.wires.segments.take(news);
        self.report_soon();
    }

    fn report_soon(&mut self) {
        let now = Instant::now();
        let earliest = self.reported_at.map_or(now, |at| at + REPORT_INTERVAL);
        self.report_due.get_or_insert(earliest.max(now));
    }

    fn report(&mut self, now: Instant) {
        (self.report_due, self.reported_at) = (None, Some(now));
        let status = self.wires.bgp.status();
        let status = status.borrow();
        self.count(&status.neighbors);
        let mut problems = self.unusable.clone();
        let routers = self.wires.routers.borrow();
        problems.extend(sessions::problems(&status, &routers));
        problems.extend(self.wires.segments.problems(&self.index));
        problems.extend(self.index.problems());
        let report = Report {
            generation: self.word.generation,
            deletions: self.deletions,
            sessions: self.steady.reports(&status, &routers),
            owned: self.wires.segments.owned().clone(),
            facts: self.index.node().clone(),
            spec_problems: self.word.problems.clone(),
            problems,
        };
        self.wires.reports.send_if_modified(|known| {
            let changed = known.as_ref() != Some(&report);
            if changed {
                *known = Some(report);
            }
            changed
        });
    }

    fn count(&self, neighbors: &BTreeMap<NeighborName, crate::bgp::NeighborStatus>) {
        let metrics = &self.metrics;
        for (name, status) in neighbors.iter().filter(|(name, _)| self.known_neighbors.contains(*name)) {
            metrics.session(
                name.as_str(),
                status.state == daymark_bgp::SessionState::Established,
                status.flaps,
            );
            for (family, counts) in [(Family::V4, status.ipv4), (Family::V6, status.ipv6)] {
                metrics.routes_sent(name.as_str(), family, counts.sent);
            }
        }
        metrics.gate_waiting.set(i64::try_from(self.index.waiting()).unwrap_or(i64::MAX));
        metrics.refused(&self.index.refusals());
        metrics.proxy_demoted.set((self.index.node().proxy == ProxyStanding::Demoted).into());
    }

    fn tell(&self, question: Question) {
        let driver = self.wires.segments.asking();
        let answer = match question.about {
            About::Services { after, limit } => {
                let services = listing(&self.index.list(after.as_ref(), limit));
                return answer_later(question.answer, segments::with_owners(driver, services));
            }
            About::Service(key) => {
                let service = self.index.service(&key).map_or(Value::Null, |service| json!(service));
                return answer_later(question.answer, segments::with_owners(driver, service));
            }
            About::L2Addresses { after, limit } => {
                return answer_later(question.answer, segments::page(driver, after, limit));
            }
            About::L2 => self.wires.segments.listing(),
            About::Sessions => {
                sessions::listing(&self.wires.bgp.status().borrow(), &self.wires.routers.borrow())
            }
            About::Node => self.node_listing(),
        };
        // Who asked may have gone.
        let _ = question.answer.send(answer);
    }

    fn node_listing(&self) -> Value {
        let problem = |p: &Problem| json!({"subject": p.subject, "reason": p.reason, "message": p.message});
        let mut problems: Vec<Value> = self.unusable.iter().map(problem).collect();
        problems.extend(self.wires.segments.problems(&self.index).iter().map(problem));
        problems.extend(self.index.problems().iter().map(problem));
        problems.extend(self.word.problems.iter().map(problem));
        json!({
            "facts": self.index.node(),
            "waitsFor": self.index.missing(),
            "waitingAtTheGate": self.index.waiting(),
            "refusals": self.index.refusals(),
            "problems": problems,
            "notInUse": self.rejected.problems().map(problem).collect::<Vec<_>>(),
        })
    }
}

/// Answers with what has to be asked of the driver first: the owner does not wait for that.
fn answer_later(to: oneshot::Sender<Value>, answer: impl Future<Output = Value> + Send + 'static) {
    tokio::spawn(async move {
        // Who asked may have gone.
        let _ = to.send(answer.await);
    });
}

/// Whether it brings all objects of a kind that has many.
fn is_list(update: &index::Update) -> bool {
    matches!(
        update,
        index::Update::Services(Update::Reset(_)) | index::Update::EndpointSlices(Update::Reset(_))
    )
}

const SYNC_CHECK: &str = "announcing";

/// A page of Services, with the key behind which the next one begins.
fn listing(page: &[index::ServiceListing]) -> Value {
    json!({"services": page, "after": page.last().map(|last| last.service.as_str())})
}
