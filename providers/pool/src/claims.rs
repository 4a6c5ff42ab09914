//! The moves of a claim between Reserved, Bound and Resting.

use std::net::IpAddr;
use std::time::Duration;

use daymark_model::{Claim, ClaimState, Holder, PoolName, ServiceKey, Timestamp, Uid};

/// A new claim, bound from its first moment.
pub fn create(
    address: IpAddr,
    service: &ServiceKey,
    uid: &Uid,
    sharing_key: Option<String>,
    pool: Option<PoolName>,
) -> Claim {
    Claim {
        address,
        holders: vec![holder(service, uid)],
        sharing_key,
        pool,
        retain: false,
        released_at: None,
    }
}

/// `claim` with this Service among its holders.
///
/// A resting claim loses whoever held it before; in the others an entry of the same name is filled in.
pub fn bind(
    claim: &Claim,
    service: &ServiceKey,
    uid: &Uid,
    sharing_key: Option<String>,
    pool: Option<PoolName>,
) -> Claim {
    let mut holders = match claim.state() {
        ClaimState::Resting => Vec::new(),
        ClaimState::Reserved | ClaimState::Bound => claim.holders.clone(),
    };
    holders.retain(|h| h.service != *service);
    holders.push(holder(service, uid));
    holders.sort();
    Claim {
        address: claim.address,
        holders,
        sharing_key,
        pool: pool.or_else(|| claim.pool.clone()),
        retain: claim.retain,
        released_at: None,
    }
}

/// What becomes of a claim when holders let it go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Released {
    /// It is rewritten: others hold it, a name keeps it, or it rests.
    Replace(Claim),
    /// It goes.
    Delete,
}

/// `claim` without `leaving`; the last one to leave makes it rest, or go when it need not rest.
///
/// With `retain`, who leaves keeps a reservation under its name.
pub fn release(claim: &Claim, leaving: &[Holder], now: Timestamp, rest: Duration) -> Released {
    let mut after = claim.clone();
    if claim.retain {
        for holder in after.holders.iter_mut().filter(|h| leaving.contains(h)) {
            holder.uid = None;
        }
        after.holders.sort();
        return Released::Replace(after);
    }
    after.holders.retain(|h| !leaving.contains(h));
    if !after.holders.is_empty() {
        return Released::Replace(after);
    }
    if rest.is_zero() {
        return Released::Delete;
    }
    after.holders = leaving.to_vec();
    after.holders.sort();
    after.sharing_key = None;
    after.released_at = Some(now);
    Released::Replace(after)
}

/// Whether a Service of this name is among the holders, and under which UID.
pub fn holder_named<'a>(claim: &'a Claim, service: &ServiceKey) -> Option<&'a Holder> {
    claim.holders.iter().find(|h| h.service == *service)
}

/// Whether exactly this Service holds the claim.
pub fn is_held_by(claim: &Claim, service: &ServiceKey, uid: &Uid) -> bool {
    claim.state() == ClaimState::Bound
        && claim.holders.iter().any(|h| h.uid.as_ref() == Some(uid) && h.service == *service)
}

fn holder(service: &ServiceKey, uid: &Uid) -> Holder {
    Holder { service: service.clone(), uid: Some(uid.clone()) }
}
