//! What is so new that AWS does not find it yet: whoever made it and goes on with its ARN or id is told that it does not exist.

use daymark_aws::api::Request;

use crate::clock::{Birth, Hand};
use crate::refusal::Answer;
use crate::state::State;
use crate::{security_group, tags};

impl State {
    /// Whether the resource that a call is about can be found yet.
    pub(crate) fn require_found(&self, request: &Request) -> Answer<()> {
        let lag = self.consistency.identities;
        if self.hand == Hand::Other || lag.is_zero() {
            return Ok(());
        }
        let Some(id) = subject(request) else { return Ok(()) };
        match self.birth_of(id) {
            Some(birth) if !birth.is_seen(self.now, lag) => {
                Err(if id.starts_with("arn:") { tags::missing(id) } else { security_group::missing(id) })
            }
            Some(_) | None => Ok(()),
        }
    }

    fn birth_of(&self, id: &str) -> Option<Birth> {
        let balancer = || self.balancers.get(id).map(|balancer| balancer.birth);
        let pool = || self.pools.get(id).map(|pool| pool.birth);
        let listening = || self.listeners.get(id).map(|listening| listening.birth);
        let group = || self.groups.get(id).map(|group| group.birth);
        balancer().or_else(pool).or_else(listening).or_else(group)
    }
}

/// The one resource that a call is about. Deletions find everything: one that did not would say that all is well.
fn subject(request: &Request) -> Option<&str> {
    match request {
        Request::SetSubnets(call) => Some(&call.arn),
        Request::SetSecurityGroups(call) => Some(&call.arn),
        Request::SetIpAddressType(call) => Some(&call.arn),
        Request::DescribeLoadBalancerAttributes(call) => Some(&call.arn),
        Request::ModifyLoadBalancerAttributes(call) => Some(&call.arn),
        Request::DescribeCapacityReservation(call) => Some(&call.arn),
        Request::ModifyCapacityReservation(call) => Some(&call.arn),
        Request::ModifyTargetGroup(call) => Some(&call.arn),
        Request::DescribeTargetGroupAttributes(call) => Some(&call.arn),
        Request::ModifyTargetGroupAttributes(call) => Some(&call.arn),
        Request::RegisterTargets(call) => Some(&call.arn),
        Request::DeregisterTargets(call) => Some(&call.arn),
        Request::DescribeTargetHealth(call) => Some(&call.arn),
        Request::DescribeListeners(call) => Some(&call.load_balancer),
        Request::CreateListener(call) => Some(&call.load_balancer),
        Request::ModifyListener(call) => Some(&call.arn),
        Request::DescribeListenerAttributes(call) => Some(&call.arn),
        Request::ModifyListenerAttributes(call) => Some(&call.arn),
        Request::DescribeListenerCertificates(call) => Some(&call.arn),
        Request::AddListenerCertificates(call) => Some(&call.arn),
        Request::RemoveListenerCertificates(call) => Some(&call.arn),
        Request::AddTags(call) => Some(&call.arn),
        Request::RemoveTags(call) => Some(&call.arn),
        Request::AuthorizeSecurityGroupIngress(call) => Some(&call.group),
        Request::RevokeSecurityGroupIngress(call) => Some(&call.group),
        Request::CreateTags(call) => Some(&call.id),
        Request::DeleteTags(call) => Some(&call.id),
        Request::DescribeLoadBalancers(_)
        | Request::CreateLoadBalancer(_)
        | Request::DeleteLoadBalancer(_)
        | Request::DescribeTargetGroups(_)
        | Request::CreateTargetGroup(_)
        | Request::DeleteTargetGroup(_)
        | Request::DeleteListener(_)
        | Request::DescribeTags(_)
        | Request::DescribeAccountLimits(_)
        | Request::DescribeSubnets(_)
        | Request::DescribeVpcs(_)
        | Request::DescribeRouteTables(_)
        | Request::DescribeAddresses(_)
        | Request::DescribeSecurityGroups(_)
        | Request::DescribeSecurityGroupRules(_)
        | Request::CreateSecurityGroup(_)
        | Request::DeleteSecurityGroup(_)
        | Request::DescribeNetworkInterfaces(_) => None,
    }
}
