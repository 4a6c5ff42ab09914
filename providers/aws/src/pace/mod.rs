//! Calls at the pace that AWS allows: token buckets by call class, shared by all load balancers; Describes of many load
//! balancers in one call; counters; a deadline.
//!
//! One [`Paced`] stands for one account and region. Its handles differ only in how urgent their calls are.

mod batch;
mod class;
mod counts;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use daymark_providers::StepClass;
use daymark_providers::rate::Limiter;

use self::batch::Batches;
pub use self::class::CallClass;
pub use self::counts::Counts;
use self::counts::{Counters, is_throttled};
use crate::api::{Api, ApiError, Request, Response};

/// How long a call may be on its way. Waiting for its turn does not count.
pub const CALL_DEADLINE: Duration = Duration::from_secs(15);

/// An [`Api`] behind its limits, for callers of one urgency. Clones and other urgencies share everything else.
#[derive(Debug)]
pub struct Paced<A> {
    shared: Arc<Shared<A>>,
    class: StepClass,
}

impl<A> Clone for Paced<A> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared), class: self.class }
    }
}

#[derive(Debug)]
struct Shared<A> {
    api: A,
    limiters: Mutex<BTreeMap<CallClass, Arc<Limiter>>>,
    batches: Batches,
    counters: Counters,
}

impl<A: Api + 'static> Paced<A> {
    /// `api` at the pace that AWS allows, for callers of class [`StepClass::Change`].
    pub fn new(api: A) -> Self {
        let shared = Shared {
            api,
            limiters: Mutex::default(),
            batches: Batches::default(),
            counters: Counters::default(),
        };
        Self { shared: Arc::new(shared), class: StepClass::Change }
    }

    /// The same for callers of `class`.
    #[must_use]
    pub fn with_class(&self, class: StepClass) -> Self {
        Self { shared: Arc::clone(&self.shared), class }
    }

    /// What was called so far and what came of it, by action.
    pub fn counts(&self) -> BTreeMap<&'static str, Counts> {
        self.shared.counters.snapshot()
    }

    /// The rates that hold now, in calls per second: those of AWS's documentation unless calls were throttled.
    pub fn rates(&self) -> BTreeMap<CallClass, f64> {
        let limiters = self.shared.limiters.lock().unwrap_or_else(PoisonError::into_inner);
        limiters.iter().map(|(class, limiter)| (*class, limiter.per_second())).collect()
    }
}

impl<A: Api + 'static> Api for Paced<A> {
    async fn call(&self, request: Request) -> Result<Response, ApiError> {
        match batch::Question::of(&request) {
            Some(question) => batch::ask(&self.shared, question, self.class, request.action()).await,
            None => self.shared.send(request, self.class).await,
        }
    }
}

impl<A: Api> Shared<A> {
    /// Makes one call, when it is its turn.
    async fn send(&self, request: Request, urgency: StepClass) -> Result<Response, ApiError> {
        let turn = self.turn(CallClass::of(&request), urgency).await;
        self.send_now(request, turn).await
    }

    /// Waits for the turn of a call.
    async fn turn(&self, class: CallClass, urgency: StepClass) -> Turn {
        let limiter = self.limiter(class);
        let account = class.shared().map(|account| self.limiter(account));
        let mut waited = limiter.take(urgency).await;
        if let Some(account) = &account {
            waited += account.take(urgency).await;
        }
        Turn { limiter, account, waited }
    }

    async fn send_now(&self, request: Request, turn: Turn) -> Result<Response, ApiError> {
        let action = request.action();
        let Turn { limiter, account, waited } = turn;
        self.counters.note(action, |counts| {
            counts.calls += 1;
            counts.waited += waited;
        });
        let answer = tokio::time::timeout(CALL_DEADLINE, self.api.call(request));
        let answer = answer.await.unwrap_or_else(|_| Err(timeout(action)));
        match &answer {
            // The account's bucket is left alone: were it that one, every class would be told so by its own calls.
            Err(error) if is_throttled(error) => limiter.throttled(),
            // Nobody knows whether it was taken.
            Err(error) if error.status.is_none() => {}
            Ok(_) | Err(_) => limiter.succeeded(),
        }
        if let Ok(answer) = &answer {
            let further = pages(answer).saturating_sub(1);
            limiter.charge(further);
            account.inspect(|account| account.charge(further));
        }
        self.counters.outcome(action, answer.as_ref().err());
        answer
    }

    fn limiter(&self, class: CallClass) -> Arc<Limiter> {
        let mut limiters = self.limiters.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(limiters.entry(class).or_insert_with(|| Arc::new(Limiter::new(class.rate()))))
    }
}

/// The right to make one call.
struct Turn {
    limiter: Arc<Limiter>,
    account: Option<Arc<Limiter>>,
    waited: Duration,
}

impl Turn {
    /// Leaves it to somebody else.
    fn give_back(&self) {
        self.limiter.give_back();
        self.account.iter().for_each(|account| account.give_back());
    }
}

/// How many calls an answer took: the long lists come in pages of 400, and each page is a call to AWS.
#[allow(clippy::wildcard_enum_match_arm, reason = "what else comes in pages is short")]
fn pages(answer: &Response) -> usize {
    const PAGE: usize = 400;
    match answer {
        Response::DescribeLoadBalancers(found) => found.len().div_ceil(PAGE),
        Response::DescribeTargetGroups(found) => found.len().div_ceil(PAGE),
        _ => 1,
    }
}

fn timeout(action: &'static str) -> ApiError {
    let seconds = CALL_DEADLINE.as_secs();
    let message = format!("no answer within {seconds} s; the call may have been done");
    ApiError { status: None, ..ApiError::new(action, ApiError::TIMEOUT, message) }
}
