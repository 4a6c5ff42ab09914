//! Deaths are found fast, by all; stalls are none.

use std::time::{Duration, Instant};

use daymark_l2::mesh::{Departure, MeshEvent};

use crate::world::{World, keys, ms};

fn whole(mut world: World) -> World {
    world.until(ms(3_000), "all see each other", World::is_whole);
    world.run(ms(500));
    world
}

/// The times after which the others knew the deaths of some members, one death after the other.
fn detection(mut world: World, deaths: usize) -> Vec<Duration> {
    let mut times = Vec::new();
    for victim in (0..world.places.len()).take(deaths) {
        world.run(Duration::from_millis(137));
        let died = world.now;
        let id = world.places[victim].id;
        world.kill(victim);
        world.until(ms(2_500), "the death is known to all", |world| {
            world.alive().iter().all(|who| !world.sees(*who, victim))
        });
        let dead = MeshEvent::Down { id, why: Departure::Died };
        let known = world.told(died).filter(|(.., event)| *event == dead);
        times.extend(known.map(|(at, ..)| *at - died));
        assert_eq!(world.deaths(died).iter().filter(|(_, _, dead)| *dead != id).count(), 0, "false deaths");
        world.start(victim, keys(1, None));
        if !world.is_broadcast() {
            world.seed(victim, &[victim + 1]);
        }
        world.until(ms(2_500), "it is back", World::is_whole);
        world.run(ms(300));
    }
    times.sort();
    times
}

fn check(name: &str, times: &[Duration]) {
    let at = |part: f64| times[((times.len() - 1) as f64 * part) as usize];
    let (p50, p99, max) = (at(0.5), at(0.99), at(1.0));
    println!("{name}: {} observations, p50 {p50:?}, p99 {p99:?}, max {max:?}", times.len());
    assert!(p50 < ms(500), "{name}: p50 {p50:?}");
    assert!(p99 < ms(700), "{name}: p99 {p99:?}");
}

fn lossy(mut world: World) -> World {
    world.set_loss(0.01);
    whole(world)
}

#[test]
fn few_members_find_a_death() {
    let mut times: Vec<_> =
        (0..12).flat_map(|seed| detection(lossy(World::segment(3, 100 + seed)), 3)).collect();
    times.sort();
    check("3 on a segment", &times);
    check("3 on the node network", &detection(lossy(World::node_network(3, 12)), 2));
}

#[test]
fn some_members_find_a_death() {
    check("20 on a segment", &detection(lossy(World::segment(20, 13)), 8));
    check("20 on the node network", &detection(lossy(World::node_network(20, 14)), 4));
}

/// `MESH_MEMBERS` makes it as many as wanted.
#[test]
fn many_members_find_a_death() {
    let members = std::env::var("MESH_MEMBERS").ok().and_then(|text| text.parse().ok()).unwrap_or(102);
    check(&format!("{members} on a segment"), &detection(lossy(World::segment(members, 15)), 3));
}

fn stall(world: &mut World, who: usize, time: Duration) -> Instant {
    let since = world.now;
    world.freeze(who);
    world.run(time);
    world.thaw(who);
    since
}

#[test]
fn a_stall_of_300_ms_is_no_death() {
    for (members, seed) in [(3, 21), (12, 22)] {
        let mut world = whole(World::segment(members, seed));
        for round in 0..10 {
            let since = stall(&mut world, round % members, ms(300));
            world.run(ms(1_000));
            assert_eq!(world.deaths(since), [], "round {round} with {members} members");
        }
    }
}

#[test]
fn whoever_stood_still_is_back_soon_and_holds_nobody_dead() {
    for mut world in [whole(World::segment(5, 23)), whole(World::node_network(5, 24))] {
        for time in [400, 700, 2_000, 20_000] {
            let since = stall(&mut world, 1, ms(time));
            assert!(!world.places[1].mesh.as_ref().unwrap().settled());
            let took = world.until(ms(300), "it is back", World::is_whole);
            world.run(ms(1_500));
            let by_it = world.deaths(since).iter().filter(|(_, who, _)| *who == 1).count();
            assert_eq!(by_it, 0, "it held others dead after {time} ms");
            assert!(world.is_whole() && world.places[1].mesh.as_ref().unwrap().settled());
            println!("back {took:?} after it stood still for {time} ms");
        }
    }
}

#[test]
fn the_whole_segment_may_stand_still() {
    let mut world = whole(World::segment(6, 25));
    let since = world.now;
    (0..6).for_each(|index| world.freeze(index));
    world.run(ms(3_000));
    (0..6).for_each(|index| world.thaw(index));
    world.run(ms(1_000));
    assert_eq!(world.deaths(since), []);
    assert!(world.is_whole());
}

#[test]
fn steady_state_is_quiet_and_without_false_deaths() {
    let mut world = lossy(World::segment(8, 26));
    let (since, packets) = (world.now, world.packets);
    world.run(ms(20_000));
    assert_eq!(world.deaths(since), []);
    let rate = (world.packets - packets) as f64 / 20.0 / 8.0;
    println!("{rate:.1} packets per second and member");
    assert!(rate < 60.0, "{rate} packets per second and member");
}

#[test]
fn goodbyes_and_restarts_are_no_deaths() {
    for mut world in [lossy(World::segment(6, 27)), lossy(World::node_network(6, 28))] {
        let since = world.now;
        let id = world.places[2].id;
        world.with(2, |mesh, now, out| mesh.leave(now, out));
        world.kill(2);
        let took = world.until(ms(50), "all know it left", |world| (0..6).all(|who| !world.sees(who, 2)));
        println!("left: known after {took:?}");
        assert!(world.told(since).all(|(.., event)| *event == MeshEvent::Down { id, why: Departure::Left }));
        world.run(ms(100));
        for generation in 0..4 {
            let since = world.now;
            if generation > 0 {
                world.kill(2);
            }
            world.start(2, keys(1, None));
            world.seed(2, &[4]);
            let took = world.until(ms(600), "restarted", |world| {
                let up = world.told(since).filter(|(_, who, event)| *who != 2 && *event == MeshEvent::Up(id));
                world.is_whole() && up.count() == 5
            });
            println!("restart seen after {took:?}");
            let died = MeshEvent::Down { id, why: Departure::Died };
            assert_eq!(world.told(since).filter(|(.., event)| *event == died).count(), 0);
            world.run(ms(300));
        }
    }
}
