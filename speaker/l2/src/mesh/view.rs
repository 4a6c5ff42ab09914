//! A member's view: who lives, by which identity, and how far each one's word is known, in one number; and in 64, so that
//! two who differ find out where without telling each other everything.

use xxhash_rust::xxh3::xxh3_64;

use super::message::Entry;
use crate::member::MemberId;

pub(super) const BUCKETS: usize = 64;

/// The digests of the parts of a view, and of all of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct View {
    pub(super) buckets: Vec<u64>,
    pub(super) digest: u64,
}

impl View {
    pub(super) fn of(entries: impl Iterator<Item = Entry>) -> Self {
        let mut buckets = vec![0_u64; BUCKETS];
        for entry in entries {
            let mut bytes = [0; 40];
            bytes[..20].copy_from_slice(&bytes_of(entry.identity.member));
            bytes[20..24].copy_from_slice(&entry.identity.generation.to_be_bytes());
            bytes[24..32].copy_from_slice(&entry.identity.process);
            bytes[32..].copy_from_slice(&entry.told.version.to_be_bytes());
            if let Some(sum) = buckets.get_mut(bucket(entry.identity.member)) {
                *sum ^= xxh3_64(&bytes);
            }
        }
        let bytes: Vec<u8> = buckets.iter().flat_map(|sum| sum.to_be_bytes()).collect();
        Self { digest: xxh3_64(&bytes), buckets }
    }

    /// The buckets, as a mask, in which `other` differs.
    pub(super) fn differences(&self, other: &[u64]) -> u64 {
        let pairs = self.buckets.iter().zip(other).enumerate();
        pairs.filter(|(_, (ours, theirs))| ours != theirs).fold(0, |mask, (at, _)| mask | 1 << at)
    }
}

/// The bucket of a member.
pub(super) fn bucket(member: MemberId) -> usize {
    usize::try_from(xxh3_64(&bytes_of(member)) % BUCKETS as u64).unwrap_or(0)
}

/// Whether a mask of buckets has that of a member.
pub(super) fn covers(mask: u64, member: MemberId) -> bool {
    mask >> bucket(member) & 1 == 1
}

/// A member in bytes.
pub(super) fn bytes_of(member: MemberId) -> [u8; 20] {
    let mut bytes = [0; 20];
    bytes[..16].copy_from_slice(&member.node.0);
    bytes[16..].copy_from_slice(&member.interface.0.to_be_bytes());
    bytes
}
