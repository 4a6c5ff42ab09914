//! Statuses of our own objects: written only when they say something new.

use daymark_config::conditions::{self, Verdict};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::Client;
use kube::api::{Patch, PatchParams};
use kube::core::Request;
use serde::Serialize;
use serde_json::{Map, Value, json};
use std::time::Duration;

use crate::client::{CallError, within};
use crate::object::{Key, Kind};
use crate::slim::Meta;

const DEADLINE: Duration = Duration::from_secs(5);

/// The conditions that say `verdicts` and nothing of `retired`, beside what others wrote into `found`; `None` when that
/// is what is there.
pub fn conditions(
    found: &[Condition],
    verdicts: &[Verdict],
    retired: &[&str],
    generation: Option<i64>,
    now: jiff::Timestamp,
) -> Option<Vec<Condition>> {
    let mut list = found.to_vec();
    let mut changed = false;
    for verdict in verdicts {
        changed |= conditions::set(&mut list, verdict, generation, now);
    }
    for kind in retired {
        changed |= conditions::remove(&mut list, kind);
    }
    changed.then_some(list)
}

/// The fields that [`patch`] turns the status `found` into `wanted` with: what it says no more is null, at every depth.
/// `None` when they are the same.
///
/// # Errors
/// When a status is no JSON object: a fault of its type.
pub fn difference<S: Serialize>(
    found: Option<&S>,
    wanted: &S,
) -> Result<Option<Map<String, Value>>, serde_json::Error> {
    let object = |status: &S| serde_json::from_value::<Map<String, Value>>(serde_json::to_value(status)?);
    let found = found.map(object).transpose()?.unwrap_or_default();
    let fields = merge(&found, object(wanted)?);
    Ok((!fields.is_empty()).then_some(fields))
}

/// The JSON merge patch (RFC 7396) from `found` to `wanted`.
fn merge(found: &Map<String, Value>, wanted: Map<String, Value>) -> Map<String, Value> {
    let gone = found.keys().filter(|name| !wanted.contains_key(*name));
    let mut patch: Map<String, Value> = gone.map(|name| (name.clone(), Value::Null)).collect();
    for (name, wanted) in wanted {
        match (found.get(&name), wanted) {
            (Some(Value::Object(found)), Value::Object(wanted)) => {
                let fields = merge(found, wanted);
                if !fields.is_empty() {
                    patch.insert(name, Value::Object(fields));
                }
            }
            (Some(found), wanted) if *found == wanted => {}
            (_, wanted) => drop(patch.insert(name, wanted)),
        }
    }
    patch
}

/// Merges `fields` into the status of exactly the object that `meta` was read from, and gives back its metadata.
///
/// # Errors
/// 409 when the object changed meanwhile or is another one of the same name: the watch tells what it is now.
pub async fn patch(
    client: &Client,
    manager: &str,
    kind: &Kind,
    key: &Key,
    meta: &Meta,
    fields: Map<String, Value>,
) -> Result<Meta, CallError> {
    let namespace = (!key.namespace.is_empty()).then_some(key.namespace.as_str());
    let body = json!({
        "metadata": {"uid": meta.uid, "resourceVersion": meta.resource_version},
        "status": fields,
    });
    let params = PatchParams { field_manager: Some(manager.to_owned()), ..PatchParams::default() };
    let request = Request::new(kind.path(namespace))
        .patch_subresource("status", &key.name, &params, &Patch::Merge(body))
        .map_err(|error| CallError::Kube(kube::Error::BuildRequest(error)))?;
    #[derive(serde::Deserialize)]
    struct Written {
        metadata: Meta,
    }
    let written: Written = within(DEADLINE, client.request(request)).await?;
    Ok(written.metadata)
}

#[cfg(test)]
mod tests {
    use daymark_config::conditions::ConditionStatus;

    use super::*;

    fn accepted(message: &str) -> Verdict {
        Verdict {
            kind: "Accepted",
            status: ConditionStatus::True,
            reason: "Accepted".into(),
            message: message.into(),
        }
    }

    fn at(second: i64) -> jiff::Timestamp {
        jiff::Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn nothing_new_is_no_write() {
        let first = conditions(&[], &[accepted("")], &["Overlap"], Some(1), at(1)).unwrap();
        assert_eq!(conditions(&first, &[accepted("")], &["Overlap"], Some(1), at(2)), None);
        assert!(conditions(&first, &[accepted("")], &[], Some(2), at(2)).is_some());
        assert_eq!(conditions(&first, &[], &["Accepted"], Some(1), at(2)), Some(vec![]));
    }

    #[test]
    fn what_a_status_says_no_more_is_taken_away_at_every_depth() {
        let found =
            json!({"a": 1, "error": {"code": "X", "remedy": "y"}, "plan": {"steps": [1]}, "same": {"k": 1}});
        let wanted = json!({"a": 1, "error": {"code": "Z"}, "ports": [{"n": 1}], "same": {"k": 1}});
        let fields = difference(Some(&found), &wanted).unwrap().map(Value::Object);
        let expected = json!({"error": {"code": "Z", "remedy": null}, "plan": null, "ports": [{"n": 1}]});
        assert_eq!(fields, Some(expected));
        assert_eq!(difference(Some(&wanted), &wanted).unwrap(), None);
        assert_eq!(difference(None, &wanted).unwrap().map(Value::Object), Some(wanted));
        assert_eq!(difference(None, &json!({})).unwrap(), None);
        assert!(difference(None, &json!(7)).is_err());
    }

    #[test]
    fn foreign_conditions_stay() {
        let mut found = conditions(&[], &[accepted("")], &[], None, at(1)).unwrap();
        found[0].type_ = "example.com/X".into();
        let list = conditions(&found, &[accepted("")], &[], None, at(2)).unwrap();
        assert_eq!((list.len(), &list[0]), (2, &found[0]));
    }
}
