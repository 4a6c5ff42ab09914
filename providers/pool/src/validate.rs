//! What can be wrong with one pool although every one of its blocks is right.

use std::fmt;

use daymark_model::{AddressBlock, Family, Pool, Reason};

use crate::overlap::effective;

/// A finding about one pool, judged from the pool alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PoolFinding {
    /// Two of its blocks have addresses in common; they count once.
    DuplicateAddresses {
        /// One block.
        a: AddressBlock,
        /// The other.
        b: AddressBlock,
    },
    /// Nothing is left to give.
    NoAddresses,
}

impl fmt::Display for PoolFinding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DuplicateAddresses { a, b } => {
                write!(f, "spec.addresses lists {a} and {b}, which overlap: remove one of them")
            }
            Self::NoAddresses => f.write_str(
                "the pool has no addresses: add some to spec.addresses, or remove spec.exclude entries",
            ),
        }
    }
}

impl Reason for PoolFinding {
    fn code(&self) -> &'static str {
        match self {
            Self::DuplicateAddresses { .. } => "DuplicateAddresses",
            Self::NoAddresses => "NoAddresses",
        }
    }
}

/// What is odd about `pool`; the pool works nevertheless, with what it has.
pub fn findings(pool: &Pool) -> Vec<PoolFinding> {
    let mut found = Vec::new();
    let mut blocks = pool.addresses.clone();
    blocks.sort_by_key(|b| (b.first(), b.last()));
    let mut widest: Option<AddressBlock> = None;
    for block in blocks {
        match widest {
            Some(before) if before.overlaps(&block) => {
                found.push(PoolFinding::DuplicateAddresses { a: before, b: block });
                if block.last() > before.last() {
                    widest = Some(block);
                }
            }
            Some(_) | None => widest = Some(block),
        }
    }
    if [Family::V4, Family::V6].iter().all(|family| effective(pool, *family).is_empty()) {
        found.push(PoolFinding::NoAddresses);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pool(addresses: &[&str], exclude: &[&str]) -> Pool {
        let blocks = |texts: &[&str]| texts.iter().map(|t| t.parse().unwrap()).collect();
        Pool {
            name: "p".into(),
            labels: Default::default(),
            addresses: blocks(addresses),
            exclude: blocks(exclude),
            assignment: Default::default(),
            avoid_edge_addresses: false,
            priority: 100,
            service_selector: None,
            namespace_selector: None,
            sharing: Default::default(),
            quarantine: daymark_model::Quarantine::DEFAULT,
            ip_mode: Default::default(),
            overlapping: Default::default(),
        }
    }

    fn codes(pool: &Pool) -> Vec<&'static str> {
        findings(pool).iter().map(Reason::code).collect()
    }

    #[test]
    fn finds_duplicates_and_emptiness_and_nothing_else() {
        assert!(findings(&pool(&["192.0.2.0/25", "192.0.2.128/25", "2001:db8::/64"], &[])).is_empty());
        let inside = pool(&["192.0.2.0/24", "192.0.2.7/32", "192.0.2.200-192.0.3.1"], &[]);
        assert_eq!(codes(&inside), ["DuplicateAddresses", "DuplicateAddresses"]);
        assert_eq!(codes(&pool(&["192.0.2.0/24"], &["192.0.2.0/23"])), ["NoAddresses"]);
        assert_eq!(codes(&pool(&[], &[])), ["NoAddresses"]);
    }
}
