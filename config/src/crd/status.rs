//! What the statuses of all kinds have in common.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::Resource;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

/// A kind whose status has conditions.
pub trait HasStatus: Resource<DynamicType = ()> {
    /// The conditions in the status; none without a status.
    fn conditions(&self) -> &[Condition];

    /// The generation that the status speaks of.
    fn observed_generation(&self) -> Option<i64>;
}

macro_rules! has_status {
    ($kind:ident) => {
        impl crate::crd::HasStatus for $kind {
            fn conditions(&self) -> &[k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition] {
                self.status.as_ref().map_or(&[], |s| &s.conditions)
            }

            fn observed_generation(&self) -> Option<i64> {
                self.status.as_ref().and_then(|s| s.observed_generation)
            }
        }
    };
}

pub(super) use has_status;

/// Reads a status field; what cannot be read counts as absent, since whoever wrote it writes it again.
pub fn lenient<'de, D: Deserializer<'de>, T: DeserializeOwned + Default>(
    deserializer: D,
) -> Result<T, D::Error> {
    Ok(serde_json::from_value(Value::deserialize(deserializer)?).unwrap_or_default())
}

/// Reads the items of a list of a status that can be read.
pub fn lenient_list<'de, D: Deserializer<'de>, T: DeserializeOwned>(
    deserializer: D,
) -> Result<Vec<T>, D::Error> {
    let Value::Array(items) = Value::deserialize(deserializer)? else { return Ok(Vec::new()) };
    Ok(items.into_iter().filter_map(|item| serde_json::from_value(item).ok()).collect())
}

#[cfg(test)]
mod tests {
    use crate::crd::{AddressPool, HasStatus, Speaker};
    use serde_json::json;

    #[test]
    fn a_garbled_status_does_not_make_the_object_unreadable() {
        let good = json!({
            "type": "Accepted", "status": "True", "reason": "Accepted", "message": "",
            "lastTransitionTime": "2026-01-01T00:00:00Z",
        });
        let pool: AddressPool = serde_json::from_value(json!({
            "metadata": { "name": "public" },
            "spec": { "addresses": ["192.0.2.0/24"] },
            "status": {
                "observedGeneration": "many",
                "ipv4": 7,
                "conditions": [good, { "type": "Overlap", "status": "True", "lastTransitionTime": null }],
            },
        }))
        .unwrap();
        assert_eq!(pool.conditions().len(), 1);
        assert_eq!(pool.observed_generation(), None);
        let speaker: Speaker = serde_json::from_value(json!({
            "metadata": { "name": "n1" }, "spec": {}, "status": { "sessions": {}, "facts": [], "problems": null },
        }))
        .unwrap();
        assert_eq!(speaker.status.unwrap().facts, None);
    }
}
