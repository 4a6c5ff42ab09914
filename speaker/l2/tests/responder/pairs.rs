//! Bytes and the values that they mean, both ways.

use std::net::Ipv6Addr;

use daymark_l2::wire::{
    Advertisement, AdvertisementFlags, ArpOperation, ArpPacket, EtherType, EthernetHeader, NdpMessage,
    Solicitation, multicast_mac, solicited_node,
};
use daymark_model::MacAddr;

use super::support::{CLIENT4, CLIENT6, OTHER, OURS, VIP4, VIP6};

pub fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex.bytes().filter(u8::is_ascii_hexdigit).collect();
    digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

fn arp_pair(hex: &str, destination: MacAddr, packet: ArpPacket) {
    let bytes = bytes(hex);
    let (header, payload) = EthernetHeader::parse(&bytes).unwrap();
    assert_eq!(header, EthernetHeader { destination, source: packet.sender_mac, ethertype: EtherType::ARP });
    assert_eq!(ArpPacket::parse(payload), Ok(packet));
    assert_eq!(packet.frame(destination), bytes);
}

#[test]
fn arp() {
    let request = ArpPacket {
        operation: ArpOperation::Request,
        sender_mac: OTHER,
        sender: CLIENT4,
        target_mac: MacAddr([0; 6]),
        target: VIP4,
    };
    arp_pair(
        "ffffffffffff 0200000000aa 0806 0001 0800 06 04 0001 0200000000aa c0000263 000000000000 c000020a",
        MacAddr::BROADCAST,
        request,
    );
    arp_pair(
        "0200000000aa 020000000001 0806 0001 0800 06 04 0002 020000000001 c000020a 0200000000aa c0000263",
        OTHER,
        request.answer(OURS),
    );
    arp_pair(
        "ffffffffffff 020000000001 0806 0001 0800 06 04 0001 020000000001 00000000 000000000000 c000020a",
        MacAddr::BROADCAST,
        ArpPacket::probe(OURS, VIP4),
    );
    arp_pair(
        "ffffffffffff 020000000001 0806 0001 0800 06 04 0001 020000000001 c000020a 000000000000 c000020a",
        MacAddr::BROADCAST,
        ArpPacket::announcement(OURS, VIP4),
    );
    arp_pair(
        "ffffffffffff 020000000001 0806 0001 0800 06 04 0002 020000000001 c000020a 020000000001 c000020a",
        MacAddr::BROADCAST,
        ArpPacket::gratuitous_reply(OURS, VIP4),
    );
}

fn ndp_pair(hex: &str, destination: MacAddr, source: MacAddr, message: NdpMessage) {
    let bytes = bytes(hex);
    let (header, payload) = EthernetHeader::parse(&bytes).unwrap();
    assert_eq!(header, EthernetHeader { destination, source, ethertype: EtherType::IPV6 });
    assert_eq!(NdpMessage::parse(payload), Ok(message));
    let written = match message {
        NdpMessage::Solicitation(message) => message.frame(source, destination),
        NdpMessage::Advertisement(message) => message.frame(source, destination),
    };
    assert_eq!(written, bytes);
}

#[test]
fn solicitations() {
    let group: Ipv6Addr = "ff02::1:ffa1:b2c3".parse().unwrap();
    let group_mac = MacAddr([0x33, 0x33, 0xff, 0xa1, 0xb2, 0xc3]);
    ndp_pair(
        "3333ffa1b2c3 0200000000aa 86dd 60000000 0020 3a ff 20010db800000000000000000000000c \
         ff0200000000000000000001ffa1b2c3 8700 b4ad 00000000 20010db8000000000000000000a1b2c3 01010200000000aa",
        group_mac,
        OTHER,
        NdpMessage::Solicitation(Solicitation {
            source: CLIENT6,
            destination: group,
            target: VIP6,
            link_layer: Some(OTHER),
        }),
    );
    ndp_pair(
        "020000000001 0200000000aa 86dd 60000000 0018 3a ff 20010db800000000000000000000000c \
         20010db8000000000000000000a1b2c3 8700 88ac 00000000 20010db8000000000000000000a1b2c3",
        OURS,
        OTHER,
        NdpMessage::Solicitation(Solicitation {
            source: CLIENT6,
            destination: VIP6,
            target: VIP6,
            link_layer: None,
        }),
    );
    ndp_pair(
        "3333ffa1b2c3 0200000000aa 86dd 60000000 0018 3a ff 00000000000000000000000000000000 \
         ff0200000000000000000001ffa1b2c3 8700 e625 00000000 20010db8000000000000000000a1b2c3",
        group_mac,
        OTHER,
        NdpMessage::Solicitation(Solicitation::duplicate_detection(VIP6)),
    );
}

#[test]
fn advertisements() {
    let flags = |router, solicited, override_entry| AdvertisementFlags { router, solicited, override_entry };
    ndp_pair(
        "0200000000aa 020000000001 86dd 60000000 0020 3a ff 20010db8000000000000000000a1b2c3 \
         20010db800000000000000000000000c 8800 23a2 60000000 20010db8000000000000000000a1b2c3 0201020000000001",
        OTHER,
        OURS,
        NdpMessage::Advertisement(Advertisement {
            source: VIP6,
            destination: CLIENT6,
            flags: flags(false, true, true),
            target: VIP6,
            link_layer: Some(OURS),
        }),
    );
    ndp_pair(
        "333300000001 020000000001 86dd 60000000 0020 3a ff 20010db8000000000000000000a1b2c3 \
         ff020000000000000000000000000001 8800 9263 20000000 20010db8000000000000000000a1b2c3 0201020000000001",
        MacAddr([0x33, 0x33, 0, 0, 0, 1]),
        OURS,
        NdpMessage::Advertisement(Advertisement::unsolicited(OURS, VIP6)),
    );
    ndp_pair(
        "020000000001 0200000000aa 86dd 60000000 0018 3a ff 20010db800000000000000000000000c \
         20010db8000000000000000000a1b2c3 8800 7b04 c0000000 20010db800000000000000000000000c",
        OURS,
        OTHER,
        NdpMessage::Advertisement(Advertisement {
            source: CLIENT6,
            destination: VIP6,
            flags: flags(true, true, false),
            target: CLIENT6,
            link_layer: None,
        }),
    );
}

#[test]
fn options_of_other_types_are_passed_over() {
    let frame = bytes(
        "3333ffa1b2c3 0200000000aa 86dd 60000000 0020 3a ff 00000000000000000000000000000000 \
         ff0200000000000000000001ffa1b2c3 8700 8c9e 00000000 20010db8000000000000000000a1b2c3 0e01a1b2c3d4e5f6",
    );
    assert_eq!(
        NdpMessage::parse(&frame[14..]),
        Ok(NdpMessage::Solicitation(Solicitation::duplicate_detection(VIP6)))
    );
}

#[test]
fn padding_is_passed_over() {
    let mut arp = ArpPacket::probe(OTHER, VIP4).frame(MacAddr::BROADCAST);
    arp.resize(60, 0);
    assert_eq!(ArpPacket::parse(&arp[14..]), Ok(ArpPacket::probe(OTHER, VIP4)));
    let mut ndp = Advertisement::unsolicited(OTHER, VIP6).frame(OTHER, MacAddr::BROADCAST);
    ndp.resize(100, 0xee);
    assert_eq!(
        NdpMessage::parse(&ndp[14..]),
        Ok(NdpMessage::Advertisement(Advertisement::unsolicited(OTHER, VIP6)))
    );
}

#[test]
fn groups() {
    // The example of RFC 4291 2.7.1.
    let address: Ipv6Addr = "4037::1:800:200e:8c6c".parse().unwrap();
    let group: Ipv6Addr = "ff02::1:ff0e:8c6c".parse().unwrap();
    assert_eq!(solicited_node(address), group);
    assert_eq!(multicast_mac(group), MacAddr([0x33, 0x33, 0xff, 0x0e, 0x8c, 0x6c]));
}
