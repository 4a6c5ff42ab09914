//! Metadata and conditions, as far as they are used.

use std::collections::BTreeMap;

use daymark_model::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};

use crate::Key;

/// Metadata of an object.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Meta {
    /// Its name.
    pub name: Option<String>,
    /// Its namespace.
    pub namespace: Option<String>,
    /// Its UID.
    pub uid: Option<String>,
    /// Its resource version.
    pub resource_version: Option<String>,
    /// Its generation.
    pub generation: Option<i64>,
    /// When it was made (RFC 3339).
    pub creation_timestamp: Option<String>,
    /// When its deletion was asked for (RFC 3339).
    pub deletion_timestamp: Option<String>,
    /// Its labels.
    pub labels: Option<BTreeMap<String, String>>,
    /// Its annotations.
    pub annotations: Option<BTreeMap<String, String>>,
    /// What keeps it from going away.
    pub finalizers: Option<Vec<String>>,
    /// Who wrote it last, by part.
    pub managed_fields: Option<Vec<Writer>>,
}

/// Somebody who wrote a part of an object; what he wrote is not kept.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct Writer {
    /// The name of the field manager.
    pub manager: Option<String>,
    /// The subresource that he wrote.
    pub subresource: Option<String>,
    /// When (RFC 3339).
    pub time: Option<String>,
}

impl Meta {
    /// Namespace and name.
    pub fn key(&self) -> Key {
        Key {
            namespace: self.namespace.clone().unwrap_or_default(),
            name: self.name.clone().unwrap_or_default(),
        }
    }

    /// When it was made; the epoch when that cannot be read.
    pub fn created_at(&self) -> Timestamp {
        self.creation_timestamp
            .as_deref()
            .and_then(|text| text.parse::<jiff::Timestamp>().ok())
            .map(|at| Timestamp(at.as_millisecond()))
            .unwrap_or_default()
    }

    /// The field manager, other than Daymark's, that last wrote its status.
    pub fn foreign_status_writer(&self) -> Option<&str> {
        let writers = self.managed_fields.iter().flatten();
        let status = writers.filter(|w| w.subresource.as_deref() == Some("status"));
        // Times have whole seconds: in a quarrel the last writer cannot be told from us by them.
        let foreign = status.filter(|w| !w.manager.as_deref().unwrap_or_default().starts_with("daymark-"));
        foreign.max_by_key(|w| w.time.as_deref()).and_then(|w| w.manager.as_deref())
    }

    /// Its labels; empty when it has none.
    pub fn labels(&self) -> BTreeMap<String, String> {
        self.labels.clone().unwrap_or_default()
    }
}

/// A condition, whoever wrote it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// Its type.
    #[serde(rename = "type")]
    pub type_: Option<String>,
    /// `True`, `False` or `Unknown`.
    pub status: Option<String>,
    /// The CamelCase word.
    pub reason: Option<String>,
    /// The sentence.
    pub message: Option<String>,
    /// When `status` last changed (RFC 3339).
    pub last_transition_time: Option<String>,
}

/// Reads a list whose items may be anything: those that do not fit are left out, and so is a list that is none.
///
/// # Errors
/// None of its own: only what the deserializer says about text that is no JSON.
pub fn lenient_list<'de, D, T>(deserializer: D) -> Result<Option<Vec<T>>, D::Error>
where
    D: Deserializer<'de>,
    T: DeserializeOwned,
{
    Ok(match Option::<serde_json::Value>::deserialize(deserializer)? {
        Some(serde_json::Value::Array(items)) => {
            Some(items.into_iter().filter_map(|item| serde_json::from_value(item).ok()).collect())
        }
        _ => None,
    })
}
