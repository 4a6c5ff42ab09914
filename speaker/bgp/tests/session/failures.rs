//! What goes wrong, what is said about it, and how often it is tried again.

use std::time::{Duration, Instant};

use daymark_bgp::wire::{
    CeaseReason, Notification, Open, encode_keepalive, encode_notification, encode_open,
};
use daymark_bgp::{Input, Output, PeerConfig, SessionState};
use daymark_model::{Asn, Reason, RouterId, Timers};

use crate::pair::{Pair, SECOND, Side, config, hosts, tagged};

fn last_error(pair: &Pair, side: Side) -> (String, &'static str) {
    let (_, error) = pair.nodes[&side].peer.status().last_error.expect("an error");
    (error.to_string(), error.code())
}

fn gaps(attempts: &[Instant]) -> Vec<u64> {
    attempts.windows(2).map(|pair| (pair[1] - pair[0]).as_secs()).collect()
}

#[test]
fn silence_ends_the_session_after_the_hold_time() {
    let mut pair = Pair::simple().up();
    pair.input(Side::A, Input::RoutesChanged(hosts(10, &tagged("65001:1"))));
    pair.run(SECOND);
    assert_eq!(pair.nodes[&Side::A].peer.status().ipv4.sent, 10);
    pair.cut = true;
    let took = pair.until(20 * SECOND, |pair| pair.state(Side::A) != SessionState::Established);
    assert!((5 * SECOND..=9 * SECOND).contains(&took), "{took:?}");
    let status = pair.nodes[&Side::A].peer.status();
    assert_eq!((status.flaps, status.ipv4.sent, status.ipv4.wanted), (1, 0, 10));
    assert!(last_error(&pair, Side::A).0.contains("nothing was heard from the router for 9 s"));
    pair.run(30 * SECOND);
    pair.cut = false;
    pair.until(70 * SECOND, |pair| pair.is_up() && pair.nodes[&Side::B].heard.routes.len() == 10);
}

#[test]
fn refused_connections_are_retried_ever_more_seldom() {
    let mut pair = Pair::simple();
    pair.node(Side::B).listens = false;
    pair.run(600 * SECOND);
    let gaps = gaps(&pair.nodes[&Side::A].attempts);
    for (gap, full) in gaps.iter().zip([5, 10, 20, 40, 60, 60, 60]) {
        assert!((full * 3 / 4..=full).contains(gap), "{gaps:?}");
    }
    let (text, code) = last_error(&pair, Side::A);
    assert_eq!(code, "ConnectionRefused");
    assert!(text.contains("check that the router runs BGP"), "{text}");
    assert!(pair.nodes[&Side::A].peer.status().next_attempt.is_some());
}

#[test]
fn an_unanswered_attempt_is_given_up() {
    let mut pair = Pair::simple();
    pair.cut = true;
    pair.run(100 * SECOND);
    assert_eq!(last_error(&pair, Side::A).1, "ConnectTimedOut");
    let gaps = gaps(&pair.nodes[&Side::A].attempts);
    assert!(gaps.iter().zip(&gaps[1..]).all(|(earlier, later)| later > earlier), "{gaps:?}");
}

#[test]
fn a_wrong_as_is_told_on_both_sides_with_both_numbers() {
    let a = config(65001, "10.0.0.1", 65009);
    let b = PeerConfig { passive: true, ..config(65002, "10.0.0.2", 65001) };
    let mut pair = Pair::new(a, b);
    pair.run(2 * SECOND);
    let (text, code) = last_error(&pair, Side::A);
    assert_eq!(code, "WrongAsn");
    assert!(text.contains("AS 65002") && text.contains("AS 65009 is configured"), "{text}");
    let (text, code) = last_error(&pair, Side::B);
    assert_eq!(code, "NotificationReceived");
    assert!(text.contains("(2/2)") && text.contains("does not expect AS 65002"), "{text}");
}

#[test]
fn a_received_notification_never_leads_straight_to_another_attempt() {
    let a = config(65001, "10.0.0.1", 65002);
    let b = PeerConfig { passive: true, ..config(65002, "10.0.0.2", 65009) };
    let mut pair = Pair::new(a, b);
    pair.run(300 * SECOND);
    let gaps = gaps(&pair.nodes[&Side::A].attempts);
    assert!(
        gaps[0] >= 3 && gaps.iter().zip(&gaps[1..]).all(|(earlier, later)| later + 16 > *earlier),
        "{gaps:?}"
    );
    assert!(gaps.len() < 10, "{gaps:?}");
}

#[test]
fn one_router_id_in_one_as_is_refused() {
    let a = config(65001, "10.0.0.1", 65001);
    let b = PeerConfig { passive: true, ..config(65001, "10.0.0.1", 65001) };
    let mut pair = Pair::new(a, b);
    pair.run(2 * SECOND);
    assert!(!pair.is_up());
    let codes = [last_error(&pair, Side::A).1, last_error(&pair, Side::B).1];
    assert!(codes.contains(&"SameRouterId"), "{codes:?}");
    let two = RouterId::new("10.0.0.2".parse().unwrap()).unwrap();
    let mended = PeerConfig { router_id: two, ..pair.nodes[&Side::A].peer.config().clone() };
    pair.input(Side::A, Input::Reconfigured(mended));
    pair.until(6 * SECOND, Pair::is_up);
}

#[test]
fn garbage_is_called_garbage() {
    let mut pair = Pair::simple();
    pair.until(SECOND, |pair| pair.state(Side::A) == SessionState::OpenSent);
    let connection = daymark_bgp::ConnectionId { origin: daymark_bgp::Origin::Outgoing, number: 0 };
    pair.input(Side::A, Input::Received { connection, bytes: b"SSH-2.0-OpenSSH_9.2p1\r\n" });
    let (text, code) = last_error(&pair, Side::A);
    assert_eq!(code, "NotBgp");
    assert!(text.contains("check that it speaks BGP on this port"), "{text}");
    assert_eq!(pair.state(Side::A), SessionState::Active);
}

#[test]
fn a_peer_that_takes_nothing_is_left_after_the_send_hold_time() {
    let timers = Timers { hold: Duration::ZERO, ..config(65001, "10.0.0.1", 65002).timers };
    let a = PeerConfig { timers, ..config(65001, "10.0.0.1", 65002) };
    let b = PeerConfig { passive: true, ..config(65002, "10.0.0.2", 65001) };
    let mut pair = Pair::new(a, b).up();
    pair.node(Side::A).writable = false;
    pair.input(Side::A, Input::RoutesChanged(hosts(10, &tagged("65001:1"))));
    let took = pair.until(500 * SECOND, |pair| pair.state(Side::A) != SessionState::Established);
    assert_eq!(took, 480 * SECOND);
    assert_eq!(last_error(&pair, Side::A).1, "SendHoldTimerExpired");
}

#[test]
fn after_five_minutes_up_the_next_failure_counts_as_the_first() {
    let mut pair = Pair::simple();
    pair.node(Side::B).listens = false;
    pair.run(200 * SECOND);
    pair.node(Side::B).listens = true;
    pair.until(61 * SECOND, Pair::is_up);
    pair.run(301 * SECOND);
    pair.cut = true;
    pair.until(10 * SECOND, |pair| pair.state(Side::A) != SessionState::Established);
    let lost = pair.now;
    let next = pair.nodes[&Side::A].peer.status().next_attempt.unwrap();
    assert!(next - lost <= 5 * SECOND, "{:?}", next - lost);
}

#[test]
fn a_notification_is_never_answered() {
    let reset = Notification::cease(CeaseReason::AdministrativeReset, "maintenance");
    let mut well_formed = bytes::BytesMut::new();
    encode_notification(&reset, &mut well_formed);
    let mut too_short = vec![0xff; 16];
    too_short.extend([0, 20, 3, 6]);
    for bytes in [&well_formed[..], &too_short] {
        let mut pair = Pair::simple().up();
        let outputs = pair.outputs_of(Side::A, bytes);
        assert!(!outputs.iter().any(|output| matches!(output, Output::Send { .. })), "{outputs:?}");
        assert!(outputs.iter().any(|output| matches!(output, Output::Close { .. })), "{outputs:?}");
        assert!(!outputs.iter().any(|output| matches!(output, Output::Connect { .. })), "{outputs:?}");
    }
}

#[test]
fn messages_out_of_place_are_refused_by_state() {
    let mut keepalive = bytes::BytesMut::new();
    encode_keepalive(&mut keepalive);
    let mut open = bytes::BytesMut::new();
    let theirs = Open {
        asn: Asn::new(65002).unwrap(),
        hold_time: 9,
        router_id: RouterId::new("10.0.0.2".parse().unwrap()).unwrap(),
        capabilities: Vec::new(),
    };
    encode_open(&theirs, &mut open).unwrap();
    for (state, bytes, expected) in [
        (SessionState::OpenSent, &keepalive, [5, 1, 4]),
        (SessionState::OpenConfirm, &open, [5, 2, 1]),
        (SessionState::Established, &open, [5, 3, 1]),
    ] {
        let mut pair = Pair::simple();
        pair.until(SECOND, |pair| pair.state(Side::A) == state);
        let outputs = pair.outputs_of(Side::A, bytes);
        let sent = outputs.iter().find_map(|output| match output {
            Output::Send { bytes, .. } => Some(bytes.clone()),
            Output::Connect { .. } | Output::Close { .. } | Output::StateChanged { .. } | Output::Stopped => {
                None
            }
        });
        assert_eq!(sent.unwrap()[19..], expected, "in {state}");
        let (text, code) = last_error(&pair, Side::A);
        assert!(code == "UnexpectedMessage" && text.contains(state.as_str()), "{text}");
    }
}

#[test]
fn a_router_that_takes_the_connection_and_stays_silent_is_told_off_within_a_minute() {
    let mut pair = Pair::simple();
    pair.until(SECOND, |pair| pair.state(Side::A) == SessionState::OpenSent);
    pair.cut = true;
    pair.run(61 * SECOND);
    let (text, code) = last_error(&pair, Side::A);
    assert!(code == "NoOpen" && text.contains("sent no OPEN for 60 s"), "{text}");
}

#[test]
fn absurd_times_neither_flood_nor_overflow() {
    for absurd in [Duration::ZERO, Duration::from_nanos(1), Duration::MAX] {
        let timers = Timers { hold: absurd, keepalive: absurd, connect_retry: absurd };
        let b = PeerConfig { passive: true, ..config(65002, "10.0.0.2", 65001) };
        let mut pair = Pair::new(PeerConfig { timers, ..config(65001, "10.0.0.1", 65002) }, b);
        pair.node(Side::B).listens = false;
        pair.run(60 * SECOND);
        assert!(pair.nodes[&Side::A].attempts.len() < 8, "{:?}", pair.nodes[&Side::A].attempts);
        pair.input(Side::A, Input::RoutesChanged(hosts(1, &tagged("65001:1"))));
        pair.input(Side::A, Input::Shutdown { text: String::new(), wait: absurd });
        let mut pair = Pair::simple().up();
        pair.input(Side::A, Input::RoutesChanged(hosts(1, &tagged("65001:1"))));
        pair.input(Side::A, Input::Shutdown { text: String::new(), wait: absurd });
        pair.run(SECOND);
    }
}
