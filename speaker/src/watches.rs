//! What the speaker watches, and into what each kind turns on its way to the owner.
//!
//! Every kind is distilled as it is read: whole objects are never kept. What cannot be read as a whole becomes a
//! [`Rejected`] of its own and disables nothing else.

use std::collections::BTreeMap;
use std::time::Instant;

use daymark_config::crd::{AddressPool, Announcement, BgpNeighbor, Speaker};
use daymark_config::native::{self, SpeakerSettings};
use daymark_kube::pump::PumpContext;
use daymark_kube::slim::MeshSecret;
use daymark_kube::{Key, Pump, Unreadable, Update, slim, views};
use daymark_l2::mesh::MeshKeys;
use daymark_model::NodeName;
use tokio::sync::mpsc;

use crate::index;
use crate::introspection::Question;
use crate::mesh_key;
use crate::netlink::HostNetwork;
use crate::status::Problem;

/// What reaches the owner.
#[derive(Debug)]
pub enum Input {
    /// Something that the index takes as it is.
    Index {
        /// When it was received.
        at: Instant,
        /// What changed.
        update: index::Update,
    },
    /// The configuration, with what is wrong with it.
    Configured {
        /// When it was received.
        at: Instant,
        /// What changed.
        change: Configured,
    },
    /// The node's own Speaker object.
    Speaker {
        /// When it was received.
        at: Instant,
        /// What changed.
        update: Update<SpeakerWord>,
    },
    /// The Secret with the key of the meshes of layer 2; no keys = it holds none.
    MeshKey(Update<Option<MeshKeys>>),
    /// What the kernel says.
    Network(HostNetwork),
    /// Somebody on this host asks.
    Asked(Question),
}

/// A change of the configuration; what is not accepted comes with its problems.
#[derive(Debug)]
pub enum Configured {
    /// AddressPools.
    Pools(Update<Accepted<daymark_model::Pool>>),
    /// Announcements.
    Announcements(Update<Accepted<daymark_model::Announcement>>),
    /// BgpNeighbors.
    Neighbors(Update<Accepted<daymark_model::Neighbor>>),
}

/// An object as the model, or why not.
pub type Accepted<T> = Result<T, Vec<daymark_config::Problem>>;

/// What the node's own Speaker object says.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SpeakerWord {
    /// The generation of the spec.
    pub generation: Option<i64>,
    /// What is to be obeyed.
    pub settings: SpeakerSettings,
    /// What is wrong with the rest.
    pub problems: Vec<Problem>,
}

/// Starts all watches of the speaker on `node`; `namespace` is that of Daymark's own objects.
pub fn start(context: &PumpContext, node: &NodeName, namespace: &str, to: &mpsc::Sender<Input>) {
    let of_index = |update| Input::Index { at: Instant::now(), update };
    let configured = |change| Input::Configured { at: Instant::now(), change };

    let services = Pump::<slim::Service>::new(context);
    tokio::spawn(services.run(
        |object| views::announce::service(&object),
        move |update| of_index(index::Update::Services(update)),
        to.clone(),
    ));
    let slices = Pump::<slim::EndpointSlice>::new(context);
    tokio::spawn(slices.run(
        |object| Some(views::announce::slice(&object)),
        move |update| of_index(index::Update::EndpointSlices(update)),
        to.clone(),
    ));
    let own = Pump::<slim::Node>::new(context).fields(&format!("metadata.name={node}"));
    tokio::spawn(own.run(
        |object| Some(views::node::node(&object)),
        move |update| of_index(index::Update::Node(update)),
        to.clone(),
    ));
    let namespaces = Pump::<slim::Namespace>::new(context).optional();
    tokio::spawn(namespaces.run(
        |object| Some(object.metadata.labels.unwrap_or_default()),
        move |update| of_index(index::Update::Namespaces(update)),
        to.clone(),
    ));
    let pools = Pump::<AddressPool>::new(context).optional();
    tokio::spawn(pools.run_with_unreadable(
        |object| Some(native::pool(&object)),
        |unreadable| Some(Err(not_read(unreadable))),
        move |update| configured(Configured::Pools(update)),
        to.clone(),
    ));
    let announcements = Pump::<Announcement>::new(context).optional();
    tokio::spawn(announcements.run_with_unreadable(
        |object| Some(native::announcement(&object)),
        |unreadable| Some(Err(not_read(unreadable))),
        move |update| configured(Configured::Announcements(update)),
        to.clone(),
    ));
    let neighbors = Pump::<BgpNeighbor>::new(context).optional();
    tokio::spawn(neighbors.run_with_unreadable(
        |object| Some(native::neighbor(&object)),
        |unreadable| Some(Err(not_read(unreadable))),
        move |update| configured(Configured::Neighbors(update)),
        to.clone(),
    ));
    let subject = format!("Speaker/{node}");
    let speaker = Pump::<Speaker>::new(context).optional().fields(&format!("metadata.name={node}"));
    let same_subject = subject.clone();
    tokio::spawn(speaker.run_with_unreadable(
        move |object| Some(SpeakerWord::read(&subject, &object)),
        move |unreadable| Some(SpeakerWord::not_read(&same_subject, unreadable)),
        |update| Input::Speaker { at: Instant::now(), update },
        to.clone(),
    ));
    let named = format!("metadata.name={}", MeshSecret::NAME);
    let secret = Pump::<MeshSecret>::new(context).optional().namespaced(namespace).fields(&named);
    tokio::spawn(secret.run_with_unreadable(
        |object| Some(mesh_key::keys(&object)),
        |_| Some(None),
        Input::MeshKey,
        to.clone(),
    ));
}

fn not_read(unreadable: &Unreadable) -> Vec<daymark_config::Problem> {
    vec![daymark_config::Problem::unreadable(&unreadable.error)]
}

impl SpeakerWord {
    fn read(subject: &str, object: &Speaker) -> Self {
        let (settings, problems) = native::speaker_settings(object);
        let problems = problems.iter().map(|problem| Problem::new(subject.to_owned(), problem)).collect();
        Self { generation: object.metadata.generation, settings, problems }
    }

    /// A Speaker that does not fit its type says nothing, and is told so.
    fn not_read(subject: &str, unreadable: &Unreadable) -> Self {
        let problems = not_read(unreadable);
        Self {
            generation: unreadable.metadata.generation,
            settings: SpeakerSettings::default(),
            problems: problems.iter().map(|problem| Problem::new(subject.to_owned(), problem)).collect(),
        }
    }
}

/// The objects of the configuration that are not accepted, as `Kind/name`, with the first problem of each.
#[derive(Debug, Default)]
pub struct Rejected(BTreeMap<String, Problem>);

impl Rejected {
    /// Takes the problems out of `change`; what is left is the accepted objects. An object that is no longer accepted
    /// counts as deleted.
    pub fn sift(&mut self, change: Configured) -> index::Update {
        match change {
            Configured::Pools(update) => index::Update::Pools(self.each("AddressPool", update)),
            Configured::Announcements(update) => {
                index::Update::Announcements(self.each("Announcement", update))
            }
            Configured::Neighbors(update) => index::Update::Neighbors(self.each("BgpNeighbor", update)),
        }
    }

    /// All problems, by object.
    pub fn problems(&self) -> impl Iterator<Item = &Problem> {
        self.0.values()
    }

    fn each<T>(&mut self, kind: &str, update: Update<Accepted<T>>) -> Update<T> {
        match update {
            Update::Reset(all) => {
                let prefix = format!("{kind}/");
                self.0.retain(|subject, _| !subject.starts_with(&prefix));
                let accepted = all
                    .into_iter()
                    .filter_map(|(key, object)| Some((key.clone(), self.one(kind, &key, object)?)));
                Update::Reset(accepted.collect())
            }
            Update::Apply(key, object) => match self.one(kind, &key, object) {
                Some(object) => Update::Apply(key, object),
                None => Update::Delete(key),
            },
            Update::Delete(key) => {
                self.0.remove(&format!("{kind}/{key}"));
                Update::Delete(key)
            }
        }
    }

    fn one<T>(&mut self, kind: &str, key: &Key, object: Accepted<T>) -> Option<T> {
        let subject = format!("{kind}/{key}");
        match object {
            Ok(object) => {
                self.0.remove(&subject);
                Some(object)
            }
            Err(problems) => {
                if let Some(problem) = problems.first() {
                    let problem = Problem::new(subject.clone(), problem);
                    tracing::warn!(object = %subject, reason = problem.reason, "not in use: {}", problem.message);
                    self.0.insert(subject, problem);
                }
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn pool(name: &str, address: &str) -> (Key, Accepted<daymark_model::Pool>) {
        let object = json!({
            "apiVersion": "daymark.dev/v1alpha1", "kind": "AddressPool",
            "metadata": {"name": name}, "spec": {"addresses": [address]},
        });
        let object: AddressPool = serde_json::from_value(object).unwrap();
        (Key { namespace: String::new(), name: name.into() }, native::pool(&object))
    }

    fn names(update: index::Update) -> Vec<String> {
        let index::Update::Pools(Update::Reset(all)) = update else { panic!("{update:?}") };
        all.into_keys().map(|key| key.name).collect()
    }

    #[test]
    fn a_bad_object_is_left_out_named_and_forgotten_when_it_is_mended() {
        let mut rejected = Rejected::default();
        let all = [pool("good", "192.0.2.0/24"), pool("bad", "192.0.2.9-192.0.2.1")].into();
        assert_eq!(names(rejected.sift(Configured::Pools(Update::Reset(all)))), ["good"]);
        let problem = rejected.problems().next().unwrap();
        assert_eq!(problem.subject, "AddressPool/bad");
        assert!(problem.message.contains("spec.addresses[0]"), "{}", problem.message);

        let (key, mended) = pool("bad", "192.0.2.1-192.0.2.9");
        let update = rejected.sift(Configured::Pools(Update::Apply(key, mended)));
        assert!(matches!(update, index::Update::Pools(Update::Apply(..))));
        assert_eq!(rejected.problems().count(), 0);
    }

    #[test]
    fn an_object_that_becomes_bad_counts_as_deleted() {
        let mut rejected = Rejected::default();
        let (key, bad) = pool("p", "nonsense");
        let update = rejected.sift(Configured::Pools(Update::Apply(key, bad)));
        assert!(matches!(update, index::Update::Pools(Update::Delete(_))));
        assert_eq!(rejected.problems().count(), 1);
    }
}
