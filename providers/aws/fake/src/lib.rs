//! An AWS account in memory, behind [`daymark_aws::api::Api`]: Elastic Load Balancing v2 and what it needs of EC2, with AWS's
//! rules, delays, limits and moods.
//!
//! ```no_run
//! # async fn test() -> Result<(), daymark_aws::api::ApiError> {
//! use daymark_aws::api::{ask, DescribeLoadBalancers, Which};
//! use daymark_aws_fake::{Aws, Fault, On};
//!
//! let aws = Aws::builder().zones(3).build();
//! aws.fail(On::action("DescribeLoadBalancers"), 1, Fault::Throttled);
//! assert!(ask(&aws, DescribeLoadBalancers { which: Which::All }).await.is_err());
//! assert!(ask(&aws, DescribeLoadBalancers { which: Which::All }).await?.is_empty());
//! # Ok(())
//! # }
//! ```
//!
//! | module | about |
//! |---|---|
//! | [`account`] | what was there at the start |
//! | [`clock`] | how long things take, and how late they are seen |
//! | [`faults`] | what goes wrong beside a call's own fault |
//! | [`foreign`] | what somebody else does |
//! | `freshness` | what is so new that it is not found yet |
//! | [`inspect`] | what there is, and what was left behind |
//! | [`lbc`] | what the AWS Load Balancer Controller has made |
//! | [`log`] | which calls were made |
//! | [`quota`] | how many of what there may be |
//! | [`throttle`] | how fast the API may be called |
//! | `load_balancer`, `zone`, `listener`, `target_group`, `target`, `attributes`, `tags` | Elastic Load Balancing |
//! | `network`, `security_group` | EC2 |

pub mod account;
mod attributes;
pub mod clock;
mod dispatch;
pub mod faults;
pub mod foreign;
mod freshness;
pub mod inspect;
pub mod lbc;
mod listener;
mod load_balancer;
pub mod log;
mod network;
pub mod quota;
mod refusal;
mod security_group;
mod state;
mod tags;
mod target;
mod target_group;
pub mod throttle;
mod zone;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use daymark_aws::api::{Api, ApiError, Request, Response};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep};

pub use account::{Account, Builder};
pub use clock::{Consistency, Timing};
pub use faults::{Fault, On, RandomFaults};
pub use inspect::Snapshot;
pub use log::{CallRecord, Fate};
pub use quota::Quotas;
pub use throttle::CallClass;

use clock::Hand;
use faults::Faults;
use log::{Log, Place, is_write};
use state::{ACCOUNT, State};
use throttle::Throttle;

/// An AWS account. Clones are the same account.
#[derive(Clone)]
pub struct Aws {
    inner: Arc<Mutex<Inner>>,
    account: Arc<Account>,
    crashes: Arc<Notify>,
}

struct Inner {
    started: Instant,
    state: State,
    faults: Faults,
    throttle: Throttle,
    log: Log,
}

/// A call that has been let in, or not.
struct Admission {
    place: Place,
    wait: Duration,
    timeout: Duration,
    fault: Option<Fault>,
    refusal: Option<ApiError>,
}

impl Inner {
    fn admit(&mut self, request: &Request) -> Admission {
        let now = Instant::now();
        let (action, is_write) = (request.action(), is_write(request));
        let place = self.log.begin(now.saturating_duration_since(self.started), request.clone());
        let fault = self.faults.next(action, is_write);
        let timing = &self.state.timing;
        let usual = if is_write { timing.write } else { timing.read };
        let wait = match &fault {
            Some(Fault::Slow(longer)) => usual + *longer,
            Some(Fault::Timeout) => timing.timeout,
            Some(
                Fault::Error { .. }
                | Fault::Throttled
                | Fault::Unavailable
                | Fault::LostResponse
                | Fault::Disconnected
                | Fault::CrashBefore
                | Fault::CrashAfter,
            )
            | None => usual,
        };
        let timeout = timing.timeout;
        let refusal = self.refusal(action, is_write, now, fault.as_ref());
        Admission { place, wait, timeout, fault, refusal }
    }

    /// The error of a call that is not even looked at.
    fn refusal(
        &mut self,
        action: &'static str,
        is_write: bool,
        now: Instant,
        fault: Option<&Fault>,
    ) -> Option<ApiError> {
        fault.and_then(|fault| by_fault(action, fault)).or_else(|| self.gate(action, is_write, now))
    }

    /// What stands before every call: its credentials, the pace, the policy.
    fn gate(&mut self, action: &'static str, is_write: bool, now: Instant) -> Option<ApiError> {
        if !self.throttle.admits(action, is_write, now) {
            return Some(faults::throttled(action));
        }
        if self.faults.are_credentials_expired {
            return Some(faults::expired(action));
        }
        let principal = format!("arn:aws:sts::{ACCOUNT}:assumed-role/daymark/controller");
        self.faults.is_denied(action).then(|| faults::denied(action, &principal))
    }

    fn apply(&mut self, hand: Hand, request: &Request) -> Result<Response, ApiError> {
        self.state.settle(Instant::now());
        self.state.apply(hand, request)
    }
}

/// The error that a fault is, where it keeps a call from being looked at.
fn by_fault(action: &'static str, fault: &Fault) -> Option<ApiError> {
    match fault {
        Fault::Error { code, status } => {
            Some(faults::refused(action, code, *status, "an error was asked for"))
        }
        Fault::Throttled => Some(faults::throttled(action)),
        Fault::Unavailable => Some(faults::unavailable(action)),
        Fault::Timeout => Some(timed_out(action)),
        Fault::Disconnected => {
            Some(faults::unanswered(action, ApiError::CONNECTION, "connection reset by peer"))
        }
        Fault::LostResponse | Fault::CrashBefore | Fault::CrashAfter | Fault::Slow(_) => None,
    }
}

fn timed_out(action: &'static str) -> ApiError {
    faults::unanswered(action, ApiError::TIMEOUT, "no answer came in time")
}

impl Aws {
    /// An account as it is to be.
    pub fn builder() -> Builder {
        Builder::default()
    }

    pub(crate) fn new(state: State, account: Account, throttle: Throttle) -> Self {
        let (started, faults, log) = (state.now, Faults::default(), Log::default());
        let inner = Inner { started, state, faults, throttle, log };
        Self {
            inner: Arc::new(Mutex::new(inner)),
            account: Arc::new(account),
            crashes: Arc::new(Notify::new()),
        }
    }

    /// What was there at the start.
    pub fn account(&self) -> &Account {
        &self.account
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is now, with all that time has done.
    pub(crate) fn with_state<R>(&self, act: impl FnOnce(&mut State) -> R) -> R {
        let mut inner = self.lock();
        inner.state.settle(Instant::now());
        inner.state.hand = Hand::Other;
        act(&mut inner.state)
    }

    /// The next `times` calls like this fail so.
    pub fn fail(&self, on: On, times: u32, fault: Fault) {
        self.fail_after(0, on, times, fault);
    }

    /// After `skip` calls like this, the next `times` fail so.
    pub fn fail_after(&self, skip: u32, on: On, times: u32, fault: Fault) {
        self.lock().faults.script(on, skip, times, fault);
    }

    /// Calls fail as the dice fall; `None` = no more.
    pub fn fail_at_random(&self, random: Option<RandomFaults>) {
        self.lock().faults.random(random);
    }

    /// Nothing more is to go wrong: no scripts, no dice. Policies and credentials stay as they are.
    pub fn heal(&self) {
        self.lock().faults.clear();
    }

    /// The policy no longer allows these actions (`CreateLoadBalancer`, `ec2:*`).
    pub fn deny(&self, actions: &str) {
        self.lock().faults.deny(actions);
    }

    /// Takes a [`Self::deny`] back.
    pub fn allow(&self, actions: &str) {
        self.lock().faults.allow(actions);
    }

    /// The credentials are over.
    pub fn expire_credentials(&self) {
        self.lock().faults.are_credentials_expired = true;
    }

    /// There are new credentials.
    pub fn renew_credentials(&self) {
        self.lock().faults.are_credentials_expired = false;
    }

    /// Waits until a caller has died in a call ([`Fault::CrashBefore`], [`Fault::CrashAfter`]).
    pub async fn crashed(&self) {
        self.crashes.notified().await;
    }

    async fn die(&self) -> ! {
        self.crashes.notify_one();
        match std::future::pending::<std::convert::Infallible>().await {}
    }

    fn end(&self, place: Place, answer: Result<Response, ApiError>) -> Result<Response, ApiError> {
        let fate = answer.as_ref().map_or_else(|error| Fate::Failed(error.code.clone()), |_| Fate::Done);
        self.lock().log.end(place, fate);
        answer
    }
}

impl Api for Aws {
    async fn call(&self, request: Request) -> Result<Response, ApiError> {
        let admission = self.lock().admit(&request);
        if admission.fault == Some(Fault::CrashBefore) {
            self.die().await;
        }
        if !admission.wait.is_zero() {
            sleep(admission.wait).await;
        }
        if let Some(refusal) = admission.refusal {
            return self.end(admission.place, Err(refusal));
        }
        let answer = self.lock().apply(Hand::Caller, &request);
        match admission.fault {
            Some(Fault::CrashAfter) => self.die().await,
            Some(Fault::LostResponse) => {
                sleep(admission.timeout).await;
                self.end(admission.place, Err(timed_out(request.action())))
            }
            Some(
                Fault::Error { .. }
                | Fault::Throttled
                | Fault::Unavailable
                | Fault::Timeout
                | Fault::Disconnected
                | Fault::CrashBefore
                | Fault::Slow(_),
            )
            | None => self.end(admission.place, answer),
        }
    }
}
