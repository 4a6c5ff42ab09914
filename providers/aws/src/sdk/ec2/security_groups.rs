//! Security groups.

use aws_sdk_ec2::Client;
use aws_sdk_ec2::types::{self as aws, ResourceType, TagSpecification};

use super::{asked, plain_tags, tag_list};
use crate::api::{ApiError, CreateSecurityGroup, DeleteSecurityGroup, DescribeSecurityGroups, SecurityGroup};
use crate::sdk::decode::{elements, pages, required};
use crate::sdk::error::failed;

pub(in crate::sdk) async fn describe(
    client: &Client,
    call: DescribeSecurityGroups,
) -> Result<Vec<SecurityGroup>, ApiError> {
    let (ids, filters, unreadable) = asked(call.filter, "group-name");
    let request = client.describe_security_groups().set_group_ids(ids).set_filters(filters);
    let found = pages!(DescribeSecurityGroups, request.into_paginator(), security_groups)?;
    elements(found, unreadable, |from: aws::SecurityGroup| {
        Ok(SecurityGroup {
            id: required::<DescribeSecurityGroups, _>("GroupId", from.group_id)?,
            name: from.group_name.unwrap_or_default(),
            vpc: from.vpc_id.unwrap_or_default(),
            tags: plain_tags(from.tags),
        })
    })
}

pub(in crate::sdk) async fn create(client: &Client, call: CreateSecurityGroup) -> Result<String, ApiError> {
    let tags = tag_list(call.tags).map(|tags| {
        let group = ResourceType::SecurityGroup;
        vec![TagSpecification::builder().resource_type(group).set_tags(Some(tags)).build()]
    });
    let request = client
        .create_security_group()
        .group_name(call.name)
        .description(call.description)
        .vpc_id(call.vpc)
        .set_tag_specifications(tags);
    let answer = request.send().await.map_err(failed::<CreateSecurityGroup, _>)?;
    required::<CreateSecurityGroup, _>("GroupId", answer.group_id)
}

pub(in crate::sdk) async fn delete(client: &Client, call: DeleteSecurityGroup) -> Result<(), ApiError> {
    let result = client.delete_security_group().group_id(call.id).send().await;
    result.map(drop).map_err(failed::<DeleteSecurityGroup, _>)
}
