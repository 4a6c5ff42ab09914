//! The Secret with the key of the meshes of layer 2.
//!
//! Only the keys are kept of it, and they show themselves in no text.

use std::fmt;

use daymark_announce::L2Standing;
use daymark_kube::slim::Meta;
use daymark_kube::{Key, Kind, Object, Update};
use daymark_l2::mesh::{self, MeshKeys};
use k8s_openapi::ByteString;
use serde::{Deserialize, Deserializer};

/// The name of the Secret in Daymark's namespace.
pub const SECRET: &str = "daymark-mesh";

/// The Secret as far as it is used.
#[derive(Debug, Deserialize)]
pub struct MeshSecret {
    #[serde(default)]
    metadata: Meta,
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

impl fmt::Debug for Data {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Data(redacted)")
    }
}

fn lenient_data<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Data, D::Error> {
    Ok(Option::<Data>::deserialize(deserializer)?.unwrap_or_default())
}

fn bytes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<u8>>, D::Error> {
    let value = Option::<serde_json::Value>::deserialize(deserializer)?;
    Ok(value.map(|value| serde_json::from_value::<ByteString>(value).unwrap_or_default().0))
}

impl Object for MeshSecret {
    fn kind() -> Kind {
        Kind { name: "Secret".into(), group: "".into(), version: "v1".into(), plural: "secrets".into() }
    }

    fn key(&self) -> Key {
        self.metadata.key()
    }

    fn resource_version(&self) -> Option<&str> {
        self.metadata.resource_version.as_deref()
    }
}

/// What the Secret holds; `None` = no keys.
pub fn keys(secret: &MeshSecret) -> Option<MeshKeys> {
    let key = |bytes: &[u8]| Some(mesh::Key::new(bytes.try_into().ok()?));
    let current = key(secret.data.key.as_deref()?)?;
    let previous = match &secret.data.previous {
        Some(bytes) => Some(key(bytes)?),
        None => None,
    };
    Some(MeshKeys { current, previous })
}

/// What an update about the Secret means.
pub fn settle(update: Update<Option<MeshKeys>>) -> (L2Standing, Option<MeshKeys>) {
    let found = match update {
        Update::Reset(all) => all.into_values().next(),
        Update::Apply(_, keys) => Some(keys),
        Update::Delete(_) => None,
    };
    match found {
        Some(Some(keys)) => (L2Standing::Ready, Some(keys)),
        Some(None) => (L2Standing::InvalidMeshKey, None),
        None => (L2Standing::NoMeshKey, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    /// 32 bytes of 7.
    const SEVENS: &str = "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=";

    fn read(data: Value) -> Option<MeshKeys> {
        let object = json!({"kind": "Secret", "metadata": {"name": SECRET}, "data": data});
        let secret: MeshSecret = serde_json::from_value(object).unwrap();
        assert!(!format!("{secret:?}").contains('7'), "{secret:?}");
        keys(&secret)
    }

    #[test]
    fn a_key_has_32_bytes() {
        let keys = read(json!({"key": SEVENS})).unwrap();
        assert_eq!((keys.current, keys.previous), (mesh::Key::new([7; 32]), None));
        let keys = read(json!({"key": SEVENS, "previous": SEVENS})).unwrap();
        assert_eq!(keys.previous, Some(mesh::Key::new([7; 32])));
        for invalid in [
            Value::Null,
            json!({}),
            json!({"key": "BwcHBwc="}),
            json!({"key": "no base64!"}),
            json!({"key": 7}),
            json!({"key": SEVENS, "previous": "Bwc="}),
        ] {
            assert!(read(invalid.clone()).is_none(), "{invalid}");
        }
    }

    #[test]
    fn what_is_missing_and_what_is_wrong_differ() {
        let standing = |update| settle(update).0;
        assert_eq!(standing(Update::Reset([].into())), L2Standing::NoMeshKey);
        assert_eq!(standing(Update::Apply(Key::default(), None)), L2Standing::InvalidMeshKey);
        assert_eq!(standing(Update::Delete(Key::default())), L2Standing::NoMeshKey);
        let keys = read(json!({"key": SEVENS}));
        assert_eq!(standing(Update::Apply(Key::default(), keys)), L2Standing::Ready);
    }
}
