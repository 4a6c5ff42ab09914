//! What cannot change in place.

use std::collections::BTreeSet;
use std::time::Duration;

use daymark_aws::api::{ModifyLoadBalancerAttributes, Scheme, Target, TargetState};
use daymark_aws::model::Security;
use daymark_aws::naming::kind;
use daymark_aws_fake::{Aws, Quotas};
use daymark_model::aws::Replacement;
use daymark_providers::pass::End;
use daymark_providers::{Depth, PassReport};

use crate::support::{
    Driver, desired, hostnames, internet_facing, listener_wish, nlb, pod, registered, role,
};

#[tokio::test(start_paused = true)]
async fn another_scheme_waits_for_consent_and_everything_else_does_not() {
    let aws = Aws::builder().build();
    let mut driver = Driver::new(&aws);
    let mut wish = nlb(&aws, &[80]);
    driver.settled(&wish).await;
    internet_facing(&mut wish);
    wish.listeners.insert(81, listener_wish(81));
    let group = wish.target_groups[&role(80)].clone();
    wish.target_groups.insert(role(81), group);
    wish.target_groups.get_mut(&role(80)).unwrap().targets.insert(pod(&aws, 9, 8080));
    let report = driver.settle(Some(&desired(&wish))).await;
    assert_eq!(report.end, End::Held);
    let snapshot = aws.snapshot();
    assert_eq!(snapshot.load_balancers.len(), 1);
    assert_eq!(snapshot.load_balancers.values().next().unwrap().listeners.len(), 2);
    assert_eq!(registered(&aws, 80).len(), 4);
    assert!(report.plan.steps.iter().any(|step| step.held && step.what.starts_with("create load balancer")));
}

#[tokio::test(start_paused = true)]
async fn the_new_one_stands_before_the_old_one_goes() {
    let aws = Aws::builder().build();
    let mut driver = Driver::new(&aws);
    let mut wish = nlb(&aws, &[80, 443]);
    driver.settled(&wish).await;
    tokio::time::sleep(Duration::from_secs(180)).await;
    let old = driver.settled(&wish).await;
    let old_name = hostnames(&old);
    internet_facing(&mut wish);
    driver.policy.replacement = Replacement::CreateBeforeDestroy;
    let mut published: Vec<Vec<String>> = Vec::new();
    for _ in 0..600 {
        let report = driver.pass(Some(&desired(&wish)), Depth::Full).await;
        // A port is always served by a healthy target of the load balancer that is published.
        let snapshot = aws.snapshot();
        let names = hostnames(&report);
        let served = snapshot.load_balancers.values().any(|found| {
            names.contains(&found.load_balancer.dns_name.to_lowercase())
                && found.listeners.values().all(|listener| {
                    let group = &snapshot.target_groups[&listener.listener.forward[0].target_group];
                    group.targets.iter().any(|health| health.state == TargetState::Healthy)
                })
        });
        assert!(served, "{names:?}");
        if published.last() != Some(&names) {
            published.push(names);
        }
        // What happens to pods meanwhile happens to both.
        let group = wish.target_groups.get_mut(&role(80)).unwrap();
        if group.targets.len() < 5 {
            let more = u16::try_from(group.targets.len()).unwrap() + 10;
            group.targets.insert(pod(&aws, more, 8080));
        }
        match &report.end {
            End::Converged if report.done == 0 => break,
            End::Converged | End::Waiting(_) | End::Held => {}
            other => panic!("{other:?}"),
        }
        tokio::time::sleep(Duration::from_secs(15)).await;
    }
    assert_eq!(published.len(), 3, "{published:?}");
    assert_eq!(published[0], old_name);
    assert_eq!(published[1][1], old_name[0]);
    assert_eq!(published[2], published[1][..1]);
    let snapshot = aws.snapshot();
    assert_eq!(snapshot.load_balancers.len(), 1);
    assert_eq!(snapshot.target_groups.len(), 2);
    let found = snapshot.load_balancers.values().next().unwrap();
    assert_eq!(found.load_balancer.scheme, Scheme::InternetFacing);
    assert_eq!(driver.inventory.epoch, 1);
    assert!(driver.inventory.granted.is_empty());
    assert_eq!(driver.settle(None).await.end, End::Gone);
    assert_eq!(aws.leaked("test"), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_look_at_targets_does_not_forget_consent() {
    let aws = Aws::builder().build();
    let mut driver = Driver::new(&aws);
    let mut wish = nlb(&aws, &[80]);
    driver.settled(&wish).await;
    internet_facing(&mut wish);
    let report = driver.settle(Some(&desired(&wish))).await;
    driver.policy.consent = report.plan.consent;
    driver.pass(Some(&desired(&wish)), Depth::Full).await;
    driver.policy.consent = None;
    driver.pass(Some(&desired(&wish)), Depth::Targets).await;
    driver.settled(&wish).await;
    let snapshot = aws.snapshot();
    assert_eq!(snapshot.load_balancers.values().next().unwrap().load_balancer.scheme, Scheme::InternetFacing);
}

#[tokio::test(start_paused = true)]
async fn a_kept_name_or_elastic_ip_means_that_the_old_one_goes_first() {
    for fixed_name in [true, false] {
        let aws = Aws::builder().build();
        let mut driver = Driver::new(&aws);
        let mut wish = nlb(&aws, &[80]);
        internet_facing(&mut wish);
        if fixed_name {
            wish.name = Some("shop".into());
        } else {
            wish.subnets.named = aws.account().public.clone();
            wish.subnets.allocations = aws.account().elastic_ips[..3].to_vec();
        }
        driver.settled(&wish).await;
        wish.security = Security::Off;
        let report = driver.settle(Some(&desired(&wish))).await;
        assert_eq!(report.end, End::Held);
        assert!(report.plan.disruptive[0].contains("nothing is reachable meanwhile"), "{:?}", report.plan);
        // Not even where replacements are carried out by themselves.
        driver.policy.replacement = Replacement::CreateBeforeDestroy;
        assert_eq!(driver.settle(Some(&desired(&wish))).await.end, End::Held);
        driver.policy.consent = report.plan.consent;
        let mut report = driver.settle(Some(&desired(&wish))).await;
        for _ in 0..20 {
            if report.end == End::Converged {
                break;
            }
            tokio::time::sleep(Duration::from_secs(30)).await;
            report = driver.settle(Some(&desired(&wish))).await;
        }
        assert_eq!(report.end, End::Converged);
        let snapshot = aws.snapshot();
        assert_eq!(snapshot.load_balancers.len(), 1);
        let found = snapshot.load_balancers.values().next().unwrap();
        assert!(found.load_balancer.security_groups.is_empty());
        assert!(!snapshot.security_groups.values().any(|group| group.group.name.starts_with("dm-")));
    }
}

#[tokio::test(start_paused = true)]
async fn what_aws_protects_is_not_replaced() {
    let aws = Aws::builder().build();
    let mut driver = Driver::new(&aws);
    let mut wish = nlb(&aws, &[80]);
    driver.settled(&wish).await;
    let arn = aws.snapshot().load_balancers.keys().next().unwrap().clone();
    let attributes = [("deletion_protection.enabled".to_owned(), "true".to_owned())].into();
    aws.as_other(ModifyLoadBalancerAttributes { arn, attributes }).unwrap();
    internet_facing(&mut wish);
    driver.policy.replacement = Replacement::CreateBeforeDestroy;
    let report = driver.settled(&wish).await;
    assert!(report.remarks.iter().any(|remark| remark.reason == "DeletionProtected"), "{:?}", report.remarks);
    assert_eq!(aws.snapshot().load_balancers.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_wish_that_goes_back_keeps_the_old_one() {
    let aws = Aws::builder().build();
    let mut driver = Driver::new(&aws);
    let internal = nlb(&aws, &[80]);
    driver.settled(&internal).await;
    let mut wish = internal.clone();
    internet_facing(&mut wish);
    driver.policy.replacement = Replacement::CreateBeforeDestroy;
    driver.pass(Some(&desired(&wish)), Depth::Full).await;
    assert_eq!(aws.snapshot().load_balancers.len(), 2);
    let mut back = internal.clone();
    back.scheme = Some(Scheme::Internal);
    driver.settled(&back).await;
    let snapshot = aws.snapshot();
    let schemes: BTreeSet<Scheme> =
        snapshot.load_balancers.values().map(|found| found.load_balancer.scheme).collect();
    assert_eq!(schemes, [Scheme::Internal].into());
    assert_eq!(snapshot.target_groups.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_is_in_use_is_served_whatever_waits_for_consent() {
    let aws = Aws::builder().build();
    let mut driver = Driver::new(&aws);
    let mut back = nlb(&aws, &[80]);
    back.scheme = Some(Scheme::Internal);
    driver.settled(&back).await;
    let mut wish = back.clone();
    internet_facing(&mut wish);
    driver.policy.replacement = Replacement::CreateBeforeDestroy;
    driver.pass(Some(&desired(&wish)), Depth::Full).await;
    // The wish goes back, and the new one may only go with consent.
    driver.policy.replacement = Replacement::OnConsent;
    back.target_groups.get_mut(&role(80)).unwrap().targets.insert(pod(&aws, 9, 8080));
    driver.pass(Some(&desired(&back)), Depth::Full).await;
    let snapshot = aws.snapshot();
    let internal =
        snapshot.load_balancers.values().find(|found| found.load_balancer.scheme == Scheme::Internal);
    let forward = &internal.unwrap().listeners[&80].listener.forward[0];
    assert_eq!(snapshot.target_groups[&forward.target_group].targets.len(), 4);
    assert_eq!(snapshot.load_balancers.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn protection_in_the_middle_of_a_replacement_hinders_no_traffic() {
    let aws = Aws::builder().build();
    let mut driver = Driver::new(&aws);
    let mut wish = nlb(&aws, &[80]);
    driver.settled(&wish).await;
    let arn = aws.snapshot().load_balancers.keys().next().unwrap().clone();
    internet_facing(&mut wish);
    driver.policy.replacement = Replacement::CreateBeforeDestroy;
    driver.pass(Some(&desired(&wish)), Depth::Full).await;
    let attributes = [("deletion_protection.enabled".to_owned(), "true".to_owned())].into();
    aws.as_other(ModifyLoadBalancerAttributes { arn, attributes }).unwrap();
    wish.target_groups.get_mut(&role(80)).unwrap().targets.insert(pod(&aws, 9, 8080));
    driver.settled(&wish).await;
    let snapshot = aws.snapshot();
    assert_eq!(snapshot.load_balancers.len(), 2);
    assert!(snapshot.target_groups.values().all(|group| group.targets.len() == 4));
}

#[tokio::test(start_paused = true)]
async fn a_wish_that_goes_back_forgets_what_was_only_intended() {
    let aws = Aws::builder().build();
    let mut driver = Driver::new(&aws);
    let internal = nlb(&aws, &[80]);
    driver.settled(&internal).await;
    let mut wish = internal.clone();
    internet_facing(&mut wish);
    driver.policy.replacement = Replacement::CreateBeforeDestroy;
    aws.set_quotas(Quotas { load_balancers: 1, ..Quotas::default() });
    driver.pass(Some(&desired(&wish)), Depth::Full).await;
    let all = || [kind::LOAD_BALANCER, kind::LISTENER, kind::TARGET_GROUP];
    let entries = |driver: &Driver| all().map(|kind| driver.inventory.of_kind(kind).count());
    assert_eq!(entries(&driver), [2, 2, 2]);
    // Nobody has to consent, nothing else is made, and what may still appear is remembered until it cannot.
    driver.policy.replacement = Replacement::OnConsent;
    let report = driver.pass(Some(&desired(&internal)), Depth::Full).await;
    assert_eq!((report.plan.disruptive.len(), entries(&driver)[0]), (0, 2), "{report:#?}");
    driver.settled(&internal).await;
    assert_eq!(entries(&driver), [1, 1, 1]);
    let snapshot = aws.snapshot();
    assert_eq!((snapshot.load_balancers.len(), snapshot.target_groups.len()), (1, 1));
}

/// What stands after another scheme moved the load balancer to zones without the targets of port 81.
async fn moved(ports_behind_in_zone: &[u16]) -> (Aws, Driver, PassReport) {
    let aws = Aws::builder().build();
    let mut driver = Driver::new(&aws);
    let mut wish = nlb(&aws, &[80, 81]);
    for port in [80, 81] {
        let pods = |zone: u8| (1..=2_u16).map(move |number| (zone, number));
        let stays = ports_behind_in_zone.contains(&port);
        let targets = pods(0).chain(pods(1).filter(|_| stays));
        let target = |(zone, number)| Target { id: aws.account().pod(zone, number), port: 8080, zone: None };
        wish.target_groups.get_mut(&role(port)).unwrap().targets = targets.map(target).collect();
    }
    driver.settled(&wish).await;
    tokio::time::sleep(Duration::from_secs(180)).await;
    driver.settled(&wish).await;
    internet_facing(&mut wish);
    wish.subnets.named = aws.account().public[1..].to_vec();
    driver.policy.replacement = Replacement::CreateBeforeDestroy;
    let mut report = driver.pass(Some(&desired(&wish)), Depth::Full).await;
    for _ in 0..200 {
        tokio::time::sleep(Duration::from_secs(15)).await;
        report = driver.pass(Some(&desired(&wish)), Depth::Full).await;
    }
    (aws, driver, report)
}

#[tokio::test(start_paused = true)]
async fn a_successor_that_would_serve_a_port_with_nobody_does_not_take_over_and_says_why() {
    let (aws, _, report) = moved(&[80]).await;
    assert_eq!(aws.snapshot().load_balancers.len(), 2);
    let End::Waiting(wait) = &report.end else { panic!("{report:#?}") };
    assert_eq!(wait.reason, "WaitingForReplacement");
    let remark = report.remarks.iter().find(|remark| remark.reason == "TargetsOutsideZones").unwrap();
    for text in [&wait.message, &remark.message] {
        let zones = &aws.account().zones;
        assert!(text.contains("port 81 has 0 of 2") && text.contains(&zones[1]), "{text}");
        assert!(!text.contains(&zones[0]), "{text}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_successor_with_fewer_targets_takes_over_after_a_while() {
    let (aws, driver, report) = moved(&[80, 81]).await;
    assert_eq!(report.end, End::Converged, "{report:#?}");
    let snapshot = aws.snapshot();
    assert_eq!(snapshot.load_balancers.len(), 1);
    assert_eq!(snapshot.load_balancers.values().next().unwrap().load_balancer.scheme, Scheme::InternetFacing);
    assert!(driver.inventory.granted.is_empty());
}
