//! One turn of one load balancer: its object, the finalizers of its Services, one pass over the cloud, and, when nothing
//! is left, letting go.
//!
//! The order is what makes a crash at any point harmless: the object first, then the finalizers, then the first call to
//! the cloud; at the end the Services first, then the object.

use std::sync::Arc;

use daymark_aws::sdk::ConnectError;
use daymark_config::names::finalizer;
use daymark_kube::views::cloud::CloudService;
use daymark_model::{CloudPlace, ServiceKey, Timestamp};
use daymark_providers::cloud::Depth;
use daymark_providers::error::{CloudError, ErrorClass};
use daymark_providers::pass::{self, End, InventoryStore, PassReport, StoreError};
use daymark_providers::plan::StepClass;

use super::connection::{Cloud, Connections};
use super::index::{Remove, Serve};
use super::object::{CloudObject, Objects, WriteError};

/// How a turn ended.
#[derive(Debug)]
pub struct Turn {
    /// The object as it is now; `None` when it is gone.
    pub object: Option<CloudObject>,
    /// What came of the pass; `None` when none was made.
    pub report: Option<PassReport>,
    /// Why the turn ended early.
    pub failed: Option<CloudError>,
    /// The Services that were let go.
    pub released: Vec<ServiceKey>,
    /// What is left of another controller, where something was taken over.
    pub leftovers: Vec<String>,
}

/// What turns work with; cheap to clone.
#[derive(Clone)]
pub struct Tools {
    /// The API server.
    pub objects: Objects,
    /// The clouds.
    pub connections: Arc<Connections>,
}

/// Saves inventories into the object that they belong to.
struct Shelf<'a> {
    objects: &'a Objects,
    object: CloudObject,
}

impl InventoryStore for Shelf<'_> {
    async fn save(&mut self, inventory: &daymark_model::Inventory) -> Result<(), StoreError> {
        let saved = self.objects.replace_inventory(&self.object, inventory).await;
        self.object = saved.map_err(|error| StoreError(error.to_string()))?;
        Ok(())
    }
}

/// The turn of a load balancer that is to be as its Services want it.
pub async fn serve(tools: Tools, key: daymark_kube::Key, task: &Serve, depth: Depth, now: Timestamp) -> Turn {
    let mut turn =
        Turn { object: task.object.clone(), report: None, failed: None, released: vec![], leftovers: vec![] };
    if let Err(error) = serve_on(&tools, key, task, depth, now, &mut turn).await {
        turn.failed = Some(error);
    }
    turn
}

async fn serve_on(
    tools: &Tools,
    key: daymark_kube::Key,
    task: &Serve,
    depth: Depth,
    now: Timestamp,
    turn: &mut Turn,
) -> Result<(), CloudError> {
    let Some(desired) = &task.desired else { return Ok(()) };
    let object = match &turn.object {
        Some(object) => tools.objects.bring_up_to_date(object, task).await.map_err(api_server)?,
        None => tools.objects.create(&key, task).await.map_err(api_server)?,
    };
    turn.object = Some(object.clone());
    let record = object.record.clone().map_err(unreadable)?;
    for member in task.accepted() {
        if !member.has_finalizer(finalizer::LOAD_BALANCER_CLEANUP) {
            tools.objects.hold(member).await.map_err(api_server)?;
        }
    }
    let class = match depth {
        Depth::Targets => StepClass::Targets,
        Depth::Full => StepClass::Change,
    };
    let cloud = connect(tools, &record.place, class).await?;
    let mut shelf = Shelf { objects: &tools.objects, object };
    let report =
        pass::run(&cloud, &mut shelf, Some(desired), record.inventory, depth, &task.policy, now).await;
    turn.object = Some(shelf.object);
    let carried_out = matches!(report.end, End::Converged | End::Waiting(_) | End::Held);
    turn.report = Some(report);
    // Whoever leaves a load balancer that only stands is not kept waiting until others are mended: what was made for it is
    // in the inventory, and goes then.
    if carried_out && (depth == Depth::Full || task.only_stands()) {
        for service in &task.leaving {
            tools.objects.release(service).await.map_err(api_server)?;
            turn.released.push(service.view.key.clone());
        }
    }
    if carried_out && depth == Depth::Full {
        take_over_finalizers(tools, task, turn).await?;
    }
    Ok(())
}

/// When what the AWS Load Balancer Controller made is ours, its finalizer goes: nobody else would take it away.
async fn take_over_finalizers(tools: &Tools, task: &Serve, turn: &mut Turn) -> Result<(), CloudError> {
    let lbc = |service: &&CloudService| service.has_finalizer(finalizer::LBC_RESOURCES);
    let taken_over = turn.report.as_ref().is_some_and(|report| {
        let mut balancers = report.inventory.of_kind(daymark_aws::naming::kind::LOAD_BALANCER);
        balancers.any(|balancer| balancer.id.is_some()) && report.plan.consent.is_none()
    });
    if !task.profile.aws.adopt_lbc || !taken_over {
        return Ok(());
    }
    for service in task.members.iter().filter(lbc) {
        tools.objects.take_over_finalizer(service).await.map_err(api_server)?;
        turn.leftovers = super::lbc::leftovers(tools.objects.client()).await;
    }
    Ok(())
}

/// The turn of a load balancer that is to go.
pub async fn remove(tools: Tools, task: &Remove, now: Timestamp) -> Turn {
    let mut turn =
        Turn { object: task.object.clone(), report: None, failed: None, released: vec![], leftovers: vec![] };
    if let Err(error) = remove_on(&tools, task, now, &mut turn).await {
        turn.failed = Some(error);
    }
    turn
}

async fn remove_on(tools: &Tools, task: &Remove, now: Timestamp, turn: &mut Turn) -> Result<(), CloudError> {
    if let Some(object) = task.object.clone() {
        let record = object.record.clone().map_err(unreadable)?;
        if !record.inventory.is_empty() {
            let cloud = connect(tools, &record.place, StepClass::Delete).await?;
            let mut shelf = Shelf { objects: &tools.objects, object };
            let report =
                pass::run(&cloud, &mut shelf, None, record.inventory, Depth::Full, &task.policy, now).await;
            let gone = report.end == End::Gone;
            turn.object = Some(shelf.object);
            turn.report = Some(report);
            if !gone {
                return Ok(());
            }
        }
    }
    for service in &task.leaving {
        tools.objects.release(service).await.map_err(api_server)?;
        turn.released.push(service.view.key.clone());
    }
    if let Some(object) = turn.object.take()
        && let Err(error) = tools.objects.delete(&object).await
    {
        turn.object = Some(object);
        return Err(api_server(error));
    }
    Ok(())
}

async fn connect(tools: &Tools, place: &CloudPlace, class: StepClass) -> Result<Cloud, CloudError> {
    let connection = tools.connections.to(place).await.map_err(|error| not_connected(&error))?;
    Ok(connection.cloud(class))
}

/// That there is no connection, as an error of the turn.
pub fn not_connected(error: &ConnectError) -> CloudError {
    CloudError::user("NoConnection", error.to_string())
}

fn unreadable(problems: Vec<daymark_config::Problem>) -> CloudError {
    let said: Vec<String> = problems.iter().map(ToString::to_string).collect();
    CloudError::new(ErrorClass::Blocked, "InventoryUnreadable", said.join("; "))
        .remedy("restore the CloudLoadBalancer's spec.inventory; nothing is done meanwhile, lest something be forgotten")
}

/// What the API server refused, as an error of the turn.
fn api_server(error: WriteError) -> CloudError {
    let class = match error.code() {
        Some(403) => ErrorClass::Permission,
        _ => ErrorClass::Transient,
    };
    let error = CloudError::new(class, "ApiServerRefused", error.to_string());
    match class {
        ErrorClass::Permission => error.remedy("fix the ClusterRole daymark-controller"),
        ErrorClass::Throttled
        | ErrorClass::Transient
        | ErrorClass::Quota
        | ErrorClass::User
        | ErrorClass::Blocked => error,
    }
}
