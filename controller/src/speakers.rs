//! Speakers whose Node is gone: one that carries no word of an operator is deleted.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use daymark_config::crd::Speaker;
use daymark_kube::{CallError, Update, within};
use k8s_openapi::api::core::v1::Node;
use kube::api::{DeleteParams, Preconditions};
use kube::{Api, Client};
use tracing::info;

const DEADLINE: Duration = Duration::from_secs(4);

/// What is kept of a Speaker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpeakerObject {
    uid: Option<String>,
    resource_version: Option<String>,
    is_empty: bool,
}

impl SpeakerObject {
    /// What is kept of `speaker`.
    pub fn of(speaker: &Speaker) -> Self {
        Self {
            uid: speaker.metadata.uid.clone(),
            resource_version: speaker.metadata.resource_version.clone(),
            is_empty: speaker.spec.is_empty(),
        }
    }
}

/// Which Nodes and Speakers there are.
#[derive(Debug, Default)]
pub struct Census {
    nodes: Option<BTreeSet<String>>,
    speakers: BTreeMap<String, SpeakerObject>,
}

impl Census {
    /// Takes in what happened to Nodes.
    pub fn nodes(&mut self, update: Update<()>) {
        match update {
            Update::Reset(all) => self.nodes = Some(all.into_keys().map(|key| key.name).collect()),
            Update::Apply(key, ()) => {
                self.nodes.get_or_insert_default().insert(key.name);
            }
            Update::Delete(key) => {
                self.nodes.get_or_insert_default().remove(&key.name);
            }
        }
    }

    /// Takes in what happened to Speakers.
    pub fn speakers(&mut self, update: Update<SpeakerObject>) {
        match update {
            Update::Reset(all) => self.speakers = all.into_iter().map(|(key, s)| (key.name, s)).collect(),
            Update::Apply(key, speaker) => {
                self.speakers.insert(key.name, speaker);
            }
            Update::Delete(key) => {
                self.speakers.remove(&key.name);
            }
        }
    }

    /// The Speakers that seem to have no Node and whose spec says nothing.
    pub fn orphans(&self) -> Vec<(String, SpeakerObject)> {
        let Some(nodes) = &self.nodes else { return Vec::new() };
        let orphans =
            self.speakers.iter().filter(|(name, speaker)| speaker.is_empty && !nodes.contains(*name));
        orphans.map(|(name, speaker)| (name.clone(), speaker.clone())).collect()
    }
}

/// Deletes those of `orphans` whose Node the API server does not know: a watch of Nodes may lag, or be forbidden.
///
/// # Errors
/// The first refusal that does not mean that somebody was faster.
pub async fn delete(client: &Client, orphans: Vec<(String, SpeakerObject)>) -> Result<(), CallError> {
    let nodes: Api<Node> = Api::all(client.clone());
    let speakers: Api<Speaker> = Api::all(client.clone());
    for (name, speaker) in orphans {
        if within(DEADLINE, nodes.get_metadata_opt(&name)).await?.is_some() {
            continue;
        }
        let SpeakerObject { uid, resource_version, .. } = speaker;
        let only = DeleteParams::default().preconditions(Preconditions { uid, resource_version });
        match within(DEADLINE, speakers.delete(&name, &only)).await {
            Ok(_) => info!(speaker = %name, "deleted: its Node is gone"),
            Err(error) if matches!(error.code(), Some(404 | 409)) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use daymark_kube::Key;

    use super::*;

    fn key(name: &str) -> Key {
        Key { name: name.into(), ..Key::default() }
    }

    fn speaker(is_empty: bool) -> SpeakerObject {
        SpeakerObject { uid: None, resource_version: None, is_empty }
    }

    #[test]
    fn only_an_empty_speaker_without_node_is_an_orphan_and_only_when_nodes_are_known() {
        let mut census = Census::default();
        census.speakers(Update::Reset(
            [("n1", true), ("n2", true), ("n3", false)].map(|(n, empty)| (key(n), speaker(empty))).into(),
        ));
        assert!(census.orphans().is_empty());
        census.nodes(Update::Reset([(key("n1"), ())].into()));
        let names = |census: &Census| census.orphans().into_iter().map(|(name, _)| name).collect::<Vec<_>>();
        assert_eq!(names(&census), ["n2"]);
        census.nodes(Update::Delete(key("n1")));
        assert_eq!(names(&census), ["n1", "n2"]);
    }
}
