//! Lists of prefixes: a length in bits, then as many octets as hold them (RFC 4271 section 4.3).

use bytes::BytesMut;
use daymark_model::Family;
use ipnet::IpNet;

/// The longest encoded prefix of the family.
pub(super) fn max_encoded_len(family: Family) -> usize {
    match family {
        Family::V4 => 5,
        Family::V6 => 17,
    }
}

/// Whether the list can be read to its end: no length beyond the family's, no prefix cut off.
pub(super) fn is_well_formed(family: Family, mut list: &[u8]) -> bool {
    while let Some((bits, rest)) = list.split_first() {
        if *bits > family.max_prefix_len() {
            return false;
        }
        let Some((_, rest)) = rest.split_at_checked(octets(*bits)) else { return false };
        list = rest;
    }
    true
}

/// How many octets hold that many bits.
fn octets(bits: u8) -> usize {
    usize::from(bits.div_ceil(8))
}

/// Where a prefix's encoded octets come from: one array, so that a prefix costs one write.
pub(super) struct Encoded {
    octets: [u8; 17],
    len: usize,
}

impl Encoded {
    pub(super) fn new(prefix: &IpNet) -> Self {
        let mut encoded = [0; 17];
        let [bits, address @ ..] = &mut encoded;
        *bits = prefix.prefix_len();
        match prefix {
            IpNet::V4(net) => {
                if let Some(address) = address.first_chunk_mut::<4>() {
                    *address = net.network().octets();
                }
            }
            IpNet::V6(net) => *address = net.network().octets(),
        }
        Self { octets: encoded, len: octets(prefix.prefix_len()).saturating_add(1) }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn put(&self, out: &mut BytesMut) {
        out.extend_from_slice(self.octets.get(..self.len).unwrap_or(&self.octets));
    }
}
