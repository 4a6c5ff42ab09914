//! The calls of EC2.

pub(super) mod network;
pub(super) mod rules;
pub(super) mod security_groups;
pub(super) mod tags;

use aws_sdk_ec2::types::{Filter as AwsFilter, Tag};

use super::decode::Unreadable;
use crate::api::{Filter, Tags};

fn filter(name: impl Into<String>, values: Vec<String>) -> AwsFilter {
    AwsFilter::builder().name(name).set_values(Some(values)).build()
}

/// The ids and the filters of a Describe; `names` is the filter that takes names.
fn asked(wanted: Filter, names: &str) -> (Option<Vec<String>>, Option<Vec<AwsFilter>>, Unreadable) {
    let mut filters = Vec::new();
    filters.extend(wanted.vpc.map(|vpc| filter("vpc-id", vec![vpc])));
    for (key, values) in wanted.tags {
        if values.is_empty() {
            filters.push(filter("tag-key", vec![key]));
        } else {
            filters.push(filter(format!("tag:{key}"), values));
        }
    }
    if !wanted.names.is_empty() {
        filters.push(filter(names, wanted.names));
    }
    if !wanted.letting_in.is_empty() {
        filters.push(filter("ip-permission.group-id", wanted.letting_in));
    }
    let unreadable = if wanted.ids.is_empty() { Unreadable::IsSkipped } else { Unreadable::Fails };
    ((!wanted.ids.is_empty()).then_some(wanted.ids), (!filters.is_empty()).then_some(filters), unreadable)
}

fn plain_tags(list: Option<Vec<Tag>>) -> Tags {
    let pairs = list.unwrap_or_default().into_iter().map(|tag| (tag.key, tag.value.unwrap_or_default()));
    pairs.filter_map(|(key, value)| Some((key?, value))).collect()
}

fn tag_list(tags: Tags) -> Option<Vec<Tag>> {
    let list: Vec<Tag> =
        tags.into_iter().map(|(key, value)| Tag::builder().key(key).value(value).build()).collect();
    (!list.is_empty()).then_some(list)
}
