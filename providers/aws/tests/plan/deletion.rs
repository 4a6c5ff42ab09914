//! How all of it goes.

use std::time::Duration;

use daymark_aws::api::ModifyLoadBalancerAttributes;
use daymark_aws_fake::Aws;
use daymark_model::aws::Deletion;
use daymark_providers::ErrorClass;
use daymark_providers::pass::End;

use crate::support::{Driver, nlb};

#[tokio::test(start_paused = true)]
async fn interfaces_are_waited_for_and_nothing_is_left() {
    let aws = Aws::builder().build();
    let mut driver = Driver::new(&aws);
    driver.settled(&nlb(&aws, &[80, 81])).await;
    let mut reasons = Vec::new();
    loop {
        let report = driver.pass(None, daymark_providers::Depth::Full).await;
        match report.end {
            End::Gone => break,
            End::Waiting(wait) => {
                if wait.reason == "WaitingForNetworkInterfaces" {
                    assert!(wait.message.contains("eni-"), "{}", wait.message);
                }
                reasons.push(wait.reason);
                tokio::time::sleep(wait.after).await;
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(reasons.contains(&"WaitingForNetworkInterfaces"), "{reasons:?}");
    assert_eq!(aws.leaked("test"), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn protection_is_not_switched_off_unless_the_user_asked_for_that() {
    let protect = |aws: &Aws| {
        let arn = aws.snapshot().load_balancers.keys().next().unwrap().clone();
        let attributes = [("deletion_protection.enabled".to_owned(), "true".to_owned())].into();
        aws.as_other(ModifyLoadBalancerAttributes { arn, attributes }).unwrap();
    };
    let aws = Aws::builder().build();
    let mut driver = Driver::new(&aws);
    driver.settled(&nlb(&aws, &[80])).await;
    protect(&aws);
    let End::Failed(error) = driver.settle(None).await.end else { panic!() };
    assert_eq!((error.class, error.reason), (ErrorClass::Blocked, "DeletionProtected"));
    assert!(error.remedy.is_some());
    assert_eq!(aws.snapshot().load_balancers.len(), 1);

    let aws = Aws::builder().build();
    let mut driver = Driver::new(&aws);
    let mut wish = nlb(&aws, &[80]);
    wish.attributes.insert("deletion_protection.enabled".into(), "false".into());
    driver.settled(&wish).await;
    protect(&aws);
    assert_eq!(driver.settle(None).await.end, End::Gone);
    assert_eq!(aws.leaked("test"), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn what_is_retained_stays_without_our_tags() {
    let aws = Aws::builder().build();
    let mut driver = Driver::new(&aws);
    let mut wish = nlb(&aws, &[80]);
    wish.policy.deletion = Deletion::Retain;
    driver.settled(&wish).await;
    let before = aws.snapshot();
    assert_eq!(driver.settle(None).await.end, End::Gone);
    let after = aws.snapshot();
    assert_eq!(after.load_balancers.len(), 1);
    assert_eq!(after.security_groups.len(), before.security_groups.len());
    let found = after.load_balancers.values().next().unwrap();
    assert_eq!(found.listeners.len(), 1);
    let keys = found.tags.keys().chain(after.target_groups.values().next().unwrap().tags.keys());
    assert!(keys.clone().all(|key| !key.starts_with("daymark.dev/")), "{:?}", keys.collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_service_blocks_and_is_named() {
    let aws = Aws::builder().build();
    let mut driver = Driver::new(&aws);
    driver.settled(&nlb(&aws, &[80])).await;
    let arn = aws.snapshot().load_balancers.keys().next().unwrap().clone();
    aws.add_endpoint_service(&arn);
    let End::Failed(error) = driver.settle(None).await.end else { panic!() };
    assert_eq!(error.class, ErrorClass::Blocked);
    assert!(error.message.contains("dm-shop-web-"), "{error}");
    aws.remove_endpoint_service(&arn);
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(driver.settle(None).await.end, End::Gone);
    assert_eq!(aws.leaked("test"), Vec::<String>::new());
}
