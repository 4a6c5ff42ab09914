//! Objects on one line, for traces.

#![allow(clippy::wildcard_enum_match_arm, reason = "what has no short form is printed as it is")]

use daymark_model::Pool;
use daymark_pool::{ClaimView, Input, ServiceView, WriteAction, WriteResult, Written};

pub fn service(view: &ServiceView) -> String {
    let ips: Vec<_> = view.shown().collect();
    let condition = view.condition.as_ref().map(|c| (c.status, c.reason.clone()));
    format!(
        "{}@{} v{} lb={} {:?} {:?} {:?} asks {:?} key {:?} ports {:?} {:?} deleting={} born {} shows {ips:?} {condition:?}",
        view.key,
        view.uid,
        view.resource_version.as_str(),
        view.is_load_balancer,
        view.class,
        view.families,
        view.family_policy,
        view.requests,
        view.sharing_key,
        view.ports.iter().map(ToString::to_string).collect::<Vec<_>>(),
        view.traffic_policy,
        view.deleting,
        view.created_at.0,
    )
}

pub fn claim(view: &ClaimView) -> String {
    format!("{}@{} v{} {:?}", view.claim.address, view.uid, view.resource_version.as_str(), view.claim)
}

pub fn pool(pool: &Pool) -> String {
    let blocks: Vec<_> = pool.addresses.iter().map(ToString::to_string).collect();
    let exclude: Vec<_> = pool.exclude.iter().map(ToString::to_string).collect();
    format!(
        "{} {blocks:?} without {exclude:?} {:?} edges={} priority {} {:?} {:?} {:?} {:?}",
        pool.name,
        pool.assignment,
        pool.avoid_edge_addresses,
        pool.priority,
        pool.service_selector.is_some(),
        pool.namespace_selector.is_some(),
        pool.sharing,
        pool.quarantine,
    )
}

pub fn input(input: &Input) -> String {
    match input {
        Input::ServiceChanged(view) => service(view),
        Input::ClaimChanged(view) => claim(view),
        Input::PoolChanged(changed) => pool(changed),
        other => format!("{other:?}"),
    }
}

pub fn action(action: &WriteAction) -> String {
    match action {
        WriteAction::PatchServiceStatus { key, resource_version, patch, .. } => {
            let shown = patch.ingress.as_ref().map(|list| list.iter().map(|i| i.ip).collect::<Vec<_>>());
            format!("patch {key} over v{} {shown:?} {:?}", resource_version.as_str(), patch.condition)
        }
        other => format!("{other:?}"),
    }
}

pub fn result(result: &WriteResult) -> String {
    match result {
        WriteResult::Done(Written::Claim(view)) => format!("done {}", claim(view)),
        WriteResult::Done(Written::Service(view)) => format!("done {}", service(view)),
        other => format!("{other:?}"),
    }
}
