//! Start, leadership, stop.
//!
//! A standby holds no caches: its watches start after it leads. Losing the Lease ends the process, with all that it holds
//! and has in flight, and a new one stands by in its place: were it left to the kubelet, an API server that fails twice in
//! ten minutes would leave the cluster without a standby for the length of a crash back-off.

use std::os::unix::process::CommandExt;
use std::process::Command;
use std::time::Duration;

use anyhow::Context;
use daymark_kube::daemon::CommonFlags;
use daymark_kube::events::Recorder;
use daymark_kube::lease::{self, Leadership, LeaseError, LeaseSettings};
use daymark_kube::pump::PumpContext;
use daymark_kube::{ApiServer, Check, Health, admin::Admin};
use daymark_pool::Settings;
use prometheus_client::registry::Registry;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::mesh_key::MeshKey;
use crate::metrics::Metrics;
use crate::owner::Owner;
use crate::writer::Writer;
use crate::{Flags, NAME, feed};

/// How many updates may wait for the owner before the watches pause.
const FEED_BACKLOG: usize = 4096;
/// How long a stopping leader waits for writes that are in flight.
const LAST_WRITES: Duration = Duration::from_millis(800);

/// Runs the controller until `stop`, or until it must end.
///
/// # Errors
/// When it cannot start, or has lost the Lease and cannot start anew.
pub async fn run(flags: Flags, stop: CancellationToken) -> anyhow::Result<()> {
    let identity = flags.identity();
    info!(version = env!("CARGO_PKG_VERSION"), identity, "starting");
    let CommonFlags { kubeconfig, namespace, metrics_address, .. } = &flags.common;
    let server = ApiServer::load(kubeconfig.as_deref()).await?;
    let (lease_client, watch_client, write_client) = (server.client()?, server.client()?, server.client()?);

    let mut registry = Registry::default();
    let health = Health::default();
    let metrics = Metrics::new(&mut registry);
    let pumps = PumpContext::new(watch_client, health.clone(), &mut registry);
    #[cfg(feature = "aws")]
    let (cloud_metrics, cloud_pumps) =
        (crate::cloud::metrics::CloudMetrics::new(&mut registry), pumps.clone());
    let recorder = Recorder::spawn(write_client.clone(), NAME, &identity, &mut registry);
    let admin = Admin::new(health.clone(), registry);
    let bound = admin.bind(*metrics_address, stop.child_token()).await;
    let (address, serve) =
        bound.with_context(|| format!("--metrics-address {metrics_address} cannot be bound"))?;
    info!(%address, server = server.url(), "serving metrics");
    tokio::spawn(serve);

    health.set("leadership", Check::Degraded("another replica leads; this one is waiting".into()));
    let settings = LeaseSettings::new(namespace, NAME, &identity);
    let Some(mut leadership) = lease::acquire(lease_client, settings, &stop).await else { return Ok(()) };
    health.set("leadership", Check::Good);
    metrics.leader.set(1);

    let (signals, feed) = mpsc::channel(FEED_BACKLOG);
    feed::spawn(&pumps, &signals);
    let mesh_key = MeshKey::new(write_client.clone(), namespace, leadership.tenure(), health.clone());
    tokio::spawn(async move { mesh_key.run(&pumps).await });
    #[cfg(feature = "aws")]
    tokio::spawn(crate::cloud::run(
        cloud_pumps,
        crate::cloud::Surroundings {
            namespace: namespace.clone(),
            client: write_client.clone(),
            tenure: leadership.tenure(),
            recorder: recorder.clone(),
            metrics: cloud_metrics,
            health: health.clone(),
        },
        stop.child_token(),
    ));
    let writer = Writer::new(write_client, leadership.tenure());
    let assigner = Settings { built_in_default: !flags.require_class, ..Settings::default() };
    let mut owner = Owner::new(assigner, writer, recorder, metrics, health);
    tokio::select! {
        lost = leadership.lost() => Err(begin_anew(lost)),
        () = owner.run(feed, &stop) => {
            finish(owner, leadership).await;
            Ok(())
        }
    }
}

/// Puts a new process in the place of this one; returns only when that cannot be done.
fn begin_anew(lost: LeaseError) -> anyhow::Error {
    warn!("{lost}: starting anew as a standby");
    let mut arguments = std::env::args_os();
    let mut program = Command::new("/proc/self/exe");
    if let Some(name) = arguments.next() {
        program.arg0(name);
    }
    let refused = program.args(arguments).exec();
    anyhow::Error::from(lost).context(format!("cannot start anew ({refused})"))
}

/// Lets the writes in flight end, so that the next leader starts from what they left.
async fn finish(owner: Owner, leadership: Leadership) {
    // A write that does not end in time meets its precondition.
    let _ = tokio::time::timeout(LAST_WRITES, owner.drain()).await;
    leadership.release().await;
}
