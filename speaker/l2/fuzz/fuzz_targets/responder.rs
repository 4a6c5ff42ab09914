//! A frame through the decoders and a responder that owns and probes addresses; `tests/responder/hostile.rs` reads the
//! corpus the same way.

#![no_main]

use std::net::IpAddr;
use std::time::Instant;

use daymark_l2::responder::{Outbox, Ownership, ProbePlan, Responder};
use daymark_l2::wire::{ArpPacket, EthernetHeader, NdpMessage};
use daymark_model::{MacAddr, TimingProfile};
use libfuzzer_sys::fuzz_target;

const OURS: MacAddr = MacAddr([2, 0, 0, 0, 0, 1]);
const OWNED: [&str; 2] = ["192.0.2.10", "2001:db8::a1:b2c3"];
const PROBED: [&str; 2] = ["192.0.2.77", "2001:db8::77"];

fuzz_target!(|frame: &[u8]| {
    let now = Instant::now();
    let mut responder = Responder::new(OURS, 7);
    let mut out = Outbox::default();
    for address in OWNED.iter().filter_map(|text| text.parse::<IpAddr>().ok()) {
        let ownership = Ownership { refresh: None, burst: false, profile: TimingProfile::Fast };
        responder.own(now, address, ownership, &mut out);
    }
    for address in PROBED.iter().filter_map(|text| text.parse::<IpAddr>().ok()) {
        responder.probe(now, address, ProbePlan::First(TimingProfile::Relaxed), &mut out);
    }
    out = Outbox::default();
    responder.handle(now, frame, &mut out);
    assert!(out.frames.len() <= 1 && out.events.len() <= 2 && out.groups.is_empty());

    let Ok((header, payload)) = EthernetHeader::parse(frame) else { return };
    if let Ok(packet) = ArpPacket::parse(payload) {
        let written = packet.frame(header.destination);
        assert_eq!(ArpPacket::parse(&written[EthernetHeader::LEN..]), Ok(packet));
    }
    if let Ok(message) = NdpMessage::parse(payload) {
        let written = match message {
            NdpMessage::Solicitation(message) => message.frame(header.source, header.destination),
            NdpMessage::Advertisement(message) => message.frame(header.source, header.destination),
        };
        assert_eq!(NdpMessage::parse(&written[EthernetHeader::LEN..]), Ok(message));
    }
});
