//! Messages of at most [`MAX_MESSAGE`] bytes.

use std::net::IpAddr;

use crate::hold::{Hold, HoldMessage};

/// The most bytes of a message as postcard writes it.
pub const MAX_MESSAGE: usize = 1_200;
/// What an [`HoldMessage::All`] takes besides its holds: the variant, the digest, two part numbers, the length.
const ENVELOPE: usize = 1 + 10 + 3 + 3 + 3;
/// What a hold takes besides its address: the epoch, the phase, the fitness, the weight.
const FACTS: usize = 5 + 1 + 1 + 5;

fn address_len(address: IpAddr) -> usize {
    match address {
        IpAddr::V4(_) => 1 + 4,
        IpAddr::V6(_) => 1 + 16,
    }
}

fn parts<T: Copy>(items: impl IntoIterator<Item = T>, len: impl Fn(T) -> usize) -> Vec<Vec<T>> {
    let mut parts: Vec<Vec<T>> = Vec::new();
    let mut room = 0;
    for item in items {
        let size = len(item);
        if size > room {
            parts.push(Vec::new());
            room = MAX_MESSAGE - ENVELOPE;
        }
        room -= size;
        if let Some(part) = parts.last_mut() {
            part.push(item);
        }
    }
    parts
}

/// `holds` in parts that fit into a message each.
pub(super) fn holds_in_parts(holds: impl IntoIterator<Item = Hold>) -> Vec<Vec<Hold>> {
    parts(holds, |hold| address_len(hold.address) + FACTS)
}

/// `addresses` in parts that fit into a message each.
pub(super) fn addresses_in_parts(addresses: impl IntoIterator<Item = IpAddr>) -> Vec<Vec<IpAddr>> {
    parts(addresses, address_len)
}

/// All of a member's holds, which come to `digest`.
pub(super) fn all(digest: u64, holds: impl IntoIterator<Item = Hold>) -> Vec<HoldMessage> {
    let mut parts = holds_in_parts(holds);
    if parts.is_empty() {
        parts.push(Vec::new());
    }
    let count = u16::try_from(parts.len()).unwrap_or(u16::MAX);
    let numbered = (0..count).zip(parts);
    numbered.map(|(part, holds)| HoldMessage::All { digest, part, parts: count, holds }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hold::{Epoch, Fitness, Phase};

    #[test]
    fn no_message_is_longer_than_allowed() {
        let hold = |n: u16| Hold {
            address: IpAddr::from([0xfd00, 0, 0, 0, 0, 0, 0, n]),
            epoch: Epoch(u32::MAX),
            phase: Phase::Holding,
            fitness: Fitness::Fit,
            weight: u32::MAX,
        };
        let messages = all(u64::MAX, (0..5_000).map(hold));
        let holds: usize = messages
            .iter()
            .map(|message| {
                assert!(postcard::to_stdvec(message).unwrap().len() <= MAX_MESSAGE);
                if let HoldMessage::All { holds, .. } = message { holds.len() } else { 0 }
            })
            .sum();
        assert_eq!(holds, 5_000);
        for part in addresses_in_parts((0..5_000).map(|n| hold(n).address)) {
            assert!(postcard::to_stdvec(&HoldMessage::Refused(part)).unwrap().len() <= MAX_MESSAGE);
        }
    }
}
