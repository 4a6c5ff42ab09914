//! What hardly ever changes is asked for once an hour: quotas, and the prefixes of VPCs.

use std::collections::BTreeMap;
use std::time::Duration;

use daymark_providers::CloudError;
use ipnet::IpNet;
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::api::{Api, DescribeAccountLimits, DescribeVpcs, Limit, ask};
use crate::observe::{Quotas, Surroundings};
use crate::refusal::refusal;

const KEPT_FOR: Duration = Duration::from_secs(3600);

/// Answers, with when they came.
#[derive(Debug, Default)]
pub(super) struct Cache {
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    quotas: Option<(Instant, Quotas)>,
    vpcs: BTreeMap<String, (Instant, Vec<IpNet>)>,
}

impl Cache {
    /// What is known of the account and of this VPC.
    pub(super) async fn surroundings<A: Api>(&self, api: &A, vpc: &str) -> Result<Surroundings, CloudError> {
        // Held while asking, so that many load balancers ask once.
        let mut kept = self.kept.lock().await;
        let now = Instant::now();
        let fresh = |at: Instant| now.saturating_duration_since(at) < KEPT_FOR;
        let quotas = match kept.quotas {
            Some((at, quotas)) if fresh(at) => quotas,
            Some(_) | None => {
                let quotas = match ask(api, DescribeAccountLimits {}).await {
                    Ok(limits) => quotas(&limits),
                    Err(error) => {
                        // Without the permission, or while AWS does not answer, those of a new account do.
                        tracing::debug!(%error, "quotas are not known");
                        Quotas::default()
                    }
                };
                kept.quotas = Some((now, quotas));
                quotas
            }
        };
        let prefixes = match kept.vpcs.get(vpc) {
            Some((at, prefixes)) if fresh(*at) => prefixes.clone(),
            Some(_) | None => {
                let found = ask(api, DescribeVpcs { ids: vec![vpc.to_owned()] }).await.map_err(refusal)?;
                let prefixes: Vec<IpNet> = found.into_iter().flat_map(|vpc| vpc.cidrs).collect();
                kept.vpcs.insert(vpc.to_owned(), (now, prefixes.clone()));
                prefixes
            }
        };
        Ok(Surroundings { vpc: prefixes, quotas })
    }
}

fn quotas(limits: &[Limit]) -> Quotas {
    let of = |name: &str| limits.iter().find(|limit| limit.name == name).map(|limit| limit.max);
    let usual = Quotas::default();
    Quotas {
        per_group: of("targets-per-target-group").unwrap_or(usual.per_group),
        per_load_balancer: of("targets-per-network-load-balancer").unwrap_or(usual.per_load_balancer),
        per_zone: of("targets-per-availability-zone-per-network-load-balancer").unwrap_or(usual.per_zone),
    }
}
