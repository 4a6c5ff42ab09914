//! What is told of a load balancer: in the condition of its Services, in its own status, in events.
//!
//! A condition says what holds and what to do; counts stand in the CloudLoadBalancer's status, so that a Service is not
//! written whenever a target comes or goes.

use std::time::Duration;

use daymark_config::conditions::{ConditionStatus, Verdict, shortened};
use daymark_config::crd::{
    CloudFailure, CloudLoadBalancerStatus, CloudPlan, CloudPort, CloudRemark, CloudStep,
};
use daymark_config::names::annotation::ALLOW_REPLACEMENT;
use daymark_config::names::condition::{PLAN_PENDING, PROVISIONED};
use daymark_kube::views::cloud::subject;
use daymark_model::{PortProtocol, Reason, ServiceKey};
use daymark_pool::Ingress;
use daymark_providers::cloud::{Address, PortHealth, Published};
use daymark_providers::error::{CloudError, ErrorClass};
use daymark_providers::pass::{End, PassReport, PlanSummary};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

/// How many failures of a kind that passes by itself are not told.
const PATIENCE: u32 = 3;

/// How a Service's condition is to be; `None` = as it is.
pub fn condition(report: &PassReport, failures: u32, service: &ServiceKey) -> Option<Verdict> {
    let reachable = report.published.as_ref().is_some_and(|published| !published.addresses.is_empty());
    let holds = if reachable { ConditionStatus::True } else { ConditionStatus::False };
    Some(match &report.end {
        End::Converged if reachable => verdict(ConditionStatus::True, "Provisioned", ""),
        End::Converged => {
            verdict(ConditionStatus::False, "Provisioning", "the load balancer has no address yet")
        }
        End::Waiting(wait) if reachable && report.plan.consent.is_none() => {
            verdict(ConditionStatus::True, "Provisioned", &wait.message)
        }
        End::Waiting(_) if report.plan.consent.is_some() => {
            verdict(holds, PLAN_PENDING, &pending(&report.plan, service))
        }
        End::Waiting(wait) => verdict(ConditionStatus::False, wait.reason, &wait.message),
        End::Held => verdict(holds, PLAN_PENDING, &pending(&report.plan, service)),
        End::Shown => verdict(
            holds,
            "PlanShown",
            "there is a plan, and the mode forbids carrying it out: see status.plan of the CloudLoadBalancer",
        ),
        End::Gone => return None,
        End::Failed(error) => return failed(error, failures),
        End::Unsaved(_) => return None,
    })
}

/// How a Service's condition is to be after an error; `None` = as it is, since it may pass by itself.
pub fn failed(error: &CloudError, failures: u32) -> Option<Verdict> {
    let passes = matches!(error.class, ErrorClass::Throttled | ErrorClass::Transient);
    if passes && failures < PATIENCE {
        return None;
    }
    Some(verdict(ConditionStatus::False, error.code(), &error.to_string()))
}

/// How the condition of a Service is to be that is refused; `stands`: it may have a load balancer already.
pub fn refused(errors: &[CloudError], stands: bool) -> Verdict {
    let reason = errors.first().map_or("InvalidConfiguration", Reason::code);
    let mut sentences: Vec<String> = errors.iter().map(ToString::to_string).collect();
    if stands {
        let text =
            "until then what it has in the cloud stays as it is, and only its targets are kept up to date";
        sentences.push(text.to_owned());
    }
    verdict(ConditionStatus::False, reason, &sentences.join("; "))
}

/// How the condition of a Service is to be that waits for one of its name to be gone.
pub fn waits_for_namesake() -> Verdict {
    verdict(
        ConditionStatus::False,
        "PreviousDeleting",
        "what an earlier Service of this name had in the cloud is still being deleted",
    )
}

/// How the condition of a Service is to be whose load balancer goes.
pub fn leaving(report: Option<&PassReport>, error: Option<&CloudError>) -> Verdict {
    let failed = report.and_then(|report| match &report.end {
        End::Failed(error) => Some(error),
        End::Converged | End::Waiting(_) | End::Held | End::Shown | End::Gone | End::Unsaved(_) => None,
    });
    if let Some(error) = failed.or(error) {
        return verdict(ConditionStatus::False, error.code(), &error.to_string());
    }
    match report.map(|report| &report.end) {
        Some(End::Waiting(wait)) => verdict(ConditionStatus::False, wait.reason, &wait.message),
        Some(End::Shown) => verdict(
            ConditionStatus::False,
            "PlanShown",
            "the mode forbids deleting the load balancer: set it to Apply, or deletion-policy to Retain",
        ),
        Some(End::Converged | End::Held | End::Gone | End::Failed(_) | End::Unsaved(_)) | None => {
            verdict(ConditionStatus::False, "Deleting", "the load balancer is being deleted")
        }
    }
}

fn verdict(status: ConditionStatus, reason: &str, message: &str) -> Verdict {
    Verdict { kind: PROVISIONED, status, reason: reason.to_owned(), message: message.to_owned() }
}

/// What to do about a plan that waits for consent.
fn pending(plan: &PlanSummary, service: &ServiceKey) -> String {
    let hash = plan.consent.as_deref().unwrap_or_default();
    let command = subject::consent_command(service.namespace.as_str(), service.name.as_str(), hash);
    format!("{}: to consent, {command}", plan.disruptive.join("; "))
}

/// Where clients reach a Service with these ports.
pub fn ingress(published: &Published, ports: &[PortProtocol]) -> Vec<Ingress> {
    let entry = |address: &Address| match address {
        Address::Hostname(name) => {
            Ingress { ip: None, hostname: Some(name.clone()), ip_mode: None, ports: ports.to_vec() }
        }
        Address::Ip(ip, mode) => {
            Ingress { ip: Some(*ip), hostname: None, ip_mode: Some(*mode), ports: ports.to_vec() }
        }
    };
    published.addresses.iter().map(entry).collect()
}

/// What the status of a CloudLoadBalancer is to say, its conditions apart. What was not looked at stays as `found` has it.
pub fn status(
    report: &PassReport,
    found: &CloudLoadBalancerStatus,
    more: &[CloudError],
    retry: Option<Duration>,
    now: jiff::Timestamp,
) -> CloudLoadBalancerStatus {
    let mut status = CloudLoadBalancerStatus {
        observed_generation: found.observed_generation,
        conditions: found.conditions.clone(),
        hostnames: found.hostnames.clone(),
        addresses: found.addresses.clone(),
        load_balancer: found.load_balancer.clone(),
        healthy: found.healthy.clone(),
        ports: found.ports.clone(),
        last_sync: found.last_sync.clone(),
        ..CloudLoadBalancerStatus::default()
    };
    if let Some(published) = &report.published {
        tell(published, &mut status);
    }
    let remarks = report.remarks.iter().map(|r| (r.reason, r.message.clone()));
    let remarks = remarks.chain(more.iter().map(|error| (error.code(), error.to_string())));
    status.remarks = remarks
        .take(CloudLoadBalancerStatus::MAX_REMARKS)
        .map(|(reason, message)| CloudRemark { reason: reason.to_owned(), message: short(&message) })
        .collect();
    status.plan = plan(&report.plan, report.end == End::Shown);
    status.last_error = match &report.end {
        End::Failed(error) => Some(failure(error, retry, now)),
        End::Converged | End::Waiting(_) | End::Held | End::Shown | End::Gone | End::Unsaved(_) => None,
    };
    if report.done > 0 || status.last_sync.is_none() {
        status.last_sync = Some(Time(now));
    }
    status
}

/// A failure as the status shows it.
pub fn failure(error: &CloudError, retry: Option<Duration>, now: jiff::Timestamp) -> CloudFailure {
    let retry_at = retry.and_then(|after| now.checked_add(after).ok());
    CloudFailure {
        class: error.class.as_str().to_owned(),
        reason: error.code().to_owned(),
        action: error.action.clone(),
        code: error.code.clone(),
        message: short(&error.message),
        remedy: error.remedy.as_deref().map(short),
        // To the minute: a time that moves with each attempt would be written with each.
        retry_at: retry_at.and_then(|at| at.round(jiff::Unit::Minute).ok()).map(Time),
    }
}

fn tell(published: &Published, status: &mut CloudLoadBalancerStatus) {
    let (mut hostnames, mut addresses) = (Vec::new(), Vec::new());
    for address in &published.addresses {
        match address {
            Address::Hostname(name) => hostnames.push(name.clone()),
            Address::Ip(ip, _) => addresses.push(ip.to_string()),
        }
    }
    (status.hostnames, status.addresses) = (hostnames, addresses);
    status.load_balancer =
        published.facts.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
    status.ports = health(published);
    status.healthy = CloudLoadBalancerStatus::healthy_of(&status.ports);
}

/// The health of each port.
pub fn health(published: &Published) -> Vec<CloudPort> {
    let port = |port: &PortHealth| CloudPort {
        service: port.service.name.as_str().to_owned(),
        port: port.port.port.into(),
        protocol: port.port.protocol.to_string(),
        healthy: port.healthy.into(),
        total: port.total.into(),
        draining: port.draining.into(),
    };
    published.ports.iter().take(CloudLoadBalancerStatus::MAX_PORTS).map(port).collect()
}

fn plan(summary: &PlanSummary, only_shown: bool) -> Option<CloudPlan> {
    // What was done at once is no plan any more.
    if !only_shown && summary.consent.is_none() && !summary.steps.iter().any(|step| step.held) {
        return None;
    }
    let step = |line: &daymark_providers::pass::PlanLine| CloudStep {
        what: short(&line.what),
        why: short(&line.why),
        held: line.held,
    };
    Some(CloudPlan {
        consent: summary.consent.clone(),
        disruptive: summary
            .disruptive
            .iter()
            .take(CloudPlan::MAX_DISRUPTIVE)
            .map(|text| short(text))
            .collect(),
        steps: summary.steps.iter().take(CloudPlan::MAX_STEPS).map(step).collect(),
        more: i64::try_from(summary.steps.len().saturating_sub(CloudPlan::MAX_STEPS)).unwrap_or(i64::MAX),
    })
}

fn short(text: &str) -> String {
    shortened(text, CloudLoadBalancerStatus::MAX_MESSAGE).to_owned()
}

/// The condition of a CloudLoadBalancer about consent.
pub fn plan_pending(summary: &PlanSummary) -> Option<Verdict> {
    summary.consent.as_ref().map(|hash| Verdict {
        kind: PLAN_PENDING,
        status: ConditionStatus::True,
        reason: "ConsentNeeded".to_owned(),
        message: format!(
            "{}: annotate the Service with {ALLOW_REPLACEMENT}={hash}",
            summary.disruptive.join("; ")
        ),
    })
}

/// An event about a Service, by the generic service controller's names, which people's alerts know.
pub fn event(report: &PassReport, is_new: bool) -> Option<(&'static str, String)> {
    let hostnames = || {
        let published = report.published.iter().flat_map(|published| &published.addresses);
        let shown = published.map(|address| match address {
            Address::Hostname(name) => name.clone(),
            Address::Ip(ip, _) => ip.to_string(),
        });
        shown.collect::<Vec<_>>().join(", ")
    };
    let is_targets_only = report.plan.steps.iter().all(|s| s.what.contains("register"));
    match &report.end {
        End::Converged | End::Waiting(_) | End::Held if report.done > 0 => {
            Some(match (is_new, is_targets_only) {
                (false, true) => ("UpdatedLoadBalancer", "targets are up to date".to_owned()),
                (_, _) => ("EnsuredLoadBalancer", hostnames()),
            })
        }
        End::Gone => Some(("DeletedLoadBalancer", "nothing is left in the cloud".to_owned())),
        End::Converged | End::Waiting(_) | End::Held | End::Shown | End::Failed(_) | End::Unsaved(_) => None,
    }
}
