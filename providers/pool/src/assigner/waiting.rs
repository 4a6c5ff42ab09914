//! Who waits for what, so that a change wakes only those whom it can help.
//!
//! When an address becomes free, the oldest Service that waits for its pool is woken; the next one only after that one
//! was served or refused again and something is still free.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use daymark_model::{Family, NamespaceName, PoolName, ServiceKey};

use super::services::Rank;

/// What a Service waits for; pools sort first, which [`Waiting::begin_chains`] relies on.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum WaitKey {
    /// That one of these pools has a free address.
    Pools(Arc<[PoolName]>, Family),
    /// That this address becomes free, or changes hands.
    Address(IpAddr),
    /// That somebody under this sharing key changes.
    SharingKey(String),
}

/// All who wait.
#[derive(Debug, Clone, Default)]
pub struct Waiting {
    by_key: BTreeMap<WaitKey, BTreeSet<Rank>>,
    by_namespace: BTreeMap<NamespaceName, BTreeSet<Rank>>,
    chains: BTreeMap<WaitKey, Rank>,
}

impl Waiting {
    /// The Service `rank` waits for all of `keys`.
    pub fn enter(&mut self, rank: &Rank, keys: &[WaitKey]) {
        for key in keys {
            self.by_key.entry(key.clone()).or_default().insert(rank.clone());
        }
        self.by_namespace.entry(rank.1.namespace.clone()).or_default().insert(rank.clone());
    }

    /// The Service `rank` waits no more for `keys`, nor for anything else.
    pub fn leave(&mut self, rank: &Rank, keys: &[WaitKey]) {
        for key in keys {
            remove(&mut self.by_key, key, rank);
        }
        remove(&mut self.by_namespace, &rank.1.namespace, rank);
    }

    /// Whom a change of `address` can help.
    pub fn for_address(&self, address: IpAddr) -> Vec<ServiceKey> {
        self.all_for(&WaitKey::Address(address))
    }

    /// Whom a change under `sharing_key` can help.
    pub fn for_sharing_key(&self, sharing_key: &str) -> Vec<ServiceKey> {
        self.all_for(&WaitKey::SharingKey(sharing_key.to_owned()))
    }

    /// Who waits in `namespace`.
    pub fn in_namespace(&self, namespace: &NamespaceName) -> Vec<ServiceKey> {
        self.by_namespace.get(namespace).into_iter().flatten().map(|rank| rank.1.clone()).collect()
    }

    /// Everybody who waits.
    pub fn everybody(&self) -> Vec<ServiceKey> {
        self.by_namespace.values().flatten().map(|rank| rank.1.clone()).collect()
    }

    /// An address of one of `pools` became free: the first of each line for it.
    pub fn begin_chains(&mut self, pools: &[PoolName], family: Family) -> Vec<ServiceKey> {
        let mut woken = Vec::new();
        for (key, line) in &self.by_key {
            let WaitKey::Pools(wanted, of) = key else { break };
            if *of == family
                && wanted.iter().any(|pool| pools.contains(pool))
                && let Some(first) = line.first()
            {
                self.chains.insert(key.clone(), first.clone());
                woken.push(first.1.clone());
            }
        }
        woken
    }

    /// `rank` had its turn: the next of each line whose turn it was, where `can_give` says that something is left.
    pub fn continue_chains(
        &mut self,
        rank: &Rank,
        can_give: impl Fn(&[PoolName], Family) -> bool,
    ) -> Vec<ServiceKey> {
        if self.chains.is_empty() {
            return Vec::new();
        }
        let mine: Vec<WaitKey> =
            self.chains.iter().filter(|(_, at)| *at == rank).map(|(key, _)| key.clone()).collect();
        let mut woken = Vec::new();
        for key in mine {
            let next = match &key {
                WaitKey::Pools(pools, family) if can_give(pools, *family) => self.after(&key, rank),
                WaitKey::Pools(..) | WaitKey::Address(_) | WaitKey::SharingKey(_) => None,
            };
            match next {
                Some(next) => {
                    woken.push(next.1.clone());
                    self.chains.insert(key, next);
                }
                None => {
                    self.chains.remove(&key);
                }
            }
        }
        woken
    }

    fn after(&self, key: &WaitKey, rank: &Rank) -> Option<Rank> {
        use std::ops::Bound::{Excluded, Unbounded};
        self.by_key.get(key)?.range((Excluded(rank), Unbounded)).next().cloned()
    }

    fn all_for(&self, key: &WaitKey) -> Vec<ServiceKey> {
        self.by_key.get(key).into_iter().flatten().map(|rank| rank.1.clone()).collect()
    }
}

fn remove<K: Ord>(map: &mut BTreeMap<K, BTreeSet<Rank>>, key: &K, rank: &Rank) {
    if let Some(line) = map.get_mut(key) {
        line.remove(rank);
        if line.is_empty() {
            map.remove(key);
        }
    }
}
