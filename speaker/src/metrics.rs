//! The numbers that the speaker exports.
//!
//! Label sets are bounded: by the neighbors of the node, by the families, by the words of an enum; never by Services.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use daymark_model::Family;
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family as Vector;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

mod l2;

pub use l2::L2Metrics;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct NeighborLabels {
    neighbor: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RouteLabels {
    neighbor: String,
    family: String,
}

/// What a change does to routes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
pub enum Direction {
    /// Routes go out, or change.
    Announce,
    /// Routes are taken back.
    Withdraw,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelSet)]
struct DirectionLabels {
    direction: Direction,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReasonLabels {
    reason: &'static str,
}

/// What the speaker exports beside what the watches and the admin endpoint export by themselves.
#[derive(Debug, Clone)]
pub struct Metrics {
    session_up: Vector<NeighborLabels, Gauge>,
    session_flaps: Vector<NeighborLabels, Counter>,
    routes_advertised: Vector<RouteLabels, Gauge>,
    event_to_wire: Vector<DirectionLabels, Histogram>,
    refusals: Vector<ReasonLabels, Gauge>,
    /// How long announcements waited until kube-proxy could serve them.
    pub gate_wait: Histogram,
    /// Addresses that wait for kube-proxy.
    pub gate_waiting: Gauge,
    /// 1 while kube-proxy's health demotes the node.
    pub proxy_demoted: Gauge,
    /// Writes of the Speaker's status.
    pub status_writes: Counter,
    /// What is counted of layer 2.
    pub l2: L2Metrics,
    /// Seconds since the epoch at which the caches were complete; 0 before.
    pub synced_at: Gauge<f64, AtomicU64>,
}

impl Metrics {
    /// The metrics, registered.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            session_up: Vector::default(),
            session_flaps: Vector::default(),
            routes_advertised: Vector::default(),
            event_to_wire: Vector::new_with_constructor(|| {
                Histogram::new(exponential_buckets(0.000_1, 2.0, 18))
            }),
            gate_wait: Histogram::new(exponential_buckets(0.005, 2.0, 14)),
            gate_waiting: Gauge::default(),
            refusals: Vector::default(),
            proxy_demoted: Gauge::default(),
            status_writes: Counter::default(),
            l2: L2Metrics::register(registry.sub_registry_with_prefix("daymark_l2")),
            synced_at: Gauge::default(),
        };
        let m = metrics.clone();
        let bgp = registry.sub_registry_with_prefix("daymark_bgp");
        bgp.register("session_up", "1 while the session is Established", m.session_up);
        bgp.register("session_flaps", "Times an Established session was lost", m.session_flaps);
        bgp.register("routes_advertised", "Routes the neighbor has from this node", m.routes_advertised);
        let speaker = registry.sub_registry_with_prefix("daymark_speaker");
        speaker.register(
            "event_to_wire_seconds",
            "From the arrival of a watch event to the routes in the socket, gate wait excepted",
            m.event_to_wire,
        );
        speaker.register("gate_wait_seconds", "Wait of announcements for kube-proxy's rules", m.gate_wait);
        speaker.register("gate_waiting", "Addresses that wait for kube-proxy's rules", m.gate_waiting);
        speaker.register(
            "addresses_refused",
            "Addresses of Services that do not go out, by reason",
            m.refusals,
        );
        speaker.register(
            "proxy_demoted",
            "1 while kube-proxy's health demotes this node's routes",
            m.proxy_demoted,
        );
        speaker.register("status_writes", "Writes of this node's Speaker status", m.status_writes);
        speaker.register("synced_timestamp_seconds", "When the caches were complete; 0 before", m.synced_at);
        metrics
    }

    /// What a session's status says.
    pub fn session(&self, neighbor: &str, up: bool, flaps: u64) {
        let labels = NeighborLabels { neighbor: neighbor.to_owned() };
        self.session_up.get_or_create(&labels).set(up.into());
        let counted = self.session_flaps.get_or_create(&labels);
        counted.inc_by(flaps.saturating_sub(counted.get()));
    }

    /// How many routes of `family` the neighbor has.
    pub fn routes_sent(&self, neighbor: &str, family: Family, routes: usize) {
        let labels = RouteLabels { neighbor: neighbor.to_owned(), family: family.to_string() };
        self.routes_advertised.get_or_create(&labels).set(i64::try_from(routes).unwrap_or(i64::MAX));
    }

    /// Drops the series of a neighbor that is gone.
    pub fn forget_neighbor(&self, neighbor: &str) {
        let labels = NeighborLabels { neighbor: neighbor.to_owned() };
        self.session_up.remove(&labels);
        self.session_flaps.remove(&labels);
        for family in [Family::V4, Family::V6] {
            let labels = RouteLabels { neighbor: neighbor.to_owned(), family: family.to_string() };
            self.routes_advertised.remove(&labels);
        }
    }

    /// A change came to the socket so long after its cause.
    pub fn wire_time(&self, direction: Direction, elapsed: Duration) {
        self.event_to_wire.get_or_create(&DirectionLabels { direction }).observe(elapsed.as_secs_f64());
    }

    /// How many addresses do not go out for each reason.
    pub fn refused(&self, counts: &BTreeMap<&'static str, usize>) {
        self.refusals.clear();
        for (&reason, &count) in counts {
            let labels = ReasonLabels { reason };
            self.refusals.get_or_create(&labels).set(i64::try_from(count).unwrap_or(i64::MAX));
        }
    }
}
