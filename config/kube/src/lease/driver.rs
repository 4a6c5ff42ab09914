//! The side of leader election that talks to the API server.

use std::time::{Duration, Instant};

use k8s_openapi::api::coordination::v1::Lease;
use kube::api::PostParams;
use kube::{Api, Client};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::{LeaseSettings, Observed, Step, held, released};
use crate::client::{CallError, within};

/// Why there is no leadership, or none any more.
#[derive(Debug, thiserror::Error)]
pub enum LeaseError {
    /// The Lease could not be renewed in time.
    #[error("the Lease {name} could not be renewed for {} s: another replica may lead now", .silent.as_secs())]
    NotRenewed {
        /// The Lease.
        name: String,
        /// How long.
        silent: Duration,
    },
    /// Somebody else has it.
    #[error("the Lease {name} was taken by {holder}")]
    Taken {
        /// The Lease.
        name: String,
        /// Who has it.
        holder: String,
    },
}

/// The right to act, as long as it lasts; cheap to clone and to ask.
#[derive(Clone)]
pub struct Tenure {
    renewed: watch::Receiver<Instant>,
    duration: Duration,
}

impl Tenure {
    /// The instant before which nobody else can lead: every write must be answered or given up by then.
    pub fn ends(&self) -> Instant {
        *self.renewed.borrow() + self.duration
    }

    /// Whether a write that takes at most `longest` may be sent now.
    pub fn allows(&self, longest: Duration) -> bool {
        Instant::now() + longest < self.ends()
    }

    /// A tenure that ends `duration` from now, for what runs without an election.
    pub fn fixed(duration: Duration) -> Self {
        let (_, renewed) = watch::channel(Instant::now());
        Self { renewed, duration }
    }
}

/// Leadership that was won and is being renewed.
pub struct Leadership {
    tenure: Tenure,
    stop: CancellationToken,
    renewal: JoinHandle<Result<(), LeaseError>>,
}

impl Leadership {
    /// The right to act.
    pub fn tenure(&self) -> Tenure {
        self.tenure.clone()
    }

    /// Ends only when leadership is lost.
    pub async fn lost(&mut self) -> LeaseError {
        match (&mut self.renewal).await {
            Ok(Err(error)) => error,
            Ok(Ok(())) | Err(_) => LeaseError::Taken { name: String::new(), holder: "nobody".into() },
        }
    }

    /// Gives the Lease back, so that the next leader need not wait for it to expire.
    pub async fn release(self) {
        self.stop.cancel();
        match self.renewal.await {
            Ok(Ok(())) => info!("leadership released"),
            Ok(Err(error)) => warn!("{error}"),
            Err(error) => warn!(%error, "the renewal of the Lease ended"),
        }
    }
}

/// Waits until the Lease is ours; `None` when `stop` came first. The client should serve nothing else.
pub async fn acquire(
    client: Client,
    settings: LeaseSettings,
    stop: &CancellationToken,
) -> Option<Leadership> {
    let mut candidate = Candidate::new(client, settings);
    let won = tokio::select! {
        won = candidate.win() => won,
        () = stop.cancelled() => return None,
    };
    let (renewed, receiver) = watch::channel(won.at);
    let tenure = Tenure { renewed: receiver, duration: candidate.settings.duration };
    let stop = CancellationToken::new();
    let renewal = tokio::spawn(candidate.hold(won, renewed, stop.clone()));
    Some(Leadership { tenure, stop, renewal })
}

/// A Lease that we hold since we sent the write at `at`.
struct Held {
    lease: Lease,
    at: Instant,
}

struct Candidate {
    api: Api<Lease>,
    settings: LeaseSettings,
    seen: Observed,
}

impl Candidate {
    fn new(client: Client, settings: LeaseSettings) -> Self {
        Self { api: Api::namespaced(client, &settings.namespace), settings, seen: Observed::default() }
    }

    fn call_deadline(&self) -> Duration {
        self.settings.renew_deadline / 3
    }

    async fn win(&mut self) -> Held {
        let mut failures = 0_u32;
        let mut waiting_for = String::new();
        loop {
            let pause = match self.attempt().await {
                Ok(Ok(held)) => {
                    info!(lease = %self.settings.name, identity = %self.settings.identity, "leading");
                    return held;
                }
                Ok(Err((remaining, holder))) => {
                    failures = 0;
                    if waiting_for != holder {
                        info!(lease = %self.settings.name, %holder, "waiting: another replica leads");
                        waiting_for = holder;
                    }
                    remaining.min(self.settings.look_every)
                }
                Err(error) => {
                    failures = failures.saturating_add(1);
                    if failures.is_power_of_two() {
                        warn!(lease = %self.settings.name, attempt = failures, "{}", remedy(&self.settings, &error));
                    }
                    self.settings.look_every * failures.min(3)
                }
            };
            tokio::time::sleep(pause).await;
        }
    }

    /// One look, and the write that follows from it; else how long the Lease still holds, and who holds it.
    async fn attempt(&mut self) -> Result<Result<Held, (Duration, String)>, CallError> {
        let lease = within(self.call_deadline(), self.api.get_opt(&self.settings.name)).await?;
        let at = Instant::now();
        let step = self.seen.evaluate(&self.settings, lease.as_ref(), at);
        let ours = held(&self.settings, lease.as_ref(), jiff::Timestamp::now());
        let params = PostParams::default();
        let written = match step {
            Step::Wait { remaining } => {
                let holder = lease.and_then(|l| l.spec).and_then(|s| s.holder_identity).unwrap_or_default();
                return Ok(Err((remaining, holder)));
            }
            Step::Create => within(self.call_deadline(), self.api.create(&params, &ours)).await,
            Step::Take => {
                within(self.call_deadline(), self.api.replace(&self.settings.name, &params, &ours)).await
            }
        };
        match written {
            Ok(lease) => Ok(Ok(Held { lease, at })),
            Err(error) if error.code() == Some(409) => {
                Ok(Err((self.settings.look_every, "whoever was faster".to_owned())))
            }
            Err(error) => Err(error),
        }
    }

    /// Renews until told to stop, and then gives the Lease back.
    async fn hold(
        self,
        mut held: Held,
        renewed: watch::Sender<Instant>,
        stop: CancellationToken,
    ) -> Result<(), LeaseError> {
        loop {
            let next = held.at + self.settings.renew_every;
            tokio::select! {
                () = tokio::time::sleep_until(next.into()) => {}
                () = stop.cancelled() => return self.give_back(&held).await,
            }
            held = self.renew(held).await?;
            renewed.send_replace(held.at);
        }
    }

    async fn renew(&self, mut held: Held) -> Result<Held, LeaseError> {
        let until = held.at + self.settings.renew_deadline;
        let name = &self.settings.name;
        let mut failures = 0_u32;
        loop {
            let at = Instant::now();
            let Some(left) = until.checked_duration_since(at).filter(|left| !left.is_zero()) else {
                let silent = self.settings.renew_deadline;
                return Err(LeaseError::NotRenewed { name: name.clone(), silent });
            };
            let lease = super::held(&self.settings, Some(&held.lease), jiff::Timestamp::now());
            let deadline = left.min(self.call_deadline());
            let error = match within(deadline, self.api.replace(name, &PostParams::default(), &lease)).await {
                Ok(lease) => return Ok(Held { lease, at }),
                Err(error) => error,
            };
            failures = failures.saturating_add(1);
            if failures.is_power_of_two() {
                let attempt = failures;
                warn!(lease = %name, attempt, "the Lease is not renewed: {}", remedy(&self.settings, &error));
            }
            if matches!(error.code(), Some(404 | 409)) {
                held.lease = self.read_own(&held.lease, deadline).await?;
            }
            tokio::time::sleep(self.settings.look_every.min(left)).await;
        }
    }

    /// The Lease as it is now, when it is still ours: a write whose answer was lost has changed its version.
    async fn read_own(&self, known: &Lease, deadline: Duration) -> Result<Lease, LeaseError> {
        let name = self.settings.name.clone();
        let lease = match within(deadline, self.api.get_opt(&name)).await {
            Ok(Some(lease)) => lease,
            Ok(None) => return Err(LeaseError::Taken { name, holder: "nobody: it was deleted".into() }),
            Err(_) => return Ok(known.clone()),
        };
        let holder = lease.spec.as_ref().and_then(|s| s.holder_identity.clone()).unwrap_or_default();
        if holder == self.settings.identity { Ok(lease) } else { Err(LeaseError::Taken { name, holder }) }
    }

    async fn give_back(&self, held: &Held) -> Result<(), LeaseError> {
        let lease = released(&held.lease, jiff::Timestamp::now());
        let params = PostParams::default();
        let call = self.api.replace(&self.settings.name, &params, &lease);
        if let Err(error) = within(Duration::from_secs(1), call).await {
            warn!(lease = %self.settings.name, %error, "the Lease is left to expire");
        }
        Ok(())
    }
}

fn remedy(settings: &LeaseSettings, error: &CallError) -> String {
    let LeaseSettings { namespace, name, .. } = settings;
    match error.code() {
        Some(403) => format!(
            "we may not use the Lease {namespace}/{name}: fix the Role (get, create, update on leases.coordination.k8s.io)"
        ),
        Some(404) => {
            format!("the namespace {namespace} is missing: apply deploy/manifests, or give --namespace")
        }
        _ => format!("{error}"),
    }
}
