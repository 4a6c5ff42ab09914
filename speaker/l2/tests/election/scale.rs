//! Many addresses and many members.

use std::time::Instant;

use daymark_l2::election::{Action, Election, ElectionOutput, Gone, ProbeResult};
use daymark_l2::hold::{Epoch, Fitness, Hold, HoldMessage, Phase, score};

use crate::given::{Service, id, ms, secs, state, vip};
use crate::world::World;

#[test]
fn a_thousand_addresses_spread_evenly_over_ten_members() {
    let mut world = World::with_nodes(1, 10);
    for n in 0..1_000 {
        world.offer(&Service::new(vip(n)));
    }
    world.run(secs(5));
    assert_eq!(world.holders().len(), 1_000);
    let most = world.nodes.values().map(|node| node.owned.len()).max().unwrap();
    assert!(most < 130, "{most} where 100 is even");
    assert_eq!(world.longest_double, ms(0));
    assert!(world.messages < 500, "{} messages for 1,000 addresses", world.messages);
}

/// Prints how long one member computes when the holder of all addresses dies.
#[test]
fn five_thousand_addresses_of_a_dead_member_among_thirty() {
    let begun = Instant::now();
    let me = id(0);
    let mut election = Election::new(me, 1);
    let mut out = ElectionOutput::default();
    election.own(begun, state(0), &mut out);
    election.settled(begun, true, &mut out);
    election.tick(begun, &mut out);
    for node in 1..30 {
        election.member(begun, state(node), &mut out);
    }
    let holds: Vec<Hold> = (0..5_000)
        .map(|n| Hold {
            address: vip(n),
            epoch: Epoch(1),
            phase: Phase::Holding,
            fitness: Fitness::Fit,
            weight: 0,
        })
        .collect();
    election.heard(begun, id(29), HoldMessage::Changed(holds), &mut out);
    for n in 0..5_000 {
        election.offer(begun, &Service::new(vip(n)).offer_to(&state(0)), &mut out);
    }
    let mut now = begun + secs(1);
    election.tick(now, &mut out);
    assert_eq!(election.answering(), 0);
    out.actions.clear();
    let computing = Instant::now();
    let mut longest = std::time::Duration::ZERO;
    election.gone(now, id(29), Gone::Died, &mut out);
    let end = now + ms(145);
    while let Some(at) = election.next_deadline().filter(|at| *at <= end) {
        now = now.max(at);
        let turn = Instant::now();
        election.tick(now, &mut out);
        for action in std::mem::take(&mut out.actions) {
            if let Action::Probe { address, .. } = action {
                election.probed(now + ms(80), address, ProbeResult::Unanswered, &mut out);
            }
        }
        longest = longest.max(turn.elapsed());
    }
    let mine =
        (0..5_000).filter(|n| (0..29).map(id).max_by_key(|id| score(id.node, vip(*n))) == Some(me)).count();
    assert_eq!(election.answering(), mine);
    println!("5,000 addresses, 30 members: {:?} in all, {longest:?} at a time", computing.elapsed());
}
