//! Processes that die, stand still, come back.

use std::time::Duration;

use daymark_l2::node::{L2Event, NotAnswering};

use crate::assertions::TIME_TO_KNOW;
use crate::world::{Plan, World, seconds};

const NEVER: Duration = Duration::from_millis(10);

#[test]
fn every_address_is_answered_by_one_node_and_all_share_the_work() {
    let mut world = World::settled(Plan::new(1, 5).segments(2).addresses(40));
    for node in 0..5 {
        assert!(!world.owned_by(node).is_empty(), "node {node} answers for nothing");
    }
    world.spins = 0;
    world.run(seconds(2.0));
    assert_eq!(world.spins, 0, "cores in peace wanted to be woken again at once");
}

#[test]
fn a_killed_owner_is_replaced_and_takes_over_again_when_it_is_back() {
    let mut world = World::settled(Plan::new(2, 5).addresses(8));
    let owner = world.some_owner();
    let owned = world.owned_by(owner);
    world.kill(owner);
    world.run(seconds(2.0));
    world.assert_one("after the owner's death");
    world.assert_streaks("after the owner's death", TIME_TO_KNOW, Duration::ZERO);
    world.check.reset();
    world.start(owner);
    world.run(seconds(12.0));
    world.assert_one("after the owner's return");
    world.assert_streaks("after the owner's return", NEVER, Duration::ZERO);
    assert_eq!(world.owned_by(owner), owned, "Immediate brings back what it had");
}

#[test]
fn half_of_the_nodes_die_at_once() {
    let mut world = World::settled(Plan::new(3, 8).segments(2).addresses(12));
    for node in [1, 3, 5, 7] {
        world.kill(node);
    }
    world.run(seconds(2.5));
    world.assert_one("after the deaths");
    world.assert_streaks("after the deaths", TIME_TO_KNOW, Duration::ZERO);
}

#[test]
fn all_but_one_die() {
    let mut world = World::settled(Plan::new(4, 5).addresses(6));
    for node in 1..5 {
        world.kill(node);
    }
    world.run(seconds(3.0));
    world.assert_one("after the deaths");
    world.assert_streaks("after the deaths", TIME_TO_KNOW, Duration::ZERO);
}

#[test]
fn a_frozen_owner_is_replaced_and_says_nothing_when_it_goes_on() {
    let mut world = World::settled(Plan::new(5, 5).addresses(8));
    let owner = world.some_owner();
    world.freeze(owner);
    world.run(seconds(2.0));
    world.assert_one("while the owner stands still");
    world.thaw(owner);
    world.run(seconds(5.0));
    world.assert_one("after the owner goes on");
    world.assert_streaks("frozen", TIME_TO_KNOW, Duration::ZERO);
}

#[test]
fn a_short_stall_moves_nothing() {
    let mut world = World::settled(Plan::new(6, 5).addresses(8));
    let before: Vec<usize> = world.addresses.iter().map(|(_, address)| world.owner(*address)).collect();
    for node in 0..5 {
        world.freeze(node);
        world.run(seconds(0.2));
        world.thaw(node);
        world.run(seconds(1.0));
    }
    let after: Vec<usize> = world.addresses.iter().map(|(_, address)| world.owner(*address)).collect();
    assert_eq!(before, after, "addresses moved because of stalls of 200 ms");
    world.assert_streaks("short stalls", seconds(0.22), Duration::ZERO);
}

#[test]
fn a_node_that_stalls_twice_is_unfit() {
    let mut world = World::settled(Plan::new(7, 4).addresses(8));
    let owner = world.some_owner();
    for _ in 0..2 {
        world.freeze(owner);
        world.run(seconds(1.5));
        world.thaw(owner);
        world.run(seconds(8.0));
    }
    assert!(world.owned_by(owner).is_empty(), "an unfit node answers for {:?}", world.owned_by(owner));
    assert!(world.core(owner).status(world.now).standing.stalls);
    assert!(
        world.events.iter().any(|(_, node, event)| *node == owner && *event == L2Event::Stalls { on: true })
    );
    world.assert_one("with an unfit node");
    world.assert_streaks("stalls", TIME_TO_KNOW, Duration::ZERO);
}

#[test]
fn all_stand_still_at_once() {
    // A hypervisor that suspends the whole rack.
    let mut world = World::settled(Plan::new(8, 4).addresses(6));
    for node in 0..4 {
        world.freeze(node);
    }
    world.run(seconds(3.0));
    world.check.reset();
    for node in 0..4 {
        world.thaw(node);
    }
    world.run(seconds(6.0));
    world.assert_one("after all went on");
    world.assert_streaks("after all went on", seconds(3.0), Duration::ZERO);
}

#[test]
fn a_crash_loop_disturbs_nobody_else() {
    let mut world = World::settled(Plan::new(9, 4).addresses(8));
    let owner = world.some_owner();
    for _ in 0..6 {
        world.kill(owner);
        world.run(seconds(0.3));
        world.start(owner);
        world.run(seconds(0.9));
    }
    world.run(seconds(5.0));
    world.assert_one("after the crash loop");
    world.assert_streaks("crash loop", TIME_TO_KNOW + seconds(0.3), Duration::ZERO);
}

#[test]
fn thirty_nodes_join_and_nothing_is_answered_twice() {
    let mut world = World::new(Plan::new(10, 33).addresses(8));
    for node in 0..3 {
        world.start(node);
    }
    world.run(seconds(4.5));
    world.assert_one("with three nodes");
    world.check.reset();
    for node in 3..33 {
        world.start(node);
        world.run(seconds(0.03));
    }
    world.run(seconds(9.0));
    world.assert_one("with all nodes");
    world.assert_streaks("joins", NEVER, Duration::ZERO);
}

#[test]
fn a_node_without_a_key_answers_for_nothing_and_says_why() {
    let mut world = World::new(Plan::new(11, 1).addresses(2));
    world.start(0);
    world.give(0, daymark_l2::node::Input::Keys(None));
    world.run(seconds(4.0));
    let address = world.addresses[0].1;
    assert!(world.check.answered(0, address).is_empty());
    assert_eq!(world.core(0).address(address)[0].not_answering, Some(NotAnswering::NoMeshKey));
}

#[test]
fn a_node_that_stalls_while_it_takes_thousands_of_addresses_takes_them_all() {
    let mut world = World::new(Plan::new(13, 1).addresses(3_000).period(seconds(1.0)));
    world.start(0);
    world.run(seconds(1.2));
    for _ in 0..3 {
        world.freeze(0);
        world.run(seconds(0.4));
        world.thaw(0);
        world.run(seconds(0.3));
    }
    world.run(seconds(10.0));
    assert_eq!(world.core(0).status(world.now).segments[0].owned, 3_000);
    world.assert_one("after the stalls");
}

#[test]
fn a_single_node_serves_all() {
    let mut world = World::settled(Plan::new(12, 1).addresses(6));
    world.run(seconds(3.0));
    world.assert_one("alone");
    world.assert_streaks("alone", Duration::ZERO, Duration::ZERO);
}
