//! What a pass does and does not do.

use std::time::Duration;

use daymark_model::IpMode;
use daymark_model::aws::{CloudMode, Replacement};
use daymark_providers::cloud::Address;
use daymark_providers::pass::{self, End};
use daymark_providers::{Depth, ErrorClass};

use crate::{Life, World};

#[test]
fn a_service_gets_its_address_its_servers_and_leaves_nothing() {
    let mut world = World::new();
    let first = world.pass();
    let address = Address::Ip("192.0.2.1".parse().unwrap(), IpMode::VIP);
    assert_eq!(first.published.unwrap().addresses, [address], "told in the pass that made it");
    assert_eq!((first.again, first.done), (Some(Duration::from_secs(5)), 1));
    assert!(matches!(first.end, End::Waiting(wait) if wait.reason == "ActionRunning"));
    world.advance(Duration::from_secs(5));
    assert_eq!(world.settle(), End::Converged);
    assert_eq!(world.standing(), [r#"north 1 {80, 443} {"a", "b"}"#]);

    world.wish().servers = ["b".to_owned(), "c".to_owned(), "d".to_owned()].into();
    world.wish().ports.remove(&443);
    let report = world.pass();
    assert_eq!(report.remarks.first().map(|remark| remark.message.as_str()), Some("1 servers do not fit"));
    world.settle();
    assert_eq!(world.standing(), [r#"north 1 {80} {"b", "c"}"#]);
    let quiet = world.pass();
    assert_eq!((quiet.end, quiet.done), (End::Converged, 0));
    assert_eq!(quiet.again, Some(Duration::from_secs(60)), "what is left is looked at again");

    world.desired = None;
    assert_eq!(world.settle(), End::Gone);
    assert!(world.standing().is_empty() && world.store.saved.is_empty());
}

#[test]
fn an_address_is_told_although_the_step_after_the_creation_failed() {
    let mut world = World::new();
    world.refuse("ports", "forbidden");
    let report = world.pass();
    assert!(matches!(&report.end, End::Failed(error) if error.class == ErrorClass::Permission));
    assert_eq!(report.published.unwrap().addresses.len(), 1);
    assert_eq!(report.again, None, "the pause after a failure is not this one's to say");
}

#[test]
fn a_change_that_interrupts_waits_for_consent_which_holds_once() {
    let mut world = World::serving();
    world.wish().size = 2;
    world.wish().servers.insert("c".into());
    assert_eq!(world.settle(), End::Held);
    assert_eq!(world.standing(), [r#"north 1 {80, 443} {"a", "b"}"#]);
    let held = world.pass();
    assert_eq!(held.plan.disruptive, ["web is resized: connections break"]);
    assert!(held.plan.steps.iter().any(|line| line.held));

    world.policy.consent = Some("somebody else's".into());
    assert_eq!(world.settle(), End::Held);
    world.policy.consent = held.plan.consent.clone();
    assert_eq!(world.settle(), End::Converged);
    assert_eq!(world.standing(), [r#"north 2 {80, 443} {"a", "b", "c"}"#]);

    // The consent is still written on the Service. The same change is another one now.
    world.wish().size = 1;
    assert_eq!(world.settle(), End::Held);
    assert_ne!(world.pass().plan.consent, held.plan.consent);
    world.wish().size = 2;
    assert_eq!(world.settle(), End::Converged);
    world.wish().size = 3;
    assert_eq!(world.settle(), End::Held);
}

#[test]
fn a_finished_change_does_not_come_back_while_another_goes_on() {
    let mut world = World::serving();
    world.wish().location = "south".into();
    world.policy.consent = world.pass().plan.consent;
    world.refuse("create", "rate_limit_exceeded");
    assert!(matches!(world.pass().end, End::Failed(_)));
    assert_eq!(world.store.saved.granted.len(), 1);
    // Thought better of it: the grant is over although nothing was done, and a size is another matter.
    world.wish().location = "north".into();
    world.wish().size = 2;
    assert_eq!(world.settle(), End::Held);
    world.wish().location = "south".into();
    assert_eq!(world.settle(), End::Held, "a consent held twice");
    assert_eq!(world.standing(), [r#"north 1 {80, 443} {"a", "b"}"#]);
}

#[test]
fn a_look_at_the_targets_does_not_end_a_change_that_goes_on() {
    let mut world = World::serving();
    world.wish().size = 2;
    world.policy.consent = world.pass().plan.consent;
    world.refuse("resize", "rate_limit_exceeded");
    world.pass();
    let granted = world.store.saved.granted.clone();
    assert_eq!(granted.len(), 1);
    world.wish().size = 1;
    world.pass_within(&mut Life(None), Depth::Targets).unwrap();
    assert_eq!((&world.store.saved.granted, world.store.saved.epoch), (&granted, 0));
}

#[test]
fn a_replacement_stands_before_the_old_one_goes() {
    let mut world = World::serving();
    world.log();
    world.wish().location = "south".into();
    assert_eq!(world.settle(), End::Held);
    world.policy.replacement = Replacement::CreateBeforeDestroy;
    assert_eq!(world.settle(), End::Converged);
    let log = world.log();
    assert_eq!(log.first().map(String::as_str), Some("create web-2"));
    assert_eq!(log.last().map(String::as_str), Some("delete web-1"));
    assert_eq!(world.standing(), [r#"south 1 {80, 443} {"a", "b"}"#]);
    assert_eq!(world.store.saved.epoch, 1);

    // The policy is about replacements: what interrupts waits, and the text shown for it is what consents.
    world.wish().location = "west".into();
    world.pass();
    world.advance(Duration::from_secs(30));
    world.settle();
    world.wish().size = 2;
    assert_eq!(world.settle(), End::Held);
    world.policy.consent = world.pass().plan.consent;
    assert_eq!(world.settle(), End::Converged);
    assert_eq!(world.standing(), [r#"west 2 {80, 443} {"a", "b"}"#]);
}

#[test]
fn a_plan_is_shown_and_neither_carried_out_nor_consented_to() {
    let mut world = World::new();
    world.policy.mode = CloudMode::Plan;
    let report = world.pass();
    assert_eq!(report.end, End::Shown);
    assert!(!report.plan.steps.is_empty());
    assert!(world.log().is_empty() && world.store.saved.is_empty());

    let mut world = World::serving();
    world.log();
    world.policy.mode = CloudMode::Plan;
    assert_eq!(world.pass().end, End::Converged);
    world.wish().size = 2;
    world.policy.consent = world.pass().plan.consent;
    assert_eq!(world.pass().end, End::Shown);
    assert!(world.log().is_empty() && world.store.saved.granted.is_empty());
    let (shown, _) = Life(None)
        .run(pass::preview(&world.cloud, world.desired.as_ref(), &world.store.saved, Default::default()))
        .unwrap()
        .unwrap();
    assert_eq!(shown.consent, world.policy.consent);
    world.policy.mode = CloudMode::Apply;
    assert_eq!(world.settle(), End::Converged);
    assert_eq!(world.log(), ["resize web-1"]);
}

#[test]
fn who_only_observes_moves_servers_and_nothing_else() {
    let mut world = World::new();
    world.policy.mode = CloudMode::Observe;
    assert_eq!(world.settle(), End::Shown);
    assert!(world.log().is_empty());

    let mut world = World::serving();
    world.log();
    world.policy.mode = CloudMode::Observe;
    world.wish().ports = [22].into();
    world.wish().servers = ["a".to_owned()].into();
    assert_eq!(world.settle(), End::Shown);
    assert_eq!(world.standing(), [r#"north 1 {80, 443} {"a"}"#]);
    world.desired = None;
    assert_eq!(world.settle(), End::Shown);
    assert_eq!(world.log(), ["detach web-1"]);
}

#[test]
fn every_class_of_error_is_told_and_recovered_from() {
    let codes = [
        ("rate_limit_exceeded", ErrorClass::Throttled),
        ("server_error", ErrorClass::Transient),
        ("resource_limit_exceeded", ErrorClass::Quota),
        ("forbidden", ErrorClass::Permission),
        ("invalid_input", ErrorClass::User),
        ("protected", ErrorClass::Blocked),
    ];
    assert_eq!(codes.map(|(_, class)| class), ErrorClass::ALL);
    for (code, class) in codes {
        for action in ["get", "create", "ports", "attach", "delete"] {
            let mut world =
                if action == "attach" || action == "delete" { World::serving() } else { World::new() };
            world.wish().servers = ["c".to_owned(), "d".to_owned()].into();
            if action == "attach" {
                // Room for two of them: the third is a remark.
                world.wish().servers = ["a", "b", "c"].map(str::to_owned).into();
                let mut state = world.cloud.0.state();
                state.balancers.values_mut().for_each(|balancer| balancer.servers.clear());
            }
            if action == "delete" {
                world.desired = None;
            }
            if action == "get" {
                // A get is only made where there is something to get.
                world.pass();
                world.advance(Duration::from_secs(5));
            }
            world.log();
            world.refuse(action, code);
            let report = world.pass();
            let End::Failed(error) = &report.end else { panic!("{action} {code}: {report:?}") };
            assert_eq!((error.class, error.code.as_deref()), (class, Some(code)));
            assert_eq!(error.action.as_deref(), Some(action));
            if action == "attach" {
                // One server that cannot be attached does not keep the others away; one that may be tried again does.
                let hinders = matches!(class, ErrorClass::Throttled | ErrorClass::Transient);
                assert_eq!(report.done, usize::from(!hinders), "{code}");
                assert_eq!(report.again, None, "{code}: the remark hurries the failure");
            }
            world.advance(Duration::from_secs(5));
            assert!(matches!(world.settle(), End::Converged | End::Gone), "{action} {code}");
        }
    }
}
