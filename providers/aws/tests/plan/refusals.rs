//! What AWS's errors mean.

use daymark_aws::api::ApiError;
use daymark_aws::refusal::refusal;
use daymark_aws_fake::Aws;
use daymark_providers::ErrorClass;
use daymark_providers::pass::End;

use crate::support::{Driver, desired, nlb};

#[test]
fn errors_are_sorted_by_what_helps() {
    let table = [
        ("Throttling", ErrorClass::Throttled, "Throttled"),
        ("RequestLimitExceeded", ErrorClass::Throttled, "Throttled"),
        (ApiError::TIMEOUT, ErrorClass::Transient, "TransientError"),
        ("ServiceUnavailable", ErrorClass::Transient, "TransientError"),
        ("TooManyTargets", ErrorClass::Quota, "QuotaExceeded"),
        ("RulesPerSecurityGroupLimitExceeded", ErrorClass::Quota, "QuotaExceeded"),
        ("AccessDenied", ErrorClass::Permission, "PermissionDenied"),
        ("UnauthorizedOperation", ErrorClass::Permission, "PermissionDenied"),
        ("ExpiredToken", ErrorClass::Permission, "CredentialsExpired"),
        ("SignatureDoesNotMatch", ErrorClass::Permission, "CredentialsInvalid"),
        (ApiError::CREDENTIALS, ErrorClass::Permission, "CredentialsInvalid"),
        ("InvalidVpcID.NotFound", ErrorClass::User, "WrongRegionOrVpc"),
        ("CertificateNotFound", ErrorClass::User, "InvalidConfiguration"),
        ("AllocationIdNotFound", ErrorClass::User, "InvalidConfiguration"),
        ("ValidationError", ErrorClass::User, "InvalidConfiguration"),
        ("OperationNotPermitted", ErrorClass::Blocked, "OperationNotPermitted"),
        ("ResourceInUse", ErrorClass::Blocked, "ResourceInUse"),
    ];
    for (code, class, reason) in table {
        let error = refusal(ApiError::new("elasticloadbalancing:CreateListener", code, "no."));
        assert_eq!((error.class, error.reason), (class, reason), "{code}");
        let helps = matches!(class, ErrorClass::Throttled | ErrorClass::Transient) || error.remedy.is_some();
        assert!(helps, "{code}");
    }
    let status = |status| ApiError { status, ..ApiError::new("ec2:DescribeSubnets", "Odd", "") };
    assert_eq!(refusal(status(Some(503))).class, ErrorClass::Transient);
    assert_eq!(refusal(status(Some(429))).class, ErrorClass::Throttled);
    assert_eq!(refusal(status(Some(403))).class, ErrorClass::Permission);
    assert_eq!(refusal(status(None)).class, ErrorClass::Transient);
}

#[tokio::test(start_paused = true)]
async fn a_denied_action_is_named() {
    let aws = Aws::builder().build();
    aws.deny("CreateLoadBalancer");
    let mut driver = Driver::new(&aws);
    let End::Failed(error) = driver.settle(Some(&desired(&nlb(&aws, &[80])))).await.end else { panic!() };
    assert_eq!(error.class, ErrorClass::Permission);
    assert!(error.to_string().contains("allow elasticloadbalancing:CreateLoadBalancer"), "{error}");
    aws.allow("CreateLoadBalancer");
    driver.settled(&nlb(&aws, &[80])).await;
}

#[tokio::test(start_paused = true)]
async fn a_name_that_somebody_has_is_refused_before_anything_is_made() {
    let aws = Aws::builder().build();
    aws.foreign_load_balancer("shop", Default::default()).unwrap();
    let mut driver = Driver::new(&aws);
    let mut wish = nlb(&aws, &[80]);
    wish.name = Some("shop".into());
    aws.reset_calls();
    let End::Failed(error) = driver.settle(Some(&desired(&wish))).await.end else { panic!() };
    assert_eq!(error.reason, "NameConflict");
    assert!(aws.writes().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_wrong_vpc_is_told_so() {
    let aws = Aws::builder().build();
    let mut driver = Driver::new(&aws);
    let mut wish = nlb(&aws, &[80]);
    wish.vpc = "vpc-elsewhere".into();
    let End::Failed(error) = driver.settle(Some(&desired(&wish))).await.end else { panic!() };
    assert_eq!(error.reason, "WrongRegionOrVpc");
}
