//! AddressPool.

use std::collections::BTreeSet;
use std::time::Duration;

use daymark_model::{Assignment, IpMode, Pool, Quarantine, SharingPolicy};

use super::field::{self, Problems};
use crate::crd::{self, AssignmentMode, IpModeSetting, SharingMode};
use crate::problem::{Fault, Problem};

const MAX_QUARANTINE: Duration = Duration::from_secs(720 * 3600);

/// The pool that an AddressPool describes. Its `overlapping` is empty: that takes all pools.
pub fn pool(object: &crd::AddressPool) -> Result<Pool, Vec<Problem>> {
    let spec = &object.spec;
    let mut problems = Problems::default();
    if spec.addresses.is_empty() {
        problems.add("spec.addresses", Fault::Empty { remedy: "list at least one CIDR or range" });
    }
    let addresses = field::blocks(&mut problems, "spec.addresses", &spec.addresses);
    let exclude = field::blocks(&mut problems, "spec.exclude", &spec.exclude);
    let service_selector =
        field::selector(&mut problems, "spec.serviceSelector", spec.service_selector.as_ref());
    let namespace_selector =
        field::selector(&mut problems, "spec.namespaceSelector", spec.namespace_selector.as_ref());
    let priority = problems.take("spec.priority", field::number(spec.priority, 0, 1_000_000));
    let quarantine = match &spec.quarantine {
        None => Some(Quarantine::DEFAULT),
        Some(text) => {
            let rest = field::duration_within(text, "0s to 720h", |d| d <= MAX_QUARANTINE);
            problems.take("spec.quarantine", rest).map(Quarantine::Strict)
        }
    };
    let pool = priority.zip(quarantine).map(|(priority, quarantine)| Pool {
        name: super::name(&object.metadata).into(),
        labels: object.metadata.labels.clone().unwrap_or_default(),
        addresses,
        exclude,
        assignment: match spec.assignment {
            AssignmentMode::Automatic => Assignment::Automatic,
            AssignmentMode::OnRequest => Assignment::OnRequest,
        },
        avoid_edge_addresses: spec.avoid_edge_addresses,
        priority,
        service_selector,
        namespace_selector,
        sharing: match spec.sharing {
            SharingMode::Never => SharingPolicy::Never,
            SharingMode::SameNamespace => SharingPolicy::SameNamespace,
            SharingMode::AnyNamespace => SharingPolicy::AnyNamespace,
        },
        quarantine,
        ip_mode: match spec.ip_mode {
            IpModeSetting::VIP => IpMode::VIP,
            IpModeSetting::Proxy => IpMode::Proxy,
        },
        overlapping: BTreeSet::new(),
    });
    problems.finish(pool)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(spec: serde_json::Value) -> Result<Pool, Vec<Problem>> {
        let object = json!({ "metadata": { "name": "public" }, "spec": spec });
        pool(&serde_json::from_value(object).unwrap())
    }

    #[test]
    fn a_quarantine_set_by_hand_is_strict() {
        let quarantine = |spec| read(spec).unwrap().quarantine;
        assert_eq!(quarantine(json!({ "addresses": ["192.0.2.0/24"] })), Quarantine::DEFAULT);
        let by_hand = quarantine(json!({ "addresses": ["192.0.2.0/24"], "quarantine": "5m" }));
        assert_eq!(by_hand, Quarantine::Strict(Duration::from_secs(300)));
    }

    #[test]
    fn a_selector_that_is_present_but_empty_is_kept() {
        let pool = read(json!({ "addresses": ["192.0.2.0/24"], "namespaceSelector": {} })).unwrap();
        assert!(pool.namespace_selector.is_some() && pool.service_selector.is_none());
    }

    #[test]
    fn every_problem_is_told() {
        let problems =
            read(json!({ "addresses": ["x", "192.0.2.9-192.0.2.1"], "priority": -1 })).unwrap_err();
        let fields: Vec<&str> = problems.iter().map(|p| p.field.as_str()).collect();
        assert_eq!(fields, ["spec.addresses[0]", "spec.addresses[1]", "spec.priority"]);
    }
}
