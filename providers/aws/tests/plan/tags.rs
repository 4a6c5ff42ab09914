//! Tags of the user's: set while they are wished, and as they were before afterwards.

use std::collections::BTreeMap;
use std::time::Duration;

use daymark_aws::api::{AddTags, Tags};
use daymark_aws::model::{Adopt, Desired, Nlb};
use daymark_aws::naming::tag;
use daymark_aws_fake::{Aws, Consistency};
use daymark_providers::pass::End;

use crate::support::{Driver, desired, nlb, node_access};

fn tags(pairs: &[(&str, &str)]) -> Tags {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

/// The user's tags of everything that is ours, by what it is.
fn users(aws: &Aws) -> BTreeMap<&'static str, Vec<Tags>> {
    let snapshot = aws.snapshot();
    let balancers = snapshot.load_balancers.values();
    let listeners = balancers.clone().flat_map(|found| found.listeners.values()).map(|found| &found.tags);
    let groups = snapshot.security_groups.values().map(|found| &found.group.tags);
    let all = [
        ("load balancer", balancers.map(|found| &found.tags).collect::<Vec<_>>()),
        ("listener", listeners.collect()),
        ("target group", snapshot.target_groups.values().map(|found| &found.tags).collect()),
        ("security group", groups.filter(|tags| tags.contains_key(tag::UID)).collect()),
    ];
    let user = |tags: &Tags| tags.clone().into_iter().filter(|(key, _)| !tag::is_ours(key)).collect();
    all.into_iter().map(|(what, all)| (what, all.into_iter().map(user).collect())).collect()
}

fn assert_all(aws: &Aws, expected: &[(&str, &str)], when: &str) {
    for (what, found) in users(aws) {
        assert_eq!(found, [tags(expected)], "{what}: {when}");
    }
}

/// All that is found has all of our own tags.
fn assert_ours(aws: &Aws) {
    let snapshot = aws.snapshot();
    let found = snapshot.load_balancers.values().next().unwrap();
    let group = snapshot.target_groups.values().next().unwrap();
    for tags in [&found.tags, &found.listeners[&80].tags, &group.tags] {
        assert!(tag::OURS.iter().all(|key| tags.contains_key(*key)), "{tags:?}");
    }
}

async fn settle(driver: &mut Driver, wish: &Nlb) {
    driver.settled(wish).await;
    tokio::time::sleep(Duration::from_secs(90)).await;
}

#[tokio::test(start_paused = true)]
async fn tags_follow_the_wish_on_everything() {
    let aws = Aws::builder().build();
    let mut driver = Driver::new(&aws);
    let mut wish = nlb(&aws, &[80]);
    settle(&mut driver, &wish).await;
    assert_all(&aws, &[("team", "shop")], "made");
    wish.tags = tags(&[("team", "till"), ("stage", "prod")]);
    settle(&mut driver, &wish).await;
    assert_all(&aws, &[("team", "till"), ("stage", "prod")], "changed");
    wish.tags = tags(&[("stage", "prod")]);
    settle(&mut driver, &wish).await;
    assert_all(&aws, &[("stage", "prod")], "one taken out");
    wish.tags.clear();
    settle(&mut driver, &wish).await;
    assert_all(&aws, &[], "all taken out");
    assert_ours(&aws);
    assert!(driver.inventory.resources().all(|entry| entry.recorded.is_empty()), "{:#?}", driver.inventory);
    aws.reset_calls();
    driver.settled(&wish).await;
    assert!(aws.writes().is_empty(), "{:?}", aws.writes());
}

#[tokio::test(start_paused = true)]
async fn tags_that_others_set_stay_and_come_back() {
    let aws = Aws::builder().build();
    let mut driver = Driver::new(&aws);
    let mut wish = nlb(&aws, &[80]);
    wish.tags.clear();
    settle(&mut driver, &wish).await;
    let arn = aws.snapshot().load_balancers.keys().next().unwrap().clone();
    aws.as_other(AddTags { arn, tags: tags(&[("cost", "42"), ("audit", "yes"), ("same", "so")]) }).unwrap();
    tokio::time::sleep(Duration::from_secs(90)).await;
    wish.tags = tags(&[("cost", "7"), ("same", "so")]);
    settle(&mut driver, &wish).await;
    let expected = tags(&[("cost", "7"), ("audit", "yes"), ("same", "so")]);
    assert_eq!(users(&aws)["load balancer"], [expected]);
    assert_eq!(users(&aws)["listener"], [wish.tags.clone()]);
    wish.tags.clear();
    settle(&mut driver, &wish).await;
    let expected = tags(&[("cost", "42"), ("audit", "yes"), ("same", "so")]);
    assert_eq!(users(&aws)["load balancer"], [expected]);
    assert_eq!(users(&aws)["listener"], [Tags::new()]);
}

#[tokio::test(start_paused = true)]
async fn what_aws_does_not_show_yet_is_removed_all_the_same() {
    let aws = Aws::builder().consistency(Consistency::late(Duration::from_secs(15))).build();
    let mut driver = Driver::new(&aws);
    let mut wish = nlb(&aws, &[80]);
    driver.settled(&wish).await;
    tokio::time::sleep(Duration::from_secs(90)).await;
    wish.tags.insert("stage".into(), "prod".into());
    driver.pass(Some(&desired(&wish)), daymark_providers::Depth::Full).await;
    assert_all(&aws, &[("team", "shop"), ("stage", "prod")], "set");
    // Taken out at once, and another value put in at once.
    wish.tags.remove("stage");
    driver.pass(Some(&desired(&wish)), daymark_providers::Depth::Full).await;
    assert_all(&aws, &[("team", "shop")], "taken out");
    wish.tags.insert("stage".into(), "test".into());
    driver.pass(Some(&desired(&wish)), daymark_providers::Depth::Full).await;
    tokio::time::sleep(Duration::from_secs(90)).await;
    settle(&mut driver, &wish).await;
    assert_all(&aws, &[("team", "shop"), ("stage", "test")], "set again");
    wish.tags.remove("stage");
    settle(&mut driver, &wish).await;
    assert_all(&aws, &[("team", "shop")], "what was never there before does not come back");
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_forgets_nothing() {
    for action in ["RemoveTags", "DeleteTags", "AddTags", "CreateTags"] {
        let aws = Aws::builder().build();
        let mut driver = Driver::new(&aws);
        let mut wish = nlb(&aws, &[80]);
        settle(&mut driver, &wish).await;
        wish.tags = tags(&[("stage", "prod")]);
        aws.fail(daymark_aws_fake::On::action(action), 1, daymark_aws_fake::Fault::LostResponse);
        driver.pass(Some(&desired(&wish)), daymark_providers::Depth::Full).await;
        tokio::time::sleep(Duration::from_secs(90)).await;
        settle(&mut driver, &wish).await;
        assert_all(&aws, &[("stage", "prod")], action);
        wish.tags.clear();
        settle(&mut driver, &wish).await;
        assert_all(&aws, &[], action);
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_taken_over_gets_its_own_tags_back() {
    let aws = Aws::builder().build();
    let made = aws.lbc_service("old", "shop", "web", &[80]).unwrap();
    let theirs = tags(&[("team", "before")]);
    aws.as_other(AddTags { arn: made.load_balancer.clone(), tags: theirs }).unwrap();
    tokio::time::sleep(Duration::from_secs(90)).await;
    let mut driver = Driver::new(&aws);
    let mut wish = crate::adoption::by_instance(&aws, &[80]);
    wish.adopt = Some(Adopt::Lbc { cluster: "old".into(), stack: "shop/web".into() });
    driver.consent(&wish).await;
    tokio::time::sleep(Duration::from_secs(90)).await;
    settle(&mut driver, &wish).await;
    let team = || aws.snapshot().load_balancers[&made.load_balancer].tags.get("team").cloned();
    assert_eq!(team().as_deref(), Some("shop"));
    wish.tags.clear();
    settle(&mut driver, &wish).await;
    assert_eq!(team().as_deref(), Some("before"));
}

#[tokio::test(start_paused = true)]
async fn the_group_that_nodes_let_in_has_tags_too() {
    let aws = Aws::builder().build();
    let mut driver = Driver::new(&aws);
    let mut access = node_access(&aws);
    let steps: [&[(&str, &str)]; 4] =
        [&[("team", "shop")], &[("team", "till"), ("stage", "prod")], &[("stage", "prod")], &[]];
    for step in steps {
        access.tags = tags(step);
        let report = driver.settle(Some(&Desired::NodeAccess(access.clone()))).await;
        assert_eq!(report.end, End::Converged, "{report:#?}");
        assert_eq!(users(&aws)["security group"], [tags(step)]);
        tokio::time::sleep(Duration::from_secs(90)).await;
    }
    assert!(driver.inventory.resources().all(|entry| entry.recorded.is_empty()));
}
