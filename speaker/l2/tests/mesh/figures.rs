//! How long things take, on the virtual clock.

use std::time::Duration;

use crate::check::percentile;
use crate::faults::Net;
use crate::world::{Plan, World, seconds};

#[derive(Clone, Copy, Debug)]
enum Fault {
    Killed,
    Frozen,
    Dark,
}

/// Takes an owner away again and again and sees how long it takes until somebody else answers for its addresses.
fn takeovers(fault: Fault, tries: usize) -> (Vec<Duration>, Vec<Duration>) {
    let (mut none, mut two) = (Vec::new(), Vec::new());
    let mut world = World::settled(Plan::new(70 + fault as u64, 5).addresses(6));
    world.faults.set_loss(Net::Segment(0), 0.01);
    world.faults.set_loss(Net::Nodes, 0.01);
    for number in 0..tries {
        let address = world.addresses[number % 6].1;
        let owner = world.owner(address);
        let pause = Duration::from_millis(world.random(300) as u64);
        world.run(pause);
        world.check.reset();
        match fault {
            Fault::Killed => world.kill(owner),
            Fault::Frozen => world.freeze(owner),
            Fault::Dark => world.faults.dark(Net::Segment(0), owner),
        }
        let taken = |world: &World| {
            let by = world.check.answered(0, address);
            by.len() == 1 && !by.contains(&owner)
        };
        let time = world.until(seconds(3.0), taken);
        none.push(
            time.unwrap_or_else(|| panic!("{fault:?}: nobody takes over\n{}", world.story(0, address))),
        );
        world.run(seconds(1.5));
        world.check.reset();
        match fault {
            Fault::Killed => world.start(owner),
            Fault::Frozen => {
                // Two stalls would make it unfit: a new process has none.
                world.thaw(owner);
                world.run(seconds(0.5));
                world.kill(owner);
                world.run(seconds(1.0));
                world.start(owner);
            }
            Fault::Dark => world.faults.light(Net::Segment(0), owner),
        }
        world.run(seconds(3.5));
        two.push(world.check.longest_two());
        world.assert_one("between two tries");
    }
    (none, two)
}

fn print(fault: Fault, (mut none, mut two): (Vec<Duration>, Vec<Duration>)) {
    println!(
        "{fault:?}: another answers after p50 {:?} p99 {:?}; back: two answer for p50 {:?} worst {:?}",
        percentile(&mut none, 50),
        percentile(&mut none, 99),
        percentile(&mut two, 50),
        percentile(&mut two, 100),
    );
    assert!(percentile(&mut none, 50) < seconds(0.75), "{fault:?}: p50");
    assert!(percentile(&mut none, 99) < seconds(1.0), "{fault:?}: p99");
    assert!(percentile(&mut two, 100) < seconds(1.0), "{fault:?}: two answerers");
}

#[test]
fn takeover_from_a_killed_owner() {
    print(Fault::Killed, takeovers(Fault::Killed, 16));
}

#[test]
fn takeover_from_a_frozen_owner() {
    print(Fault::Frozen, takeovers(Fault::Frozen, 12));
}

#[test]
fn takeover_from_a_dark_owner() {
    print(Fault::Dark, takeovers(Fault::Dark, 16));
}

/// A hundred nodes; as many as `DAYMARK_MESH_NODES` says where that is set, since what all tell all takes time to compute.
#[test]
fn a_hundred_nodes_join_within_half_a_second_and_lose_four() {
    let count = std::env::var("DAYMARK_MESH_NODES").ok().and_then(|count| count.parse().ok()).unwrap_or(100);
    let plan = Plan::new(80, count).addresses(8).period(Duration::from_millis(50));
    let mut world = World::new(plan);
    let nodes = world.nodes.len();
    for node in 0..nodes {
        world.start(node);
        world.run(Duration::from_millis(5));
    }
    world.run(seconds(2.5));
    world.assert_one("many nodes");
    world.check.reset();
    let sent = world.sent;
    let mut owners: Vec<usize> = (0..4).map(|number| world.owner(world.addresses[number].1)).collect();
    owners.sort_unstable();
    owners.dedup();
    for owner in owners {
        world.kill(owner);
    }
    world.run(seconds(1.5));
    world.assert_one("many nodes, four dead");
    println!(
        "{count} nodes: {} packets per node and second, nobody answered for {:?}",
        (world.sent - sent) * 2 / (3 * count as u64),
        world.check.longest_none()
    );
    world.assert_streaks("many nodes", seconds(1.0), Duration::ZERO);
}
