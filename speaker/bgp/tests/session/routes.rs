//! What the neighbor hears about routes.

use std::sync::Arc;

use daymark_bgp::wire::{AttributeType, Message, RefreshSubtype, RouteRefresh, encode_route_refresh};
use daymark_bgp::{ConnectionId, Input, Origin, PeerConfig, RouteAttributes, RouteCounts};
use daymark_model::{Community, Family, StandardCommunity};

use crate::pair::{Pair, SECOND, Side, announce, config, hosts, link, prefix, tagged, withdraw};

fn attribute(pair: &Pair, route: &str, kind: AttributeType) -> Option<Vec<u8>> {
    let attributes = &pair.nodes[&Side::B].heard.routes[&prefix(route)];
    attributes.iter().find(|attribute| attribute.kind == kind).map(|attribute| attribute.value.to_vec())
}

fn ends_of_rib(pair: &Pair) -> Vec<Family> {
    pair.nodes[&Side::B].heard.updates().iter().filter_map(|update| update.end_of_rib).collect()
}

const A: ConnectionId = ConnectionId { origin: Origin::Outgoing, number: 0 };

#[test]
fn routes_given_before_and_after_the_session_reach_the_neighbor() {
    let mut pair = Pair::simple();
    let plain = Arc::new(RouteAttributes::default());
    pair.input(Side::A, Input::RoutesChanged(vec![announce("198.51.100.1/32", &plain)]));
    let mut pair = pair.up();
    pair.input(Side::A, Input::RoutesChanged(vec![announce("2001:db8:1::1/128", &plain)]));
    pair.run(SECOND);
    assert_eq!(pair.nodes[&Side::B].heard.routes.len(), 2);
    assert_eq!(
        attribute(&pair, "198.51.100.1/32", AttributeType::AS_PATH).unwrap(),
        [2, 1, 0, 0, 0xfd, 0xe9]
    );
    assert_eq!(attribute(&pair, "198.51.100.1/32", AttributeType::NEXT_HOP).unwrap(), [192, 0, 2, 1]);
    assert_eq!(attribute(&pair, "198.51.100.1/32", AttributeType::LOCAL_PREF), None);
    let reach = attribute(&pair, "2001:db8:1::1/128", AttributeType::MP_REACH_NLRI).unwrap();
    let next_hop = "2001:db8::1".parse::<std::net::Ipv6Addr>().unwrap().octets();
    assert_eq!(reach[4..20], next_hop);
    pair.input(Side::A, Input::RoutesChanged(vec![withdraw("198.51.100.1/32")]));
    pair.run(SECOND);
    assert_eq!(
        pair.nodes[&Side::B].heard.routes.keys().copied().collect::<Vec<_>>(),
        [prefix("2001:db8:1::1/128")]
    );
    assert_eq!(pair.nodes[&Side::A].peer.status().ipv4, RouteCounts { wanted: 0, sent: 0 });
}

#[test]
fn internal_routes_have_a_preference_and_an_empty_path() {
    let a = config(65001, "10.0.0.1", 65001);
    let b = PeerConfig { passive: true, ..config(65001, "10.0.0.2", 65001) };
    let mut pair = Pair::new(a, b).up();
    let plain = Arc::new(RouteAttributes { prepend: 3, ..Default::default() });
    let preferred =
        Arc::new(RouteAttributes { local_preference: Some(200), med: Some(7), ..Default::default() });
    let routes = vec![announce("198.51.100.1/32", &plain), announce("198.51.100.2/32", &preferred)];
    pair.input(Side::A, Input::RoutesChanged(routes));
    pair.run(SECOND);
    assert_eq!(attribute(&pair, "198.51.100.1/32", AttributeType::AS_PATH).unwrap(), []);
    assert_eq!(attribute(&pair, "198.51.100.1/32", AttributeType::LOCAL_PREF).unwrap(), [0, 0, 0, 100]);
    assert_eq!(attribute(&pair, "198.51.100.2/32", AttributeType::LOCAL_PREF).unwrap(), [0, 0, 0, 200]);
    assert_eq!(attribute(&pair, "198.51.100.2/32", AttributeType::MULTI_EXIT_DISC).unwrap(), [0, 0, 0, 7]);
}

#[test]
fn prepends_lengthen_the_path_of_external_routes() {
    let mut pair = Pair::simple().up();
    let longer = Arc::new(RouteAttributes { prepend: 2, ..Default::default() });
    pair.input(Side::A, Input::RoutesChanged(vec![announce("198.51.100.1/32", &longer)]));
    pair.run(SECOND);
    let path = attribute(&pair, "198.51.100.1/32", AttributeType::AS_PATH).unwrap();
    assert_eq!(path, [2, 3, 0, 0, 0xfd, 0xe9, 0, 0, 0xfd, 0xe9, 0, 0, 0xfd, 0xe9]);
}

#[test]
fn equal_attributes_are_packed_and_a_change_touches_its_prefixes_only() {
    let mut pair = Pair::simple().up();
    pair.input(Side::A, Input::RoutesChanged(hosts(10_000, &tagged("65001:1"))));
    pair.run(SECOND);
    assert_eq!(pair.nodes[&Side::B].heard.routes.len(), 10_000);
    assert!(pair.nodes[&Side::B].heard.updates().len() <= 10_000 / 700 + 1);
    pair.node(Side::B).heard.messages.clear();
    let mut changes = hosts(5, &tagged("65001:2"));
    changes.push(withdraw("100.64.0.100/32"));
    // Said again without a change: nothing is sent for it.
    changes.push(announce("100.64.1.0/32", &tagged("65001:1")));
    pair.input(Side::A, Input::RoutesChanged(changes));
    pair.run(SECOND);
    let updates = pair.nodes[&Side::B].heard.updates();
    let said: Vec<_> = updates.iter().map(|u| (u.withdrawn.len(), u.announced.len())).collect();
    assert_eq!(said, [(1, 0), (0, 5)], "the withdrawal first, then one message");
    assert_eq!(pair.nodes[&Side::A].peer.status().ipv4, RouteCounts { wanted: 9_999, sent: 9_999 });
}

#[test]
fn what_changes_back_before_it_is_sent_is_not_sent() {
    let mut pair = Pair::simple().up();
    let one = tagged("65001:1");
    pair.input(Side::A, Input::RoutesChanged(hosts(3, &one)));
    pair.run(SECOND);
    pair.node(Side::B).heard.messages.clear();
    let changes = [
        withdraw("100.64.0.1/32"),
        announce("100.64.0.2/32", &tagged("65001:2")),
        announce("100.64.0.1/32", &one),
        announce("100.64.0.2/32", &one),
    ];
    pair.input(Side::A, Input::RoutesChanged(changes.into()));
    pair.run(SECOND);
    assert!(pair.nodes[&Side::B].heard.updates().is_empty());
}

#[test]
fn end_of_rib_comes_after_the_routes_and_only_when_all_are_known() {
    let mut pair = Pair::simple().up();
    pair.input(Side::A, Input::RoutesChanged(hosts(3, &tagged("65001:1"))));
    pair.run(SECOND);
    assert_eq!(ends_of_rib(&pair), []);
    pair.input(Side::A, Input::Synced);
    pair.run(SECOND);
    assert_eq!(ends_of_rib(&pair), [Family::V4, Family::V6]);
    pair.input(Side::A, Input::RoutesChanged(hosts(6, &tagged("65001:1"))));
    pair.run(SECOND);
    assert_eq!(ends_of_rib(&pair).len(), 2);
}

#[test]
fn a_refresh_brings_the_family_again_between_its_marks() {
    let mut pair = Pair::simple();
    pair.input(Side::A, Input::RoutesChanged(hosts(2_000, &tagged("65001:1"))));
    let v6 = Arc::new(RouteAttributes::default());
    pair.input(Side::A, Input::RoutesChanged(vec![announce("2001:db8:1::1/128", &v6)]));
    pair.input(Side::A, Input::Synced);
    let mut pair = pair.up();
    pair.node(Side::B).heard.messages.clear();
    let mut bytes = bytes::BytesMut::new();
    encode_route_refresh(
        RouteRefresh { family: Family::V4.into(), subtype: RefreshSubtype::Request },
        &mut bytes,
    );
    pair.input(Side::A, Input::Received { connection: A, bytes: &bytes });
    pair.run(SECOND);
    let heard = &pair.nodes[&Side::B].heard;
    let marks: Vec<_> = heard
        .messages
        .iter()
        .enumerate()
        .filter_map(
            |(at, (_, m))| if let Message::RouteRefresh(r) = m { Some((at, r.subtype)) } else { None },
        )
        .collect();
    assert_eq!(
        marks.iter().map(|(_, s)| *s).collect::<Vec<_>>(),
        [RefreshSubtype::Begin, RefreshSubtype::End]
    );
    let between = &heard.messages[marks[0].0..marks[1].0];
    let told: usize =
        between.iter().map(|(_, m)| if let Message::Update(u) = m { u.announced.len() } else { 0 }).sum();
    assert_eq!(told, 2_000);
    assert!(heard.updates().iter().flat_map(|u| &u.announced).all(|p| p.addr().is_ipv4()));
}

#[test]
fn a_neighbor_that_does_not_read_is_not_queued_for_without_bound() {
    let mut pair = Pair::simple().up();
    pair.node(Side::A).writable = false;
    for round in 0..5 {
        pair.input(Side::A, Input::RoutesChanged(hosts(100_000, &tagged(&format!("65001:{round}")))));
    }
    assert!(pair.nodes[&Side::A].queued < 512 * 1024, "{}", pair.nodes[&Side::A].queued);
    assert!(pair.nodes[&Side::A].peer.status().ipv4.sent < 100_000);
}

#[test]
fn a_family_without_a_next_hop_waits_for_one_and_says_so() {
    let mut pair = Pair::simple();
    pair.set_link(Side::A, link("192.0.2.1", None, None));
    let plain = Arc::new(RouteAttributes::default());
    pair.input(Side::A, Input::RoutesChanged(vec![announce("2001:db8:1::1/128", &plain)]));
    pair.input(Side::A, Input::Synced);
    let mut pair = pair.up();
    let problems = pair.nodes[&Side::A].peer.status().problems;
    assert!(problems[0].to_string().contains("no global IPv6 address to be the next hop"), "{problems:?}");
    assert_eq!(ends_of_rib(&pair).len(), 2);
    let complete = link("192.0.2.1", None, Some("2001:db8::9"));
    pair.input(Side::A, Input::LinkChanged { connection: A, link: complete });
    pair.run(SECOND);
    assert!(pair.nodes[&Side::B].heard.routes.contains_key(&prefix("2001:db8:1::1/128")));
    pair.input(Side::A, Input::LinkChanged { connection: A, link: link("192.0.2.1", None, None) });
    pair.run(SECOND);
    assert!(pair.nodes[&Side::B].heard.routes.is_empty());
    assert_eq!(pair.nodes[&Side::A].peer.status().problems.len(), 1);
}

#[test]
fn attributes_that_fit_into_no_message_are_told_and_hold_up_nothing_else() {
    let mut pair = Pair::simple().up();
    let many = (0..20_000).map(|n| Community::Standard(StandardCommunity(n))).collect();
    let huge = Arc::new(RouteAttributes { communities: many, ..Default::default() });
    let plain = tagged("65001:1");
    pair.input(Side::A, Input::RoutesChanged(vec![announce("198.51.100.1/32", &plain)]));
    pair.run(SECOND);
    let routes = vec![announce("198.51.100.1/32", &huge), announce("198.51.100.2/32", &plain)];
    pair.input(Side::A, Input::RoutesChanged(routes));
    pair.run(SECOND);
    assert_eq!(
        pair.nodes[&Side::B].heard.routes.keys().copied().collect::<Vec<_>>(),
        [prefix("198.51.100.2/32")]
    );
    let problems = pair.nodes[&Side::A].peer.status().problems;
    assert!(problems[0].to_string().contains("1 IPv4 routes cannot be announced"), "{problems:?}");
    pair.input(Side::A, Input::RoutesChanged(vec![announce("198.51.100.1/32", &plain)]));
    pair.run(SECOND);
    assert_eq!(pair.nodes[&Side::B].heard.routes.len(), 2);
}

#[test]
fn the_next_hop_is_the_links_own_address_of_each_family() {
    let plain = Arc::new(RouteAttributes::default());
    for (local, v4, v6, expected_v6) in [
        ("2001:db8::5", Some("192.0.2.5"), None, vec!["2001:db8::5"]),
        ("fe80::5", Some("192.0.2.5"), Some("2001:db8::5"), vec!["2001:db8::5", "fe80::5"]),
        ("fe80::5", Some("192.0.2.5"), None, vec!["fe80::5"]),
    ] {
        let mut pair = Pair::simple();
        pair.set_link(Side::A, link(local, v4, v6));
        let routes = vec![announce("198.51.100.1/32", &plain), announce("2001:db8:1::1/128", &plain)];
        pair.input(Side::A, Input::RoutesChanged(routes));
        let pair = pair.up();
        assert_eq!(attribute(&pair, "198.51.100.1/32", AttributeType::NEXT_HOP).unwrap(), [192, 0, 2, 5]);
        let reach = attribute(&pair, "2001:db8:1::1/128", AttributeType::MP_REACH_NLRI).unwrap();
        let octets = expected_v6.iter().flat_map(|a| a.parse::<std::net::Ipv6Addr>().unwrap().octets());
        let octets: Vec<u8> = octets.collect();
        assert_eq!(usize::from(reach[3]), octets.len());
        assert_eq!(reach[4..4 + octets.len()], octets);
    }
}
