//! The calls.

use super::ApiError;
use super::types::{
    Attributes, ElasticIp, Forward, HealthCheck, Ingress, IngressRule, IpAddressType, Limit, Listener,
    LoadBalancer, NetworkInterface, NlbProtocol, RouteTable, Scheme, SecurityGroup, Subnet, SubnetMapping,
    Tags, Target, TargetGroup, TargetHealth, TargetType, Vpc,
};
use daymark_model::Family;
use std::collections::BTreeMap;

/// A call and what its answer is.
pub trait Call: Send {
    /// The answer.
    type Answer;
    /// The action as an IAM policy names it.
    const ACTION: &'static str;

    /// The call as one of all.
    fn into_request(self) -> Request;

    /// The answer out of one of all; `None` when it is one to another call.
    fn answer(response: Response) -> Option<Self::Answer>;
}

macro_rules! calls {
    ($($(#[$doc:meta])* $service:literal $name:ident { $($(#[$field_doc:meta])* $field:ident: $type:ty,)* } -> $answer:ty;)*) => {
        $(
            $(#[$doc])*
            #[derive(Debug, Clone, PartialEq, Eq)]
            pub struct $name { $($(#[$field_doc])* pub $field: $type,)* }

            impl Call for $name {
                type Answer = $answer;
                const ACTION: &'static str = concat!($service, ":", stringify!($name));

                fn into_request(self) -> Request {
                    Request::$name(self)
                }

                fn answer(response: Response) -> Option<$answer> {
                    #[allow(clippy::wildcard_enum_match_arm, reason = "every other answer is the wrong one")]
                    match response {
                        Response::$name(answer) => Some(answer),
                        _ => None,
                    }
                }
            }
        )*

        /// Any call.
        #[derive(Debug, Clone, PartialEq, Eq)]
        #[allow(missing_docs, reason = "each variant is the struct of its name")]
        pub enum Request { $($name($name),)* }

        impl Request {
            /// The action as an IAM policy names it.
            pub fn action(&self) -> &'static str {
                match self { $(Self::$name(_) => $name::ACTION,)* }
            }

            /// The error of this call with AWS's code.
            pub fn error(&self, code: &str, message: impl Into<String>) -> ApiError {
                ApiError::new(self.action(), code, message)
            }
        }

        /// The answer to any call.
        #[derive(Debug, Clone, PartialEq, Eq)]
        #[allow(missing_docs, reason = "each variant is the answer to the call of its name")]
        pub enum Response { $($name($answer),)* }
    };
}

/// Which load balancers or target groups are meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Which {
    /// These; AWS takes 20 at once, and fails when one of them does not exist.
    Arns(Vec<String>),
    /// Those with these names; AWS takes 20 at once, and fails when one of them does not exist.
    Names(Vec<String>),
    /// All of the account and region, of all types; every page.
    All,
}

/// Which EC2 resources are meant: those that fit everything.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Filter {
    /// These ids; empty = any. EC2 fails when one of them does not exist.
    pub ids: Vec<String>,
    /// In this VPC.
    pub vpc: Option<String>,
    /// With each of these tags, with one of the values (no value = whatever it is).
    pub tags: BTreeMap<String, Vec<String>>,
    /// With one of these names (`group-name` of security groups, tag `Name` of others); empty = any.
    pub names: Vec<String>,
    /// Security groups with a rule that lets in one of these security groups; empty = any.
    pub letting_in: Vec<String>,
}

calls! {
    /// Load balancers. Network load balancers are not the only ones.
    "elasticloadbalancing" DescribeLoadBalancers {
        /// Which.
        which: Which,
    } -> Vec<LoadBalancer>;

    /// Makes a network load balancer; one with the same name and settings is given back as it is.
    "elasticloadbalancing" CreateLoadBalancer {
        /// Its name.
        name: String,
        /// Where its clients are.
        scheme: Scheme,
        /// Its families.
        ip_address_type: IpAddressType,
        /// Its subnets, one per zone.
        subnets: Vec<SubnetMapping>,
        /// Its security groups; without any it can never get one.
        security_groups: Vec<String>,
        /// Prefixes for IPv6 source NAT.
        source_nat: bool,
        /// Its tags.
        tags: Tags,
    } -> LoadBalancer;

    /// Deletes a load balancer with its listeners; one that does not exist is no error.
    "elasticloadbalancing" DeleteLoadBalancer {
        /// Its ARN.
        arn: String,
    } -> ();

    /// Replaces the subnets.
    "elasticloadbalancing" SetSubnets {
        /// The load balancer's ARN.
        arn: String,
        /// All subnets that it is to have.
        subnets: Vec<SubnetMapping>,
        /// Prefixes for IPv6 source NAT; `None` = as it is.
        source_nat: Option<bool>,
    } -> ();

    /// Replaces the security groups.
    "elasticloadbalancing" SetSecurityGroups {
        /// The load balancer's ARN.
        arn: String,
        /// All security groups that it is to have.
        security_groups: Vec<String>,
        /// Whether they hold for traffic through PrivateLink; `None` = as it is.
        private_link_rules: Option<bool>,
    } -> ();

    /// Changes the families.
    "elasticloadbalancing" SetIpAddressType {
        /// The load balancer's ARN.
        arn: String,
        /// Its families.
        ip_address_type: IpAddressType,
    } -> ();

    /// The attributes of a load balancer.
    "elasticloadbalancing" DescribeLoadBalancerAttributes {
        /// Its ARN.
        arn: String,
    } -> Attributes;

    /// Changes attributes of a load balancer; others stay.
    "elasticloadbalancing" ModifyLoadBalancerAttributes {
        /// Its ARN.
        arn: String,
        /// What changes.
        attributes: Attributes,
    } -> ();

    /// The reserved capacity units of a load balancer; 0 = none.
    "elasticloadbalancing" DescribeCapacityReservation {
        /// Its ARN.
        arn: String,
    } -> u32;

    /// Reserves capacity units; 0 ends the reservation.
    "elasticloadbalancing" ModifyCapacityReservation {
        /// The load balancer's ARN.
        arn: String,
        /// How many.
        units: u32,
    } -> ();

    /// Target groups.
    "elasticloadbalancing" DescribeTargetGroups {
        /// Which.
        which: Which,
    } -> Vec<TargetGroup>;

    /// Makes a target group; one with the same name and settings is given back as it is.
    "elasticloadbalancing" CreateTargetGroup {
        /// Its name.
        name: String,
        /// Its protocol.
        protocol: NlbProtocol,
        /// The port of targets that are registered without one.
        port: u16,
        /// What its targets are.
        target_type: TargetType,
        /// The family of its targets.
        family: Family,
        /// Its VPC.
        vpc: String,
        /// How targets are checked.
        health: HealthCheck,
        /// Its tags.
        tags: Tags,
    } -> TargetGroup;

    /// Changes the health check.
    "elasticloadbalancing" ModifyTargetGroup {
        /// The target group's ARN.
        arn: String,
        /// How targets are checked.
        health: HealthCheck,
    } -> ();

    /// Deletes a target group that no listener forwards to; one that does not exist is no error.
    "elasticloadbalancing" DeleteTargetGroup {
        /// Its ARN.
        arn: String,
    } -> ();

    /// The attributes of a target group.
    "elasticloadbalancing" DescribeTargetGroupAttributes {
        /// Its ARN.
        arn: String,
    } -> Attributes;

    /// Changes attributes of a target group; others stay.
    "elasticloadbalancing" ModifyTargetGroupAttributes {
        /// Its ARN.
        arn: String,
        /// What changes.
        attributes: Attributes,
    } -> ();

    /// Registers targets; those that are registered stay. At most [`MAX_TARGETS_PER_CALL`].
    "elasticloadbalancing" RegisterTargets {
        /// The target group's ARN.
        arn: String,
        /// Which.
        targets: Vec<Target>,
    } -> ();

    /// Deregisters targets; they drain. At most [`MAX_TARGETS_PER_CALL`].
    "elasticloadbalancing" DeregisterTargets {
        /// The target group's ARN.
        arn: String,
        /// Which.
        targets: Vec<Target>,
    } -> ();

    /// The targets of a target group, and how they are.
    "elasticloadbalancing" DescribeTargetHealth {
        /// Its ARN.
        arn: String,
    } -> Vec<TargetHealth>;

    /// The listeners of a load balancer; every page.
    "elasticloadbalancing" DescribeListeners {
        /// Its ARN.
        load_balancer: String,
    } -> Vec<Listener>;

    /// Makes a listener; one with the same port and settings is given back as it is.
    "elasticloadbalancing" CreateListener {
        /// The load balancer's ARN.
        load_balancer: String,
        /// Its port.
        port: u16,
        /// Its protocol.
        protocol: NlbProtocol,
        /// Where its traffic goes.
        forward: Vec<Forward>,
        /// The default certificate (TLS).
        certificate: Option<String>,
        /// The security policy (TLS).
        policy: Option<String>,
        /// The ALPN policy (TLS).
        alpn: Option<String>,
        /// Its tags.
        tags: Tags,
    } -> Listener;

    /// Changes a listener; what is `None` stays.
    "elasticloadbalancing" ModifyListener {
        /// Its ARN.
        arn: String,
        /// Its protocol.
        protocol: Option<NlbProtocol>,
        /// Where its traffic goes.
        forward: Option<Vec<Forward>>,
        /// The default certificate (TLS).
        certificate: Option<String>,
        /// The security policy (TLS).
        policy: Option<String>,
        /// The ALPN policy (TLS).
        alpn: Option<String>,
    } -> ();

    /// Deletes a listener; one that does not exist is no error.
    "elasticloadbalancing" DeleteListener {
        /// Its ARN.
        arn: String,
    } -> ();

    /// The attributes of a listener.
    "elasticloadbalancing" DescribeListenerAttributes {
        /// Its ARN.
        arn: String,
    } -> Attributes;

    /// Changes attributes of a listener; others stay.
    "elasticloadbalancing" ModifyListenerAttributes {
        /// Its ARN.
        arn: String,
        /// What changes.
        attributes: Attributes,
    } -> ();

    /// The certificates of a listener beside the default one; every page.
    "elasticloadbalancing" DescribeListenerCertificates {
        /// The listener's ARN.
        arn: String,
    } -> Vec<String>;

    /// Adds certificates beside the default one.
    "elasticloadbalancing" AddListenerCertificates {
        /// The listener's ARN.
        arn: String,
        /// Their ARNs.
        certificates: Vec<String>,
    } -> ();

    /// Removes certificates that are not the default one.
    "elasticloadbalancing" RemoveListenerCertificates {
        /// The listener's ARN.
        arn: String,
        /// Their ARNs.
        certificates: Vec<String>,
    } -> ();

    /// The tags of resources, by ARN; at most 20.
    "elasticloadbalancing" DescribeTags {
        /// Their ARNs.
        arns: Vec<String>,
    } -> BTreeMap<String, Tags>;

    /// Sets tags of one resource; others stay.
    "elasticloadbalancing" AddTags {
        /// Its ARN.
        arn: String,
        /// The tags.
        tags: Tags,
    } -> ();

    /// Removes tags of one resource.
    "elasticloadbalancing" RemoveTags {
        /// Its ARN.
        arn: String,
        /// Their keys.
        keys: Vec<String>,
    } -> ();

    /// The quotas of the account.
    "elasticloadbalancing" DescribeAccountLimits {} -> Vec<Limit>;

    /// Subnets; every page.
    "ec2" DescribeSubnets {
        /// Which.
        filter: Filter,
    } -> Vec<Subnet>;

    /// VPCs.
    "ec2" DescribeVpcs {
        /// Their ids.
        ids: Vec<String>,
    } -> Vec<Vpc>;

    /// The route tables of a VPC.
    "ec2" DescribeRouteTables {
        /// The VPC.
        vpc: String,
    } -> Vec<RouteTable>;

    /// Elastic IPs.
    "ec2" DescribeAddresses {
        /// Their allocations.
        allocations: Vec<String>,
    } -> Vec<ElasticIp>;

    /// Security groups; every page.
    "ec2" DescribeSecurityGroups {
        /// Which.
        filter: Filter,
    } -> Vec<SecurityGroup>;

    /// What security groups let in; every page.
    "ec2" DescribeSecurityGroupRules {
        /// The groups.
        groups: Vec<String>,
    } -> Vec<IngressRule>;

    /// Makes a security group, and gives its id.
    "ec2" CreateSecurityGroup {
        /// Its name, unique in its VPC.
        name: String,
        /// What it is for.
        description: String,
        /// Its VPC.
        vpc: String,
        /// Its tags.
        tags: Tags,
    } -> String;

    /// Deletes a security group that nothing uses.
    "ec2" DeleteSecurityGroup {
        /// `sg-…`.
        id: String,
    } -> ();

    /// Adds rules; fails as a whole where one of them is there already.
    "ec2" AuthorizeSecurityGroupIngress {
        /// The group.
        group: String,
        /// What to let in.
        rules: Vec<Ingress>,
        /// The description of each rule.
        description: String,
    } -> ();

    /// Removes rules by id.
    "ec2" RevokeSecurityGroupIngress {
        /// The group.
        group: String,
        /// `sgr-…`.
        rules: Vec<String>,
    } -> ();

    /// Network interfaces that a security group is on.
    "ec2" DescribeNetworkInterfaces {
        /// The group.
        group: String,
    } -> Vec<NetworkInterface>;

    /// Sets tags of an EC2 resource; others stay.
    "ec2" CreateTags {
        /// Its id.
        id: String,
        /// The tags.
        tags: Tags,
    } -> ();

    /// Removes tags of an EC2 resource.
    "ec2" DeleteTags {
        /// Its id.
        id: String,
        /// Their keys.
        keys: Vec<String>,
    } -> ();
}

/// How many targets one call may name; AWS takes more, but fails as a whole.
pub const MAX_TARGETS_PER_CALL: usize = 200;

/// How many ARNs or names one Describe may name.
pub const MAX_DESCRIBED: usize = 20;
