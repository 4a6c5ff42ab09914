//! Profiles: who serves a `loadBalancerClass`, with which defaults.

use crate::aws::AwsProfile;
use crate::name::{PoolName, ProfileName};
use crate::time::Timestamp;

/// Maps a `loadBalancerClass` to a provider and its defaults.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoadBalancerProfile {
    /// Its name; `None` for the built-in one that holds while there is no object.
    pub name: Option<ProfileName>,
    /// When it was made: of two that claim one class the oldest wins (then the lower name).
    pub created_at: Timestamp,
    /// The class it serves.
    pub class: String,
    /// Serves Services without a class too.
    pub default: bool,
    /// Who gives the addresses.
    pub target: ProfileTarget,
}

/// Who gives the addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProfileTarget {
    /// Pools of addresses.
    Pool {
        /// The pools that a Service which names none is given addresses from, in this order; empty = the automatic
        /// ones.
        pools: Vec<PoolName>,
    },
    /// Network Load Balancers of AWS.
    Aws(Box<AwsProfile>),
}

impl LoadBalancerProfile {
    /// The class of the built-in profile.
    pub const BUILT_IN_CLASS: &'static str = "daymark.dev/pool";

    /// The profile that holds while there is no object.
    pub fn built_in(default: bool) -> Self {
        Self {
            name: None,
            created_at: Timestamp::default(),
            class: Self::BUILT_IN_CLASS.to_owned(),
            default,
            target: ProfileTarget::Pool { pools: Vec::new() },
        }
    }
}
