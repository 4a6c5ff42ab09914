//! What is counted.

use std::time::Duration;

use daymark_pool::{PoolReport, Summary, WriteAction, WriteResult};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReasonLabel {
    reason: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct WriteLabels {
    action: &'static str,
    result: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PoolLabels {
    pool: String,
    family: &'static str,
    state: &'static str,
}

/// What is counted; cheap to clone.
#[derive(Clone)]
pub struct Metrics {
    /// 1 while this replica leads.
    pub leader: Gauge,
    assigned: Gauge,
    waiting: Family<ReasonLabel, Gauge>,
    writes_in_flight: Gauge,
    writes: Family<WriteLabels, Counter>,
    write_seconds: Histogram,
    allocation_seconds: Histogram,
    pools: Family<PoolLabels, Gauge>,
}

impl Metrics {
    /// Metrics in `registry`.
    pub fn new(registry: &mut Registry) -> Self {
        let metrics = Self {
            leader: Gauge::default(),
            assigned: Gauge::default(),
            waiting: Family::default(),
            writes_in_flight: Gauge::default(),
            writes: Family::default(),
            write_seconds: Histogram::new(exponential_buckets(0.001, 2.0, 13)),
            allocation_seconds: Histogram::new(exponential_buckets(0.001, 2.0, 18)),
            pools: Family::default(),
        };
        let m = metrics.clone();
        registry.register("daymark_leader", "1 while this replica leads", m.leader);
        registry.register("daymark_services_assigned", "Services with all addresses they want", m.assigned);
        registry.register("daymark_services_waiting", "Services that lack an address, by reason", m.waiting);
        registry.register("daymark_writes_in_flight", "Writes that wait for an answer", m.writes_in_flight);
        registry.register("daymark_writes", "Writes by action and result", m.writes);
        registry.register_with_unit(
            "daymark_write",
            "From sending a write to its answer",
            Unit::Seconds,
            m.write_seconds,
        );
        registry.register_with_unit(
            "daymark_allocation",
            "From seeing a Service without address to its address in the status",
            Unit::Seconds,
            m.allocation_seconds,
        );
        registry.register("daymark_pool_addresses", "Addresses of a pool by family and state", m.pools);
        metrics
    }

    /// How the Services stand.
    pub fn summary(&self, summary: &Summary) {
        let count = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
        self.assigned.set(count(summary.assigned));
        self.writes_in_flight.set(count(summary.in_flight));
        self.waiting.clear();
        for (reason, waiting) in &summary.waiting {
            self.waiting.get_or_create(&ReasonLabel { reason }).set(count(*waiting));
        }
    }

    /// A pool's counts.
    pub fn pool(&self, report: &PoolReport) {
        for (family, counts) in [("IPv4", report.ipv4), ("IPv6", report.ipv6)] {
            let states = [
                ("total", counts.total),
                ("assigned", counts.assigned),
                ("available", counts.available),
                ("quarantined", counts.quarantined),
            ];
            for (state, count) in states {
                let labels = PoolLabels { pool: report.pool.as_str().to_owned(), family, state };
                self.pools.get_or_create(&labels).set(count);
            }
        }
    }

    /// Forgets all pools: those that are left report again.
    pub fn pool_gone(&self, pool: &str) {
        for family in ["IPv4", "IPv6"] {
            for state in ["total", "assigned", "available", "quarantined"] {
                self.pools.remove(&PoolLabels { pool: pool.to_owned(), family, state });
            }
        }
    }

    /// A write that ended after `took`.
    pub fn write(&self, action: &'static str, result: &WriteResult, took: Duration) {
        let result = match result {
            WriteResult::Done(_) => "Done",
            WriteResult::Conflict => "Conflict",
            WriteResult::AlreadyExists(_) => "AlreadyExists",
            WriteResult::NotFound => "NotFound",
            WriteResult::UidMismatch => "UidMismatch",
            WriteResult::Failed { .. } => "Failed",
        };
        self.writes.get_or_create(&WriteLabels { action, result }).inc();
        self.write_seconds.observe(took.as_secs_f64());
    }

    /// A Service got its address after `took`.
    pub fn allocated(&self, took: Duration) {
        self.allocation_seconds.observe(took.as_secs_f64());
    }
}

/// The name of an action in metrics.
pub fn name_of(action: &WriteAction) -> &'static str {
    match action {
        WriteAction::CreateClaim(_) => "CreateClaim",
        WriteAction::ReplaceClaim { .. } => "ReplaceClaim",
        WriteAction::DeleteClaim { .. } => "DeleteClaim",
        WriteAction::PatchServiceStatus { .. } => "PatchServiceStatus",
    }
}
