//! When an address goes to a better member.

use std::time::Duration;

use daymark_l2::election::{GaveUp, Took};
use daymark_model::Failback;

use crate::given::{Service, announcement, id, ms, secs, state, vip};
use crate::world::World;

const ADDRESSES: u16 = 100;

/// Two nodes that hold everything; a third, to which everything belongs by its weight, has just joined.
fn joined_by_a_better_one(failback: Failback) -> World {
    let mut world = World::with_nodes(3, 2);
    for n in 0..ADDRESSES {
        world.offer(&Service { failback, ..Service::new(vip(n)) });
    }
    world.run(secs(10));
    let mut better = state(9);
    better.segment.terms.get_mut(&announcement(0)).unwrap().weight = 50;
    world.start(better);
    for n in 0..ADDRESSES {
        world.offer_to(id(9), &Service { failback, ..Service::new(vip(n)) });
    }
    world
}

fn moved(world: &World) -> usize {
    world.nodes[&id(9)].owned.len()
}

#[test]
fn gradual_waits_five_minutes_and_moves_ten_addresses_per_second() {
    let mut world = joined_by_a_better_one(Failback::Gradual);
    world.run(secs(298));
    assert_eq!(moved(&world), 0);
    world.until("the first moves", secs(5), |world| moved(world) > 0);
    world.run(secs(3));
    let so_far = moved(&world);
    assert!((20..=45).contains(&so_far), "{so_far} in the first three seconds");
    let took = world.until("all have moved", secs(15), |world| moved(world) == usize::from(ADDRESSES));
    assert!(took > secs(4), "{took:?}");
    assert_eq!(world.longest_double, ms(0));
}

#[test]
fn never_stays_until_the_holder_goes() {
    let mut world = joined_by_a_better_one(Failback::Never);
    world.run(secs(1_000));
    assert_eq!(moved(&world), 0);
    let had = world.nodes[&id(0)].owned.len();
    world.kill(id(0));
    world.run(secs(2));
    assert_eq!(moved(&world), had);
}

#[test]
fn immediate_moves_at_once_without_a_second_answerer() {
    let mut world = joined_by_a_better_one(Failback::Immediate);
    world.until("all have moved", secs(2), |world| moved(world) == usize::from(ADDRESSES));
    assert_eq!(world.longest_double, ms(0));
    let causes = world.took(id(9), vip(0));
    assert!(matches!(causes[..], [Took::HandedOver { .. }]), "{causes:?}");
}

#[test]
fn a_changed_weight_moves_an_address_back_and_forth() {
    let mut world = World::with_nodes(3, 3);
    let service = Service { failback: Failback::Immediate, ..Service::new(vip(0)) };
    world.offer(&service);
    world.run(secs(5));
    let home = world.holder(vip(0)).unwrap();
    let other = (0..3).map(id).find(|id| *id != home).unwrap();
    let set = |world: &mut World, weight| {
        world.change(other, |state| state.segment.terms.get_mut(&announcement(0)).unwrap().weight = weight);
    };
    set(&mut world, 20);
    world.until("the preferred node answers", ms(500), |world| world.holder(vip(0)) == Some(other));
    set(&mut world, 0);
    world.until("the former answers again", ms(500), |world| world.holder(vip(0)) == Some(home));
    assert_eq!(world.longest_double, ms(0));
}

#[test]
fn an_unfit_holder_hands_over_at_once_whatever_failback_says() {
    for failback in [Failback::Gradual, Failback::Never, Failback::Immediate] {
        let mut world = World::with_nodes(5, 3);
        for n in 0..ADDRESSES {
            world.offer(&Service { failback, ..Service::new(vip(n)) });
        }
        world.run(secs(10));
        let had = world.nodes[&id(0)].owned.len();
        assert!(had > 20);
        world.change(id(0), |state| state.nodes_reached = 1);
        let took = world.until("others answer", ms(300), |world| {
            world.nodes[&id(0)].owned.is_empty() && world.holders().len() == usize::from(ADDRESSES)
        });
        assert!(took < ms(200), "{took:?}");
        assert_eq!(world.longest_double, ms(0));
        let unfit = world.nodes[&id(0)].events.iter().filter(|(_, event)| {
            matches!(event, daymark_l2::election::ElectionEvent::GaveUp { cause: GaveUp::Unfit, .. })
        });
        assert_eq!(unfit.count(), had);
    }
}

#[test]
fn what_nobody_wants_is_taken_back_at_once_and_offered_ever_less_often() {
    let mut world = World::with_nodes(5, 2);
    let service = Service { failback: Failback::Immediate, ..Service::new(vip(0)) };
    world.offer_to(id(0), &service);
    world.run(secs(5));
    assert_eq!(world.holder(vip(0)), Some(id(0)));
    world.change(id(0), |state| state.standing.proxy_demoted = true);
    world.run(secs(60));
    assert_eq!(world.holder(vip(0)), Some(id(0)));
    let back = world.took(id(0), vip(0)).iter().filter(|cause| **cause == Took::TakenBack).count();
    assert!((1..=10).contains(&back), "tried {back} times in a minute");
    let gaps: Vec<Duration> = gaps(&world);
    assert!(gaps.iter().all(|gap| *gap < ms(10)), "{gaps:?}");
}

#[test]
fn who_refused_an_address_gets_it_as_soon_as_it_can() {
    for late in [secs(2), secs(20), secs(50)] {
        for loss in [0, 100] {
            let mut world = World::with_nodes(5, 2);
            let service = Service { failback: Failback::Immediate, ..Service::new(vip(0)) };
            world.offer_to(id(0), &service);
            world.run(secs(5));
            world.change(id(0), |state| state.standing.proxy_demoted = true);
            world.loss = loss;
            world.run(late);
            assert_eq!(world.holder(vip(0)), Some(id(0)));
            world.offer_to(id(1), &service);
            let most = if loss == 0 { ms(20) } else { secs(12) };
            world.until("the better one answers", most, |world| world.holder(vip(0)) == Some(id(1)));
            assert_eq!(world.longest_double, ms(0));
        }
    }
}

fn gaps(world: &World) -> Vec<Duration> {
    use daymark_l2::election::Action;
    let mut since = None;
    let mut gaps = Vec::new();
    for (at, action) in &world.nodes[&id(0)].actions {
        match action {
            Action::Disown { .. } => since = Some(*at),
            Action::Own { .. } => gaps.extend(since.take().map(|since| *at - since)),
            Action::Burst { .. }
            | Action::Probe { .. }
            | Action::CancelProbe { .. }
            | Action::Defend { .. }
            | Action::Broadcast(_)
            | Action::Send(..) => {}
        }
    }
    gaps
}
