//! One operation, once or again: what was done before, or half, does no harm.

mod load_balancer;
mod security;
mod target_group;

use std::time::Duration;

use daymark_model::{Inventory, Phase, ResourceKey, Timestamp};
use daymark_providers::{CloudError, ErrorClass, Operation, Outcome};

use crate::api::{AddTags, Api, ApiError, CreateTags, DeleteTags, RemoveTags, Tags, ask};
use crate::naming::{fact, kind};
use crate::plan::AwsOperation;
use crate::plan::attributes::note;
use crate::plan::operation::say;
use crate::refusal::{is_gone, refusal};

/// How long something may hold on to what is to be deleted before people are asked to look.
const HELD_TOO_LONG: Duration = Duration::from_secs(600);
/// When what is still in use is tried again.
const TRY_AGAIN: Duration = Duration::from_secs(10);

/// Does one thing.
///
/// # Errors
/// AWS's.
pub async fn apply<A: Api>(
    api: &A,
    operation: &AwsOperation,
    inventory: &mut Inventory,
    now: Timestamp,
) -> Result<Outcome, CloudError> {
    let mut hand = Hand { api, inventory, now };
    match operation {
        AwsOperation::CreateSecurityGroup { key, name, description, vpc, tags } => {
            hand.create_security_group(key, name, description, vpc, tags).await
        }
        AwsOperation::Authorize { group, rules, description } => {
            let group = hand.group_id(group)?;
            hand.authorize(&group, rules.clone(), description).await
        }
        AwsOperation::AuthorizeNodes { key, from, ranges, description } => {
            hand.authorize_nodes(key, from, ranges, description).await
        }
        AwsOperation::Revoke { group, rules } => {
            let group = hand.group_id(group)?;
            hand.revoke(&group, rules).await
        }
        AwsOperation::DeleteSecurityGroup { key } => hand.delete_security_group(key).await,
        AwsOperation::CreateTargetGroup(new) => hand.create_target_group(new).await,
        AwsOperation::SetHealthCheck { key, health } => hand.set_health_check(key, health).await,
        AwsOperation::Register { key, targets } => hand.register(key, targets).await,
        AwsOperation::Deregister { key, targets } => hand.deregister(key, targets).await,
        AwsOperation::DeleteTargetGroup { key } => hand.delete_target_group(key).await,
        AwsOperation::CreateLoadBalancer(new) => hand.create_load_balancer(new).await,
        AwsOperation::SetSubnets { key, subnets, source_nat, facts, records } => {
            let outcome = hand.set_subnets(key, subnets, *source_nat, facts).await?;
            records.strike(hand.inventory, key);
            Ok(outcome)
        }
        AwsOperation::SetSecurityGroups { key, groups, private_link_rules, records } => {
            let outcome = hand.set_security_groups(key, groups, *private_link_rules).await?;
            records.strike(hand.inventory, key);
            Ok(outcome)
        }
        AwsOperation::SetIpAddressType { key, ip_address_type } => {
            hand.set_ip_address_type(key, *ip_address_type).await
        }
        AwsOperation::SetAttributes { key, attributes, records } => {
            let outcome = hand.set_attributes(key, attributes).await?;
            records.strike(hand.inventory, key);
            Ok(outcome)
        }
        AwsOperation::SetCapacity { key, units, records } => {
            let outcome = hand.set_capacity(key, *units).await?;
            records.strike(hand.inventory, key);
            Ok(outcome)
        }
        AwsOperation::DeleteLoadBalancer { key } => hand.delete_load_balancer(key).await,
        AwsOperation::CreateListener(new) => hand.create_listener(new).await,
        AwsOperation::ModifyListener(change) => {
            let outcome = hand.modify_listener(change).await?;
            change.records.strike(hand.inventory, &change.key);
            Ok(outcome)
        }
        AwsOperation::AddCertificates { key, certificates } => hand.add_certificates(key, certificates).await,
        AwsOperation::RemoveCertificates { key, certificates } => {
            hand.remove_certificates(key, certificates).await
        }
        AwsOperation::DeleteListener { key } => hand.delete_listener(key).await,
        AwsOperation::SetTags { key, tags, remove, records } => {
            hand.remove_tags(key, remove).await.map_err(|error| hand.failed(key, error))?;
            hand.set_tags(key, tags).await?;
            records.strike(hand.inventory, key);
            Ok(Outcome::Done)
        }
        AwsOperation::Release { key, tags } => hand.release(key, tags).await,
        AwsOperation::Adopt { .. } => {
            operation.remember(hand.inventory, now);
            Ok(Outcome::Done)
        }
        AwsOperation::Enter { key, phase } => {
            hand.enter(key, *phase);
            Ok(Outcome::Done)
        }
        AwsOperation::Note { key, fact, value } => {
            if let Some(entry) = hand.inventory.get_mut(key) {
                entry.facts.insert((*fact).to_owned(), value.clone());
            }
            Ok(Outcome::Done)
        }
        AwsOperation::Strike { key } => {
            hand.inventory.gone(key);
            Ok(Outcome::Done)
        }
    }
}

/// What carries operations out.
struct Hand<'a, A> {
    api: &'a A,
    inventory: &'a mut Inventory,
    now: Timestamp,
}

impl<A: Api> Hand<'_, A> {
    /// The id of something of ours that an earlier step made.
    fn id(&self, key: &ResourceKey) -> Result<String, CloudError> {
        self.inventory.id(key).map(str::to_owned).ok_or_else(|| {
            CloudError::new(ErrorClass::Transient, "NotMadeYet", format!("{} does not exist yet", say(key)))
        })
    }

    /// The error of a call on something of ours: when it is gone, the next look will see it.
    fn failed(&self, key: &ResourceKey, error: ApiError) -> CloudError {
        if is_gone(&error) {
            let text = format!("{} is gone, or AWS does not show it yet", say(key));
            return CloudError {
                action: Some(error.action.to_owned()),
                code: Some(error.code),
                ..CloudError::new(ErrorClass::Transient, "NotVisible", text)
            };
        }
        refusal(error)
    }

    fn enter(&mut self, key: &ResourceKey, phase: Phase) {
        match phase {
            Phase::Leaving => self.inventory.leaving(key, self.now),
            Phase::Present | Phase::Intended => {
                if let Some(id) = self.inventory.id(key).map(str::to_owned) {
                    self.inventory.made(key, &id, self.now);
                }
            }
        }
    }

    /// What to say of something that cannot be deleted because it is in use.
    fn in_use(
        &self,
        key: &ResourceKey,
        reason: &'static str,
        by: &str,
        error: ApiError,
    ) -> Result<Outcome, CloudError> {
        let since = self.inventory.get(key).map(|entry| entry.since);
        let held_for = since.map(|since| self.now.since(since)).unwrap_or_default();
        let text = format!("{} is in use by {by}", say(key));
        if held_for < HELD_TOO_LONG {
            return Ok(Outcome::Wait { reason, message: text, after: TRY_AGAIN });
        }
        Err(CloudError {
            action: Some(error.action.to_owned()),
            code: Some(error.code),
            ..CloudError::new(ErrorClass::Blocked, "ResourceInUse", text)
        }
        .remedy("delete what uses it; it is tried again"))
    }

    async fn set_tags(&mut self, key: &ResourceKey, tags: &Tags) -> Result<(), CloudError> {
        if !tags.is_empty() {
            let (id, tags) = (self.id(key)?, tags.clone());
            let done = if key.kind == kind::SECURITY_GROUP {
                ask(self.api, CreateTags { id, tags }).await
            } else {
                ask(self.api, AddTags { arn: id, tags }).await
            };
            done.map_err(|error| self.failed(key, error))?;
        }
        if let Some(entry) = self.inventory.get_mut(key) {
            entry.facts.insert(fact::TAGS_SET.to_owned(), note(tags, self.now));
        }
        Ok(())
    }

    /// Removes tags; those that are not there are as they should be.
    async fn remove_tags(&self, key: &ResourceKey, keys: &[String]) -> Result<(), ApiError> {
        let Some(id) = self.inventory.id(key).map(str::to_owned).filter(|_| !keys.is_empty()) else {
            return Ok(());
        };
        if key.kind == kind::SECURITY_GROUP {
            ask(self.api, DeleteTags { id, keys: keys.to_vec() }).await
        } else {
            ask(self.api, RemoveTags { arn: id, keys: keys.to_vec() }).await
        }
    }

    async fn release(&mut self, key: &ResourceKey, tags: &[String]) -> Result<Outcome, CloudError> {
        match self.remove_tags(key, tags).await {
            Ok(()) => {}
            Err(error) if is_gone(&error) => {}
            Err(error) => return Err(refusal(error)),
        }
        self.inventory.gone(key);
        Ok(Outcome::Done)
    }
}
