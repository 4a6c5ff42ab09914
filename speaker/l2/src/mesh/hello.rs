//! When to say hello, after RFC 6206 without its growing interval: once in every interval, at a moment by chance in its
//! second half, unless two with the same view were heard in it; soon, when one with another view was.

use std::time::{Duration, Instant};

use rand::RngExt;
use rand::rngs::SmallRng;

/// The length of an interval.
pub(super) const INTERVAL: Duration = Duration::from_millis(300);
/// The redundancy constant `k` of RFC 6206.
const ENOUGH: u8 = 2;
/// The first intervals of a member are a third as long.
const QUICK_INTERVALS: u8 = 4;
/// The least time between two hellos.
const PAUSE: Duration = Duration::from_millis(30);

#[derive(Debug)]
pub(super) struct Hello {
    interval: Duration,
    quick: u8,
    heard: u8,
    /// When this interval's hello is due; `None` once that is past.
    fire: Option<Instant>,
    end: Instant,
    said: Option<Instant>,
}

impl Hello {
    pub(super) fn new(now: Instant, factor: u32, rng: &mut SmallRng) -> Self {
        let mut hello = Self {
            interval: INTERVAL * factor,
            quick: QUICK_INTERVALS,
            heard: 0,
            fire: None,
            end: now,
            said: None,
        };
        hello.begin(now, rng);
        hello.soon(now, PAUSE, rng);
        hello
    }

    pub(super) fn set_factor(&mut self, factor: u32) {
        self.interval = INTERVAL * factor;
    }

    fn begin(&mut self, now: Instant, rng: &mut SmallRng) {
        let length = if self.quick > 0 { self.interval / 3 } else { self.interval };
        self.quick = self.quick.saturating_sub(1);
        self.heard = 0;
        self.fire = Some(now + length / 2 + within(length / 2, rng));
        self.end = now + length;
    }

    /// A member with our view has spoken to all.
    pub(super) fn heard_same(&mut self) {
        self.heard = self.heard.saturating_add(1);
    }

    /// There is something to tell: the next hello comes within `spread`.
    pub(super) fn soon(&mut self, now: Instant, spread: Duration, rng: &mut SmallRng) {
        let earliest = self.said.map_or(now, |said| now.max(said + PAUSE));
        let wanted = earliest + within(spread, rng);
        if self.fire.is_none_or(|fire| wanted < fire) {
            self.fire = Some(wanted);
            self.end = self.end.max(wanted);
            self.heard = 0;
        }
    }

    /// Several quick intervals follow: what we have to say must not be lost.
    pub(super) fn urgent(&mut self, now: Instant, spread: Duration, rng: &mut SmallRng) {
        self.quick = QUICK_INTERVALS;
        self.soon(now, spread, rng);
    }

    /// Whether a hello is to be said now. An isolated member always says it.
    pub(super) fn poll(&mut self, now: Instant, isolated: bool, rng: &mut SmallRng) -> bool {
        let mut say = false;
        if self.fire.is_some_and(|fire| fire <= now) {
            self.fire = None;
            say = isolated || self.heard < ENOUGH;
        }
        if self.end <= now {
            self.begin(now, rng);
        }
        if say {
            self.said = Some(now);
        }
        say
    }

    pub(super) fn next_deadline(&self) -> Instant {
        self.fire.map_or(self.end, |fire| fire.min(self.end))
    }
}

/// A time by chance below `length`.
pub(super) fn within(length: Duration, rng: &mut SmallRng) -> Duration {
    let micros = u64::try_from(length.as_micros()).unwrap_or(u64::MAX);
    Duration::from_micros(rng.random_range(0..=micros))
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    fn said(hear: impl Fn(&mut Hello), isolated: bool) -> usize {
        let mut rng = SmallRng::seed_from_u64(1);
        let start = Instant::now();
        let mut now = start;
        let mut hello = Hello::new(now, 1, &mut rng);
        let mut said = 0;
        while now < start + Duration::from_secs(30) {
            now = hello.next_deadline();
            hear(&mut hello);
            said += usize::from(hello.poll(now, isolated, &mut rng));
        }
        said
    }

    #[test]
    fn is_said_once_per_interval_unless_two_said_the_same() {
        let alone = said(|_| {}, true);
        assert!((100..=106).contains(&alone), "{alone} in 30 s");
        let one_other = said(|hello| hello.heard = 1, false);
        assert!((100..=106).contains(&one_other), "{one_other} in 30 s");
        assert_eq!(said(|hello| hello.heard = 2, false), 0);
        assert!(said(|hello| hello.heard = 2, true) >= 100, "an isolated member never keeps silent");
    }

    #[test]
    fn comes_soon_when_there_is_something_to_tell() {
        let mut rng = SmallRng::seed_from_u64(2);
        let mut now = Instant::now();
        let mut hello = Hello::new(now, 1, &mut rng);
        for _ in 0..20 {
            now = hello.next_deadline();
            hello.poll(now, true, &mut rng);
        }
        hello.heard = 9;
        hello.soon(now, Duration::from_millis(20), &mut rng);
        let due = hello.next_deadline();
        assert!(due <= now + Duration::from_millis(20) + PAUSE);
        assert!(hello.poll(due, false, &mut rng), "what was heard before does not count");
    }
}
