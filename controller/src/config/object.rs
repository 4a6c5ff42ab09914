//! Daymark's own objects as the controller keeps them: what they say, what is wrong with them, what their status shows.

use daymark_config::crd::{AddressClaim, AddressPool, HasStatus};
use daymark_config::{Problem, native};
use daymark_kube::slim::Meta;
use daymark_kube::{Key, Kind, Object, Unreadable, views};
use daymark_model::{ClaimState, Pool};
use daymark_pool::ClaimView;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::Resource;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::counts::Counts;
use crate::writer::ClaimExtras;

/// An object with conditions; `M` is what the model makes of it.
#[derive(Debug, Clone)]
pub struct ConfigObject<M> {
    /// Its kind.
    pub kind: Kind,
    /// Its name.
    pub key: Key,
    /// UID, resource version and generation.
    pub meta: Meta,
    /// The conditions that its status shows.
    pub conditions: Vec<Condition>,
    /// What it says, or what is wrong with it.
    pub model: Result<M, Vec<Problem>>,
}

impl<M> ConfigObject<M> {
    /// An object that fits its type.
    pub fn read<K>(object: &K, model: Result<M, Vec<Problem>>) -> Self
    where
        K: HasStatus + Resource<DynamicType = ()> + DeserializeOwned + Send + 'static,
    {
        let meta = object.meta();
        Self {
            kind: <K as Object>::kind(),
            key: object.key(),
            meta: Meta {
                name: meta.name.clone(),
                uid: meta.uid.clone(),
                resource_version: meta.resource_version.clone(),
                generation: meta.generation,
                ..Meta::default()
            },
            conditions: object.conditions().to_vec(),
            model,
        }
    }

    /// An object that does not fit its type: it keeps its name, so that the status can say so.
    pub fn unreadable(object: &Unreadable) -> Self {
        let conditions = object.value.pointer("/status/conditions").and_then(Value::as_array);
        let readable = |condition: &Value| serde_json::from_value(condition.clone()).ok();
        Self {
            kind: object.kind.clone(),
            key: object.key.clone(),
            meta: object.metadata.clone(),
            conditions: conditions.into_iter().flatten().filter_map(readable).collect(),
            model: Err(vec![Problem::unreadable(&object.error)]),
        }
    }

    /// The object without its model, and the model where it is sound.
    pub fn split(self) -> (ConfigObject<()>, Option<M>) {
        let (model, rest) = match self.model {
            Ok(model) => (Some(model), Ok(())),
            Err(problems) => (None, Err(problems)),
        };
        let Self { kind, key, meta, conditions, .. } = self;
        (ConfigObject { kind, key, meta, conditions, model: rest }, model)
    }
}

/// An AddressPool.
#[derive(Debug, Clone)]
pub struct PoolObject {
    /// What it says.
    pub config: ConfigObject<Pool>,
    /// The counts that its status shows.
    pub counts: Counts,
}

impl PoolObject {
    /// One that fits its type.
    pub fn read(object: &AddressPool) -> Self {
        Self { config: ConfigObject::read(object, native::pool(object)), counts: Counts::shown(object) }
    }

    /// One that does not.
    pub fn unreadable(object: &Unreadable) -> Self {
        Self { config: ConfigObject::unreadable(object), counts: Counts::default() }
    }
}

/// An AddressClaim.
#[derive(Debug, Clone)]
pub struct ClaimObject {
    /// What is wrong with it, and what its status says.
    pub config: ConfigObject<()>,
    /// What it claims: of one that is refused, what must hold nevertheless.
    pub view: Option<ClaimView>,
    /// What users wrote beside the spec.
    pub extras: ClaimExtras,
}

impl ClaimObject {
    /// One that fits its type.
    pub fn read(object: &AddressClaim) -> Self {
        let (view, model) = match views::claim::claim(object) {
            Ok(view) => (Some(view), Ok(())),
            Err(problems) => {
                let value = serde_json::to_value(object).unwrap_or_default();
                (views::claim::refused(&value), Err(problems))
            }
        };
        let extras = ClaimExtras::of(&object.metadata);
        Self { config: ConfigObject::read(object, model), view, extras }
    }

    /// One that does not.
    pub fn unreadable(object: &Unreadable) -> Self {
        let metadata = object.value.get("metadata").cloned().unwrap_or_default();
        Self {
            config: ConfigObject::unreadable(object),
            view: views::claim::refused(&object.value),
            extras: serde_json::from_value(metadata).map(|m| ClaimExtras::of(&m)).unwrap_or_default(),
        }
    }

    /// Whether somebody made it beforehand for a Service that has not come yet.
    pub fn is_reservation(&self) -> bool {
        self.view.as_ref().is_some_and(|view| view.claim.state() == ClaimState::Reserved)
    }
}
