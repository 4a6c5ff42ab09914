//! Joiners, and members that lost sight of the segment.

use daymark_l2::election::{Election, ElectionOutput, Silence};

use crate::given::{Service, id, ms, secs, state, vip};
use crate::world::World;

fn addresses(count: u16) -> Vec<std::net::IpAddr> {
    (0..count).map(vip).collect()
}

#[test]
fn a_joiner_takes_nothing_that_others_hold_even_if_messages_are_lost() {
    for seed in 0..5 {
        let mut world = World::with_nodes(seed, 3);
        for address in addresses(400) {
            world.offer(&Service::new(address));
        }
        world.run(secs(5));
        let before = world.holders();
        world.loss = 200;
        world.start(state(9));
        for address in addresses(400) {
            world.offer_to(id(9), &Service::new(address));
        }
        world.run(secs(10));
        assert_eq!(world.holders(), before);
        assert_eq!(world.longest_double, ms(0));
    }
}

#[test]
fn a_member_that_does_not_answer_is_waited_for_a_second() {
    let mut world = World::with_nodes(1, 1);
    let mute = state(7);
    let now = world.now;
    let mut election = Election::new(id(9), 1);
    let mut out = ElectionOutput::default();
    election.own(now, state(9), &mut out);
    election.member(now, mute, &mut out);
    election.settled(now, true, &mut out);
    election.offer(now, &Service::new(vip(0)).offer_to(&state(9)), &mut out);
    election.tick(now, &mut out);
    election.tick(now + ms(900), &mut out);
    assert_eq!(election.status(vip(0)).unwrap().silence, Some(Silence::Joining));
    assert!(election.next_deadline().unwrap() <= now + ms(1_000));
    election.tick(now + ms(1_000), &mut out);
    assert!(election.joined());
    world.run(ms(1));
}

#[test]
fn nothing_is_taken_before_others_could_have_been_heard() {
    let mut world = World::new(1);
    world.start(state(0));
    world.offer_to(id(0), &Service::new(vip(0)));
    world.run(ms(790));
    assert_eq!(world.probes, 0);
    world.run(secs(2));
    assert_eq!(world.holder(vip(0)), Some(id(0)));
}

#[test]
fn what_came_due_while_the_mesh_was_unsettled_is_looked_at_again() {
    let mut world = World::new(1);
    world.start(state(0));
    world.run(secs(2));
    world.with(id(0), |election, now, out| election.settled(now, false, out));
    for address in addresses(3) {
        world.offer_to(id(0), &Service::new(address));
    }
    world.with(id(0), |election, now, out| election.tick(now, out));
    world.with(id(0), |election, now, out| election.settled(now, true, out));
    world.until("all are answered for", secs(5), |world| world.holders().len() == 3);
}

#[test]
fn who_stood_still_stops_at_once_and_others_take_over() {
    let mut world = World::with_nodes(4, 4);
    for address in addresses(80) {
        world.offer(&Service::new(address));
    }
    world.run(secs(5));
    let had = world.nodes[&id(0)].owned.len();
    assert!(had > 5);
    world.with(id(0), |election, now, out| election.lost(now, out));
    assert!(world.nodes[&id(0)].owned.is_empty());
    world.until("all are answered for", ms(400), |world| world.holders().len() == 80);
    world.run(secs(2));
    world.agreed(&addresses(80)).unwrap();
    assert_eq!(world.longest_double, ms(0));
}

#[test]
fn who_hears_nobody_probes_even_what_was_released() {
    let mut world = World::with_nodes(4, 2);
    world.offer_to(id(1), &Service::new(vip(0)));
    world.run(secs(3));
    world.withdraw(id(1), vip(0));
    world.run(ms(50));
    world.with(id(0), |election, now, out| election.broken(now, true, out));
    let before = world.probes;
    world.offer_to(id(0), &Service::new(vip(0)));
    world.run(secs(1));
    assert_eq!(world.probes, before, "others have the time to say that they hear it");
    world.run(secs(2));
    assert_eq!(world.probes, before + 1);
    assert_eq!(world.holder(vip(0)), Some(id(0)));
}

#[test]
fn a_restarted_member_gets_its_addresses_only_as_failback_says() {
    let mut world = World::with_nodes(4, 3);
    for address in addresses(60) {
        world.offer(&Service::new(address));
    }
    world.run(secs(5));
    let had = world.nodes[&id(1)].owned.clone();
    world.kill(id(1));
    world.run(secs(2));
    assert_eq!(world.holders().len(), 60);
    world.start(state(1));
    world.run(secs(200));
    assert!(world.nodes[&id(1)].owned.is_empty());
    world.run(secs(140));
    assert_eq!(world.nodes[&id(1)].owned, had);
    assert_eq!(world.longest_double, ms(0));
}
