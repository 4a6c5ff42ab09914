//! Target groups and their targets.

use std::collections::BTreeMap;

use daymark_model::{Phase, ResourceKey};

use super::actual::FoundTargetGroup;
use super::describe::existing;
use super::look::{Look, describe_tags};
use crate::api::{
    Api, ApiError, DescribeTargetGroupAttributes, DescribeTargetGroups, DescribeTargetHealth, TargetGroup,
    Which, ask,
};
use crate::naming::kind;
use crate::plan::attributes::{is_known, is_recorded};
use crate::refusal::is_gone;

impl<A: Api> Look<'_, A> {
    /// Only who gets traffic.
    pub(super) async fn targets(&mut self) -> Result<(), ApiError> {
        for (arn, key) in self.known(kind::TARGET_GROUP) {
            if self.inventory.get(&key).is_none_or(|entry| entry.phase != Phase::Present) {
                continue;
            }
            match ask(self.api, DescribeTargetHealth { arn }).await {
                Ok(targets) => {
                    let found =
                        FoundTargetGroup { group: None, attributes: None, tags: BTreeMap::new(), targets };
                    self.actual.target_groups.insert(key, found);
                }
                Err(error) if is_gone(&error) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    pub(super) async fn target_groups(&mut self) -> Result<(), ApiError> {
        let known = self.known(kind::TARGET_GROUP);
        if self.desired.is_none() {
            // What is to go is deleted by its id.
            return self.target_groups_by_name().await;
        }
        let arns: Vec<String> = known.keys().cloned().collect();
        let call = |arns| DescribeTargetGroups { which: Which::Arns(arns) };
        let mut found: BTreeMap<String, TargetGroup> =
            existing(self.api, &arns, call).await?.into_iter().map(|one| (one.arn.clone(), one)).collect();
        for (arn, key) in known {
            match found.remove(&arn) {
                Some(group) => self.target_group(key, group).await?,
                None => self.absent(&key),
            }
        }
        self.target_groups_by_name().await
    }

    /// What may exist without being known, and what has a name that is about to be used.
    async fn target_groups_by_name(&mut self) -> Result<(), ApiError> {
        let mut names = self.intended(kind::TARGET_GROUP);
        // Where nothing is known at all, nothing is looked for: what a lost inventory left is made again by the same call,
        // or AWS says that the name is taken, and then it is looked for because it is intended.
        let nothing = self.actual.load_balancers.is_empty()
            && self.inventory.of_kind(kind::LOAD_BALANCER).next().is_none()
            && self.inventory.of_kind(kind::TARGET_GROUP).next().is_none();
        if let Some(nlb) = self.nlb().filter(|_| !nothing) {
            for role in nlb.target_groups.keys() {
                let stays = |entry: &daymark_model::Resource| {
                    entry.key.role == *role && entry.phase != Phase::Leaving
                };
                let adopted = self.actual.adoptable.iter().any(|one| one.key.role == *role);
                if adopted || self.inventory.of_kind(kind::TARGET_GROUP).any(stays) {
                    continue;
                }
                let generation = self.inventory.next_generation(kind::TARGET_GROUP, role);
                let key = ResourceKey::new(kind::TARGET_GROUP, role, generation);
                names.insert(nlb.owner.resource_name(&key), key);
            }
        }
        let wanted: Vec<String> = names.keys().cloned().collect();
        let call = |names| DescribeTargetGroups { which: Which::Names(names) };
        let found = existing(self.api, &wanted, call).await?;
        let arns: Vec<String> = found.iter().map(|one| one.arn.clone()).collect();
        let tags = describe_tags(self.api, &arns).await?;
        for one in found {
            let Some(key) = names.get(&one.name).cloned() else { continue };
            if tags.get(&one.arn).is_some_and(|tags| self.is_ours(tags)) {
                self.recover(&key, &one.name, &one.arn);
                self.target_group(key, one).await?;
            } else if !self.may_be_ours(&key, tags.get(&one.arn)) {
                self.actual.foreign_names.insert(one.name);
            }
        }
        Ok(())
    }

    /// One target group, as far as somebody wants to know.
    pub(super) async fn target_group(
        &mut self,
        key: ResourceKey,
        group: TargetGroup,
    ) -> Result<(), ApiError> {
        if self.desired.is_none() {
            return Ok(());
        }
        let arn = group.arn.clone();
        let targets = match ask(self.api, DescribeTargetHealth { arn: arn.clone() }).await {
            Ok(targets) => targets,
            Err(error) if is_gone(&error) => Vec::new(),
            Err(error) => return Err(error),
        };
        let entry = self.inventory.get(&key);
        let wish = self.nlb().and_then(|nlb| nlb.target_groups.get(&key.role));
        let leaves = entry.is_some_and(|entry| entry.phase == Phase::Leaving) && !targets.is_empty();
        let asked = wish.is_some_and(|wish| !wish.attributes.is_empty());
        let known = entry.zip(wish).is_some_and(|(entry, wish)| is_known(entry, &wish.attributes, self.now));
        let attributes = if leaves || (!known && (asked || entry.is_some_and(is_recorded))) {
            match ask(self.api, DescribeTargetGroupAttributes { arn }).await {
                Ok(attributes) => Some(attributes),
                Err(error) if is_gone(&error) => None,
                Err(error) => return Err(error),
            }
        } else {
            None
        };
        let found = FoundTargetGroup { group: Some(group), attributes, tags: BTreeMap::new(), targets };
        self.actual.target_groups.insert(key, found);
        Ok(())
    }
}
