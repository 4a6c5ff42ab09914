//! When Services may share one address.

use daymark_model::{Pool, SharingPolicy, TrafficPolicy};

use crate::reason::SharingBarrier;
use crate::view::ServiceView;

/// Whether `newcomer` and `holder`, whatever pool the address is from, fit on one address: same key, no two equal
/// (protocol, port), no `externalTrafficPolicy: Local` in the way.
pub fn fit(newcomer: &ServiceView, holder: &ServiceView) -> Result<(), SharingBarrier> {
    if newcomer.sharing_key.is_none() || newcomer.sharing_key != holder.sharing_key {
        return Err(SharingBarrier::Key { holder: holder.key.clone() });
    }
    if let Some(port) = newcomer.ports.iter().find(|p| holder.ports.contains(p)) {
        return Err(SharingBarrier::Port { port: *port, holder: holder.key.clone() });
    }
    let local = [newcomer, holder].iter().any(|s| s.traffic_policy == TrafficPolicy::Local);
    let same_pods = newcomer.key.namespace == holder.key.namespace
        && !newcomer.pod_selector.is_empty()
        && newcomer.pod_selector == holder.pod_selector;
    if local && !same_pods {
        return Err(SharingBarrier::LocalTraffic { holder: holder.key.clone() });
    }
    Ok(())
}

/// Whether `pool` lets the two share.
pub fn allowed(newcomer: &ServiceView, holder: &ServiceView, pool: &Pool) -> Result<(), SharingBarrier> {
    match pool.sharing {
        SharingPolicy::Never => Err(SharingBarrier::Never { pool: pool.name.clone() }),
        SharingPolicy::SameNamespace if newcomer.key.namespace != holder.key.namespace => {
            Err(SharingBarrier::OtherNamespace { pool: pool.name.clone(), holder: holder.key.clone() })
        }
        SharingPolicy::SameNamespace | SharingPolicy::AnyNamespace => Ok(()),
    }
}
