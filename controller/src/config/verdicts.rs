//! What the conditions of an object should say.

use std::collections::BTreeSet;

use daymark_config::conditions::{ConditionStatus, Verdict};
use daymark_config::names::condition::{ACCEPTED, OVERLAP, RESOLVED_REFS};
use daymark_config::problem::accepted;
use daymark_config::references::{of_announcement, of_profile, resolved_refs, settle_profiles};
use daymark_model::{Claim, LoadBalancerProfile, NeighborName, PoolName, ProfileTarget, Reason};
use daymark_pool::validate::findings;
use daymark_pool::{PoolReport, Refusal};

use super::object::ConfigObject;
use super::{Board, Id, Sort};

/// Conditions that an object should show, and types that it should not.
#[derive(Debug, Default)]
pub(super) struct Said {
    pub(super) verdicts: Vec<Verdict>,
    pub(super) retired: Vec<&'static str>,
}

impl Board {
    pub(super) fn verdicts(&self, id: &Id, object: &ConfigObject<()>) -> Said {
        let problems = object.model.as_ref().err().map_or(&[][..], |problems| problems);
        match id.0 {
            Sort::Pool => self.of_pool(&id.1, accepted(problems)),
            Sort::Profile => self.of_profile(&id.1, accepted(problems)),
            Sort::Announcement => self.of_announcement(&id.1, accepted(problems)),
            Sort::Neighbor => Said { verdicts: vec![accepted(problems)], ..Said::default() },
            Sort::Claim if problems.is_empty() => self.of_claim(&id.1),
            Sort::Claim => Said { verdicts: vec![accepted(problems)], ..Said::default() },
        }
    }

    fn of_pool(&self, name: &str, mut accepted: Verdict) -> Said {
        let found = self.pools.get(name).map(findings).unwrap_or_default();
        if let Some(first) = found.first() {
            accepted.reason = first.code().to_owned();
            accepted.message = found.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
        }
        match self.reports.get(name).and_then(overlap) {
            Some(overlap) => Said { verdicts: vec![accepted, overlap], retired: Vec::new() },
            None => Said { verdicts: vec![accepted], retired: vec![OVERLAP] },
        }
    }

    fn of_profile(&self, name: &str, mut accepted_alone: Verdict) -> Said {
        let Some(profile) = self.profiles.get(name) else {
            return Said { verdicts: vec![accepted_alone], retired: vec![RESOLVED_REFS] };
        };
        let (_, conflicts) = settle_profiles(self.profiles.values().cloned());
        if let Some(conflict) = conflicts.get(name) {
            accepted_alone = accepted(std::slice::from_ref(conflict));
        }
        if let Some(absent) = missing_cloud(profile) {
            accepted_alone = absent;
        }
        let refs = resolved_refs(&of_profile(profile, &self.pool_names()));
        Said { verdicts: vec![accepted_alone, refs], retired: Vec::new() }
    }

    fn of_announcement(&self, name: &str, accepted: Verdict) -> Said {
        let Some(announcement) = self.announcements.get(name) else {
            return Said { verdicts: vec![accepted], retired: vec![RESOLVED_REFS] };
        };
        let neighbors: BTreeSet<NeighborName> = self.names(Sort::Neighbor).map(NeighborName::from).collect();
        let refs = resolved_refs(&of_announcement(announcement, &self.pool_names(), &neighbors));
        Said { verdicts: vec![accepted, refs], retired: Vec::new() }
    }

    /// A claim that is as it should be says nothing.
    fn of_claim(&self, name: &str) -> Said {
        let reserved = Claim::address_of(name).filter(|_| self.reservations.contains(name));
        let outside = reserved.filter(|address| !self.pools.values().any(|pool| pool.contains(*address)));
        match outside {
            Some(address) => {
                let refusal = Refusal::AddressOutsidePools { address, pools: Vec::new() };
                Said { verdicts: vec![accepted(&[refusal])], ..Said::default() }
            }
            None => Said { retired: vec![ACCEPTED], ..Said::default() },
        }
    }

    fn pool_names(&self) -> BTreeSet<PoolName> {
        self.names(Sort::Pool).map(PoolName::from).collect()
    }

    fn names(&self, sort: Sort) -> impl Iterator<Item = &str> {
        self.records.keys().filter(move |id| id.0 == sort).map(|id| id.1.as_str())
    }
}

/// What is to be said of a profile whose cloud this build cannot serve, or not as the profile says.
fn missing_cloud(profile: &LoadBalancerProfile) -> Option<Verdict> {
    match &profile.target {
        ProfileTarget::Pool { .. } => None,
        #[cfg(feature = "aws")]
        ProfileTarget::Aws(aws) => {
            let faults = daymark_aws::model::check_profile(aws);
            (!faults.is_empty()).then(|| accepted(&faults))
        }
        #[cfg(not(feature = "aws"))]
        ProfileTarget::Aws(_) => Some(Verdict {
            kind: ACCEPTED,
            status: ConditionStatus::False,
            reason: "NotBuiltIn".to_owned(),
            message: "this build of daymark-controller has no AWS: build it with `--features aws`, as the released \
                      image is"
                .to_owned(),
        }),
    }
}

fn overlap(report: &PoolReport) -> Option<Verdict> {
    if report.overlaps.is_empty() {
        return None;
    }
    let shared: Vec<String> =
        report.overlaps.iter().map(|o| format!("{} is in AddressPool {} too", o.block, o.other)).collect();
    Some(Verdict {
        kind: OVERLAP,
        status: ConditionStatus::True,
        reason: "AddressesOverlap".to_owned(),
        message: format!(
            "{}: no new addresses are given from there; take it out of one of them",
            shared.join("; ")
        ),
    })
}
