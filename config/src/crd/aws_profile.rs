//! What a LoadBalancerProfile says about Network Load Balancers in AWS.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::schema;

/// Network Load Balancers in AWS: where, as whom and with which defaults.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AwsSettings {
    /// The name under which this cluster tags what it makes. Unique among the clusters of the account and region: two of
    /// one name take each other's load balancers for their own.
    #[schemars(schema_with = "schema::cloud_cluster_name")]
    pub cluster_name: String,

    /// The VPC that the targets are in: `vpc-…`.
    #[schemars(schema_with = "schema::vpc_id")]
    pub vpc_id: String,

    /// The region, such as `eu-central-1`. Absent: the controller's own (`AWS_REGION`, or that of its instance).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::aws_region")]
    pub region: Option<String>,

    /// The IAM role to assume for all calls. Absent: the controller's own identity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::role_arn")]
    pub role_arn: Option<String>,

    /// Reach AWS at this URL instead of the region's own endpoints: a private endpoint, or a test server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::endpoint_url")]
    pub endpoint: Option<String>,

    /// What is done with a plan: `Apply` (carried out), `Observe` (shown; only targets of what exists are kept up to
    /// date) or `Plan` (shown, nothing is changed).
    #[serde(default)]
    pub mode: CloudModeSetting,

    /// What is done with a change that replaces or interrupts something: `OnConsent` (it waits until the Service carries
    /// the consent to that very plan) or `CreateBeforeDestroy` (a load balancer is replaced at once, the new one first;
    /// other interruptions wait for consent).
    #[serde(default)]
    pub replacement: ReplacementMode,

    /// How long an old load balancer stays beside its replacement: up to `24h`.
    #[serde(default = "default_grace")]
    #[schemars(schema_with = "schema::replacement_grace")]
    pub replacement_grace: String,

    /// What is done about changes that others made to what Daymark manages: `Repair` (undone) or `Report`.
    #[serde(default)]
    pub drift: DriftMode,

    /// What is done about resources tagged with this cluster that no Service accounts for: `Report` or `Delete`.
    #[serde(default)]
    pub orphans: OrphansMode,

    /// What becomes of the load balancer of a deleted Service: `Delete`, or `Retain` (it stays, without our tags).
    #[serde(default)]
    pub deletion_policy: DeletionMode,

    /// How the subnets of a load balancer follow those that are found: `Sticky` (those of its creation stay), `AddOnly`
    /// (new zones are added) or `Exact` (zones are taken away too, which interrupts their connections).
    #[serde(default)]
    pub subnet_policy: SubnetPolicyMode,

    /// When the address is published: `Created` (as soon as there is one), `Active` (when AWS says so) or `Healthy` (when
    /// every port has a healthy target).
    #[serde(default)]
    pub publish: PublishMode,

    /// How the addresses are published: `Hostname`, or `StaticAddresses` (Elastic IPs and private addresses that the
    /// Service names, with `ipMode: Proxy`; the host name where it has none).
    #[serde(default)]
    pub address_form: AddressFormMode,

    /// Take over what the AWS Load Balancer Controller made for Services of this class, which must be
    /// `service.k8s.aws/nlb`. Stop that controller first.
    #[serde(default, rename = "adoptLBC")]
    pub adopt_lbc: bool,

    /// The name of that controller's cluster (its `--cluster-name`). Absent: `clusterName`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::cloud_cluster_name")]
    pub lbc_cluster_name: Option<String>,

    /// The security groups of the nodes that may be opened for load balancers: `sg-…`. Absent: those tagged
    /// `kubernetes.io/cluster/<clusterName>`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::security_groups")]
    pub node_security_groups: Vec<String>,

    /// Defaults of the Services' annotations, by what follows `service.beta.kubernetes.io/aws-load-balancer-`:
    /// `scheme: internal`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "schema::annotation_defaults")]
    pub defaults: BTreeMap<String, String>,

    /// Tags on everything that is made, over those that Services ask for.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "schema::cloud_tags")]
    pub tags: BTreeMap<String, String>,
}

impl Default for AwsSettings {
    fn default() -> Self {
        Self {
            cluster_name: String::new(),
            vpc_id: String::new(),
            region: None,
            role_arn: None,
            endpoint: None,
            mode: CloudModeSetting::default(),
            replacement: ReplacementMode::default(),
            replacement_grace: default_grace(),
            drift: DriftMode::default(),
            orphans: OrphansMode::default(),
            deletion_policy: DeletionMode::default(),
            subnet_policy: SubnetPolicyMode::default(),
            publish: PublishMode::default(),
            address_form: AddressFormMode::default(),
            adopt_lbc: false,
            lbc_cluster_name: None,
            node_security_groups: Vec::new(),
            defaults: BTreeMap::new(),
            tags: BTreeMap::new(),
        }
    }
}

fn default_grace() -> String {
    "10m".to_owned()
}

/// What is done with a plan.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum CloudModeSetting {
    /// It is carried out.
    #[default]
    Apply,
    /// It is shown; only targets of what exists are kept up to date.
    Observe,
    /// It is shown; nothing is changed.
    Plan,
}

/// What is done with a change that replaces or interrupts something.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ReplacementMode {
    /// It waits for consent.
    #[default]
    OnConsent,
    /// A load balancer is replaced at once, the new one first.
    CreateBeforeDestroy,
}

/// What is done about changes that others made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum DriftMode {
    /// They are undone.
    #[default]
    Repair,
    /// They are reported.
    Report,
}

/// What is done about resources that no Service accounts for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum OrphansMode {
    /// They are reported.
    #[default]
    Report,
    /// They are deleted.
    Delete,
}

/// What becomes of the load balancer of a deleted Service.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum DeletionMode {
    /// It is deleted.
    #[default]
    Delete,
    /// It stays, without our tags.
    Retain,
}

/// How the subnets of a load balancer follow those that are found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum SubnetPolicyMode {
    /// Those of its creation stay.
    #[default]
    Sticky,
    /// New zones are added, none is taken away.
    AddOnly,
    /// They are exactly those that are found.
    Exact,
}

/// When the address of a load balancer is published.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum PublishMode {
    /// As soon as there is one.
    #[default]
    Created,
    /// When the cloud says that it is active.
    Active,
    /// When every port has a healthy target.
    Healthy,
}

/// How the addresses of a load balancer are published.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum AddressFormMode {
    /// As its host name.
    #[default]
    Hostname,
    /// As its static addresses, where it has some.
    StaticAddresses,
}
