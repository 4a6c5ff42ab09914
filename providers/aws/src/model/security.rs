//! Who may reach a load balancer.

use std::collections::BTreeSet;

use daymark_model::Family;
use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::Security;
use super::annotations::SOURCE_RANGES;
use super::value::{Bad, bad, boolean, distinct, ids, list, on_off, word};
use super::written::Reader;
use crate::api::IpAddressType;

/// Who may reach a load balancer, and what belongs to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SecurityWish {
    pub(super) security: Security,
    pub(super) private_link_rules: Option<bool>,
    /// Whether the nodes are opened for it.
    pub(super) opens_nodes: bool,
}

/// Reads it; `spec_ranges` are `spec.loadBalancerSourceRanges`.
pub(super) fn read(reader: &mut Reader<'_>, families: IpAddressType, spec_ranges: &[String]) -> SecurityWish {
    let off = reader.one("disable-nlb-sg", boolean).unwrap_or(false);
    let groups = reader.one("security-groups", distinct);
    let manage = reader.one("manage-backend-security-group-rules", boolean);
    let prefix_lists =
        reader.one("security-group-prefix-lists", |value| ids(value, "pl-")).unwrap_or_default();
    let path_mtu = reader.one("enable-icmp-for-path-mtu-discovery", |value| word(value, &[("on", true)]));
    let private_link_rules = reader.one("inbound-sg-rules-on-private-link-traffic", on_off);
    let sources = sources(reader, families, spec_ranges);

    let security = match groups {
        Some(_) if off => {
            reader.conflict(
                "security-groups",
                "it contradicts aws-load-balancer-disable-nlb-sg",
                "remove one of the two",
            );
            Security::Off
        }
        Some(groups) => {
            warn_unenforced(reader, &sources, "the given security groups decide");
            Security::Given { groups, node_access: manage.unwrap_or(false) }
        }
        None if off => {
            if private_link_rules.is_some() {
                reader.conflict(
                    "inbound-sg-rules-on-private-link-traffic",
                    "there is no security group under aws-load-balancer-disable-nlb-sg",
                    "remove one of the two",
                );
            }
            warn_unenforced(reader, &sources, "the load balancer has no security group");
            Security::Off
        }
        None => {
            let sources = match sources {
                Some((_, sources)) => sources,
                None if prefix_lists.is_empty() => anywhere(families),
                None => BTreeSet::new(),
            };
            let prefix_lists = prefix_lists.into_iter().collect();
            Security::Managed { sources, prefix_lists, path_mtu: path_mtu.unwrap_or(false) }
        }
    };
    let opens_nodes = match &security {
        Security::Managed { .. } => manage.unwrap_or(true),
        Security::Given { node_access, .. } => *node_access,
        Security::Off => false,
    };
    SecurityWish { security, private_link_rules, opens_nodes }
}

fn anywhere(families: IpAddressType) -> BTreeSet<IpNet> {
    let v4 = IpNet::V4(Ipv4Net::default());
    match families {
        IpAddressType::Ipv4 => BTreeSet::from([v4]),
        IpAddressType::Dualstack => BTreeSet::from([v4, IpNet::V6(Ipv6Net::default())]),
    }
}

/// The ranges that are written, and what they are called; those of the spec win.
fn sources(
    reader: &mut Reader<'_>,
    families: IpAddressType,
    spec_ranges: &[String],
) -> Option<(&'static str, BTreeSet<IpNet>)> {
    let (name, written) = if spec_ranges.is_empty() {
        let value = reader.written.own.get(SOURCE_RANGES)?;
        (SOURCE_RANGES, reader.take(SOURCE_RANGES, list(value))?)
    } else {
        ("spec.loadBalancerSourceRanges", spec_ranges.to_vec())
    };
    let parsed: Result<BTreeSet<IpNet>, Bad> = written.iter().map(|text| source(text, families)).collect();
    Some((name, reader.take(name, parsed)?))
}

fn source(text: &str, families: IpAddressType) -> Result<IpNet, Bad> {
    let text = text.trim();
    let Ok(net) = text.parse::<IpNet>() else {
        return bad(format!("{text:?} is no CIDR"), "write it like 192.0.2.0/24 or 2001:db8::/32");
    };
    match (families, Family::of(net.addr())) {
        (IpAddressType::Ipv4, Family::V6) => bad(
            format!("{net} is an IPv6 range, and the load balancer has no IPv6 addresses"),
            "remove it, or set aws-load-balancer-ip-address-type: dualstack",
        ),
        (IpAddressType::Ipv4 | IpAddressType::Dualstack, Family::V4)
        | (IpAddressType::Dualstack, Family::V6) => Ok(net.trunc()),
    }
}

fn warn_unenforced(reader: &mut Reader<'_>, sources: &Option<(&'static str, BTreeSet<IpNet>)>, why: &str) {
    if let Some((name, _)) = sources {
        reader.warn("SourceRangesNotEnforced", format!("{name} is not enforced: {why}"));
    }
    let lists = "security-group-prefix-lists";
    if reader.written.get(lists).is_some() {
        let name = reader.written.name_of(lists);
        reader.warn("SourceRangesNotEnforced", format!("{name} is not enforced: {why}"));
    }
}
