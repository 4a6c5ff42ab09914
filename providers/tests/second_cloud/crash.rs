//! A process that dies anywhere, and stores that refuse.

use daymark_model::aws::Replacement;
use daymark_providers::pass::End;

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
