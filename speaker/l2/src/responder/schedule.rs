//! Everything that a responder does by itself, in one order of time and urgency, and no faster than the segment bears.
//!
//! A job waits for its time; once that has come it waits for its turn, the more urgent first, then the one that was
//! ready first. Every job but those of [`Class::Free`] sends one frame.

use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasherDefault, DefaultHasher};
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// A hash map whose order is the same in every run. All keys are the node's own, so nobody can choose colliding ones.
pub(super) type Map<K, V> = HashMap<K, V, BuildHasherDefault<DefaultHasher>>;

/// What is to be done for an address; there is at most one job of a kind for each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Job {
    /// The next frame of its burst, or a refresh.
    Announce(IpAddr),
    /// One announcement against a claim.
    Defend(IpAddr),
    /// The next step of its probe.
    Probe(IpAddr),
}

/// How urgent a job is, most urgent first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Class {
    /// Sends nothing.
    Free,
    /// The first word of an address taken or claimed by somebody else.
    First,
    /// A probe that has begun.
    ProbeAgain,
    /// A new probe.
    Probe,
    /// The other form of that first word.
    OtherForm,
    /// Further rounds of a burst.
    Later,
    /// A refresh.
    Refresh,
}

#[derive(Debug, Clone, Copy)]
enum Place {
    Timer(Instant, u64),
    Ready(Class, Instant, u64),
}

#[derive(Debug)]
pub(super) struct Schedule {
    timers: BTreeMap<(Instant, u64), (Class, Job)>,
    ready: BTreeMap<(Class, Instant, u64), Job>,
    places: Map<Job, Place>,
    sequence: u64,
    frames: Bucket,
    refreshes: Bucket,
}

impl Schedule {
    pub(super) fn new() -> Self {
        Self {
            timers: BTreeMap::new(),
            ready: BTreeMap::new(),
            places: Map::default(),
            sequence: 0,
            frames: Bucket { interval: Duration::from_micros(80), depth: 120, batch: 12, empty_until: None },
            refreshes: Bucket { interval: Duration::from_millis(20), depth: 1, batch: 1, empty_until: None },
        }
    }

    /// `job` is to be done at `at` and not at the time that was set before.
    pub(super) fn set(&mut self, job: Job, class: Class, at: Instant) {
        self.cancel(job);
        self.sequence += 1;
        self.timers.insert((at, self.sequence), (class, job));
        self.places.insert(job, Place::Timer(at, self.sequence));
    }

    pub(super) fn cancel(&mut self, job: Job) {
        match self.places.remove(&job) {
            Some(Place::Timer(at, sequence)) => {
                self.timers.remove(&(at, sequence));
            }
            Some(Place::Ready(class, at, sequence)) => {
                self.ready.remove(&(class, at, sequence));
            }
            None => {}
        }
    }

    /// The next job that may be done now. The caller sends at most one frame for it.
    pub(super) fn next(&mut self, now: Instant) -> Option<Job> {
        while let Some(timer) = self.timers.first_entry().filter(|timer| timer.key().0 <= now) {
            let ((at, sequence), (class, job)) = timer.remove_entry();
            self.ready.insert((class, at, sequence), job);
            self.places.insert(job, Place::Ready(class, at, sequence));
        }
        let first = self.ready.first_entry()?;
        match first.key().0 {
            Class::Free => {}
            Class::First | Class::ProbeAgain | Class::Probe | Class::OtherForm | Class::Later => {
                if !self.frames.take(now) {
                    return None;
                }
            }
            Class::Refresh => {
                if !self.frames.has(now) || !self.refreshes.take(now) {
                    return None;
                }
                self.frames.take(now);
            }
        }
        let job = first.remove();
        self.places.remove(&job);
        Some(job)
    }

    /// When [`Schedule::next`] may have something.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        let timer = self.timers.first_key_value().map(|(&(at, _), _)| at);
        let turn = self.ready.first_key_value().and_then(|(&(class, ..), _)| match class {
            Class::Refresh => self.frames.refilled_at().max(self.refreshes.refilled_at()),
            Class::Free
            | Class::First
            | Class::ProbeAgain
            | Class::Probe
            | Class::OtherForm
            | Class::Later => self.frames.refilled_at(),
        });
        timer.into_iter().chain(turn).min()
    }
}

/// A token bucket: one token per `interval`, at most `depth` of them.
#[derive(Debug)]
struct Bucket {
    interval: Duration,
    depth: u32,
    /// How many tokens are worth waking up for.
    batch: u32,
    /// When it would be full again, had it no depth: the time at which all tokens taken so far are paid for.
    empty_until: Option<Instant>,
}

impl Bucket {
    fn has(&self, now: Instant) -> bool {
        self.empty_until.is_none_or(|paid| paid <= now + self.interval * (self.depth - 1))
    }

    fn take(&mut self, now: Instant) -> bool {
        let has = self.has(now);
        if has {
            self.empty_until = Some(self.empty_until.map_or(now, |paid| paid.max(now)) + self.interval);
        }
        has
    }

    /// When it holds a batch again.
    fn refilled_at(&self) -> Option<Instant> {
        self.empty_until.map(|paid| {
            let tokens_left = self.interval * (self.depth - self.batch);
            paid.checked_sub(tokens_left).unwrap_or(paid)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(n: u8) -> Job {
        Job::Announce(IpAddr::from([192, 0, 2, n]))
    }

    #[test]
    fn jobs_come_by_urgency_then_by_time() {
        let start = Instant::now();
        let mut schedule = Schedule::new();
        schedule.set(job(1), Class::Later, start);
        schedule.set(job(2), Class::First, start + Duration::from_millis(1));
        schedule.set(job(3), Class::First, start);
        schedule.set(job(4), Class::Refresh, start);
        schedule.set(job(5), Class::First, start + Duration::from_secs(1));
        let now = start + Duration::from_millis(2);
        let order: Vec<_> = std::iter::from_fn(|| schedule.next(now)).collect();
        assert_eq!(order, [job(3), job(2), job(1), job(4)]);
        assert_eq!(schedule.next_deadline(), Some(start + Duration::from_secs(1)));
    }

    #[test]
    fn a_job_is_done_once_at_its_newest_time() {
        let start = Instant::now();
        let mut schedule = Schedule::new();
        schedule.set(job(1), Class::Later, start);
        schedule.set(job(1), Class::Later, start + Duration::from_secs(1));
        assert_eq!(schedule.next(start), None);
        schedule.set(job(1), Class::Later, start);
        schedule.cancel(job(1));
        assert_eq!(schedule.next(start + Duration::from_secs(9)), None);
        assert_eq!(schedule.next_deadline(), None);
        assert!(schedule.places.is_empty());
    }

    #[test]
    fn no_second_sees_more_than_the_rate() {
        let start = Instant::now();
        let mut schedule = Schedule::new();
        for n in 0..20_000_u32 {
            schedule.set(Job::Announce(IpAddr::from(n.to_be_bytes())), Class::First, start);
        }
        let mut now = start;
        let mut wakeups = 0;
        let mut sent = 0;
        while let Some(deadline) = schedule.next_deadline() {
            assert!(deadline >= now, "the deadline lies in the past");
            now = deadline;
            wakeups += 1;
            while schedule.next(now).is_some() {
                sent += 1;
            }
            let allowed = (now - start).as_secs_f64() * 12_500.0 + 120.0;
            assert!(f64::from(sent) <= allowed + 1e-6, "{sent} frames after {:?}", now - start);
        }
        assert_eq!(sent, 20_000);
        assert!(now - start < Duration::from_millis(2_500), "took {:?}", now - start);
        assert!(wakeups <= 2_600, "{wakeups} wakeups");
    }

    #[test]
    fn refreshes_are_slow() {
        let start = Instant::now();
        let mut schedule = Schedule::new();
        for n in 0..200 {
            schedule.set(job(n), Class::Refresh, start);
        }
        let mut now = start;
        let mut sent = 0;
        while let Some(deadline) = schedule.next_deadline() {
            now = deadline;
            while schedule.next(now).is_some() {
                sent += 1;
            }
        }
        assert_eq!(sent, 200);
        assert_eq!(now - start, Duration::from_millis(199 * 20));
    }
}
