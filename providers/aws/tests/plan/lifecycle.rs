//! From nothing to a load balancer that serves, and back; also where answers are lost.

use daymark_aws::api::Scheme;
use daymark_aws_fake::{Aws, Consistency, Fault, On, Quotas};
use daymark_model::aws::PublishWhen;
use daymark_providers::Depth;
use daymark_providers::pass::End;

use crate::support::{Driver, desired, hostnames, internet_facing, nlb, registered};

#[tokio::test(start_paused = true)]
async fn a_load_balancer_is_made_and_nothing_is_done_again() {
    let aws = Aws::builder().build();
    let mut driver = Driver::new(&aws);
    let wish = nlb(&aws, &[80, 443]);
    let report = driver.settled(&wish).await;
    let snapshot = aws.snapshot();
    assert_eq!(snapshot.load_balancers.len(), 1);
    let found = snapshot.load_balancers.values().next().unwrap();
    assert_eq!(found.load_balancer.scheme, Scheme::Internal);
    assert_eq!(found.load_balancer.zones.len(), 3);
    assert_eq!(found.listeners.len(), 2);
    assert_eq!(hostnames(&report), [found.load_balancer.dns_name.to_lowercase()]);
    assert_eq!(registered(&aws, 443).len(), 3);
    tokio::time::sleep(std::time::Duration::from_secs(120)).await;
    let health = driver.pass(Some(&desired(&wish)), Depth::Targets).await.published.unwrap().ports;
    assert_eq!(health.len(), 2);
    assert_eq!((health[0].healthy, health[0].total), (3, 3));
    aws.reset_calls();
    driver.settled(&wish).await;
    assert!(aws.writes().is_empty(), "{:?}", aws.writes());
}

#[tokio::test(start_paused = true)]
async fn calls_do_not_depend_on_the_account() {
    let counts = |crowd: u32| async move {
        let aws = Aws::builder().build();
        aws.crowd(crowd).unwrap();
        let mut driver = Driver::new(&aws);
        let wish = nlb(&aws, &[80]);
        driver.settled(&wish).await;
        tokio::time::sleep(std::time::Duration::from_secs(120)).await;
        aws.reset_calls();
        driver.pass(Some(&desired(&wish)), Depth::Full).await;
        let full = aws.calls().len();
        aws.reset_calls();
        driver.pass(Some(&desired(&wish)), Depth::Targets).await;
        (full, aws.counts())
    };
    let (alone, targets) = counts(0).await;
    let (crowded, _) = counts(40).await;
    assert_eq!(alone, crowded);
    assert!(alone <= 7, "{alone}");
    assert_eq!(targets, [("DescribeTargetHealth", 1)].into());
}

#[tokio::test(start_paused = true)]
async fn every_lost_answer_is_found_again_and_nothing_is_left_behind() {
    for action in ["CreateSecurityGroup", "CreateTargetGroup", "CreateLoadBalancer", "CreateListener"] {
        for late in [0, 15] {
            let aws =
                Aws::builder().consistency(Consistency::late(std::time::Duration::from_secs(late))).build();
            let mut driver = Driver::new(&aws);
            let wish = nlb(&aws, &[80]);
            aws.fail(On::action(action), 1, Fault::LostResponse);
            let report = driver.pass(Some(&desired(&wish)), Depth::Full).await;
            assert!(matches!(report.end, End::Failed(_)), "{action}: {:?}", report.end);
            let report = driver.settle(Some(&desired(&wish))).await;
            assert_eq!(report.end, End::Converged, "{action} {late}");
            assert_eq!(aws.snapshot().load_balancers.len(), 1, "{action} {late}");
            assert_eq!(aws.snapshot().target_groups.len(), 1, "{action} {late}");
            let report = driver.settle(None).await;
            assert_eq!(report.end, End::Gone, "{action} {late}");
            assert_eq!(aws.leaked("test"), Vec::<String>::new(), "{action} {late}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn deleted_right_after_a_lost_answer_nothing_is_left() {
    for action in ["CreateSecurityGroup", "CreateTargetGroup", "CreateLoadBalancer", "CreateListener"] {
        for late in [0, 15] {
            let aws =
                Aws::builder().consistency(Consistency::late(std::time::Duration::from_secs(late))).build();
            let mut driver = Driver::new(&aws);
            aws.fail(On::action(action), 1, Fault::LostResponse);
            driver.pass(Some(&desired(&nlb(&aws, &[80]))), Depth::Full).await;
            let report = driver.settle(None).await;
            assert_eq!(report.end, End::Gone, "{action} {late}");
            assert_eq!(aws.leaked("test"), Vec::<String>::new(), "{action} {late}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_address_is_published_when_it_is_asked_to_be() {
    for (publish, before) in [(PublishWhen::Created, 1), (PublishWhen::Active, 0), (PublishWhen::Healthy, 0)]
    {
        let aws = Aws::builder().build();
        let mut driver = Driver::new(&aws);
        let mut wish = nlb(&aws, &[80]);
        internet_facing(&mut wish);
        wish.policy.publish = publish;
        let report = driver.pass(Some(&desired(&wish)), Depth::Full).await;
        assert_eq!(hostnames(&report).len(), before, "{publish:?}");
        let report = driver.settled(&wish).await;
        assert_eq!(hostnames(&report).len(), 1, "{publish:?}");
        let report = driver.pass(Some(&desired(&wish)), Depth::Targets).await;
        assert_eq!(hostnames(&report).len(), 1, "{publish:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_somebody_deleted_is_made_again() {
    let aws = Aws::builder().build();
    let mut driver = Driver::new(&aws);
    let wish = nlb(&aws, &[80]);
    driver.settled(&wish).await;
    tokio::time::sleep(std::time::Duration::from_secs(90)).await;
    let arn = aws.snapshot().load_balancers.keys().next().unwrap().clone();
    aws.lose_load_balancer(&arn);
    driver.settled(&wish).await;
    assert_eq!(aws.snapshot().load_balancers.len(), 1);
    assert_eq!(registered(&aws, 80).len(), 3);
    assert_eq!(driver.settle(None).await.end, End::Gone);
    assert_eq!(aws.leaked("test"), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn what_is_all_new_is_not_looked_for_one_by_one_and_a_lost_inventory_is_found_again() {
    let aws = Aws::builder().build();
    let mut driver = Driver::new(&aws);
    let wish = nlb(&aws, &[80, 81, 443]);
    driver.pass(Some(&desired(&wish)), Depth::Full).await;
    let looks = aws.calls().iter().filter(|call| call.request.action() == "DescribeTargetGroups").count();
    assert_eq!(looks, 0);
    driver.settled(&wish).await;
    let mut changed = wish.clone();
    changed.target_groups.values_mut().for_each(|group| group.health.interval = 30);
    // Nothing is known any longer.
    let mut driver = Driver::new(&aws);
    driver.settled(&changed).await;
    let snapshot = aws.snapshot();
    assert_eq!((snapshot.load_balancers.len(), snapshot.target_groups.len()), (1, 3));
    assert_eq!(driver.settle(None).await.end, End::Gone);
    assert_eq!(aws.leaked("test"), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn target_groups_that_an_inventory_took_with_it_are_found_again() {
    let aws = Aws::builder().build();
    let mut wish = nlb(&aws, &[80, 81]);
    aws.set_quotas(Quotas { load_balancers: 0, ..Quotas::default() });
    Driver::new(&aws).pass(Some(&desired(&wish)), Depth::Full).await;
    assert_eq!(aws.snapshot().target_groups.len(), 2);
    aws.set_quotas(Quotas::default());
    // One is as it was, the other is not.
    wish.target_groups.values_mut().next().unwrap().health.interval = 30;
    let mut driver = Driver::new(&aws);
    driver.settled(&wish).await;
    assert_eq!(aws.snapshot().target_groups.len(), 2);
    assert_eq!(driver.settle(None).await.end, End::Gone);
    assert_eq!(aws.leaked("test"), Vec::<String>::new());
}
