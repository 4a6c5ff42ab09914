//! Whose turn it is: a work queue of keys that are never worked on twice at once.
//!
//! A key is marked with what is to be looked at and when; [`Queue::next`] gives out keys that are due, the more urgent
//! class first and the longest due first within it. A full pass does what one over the targets would have done by then; what is
//! due later stays where it is. What is marked while its key is worked on is done after.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use daymark_model::Timestamp;

use crate::cloud::Depth;
use crate::error::ErrorClass;
use crate::plan::StepClass;
use crate::retry::Backoff;

/// Every how many passes the longest due key has its turn, whatever its urgency.
const FAIR: u32 = 20;

/// Why a key is marked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// What is wished for changed: a failure before says little about the new wish, so it is tried at once.
    Changed,
    /// Anything else; a pause after a failure is kept.
    Routine,
}

/// Keys that want a pass.
#[derive(Debug)]
pub struct Queue<K> {
    /// How many passes may run side by side.
    limit: usize,
    keys: BTreeMap<K, State>,
    /// Keys that nothing works on, by when they are due.
    later: BTreeSet<(Timestamp, K)>,
    /// Those of them that were due when somebody asked last.
    ready: BTreeMap<StepClass, BTreeSet<(Timestamp, K)>>,
    in_flight: usize,
    turns: u32,
}

/// What is known of a key.
#[derive(Debug, Default)]
struct State {
    full: Option<Timestamp>,
    targets: Option<Timestamp>,
    urgency: Option<StepClass>,
    place: Option<Place>,
    running: Option<Running>,
    backoff: Backoff,
}

#[derive(Debug, Clone, Copy)]
enum Place {
    Later(Timestamp),
    Ready(StepClass, Timestamp),
}

#[derive(Debug, Clone, Copy)]
struct Running {
    depth: Depth,
    urgency: StepClass,
    changed: bool,
}

impl State {
    fn mark(&mut self, depth: Depth, at: Timestamp, urgency: StepClass) {
        let wish = match depth {
            Depth::Full => &mut self.full,
            Depth::Targets => &mut self.targets,
        };
        *wish = Some(wish.map_or(at, |before| before.min(at)));
        self.urgency = Some(self.urgency.map_or(urgency, |before| before.min(urgency)));
    }

    /// When it is to be worked on; `None` where nothing is wished or something works on it.
    fn due(&self) -> Option<Timestamp> {
        if self.running.is_some() {
            return None;
        }
        let wished = self.full.into_iter().chain(self.targets).min()?;
        Some(wished.max(self.backoff.not_before()))
    }

    /// Takes out what is to be done at `now`.
    fn begin(&mut self, now: Timestamp) -> Running {
        let urgency = self.urgency.unwrap_or(StepClass::Cosmetic);
        let full = self.full.is_some_and(|at| at <= now);
        self.full.take_if(|at| *at <= now);
        self.targets.take_if(|at| *at <= now);
        // What is left is a periodic look: nobody waits for it.
        self.urgency = self.full.or(self.targets).map(|_| StepClass::Cosmetic);
        let depth = if full { Depth::Full } else { Depth::Targets };
        let running = Running { depth, urgency, changed: false };
        self.running = Some(running);
        running
    }
}

impl<K: Ord + Clone> Queue<K> {
    /// An empty queue for `limit` passes side by side, at least one.
    pub fn new(limit: usize) -> Self {
        Self {
            limit: limit.max(1),
            keys: BTreeMap::new(),
            later: BTreeSet::new(),
            ready: BTreeMap::new(),
            in_flight: 0,
            turns: 0,
        }
    }

    /// Notes that `key` wants a pass of `depth` at `at`, or as soon after that as its failures allow.
    pub fn mark(&mut self, key: &K, depth: Depth, at: Timestamp, urgency: StepClass, cause: Cause) {
        let mut state = self.take_out(key).unwrap_or_default();
        state.mark(depth, at, urgency);
        if cause == Cause::Changed {
            state.backoff.changed();
            if let Some(running) = &mut state.running {
                running.changed = true;
            }
        }
        self.put_in(key, state);
    }

    /// The key whose turn it is, and how much of it to look at. It is in flight until [`Queue::done`], [`Queue::failed`]
    /// or [`Queue::forget`]. `None` while nothing is due, or as many are in flight as may be.
    pub fn next(&mut self, now: Timestamp) -> Option<(K, Depth)> {
        if self.in_flight >= self.limit {
            return None;
        }
        self.ripen(now);
        let key = self.choose()?;
        let mut state = self.take_out(&key)?;
        let running = state.begin(now);
        self.turns = self.turns.wrapping_add(1);
        self.put_in(&key, state);
        Some((key, running.depth))
    }

    /// Ends a pass that went well, and marks another one of its kind where it asked for that.
    pub fn done(&mut self, key: &K, again: Option<Timestamp>) {
        let Some(mut state) = self.take_out(key) else { return };
        if let Some(running) = state.running.take() {
            state.backoff.succeeded();
            if let Some(at) = again {
                state.mark(running.depth, at, running.urgency);
            }
        }
        self.put_in(key, state);
    }

    /// Ends a pass that failed, and says when the same is tried again. `seed` spreads those that fail together.
    pub fn failed(
        &mut self,
        key: &K,
        class: ErrorClass,
        retry_after: Option<Duration>,
        now: Timestamp,
        seed: u64,
    ) -> Option<Timestamp> {
        let mut state = self.take_out(key)?;
        if let Some(running) = state.running.take() {
            state.backoff.failed(class, retry_after, now, seed);
            if running.changed {
                state.backoff.changed();
            }
            state.mark(running.depth, now, running.urgency);
        }
        let due = state.due();
        self.put_in(key, state);
        due
    }

    /// Drops all that is known of `key`, also that it is in flight.
    pub fn forget(&mut self, key: &K) {
        self.take_out(key);
    }

    /// When [`Queue::next`] has something to give; `None` while only the end of a pass or a mark can bring something.
    pub fn next_deadline(&self) -> Option<Timestamp> {
        if self.in_flight >= self.limit {
            return None;
        }
        let ready = self.ready.values().filter_map(BTreeSet::first);
        ready.chain(self.later.first()).map(|(at, _)| *at).min()
    }

    /// How many passes run.
    pub fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// How many keys are due at `now` and not in flight: how far behind the queue is.
    pub fn overdue(&self, now: Timestamp) -> usize {
        let ready: usize = self.ready.values().map(BTreeSet::len).sum();
        ready + self.later.iter().take_while(|(at, _)| *at <= now).count()
    }

    /// The failures of `key` since it last went well.
    pub fn failures(&self, key: &K) -> u32 {
        self.keys.get(key).map_or(0, |state| state.backoff.failures())
    }

    /// Moves what is due from those for later to those that are ready.
    fn ripen(&mut self, now: Timestamp) {
        while let Some((at, key)) = self.later.pop_first() {
            if at > now {
                self.later.insert((at, key));
                return;
            }
            if let Some(state) = self.keys.get_mut(&key) {
                let urgency = state.urgency.unwrap_or(StepClass::Cosmetic);
                state.place = Some(Place::Ready(urgency, at));
                self.ready.entry(urgency).or_default().insert((at, key));
            }
        }
    }

    fn choose(&self) -> Option<K> {
        let mut heads = self.ready.values().filter_map(BTreeSet::first);
        let head = if self.turns % FAIR == FAIR - 1 { heads.min_by_key(|(at, _)| *at) } else { heads.next() };
        head.map(|(_, key)| key.clone())
    }

    fn take_out(&mut self, key: &K) -> Option<State> {
        let mut state = self.keys.remove(key)?;
        self.in_flight -= usize::from(state.running.is_some());
        match state.place.take() {
            Some(Place::Later(at)) => {
                self.later.remove(&(at, key.clone()));
            }
            Some(Place::Ready(urgency, at)) => {
                if let Some(ready) = self.ready.get_mut(&urgency) {
                    ready.remove(&(at, key.clone()));
                }
            }
            None => {}
        }
        Some(state)
    }

    fn put_in(&mut self, key: &K, mut state: State) {
        self.in_flight += usize::from(state.running.is_some());
        if let Some(at) = state.due() {
            state.place = Some(Place::Later(at));
            self.later.insert((at, key.clone()));
        } else if state.running.is_none() && state.backoff.failures() == 0 {
            return;
        }
        self.keys.insert(key.clone(), state);
    }
}

#[cfg(test)]
mod tests;
