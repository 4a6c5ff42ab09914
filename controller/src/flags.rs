//! The command line.

use std::hash::{BuildHasher, Hasher};

use clap::Parser;
use daymark_kube::daemon::CommonFlags;

/// Gives addresses to Services of type LoadBalancer.
#[derive(Debug, Clone, Parser)]
#[command(name = "daymark-controller", version)]
pub struct Flags {
    /// Flags of every daemon.
    #[command(flatten)]
    pub common: CommonFlags,

    /// Who this replica is in the leader election: no two may have the same [default: host name and a random suffix]
    #[arg(long, env = "DAYMARK_IDENTITY", value_name = "ID")]
    pub identity: Option<String>,

    /// While there is no LoadBalancerProfile, leave Services without a loadBalancerClass alone
    #[arg(long, env = "DAYMARK_REQUIRE_CLASS")]
    pub require_class: bool,
}

impl Flags {
    /// Who this replica is.
    pub fn identity(&self) -> String {
        self.identity.clone().unwrap_or_else(|| {
            let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
            let random = std::collections::hash_map::RandomState::new().build_hasher().finish();
            format!("{}_{random:016x}", host.trim())
        })
    }
}
