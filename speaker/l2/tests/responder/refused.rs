//! Frames that are not believed, and why.

use std::net::Ipv4Addr;

use daymark_l2::wire::{ArpError, ArpPacket, EthernetError, EthernetHeader, NdpError, NdpMessage};
use daymark_model::MacAddr;

use super::support::{OTHER, Station, VIP4, VIP6, claim, detect_duplicates, request, solicit};

/// `frame` with other bytes at `at`.
fn with(mut frame: Vec<u8>, at: usize, bytes: &[u8]) -> Vec<u8> {
    frame[at..at + bytes.len()].copy_from_slice(bytes);
    frame
}

#[test]
fn arp_that_is_not_for_ipv4_on_ethernet() {
    let good = request(VIP4, MacAddr::BROADCAST);
    let cases: Vec<(usize, &[u8], ArpError)> = vec![
        (14, &[0, 6], ArpError::HardwareType(6)),
        (16, &[0x86, 0xdd], ArpError::ProtocolType(0x86dd)),
        (18, &[8], ArpError::Lengths { hardware: 8, protocol: 4 }),
        (19, &[16], ArpError::Lengths { hardware: 6, protocol: 16 }),
        (20, &[0, 0], ArpError::Operation(0)),
        (20, &[0, 3], ArpError::Operation(3)),
        (22, &[0xff; 6], ArpError::SenderMac(MacAddr::BROADCAST)),
        (22, &[1, 0, 0x5e, 0, 0, 1], ArpError::SenderMac(MacAddr([1, 0, 0x5e, 0, 0, 1]))),
        (22, &[0; 6], ArpError::SenderMac(MacAddr([0; 6]))),
        (28, &[255; 4], ArpError::Sender(Ipv4Addr::BROADCAST)),
        (28, &[224, 0, 0, 1], ArpError::Sender(Ipv4Addr::new(224, 0, 0, 1))),
    ];
    let mut station = Station::owning(&[VIP4.into()]);
    for (n, (at, bytes, error)) in cases.into_iter().enumerate() {
        let frame = with(good.clone(), at, bytes);
        assert_eq!(ArpPacket::parse(&frame[14..]), Err(error));
        assert!(station.hear(&frame).is_empty(), "{error} was answered");
        assert_eq!(station.responder.counters().refused, n as u64 + 1);
    }
    for length in 14..42 {
        assert_eq!(ArpPacket::parse(&good[14..length]), Err(ArpError::TooShort(length - 14)));
        assert!(station.hear(&good[..length]).is_empty());
    }
}

#[test]
fn ethernet_from_a_group_or_cut_off() {
    let good = request(VIP4, MacAddr::BROADCAST);
    let mut station = Station::owning(&[VIP4.into()]);
    let group = with(good.clone(), 6, &[0xff; 6]);
    assert_eq!(EthernetHeader::parse(&group), Err(EthernetError::GroupSource(MacAddr::BROADCAST)));
    assert!(station.hear(&group).is_empty());
    for length in 0..14 {
        assert_eq!(EthernetHeader::parse(&good[..length]), Err(EthernetError::TooShort(length)));
        assert!(station.hear(&good[..length]).is_empty());
    }
}

/// Sets the right checksum, so that what is wrong is what the test means.
fn resealed(mut frame: Vec<u8>) -> Vec<u8> {
    frame[56..58].fill(0);
    let length = frame.len() - 54;
    let mut sum: u32 = 58 + u32::try_from(length).unwrap();
    for word in frame[22..].chunks(2) {
        sum += u32::from(word[0]) << 8 | u32::from(*word.get(1).unwrap_or(&0));
    }
    while sum > 0xffff {
        sum = (sum >> 16) + (sum & 0xffff);
    }
    frame[56..58].copy_from_slice(&(!u16::try_from(sum).unwrap()).to_be_bytes());
    frame
}

/// `frame` with one more option, its lengths and checksum put right.
fn with_option(mut frame: Vec<u8>, option: &[u8]) -> Vec<u8> {
    frame.extend_from_slice(option);
    let length = u16::try_from(frame.len() - 54).unwrap();
    resealed(with(frame, 18, &length.to_be_bytes()))
}

#[test]
fn solicitations_that_rfc_4861_7_1_1_discards() {
    let good = solicit(VIP6);
    let dad = detect_duplicates(VIP6, OTHER);
    let group: std::net::Ipv6Addr = "ff02::1".parse().unwrap();
    let cases = [
        (with(good.clone(), 21, &[254]), NdpError::HopLimit(254)),
        (with(good.clone(), 56, &[0, 0]), NdpError::Checksum),
        (with(good.clone(), 61, &[1]), NdpError::Checksum),
        (resealed(with(good.clone(), 55, &[1])), NdpError::Code(1)),
        (resealed(with(good.clone(), 62, &group.octets())), NdpError::Target(group)),
        (resealed(with(good.clone(), 22, &group.octets())), NdpError::Source(group)),
        (resealed(with(good.clone(), 79, &[0])), NdpError::Option),
        (resealed(with(good.clone(), 79, &[2])), NdpError::Option),
        (with_option(good.clone(), &[14]), NdpError::Option),
        (with_option(good.clone(), &[14, 0, 0, 0, 0, 0, 0, 0]), NdpError::Option),
        (resealed(with(good.clone(), 80, &[1])), NdpError::LinkLayer),
        (resealed(with(good.clone(), 80, &[0; 6])), NdpError::LinkLayer),
        (with_option(dad.clone(), &[1, 2, 2, 0, 0, 0, 0, 0xaa, 0, 0, 0, 0, 0, 0, 0, 0]), NdpError::LinkLayer),
        (with_option(dad.clone(), &[1, 1, 2, 0, 0, 0, 0, 0xaa]), NdpError::UnspecifiedWithLinkLayer),
        (resealed(with(dad.clone(), 38, &VIP6.octets())), NdpError::UnspecifiedToUnicast(VIP6)),
        (resealed(with(dad, 38, &group.octets())), NdpError::UnspecifiedToUnicast(group)),
        (with(good.clone(), 14, &[0x40]), NdpError::Version(4)),
        (with(good.clone(), 20, &[0]), NdpError::NextHeader(0)),
        (with(good.clone(), 54, &[128]), NdpError::Type(128)),
        (with(good.clone(), 18, &[0, 23]), NdpError::TooShort(72)),
        (with(good.clone(), 18, &[0, 33]), NdpError::TooShort(72)),
    ];
    let mut station = Station::owning(&[VIP6.into()]);
    for (frame, error) in cases {
        assert_eq!(NdpMessage::parse(&frame[14..]), Err(error));
        assert!(station.hear(&frame).is_empty(), "{error} was answered");
    }
    for length in 14..good.len() {
        assert!(NdpMessage::parse(&good[14..length]).is_err());
    }
    assert_eq!(station.hear(&good).len(), 1, "the frame itself is good");
}

#[test]
fn advertisements_that_rfc_4861_7_1_2_discards() {
    let good = claim(VIP6.into(), OTHER);
    let cases = [
        (with(good.clone(), 21, &[64]), NdpError::HopLimit(64)),
        (with(good.clone(), 56, &[1, 1]), NdpError::Checksum),
        (resealed(with(good.clone(), 55, &[9])), NdpError::Code(9)),
        (resealed(with(good.clone(), 58, &[0x60])), NdpError::SolicitedToGroup),
        (resealed(with(good.clone(), 62, &[0xff])), NdpError::Target("ff01:db8::a1:b2c3".parse().unwrap())),
        (resealed(with(good.clone(), 79, &[0])), NdpError::Option),
    ];
    let mut station = Station::owning(&[VIP6.into()]);
    for (frame, error) in cases {
        assert_eq!(NdpMessage::parse(&frame[14..]), Err(error));
        station.hear(&frame);
    }
    assert_eq!(station.happened(), [], "a discarded advertisement contests nothing");
    station.hear(&good);
    assert_eq!(station.events.len(), 1);
}

#[test]
fn frames_of_other_types_mean_nothing() {
    let mut station = Station::owning(&[VIP4.into(), VIP6.into()]);
    for frame in [
        with(request(VIP4, MacAddr::BROADCAST), 12, &[0x88, 0xb5]),
        with(request(VIP4, MacAddr::BROADCAST), 12, &[0x81, 0]),
        with(solicit(VIP6), 12, &[8, 0]),
    ] {
        assert!(station.hear(&frame).is_empty());
    }
    assert_eq!(station.responder.counters().refused, 0);
}
