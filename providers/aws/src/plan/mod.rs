//! What has to be done, decided from values alone: no call, no clock.
//!
//! | module | about |
//! |---|---|
//! | [`operation`] | one thing that can be done |
//! | [`load_balancer`] | a load balancer of its own: made, or changed in place |
//! | [`zones`] | its subnets and addresses |
//! | [`families`] | IPv4 alone, or IPv6 too |
//! | [`security`] | its security groups and their rules |
//! | [`target_groups`] | which target group serves a port, and what becomes of the others |
//! | [`targets`] | who gets traffic |
//! | [`listeners`] | its listeners, and how they move to another target group |
//! | [`attributes`], [`tags`] | settings that are put back when the wish goes |
//! | [`replacement`] | what cannot be changed in place |
//! | [`adoption`] | what exists already and is taken over |
//! | [`deletion`] | how all of it goes |
//! | [`node_access`] | what lets load balancers reach the nodes |

pub mod adoption;
pub mod attributes;
pub mod deletion;
pub mod families;
pub mod listeners;
pub mod load_balancer;
pub mod node_access;
pub mod operation;
pub mod replacement;
pub mod security;
pub mod tags;
pub mod target_groups;
pub mod targets;
pub mod zones;

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::time::Duration;

use daymark_model::aws::{Drift, PublishWhen};
use daymark_model::{Inventory, Resource, ResourceKey, Timestamp};
use daymark_providers::text::short_hash;
use daymark_providers::{CloudError, Depth, Operation, Plan, Step, StepClass, Wait};

pub use operation::AwsOperation;

use crate::api::Target;
use crate::model::{Desired, Nlb, Standing};
use crate::naming::{fact, family_word, kind};
use crate::observe::Actual;

/// What was made less than this ago may not be visible yet.
pub const SETTLES_WITHIN: Duration = Duration::from_secs(60);
/// When a load balancer that becomes active, or targets that become healthy, are looked at again.
const SOON: Duration = Duration::from_secs(10);
/// When it is looked again at what was remarked.
const REMARKED: Duration = Duration::from_secs(600);

/// What has to be done.
///
/// # Errors
/// A fault of the user, or somebody else's resource in the way.
pub fn plan(
    desired: Option<&Desired>,
    actual: &Actual,
    inventory: &Inventory,
    now: Timestamp,
) -> Result<Plan<AwsOperation>, CloudError> {
    match desired {
        None => deletion::plan(actual, inventory, now),
        Some(Desired::NodeAccess(access)) => Ok(node_access::plan(access, actual, inventory, now)),
        Some(Desired::Standing(standing)) => {
            Ok(targets::targets_only(actual, inventory, false, |entry| standing.targets.get(&entry.key)))
        }
        Some(Desired::LoadBalancer(nlb)) => match actual.depth {
            Depth::Targets => {
                let wish = |entry: &Resource| targets_of(nlb, entry);
                Ok(targets::targets_only(actual, inventory, nlb.is_across_zones(), wish))
            }
            Depth::Full => Planner::new(nlb, actual, inventory, now).whole(),
        },
    }
}

/// The plan of one load balancer while it is made.
struct Planner<'a> {
    nlb: &'a Nlb,
    actual: &'a Actual,
    /// With what is about to be taken over.
    inventory: Cow<'a, Inventory>,
    now: Timestamp,
    plan: Plan<AwsOperation>,
    /// Steps that come after all others: what is deleted, what is cosmetic.
    late: Vec<Step<AwsOperation>>,
    /// The disruptive change that steps belong to now.
    held: Option<String>,
    /// Target groups that serve a port of some load balancer.
    claimed: BTreeSet<ResourceKey>,
    /// Whether differences are undone, or only told of.
    repairs: bool,
}

impl<'a> Planner<'a> {
    fn new(nlb: &'a Nlb, actual: &'a Actual, inventory: &'a Inventory, now: Timestamp) -> Self {
        Self {
            nlb,
            actual,
            inventory: Cow::Borrowed(inventory),
            now,
            plan: Plan::default(),
            late: Vec::new(),
            held: None,
            claimed: BTreeSet::new(),
            repairs: repairs(nlb, inventory),
        }
    }

    /// Everything.
    fn whole(mut self) -> Result<Plan<AwsOperation>, CloudError> {
        for key in &self.actual.unseen {
            let text = format!("{} was just made, and AWS does not show it yet", operation::say(key));
            self.plan.wait("WaitingForVisibility", text, SOON);
        }
        let adoption = self.adopt()?;
        self.held.clone_from(&adoption);
        self.frontend();
        self.load_balancers()?;
        self.surplus_target_groups();
        self.surplus_security_groups();
        self.held = None;
        self.wait_for_targets();
        self.plan.steps.append(&mut self.late);
        // Who gets traffic from what exists relies on nothing else, and must not wait for what may fail.
        self.plan.steps.sort_by_key(|step| step.class != StepClass::Targets);
        self.note_settled();
        Ok(self.plan)
    }

    /// An address that is published with the first healthy targets is waited for.
    fn wait_for_targets(&mut self) {
        if self.nlb.policy.publish != PublishWhen::Healthy || !self.plan.waits.is_empty() {
            return;
        }
        let waits = |entry: &Resource| {
            self.actual.load_balancers.contains_key(&entry.key) && !entry.facts.contains_key(fact::READY)
        };
        if newest(&self.inventory).is_some_and(waits) {
            let text = "the address is published when every port has a healthy target";
            self.plan.wait("WaitingForTargets", text, SOON);
        }
    }

    fn entry(&self, key: &ResourceKey) -> Option<&Resource> {
        self.inventory.get(key)
    }

    fn step(&mut self, class: StepClass, operation: AwsOperation, why: impl Into<String>) {
        self.plan.steps.push(Step { operation, why: why.into(), class, change: self.held.clone() });
    }

    /// A step that comes after all others.
    fn late_step(&mut self, class: StepClass, operation: AwsOperation, why: impl Into<String>) {
        self.late.push(Step { operation, why: why.into(), class, change: self.held.clone() });
    }

    /// A step that undoes a difference, or a remark where differences are only told of.
    fn mend(&mut self, operation: AwsOperation, why: impl Into<String>) {
        let why = why.into();
        if self.repairs {
            self.step(StepClass::Change, operation, why);
        } else {
            self.remark(
                "Drift",
                format!("somebody changed it in AWS; to {} is needed: {why}", operation.describe()),
            );
        }
    }

    fn remark(&mut self, reason: &'static str, message: impl Into<String>) {
        self.plan.remarks.push(Wait { reason, message: message.into(), after: REMARKED });
    }

    /// The tags of something that exists.
    fn tags(&mut self, key: &ResourceKey, found: &crate::api::Tags) {
        let wish = self.tags_of(&key.role);
        if let Some(operation) = tags::mend(key, &wish, found, &self.inventory, self.now) {
            self.late_step(StepClass::Cosmetic, operation, "tags differ");
        } else if self.held.is_none() && wish.iter().any(|(name, value)| found.get(name) != Some(value)) {
            let text = format!("AWS does not show the tags of {} yet", operation::say(key));
            self.plan.wait("WaitingForVisibility", text, SETTLES_WITHIN);
        }
    }

    fn tags_of(&self, role: &str) -> crate::api::Tags {
        let mut tags = self.nlb.tags.clone();
        tags.extend(self.nlb.owner.tags(role));
        tags
    }

    /// Where drift is only reported, notes which wish was carried out: what differs from it later is drift.
    fn note_settled(&mut self) {
        if self.nlb.policy.drift == Drift::Repair || !self.plan.is_converged() {
            return;
        }
        let hash = wish_hash(self.nlb);
        let Some(entry) = newest(&self.inventory) else { return };
        if entry.facts.get(fact::SETTLED) != Some(&hash) {
            let operation = AwsOperation::Note { key: entry.key.clone(), fact: fact::SETTLED, value: hash };
            self.step(StepClass::Cosmetic, operation, "all is as wished");
        }
    }
}

/// Who is to get the traffic of a target group that there is.
fn targets_of<'a>(nlb: &'a Nlb, entry: &Resource) -> Option<&'a BTreeSet<Target>> {
    match nlb.target_groups.get(&entry.key.role) {
        Some(wish) => serves(entry, wish).then_some(&wish.targets),
        None => nlb.standing.targets.get(&entry.key),
    }
}

/// Whether a target group's entry was made for targets as they are wished now.
fn serves(entry: &Resource, wish: &crate::model::TargetGroupWish) -> bool {
    let same = |name: &str, value: &str| entry.facts.get(name).is_none_or(|fact| fact == value);
    same(fact::TARGET_TYPE, wish.target_type.as_str()) && same(fact::FAMILY, family_word(wish.family))
}

/// Whether differences are undone: always where they are repaired, else only where the wish is another one.
fn repairs(nlb: &Nlb, inventory: &Inventory) -> bool {
    match nlb.policy.drift {
        Drift::Repair => true,
        Drift::Report => {
            newest(inventory).and_then(|entry| entry.facts.get(fact::SETTLED)) != Some(&wish_hash(nlb))
        }
    }
}

/// What tells a wish from another one; who gets traffic does not matter.
fn wish_hash(nlb: &Nlb) -> String {
    let mut nlb = nlb.clone();
    nlb.target_groups.values_mut().for_each(|wish| wish.targets.clear());
    nlb.standing = Standing::default();
    short_hash([&*format!("{nlb:?}")], 16)
}

/// The load balancer with the highest generation.
fn newest(inventory: &Inventory) -> Option<&Resource> {
    inventory.of_kind(kind::LOAD_BALANCER).max_by_key(|entry| entry.key.generation)
}
