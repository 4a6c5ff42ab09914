//! Who takes an address.

use std::collections::BTreeMap;

use daymark_l2::election::{AddressState, MemberState, Silence};
use daymark_l2::hold::score;
use daymark_l2::member::MemberId;
use daymark_l2::report::SegmentTerms;

use crate::given::{Service, announcement, id, mac, ms, nic, only, secs, state, vip};
use crate::world::World;

fn with_terms(node: u8, terms: &[(u8, u32)]) -> MemberState {
    let mut state = state(node);
    let terms = terms
        .iter()
        .map(|(n, weight)| (announcement(*n), SegmentTerms { weight: *weight, by_pattern: false }));
    state.segment.terms = terms.collect();
    state
}

fn home(address: std::net::IpAddr, nodes: impl IntoIterator<Item = u8>) -> MemberId {
    nodes.into_iter().map(id).max_by_key(|id| score(id.node, address)).unwrap()
}

type Spoil = fn(&mut MemberState);

/// Nodes with these states, all offered `service`; who answers in the end.
fn elect(states: Vec<MemberState>, service: &Service) -> Option<MemberId> {
    let mut world = World::new(1);
    for state in states {
        world.start(state);
    }
    world.run(secs(3));
    for id in world.living() {
        let state = &world.nodes[&id].state;
        if state.segment.weight_for(service.address, &service.announcements).is_some() {
            world.offer_to(id, service);
        }
    }
    world.run(secs(5));
    assert_eq!(world.longest_double, ms(0));
    world.holder(service.address)
}

#[test]
fn equal_nodes_follow_the_hash() {
    for n in 0..20 {
        let states = (0..5).map(state).collect();
        assert_eq!(elect(states, &Service::new(vip(n))), Some(home(vip(n), 0..5)));
    }
}

#[test]
fn the_greater_weight_wins_and_weights_add_up_over_announcements() {
    let service = Service { announcements: vec![announcement(0), announcement(1)], ..Service::new(vip(1)) };
    let cases: [(&str, Vec<MemberState>, u8); 4] = [
        ("the preferred", vec![state(0), with_terms(1, &[(0, 10)]), state(2)], 1),
        ("the sum", vec![with_terms(0, &[(0, 10)]), with_terms(1, &[(0, 6), (1, 6)]), state(2)], 1),
        (
            "not by another Announcement",
            vec![with_terms(0, &[(0, 1)]), with_terms(1, &[(0, 0), (7, 100)])],
            0,
        ),
        ("only whom an Announcement selects", vec![with_terms(0, &[(7, 100)]), with_terms(1, &[(1, 0)])], 1),
    ];
    for (what, states, winner) in cases {
        assert_eq!(elect(states, &service), Some(id(winner)), "{what}");
    }
}

#[test]
fn without_a_node_that_is_selected_nobody_answers_until_one_is() {
    let service = Service::new(vip(1));
    let mut world = World::new(1);
    for node in 0..3 {
        world.start(with_terms(node, &[(9, 0)]));
    }
    world.run(secs(5));
    assert_eq!(world.holder(vip(1)), None);
    world.change(id(2), |state| *state = with_terms(2, &[(0, 0)]));
    world.offer_to(id(2), &service);
    world.run(secs(3));
    assert_eq!(world.holder(vip(1)), Some(id(2)));
}

#[test]
fn fitness_goes_before_weight() {
    let preferred = || with_terms(1, &[(0, 100)]);
    let bad: [(&str, Spoil); 4] = [
        ("stalls", |state| state.standing.stalls = true),
        ("api stale", |state| state.standing.api_stale = true),
        ("proxy demoted", |state| state.standing.proxy_demoted = true),
        ("cut from the node network", |state| state.nodes_reached = 1),
    ];
    for (what, spoil) in bad {
        let mut spoiled = preferred();
        spoil(&mut spoiled);
        let holder = elect(vec![state(0), spoiled.clone()], &Service::new(vip(1)));
        assert_eq!(holder, Some(id(0)), "{what}");
        let mut other = state(0);
        spoil(&mut other);
        let holder = elect(vec![other, spoiled], &Service::new(vip(1)));
        assert_eq!(holder, Some(id(1)), "all the same: {what}");
    }
}

#[test]
fn a_node_cut_from_the_others_still_serves_its_own_pods() {
    let mut cut = with_terms(1, &[(0, 100)]);
    cut.nodes_reached = 1;
    let service = Service { servers: only([0, 1]), ..Service::new(vip(1)) };
    assert_eq!(elect(vec![state(0), cut], &service), Some(id(1)));
}

#[test]
fn local_addresses_are_answered_where_the_endpoints_are() {
    let service = |nodes: &[u8]| Service { servers: only(nodes.iter().copied()), ..Service::new(vip(1)) };
    let mut world = World::with_nodes(1, 4);
    world.offer_to(id(2), &service(&[2]));
    world.run(secs(3));
    assert_eq!(world.holder(vip(1)), Some(id(2)));
    world.offer_to(id(3), &service(&[3]));
    world.withdraw(id(2), vip(1));
    world.until("the address follows the endpoint", ms(100), |world| world.holder(vip(1)) == Some(id(3)));
    assert_eq!(world.longest_double, ms(0));
}

#[test]
fn of_two_interfaces_of_a_node_the_lower_number_answers() {
    let mut second = state(0);
    second.id = nic(0, 5);
    second.mac = mac(second.id);
    second.segment.interface = second.id.interface;
    assert_eq!(elect(vec![state(0), second.clone()], &Service::new(vip(1))), Some(id(0)));
    let mut first = state(0);
    first.segment.terms = BTreeMap::new();
    assert_eq!(elect(vec![first, second], &Service::new(vip(1))), Some(nic(0, 5)), "the first may not");
}

#[test]
fn nobody_is_waited_for_for_ever() {
    let mut world = World::with_nodes(1, 4);
    let address = vip(1);
    let worst = (0..4).map(id).min_by_key(|id| score(id.node, address)).unwrap();
    world.offer_to(worst, &Service::new(address));
    world.run(ms(440));
    let status = world.nodes[&worst].election.status(address).unwrap();
    assert_eq!((status.state, status.silence), (AddressState::Silent, Some(Silence::WaitsForBetter)));
    let waited = world.until("the fourth answers", secs(2), |world| world.holder(address) == Some(worst));
    assert!(waited >= ms(1_100), "an address never held before is probed");
}

#[test]
fn a_dead_holder_is_followed_by_the_next_best_within_a_second() {
    for seed in 0..20 {
        let mut world = World::with_nodes(seed, 6);
        world.offer(&Service::new(vip(1)));
        world.run(secs(5));
        let first = world.holder(vip(1)).unwrap();
        assert_eq!(first, home(vip(1), 0..6));
        world.kill(first);
        let took = world.until("another answers", secs(1), |world| world.holder(vip(1)).is_some());
        assert!(took < ms(900), "{took:?}");
        assert_eq!(world.longest_double, ms(0));
    }
}
