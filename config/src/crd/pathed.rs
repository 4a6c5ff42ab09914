//! Reading a spec so that an error names the field.

/// Gives `$spec`, derived with `#[serde(remote = "Self")]`, its serde traits: an error names the path from the object's
/// root.
macro_rules! pathed {
    ($spec:ident) => {
        impl serde::Serialize for $spec {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                Self::serialize(self, serializer)
            }
        }

        impl<'de> serde::Deserialize<'de> for $spec {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let mut track = serde_path_to_error::Track::new();
                let tracked = serde_path_to_error::Deserializer::new(deserializer, &mut track);
                Self::deserialize(tracked).map_err(|error| {
                    let path = track.path().to_string();
                    let dot = if path == "." { "" } else { "." };
                    let path = path.trim_start_matches('.');
                    serde::de::Error::custom(format_args!("spec{dot}{path}: {error}"))
                })
            }
        }
    };
}

pub(super) use pathed;
