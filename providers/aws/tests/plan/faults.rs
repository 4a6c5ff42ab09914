//! Whatever fails, and whenever the process dies: in the end all is as wished, and later nothing is left.

use std::time::Duration;

use daymark_aws::api::Scheme;
use daymark_aws::model::{Desired, Nlb};
use daymark_aws_fake::{Aws, Consistency, Fault, On, RandomFaults};
use daymark_model::aws::Replacement;
use daymark_providers::pass::End;

use crate::support::{Driver, desired, internet_facing, nlb, registered};

/// Some passes with faults, and none needs to succeed.
async fn suffer(driver: &mut Driver, wish: Option<&Desired>, passes: usize) {
    for _ in 0..passes {
        driver.mortal_pass(wish).await;
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
