//! Tags: those of the user are put back when the wish goes, ours are always there, everything else is left alone.

use daymark_model::{Inventory, Resource, ResourceKey, Timestamp};

use super::SETTLES_WITHIN;
use super::attributes::is_settling;
use super::operation::{AwsOperation, Records};
use crate::api::Tags;
use crate::naming::{fact, record, tag};

/// What has to change.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TagChange {
    /// What is set.
    pub set: Tags,
    /// The keys of what is removed.
    pub remove: Vec<String>,
    /// What is recorded and forgotten.
    pub records: Records,
}

/// What has to change so that tags that were `found` are as `wish` says: ours and the user's.
///
/// What was set before and is not wished any longer is put back whatever was found, for AWS may not show yet what was set.
pub fn settle(wish: &Tags, found: &Tags, resource: Option<&Resource>) -> TagChange {
    let mut change = TagChange::default();
    for (key, value) in wish.iter().filter(|(key, value)| found.get(*key) != Some(*value)) {
        change.set.insert(key.clone(), value.clone());
        let name = record_name(key);
        if !tag::is_ours(key) && resource.is_none_or(|resource| !resource.recorded.contains_key(&name)) {
            change.records.before.insert(name, found.get(key).cloned());
        }
    }
    for (name, before) in resource.into_iter().flat_map(|resource| &resource.recorded) {
        let Some(key) = name.strip_prefix(record::TAG_PREFIX) else { continue };
        if wish.contains_key(key) {
            continue;
        }
        change.records.forget.push(name.clone());
        match before {
            Some(before) => {
                change.set.insert(key.to_owned(), before.clone());
            }
            None => change.remove.push(key.to_owned()),
        }
    }
    change
}

/// What is recorded of the tags of something that is about to be made: none of the user's was there before.
pub fn at_creation(tags: &Tags) -> Records {
    let user = tags.keys().filter(|key| !tag::is_ours(key));
    Records { before: user.map(|key| (record_name(key), None)).collect(), forget: Vec::new() }
}

/// Brings the tags of something that exists to what is wished; `None` = they are, or may only not be visible yet.
pub(super) fn mend(
    key: &ResourceKey,
    wish: &Tags,
    found: &Tags,
    inventory: &Inventory,
    now: Timestamp,
) -> Option<AwsOperation> {
    let resource = inventory.get(key);
    let TagChange { set, remove, records } = settle(wish, found, resource);
    if set.is_empty() && remove.is_empty() {
        return None;
    }
    if records.forget.is_empty() && may_settle(resource, found, &set, &records, now) {
        return None;
    }
    Some(AwsOperation::SetTags { key: key.clone(), tags: set, remove, records })
}

/// Whether tags that differ may only not be visible yet: those of what was just made, and those that were just changed.
fn may_settle(
    resource: Option<&Resource>,
    found: &Tags,
    set: &Tags,
    records: &Records,
    now: Timestamp,
) -> bool {
    let Some(resource) = resource else { return false };
    let noted = resource.facts.get(fact::TAGS_SET);
    let at = noted.and_then(|noted| noted.split_once(' ')?.0.parse().ok()).map(Timestamp);
    // What was just put back must not be taken for what was there before.
    let stale =
        records.before.values().any(Option::is_some) && at.is_some_and(|at| now.since(at) < SETTLES_WITHIN);
    // All tags of what was just made become visible together.
    let unseen = now.since(resource.since) < SETTLES_WITHIN && !found.contains_key(tag::UID);
    unseen || stale || noted.is_some_and(|noted| is_settling(noted, set, now))
}

fn record_name(key: &str) -> String {
    format!("{}{key}", record::TAG_PREFIX)
}
