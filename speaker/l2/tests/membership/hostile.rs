//! Strangers on the wire, and what they recorded, change nothing.

use daymark_l2::mesh::{Mesh, MeshAddress, MeshDestination, MeshEvent};
use daymark_model::MacAddr;
use proptest::prelude::*;

use crate::world::{World, keys, ms};

const STRANGER: MeshAddress = MeshAddress::Mac(MacAddr([6, 6, 6, 6, 6, 6]));

fn recorded(members: usize, seed: u64) -> World {
    let mut world = World::segment(members, seed);
    world.wire = Some(Vec::new());
    world.until(ms(2_000), "all see each other", World::is_whole);
    world.run(ms(500));
    world
}

fn wire(world: &mut World) -> Vec<(usize, MeshDestination, Vec<u8>)> {
    world.wire.take().unwrap()
}

fn mesh(world: &World, index: usize) -> &Mesh {
    world.places[index].mesh.as_ref().unwrap()
}

#[test]
fn what_was_recorded_before_changes_nothing() {
    let mut world = recorded(4, 51);
    world.with(3, |mesh, now, out| mesh.leave(now, out));
    world.run(ms(100));
    let old = wire(&mut world);
    world.start(3, keys(1, None));
    world.until(ms(500), "restarted", World::is_whole);
    world.run(ms(500));
    let since = world.now;
    for (from, _, packet) in &old {
        let from = world.places[*from].address;
        for to in 0..4 {
            world.inject(to, from, packet);
        }
        world.run(ms(1));
    }
    world.run(ms(2_000));
    assert_eq!(world.told(since).count(), 0, "{:?}", world.told(since).collect::<Vec<_>>());
    assert!(world.is_whole());
    assert!(mesh(&world, 0).counters().replayed > 0);
}

#[test]
fn a_member_that_died_is_not_brought_back_by_a_recording() {
    let mut world = recorded(4, 52);
    world.kill(2);
    world.run(ms(1_000));
    let old = wire(&mut world);
    world.start(0, keys(1, None));
    world.until(ms(600), "a restarted member is in", World::is_whole);
    let since = world.now;
    for (from, _, packet) in &old {
        let from = world.places[*from].address;
        world.inject(0, from, packet);
        world.inject(1, from, packet);
    }
    world.run(ms(2_000));
    assert!(!world.sees(0, 2) && !world.sees(1, 2));
    assert_eq!(world.told(since).count(), 0, "{:?}", world.told(since).collect::<Vec<_>>());
}

#[test]
fn forged_packets_are_counted_and_nothing_else() {
    let mut world = recorded(3, 53);
    let old = wire(&mut world);
    let since = world.now;
    let before = mesh(&world, 0).counters();
    for (_, _, packet) in old.iter().take(60) {
        for byte in [2, 18, 25, 26, packet.len() - 1] {
            let mut forged = packet.clone();
            forged[byte] ^= 0x80;
            world.inject(0, STRANGER, &forged);
        }
    }
    world.run(ms(1_000));
    let others = world.told(since).filter(|(.., event)| !matches!(event, MeshEvent::WrongKey { .. }));
    assert_eq!(others.count(), 0);
    let after = mesh(&world, 0).counters();
    assert!(after.forged > before.forged, "{after:?}");
}

#[test]
fn a_packet_to_another_member_is_nobodys() {
    let mut world = recorded(3, 54);
    world.wire = Some(Vec::new());
    let to = world.places[1].id;
    world.with(0, |mesh, now, out| mesh.send(now, to, b"only for you", out));
    let (_, _, packet) = wire(&mut world).pop().unwrap();
    let from = world.places[0].address;
    let since = world.now;
    world.inject(2, from, &packet);
    world.run(ms(50));
    let got: Vec<_> = world.told(since).map(|(_, who, event)| (*who, event.clone())).collect();
    let expected = MeshEvent::Payload { from: world.places[0].id, bytes: "only for you".into() };
    assert_eq!(got, [(1, expected)]);
    world.inject(1, from, &packet);
    assert_eq!(world.told(since).count(), 1, "and it counts once");
}

#[test]
fn a_flood_with_another_key_tells_of_few_and_disturbs_nobody() {
    let mut other = recorded(2, 55);
    let foreign = wire(&mut other);
    let mut world = World::segment(3, 56);
    (0..3).for_each(|index| world.start(index, keys(9, None)));
    world.until(ms(500), "all see each other", World::is_whole);
    let since = world.now;
    for round in 0..100_u8 {
        for (at, (_, _, packet)) in foreign.iter().enumerate().take(50) {
            let source = MeshAddress::Mac(MacAddr([2, 9, 9, 9, round, u8::try_from(at).unwrap()]));
            world.inject(0, source, packet);
        }
        world.run(ms(10));
    }
    assert!(world.told(since).count() <= 256, "{} events", world.told(since).count());
    assert!(world.is_whole());
    assert_eq!(mesh(&world, 0).counters().wrong_key, 5_000);
}

#[test]
fn a_flood_of_unknown_sessions_is_cut_off_before_arithmetic() {
    let mut world = recorded(3, 57);
    let (_, _, mut packet) = wire(&mut world).pop().unwrap();
    let since = world.now;
    for round in 0..20_000_u32 {
        packet[4..8].copy_from_slice(&round.to_be_bytes());
        world.inject(0, STRANGER, &packet);
    }
    let counters = mesh(&world, 0).counters();
    assert!(counters.over_limit > 19_000, "{counters:?}");
    world.run(ms(1_500));
    assert!(world.told(since).all(|(.., event)| matches!(event, MeshEvent::WrongKey { .. })));
    let newcomer = world.add_place();
    world.start(newcomer, keys(1, None));
    world.until(ms(300), "others still join", World::is_whole);
}

#[test]
fn other_versions_are_counted_and_left_alone() {
    let mut world = recorded(2, 58);
    let (_, _, mut packet) = wire(&mut world).pop().unwrap();
    packet[0] = 2;
    let since = world.now;
    (0..10).for_each(|_| world.inject(0, STRANGER, &packet));
    world.inject(0, STRANGER, &[1; 7]);
    world.run(ms(1_000));
    assert_eq!(world.told(since).count(), 0);
    let counters = mesh(&world, 0).counters();
    assert_eq!((counters.other_version, counters.unreadable), (10, 1));
}

#[test]
fn two_processes_of_one_name_are_told_of() {
    let mut world = World::segment(3, 59);
    world.until(ms(500), "all see each other", World::is_whole);
    let twin = world.add_twin(1);
    let since = world.now;
    world.run(ms(5_000));
    let told = world
        .told(since)
        .filter(|(_, who, event)| [1, twin].contains(who) && matches!(event, MeshEvent::Duplicate { .. }));
    assert!((1..=2).contains(&told.count()), "{:?}", world.told(since).collect::<Vec<_>>());
    let changes = world.told(since).filter(|(_, who, _)| *who == 0).count();
    assert!(changes < 40, "they do not fight without pause: {changes} events");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn garbage_is_survived(packets in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..1_600), 1..20)) {
        let mut world = World::segment(2, 60);
        world.until(ms(500), "both see each other", World::is_whole);
        let since = world.now;
        for mut packet in packets {
            world.inject(0, STRANGER, &packet);
            if let Some(version) = packet.first_mut() {
                *version = 1;
            }
            world.inject(0, STRANGER, &packet);
        }
        world.run(ms(200));
        prop_assert_eq!(world.deaths(since).len(), 0);
    }
}
