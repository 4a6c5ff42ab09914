//! Which pool an address belongs to.
//!
//! An address keeps its home when the pool shrinks or goes: what was in a pool is remembered as long as the owner of the
//! table says that addresses in it are assigned. An accepted pool that contains the address always comes first.

use std::collections::BTreeMap;
use std::net::IpAddr;

use daymark_model::{AddressBlock, Labels, Pool, PoolName};

/// What an Announcement selects pools by.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct PoolIdentity {
    /// The pool's name.
    pub name: PoolName,
    /// Its labels.
    pub labels: Labels,
}

/// All pools, and what is remembered of removed ones.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PoolTable {
    pools: BTreeMap<PoolName, Member>,
    /// Sorted by first address; rebuilt with every change.
    ranges: Vec<Range>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Member {
    identity: PoolIdentity,
    addresses: Vec<AddressBlock>,
    exclude: Vec<AddressBlock>,
    /// Blocks that were its own before it shrank or went.
    former: Vec<AddressBlock>,
    present: bool,
}

/// In which sense an address belongs to a pool; a better claim comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Claim {
    Offered,
    /// Inside, but excluded: the pool no longer gives it.
    Excluded,
    Remembered,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Range {
    block: AddressBlock,
    pool: PoolName,
    claim: Claim,
    /// The highest last address of this and all ranges before it: where a search backwards may stop.
    reach: IpAddr,
}

impl PoolTable {
    /// A table of `pools`.
    pub fn new<'a>(pools: impl IntoIterator<Item = &'a Pool>) -> Self {
        let mut table = Self::default();
        for pool in pools {
            table.insert(pool);
        }
        table.rebuild();
        table
    }

    /// Adds or replaces one pool; returns whether anything that matters here changed.
    pub fn apply(&mut self, pool: &Pool) -> bool {
        let changed = self.insert(pool);
        if changed {
            self.rebuild();
        }
        changed
    }

    fn insert(&mut self, pool: &Pool) -> bool {
        let mut former = Vec::new();
        if let Some(old) = self.pools.get(&pool.name) {
            if old.present
                && old.identity.labels == pool.labels
                && old.addresses == pool.addresses
                && old.exclude == pool.exclude
            {
                return false;
            }
            former.clone_from(&old.former);
            former.extend(old.addresses.iter().filter(|b| !pool.addresses.contains(b)));
            former.sort_unstable();
            former.dedup();
        }
        let identity = PoolIdentity { name: pool.name.clone(), labels: pool.labels.clone() };
        let (addresses, exclude) = (pool.addresses.clone(), pool.exclude.clone());
        self.pools.insert(pool.name.clone(), Member { identity, addresses, exclude, former, present: true });
        true
    }

    /// The pool is gone, but remembered.
    pub fn remove(&mut self, name: &PoolName) -> bool {
        let Some(pool) = self.pools.get_mut(name).filter(|p| p.present) else { return false };
        pool.present = false;
        pool.former.append(&mut pool.addresses);
        pool.former.sort_unstable();
        pool.former.dedup();
        pool.exclude.clear();
        self.rebuild();
        true
    }

    /// Forgets what is remembered without need: former blocks in which `in_use` finds no assigned address. Returns
    /// whether anything was forgotten.
    pub fn forget(&mut self, mut in_use: impl FnMut(&AddressBlock) -> bool) -> bool {
        let mut forgotten = false;
        for pool in self.pools.values_mut() {
            let before = pool.former.len();
            pool.former.retain(&mut in_use);
            forgotten |= pool.former.len() != before;
        }
        self.pools.retain(|_, pool| pool.present || !pool.former.is_empty());
        if forgotten {
            self.rebuild();
        }
        forgotten
    }

    /// Whether anything is remembered.
    pub fn remembers(&self) -> bool {
        self.pools.values().any(|pool| !pool.former.is_empty())
    }

    /// The names of the pools that exist.
    pub fn names(&self) -> impl Iterator<Item = &PoolName> {
        self.pools.iter().filter(|(_, pool)| pool.present).map(|(name, _)| name)
    }

    /// The pools that `address` belongs to, by name: those that offer it, else those that exclude it from what they
    /// have, else those that once had it. More than one only where pools overlap.
    pub fn homes(&self, address: IpAddr) -> Vec<&PoolIdentity> {
        let end = self.ranges.partition_point(|range| range.block.first() <= address);
        let reaching = self.ranges.iter().take(end).rev().take_while(|range| range.reach >= address);
        let mut found: Vec<(Claim, &PoolName)> = reaching
            .filter(|range| range.block.contains(address))
            .filter_map(|range| {
                let pool = self.pools.get(&range.pool)?;
                let excluded = pool.exclude.iter().any(|b| b.contains(address));
                let claim =
                    if range.claim == Claim::Offered && excluded { Claim::Excluded } else { range.claim };
                Some((claim, &range.pool))
            })
            .collect();
        found.sort_unstable();
        found.dedup_by(|a, b| a.1 == b.1);
        let best = found.first().map(|(claim, _)| *claim);
        let best = found.into_iter().take_while(|(claim, _)| Some(*claim) == best);
        best.filter_map(|(_, name)| self.pools.get(name)).map(|pool| &pool.identity).collect()
    }

    fn rebuild(&mut self) {
        let range = |block: &AddressBlock, name: &PoolName, claim| Range {
            block: *block,
            pool: name.clone(),
            claim,
            reach: block.last(),
        };
        let mut ranges: Vec<Range> = Vec::new();
        for (name, pool) in &self.pools {
            ranges.extend(pool.addresses.iter().map(|b| range(b, name, Claim::Offered)));
            ranges.extend(pool.former.iter().map(|b| range(b, name, Claim::Remembered)));
        }
        ranges.sort_by_key(|range| (range.block.first(), range.block.last()));
        let mut reach = None;
        for range in &mut ranges {
            let widest = reach.map_or(range.reach, |r: IpAddr| r.max(range.reach));
            range.reach = widest;
            reach = Some(widest);
        }
        self.ranges = ranges;
    }
}

#[cfg(test)]
pub(crate) mod tests;
