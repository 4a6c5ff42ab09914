//! The frames of a client: requests, and what it learns from what it hears.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use daymark_model::MacAddr;

/// Asks the segment who has `address`, as a host with a stale or no cache entry does.
pub fn request(client: MacAddr, client_v4: Ipv4Addr, client_v6: Ipv6Addr, address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(target) => arp_request(client, client_v4, target),
        IpAddr::V6(target) => solicitation(client, client_v6, target),
    }
}

fn arp_request(client: MacAddr, source: Ipv4Addr, target: Ipv4Addr) -> Vec<u8> {
    let mut frame = Vec::with_capacity(60);
    frame.extend_from_slice(&MacAddr::BROADCAST.0);
    frame.extend_from_slice(&client.0);
    frame.extend_from_slice(&[0x08, 0x06, 0, 1, 0x08, 0, 6, 4, 0, 1]);
    frame.extend_from_slice(&client.0);
    frame.extend_from_slice(&source.octets());
    frame.extend_from_slice(&[0; 6]);
    frame.extend_from_slice(&target.octets());
    frame.resize(60, 0);
    frame
}

fn solicitation(client: MacAddr, source: Ipv6Addr, target: Ipv6Addr) -> Vec<u8> {
    let low = target.octets();
    let group = Ipv6Addr::new(
        0xff02,
        0,
        0,
        0,
        0,
        1,
        0xff00 | u16::from(low[13]),
        u16::from_be_bytes([low[14], low[15]]),
    );
    let mut body = vec![135, 0, 0, 0, 0, 0, 0, 0];
    body.extend_from_slice(&target.octets());
    body.extend_from_slice(&[1, 1]);
    body.extend_from_slice(&client.0);
    let sum = checksum(source, group, &body);
    body[2..4].copy_from_slice(&sum.to_be_bytes());
    let mut frame = vec![0x33, 0x33, 0xff, low[13], low[14], low[15]];
    frame.extend_from_slice(&client.0);
    frame.extend_from_slice(&[0x86, 0xdd, 0x60, 0, 0, 0, 0, 32, 58, 255]);
    frame.extend_from_slice(&source.octets());
    frame.extend_from_slice(&group.octets());
    frame.extend_from_slice(&body);
    frame
}

fn checksum(source: Ipv6Addr, destination: Ipv6Addr, body: &[u8]) -> u16 {
    let mut bytes = source.octets().to_vec();
    bytes.extend_from_slice(&destination.octets());
    bytes.extend_from_slice(&[0, 0, 0, body.len() as u8, 0, 0, 0, 58]);
    bytes.extend_from_slice(body);
    let mut sum: u32 = bytes.chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(pair[1])).sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

/// Who says here that it has which address: an ARP packet's sender, a neighbor advertisement's target.
pub fn claim(frame: &[u8]) -> Option<(IpAddr, MacAddr)> {
    let mac = |at: usize| Some(MacAddr(frame.get(at..at + 6)?.try_into().ok()?));
    match frame.get(12..14)? {
        [0x08, 0x06] => {
            let source: [u8; 4] = frame.get(28..32)?.try_into().ok()?;
            (source != [0; 4]).then_some(())?;
            Some((IpAddr::V4(source.into()), mac(22)?))
        }
        [0x86, 0xdd] if frame.get(54) == Some(&136) => {
            let target: [u8; 16] = frame.get(62..78)?.try_into().ok()?;
            (frame.get(78..80)? == [2, 1]).then_some(())?;
            Some((IpAddr::V6(target.into()), mac(80)?))
        }
        _ => None,
    }
}
