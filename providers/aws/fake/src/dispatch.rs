//! Which call does what.

use daymark_aws::api::{ApiError, Request, Response};

use crate::clock::Hand;
use crate::refusal::Answer;
use crate::state::State;

impl State {
    /// Does a call.
    pub(crate) fn apply(&mut self, hand: Hand, request: &Request) -> Result<Response, ApiError> {
        self.hand = hand;
        let answer = self.require_found(request).and_then(|()| self.answer(request));
        answer.map_err(|refusal| request.error(refusal.code, refusal.message))
    }

    fn answer(&mut self, request: &Request) -> Answer<Response> {
        use Response as Is;
        Ok(match request {
            Request::DescribeLoadBalancers(call) => {
                Is::DescribeLoadBalancers(self.describe_load_balancers(&call.which)?)
            }
            Request::CreateLoadBalancer(call) => Is::CreateLoadBalancer(self.create_load_balancer(call)?),
            Request::DeleteLoadBalancer(call) => {
                Is::DeleteLoadBalancer(self.delete_load_balancer(&call.arn)?)
            }
            Request::SetSubnets(call) => {
                Is::SetSubnets(self.set_subnets(&call.arn, &call.subnets, call.source_nat)?)
            }
            Request::SetSecurityGroups(call) => Is::SetSecurityGroups(self.set_security_groups(
                &call.arn,
                &call.security_groups,
                call.private_link_rules,
            )?),
            Request::SetIpAddressType(call) => {
                Is::SetIpAddressType(self.set_ip_address_type(&call.arn, call.ip_address_type)?)
            }
            Request::DescribeLoadBalancerAttributes(call) => {
                Is::DescribeLoadBalancerAttributes(self.load_balancer_attributes(&call.arn)?)
            }
            Request::ModifyLoadBalancerAttributes(call) => Is::ModifyLoadBalancerAttributes(
                self.modify_load_balancer_attributes(&call.arn, &call.attributes)?,
            ),
            Request::DescribeCapacityReservation(call) => {
                Is::DescribeCapacityReservation(self.balancer(&call.arn)?.capacity)
            }
            Request::ModifyCapacityReservation(call) => {
                Is::ModifyCapacityReservation(self.modify_capacity(&call.arn, call.units)?)
            }
            Request::DescribeTargetGroups(call) => {
                Is::DescribeTargetGroups(self.describe_target_groups(&call.which)?)
            }
            Request::CreateTargetGroup(call) => Is::CreateTargetGroup(self.create_target_group(call)?),
            Request::ModifyTargetGroup(call) => {
                Is::ModifyTargetGroup(self.modify_target_group(&call.arn, &call.health)?)
            }
            Request::DeleteTargetGroup(call) => Is::DeleteTargetGroup(self.delete_target_group(&call.arn)?),
            Request::DescribeTargetGroupAttributes(call) => {
                Is::DescribeTargetGroupAttributes(self.target_group_attributes(&call.arn)?)
            }
            Request::ModifyTargetGroupAttributes(call) => Is::ModifyTargetGroupAttributes(
                self.modify_target_group_attributes(&call.arn, &call.attributes)?,
            ),
            Request::RegisterTargets(call) => {
                Is::RegisterTargets(self.register_targets(&call.arn, &call.targets)?)
            }
            Request::DeregisterTargets(call) => {
                Is::DeregisterTargets(self.deregister_targets(&call.arn, &call.targets)?)
            }
            Request::DescribeTargetHealth(call) => {
                Is::DescribeTargetHealth(self.describe_target_health(&call.arn)?)
            }
            Request::DescribeListeners(call) => {
                Is::DescribeListeners(self.describe_listeners(&call.load_balancer)?)
            }
            Request::CreateListener(call) => Is::CreateListener(self.create_listener(call)?),
            Request::ModifyListener(call) => Is::ModifyListener(self.modify_listener(call)?),
            Request::DeleteListener(call) => Is::DeleteListener(self.delete_listener(&call.arn)?),
            Request::DescribeListenerAttributes(call) => {
                Is::DescribeListenerAttributes(self.listener_attributes(&call.arn)?)
            }
            Request::ModifyListenerAttributes(call) => {
                Is::ModifyListenerAttributes(self.modify_listener_attributes(&call.arn, &call.attributes)?)
            }
            Request::DescribeListenerCertificates(call) => {
                Is::DescribeListenerCertificates(self.listener_certificates(&call.arn)?)
            }
            Request::AddListenerCertificates(call) => {
                Is::AddListenerCertificates(self.add_listener_certificates(&call.arn, &call.certificates)?)
            }
            Request::RemoveListenerCertificates(call) => Is::RemoveListenerCertificates(
                self.remove_listener_certificates(&call.arn, &call.certificates)?,
            ),
            Request::DescribeTags(call) => Is::DescribeTags(self.describe_tags(&call.arns)?),
            Request::AddTags(call) => Is::AddTags(self.add_tags(&call.arn, &call.tags)?),
            Request::RemoveTags(call) => Is::RemoveTags(self.remove_tags(&call.arn, &call.keys)?),
            Request::DescribeAccountLimits(_) => Is::DescribeAccountLimits(self.quotas.limits()),
            Request::DescribeSubnets(call) => Is::DescribeSubnets(self.describe_subnets(&call.filter)?),
            Request::DescribeVpcs(call) => Is::DescribeVpcs(self.describe_vpcs(&call.ids)?),
            Request::DescribeRouteTables(call) => {
                Is::DescribeRouteTables(self.describe_route_tables(&call.vpc))
            }
            Request::DescribeAddresses(call) => {
                Is::DescribeAddresses(self.describe_addresses(&call.allocations)?)
            }
            Request::DescribeSecurityGroups(call) => {
                Is::DescribeSecurityGroups(self.describe_security_groups(&call.filter)?)
            }
            Request::DescribeSecurityGroupRules(call) => {
                Is::DescribeSecurityGroupRules(self.describe_rules(&call.groups))
            }
            Request::CreateSecurityGroup(call) => Is::CreateSecurityGroup(self.create_security_group(
                &call.name,
                &call.description,
                &call.vpc,
                &call.tags,
            )?),
            Request::DeleteSecurityGroup(call) => {
                Is::DeleteSecurityGroup(self.delete_security_group(&call.id)?)
            }
            Request::AuthorizeSecurityGroupIngress(call) => Is::AuthorizeSecurityGroupIngress(
                self.authorize(&call.group, &call.rules, &call.description)?,
            ),
            Request::RevokeSecurityGroupIngress(call) => {
                Is::RevokeSecurityGroupIngress(self.revoke(&call.group, &call.rules)?)
            }
            Request::DescribeNetworkInterfaces(call) => {
                Is::DescribeNetworkInterfaces(self.describe_network_interfaces(&call.group))
            }
            Request::CreateTags(call) => Is::CreateTags(self.create_ec2_tags(&call.id, &call.tags)?),
            Request::DeleteTags(call) => Is::DeleteTags(self.delete_ec2_tags(&call.id, &call.keys)?),
        })
    }
}
