//! Statuses of our own objects: written only when they say something new.

use daymark_config::conditions::{self, Verdict};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::Client;
use kube::api::{Patch, PatchParams};
use kube::core::Request;
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
    fn foreign_conditions_stay() {
        let mut found = conditions(&[], &[accepted("")], &[], None, at(1)).unwrap();
        found[0].type_ = "example.com/X".into();
        let list = conditions(&found, &[accepted("")], &[], None, at(2)).unwrap();
        assert_eq!((list.len(), &list[0]), (2, &found[0]));
    }
}
