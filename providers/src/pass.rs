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
const LOOK_AGAIN: Duration = Duration::from_secs(15);

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
    /// All is as it should be, or was made so.
    Converged,
    /// All that can be done now is done.
    Waiting(Wait),
    /// All is done but what waits for consent.
    Held,
    /// There is a plan, and the mode forbids carrying it out.
    Shown,
    /// It was to go, and nothing is left.
    Gone,
    /// A call, or the plan, failed. Where [`PassReport::again`] is set, only a part did, and the rest goes on then.
    Failed(CloudError),
    /// The inventory was not saved: nothing was made that the saved one does not name. The next pass begins with that.
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
    /// When to look again without any change; `None` after a failure leaves that to [`crate::retry`].
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
    if !matches!(pass.report.end, End::Unsaved(_))
        && let Err(error) = pass.save().await
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
        self.publish(&actual);
        let inventory = &self.report.inventory;
        let plan = self.cloud.plan(self.desired, &actual, inventory, self.now).map_err(Stop::Failed)?;
        self.grant(&plan, depth);
        self.report.plan = summary(&plan, &self.report.inventory);
        self.report.remarks.clone_from(&plan.remarks);
        plan.waits.iter().for_each(|wait| self.look_again(wait.after));
        let steps = self.permitted(&plan);
        for step in &steps {
            step.operation.remember(&mut self.report.inventory, self.now);
        }
        self.save().await.map_err(Stop::Unsaved)?;
        let carried = self.carry_out(&steps).await;
        if self.report.done > 0 {
            // What was made may have an address now, even if something after it failed.
            self.publish(&actual);
        }
        match carried? {
            Some(wait) => Ok(End::Waiting(wait)),
            None => Ok(self.ending(&plan, steps.len())),
        }
    }

    fn publish(&mut self, actual: &C::Actual) {
        let published = |desired| self.cloud.published(desired, actual, &self.report.inventory);
        self.report.published = self.desired.and_then(published);
    }

    fn look_again(&mut self, after: Duration) {
        self.report.again = Some(self.report.again.map_or(after, |sooner| sooner.min(after)));
    }

    /// How a pass ends in which every permitted step was done.
    fn ending(&mut self, plan: &Plan<C::Operation>, permitted: usize) -> End {
        if self.desired.is_none() && self.report.inventory.is_empty() {
            self.report.again = None;
            return End::Gone;
        }
        plan.remarks.iter().for_each(|remark| self.look_again(remark.after));
        if permitted > 0 {
            self.look_again(LOOK_AGAIN);
        }
        if self.policy.mode != CloudMode::Apply && permitted < plan.steps.len() {
            return End::Shown;
        }
        if let Some(wait) = plan.waits.iter().min_by_key(|wait| wait.after) {
            return End::Waiting(wait.clone());
        }
        if self.report.plan.consent.is_some() { End::Held } else { End::Converged }
    }

    /// Grants what is consented to, and ends what was carried out.
    ///
    /// Only where the plan is to be carried out, lest a consent is used up by looking; and only from a plan over
    /// everything: one over the targets does not name the changes that are under way.
    fn grant(&mut self, plan: &Plan<C::Operation>, depth: Depth) {
        if self.policy.mode != CloudMode::Apply || depth != Depth::Full {
            return;
        }
        let inventory = &mut self.report.inventory;
        if self.policy.replacement == Replacement::CreateBeforeDestroy {
            let new_first = plan.disruptive.iter().filter(|(_, change)| change.manner == Manner::NewFirst);
            inventory.granted.extend(new_first.map(|(id, _)| id.clone()));
        }
        let asked = plan.consent_hash(inventory);
        if asked.is_some() && asked == self.policy.consent {
            inventory.granted.extend(plan.disruptive.keys().cloned());
        }
        // Each finished change by itself: while another one goes on, it must not come back without being asked for.
        let before = inventory.granted.len();
        inventory.granted.retain(|change| plan.disruptive.contains_key(change));
        if inventory.granted.len() < before {
            inventory.epoch = inventory.epoch.saturating_add(1);
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

    /// Takes the steps in order, and gives back what interrupted them.
    async fn carry_out(&mut self, steps: &[Step<C::Operation>]) -> Result<Option<Wait>, Stop> {
        let mut failed: Option<CloudError> = None;
        let mut interrupted = None;
        for step in steps {
            let inventory = &mut self.report.inventory;
            match self.cloud.apply(&step.operation, inventory, self.now).await {
                Ok(Outcome::Done) => self.report.done += 1,
                Ok(Outcome::Wait { reason, message, after }) => {
                    self.look_again(after);
                    interrupted = Some(Wait { reason, message, after });
                    break;
                }
                Err(error) if stands_alone(step.class, error.class) => {
                    failed.get_or_insert(error);
                }
                Err(error) => {
                    // What else was waited for is tried no sooner than this.
                    self.report.again = None;
                    return Err(Stop::Failed(error));
                }
            }
        }
        failed.map_or(Ok(interrupted), |error| Err(Stop::Failed(error)))
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
