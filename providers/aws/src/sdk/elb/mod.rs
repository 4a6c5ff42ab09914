//! The calls of Elastic Load Balancing.

pub(super) mod account;
pub(super) mod attributes;
pub(super) mod certificates;
pub(super) mod listeners;
pub(super) mod load_balancers;
pub(super) mod target_groups;
pub(super) mod targets;

use aws_sdk_elasticloadbalancingv2::types::Tag;

use super::decode::Unreadable;
use crate::api::{ApiError, Tags, Which};

fn tags(tags: Tags) -> Option<Vec<Tag>> {
    let list: Vec<Tag> =
        tags.into_iter().map(|(key, value)| Tag::builder().key(key).value(value).build()).collect();
    (!list.is_empty()).then_some(list)
}

fn plain_tags(list: Option<Vec<Tag>>) -> Tags {
    let pairs = list.unwrap_or_default().into_iter().map(|tag| (tag.key, tag.value.unwrap_or_default()));
    pairs.filter_map(|(key, value)| Some((key?, value))).collect()
}

/// The ARNs and the names that a Describe is to name; `None` when nothing is asked for, which AWS takes for everything.
fn asked(which: Which) -> Option<(Option<Vec<String>>, Option<Vec<String>>, Unreadable)> {
    match which {
        Which::Arns(arns) => (!arns.is_empty()).then_some((Some(arns), None, Unreadable::Fails)),
        Which::Names(names) => (!names.is_empty()).then_some((None, Some(names), Unreadable::Fails)),
        Which::All => Some((None, None, Unreadable::IsSkipped)),
    }
}

/// Takes the error that says that a thing is gone for the answer that it is.
fn or_gone<T>(result: Result<T, ApiError>, code: &str, gone: T) -> Result<T, ApiError> {
    match result {
        Err(error) if error.code == code => Ok(gone),
        other => other,
    }
}
