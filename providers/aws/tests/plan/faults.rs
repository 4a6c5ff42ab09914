//! Whatever fails, and whenever the process dies: in the end all is as wished, and later nothing is left.

use std::time::Duration;

use daymark_aws::api::{RuleProtocol, Scheme};
use daymark_aws::model::{Adopt, Desired, Nlb, PortRange};
use daymark_aws_fake::{Aws, Consistency, Fault, On, RandomFaults};
use daymark_model::aws::Replacement;
use daymark_providers::pass::End;

use crate::support::{Driver, desired, internet_facing, nlb, node_access, registered};

/// Some passes with faults, and none needs to succeed.
async fn suffer(driver: &mut Driver, wish: Option<&Desired>, passes: usize) {
    for _ in 0..passes {
        if let Some(report) = driver.mortal_pass(wish).await {
            driver.policy.consent = report.plan.consent;
        }
        tokio::time::sleep(Duration::from_secs(7)).await;
    }
}

async fn recovered(driver: &mut Driver, wish: Option<&Desired>, context: &str) {
    for _ in 0..20 {
        match driver.settle(wish).await.end {
            End::Converged | End::Gone => return,
            End::Failed(_) => tokio::time::sleep(Duration::from_secs(30)).await,
            other => panic!("{context}: {other:?}"),
        }
    }
    let report = driver.pass(wish, daymark_providers::Depth::Full).await;
    panic!("{context}: {report:#?}");
}

fn everything(seed: u64) -> RandomFaults {
    let mut random = RandomFaults::survivable(seed, 150);
    random.faults.extend([Fault::CrashBefore, Fault::CrashAfter, Fault::CrashAfter]);
    random.on = On::Any;
    random
}

async fn live(seed: u64, consistency: Consistency) {
    let context = format!("seed {seed}, {consistency:?}");
    let aws = Aws::builder().consistency(consistency).build();
    let mut driver = Driver::new(&aws);
    driver.policy.replacement = Replacement::CreateBeforeDestroy;
    let first = nlb(&aws, &[80, 81]);
    let mut second = nlb(&aws, &[80, 82]);
    second.attributes.insert("load_balancing.cross_zone.enabled".into(), "true".into());
    second.policy.replacement_grace = Duration::from_secs(60);
    let mut third = second.clone();
    internet_facing(&mut third);
    let wishes: [&Nlb; 3] = [&first, &second, &third];
    let steps = usize::try_from(seed % 4).unwrap() + 1;
    aws.fail_at_random(Some(everything(seed)));
    for wish in wishes {
        suffer(&mut driver, Some(&desired(wish)), steps).await;
    }
    if seed.is_multiple_of(2) {
        aws.fail_at_random(None);
        recovered(&mut driver, Some(&desired(&third)), &context).await;
        let snapshot = aws.snapshot();
        assert_eq!(snapshot.load_balancers.len(), 1, "{context}");
        assert_eq!(snapshot.target_groups.len(), 2, "{context}");
        let found = snapshot.load_balancers.values().next().unwrap();
        assert_eq!(found.load_balancer.scheme, Scheme::InternetFacing, "{context}");
        assert_eq!(found.listeners.keys().copied().collect::<Vec<_>>(), [80, 82], "{context}");
        assert_eq!(found.attributes["load_balancing.cross_zone.enabled"], "true", "{context}");
        assert_eq!(registered(&aws, 82).len(), 3, "{context}");
        aws.fail_at_random(Some(everything(seed + 1000)));
    }
    suffer(&mut driver, None, steps).await;
    aws.fail_at_random(None);
    recovered(&mut driver, None, &context).await;
    assert_eq!(aws.leaked("test"), Vec::<String>::new(), "{context}");
}

#[tokio::test(start_paused = true)]
async fn with_an_account_that_shows_everything_at_once() {
    for seed in 1..150 {
        live(seed, Consistency::default()).await;
    }
}

#[tokio::test(start_paused = true)]
async fn with_an_account_that_is_late() {
    for seed in 1..100 {
        live(seed, Consistency::late(Duration::from_secs(12))).await;
        let all = Duration::from_secs(9);
        live(seed, Consistency { lists: all, identities: all, tags: all, attributes: all }).await;
    }
}

#[tokio::test(start_paused = true)]
async fn the_way_to_the_nodes_too() {
    for seed in 1..100 {
        let late = Duration::from_secs(12 * (seed % 2));
        let context = format!("seed {seed}");
        let aws = Aws::builder().consistency(Consistency::late(late)).build();
        let before = aws.snapshot().security_groups;
        let mut driver = Driver::new(&aws);
        let wish = |to| {
            let mut access = node_access(&aws);
            access.ranges = [PortRange { protocol: RuleProtocol::Tcp, from: 30000, to }].into();
            Desired::NodeAccess(access)
        };
        aws.fail_at_random(Some(everything(seed)));
        for to in [30010, 30020] {
            suffer(&mut driver, Some(&wish(to)), 3).await;
        }
        if seed % 3 == 0 {
            aws.fail_at_random(None);
            recovered(&mut driver, Some(&wish(30020)), &context).await;
            let group = &aws.snapshot().security_groups[&aws.account().node_group];
            let ports: Vec<i32> = group.rules.iter().map(|rule| rule.ingress.to).collect();
            assert_eq!(ports, [30020], "{context}");
            aws.fail_at_random(Some(everything(seed + 1000)));
        }
        suffer(&mut driver, None, 3).await;
        aws.fail_at_random(None);
        recovered(&mut driver, None, &context).await;
        assert_eq!(aws.leaked("test"), Vec::<String>::new(), "{context}");
        assert_eq!(aws.snapshot().security_groups, before, "{context}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_borrowed_is_given_back_as_it_was() {
    for seed in 1..100 {
        let late = Duration::from_secs(12 * (seed % 2));
        let context = format!("seed {seed}");
        let aws = Aws::builder().consistency(Consistency::late(late)).build();
        let arn = aws.foreign_load_balancer("theirs", Default::default()).unwrap();
        tokio::time::sleep(Duration::from_secs(60)).await;
        let before = aws.snapshot().load_balancers;
        let mut driver = Driver::new(&aws);
        let mut wish = nlb(&aws, &[80]);
        wish.adopt = Some(Adopt::Arn(arn));
        aws.fail_at_random(Some(everything(seed)));
        suffer(&mut driver, Some(&desired(&wish)), 6).await;
        suffer(&mut driver, None, 3).await;
        aws.fail_at_random(None);
        recovered(&mut driver, None, &context).await;
        assert_eq!(aws.leaked("test"), Vec::<String>::new(), "{context}");
        assert_eq!(aws.snapshot().load_balancers, before, "{context}");
    }
}
