//! How fast a cloud's API may be called: token buckets that adapt, and who goes first when several wait.
//!
//! A [`Bucket`] counts tokens as the cloud does. A throttled call proves that somebody else draws on the same bucket (or
//! that the quota is lower than documented): the rate is halved, and comes back by a twentieth of the configured one
//! with each second in which calls succeed. A [`Line`] says whose the next token is. [`Limiter`] is both, to be awaited.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::plan::StepClass;

/// The rate is cut, and raised, at most once in this time: calls that were in flight together tell one thing.
const SETTLE: Duration = Duration::from_secs(1);
/// By which part of the configured rate a throttled one is raised.
const RAISE: f64 = 1.0 / 20.0;
/// Below which part of the configured rate no throttling pushes it.
const FLOOR: f64 = 1.0 / 16.0;
/// Within how many tokens everybody who waits at the head of a class gets one.
const FAIR: u32 = 20;
/// How long a rate may have changed before those who wait see it.
const LONGEST_NAP: Duration = Duration::from_secs(1);

/// A quota of calls.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rate {
    /// Calls per second in the long run.
    pub per_second: f64,
    /// Calls at once after a pause.
    pub burst: f64,
}

/// A token bucket whose rate follows what the cloud allows. Times count from any fixed origin.
#[derive(Debug, Clone)]
pub struct Bucket {
    configured: Rate,
    per_second: f64,
    tokens: f64,
    filled_at: Duration,
    cut_at: Option<Duration>,
    raised_at: Duration,
}

impl Bucket {
    /// A full bucket. A rate or burst that would never let a call through is raised to the least that does.
    pub fn new(rate: Rate, now: Duration) -> Self {
        let at_least = |value: f64, least: f64| if value.is_finite() { value.max(least) } else { least };
        let configured =
            Rate { per_second: at_least(rate.per_second, 0.01), burst: at_least(rate.burst, 1.0) };
        Self {
            configured,
            per_second: configured.per_second,
            tokens: configured.burst,
            filled_at: now,
            cut_at: None,
            raised_at: now,
        }
    }

    /// The rate that holds now, in calls per second.
    pub fn per_second(&self) -> f64 {
        self.per_second
    }

    /// How long until there is a token; zero when there is one.
    pub fn wait(&mut self, now: Duration) -> Duration {
        self.fill(now);
        if self.tokens >= 1.0 {
            return Duration::ZERO;
        }
        // A nanosecond more than that, lest rounding wakes somebody just before the token.
        Duration::from_secs_f64((1.0 - self.tokens) / self.per_second) + Duration::from_nanos(1)
    }

    /// Takes a token, or says how long until there is one. Zero = taken.
    pub fn take(&mut self, now: Duration) -> Duration {
        let wait = self.wait(now);
        if wait.is_zero() {
            self.tokens -= 1.0;
        }
        wait
    }

    /// Takes tokens that were used without asking: one call that turned out to be several. Those who come later wait.
    pub fn charge(&mut self, tokens: usize, now: Duration) {
        self.fill(now);
        // Never more than a burst in debt.
        self.tokens = (self.tokens - tokens as f64).max(-self.configured.burst);
    }

    /// Gives a token back that was taken and not used.
    pub fn give_back(&mut self, now: Duration) {
        self.fill(now);
        self.tokens = (self.tokens + 1.0).min(self.configured.burst);
    }

    /// The cloud refused a call for its rate.
    pub fn throttled(&mut self, now: Duration) {
        self.fill(now);
        // The cloud's own bucket is empty, whatever this one says.
        self.tokens = self.tokens.min(0.0);
        if self.cut_at.is_some_and(|cut| now.saturating_sub(cut) < SETTLE) {
            return;
        }
        self.per_second = (self.per_second / 2.0).max(self.configured.per_second * FLOOR);
        self.cut_at = Some(now);
        self.raised_at = now;
    }

    /// The cloud took a call.
    pub fn succeeded(&mut self, now: Duration) {
        if self.per_second >= self.configured.per_second || now.saturating_sub(self.raised_at) < SETTLE {
            return;
        }
        self.fill(now);
        let raised = self.per_second + self.configured.per_second * RAISE;
        self.per_second = raised.min(self.configured.per_second);
        self.raised_at = now;
    }

    fn fill(&mut self, now: Duration) {
        let passed = now.saturating_sub(self.filled_at).as_secs_f64();
        // A burst at a rate that is known to be too high would be throttled again.
        let burst = (self.configured.burst * self.per_second / self.configured.per_second).max(1.0);
        self.tokens = (self.tokens + passed * self.per_second).min(burst);
        self.filled_at = self.filled_at.max(now);
    }
}

/// Those who wait, by class. The more urgent class goes first and each class in order of arrival; but the head of every
/// class is served within 20 turns.
#[derive(Debug)]
pub struct Line<T> {
    classes: [Waiting<T>; 4],
}

#[derive(Debug)]
struct Waiting<T> {
    items: VecDeque<T>,
    passed_over: u32,
}

impl<T> Default for Line<T> {
    fn default() -> Self {
        Self { classes: std::array::from_fn(|_| Waiting { items: VecDeque::new(), passed_over: 0 }) }
    }
}

fn rank(class: StepClass) -> usize {
    match class {
        StepClass::Targets => 0,
        StepClass::Change => 1,
        StepClass::Delete => 2,
        StepClass::Cosmetic => 3,
    }
}

impl<T> Line<T> {
    /// Whether nobody waits.
    pub fn is_empty(&self) -> bool {
        self.classes.iter().all(|class| class.items.is_empty())
    }

    /// Adds one at the end of its class.
    pub fn push(&mut self, class: StepClass, item: T) {
        if let Some(waiting) = self.classes.get_mut(rank(class)) {
            waiting.items.push_back(item);
        }
    }

    /// Takes out whose turn it is.
    pub fn pop(&mut self) -> Option<T> {
        // Up to three classes are starved at once, and each must still have its turn within FAIR.
        let starved = |class: &Waiting<T>| class.passed_over >= FAIR - 3;
        let waiting = || self.classes.iter().enumerate().filter(|(_, class)| !class.items.is_empty());
        let hungriest = waiting().filter(|(_, c)| starved(c)).max_by_key(|(_, class)| class.passed_over);
        let (chosen, _) = hungriest.or_else(|| waiting().next())?;
        let mut item = None;
        for (index, class) in self.classes.iter_mut().enumerate() {
            if index == chosen {
                item = class.items.pop_front();
                class.passed_over = 0;
            } else if class.items.is_empty() {
                class.passed_over = 0;
            } else {
                class.passed_over += 1;
            }
        }
        item
    }

    /// Drops those at the head of each class for whom nobody waits any more.
    fn drop_heads(&mut self, gone: impl Fn(&T) -> bool) {
        for class in &mut self.classes {
            while class.items.front().is_some_and(&gone) {
                class.items.pop_front();
            }
        }
    }
}

/// A bucket with its line, shared by all who call.
#[derive(Debug)]
pub struct Limiter {
    origin: Instant,
    state: Mutex<State>,
    /// Held by the one of those who wait that hands out tokens to all.
    leading: tokio::sync::Mutex<()>,
}

#[derive(Debug)]
struct State {
    bucket: Bucket,
    line: Line<oneshot::Sender<()>>,
}

impl Limiter {
    /// A limiter with a full bucket.
    pub fn new(rate: Rate) -> Self {
        let state = State { bucket: Bucket::new(rate, Duration::ZERO), line: Line::default() };
        Self { origin: Instant::now(), state: Mutex::new(state), leading: tokio::sync::Mutex::new(()) }
    }

    /// Waits for a token, and says for how long that was. A caller that goes away while it waits costs no token.
    pub async fn take(&self, class: StepClass) -> Duration {
        let began = Instant::now();
        let mut turn = {
            let now = self.now();
            let mut state = self.state();
            if state.line.is_empty() && state.bucket.take(now).is_zero() {
                return Duration::ZERO;
            }
            let (token, turn) = oneshot::channel();
            state.line.push(class, token);
            turn
        };
        tokio::select! {
            biased;
            _ = &mut turn => {}
            never = self.lead() => match never {},
        }
        began.elapsed()
    }

    /// Takes tokens that were used without asking.
    pub fn charge(&self, tokens: usize) {
        let now = self.now();
        self.state().bucket.charge(tokens, now);
    }

    /// Gives a token back that was taken and not used.
    pub fn give_back(&self) {
        let now = self.now();
        self.state().bucket.give_back(now);
    }

    /// The cloud refused a call for its rate.
    pub fn throttled(&self) {
        let now = self.now();
        self.state().bucket.throttled(now);
    }

    /// The cloud took a call.
    pub fn succeeded(&self) {
        let now = self.now();
        self.state().bucket.succeeded(now);
    }

    /// The rate that holds now, in calls per second.
    pub fn per_second(&self) -> f64 {
        self.state().bucket.per_second()
    }

    /// Hands out tokens until the caller has got its own and drops this; then the next in line does.
    async fn lead(&self) -> Infallible {
        let _leading = self.leading.lock().await;
        loop {
            let nap = self.hand_out();
            tokio::time::sleep(nap.min(LONGEST_NAP)).await;
        }
    }

    /// Gives the tokens that there are to those whose turn it is, and says when there is another one.
    fn hand_out(&self) -> Duration {
        let now = self.now();
        let mut state = self.state();
        loop {
            let wait = state.bucket.wait(now);
            if !wait.is_zero() {
                return wait;
            }
            state.line.drop_heads(oneshot::Sender::is_closed);
            let Some(token) = state.line.pop() else { return LONGEST_NAP };
            if token.send(()).is_ok() {
                state.bucket.take(now);
            }
        }
    }

    fn now(&self) -> Duration {
        self.origin.elapsed()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;

    const CLASSES: [StepClass; 4] =
        [StepClass::Targets, StepClass::Change, StepClass::Delete, StepClass::Cosmetic];

    fn seconds(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    #[test]
    fn a_throttled_bucket_halves_once_for_calls_in_flight_together_and_comes_back() {
        let mut bucket = Bucket::new(Rate { per_second: 8.0, burst: 40.0 }, seconds(0));
        assert_eq!(bucket.take(seconds(0)), Duration::ZERO);
        for _ in 0..5 {
            bucket.throttled(seconds(1));
        }
        assert_eq!(bucket.per_second(), 4.0);
        assert!(bucket.wait(seconds(1)) >= Duration::from_millis(250), "the cloud's bucket was full");
        for second in 2..40 {
            bucket.throttled(seconds(second));
        }
        assert_eq!(bucket.per_second(), 0.5);
        bucket.succeeded(seconds(39));
        assert_eq!(bucket.per_second(), 0.5, "raised in the second in which it was cut");
        for second in 40..59 {
            bucket.succeeded(seconds(second));
            bucket.succeeded(seconds(second));
        }
        assert_eq!(bucket.per_second(), 8.0);
    }

    #[test]
    fn a_rate_of_nothing_still_lets_calls_through() {
        let mut bucket = Bucket::new(Rate { per_second: f64::NAN, burst: 0.0 }, seconds(0));
        assert_eq!(bucket.take(seconds(0)), Duration::ZERO);
        assert!(bucket.take(seconds(0)) <= seconds(101));
    }

    #[test]
    fn the_urgent_go_first_and_the_last_gets_one_in_twenty() {
        let mut line = Line::default();
        for n in 0..200 {
            CLASSES.iter().for_each(|class| line.push(*class, (*class, n)));
        }
        let order: Vec<_> = (0..200).filter_map(|_| line.pop()).collect();
        assert!(order.iter().take(17).all(|(class, _)| *class == StepClass::Targets), "{order:?}");
        for window in order.chunks(FAIR as usize) {
            for class in CLASSES {
                assert!(window.iter().any(|(other, _)| *other == class), "{class:?} starves in {window:?}");
            }
        }
    }

    proptest! {
        #[test]
        fn no_bucket_gives_more_than_its_burst_and_its_rate(
            per_second in 1_u32..50,
            burst in 1_u32..50,
            steps in proptest::collection::vec((0_u64..400, 0_u8..10), 1..300),
        ) {
            let rate = Rate { per_second: f64::from(per_second), burst: f64::from(burst) };
            let mut bucket = Bucket::new(rate, Duration::ZERO);
            let (mut now, mut taken) = (Duration::ZERO, 0_u32);
            for (pause, what) in steps {
                now += Duration::from_millis(pause);
                match what {
                    0 => bucket.throttled(now),
                    1 => bucket.succeeded(now),
                    2 => bucket.charge(3, now),
                    3 if taken > 0 => {
                        bucket.give_back(now);
                        taken -= 1;
                    }
                    _ => {
                        let wait = bucket.take(now);
                        taken += u32::from(wait.is_zero());
                        if !wait.is_zero() {
                            prop_assert!(bucket.clone().take(now + wait).is_zero(), "{wait:?} was not enough");
                        }
                    }
                }
                let most = rate.per_second * now.as_secs_f64() + rate.burst;
                prop_assert!(f64::from(taken) <= most + 1e-6, "{taken} > {most}");
                prop_assert!(bucket.per_second() >= rate.per_second * FLOOR);
                prop_assert!(bucket.per_second() <= rate.per_second);
            }
        }

        #[test]
        fn a_class_is_served_in_order_and_nobody_at_its_head_waits_for_twenty(
            steps in proptest::collection::vec(proptest::option::of(0_usize..4), 1..400),
        ) {
            let mut line = Line::default();
            let mut at_head: [Option<(usize, u32)>; 4] = [None; 4];
            let mut waiting: [VecDeque<usize>; 4] = Default::default();
            for (serial, step) in steps.into_iter().enumerate() {
                if let Some(class) = step {
                    line.push(CLASSES[class], (class, serial));
                    waiting[class].push_back(serial);
                    continue;
                }
                let all_empty = waiting.iter().all(VecDeque::is_empty);
                let Some((class, serial)) = line.pop() else {
                    prop_assert!(all_empty);
                    continue;
                };
                prop_assert_eq!(waiting[class].pop_front(), Some(serial));
                for (other, head) in at_head.iter_mut().enumerate() {
                    let first = waiting[other].front().copied();
                    *head = match (first, *head) {
                        (Some(first), Some((known, turns))) if first == known => Some((first, turns + 1)),
                        (Some(first), _) => Some((first, 0)),
                        (None, _) => None,
                    };
                    prop_assert!(head.is_none_or(|(_, turns)| turns < FAIR), "class {other} starves");
                }
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn callers_get_the_burst_at_once_and_then_the_rate_with_the_urgent_first() {
        let limiter = Arc::new(Limiter::new(Rate { per_second: 2.0, burst: 2.0 }));
        let began = Instant::now();
        for _ in 0..2 {
            assert_eq!(limiter.take(StepClass::Cosmetic).await, Duration::ZERO);
        }
        let (told, mut order) = tokio::sync::mpsc::unbounded_channel();
        for (name, class) in
            [("tags", StepClass::Cosmetic), ("delete", StepClass::Delete), ("targets", StepClass::Targets)]
        {
            let (limiter, told) = (limiter.clone(), told.clone());
            tokio::spawn(async move {
                limiter.take(class).await;
                let _ = told.send((name, began.elapsed().as_millis()));
            });
            tokio::task::yield_now().await;
        }
        let mut seen = Vec::new();
        for _ in 0..3 {
            seen.push(order.recv().await.unwrap());
        }
        assert_eq!(seen.iter().map(|(name, _)| *name).collect::<Vec<_>>(), ["targets", "delete", "tags"]);
        for ((_, at), expected) in seen.iter().zip([500, 1000, 1500]) {
            assert!((expected..expected + 10).contains(at), "{seen:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn those_who_give_up_cost_nothing_and_hinder_nobody() {
        let limiter = Arc::new(Limiter::new(Rate { per_second: 1.0, burst: 1.0 }));
        limiter.take(StepClass::Targets).await;
        // The first of them leads the others when it gives up.
        for _ in 0..10 {
            let gave_up = tokio::time::timeout(Duration::from_millis(10), limiter.take(StepClass::Targets));
            assert!(gave_up.await.is_err());
        }
        let waiting = tokio::spawn({
            let limiter = limiter.clone();
            async move { limiter.take(StepClass::Change).await }
        });
        let waited = waiting.await.unwrap();
        assert!(waited <= Duration::from_millis(950), "{waited:?}: a token went to somebody who had left");
    }

    #[tokio::test(start_paused = true)]
    async fn throttling_slows_all_callers_down_and_success_speeds_them_up() {
        let limiter = Limiter::new(Rate { per_second: 10.0, burst: 1.0 });
        let pace = async |n: u32| {
            let began = Instant::now();
            for _ in 0..n {
                limiter.take(StepClass::Targets).await;
            }
            began.elapsed()
        };
        limiter.throttled();
        assert!(pace(10).await >= Duration::from_millis(1990));
        while limiter.per_second() < 10.0 {
            tokio::time::sleep(Duration::from_secs(1)).await;
            limiter.succeeded();
        }
        let fast = pace(11).await;
        assert!(fast <= Duration::from_millis(1100), "{fast:?}");
    }
}
