//! A process that dies anywhere, and stores that refuse.

use std::time::Duration;

use daymark_model::aws::Replacement;
use daymark_providers::Depth;
use daymark_providers::pass::End;
use proptest::prelude::*;

use crate::{Life, World};

const SERVED: &str = r#"north 1 {80, 443} {"a", "b"}"#;

/// Lets the process die at every point of `act` in turn, and checks what a new one makes of what was saved.
fn die_everywhere(begin: impl Fn() -> World, act: impl Fn(&mut World), check: impl Fn(&World, usize)) {
    for polls in 0.. {
        let mut world = begin();
        act(&mut world);
        let survived = world.settle_within(&mut Life(Some(polls))).is_some();
        world.settle();
        check(&world, polls);
        // And all of it can go.
        world.desired = None;
        assert_eq!(world.settle(), End::Gone, "after death at {polls}");
        assert_eq!(world.standing(), Vec::<String>::new(), "leaked after death at {polls}");
        assert!(world.store.saved.is_empty());
        if survived {
            assert!(polls > 5, "too few points at which to die");
            return;
        }
    }
}

#[test]
fn a_creation_may_die_anywhere() {
    let check = |world: &World, polls| assert_eq!(world.standing(), [SERVED], "after death at {polls}");
    die_everywhere(World::new, |_| {}, check);
}

#[test]
fn a_creation_may_die_anywhere_and_the_service_with_it() {
    for polls in 0..200 {
        let mut world = World::new();
        let survived = world.settle_within(&mut Life(Some(polls))).is_some();
        world.desired = None;
        assert_eq!(world.settle(), End::Gone);
        assert_eq!(world.standing(), Vec::<String>::new(), "leaked after death at {polls}");
        if survived {
            return;
        }
    }
    panic!("it never lives through a creation");
}

#[test]
fn a_move_may_die_anywhere() {
    let act = |world: &mut World| {
        world.policy.replacement = Replacement::CreateBeforeDestroy;
        world.wish().location = "south".into();
    };
    let check = |world: &World, polls| {
        assert_eq!(world.standing(), [r#"south 1 {80, 443} {"a", "b"}"#], "after death at {polls}");
        assert!(world.store.saved.granted.is_empty());
        assert_eq!(world.store.saved.epoch, 1, "after death at {polls}");
    };
    die_everywhere(World::serving, act, check);
}

#[test]
fn a_deletion_may_die_anywhere() {
    die_everywhere(
        World::serving,
        |world| world.desired = None,
        |world, polls| assert!(world.standing().is_empty(), "after death at {polls}"),
    );
}

#[test]
fn a_consent_that_was_given_outlives_the_process() {
    let act = |world: &mut World| {
        world.wish().size = 2;
        world.policy.consent = world.pass().plan.consent;
        assert!(world.policy.consent.is_some());
    };
    let check = |world: &World, polls| {
        assert_eq!(world.standing(), [r#"north 2 {80, 443} {"a", "b"}"#], "after death at {polls}");
    };
    die_everywhere(World::serving, act, check);
}

#[test]
fn what_cannot_be_saved_is_not_made() {
    let mut world = World::new();
    world.store.conflict_after = Some(0);
    let report = world.pass();
    assert!(matches!(report.end, End::Unsaved(_)), "{report:?}");
    assert_eq!((world.standing().len(), report.done), (0, 0));

    // The second save is the one after the work: what was made is named in the first.
    world.store.conflict_after = Some(1);
    let report = world.pass();
    assert!(matches!(report.end, End::Unsaved(_)), "{report:?}");
    assert_eq!(world.standing().len(), 1);
    world.store.conflict_after = None;
    assert_eq!(world.settle(), End::Converged);
    assert_eq!(world.standing(), [SERVED]);
    assert_eq!(world.log().iter().filter(|line| line.starts_with("create")).count(), 1);
}

#[test]
fn a_change_is_not_begun_before_its_consent_is_saved_as_used() {
    let mut world = World::serving();
    world.wish().size = 2;
    world.policy.consent = world.pass().plan.consent;
    world.store.conflict_after = Some(0);
    assert!(matches!(world.pass().end, End::Unsaved(_)));
    assert_eq!(world.standing(), [SERVED]);
}

/// What happens to a load balancer in its life.
#[derive(Debug, Clone)]
enum Event {
    PassAndDieAt(usize),
    Pass(bool),
    Refuse(&'static str, &'static str),
    Conflict(usize),
    Move(&'static str),
    Resize(u32),
    Servers(Vec<&'static str>),
    Consent,
    Advance(u64),
}

fn event() -> impl Strategy<Value = Event> {
    let actions = vec!["get", "create", "ports", "attach", "detach", "resize", "delete"];
    let codes =
        vec!["rate_limit_exceeded", "server_error", "resource_limit_exceeded", "forbidden", "protected"];
    let servers = proptest::sample::subsequence(vec!["a", "b", "c", "d", "e"], 0..=5);
    prop_oneof![
        4 => (0_usize..25).prop_map(Event::PassAndDieAt),
        4 => any::<bool>().prop_map(Event::Pass),
        2 => (proptest::sample::select(actions), proptest::sample::select(codes))
            .prop_map(|(action, code)| Event::Refuse(action, code)),
        1 => (0_usize..3).prop_map(Event::Conflict),
        1 => proptest::sample::select(&["north", "south"][..]).prop_map(Event::Move),
        1 => (1_u32..4).prop_map(Event::Resize),
        1 => servers.prop_map(Event::Servers),
        1 => Just(Event::Consent),
        4 => (0_u64..40).prop_map(Event::Advance),
    ]
}

proptest! {
    /// After any life, what is wished stands, nothing else does, and all of it can go. That nothing was ever made which the
    /// saved inventory does not name is checked after every pass.
    #[test]
    fn any_life_ends_well(events in proptest::collection::vec(event(), 1..60), replaces: bool) {
        let mut world = World::new();
        if replaces {
            world.policy.replacement = Replacement::CreateBeforeDestroy;
        }
        let mut shown = None;
        for event in events {
            let mut life = Life(None);
            match event {
                Event::PassAndDieAt(polls) => life = Life(Some(polls)),
                Event::Pass(false) => {
                    world.pass_within(&mut life, Depth::Targets);
                    continue;
                }
                Event::Pass(true) => {}
                Event::Refuse(action, code) => world.refuse(action, code),
                Event::Conflict(after) => world.store.conflict_after = Some(after),
                Event::Move(location) => world.wish().location = location.into(),
                Event::Resize(size) => world.wish().size = size,
                Event::Servers(servers) => {
                    world.wish().servers = servers.into_iter().map(str::to_owned).collect();
                }
                Event::Consent => world.policy.consent = shown.take(),
                Event::Advance(seconds) => world.advance(Duration::from_secs(seconds)),
            }
            if let Some(report) = world.pass_within(&mut life, Depth::Full) {
                shown = report.plan.consent;
            }
            world.store.conflict_after = world.store.conflict_after.filter(|left| *left > 0);
        }
        world.store.conflict_after = None;
        world.cloud.0.state().faults.clear();
        while world.settle() == End::Held {
            world.policy.consent = world.pass().plan.consent;
        }
        let wish = world.desired.clone().unwrap();
        let servers: Vec<_> = wish.servers.iter().take(wish.size as usize * 2).collect();
        let list = format!("{servers:?}").replace('[', "{").replace(']', "}");
        let expected = format!("{} {} {:?} {list}", wish.location, wish.size, wish.ports);
        prop_assert_eq!(world.standing(), [expected]);
        prop_assert!(world.store.saved.granted.is_empty());
        world.desired = None;
        prop_assert_eq!(world.settle(), End::Gone);
        prop_assert!(world.standing().is_empty() && world.store.saved.is_empty());
    }
}
