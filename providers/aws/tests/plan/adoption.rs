//! What exists already and is taken over.

use std::time::Duration;

use daymark_aws::api::{CreateListener, Forward, NlbProtocol, Target, TargetType};
use daymark_aws::model::{Adopt, Nlb};
use daymark_aws_fake::Aws;
use daymark_model::Ownership;
use daymark_providers::pass::End;

use crate::support::{Driver, desired, hostnames, internet_facing, listener_wish, nlb, registered, role};

pub fn by_instance(aws: &Aws, ports: &[u16]) -> Nlb {
    let mut wish = nlb(aws, ports);
    internet_facing(&mut wish);
    for (name, group) in &mut wish.target_groups {
        let port = ports.iter().find(|port| role(**port) == *name).unwrap();
        group.target_type = TargetType::Instance;
        let target = |id: &String| Target { id: id.clone(), port: 30000 + port, zone: None };
        group.targets = aws.account().instances.iter().map(target).collect();
    }
    wish
}

#[tokio::test(start_paused = true)]
async fn what_the_load_balancer_controller_made_is_taken_over_in_place() {
    let aws = Aws::builder().build();
    let made = aws.lbc_service("old", "shop", "web", &[80, 443]).unwrap();
    aws.lbc_service("old", "shop", "other", &[80]).unwrap();
    let mut driver = Driver::new(&aws);
    let mut wish = by_instance(&aws, &[80, 443]);
    wish.adopt = Some(Adopt::Lbc { cluster: "old".into(), stack: "shop/web".into() });
    aws.reset_calls();
    let report = driver.settle(Some(&desired(&wish))).await;
    assert_eq!(report.end, End::Held);
    assert!(aws.writes().is_empty(), "{:?}", aws.writes());
    assert!(report.plan.steps.iter().all(|step| step.held), "{:#?}", report.plan);
    let taken = report.plan.steps.iter().filter(|step| step.what.starts_with("take over")).count();
    // The load balancer, two target groups, two listeners and the security group.
    assert_eq!(taken, 6, "{:#?}", report.plan);
    driver.policy.consent = report.plan.consent;
    let report = driver.settled(&wish).await;
    let creations: Vec<&str> =
        aws.writes().iter().map(|call| call.name()).filter(|name| name.starts_with("Create")).collect();
    assert!(creations.iter().all(|name| *name == "CreateTags"), "{creations:?}");
    let snapshot = aws.snapshot();
    let found = &snapshot.load_balancers[&made.load_balancer];
    assert_eq!(hostnames(&report), [found.load_balancer.dns_name.to_lowercase()]);
    tokio::time::sleep(Duration::from_secs(90)).await;
    driver.settled(&wish).await;
    let snapshot = aws.snapshot();
    let found = &snapshot.load_balancers[&made.load_balancer];
    assert!(found.tags.contains_key("daymark.dev/uid"), "{:?}", found.tags);
    assert_eq!(registered(&aws, 80).len(), aws.account().instances.len());
    assert_eq!(driver.settle(None).await.end, End::Gone);
    let snapshot = aws.snapshot();
    assert_eq!(snapshot.load_balancers.len(), 1);
    assert_eq!(snapshot.target_groups.len(), 1);
    assert!(!snapshot.security_groups.contains_key(&made.frontend_group));
    assert!(snapshot.security_groups.contains_key(&made.backend_group));
}

#[tokio::test(start_paused = true)]
async fn nothing_to_take_over_means_that_it_is_made() {
    let aws = Aws::builder().build();
    let mut driver = Driver::new(&aws);
    let mut wish = nlb(&aws, &[80]);
    wish.adopt = Some(Adopt::Lbc { cluster: "old".into(), stack: "shop/web".into() });
    driver.settled(&wish).await;
    assert_eq!(aws.snapshot().load_balancers.len(), 1);
}

fn foreign_listener(aws: &Aws, load_balancer: &str, port: u16) {
    let made = aws
        .as_other(daymark_aws::api::CreateTargetGroup {
            name: format!("theirs-{port}"),
            protocol: NlbProtocol::Tcp,
            port: 80,
            target_type: TargetType::Ip,
            family: daymark_model::Family::V4,
            vpc: aws.account().vpc.clone(),
            health: crate::support::group_wish(80, []).health,
            tags: Default::default(),
        })
        .unwrap();
    aws.as_other(CreateListener {
        load_balancer: load_balancer.to_owned(),
        port,
        protocol: NlbProtocol::Tcp,
        forward: vec![Forward { target_group: made.arn, weight: 1 }],
        certificate: None,
        policy: None,
        alpn: None,
        tags: Default::default(),
    })
    .unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_borrowed_load_balancer_is_given_back() {
    let aws = Aws::builder().build();
    let arn = aws.foreign_load_balancer("theirs", Default::default()).unwrap();
    foreign_listener(&aws, &arn, 9000);
    let before = aws.snapshot();
    let mut driver = Driver::new(&aws);
    let mut wish = nlb(&aws, &[80]);
    wish.adopt = Some(Adopt::Arn(arn.clone()));
    let report = driver.consent(&wish).await;
    let snapshot = aws.snapshot();
    let found = &snapshot.load_balancers[&arn];
    assert_eq!(found.listeners.len(), 2);
    assert_eq!(hostnames(&report), [found.load_balancer.dns_name.to_lowercase()]);
    let borrowed = driver.inventory.resources().filter(|entry| entry.ownership == Ownership::Borrowed);
    assert_eq!(borrowed.count(), 1);
    // A port of theirs is not taken.
    let mut greedy = wish.clone();
    greedy.listeners.insert(9000, listener_wish(9000));
    greedy.target_groups.insert(role(9000), wish.target_groups[&role(80)].clone());
    let End::Failed(error) = driver.settle(Some(&desired(&greedy))).await.end else { panic!() };
    assert_eq!(error.reason, "PortConflict");
    driver.settled(&wish).await;
    assert_eq!(driver.settle(None).await.end, End::Gone);
    let after = aws.snapshot();
    assert_eq!(after.load_balancers[&arn], before.load_balancers[&arn]);
    assert_eq!(after.target_groups.len(), before.target_groups.len());
    assert_eq!(aws.leaked("test"), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn an_unknown_arn_is_a_fault() {
    let aws = Aws::builder().build();
    let theirs = aws.foreign_load_balancer("theirs", Default::default()).unwrap();
    aws.lose_load_balancer(&theirs);
    let mut driver = Driver::new(&aws);
    let mut wish = nlb(&aws, &[80]);
    wish.adopt = Some(Adopt::Arn(theirs));
    let End::Failed(error) = driver.settle(Some(&desired(&wish))).await.end else { panic!() };
    assert_eq!(error.reason, "AdoptNotFound");
    let application = aws.foreign_application_load_balancer("web").unwrap();
    wish.adopt = Some(Adopt::Arn(application));
    let End::Failed(error) = driver.settle(Some(&desired(&wish))).await.end else { panic!() };
    assert_eq!(error.reason, "AdoptUnfit");
}
