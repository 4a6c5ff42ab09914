//! Speakers: one whose Node is gone and that carries no word of an operator is deleted; what they say of Services that
//! only a node can know becomes events.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use daymark_config::crd::{Speaker, SpeakerProblem};
use daymark_kube::{CallError, Update, within};
use daymark_model::ServiceKey;
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
    /// What it says of Services, of the reasons that are told.
    trouble: BTreeSet<Trouble>,
}

/// What a Speaker says that keeps a Service from going out from its node.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Trouble {
    /// The Service.
    pub service: ServiceKey,
    /// Why, in one word.
    pub reason: String,
    /// Why, in a sentence.
    pub message: String,
}

/// Somebody outside the cluster has the address: told when one node says so.
const ADDRESS_CONFLICT: &str = "AddressConflict";
/// A node has no interface for the address: told when all nodes say so, since it is often meant for some of them.
const NO_INTERFACE: &str = "NoInterface";

impl Trouble {
    fn of(problem: &SpeakerProblem) -> Option<Self> {
        let told = [ADDRESS_CONFLICT, NO_INTERFACE].contains(&problem.reason.as_str());
        let (namespace, name) = problem.subject.strip_prefix("Service/").filter(|_| told)?.split_once('/')?;
        let (reason, message) = (problem.reason.clone(), problem.message.clone());
        Some(Self { service: ServiceKey::new(namespace, name), reason, message })
    }
}

impl SpeakerObject {
    /// What is kept of `speaker`.
    pub fn of(speaker: &Speaker) -> Self {
        Self {
            uid: speaker.metadata.uid.clone(),
            resource_version: speaker.metadata.resource_version.clone(),
            is_empty: speaker.spec.is_empty(),
            trouble: speaker.status.iter().flat_map(|s| &s.problems).filter_map(Trouble::of).collect(),
        }
    }
}

/// Which Nodes and Speakers there are.
#[derive(Debug, Default)]
pub struct Census {
    nodes: Option<BTreeSet<String>>,
    speakers: BTreeMap<String, SpeakerObject>,
    told: BTreeSet<Trouble>,
    /// Whether something may have changed since the last look for news.
    changed: bool,
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
            Update::Reset(all) => {
                self.speakers = all.into_iter().map(|(key, s)| (key.name, s)).collect();
                self.changed = true;
            }
            Update::Apply(key, speaker) => {
                let trouble = speaker.trouble.clone();
                let before = self.speakers.insert(key.name, speaker);
                self.changed |= before.is_none_or(|before| before.trouble != trouble);
            }
            Update::Delete(key) => {
                self.changed |= self.speakers.remove(&key.name).is_some();
            }
        }
    }

    /// What Speakers say of Services that was not told before.
    pub fn news(&mut self) -> Vec<Trouble> {
        if !std::mem::take(&mut self.changed) {
            return Vec::new();
        }
        let mut said: BTreeMap<&Trouble, usize> = BTreeMap::new();
        for trouble in self.speakers.values().flat_map(|speaker| &speaker.trouble) {
            *said.entry(trouble).or_default() += 1;
        }
        let enough =
            |trouble: &Trouble, by: usize| trouble.reason == ADDRESS_CONFLICT || by == self.speakers.len();
        let said: BTreeSet<Trouble> =
            said.into_iter().filter(|(trouble, by)| enough(trouble, *by)).map(|(t, _)| t.clone()).collect();
        let news = said.difference(&self.told).cloned().collect();
        self.told = said;
        news
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
        SpeakerObject { uid: None, resource_version: None, is_empty, trouble: BTreeSet::new() }
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

    fn troubled(reason: &str) -> SpeakerObject {
        let problem = |subject: &str, reason: &str| SpeakerProblem {
            subject: subject.to_owned(),
            reason: reason.to_owned(),
            message: "why".to_owned(),
        };
        let problems = [
            problem("Service/shop/web", reason),
            problem("Service/shop/web", "NoNeighbor"),
            problem("Node/n1", reason),
        ];
        SpeakerObject { trouble: problems.iter().filter_map(Trouble::of).collect(), ..speaker(true) }
    }

    fn told(census: &mut Census) -> Vec<String> {
        census.news().iter().map(|t| format!("{} {}", t.service, t.reason)).collect()
    }

    #[test]
    fn a_conflict_is_told_once_and_again_when_it_comes_back() {
        let mut census = Census::default();
        for name in ["n1", "n2"] {
            census.speakers(Update::Apply(key(name), troubled("AddressConflict")));
        }
        assert_eq!(told(&mut census), ["shop/web AddressConflict"]);
        census.speakers(Update::Delete(key("n1")));
        assert!(told(&mut census).is_empty());
        census.speakers(Update::Apply(key("n2"), speaker(true)));
        assert!(told(&mut census).is_empty());
        census.speakers(Update::Apply(key("n2"), troubled("AddressConflict")));
        assert_eq!(told(&mut census), ["shop/web AddressConflict"]);
    }

    #[test]
    fn a_missing_interface_is_told_when_no_node_has_it() {
        let mut census = Census::default();
        census.speakers(Update::Apply(key("n1"), troubled("NoInterface")));
        census.speakers(Update::Apply(key("n2"), speaker(true)));
        assert!(told(&mut census).is_empty());
        census.speakers(Update::Apply(key("n2"), troubled("NoInterface")));
        assert_eq!(told(&mut census), ["shop/web NoInterface"]);
    }
}
