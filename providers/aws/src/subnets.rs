//! Which subnets a load balancer gets: those that are named, or those that are found by their tags or routes.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use daymark_providers::CloudError;

use crate::api::{RouteTable, Scheme, Subnet, SubnetMapping};
use crate::model::SubnetWish;

/// AWS needs this many free addresses in a subnet to put a load balancer there.
const FREE_ADDRESSES: u32 = 8;
const CLUSTER_TAG_PREFIX: &str = "kubernetes.io/cluster/";

/// For what subnets are looked for.
#[derive(Debug, Clone, Copy)]
pub struct Purpose<'a> {
    /// Where the clients are.
    pub scheme: Scheme,
    /// Whether the load balancer has IPv6 addresses.
    pub dualstack: bool,
    /// The cluster.
    pub cluster: &'a str,
}

/// The tag that says that a subnet is for load balancers with this scheme.
pub fn role_tag(scheme: Scheme) -> &'static str {
    match scheme {
        Scheme::InternetFacing => "kubernetes.io/role/elb",
        Scheme::Internal => "kubernetes.io/role/internal-elb",
    }
}

/// Whether any of `subnets` has the tag of its role, so that routes need not be asked.
pub fn any_tagged(subnets: &[Subnet], scheme: Scheme) -> bool {
    subnets.iter().any(|subnet| is_tagged(subnet, scheme))
}

fn is_tagged(subnet: &Subnet, scheme: Scheme) -> bool {
    subnet.tags.get(role_tag(scheme)).is_some_and(|value| value.is_empty() || value == "1")
}

/// The subnets that `wish` names, with the addresses that it names; those that are found where it names none.
///
/// # Errors
/// `NoSubnets`, `SubnetNotFound`, `SubnetsInOneZone`, `AddressCount`, `AddressOutsideSubnets`, `NoIpv6`.
pub fn mappings(
    wish: &SubnetWish,
    purpose: Purpose<'_>,
    subnets: &[Subnet],
    routes: &[RouteTable],
) -> Result<Vec<SubnetMapping>, CloudError> {
    let chosen = if wish.named.is_empty() {
        discover(purpose, subnets, routes)?
    } else {
        named(&wish.named, purpose, subnets)?
    };
    with_addresses(wish, &chosen)
}

fn named<'a>(
    names: &[String],
    purpose: Purpose<'_>,
    subnets: &'a [Subnet],
) -> Result<Vec<&'a Subnet>, CloudError> {
    let mut chosen: Vec<&Subnet> = Vec::new();
    for name in names {
        let is_it =
            |subnet: &&Subnet| subnet.id == *name || subnet.tags.get("Name").is_some_and(|tag| tag == name);
        let subnet = subnets.iter().find(is_it).ok_or_else(|| {
            CloudError::user("SubnetNotFound", format!("there is no subnet {name} in the VPC"))
                .remedy("check the subnets annotation, and VPC and region of the profile")
        })?;
        if let Some(other) = chosen.iter().find(|other| other.zone == subnet.zone) {
            let text = format!("subnets {} and {} are both in zone {}", other.id, subnet.id, subnet.zone);
            return Err(CloudError::user("SubnetsInOneZone", text).remedy("name one subnet per zone"));
        }
        if purpose.dualstack && subnet.ipv6.is_empty() {
            let text =
                format!("subnet {} has no IPv6 prefix, which a dualstack load balancer needs", subnet.id);
            return Err(CloudError::user("NoIpv6", text).remedy("give it one, or use ip-address-type ipv4"));
        }
        chosen.push(subnet);
    }
    Ok(chosen)
}

fn discover<'a>(
    purpose: Purpose<'_>,
    subnets: &'a [Subnet],
    routes: &[RouteTable],
) -> Result<Vec<&'a Subnet>, CloudError> {
    let tagged = any_tagged(subnets, purpose.scheme);
    let fits = |subnet: &&Subnet| {
        let role = if tagged {
            is_tagged(subnet, purpose.scheme)
        } else {
            is_reachable(subnet, purpose.scheme, routes)
        };
        role && !is_of_another_cluster(subnet, purpose.cluster)
            && subnet.available >= FREE_ADDRESSES
            && (!purpose.dualstack || !subnet.ipv6.is_empty())
    };
    let own_tag = format!("{CLUSTER_TAG_PREFIX}{}", purpose.cluster);
    let mut best: BTreeMap<&str, &Subnet> = BTreeMap::new();
    for subnet in subnets.iter().filter(fits) {
        let rank = |subnet: &Subnet| (!subnet.tags.contains_key(&own_tag), subnet.id.clone());
        let held = best.entry(&subnet.zone).or_insert(subnet);
        if rank(subnet) < rank(held) {
            *held = subnet;
        }
    }
    if best.is_empty() {
        let family = if purpose.dualstack { ", with an IPv6 prefix" } else { "" };
        let text = format!(
            "no subnet for {} load balancers: looked for the tag {} (\"\" or 1), then at the routes, with {FREE_ADDRESSES} \
             free addresses{family}",
            purpose.scheme,
            role_tag(purpose.scheme),
        );
        return Err(CloudError::user("NoSubnets", text)
            .remedy("tag one subnet per zone, or name subnets in the annotation"));
    }
    Ok(best.into_values().collect())
}

fn is_of_another_cluster(subnet: &Subnet, cluster: &str) -> bool {
    let mut clusters = subnet.tags.keys().filter_map(|key| key.strip_prefix(CLUSTER_TAG_PREFIX)).peekable();
    clusters.peek().is_some() && !clusters.any(|name| name == cluster)
}

fn is_reachable(subnet: &Subnet, scheme: Scheme, routes: &[RouteTable]) -> bool {
    let own = routes.iter().find(|table| table.subnets.contains(&subnet.id));
    let Some(table) = own.or_else(|| routes.iter().find(|table| table.is_main)) else { return false };
    match scheme {
        Scheme::InternetFacing => table.is_public,
        Scheme::Internal => !table.is_public,
    }
}

/// Pairs subnets with addresses: Elastic IPs and prefixes by position, addresses by the subnet that they are in.
fn with_addresses(wish: &SubnetWish, subnets: &[&Subnet]) -> Result<Vec<SubnetMapping>, CloudError> {
    check_count("eip-allocations", wish.allocations.len(), subnets)?;
    check_count("private-ipv4-addresses", wish.private.len(), subnets)?;
    check_count("ipv6-addresses", wish.ipv6.len(), subnets)?;
    check_count("source-nat-ipv6-prefixes", wish.source_nat_prefixes.len(), subnets)?;
    check_inside(wish, subnets)?;
    let mapping = |(position, subnet): (usize, &&Subnet)| SubnetMapping {
        subnet: subnet.id.clone(),
        allocation: wish.allocations.get(position).cloned(),
        private: wish.private.iter().find(|address| subnet.ipv4.contains(*address)).copied(),
        ipv6: wish.ipv6.iter().find(|address| subnet.ipv6.iter().any(|net| net.contains(*address))).copied(),
        source_nat_prefix: wish.source_nat_prefixes.get(position).cloned(),
    };
    Ok(subnets.iter().enumerate().map(mapping).collect())
}

fn check_count(what: &str, given: usize, subnets: &[&Subnet]) -> Result<(), CloudError> {
    if given == 0 || given == subnets.len() {
        return Ok(());
    }
    let text = format!("{what} names {given}, and there are {} subnets", subnets.len());
    Err(CloudError::user("AddressCount", text).remedy("name one for each subnet, and name the subnets"))
}

fn check_inside(wish: &SubnetWish, subnets: &[&Subnet]) -> Result<(), CloudError> {
    let mut taken = BTreeSet::new();
    let addresses =
        wish.private.iter().copied().map(IpAddr::V4).chain(wish.ipv6.iter().copied().map(IpAddr::V6));
    for address in addresses {
        let contains = |subnet: &&&Subnet| match address {
            IpAddr::V4(address) => subnet.ipv4.contains(&address),
            IpAddr::V6(address) => subnet.ipv6.iter().any(|net| net.contains(&address)),
        };
        let Some(subnet) = subnets.iter().find(contains) else {
            let text = format!("address {address} is in none of the subnets");
            return Err(
                CloudError::user("AddressOutsideSubnets", text).remedy("name an address of each subnet")
            );
        };
        if !taken.insert((subnet.id.as_str(), address.is_ipv4())) {
            let text = format!("two addresses are in subnet {}", subnet.id);
            return Err(CloudError::user("AddressCount", text).remedy("name one address of each subnet"));
        }
    }
    Ok(())
}
