//! Which Services are ours: the class of a Service names a profile, or it has none and a profile is default.

use std::collections::BTreeMap;

use daymark_model::{LoadBalancerProfile, PoolName, ProfileName, ProfileTarget};

/// The profiles that hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProfileTable {
    by_class: BTreeMap<String, LoadBalancerProfile>,
    default: Option<LoadBalancerProfile>,
    conflicts: Vec<ProfileConflict>,
}

/// What a profile claims in vain, because an older one (then: one with a lower name) has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProfileConflict {
    /// The profile that does not get it.
    pub loser: ProfileName,
    /// The profile that has it.
    pub winner: ProfileName,
    /// What both claim.
    pub over: Contested,
}

/// What two profiles claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Contested {
    /// The same class.
    Class(String),
    /// To be the default.
    Default,
}

impl ProfileTable {
    /// The table of `profiles`; with none at all the built-in one holds, default if `built_in_default`.
    pub fn new(mut profiles: Vec<LoadBalancerProfile>, built_in_default: bool) -> Self {
        if profiles.is_empty() {
            profiles.push(LoadBalancerProfile::built_in(built_in_default));
        }
        profiles.sort_by(|a, b| (a.created_at, &a.name).cmp(&(b.created_at, &b.name)));
        let mut table = Self::default();
        for profile in profiles {
            if let Some(winner) = table.by_class.get(&profile.class) {
                let over = Contested::Class(profile.class.clone());
                table.conflicts.extend(conflict(&profile, winner, over));
                continue;
            }
            if profile.default {
                match &table.default {
                    Some(winner) => table.conflicts.extend(conflict(&profile, winner, Contested::Default)),
                    None => table.default = Some(profile.clone()),
                }
            }
            table.by_class.insert(profile.class.clone(), profile);
        }
        table
    }

    /// The profile that gives a Service with this class addresses from pools; `None` = not ours.
    pub fn profile_for(&self, class: Option<&str>) -> Option<&LoadBalancerProfile> {
        self.any_profile_for(class).filter(|profile| matches!(profile.target, ProfileTarget::Pool { .. }))
    }

    /// The profile of a Service with this class, whoever gives it addresses.
    pub fn any_profile_for(&self, class: Option<&str>) -> Option<&LoadBalancerProfile> {
        match class {
            Some(class) => self.by_class.get(class),
            None => self.default.as_ref(),
        }
    }

    /// Who lost what to whom.
    pub fn conflicts(&self) -> &[ProfileConflict] {
        &self.conflicts
    }
}

fn conflict(
    loser: &LoadBalancerProfile,
    winner: &LoadBalancerProfile,
    over: Contested,
) -> Option<ProfileConflict> {
    Some(ProfileConflict { loser: loser.name.clone()?, winner: winner.name.clone()?, over })
}

/// The pools that a profile gives a Service which names none; empty = the automatic ones.
pub fn default_pools(profile: &LoadBalancerProfile) -> &[PoolName] {
    match &profile.target {
        ProfileTarget::Pool { pools } => pools,
        ProfileTarget::Aws(_) => &[],
    }
}
