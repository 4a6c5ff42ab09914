//! What stands between the controller and the account: it watches every call, and the process may die around each.

use daymark_aws::api::{
    Api, ApiError, DescribeListenerAttributes, DescribeListeners, DescribeLoadBalancerAttributes,
    DescribeLoadBalancers, DescribeTargetGroupAttributes, DescribeTargetHealth, IpAddressType, Request,
    Response, SetSubnets, Target, TargetState, Which,
};
use daymark_aws::model::Desired;
use daymark_aws::pace::Paced;
use daymark_aws_fake::Aws;

use crate::book::Shared;
use crate::life::Life;

/// The account as the controller sees it.
#[derive(Clone)]
pub struct Spy {
    pub aws: Aws,
    pub shared: Shared,
    pub life: Life,
}

impl Api for Spy {
    async fn call(&self, request: Request) -> Result<Response, ApiError> {
        self.life.step().await;
        self.watch(&request);
        let answer = self.aws.call(request).await;
        self.life.step().await;
        answer
    }
}

/// With the pace that AWS allows, or without.
pub enum Way {
    Straight(Spy),
    Paced(Paced<Spy>),
}

impl Api for Way {
    async fn call(&self, request: Request) -> Result<Response, ApiError> {
        match self {
            Self::Straight(spy) => spy.call(request).await,
            Self::Paced(paced) => paced.call(request).await,
        }
    }
}

impl Spy {
    #[allow(clippy::wildcard_enum_match_arm, reason = "what only looks, or makes something, harms nobody")]
    fn watch(&self, request: &Request) {
        match request {
            Request::DeleteLoadBalancer(call) => {
                self.agreed(&call.arn, "DeleteLoadBalancer", &["replace "]);
                self.ours(&call.arn, request);
            }
            Request::SetSubnets(call) => {
                if self.cuts_off(call) {
                    self.agreed(&call.arn, "SetSubnets", &["zone ", "leave "]);
                }
                self.ours(&call.arn, request);
            }
            Request::SetIpAddressType(call) => {
                if call.ip_address_type == IpAddressType::Ipv4 {
                    self.agreed(&call.arn, "SetIpAddressType", &["ipv4 only "]);
                }
                self.ours(&call.arn, request);
            }
            Request::DeregisterTargets(call) => {
                self.keeps_a_target(&call.arn, &call.targets);
                self.ours(&call.arn, request);
            }
            Request::ModifyLoadBalancerAttributes(call) => {
                let ask = DescribeLoadBalancerAttributes { arn: call.arn.clone() };
                self.note_attributes(&call.arn, call.attributes.keys(), self.aws.as_other(ask).ok());
                self.ours(&call.arn, request);
            }
            Request::ModifyTargetGroupAttributes(call) => {
                let ask = DescribeTargetGroupAttributes { arn: call.arn.clone() };
                self.note_attributes(&call.arn, call.attributes.keys(), self.aws.as_other(ask).ok());
                self.ours(&call.arn, request);
            }
            Request::ModifyListenerAttributes(call) => {
                let ask = DescribeListenerAttributes { arn: call.arn.clone() };
                self.note_attributes(&call.arn, call.attributes.keys(), self.aws.as_other(ask).ok());
                self.ours(&call.arn, request);
            }
            Request::SetSecurityGroups(call) => self.ours(&call.arn, request),
            Request::ModifyCapacityReservation(call) => self.ours(&call.arn, request),
            Request::ModifyTargetGroup(call) => self.ours(&call.arn, request),
            Request::DeleteTargetGroup(call) => self.ours(&call.arn, request),
            Request::RegisterTargets(call) => self.ours(&call.arn, request),
            Request::CreateListener(call) => self.ours(&call.load_balancer, request),
            Request::ModifyListener(call) => self.ours(&call.arn, request),
            Request::DeleteListener(call) => {
                self.is_not_served(&call.arn);
                self.ours(&call.arn, request);
            }
            Request::AddTags(call) => self.ours(&call.arn, request),
            Request::RemoveTags(call) => self.ours(&call.arn, request),
            Request::DeleteSecurityGroup(call) => self.ours(&call.id, request),
            Request::CreateTags(call) => self.ours(&call.id, request),
            Request::DeleteTags(call) => self.ours(&call.id, request),
            Request::RevokeSecurityGroupIngress(call) => {
                call.rules.iter().for_each(|rule| self.ours(rule, request));
            }
            _ => {}
        }
    }

    /// Nothing of somebody else is changed.
    fn ours(&self, id: &str, request: &Request) {
        let mut book = self.shared.book();
        if book.foreign.contains(id) {
            book.violation(format!("{} of somebody else's {id}: {request:?}", request.action()));
        }
    }

    /// What interrupts a load balancer that somebody wants was agreed to, and that is saved.
    fn agreed(&self, arn: &str, what: &str, changes: &[&str]) {
        let mut book = self.shared.book();
        let Some((object, entry)) = book.holder(arn) else { return };
        if object.desired.is_none() {
            return;
        }
        let number = format!("#{}", entry.key.generation);
        let granted = object
            .inventory
            .granted
            .iter()
            .any(|id| id.contains(&number) && changes.iter().any(|change| id.starts_with(change)));
        if !granted {
            let text = format!("{what} of {} without consent: {:?}", entry.key, object.inventory.granted);
            book.violation(text);
        }
    }

    /// The listener of a port that is wished goes only where that was agreed to.
    fn is_not_served(&self, arn: &str) {
        let wished = {
            let book = self.shared.book();
            let Some((object, entry)) = book.holder(arn) else { return };
            let Some(Desired::LoadBalancer(nlb)) = &object.desired else { return };
            nlb.listeners.keys().any(|port| port.to_string() == entry.key.role)
        };
        if wished {
            self.agreed(arn, "DeleteListener", &["ipv6 for UDP ", "replace "]);
        }
    }

    fn cuts_off(&self, call: &SetSubnets) -> bool {
        let ask = DescribeLoadBalancers { which: Which::Arns(vec![call.arn.clone()]) };
        let found = self.aws.as_other(ask).unwrap_or_default();
        let stays = |zone: &daymark_aws::api::Zone| {
            call.subnets.iter().any(|to| to.subnet == zone.subnet && to.allocation == zone.address.allocation)
        };
        found.iter().flat_map(|one| &one.zones).any(|zone| !stays(zone))
    }

    /// The last healthy target goes only when those that are wished have come, or none is wished.
    fn keeps_a_target(&self, arn: &str, going: &[Target]) {
        let Ok(targets) = self.aws.as_other(DescribeTargetHealth { arn: arn.to_owned() }) else { return };
        let goes = |target: &Target| going.iter().any(|one| one.id == target.id && one.port == target.port);
        let healthy = targets.iter().filter(|health| health.state == TargetState::Healthy);
        let (leaving, staying): (Vec<_>, Vec<_>) = healthy.partition(|health| goes(&health.target));
        if leaving.is_empty() || !staying.is_empty() {
            return;
        }
        let mut book = self.shared.book();
        let Some((object, entry)) = book.holder(arn) else { return };
        let Some(Desired::LoadBalancer(nlb)) = &object.desired else { return };
        let Some(wish) = nlb.target_groups.get(&entry.key.role) else { return };
        let registered = |wished: &Target| {
            targets.iter().any(|health| {
                health.state != TargetState::Draining
                    && health.target.id == wished.id
                    && health.target.port == wished.port
                    && !goes(&health.target)
            })
        };
        // A target group that nothing forwards to any longer drains, whoever is wished.
        let used = self.is_used(arn, entry.facts.get(daymark_aws::naming::fact::USED_BY));
        if used && !book.is_tight && !wish.targets.is_empty() && !wish.targets.iter().any(registered) {
            let text = format!("the last healthy target of {} goes before another comes", entry.key);
            book.violation(text);
        }
    }

    fn is_used(&self, arn: &str, load_balancer: Option<&String>) -> bool {
        let Some(load_balancer) = load_balancer else { return false };
        let ask = DescribeListeners { load_balancer: load_balancer.clone() };
        let listeners = self.aws.as_other(ask).unwrap_or_default();
        listeners.iter().flat_map(|one| &one.forward).any(|to| to.target_group == arn && to.weight > 0)
    }

    /// Notes how attributes were before they are changed for the first time.
    fn note_attributes<'a>(
        &self,
        arn: &str,
        names: impl Iterator<Item = &'a String>,
        found: Option<daymark_aws::api::Attributes>,
    ) {
        let Some(found) = found else { return };
        let mut book = self.shared.book();
        for name in names {
            let value = found.get(name).cloned();
            book.before.entry((arn.to_owned(), name.clone())).or_insert(value);
        }
    }
}
