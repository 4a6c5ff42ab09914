//! When a wanted address may go out: withdrawals leave at once, an announcement waits until the node can serve it.
//!
//! A service proxy writes its rules a fraction of a second after the speaker knows of a change; a route that is there
//! before draws traffic into nothing. What the gate takes as proof, best first:
//!
//! 1. `Local`: the Service's `healthCheckNodePort` answers 200. kube-proxy answers so when the rules are written.
//! 2. kube-proxy's metrics say that a sync which includes the change has ended. They tell when the last sync *ended* and
//!    when one was last *asked for*, and a change that comes during a sync is not in it; when the last sync *began* follows
//!    from its end and the time that syncs took between two looks. A sync proves a change when it began
//!    - after the change was seen here, and a little later ([`GateSettings::lag`]: kube-proxy has its own watch), or
//!    - after the last thing that was asked for, once kube-proxy has been asked for something because of the change, or
//!      has been asked for nothing in [`GateSettings::quiet`] since.
//! 3. Where neither is to be had: a fixed time has passed.
//!
//! A proxy that has spoken and fell silent is not one that cannot be asked: for a minute it is waited for.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::num::NonZeroU16;
use std::time::{Duration, Instant};

use daymark_model::Family;

use crate::reason::AwaitedEvidence;

/// How patient a gate is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GateSettings {
    /// How long an announcement waits where the proxy cannot be asked.
    pub delay: Duration,
    /// By how much kube-proxy's watch may be behind ours.
    pub lag: Duration,
    /// How long after a change kube-proxy must have been asked for nothing, to conclude that the change asks for nothing.
    pub quiet: Duration,
    /// How long a proxy that has spoken may be silent before it counts as one that cannot be asked.
    pub silence: Duration,
    /// How many health checks are asked for at one time; the others rely on the metrics.
    pub max_health_checks: usize,
}

impl Default for GateSettings {
    fn default() -> Self {
        Self {
            delay: Duration::from_secs(2),
            lag: Duration::from_millis(50),
            quiet: Duration::from_millis(250),
            silence: Duration::from_secs(60),
            max_health_checks: 16,
        }
    }
}

/// The least time between a wait's begin and the end of the fixed delay: enough to ask once.
const TIME_TO_ASK: Duration = Duration::from_millis(500);
/// What is asked for so soon after the computed begin of a sync was the cause of it: kube-proxy counts a little into a
/// sync's duration after it has noted its end, so that the begin is computed a little too early.
const BEGIN_ERROR: Duration = Duration::from_millis(3);
/// What is asked for during a sync is begun a second after that one; so a sync that ended longer ago than this, and than
/// a few syncs usually take, left nothing behind.
const SETTLED: Duration = Duration::from_millis(1500);
const USUAL_SYNCS: u32 = 4;

/// What was heard from the service proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Observation {
    /// The answer of a `healthCheckNodePort` on this node.
    HealthCheck {
        /// The port.
        port: NonZeroU16,
        /// When it was asked.
        asked: Instant,
        /// The HTTP status; `None` when nothing answers.
        status: Option<u16>,
    },
    /// kube-proxy's metrics; `None` for a family about which it does not say anything.
    ProxySync {
        /// When they were asked for.
        asked: Instant,
        /// The same, by the node's wall clock, since the Unix epoch.
        asked_at: Duration,
        /// About the proxier for IPv4.
        v4: Option<SyncState>,
        /// About the proxier for IPv6.
        v6: Option<SyncState>,
    },
}

/// What kube-proxy's metrics say about one proxier. Times are since the Unix epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SyncState {
    /// When a sync was last asked for; `None` = never.
    pub queued: Option<Duration>,
    /// When the last successful sync ended; `None` = there was none.
    pub synced: Option<Duration>,
    /// How many syncs there were.
    pub syncs: Option<u64>,
    /// How long all of them took together.
    pub syncing: Option<Duration>,
}

/// What the gate would like to know.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Probes {
    /// `healthCheckNodePort`s, on the node's InternalIP.
    pub health_checks: BTreeSet<NonZeroU16>,
    /// Since when the youngest of those that need kube-proxy's metrics waits; `None` = nobody needs them.
    pub proxy_sync_since: Option<Instant>,
}

/// What makes an address servable, for the gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Servable {
    /// When the change that made it servable was received.
    pub since: Instant,
    /// When it last ceased to be servable; a 200 soon after may still speak of that time.
    pub ceased: Option<Instant>,
    /// The Service's `healthCheckNodePort`, if it can be relied on: kube-proxy counts only ready endpoints there.
    pub health_check: Option<NonZeroU16>,
}

/// The addresses that wait, and what was heard.
#[derive(Debug)]
pub struct Gate {
    settings: GateSettings,
    waiting: BTreeMap<IpAddr, Waiting>,
    /// By the time at which to look again without having heard anything.
    deadlines: BTreeSet<(Instant, IpAddr)>,
    /// By the time at which the wait began.
    queue: BTreeSet<(Instant, IpAddr)>,
    /// Those of the queue that have a health check.
    check_queue: BTreeSet<(Instant, IpAddr)>,
    by_health_check: BTreeSet<(NonZeroU16, IpAddr)>,
    v4: Proxier,
    v6: Proxier,
}

#[derive(Debug)]
struct Waiting {
    servable: Servable,
    began: Instant,
    deadline: Instant,
    /// A 200 that was asked for before this proves nothing.
    distrust_until: Option<Instant>,
    health: HealthCheckSays,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum HealthCheckSays {
    Unasked,
    Nothing,
    No,
}

/// What was heard about the proxier of one family.
#[derive(Debug, Default)]
struct Proxier {
    heard: Option<Instant>,
    counted: Option<Counted>,
    /// The last successful sync did not begin before this, since the Unix epoch; `None` = unknown.
    begun: Option<Duration>,
}

/// The state at the last look.
#[derive(Debug, Clone, Copy)]
struct Counted {
    syncs: u64,
    syncing: Duration,
    /// The end of the last successful sync that is in `syncs`.
    synced: Option<Duration>,
    looked_at: Duration,
}

/// How long before a look things happened.
struct Look {
    asked: Instant,
    queued_ago: Option<Duration>,
    synced_ago: Duration,
    /// The last sync began no longer ago than this.
    begun_ago: Option<Duration>,
    /// How long ago a sync must have ended to have left nothing behind.
    settled: Duration,
}

impl Gate {
    /// A gate at which nobody waits.
    pub fn new(settings: GateSettings) -> Self {
        Self {
            settings,
            waiting: BTreeMap::new(),
            deadlines: BTreeSet::new(),
            queue: BTreeSet::new(),
            check_queue: BTreeSet::new(),
            by_health_check: BTreeSet::new(),
            v4: Proxier::default(),
            v6: Proxier::default(),
        }
    }

    /// `address` is wanted: it waits, unless it does already on the same grounds.
    pub fn wait(&mut self, now: Instant, address: IpAddr, servable: Servable) {
        if self.waiting.get(&address).is_some_and(|w| w.servable == servable) {
            return;
        }
        self.cancel(address);
        let deadline = (servable.since + self.settings.delay).max(now + TIME_TO_ASK);
        let distrust_until = servable.ceased.map(|at| at + self.settings.delay);
        self.deadlines.insert((deadline, address));
        self.queue.insert((now, address));
        if let Some(port) = servable.health_check {
            self.by_health_check.insert((port, address));
            self.check_queue.insert((now, address));
        }
        let health = HealthCheckSays::Unasked;
        self.waiting.insert(address, Waiting { servable, began: now, deadline, distrust_until, health });
    }

    /// `address` is no longer wanted, or it is out.
    pub fn cancel(&mut self, address: IpAddr) {
        let Some(waiting) = self.waiting.remove(&address) else { return };
        self.deadlines.remove(&(waiting.deadline, address));
        self.queue.remove(&(waiting.began, address));
        if let Some(port) = waiting.servable.health_check {
            self.by_health_check.remove(&(port, address));
            self.check_queue.remove(&(waiting.began, address));
        }
    }

    /// Takes in what was heard; addresses that may go out now leave the gate into `open`.
    pub fn observe(&mut self, observation: &Observation, open: &mut Vec<IpAddr>) {
        let first = open.len();
        match *observation {
            Observation::HealthCheck { port, asked, status } => self.health_check(port, asked, status, open),
            Observation::ProxySync { asked, asked_at, v4, v6 } => {
                let settings = self.settings;
                for (family, state) in [(Family::V4, v4), (Family::V6, v6)] {
                    let proxier = match family {
                        Family::V4 => &mut self.v4,
                        Family::V6 => &mut self.v6,
                    };
                    let Some(look) = proxier.look(asked, asked_at, state) else { continue };
                    let of_family =
                        self.waiting.iter().filter(|(address, _)| Family::of(**address) == family);
                    open.extend(
                        of_family.filter(|(_, w)| look.proves(w, &settings)).map(|(address, _)| *address),
                    );
                }
            }
        }
        for address in open.get(first..).unwrap_or_default() {
            self.cancel(*address);
        }
    }

    fn health_check(
        &mut self,
        port: NonZeroU16,
        asked: Instant,
        status: Option<u16>,
        open: &mut Vec<IpAddr>,
    ) {
        let lowest = IpAddr::from([0, 0, 0, 0]);
        let same = self.by_health_check.range((port, lowest)..).take_while(|(p, _)| *p == port);
        for (_, address) in same {
            let Some(waiting) = self.waiting.get_mut(address) else { continue };
            if asked < waiting.servable.since {
                continue;
            }
            match status {
                Some(200) if waiting.distrust_until.is_none_or(|until| asked >= until) => open.push(*address),
                Some(200) => {}
                Some(_) => {
                    waiting.health = HealthCheckSays::No;
                    waiting.distrust_until = None;
                }
                None => waiting.health = HealthCheckSays::Nothing,
            }
        }
    }

    /// Time has come to `now`; addresses that may go out now leave the gate into `open`.
    pub fn tick(&mut self, now: Instant, open: &mut Vec<IpAddr>) {
        while let Some((deadline, address)) = self.deadlines.first().copied() {
            if deadline > now {
                return;
            }
            match self.waited_for_longer(now, address) {
                None => {
                    self.cancel(address);
                    open.push(address);
                }
                Some(later) => {
                    self.deadlines.remove(&(deadline, address));
                    self.deadlines.insert((later, address));
                    if let Some(waiting) = self.waiting.get_mut(&address) {
                        waiting.deadline = later;
                    }
                }
            }
        }
    }

    /// Until when `address` goes on waiting although its delay is over, if there is somebody to wait for.
    fn waited_for_longer(&self, now: Instant, address: IpAddr) -> Option<Instant> {
        let waiting = self.waiting.get(&address)?;
        if waiting.health == HealthCheckSays::No {
            return Some(now + self.settings.silence);
        }
        let patience = self.proxier(address).heard? + self.settings.silence;
        (now < patience).then_some(patience)
    }

    /// When [`Gate::tick`] is to be called.
    pub fn next_deadline(&self) -> Option<Instant> {
        self.deadlines.first().map(|(deadline, _)| *deadline)
    }

    /// What to ask.
    pub fn probes(&self) -> Probes {
        let mut youngest = self.queue.iter().rev();
        let needs_metrics = youngest.find(|(_, address)| {
            self.waiting.get(address).is_some_and(|waiting| waiting.health != HealthCheckSays::No)
        });
        let checks = self.check_queue.iter().rev().filter_map(|(_, address)| {
            self.waiting.get(address).and_then(|waiting| waiting.servable.health_check)
        });
        Probes {
            health_checks: checks.take(self.settings.max_health_checks).collect(),
            proxy_sync_since: needs_metrics.map(|(began, _)| *began),
        }
    }

    /// What `address` waits for; `None` when it does not wait.
    pub fn awaits(&self, address: IpAddr) -> Option<AwaitedEvidence> {
        let waiting = self.waiting.get(&address)?;
        let can_ask_check =
            waiting.servable.health_check.is_some() && waiting.health != HealthCheckSays::Nothing;
        Some(if can_ask_check {
            AwaitedEvidence::HealthCheck
        } else if self.proxier(address).heard.is_some() {
            AwaitedEvidence::ProxySync
        } else {
            AwaitedEvidence::Delay
        })
    }

    /// How many addresses wait.
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether nobody waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    fn proxier(&self, address: IpAddr) -> &Proxier {
        match Family::of(address) {
            Family::V4 => &self.v4,
            Family::V6 => &self.v6,
        }
    }
}

impl Proxier {
    fn look(&mut self, asked: Instant, asked_at: Duration, state: Option<SyncState>) -> Option<Look> {
        let state = state?;
        self.heard = Some(asked);
        self.count(asked_at, &state);
        Some(Look {
            asked,
            queued_ago: state.queued.map(|at| asked_at.saturating_sub(at)),
            synced_ago: asked_at.saturating_sub(state.synced?),
            begun_ago: self.begun.map(|at| asked_at.saturating_sub(at)),
            settled: SETTLED + state.usual().unwrap_or_default() * USUAL_SYNCS,
        })
    }

    /// Learns when the last sync began: kube-proxy notes its end first and counts it a little later.
    fn count(&mut self, looked_at: Duration, state: &SyncState) {
        let (Some(syncs), Some(syncing)) = (state.syncs, state.syncing) else {
            (self.counted, self.begun) = (None, None);
            return;
        };
        let known = self.counted.filter(|known| known.syncs <= syncs);
        let synced = match known {
            Some(known) if known.syncs == syncs => {
                if state.synced != known.synced {
                    self.begun = None;
                }
                known.synced
            }
            Some(known) => {
                // A sync that failed is counted, and its end is not noted.
                if let Some(synced) = state.synced.filter(|_| state.synced != known.synced) {
                    let ended = synced.max(known.looked_at);
                    self.begun = Some(ended.saturating_sub(syncing.saturating_sub(known.syncing)));
                }
                state.synced
            }
            None => {
                // The first look at this kube-proxy: one sync is all there was, of several the last is unknown.
                self.begun = state.synced.filter(|_| syncs == 1).map(|at| at.saturating_sub(syncing));
                state.synced
            }
        };
        self.counted = Some(Counted { syncs, syncing, synced, looked_at });
    }
}

impl Look {
    fn proves(&self, waiting: &Waiting, settings: &GateSettings) -> bool {
        let Some(changed_ago) = self.asked.checked_duration_since(waiting.servable.since) else {
            return false;
        };
        if waiting.health == HealthCheckSays::No {
            return false;
        }
        if self.begun_ago.is_some_and(|begun| begun + settings.lag <= changed_ago) {
            return true;
        }
        if changed_ago < settings.lag {
            return false;
        }
        match self.queued_ago {
            Some(queued) => {
                let reacted = queued <= changed_ago + settings.lag;
                (reacted || changed_ago >= settings.quiet) && self.serves(queued)
            }
            None => changed_ago >= settings.quiet && self.synced_ago >= self.settled,
        }
    }

    /// Whether what was asked for `queued_ago` is in the rules.
    fn serves(&self, queued_ago: Duration) -> bool {
        let began_after = self.begun_ago.is_some_and(|begun| begun <= queued_ago + BEGIN_ERROR);
        began_after || (self.synced_ago <= queued_ago && self.synced_ago >= self.settled)
    }
}

impl SyncState {
    /// How long a sync takes on average.
    fn usual(&self) -> Option<Duration> {
        self.syncing?.checked_div(u32::try_from(self.syncs?).ok()?)
    }
}

#[cfg(test)]
mod tests;
