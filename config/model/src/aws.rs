//! What a LoadBalancerProfile says about Network Load Balancers in AWS.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::cloud::CloudPlace;

/// Where, as whom and with which defaults Services get NLBs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AwsProfile {
    /// The name under which this cluster tags what it makes; unique among the clusters of the account and region.
    pub cluster_name: String,
    /// The region; `None` = the controller's own (`AWS_REGION`, or the instance's).
    pub region: Option<String>,
    /// The VPC (`vpc-…`) that targets are in.
    pub vpc_id: String,
    /// An IAM role to assume for all calls.
    pub role_arn: Option<String>,
    /// Reach AWS at this URL instead of the region's own endpoints.
    pub endpoint: Option<String>,
    /// What is done with a plan.
    pub mode: CloudMode,
    /// What is done with a change that replaces something.
    pub replacement: Replacement,
    /// What is done about changes that others made.
    pub drift: Drift,
    /// What is done about resources of this cluster that no Service accounts for.
    pub orphans: Orphans,
    /// What becomes of the load balancer of a deleted Service.
    pub deletion: Deletion,
    /// How the subnets of a load balancer follow those that are found.
    pub subnet_policy: SubnetPolicy,
    /// When the address is published.
    pub publish: PublishWhen,
    /// How the addresses are published.
    pub address_form: AddressForm,
    /// Take over what the AWS Load Balancer Controller made for Services of this class.
    pub adopt_lbc: bool,
    /// The name of that controller's cluster (its `--cluster-name`), where it differs from `cluster_name`.
    pub lbc_cluster_name: Option<String>,
    /// The security groups of the nodes that may be opened for load balancers; empty = those tagged
    /// `kubernetes.io/cluster/<cluster_name>`.
    pub node_security_groups: Vec<String>,
    /// Defaults of annotations, by suffix (what follows `service.beta.kubernetes.io/aws-load-balancer-`).
    pub defaults: BTreeMap<String, String>,
    /// Tags on everything, over those of Services.
    pub tags: BTreeMap<String, String>,
    /// How long an old load balancer stays beside its replacement.
    pub replacement_grace: Duration,
}

impl AwsProfile {
    /// The class under which Daymark serves NLBs where a profile does not say otherwise.
    pub const CLASS: &'static str = "daymark.dev/aws-nlb";
    /// The class of the AWS Load Balancer Controller.
    pub const LBC_CLASS: &'static str = "service.k8s.aws/nlb";

    /// A profile with every default.
    pub fn new(cluster_name: &str, vpc_id: &str) -> Self {
        Self {
            cluster_name: cluster_name.to_owned(),
            region: None,
            vpc_id: vpc_id.to_owned(),
            role_arn: None,
            endpoint: None,
            mode: CloudMode::default(),
            replacement: Replacement::default(),
            drift: Drift::default(),
            orphans: Orphans::default(),
            deletion: Deletion::default(),
            subnet_policy: SubnetPolicy::default(),
            publish: PublishWhen::default(),
            address_form: AddressForm::default(),
            adopt_lbc: false,
            lbc_cluster_name: None,
            node_security_groups: Vec::new(),
            defaults: BTreeMap::new(),
            tags: BTreeMap::new(),
            replacement_grace: Duration::from_secs(600),
        }
    }

    /// Where load balancers of this profile are made.
    pub fn place(&self) -> CloudPlace {
        CloudPlace {
            cluster: self.cluster_name.clone(),
            region: self.region.clone(),
            vpc: self.vpc_id.clone(),
            role_arn: self.role_arn.clone(),
            endpoint: self.endpoint.clone(),
        }
    }
}

/// What is done with a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub enum CloudMode {
    /// It is carried out.
    #[default]
    Apply,
    /// It is shown; nothing is changed but targets, for what exists already.
    Observe,
    /// It is shown; nothing is changed.
    Plan,
}

/// What is done with a change that replaces or interrupts something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub enum Replacement {
    /// It waits until the Service carries the consent for that very plan.
    #[default]
    OnConsent,
    /// A load balancer is replaced at once, the new one first; other interruptions wait for consent.
    CreateBeforeDestroy,
}

/// What is done about changes that others made to what Daymark manages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub enum Drift {
    /// They are undone.
    #[default]
    Repair,
    /// They are reported.
    Report,
}

/// What is done about resources tagged with this cluster that no Service accounts for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub enum Orphans {
    /// They are reported.
    #[default]
    Report,
    /// They are deleted.
    Delete,
}

/// What becomes of the load balancer of a deleted Service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub enum Deletion {
    /// It is deleted.
    #[default]
    Delete,
    /// It stays, without our tags: somebody else takes care of it.
    Retain,
}

/// How the subnets of a load balancer follow those that are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub enum SubnetPolicy {
    /// Those of its creation stay, unless the Service names others.
    #[default]
    Sticky,
    /// New zones are added, none is taken away.
    AddOnly,
    /// They are exactly those that are found; taking one away interrupts its connections.
    Exact,
}

/// When the address of a load balancer is published in the Service's status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub enum PublishWhen {
    /// As soon as it has one.
    #[default]
    Created,
    /// When AWS says that it is active.
    Active,
    /// When every port has a healthy target.
    Healthy,
}

/// How the addresses of a load balancer are published.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub enum AddressForm {
    /// As its host name.
    #[default]
    Hostname,
    /// As its static addresses (Elastic IPs, or private addresses that the Service names) with `ipMode: Proxy`; as the
    /// host name where it has none.
    StaticAddresses,
}
