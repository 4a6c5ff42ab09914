//! A responder with a clock of its own, and the frames of other hosts.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::{Duration, Instant};

use daymark_l2::responder::{Outbox, Ownership, Responder, ResponderEvent};
use daymark_l2::wire::{
    Advertisement, AdvertisementFlags, ArpOperation, ArpPacket, EthernetHeader, NdpMessage, Solicitation,
    multicast_mac, solicited_node,
};
use daymark_model::{MacAddr, TimingProfile};

pub const OURS: MacAddr = MacAddr([2, 0, 0, 0, 0, 1]);
pub const OTHER: MacAddr = MacAddr([2, 0, 0, 0, 0, 0xaa]);
pub const THIRD: MacAddr = MacAddr([2, 0, 0, 0, 0, 0xbb]);
pub const VIP4: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 10);
pub const CLIENT4: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 99);
pub const VIP6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0xa1, 0xb2c3);
pub const CLIENT6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0xc);
pub const QUIET: Ownership = Ownership { refresh: None, burst: false, profile: TimingProfile::Fast };
pub const BURST: Ownership = Ownership { refresh: None, burst: true, profile: TimingProfile::Fast };

pub fn both() -> [IpAddr; 2] {
    [VIP4.into(), VIP6.into()]
}

pub fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// What a frame says, read by the crate's own decoder, which `pairs` checks against bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Said {
    Arp(ArpPacket),
    Ndp(NdpMessage),
}

pub fn read(frame: &[u8]) -> (MacAddr, Said) {
    let (header, payload) = EthernetHeader::parse(frame).unwrap();
    let said = if header.ethertype.0 == 0x0806 {
        Said::Arp(ArpPacket::parse(payload).unwrap())
    } else {
        Said::Ndp(NdpMessage::parse(payload).unwrap())
    };
    (header.destination, said)
}

/// The address that a frame is about.
pub fn subject(frame: &[u8]) -> IpAddr {
    match read(frame).1 {
        Said::Arp(ArpPacket { operation: ArpOperation::Reply, sender, .. }) => sender.into(),
        Said::Arp(ArpPacket { target, .. }) => target.into(),
        Said::Ndp(NdpMessage::Solicitation(message)) => message.target.into(),
        Said::Ndp(NdpMessage::Advertisement(message)) => message.target.into(),
    }
}

pub struct Station {
    pub responder: Responder,
    pub start: Instant,
    pub now: Instant,
    pub out: Outbox,
    /// Frames sent, with the time since the start.
    pub sent: Vec<(Duration, Vec<u8>)>,
    /// Events, with the time since the start.
    pub events: Vec<(Duration, ResponderEvent)>,
}

impl Station {
    pub fn new() -> Self {
        let start = Instant::now();
        Self {
            responder: Responder::new(OURS, 7),
            start,
            now: start,
            out: Outbox::default(),
            sent: Vec::new(),
            events: Vec::new(),
        }
    }

    pub fn owning(addresses: &[IpAddr]) -> Self {
        let mut station = Self::new();
        for address in addresses {
            station.own(*address, QUIET);
        }
        station
    }

    pub fn own(&mut self, address: IpAddr, ownership: Ownership) {
        self.responder.own(self.now, address, ownership, &mut self.out);
        self.collect();
    }

    pub fn collect(&mut self) {
        let at = self.now - self.start;
        self.sent.extend(self.out.frames.drain(..).map(|frame| (at, frame)));
        self.events.extend(self.out.events.drain(..).map(|event| (at, event)));
    }

    /// A frame comes in; gives the frames that go out because of it.
    pub fn hear(&mut self, frame: &[u8]) -> Vec<Vec<u8>> {
        self.responder.handle(self.now, frame, &mut self.out);
        let answers = self.out.frames.clone();
        self.collect();
        answers
    }

    /// Lets the time pass, waking up exactly when asked to.
    pub fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(deadline) = self.responder.next_deadline().filter(|deadline| *deadline <= end) {
            self.now = self.now.max(deadline);
            self.responder.tick(self.now, &mut self.out);
            self.collect();
        }
        self.now = end;
    }

    /// The times in milliseconds of all frames so far.
    pub fn times(&self) -> Vec<u128> {
        self.sent.iter().map(|(at, _)| at.as_millis()).collect()
    }

    pub fn happened(&self) -> Vec<ResponderEvent> {
        self.events.iter().map(|(_, event)| *event).collect()
    }
}

/// An ARP request for `target` from the client at [`OTHER`].
pub fn request(target: Ipv4Addr, to: MacAddr) -> Vec<u8> {
    arp(ArpOperation::Request, OTHER, CLIENT4, target, to)
}

pub fn arp(
    operation: ArpOperation,
    from: MacAddr,
    sender: Ipv4Addr,
    target: Ipv4Addr,
    to: MacAddr,
) -> Vec<u8> {
    let target_mac = MacAddr([0; 6]);
    ArpPacket { operation, sender_mac: from, sender, target_mac, target }.frame(to)
}

/// A solicitation for `target` from the client at [`OTHER`].
pub fn solicit(target: Ipv6Addr) -> Vec<u8> {
    let destination = solicited_node(target);
    Solicitation { source: CLIENT6, destination, target, link_layer: Some(OTHER) }
        .frame(OTHER, multicast_mac(destination))
}

pub fn detect_duplicates(target: Ipv6Addr, from: MacAddr) -> Vec<u8> {
    Solicitation::duplicate_detection(target).frame(from, multicast_mac(solicited_node(target)))
}

/// The frame by which `mac` says that it has `address`: an ARP reply or an advertisement.
pub fn claim(address: IpAddr, mac: MacAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(v4) => arp(ArpOperation::Reply, mac, v4, CLIENT4, MacAddr::BROADCAST),
        IpAddr::V6(v6) => Advertisement {
            source: v6,
            destination: "ff02::1".parse().unwrap(),
            flags: AdvertisementFlags { override_entry: true, ..AdvertisementFlags::default() },
            target: v6,
            link_layer: Some(mac),
        }
        .frame(mac, MacAddr([0x33, 0x33, 0, 0, 0, 1])),
    }
}

/// The request of a client for `address`, whichever family.
pub fn ask(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(v4) => request(v4, MacAddr::BROADCAST),
        IpAddr::V6(v6) => solicit(v6),
    }
}

/// The frame by which somebody else probes for `address`.
pub fn others_probe(address: IpAddr, mac: MacAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(v4) => ArpPacket::probe(mac, v4).frame(MacAddr::BROADCAST),
        IpAddr::V6(v6) => detect_duplicates(v6, mac),
    }
}
