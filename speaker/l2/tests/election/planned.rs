//! Planned moves: the old stops before the new begins, and nothing is in between but a message.

use daymark_l2::election::{Action, AddressState, ElectionEvent, GaveUp, Silence, Took};
use daymark_l2::hold::HoldMessage;

use crate::given::{Service, id, ms, only, secs, vip};
use crate::world::World;

fn held(nodes: u8, services: u16) -> World {
    let mut world = World::with_nodes(7, nodes);
    for n in 0..services {
        world.offer(&Service::new(vip(n)));
    }
    world.run(secs(5));
    assert_eq!(world.holders().len(), usize::from(services));
    world
}

#[test]
fn who_may_not_answer_any_more_hands_over_at_once() {
    let mut world = held(4, 1);
    let old = world.holder(vip(0)).unwrap();
    world.withdraw(old, vip(0));
    assert_eq!(world.holder(vip(0)), None, "the old stops first");
    let gap = world.until("another answers", ms(100), |world| world.holder(vip(0)).is_some());
    assert!(gap <= ms(5), "{gap:?}");
    let new = world.holder(vip(0)).unwrap();
    assert_eq!(world.took(new, vip(0)), [Took::HandedOver { by: old }]);
    assert_eq!(world.probes, 1, "a planned move is not probed");
    let burst = |(_, action): &(_, Action)| matches!(action, Action::Own { burst: true, .. });
    assert!(world.nodes[&new].actions.iter().any(burst));
    world.run(secs(2));
    world.agreed(&[vip(0)]).unwrap();
    assert_eq!(world.longest_double, ms(0));
}

#[test]
fn a_leaving_node_hands_everything_over_and_takes_nothing() {
    let mut world = held(5, 300);
    let leaver = id(2);
    let had = world.nodes[&leaver].owned.len();
    assert!(had > 30, "{had}");
    world.change(leaver, |state| state.standing.leaving = true);
    let gone = |world: &World| {
        let election = &world.nodes[&leaver].election;
        election.answering() == 0 && election.handing_over() == 0
    };
    world.until("everything is handed over", ms(500), gone);
    world.say_goodbye(leaver);
    world.run(secs(2));
    assert_eq!(world.holders().len(), 300);
    let addresses: Vec<_> = (0..300).map(vip).collect();
    world.agreed(&addresses).unwrap();
    assert_eq!(world.probes, 300);
    assert_eq!(world.longest_double, ms(0));
}

#[test]
fn lost_messages_delay_a_hand_over_but_do_not_stop_it() {
    let mut world = held(3, 60);
    world.loss = 300;
    let leaver = id(1);
    world.change(leaver, |state| state.standing.leaving = true);
    world.until("all have moved", secs(1), |world| {
        world.nodes[&leaver].owned.is_empty() && world.holders().len() == 60
    });
    world.run(secs(5));
    assert!(world.longest_double < ms(500), "{:?}", world.longest_double);
    world.agreed(&(0..60).map(vip).collect::<Vec<_>>()).unwrap();
}

#[test]
fn a_candidate_without_an_offer_refuses_and_the_next_is_asked() {
    let mut world = World::with_nodes(7, 4);
    let service = Service::new(vip(0));
    world.offer(&service);
    world.run(secs(5));
    let old = world.holder(vip(0)).unwrap();
    let mut order: Vec<_> = (0..4).map(id).filter(|id| *id != old).collect();
    order.sort_by_key(|id| std::cmp::Reverse(daymark_l2::hold::score(id.node, vip(0))));
    world.withdraw(order[0], vip(0));
    world.withdraw(old, vip(0));
    world.until("the second answers", ms(30), |world| world.holder(vip(0)) == Some(order[1]));
    let refused = |(_, action): &(_, Action)| matches!(action, Action::Send(_, HoldMessage::Refused(_)));
    assert!(world.nodes[&order[0]].actions.iter().any(refused));
}

#[test]
fn an_address_that_nobody_can_serve_any_more_is_let_go_and_comes_back_without_a_probe() {
    let mut world = held(3, 1);
    let old = world.holder(vip(0)).unwrap();
    for node in 0..3 {
        world.withdraw(id(node), vip(0));
    }
    world.run(secs(1));
    assert_eq!(world.holder(vip(0)), None);
    let told = |(_, event): &(_, ElectionEvent)| {
        *event == ElectionEvent::GaveUp { address: vip(0), cause: GaveUp::Withdrawn }
    };
    assert!(world.nodes[&old].events.iter().any(told));
    let silence = world.nodes[&old].election.status(vip(0)).unwrap().silence;
    assert_eq!(silence, Some(Silence::NotOffered));
    world.offer(&Service::new(vip(0)));
    world.until("it is answered for again", ms(50), |world| world.holder(vip(0)).is_some());
    assert_eq!(world.probes, 1);
}

#[test]
fn a_node_that_may_not_announce_loses_its_addresses_and_may_get_them_back() {
    let mut world = held(3, 40);
    let node = id(0);
    let had = world.nodes[&node].owned.clone();
    assert!(!had.is_empty());
    let terms = world.nodes[&node].state.segment.terms.clone();
    for n in 0..40 {
        world.withdraw(node, vip(n));
    }
    world.change(node, |state| state.segment.terms.clear());
    world.run(ms(100));
    assert!(world.nodes[&node].owned.is_empty());
    assert_eq!(world.holders().len(), 40);
    world.change(node, |state| state.segment.terms = terms);
    for n in 0..40 {
        world.offer_to(node, &Service::new(vip(n)));
    }
    world.run(secs(290));
    assert!(world.nodes[&node].owned.is_empty(), "gradually: after five minutes");
    world.run(secs(20));
    assert_eq!(world.nodes[&node].owned, had);
    assert_eq!(world.longest_double, ms(0));
}

#[test]
fn an_address_offered_anew_while_it_is_handed_over_has_one_holder() {
    let mut world = held(3, 20);
    for round in 0..30 {
        for n in 0..20 {
            world.withdraw(id(round % 3), vip(n));
        }
        world.run(std::time::Duration::from_micros(300 * u64::from(round)));
        for n in 0..20 {
            world.offer_to(id(round % 3), &Service::new(vip(n)));
        }
    }
    world.run(secs(2));
    world.agreed(&(0..20).map(vip).collect::<Vec<_>>()).unwrap();
    assert_eq!(world.longest_double, ms(0));
}

#[test]
fn a_holder_that_is_no_server_any_more_hands_over() {
    let mut world = held(3, 1);
    let old = world.holder(vip(0)).unwrap();
    let others: Vec<u8> = (0..3).filter(|node| id(*node) != old).collect();
    world.offer(&Service { servers: only(others), ..Service::new(vip(0)) });
    world.until("a server answers", ms(100), |world| world.holder(vip(0)).is_some_and(|now| now != old));
    world.run(ms(10));
    let status = world.nodes[&old].election.status(vip(0)).unwrap();
    assert_eq!((status.state, status.silence), (AddressState::Silent, Some(Silence::NotAServer)));
}

#[test]
fn changed_settings_take_effect_without_a_gap() {
    let mut world = held(2, 1);
    let holder = world.holder(vip(0)).unwrap();
    let before = world.nodes[&holder].actions.len();
    world.offer(&Service { refresh: None, ..Service::new(vip(0)) });
    world.run(secs(1));
    let actions: Vec<_> =
        world.nodes[&holder].actions[before..].iter().map(|(_, action)| action.clone()).collect();
    let expected = Action::Own {
        address: vip(0),
        refresh: None,
        profile: daymark_model::TimingProfile::Fast,
        burst: false,
    };
    assert_eq!(actions, [expected]);
}
