//! When kube-proxy last wrote its rules, and when it was last asked to: from its `/metrics`.

use std::time::Duration;

use daymark_announce::SyncState;
use daymark_model::Family;

const LAST_SYNC: &str = "kubeproxy_sync_proxy_rules_last_timestamp_seconds";
const LAST_QUEUED: &str = "kubeproxy_sync_proxy_rules_last_queued_timestamp_seconds";
const SYNCS: &str = "kubeproxy_sync_proxy_rules_duration_seconds_count";
const SYNCING: &str = "kubeproxy_sync_proxy_rules_duration_seconds_sum";

/// What the proxier of each family says; a kube-proxy that does not tell them apart speaks for both.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct ProxyMetrics {
    v4: Option<SyncState>,
    v6: Option<SyncState>,
}

impl ProxyMetrics {
    /// What the proxier of `family` says; `None` when kube-proxy does not speak of it.
    pub fn of(&self, family: Family) -> Option<SyncState> {
        match family {
            Family::V4 => self.v4,
            Family::V6 => self.v6,
        }
    }

    pub(super) fn line(&mut self, line: &[u8]) {
        let Some((name, labels, value)) = sample(line) else { return };
        let set: fn(&mut SyncState, f64) = match name {
            LAST_SYNC => |state, value| state.synced = positive(value),
            LAST_QUEUED => |state, value| state.queued = positive(value),
            SYNCS => |state, value| state.syncs = Some(value as u64),
            SYNCING => |state, value| state.syncing = Duration::try_from_secs_f64(value).ok(),
            _ => return,
        };
        if !labels.contains("ip_family=\"IPv6\"") {
            set(self.v4.get_or_insert_default(), value);
        }
        if !labels.contains("ip_family=\"IPv4\"") {
            set(self.v6.get_or_insert_default(), value);
        }
    }
}

fn positive(value: f64) -> Option<Duration> {
    Duration::try_from_secs_f64(value).ok().filter(|d| !d.is_zero())
}

/// `name{labels} value`, for lines that can concern us.
fn sample(line: &[u8]) -> Option<(&str, &str, f64)> {
    if !line.starts_with(b"kubeproxy_sync_proxy_rules_") {
        return None;
    }
    let line = std::str::from_utf8(line).ok()?;
    let (series, value) = line.rsplit_once(' ')?;
    let value = value.parse().ok().filter(|v: &f64| v.is_finite())?;
    let (name, labels) = series.split_once('{').unwrap_or((series, ""));
    Some((name, labels, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> ProxyMetrics {
        let mut metrics = ProxyMetrics::default();
        text.lines().for_each(|line| metrics.line(line.as_bytes()));
        metrics
    }

    #[test]
    fn each_family_has_its_own_times() {
        let metrics = read(
            "# HELP kubeproxy_sync_proxy_rules_last_timestamp_seconds [ALPHA] ...\n\
             kubeproxy_sync_proxy_rules_last_queued_timestamp_seconds{ip_family=\"IPv4\"} 1.7638763934512534e+09\n\
             kubeproxy_sync_proxy_rules_last_queued_timestamp_seconds{ip_family=\"IPv6\"} 5\n\
             kubeproxy_sync_proxy_rules_last_timestamp_seconds{ip_family=\"IPv4\"} 1.7638763944512534e+09\n\
             kubeproxy_sync_proxy_rules_last_timestamp_seconds{ip_family=\"IPv6\"} 0\n\
             kubeproxy_sync_proxy_rules_duration_seconds_bucket{ip_family=\"IPv4\",le=\"0.001\"} 0\n\
             kubeproxy_sync_proxy_rules_duration_seconds_sum{ip_family=\"IPv4\"} 0.75\n\
             kubeproxy_sync_proxy_rules_duration_seconds_count{ip_family=\"IPv4\"} 3\n\
             kubeproxy_sync_proxy_rules_no_local_endpoints_total{traffic_policy=\"external\"} 0\n",
        );
        let v4 = metrics.of(Family::V4).unwrap();
        assert_eq!(v4.queued.unwrap().as_micros(), 1_763_876_393_451_253);
        assert_eq!(v4.synced.unwrap() - v4.queued.unwrap(), Duration::from_secs(1));
        assert_eq!((v4.syncs, v4.syncing), (Some(3), Some(Duration::from_millis(750))));
        let v6 = metrics.of(Family::V6).unwrap();
        assert_eq!(v6, SyncState { queued: Some(Duration::from_secs(5)), ..SyncState::default() });
    }

    #[test]
    fn a_kube_proxy_without_families_counts_for_both() {
        let metrics = read("kubeproxy_sync_proxy_rules_last_timestamp_seconds 7\n");
        assert_eq!(metrics.of(Family::V4), metrics.of(Family::V6));
        assert_eq!(metrics.of(Family::V4).unwrap().synced, Some(Duration::from_secs(7)));
    }

    #[test]
    fn another_programs_metrics_say_nothing() {
        assert_eq!(
            read("go_goroutines 7\nkubeproxy_sync_proxy_rules_last_timestamp_seconds NaN\n").of(Family::V4),
            None
        );
    }
}
