//! One look: what is visible, not visible yet, or gone.

use std::collections::BTreeMap;

use daymark_model::aws::Drift;
use daymark_model::{Inventory, Phase, Resource, ResourceKey, Timestamp};
use daymark_providers::CloudError;

use super::actual::Actual;
use crate::api::{Api, ApiError, DescribeTags, MAX_DESCRIBED, Tags, ask};
use crate::model::{Desired, Nlb};
use crate::naming::{Owner, kind};
use crate::plan::SETTLES_WITHIN;
use crate::plan::listeners::listener_key;
use crate::refusal::refusal;

/// A look that is being taken.
pub(super) struct Look<'a, A> {
    pub api: &'a A,
    pub inventory: &'a mut Inventory,
    pub actual: Actual,
    pub desired: Option<&'a Desired>,
    pub now: Timestamp,
}

impl<A: Api> Look<'_, A> {
    pub(super) async fn everything(&mut self) -> Result<(), CloudError> {
        self.adoptable().await.map_err(refusal)?;
        self.load_balancers().await.map_err(refusal)?;
        self.target_groups().await.map_err(refusal)?;
        self.security_groups().await?;
        self.tags().await.map_err(refusal)?;
        self.subnets().await.map_err(refusal)?;
        self.keep_facts().await.map_err(refusal)?;
        Ok(())
    }

    /// The load balancer that is wished.
    pub(super) fn nlb(&self) -> Option<&Nlb> {
        match self.desired {
            Some(Desired::LoadBalancer(nlb)) => Some(nlb),
            Some(Desired::NodeAccess(_) | Desired::Standing(_)) | None => None,
        }
    }

    /// On whose behalf; `None` when it is to go.
    pub(super) fn owner(&self) -> Option<&Owner> {
        match self.desired {
            Some(Desired::LoadBalancer(nlb)) => Some(&nlb.owner),
            Some(Desired::NodeAccess(access)) => Some(&access.owner),
            Some(Desired::Standing(_)) | None => None,
        }
    }

    /// The entries of `kind` with ids, by id.
    pub(super) fn known(&self, kind: &str) -> BTreeMap<String, ResourceKey> {
        let entries = self.inventory.of_kind(kind);
        entries.filter_map(|entry| Some((entry.id.clone()?, entry.key.clone()))).collect()
    }

    /// The names of the entries of `kind` without id.
    pub(super) fn intended(&self, kind: &str) -> BTreeMap<String, ResourceKey> {
        let entries =
            self.inventory.of_kind(kind).filter(|entry| entry.id.is_none() && !entry.name.is_empty());
        entries.map(|entry| (entry.name.clone(), entry.key.clone())).collect()
    }

    /// Enters what a lost answer, or a lost inventory, left behind.
    pub(super) fn recover(&mut self, key: &ResourceKey, name: &str, id: &str) {
        self.inventory.intend(Resource::intended(key.clone(), name.to_owned(), self.now));
        if self.inventory.get(key).is_some_and(|entry| entry.phase == Phase::Leaving) {
            if let Some(entry) = self.inventory.get_mut(key) {
                entry.id = Some(id.to_owned());
            }
            return;
        }
        self.inventory.made(key, id, self.now);
    }

    /// Whether tags say that something found by name is of this CloudLoadBalancer. When it is to go, its own inventory
    /// is the proof: the name is a function of the owner.
    pub(super) fn is_ours(&self, tags: &Tags) -> bool {
        match self.owner() {
            Some(owner) => owner.owns(tags),
            None => tags.contains_key(crate::naming::tag::UID),
        }
    }

    /// Whether something with the name of an entry may be ours although its tags do not say so: those of what was just
    /// made are not visible at once.
    pub(super) fn may_be_ours(&mut self, key: &ResourceKey, tags: Option<&Tags>) -> bool {
        let untagged = tags.is_none_or(|tags| !tags.contains_key(crate::naming::tag::CLUSTER));
        let young = self.inventory.get(key).is_some_and(|entry| self.now.since(entry.since) < SETTLES_WITHIN);
        let may = untagged && young;
        if may {
            self.actual.unseen.insert(key.clone());
        }
        may
    }

    /// What becomes of an entry whose resource AWS does not show.
    pub(super) fn absent(&mut self, key: &ResourceKey) {
        let Some(entry) = self.inventory.get(key) else { return };
        // What is to go is deleted by its id, visible or not.
        if entry.id.is_none() || self.desired.is_none() {
            return;
        }
        if self.now.since(entry.since) < SETTLES_WITHIN {
            self.actual.unseen.insert(key.clone());
            return;
        }
        let reports = self.nlb().is_some_and(|nlb| nlb.policy.drift == Drift::Report);
        if reports && entry.phase == Phase::Present {
            self.actual.missing.insert(key.clone());
            return;
        }
        self.inventory.gone(key);
        if key.kind == kind::LOAD_BALANCER {
            let listeners: Vec<ResourceKey> =
                self.inventory.of_kind(kind::LISTENER).map(|e| e.key.clone()).collect();
            for listener in listeners.iter().filter(|listener| listener.generation == key.generation) {
                self.inventory.gone(listener);
            }
        }
    }

    /// The tags of what was found, of all kinds at once.
    async fn tags(&mut self) -> Result<(), ApiError> {
        let mut arns: Vec<String> = Vec::new();
        for found in self.actual.load_balancers.values() {
            // Of what is to go only listeners matter, where they tell ours from others'.
            arns.extend(self.desired.is_some().then(|| found.load_balancer.arn.clone()));
            arns.extend(found.listeners.iter().map(|listener| listener.listener.arn.clone()));
        }
        let groups = self.actual.target_groups.values().filter_map(|found| found.group.as_ref());
        arns.extend(groups.map(|group| group.arn.clone()));
        let mut tags = describe_tags(self.api, &arns).await?;
        for found in self.actual.load_balancers.values_mut() {
            found.tags = tags.remove(&found.load_balancer.arn).unwrap_or_default();
            for listener in &mut found.listeners {
                listener.tags = tags.remove(&listener.listener.arn).unwrap_or_default();
            }
        }
        for found in self.actual.target_groups.values_mut() {
            let arn = found.group.as_ref().map(|group| group.arn.as_str());
            found.tags = arn.and_then(|arn| tags.remove(arn)).unwrap_or_default();
        }
        self.recover_listeners();
        Ok(())
    }

    /// Enters the ids of listeners whose creation was not answered, so that they can be deleted.
    fn recover_listeners(&mut self) {
        if self.desired.is_some() {
            return;
        }
        let mut ours = Vec::new();
        for (load_balancer, found) in &self.actual.load_balancers {
            for listener in found.listeners.iter().filter(|listener| self.is_ours(&listener.tags)) {
                let key = listener_key(load_balancer, listener.listener.port);
                if self.inventory.get(&key).is_some_and(|entry| entry.id.is_none()) {
                    ours.push((key, listener.listener.arn.clone()));
                }
            }
        }
        for (key, arn) in ours {
            self.recover(&key, "", &arn);
        }
    }
}

/// The tags of `arns`, 20 at a time.
///
/// # Errors
/// AWS's.
pub async fn describe_tags<A: Api>(api: &A, arns: &[String]) -> Result<BTreeMap<String, Tags>, ApiError> {
    let mut tags = BTreeMap::new();
    for chunk in arns.chunks(MAX_DESCRIBED) {
        tags.extend(ask(api, DescribeTags { arns: chunk.to_vec() }).await?);
    }
    Ok(tags)
}
