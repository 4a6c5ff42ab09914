//! What takes several objects to judge: names of objects that do not exist, and profiles that want the same Services.
//!
//! Which pools overlap is `daymark-pool`'s knowledge.

use std::collections::{BTreeMap, BTreeSet};

use daymark_model::{
    Announcement, AnnouncementTarget, LoadBalancerProfile, NeighborName, PoolName, ProfileName,
    ProfileTarget, Reason,
};
use thiserror::Error;

use crate::conditions::Verdict;
use crate::names::condition::RESOLVED_REFS;
use crate::problem;

/// A name of an object that does not exist. Whatever else the object names holds.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum UnresolvedRef {
    /// No such AddressPool.
    #[error("{field}: there is no AddressPool {pool}: create it, or correct the name")]
    Pool {
        /// The field that names it.
        field: &'static str,
        /// The name.
        pool: PoolName,
    },
    /// No such BgpNeighbor.
    #[error("{field}: there is no BgpNeighbor {neighbor}: create it, or correct the name")]
    Neighbor {
        /// The field that names it.
        field: &'static str,
        /// The name.
        neighbor: NeighborName,
    },
}

impl Reason for UnresolvedRef {
    fn code(&self) -> &'static str {
        match self {
            Self::Pool { .. } => "PoolNotFound",
            Self::Neighbor { .. } => "NeighborNotFound",
        }
    }
}

/// The names in `announcement` that are among neither `pools` nor `neighbors`.
pub fn of_announcement(
    announcement: &Announcement,
    pools: &BTreeSet<PoolName>,
    neighbors: &BTreeSet<NeighborName>,
) -> Vec<UnresolvedRef> {
    let named = match &announcement.target {
        AnnouncementTarget::Bgp(bgp) => bgp.neighbors.as_ref(),
        AnnouncementTarget::L2(_) => None,
    };
    let absent_pools = announcement.pools.iter().flatten().filter(|pool| !pools.contains(*pool));
    let absent_neighbors = named.into_iter().flatten().filter(|name| !neighbors.contains(*name));
    let pool = |pool: &PoolName| UnresolvedRef::Pool { field: "spec.pools", pool: pool.clone() };
    let neighbor =
        |name: &NeighborName| UnresolvedRef::Neighbor { field: "spec.bgp.neighbors", neighbor: name.clone() };
    absent_pools.map(pool).chain(absent_neighbors.map(neighbor)).collect()
}

/// The names in `profile` that are not among `pools`.
pub fn of_profile(profile: &LoadBalancerProfile, pools: &BTreeSet<PoolName>) -> Vec<UnresolvedRef> {
    let named = match &profile.target {
        ProfileTarget::Pool { pools } => &pools[..],
        ProfileTarget::Aws(_) => &[],
    };
    let absent = named.iter().filter(|pool| !pools.contains(*pool));
    absent.map(|pool| UnresolvedRef::Pool { field: "spec.pool.pools", pool: pool.clone() }).collect()
}

/// What the condition `ResolvedRefs` says.
pub fn resolved_refs(unresolved: &[UnresolvedRef]) -> Verdict {
    problem::verdict(RESOLVED_REFS, "ResolvedRefs", unresolved)
}

/// What an older profile has taken from a younger one.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ProfileConflict {
    /// The class: the younger profile is not in use.
    #[error(
        "the older LoadBalancerProfile {by} has the class {class}: give this one another, or delete one of them"
    )]
    ClassTaken {
        /// The class.
        class: String,
        /// The profile that has it.
        by: ProfileName,
    },
    /// The Services without a class: the younger profile serves its class only.
    #[error(
        "the older LoadBalancerProfile {by} serves Services without a class: set spec.default on one of them only"
    )]
    DefaultTaken {
        /// The profile that serves them.
        by: ProfileName,
    },
}

impl Reason for ProfileConflict {
    fn code(&self) -> &'static str {
        match self {
            Self::ClassTaken { .. } => "ClassTaken",
            Self::DefaultTaken { .. } => "DefaultTaken",
        }
    }
}

/// The profiles that are in use, each with what it serves, and what is to be said of the others.
///
/// Of two that claim one class the oldest wins, then the lower name; likewise of two defaults, where the loser goes on
/// serving its class.
pub fn settle_profiles(
    profiles: impl IntoIterator<Item = LoadBalancerProfile>,
) -> (Vec<LoadBalancerProfile>, BTreeMap<ProfileName, ProfileConflict>) {
    let mut profiles: Vec<_> = profiles.into_iter().collect();
    profiles.sort_by(|a, b| (a.created_at, &a.name).cmp(&(b.created_at, &b.name)));
    let mut settled: Vec<LoadBalancerProfile> = Vec::new();
    let mut conflicts = BTreeMap::new();
    for mut profile in profiles {
        let name = profile.name.clone();
        if let Some(older) = settled.iter().find(|older| older.class == profile.class) {
            if let (Some(name), Some(by)) = (name, older.name.clone()) {
                conflicts.insert(name, ProfileConflict::ClassTaken { class: profile.class, by });
            }
            continue;
        }
        if let Some(older) = settled.iter().find(|older| profile.default && older.default) {
            profile.default = false;
            if let (Some(name), Some(by)) = (name, older.name.clone()) {
                conflicts.insert(name, ProfileConflict::DefaultTaken { by });
            }
        }
        settled.push(profile);
    }
    (settled, conflicts)
}

#[cfg(test)]
mod tests {
    use super::*;
    use daymark_model::Timestamp;

    fn profile(name: &str, class: &str, age: i64, default: bool) -> LoadBalancerProfile {
        LoadBalancerProfile {
            name: Some(name.into()),
            created_at: Timestamp(-age),
            class: class.into(),
            default,
            target: ProfileTarget::Pool { pools: vec!["a".into(), "b".into()] },
        }
    }

    #[test]
    fn the_oldest_profile_has_the_class() {
        let (settled, conflicts) =
            settle_profiles([profile("young", "x", 1, true), profile("old", "x", 2, false)]);
        assert_eq!(settled.len(), 1);
        assert_eq!(settled[0].name, Some("old".into()));
        let conflict = &conflicts[&ProfileName::from("young")];
        assert_eq!(conflict.code(), "ClassTaken");
        assert!(conflict.to_string().contains("LoadBalancerProfile old has the class x"), "{conflict}");
    }

    #[test]
    fn of_one_age_the_lower_name_has_it_and_one_default_is_left() {
        let (settled, conflicts) = settle_profiles([profile("b", "y", 1, true), profile("a", "x", 1, true)]);
        let kept: Vec<_> = settled.iter().map(|p| (p.class.as_str(), p.default)).collect();
        assert_eq!(kept, [("x", true), ("y", false)]);
        assert_eq!(conflicts[&ProfileName::from("b")].code(), "DefaultTaken");
    }

    #[test]
    fn what_does_not_exist_is_named() {
        let unresolved = of_profile(&profile("p", "x", 1, false), &BTreeSet::from(["a".into()]));
        let verdict = resolved_refs(&unresolved);
        assert_eq!(verdict.reason, "PoolNotFound");
        assert_eq!(
            verdict.message,
            "spec.pool.pools: there is no AddressPool b: create it, or correct the name"
        );
    }
}
