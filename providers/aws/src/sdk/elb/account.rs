//! Tags of what Elastic Load Balancing has, and the account's quotas.

use std::collections::BTreeMap;

use aws_sdk_elasticloadbalancingv2::Client;

use super::{plain_tags, tags};
use crate::api::{AddTags, ApiError, DescribeAccountLimits, DescribeTags, Limit, RemoveTags, Tags};
use crate::sdk::decode::{Unreadable, elements, pages, parsed, required};
use crate::sdk::error::failed;

pub(in crate::sdk) async fn describe_tags(
    client: &Client,
    call: DescribeTags,
) -> Result<BTreeMap<String, Tags>, ApiError> {
    if call.arns.is_empty() {
        return Ok(BTreeMap::new());
    }
    let answer = client.describe_tags().set_resource_arns(Some(call.arns)).send().await;
    let answer = answer.map_err(failed::<DescribeTags, _>)?;
    let found = answer.tag_descriptions.unwrap_or_default().into_iter();
    Ok(found.filter_map(|one| Some((one.resource_arn?, plain_tags(one.tags)))).collect())
}

pub(in crate::sdk) async fn add_tags(client: &Client, call: AddTags) -> Result<(), ApiError> {
    let Some(tags) = tags(call.tags) else { return Ok(()) };
    let request = client.add_tags().resource_arns(call.arn).set_tags(Some(tags));
    request.send().await.map(drop).map_err(failed::<AddTags, _>)
}

pub(in crate::sdk) async fn remove_tags(client: &Client, call: RemoveTags) -> Result<(), ApiError> {
    if call.keys.is_empty() {
        return Ok(());
    }
    let request = client.remove_tags().resource_arns(call.arn).set_tag_keys(Some(call.keys));
    request.send().await.map(drop).map_err(failed::<RemoveTags, _>)
}

pub(in crate::sdk) async fn limits(
    client: &Client,
    _: DescribeAccountLimits,
) -> Result<Vec<Limit>, ApiError> {
    let request = client.describe_account_limits();
    let found = pages!(DescribeAccountLimits, request.into_paginator(), limits)?;
    elements(found, Unreadable::IsSkipped, |limit| {
        let max = required::<DescribeAccountLimits, _>("Max", limit.max)?;
        Ok(Limit {
            name: required::<DescribeAccountLimits, _>("Name", limit.name)?,
            max: parsed::<DescribeAccountLimits, _>("Max", &max)?,
        })
    })
}
