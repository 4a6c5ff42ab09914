//! Which addresses of one pool and family can be given: the lowest one in O(log n).
//!
//! Free addresses are kept as intervals of which none begins with an address that is never given, so the lowest free
//! address is the beginning of the first interval, however full the set is and however large.

use daymark_model::Family;

use crate::ranges::IntervalSet;

/// The assignable addresses of one pool and family, and which of them are free.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FreeSet {
    base: IntervalSet,
    free: IntervalSet,
    skip_edges: bool,
    available: u128,
}

impl FreeSet {
    /// A set that may give `base`; with `avoid_edges` no IPv4 address that ends in .0 or .255.
    pub fn new(family: Family, base: IntervalSet, avoid_edges: bool) -> Self {
        let skip_edges = avoid_edges && family == Family::V4;
        let mut free = IntervalSet::default();
        let mut available = 0_u128;
        for (first, last) in base.iter() {
            if let Some(first) = first_given(skip_edges, first, last) {
                free.insert(first, last);
            }
            available = available.saturating_add(given_between(skip_edges, first, last));
        }
        Self { base, free, skip_edges, available }
    }

    /// The lowest free address.
    pub fn lowest(&self) -> Option<u128> {
        self.free.first().map(|(first, _)| first)
    }

    /// Whether it may ever give `number`.
    pub fn gives(&self, number: u128) -> bool {
        self.base.contains(number) && !self.is_skipped(number)
    }

    /// How many are free; saturates at `u128::MAX`.
    pub fn available(&self) -> u128 {
        self.available
    }

    /// The addresses that it may give.
    pub fn base(&self) -> &IntervalSet {
        &self.base
    }

    /// `number` has an owner from now on. Nothing changes when it had one, or is none of the set's.
    pub fn take(&mut self, number: u128) {
        if self.is_skipped(number) {
            return;
        }
        let Some((_, last)) = self.free.interval_at(number) else { return };
        self.free.remove(number, last);
        if let Some(after) = number.checked_add(1).filter(|after| *after <= last)
            && let Some(first) = first_given(self.skip_edges, after, last)
        {
            self.free.insert(first, last);
        }
        self.available = self.available.saturating_sub(1);
    }

    /// `number` has no owner any more. Nothing changes when it had none, or is none of the set's.
    pub fn give_back(&mut self, number: u128) {
        if !self.gives(number) || self.free.contains(number) {
            return;
        }
        self.free.insert(number, number);
        self.available = self.available.saturating_add(1);
    }

    fn is_skipped(&self, number: u128) -> bool {
        self.skip_edges && is_edge(number)
    }
}

/// Whether the IPv4 address `number` ends in .0 or .255.
pub fn is_edge(number: u128) -> bool {
    matches!(number & 0xff, 0 | 0xff)
}

/// How many of `first..=last` may be given.
pub fn given_between(skip_edges: bool, first: u128, last: u128) -> u128 {
    let all = (last - first).saturating_add(1);
    if !skip_edges {
        return all;
    }
    let edges_up_to = |n: u128| 2 * (n >> 8) + 1 + u128::from(n & 0xff == 0xff);
    let below_first = if first == 0 { 0 } else { edges_up_to(first - 1) };
    all - (edges_up_to(last) - below_first)
}

fn first_given(skip_edges: bool, first: u128, last: u128) -> Option<u128> {
    if !skip_edges {
        return Some(first);
    }
    (first..=last).find(|n| !is_edge(*n))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ranges::number_of;

    fn set(family: Family, blocks: &[&str], avoid_edges: bool) -> FreeSet {
        let blocks: Vec<_> = blocks.iter().map(|b| b.parse().unwrap()).collect();
        FreeSet::new(family, IntervalSet::from_blocks(family, &blocks), avoid_edges)
    }

    fn drain(set: &mut FreeSet) -> Vec<u128> {
        let mut all = Vec::new();
        while let Some(lowest) = set.lowest() {
            set.take(lowest);
            all.push(lowest);
        }
        all
    }

    #[test]
    fn gives_the_lowest_and_takes_back() {
        let mut free = set(Family::V4, &["192.0.2.0/30"], false);
        let base = number_of("192.0.2.0".parse().unwrap());
        assert_eq!(drain(&mut free), [base, base + 1, base + 2, base + 3]);
        assert_eq!(free.available(), 0);
        free.give_back(base + 2);
        free.give_back(base + 1);
        free.give_back(base + 9);
        assert_eq!((free.lowest(), free.available()), (Some(base + 1), 2));
    }

    #[test]
    fn edges_are_never_given() {
        let mut free = set(Family::V4, &["10.0.0.254-10.0.2.1"], true);
        assert_eq!(free.available(), 256);
        let all = drain(&mut free);
        assert_eq!(all.len(), 256);
        assert!(all.iter().all(|n| !is_edge(*n)));
        let edge = number_of("10.0.1.0".parse().unwrap());
        free.give_back(edge);
        assert_eq!(free.lowest(), None);
        let plain = edge + 1;
        free.give_back(plain);
        assert_eq!((free.lowest(), free.available()), (Some(plain), 1));
    }

    #[test]
    fn a_set_of_edges_only_gives_nothing() {
        let free = set(Family::V4, &["10.0.0.255-10.0.1.0"], true);
        assert_eq!((free.lowest(), free.available()), (None, 0));
    }

    #[test]
    fn the_whole_of_ipv6() {
        let mut free = set(Family::V6, &["::/0"], true);
        assert_eq!(free.available(), u128::MAX);
        free.take(0);
        free.take(2);
        assert_eq!(free.lowest(), Some(1));
    }
}
