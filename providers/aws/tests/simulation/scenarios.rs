//! Lives with one twist each, and what must come of them.

use std::time::Duration;

use daymark_aws::api::Scheme;
use daymark_aws_fake::{Aws, Fault, On};
use daymark_model::aws::Replacement;
use daymark_providers::Depth;
use daymark_providers::pass::End;
use tokio::time::Instant;

use crate::controller::Controller;
use crate::schedule::{Beginning, finish, safe};

fn controller() -> (Controller, Beginning) {
    let aws = Aws::builder().nodes_per_zone(1).elastic_ips(24).build();
    let controller = Controller::new(&aws, false);
    let beginning = Beginning::of(&controller).unwrap();
    (controller, beginning)
}

fn create(controller: &mut Controller, name: &'static str) {
    let now = controller.now();
    controller.shop.create(name, now);
    controller.touch_all(Depth::Full);
}

fn front(controller: &mut Controller, edit: impl FnOnce(&mut crate::wish::Front)) {
    edit(&mut controller.shop.services.get_mut("web").unwrap().front);
    controller.touch_all(Depth::Full);
}

/// Lets the process die after 0, 1, 2, … answers of what `act` sets off, until it lives through all of it.
async fn die_everywhere(before: impl Fn(&mut Controller), act: impl Fn(&mut Controller)) {
    // Without optimization every third point is enough to wait for.
    for answers in (0..).step_by(if cfg!(debug_assertions) { 3 } else { 1 }) {
        let (mut controller, beginning) = controller();
        create(&mut controller, "web");
        before(&mut controller);
        controller.settle().await.unwrap();
        act(&mut controller);
        controller.life.set(Some(answers));
        let settled = controller.settle().await;
        settled.and_then(|()| safe(&controller, &beginning)).unwrap();
        if controller.deaths == 0 {
            return;
        }
        if let Err(error) = finish(&mut controller, &beginning).await {
            panic!("after death at answer {answers}: {error}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_creation_survives_death_at_any_point() {
    die_everywhere(|_| {}, |controller| create(controller, "api")).await;
}

#[tokio::test(start_paused = true)]
async fn a_replacement_survives_death_at_any_point() {
    let replace = |controller: &mut Controller| {
        controller.shop.replacement = Replacement::CreateBeforeDestroy;
        controller.shop.profile.replacement_grace = Duration::from_secs(60);
        front(controller, |front| front.scheme = Some(Scheme::InternetFacing));
    };
    die_everywhere(|_| {}, replace).await;
}

#[tokio::test(start_paused = true)]
async fn a_deletion_survives_death_at_any_point() {
    let delete = |controller: &mut Controller| {
        controller.shop.services.clear();
        controller.touch_all(Depth::Full);
    };
    die_everywhere(|_| {}, delete).await;
}

#[tokio::test(start_paused = true)]
async fn an_answer_to_a_creation_that_is_lost_makes_nothing_twice() {
    let actions = [
        "CreateSecurityGroup",
        "AuthorizeSecurityGroupIngress",
        "CreateTargetGroup",
        "CreateLoadBalancer",
        "CreateListener",
        "RegisterTargets",
    ];
    for action in actions {
        for skip in 0..2 {
            let (mut controller, beginning) = controller();
            controller.aws.fail_after(skip, On::action(action), 1, Fault::LostResponse);
            create(&mut controller, "web");
            if let Err(error) = finish(&mut controller, &beginning).await {
                panic!("{action}, after {skip}: {error}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_service_that_comes_again_waits_until_the_old_one_is_gone() {
    let (mut controller, beginning) = controller();
    create(&mut controller, "web");
    controller.settle().await.unwrap();
    controller.shop.services.clear();
    create(&mut controller, "web");
    let old = |controller: &Controller| {
        let aws = controller.aws.snapshot();
        !aws.load_balancers_with(daymark_aws::naming::tag::UID, "uid-1").is_empty()
            || aws.target_groups.values().any(|pool| pool.tags.values().any(|value| value == "uid-1"))
    };
    let until = Instant::now() + Duration::from_secs(1000);
    while controller.shared.book().objects.get("web").is_some_and(|object| object.uid == "uid-1") {
        let new = controller.aws.snapshot();
        assert!(new.load_balancers_with(daymark_aws::naming::tag::UID, "uid-2").is_empty());
        assert!(controller.turn(until).await.unwrap());
    }
    assert!(!old(&controller));
    finish(&mut controller, &beginning).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_protected_load_balancer_blocks_its_deletion_until_somebody_lets_go() {
    let (mut controller, beginning) = controller();
    create(&mut controller, "web");
    front(&mut controller, |front| front.attributes = 2);
    controller.settle().await.unwrap();
    controller.shop.services.clear();
    controller.touch_all(Depth::Full);
    controller.run_for(Duration::from_secs(900)).await.unwrap();
    let end = controller.last.get("web").map(|report| report.end.clone());
    assert!(matches!(&end, Some(End::Failed(error)) if error.reason == "DeletionProtected"), "{end:?}");
    safe(&controller, &beginning).unwrap();
    let arns: Vec<String> = {
        let book = controller.shared.book();
        let entries = book.objects.get("web").unwrap().inventory.clone();
        entries.of_kind(daymark_aws::naming::kind::LOAD_BALANCER).filter_map(|one| one.id.clone()).collect()
    };
    assert_eq!(arns.len(), 1);
    let attributes = [("deletion_protection.enabled".to_owned(), "false".to_owned())].into();
    let call = daymark_aws::api::ModifyLoadBalancerAttributes { arn: arns[0].clone(), attributes };
    controller.aws.as_other(call).unwrap();
    finish(&mut controller, &beginning).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_name_that_somebody_else_has_is_told_and_harms_nobody() {
    let (mut controller, _) = controller();
    let theirs = controller.aws.foreign_load_balancer("named-web-1", Default::default()).unwrap();
    let beginning = Beginning::of_what_is_there(&controller);
    create(&mut controller, "web");
    front(&mut controller, |front| front.name = 1);
    controller.run_for(Duration::from_secs(900)).await.unwrap();
    let end = controller.last.get("web").map(|report| report.end.clone());
    assert!(matches!(&end, Some(End::Failed(error)) if error.reason == "NameConflict"), "{end:?}");
    safe(&controller, &beginning).unwrap();
    assert!(controller.aws.snapshot().load_balancers.contains_key(&theirs));
    front(&mut controller, |front| front.name = 2);
    finish(&mut controller, &beginning).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_the_other_controller_made_is_taken_over_in_place_and_leaves_nothing() {
    let (mut controller, _) = controller();
    let made = controller.aws.lbc_service("test", "shop", "web", &[1100]).unwrap();
    controller.shop.profile.adopt_lbc = true;
    create(&mut controller, "web");
    let entry = controller.shop.services.get_mut("web").unwrap();
    entry.back.pods = false;
    entry.front.scheme = Some(Scheme::InternetFacing);
    controller.touch_all(Depth::Full);
    controller.settle().await.unwrap();
    let snapshot = controller.aws.snapshot();
    assert!(snapshot.load_balancers.contains_key(&made.load_balancer));
    assert!(made.target_groups.iter().all(|arn| snapshot.target_groups.contains_key(arn)));
    let listener = &snapshot.load_balancers[&made.load_balancer].listeners[&1100];
    assert_eq!(vec![listener.listener.arn.clone()], made.listeners);
    assert_eq!(controller.aws.count("CreateLoadBalancer"), 0);
    assert_eq!(controller.aws.count("CreateListener"), 0);
    controller.shop.services.clear();
    controller.touch_all(Depth::Full);
    controller.settle().await.unwrap();
    assert_eq!(controller.aws.leaked("test"), Vec::<String>::new());
    let snapshot = controller.aws.snapshot();
    assert!(!snapshot.load_balancers.contains_key(&made.load_balancer));
    assert!(!snapshot.security_groups.contains_key(&made.frontend_group));
    assert!(snapshot.security_groups.contains_key(&made.backend_group), "it is not this Service's");
}

/// AWS wants an Elastic IP in every subnet or in none, so that they cannot come zone by zone.
#[tokio::test(start_paused = true)]
async fn elastic_ips_come_and_go_by_replacement() {
    let (mut controller, beginning) = controller();
    create(&mut controller, "web");
    front(&mut controller, |front| front.scheme = Some(Scheme::InternetFacing));
    controller.settle().await.unwrap();
    front(&mut controller, |front| (front.zones, front.addresses) = (vec![0, 1], Some(0)));
    controller.settle().await.unwrap();
    assert_eq!(crate::check::wishes(&controller), Vec::<String>::new());
    front(&mut controller, |front| front.addresses = None);
    controller.settle().await.unwrap();
    assert_eq!(controller.aws.count("CreateLoadBalancer"), 3);
    finish(&mut controller, &beginning).await.unwrap();
}

/// Tags become visible together: where ours are, a missing one of the user's is missing.
#[tokio::test(start_paused = true)]
async fn a_tag_that_is_wished_in_the_first_minute_is_set_soon() {
    let (mut controller, _) = controller();
    create(&mut controller, "web");
    controller.run_for(Duration::from_secs(5)).await.unwrap();
    front(&mut controller, |front| front.tags = 1);
    controller.run_for(Duration::from_secs(200)).await.unwrap();
    assert_eq!(crate::check::wishes(&controller), Vec::<String>::new());
}
