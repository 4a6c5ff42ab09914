//! What a request costs: 5,000 owned addresses, 1,000,000 requests of each family.

#![allow(clippy::disallowed_methods)]

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Instant;

use daymark_l2::responder::{Outbox, Ownership, Responder};
use daymark_l2::wire::{ArpOperation, ArpPacket, Solicitation, multicast_mac, solicited_node};
use daymark_model::{MacAddr, TimingProfile};

const OURS: MacAddr = MacAddr([2, 0, 0, 0, 0, 1]);
const CLIENT: MacAddr = MacAddr([2, 0, 0, 0, 0, 0xaa]);
const ADDRESSES: u32 = 5_000;
const REQUESTS: u32 = 1_000_000;

fn arp(n: u32) -> (IpAddr, Vec<u8>) {
    let target = Ipv4Addr::from_bits(0x0a00_0000 + n);
    let request = ArpPacket {
        operation: ArpOperation::Request,
        sender_mac: CLIENT,
        sender: Ipv4Addr::new(192, 0, 2, 99),
        target_mac: MacAddr::default(),
        target,
    };
    (target.into(), request.frame(MacAddr::BROADCAST))
}

fn ndp(n: u32) -> (IpAddr, Vec<u8>) {
    let target = Ipv6Addr::from_bits((0x2001_0db8_u128 << 96) + u128::from(n));
    let destination = solicited_node(target);
    let source = Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 0x99);
    let solicitation = Solicitation { source, destination, target, link_layer: Some(CLIENT) };
    (target.into(), solicitation.frame(CLIENT, multicast_mac(destination)))
}

fn measure(what: &str, request: fn(u32) -> (IpAddr, Vec<u8>)) {
    let start = Instant::now();
    let mut responder = Responder::new(OURS, 1);
    let mut out = Outbox::default();
    let ownership = Ownership { refresh: None, burst: false, profile: TimingProfile::Fast };
    let requests: Vec<_> = (0..ADDRESSES)
        .map(|n| {
            let (address, frame) = request(n);
            responder.own(start, address, ownership, &mut out);
            frame
        })
        .collect();
    let start = Instant::now();
    for frame in requests.iter().cycle().take(REQUESTS as usize) {
        responder.handle(start, black_box(frame), &mut out);
        black_box(&out.frames);
        out.frames.clear();
    }
    let each = start.elapsed() / REQUESTS;
    println!("{what}: {} answers, {} ns for each request", responder.counters().answers, each.as_nanos());
}

fn main() {
    measure("ARP", arp);
    measure("NDP", ndp);
}
