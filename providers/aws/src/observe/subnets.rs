//! The subnets of the VPC, where they matter.

use daymark_model::aws::SubnetPolicy;
use daymark_model::{Ownership, Resource};

use super::look::Look;
use crate::api::{Api, ApiError, DescribeRouteTables, DescribeSubnets, Filter, IpAddressType, Scheme, ask};
use crate::model::Adopt;
use crate::naming::kind;
use crate::plan::replacement::causes;
use crate::subnets::any_tagged;

impl<A: Api> Look<'_, A> {
    pub(super) async fn subnets(&mut self) -> Result<(), ApiError> {
        let Some(nlb) = self.nlb() else { return Ok(()) };
        if !self.subnets_matter() {
            return Ok(());
        }
        let (vpc, named) = (nlb.vpc.clone(), !nlb.subnets.named.is_empty());
        let existing =
            self.actual.load_balancers.values().next_back().map(|found| found.load_balancer.scheme);
        let scheme = nlb.scheme.or(existing).unwrap_or(Scheme::Internal);
        let filter = Filter { vpc: Some(vpc.clone()), ..Filter::default() };
        self.actual.subnets = ask(self.api, DescribeSubnets { filter }).await?;
        if !named && !any_tagged(&self.actual.subnets, scheme) {
            self.actual.route_tables = ask(self.api, DescribeRouteTables { vpc }).await?;
        }
        Ok(())
    }

    /// Whether a load balancer is to be made, its subnets follow a wish, or must have IPv6 prefixes.
    fn subnets_matter(&self) -> bool {
        let Some(nlb) = self.nlb() else { return false };
        if matches!(nlb.adopt, Some(Adopt::Arn(_))) {
            return false;
        }
        let stands = |entry: &Resource| {
            entry.ownership == Ownership::Owned
                && self
                    .actual
                    .load_balancers
                    .get(&entry.key)
                    .is_some_and(|found| causes(nlb, entry, found).is_empty())
        };
        let adopts = self.actual.adoptable.iter().any(|one| one.key.kind == kind::LOAD_BALANCER);
        let stands = adopts || self.inventory.of_kind(kind::LOAD_BALANCER).any(stands);
        let gains_ipv6 = nlb.ip_address_type == IpAddressType::Dualstack
            && self
                .actual
                .load_balancers
                .values()
                .any(|found| found.load_balancer.ip_address_type == IpAddressType::Ipv4);
        !stands || gains_ipv6 || !nlb.subnets.named.is_empty() || nlb.policy.subnets != SubnetPolicy::Sticky
    }
}
