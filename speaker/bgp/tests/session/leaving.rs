//! Going away.

use daymark_bgp::wire::{AttributeType, CeaseReason, Message};
use daymark_bgp::{Input, SessionState};

use crate::pair::{Pair, SECOND, Side, hosts, tagged};

#[test]
fn a_shutdown_marks_waits_withdraws_and_says_why() {
    let mut pair = Pair::simple().up();
    pair.input(Side::A, Input::RoutesChanged(hosts(20, &tagged("65001:1"))));
    pair.run(SECOND);
    let begun = pair.now;
    pair.input(Side::A, Input::Shutdown { text: "node n1 leaves".into(), wait: 10 * SECOND });
    pair.run(9 * SECOND);
    assert_eq!(pair.nodes[&Side::B].heard.routes.len(), 20);
    for attributes in pair.nodes[&Side::B].heard.routes.values() {
        let communities = attributes.iter().find(|a| a.kind == AttributeType::COMMUNITIES).unwrap();
        assert!(communities.value.ends_with(&[0xff, 0xff, 0, 0]), "GRACEFUL_SHUTDOWN: {communities:?}");
    }
    assert!(pair.is_up());
    pair.run(2 * SECOND);
    let heard = &pair.nodes[&Side::B].heard;
    assert!(heard.routes.is_empty());
    let withdrawn =
        heard.messages.iter().rposition(|(_, m)| matches!(m, Message::Update(u) if u.withdrawn.len() == 20));
    let cease = heard.messages.iter().rposition(|(_, m)| matches!(m, Message::Notification(_)));
    assert!(withdrawn.unwrap() < cease.unwrap());
    assert!(pair.nodes[&Side::A].stopped.unwrap() - begun < 11 * SECOND);
    let (_, told) = pair.nodes[&Side::B].peer.status().last_error.unwrap();
    assert!(told.to_string().contains("administrative shutdown (6/2): \"node n1 leaves\""), "{told}");
    pair.run(600 * SECOND);
    assert_eq!(pair.state(Side::A), SessionState::Idle);
    assert_eq!(pair.nodes[&Side::A].attempts.len(), 1);
}

#[test]
fn without_routes_there_is_nothing_to_wait_for() {
    let mut pair = Pair::simple().up();
    pair.input(Side::A, Input::Shutdown { text: String::new(), wait: 10 * SECOND });
    assert_eq!(pair.nodes[&Side::A].stopped, Some(pair.now));
}

#[test]
fn a_session_lost_while_leaving_ends_the_leaving() {
    let mut pair = Pair::simple().up();
    pair.input(Side::A, Input::RoutesChanged(hosts(20, &tagged("65001:1"))));
    pair.run(SECOND);
    pair.input(Side::A, Input::Shutdown { text: String::new(), wait: 60 * SECOND });
    pair.cut = true;
    pair.until(10 * SECOND, |pair| pair.nodes[&Side::A].stopped.is_some());
}

#[test]
fn a_removed_neighbor_is_told() {
    let mut pair = Pair::simple().up();
    pair.input(Side::A, Input::Stop { reason: CeaseReason::PeerDeconfigured, text: String::new() });
    pair.run(SECOND);
    let (_, told) = pair.nodes[&Side::B].peer.status().last_error.unwrap();
    assert!(told.to_string().contains("peer de-configured (6/3)"), "{told}");
}

#[test]
fn who_leaves_takes_no_connection() {
    let mut pair = Pair::simple();
    pair.input(Side::B, Input::Stop { reason: CeaseReason::AdministrativeShutdown, text: String::new() });
    pair.run(3 * SECOND);
    let (_, told) = pair.nodes[&Side::A].peer.status().last_error.unwrap();
    assert!(told.to_string().contains("administrative shutdown (6/2)"), "{told}");
}
