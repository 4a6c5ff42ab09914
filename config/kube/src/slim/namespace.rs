//! Namespaces.

use serde::Deserialize;

use super::meta::Meta;

/// A Namespace: its labels are all that is used.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
pub struct Namespace {
    /// Its metadata.
    #[serde(default)]
    pub metadata: Meta,
}

super::object!(Namespace, "", "v1", "namespaces");
