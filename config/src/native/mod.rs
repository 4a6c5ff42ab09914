//! Our own objects become the model, one by one: a bad one gives its problems and disables nothing but itself.
//!
//! None of the rules in the CRDs is relied on: an object may have been stored while the CRDs were older, or without
//! validations.

mod announcement;
mod aws;
mod claim;
pub mod cloud;
mod field;
mod neighbor;
mod pool;
mod profile;
mod speaker;

use daymark_model::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

pub use announcement::announcement;
pub use claim::{claim, claim_object};
pub(crate) use field::{address, object_name};
pub use neighbor::neighbor;
pub use pool::pool;
pub use profile::profile;
pub use speaker::{SpeakerSettings, speaker_settings};

/// When the object was made; the beginning of time where it does not say.
pub fn created_at(meta: &ObjectMeta) -> Timestamp {
    Timestamp(meta.creation_timestamp.as_ref().map_or(0, |t| t.0.as_millisecond()))
}

/// The object's name; empty where it has none, which the API server does not store.
fn name(meta: &ObjectMeta) -> &str {
    meta.name.as_deref().unwrap_or_default()
}
