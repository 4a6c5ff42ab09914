//! LoadBalancerProfile: who serves a `loadBalancerClass`, with which defaults.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::aws_profile::AwsSettings;
use super::schema;
use super::status::{has_status, lenient, lenient_list};

/// A class, and what its Services get.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, CustomResource, KubeSchema)]
#[kube(
    group = "daymark.dev",
    version = "v1alpha1",
    kind = "LoadBalancerProfile",
    plural = "loadbalancerprofiles",
    shortname = "dmprof",
    category = "daymark",
    status = "LoadBalancerProfileStatus",
    derive = "PartialEq",
    doc = "What Services of a loadBalancerClass get. While there is no LoadBalancerProfile at all, Daymark serves the \
           class daymark.dev/pool and Services without a class, from every automatic pool.",
    printcolumn(name = "Class", type_ = "string", json_path = ".spec.loadBalancerClass"),
    printcolumn(name = "Default", type_ = "boolean", json_path = ".spec.default"),
    printcolumn(name = "Pools", type_ = "string", json_path = ".spec.pool.pools"),
    printcolumn(name = "AWS Cluster", type_ = "string", json_path = ".spec.aws.clusterName"),
    printcolumn(name = "Mode", type_ = "string", json_path = ".spec.aws.mode", priority = 1),
    printcolumn(name = "VPC", type_ = "string", json_path = ".spec.aws.vpcId", priority = 1),
    printcolumn(
        name = "Accepted",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Accepted\")].status"
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase", remote = "Self")]
#[x_kube(
    validation = Rule::new("has(self.pool) != has(self.aws)")
        .message("set exactly one of pool (addresses from pools) and aws (Network Load Balancers)"),
    validation = Rule::new(
        "!has(self.aws) || !has(self.aws.adoptLBC) || !self.aws.adoptLBC \
         || self.loadBalancerClass == 'service.k8s.aws/nlb'"
    ).message(
        "aws.adoptLBC takes over what the AWS Load Balancer Controller made: loadBalancerClass must be its class, \
         service.k8s.aws/nlb"
    )
)]
pub struct LoadBalancerProfileSpec {
    /// The `spec.loadBalancerClass` of the Services that the profile serves.
    #[schemars(schema_with = "schema::load_balancer_class")]
    pub load_balancer_class: String,

    /// Serve Services without a class too.
    #[serde(default)]
    pub default: bool,

    /// Give addresses from pools. Exactly one of `pool` and `aws` is set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pool: Option<PoolProfile>,

    /// Make Network Load Balancers in AWS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aws: Option<AwsSettings>,
}

super::pathed::pathed!(LoadBalancerProfileSpec);
has_status!(LoadBalancerProfile);

/// Addresses from pools.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PoolProfile {
    /// The pools that a Service which asks for none is given addresses from, in this order. Absent: every automatic
    /// pool that permits the Service.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::optional_object_names")]
    pub pools: Vec<String>,
}

/// Whether a LoadBalancerProfile is in use.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LoadBalancerProfileStatus {
    /// The generation of the spec that this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "lenient")]
    #[schemars(schema_with = "schema::generation")]
    pub observed_generation: Option<i64>,

    /// `Accepted`: the spec is sound and in use; of two that claim one class only the oldest is. `ResolvedRefs`: the
    /// pools that it names exist.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "lenient_list")]
    #[schemars(schema_with = "schema::conditions")]
    pub conditions: Vec<Condition>,
}
