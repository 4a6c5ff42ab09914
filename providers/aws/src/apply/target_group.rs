//! Target groups and targets.

use daymark_model::ResourceKey;
use daymark_providers::{CloudError, Outcome};

use super::{Hand, TRY_AGAIN};
use crate::api::{
    Api, ApiError, CreateTargetGroup, DeleteTargetGroup, DeregisterTargets, HealthCheck, ModifyTargetGroup,
    RegisterTargets, Target, ask,
};
use crate::naming::fact;
use crate::naming::family_word;
use crate::plan::operation::{NewTargetGroup, say};
use crate::refusal::{is_gone, is_in_use, refusal};

impl<A: Api> Hand<'_, A> {
    pub(super) async fn create_target_group(&mut self, new: &NewTargetGroup) -> Result<Outcome, CloudError> {
        let call = CreateTargetGroup {
            name: new.name.clone(),
            protocol: new.protocol,
            port: new.port,
            target_type: new.target_type,
            family: new.family,
            vpc: new.vpc.clone(),
            health: new.health.clone(),
            tags: new.tags.clone(),
        };
        let made = match ask(self.api, call).await {
            Ok(made) => made,
            Err(error) if error.code.starts_with("DuplicateTargetGroupName") => {
                return Ok(name_taken(&new.name));
            }
            Err(error) => return Err(refusal(error)),
        };
        self.inventory.made(&new.key, &made.arn, self.now);
        if let Some(entry) = self.inventory.get_mut(&new.key) {
            entry.facts.insert(fact::TARGET_TYPE.to_owned(), new.target_type.to_string());
            entry.facts.insert(fact::FAMILY.to_owned(), family_word(new.family).to_owned());
        }
        Ok(Outcome::Done)
    }

    pub(super) async fn set_health_check(
        &mut self,
        key: &ResourceKey,
        health: &HealthCheck,
    ) -> Result<Outcome, CloudError> {
        let call = ModifyTargetGroup { arn: self.id(key)?, health: health.clone() };
        ask(self.api, call).await.map(|()| Outcome::Done).map_err(|error| self.failed(key, error))
    }

    pub(super) async fn register(
        &mut self,
        key: &ResourceKey,
        targets: &[Target],
    ) -> Result<Outcome, CloudError> {
        match self.bisect(key, targets, Direction::In).await? {
            None => Ok(Outcome::Done),
            Some(error) => Err(self.failed(key, error)),
        }
    }

    pub(super) async fn deregister(
        &mut self,
        key: &ResourceKey,
        targets: &[Target],
    ) -> Result<Outcome, CloudError> {
        match self.bisect(key, targets, Direction::Out).await? {
            None => Ok(Outcome::Done),
            // One that is not registered is as it should be.
            Some(error) if is_refused_target(&error) || is_gone(&error) => Ok(Outcome::Done),
            Some(error) => Err(refusal(error)),
        }
    }

    /// Calls for all targets. AWS refuses them as a whole where it refuses one: then in halves, so that the others get
    /// through. The first refusal is the answer; any other error ends it.
    async fn bisect(
        &self,
        key: &ResourceKey,
        targets: &[Target],
        direction: Direction,
    ) -> Result<Option<ApiError>, CloudError> {
        let arn = self.id(key)?;
        let mut open = vec![targets];
        let mut refused = None;
        while let Some(part) = open.pop() {
            let (arn, targets) = (arn.clone(), part.to_vec());
            let done = match direction {
                Direction::In => ask(self.api, RegisterTargets { arn, targets }).await,
                Direction::Out => ask(self.api, DeregisterTargets { arn, targets }).await,
            };
            match done {
                Ok(()) => {}
                Err(error) if is_refused_target(&error) && part.len() > 1 => {
                    let (left, right) = part.split_at(part.len() / 2);
                    open.extend([right, left]);
                }
                Err(error) if is_refused_target(&error) => {
                    refused.get_or_insert(error);
                }
                Err(error) => return Ok(Some(error)),
            }
        }
        Ok(refused)
    }

    pub(super) async fn delete_target_group(&mut self, key: &ResourceKey) -> Result<Outcome, CloudError> {
        if let Some(arn) = self.inventory.id(key).map(str::to_owned) {
            match ask(self.api, DeleteTargetGroup { arn }).await {
                Ok(()) => {}
                Err(error) if is_gone(&error) => {}
                Err(error) if is_in_use(&error) => {
                    return self.in_use(key, "WaitingForListeners", "a listener", error);
                }
                Err(error) => return Err(refusal(error)),
            }
        }
        self.inventory.gone(key);
        Ok(Outcome::Done)
    }
}

/// Which way targets go.
#[derive(Debug, Clone, Copy)]
enum Direction {
    In,
    Out,
}

fn is_refused_target(error: &ApiError) -> bool {
    error.code.starts_with("InvalidTarget")
}

/// Somebody has the name: whether it is ours is seen at the next look.
pub(super) fn name_taken(name: &str) -> Outcome {
    let message = format!("the name {name} is taken, maybe by an earlier attempt");
    Outcome::Wait { reason: "NameTaken", message, after: TRY_AGAIN }
}

/// Somebody has the port: whether it is ours is seen at the next look.
pub(super) fn port_taken(key: &ResourceKey) -> Outcome {
    let message = format!("{} exists already, maybe from an earlier attempt", say(key));
    Outcome::Wait { reason: "PortTaken", message, after: TRY_AGAIN }
}
