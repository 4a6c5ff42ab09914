//! Coming up and staying up.

use std::time::Duration;

use daymark_bgp::wire::Message;
use daymark_bgp::{Input, PeerConfig, SessionState};
use daymark_model::{Family, PeerAsn, Timers};

use crate::pair::{Pair, SECOND, Side, config, hosts, tagged};

#[test]
fn a_session_comes_up_with_both_families() {
    let pair = Pair::simple().up();
    let status = pair.nodes[&Side::A].peer.status();
    assert_eq!(status.families, [Family::V4, Family::V6]);
    assert_eq!(status.hold, Some(9 * SECOND));
    assert_eq!(status.peer_asn.unwrap().get(), 65002);
    assert_eq!(status.peer_router_id.unwrap().to_string(), "10.0.0.2");
    assert_eq!((status.flaps, status.last_error), (0, None));
    let states: Vec<_> = pair.nodes[&Side::A].changes.iter().map(|(_, _, to, _)| to.as_str()).collect();
    assert_eq!(states, ["Connect", "OpenSent", "OpenConfirm", "Established"]);
}

#[test]
fn the_first_update_leaves_with_the_keepalive_that_establishes() {
    let mut pair = Pair::simple();
    pair.input(Side::A, Input::RoutesChanged(hosts(3, &tagged("65001:1"))));
    pair.until(30 * SECOND, |pair| pair.state(Side::A) == SessionState::Established);
    let established = pair.now;
    pair.until(SECOND, |pair| !pair.nodes[&Side::B].heard.routes.is_empty());
    let (at, _) =
        pair.nodes[&Side::B].heard.messages.iter().find(|(_, m)| matches!(m, Message::Update(_))).unwrap();
    assert_eq!(*at, established + pair.delay);
}

#[test]
fn a_quiet_session_stays_up_and_keepalives_are_never_late() {
    let mut pair = Pair::simple().up();
    pair.node(Side::B).heard.messages.clear();
    pair.run(600 * SECOND);
    assert!(pair.is_up());
    let heard: Vec<_> = pair.nodes[&Side::B].heard.messages.iter().map(|(at, _)| *at).collect();
    let gaps: Vec<_> = heard.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(gaps.iter().all(|gap| (SECOND * 9 / 4..=3 * SECOND).contains(gap)), "{gaps:?}");
}

#[test]
fn the_shorter_hold_time_wins_and_keepalives_follow_it() {
    let long = Timers { hold: 180 * SECOND, keepalive: 60 * SECOND, connect_retry: 5 * SECOND };
    let short = Timers { hold: 3 * SECOND, keepalive: 60 * SECOND, connect_retry: 5 * SECOND };
    let a = PeerConfig { timers: long, ..config(65001, "10.0.0.1", 65002) };
    let b = PeerConfig { timers: short, passive: true, ..config(65002, "10.0.0.2", 65001) };
    let mut pair = Pair::new(a, b).up();
    assert_eq!(pair.nodes[&Side::A].peer.status().hold, Some(3 * SECOND));
    pair.run(60 * SECOND);
    assert!(pair.is_up());
    assert_eq!(pair.nodes[&Side::A].peer.status().flaps, 0);
}

#[test]
fn a_hold_time_of_zero_means_no_timers() {
    let none = Timers { hold: Duration::ZERO, ..config(65001, "10.0.0.1", 65002).timers };
    let a = PeerConfig { timers: none, ..config(65001, "10.0.0.1", 65002) };
    let b = PeerConfig { passive: true, ..config(65002, "10.0.0.2", 65001) };
    let mut pair = Pair::new(a, b).up();
    pair.node(Side::B).heard.messages.clear();
    pair.cut = true;
    pair.run(3600 * SECOND);
    assert!(pair.is_up());
    assert!(pair.nodes[&Side::B].heard.messages.is_empty());
    assert_eq!(pair.nodes[&Side::A].peer.next_deadline(), None);
}

#[test]
fn internal_and_external_fit_any_as_of_their_kind() {
    for (peer_asn, other, fits) in [
        (PeerAsn::External, 4_200_000_000, true),
        (PeerAsn::External, 65001, false),
        (PeerAsn::Internal, 65001, true),
        (PeerAsn::Internal, 65002, false),
    ] {
        let a = PeerConfig { peer_asn, ..config(65001, "10.0.0.1", 1) };
        let b = PeerConfig { passive: true, ..config(other, "10.0.0.2", 65001) };
        let mut pair = Pair::new(a, b);
        pair.run(3 * SECOND);
        assert_eq!(pair.is_up(), fits, "{peer_asn:?} with AS {other}");
    }
}

#[test]
fn a_family_that_only_one_side_wants_is_left_out() {
    let a = config(65001, "10.0.0.1", 65002);
    let b = PeerConfig { passive: true, families: [Family::V6].into(), ..config(65002, "10.0.0.2", 65001) };
    let mut pair = Pair::new(a, b).up();
    pair.input(Side::A, Input::RoutesChanged(hosts(2, &tagged("65001:1"))));
    pair.run(SECOND);
    let status = pair.nodes[&Side::A].peer.status();
    assert_eq!(status.families, [Family::V6]);
    assert!(status.problems[0].to_string().contains("does not take IPv4 routes"), "{:?}", status.problems);
    assert!(pair.nodes[&Side::B].heard.routes.is_empty());
}

#[test]
fn a_change_that_does_not_concern_the_session_leaves_it_up() {
    let mut pair = Pair::simple().up();
    let mut config = pair.nodes[&Side::A].peer.config().clone();
    config.timers.connect_retry = 9 * SECOND;
    config.timers.keepalive = SECOND;
    pair.input(Side::A, Input::Reconfigured(config.clone()));
    pair.run(30 * SECOND);
    assert!(pair.is_up());
    assert_eq!(pair.nodes[&Side::A].peer.status().flaps, 0);
    config.families = [Family::V4].into();
    pair.input(Side::A, Input::Reconfigured(config));
    assert_eq!(pair.state(Side::A), SessionState::Active);
    pair.until(10 * SECOND, Pair::is_up);
    assert_eq!(pair.nodes[&Side::A].peer.status().families, [Family::V4]);
    let told = pair.nodes[&Side::B].peer.status().last_error.unwrap().1.to_string();
    assert!(told.contains("other configuration change (6/6)"), "{told}");
}
