//! Services whose load balancers are made in a cloud: the side that knows Kubernetes.
//!
//! | module | about |
//! |---|---|
//! | [`feed`] | watches |
//! | [`index`] | what there is, and what follows from it for each load balancer |
//! | [`owner`] | the one task that owns all that |
//! | [`turn`] | one load balancer, once: object, finalizers, pass, letting go |
//! | [`object`] | CloudLoadBalancers, and what is written to Services beside their statuses |
//! | [`say`] | what is told in conditions, statuses and events |
//! | [`board`] | the writes that tell it |
//! | [`connection`] | connections to clouds |
//! | [`lbc`] | the AWS Load Balancer Controller beside us |
//! | [`orphans`] | what nobody accounts for |
//! | [`metrics`] | what is counted |
//!
//! A Service's object is made before its first call to the cloud, and its inventory is saved before each call that makes
//! something, so that whoever leads next finds all of it.

pub mod board;
pub mod connection;
pub mod feed;
pub mod index;
pub mod lbc;
pub mod metrics;
pub mod object;
pub mod orphans;
pub mod owner;
pub mod say;
pub mod turn;

use daymark_kube::Health;
use daymark_kube::events::Recorder;
use daymark_kube::lease::Tenure;
use daymark_kube::pump::PumpContext;
use kube::Client;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use metrics::CloudMetrics;
use owner::Owner;

/// How many updates may wait for the owner before the watches pause.
const BACKLOG: usize = 4096;

/// What this part of the controller needs of the rest.
pub struct Surroundings {
    /// Where Daymark's own objects are.
    pub namespace: String,
    /// A client for writes.
    pub client: Client,
    /// The right to act.
    pub tenure: Tenure,
    /// Events.
    pub recorder: Recorder,
    /// Metrics.
    pub metrics: CloudMetrics,
    /// Health.
    pub health: Health,
}

/// Provisions load balancers in clouds until `stop`. While no profile and no CloudLoadBalancer needs a cloud, nothing but
/// these two kinds is watched.
pub async fn run(context: PumpContext, surroundings: Surroundings, stop: CancellationToken) {
    let (signals, feed) = mpsc::channel(BACKLOG);
    feed::spawn_few(&context, &signals);
    let watch_rest = move || feed::spawn_rest(&context, &signals);
    Owner::new(surroundings).run(feed, watch_rest, stop).await;
}
