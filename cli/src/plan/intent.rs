//! What each Service would get: from the objects alone, or compared with AWS.

use std::collections::{BTreeMap, BTreeSet};

use daymark_aws::api::{Api, TargetType};
use daymark_aws::cloud::AwsCloud;
use daymark_aws::model::{Claimant, Desired, Nlb, NodeAccessState, Subject, build, claimant};
use daymark_aws::naming::{BACKEND_ROLE, kind};
use daymark_kube::Key;
use daymark_model::{
    AwsProfile, CloudPlace, CloudRecord, Inventory, LoadBalancerProfile, ProfileTarget, ResourceKey,
    Timestamp,
};
use daymark_providers::pass::PlanSummary;
use daymark_providers::plan::{Operation, Plan};
use daymark_providers::view::World;
use daymark_providers::{CloudError, pass};
use serde::Serialize;

use super::defaults::{Completed, NO_UID};
use super::objects::{Objects, Origin};
use super::wish::{Wish, wish};
use super::yaml::Fault;
use daymark_kube::views::cloud::subject;

use super::operations;

/// What the Services of the files would get.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Intents {
    /// What of the files cannot be used.
    pub faults: Vec<Fault>,
    /// Load balancers, by namespace and name.
    pub load_balancers: Vec<Intent>,
    /// Services that get none in a cloud.
    pub services: Vec<NotServed>,
}

impl Intents {
    /// Whether something is refused, failed, or waits for consent.
    pub fn has_problems(&self) -> bool {
        let odd = |intent: &Intent| {
            !intent.refused.is_empty() || intent.failure.is_some() || intent.consent.is_some()
        };
        !self.faults.is_empty()
            || self.load_balancers.iter().any(odd)
            || self.services.iter().any(|service| service.is_problem)
    }
}

/// A Service that gets no load balancer in a cloud.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NotServed {
    /// The Service.
    pub service: String,
    /// Why.
    pub why: String,
    /// Whether that is likely not what its author wants.
    pub is_problem: bool,
}

/// A load balancer as it would be.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Intent {
    /// Its namespace.
    pub namespace: String,
    /// The name of its CloudLoadBalancer.
    pub name: String,
    /// The profile that serves it.
    pub profile: String,
    /// The Services that it is for, the oldest first.
    pub members: Vec<String>,
    /// What it would be like.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wanted: Option<Wish>,
    /// What keeps Services from being served.
    pub refused: Vec<Refusal>,
    /// What holds otherwise than an author may think.
    pub warnings: Vec<Refusal>,
    /// What stands for something that is not known here.
    pub notes: Vec<String>,
    /// What the plan compares with.
    pub against: Against,
    /// The steps, in order.
    pub steps: Vec<StepView>,
    /// What further steps wait for.
    pub waits: Vec<String>,
    /// What is left as it is although it should not be.
    pub remarks: Vec<String>,
    /// The changes that would wait for consent.
    pub disruptive: Vec<String>,
    /// The command that consents to them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub consent: Option<String>,
    /// Why there is no plan.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<Refusal>,
}

/// What a plan compares with.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub enum Against {
    /// Nothing is known to exist.
    #[default]
    Nothing,
    /// What the CloudLoadBalancer records.
    Inventory,
    /// AWS as it is now.
    Aws,
}

/// One step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StepView {
    /// What is done.
    pub what: String,
    /// Why.
    pub why: String,
    /// Whether it waits for consent.
    pub held: bool,
}

/// Something that cannot be, or holds otherwise.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Refusal {
    /// The Service that it is about; empty for the load balancer as a whole.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub service: String,
    /// The CamelCase word.
    pub reason: String,
    /// What is wrong, beginning with the annotation where it is about one.
    pub message: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
}

impl Refusal {
    fn of(service: &str, error: &CloudError) -> Self {
        let action = error.action.as_ref().map(|action| format!("{action}: ")).unwrap_or_default();
        Self {
            service: service.to_owned(),
            reason: error.reason.to_owned(),
            message: format!("{action}{}", error.message),
            remedy: error.remedy.clone(),
        }
    }
}

/// A load balancer that is planned, with what its plan needs.
#[derive(Debug, Clone)]
pub struct Draft {
    /// What is known so far.
    pub intent: Intent,
    /// Where it is, or would be made.
    pub place: CloudPlace,
    /// The load balancer that is wanted; `None` where no Service can be served.
    pub nlb: Option<Nlb>,
    /// What was made already.
    pub inventory: Inventory,
    has_uid: bool,
}

/// Everything that can be said without AWS; `namespace` is that of Daymark's own objects.
pub fn drafts(objects: &Objects, namespace: &str, only: Option<&Key>) -> (Vec<Draft>, Vec<NotServed>) {
    let (profiles, _) = objects.profiles();
    let mut subjects: BTreeMap<Key, Vec<(&Key, &Completed, &LoadBalancerProfile)>> = BTreeMap::new();
    let mut not_served = Vec::new();
    for (key, service) in &objects.services {
        match profile_of(service, &profiles, objects) {
            Ok(profile) => {
                let subject = subject::of_service(&service.view());
                subjects.entry(subject).or_default().push((key, service, profile));
            }
            Err(why) if service.origin == Origin::Files => not_served.push(NotServed {
                service: key.to_string(),
                is_problem: why.is_problem(),
                why: why.to_string(),
            }),
            Err(_) => {}
        }
    }
    let mut drafts = Vec::new();
    for (key, mut members) in subjects {
        let is_asked = match only {
            Some(only) => *only == key || members.iter().any(|(service, ..)| *service == only),
            None => members.iter().any(|(_, service, _)| service.origin == Origin::Files),
        };
        if !is_asked {
            continue;
        }
        members.sort_by_key(|(key, service, _)| (service.view().created_at, (*key).clone()));
        let Some((_, _, profile)) = members.first() else { continue };
        let (Some(name), ProfileTarget::Aws(aws)) = (&profile.name, &profile.target) else { continue };
        let services: Vec<(&Key, &Completed)> =
            members.iter().map(|(key, service, _)| (*key, *service)).collect();
        drafts.push(draft(objects, namespace, &key, name.as_str(), aws, &services));
    }
    (drafts, not_served)
}

fn draft(
    objects: &Objects,
    own_namespace: &str,
    key: &Key,
    profile: &str,
    aws: &AwsProfile,
    members: &[(&Key, &Completed)],
) -> Draft {
    let (record, failure) = match objects.records.get(key) {
        Some(Ok(record)) => (Some(record), None),
        Some(Err(_)) => (None, Some(unreadable(key))),
        None => (None, None),
    };
    let names: Vec<String> = members.iter().map(|(key, _)| key.name.clone()).collect();
    let first_uid = members.first().map(|(_, service)| service.view().uid);
    let recorded = record.and_then(|record| record.service_uid.clone());
    let uid = recorded.or(first_uid).map(|uid| uid.as_str().to_owned()).unwrap_or_else(|| NO_UID.to_owned());
    let world = objects.world(&key.namespace);
    let subject = Subject {
        namespace: key.namespace.clone(),
        object: key.name.clone(),
        uid: uid.clone(),
        group: subject::group_of(&key.name).map(str::to_owned),
        members: names.clone(),
    };
    let mut built = build(aws, &subject, &world, node_access(objects, own_namespace, profile));
    let mut notes = Vec::new();
    if let Some(nlb) = &built.nlb {
        let uses_node_ports =
            nlb.target_groups.values().any(|group| group.target_type == TargetType::Instance);
        notes.extend(members.iter().flat_map(|(_, service)| service.notes(uses_node_ports)));
        notes.extend(missing_targets(nlb, &world, objects));
    }
    let listed = |all: &BTreeMap<String, Vec<CloudError>>| {
        let each =
            all.iter().flat_map(|(service, errors)| errors.iter().map(move |e| Refusal::of(service, e)));
        each.collect::<Vec<_>>()
    };
    let inventory = record.map(|record| &record.inventory);
    let nlb = match built.take_desired(aws, &world, inventory) {
        Some(Desired::LoadBalancer(nlb)) => Some(*nlb),
        Some(Desired::Standing(_)) => {
            notes.push("what stands in AWS stays as it is; only its targets are kept up to date".to_owned());
            None
        }
        Some(Desired::NodeAccess(_)) | None => None,
    };
    Draft {
        place: record.map_or_else(|| aws.place(), |record| record.place.clone()),
        inventory: inventory.cloned().unwrap_or_default(),
        has_uid: uid != NO_UID,
        intent: Intent {
            namespace: key.namespace.clone(),
            name: key.name.clone(),
            profile: profile.to_owned(),
            members: names,
            wanted: nlb.as_ref().map(wish),
            refused: listed(&built.refused),
            warnings: listed(&built.warnings),
            notes,
            failure,
            ..Intent::default()
        },
        nlb,
    }
}

/// What was made is not known: a plan would be one for something new.
fn unreadable(key: &Key) -> Refusal {
    let what = format!("the CloudLoadBalancer {key} cannot be read, so what was made is not known");
    let error = CloudError::user("InventoryUnreadable", what).remedy("restore its spec from a backup");
    Refusal::of("", &error)
}

/// What of the targets is not in the objects.
fn missing_targets(nlb: &Nlb, world: &World, objects: &Objects) -> Vec<String> {
    let mut notes = BTreeSet::new();
    for group in nlb.target_groups.values() {
        match group.target_type {
            TargetType::Instance if !objects.has_nodes() => {
                notes.insert("no Nodes are given, so the targets are not known here".to_owned());
            }
            TargetType::Ip if !world.endpoints.contains_key(group.service.name.as_str()) => {
                notes.insert(format!(
                    "no EndpointSlices of Service {} are given, so its targets are not known here",
                    group.service
                ));
            }
            TargetType::Instance | TargetType::Ip => {}
        }
    }
    notes.into_iter().collect()
}

/// The security group that nodes let in, where it is recorded.
fn node_access(objects: &Objects, namespace: &str, profile: &str) -> NodeAccessState {
    let group = ResourceKey::new(kind::SECURITY_GROUP, BACKEND_ROLE, 1);
    let record = objects.records.get(&subject::node_access(namespace, profile));
    let id = record.and_then(|record| record.as_ref().ok()).and_then(|record| record.inventory.id(&group));
    id.map_or(NodeAccessState::Awaited, |id| NodeAccessState::Group(id.to_owned()))
}

/// Why a Service gets no load balancer in a cloud.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
enum Why {
    #[error("it is not of the type LoadBalancer")]
    NotLoadBalancer,
    #[error("another controller of AWS serves it: set spec.loadBalancerClass for Daymark to do so")]
    Elsewhere,
    #[error("LoadBalancerProfile {0} serves it from pools of addresses, not in a cloud")]
    Pool(String),
    #[error(
        "there is no LoadBalancerProfile of class {0}: give it with -f, or take the cluster's with --cluster-objects"
    )]
    NoClass(String),
    #[error(
        "it has no spec.loadBalancerClass, and there is no default LoadBalancerProfile: give one with -f, or take the \
         cluster's with --cluster-objects"
    )]
    NoDefault,
    #[error(
        "a LoadBalancerProfile that is given cannot be used (see above), and none of the others serves it"
    )]
    BadProfile,
}

impl Why {
    fn is_problem(&self) -> bool {
        match self {
            Self::NotLoadBalancer | Self::Elsewhere | Self::Pool(_) => false,
            Self::NoClass(_) | Self::NoDefault | Self::BadProfile => true,
        }
    }
}

fn profile_of<'a>(
    service: &Completed,
    profiles: &'a [LoadBalancerProfile],
    objects: &Objects,
) -> Result<&'a LoadBalancerProfile, Why> {
    let view = service.view();
    if !view.is_load_balancer {
        return Err(Why::NotLoadBalancer);
    }
    let (found, missing) = match claimant(&view) {
        Claimant::Class(class) => {
            (profiles.iter().find(|profile| profile.class == class), Why::NoClass(class.to_owned()))
        }
        Claimant::Default => (profiles.iter().find(|profile| profile.default), Why::NoDefault),
        Claimant::Elsewhere => return Err(Why::Elsewhere),
    };
    let missing = if objects.bad_profiles.is_empty() { missing } else { Why::BadProfile };
    let profile = found.ok_or(missing)?;
    match &profile.target {
        ProfileTarget::Aws(_) => Ok(profile),
        ProfileTarget::Pool { .. } => {
            Err(Why::Pool(profile.name.as_ref().map(ToString::to_string).unwrap_or_default()))
        }
    }
}

impl Draft {
    /// The plan as far as it can be told without AWS.
    pub fn offline(mut self, now: Timestamp) -> Intent {
        let Some(nlb) = self.nlb.take().filter(|_| self.intent.failure.is_none()) else { return self.intent };
        if !self.inventory.is_empty() {
            self.intent.against = Against::Inventory;
            let lines = operations::against_inventory(&nlb, &self.inventory);
            let step = |(what, why): (String, &str)| StepView { what, why: why.to_owned(), held: false };
            self.intent.steps = lines.into_iter().map(step).collect();
            return self.intent;
        }
        match operations::from_nothing(&nlb, now) {
            Ok(plan) => {
                let has_uid = self.has_uid;
                self.tell(&plan, &pass_summary(&plan), |text| match has_uid {
                    true => text.to_owned(),
                    false => operations::without_hashes(text, &nlb),
                });
                // Nothing that exists is waited for here: a new load balancer comes up by itself.
                self.intent.waits.clear();
                if !has_uid {
                    let note = "names end in a hash of the Service's UID, which it gets when it is applied";
                    self.intent.notes.push(note.to_owned());
                }
            }
            Err(error) => self.intent.failure = Some(Refusal::of("", &error)),
        }
        self.intent
    }

    /// The plan against AWS as it is now; nothing is changed.
    ///
    /// # Errors
    /// When a call failed; what AWS could not do is told in the answer.
    pub async fn live<A: Api>(mut self, api: A, now: Timestamp) -> Result<Intent, CloudError> {
        self.intent.against = Against::Aws;
        let Some(nlb) = self.nlb.take().filter(|_| self.intent.failure.is_none()) else {
            return Ok(self.intent);
        };
        let desired = Desired::LoadBalancer(Box::new(nlb));
        match pass::preview(&AwsCloud::new(api), Some(&desired), &self.inventory, now).await {
            Ok((summary, plan)) => self.tell(&plan, &summary, str::to_owned),
            Err(error) if error.action.is_some() => return Err(error),
            Err(error) => self.intent.failure = Some(Refusal::of("", &error)),
        }
        Ok(self.intent)
    }

    fn tell<O: Operation>(&mut self, plan: &Plan<O>, summary: &PlanSummary, write: impl Fn(&str) -> String) {
        let intent = &mut self.intent;
        let step = |line: &pass::PlanLine| StepView {
            what: write(&line.what),
            why: write(&line.why),
            held: line.held,
        };
        intent.steps = summary.steps.iter().map(step).collect();
        intent.waits = plan.waits.iter().map(|wait| write(&wait.message)).collect();
        intent.remarks = plan.remarks.iter().map(|remark| write(&remark.message)).collect();
        intent.disruptive = summary.disruptive.iter().map(|text| write(text)).collect();
        let first = intent.members.first();
        intent.consent = summary
            .consent
            .as_ref()
            .zip(first)
            .map(|(hash, service)| subject::consent_command(&intent.namespace, service, hash));
    }
}

/// The plan for people, where nothing was granted before.
fn pass_summary<O: Operation>(plan: &Plan<O>) -> PlanSummary {
    let nothing = Inventory::default();
    let line = |step: &daymark_providers::Step<O>| pass::PlanLine {
        what: step.operation.describe(),
        why: step.why.clone(),
        held: step.change.is_some(),
    };
    PlanSummary {
        steps: plan.steps.iter().map(line).collect(),
        disruptive: plan.disruptive.values().map(|change| change.text.clone()).collect(),
        consent: plan.consent_hash(&nothing),
    }
}

/// The plan for what no Service wants any more: how its deletion would go.
///
/// # Errors
/// AWS's.
pub async fn unwanted<A: Api>(
    key: &Key,
    record: &CloudRecord,
    api: A,
    now: Timestamp,
) -> Result<Intent, CloudError> {
    let mut draft = Draft {
        intent: Intent {
            namespace: key.namespace.clone(),
            name: key.name.clone(),
            profile: record.profile.to_string(),
            members: record.members.iter().map(|member| member.name.to_string()).collect(),
            against: Against::Aws,
            ..Intent::default()
        },
        place: record.place.clone(),
        nlb: None,
        inventory: record.inventory.clone(),
        has_uid: true,
    };
    let (summary, plan) = pass::preview(&AwsCloud::new(api), None, &record.inventory, now).await?;
    draft.tell(&plan, &summary, str::to_owned);
    Ok(draft.intent)
}
