//! Load balancers and what is set on them.

use aws_sdk_elasticloadbalancingv2::Client;
use aws_sdk_elasticloadbalancingv2::types::{
    self as aws, EnablePrefixForIpv6SourceNatEnum as SourceNat,
    EnforceSecurityGroupInboundRulesOnPrivateLinkTrafficEnum as PrivateLinkRules, LoadBalancerTypeEnum,
    MinimumLoadBalancerCapacity,
};

use super::{Asked, or_gone, tags};
use crate::api::{
    ApiError, Call, CreateLoadBalancer, DeleteLoadBalancer, DescribeCapacityReservation,
    DescribeLoadBalancers, IpAddressType, LoadBalancer, LoadBalancerState, ModifyCapacityReservation, Scheme,
    SetIpAddressType, SetSecurityGroups, SetSubnets, SubnetMapping, Which, Zone, ZoneAddress,
};
use crate::sdk::decode::{address, elements, number, only, pages, required, text, word};
use crate::sdk::error::failed;

pub(in crate::sdk) async fn describe(
    client: &Client,
    call: DescribeLoadBalancers,
) -> Result<Vec<LoadBalancer>, ApiError> {
    let all = call.which == Which::All;
    let Some(Asked { arns, names, unreadable }) = Asked::of(call.which) else { return Ok(Vec::new()) };
    let request = client.describe_load_balancers().set_load_balancer_arns(arns).set_names(names);
    let found = pages!(DescribeLoadBalancers, request.into_paginator(), load_balancers);
    let found = if all { or_gone(found, "LoadBalancerNotFound", Vec::new())? } else { found? };
    elements(found, unreadable, read::<DescribeLoadBalancers>)
}

pub(in crate::sdk) async fn create(
    client: &Client,
    call: CreateLoadBalancer,
) -> Result<LoadBalancer, ApiError> {
    let request = client
        .create_load_balancer()
        .name(call.name)
        .r#type(LoadBalancerTypeEnum::Network)
        // Always: what is not sent is not in every answer.
        .scheme(call.scheme.as_str().into())
        .ip_address_type(call.ip_address_type.as_str().into())
        .set_subnet_mappings(Some(mappings(call.subnets)))
        .set_security_groups((!call.security_groups.is_empty()).then_some(call.security_groups))
        .set_enable_prefix_for_ipv6_source_nat(call.source_nat.then_some(SourceNat::On))
        .set_tags(tags(call.tags));
    let answer = request.send().await.map_err(failed::<CreateLoadBalancer, _>)?;
    read::<CreateLoadBalancer>(only::<CreateLoadBalancer, _>("LoadBalancers", answer.load_balancers)?)
}

pub(in crate::sdk) async fn delete(client: &Client, call: DeleteLoadBalancer) -> Result<(), ApiError> {
    let result = client.delete_load_balancer().load_balancer_arn(call.arn).send().await;
    or_gone(result.map(drop).map_err(failed::<DeleteLoadBalancer, _>), "LoadBalancerNotFound", ())
}

pub(in crate::sdk) async fn set_subnets(client: &Client, call: SetSubnets) -> Result<(), ApiError> {
    let source_nat = call.source_nat.map(|on| if on { SourceNat::On } else { SourceNat::Off });
    let request = client
        .set_subnets()
        .load_balancer_arn(call.arn)
        .set_subnet_mappings(Some(mappings(call.subnets)))
        .set_enable_prefix_for_ipv6_source_nat(source_nat);
    request.send().await.map(drop).map_err(failed::<SetSubnets, _>)
}

pub(in crate::sdk) async fn set_security_groups(
    client: &Client,
    call: SetSecurityGroups,
) -> Result<(), ApiError> {
    let rules =
        call.private_link_rules.map(|on| if on { PrivateLinkRules::On } else { PrivateLinkRules::Off });
    let request = client
        .set_security_groups()
        .load_balancer_arn(call.arn)
        .set_security_groups(Some(call.security_groups))
        .set_enforce_security_group_inbound_rules_on_private_link_traffic(rules);
    request.send().await.map(drop).map_err(failed::<SetSecurityGroups, _>)
}

pub(in crate::sdk) async fn set_ip_address_type(
    client: &Client,
    call: SetIpAddressType,
) -> Result<(), ApiError> {
    let request = client.set_ip_address_type().load_balancer_arn(call.arn);
    let request = request.ip_address_type(call.ip_address_type.as_str().into());
    request.send().await.map(drop).map_err(failed::<SetIpAddressType, _>)
}

pub(in crate::sdk) async fn describe_capacity(
    client: &Client,
    call: DescribeCapacityReservation,
) -> Result<u32, ApiError> {
    let answer = client.describe_capacity_reservation().load_balancer_arn(call.arn).send().await;
    let answer = answer.map_err(failed::<DescribeCapacityReservation, _>)?;
    let units = answer.minimum_load_balancer_capacity.and_then(|capacity| capacity.capacity_units);
    number::<DescribeCapacityReservation, _>("CapacityUnits", units.unwrap_or(0))
}

pub(in crate::sdk) async fn modify_capacity(
    client: &Client,
    call: ModifyCapacityReservation,
) -> Result<(), ApiError> {
    let request = client.modify_capacity_reservation().load_balancer_arn(call.arn);
    let request = if call.units == 0 {
        request.reset_capacity_reservation(true)
    } else {
        let units = i32::try_from(call.units).unwrap_or(i32::MAX);
        request.minimum_load_balancer_capacity(
            MinimumLoadBalancerCapacity::builder().capacity_units(units).build(),
        )
    };
    request.send().await.map(drop).map_err(failed::<ModifyCapacityReservation, _>)
}

fn mappings(subnets: Vec<SubnetMapping>) -> Vec<aws::SubnetMapping> {
    let mapping = |wanted: SubnetMapping| {
        aws::SubnetMapping::builder()
            .subnet_id(wanted.subnet)
            .set_allocation_id(wanted.allocation)
            .set_private_ipv4_address(text(wanted.private))
            .set_ipv6_address(text(wanted.ipv6))
            .set_source_nat_ipv6_prefix(wanted.source_nat_prefix)
            .build()
    };
    subnets.into_iter().map(mapping).collect()
}

fn read<C: Call>(from: aws::LoadBalancer) -> Result<LoadBalancer, ApiError> {
    let state = from.state.as_ref();
    let code = state.and_then(|state| state.code.as_ref()).map(|code| code.as_str());
    let scheme = from.scheme.as_ref().map(|scheme| scheme.as_str());
    // An ALB alone has a third type, with IPv6 on both sides.
    let families = from.ip_address_type.as_ref().map_or("ipv4", |families| families.as_str());
    Ok(LoadBalancer {
        arn: required::<C, _>("LoadBalancerArn", from.load_balancer_arn)?,
        name: required::<C, _>("LoadBalancerName", from.load_balancer_name)?,
        dns_name: from.dns_name.unwrap_or_default(),
        hosted_zone: from.canonical_hosted_zone_id.unwrap_or_default(),
        is_network: from.r#type == Some(LoadBalancerTypeEnum::Network),
        // AWS's default, for servers that do not repeat it.
        scheme: word::<C, _>("Scheme", scheme.unwrap_or("internet-facing"), Scheme::parse)?,
        // A word that is new means work in progress: nothing is taken for finished or failed that may not be.
        state: code.and_then(LoadBalancerState::parse).unwrap_or(LoadBalancerState::Provisioning),
        state_reason: text(state.and_then(|state| state.reason.as_ref())),
        vpc: from.vpc_id.unwrap_or_default(),
        ip_address_type: IpAddressType::parse(families).unwrap_or(IpAddressType::Dualstack),
        zones: from.availability_zones.unwrap_or_default().into_iter().map(zone).collect(),
        security_groups: from.security_groups.unwrap_or_default(),
        private_link_rules: from
            .enforce_security_group_inbound_rules_on_private_link_traffic
            .map(|word| word.eq_ignore_ascii_case("on")),
        source_nat: from.enable_prefix_for_ipv6_source_nat == Some(SourceNat::On),
    })
}

fn zone(from: aws::AvailabilityZone) -> Zone {
    // A zone of an NLB has one subnet, and there one entry per family at most.
    let mut found = ZoneAddress::default();
    for entry in from.load_balancer_addresses.unwrap_or_default() {
        found.allocation = found.allocation.or_else(|| text(entry.allocation_id));
        found.public = found.public.or_else(|| address(entry.ip_address));
        found.private = found.private.or_else(|| address(entry.private_ipv4_address));
        found.ipv6 = found.ipv6.or_else(|| address(entry.ipv6_address));
    }
    Zone {
        name: from.zone_name.unwrap_or_default(),
        subnet: from.subnet_id.unwrap_or_default(),
        address: found,
        source_nat_prefix: from.source_nat_ipv6_prefixes.unwrap_or_default().into_iter().next(),
    }
}
