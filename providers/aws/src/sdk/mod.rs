//! AWS itself behind [`Api`]: its SDK, with what this controller needs of it and nothing else.
//!
//! | module | about |
//! |---|---|
//! | [`connect`] | credentials, region, TLS, timeouts |
//! | [`elb`] | the calls of Elastic Load Balancing |
//! | [`ec2`] | the calls of EC2 |
//! | [`decode`] | what an answer has to say, and what is done about one that does not |
//! | [`error`] | errors of the SDK as [`ApiError`] |
//!
//! Nothing is retried here: who calls knows what an error means, and when to come back.

mod connect;
mod decode;
mod ec2;
mod elb;
mod error;

use std::fmt;

use crate::api::{Api, ApiError, Request, Response};

pub use connect::{ConnectError, Settings};

/// A connection to one region of one account.
#[derive(Clone)]
pub struct Sdk {
    elb: aws_sdk_elasticloadbalancingv2::Client,
    ec2: aws_sdk_ec2::Client,
    region: String,
}

impl Sdk {
    /// The region that is asked.
    pub fn region(&self) -> &str {
        &self.region
    }
}

impl fmt::Debug for Sdk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sdk").field("region", &self.region).finish_non_exhaustive()
    }
}

/// Hands each call to the function that makes it. Boxed: the future of a call is several kilobytes, and there are dozens.
macro_rules! dispatch {
    ($request:expr, $($call:ident => $function:path, $client:expr;)*) => {
        match $request {
            $(Request::$call(call) => Box::pin($function($client, call)).await.map(Response::$call),)*
        }
    };
}

impl Api for Sdk {
    async fn call(&self, request: Request) -> Result<Response, ApiError> {
        dispatch! { request,
            DescribeLoadBalancers => elb::load_balancers::describe, &self.elb;
            CreateLoadBalancer => elb::load_balancers::create, &self.elb;
            DeleteLoadBalancer => elb::load_balancers::delete, &self.elb;
            SetSubnets => elb::load_balancers::set_subnets, &self.elb;
            SetSecurityGroups => elb::load_balancers::set_security_groups, &self.elb;
            SetIpAddressType => elb::load_balancers::set_ip_address_type, &self.elb;
            DescribeCapacityReservation => elb::load_balancers::describe_capacity, &self.elb;
            ModifyCapacityReservation => elb::load_balancers::modify_capacity, &self.elb;
            DescribeLoadBalancerAttributes => elb::attributes::describe_load_balancer, &self.elb;
            ModifyLoadBalancerAttributes => elb::attributes::modify_load_balancer, &self.elb;
            DescribeTargetGroupAttributes => elb::attributes::describe_target_group, &self.elb;
            ModifyTargetGroupAttributes => elb::attributes::modify_target_group, &self.elb;
            DescribeListenerAttributes => elb::attributes::describe_listener, &self.elb;
            ModifyListenerAttributes => elb::attributes::modify_listener, &self.elb;
            DescribeTargetGroups => elb::target_groups::describe, &self.elb;
            CreateTargetGroup => elb::target_groups::create, &self.elb;
            ModifyTargetGroup => elb::target_groups::modify, &self.elb;
            DeleteTargetGroup => elb::target_groups::delete, &self.elb;
            RegisterTargets => elb::targets::register, &self.elb;
            DeregisterTargets => elb::targets::deregister, &self.elb;
            DescribeTargetHealth => elb::targets::health, &self.elb;
            DescribeListeners => elb::listeners::describe, &self.elb;
            CreateListener => elb::listeners::create, &self.elb;
            ModifyListener => elb::listeners::modify, &self.elb;
            DeleteListener => elb::listeners::delete, &self.elb;
            DescribeListenerCertificates => elb::certificates::describe, &self.elb;
            AddListenerCertificates => elb::certificates::add, &self.elb;
            RemoveListenerCertificates => elb::certificates::remove, &self.elb;
            DescribeTags => elb::account::describe_tags, &self.elb;
            AddTags => elb::account::add_tags, &self.elb;
            RemoveTags => elb::account::remove_tags, &self.elb;
            DescribeAccountLimits => elb::account::limits, &self.elb;
            DescribeSubnets => ec2::network::subnets, &self.ec2;
            DescribeVpcs => ec2::network::vpcs, &self.ec2;
            DescribeRouteTables => ec2::network::route_tables, &self.ec2;
            DescribeAddresses => ec2::network::addresses, &self.ec2;
            DescribeNetworkInterfaces => ec2::network::interfaces, &self.ec2;
            DescribeSecurityGroups => ec2::security_groups::describe, &self.ec2;
            CreateSecurityGroup => ec2::security_groups::create, &self.ec2;
            DeleteSecurityGroup => ec2::security_groups::delete, &self.ec2;
            DescribeSecurityGroupRules => ec2::rules::describe, &self.ec2;
            AuthorizeSecurityGroupIngress => ec2::rules::authorize, &self.ec2;
            RevokeSecurityGroupIngress => ec2::rules::revoke, &self.ec2;
            CreateTags => ec2::tags::create, &self.ec2;
            DeleteTags => ec2::tags::delete, &self.ec2;
        }
    }
}
