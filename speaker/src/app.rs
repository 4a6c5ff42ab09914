//! Puts the speaker together: watches and local observations to the owner, the owner to the drivers.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::time::Duration;

use anyhow::Context;
use daymark_announce::GateSettings;
use daymark_kube::admin::Admin;
use daymark_kube::pump::PumpContext;
use daymark_kube::{ApiServer, Health};
use daymark_model::NodeName;
use prometheus_client::registry::Registry;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::info;

use crate::bgp::{BgpDriver, BgpEvent};
use crate::flags::Flags;
use crate::metrics::Metrics;
use crate::netlink::HostNetwork;
use crate::owner::{Owner, Wires};
use crate::probe::{self, ProxyEndpoints, Wanted};
use crate::segments::{Segments, SegmentsConfig};
use crate::sessions::{Observer, Routers};
use crate::status::Writer;
use crate::watches::Input;
use crate::{introspection, netlink, watches};

/// How many inputs may wait for the owner before the watches do.
const INPUTS: usize = 1024;
const ANSWERS: usize = 64;
/// The port that passive neighbors connect to.
const LISTEN_PORT: u16 = 179;
/// How long handing over to other nodes of the segments may take.
const HAND_OVER: Duration = Duration::from_secs(2);
/// How long the end may take beside the wait for the routers.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// Runs the speaker until `stop`; then it leaves without losing a packet.
///
/// # Errors
/// When it cannot start: no API server is known, the kernel gives no netlink socket, the metrics address is taken.
pub async fn run(flags: Flags, stop: CancellationToken) -> anyhow::Result<()> {
    let node = NodeName::from(flags.node_name.as_str());
    info!(%node, version = env!("CARGO_PKG_VERSION"), "starting");
    let api = ApiServer::load(flags.common.kubeconfig.as_deref()).await?;
    let health = Health::default();
    let mut registry = Registry::default();
    let metrics = Metrics::register(&mut registry);
    let context = PumpContext::new(api.client()?, health.clone(), &mut registry);

    let (to_owner, inputs) = mpsc::channel(INPUTS);
    let admin = introspection::serve(Admin::new(health.clone(), registry), &to_owner);
    let address = flags.common.metrics_address;
    let serving = CancellationToken::new();
    let (_, served) =
        admin.bind(address, serving.clone()).await.with_context(|| format!("cannot serve on {address}"))?;
    tokio::spawn(served);

    let (events, heard) = mpsc::unbounded_channel();
    let driver = BgpDriver { listen_port: LISTEN_PORT, seed: RandomState::new().hash_one(&flags.node_name) };
    let bgp = driver.spawn(events).context("cannot start the BGP driver")?;
    let (routers, known_routers) = watch::channel(Routers::default());
    tokio::spawn(observe_sessions(heard, Observer::new(metrics.clone(), known_routers)));

    let (watcher, networks) = netlink::Watcher::start().await?;
    tokio::spawn(netlink::follow(watcher));
    tokio::spawn(tell_networks(networks.clone(), to_owner.clone()));
    watches::start(&context, &node, &flags.common.namespace, &to_owner);
    drop(to_owner);

    let (wanted, asked_for) = watch::channel(Wanted::default());
    let (to_gate, answers) = mpsc::channel(ANSWERS);
    let endpoints = ProxyEndpoints {
        metrics: flags.proxy_metrics_address,
        health: flags.proxy_health_address,
        ..ProxyEndpoints::default()
    };
    tokio::spawn(probe::run(endpoints, asked_for, to_gate));

    let writers = TaskTracker::new();
    let written = CancellationToken::new();
    let (reports, to_write) = watch::channel(None);
    let writer = Writer::new(api.client()?, node.clone(), to_write, metrics.status_writes.clone());
    writers.spawn(writer.run(written.clone()));
    writers.close();

    let (port, counted) = (flags.mesh_port, metrics.clone());
    let segments = SegmentsConfig { node: node.clone(), port, networks, metrics: counted };
    let segments = Segments::new(segments, api.client()?);
    let gate = GateSettings { delay: flags.announce_delay, ..GateSettings::default() };
    let wires = Wires { inputs, answers, wanted, reports, bgp: bgp.clone(), routers, segments };
    let mut owner = Owner::new(node.clone(), gate, flags.drain_wait, wires, metrics, health);
    owner.run_until(stop.cancelled()).await;

    let goodbye = format!("speaker on node {node} stops");
    let (addresses, routed, wait) = (owner.announced(), owner.routed(), flags.drain_wait);
    match (addresses, routed) {
        (0, _) => info!(%node, "leaving: no address is out"),
        (_, 0) => info!(%node, addresses, "leaving: other nodes of the segments take over"),
        _ => info!(%node, addresses, ?wait, "leaving: routes become the last resort (GRACEFUL_SHUTDOWN)"),
    }
    let handed_over = owner.hand_over(HAND_OVER);
    owner.run_until(async { tokio::join!(bgp.shutdown(goodbye, wait), handed_over) }).await;
    info!(%node, "left: the routes are withdrawn, the sessions closed, the segments left to others");
    owner.last_report();
    written.cancel();
    // What the API server does not take in time is written by the next speaker on this node.
    let _ = tokio::time::timeout(LAST_WORDS, writers.wait()).await;
    serving.cancel();
    info!(%node, "stopped");
    Ok(())
}

async fn tell_networks(mut networks: watch::Receiver<HostNetwork>, to: mpsc::Sender<Input>) {
    loop {
        let network = networks.borrow_and_update().clone();
        if to.send(Input::Network(network)).await.is_err() || networks.changed().await.is_err() {
            return;
        }
    }
}

async fn observe_sessions(mut heard: mpsc::UnboundedReceiver<BgpEvent>, mut observer: Observer) {
    while let Some(event) = heard.recv().await {
        observer.observe(event);
    }
}
