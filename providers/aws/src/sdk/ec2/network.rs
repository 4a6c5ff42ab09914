//! VPCs, subnets, routes, Elastic IPs and network interfaces.

use aws_sdk_ec2::Client;
use aws_sdk_ec2::types as aws;

use super::{asked, filter, plain_tags};
use crate::api::{
    ApiError, DescribeAddresses, DescribeNetworkInterfaces, DescribeRouteTables, DescribeSubnets,
    DescribeVpcs, ElasticIp, NetworkInterface, RouteTable, Subnet, Vpc,
};
use crate::sdk::decode::{Unreadable, elements, number, pages, parsed, required};
use crate::sdk::error::failed;

pub(in crate::sdk) async fn subnets(client: &Client, call: DescribeSubnets) -> Result<Vec<Subnet>, ApiError> {
    let (ids, filters, unreadable) = asked(call.filter, "tag:Name");
    let request = client.describe_subnets().set_subnet_ids(ids).set_filters(filters);
    let found = pages!(DescribeSubnets, request.into_paginator(), subnets)?;
    // One without IPv4, in which no load balancer can be, has no CidrBlock.
    elements(found, unreadable, subnet)
}

pub(in crate::sdk) async fn vpcs(client: &Client, call: DescribeVpcs) -> Result<Vec<Vpc>, ApiError> {
    if call.ids.is_empty() {
        return Ok(Vec::new());
    }
    let request = client.describe_vpcs().set_vpc_ids(Some(call.ids));
    let found = pages!(DescribeVpcs, request.into_paginator(), vpcs)?;
    elements(found, Unreadable::Fails, vpc)
}

pub(in crate::sdk) async fn route_tables(
    client: &Client,
    call: DescribeRouteTables,
) -> Result<Vec<RouteTable>, ApiError> {
    let request = client.describe_route_tables().filters(filter("vpc-id", vec![call.vpc]));
    let found: Vec<aws::RouteTable> = pages!(DescribeRouteTables, request.into_paginator(), route_tables)?;
    Ok(found.into_iter().map(route_table).collect())
}

pub(in crate::sdk) async fn addresses(
    client: &Client,
    call: DescribeAddresses,
) -> Result<Vec<ElasticIp>, ApiError> {
    if call.allocations.is_empty() {
        return Ok(Vec::new());
    }
    let answer = client.describe_addresses().set_allocation_ids(Some(call.allocations)).send().await;
    let answer = answer.map_err(failed::<DescribeAddresses, _>)?;
    elements(answer.addresses.unwrap_or_default(), Unreadable::Fails, elastic_ip)
}

pub(in crate::sdk) async fn interfaces(
    client: &Client,
    call: DescribeNetworkInterfaces,
) -> Result<Vec<NetworkInterface>, ApiError> {
    let request = client.describe_network_interfaces().filters(filter("group-id", vec![call.group]));
    let found = pages!(DescribeNetworkInterfaces, request.into_paginator(), network_interfaces)?;
    elements(found, Unreadable::Fails, |from: aws::NetworkInterface| {
        let groups = from.groups.unwrap_or_default().into_iter();
        Ok(NetworkInterface {
            id: required::<DescribeNetworkInterfaces, _>("NetworkInterfaceId", from.network_interface_id)?,
            description: from.description.unwrap_or_default(),
            security_groups: groups.filter_map(|group| group.group_id).collect(),
        })
    })
}

fn subnet(from: aws::Subnet) -> Result<Subnet, ApiError> {
    let ipv4 = required::<DescribeSubnets, _>("CidrBlock", from.cidr_block)?;
    let mut ipv6 = Vec::new();
    for block in from.ipv6_cidr_block_association_set.unwrap_or_default() {
        let state = block.ipv6_cidr_block_state.and_then(|state| state.state);
        if let Some(text) =
            block.ipv6_cidr_block.filter(|_| !is_leaving(state.as_ref().map(|word| word.as_str())))
        {
            ipv6.push(parsed::<DescribeSubnets, _>("Ipv6CidrBlock", &text)?);
        }
    }
    Ok(Subnet {
        id: required::<DescribeSubnets, _>("SubnetId", from.subnet_id)?,
        vpc: required::<DescribeSubnets, _>("VpcId", from.vpc_id)?,
        zone: required::<DescribeSubnets, _>("AvailabilityZone", from.availability_zone)?,
        ipv4: parsed::<DescribeSubnets, _>("CidrBlock", &ipv4)?,
        ipv6,
        available: number::<DescribeSubnets, _>(
            "AvailableIpAddressCount",
            from.available_ip_address_count.unwrap_or(0),
        )?,
        tags: plain_tags(from.tags),
    })
}

fn vpc(from: aws::Vpc) -> Result<Vpc, ApiError> {
    let ipv4 = from.cidr_block_association_set.unwrap_or_default().into_iter();
    let ipv4 = ipv4.map(|block| (block.cidr_block, block.cidr_block_state.and_then(|state| state.state)));
    let ipv6 = from.ipv6_cidr_block_association_set.unwrap_or_default().into_iter();
    let ipv6 =
        ipv6.map(|block| (block.ipv6_cidr_block, block.ipv6_cidr_block_state.and_then(|state| state.state)));
    let mut cidrs = Vec::new();
    for (text, state) in std::iter::once((from.cidr_block, None)).chain(ipv4).chain(ipv6) {
        let Some(text) = text.filter(|_| !is_leaving(state.as_ref().map(|word| word.as_str()))) else {
            continue;
        };
        let cidr = parsed::<DescribeVpcs, _>("CidrBlock", &text)?;
        if !cidrs.contains(&cidr) {
            cidrs.push(cidr);
        }
    }
    Ok(Vpc { id: required::<DescribeVpcs, _>("VpcId", from.vpc_id)?, cidrs })
}

/// Whether a prefix is, or soon will be, no part of its VPC or subnet. One whose state nobody can read is.
fn is_leaving(state: Option<&str>) -> bool {
    matches!(state, Some("disassociating" | "disassociated" | "failing" | "failed"))
}

fn route_table(from: aws::RouteTable) -> RouteTable {
    let associations = from.associations.unwrap_or_default();
    let to_the_internet = |route: &aws::Route| {
        let gateway = route.gateway_id.as_deref().is_some_and(|gateway| gateway.starts_with("igw-"));
        gateway && route.state != Some(aws::RouteState::Blackhole)
    };
    RouteTable {
        is_main: associations.iter().any(|one| one.main == Some(true)),
        is_public: from.routes.unwrap_or_default().iter().any(to_the_internet),
        subnets: associations.into_iter().filter_map(|one| one.subnet_id).collect(),
    }
}

fn elastic_ip(from: aws::Address) -> Result<ElasticIp, ApiError> {
    let address = required::<DescribeAddresses, _>("PublicIp", from.public_ip)?;
    Ok(ElasticIp {
        allocation: required::<DescribeAddresses, _>("AllocationId", from.allocation_id)?,
        address: parsed::<DescribeAddresses, _>("PublicIp", &address)?,
        in_use: from.association_id.is_some_and(|association| !association.is_empty()),
    })
}
