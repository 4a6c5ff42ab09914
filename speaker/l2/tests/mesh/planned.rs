//! What people do on purpose: nothing is lost, and never do two answer.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use daymark_l2::member::{MemberId, NodeNameHash, NodeUid};
use daymark_l2::mesh::{Mesh, MeshAddress, MeshConfig, MeshDestination, MeshOutput};
use daymark_l2::node::{Input, NotAnswering};
use daymark_l2::offer::Servers;
use daymark_l2::report::{NodeReport, SegmentReport, Standing};
use daymark_model::{Failback, InterfaceIndex, MacAddr, TimingProfile};

use crate::world::{Plan, World, keys, seconds};

/// The old one has stopped, the new one has not heard of it: a frame is on its way.
const ON_THE_WAY: Duration = Duration::from_millis(10);

#[test]
fn a_rolling_update_leaves_no_gap() {
    let mut world = World::settled(Plan::new(20, 5).segments(2).addresses(10));
    for node in 0..5 {
        world.leave(node);
        world.until(seconds(1.5), |world| !world.runs(node)).expect("the node leaves");
        world.run(seconds(0.5));
        world.start(node);
        world.run(seconds(3.0));
    }
    world.run(seconds(5.0));
    world.assert_one("after the update");
    world.assert_streaks("rolling update", ON_THE_WAY, Duration::ZERO);
}

#[test]
fn a_drained_node_gives_away_everything_and_takes_it_back() {
    let mut world = World::settled(Plan::new(21, 4).addresses(8));
    let owner = world.some_owner();
    let owned = world.owned_by(owner);
    world.nodes[owner].facts.standing.leaving = true;
    world.tell_facts(owner);
    world.run(seconds(1.0));
    assert!(world.owned_by(owner).is_empty());
    let reason = world.core(owner).address(owned[0])[0].not_answering.clone();
    assert_eq!(reason, Some(NotAnswering::Leaving));
    world.nodes[owner].facts.standing.leaving = false;
    world.tell_facts(owner);
    world.run(seconds(10.0));
    world.assert_one("after the drain");
    assert_eq!(world.owned_by(owner), owned);
    world.assert_streaks("drain", ON_THE_WAY, Duration::ZERO);
}

#[test]
fn with_failback_never_a_node_that_is_back_takes_nothing() {
    let mut world = World::settled(Plan::new(22, 3).addresses(8).failback(Failback::Never));
    let owner = world.some_owner();
    world.leave(owner);
    world.run(seconds(1.0));
    world.start(owner);
    world.run(seconds(10.0));
    assert!(world.owned_by(owner).is_empty());
    world.assert_streaks("no failback", ON_THE_WAY, Duration::ZERO);
}

#[test]
fn addresses_follow_the_endpoints_of_local_services() {
    let mut world = World::settled(Plan::new(23, 4).addresses(2));
    let address = world.addresses[0].1;
    for server in [2, 0, 3] {
        let only = BTreeSet::from([NodeNameHash::of(&format!("node-{server}"))]);
        world.servers.insert(address, Servers::Only(Arc::new(only)));
        for node in 0..4 {
            world.offer(node, address);
            world.run(seconds(0.02));
        }
        world.run(seconds(1.0));
        assert_eq!(world.owner(address), server);
    }
    world.assert_streaks("endpoints", seconds(0.1), Duration::ZERO);
}

#[test]
fn withdrawn_addresses_go_to_others_without_a_gap() {
    let mut world = World::settled(Plan::new(24, 3).addresses(6));
    let owner = world.some_owner();
    for address in world.owned_by(owner) {
        world.give(owner, Input::Withdraw(address));
    }
    world.run(seconds(1.0));
    assert!(world.owned_by(owner).is_empty());
    world.assert_one("after the withdrawal");
    world.assert_streaks("withdrawal", ON_THE_WAY, Duration::ZERO);
}

#[test]
fn a_lost_carrier_is_told_over_the_node_network() {
    let mut world = World::settled(Plan::new(25, 4).addresses(8));
    let owner = world.some_owner();
    world.carrier(owner, 0, false);
    world.run(seconds(1.5));
    world.assert_one("without the carrier");
    world.assert_streaks("without the carrier", seconds(0.3), Duration::ZERO);
    let reason = world.core(owner).address(world.addresses[0].1)[0].not_answering.clone();
    assert_eq!(reason, Some(NotAnswering::NoCarrier { interface: "eth0".to_owned() }));
    world.check.reset();
    world.carrier(owner, 0, true);
    world.run(seconds(8.0));
    world.assert_one("with the carrier back");
    world.assert_streaks("with the carrier back", ON_THE_WAY, Duration::ZERO);
}

#[test]
fn an_interface_is_replaced_by_one_with_another_number_and_mac() {
    let mut world = World::settled(Plan::new(26, 3).addresses(6));
    let owner = world.some_owner();
    let changed = MacAddr([2, 0xee, 0, 0, 0, 1]);
    world.nodes[owner].interfaces[0].0.mac = changed;
    world.tell_interfaces(owner);
    world.run(seconds(1.5));
    world.assert_one("with another Ethernet address");
    world.nodes[owner].interfaces[0].0.index = InterfaceIndex(9);
    world.tell_facts(owner);
    world.tell_interfaces(owner);
    for (_, address) in world.addresses.clone() {
        world.offer(owner, address);
    }
    world.run(seconds(6.0));
    world.assert_one("with another number");
    world.assert_streaks("interface", seconds(1.0), Duration::ZERO);
}

#[test]
fn of_two_interfaces_on_one_segment_the_lower_answers() {
    let mut world = World::new(Plan::new(27, 0).addresses(8));
    world.add_node(&[0, 0]);
    world.add_node(&[0]);
    world.add_node(&[0, 0]);
    world.start_all();
    world.run(seconds(6.0));
    world.assert_one("with two interfaces");
    world.check.reset();
    let owned = world.owned_by(0);
    for address in &owned {
        let told = world.core(0).address(*address);
        assert!(told[0].ours && !told[1].ours, "{told:?}");
        let lower = NotAnswering::LowerInterfaceAnswers { interface: "eth0".to_owned() };
        assert_eq!(told[1].not_answering, Some(lower));
    }
    world.nodes[0].interfaces[0].0.up = false;
    world.tell_interfaces(0);
    world.run(seconds(3.0));
    world.assert_one("with one of two interfaces");
    world.assert_streaks("two interfaces", seconds(1.0), Duration::ZERO);
}

#[test]
fn keys_rotate_without_a_trace() {
    let mut world = World::settled(Plan::new(28, 4).addresses(6));
    let before: Vec<usize> = world.addresses.iter().map(|(_, address)| world.owner(*address)).collect();
    // All learn the new one before anybody seals with it, and all seal with it before the old one is forgotten.
    for (current, previous) in [(1, Some(2)), (2, Some(1)), (2, None)] {
        for node in 0..4 {
            world.give(node, Input::Keys(Some(keys(current, previous))));
            world.run(seconds(0.5));
        }
    }
    let after: Vec<usize> = world.addresses.iter().map(|(_, address)| world.owner(*address)).collect();
    assert_eq!(before, after);
    world.assert_streaks("rotation", Duration::ZERO, Duration::ZERO);
}

#[test]
fn a_newer_version_says_things_that_nobody_understands() {
    let mut world = World::settled(Plan::new(29, 3).addresses(4));
    let me = MemberId { node: NodeUid([9; 16]), interface: InterfaceIndex(7) };
    let mac = MacAddr([2, 0xdd, 0, 0, 0, 1]);
    let report = NodeReport {
        node: me.node,
        name: "newer".to_owned(),
        version: 1,
        internal: Vec::new(),
        port: 1,
        standing: Standing::default(),
        nodes_reached: 1,
        segments: vec![SegmentReport {
            interface: me.interface,
            mac,
            carrier: true,
            peers_heard: 3,
            deaf: Vec::new(),
            subnets: Vec::new(),
            default_routes: Vec::new(),
            terms: Default::default(),
        }],
    };
    let mut advert = postcard::to_stdvec(&report).unwrap();
    advert.extend_from_slice(b"fields that came with a later version");
    let config = MeshConfig {
        me,
        address: MeshAddress::Mac(mac),
        broadcast: true,
        session: [7; 16],
        keys: keys(1, None),
        seed: 1,
        profile: TimingProfile::Fast,
    };
    let mut newer = Mesh::new(world.now, config);
    let mut out = MeshOutput::default();
    newer.advertise(world.now, Bytes::from(advert), 77, &mut out);
    for round in 0_u32..300 {
        newer.broadcast(world.now, &[200, 1, 2, 3], &mut out);
        newer.tick(world.now, &mut out);
        for (destination, packet) in out.packets.drain(..) {
            let to = match destination {
                MeshDestination::To(MeshAddress::Mac(mac)) => mac,
                MeshDestination::To(MeshAddress::Socket(_)) | MeshDestination::Broadcast => {
                    MacAddr::BROADCAST
                }
            };
            let frame = mesh_frame(mac, to, &packet);
            world.inject(0, &frame);
        }
        for frame in world.overheard(0, mac) {
            let length = usize::from(u16::from_be_bytes([frame[14], frame[15]]));
            let from = MacAddr(frame[6..12].try_into().unwrap());
            newer.handle(world.now, MeshAddress::Mac(from), &frame[16..16 + length], &mut out);
        }
        assert!(
            round < 100 || newer.members().count() == 3,
            "the newer one hears {}",
            newer.members().count()
        );
        world.run(seconds(0.01));
    }
    for node in 0..3 {
        let members = world.core(node).status(world.now).segments[0].mesh.members.clone();
        assert!(members.iter().any(|member| member.node == "newer"), "node {node} knows {members:?}");
    }
    world.assert_one("beside a newer version");
    world.assert_streaks("beside a newer version", Duration::ZERO, Duration::ZERO);
}

fn mesh_frame(from: MacAddr, to: MacAddr, packet: &[u8]) -> Vec<u8> {
    let mut frame = [to.0, from.0].concat();
    frame.extend_from_slice(&[0x88, 0xb5]);
    frame.extend_from_slice(&(packet.len() as u16).to_be_bytes());
    frame.extend_from_slice(packet);
    frame
}
