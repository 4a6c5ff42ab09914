//! Which calls draw on which of AWS's token buckets, and how large those are.
//!
//! The numbers are the defaults of every account and region, from the tables in AWS's own documentation:
//! - <https://docs.aws.amazon.com/elasticloadbalancing/latest/userguide/elb-api-throttling.html>
//! - <https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-throttling.html>
//!
//! An account may have been given more; then we are slower than we could be. Others may draw on the same buckets; then we
//! are throttled, and the limiters adapt.

use daymark_providers::rate::Rate;

use crate::api::{Filter, Request, Which};

/// A bucket of AWS's. ELBv2 groups its actions; EC2 counts each action by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CallClass {
    /// ELBv2, "non-mutating".
    ElbDescribe,
    /// ELBv2, "mutating".
    ElbChange,
    /// ELBv2, "resource-intensive": a load balancer is made, or its subnets change.
    ElbHeavy,
    /// ELBv2, "registration".
    ElbRegister,
    /// All of ELBv2 together.
    ElbAccount,
    /// One EC2 action, "non-mutating".
    Ec2Describe(&'static str),
    /// One EC2 action, "unfiltered and unpaginated non-mutating".
    Ec2DescribeAll(&'static str),
    /// One EC2 action, "mutating" or "resource-intensive": the numbers are the same.
    Ec2Change(&'static str),
    /// EC2's CreateTags or DeleteTags, "uncategorized".
    Ec2Tags(&'static str),
}

impl CallClass {
    /// The bucket that `request` draws on first.
    pub fn of(request: &Request) -> Self {
        use Request as R;
        let action = request.action();
        match request {
            R::DescribeLoadBalancers(_)
            | R::DescribeLoadBalancerAttributes(_)
            | R::DescribeCapacityReservation(_)
            | R::DescribeTargetGroups(_)
            | R::DescribeTargetGroupAttributes(_)
            | R::DescribeTargetHealth(_)
            | R::DescribeListeners(_)
            | R::DescribeListenerAttributes(_)
            | R::DescribeListenerCertificates(_)
            | R::DescribeTags(_)
            | R::DescribeAccountLimits(_) => Self::ElbDescribe,
            R::CreateLoadBalancer(_) | R::SetSubnets(_) => Self::ElbHeavy,
            R::RegisterTargets(_) | R::DeregisterTargets(_) => Self::ElbRegister,
            R::DeleteLoadBalancer(_)
            | R::SetSecurityGroups(_)
            | R::SetIpAddressType(_)
            | R::ModifyLoadBalancerAttributes(_)
            | R::ModifyCapacityReservation(_)
            | R::CreateTargetGroup(_)
            | R::ModifyTargetGroup(_)
            | R::DeleteTargetGroup(_)
            | R::ModifyTargetGroupAttributes(_)
            | R::CreateListener(_)
            | R::ModifyListener(_)
            | R::DeleteListener(_)
            | R::ModifyListenerAttributes(_)
            | R::AddListenerCertificates(_)
            | R::RemoveListenerCertificates(_)
            | R::AddTags(_)
            | R::RemoveTags(_) => Self::ElbChange,
            R::DescribeSecurityGroups(call) if is_unfiltered(&call.filter) => Self::Ec2DescribeAll(action),
            R::DescribeSecurityGroups(_)
            | R::DescribeSubnets(_)
            | R::DescribeVpcs(_)
            | R::DescribeRouteTables(_)
            | R::DescribeAddresses(_)
            | R::DescribeSecurityGroupRules(_)
            | R::DescribeNetworkInterfaces(_) => Self::Ec2Describe(action),
            R::CreateSecurityGroup(_)
            | R::DeleteSecurityGroup(_)
            | R::AuthorizeSecurityGroupIngress(_)
            | R::RevokeSecurityGroupIngress(_) => Self::Ec2Change(action),
            R::CreateTags(_) | R::DeleteTags(_) => Self::Ec2Tags(action),
        }
    }

    /// The bucket that calls of this class draw on beside their own: ELBv2 has one for the account, of the size of that
    /// for its Describes.
    pub fn shared(self) -> Option<Self> {
        match self {
            Self::ElbDescribe | Self::ElbChange | Self::ElbHeavy | Self::ElbRegister => {
                Some(Self::ElbAccount)
            }
            Self::ElbAccount
            | Self::Ec2Describe(_)
            | Self::Ec2DescribeAll(_)
            | Self::Ec2Change(_)
            | Self::Ec2Tags(_) => None,
        }
    }

    /// The size of the bucket, and how fast it fills.
    pub fn rate(self) -> Rate {
        let (burst, per_second) = match self {
            Self::ElbDescribe | Self::ElbAccount => (40.0, 10.0),
            Self::ElbChange => (20.0, 3.0),
            Self::ElbHeavy => (10.0, 0.2),
            Self::ElbRegister => (20.0, 4.0),
            Self::Ec2Describe(_) => (100.0, 20.0),
            Self::Ec2DescribeAll(_) => (50.0, 10.0),
            Self::Ec2Change(_) => (50.0, 5.0),
            Self::Ec2Tags(_) => (100.0, 10.0),
        };
        Rate { per_second, burst }
    }
}

/// Ids are no filter: AWS counts a call with ids and neither filter nor page as unfiltered.
fn is_unfiltered(filter: &Filter) -> bool {
    let Filter { ids: _, vpc, tags, names, letting_in } = filter;
    vpc.is_none() && tags.is_empty() && names.is_empty() && letting_in.is_empty()
}

/// The ARNs by which `which` names its resources.
pub(super) fn arns(which: &Which) -> Option<&[String]> {
    match which {
        Which::Arns(arns) => Some(arns),
        Which::Names(_) | Which::All => None,
    }
}

#[cfg(test)]
mod tests {
    use crate::api::{Call, DescribeSecurityGroups, RegisterTargets};

    use super::*;

    #[test]
    fn calls_find_their_buckets() {
        let register = RegisterTargets { arn: String::new(), targets: vec![] }.into_request();
        let class = CallClass::of(&register);
        assert_eq!((class, class.shared()), (CallClass::ElbRegister, Some(CallClass::ElbAccount)));
        let groups = |filter| CallClass::of(&DescribeSecurityGroups { filter }.into_request());
        let action = "ec2:DescribeSecurityGroups";
        let by_id = Filter { ids: vec!["sg-1".into()], ..Filter::default() };
        assert_eq!(groups(by_id), CallClass::Ec2DescribeAll(action));
        let by_vpc = Filter { vpc: Some("vpc-1".into()), ..Filter::default() };
        assert_eq!(groups(by_vpc), CallClass::Ec2Describe(action));
    }
}
