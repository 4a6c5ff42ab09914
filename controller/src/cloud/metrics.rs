//! What is counted of clouds.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use daymark_providers::pass::End;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::connection::Connection;
use super::orphans::Findings;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct EndLabel {
    end: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ClusterLabel {
    cluster: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CallLabels {
    action: &'static str,
    outcome: &'static str,
}

/// The metrics; cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct CloudMetrics {
    load_balancers: Gauge,
    overdue: Gauge,
    passes: Family<EndLabel, Counter>,
    orphans: Family<ClusterLabel, Gauge>,
    calls: Family<CallLabels, Gauge>,
    waited: Gauge<f64, AtomicU64>,
}

impl CloudMetrics {
    /// Metrics in `registry`.
    pub fn new(registry: &mut Registry) -> Self {
        let this = Self::default();
        let m = this.clone();
        registry.register("daymark_cloud_load_balancers", "CloudLoadBalancers", m.load_balancers);
        registry.register("daymark_cloud_overdue", "Load balancers whose turn is due", m.overdue);
        registry.register("daymark_cloud_passes", "Passes over load balancers, by how they ended", m.passes);
        registry.register(
            "daymark_cloud_orphans",
            "Resources with the cluster's tag that no CloudLoadBalancer accounts for",
            m.orphans,
        );
        registry.register(
            "daymark_cloud_api_calls",
            "Calls to clouds since the start, by action and outcome (sent, throttled, timeout, error)",
            m.calls,
        );
        registry.register(
            "daymark_cloud_api_waited_seconds",
            "How long calls to clouds waited for their turn since the start, in sum",
            m.waited,
        );
        this
    }

    /// What was called so far through all connections.
    pub fn calls(&self, connections: &[Connection]) {
        let mut sums: BTreeMap<(&'static str, &'static str), u64> = BTreeMap::new();
        let mut waited = Duration::ZERO;
        for (action, counts) in connections.iter().flat_map(Connection::counts) {
            waited += counts.waited;
            let outcomes = [
                ("sent", counts.calls),
                ("throttled", counts.throttled),
                ("timeout", counts.timeouts),
                ("error", counts.errors),
            ];
            for (outcome, count) in outcomes {
                *sums.entry((action, outcome)).or_default() += count;
            }
        }
        for ((action, outcome), count) in sums {
            let gauge = self.calls.get_or_create(&CallLabels { action, outcome }).clone();
            gauge.set(i64::try_from(count).unwrap_or(i64::MAX));
        }
        self.waited.set(waited.as_secs_f64());
    }

    /// A pass ended.
    pub fn pass(&self, end: &End) {
        let end = match end {
            End::Converged => "Converged",
            End::Waiting(_) => "Waiting",
            End::Held => "Held",
            End::Shown => "Shown",
            End::Gone => "Gone",
            End::Failed(error) => error.class.as_str(),
            End::Unsaved(_) => "Unsaved",
        };
        self.passes.get_or_create(&EndLabel { end }).inc();
    }

    /// How many CloudLoadBalancers there are.
    pub fn load_balancers(&self, count: usize) {
        self.load_balancers.set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    /// How many are due.
    pub fn overdue(&self, count: usize) {
        self.overdue.set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    /// What a search for orphans found.
    pub fn orphans(&self, findings: &Findings) {
        if let Ok(orphans) = &findings.orphans {
            let label = ClusterLabel { cluster: findings.cluster.clone() };
            self.orphans.get_or_create(&label).set(i64::try_from(orphans.len()).unwrap_or(i64::MAX));
        }
    }
}
