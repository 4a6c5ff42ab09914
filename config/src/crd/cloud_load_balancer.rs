//! CloudLoadBalancer: the durable record of what was made in a cloud for one load balancer.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

use super::aws_profile::DeletionMode;
use super::cloud_status::CloudLoadBalancerStatus;
use super::schema;
use super::status::has_status;

/// What was made in a cloud for one load balancer, or may have been.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, CustomResource, KubeSchema)]
#[kube(
    group = "daymark.dev",
    version = "v1alpha1",
    kind = "CloudLoadBalancer",
    plural = "cloudloadbalancers",
    shortname = "dmclb",
    category = "daymark",
    namespaced,
    status = "CloudLoadBalancerStatus",
    derive = "PartialEq",
    doc = "The record of what Daymark made in a cloud for the Service of the same name, or for a group of Services. \
           Daymark makes it before the first call and deletes it when nothing is left in the cloud. Do not edit it: what \
           it forgets stays in the cloud and costs money.",
    printcolumn(name = "Profile", type_ = "string", json_path = ".spec.profile"),
    printcolumn(name = "Hostname", type_ = "string", json_path = ".status.hostnames[0]"),
    printcolumn(
        name = "Provisioned",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"daymark.dev/Provisioned\")].status"
    ),
    printcolumn(name = "Healthy", type_ = "string", json_path = ".status.healthy"),
    printcolumn(name = "Plan", type_ = "string", json_path = ".status.plan.consent"),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"daymark.dev/Provisioned\")].reason",
        priority = 1
    ),
    printcolumn(name = "Cluster", type_ = "string", json_path = ".spec.place.cluster", priority = 1),
    printcolumn(name = "Region", type_ = "string", json_path = ".spec.place.region", priority = 1),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase", remote = "Self")]
#[x_kube(
    validation = Rule::new(
        "self.place.cluster == oldSelf.place.cluster && self.place.vpc == oldSelf.place.vpc \
         && (has(self.place.region) ? self.place.region : '') \
         == (has(oldSelf.place.region) ? oldSelf.place.region : '')"
    ).message(
        "place.cluster, place.region and place.vpc say where the load balancer was made, and it is found nowhere else: \
         they cannot change"
    )
)]
pub struct CloudLoadBalancerSpec {
    /// The cloud: `aws`.
    pub provider: CloudProvider,

    /// The LoadBalancerProfile that it was made by. A memory: the profile may be gone.
    #[schemars(schema_with = "schema::object_name")]
    pub profile: String,

    /// The UID of the Service that it was made for; of a group, of its first. Absent without a `group`: it is what lets
    /// all load balancers of the profile reach the nodes.
    #[serde(default, rename = "serviceUID", skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    pub service_uid: Option<String>,

    /// The group of Services that it serves (`daymark.dev/group`). Absent: one Service, of its own name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub group: Option<String>,

    /// The Services that it serves.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = CloudLoadBalancerSpec::MAX_MEMBERS),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"])
    )]
    pub members: Vec<CloudMember>,

    /// Where it was made. It stays so when the profile changes: what was made is found, and deleted, nowhere else.
    pub place: CloudPlace,

    /// What becomes of the load balancer when it is no longer wanted: `Delete` or `Retain`.
    #[serde(default)]
    pub deletion_policy: DeletionMode,

    /// What exists in the cloud, or may.
    pub inventory: CloudInventory,
}

super::pathed::pathed!(CloudLoadBalancerSpec);
has_status!(CloudLoadBalancer);

impl CloudLoadBalancerSpec {
    /// How many Services the server accepts in a group.
    pub const MAX_MEMBERS: usize = 100;
}

/// A cloud.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum CloudProvider {
    /// Amazon Web Services.
    #[serde(rename = "aws")]
    Aws,
}

/// A Service that a load balancer serves.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CloudMember {
    /// The Service's name.
    #[schemars(length(min = 1, max = 63))]
    pub name: String,

    /// The Service's UID.
    #[schemars(length(min = 1, max = 64))]
    pub uid: String,
}

/// Where a load balancer was made.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CloudPlace {
    /// The cluster's name, as the tags have it.
    #[schemars(schema_with = "schema::cloud_cluster_name")]
    pub cluster: String,

    /// The region. Absent: the controller's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::aws_region")]
    pub region: Option<String>,

    /// The VPC.
    #[schemars(schema_with = "schema::vpc_id")]
    pub vpc: String,

    /// The IAM role that was assumed. Absent: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::role_arn")]
    pub role_arn: Option<String>,

    /// The URL that AWS was reached at. Absent: the region's own endpoints.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::endpoint_url")]
    pub endpoint: Option<String>,
}

/// All resources of one load balancer. `epoch` and `resources` must be there: an inventory without them was lost, it is
/// not empty.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CloudInventory {
    /// Counts up with each disruptive plan that was carried out.
    #[schemars(schema_with = "schema::unsigned")]
    pub epoch: i64,

    /// Disruptive changes that were consented to and are not finished.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = CloudInventory::MAX_RESOURCES),
        inner(length(min = 1, max = 512)),
        extend("x-kubernetes-list-type" = "atomic")
    )]
    pub granted: Vec<String>,

    /// The resources.
    #[schemars(
        length(max = CloudInventory::MAX_RESOURCES),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["kind", "role", "generation"])
    )]
    pub resources: Vec<CloudResource>,
}

impl CloudInventory {
    /// How many resources the server accepts.
    pub const MAX_RESOURCES: usize = 400;
}

/// A resource in a cloud.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CloudResource {
    /// Its kind, in the cloud's words: `LoadBalancer`, `TargetGroup`, `SecurityGroup`.
    #[schemars(length(min = 1, max = 64))]
    pub kind: String,

    /// What it is for.
    #[schemars(length(min = 1, max = 253))]
    pub role: String,

    /// Which of several that follow each other.
    #[schemars(schema_with = "schema::unsigned")]
    pub generation: i64,

    /// The name that it is given.
    #[schemars(length(max = 255))]
    pub name: String,

    /// The cloud's id, once known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 2048))]
    pub id: Option<String>,

    /// `Intended` (about to be made; it may exist), `Present` or `Leaving`.
    pub phase: ResourcePhase,

    /// Since when it is in this phase.
    #[schemars(schema_with = "schema::time")]
    pub since: MicroTime,

    /// `Owned` (goes with the load balancer) or `Borrowed` (somebody else's: given back as it was, never deleted).
    pub ownership: ResourceOwnership,

    /// What the cloud said of it that does not change, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "schema::cloud_facts")]
    pub facts: BTreeMap<String, String>,

    /// Settings that Daymark changed, with what they were before.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 512),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"])
    )]
    pub recorded: Vec<RecordedSetting>,
}

/// Where a resource stands in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ResourcePhase {
    /// It is about to be made; it may exist.
    Intended,
    /// It exists.
    Present,
    /// It is on its way out.
    Leaving,
}

/// Whose a resource is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ResourceOwnership {
    /// It goes with the load balancer.
    Owned,
    /// Somebody else's: never deleted.
    Borrowed,
}

/// A setting that Daymark changed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RecordedSetting {
    /// Its name.
    #[schemars(length(min = 1, max = 512))]
    pub name: String,

    /// What it was. Absent: it was not set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4096))]
    pub value: Option<String>,
}
