//! What people are told of load balancers: conditions and addresses of Services, statuses of CloudLoadBalancers, events.

use std::time::Duration;

use daymark_config::conditions::Verdict;
use daymark_config::crd::CloudLoadBalancerStatus;
use daymark_kube::Key;
use daymark_kube::events::{News, Severity};
use daymark_kube::views::cloud::subject;
use daymark_model::{PortProtocol, Reason, ServiceKey, Uid};
use daymark_providers::error::CloudError;
use daymark_providers::pass::PassReport;
use tracing::warn;

use super::Owner;
use crate::cloud::board::Shown;
use crate::cloud::index::Serve;
use crate::cloud::say;
use crate::cloud::turn::Turn;
use crate::news;

impl Owner {
    pub(super) fn tell_services(&mut self, task: &Serve, report: &PassReport, failures: u32) {
        for member in task.accepted() {
            let Some(verdict) = say::condition(report, failures, &member.view.key) else {
                continue;
            };
            let ports: Vec<PortProtocol> = member
                .view
                .ports
                .iter()
                .map(|port| PortProtocol { protocol: port.protocol, port: port.port })
                .collect();
            let ingress = report.published.as_ref().map(|published| say::ingress(published, &ports));
            self.board.say(&member.view.key, &member.view.uid, verdict, ingress);
        }
    }

    pub(super) fn tell_status(
        &mut self,
        key: &Key,
        task: &Serve,
        report: &PassReport,
        turn: &Turn,
        retry: Option<Duration>,
    ) {
        let Some(object) = self.index.object(key) else { return };
        let found = object.raw().and_then(|raw| raw.status.clone()).unwrap_or_default();
        let mut more = task.warnings.clone();
        more.extend(turn.leftovers.iter().map(|text| CloudError::user("LbcLeftover", text.clone())));
        if object.deleting {
            more.push(
                CloudError::user("DeletedByHand", "somebody deletes this object while its Service wants it")
                    .remedy("delete the Service; the object stays until then"),
            );
        }
        let status = say::status(report, &found, &more, retry, jiff::Timestamp::now());
        let first = task.members.first().map(|member| member.view.key.clone());
        let service = first.unwrap_or_else(|| subject::service_key(key));
        let mut verdicts: Vec<Verdict> =
            say::condition(report, self.queue.failures(key), &service).into_iter().collect();
        verdicts.extend(say::plan_pending(&report.plan));
        self.board.show(key, Shown { status, verdicts, pending: report.plan.consent.is_some() });
    }

    /// Brings the health of ports up to date.
    pub(super) fn tell_health(&mut self, key: &Key, report: &PassReport) {
        let (Some(object), Some(published)) = (self.index.object(key), &report.published) else { return };
        let found = object.raw().and_then(|raw| raw.status.clone()).unwrap_or_default();
        self.board.show_health(key, say::health(published), found);
    }

    /// Says of an object that nothing can be done about it.
    pub(super) fn tell_object(&mut self, key: &Key, error: &CloudError) {
        let Some(object) = self.index.object(key) else { return };
        let mut status: CloudLoadBalancerStatus =
            object.raw().and_then(|raw| raw.status.clone()).unwrap_or_default();
        status.last_error = Some(say::failure(error, None, jiff::Timestamp::now()));
        let verdicts = vec![say::refused(std::slice::from_ref(error), false)];
        self.board.show(key, Shown { status, verdicts, pending: false });
    }

    pub(super) fn tell_events(
        &mut self,
        key: &Key,
        task: &Serve,
        report: Option<&PassReport>,
        error: Option<&CloudError>,
        failures: u32,
    ) {
        let (severity, reason, text) = match (error, report) {
            (Some(error), _) => {
                if say::failed(error, failures).is_none() {
                    return;
                }
                warn!(load_balancer = %key, reason = error.code(), "{error}");
                (Severity::Warning, "SyncLoadBalancerFailed", format!("{}: {error}", error.code()))
            }
            (None, Some(report)) => {
                let is_new = self.told.get(key).is_none_or(|told| told == "Ensuring");
                if let Some(consent) = &report.plan.consent {
                    let text = format!("{}: consent with {consent}", report.plan.disruptive.join("; "));
                    (Severity::Warning, "PlanPending", text)
                } else if let Some((reason, text)) = say::event(report, is_new) {
                    (Severity::Normal, reason, text)
                } else {
                    return;
                }
            }
            (None, None) => return,
        };
        let told = format!("{reason} {text}");
        if severity == Severity::Warning && self.told.get(key) == Some(&told) {
            return;
        }
        self.told.insert(key.clone(), told);
        for member in &task.members {
            self.event(&member.view.key, &member.view.uid, severity, reason, "Provision", text.clone());
        }
    }

    pub(super) fn refusal_event(&mut self, service: &ServiceKey, uid: &Uid, verdict: &Verdict) {
        let key = Key {
            namespace: service.namespace.as_str().to_owned(),
            name: format!("refused {}", service.name),
        };
        let told = format!("{} {}", verdict.reason, verdict.message);
        if self.told.get(&key) != Some(&told) {
            self.told.insert(key, told);
            self.event(
                service,
                uid,
                Severity::Warning,
                "SyncLoadBalancerFailed",
                "Provision",
                format!("{}: {}", verdict.reason, verdict.message),
            );
        }
    }

    pub(super) fn event(
        &self,
        service: &ServiceKey,
        uid: &Uid,
        severity: Severity,
        reason: &str,
        action: &'static str,
        note: String,
    ) {
        self.recorder.tell(News {
            regarding: news::service(service, uid),
            severity,
            reason: reason.to_owned(),
            action,
            note,
        });
    }
}
