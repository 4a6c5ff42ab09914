//! Strangers with the address, and several holders.

use std::collections::BTreeMap;

use daymark_l2::election::{Action, AddressState, ElectionEvent, ProbeResult, Silence};
use daymark_l2::hold::HoldMessage;
use daymark_model::MacAddr;

use crate::given::{Service, id, mac, ms, secs, vip};
use crate::world::World;

const STRANGER: MacAddr = MacAddr([2, 0, 0, 0, 0, 0xee]);

fn conflicts(world: &World) -> usize {
    let events = world.nodes.values().flat_map(|node| &node.events);
    events.filter(|(_, event)| matches!(event, ElectionEvent::Conflict { mac: STRANGER, .. })).count()
}

#[test]
fn an_address_that_a_stranger_has_is_not_taken_until_the_stranger_is_gone() {
    let mut world = World::with_nodes(1, 3);
    world.strangers.insert(vip(0), STRANGER);
    world.offer(&Service::new(vip(0)));
    world.run(secs(120));
    assert_eq!(world.holder(vip(0)), None);
    assert!(world.probes < 25, "{} probes in two minutes", world.probes);
    for node in world.nodes.values() {
        let status = node.election.status(vip(0)).unwrap();
        assert_eq!((status.state, status.silence), (AddressState::Silent, Some(Silence::AddressConflict)));
        assert_eq!(status.conflict, Some(STRANGER));
    }
    world.strangers.clear();
    world.until("it is taken", secs(65), |world| world.holder(vip(0)).is_some());
    world.run(secs(1));
    let (told, ended) =
        world.nodes.values().flat_map(|node| &node.events).fold((0, 0), |(told, ended), (_, event)| {
            match event {
                ElectionEvent::Conflict { .. } => (told + 1, ended),
                ElectionEvent::ConflictEnded { .. } => (told, ended + 1),
                ElectionEvent::Took { .. } | ElectionEvent::GaveUp { .. } => (told, ended),
            }
        });
    assert!(told >= 3 && ended == 3, "{told} {ended}");
}

#[test]
fn after_a_death_a_stranger_does_not_keep_the_address() {
    let mut world = World::with_nodes(1, 3);
    world.offer(&Service::new(vip(0)));
    world.run(secs(5));
    world.strangers.insert(vip(0), STRANGER);
    let old = world.holder(vip(0)).unwrap();
    world.kill(old);
    world.until("it is taken", secs(1), |world| world.holder(vip(0)).is_some());
    let new = world.holder(vip(0)).unwrap();
    assert_eq!(conflicts(&world), 1);
    let defends = |world: &World| {
        let actions = world.nodes[&new].actions.iter();
        actions.filter(|(_, action)| matches!(action, Action::Defend { .. })).count()
    };
    assert_eq!(defends(&world), 1);
    for _ in 0..100 {
        world.with(new, |election, now, out| election.contested(now, vip(0), STRANGER, out));
        world.run(ms(100));
    }
    assert!(defends(&world) <= 2, "once per ten seconds");
    world.run(secs(70));
    assert_eq!(world.nodes[&new].election.status(vip(0)).unwrap().conflict, None, "it ends a minute after");
}

#[test]
fn a_member_with_the_address_is_no_stranger() {
    let mut world = World::with_nodes(1, 3);
    world.offer(&Service::new(vip(0)));
    world.run(secs(5));
    let holder = world.holder(vip(0)).unwrap();
    let other = (0..3).map(id).find(|id| *id != holder).unwrap();
    world.with(holder, |election, now, out| election.contested(now, vip(0), mac(other), out));
    world.run(secs(1));
    assert!(!world.nodes[&holder].actions.iter().any(|(_, action)| matches!(action, Action::Defend { .. })));
    assert_eq!(world.holder(vip(0)), Some(holder));
}

#[test]
fn what_a_member_answers_for_is_let_go_and_looked_at_again() {
    let mut world = World::with_nodes(1, 2);
    let service = Service::new(vip(0));
    world.offer_to(id(0), &service);
    world.until("it is probed", secs(1), |world| world.probes == 1);
    let before = world.probes;
    world.nodes.get_mut(&id(0)).unwrap().probes.clear();
    world.with(id(0), |election, now, out| {
        election.probed(now, vip(0), ProbeResult::AnsweredByMember(id(1)), out);
    });
    world.run(ms(400));
    let status = world.nodes[&id(0)].election.status(vip(0)).unwrap();
    assert_eq!(status.silence, Some(Silence::AnsweredByMember));
    assert_eq!(world.probes, before);
    world.run(secs(3));
    assert_eq!(world.holder(vip(0)), Some(id(0)));
}

#[test]
fn halves_of_a_segment_answer_for_themselves_and_heal() {
    for seed in 0..10 {
        let mut world = World::with_nodes(seed, 6);
        let addresses: Vec<_> = (0..60).map(vip).collect();
        for address in &addresses {
            world.offer(&Service::new(*address));
        }
        world.run(secs(5));
        world.split((0..3).map(|node| (id(node), 1)).collect());
        world.run(secs(3));
        let holders = world.holders();
        assert!(addresses.iter().all(|address| holders[address].len() == 2), "each half has a holder");
        world.split(BTreeMap::new());
        world.run(secs(1));
        world.agreed(&addresses).unwrap();
        assert!(world.longest_double < ms(700), "{:?}", world.longest_double);
        for address in &addresses {
            let holder = world.holder(*address).unwrap();
            let burst = Action::Burst { address: *address };
            assert!(
                world.nodes[&holder].actions.iter().any(|(_, action)| *action == burst),
                "the winner bursts"
            );
        }
    }
}

#[test]
fn of_simultaneous_claims_the_greatest_is_kept() {
    let mut world = World::with_nodes(2, 20);
    world.delay = (ms(20), ms(60));
    for n in 0..10 {
        world.offer(&Service::new(vip(n)));
    }
    for node in 0..20 {
        world.nodes.get_mut(&id(node)).unwrap().actions.clear();
    }
    world.run(secs(6));
    world.agreed(&(0..10).map(vip).collect::<Vec<_>>()).unwrap();
    assert_eq!(world.longest_double, ms(0));
    let claims = world.nodes.values().flat_map(|node| &node.actions);
    let claims =
        claims.filter(|(_, action)| matches!(action, Action::Broadcast(HoldMessage::Changed(_)))).count();
    assert!(claims < 200, "{claims}");
}
