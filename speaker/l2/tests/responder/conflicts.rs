//! Somebody else claims an owned address.

use std::time::Duration;

use daymark_l2::responder::ResponderEvent::Contested;
use daymark_l2::wire::{ArpOperation, Solicitation, multicast_mac, solicited_node};
use daymark_model::MacAddr;

use super::support::{
    CLIENT4, CLIENT6, OTHER, OURS, Station, THIRD, VIP4, VIP6, arp, ask, both, claim, ms, subject,
};

#[test]
fn requests_and_replies_with_an_owned_sender_contest_it() {
    let cases = [
        (ArpOperation::Request, CLIENT4),
        (ArpOperation::Request, VIP4),
        (ArpOperation::Reply, CLIENT4),
        (ArpOperation::Reply, VIP4),
    ];
    for (operation, target) in cases {
        let mut station = Station::owning(&[VIP4.into()]);
        station.hear(&arp(operation, OTHER, VIP4, target, MacAddr::BROADCAST));
        assert_eq!(station.happened(), [Contested { address: VIP4.into(), mac: OTHER }]);
        assert_eq!(station.responder.counters().conflicts, 1);
    }
}

#[test]
fn a_solicitation_from_an_owned_address_contests_it() {
    let asked = "2001:db8::77".parse().unwrap();
    let destination = solicited_node(asked);
    let frame = Solicitation { source: VIP6, destination, target: asked, link_layer: Some(OTHER) }
        .frame(OTHER, multicast_mac(destination));
    let mut station = Station::owning(&[VIP6.into()]);
    station.hear(&frame);
    assert_eq!(station.happened(), [Contested { address: VIP6.into(), mac: OTHER }]);
}

#[test]
fn claims_of_other_addresses_contest_nothing() {
    let mut station = Station::owning(&both());
    for address in [CLIENT4.into(), CLIENT6.into()] {
        station.hear(&claim(address, OTHER));
    }
    for address in both() {
        station.hear(&claim(address, OURS));
        station.hear(&ask(address));
    }
    assert_eq!(station.happened(), []);
    assert_eq!(station.responder.counters().conflicts, 0);
}

#[test]
fn a_stranger_with_a_changing_mac_is_told_once_a_second() {
    for address in both() {
        let mut station = Station::owning(&[address]);
        for n in 0..10_000_u16 {
            let [high, low] = n.to_be_bytes();
            station.hear(&claim(address, MacAddr([6, 0, 0, 0, high, low])));
            station.pass(Duration::from_micros(500));
        }
        assert_eq!(station.events.len(), 5, "five seconds of claims");
        assert_eq!(station.responder.counters().conflicts, 10_000);
        assert_eq!(station.sent, [], "whether to defend is decided elsewhere");
        assert_eq!(station.hear(&ask(address)).len(), 1, "still answered for");
    }
}

#[test]
fn addresses_are_told_apart() {
    let mut station = Station::owning(&both());
    for address in both() {
        station.hear(&claim(address, OTHER));
        station.hear(&claim(address, THIRD));
    }
    assert_eq!(station.happened(), both().map(|address| Contested { address, mac: OTHER }));
}

#[test]
fn an_address_is_defended_once_in_ten_seconds() {
    for address in both() {
        let mut station = Station::owning(&[address]);
        for _ in 0..25 {
            station.responder.defend(station.now, address, &mut station.out);
            station.collect();
            station.pass(ms(1_000));
        }
        assert_eq!(station.times(), [0, 10_000, 20_000]);
        assert!(station.sent.iter().all(|(_, frame)| subject(frame) == address));
    }
}

#[test]
fn what_is_not_owned_is_not_defended() {
    let mut station = Station::new();
    for address in both() {
        station.responder.defend(station.now, address, &mut station.out);
    }
    station.collect();
    station.pass(ms(1_000));
    assert_eq!(station.sent, []);
}
