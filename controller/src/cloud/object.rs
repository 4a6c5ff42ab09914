//! CloudLoadBalancers, and what is written to Services beside their statuses.

use std::sync::Arc;

use daymark_aws::naming::{BACKEND_ROLE, kind};
use daymark_config::crd::CloudLoadBalancer;
use daymark_config::names::condition::PROVISIONED;
use daymark_config::names::finalizer;
use daymark_config::{Problem, native};
use daymark_kube::lease::Tenure;
use daymark_kube::slim::Meta;
use daymark_kube::views::cloud::CloudService;
use daymark_kube::views::cloud::subject;
use daymark_kube::{CallError, Key, Unreadable, within};
use daymark_model::{CloudMember, CloudProvider, CloudRecord, Inventory, ResourceKey, ServiceKey};
use daymark_pool::ResourceVersion;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams, Preconditions};
use kube::core::Request;
use kube::{Api, Client};
use serde_json::{Value, json};

use super::index::Serve;
use crate::NAME;
use crate::writer::DEADLINE;

/// A CloudLoadBalancer as it was read.
#[derive(Debug, Clone)]
pub struct CloudObject {
    /// Its namespace and name.
    pub key: Key,
    /// What it records, or what is wrong with it.
    pub record: Result<CloudRecord, Vec<Problem>>,
    /// The profile that it was made by.
    pub profile: String,
    /// What tells it from a later one of its name.
    pub identity: String,
    /// Whether somebody deletes it.
    pub deleting: bool,
    version: ResourceVersion,
    raw: Option<Arc<CloudLoadBalancer>>,
}

impl CloudObject {
    /// One that fits its type.
    pub fn read(object: CloudLoadBalancer) -> Self {
        let meta = &object.metadata;
        Self {
            key: Key {
                namespace: meta.namespace.clone().unwrap_or_default(),
                name: meta.name.clone().unwrap_or_default(),
            },
            record: native::cloud::record(&object),
            profile: object.spec.profile.clone(),
            identity: object.spec.service_uid.clone().unwrap_or_default(),
            deleting: meta.deletion_timestamp.is_some(),
            version: ResourceVersion::from(meta.resource_version.as_deref().unwrap_or_default()),
            raw: Some(Arc::new(object)),
        }
    }

    /// One that does not: what it accounts for is not known, and nothing is done about it.
    pub fn unreadable(object: &Unreadable) -> Self {
        let text = |path| object.value.pointer(path).and_then(Value::as_str).unwrap_or_default().to_owned();
        Self {
            key: object.key.clone(),
            record: Err(vec![Problem::unreadable(&object.error)]),
            profile: text("/spec/profile"),
            identity: text("/spec/serviceUID"),
            deleting: false,
            version: ResourceVersion::from(object.metadata.resource_version.as_deref().unwrap_or_default()),
            raw: None,
        }
    }

    /// Whether it was made for the Service with this UID, or for a group that has it.
    pub fn is_for(&self, uid: &str) -> bool {
        let member = |record: &CloudRecord| record.members.iter().any(|member| member.uid.as_str() == uid);
        self.identity == uid || self.record.as_ref().is_ok_and(member)
    }

    /// Whether `other` is an earlier state of it.
    pub fn is_newer_than(&self, other: &Self) -> bool {
        other.version.is_older_than(&self.version)
    }

    /// Whether nobody but us could have meant anything by the change to `other`.
    pub fn is_same_wish(&self, other: &Self) -> bool {
        self.record == other.record && self.deleting == other.deleting
    }

    /// Takes in that its status was written: the next write goes over the version that came of it.
    pub fn written(&mut self, meta: &Meta) {
        let version = ResourceVersion::from(meta.resource_version.as_deref().unwrap_or_default());
        if version.is_older_than(&self.version) || self.uid() != meta.uid.as_deref() {
            return;
        }
        self.version = version;
        if let Some(raw) = &mut self.raw {
            Arc::make_mut(raw).metadata.resource_version.clone_from(&meta.resource_version);
        }
    }

    /// The object as the API server has it; `None` when it cannot be read.
    pub fn raw(&self) -> Option<&CloudLoadBalancer> {
        self.raw.as_deref()
    }

    /// The group that nodes let in, of an object that keeps a way to the nodes.
    pub fn way_group(&self) -> Option<&str> {
        let key = ResourceKey::new(kind::SECURITY_GROUP, BACKEND_ROLE, 1);
        self.record.as_ref().ok()?.inventory.id(&key)
    }

    /// The UID of the object.
    pub fn uid(&self) -> Option<&str> {
        self.raw()?.metadata.uid.as_deref()
    }
}

/// Why something was not written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The API server's refusal.
    #[error(transparent)]
    Call(#[from] CallError),
    /// There is no time for an answer before another replica may lead.
    #[error("leadership may end before an answer")]
    StandingBy,
    /// The object cannot be read.
    #[error("the CloudLoadBalancer {0} cannot be read")]
    Unreadable(Key),
}

impl WriteError {
    /// The HTTP code of the server's refusal.
    pub fn code(&self) -> Option<u16> {
        match self {
            Self::Call(error) => error.code(),
            Self::StandingBy | Self::Unreadable(_) => None,
        }
    }
}

/// Writes to the API server; cheap to clone.
#[derive(Clone)]
pub struct Objects {
    client: Client,
    tenure: Tenure,
}

impl Objects {
    /// Writes with `client` while `tenure` lasts.
    pub fn new(client: Client, tenure: Tenure) -> Self {
        Self { client, tenure }
    }

    /// The client.
    pub fn client(&self) -> &Client {
        &self.client
    }

    fn may_write(&self) -> Result<(), WriteError> {
        if self.tenure.allows(DEADLINE) { Ok(()) } else { Err(WriteError::StandingBy) }
    }

    fn api(&self, key: &Key) -> Api<CloudLoadBalancer> {
        Api::namespaced(self.client.clone(), &key.namespace)
    }

    /// Makes the object of a load balancer, with nothing in its inventory.
    ///
    /// # Errors
    /// The API server's refusal.
    pub async fn create(&self, key: &Key, task: &Serve) -> Result<CloudObject, WriteError> {
        self.may_write()?;
        let record = CloudRecord {
            provider: CloudProvider::Aws,
            profile: task.profile.name.clone(),
            service_uid: Some(task.uid.as_str().into()),
            group: subject::group_of(&key.name).map(str::to_owned),
            members: members(task),
            place: task.profile.aws.place(),
            deletion: task.deletion().unwrap_or_default(),
            inventory: Inventory::default(),
        };
        let mut object = native::cloud::cloud_object(&key.namespace, &key.name, &record);
        object.metadata.finalizers = Some(vec![finalizer::INVENTORY.to_owned()]);
        let made = within(DEADLINE, self.api(key).create(&params(), &object)).await?;
        Ok(CloudObject::read(made))
    }

    /// Makes the object say for whom it is now.
    ///
    /// # Errors
    /// The API server's refusal.
    pub async fn bring_up_to_date(
        &self,
        object: &CloudObject,
        task: &Serve,
    ) -> Result<CloudObject, WriteError> {
        let Ok(record) = &object.record else { return Err(WriteError::Unreadable(object.key.clone())) };
        let mut wanted = record.clone();
        wanted.profile = task.profile.name.clone();
        wanted.deletion = task.deletion().unwrap_or(record.deletion);
        // Whoever leaves stays in it until it is let go.
        let leaving = record
            .members
            .iter()
            .filter(|member| task.leaving.iter().any(|service| service.view.uid == member.uid));
        let mut all: Vec<CloudMember> = members(task);
        all.extend(
            leaving.filter(|m| !all.iter().any(|other| other.name == m.name)).cloned().collect::<Vec<_>>(),
        );
        wanted.members = all;
        if wanted == *record {
            return Ok(object.clone());
        }
        self.replace(object, &wanted).await
    }

    /// Saves an inventory, over the version that was read.
    ///
    /// # Errors
    /// 409 when the object was changed meanwhile: the watch tells how it is now.
    pub async fn replace_inventory(
        &self,
        object: &CloudObject,
        inventory: &Inventory,
    ) -> Result<CloudObject, WriteError> {
        let Ok(record) = &object.record else { return Err(WriteError::Unreadable(object.key.clone())) };
        let wanted = CloudRecord { inventory: inventory.clone(), ..record.clone() };
        self.replace(object, &wanted).await
    }

    async fn replace(&self, object: &CloudObject, record: &CloudRecord) -> Result<CloudObject, WriteError> {
        self.may_write()?;
        let Some(raw) = object.raw() else { return Err(WriteError::Unreadable(object.key.clone())) };
        let mut wanted = raw.clone();
        wanted.spec = native::cloud::cloud_spec(record);
        let (api, params) = (self.api(&object.key), params());
        let made = within(DEADLINE, api.replace(&object.key.name, &params, &wanted)).await?;
        Ok(CloudObject::read(made))
    }

    /// Deletes an object whose inventory is empty.
    ///
    /// # Errors
    /// The API server's refusal; that it is gone already is none.
    pub async fn delete(&self, object: &CloudObject) -> Result<(), WriteError> {
        self.may_write()?;
        let Some(raw) = object.raw() else { return Err(WriteError::Unreadable(object.key.clone())) };
        let api = self.api(&object.key);
        let mut free = raw.clone();
        free.metadata.finalizers.get_or_insert_default().retain(|name| name != finalizer::INVENTORY);
        let params = params();
        let replaced = within(DEADLINE, api.replace(&object.key.name, &params, &free)).await;
        gone_is_well(replaced.map(drop))?;
        let only = DeleteParams::default()
            .preconditions(Preconditions { uid: object.uid().map(str::to_owned), resource_version: None });
        gone_is_well(within(DEADLINE, api.delete(&object.key.name, &only)).await.map(drop))?;
        Ok(())
    }

    /// Keeps a Service from vanishing while something exists for it in the cloud.
    ///
    /// # Errors
    /// The API server's refusal.
    pub async fn hold(&self, service: &CloudService) -> Result<(), WriteError> {
        self.patch_service(
            &service.view.key,
            finalizers(service, Some(finalizer::LOAD_BALANCER_CLEANUP), None),
        )
        .await
    }

    /// Puts our finalizer in the place of the AWS Load Balancer Controller's.
    ///
    /// # Errors
    /// The API server's refusal.
    pub async fn take_over_finalizer(&self, service: &CloudService) -> Result<(), WriteError> {
        let body =
            finalizers(service, Some(finalizer::LOAD_BALANCER_CLEANUP), Some(finalizer::LBC_RESOURCES));
        self.patch_service(&service.view.key, body).await
    }

    /// Lets a Service go: its addresses and our conditions leave its status, our finalizer its metadata.
    ///
    /// # Errors
    /// The API server's refusal; that the Service is gone is none.
    pub async fn release(&self, service: &CloudService) -> Result<(), WriteError> {
        let mut body = finalizers(service, None, Some(finalizer::LOAD_BALANCER_CLEANUP));
        body["status"] = json!({
            "loadBalancer": {"ingress": null},
            "conditions": [{"type": PROVISIONED, "$patch": "delete"}],
        });
        match self.patch_service(&service.view.key, body).await {
            Err(error) if error.code() == Some(404) => Ok(()),
            // Another Service has its name now.
            Err(error) if matches!(error.code(), Some(409 | 422)) => Ok(()),
            other => other,
        }
    }

    /// Patches a Service by its status: the right that a controller has, which covers metadata too.
    ///
    /// # Errors
    /// The API server's refusal.
    pub async fn patch_service(&self, key: &ServiceKey, body: Value) -> Result<(), WriteError> {
        self.may_write()?;
        let path = format!("/api/v1/namespaces/{}/services", key.namespace);
        let request = Request::new(path)
            .patch_subresource("status", key.name.as_str(), &patch_params(), &Patch::Strategic(body))
            .map_err(|error| CallError::Kube(kube::Error::BuildRequest(error)))?;
        within(DEADLINE, self.client.request::<Value>(request)).await?;
        Ok(())
    }
}

fn members(task: &Serve) -> Vec<CloudMember> {
    let member = |s: &CloudService| CloudMember { name: s.view.key.name.clone(), uid: s.view.uid.clone() };
    task.members.iter().map(member).collect()
}

/// A strategic-merge patch that adds and removes finalizers of exactly this Service; others stay.
fn finalizers(service: &CloudService, add: Option<&str>, remove: Option<&str>) -> Value {
    let mut metadata = json!({"uid": service.view.uid});
    if let Some(add) = add {
        metadata["finalizers"] = json!([add]);
    }
    if let Some(remove) = remove {
        metadata["$deleteFromPrimitiveList/finalizers"] = json!([remove]);
    }
    json!({"metadata": metadata})
}

fn gone_is_well(result: Result<(), CallError>) -> Result<(), CallError> {
    match result {
        Err(error) if error.code() == Some(404) => Ok(()),
        other => other,
    }
}

fn params() -> PostParams {
    PostParams { field_manager: Some(NAME.to_owned()), ..PostParams::default() }
}

fn patch_params() -> PatchParams {
    PatchParams { field_manager: Some(NAME.to_owned()), ..PatchParams::default() }
}
