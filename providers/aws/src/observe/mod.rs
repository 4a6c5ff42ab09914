//! What there is: by stored id, so that the number of calls does not grow with the account.
//!
//! | module | about |
//! |---|---|
//! | [`actual`] | what was found, as plain values |
//! | [`describe`] | several at once, also where one of them is gone |
//! | [`look`] | one look: what is visible, not visible yet, or gone |
//! | [`load_balancers`], [`target_groups`], [`security`] | one kind each |
//! | [`subnets`] | the subnets of the VPC, where they matter |
//! | [`adoption`] | what exists already and is to be taken over |
//! | [`facts`] | what the inventory keeps for later |

pub mod actual;
pub mod adoption;
pub mod describe;
pub mod facts;
pub mod load_balancers;
pub mod look;
pub mod security;
pub mod subnets;
pub mod target_groups;

use daymark_model::{Inventory, Timestamp};
use daymark_providers::{CloudError, Depth};
use ipnet::IpNet;

pub use actual::{
    Actual, Adoptable, FoundListener, FoundLoadBalancer, FoundSecurityGroup, FoundTargetGroup, NodeGroup,
    Quotas,
};

use crate::api::Api;
use crate::model::Desired;
use crate::refusal::refusal;
use look::Look;

/// What is known beforehand, because it hardly ever changes.
#[derive(Debug, Clone, Default)]
pub struct Surroundings {
    /// The prefixes of the VPC.
    pub vpc: Vec<IpNet>,
    /// How many targets there may be.
    pub quotas: Quotas,
}

/// Looks at what `inventory` names, and at what `desired` needs.
///
/// # Errors
/// AWS's, and faults of the user that show here: names of security groups that do not exist.
pub async fn observe<A: Api>(
    api: &A,
    surroundings: Surroundings,
    desired: Option<&Desired>,
    inventory: &mut Inventory,
    depth: Depth,
    now: Timestamp,
) -> Result<Actual, CloudError> {
    let actual = Actual { vpc: surroundings.vpc, quotas: surroundings.quotas, ..Actual::new(depth) };
    let mut look = Look { api, inventory, actual, desired, now };
    match depth {
        Depth::Targets => look.targets().await.map_err(refusal)?,
        Depth::Full => look.everything().await?,
    }
    Ok(look.actual)
}
