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

/// What a Describe is to name.
struct Asked {
    arns: Option<Vec<String>>,
    names: Option<Vec<String>>,
    unreadable: Unreadable,
}

impl Asked {
    /// `None` when nothing is asked for, which AWS takes for everything.
    fn of(which: Which) -> Option<Self> {
        let named = |arns: Option<Vec<String>>, names: Option<Vec<String>>| {
            let any = arns.iter().chain(&names).any(|list| !list.is_empty());
            any.then_some(Self { arns, names, unreadable: Unreadable::Fails })
        };
        match which {
            Which::Arns(arns) => named(Some(arns), None),
            Which::Names(names) => named(None, Some(names)),
            Which::All => Some(Self { arns: None, names: None, unreadable: Unreadable::IsSkipped }),
        }
    }
}

/// Takes the error that says that a thing is gone for the answer that it is.
fn or_gone<T>(result: Result<T, ApiError>, code: &str, gone: T) -> Result<T, ApiError> {
    match result {
        Err(error) if error.code == code => Ok(gone),
        other => other,
    }
}
