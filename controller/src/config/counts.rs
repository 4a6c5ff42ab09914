//! The counts in an AddressPool's status.

use daymark_config::crd::{AddressPool, FamilyCounts};
use daymark_pool::PoolReport;
use serde_json::{Map, Value, json};

/// The counts of a pool; `None` for a family that it has no addresses of.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// IPv4.
    pub ipv4: Option<FamilyCounts>,
    /// IPv6.
    pub ipv6: Option<FamilyCounts>,
}

impl Counts {
    /// What the status of `pool` shows.
    pub fn shown(pool: &AddressPool) -> Self {
        let status = pool.status.as_ref();
        Self { ipv4: status.and_then(|s| s.ipv4), ipv6: status.and_then(|s| s.ipv6) }
    }

    /// What it should show.
    pub fn of(report: &PoolReport) -> Self {
        let family = |counts: daymark_pool::FamilyCounts| {
            let daymark_pool::FamilyCounts { total, assigned, available, quarantined } = counts;
            (counts != daymark_pool::FamilyCounts::default()).then_some(FamilyCounts {
                total,
                assigned,
                available,
                quarantined,
            })
        };
        Self { ipv4: family(report.ipv4), ipv6: family(report.ipv6) }
    }

    /// The fields of a merge patch.
    pub fn fields(&self) -> Map<String, Value> {
        Map::from_iter([("ipv4".to_owned(), json!(self.ipv4)), ("ipv6".to_owned(), json!(self.ipv6))])
    }
}
