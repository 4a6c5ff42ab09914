//! What clients see: who answers for each address, in rounds; how long nobody did, and how long two did.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// Rounds in a row in which something was wrong with an address.
#[derive(Debug, Clone)]
pub struct Streak {
    pub client: usize,
    pub address: IpAddr,
    pub from: Duration,
    pub lasted: Duration,
    pub last: BTreeSet<usize>,
}

#[derive(Default)]
struct Line {
    none_since: Option<Instant>,
    two_since: Option<Instant>,
    last: BTreeSet<usize>,
}

/// The record of all rounds.
pub struct Checker {
    start: Instant,
    lines: BTreeMap<(usize, IpAddr), Line>,
    pub none: Vec<Streak>,
    pub two: Vec<Streak>,
}

impl Checker {
    pub fn new(start: Instant) -> Self {
        Self { start, lines: BTreeMap::new(), none: Vec::new(), two: Vec::new() }
    }

    /// What came before does not count.
    pub fn reset(&mut self) {
        self.none.clear();
        self.two.clear();
        for line in self.lines.values_mut() {
            line.none_since = None;
            line.two_since = None;
        }
    }

    /// Who answered `client` for `address` in the round that ended `now`.
    pub fn round(
        &mut self,
        now: Instant,
        period: Duration,
        client: usize,
        address: IpAddr,
        by: BTreeSet<usize>,
    ) {
        let line = self.lines.entry((client, address)).or_default();
        let start = self.start;
        let follow = |since: &mut Option<Instant>, wrong: bool, streaks: &mut Vec<Streak>| {
            if !wrong {
                *since = None;
                return;
            }
            match since {
                Some(since) => {
                    let from = since.duration_since(start);
                    let streak = streaks
                        .iter_mut()
                        .rev()
                        .find(|streak| streak.client == client && streak.address == address)
                        .filter(|streak| streak.from == from);
                    if let Some(streak) = streak {
                        streak.lasted = now.duration_since(*since) + period;
                        streak.last.clone_from(&by);
                    }
                }
                None => {
                    *since = Some(now);
                    let from = now.duration_since(start);
                    streaks.push(Streak { client, address, from, lasted: period, last: by.clone() });
                }
            }
        };
        follow(&mut line.none_since, by.is_empty(), &mut self.none);
        follow(&mut line.two_since, by.len() > 1, &mut self.two);
        line.last = by;
    }

    /// Who answered `client` last.
    pub fn answered(&self, client: usize, address: IpAddr) -> BTreeSet<usize> {
        self.lines.get(&(client, address)).map(|line| line.last.clone()).unwrap_or_default()
    }

    /// The longest time in which nobody answered.
    pub fn longest_none(&self) -> Duration {
        self.none.iter().map(|streak| streak.lasted).max().unwrap_or_default()
    }

    /// The longest time in which two answered.
    pub fn longest_two(&self) -> Duration {
        self.two.iter().map(|streak| streak.lasted).max().unwrap_or_default()
    }
}

/// The `percent`-th percentile.
pub fn percentile(times: &mut [Duration], percent: usize) -> Duration {
    times.sort_unstable();
    let last = times.len().saturating_sub(1);
    times.get((times.len() * percent / 100).min(last)).copied().unwrap_or_default()
}
