//! Addresses as numbers, and sets of them kept as disjoint intervals.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use daymark_model::{AddressBlock, Family};

/// The number of an address inside its family.
pub fn number_of(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(a) => u128::from(u32::from(a)),
        IpAddr::V6(a) => u128::from(a),
    }
}

/// The address of `family` with this number; IPv4 numbers have 32 bits.
pub fn address_of(family: Family, number: u128) -> IpAddr {
    match family {
        Family::V4 => IpAddr::V4(Ipv4Addr::from(u32::try_from(number).unwrap_or(u32::MAX))),
        Family::V6 => IpAddr::V6(Ipv6Addr::from(number)),
    }
}

/// The block from `first` to `last`, both of one family.
pub fn block_of(family: Family, first: u128, last: u128) -> AddressBlock {
    match (address_of(family, first), address_of(family, last)) {
        (IpAddr::V4(first), IpAddr::V4(last)) => AddressBlock::V4 { first, last },
        (IpAddr::V6(first), IpAddr::V6(last)) => AddressBlock::V6 { first, last },
        (first, _) => AddressBlock::single(first),
    }
}

/// One value per family.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PerFamily<T> {
    /// For IPv4.
    pub v4: T,
    /// For IPv6.
    pub v6: T,
}

impl<T> PerFamily<T> {
    /// The value of `family`.
    pub fn get(&self, family: Family) -> &T {
        match family {
            Family::V4 => &self.v4,
            Family::V6 => &self.v6,
        }
    }

    /// The value of `family`.
    pub fn get_mut(&mut self, family: Family) -> &mut T {
        match family {
            Family::V4 => &mut self.v4,
            Family::V6 => &mut self.v6,
        }
    }

    /// One value per family, made by `make`.
    pub fn of(mut make: impl FnMut(Family) -> T) -> Self {
        Self { v4: make(Family::V4), v6: make(Family::V6) }
    }
}

/// A set of numbers as disjoint intervals that do not touch: first -> last.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct IntervalSet {
    intervals: BTreeMap<u128, u128>,
}

impl IntervalSet {
    /// The addresses of `family` in `blocks`.
    pub fn from_blocks(family: Family, blocks: &[AddressBlock]) -> Self {
        let mut set = Self::default();
        for block in blocks.iter().filter(|b| b.family() == family) {
            set.insert(number_of(block.first()), number_of(block.last()));
        }
        set
    }

    /// Adds `first..=last`.
    pub fn insert(&mut self, first: u128, last: u128) {
        let (mut first, mut last) = (first, last);
        if let Some((&f, &l)) = self.intervals.range(..first).next_back()
            && l.checked_add(1).is_none_or(|after| after >= first)
        {
            first = f;
            last = last.max(l);
        }
        while let Some((&f, &l)) = self.intervals.range(first..).next() {
            if last.checked_add(1).is_some_and(|after| f > after) {
                break;
            }
            last = last.max(l);
            self.intervals.remove(&f);
        }
        self.intervals.insert(first, last);
    }

    /// Takes `first..=last` out.
    pub fn remove(&mut self, first: u128, last: u128) {
        if let Some((&f, &l)) = self.intervals.range(..first).next_back()
            && l >= first
        {
            self.intervals.insert(f, first - 1);
            if l > last {
                self.intervals.insert(last + 1, l);
            }
        }
        while let Some((&f, &l)) = self.intervals.range(first..=last).next() {
            self.intervals.remove(&f);
            if l > last {
                self.intervals.insert(last + 1, l);
            }
        }
    }

    /// Takes everything in `other` out.
    pub fn subtract(&mut self, other: &Self) {
        for (first, last) in other.iter() {
            self.remove(first, last);
        }
    }

    /// The interval that contains `number`.
    pub fn interval_at(&self, number: u128) -> Option<(u128, u128)> {
        let (&first, &last) = self.intervals.range(..=number).next_back()?;
        (number <= last).then_some((first, last))
    }

    /// Whether `number` is in it.
    pub fn contains(&self, number: u128) -> bool {
        self.interval_at(number).is_some()
    }

    /// Whether nothing is in it.
    pub fn is_empty(&self) -> bool {
        self.intervals.is_empty()
    }

    /// The lowest interval.
    pub fn first(&self) -> Option<(u128, u128)> {
        self.intervals.first_key_value().map(|(&f, &l)| (f, l))
    }

    /// The intervals in ascending order.
    pub fn iter(&self) -> impl Iterator<Item = (u128, u128)> + '_ {
        self.intervals.iter().map(|(&first, &last)| (first, last))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(set: &IntervalSet) -> Vec<(u128, u128)> {
        set.iter().collect()
    }

    #[test]
    fn touching_intervals_become_one() {
        let mut set = IntervalSet::default();
        set.insert(10, 19);
        set.insert(30, 39);
        set.insert(20, 29);
        assert_eq!(listed(&set), [(10, 39)]);
        set.insert(0, 5);
        set.insert(3, 50);
        assert_eq!(listed(&set), [(0, 50)]);
    }

    #[test]
    fn removal_splits_and_trims() {
        let mut set = IntervalSet::default();
        set.insert(0, 100);
        set.remove(40, 49);
        assert_eq!(listed(&set), [(0, 39), (50, 100)]);
        set.remove(30, 60);
        assert_eq!(listed(&set), [(0, 29), (61, 100)]);
        set.remove(0, 100);
        assert!(set.is_empty());
    }

    #[test]
    fn the_ends_of_the_number_line() {
        let mut set = IntervalSet::default();
        set.insert(0, u128::MAX);
        set.remove(u128::MAX, u128::MAX);
        set.remove(0, 0);
        assert_eq!(listed(&set), [(1, u128::MAX - 1)]);
        set.insert(u128::MAX, u128::MAX);
        set.insert(0, 0);
        assert_eq!(listed(&set), [(0, u128::MAX)]);
    }

    #[test]
    fn agrees_with_a_plain_set() {
        let mut seed = 7_u64;
        let mut draw = |below: u64| {
            seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            u128::from((seed >> 33) % below)
        };
        let mut set = IntervalSet::default();
        let mut plain = std::collections::BTreeSet::new();
        for _ in 0..2000 {
            let first = draw(200);
            let last = first + draw(12);
            if draw(2) == 0 {
                set.insert(first, last);
                plain.extend(first..=last);
            } else {
                set.remove(first, last);
                plain.retain(|n| !(first..=last).contains(n));
            }
            let flat: Vec<u128> = set.iter().flat_map(|(f, l)| f..=l).collect();
            assert_eq!(flat, plain.iter().copied().collect::<Vec<_>>());
        }
    }
}
