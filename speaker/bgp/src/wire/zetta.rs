//! Crate `zettabgp`, and all of it that is used: lists of prefixes and of communities.
//!
//! Its AS_PATH, OPEN, NOTIFICATION, UPDATE, AGGREGATOR and MP_REACH code stays out: it writes an AS_SEQUENCE as AS_SET,
//! and several of its decoders panic or loop on malformed input. Each call here gets a buffer whose lengths have been
//! checked before.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use daymark_model::{ExtendedCommunity, Family, LargeCommunity, StandardCommunity};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use zettabgp::afi::{BgpAddrV4, BgpAddrV6, decode_bgpitems_from};
use zettabgp::message::attributes::BgpAttr;
use zettabgp::message::attributes::community::{
    BgpCommunity, BgpCommunityList, BgpLargeCommunity, BgpLargeCommunityList,
};
use zettabgp::message::attributes::extcommunity::{BgpExtCommunity, BgpExtCommunityList};
use zettabgp::{BgpSessionParams, BgpTransportMode};

use super::error::EncodeError;
use super::nlri;

/// Reads a list of prefixes, with bits beyond a prefix's length cleared. `None` when it cannot be read to its end.
pub(super) fn prefixes(family: Family, list: &[u8]) -> Option<Vec<IpNet>> {
    if !nlri::is_well_formed(family, list) {
        return None;
    }
    match family {
        Family::V4 => {
            let (items, _) = decode_bgpitems_from::<BgpAddrV4>(list).ok()?;
            items
                .iter()
                .map(|item| Some(Ipv4Net::new(item.addr, item.prefixlen).ok()?.trunc().into()))
                .collect()
        }
        Family::V6 => {
            let (items, _) = decode_bgpitems_from::<BgpAddrV6>(list).ok()?;
            items
                .iter()
                .map(|item| Some(Ipv6Net::new(item.addr, item.prefixlen).ok()?.trunc().into()))
                .collect()
        }
    }
}

/// The value of a COMMUNITIES attribute, ascending.
pub(super) fn communities(communities: &BTreeSet<StandardCommunity>) -> Result<Vec<u8>, EncodeError> {
    let value = communities.iter().map(|community| BgpCommunity::new(community.0)).collect();
    encoded(&BgpCommunityList { value }, communities.len().saturating_mul(4))
}

/// The value of a LARGE_COMMUNITIES attribute, ascending.
pub(super) fn large_communities(communities: &BTreeSet<LargeCommunity>) -> Result<Vec<u8>, EncodeError> {
    let value = communities
        .iter()
        .map(|c| BgpLargeCommunity { ga: c.global, ldp1: c.local1, ldp2: c.local2 })
        .collect();
    encoded(&BgpLargeCommunityList { value }, communities.len().saturating_mul(12))
}

/// The value of an EXTENDED_COMMUNITIES attribute, ascending.
pub(super) fn extended_communities(
    communities: &BTreeSet<ExtendedCommunity>,
) -> Result<Vec<u8>, EncodeError> {
    let value = communities
        .iter()
        .map(|ExtendedCommunity([kind, subtype, a, b, c, d, e, f])| {
            let (high, low) = (u16::from_be_bytes([*a, *b]), u32::from_be_bytes([*c, *d, *e, *f]));
            BgpExtCommunity::new(*kind, *subtype, high, low)
        })
        .collect();
    encoded(&BgpExtCommunityList { value }, communities.len().saturating_mul(8))
}

/// The value alone: flags and length are ours, since the crate sets Partial on large communities.
fn encoded(list: &impl BgpAttr, octets: usize) -> Result<Vec<u8>, EncodeError> {
    let mut value = vec![0; octets];
    if octets == 0 {
        return Ok(value);
    }
    let session = BgpSessionParams::new(0, 0, BgpTransportMode::IPv4, Ipv4Addr::UNSPECIFIED, Vec::new());
    let written = list
        .encode_to(&session, &mut value)
        .map_err(|error| EncodeError::Communities { reason: error.to_string() })?;
    if written != octets {
        return Err(EncodeError::Communities { reason: format!("{written} octets instead of {octets}") });
    }
    Ok(value)
}
