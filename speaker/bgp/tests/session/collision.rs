//! Both sides connect at once (RFC 4271 section 6.8).

use std::time::Duration;

use daymark_bgp::PeerConfig;

use crate::pair::{Pair, SECOND, Side, config};

fn one_session(a: PeerConfig, b: PeerConfig, delay: Duration, lead: Duration) {
    let mut pair = Pair::new(a, b);
    pair.delay = delay;
    pair.node(Side::B).listens = lead.is_zero();
    if !lead.is_zero() {
        pair.run(lead);
        pair.node(Side::B).listens = true;
    }
    pair.until(30 * SECOND, Pair::is_up);
    pair.run(120 * SECOND);
    assert!(pair.is_up(), "with a delay of {delay:?} and a lead of {lead:?}");
    for side in [Side::A, Side::B] {
        let node = &pair.nodes[&side];
        let status = node.peer.status();
        assert_eq!(status.flaps, 0, "{side:?}: {:?}", node.changes);
        assert!(node.attempts.len() <= 2, "{side:?} went on connecting: {:?}", node.attempts);
    }
}

#[test]
fn simultaneous_opens_end_in_one_session() {
    let ids = [("10.0.0.1", "10.0.0.2"), ("10.0.0.2", "10.0.0.1"), ("10.0.0.1", "10.0.0.1")];
    for (a, b) in ids {
        for (asn_a, asn_b) in [(65001, 65002), (65002, 65001)] {
            for delay in [0, 1, 40, 900, 3000] {
                let delay = Duration::from_millis(delay);
                one_session(config(asn_a, a, asn_b), config(asn_b, b, asn_a), delay, Duration::ZERO);
            }
        }
    }
}

#[test]
fn internal_collisions_end_in_one_session() {
    for (a, b) in [("10.0.0.1", "10.0.0.2"), ("10.0.0.2", "10.0.0.1")] {
        one_session(
            config(65001, a, 65001),
            config(65001, b, 65001),
            Duration::from_millis(5),
            Duration::ZERO,
        );
    }
}

#[test]
fn a_second_connection_beside_a_session_that_is_up_is_closed() {
    let a = config(65001, "10.0.0.1", 65002);
    let b = PeerConfig { passive: true, ..config(65002, "10.0.0.2", 65001) };
    let mut pair = Pair::new(a, b).up();
    let eager = PeerConfig { passive: false, ..pair.nodes[&Side::B].peer.config().clone() };
    pair.node(Side::B).peer = daymark_bgp::Peer::new(eager, 3, pair.now);
    pair.until(SECOND, |pair| !pair.nodes[&Side::B].attempts.is_empty());
    pair.run(Duration::from_millis(100));
    assert_eq!(pair.state(Side::A), daymark_bgp::SessionState::Established);
    let refused = pair.nodes[&Side::B].peer.status().last_error.unwrap().1.to_string();
    assert!(refused.contains("connection collision resolution (6/7)"), "{refused}");
}
