//! What the Secret with the key of the meshes of layer 2 means for the node.

use daymark_announce::L2Standing;
use daymark_kube::Update;
use daymark_kube::slim::MeshSecret;
use daymark_l2::mesh::{Key, MeshKeys};

/// What the Secret holds; `None` = no keys.
pub fn keys(secret: &MeshSecret) -> Option<MeshKeys> {
    let (current, previous) = secret.keys()?;
    Some(MeshKeys { current: Key::new(current), previous: previous.map(Key::new) })
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
    use daymark_kube::Key as ObjectKey;
    use serde_json::{Value, json};

    /// 32 bytes of 7.
    const SEVENS: &str = "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=";

    fn read(data: Value) -> Option<MeshKeys> {
        let object = json!({"kind": "Secret", "metadata": {"name": MeshSecret::NAME}, "data": data});
        let secret: MeshSecret = serde_json::from_value(object).unwrap();
        assert!(!format!("{secret:?}").contains('7'), "{secret:?}");
        keys(&secret)
    }

    #[test]
    fn a_key_has_32_bytes() {
        let keys = read(json!({"key": SEVENS})).unwrap();
        assert_eq!((keys.current, keys.previous), (Key::new([7; 32]), None));
        let keys = read(json!({"key": SEVENS, "previous": SEVENS})).unwrap();
        assert_eq!(keys.previous, Some(Key::new([7; 32])));
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
        assert_eq!(standing(Update::Apply(ObjectKey::default(), None)), L2Standing::InvalidMeshKey);
        assert_eq!(standing(Update::Delete(ObjectKey::default())), L2Standing::NoMeshKey);
        let keys = read(json!({"key": SEVENS}));
        assert_eq!(standing(Update::Apply(ObjectKey::default(), keys)), L2Standing::Ready);
    }
}
