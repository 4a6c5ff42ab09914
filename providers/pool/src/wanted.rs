//! What a Service wants.

use std::net::IpAddr;

use daymark_model::{Family, PoolName};

use crate::reason::{Mismatch, Refusal};
use crate::view::{FamilyPolicy, ServiceView};

/// What a Service wants, checked for contradictions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted<'a> {
    first: Family,
    second: Option<Family>,
    /// Nothing at all unless every family is to be had.
    pub all_or_nothing: bool,
    /// The requested addresses.
    pub addresses: &'a [IpAddr],
    /// The pools it names itself, in order; empty = none named.
    pub pools: &'a [PoolName],
}

impl<'a> Wanted<'a> {
    /// What `service` wants.
    pub fn of(service: &'a ServiceView) -> Result<Self, Refusal> {
        let requests = service.requests.as_ref().map_err(|text| Refusal::InvalidRequest(text.clone()))?;
        let (first, second) = families(service)?;
        for (i, address) in requests.addresses.iter().enumerate() {
            let family = Family::of(*address);
            if family != first && Some(family) != second {
                return Err(Refusal::FamilyMismatch(Mismatch::Address { address: *address }));
            }
            if let Some(other) = requests.addresses[..i].iter().find(|a| Family::of(**a) == family) {
                return Err(Refusal::InvalidRequest(format!(
                    "{other} and {address} are both {family}: request one address per family"
                )));
            }
        }
        Ok(Self {
            first,
            second,
            all_or_nothing: service.family_policy == FamilyPolicy::RequireDualStack,
            addresses: &requests.addresses,
            pools: &requests.pools,
        })
    }

    /// The wanted families in the order of the Service.
    pub fn families(&self) -> impl Iterator<Item = Family> + use<> {
        std::iter::once(self.first).chain(self.second)
    }

    /// The address that it requests in `family`.
    pub fn address(&self, family: Family) -> Option<IpAddr> {
        self.addresses.iter().copied().find(|a| Family::of(*a) == family)
    }
}

/// The families of `service` in its order.
pub fn families(service: &ServiceView) -> Result<(Family, Option<Family>), Refusal> {
    let Some(first) = service.families.first().copied() else {
        return Err(Refusal::InvalidRequest("spec.ipFamilies is empty: name at least one family".to_owned()));
    };
    let second = match service.family_policy {
        FamilyPolicy::SingleStack => None,
        FamilyPolicy::PreferDualStack => service.families.contains(&first.other()).then(|| first.other()),
        FamilyPolicy::RequireDualStack => Some(first.other()),
    };
    Ok((first, second))
}
