//! Networks that lose, split, go dark, filter.

use std::time::Duration;

use daymark_l2::node::{Input, L2Event};

use crate::assertions::TIME_TO_KNOW;
use crate::faults::{Net, Place};
use crate::world::{Plan, World, keys, mac, seconds};

const LAN: Net = Net::Segment(0);
/// A node that is back from the dark, or from the other half, answers for so long beside another.
const TIME_TO_MEET: Duration = Duration::from_millis(1_000);
const ON_THE_WAY: Duration = Duration::from_millis(10);

#[test]
fn loss_moves_nothing() {
    let mut world = World::settled(Plan::new(40, 8).addresses(12));
    world.faults.set_loss(LAN, 0.01);
    world.faults.set_loss(Net::Nodes, 0.01);
    world.run(seconds(12.0));
    world.assert_one("with 1 % loss");
    world.assert_streaks("with 1 % loss", ON_THE_WAY, Duration::ZERO);
}

#[test]
fn heavy_loss_is_survived() {
    let mut world = World::settled(Plan::new(41, 5).addresses(6));
    world.faults.set_loss(LAN, 0.1);
    world.faults.set_loss(Net::Nodes, 0.1);
    let owner = world.some_owner();
    world.run(seconds(4.0));
    world.kill(owner);
    world.run(seconds(4.0));
    world.faults.set_loss(LAN, 0.0);
    world.faults.set_loss(Net::Nodes, 0.0);
    world.run(seconds(3.0));
    world.assert_one("after 10 % loss");
    world.assert_streaks("with 10 % loss", seconds(1.5), TIME_TO_MEET);
}

#[test]
fn the_lan_side_of_the_owner_goes_dark_and_comes_back() {
    let mut world = World::settled(Plan::new(42, 5).addresses(8));
    let owner = world.some_owner();
    world.faults.dark(LAN, owner);
    world.run(seconds(4.0));
    world.assert_one("while the owner is dark");
    let broken = L2Event::SegmentMembershipBroken { interface: daymark_model::InterfaceIndex(2), on: true };
    assert!(world.events.iter().any(|(_, node, event)| *node == owner && *event == broken));
    world.faults.light(LAN, owner);
    world.run(seconds(3.0));
    world.assert_one("after the owner is back");
    world.assert_streaks("LAN side", TIME_TO_KNOW, TIME_TO_MEET);
}

#[test]
fn the_one_that_took_over_dies_before_the_owner_is_back() {
    let mut world = World::settled(Plan::new(61, 3).addresses(1));
    let address = world.addresses[0].1;
    let owner = world.owner(address);
    world.faults.dark(LAN, owner);
    world.run(seconds(1.0));
    let other = world.owner(address);
    world.kill(other);
    world.run(seconds(0.1));
    world.faults.heal();
    world.run(seconds(2.0));
    assert_eq!(world.owner(address), owner, "the owner never stopped");
    world.assert_one("after the owner is back");
}

#[test]
fn of_two_nodes_one_goes_dark() {
    for seed in 0..4 {
        let mut world = World::settled(Plan::new(430 + seed, 2).addresses(6));
        let owner = world.some_owner();
        world.faults.dark(LAN, owner);
        world.run(seconds(4.0));
        world.assert_one("while the owner is dark");
        world.faults.light(LAN, owner);
        world.run(seconds(4.0));
        world.assert_one("after the owner is back");
        world.assert_streaks("of two nodes", TIME_TO_KNOW, TIME_TO_MEET);
    }
}

#[test]
fn the_node_network_of_the_owner_goes_dark_and_it_hands_over() {
    let mut world = World::settled(Plan::new(44, 5).addresses(8));
    let owner = world.some_owner();
    let owned = world.owned_by(owner);
    world.faults.dark(Net::Nodes, owner);
    world.run(seconds(2.5));
    assert!(world.owned_by(owner).is_empty(), "cut from the others, node {owner} cannot serve");
    world.faults.light(Net::Nodes, owner);
    world.run(seconds(8.0));
    world.assert_one("after the node network is back");
    assert_eq!(world.owned_by(owner), owned);
    world.assert_streaks("node network", ON_THE_WAY, Duration::ZERO);
}

#[test]
fn a_deaf_node_takes_nothing_and_gives_up_what_it_has() {
    for seed in 0..4 {
        let mut world = World::settled(Plan::new(620 + seed, 4).addresses(12));
        let node = world.some_owner();
        let before = world.events.len();
        world.faults.deaf(LAN, node);
        world.run(seconds(4.0));
        let deaf = L2Event::SegmentDeaf { interface: daymark_model::InterfaceIndex(2), on: true };
        let since = || world.events.iter().skip(before).filter(|(_, at, _)| *at == node);
        assert!(since().any(|(.., event)| *event == deaf), "{:?}", since().collect::<Vec<_>>());
        let took = since().any(|(.., event)| matches!(event, L2Event::Took { .. }));
        assert!(!took, "{:#?}", since().collect::<Vec<_>>());
        assert!(world.owned_by(node).is_empty());
        world.assert_one("while a node is deaf");
        world.faults.light(LAN, node);
        world.run(seconds(4.0));
        world.assert_one("after it hears again");
    }
}

#[test]
fn who_was_away_cannot_talk_others_dead() {
    for seed in 0..6 {
        let mut world = World::settled(Plan::new(630 + seed, 4).addresses(4));
        world.faults.dark(Net::Nodes, 3);
        world.run(seconds(2.0));
        let before = world.events.len();
        world.faults.light(Net::Nodes, 3);
        world.run(seconds(3.0));
        let gone = world.events.iter().skip(before).filter(|(_, node, event)| {
            *node != 3 && matches!(event, L2Event::MemberDown { interface: None, .. })
        });
        assert_eq!(gone.count(), 0, "{:?}", world.events.iter().skip(before).collect::<Vec<_>>());
    }
}

#[test]
fn both_go_dark_and_come_back() {
    let mut world = World::settled(Plan::new(45, 5).addresses(8));
    let owner = world.some_owner();
    world.faults.dark(LAN, owner);
    world.faults.dark(Net::Nodes, owner);
    world.run(seconds(5.0));
    world.assert_one("while the owner is dark");
    world.faults.heal();
    world.run(seconds(8.0));
    world.assert_one("after the owner is back");
    world.assert_streaks("both dark", TIME_TO_KNOW, TIME_TO_MEET);
}

#[test]
fn the_whole_node_network_is_down_and_nothing_moves() {
    let mut world = World::settled(Plan::new(46, 5).addresses(8));
    let before: Vec<usize> = world.addresses.iter().map(|(_, address)| world.owner(*address)).collect();
    for node in 0..5 {
        world.faults.dark(Net::Nodes, node);
    }
    world.run(seconds(3.0));
    world.faults.heal();
    world.run(seconds(6.0));
    let after: Vec<usize> = world.addresses.iter().map(|(_, address)| world.owner(*address)).collect();
    assert_eq!(before, after);
    world.assert_streaks("no node network", ON_THE_WAY, Duration::ZERO);
}

#[test]
fn each_half_of_a_split_segment_serves_its_own_clients() {
    let mut world = World::settled(Plan::new(47, 6).addresses(8));
    let other = world.add_client(0);
    world.faults.part(LAN, [Place::Node(0), Place::Node(1), Place::Node(2), Place::Client(other)]);
    world.run(seconds(3.0));
    world.assert_one("while the segment is split");
    world.assert_streaks("split", TIME_TO_KNOW, Duration::ZERO);
    world.check.reset();
    world.faults.heal();
    world.run(seconds(4.0));
    world.assert_one("after the halves met");
    world.assert_streaks("halves meet", ON_THE_WAY, TIME_TO_MEET);
}

#[test]
fn a_single_node_is_split_off_with_its_clients() {
    let mut world = World::settled(Plan::new(48, 5).addresses(8));
    let other = world.add_client(0);
    world.faults.part(LAN, [Place::Node(0), Place::Client(other)]);
    world.run(seconds(5.0));
    world.assert_one("while one is split off");
    world.assert_streaks("one split off", seconds(3.0), Duration::ZERO);
    world.check.reset();
    world.faults.heal();
    world.run(seconds(4.0));
    world.assert_one("after it is back");
    world.assert_streaks("it is back", ON_THE_WAY, TIME_TO_MEET);
}

#[test]
fn a_part_of_the_node_network_is_split_off_and_hands_over() {
    let mut world = World::settled(Plan::new(49, 7).addresses(8));
    world.faults.part(Net::Nodes, (0..2).map(Place::Node));
    world.run(seconds(3.0));
    world.assert_one("while the node network is split");
    for node in 0..2 {
        assert!(
            world.owned_by(node).is_empty(),
            "node {node} reaches fewer than half of those that others reach"
        );
    }
    world.faults.heal();
    world.run(seconds(8.0));
    world.assert_one("after the node network healed");
    world.assert_streaks("node network split", ON_THE_WAY, Duration::ZERO);
}

#[test]
fn the_node_network_splits_in_the_middle_and_nothing_moves() {
    let mut world = World::settled(Plan::new(60, 7).addresses(8));
    world.faults.part(Net::Nodes, (0..3).map(Place::Node));
    world.run(seconds(3.0));
    world.faults.heal();
    world.run(seconds(6.0));
    world.assert_one("after the node network healed");
    world.assert_streaks("node network split in the middle", ON_THE_WAY, Duration::ZERO);
}

#[test]
fn both_networks_split_along_the_same_line() {
    let mut world = World::settled(Plan::new(50, 6).segments(2).addresses(6));
    let others = [world.add_client(0), world.add_client(1)];
    for (segment, client) in others.into_iter().enumerate() {
        let places = (0..3).map(Place::Node).chain([Place::Client(client)]);
        world.faults.part(Net::Segment(segment), places);
    }
    world.faults.part(Net::Nodes, (0..3).map(Place::Node));
    world.run(seconds(3.0));
    world.assert_one("while all is split");
    world.faults.heal();
    world.run(seconds(6.0));
    world.assert_one("after all healed");
    world.assert_streaks("all split", TIME_TO_KNOW, TIME_TO_MEET);
}

#[test]
fn one_way_loss_leaves_one_answerer() {
    let mut world = World::settled(Plan::new(51, 5).addresses(8));
    let owner = world.some_owner();
    for other in (0..5).filter(|node| *node != owner) {
        world.faults.one_way(LAN, owner, other);
    }
    // The others do not hear the owner; its clients do.
    world.run(seconds(4.0));
    world.faults.heal();
    world.run(seconds(4.0));
    world.assert_one("after one-way loss");
    world.assert_streaks("one-way loss", TIME_TO_KNOW, seconds(5.0));
}

#[test]
fn a_pair_that_does_not_hear_each_other_is_known_through_others() {
    let mut world = World::settled(Plan::new(52, 5).addresses(8));
    world.faults.one_way(LAN, 0, 1);
    world.faults.one_way(LAN, 3, 2);
    world.faults.one_way(Net::Nodes, 1, 4);
    world.run(seconds(5.0));
    world.assert_one("with pairs that do not hear each other");
    world.assert_streaks("deaf pairs", ON_THE_WAY, Duration::ZERO);
}

#[test]
fn a_mute_owner_is_replaced() {
    let mut world = World::settled(Plan::new(53, 4).addresses(8));
    let owner = world.some_owner();
    world.faults.mute(LAN, owner);
    world.run(seconds(3.0));
    world.assert_one("while the owner is mute");
    world.faults.heal();
    world.run(seconds(4.0));
    world.assert_one("after it speaks again");
    world.assert_streaks("mute", TIME_TO_KNOW, TIME_TO_MEET);
}

#[test]
fn a_deaf_owner_is_replaced() {
    let mut world = World::settled(Plan::new(54, 4).addresses(8));
    let owner = world.some_owner();
    world.faults.deaf(LAN, owner);
    world.run(seconds(3.0));
    world.assert_one("while the owner is deaf");
    world.faults.heal();
    world.run(seconds(4.0));
    world.assert_one("after it hears again");
    world.assert_streaks("deaf", TIME_TO_KNOW, TIME_TO_MEET);
}

#[test]
fn filtered_broadcasts_are_replaced_by_what_the_node_network_tells() {
    let mut world = World::new(Plan::new(55, 5).addresses(6));
    world.faults.filter_broadcast(LAN);
    world.start_all();
    world.run(seconds(7.0));
    world.assert_one("with filtered broadcasts");
    world.check.reset();
    let owner = world.some_owner();
    for node in 0..5 {
        assert_eq!(world.core(node).status(world.now).segments[0].mesh.members.len(), 4, "node {node}");
    }
    world.kill(owner);
    world.run(seconds(3.0));
    world.assert_one("after a death");
    world.assert_streaks("filtered broadcasts", TIME_TO_KNOW, Duration::ZERO);
}

#[test]
fn filtered_mesh_frames_do_not_make_two_answer() {
    let mut world = World::new(Plan::new(56, 4).addresses(6));
    world.faults.filter_mesh(LAN);
    world.start_all();
    world.run(seconds(10.0));
    world.assert_one("with filtered mesh frames");
    world.check.reset();
    let owner = world.some_owner();
    world.kill(owner);
    world.run(seconds(6.0));
    world.assert_one("after a death");
    world.assert_streaks("filtered mesh frames", seconds(4.0), TIME_TO_MEET);
}

#[test]
fn the_node_network_is_found_through_the_segment_alone() {
    let mut world = World::settled(Plan::new(57, 5).without_seeds());
    world.run(seconds(2.0));
    for node in 0..5 {
        assert_eq!(world.core(node).status(world.now).nodes_reached, 5, "node {node}");
    }
}

#[test]
fn half_of_the_nodes_have_another_key() {
    let mut world = World::new(Plan::new(58, 6).addresses(6));
    for node in 0..3 {
        world.nodes[node].key = 2;
    }
    world.start_all();
    world.run(seconds(8.0));
    let told =
        |world: &World| world.events.iter().any(|(.., event)| matches!(event, L2Event::WrongKey { .. }));
    assert!(told(&world), "nobody says that keys differ");
    world.assert_one("with two keys: probes keep the halves apart");
    for node in 0..3 {
        world.give(node, Input::Keys(Some(keys(1, None))));
        world.run(seconds(0.5));
    }
    world.run(seconds(6.0));
    world.assert_one("with one key");
    for node in 0..6 {
        assert_eq!(world.core(node).status(world.now).nodes_reached, 6, "node {node}");
    }
}

#[test]
fn strangers_are_reported_and_defended_against() {
    let mut world = World::settled(Plan::new(59, 3).addresses(2));
    let address = world.addresses[0].1;
    let std::net::IpAddr::V4(v4) = address else { panic!("the first address is of IPv4") };
    let stranger = mac(999, 0);
    let mut frame = [[0xff; 6], stranger.0].concat();
    frame.extend_from_slice(&[0x08, 0x06, 0, 1, 0x08, 0, 6, 4, 0, 1]);
    frame.extend_from_slice(&stranger.0);
    frame.extend_from_slice(&v4.octets());
    frame.extend_from_slice(&[0; 6]);
    frame.extend_from_slice(&v4.octets());
    frame.resize(60, 0);
    let owner = world.owner(address);
    for _ in 0..20 {
        world.inject(0, &frame);
        world.run(seconds(0.1));
    }
    assert_eq!(world.owner(address), owner, "the owner keeps the address");
    let conflicts = world.events.iter().filter(|(_, node, event)| {
        *node == owner && matches!(event, L2Event::Conflict { mac, .. } if *mac == stranger)
    });
    assert!((1..=2).contains(&conflicts.count()), "the conflict is told, and not again and again");
    assert_eq!(world.core(owner).address(address)[0].conflict, Some(stranger));
}
