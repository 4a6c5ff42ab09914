//! One pass over one load balancer: observe, plan, write ahead, apply.
//!
//! A pass does what can be done now and returns; what has to be waited for is told, not waited for. It may end at any
//! point without harm: before the first call that makes something, the inventory that names it is saved.

use std::future::Future;
use std::time::Duration;

use daymark_model::aws::{CloudMode, Replacement};
use daymark_model::{Inventory, Timestamp};

use crate::cloud::{Cloud, Depth, Outcome, Published};
use crate::error::{CloudError, ErrorClass};
use crate::plan::{Manner, Operation, Plan, Step, StepClass, Wait};

/// After something was made or changed, it is looked at again: whether it became active, whether targets are healthy.
const LOOK_AGAIN: Duration = Duration::from_secs(10);

/// Why an inventory was not saved.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the inventory is not saved: {0}")]
pub struct StoreError(pub String);

/// Where the inventory of one load balancer is kept.
pub trait InventoryStore: Send {
    /// Saves it, over the version that was read.
    fn save(&mut self, inventory: &Inventory) -> impl Future<Output = Result<(), StoreError>> + Send;
}

/// What may be done.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Policy {
    /// What is done with the plan.
    pub mode: CloudMode,
    /// What is done with a load balancer that has to be replaced.
    pub replacement: Replacement,
    /// The consent that the Service carries.
    pub consent: Option<String>,
}

/// One line of a plan, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlanLine {
    /// What is done.
    pub what: String,
    /// Why.
    pub why: String,
    /// Whether it waits for consent.
    pub held: bool,
}

/// A plan, for people.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PlanSummary {
    /// The steps in order.
    pub steps: Vec<PlanLine>,
    /// The changes that wait for consent, in sentences.
    pub disruptive: Vec<String>,
    /// What consents to them.
    pub consent: Option<String>,
}

/// How a pass ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// All is as it should be.
    Converged,
    /// All that can be done now is done.
    Waiting(Wait),
    /// All is done but what waits for consent.
    Held,
    /// There is a plan, and the mode forbids carrying it out.
    Shown,
    /// It was to go, and nothing is left.
    Gone,
    /// A call, or the plan, failed.
    Failed(CloudError),
    /// The inventory was not saved: nothing was made that it does not name.
    Unsaved(StoreError),
}

/// What came of a pass.
#[derive(Debug, Clone)]
pub struct PassReport {
    /// The inventory as it is now.
    pub inventory: Inventory,
    /// What is told of the load balancer; `None` when it could not be observed or is to go.
    pub published: Option<Published>,
    /// What was planned.
    pub plan: PlanSummary,
    /// What is left as it is although it should not be.
    pub remarks: Vec<Wait>,
    /// How many steps were done.
    pub done: usize,
    /// How it ended.
    pub end: End,
    /// When to look again without any change.
    pub again: Option<Duration>,
}

/// Runs one pass over the load balancer that should be as `desired` says (`None` = it is to go).
pub async fn run<C: Cloud, S: InventoryStore>(
    cloud: &C,
    store: &mut S,
    desired: Option<&C::Desired>,
    inventory: Inventory,
    depth: Depth,
    policy: &Policy,
    now: Timestamp,
) -> PassReport {
    let saved = inventory.clone();
    let report = PassReport {
        inventory,
        published: None,
        plan: PlanSummary::default(),
        remarks: Vec::new(),
        done: 0,
        end: End::Converged,
        again: None,
    };
    let mut pass = Pass { cloud, store, desired, policy, now, saved, report };
    pass.report.end = match pass.walk(depth).await {
        Ok(end) => end,
        Err(Stop::Failed(error)) => End::Failed(error),
        Err(Stop::Unsaved(error)) => End::Unsaved(error),
    };
    if let Err(error) = pass.save().await
        && !matches!(pass.report.end, End::Unsaved(_))
    {
        pass.report.end = End::Unsaved(error);
    }
    pass.report
}

/// The plan for a load balancer as it was found, with nothing done: for people who look.
///
/// # Errors
/// The cloud's.
pub async fn preview<C: Cloud>(
    cloud: &C,
    desired: Option<&C::Desired>,
    inventory: &Inventory,
    now: Timestamp,
) -> Result<(PlanSummary, Plan<C::Operation>), CloudError> {
    let mut inventory = inventory.clone();
    let actual = cloud.observe(desired, &mut inventory, Depth::Full, now).await?;
    let plan = cloud.plan(desired, &actual, &inventory, now)?;
    Ok((summary(&plan, &inventory), plan))
}

/// Why a pass goes no further.
enum Stop {
    Failed(CloudError),
    Unsaved(StoreError),
}

struct Pass<'a, C: Cloud, S> {
    cloud: &'a C,
    store: &'a mut S,
    desired: Option<&'a C::Desired>,
    policy: &'a Policy,
    now: Timestamp,
    saved: Inventory,
    report: PassReport,
}

impl<C: Cloud, S: InventoryStore> Pass<'_, C, S> {
    async fn walk(&mut self, depth: Depth) -> Result<End, Stop> {
        let inventory = &mut self.report.inventory;
        if self.desired.is_none() && inventory.is_empty() {
            return Ok(End::Gone);
        }
        let actual =
            self.cloud.observe(self.desired, inventory, depth, self.now).await.map_err(Stop::Failed)?;
        let inventory = &mut self.report.inventory;
        self.report.published = self.desired.map(|desired| self.cloud.published(desired, &actual, inventory));
        let plan = self.cloud.plan(self.desired, &actual, inventory, self.now).map_err(Stop::Failed)?;
        self.grant(&plan);
        self.report.plan = summary(&plan, &self.report.inventory);
        self.report.remarks.clone_from(&plan.remarks);
        if self.policy.mode == CloudMode::Plan && !plan.is_converged() {
            return Ok(End::Shown);
        }
        let steps = self.permitted(&plan);
        for step in &steps {
            step.operation.remember(&mut self.report.inventory, self.now);
        }
        self.save().await.map_err(Stop::Unsaved)?;
        let failed = match self.carry_out(&steps).await? {
            Progress::Interrupted(wait) => return Ok(End::Waiting(wait)),
            Progress::Through(failed) => failed,
        };
        // What was made may have an address now.
        if let Some(desired) = self.desired
            && self.report.done > 0
        {
            self.report.published = Some(self.cloud.published(desired, &actual, &self.report.inventory));
        }
        if let Some(error) = failed {
            return Err(Stop::Failed(error));
        }
        Ok(self.ending(&plan, steps.len()))
    }

    fn ending(&mut self, plan: &Plan<C::Operation>, permitted: usize) -> End {
        if self.desired.is_none() && self.report.inventory.is_empty() {
            return End::Gone;
        }
        if let Some(wait) = plan.waits.iter().min_by_key(|wait| wait.after) {
            return End::Waiting(wait.clone());
        }
        if permitted > 0 {
            self.report.again = Some(LOOK_AGAIN);
        }
        if self.report.plan.consent.is_some() {
            return End::Held;
        }
        if permitted < plan.steps.len() { End::Shown } else { End::Converged }
    }

    /// Grants what is consented to, and ends what was carried out.
    fn grant(&mut self, plan: &Plan<C::Operation>) {
        let inventory = &mut self.report.inventory;
        if plan.disruptive.is_empty() && !inventory.granted.is_empty() {
            inventory.granted.clear();
            inventory.epoch = inventory.epoch.saturating_add(1);
        }
        let consented = plan.consent_hash(inventory);
        if consented.is_some() && consented == self.policy.consent {
            inventory.granted.extend(plan.disruptive.keys().cloned());
        } else if self.policy.replacement == Replacement::CreateBeforeDestroy {
            let new_first = plan.disruptive.iter().filter(|(_, change)| change.manner == Manner::NewFirst);
            inventory.granted.extend(new_first.map(|(id, _)| id.clone()));
        }
    }

    /// The steps that may be taken.
    fn permitted(&self, plan: &Plan<C::Operation>) -> Vec<Step<C::Operation>> {
        let may = |step: &&Step<C::Operation>| {
            let consented =
                step.change.as_ref().is_none_or(|change| self.report.inventory.granted.contains(change));
            let in_mode = match self.policy.mode {
                CloudMode::Apply => true,
                CloudMode::Observe => step.class == StepClass::Targets,
                CloudMode::Plan => false,
            };
            consented && in_mode
        };
        plan.steps.iter().filter(may).cloned().collect()
    }

    async fn carry_out(&mut self, steps: &[Step<C::Operation>]) -> Result<Progress, Stop> {
        let mut failed: Option<CloudError> = None;
        for step in steps {
            let inventory = &mut self.report.inventory;
            match self.cloud.apply(&step.operation, inventory, self.now).await {
                Ok(Outcome::Done) => self.report.done += 1,
                Ok(Outcome::Wait { reason, message, after }) => {
                    return Ok(Progress::Interrupted(Wait { reason, message, after }));
                }
                Err(error) if stands_alone(step.class, error.class) => {
                    failed.get_or_insert(error);
                }
                Err(error) => return Err(Stop::Failed(error)),
            }
        }
        Ok(Progress::Through(failed))
    }

    async fn save(&mut self) -> Result<(), StoreError> {
        if self.report.inventory == self.saved {
            return Ok(());
        }
        self.store.save(&self.report.inventory).await?;
        self.saved.clone_from(&self.report.inventory);
        Ok(())
    }
}

enum Progress {
    /// An operation has to be waited for.
    Interrupted(Wait),
    /// All steps were tried; the first error of those that hinder no other.
    Through(Option<CloudError>),
}

/// Whether a step that failed so leaves the others their chance.
fn stands_alone(step: StepClass, error: ErrorClass) -> bool {
    let own_fault = matches!(error, ErrorClass::Quota | ErrorClass::Permission | ErrorClass::User);
    match step {
        StepClass::Targets => own_fault || error == ErrorClass::Blocked,
        StepClass::Cosmetic => own_fault,
        StepClass::Change | StepClass::Delete => false,
    }
}

fn summary<O: Operation>(plan: &Plan<O>, inventory: &Inventory) -> PlanSummary {
    let line = |step: &Step<O>| PlanLine {
        what: step.operation.describe(),
        why: step.why.clone(),
        held: step.change.as_ref().is_some_and(|change| !inventory.granted.contains(change)),
    };
    PlanSummary {
        steps: plan.steps.iter().map(line).collect(),
        disruptive: plan.ungranted(inventory).values().map(|change| change.text.clone()).collect(),
        consent: plan.consent_hash(inventory),
    }
}
