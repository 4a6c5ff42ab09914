//! Target groups.

use aws_sdk_elasticloadbalancingv2::Client;
use aws_sdk_elasticloadbalancingv2::types::{self as aws, Matcher, TargetGroupIpAddressTypeEnum};
use daymark_model::Family;

use super::{Asked, or_gone, tags};
use crate::api::{
    ApiError, Call, CreateTargetGroup, DeleteTargetGroup, DescribeTargetGroups, HealthCheck, HealthProtocol,
    ModifyTargetGroup, NlbProtocol, TargetGroup, TargetType, Which,
};
use crate::sdk::decode::{elements, number, only, pages, parsed, required, text, word};
use crate::sdk::error::failed;

/// The port of a health check that is the one that the target gets traffic on.
const TRAFFIC_PORT: &str = "traffic-port";

pub(in crate::sdk) async fn describe(
    client: &Client,
    call: DescribeTargetGroups,
) -> Result<Vec<TargetGroup>, ApiError> {
    let all = call.which == Which::All;
    let Some(Asked { arns, names, unreadable }) = Asked::of(call.which) else { return Ok(Vec::new()) };
    let request = client.describe_target_groups().set_target_group_arns(arns).set_names(names);
    let found = pages!(DescribeTargetGroups, request.into_paginator(), target_groups);
    let found = if all { or_gone(found, "TargetGroupNotFound", Vec::new())? } else { found? };
    elements(found, unreadable, read::<DescribeTargetGroups>)
}

pub(in crate::sdk) async fn create(
    client: &Client,
    call: CreateTargetGroup,
) -> Result<TargetGroup, ApiError> {
    let check = Check::of(call.health);
    let request = client
        .create_target_group()
        .name(call.name)
        .protocol(call.protocol.as_str().into())
        .port(call.port.into())
        .vpc_id(call.vpc)
        .target_type(call.target_type.as_str().into())
        .set_ip_address_type((call.family == Family::V6).then_some(TargetGroupIpAddressTypeEnum::Ipv6))
        .health_check_enabled(true)
        .health_check_protocol(check.protocol)
        .health_check_port(check.port)
        .set_health_check_path(check.path)
        .set_matcher(check.matcher)
        .health_check_interval_seconds(check.interval)
        .health_check_timeout_seconds(check.timeout)
        .healthy_threshold_count(check.healthy)
        .unhealthy_threshold_count(check.unhealthy)
        .set_tags(tags(call.tags));
    let answer = request.send().await.map_err(failed::<CreateTargetGroup, _>)?;
    read::<CreateTargetGroup>(only::<CreateTargetGroup, _>("TargetGroups", answer.target_groups)?)
}

pub(in crate::sdk) async fn modify(client: &Client, call: ModifyTargetGroup) -> Result<(), ApiError> {
    let check = Check::of(call.health);
    let request = client
        .modify_target_group()
        .target_group_arn(call.arn)
        .health_check_protocol(check.protocol)
        .health_check_port(check.port)
        .set_health_check_path(check.path)
        .set_matcher(check.matcher)
        .health_check_interval_seconds(check.interval)
        .health_check_timeout_seconds(check.timeout)
        .healthy_threshold_count(check.healthy)
        .unhealthy_threshold_count(check.unhealthy);
    request.send().await.map(drop).map_err(failed::<ModifyTargetGroup, _>)
}

pub(in crate::sdk) async fn delete(client: &Client, call: DeleteTargetGroup) -> Result<(), ApiError> {
    let result = client.delete_target_group().target_group_arn(call.arn).send().await;
    or_gone(result.map(drop).map_err(failed::<DeleteTargetGroup, _>), "TargetGroupNotFound", ())
}

/// A health check as it is sent.
struct Check {
    protocol: aws::ProtocolEnum,
    port: String,
    path: Option<String>,
    matcher: Option<Matcher>,
    interval: i32,
    timeout: i32,
    healthy: i32,
    unhealthy: i32,
}

impl Check {
    fn of(health: HealthCheck) -> Self {
        let number = |number: u32| i32::try_from(number).unwrap_or(i32::MAX);
        Self {
            protocol: health.protocol.as_str().into(),
            port: health.port.map_or_else(|| TRAFFIC_PORT.to_owned(), |port| port.to_string()),
            path: health.path,
            matcher: health.codes.map(|codes| Matcher::builder().http_code(codes).build()),
            interval: number(health.interval),
            timeout: number(health.timeout),
            healthy: number(health.healthy),
            unhealthy: number(health.unhealthy),
        }
    }
}

fn read<C: Call>(mut from: aws::TargetGroup) -> Result<TargetGroup, ApiError> {
    let health = health::<C>(&mut from)?;
    let protocol = required::<C, _>("Protocol", from.protocol)?;
    let target_type = from.target_type.as_ref().map_or("instance", |word| word.as_str());
    Ok(TargetGroup {
        arn: required::<C, _>("TargetGroupArn", from.target_group_arn)?,
        name: required::<C, _>("TargetGroupName", from.target_group_name)?,
        protocol: word::<C, _>("Protocol", protocol.as_str(), NlbProtocol::parse)?,
        port: number::<C, _>("Port", required::<C, _>("Port", from.port)?)?,
        target_type: word::<C, _>("TargetType", target_type, TargetType::parse)?,
        family: match from.ip_address_type {
            Some(TargetGroupIpAddressTypeEnum::Ipv6) => Family::V6,
            _ => Family::V4,
        },
        vpc: from.vpc_id.unwrap_or_default(),
        health,
        load_balancers: from.load_balancer_arns.unwrap_or_default(),
    })
}

fn health<C: Call>(from: &mut aws::TargetGroup) -> Result<HealthCheck, ApiError> {
    let protocol = from.health_check_protocol.as_ref().map_or("TCP", |word| word.as_str());
    let protocol = word::<C, _>("HealthCheckProtocol", protocol, HealthProtocol::parse)?;
    let port = from.health_check_port.take().filter(|port| port != TRAFFIC_PORT && !port.is_empty());
    let asks_a_path = match protocol {
        HealthProtocol::Tcp => false,
        HealthProtocol::Http | HealthProtocol::Https => true,
    };
    let codes = from.matcher.take().and_then(|matcher| text(matcher.http_code));
    // AWS's defaults where an answer lacks one.
    let count =
        |field: &str, value: Option<i32>, default: i32| number::<C, _>(field, value.unwrap_or(default));
    Ok(HealthCheck {
        protocol,
        port: port.map(|port| parsed::<C, _>("HealthCheckPort", &port)).transpose()?,
        // What a TCP check says of them is left from another time, and does nothing.
        path: text(from.health_check_path.take()).filter(|_| asks_a_path),
        codes: codes.filter(|_| asks_a_path),
        interval: count("HealthCheckIntervalSeconds", from.health_check_interval_seconds, 30)?,
        timeout: count("HealthCheckTimeoutSeconds", from.health_check_timeout_seconds, 10)?,
        healthy: count("HealthyThresholdCount", from.healthy_threshold_count, 5)?,
        unhealthy: count("UnhealthyThresholdCount", from.unhealthy_threshold_count, 2)?,
    })
}
