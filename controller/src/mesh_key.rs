//! The Secret by which speakers know each other in the meshes of layer 2: made where it is missing, never written again.
//!
//! Speakers without a key announce nothing on layer 2, so the leader makes one when there is none, and again when it is
//! deleted. A Secret that is there belongs to whoever runs the cluster, sound or not.

use std::time::Duration;

use daymark_kube::lease::Tenure;
use daymark_kube::pump::PumpContext;
use daymark_kube::slim::{MeshSecret, Soundness};
use daymark_kube::{CallError, Check, Health, Pump, Update, within};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::PostParams;
use kube::{Api, Client};
use ring::rand::{SecureRandom, SystemRandom};
use tokio::sync::mpsc;
use tracing::{info, warn};

use crate::NAME;
use crate::writer::DEADLINE;

/// The check in `/readyz`.
const CHECK: &str = "mesh-key";
/// How long after a refusal it is tried again.
const RETRY: Duration = Duration::from_secs(60);
/// How often it is looked whether the Lease was renewed, when there is no time left for a write.
const RENEWAL_WAIT: Duration = Duration::from_millis(100);
const BACKLOG: usize = 16;
const SECRET: &str = MeshSecret::NAME;
const KEY: &str = MeshSecret::KEY;
const PREVIOUS: &str = MeshSecret::PREVIOUS;
const KEY_LENGTH: usize = MeshSecret::KEY_LENGTH;

/// Whether the Secret is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Presence {
    /// Not known yet.
    Unknown,
    /// There is none.
    Absent,
    /// There is one.
    Present(Soundness),
}

impl Presence {
    /// What an update says.
    fn of(update: &Update<Soundness>) -> Self {
        match update {
            Update::Reset(all) => all.values().next().map_or(Self::Absent, |found| Self::Present(*found)),
            Update::Apply(_, found) => Self::Present(*found),
            Update::Delete(_) => Self::Absent,
        }
    }

    /// What `/readyz` says of it.
    fn check(self, namespace: &str) -> Check {
        match self {
            Self::Unknown | Self::Absent => {
                Check::Degraded(format!("the Secret {namespace}/{SECRET} is not there yet"))
            }
            Self::Present(Soundness::Sound) => Check::Good,
            Self::Present(Soundness::Missing | Soundness::WrongLength) => Check::Degraded(format!(
                "`{KEY}` of the Secret {namespace}/{SECRET}, and `{PREVIOUS}` where it has one, must be {KEY_LENGTH} \
                 bytes, and nothing is announced on layer 2: correct it, or delete it and a new one is made"
            )),
        }
    }
}

/// Why the Secret was not made.
#[derive(Debug, thiserror::Error)]
enum MakeError {
    /// No random bytes.
    #[error("the kernel gives no random bytes")]
    Random,
    /// The API server's refusal.
    #[error(transparent)]
    Call(#[from] CallError),
}

/// Keeps the Secret of one namespace in being.
pub struct MeshKey {
    client: Client,
    namespace: String,
    tenure: Tenure,
    health: Health,
}

impl MeshKey {
    /// Acts in `namespace` while `tenure` lasts.
    pub fn new(client: Client, namespace: &str, tenure: Tenure, health: Health) -> Self {
        Self { client, namespace: namespace.to_owned(), tenure, health }
    }

    /// Watches the Secret and makes it whenever it is not there. Does not end.
    pub async fn run(self, context: &PumpContext) {
        let (to, mut updates) = mpsc::channel(BACKLOG);
        let pump = Pump::<MeshSecret>::new(context).optional().most_recent();
        let pump = pump.namespaced(&self.namespace).fields(&format!("metadata.name={SECRET}"));
        tokio::spawn(pump.run(|secret| Some(secret.soundness()), |update| update, to));
        let mut presence = Presence::Unknown;
        let mut retry = None;
        loop {
            let update = match retry {
                Some(at) => match tokio::time::timeout_at(at, updates.recv()).await {
                    Ok(update) => update,
                    Err(_) => {
                        retry = self.make().await;
                        continue;
                    }
                },
                None => updates.recv().await,
            };
            let Some(update) = update else { return };
            let now = Presence::of(&update);
            if now == presence {
                continue;
            }
            presence = now;
            let check = presence.check(&self.namespace);
            if let (Presence::Present(_), Check::Degraded(text)) = (presence, &check) {
                warn!("{text}");
            }
            self.health.set(CHECK, check);
            retry = match presence {
                Presence::Absent => self.make().await,
                Presence::Unknown | Presence::Present(_) => None,
            };
        }
    }

    /// Makes the Secret; returns when to try again.
    async fn make(&self) -> Option<tokio::time::Instant> {
        while !self.tenure.allows(DEADLINE) {
            tokio::time::sleep(RENEWAL_WAIT).await;
        }
        let namespace = &self.namespace;
        let error = match self.create().await {
            Ok(()) => {
                info!(%namespace, secret = SECRET, "made the key of the layer 2 meshes");
                return None;
            }
            // Somebody was faster; the watch says what it is like.
            Err(MakeError::Call(error)) if error.reason() == Some("AlreadyExists") => return None,
            Err(error) => error,
        };
        let remedy = match &error {
            MakeError::Call(call) if call.code() == Some(403) => {
                ": fix the Role daymark-controller (create on secrets), or create the Secret by hand"
            }
            MakeError::Random | MakeError::Call(_) => "",
        };
        let text = format!(
            "the Secret {namespace}/{SECRET} cannot be made, so nothing is announced on layer 2: {error}{remedy}"
        );
        warn!("{text}");
        self.health.set(CHECK, Check::Degraded(text));
        Some(tokio::time::Instant::now() + RETRY)
    }

    async fn create(&self) -> Result<(), MakeError> {
        let mut key = vec![0_u8; KEY_LENGTH];
        SystemRandom::new().fill(&mut key).map_err(|_| MakeError::Random)?;
        let secret = Secret {
            metadata: ObjectMeta {
                name: Some(SECRET.to_owned()),
                labels: Some([("app.kubernetes.io/part-of".to_owned(), "daymark".to_owned())].into()),
                ..ObjectMeta::default()
            },
            type_: Some("Opaque".to_owned()),
            data: Some([(KEY.to_owned(), ByteString(key))].into()),
            ..Secret::default()
        };
        let params = PostParams { field_manager: Some(NAME.to_owned()), ..PostParams::default() };
        let secrets: Api<Secret> = Api::namespaced(self.client.clone(), &self.namespace);
        within(DEADLINE, secrets.create(&params, &secret)).await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use daymark_kube::Key;
    use serde_json::{Value, json};

    use super::*;

    fn read(object: Value) -> Soundness {
        serde_json::from_value::<MeshSecret>(object).unwrap().soundness()
    }

    #[test]
    fn a_key_is_judged_by_its_length_and_not_kept() {
        let sound = ByteString(vec![7; KEY_LENGTH]);
        assert_eq!(read(json!({"metadata": {"name": SECRET}, "data": {"key": sound}})), Soundness::Sound);
        let short = ByteString(vec![7; 16]);
        assert_eq!(read(json!({"data": {"key": short}})), Soundness::WrongLength);
        assert_eq!(read(json!({"data": {"key": "%%%"}})), Soundness::WrongLength);
        assert_eq!(read(json!({"data": {"key": sound, "previous": short}})), Soundness::WrongLength);
        assert_eq!(read(json!({"data": {"key": sound, "previous": sound}})), Soundness::Sound);
        for none in [json!({}), json!({"data": null}), json!({"data": {"previous": sound}})] {
            assert_eq!(read(none), Soundness::Missing);
        }
        let secret: MeshSecret =
            serde_json::from_value(json!({"data": {"key": ByteString(vec![0x41; 32])}})).unwrap();
        assert!(!format!("{secret:?}").contains("QUFB"), "{secret:?}");
    }

    #[test]
    fn absent_when_listed_empty_or_deleted() {
        let key = Key { namespace: "d".into(), name: SECRET.into() };
        assert_eq!(Presence::of(&Update::Reset([].into())), Presence::Absent);
        assert_eq!(Presence::of(&Update::Delete(key.clone())), Presence::Absent);
        let there = Presence::of(&Update::Apply(key, Soundness::WrongLength));
        assert_eq!(there, Presence::Present(Soundness::WrongLength));
        let Check::Degraded(text) = there.check("d") else { panic!("{:?}", there.check("d")) };
        assert!(text.contains("d/daymark-mesh") && text.contains("delete it"), "{text}");
        assert_eq!(Presence::Present(Soundness::Sound).check("d"), Check::Good);
    }
}
