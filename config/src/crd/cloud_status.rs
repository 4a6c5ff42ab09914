//! What is told of a load balancer in a cloud.

use std::collections::BTreeMap;
use std::mem;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::schema;
use super::status::{lenient, lenient_list};
use crate::conditions::shortened;

/// How a load balancer in a cloud is.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CloudLoadBalancerStatus {
    /// The generation of the spec that this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "lenient")]
    #[schemars(schema_with = "schema::generation")]
    pub observed_generation: Option<i64>,

    /// `daymark.dev/Provisioned`: it is as the Services ask. `PlanPending`: changes wait for consent.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "lenient_list")]
    #[schemars(schema_with = "schema::conditions")]
    pub conditions: Vec<Condition>,

    /// The host names under which clients reach it; two while one load balancer takes the place of another.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "lenient_list")]
    #[schemars(length(max = CloudLoadBalancerStatus::MAX_HOSTNAMES), inner(length(min = 1, max = 253)), extend("x-kubernetes-list-type" = "atomic"))]
    pub hostnames: Vec<String>,

    /// The addresses under which clients reach it, where they are static.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "lenient_list")]
    #[schemars(length(max = CloudLoadBalancerStatus::MAX_ADDRESSES), inner(length(min = 2, max = 45)), extend("x-kubernetes-list-type" = "atomic"))]
    pub addresses: Vec<String>,

    /// What the cloud says of it, by name: the ARN, the hosted zone.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "lenient")]
    #[schemars(schema_with = "schema::cloud_facts")]
    pub load_balancer: BTreeMap<String, String>,

    /// What has to be done.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "lenient")]
    pub plan: Option<CloudPlan>,

    /// The targets that pass the health check, of all, over all ports: `5/6`.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "lenient")]
    #[schemars(length(max = 32))]
    pub healthy: Option<String>,

    /// The health of each port.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "lenient_list")]
    #[schemars(
        length(max = CloudLoadBalancerStatus::MAX_PORTS),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["service", "protocol", "port"])
    )]
    pub ports: Vec<CloudPort>,

    /// What is not as it should be and is left so.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "lenient_list")]
    #[schemars(length(max = CloudLoadBalancerStatus::MAX_REMARKS), extend("x-kubernetes-list-type" = "atomic"))]
    pub remarks: Vec<CloudRemark>,

    /// What last failed; gone once it succeeds.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "lenient")]
    pub last_error: Option<CloudFailure>,

    /// When the cloud was last looked at.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "lenient")]
    #[schemars(schema_with = "schema::time")]
    pub last_sync: Option<Time>,
}

impl CloudLoadBalancerStatus {
    /// How many ports the server accepts in a status.
    pub const MAX_PORTS: usize = 200;

    /// How many host names the server accepts in a status.
    pub const MAX_HOSTNAMES: usize = 4;

    /// How many addresses the server accepts in a status.
    pub const MAX_ADDRESSES: usize = 32;

    /// How many remarks the server accepts in a status.
    pub const MAX_REMARKS: usize = 64;

    /// The length in bytes of the longest sentence that the server accepts surely.
    pub const MAX_MESSAGE: usize = 1024;

    /// What `healthy` says of `ports`; nothing where there is none.
    pub fn healthy_of(ports: &[CloudPort]) -> Option<String> {
        let sum = |count: fn(&CloudPort) -> i64| ports.iter().map(count).fold(0, i64::saturating_add);
        (!ports.is_empty()).then(|| format!("{}/{}", sum(|port| port.healthy), sum(|port| port.total)))
    }

    /// As much of it as the server accepts: lists and sentences that are too long end early.
    #[must_use]
    pub fn bounded(mut self) -> Self {
        self.hostnames.truncate(Self::MAX_HOSTNAMES);
        self.addresses.truncate(Self::MAX_ADDRESSES);
        self.load_balancer = mem::take(&mut self.load_balancer)
            .into_iter()
            .take(schema::MAX_FACTS)
            .map(|(name, fact)| (name, cut(fact, schema::MAX_FACT)))
            .collect();
        self.ports.truncate(Self::MAX_PORTS);
        self.remarks.truncate(Self::MAX_REMARKS);
        for remark in &mut self.remarks {
            shorten(&mut remark.message);
        }
        if let Some(plan) = &mut self.plan {
            plan.bound();
        }
        if let Some(failure) = &mut self.last_error {
            shorten(&mut failure.message);
            failure.remedy.as_mut().map(shorten);
            failure.action = failure.action.take().map(|text| cut(text, CloudFailure::MAX_CODE));
            failure.code = failure.code.take().map(|text| cut(text, CloudFailure::MAX_CODE));
        }
        self
    }
}

/// As much of `text` as fits into `max` bytes.
fn cut(mut text: String, max: usize) -> String {
    text.truncate(shortened(&text, max).len());
    text
}

fn shorten(text: &mut String) {
    *text = cut(mem::take(text), CloudLoadBalancerStatus::MAX_MESSAGE);
}

/// What has to be done.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CloudPlan {
    /// What the annotation `daymark.dev/allow-replacement` must say to consent to the changes that wait for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub consent: Option<String>,

    /// The changes that wait for consent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = CloudPlan::MAX_DISRUPTIVE),
        inner(length(max = CloudLoadBalancerStatus::MAX_MESSAGE)),
        extend("x-kubernetes-list-type" = "atomic")
    )]
    pub disruptive: Vec<String>,

    /// The steps, in order; the first of them where there are many.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = CloudPlan::MAX_STEPS), extend("x-kubernetes-list-type" = "atomic"))]
    pub steps: Vec<CloudStep>,

    /// How many more steps there are.
    #[serde(default, skip_serializing_if = "is_zero")]
    #[schemars(range(min = 0))]
    pub more: i64,
}

impl CloudPlan {
    /// How many changes that wait for consent the server accepts.
    pub const MAX_DISRUPTIVE: usize = 64;

    /// How many steps the server accepts.
    pub const MAX_STEPS: usize = 64;

    fn bound(&mut self) {
        let left_out = self.steps.len().saturating_sub(Self::MAX_STEPS);
        self.more = self.more.saturating_add(i64::try_from(left_out).unwrap_or(i64::MAX));
        self.steps.truncate(Self::MAX_STEPS);
        for step in &mut self.steps {
            shorten(&mut step.what);
            shorten(&mut step.why);
        }
        self.disruptive.truncate(Self::MAX_DISRUPTIVE);
        self.disruptive.iter_mut().for_each(shorten);
    }
}

fn is_zero(number: &i64) -> bool {
    *number == 0
}

/// One step of a plan.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CloudStep {
    /// What is done.
    #[schemars(length(max = CloudLoadBalancerStatus::MAX_MESSAGE))]
    pub what: String,

    /// Why.
    #[schemars(length(max = CloudLoadBalancerStatus::MAX_MESSAGE))]
    pub why: String,

    /// Whether it waits for consent.
    #[serde(default)]
    pub held: bool,
}

/// The health of one port.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CloudPort {
    /// The Service whose port it is.
    #[schemars(length(min = 1, max = 63))]
    pub service: String,

    /// The port.
    #[schemars(range(min = 1, max = 65535))]
    pub port: i64,

    /// Its protocol.
    #[schemars(length(min = 1, max = 16))]
    pub protocol: String,

    /// Targets that pass the health check.
    #[schemars(range(min = 0))]
    pub healthy: i64,

    /// Targets that are registered and not draining.
    #[schemars(range(min = 0))]
    pub total: i64,

    /// Targets that finish their connections.
    #[schemars(range(min = 0))]
    pub draining: i64,
}

/// Something that is not as it should be and is left so.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CloudRemark {
    /// What, in one CamelCase word.
    #[schemars(length(min = 1, max = 128))]
    pub reason: String,

    /// What, in a sentence.
    #[schemars(length(max = CloudLoadBalancerStatus::MAX_MESSAGE))]
    pub message: String,
}

/// What failed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CloudFailure {
    /// What helps: `Throttled`, `TransientError`, `QuotaExceeded`, `PermissionDenied`, `InvalidConfiguration` or
    /// `Blocked`.
    #[schemars(length(min = 1, max = 64))]
    pub class: String,

    /// What, in one CamelCase word.
    #[schemars(length(min = 1, max = 128))]
    pub reason: String,

    /// The API action, as an IAM policy names it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = CloudFailure::MAX_CODE))]
    pub action: Option<String>,

    /// The cloud's own code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = CloudFailure::MAX_CODE))]
    pub code: Option<String>,

    /// What was wrong, in a sentence.
    #[schemars(length(max = CloudLoadBalancerStatus::MAX_MESSAGE))]
    pub message: String,

    /// What to do about it, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = CloudLoadBalancerStatus::MAX_MESSAGE))]
    pub remedy: Option<String>,

    /// When it is tried again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::time")]
    pub retry_at: Option<Time>,
}

impl CloudFailure {
    /// The length in bytes of the longest action or code that the server accepts surely.
    pub const MAX_CODE: usize = 256;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_long_ends_early_and_the_steps_left_out_are_counted() {
        let long = "é".repeat(5000);
        let step = CloudStep { what: long.clone(), why: "short".into(), held: false };
        let status = CloudLoadBalancerStatus {
            hostnames: vec!["a".into(); 9],
            load_balancer: [("arn".to_owned(), long.clone())].into(),
            plan: Some(CloudPlan { steps: vec![step; 70], more: 1, ..CloudPlan::default() }),
            last_error: Some(CloudFailure {
                remedy: Some(long.clone()),
                code: Some(long),
                ..CloudFailure::default()
            }),
            ..CloudLoadBalancerStatus::default()
        }
        .bounded();
        assert_eq!(status.hostnames.len(), 4);
        assert_eq!(status.load_balancer["arn"].len(), 4096);
        let plan = status.plan.unwrap();
        assert_eq!((plan.steps.len(), plan.more), (64, 7));
        assert_eq!((plan.steps[0].what.len(), &*plan.steps[0].why), (1024, "short"));
        let failure = status.last_error.unwrap();
        assert_eq!(failure.remedy.unwrap().len(), 1024);
        assert_eq!(failure.code.unwrap().len(), 256);
    }

    #[test]
    fn health_is_the_sum_of_all_ports() {
        let port = |healthy, total| CloudPort { healthy, total, ..CloudPort::default() };
        assert_eq!(CloudLoadBalancerStatus::healthy_of(&[port(2, 3), port(3, 3)]).as_deref(), Some("5/6"));
        assert_eq!(CloudLoadBalancerStatus::healthy_of(&[]), None);
    }
}
