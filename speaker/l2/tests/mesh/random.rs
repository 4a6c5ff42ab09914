//! Schedules that nobody thought of.

use std::collections::BTreeSet;
use std::time::Duration;

use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

use crate::faults::{Net, Place};
use crate::world::{Plan, World, seconds};

#[derive(Debug)]
enum Step {
    Kill(usize),
    Start(usize),
    Freeze(usize),
    Thaw(usize),
    Leave(usize),
    LanDark(usize),
    NodesDark(usize),
    Light(usize),
}

/// Plays a schedule. One node is left alone, so that somebody is always there to answer; a dark LAN side hides a node from
/// the client too, so whatever happens the client should find one answerer soon, and two never for long.
fn play(seed: u64) {
    let mut rng = SmallRng::seed_from_u64(seed);
    let nodes = rng.random_range(3..=12);
    let segments = rng.random_range(1..=2);
    let mut world = World::settled(Plan::new(seed, nodes).segments(segments).addresses(6));
    let loss = [0.0, 0.005, 0.01][rng.random_range(0..3)];
    world.faults.set_loss(Net::Segment(0), loss);
    world.faults.set_loss(Net::Nodes, loss);
    let spared = rng.random_range(0..nodes);
    let (mut down, mut frozen, mut dark) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    let mut log = Vec::new();
    for _ in 0..8 {
        let node = (spared + rng.random_range(1..nodes)) % nodes;
        let step = match rng.random_range(0..6) {
            _ if down.contains(&node) => Step::Start(node),
            _ if frozen.contains(&node) => Step::Thaw(node),
            _ if dark.contains(&node) => Step::Light(node),
            0 => Step::Kill(node),
            1 => Step::Freeze(node),
            2 => Step::Leave(node),
            3 => Step::NodesDark(node),
            _ => Step::LanDark(node),
        };
        log.push((world.since_start(), format!("{step:?}")));
        apply(&mut world, &step);
        match step {
            Step::Kill(_) | Step::Leave(_) => down.insert(node),
            Step::Start(_) => down.remove(&node),
            Step::Freeze(_) => frozen.insert(node),
            Step::Thaw(_) => frozen.remove(&node),
            Step::LanDark(_) | Step::NodesDark(_) => dark.insert(node),
            Step::Light(_) => dark.remove(&node),
        };
        world.run(Duration::from_millis(rng.random_range(0..1_500)));
    }
    // Steps may follow each other while a takeover is on its way: each may cost the time to know once more.
    let when = format!("seed {seed}, {nodes} nodes, steps {log:?}");
    world.assert_streaks(&when, seconds(2.5), seconds(1.5));
    world.check.reset();
    world.run(seconds(3.0));
    world.assert_one(&format!("{when}: quiet"));
    for node in down.into_iter().chain(frozen).chain(dark) {
        if !world.runs(node) {
            apply(&mut world, &Step::Thaw(node));
        }
        if !world.runs(node) {
            world.start(node);
        }
    }
    world.faults.heal();
    world.run(seconds(8.0));
    world.assert_one(&format!("{when}: all well"));
    world.assert_streaks(&format!("{when}: at the end"), seconds(1.0), seconds(1.0));
}

fn apply(world: &mut World, step: &Step) {
    match *step {
        Step::Kill(node) => world.kill(node),
        Step::Start(node) => world.start(node),
        Step::Freeze(node) => world.freeze(node),
        Step::Thaw(node) => world.thaw(node),
        Step::Leave(node) => world.leave(node),
        Step::LanDark(node) => {
            for segment in 0..world.plan.segments {
                world.faults.dark(Net::Segment(segment), node);
            }
        }
        Step::NodesDark(node) => world.faults.dark(Net::Nodes, node),
        Step::Light(node) => {
            for segment in 0..world.plan.segments {
                world.faults.light(Net::Segment(segment), node);
            }
            world.faults.light(Net::Nodes, node);
        }
    }
}

#[test]
fn random_schedules_end_with_one_answerer() {
    for seed in 100..112 {
        play(seed);
    }
}

#[test]
fn more_random_schedules_end_with_one_answerer() {
    for seed in 200..212 {
        play(seed);
    }
}

/// Partitions at random, of either network or both, each half with a client of its own.
#[test]
fn random_partitions_heal() {
    for seed in 300..310 {
        let mut rng = SmallRng::seed_from_u64(seed);
        let nodes = rng.random_range(3..=9);
        let mut world = World::settled(Plan::new(seed, nodes).addresses(6));
        let other = world.add_client(0);
        let half: Vec<usize> = (0..nodes).filter(|_| rng.random_bool(0.5)).collect();
        let half = if half.is_empty() || half.len() == nodes { vec![0] } else { half };
        let which = rng.random_range(0..3);
        if which != 1 {
            let places = half.iter().map(|node| Place::Node(*node)).chain([Place::Client(other)]);
            world.faults.part(Net::Segment(0), places);
        }
        if which != 0 {
            world.faults.part(Net::Nodes, half.iter().map(|node| Place::Node(*node)));
        }
        let when = format!("seed {seed}: {half:?} of {nodes} split off, networks {which}");
        world.run(Duration::from_millis(rng.random_range(200..6_000)));
        world.assert_streaks(&when, seconds(3.0), Duration::ZERO);
        world.check.reset();
        world.faults.heal();
        world.run(seconds(7.0));
        world.assert_one(&when);
        world.assert_streaks(&format!("{when}: healed"), seconds(1.0), seconds(1.0));
    }
}
