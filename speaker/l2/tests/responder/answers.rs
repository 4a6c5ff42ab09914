//! Who is answered, and how.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use daymark_l2::wire::{
    Advertisement, AdvertisementFlags, ArpOperation, ArpPacket, NdpMessage, Solicitation, multicast_mac,
    solicited_node,
};
use daymark_model::MacAddr;

use super::support::{
    BURST, CLIENT4, CLIENT6, OTHER, OURS, Said, Station, THIRD, VIP4, VIP6, arp, ask, both,
    detect_duplicates, ms, others_probe, read, request, solicit,
};

fn reply(target: Ipv4Addr) -> Said {
    Said::Arp(ArpPacket {
        operation: ArpOperation::Reply,
        sender_mac: OURS,
        sender: VIP4,
        target_mac: OTHER,
        target,
    })
}

fn advertised(destination: Ipv6Addr, solicited: bool) -> Said {
    Said::Ndp(NdpMessage::Advertisement(Advertisement {
        source: VIP6,
        destination,
        flags: AdvertisementFlags { router: false, solicited, override_entry: true },
        target: VIP6,
        link_layer: Some(OURS),
    }))
}

fn only(answers: &[Vec<u8>]) -> (MacAddr, Said) {
    assert_eq!(answers.len(), 1, "one answer, not {}", answers.len());
    read(&answers[0])
}

#[test]
fn requests_by_broadcast_and_by_unicast_are_answered_by_unicast() {
    let mut station = Station::owning(&both());
    for to in [MacAddr::BROADCAST, OURS] {
        assert_eq!(only(&station.hear(&request(VIP4, to))), (OTHER, reply(CLIENT4)));
    }
}

#[test]
fn arp_probes_are_answered() {
    let mut station = Station::owning(&both());
    let answers = station.hear(&others_probe(VIP4.into(), OTHER));
    assert_eq!(only(&answers), (OTHER, reply(Ipv4Addr::UNSPECIFIED)));
    assert_eq!(station.happened(), [], "who probes does not claim");
}

#[test]
fn solicitations_to_the_group_are_answered_by_unicast() {
    let mut station = Station::owning(&both());
    assert_eq!(only(&station.hear(&solicit(VIP6))), (OTHER, advertised(CLIENT6, true)));
}

#[test]
fn the_option_tells_where_to_answer_and_without_it_the_frame() {
    let mut station = Station::owning(&both());
    let nud = Solicitation { source: CLIENT6, destination: VIP6, target: VIP6, link_layer: None };
    assert_eq!(only(&station.hear(&nud.frame(OTHER, OURS))), (OTHER, advertised(CLIENT6, true)));
    let elsewhere = Solicitation { link_layer: Some(THIRD), ..nud };
    assert_eq!(only(&station.hear(&elsewhere.frame(OTHER, OURS))), (THIRD, advertised(CLIENT6, true)));
}

#[test]
fn who_detects_duplicates_is_answered_by_multicast_and_unsolicited() {
    let mut station = Station::owning(&both());
    let all = MacAddr([0x33, 0x33, 0, 0, 0, 1]);
    let answers = station.hear(&detect_duplicates(VIP6, OTHER));
    assert_eq!(only(&answers), (all, advertised("ff02::1".parse().unwrap(), false)));
    assert_eq!(station.happened(), []);
}

#[test]
fn addresses_of_others_are_not_answered() {
    let mut station = Station::owning(&both());
    // The second shares its solicited-node group with an owned address.
    for address in ["192.0.2.11", "2001:db8:1::a1:b2c3", "2001:db8::1", "0.0.0.0", "::"] {
        let address: IpAddr = address.parse().unwrap();
        assert!(station.hear(&ask(address)).is_empty(), "{address}");
    }
    assert_eq!(station.responder.counters().requests, 0);
}

#[test]
fn replies_and_announcements_are_not_answered() {
    let mut station = Station::owning(&both());
    for operation in [ArpOperation::Request, ArpOperation::Reply] {
        assert!(station.hear(&arp(operation, OTHER, VIP4, VIP4, MacAddr::BROADCAST)).is_empty());
    }
    assert!(station.hear(&arp(ArpOperation::Reply, OTHER, CLIENT4, VIP4, OURS)).is_empty());
    let own_source = Solicitation { source: VIP6, destination: VIP6, target: VIP6, link_layer: Some(OTHER) };
    assert!(station.hear(&own_source.frame(OTHER, OURS)).is_empty());
}

#[test]
fn frames_for_another_station_are_left_to_it() {
    let mut station = Station::owning(&both());
    assert!(station.hear(&request(VIP4, THIRD)).is_empty());
    let nud = Solicitation { source: CLIENT6, destination: VIP6, target: VIP6, link_layer: None };
    assert!(station.hear(&nud.frame(OTHER, THIRD)).is_empty());
}

#[test]
fn frames_that_a_loop_brings_back_mean_nothing() {
    let mut station = Station::owning(&both());
    for address in both() {
        station.own(address, BURST);
    }
    station.pass(ms(6_000));
    let own = station.sent.clone();
    assert!(!own.is_empty());
    for (_, frame) in own {
        assert!(station.hear(&frame).is_empty());
    }
    let asked = Solicitation {
        source: CLIENT6,
        destination: solicited_node(VIP6),
        target: VIP6,
        link_layer: Some(OURS),
    };
    assert!(station.hear(&asked.frame(OTHER, multicast_mac(solicited_node(VIP6)))).is_empty());
    let counters = station.responder.counters();
    assert_eq!((counters.answers, counters.conflicts), (0, 0));
    assert_eq!(station.happened(), []);
}

#[test]
fn nothing_is_said_of_an_address_once_it_is_given_up() {
    for address in both() {
        let mut station = Station::owning(&[address]);
        station.own(address, BURST);
        station.responder.defend(station.now, address, &mut station.out);
        station.responder.disown(address, &mut station.out);
        station.collect();
        station.sent.clear();
        assert!(station.hear(&ask(address)).is_empty());
        assert!(station.hear(&others_probe(address, OTHER)).is_empty());
        station.responder.burst(station.now, address);
        station.responder.defend(station.now, address, &mut station.out);
        station.pass(ms(100_000));
        assert_eq!(station.sent, []);
        assert_eq!(station.responder.next_deadline(), None);
    }
}

#[test]
fn a_paused_responder_is_silent_and_then_goes_on() {
    let mut station = Station::new();
    for address in both() {
        station.own(address, BURST);
    }
    station.pass(ms(50));
    station.sent.clear();
    station.responder.pause();
    for address in both() {
        assert!(station.hear(&ask(address)).is_empty());
    }
    assert_eq!(station.responder.next_deadline(), None);
    station.responder.tick(station.now + ms(10_000), &mut station.out);
    station.collect();
    assert_eq!(station.sent, []);
    station.responder.resume(station.now);
    for address in both() {
        assert_eq!(station.hear(&ask(address)).len(), 1);
    }
    let counters = station.responder.counters();
    assert_eq!((counters.requests, counters.answers), (4, 2));
    station.sent.clear();
    station.pass(ms(6_000));
    assert_eq!(station.sent.len(), 15, "the other five rounds of both");
}

#[test]
fn answers_carry_the_new_mac_at_once() {
    let mut station = Station::owning(&both());
    station.responder.set_mac(station.now, THIRD, &mut station.out);
    station.collect();
    let (_, said) = only(&station.hear(&request(VIP4, MacAddr::BROADCAST)));
    assert!(matches!(said, Said::Arp(ArpPacket { sender_mac: THIRD, .. })), "{said:?}");
    assert!(station.hear(&request(VIP4, OURS)).is_empty(), "the old MAC is not this interface's");
}
