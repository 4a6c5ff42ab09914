//! The way to the nodes: what all load balancers of a profile need to reach them.

use std::collections::{BTreeMap, BTreeSet};

use daymark_aws::model::{Desired, NodeAccess, NodeAccessState, PortRange, Surplus};
use daymark_aws::naming::Owner;
use daymark_kube::Key;
use daymark_kube::views::cloud::{CloudService, subject};
use daymark_model::ProfileName;
use daymark_model::aws::CloudMode;
use daymark_providers::cloud::Depth;
use daymark_providers::pass::Policy;
use daymark_providers::view::World;

use super::{Index, Remove, Serve, Served, Task, Touched};
use crate::cloud::object::CloudObject;

impl Index {
    /// The profile whose way to the nodes an object keeps.
    pub fn way_profile<'a>(&self, key: &'a Key) -> Option<&'a str> {
        subject::node_access_of(&key.name).filter(|_| key.namespace == self.namespace)
    }

    /// All ways to the nodes.
    pub fn ways(&self) -> Touched {
        let ways =
            self.profiles.iter().map(|profile| subject::node_access(&self.namespace, profile.name.as_str()));
        let kept = self.objects.keys().filter(|key| self.way_profile(key).is_some());
        ways.chain(kept.cloned()).map(|key| (key, Depth::Full)).collect()
    }

    /// What may be done for the way to the nodes: a Service that is to be served needs it, whatever the profile says.
    pub(super) fn way_policy(&self, profile: &Served) -> Policy {
        let mut policy = self.policy(Some(profile), &[]);
        let of_profile = |s: &&CloudService| self.profile_of(s).is_some_and(|of| of.name == profile.name);
        let mut served = self.services.values().filter(of_profile);
        if served.any(|service| self.policy(Some(profile), &[service]).mode == CloudMode::Apply) {
            policy.mode = CloudMode::Apply;
        }
        policy
    }

    /// The state of the way to the nodes of a profile.
    pub(super) fn way_state(&self, profile: &ProfileName) -> NodeAccessState {
        let object = self.objects.get(&subject::node_access(&self.namespace, profile.as_str()));
        let group = object.and_then(CloudObject::way_group);
        group.map_or(NodeAccessState::Awaited, |id| NodeAccessState::Group(id.to_owned()))
    }

    pub(super) fn way_task(&self, key: &Key, profile: &str) -> Task {
        let object = self.objects.get(key).cloned();
        let served = self.named(profile).cloned();
        let in_use = self.objects.values().any(|o| o.profile == profile && o.key != *key);
        let Some(served) = served else {
            return match object {
                None => Task::Nothing,
                Some(_) if in_use => Task::Nothing,
                object => Task::Remove(Box::new(Remove {
                    object,
                    leaving: Vec::new(),
                    waiting: Vec::new(),
                    policy: self.policy(None, &[]),
                })),
            };
        };
        let (ranges, surplus) = self.ranges(&served);
        if ranges.is_empty() && (object.is_none() || !in_use) {
            let policy = self.policy(Some(&served), &[]);
            return match object {
                None => Task::Nothing,
                object => Task::Remove(Box::new(Remove { object, leaving: vec![], waiting: vec![], policy })),
            };
        }
        let uid = object.as_ref().map_or_else(|| key.name.clone(), |object| object.identity.clone());
        let desired = NodeAccess {
            owner: Owner {
                cluster: served.aws.cluster_name.clone(),
                namespace: key.namespace.clone(),
                name: key.name.clone(),
                uid: uid.clone(),
            },
            vpc: served.aws.vpc_id.clone(),
            node_groups: served.aws.node_security_groups.clone(),
            ranges,
            surplus,
            tags: served.aws.tags.clone(),
        };
        Task::Serve(Box::new(Serve {
            policy: self.way_policy(&served),
            profile: served,
            object,
            members: Vec::new(),
            leaving: Vec::new(),
            desired: Some(Desired::NodeAccess(desired)),
            refused: BTreeMap::new(),
            warnings: Vec::new(),
            uid,
        }))
    }

    /// What the load balancers of a profile must reach on the nodes: one range for each protocol, and whether that is
    /// all.
    fn ranges(&self, profile: &Served) -> (BTreeSet<PortRange>, Surplus) {
        let mut subjects: BTreeMap<Key, Vec<&CloudService>> = BTreeMap::new();
        for service in self.services.values().filter(|s| !s.view.deleting) {
            if self.profile_of(service).is_some_and(|of| of.name == profile.name) {
                subjects.entry(subject::of_service(&service.view)).or_default().push(service);
            }
        }
        let (mut all, mut surplus) = (BTreeSet::new(), Surplus::Revoke);
        let mut here: Option<(String, World)> = None;
        for (key, members) in subjects {
            // They come namespace by namespace.
            let (_, world) = match here.take() {
                Some(same) if same.0 == key.namespace => here.insert(same),
                Some(_) | None => here.insert((key.namespace.clone(), self.world(&key.namespace))),
            };
            let built = self.built(&key, profile, &members, "", world);
            if !built.refused.is_empty() && self.objects.contains_key(&key) {
                surplus = Surplus::Keep;
            }
            if let Some(nlb) = built.nlb.filter(|nlb| nlb.node_access != NodeAccessState::NotManaged) {
                all.extend(nlb.node_ranges());
            }
        }
        (daymark_aws::model::joined(all), surplus)
    }
}
