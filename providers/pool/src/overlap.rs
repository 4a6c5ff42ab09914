//! Which pools contain an address, and what pools have in common.
//!
//! One sweep over all pools cuts the number line into segments in which the set of containing pools is constant.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use daymark_model::{AddressBlock, Family, Pool, PoolName};

use crate::io::PoolOverlap;
use crate::ranges::{IntervalSet, PerFamily, block_of, number_of};

/// How many overlaps are named per pool: enough to see what is wrong, few enough for a condition.
pub const NAMED_OVERLAPS: usize = 16;

/// The addresses of `pool` without the excluded ones.
pub fn effective(pool: &Pool, family: Family) -> IntervalSet {
    let mut set = IntervalSet::from_blocks(family, &pool.addresses);
    set.subtract(&IntervalSet::from_blocks(family, &pool.exclude));
    set
}

/// Where all pools lie.
#[derive(Debug, Clone, Default)]
pub struct Layout {
    segments: PerFamily<BTreeMap<u128, Segment>>,
}

#[derive(Debug, Clone)]
struct Segment {
    last: u128,
    pools: Arc<[PoolName]>,
}

impl Layout {
    /// The layout of `pools`, given in order of preference with their [`effective`] addresses.
    pub fn new<'a>(pools: impl Iterator<Item = (&'a PoolName, &'a PerFamily<IntervalSet>)>) -> Self {
        let pools: Vec<_> = pools.collect();
        Self { segments: PerFamily::of(|family| sweep(&pools, family)) }
    }

    /// The pools that contain `address`, in order of preference.
    pub fn pools_at(&self, address: IpAddr) -> Option<&Arc<[PoolName]>> {
        let number = number_of(address);
        let segments = self.segments.get(Family::of(address));
        let (_, segment) = segments.range(..=number).next_back()?;
        (number <= segment.last).then_some(&segment.pools)
    }

    /// The addresses of `family` that are in more than one pool.
    pub fn contested(&self, family: Family) -> IntervalSet {
        let mut set = IntervalSet::default();
        for (first, segment) in self.segments.get(family) {
            if segment.pools.len() > 1 {
                set.insert(*first, segment.last);
            }
        }
        set
    }

    /// What each pool has in common with which other, at most [`NAMED_OVERLAPS`] per pool, sorted.
    pub fn overlaps(&self) -> BTreeMap<PoolName, Vec<PoolOverlap>> {
        let mut found: BTreeMap<PoolName, Vec<PoolOverlap>> = BTreeMap::new();
        for family in [Family::V4, Family::V6] {
            for (&first, segment) in self.segments.get(family) {
                if segment.pools.len() > 1 {
                    add_overlaps(&mut found, family, first, segment);
                }
            }
        }
        found.values_mut().for_each(|overlaps| overlaps.sort());
        found
    }
}

fn add_overlaps(
    found: &mut BTreeMap<PoolName, Vec<PoolOverlap>>,
    family: Family,
    first: u128,
    segment: &Segment,
) {
    for pool in segment.pools.iter() {
        let named = found.entry(pool.clone()).or_default();
        for other in segment.pools.iter().filter(|other| *other != pool) {
            if let Some(longer) = named
                .iter_mut()
                .find(|o| o.other == *other && o.block.family() == family && ends_before(&o.block, first))
            {
                longer.block = block_of(family, number_of(longer.block.first()), segment.last);
            } else if named.len() < NAMED_OVERLAPS {
                named
                    .push(PoolOverlap { other: other.clone(), block: block_of(family, first, segment.last) });
            } else {
                break;
            }
        }
    }
}

fn ends_before(block: &AddressBlock, first: u128) -> bool {
    number_of(block.last()).checked_add(1) == Some(first)
}

fn sweep(pools: &[(&PoolName, &PerFamily<IntervalSet>)], family: Family) -> BTreeMap<u128, Segment> {
    // At a cut, pools begin and pools end; `None` as a cut is the end of the number line.
    let mut begins: BTreeMap<u128, Vec<usize>> = BTreeMap::new();
    let mut ends: BTreeMap<u128, Vec<usize>> = BTreeMap::new();
    for (rank, (_, sets)) in pools.iter().enumerate() {
        for (first, last) in sets.get(family).iter() {
            begins.entry(first).or_default().push(rank);
            if let Some(after) = last.checked_add(1) {
                ends.entry(after).or_default().push(rank);
            }
        }
    }
    let cuts: BTreeSet<u128> = begins.keys().chain(ends.keys()).copied().collect();
    let mut active = BTreeSet::new();
    let mut segments = BTreeMap::new();
    let mut following = cuts.iter().skip(1);
    for cut in &cuts {
        for rank in ends.get(cut).into_iter().flatten() {
            active.remove(rank);
        }
        active.extend(begins.get(cut).into_iter().flatten().copied());
        let last = following.next().map_or(u128::MAX, |next| next - 1);
        if !active.is_empty() {
            let names = active.iter().map(|rank: &usize| pools[*rank].0.clone()).collect();
            segments.insert(*cut, Segment { last, pools: names });
        }
    }
    segments
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(pools: &[(&str, &[&str])]) -> Layout {
        let named: Vec<(PoolName, PerFamily<IntervalSet>)> = pools
            .iter()
            .map(|(name, blocks)| {
                let blocks: Vec<AddressBlock> = blocks.iter().map(|b| b.parse().unwrap()).collect();
                ((*name).into(), PerFamily::of(|family| IntervalSet::from_blocks(family, &blocks)))
            })
            .collect();
        Layout::new(named.iter().map(|(name, sets)| (name, sets)))
    }

    #[test]
    fn every_pair_is_named_once_with_the_whole_common_range() {
        let layout = layout(&[
            ("a", &["10.0.0.0-10.0.0.9", "::/0"]),
            ("b", &["10.0.0.5-10.0.0.20"]),
            ("c", &["10.0.0.7-10.0.0.8", "10.0.1.0/24"]),
        ]);
        let told = |name: &str| -> Vec<String> {
            layout.overlaps()[name].iter().map(|o| format!("{} {}", o.other, o.block)).collect()
        };
        assert_eq!(told("a"), ["b 10.0.0.5-10.0.0.9", "c 10.0.0.7-10.0.0.8"]);
        assert_eq!(told("b"), ["a 10.0.0.5-10.0.0.9", "c 10.0.0.7-10.0.0.8"]);
        assert_eq!(told("c"), ["a 10.0.0.7-10.0.0.8", "b 10.0.0.7-10.0.0.8"]);
    }

    #[test]
    fn an_address_knows_its_pools() {
        let layout = layout(&[("a", &["10.0.0.0/24"]), ("b", &["10.0.0.128-10.0.1.3"]), ("six", &["::/0"])]);
        let at = |text: &str| -> Vec<String> {
            let pools = layout.pools_at(text.parse().unwrap());
            pools.into_iter().flat_map(|pools| pools.iter().map(ToString::to_string)).collect()
        };
        assert_eq!(at("10.0.0.1"), ["a"]);
        assert_eq!(at("10.0.0.200"), ["a", "b"]);
        assert_eq!(at("10.0.1.3"), ["b"]);
        assert!(at("10.0.1.4").is_empty() && at("9.255.255.255").is_empty());
        assert_eq!(at("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"), ["six"]);
    }
}
