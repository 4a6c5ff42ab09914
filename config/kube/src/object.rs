//! What the pump needs to know of a kind, and of one object of it.

use std::borrow::Cow;
use std::fmt;

use kube::Resource;
use serde::de::DeserializeOwned;

use crate::slim::Meta;

/// Namespace and name of an object, written `namespace/name`, or `name` for a cluster-scoped one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Key {
    /// The namespace; empty for a cluster-scoped object.
    pub namespace: String,
    /// The name.
    pub name: String,
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.namespace.is_empty() {
            f.write_str(&self.name)
        } else {
            write!(f, "{}/{}", self.namespace, self.name)
        }
    }
}

/// A kind of object and where the API server has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kind {
    /// The kind's name, as `Service`.
    pub name: Cow<'static, str>,
    /// The API group; empty for the core group.
    pub group: Cow<'static, str>,
    /// The version.
    pub version: Cow<'static, str>,
    /// The name in URLs.
    pub plural: Cow<'static, str>,
}

impl Kind {
    /// The path of the collection, of one namespace or of all.
    pub fn path(&self, namespace: Option<&str>) -> String {
        let root = if self.group.is_empty() { "/api/" } else { "/apis/" };
        let slash = if self.group.is_empty() { "" } else { "/" };
        let base = format!("{root}{}{slash}{}", self.group, self.version);
        match namespace {
            Some(namespace) => format!("{base}/namespaces/{namespace}/{}", self.plural),
            None => format!("{base}/{}", self.plural),
        }
    }

    /// The name of the CustomResourceDefinition or of the RBAC resource: `services`, `addresspools.daymark.dev`.
    pub fn resource(&self) -> String {
        if self.group.is_empty() {
            self.plural.to_string()
        } else {
            format!("{}.{}", self.plural, self.group)
        }
    }

    /// Whether it is one of ours, so that its definition comes with Daymark.
    pub fn is_ours(&self) -> bool {
        self.group == "daymark.dev"
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

/// An object that a [`crate::Pump`] can watch: every type derived for kube, and the slim types.
pub trait Object: DeserializeOwned + Send + 'static {
    /// Its kind.
    fn kind() -> Kind;
    /// Its namespace and name.
    fn key(&self) -> Key;
    /// Its resource version.
    fn resource_version(&self) -> Option<&str>;
}

impl<K> Object for K
where
    K: Resource<DynamicType = ()> + DeserializeOwned + Send + 'static,
{
    fn kind() -> Kind {
        Kind {
            name: K::kind(&()).into_owned().into(),
            group: K::group(&()).into_owned().into(),
            version: K::version(&()).into_owned().into(),
            plural: K::plural(&()).into_owned().into(),
        }
    }

    fn key(&self) -> Key {
        Key {
            namespace: self.meta().namespace.clone().unwrap_or_default(),
            name: self.meta().name.clone().unwrap_or_default(),
        }
    }

    fn resource_version(&self) -> Option<&str> {
        self.meta().resource_version.as_deref()
    }
}

/// An object that does not fit its type.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{kind} {key} cannot be read: {error}")]
pub struct Unreadable {
    /// Its kind.
    pub kind: Kind,
    /// Its namespace and name.
    pub key: Key,
    /// What could be read of its metadata.
    pub metadata: Meta,
    /// What does not fit.
    pub error: String,
    /// The object as it came.
    pub value: serde_json::Value,
}
