//! What exists already and is taken over: shown first, then entered into the inventory; nothing is made anew.

use std::collections::BTreeMap;

use daymark_model::{Ownership, Resource};
use daymark_providers::plan::Manner;
use daymark_providers::{CloudError, StepClass};

use super::Planner;
use super::operation::{AwsOperation, load_balancer_facts};
use crate::model::Adopt;
use crate::naming::kind;

impl Planner<'_> {
    /// Enters what is to be taken over, and gives the change that the rest of the plan belongs to.
    pub(super) fn adopt(&mut self) -> Result<Option<String>, CloudError> {
        let Some(adopt) = &self.nlb.adopt else { return Ok(None) };
        if self.actual.adoptable.is_empty() {
            return Ok(None);
        }
        let (ownership, whose, id) = match adopt {
            Adopt::Arn(arn) => (Ownership::Borrowed, "it stays somebody else's", format!("adopt {arn}")),
            Adopt::Lbc { stack, .. } => (
                Ownership::Owned,
                "the AWS Load Balancer Controller must not manage it any longer",
                format!("adopt {stack}"),
            ),
        };
        self.check_adoptable()?;
        let names: Vec<&str> = self.actual.adoptable.iter().map(|one| one.name.as_str()).collect();
        let text = format!("Daymark takes over {}; {whose}", names.join(", "));
        let change = self.plan.disrupt(id, Manner::Adopts, text);
        for one in &self.actual.adoptable {
            let is_load_balancer = one.key.kind == kind::LOAD_BALANCER;
            let ownership = if is_load_balancer { ownership } else { Ownership::Owned };
            let mut facts = BTreeMap::new();
            if is_load_balancer {
                facts.extend(self.kept_facts());
                if let Some(found) = self.actual.load_balancers.get(&one.key) {
                    facts.extend(load_balancer_facts(&found.load_balancer));
                }
            }
            let mut entry = Resource::intended(one.key.clone(), one.name.clone(), self.now);
            entry.ownership = ownership;
            entry.facts.clone_from(&facts);
            let inventory = self.inventory.to_mut();
            inventory.put(entry);
            inventory.made(&one.key, &one.id, self.now);
            let (key, name, id) = (one.key.clone(), one.name.clone(), one.id.clone());
            let operation = AwsOperation::Adopt { key, name, id, ownership, facts };
            self.plan.held_step(&change, StepClass::Change, operation, "it exists already");
        }
        Ok(Some(change))
    }

    fn check_adoptable(&self) -> Result<(), CloudError> {
        for one in self.actual.adoptable.iter().filter(|one| one.key.kind == kind::LOAD_BALANCER) {
            let Some(found) = self.actual.load_balancers.get(&one.key) else { continue };
            let load_balancer = &found.load_balancer;
            if !load_balancer.is_network {
                let text = format!("load balancer {} is not a network load balancer", load_balancer.name);
                return Err(
                    CloudError::user("AdoptUnfit", text).remedy("name the ARN of a network load balancer")
                );
            }
            if load_balancer.vpc != self.nlb.vpc {
                let text = format!(
                    "load balancer {} is in {}, and the profile is for {}",
                    load_balancer.name, load_balancer.vpc, self.nlb.vpc
                );
                return Err(CloudError::user("WrongRegionOrVpc", text)
                    .remedy("name one that is in the VPC of the profile"));
            }
        }
        Ok(())
    }
}
