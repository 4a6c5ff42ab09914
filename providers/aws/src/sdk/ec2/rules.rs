//! What security groups let in.

use aws_sdk_ec2::Client;
use aws_sdk_ec2::types::{
    IpPermission, IpRange, Ipv6Range, PrefixListId, SecurityGroupRule, UserIdGroupPair,
};
use ipnet::IpNet;

use super::filter;
use crate::api::{
    ApiError, AuthorizeSecurityGroupIngress, DescribeSecurityGroupRules, Ingress, IngressRule, Peer,
    RevokeSecurityGroupIngress, RuleProtocol,
};
use crate::sdk::decode::{Unreadable, elements, pages, parsed, required, text, word};
use crate::sdk::error::{failed, unreadable};

pub(in crate::sdk) async fn describe(
    client: &Client,
    call: DescribeSecurityGroupRules,
) -> Result<Vec<IngressRule>, ApiError> {
    if call.groups.is_empty() {
        return Ok(Vec::new());
    }
    let request = client.describe_security_group_rules().filters(filter("group-id", call.groups));
    let found: Vec<SecurityGroupRule> =
        pages!(DescribeSecurityGroupRules, request.into_paginator(), security_group_rules)?;
    let inward = found.into_iter().filter(|rule| rule.is_egress != Some(true)).collect();
    // People make rules of protocols that no load balancer has (ESP is 50).
    elements(inward, Unreadable::IsSkipped, read)
}

pub(in crate::sdk) async fn authorize(
    client: &Client,
    call: AuthorizeSecurityGroupIngress,
) -> Result<(), ApiError> {
    if call.rules.is_empty() {
        return Ok(());
    }
    let permissions = call.rules.into_iter().map(|rule| permission(rule, &call.description)).collect();
    let request = client.authorize_security_group_ingress().group_id(call.group);
    let request = request.set_ip_permissions(Some(permissions));
    request.send().await.map(drop).map_err(failed::<AuthorizeSecurityGroupIngress, _>)
}

pub(in crate::sdk) async fn revoke(
    client: &Client,
    call: RevokeSecurityGroupIngress,
) -> Result<(), ApiError> {
    if call.rules.is_empty() {
        return Ok(());
    }
    let request = client.revoke_security_group_ingress().group_id(call.group);
    let request = request.set_security_group_rule_ids(Some(call.rules));
    request.send().await.map(drop).map_err(failed::<RevokeSecurityGroupIngress, _>)
}

fn permission(rule: Ingress, description: &str) -> IpPermission {
    let description = text(Some(description));
    let permission = IpPermission::builder().ip_protocol(rule.protocol.as_str());
    let permission = match rule.protocol {
        RuleProtocol::All => permission,
        RuleProtocol::Tcp | RuleProtocol::Udp | RuleProtocol::Icmp | RuleProtocol::Icmpv6 => {
            permission.from_port(rule.from).to_port(rule.to)
        }
    };
    let permission = match rule.peer {
        Peer::Cidr(IpNet::V4(cidr)) => permission
            .ip_ranges(IpRange::builder().cidr_ip(cidr.to_string()).set_description(description).build()),
        Peer::Cidr(IpNet::V6(cidr)) => permission.ipv6_ranges(
            Ipv6Range::builder().cidr_ipv6(cidr.to_string()).set_description(description).build(),
        ),
        Peer::PrefixList(id) => permission
            .prefix_list_ids(PrefixListId::builder().prefix_list_id(id).set_description(description).build()),
        Peer::Group(id) => permission.user_id_group_pairs(
            UserIdGroupPair::builder().group_id(id).set_description(description).build(),
        ),
    };
    permission.build()
}

fn read(from: SecurityGroupRule) -> Result<IngressRule, ApiError> {
    type Describe = DescribeSecurityGroupRules;
    let id = required::<Describe, _>("SecurityGroupRuleId", from.security_group_rule_id)?;
    let cidr =
        from.cidr_ipv4.filter(|cidr| !cidr.is_empty()).or(from.cidr_ipv6.filter(|cidr| !cidr.is_empty()));
    let group = from.referenced_group_info.and_then(|group| group.group_id);
    let peer = match (cidr, text(from.prefix_list_id), group) {
        (Some(cidr), _, _) => Peer::Cidr(parsed::<Describe, _>("CidrIpv4 or CidrIpv6", &cidr)?),
        (None, Some(list), _) => Peer::PrefixList(list),
        (None, None, Some(group)) => Peer::Group(group),
        (None, None, None) => {
            return Err(unreadable::<Describe>(format_args!("{id} says not whom it lets in")));
        }
    };
    let protocol = required::<Describe, _>("IpProtocol", from.ip_protocol)?;
    Ok(IngressRule {
        group: required::<Describe, _>("GroupId", from.group_id)?,
        ingress: Ingress {
            protocol: word::<Describe, _>("IpProtocol", &protocol, RuleProtocol::parse)?,
            // -1 is AWS's word for all of them.
            from: from.from_port.unwrap_or(-1),
            to: from.to_port.unwrap_or(-1),
            peer,
        },
        description: from.description.unwrap_or_default(),
        id,
    })
}
