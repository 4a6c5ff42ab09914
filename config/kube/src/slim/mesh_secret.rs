//! The Secret with the key of the meshes of layer 2.

use std::fmt;

use k8s_openapi::ByteString;
use serde::{Deserialize, Deserializer};

use super::meta::Meta;

/// The Secret `daymark-mesh` in Daymark's namespace. Its keys show themselves in no text.
#[derive(Debug, Default, Deserialize)]
pub struct MeshSecret {
    /// Its metadata.
    #[serde(default)]
    pub metadata: Meta,
    #[serde(default, deserialize_with = "lenient_data")]
    data: Data,
}

/// Its data; what is no text in base64 counts as a key of no length.
#[derive(Default, Deserialize)]
struct Data {
    #[serde(default, deserialize_with = "bytes")]
    key: Option<Vec<u8>>,
    #[serde(default, deserialize_with = "bytes")]
    previous: Option<Vec<u8>>,
}

/// What can be said of the key without keeping it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Soundness {
    /// There is none.
    Missing,
    /// It, or the one before it, has another length.
    WrongLength,
    /// It can be used.
    Sound,
}

impl MeshSecret {
    /// The name of the Secret.
    pub const NAME: &'static str = "daymark-mesh";
    /// Where the key is in its data.
    pub const KEY: &'static str = "key";
    /// Where another key may be that is understood too, while keys are changed.
    pub const PREVIOUS: &'static str = "previous";
    /// The length of a key in bytes.
    pub const KEY_LENGTH: usize = 32;

    /// The key and the one before it; `None` unless both are [`Soundness::Sound`].
    pub fn keys(&self) -> Option<([u8; Self::KEY_LENGTH], Option<[u8; Self::KEY_LENGTH]>)> {
        let current = self.data.key.as_deref()?.try_into().ok()?;
        let previous = self.data.previous.as_deref().map(TryInto::try_into).transpose().ok()?;
        Some((current, previous))
    }

    /// Whether it has a key that can be used.
    pub fn soundness(&self) -> Soundness {
        match (&self.data.key, self.keys()) {
            (None, _) => Soundness::Missing,
            (Some(_), None) => Soundness::WrongLength,
            (Some(_), Some(_)) => Soundness::Sound,
        }
    }
}

impl fmt::Debug for Data {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Data(redacted)")
    }
}

impl crate::Object for MeshSecret {
    fn kind() -> crate::Kind {
        crate::Kind {
            name: "Secret".into(),
            group: "".into(),
            version: "v1".into(),
            plural: "secrets".into(),
        }
    }

    fn key(&self) -> crate::Key {
        self.metadata.key()
    }

    fn resource_version(&self) -> Option<&str> {
        self.metadata.resource_version.as_deref()
    }
}

fn lenient_data<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Data, D::Error> {
    Ok(Option::<Data>::deserialize(deserializer)?.unwrap_or_default())
}

fn bytes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<u8>>, D::Error> {
    let value = Option::<serde_json::Value>::deserialize(deserializer)?;
    Ok(value.map(|value| serde_json::from_value::<ByteString>(value).unwrap_or_default().0))
}
