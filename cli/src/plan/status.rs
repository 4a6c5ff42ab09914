//! What the controller last wrote about load balancers in clouds.

use std::collections::BTreeMap;

use daymark_config::crd::{
    CloudFailure, CloudLoadBalancer, CloudMember, CloudPlace, CloudPlan, CloudPort, CloudRemark,
    CloudResource,
};
use daymark_config::names::condition::{PLAN_PENDING, PROVISIONED};
use daymark_kube::slim::{Condition, Meta, Service};
use serde::Serialize;
use serde_json::Value;

use daymark_kube::views::cloud::subject;

/// How a load balancer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum State {
    /// As its Services ask.
    Provisioned,
    /// It is being made, changed or deleted, and nothing is in the way.
    InProgress,
    /// There is a plan, and the mode forbids carrying it out.
    Shown,
    /// Changes wait for consent.
    ConsentNeeded,
    /// Something failed, or is refused.
    Failed,
    /// Its object cannot be read.
    Unreadable,
}

impl State {
    /// Whether somebody has to do something.
    pub fn is_problem(self) -> bool {
        match self {
            Self::Provisioned | Self::InProgress | Self::Shown => false,
            Self::ConsentNeeded | Self::Failed | Self::Unreadable => true,
        }
    }
}

/// All load balancers in clouds.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Overview {
    /// By namespace and name.
    pub load_balancers: Vec<Balancer>,
    /// Services that are refused, or whose word differs from their load balancer's.
    pub services: Vec<ServiceWord>,
}

impl Overview {
    /// Whether somebody has to do something.
    pub fn has_problems(&self) -> bool {
        self.load_balancers.iter().any(|balancer| balancer.state.is_problem())
            || self.services.iter().any(|service| service.state.is_problem())
    }
}

/// One load balancer.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Balancer {
    /// The CloudLoadBalancer's namespace.
    pub namespace: String,
    /// The CloudLoadBalancer's name.
    pub name: String,
    /// What it is for: a Service, a group, the way to the nodes.
    pub purpose: Purpose,
    /// The profile that it was made by.
    pub profile: String,
    /// Where it was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub place: Option<CloudPlace>,
    /// The Services that it serves, the oldest first.
    pub members: Vec<String>,
    /// How it is.
    pub state: State,
    /// The reason of the condition `daymark.dev/Provisioned`.
    pub reason: String,
    /// Its message.
    pub message: String,
    /// Host names.
    pub hostnames: Vec<String>,
    /// Static addresses.
    pub addresses: Vec<String>,
    /// What the cloud says of it: its ARN, its hosted zone.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub facts: BTreeMap<String, String>,
    /// Healthy targets of all: `5/6`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub healthy: Option<String>,
    /// What has to be done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plan: Option<CloudPlan>,
    /// The command that consents to it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub consent: Option<String>,
    /// What last failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_error: Option<CloudFailure>,
    /// What is left as it is although it should not be.
    pub remarks: Vec<CloudRemark>,
    /// The health of each port.
    pub ports: Vec<CloudPort>,
    /// What was made.
    pub inventory: Vec<CloudResource>,
    /// When the cloud was last looked at (RFC 3339).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_sync: Option<String>,
}

impl Balancer {
    /// How many steps the plan has, and how many of those that are shown wait for consent.
    pub fn steps(&self) -> Option<(i64, usize)> {
        let plan = self.plan.as_ref()?;
        let shown = i64::try_from(plan.steps.len()).unwrap_or(i64::MAX);
        Some((shown.saturating_add(plan.more), plan.steps.iter().filter(|step| step.held).count()))
    }
}

/// What a load balancer is for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Purpose {
    /// The Service of its name.
    Service,
    /// This group of Services.
    Group(String),
    /// What lets load balancers of this profile reach the nodes.
    NodeAccess(String),
}

/// What a Service says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ServiceWord {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// How its load balancer is.
    pub state: State,
    /// The reason of its condition `daymark.dev/Provisioned`.
    pub reason: String,
    /// The message.
    pub message: String,
}

/// Reads all.
pub fn overview(objects: &[Value], services: &[Service]) -> Overview {
    let mut load_balancers: Vec<Balancer> = objects.iter().map(balancer).collect();
    load_balancers.sort_by(|a, b| (&a.namespace, &a.name).cmp(&(&b.namespace, &b.name)));
    let told = |word: &ServiceWord| {
        load_balancers.iter().any(|balancer| {
            let serves = balancer.members.contains(&word.name) || balancer.name == word.name;
            balancer.namespace == word.namespace && serves && balancer.reason == word.reason
        })
    };
    let words = services.iter().filter_map(word);
    let services = words.filter(|word| word.state != State::Provisioned && !told(word)).collect();
    Overview { load_balancers, services }
}

/// Reads one CloudLoadBalancer.
pub fn balancer(object: &Value) -> Balancer {
    match serde_json::from_value::<CloudLoadBalancer>(object.clone()) {
        Ok(object) => readable(&object),
        Err(error) => unreadable(object, &error.to_string()),
    }
}

fn unreadable(object: &Value, error: &str) -> Balancer {
    let text = |path| object.pointer(path).and_then(Value::as_str).unwrap_or_default().to_owned();
    let name = text("/metadata/name");
    Balancer {
        namespace: text("/metadata/namespace"),
        purpose: purpose(&name, None),
        name,
        profile: text("/spec/profile"),
        place: None,
        members: Vec::new(),
        state: State::Unreadable,
        reason: "Unreadable".to_owned(),
        message: format!(
            "{error}: restore spec from a backup; the controller does nothing about it meanwhile"
        ),
        hostnames: Vec::new(),
        addresses: Vec::new(),
        facts: BTreeMap::new(),
        healthy: None,
        plan: None,
        consent: None,
        last_error: None,
        remarks: Vec::new(),
        ports: Vec::new(),
        inventory: Vec::new(),
        last_sync: None,
    }
}

fn readable(object: &CloudLoadBalancer) -> Balancer {
    let spec = &object.spec;
    let status = object.status.clone().unwrap_or_default();
    let name = object.metadata.name.clone().unwrap_or_default();
    let namespace = object.metadata.namespace.clone().unwrap_or_default();
    let members = members(&spec.members, &name, spec.group.as_deref());
    let provisioned = status.conditions.iter().find(|condition| condition.type_ == PROVISIONED);
    let holds = provisioned.is_some_and(|condition| condition.status == "True");
    let reason = provisioned.map(|condition| condition.reason.clone()).unwrap_or_default();
    let hash = status.plan.as_ref().and_then(|plan| plan.consent.clone());
    let state = match (&status.last_error, &hash) {
        (Some(_), _) => State::Failed,
        (None, Some(_)) => State::ConsentNeeded,
        (None, None) if object.metadata.deletion_timestamp.is_some() => State::InProgress,
        (None, None) => state(holds, &reason),
    };
    Balancer {
        purpose: purpose(&name, spec.group.as_deref()),
        profile: spec.profile.clone(),
        place: Some(spec.place.clone()),
        state,
        message: provisioned.map(|condition| condition.message.clone()).unwrap_or_default(),
        reason: match reason.is_empty() {
            false => reason,
            true if object.metadata.deletion_timestamp.is_some() => "Deleting".to_owned(),
            true => String::new(),
        },
        hostnames: status.hostnames,
        addresses: status.addresses,
        facts: status.load_balancer,
        healthy: status.healthy,
        consent: hash
            .zip(members.first())
            .map(|(hash, service)| subject::consent_command(&namespace, service, &hash)),
        plan: status.plan,
        last_error: status.last_error,
        remarks: status.remarks,
        ports: status.ports,
        inventory: spec.inventory.resources.clone(),
        last_sync: status.last_sync.map(|at| at.0.to_string()),
        members,
        namespace,
        name,
    }
}

/// The Services; that of its own name where none is recorded yet.
fn members(recorded: &[CloudMember], name: &str, group: Option<&str>) -> Vec<String> {
    if recorded.is_empty() && group.is_none() && purpose(name, group) == Purpose::Service {
        return vec![name.to_owned()];
    }
    recorded.iter().map(|member| member.name.clone()).collect()
}

fn purpose(name: &str, group: Option<&str>) -> Purpose {
    let group = group.filter(|group| !group.is_empty()).or_else(|| subject::group_of(name));
    match (group, subject::node_access_of(name)) {
        (_, Some(profile)) => Purpose::NodeAccess(profile.to_owned()),
        (Some(group), None) => Purpose::Group(group.to_owned()),
        (None, None) => Purpose::Service,
    }
}

/// How a load balancer is by its condition.
fn state(holds: bool, reason: &str) -> State {
    let passes = reason.starts_with("Waiting")
        || ["", "Provisioning", "Deleting", "PreviousDeleting", "ReplacementGrace"].contains(&reason);
    match reason {
        PLAN_PENDING => State::ConsentNeeded,
        "PlanShown" => State::Shown,
        _ if holds => State::Provisioned,
        _ if passes => State::InProgress,
        _ => State::Failed,
    }
}

/// What a Service says of its load balancer in a cloud; `None` where it says nothing.
pub fn word(service: &Service) -> Option<ServiceWord> {
    let Meta { name, namespace, .. } = &service.metadata;
    let conditions = service.status.as_ref()?.conditions.as_ref()?;
    let is_ours = |condition: &&Condition| condition.type_.as_deref() == Some(PROVISIONED);
    let condition = conditions.iter().find(is_ours)?;
    let reason = condition.reason.clone().unwrap_or_default();
    Some(ServiceWord {
        namespace: namespace.clone().unwrap_or_default(),
        name: name.clone().unwrap_or_default(),
        state: state(condition.status.as_deref() == Some("True"), &reason),
        reason,
        message: condition.message.clone().unwrap_or_default(),
    })
}
