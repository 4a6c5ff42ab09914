//! Whatever passes holds a mesh together; what was apart grows together at once.

use std::collections::BTreeSet;

use daymark_l2::mesh::MeshEvent;

use crate::world::{World, keys, ms};

fn whole(mut world: World) -> World {
    world.until(ms(3_000), "all see each other", World::is_whole);
    world.run(ms(500));
    world
}

#[test]
fn halves_that_were_apart_see_each_other_within_a_second() {
    for (mut world, apart) in [
        (World::segment(2, 31), 5_000),
        (World::segment(12, 32), 5_000),
        (World::segment(12, 33), 800),
        (World::node_network(2, 34), 5_000),
        (World::node_network(12, 35), 5_000),
        (World::segment(24, 36), 3_000),
        (World::node_network(24, 37), 3_000),
    ] {
        world.set_loss(0.01);
        let mut world = whole(world);
        let members = world.places.len();
        world.cut(|link| link.from % 2 != link.to % 2);
        let half = |rest| (0..members).filter(|index| index % 2 == rest).collect::<BTreeSet<_>>();
        world.run(ms(apart));
        assert!(world.is_group(&half(0)) && world.is_group(&half(1)), "two halves");
        world.heal();
        let healed = world.now;
        let took = world.until(ms(1_000), "healed", World::is_whole);
        world.run(ms(1_000));
        let flaps = world.deaths(healed).len();
        println!("{members} members, apart for {apart} ms: whole after {took:?}, {flaps} flaps");
        assert!(world.is_whole());
        assert_eq!(flaps, 0, "{:?}", world.deaths(healed));
    }
}

#[test]
fn a_member_cut_off_alone_comes_back() {
    let mut world = whole(World::segment(9, 41));
    for _ in 0..3 {
        world.cut(|link| link.from == 4 || link.to == 4);
        world.run(ms(2_000));
        assert!((0..9).all(|other| other == 4 || !world.sees(other, 4)));
        world.heal();
        let took = world.until(ms(1_000), "back", World::is_whole);
        println!("back after {took:?}");
    }
}

#[test]
fn one_way_loss_between_two_of_many_is_bridged() {
    let mut world = whole(World::segment(5, 42));
    let since = world.now;
    world.cut(|link| link.from == 0 && link.to == 1);
    world.run(ms(10_000));
    assert_eq!(world.deaths(since), []);
    world.advertise(0, "what only others can bring", 5);
    world.until(ms(1_000), "the advert of the one that is not heard", |world| {
        world.places[1].mesh.as_ref().unwrap().member(world.places[0].id).unwrap().advert
            == "what only others can bring"
    });
}

#[test]
fn a_member_that_is_not_heard_is_gone_and_comes_back() {
    for members in [2, 6] {
        let mut world = whole(World::segment(members, 43));
        world.cut(|link| link.from == 0);
        world.run(ms(3_000));
        assert!((1..members).all(|other| !world.sees(other, 0)), "it is not heard");
        let since = world.now;
        world.run(ms(5_000));
        let flaps = world.told(since).filter(|(_, who, _)| *who != 0).count();
        assert_eq!(flaps, 0, "the others are of one mind: {:?}", world.events);
        world.heal();
        let took = world.until(ms(1_000), "back", World::is_whole);
        println!("{members} members: back after {took:?}");
    }
}

#[test]
fn seeds_keep_a_mesh_together_where_broadcasts_do_not_pass() {
    let mut world = World::segment(6, 44);
    world.cut(|link| link.broadcast);
    (1..6).for_each(|index| world.seed(index, &[0]));
    (0..6).for_each(|index| world.advertise(index, "x", 1));
    let took = world.until(ms(2_000), "all see each other", |world| {
        world.is_whole() && world.adverts_are(|_| "x".into())
    });
    println!("together after {took:?}");
    let since = world.now;
    world.run(ms(10_000));
    assert_eq!(world.deaths(since), []);
    world.cut(|link| link.broadcast || link.from % 2 != link.to % 2);
    world.run(ms(3_000));
    world.cut(|link| link.broadcast);
    let took = world.until(ms(1_500), "healed", World::is_whole);
    println!("healed after {took:?}");
}

#[test]
fn members_with_another_secret_are_a_mesh_of_their_own() {
    let mut world = World::segment(8, 45);
    (4..8).for_each(|index| world.start(index, keys(2, None)));
    let since = world.now;
    world.run(ms(3_000));
    assert!(world.is_group(&(0..4).collect()) && world.is_group(&(4..8).collect()));
    for who in 0..8 {
        let wrong = world
            .told(since)
            .filter(|(_, at, event)| *at == who && matches!(event, MeshEvent::WrongKey { .. }));
        let wrong = wrong.count();
        assert!((1..=4).contains(&wrong), "member {who} told of {wrong} wrong keys");
    }
    (4..8).for_each(|index| world.with(index, |mesh, _, _| mesh.set_keys(keys(1, Some(2)))));
    world.until(ms(1_500), "one mesh once the secret is one", World::is_whole);
}

#[test]
fn a_secret_rotates_without_a_death() {
    let mut world = whole(World::segment(6, 46));
    let since = world.now;
    for step in [keys(1, Some(2)), keys(2, Some(1)), keys(2, None)] {
        for index in 0..6 {
            world.with(index, |mesh, _, _| mesh.set_keys(step.clone()));
            world.run(ms(200));
        }
    }
    world.run(ms(1_000));
    assert_eq!(world.deaths(since), []);
    assert!(world.told(since).next().is_none(), "{:?}", world.told(since).collect::<Vec<_>>());
}

#[test]
fn thirty_join_at_once() {
    let mut world = whole(World::segment(10, 47));
    let since = world.now;
    for _ in 0..30 {
        let index = world.add_place();
        world.start(index, keys(1, None));
        world.advertise(index, "joined", 1);
    }
    let took = world.until(ms(1_500), "all see each other", World::is_whole);
    println!("30 joined 10 within {took:?}");
    world.run(ms(1_000));
    assert_eq!(world.deaths(since), []);
}
