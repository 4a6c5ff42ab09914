//! Who answers when nodes die, freeze and leave.

use serde_json::Value;

use crate::lan::{Lan, UP, VIPS, eventually};
use crate::node::Node;

/// Two nodes that know each other, and which of them answers for the first address.
fn two(test: &str) -> (Lan, Vec<(&'static str, Node)>) {
    let lan = Lan::new(test, &["a", "b"]);
    let mut nodes: Vec<_> = ["a", "b"].map(|name| (name, Node::start(&lan, name))).into();
    for (_, node) in &mut nodes {
        node.until_hears(UP, 1);
    }
    let owner = eventually(
        "somebody answers",
        || lan.resolves(VIPS[0]),
        |mac| mac.as_ref().is_some_and(|mac| ["a", "b"].iter().any(|name| lan.mac(name, UP) == *mac)),
    );
    if owner == Some(lan.mac("b", UP)) {
        nodes.reverse();
    }
    (lan, nodes)
}

#[test]
fn the_clients_kernel_finds_the_address_and_one_node_answers() {
    let (lan, nodes) = two("finds");
    let macs = [lan.mac("a", UP), lan.mac("b", UP)];
    for vip in VIPS {
        eventually(vip, || lan.resolves(vip), |mac| mac.as_ref().is_some_and(|mac| macs.contains(mac)));
    }
    eventually("one answers", || lan.answerers(VIPS[0]), |answerers| *answerers == [lan.mac(nodes[0].0, UP)]);
}

#[test]
fn nodes_know_each_other_over_the_node_network_too() {
    let (_lan, mut nodes) = two("network");
    for (_, node) in &mut nodes {
        let heard = |state: &Value| state["node"]["network"]["members"].as_array().map(Vec::len);
        eventually("it hears the other", || node.state(), |state| heard(state) == Some(1));
    }
}

#[test]
fn the_other_answers_when_the_owner_dies_and_the_client_learns_it_without_asking() {
    let (lan, mut nodes) = two("dies");
    let other = lan.mac(nodes[1].0, UP);
    nodes[0].1.kill();
    eventually(
        "the client has the other's Ethernet address",
        || lan.knows(VIPS[0]),
        |mac| mac.as_ref() == Some(&other),
    );
    for vip in VIPS {
        lan.until_answered_by(vip, nodes[1].0, UP);
    }
}

#[test]
fn one_that_froze_does_not_answer_what_was_asked_meanwhile() {
    let (lan, mut nodes) = two("froze");
    let (frozen, other) = (lan.mac(nodes[0].0, UP), nodes[1].0);
    nodes[0].1.signal("-STOP");
    lan.until_answered_by(VIPS[0], other, UP);
    assert_eq!(lan.answerers(VIPS[0]), [lan.mac(other, UP)]);
    let listener = lan.listen(VIPS[0]);
    nodes[0].1.signal("-CONT");
    eventually("it noticed", || nodes[0].1.state(), |state| state["stalls"].as_u64() >= Some(1));
    assert_eq!(lan.answerers(VIPS[0]), [lan.mac(other, UP)]);
    let claims = listener.heard();
    assert!(!claims.contains(&frozen), "{frozen} claimed the address: {claims:?}");
}

#[test]
fn one_that_leaves_hands_over() {
    let (lan, mut nodes) = two("leaves");
    nodes[0].1.tell("shutdown");
    let state = nodes[0].1.state();
    assert_eq!(state["phase"], "Left", "{state:#}");
    for vip in VIPS {
        lan.until_answered_by(vip, nodes[1].0, UP);
    }
}
