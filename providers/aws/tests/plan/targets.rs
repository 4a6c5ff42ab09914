//! Who gets traffic.

use std::collections::BTreeSet;

use daymark_aws::api::Target;
use daymark_aws_fake::{Aws, Quotas};
use daymark_providers::Depth;
use daymark_providers::pass::End;

use crate::support::{Driver, desired, nlb, pod, registered, role};

#[tokio::test(start_paused = true)]
async fn new_pods_are_registered_before_old_ones_are_deregistered() {
    let aws = Aws::builder().build();
    let mut driver = Driver::new(&aws);
    let mut wish = nlb(&aws, &[80]);
    driver.settled(&wish).await;
    wish.target_groups.get_mut(&role(80)).unwrap().targets = (11..=13).map(|n| pod(&aws, n, 8080)).collect();
    aws.reset_calls();
    driver.pass(Some(&desired(&wish)), Depth::Targets).await;
    let writes: Vec<&str> = aws.writes().iter().map(daymark_aws_fake::CallRecord::name).collect();
    assert_eq!(writes, ["RegisterTargets", "DeregisterTargets"]);
    assert_eq!(aws.calls().len(), 3);
    let ids: BTreeSet<String> = (11..=13).map(|n| aws.account().pod(0, n)).collect();
    assert_eq!(registered(&aws, 80), ids);
}

#[tokio::test(start_paused = true)]
async fn beyond_the_quota_a_part_is_served_and_the_rest_told_of() {
    let quotas = Quotas { targets_per_group: 4, ..Quotas::default() };
    let aws = Aws::builder().quotas(quotas).build();
    let mut driver = Driver::new(&aws);
    let mut wish = nlb(&aws, &[80]);
    wish.target_groups.get_mut(&role(80)).unwrap().targets = (1..=9).map(|n| pod(&aws, n, 8080)).collect();
    let report = driver.settled(&wish).await;
    assert_eq!(registered(&aws, 80).len(), 4);
    assert_eq!(report.remarks[0].reason, "TargetsTruncated");
    assert!(report.remarks[0].message.starts_with("5 of 9"), "{:?}", report.remarks);
    // All pods are replaced: room is made first.
    wish.target_groups.get_mut(&role(80)).unwrap().targets = (21..=29).map(|n| pod(&aws, n, 8080)).collect();
    let mut report = driver.pass(Some(&desired(&wish)), Depth::Targets).await;
    for _ in 0..60 {
        if report.end == End::Converged && report.done == 0 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_secs(10)).await;
        report = driver.pass(Some(&desired(&wish)), Depth::Targets).await;
    }
    assert_eq!(registered(&aws, 80).len(), 4);
}

#[tokio::test(start_paused = true)]
async fn addresses_outside_the_vpc_are_in_all_zones_and_a_bad_one_hinders_no_other() {
    let aws = Aws::builder().build();
    let mut driver = Driver::new(&aws);
    let mut wish = nlb(&aws, &[80]);
    let outside = |id: &str| Target { id: id.into(), port: 8080, zone: Some("eu-west-1a".into()) };
    wish.target_groups.get_mut(&role(80)).unwrap().targets.insert(outside("192.168.7.7"));
    driver.settled(&wish).await;
    assert!(registered(&aws, 80).contains("192.168.7.7"));
    wish.target_groups.get_mut(&role(80)).unwrap().targets.remove(&outside("192.168.7.7"));
    driver.settled(&wish).await;
    assert!(!registered(&aws, 80).contains("192.168.7.7"));
}

#[tokio::test(start_paused = true)]
async fn where_nothing_may_change_targets_still_follow() {
    let aws = Aws::builder().build();
    let mut driver = Driver::new(&aws);
    let mut wish = nlb(&aws, &[80]);
    driver.settled(&wish).await;
    driver.policy.mode = daymark_model::aws::CloudMode::Observe;
    wish.target_groups.get_mut(&role(80)).unwrap().targets.insert(pod(&aws, 9, 8080));
    wish.listeners.insert(81, crate::support::listener_wish(81));
    wish.target_groups.insert(role(81), crate::support::group_wish(81, [pod(&aws, 9, 8081)]));
    for _ in 0..2 {
        let report = driver.pass(Some(&desired(&wish)), Depth::Full).await;
        assert_eq!(report.end, End::Shown);
        assert_eq!(registered(&aws, 80).len(), 4);
    }
    assert_eq!(aws.snapshot().target_groups.len(), 1);
}
