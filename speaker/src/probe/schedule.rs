//! When to ask what next: pure, so that the pace can be tested.
//!
//! The pause between two questions of one kind grows with how long their subject has waited: a sixty-fourth of it,
//! within bounds. So an answer is never late by more than that part of the wait, and something that waits for ever
//! costs next to nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::num::NonZeroU16;
use std::time::{Duration, Instant};

use super::Wanted;

const SHORTEST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
const WAIT_PER_PAUSE: u32 = 64;

/// Something to ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Question {
    /// Is kube-proxy well?
    ProxyHealth,
    /// When did kube-proxy write its rules?
    ProxyMetrics,
    /// Does this `healthCheckNodePort` say yes?
    HealthCheck(IpAddr, NonZeroU16),
}

/// What is asked when.
#[derive(Debug)]
pub(super) struct Schedule {
    health_interval: Duration,
    /// Since when each subject waits; those that are not here are no longer asked.
    waiting: BTreeMap<Question, Instant>,
    due: BTreeSet<(Instant, Question)>,
    open: BTreeSet<Question>,
    /// Questions in a row about kube-proxy's metrics that had no answer.
    metrics_failures: u32,
}

impl Schedule {
    pub(super) fn new(now: Instant, health_interval: Duration) -> Self {
        Self {
            health_interval,
            waiting: [(Question::ProxyHealth, now)].into(),
            due: [(now, Question::ProxyHealth)].into(),
            open: BTreeSet::new(),
            metrics_failures: 0,
        }
    }

    /// Takes over what is wanted: what is new is asked at once.
    pub(super) fn want(&mut self, now: Instant, wanted: &Wanted) {
        let health_checks = wanted
            .probes
            .health_checks
            .iter()
            .filter_map(|port| Some((Question::HealthCheck(wanted.host?, *port), now)));
        let metrics = wanted.probes.proxy_sync_since.map(|since| (Question::ProxyMetrics, since));
        let health = self.waiting.get(&Question::ProxyHealth).map(|since| (Question::ProxyHealth, *since));
        let mut waiting: BTreeMap<Question, Instant> = health_checks.chain(metrics).chain(health).collect();
        for (question, since) in &mut waiting {
            match self.waiting.get(question) {
                Some(known) if *question != Question::ProxyMetrics => *since = *known,
                Some(known) if known == since => {}
                Some(_) | None => self.ask_at_once(now, *question),
            }
        }
        self.due.retain(|(_, question)| waiting.contains_key(question));
        self.waiting = waiting;
    }

    fn ask_at_once(&mut self, now: Instant, question: Question) {
        if !self.open.contains(&question) {
            self.due.retain(|(_, known)| *known != question);
            self.due.insert((now, question));
        }
    }

    /// The next question whose time has come.
    pub(super) fn take_due(&mut self, now: Instant) -> Option<Question> {
        if self.due.first()?.0 > now {
            return None;
        }
        let (_, question) = self.due.pop_first()?;
        self.open.insert(question);
        Some(question)
    }

    /// When to look again.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.due.first().map(|(at, _)| *at)
    }

    /// The answer is there, or given up: the question's next time is set, if its subject still waits.
    pub(super) fn answered(&mut self, now: Instant, question: Question, useful: bool) {
        self.open.remove(&question);
        if question == Question::ProxyMetrics {
            self.metrics_failures = if useful { 0 } else { self.metrics_failures.saturating_add(1) };
        }
        let Some(since) = self.waiting.get(&question) else { return };
        let pause = match question {
            Question::ProxyHealth => self.health_interval,
            Question::HealthCheck(..) => pause(now.saturating_duration_since(*since)),
            Question::ProxyMetrics => {
                let growth = SHORTEST_PAUSE * 2_u32.pow(self.metrics_failures.min(8));
                pause(now.saturating_duration_since(*since)).max(growth).min(LONGEST_PAUSE)
            }
        };
        self.due.insert((now + pause, question));
    }
}

fn pause(waited: Duration) -> Duration {
    (waited / WAIT_PER_PAUSE).clamp(SHORTEST_PAUSE, LONGEST_PAUSE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use daymark_announce::Probes;

    const HOST: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));
    const PORT: NonZeroU16 = NonZeroU16::new(30000).unwrap();
    const CHECK: Question = Question::HealthCheck(HOST, PORT);

    fn wanted(check: Option<NonZeroU16>, proxy_sync_since: Option<Instant>) -> Wanted {
        let probes = Probes { health_checks: check.into_iter().collect(), proxy_sync_since };
        Wanted { host: Some(HOST), probes }
    }

    /// How often each question is asked in `span` when every answer takes a millisecond.
    fn asked(
        schedule: &mut Schedule,
        mut now: Instant,
        span: Duration,
        useful: bool,
    ) -> BTreeMap<Question, u32> {
        let end = now + span;
        let mut counts = BTreeMap::new();
        while now < end {
            while let Some(question) = schedule.take_due(now) {
                *counts.entry(question).or_default() += 1;
                schedule.answered(now + Duration::from_millis(1), question, useful);
            }
            now = schedule.next_due().unwrap().max(now);
        }
        counts
    }

    #[test]
    fn only_health_is_asked_while_nothing_waits() {
        let now = Instant::now();
        let mut schedule = Schedule::new(now, Duration::from_secs(5));
        let counts = asked(&mut schedule, now, Duration::from_secs(60), true);
        assert_eq!(counts, [(Question::ProxyHealth, 12)].into());
    }

    #[test]
    fn the_pace_falls_with_the_wait() {
        let now = Instant::now();
        let mut schedule = Schedule::new(now, Duration::from_secs(5));
        schedule.want(now, &wanted(Some(PORT), None));
        let first_second = asked(&mut schedule, now, Duration::from_secs(1), true)[&CHECK];
        assert!((60..=100).contains(&first_second), "{first_second}");
        let now = now + Duration::from_secs(1);
        asked(&mut schedule, now, Duration::from_secs(99), true);
        let late = asked(&mut schedule, now + Duration::from_secs(99), Duration::from_secs(60), true)[&CHECK];
        assert!((59..=61).contains(&late), "{late}");
    }

    #[test]
    fn silence_of_the_metrics_slows_the_pace_and_a_new_wait_asks_at_once() {
        let now = Instant::now();
        let mut schedule = Schedule::new(now, Duration::from_secs(5));
        schedule.want(now, &wanted(None, Some(now)));
        let silent = asked(&mut schedule, now, Duration::from_secs(10), false)[&Question::ProxyMetrics];
        assert!(silent < 20, "{silent}");
        let later = now + Duration::from_secs(10);
        schedule.want(later, &wanted(None, Some(later)));
        assert_eq!(schedule.next_due().unwrap(), later);
    }

    #[test]
    fn what_no_longer_waits_is_no_longer_asked() {
        let now = Instant::now();
        let mut schedule = Schedule::new(now, Duration::from_secs(5));
        schedule.want(now, &wanted(Some(PORT), Some(now)));
        while schedule.take_due(now).is_some() {}
        schedule.want(now, &wanted(None, None));
        for question in [CHECK, Question::ProxyMetrics, Question::ProxyHealth] {
            schedule.answered(now, question, true);
        }
        let counts = asked(&mut schedule, now, Duration::from_secs(60), true);
        assert!(counts.keys().all(|q| *q == Question::ProxyHealth), "{counts:?}");
    }
}
