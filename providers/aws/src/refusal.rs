//! AWS's errors, sorted by what helps.

use daymark_providers::{CloudError, ErrorClass};

use crate::api::ApiError;
use crate::plan::operation::count;
use crate::plan::security::RULES_PER_GROUP;

/// The code of a call that the controller did not make, because another replica may lead before its answer comes.
pub const LEADERSHIP_MAY_END: &str = "LeadershipMayEnd";

/// What a call's error means.
pub fn refusal(error: ApiError) -> CloudError {
    let sorted = sort(&error);
    let reason = sorted.reason.unwrap_or_else(|| sorted.class.as_str());
    CloudError {
        class: sorted.class,
        reason,
        action: Some(error.action.to_owned()),
        code: Some(error.code.clone()),
        message: if error.message.is_empty() {
            error.code
        } else {
            error.message.trim_end_matches('.').to_owned()
        },
        remedy: sorted.remedy,
        retry_after: error.retry_after,
    }
}

/// Whether the error says that what was asked for does not exist (any longer, or yet).
pub fn is_gone(error: &ApiError) -> bool {
    matches!(
        error.code.as_str(),
        "LoadBalancerNotFound"
            | "LoadBalancerNotFoundException"
            | "TargetGroupNotFound"
            | "TargetGroupNotFoundException"
            | "ListenerNotFound"
            | "ListenerNotFoundException"
            | "InvalidGroup.NotFound"
            | "InvalidGroupId.NotFound"
            | "InvalidPermission.NotFound"
            | "InvalidSecurityGroupRuleId.NotFound"
            | "InvalidSecurityGroupRuleID.NotFound"
    )
}

/// Whether the error says that what is to be made is there already.
pub fn is_duplicate(error: &ApiError) -> bool {
    matches!(error.code.as_str(), "InvalidPermission.Duplicate" | "InvalidGroup.Duplicate")
}

/// Whether something else still uses what is to be deleted.
pub fn is_in_use(error: &ApiError) -> bool {
    matches!(
        error.code.as_str(),
        "ResourceInUse" | "ResourceInUseException" | "DependencyViolation" | "InvalidGroup.InUse"
    )
}

/// What helps where the rules of a load balancer's own security group are too many.
pub const FEWER_SOURCES: &str = "name fewer or wider source ranges, give the load balancer security groups of your own (annotation \
     aws-load-balancer-security-groups), or ask AWS for a higher quota (Service Quotas: inbound or outbound rules per security \
     group); of a prefix list, each entry that it may have counts as a rule, for each port";
/// What helps where the rules of a security group of the nodes are too many.
pub const FEWER_RULES: &str = "remove rules that nothing needs, or ask AWS for a higher quota (Service Quotas: inbound or outbound \
     rules per security group)";

/// Says more of an error where the rules of a security group are more than its quota allows: of which, and how many.
pub fn crowded(mut error: CloudError, what: &str, id: &str, wanted: usize, remedy: &str) -> CloudError {
    if error.code.as_deref() == Some("RulesPerSecurityGroupLimitExceeded") {
        error.message = format!(
            "{what} ({id}) is to have {}, and AWS allows {RULES_PER_GROUP} where nobody raised the quota",
            count(wanted, "rule")
        );
        error.remedy = Some(remedy.to_owned());
    }
    error
}

struct Sorted {
    class: ErrorClass,
    reason: Option<&'static str>,
    remedy: Option<String>,
}

impl Sorted {
    fn of(class: ErrorClass) -> Self {
        Self { class, reason: None, remedy: None }
    }

    fn named(class: ErrorClass, reason: &'static str, remedy: impl Into<String>) -> Self {
        Self { class, reason: Some(reason), remedy: Some(remedy.into()) }
    }
}

fn sort(error: &ApiError) -> Sorted {
    let code = error.code.strip_suffix("Exception").unwrap_or(&error.code);
    match code {
        "Throttling"
        | "RequestLimitExceeded"
        | "TooManyRequests"
        | "RequestThrottled"
        | "SlowDown"
        | "BandwidthLimitExceeded"
        | "EC2ThrottledException"
        | "ThrottledRequest" => Sorted::of(ErrorClass::Throttled),
        ApiError::GARBLED if error.status == Some(429) => Sorted::of(ErrorClass::Throttled),
        // What cannot be read says nothing of the call, whatever its status: it is a gateway's page, as often as not.
        ApiError::GARBLED
        | ApiError::TIMEOUT
        | ApiError::CONNECTION
        | LEADERSHIP_MAY_END
        | "InternalFailure"
        | "InternalError"
        | "ServiceUnavailable"
        | "Unavailable"
        | "IncorrectState"
        | "OperationInProgress" => Sorted::of(ErrorClass::Transient),
        "AccessDenied"
        | "UnauthorizedOperation"
        | "AuthFailure"
        | "OptInRequired"
        | "Client.UnauthorizedOperation" => Sorted {
            class: ErrorClass::Permission,
            reason: None,
            remedy: Some(format!("allow {} in the IAM policy of the controller's role", error.action)),
        },
        "ExpiredToken" | "ExpiredTokenID" | "TokenRefreshRequired" => Sorted::named(
            ErrorClass::Permission,
            "CredentialsExpired",
            "renew the controller's credentials, or give it a role that renews them by itself",
        ),
        // EC2 says the same of a request whose time is wrong.
        "RequestExpired" => Sorted::named(
            ErrorClass::Permission,
            "CredentialsExpired",
            "renew the controller's credentials, or give it a role that renews them by itself; check its clock too",
        ),
        "InvalidClientTokenId"
        | "SignatureDoesNotMatch"
        | "InvalidAccessKeyId"
        | "UnrecognizedClient"
        | "MissingAuthenticationToken"
        | "IncompleteSignature"
        | ApiError::CREDENTIALS => Sorted::named(
            ErrorClass::Permission,
            "CredentialsInvalid",
            "check the credentials of the controller and its clock",
        ),
        "InvalidVpcID.NotFound" | "InvalidVpcId.NotFound" | "InvalidVpc.NotFound" => Sorted::named(
            ErrorClass::User,
            "WrongRegionOrVpc",
            "check vpcID and region of the LoadBalancerProfile",
        ),
        "OperationNotPermitted" => Sorted::named(
            ErrorClass::Blocked,
            "OperationNotPermitted",
            "see what the message names: deletion protection is switched off with the attribute \
             deletion_protection.enabled=false",
        ),
        "ResourceInUse" | "DependencyViolation" | "InvalidGroup.InUse" => Sorted::named(
            ErrorClass::Blocked,
            "ResourceInUse",
            "delete what uses it, such as a VPC endpoint service or a network interface",
        ),
        "AllocationIdInUse" | "InvalidIPAddress.InUse" | "InvalidAddress.InUse" => Sorted::named(
            ErrorClass::Blocked,
            "AddressInUse",
            "release the address from what uses it, or name another one",
        ),
        "DuplicateLoadBalancerName" => Sorted::named(
            ErrorClass::User,
            "NameConflict",
            "choose another name: a load balancer of that name exists with other settings",
        ),
        "DuplicateListener" => Sorted::named(
            ErrorClass::User,
            "PortConflict",
            "delete the other listener of that port, or use another port",
        ),
        _ if is_quota(code) => Sorted {
            class: ErrorClass::Quota,
            reason: None,
            remedy: Some(
                "ask AWS for a higher quota (Service Quotas), or delete what is not needed".to_owned(),
            ),
        },
        _ => match user_remedy(code) {
            Some(remedy) => Sorted { class: ErrorClass::User, reason: None, remedy: Some(remedy.to_owned()) },
            None => unknown(error),
        },
    }
}

fn is_quota(code: &str) -> bool {
    code.starts_with("TooMany")
        || code.ends_with("LimitExceeded")
        || code == "TargetGroupAssociationLimit"
        || code == "InsufficientCapacity"
}

/// What is wrong with what the user wrote.
fn user_remedy(code: &str) -> Option<&'static str> {
    let remedy = match code {
        "CertificateNotFound" => "check the ARN of the certificate: it must be in the load balancer's region",
        "SubnetNotFound" | "InvalidSubnetID.NotFound" | "InvalidSubnet" => {
            "check the subnets annotation: the subnets must exist in the VPC of the profile"
        }
        "AllocationIdNotFound" | "InvalidAllocationID.NotFound" => "check the eip-allocations annotation",
        "InvalidGroup.NotFound" | "InvalidGroupId.NotFound" | "InvalidSecurityGroup" => {
            "check the security groups: they must exist in the VPC of the profile"
        }
        "InvalidPrefixListID.NotFound" | "InvalidPrefixListId.NotFound" => {
            "check the prefix lists annotation"
        }
        "SSLPolicyNotFound" => "check the ssl-negotiation-policy annotation",
        "ALPNPolicyNotSupported" => "check the alpn-policy annotation",
        "TargetGroupNotFound" => "check the ARN of the target group that the actions annotation names",
        "InvalidScheme"
        | "InvalidConfigurationRequest"
        | "IncompatibleProtocols"
        | "UnsupportedProtocol"
        | "ValidationError"
        | "InvalidParameterValue"
        | "InvalidParameterCombination"
        | "MissingParameter"
        | "InvalidTarget"
        | "InvalidRequest"
        | "InvalidLoadBalancerAction" => "change the annotation that the message is about",
        _ => return None,
    };
    Some(remedy)
}

fn unknown(error: &ApiError) -> Sorted {
    match error.status {
        None => Sorted::of(ErrorClass::Transient),
        Some(429) => Sorted::of(ErrorClass::Throttled),
        Some(401 | 403) => Sorted {
            class: ErrorClass::Permission,
            reason: None,
            remedy: Some(format!("allow {} in the IAM policy of the controller's role", error.action)),
        },
        Some(status) if status >= 500 => Sorted::of(ErrorClass::Transient),
        Some(_) => Sorted::of(ErrorClass::Transient),
    }
}
