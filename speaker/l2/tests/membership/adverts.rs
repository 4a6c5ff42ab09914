//! Who joins is seen, and everybody ends up with everybody's newest advert.

use bytes::Bytes;
use daymark_l2::mesh::MeshEvent;

use crate::world::{World, keys, ms};

#[test]
fn two_members_see_each_other() {
    for mut world in [World::segment(2, 1), World::node_network(2, 2)] {
        let took = world.until(ms(300), "two see each other", World::is_whole);
        assert!(took < ms(100), "took {took:?}");
        world.run(ms(5_000));
        assert!(world.is_whole());
        assert_eq!(world.events.len(), 2, "{:?}", world.events);
    }
}

fn advert(index: usize, len: usize) -> Bytes {
    Bytes::from(vec![u8::try_from(index % 251).unwrap(); len])
}

#[test]
fn everybody_ends_up_with_every_newest_advert() {
    for (mut world, len) in [
        (World::segment(12, 3), 400),
        (World::segment(12, 4), 8_192),
        (World::node_network(12, 5), 8_192),
        (World::node_network(12, 6), 0),
    ] {
        world.set_loss(0.05);
        for index in 0..12 {
            world.advertise(index, advert(index, len), 1);
        }
        world.until(ms(3_000), "first adverts", |world| {
            world.is_whole() && world.adverts_are(|of| advert(of, len))
        });
        for round in 1..20 {
            world.advertise(3, advert(round, len), 7);
            world.run(ms(5));
        }
        let expected = move |of| if of == 3 { advert(19, len) } else { advert(of, len) };
        world.until(ms(2_000), "changed advert", move |world| world.adverts_are(expected));
        let late = world.add_place();
        world.start(late, keys(1, None));
        world.advertise(late, advert(late, len), 1);
        world.seed(late, &[4]);
        let took = world.until(ms(1_500), "a newcomer has all", move |world| {
            world.is_whole() && world.adverts_are(expected)
        });
        println!("newcomer with adverts of {len} bytes: {took:?}");
    }
}

#[test]
fn a_changed_digest_is_told_without_the_advert() {
    let mut world = World::segment(5, 7);
    (0..5).for_each(|index| world.advertise(index, advert(index, 900), 1));
    world.until(ms(2_000), "adverts", |world| world.adverts_are(|of| advert(of, 900)));
    world.run(ms(500));
    let since = world.now;
    world.advertise(2, advert(2, 900), 99);
    world.run(ms(20));
    let id = world.places[2].id;
    let told: Vec<_> = world.told(since).map(|(_, who, event)| (*who, event.clone())).collect();
    assert_eq!(told.len(), 4, "{told:?}");
    assert!(told.iter().all(|(_, event)| *event == MeshEvent::Digest(id)));
    assert_eq!(world.places[0].mesh.as_ref().unwrap().member(id).unwrap().digest, 99);
}
