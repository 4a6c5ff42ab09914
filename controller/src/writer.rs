//! Executes writes against the API server.
//!
//! Every write carries the preconditions that make a late one harmless, has a deadline, and is not sent when leadership
//! might end before its answer.

use std::collections::BTreeMap;
use std::time::Duration;

use daymark_config::crd::AddressClaim;
use daymark_config::names::condition::{ADDRESS_ASSIGNED, PROVISIONED};
use daymark_config::native;
use daymark_kube::lease::Tenure;
use daymark_kube::{CallError, slim, views, within};
use daymark_model::{Claim, IpMode, ServiceKey, Uid};
use daymark_pool::{
    AddressCondition, ClaimView, ConditionPatch, ConditionStatus, Ingress, ResourceVersion, StatusPatch,
    WriteAction, WriteResult, Written,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube::api::{DeleteParams, Patch, PatchParams, PostParams, Preconditions};
use kube::core::{Request, Status};
use kube::{Api, Client};
use serde_json::{Value, json};

use crate::NAME;

/// How long a write may take.
pub const DEADLINE: Duration = Duration::from_secs(4);

/// Condition types of ours on a Service that go with its address.
const OURS: [&str; 3] = [ADDRESS_ASSIGNED, "daymark.dev/Announced", PROVISIONED];

/// What users wrote into an AddressClaim beside its spec: a PUT keeps it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ClaimExtras {
    labels: Option<BTreeMap<String, String>>,
    annotations: Option<BTreeMap<String, String>>,
    finalizers: Option<Vec<String>>,
    owner_references: Option<Vec<OwnerReference>>,
}

impl ClaimExtras {
    /// What is to be kept of `meta`.
    pub fn of(meta: &ObjectMeta) -> Self {
        Self {
            labels: meta.labels.clone(),
            annotations: meta.annotations.clone(),
            finalizers: meta.finalizers.clone(),
            owner_references: meta.owner_references.clone(),
        }
    }

    /// Whether there is nothing to keep.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Executes writes; cheap to clone.
#[derive(Clone)]
pub struct Writer {
    client: Client,
    claims: Api<AddressClaim>,
    tenure: Tenure,
}

impl Writer {
    /// A writer that acts while `tenure` lasts.
    pub fn new(client: Client, tenure: Tenure) -> Self {
        Self { claims: Api::all(client.clone()), client, tenure }
    }

    /// The client.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Whether there is time for a write before leadership might end.
    pub fn may_write(&self) -> bool {
        self.tenure.allows(DEADLINE)
    }

    /// Executes `action`; `extras` belong to the claim that it replaces.
    pub async fn execute(&self, action: WriteAction, extras: ClaimExtras) -> WriteResult {
        if !self.may_write() {
            return WriteResult::Failed {
                message: "leadership may end before an answer".into(),
                retry_after: None,
            };
        }
        let result = match action {
            WriteAction::CreateClaim(claim) => self.create(&claim).await,
            WriteAction::ReplaceClaim { claim, uid, resource_version } => {
                self.replace(&claim, &uid, &resource_version, extras).await
            }
            WriteAction::DeleteClaim { address, uid, resource_version } => {
                self.delete(&Claim::name_of(address), &uid, &resource_version).await
            }
            WriteAction::PatchServiceStatus { key, uid, resource_version, patch } => {
                self.patch(&key, status_body(&uid, &resource_version, &patch)).await
            }
        };
        result.unwrap_or_else(|error| refusal(&error))
    }

    async fn create(&self, claim: &Claim) -> Result<WriteResult, CallError> {
        let object = native::claim_object(claim);
        match within(DEADLINE, self.claims.create(&params(), &object)).await {
            Ok(made) => Ok(written(&made)),
            Err(error) if error.reason() == Some("AlreadyExists") => {
                let found = within(DEADLINE, self.claims.get_opt(&Claim::name_of(claim.address))).await;
                let found = found.ok().flatten().and_then(|object| views::claim::claim(&object).ok());
                Ok(WriteResult::AlreadyExists(found.map(Box::new)))
            }
            Err(error) => Err(error),
        }
    }

    async fn replace(
        &self,
        claim: &Claim,
        uid: &Uid,
        version: &ResourceVersion,
        extras: ClaimExtras,
    ) -> Result<WriteResult, CallError> {
        let mut object = native::claim_object(claim);
        let meta = &mut object.metadata;
        meta.uid = Some(uid.as_str().to_owned());
        meta.resource_version = Some(version.as_str().to_owned());
        meta.labels = extras.labels;
        meta.annotations = extras.annotations;
        meta.finalizers = extras.finalizers;
        meta.owner_references = extras.owner_references;
        let name = Claim::name_of(claim.address);
        Ok(written(&within(DEADLINE, self.claims.replace(&name, &params(), &object)).await?))
    }

    async fn delete(
        &self,
        name: &str,
        uid: &Uid,
        version: &ResourceVersion,
    ) -> Result<WriteResult, CallError> {
        let only = DeleteParams::default().preconditions(Preconditions {
            uid: Some(uid.as_str().to_owned()),
            resource_version: Some(version.as_str().to_owned()),
        });
        within(DEADLINE, self.claims.delete(name, &only)).await?;
        Ok(WriteResult::Done(Written::Deleted))
    }

    async fn patch(&self, key: &ServiceKey, body: Value) -> Result<WriteResult, CallError> {
        let params = PatchParams { field_manager: Some(NAME.to_owned()), ..PatchParams::default() };
        let path = format!("/api/v1/namespaces/{}/services", key.namespace);
        let request = Request::new(path)
            .patch_subresource("status", key.name.as_str(), &params, &Patch::Strategic(body))
            .map_err(|error| CallError::Kube(kube::Error::BuildRequest(error)))?;
        let service: slim::Service = within(DEADLINE, self.client.request(request)).await?;
        Ok(match views::pool::service(&service) {
            Some(view) => WriteResult::Done(Written::Service(Box::new(view))),
            None => WriteResult::Done(Written::Deleted),
        })
    }
}

fn params() -> PostParams {
    PostParams { field_manager: Some(NAME.to_owned()), ..PostParams::default() }
}

fn written(object: &AddressClaim) -> WriteResult {
    match views::claim::claim(object) {
        Ok(view) => done(view),
        Err(problems) => {
            let message = problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
            WriteResult::Failed { message, retry_after: None }
        }
    }
}

fn done(view: ClaimView) -> WriteResult {
    WriteResult::Done(Written::Claim(Box::new(view)))
}

/// The strategic-merge patch: the whole ingress list, and our condition by type with all its fields.
fn status_body(uid: &Uid, version: &ResourceVersion, patch: &StatusPatch) -> Value {
    let mut status = serde_json::Map::new();
    if let Some(ingress) = &patch.ingress {
        let list: Vec<Value> = ingress.iter().map(ingress_entry).collect();
        let list = if list.is_empty() { Value::Null } else { Value::Array(list) };
        status.insert("loadBalancer".into(), json!({ "ingress": list }));
    }
    let conditions = match &patch.condition {
        ConditionPatch::Set(condition) => vec![condition_body(condition)],
        ConditionPatch::Remove => {
            OURS.iter().map(|type_| json!({"type": type_, "$patch": "delete"})).collect()
        }
    };
    status.insert("conditions".into(), Value::Array(conditions));
    json!({"metadata": {"uid": uid, "resourceVersion": version.as_str()}, "status": status})
}

/// An entry of `status.loadBalancer.ingress`.
pub fn ingress_entry(ingress: &Ingress) -> Value {
    let mut entry = serde_json::Map::new();
    if let Some(ip) = ingress.ip {
        entry.insert("ip".into(), json!(ip));
    }
    if let Some(hostname) = &ingress.hostname {
        entry.insert("hostname".into(), json!(hostname));
    }
    match ingress.ip_mode {
        Some(IpMode::VIP) => entry.insert("ipMode".into(), json!("VIP")),
        Some(IpMode::Proxy) => entry.insert("ipMode".into(), json!("Proxy")),
        None => None,
    };
    if !ingress.ports.is_empty() {
        entry.insert("ports".into(), json!(ingress.ports));
    }
    Value::Object(entry)
}

fn condition_body(condition: &AddressCondition) -> Value {
    let time = condition.last_transition_time.unwrap_or_default();
    let time = jiff::Timestamp::from_millisecond(time.0).unwrap_or_default();
    json!({
        "type": ADDRESS_ASSIGNED,
        "status": match condition.status {
            ConditionStatus::True => "True",
            ConditionStatus::False => "False",
            ConditionStatus::Unknown => "Unknown",
        },
        "reason": condition.reason,
        "message": condition.message,
        "lastTransitionTime": k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(time),
    })
}

/// What the `Assigner` makes of a write that was not done.
fn refusal(error: &CallError) -> WriteResult {
    let CallError::Kube(kube::Error::Api(status)) = error else {
        return WriteResult::Failed { message: error.to_string(), retry_after: None };
    };
    match status.code {
        404 => WriteResult::NotFound,
        409 if status.message.contains("UID in ") => WriteResult::UidMismatch,
        409 => WriteResult::Conflict,
        422 if names_field(status, "metadata.uid") => WriteResult::UidMismatch,
        _ => {
            let seconds = status.details.as_ref().map_or(0, |details| details.retry_after_seconds);
            let retry_after = (seconds > 0).then(|| Duration::from_secs(seconds.into()));
            let remedy = if status.code == 403 { ": fix the ClusterRole daymark-controller" } else { "" };
            WriteResult::Failed { message: format!("{}{remedy}", status.message), retry_after }
        }
    }
}

fn names_field(status: &Status, field: &str) -> bool {
    status.details.iter().flat_map(|details| &details.causes).any(|cause| cause.field == field)
}

#[cfg(test)]
mod tests {
    use daymark_model::{PortProtocol, Protocol, Timestamp};

    use super::*;

    #[test]
    fn an_assignment_carries_both_preconditions_and_the_whole_condition() {
        let patch = StatusPatch {
            ingress: Some(vec![Ingress {
                ip: Some("192.0.2.1".parse().unwrap()),
                hostname: None,
                ip_mode: Some(IpMode::VIP),
                ports: vec![PortProtocol { protocol: Protocol::Tcp, port: 80 }],
            }]),
            condition: ConditionPatch::Set(AddressCondition {
                status: ConditionStatus::True,
                reason: "Assigned".into(),
                message: "m".into(),
                last_transition_time: Some(Timestamp(1_000)),
            }),
        };
        assert_eq!(
            status_body(&"u".into(), &"7".into(), &patch),
            json!({
                "metadata": {"uid": "u", "resourceVersion": "7"},
                "status": {
                    "loadBalancer": {"ingress": [
                        {"ip": "192.0.2.1", "ipMode": "VIP", "ports": [{"protocol": "TCP", "port": 80}]},
                    ]},
                    "conditions": [{
                        "type": "daymark.dev/AddressAssigned", "status": "True", "reason": "Assigned", "message": "m",
                        "lastTransitionTime": "1970-01-01T00:00:01Z",
                    }],
                },
            })
        );
    }

    #[test]
    fn a_release_clears_the_list_and_deletes_our_conditions_only() {
        let patch = StatusPatch { ingress: Some(vec![]), condition: ConditionPatch::Remove };
        let body = status_body(&"u".into(), &"7".into(), &patch);
        assert_eq!(body["status"]["loadBalancer"], json!({"ingress": null}));
        assert_eq!(
            body["status"]["conditions"][0],
            json!({"type": "daymark.dev/AddressAssigned", "$patch": "delete"})
        );
    }
}
