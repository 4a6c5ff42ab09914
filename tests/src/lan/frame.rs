//! The bytes of ARP (RFC 826) and neighbor discovery (RFC 4861): built for a test to send, read from a capture.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use daymark_model::MacAddr;

const ARP: u16 = 0x0806;
const IPV6: u16 = 0x86dd;
const VLAN: u16 = 0x8100;
const ICMPV6: u8 = 58;
const SOLICITATION: u8 = 135;
const ADVERTISEMENT: u8 = 136;
const SOURCE_LINK_LAYER: u8 = 1;
const TARGET_LINK_LAYER: u8 = 2;

/// A frame as a test sends it, from its destination on.
pub type Frame = Vec<u8>;

/// Who sends: the addresses that go into a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sender {
    /// Its Ethernet address.
    pub mac: MacAddr,
    /// Its IPv4 address.
    pub v4: Ipv4Addr,
    /// Its IPv6 address.
    pub v6: Ipv6Addr,
}

/// Whether a neighbor solicitation says where its sender is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SourceLinkLayer {
    /// With the option.
    Told,
    /// Without it, as unicast probes may be (RFC 4861 section 7.2.2).
    Absent,
}

/// Asks who has `target`: an ARP request to everybody, or a neighbor solicitation to the target's group.
pub fn request(sender: Sender, target: IpAddr) -> Frame {
    match target {
        IpAddr::V4(v4) => arp_request(sender, v4, MacAddr::BROADCAST),
        IpAddr::V6(v6) => solicitation(sender, v6, group_mac(v6), solicited_node(v6), SourceLinkLayer::Told),
    }
}

/// Asks one station whether it still has `target`, as a kernel does before it forgets (RFC 1122, RFC 4861 section 7.3).
pub fn unicast_request(sender: Sender, target: IpAddr, to: MacAddr, told: SourceLinkLayer) -> Frame {
    match target {
        IpAddr::V4(v4) => arp_request(sender, v4, to),
        IpAddr::V6(v6) => solicitation(sender, v6, to, v6, told),
    }
}

/// Asks whether `target` is free: an ARP probe (RFC 5227), or the solicitation of duplicate address detection (RFC 4862).
pub fn duplicate_probe(mac: MacAddr, target: IpAddr) -> Frame {
    let nobody = Sender { mac, v4: Ipv4Addr::UNSPECIFIED, v6: Ipv6Addr::UNSPECIFIED };
    match target {
        IpAddr::V4(v4) => arp_request(nobody, v4, MacAddr::BROADCAST),
        IpAddr::V6(v6) => {
            solicitation(nobody, v6, group_mac(v6), solicited_node(v6), SourceLinkLayer::Absent)
        }
    }
}

/// Claims `address` for `mac` without having been asked: a gratuitous ARP request, or an advertisement with the override
/// flag to all nodes.
pub fn gratuitous(mac: MacAddr, address: IpAddr) -> Frame {
    match address {
        IpAddr::V4(v4) => arp(mac, MacAddr::BROADCAST, 1, (mac, v4), (MacAddr::default(), v4)),
        IpAddr::V6(v6) => {
            let all_nodes = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
            let override_flag = 0x2000_0000_u32;
            neighbor(
                (mac, group_mac_of(all_nodes)),
                (v6, all_nodes),
                (ADVERTISEMENT, override_flag, v6),
                Some((TARGET_LINK_LAYER, mac)),
            )
        }
    }
}

/// `frame` with an 802.1Q tag.
pub fn tagged(frame: &[u8], vlan: u16) -> Frame {
    let (addresses, rest) = frame.split_at(12.min(frame.len()));
    [addresses, &VLAN.to_be_bytes(), &vlan.to_be_bytes(), rest].concat()
}

/// The group to which a solicitation for `target` goes (RFC 4291 section 2.7.1).
pub fn solicited_node(target: Ipv6Addr) -> Ipv6Addr {
    let [.., a, b] = target.segments();
    Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, 0xff00 | (a & 0xff), b)
}

fn group_mac(target: Ipv6Addr) -> MacAddr {
    group_mac_of(solicited_node(target))
}

/// RFC 2464 section 7.
fn group_mac_of(group: Ipv6Addr) -> MacAddr {
    let [.., a, b, c, d] = group.octets();
    MacAddr([0x33, 0x33, a, b, c, d])
}

fn ethernet(from: MacAddr, to: MacAddr, kind: u16, payload: &[u8]) -> Frame {
    [&to.0[..], &from.0[..], &kind.to_be_bytes(), payload].concat()
}

fn arp_request(sender: Sender, target: Ipv4Addr, to: MacAddr) -> Frame {
    arp(sender.mac, to, 1, (sender.mac, sender.v4), (MacAddr::default(), target))
}

fn arp(
    from: MacAddr,
    to: MacAddr,
    operation: u16,
    sender: (MacAddr, Ipv4Addr),
    target: (MacAddr, Ipv4Addr),
) -> Frame {
    let payload = [
        &[0, 1, 8, 0, 6, 4][..],
        &operation.to_be_bytes(),
        &sender.0.0,
        &sender.1.octets(),
        &target.0.0,
        &target.1.octets(),
    ]
    .concat();
    ethernet(from, to, ARP, &payload)
}

fn solicitation(
    sender: Sender,
    target: Ipv6Addr,
    to: MacAddr,
    destination: Ipv6Addr,
    told: SourceLinkLayer,
) -> Frame {
    let option = (told == SourceLinkLayer::Told).then_some((SOURCE_LINK_LAYER, sender.mac));
    neighbor((sender.mac, to), (sender.v6, destination), (SOLICITATION, 0, target), option)
}

fn neighbor(
    (from, to): (MacAddr, MacAddr),
    (source, destination): (Ipv6Addr, Ipv6Addr),
    (kind, flags, target): (u8, u32, Ipv6Addr),
    option: Option<(u8, MacAddr)>,
) -> Frame {
    let mut message = vec![kind, 0, 0, 0];
    message.extend(flags.to_be_bytes());
    message.extend(target.octets());
    if let Some((kind, mac)) = option {
        message.extend([kind, 1]);
        message.extend(mac.0);
    }
    let length = u16::try_from(message.len()).unwrap_or_default();
    let pseudo_header =
        [&source.octets()[..], &destination.octets(), &u32::from(length).to_be_bytes(), &[0, 0, 0, ICMPV6]]
            .concat();
    let sum = checksum(&[pseudo_header, message.clone()].concat());
    message[2..4].copy_from_slice(&sum.to_be_bytes());
    let header = [
        &[0x60, 0, 0, 0][..],
        &length.to_be_bytes(),
        &[ICMPV6, 255],
        &source.octets(),
        &destination.octets(),
        &message,
    ]
    .concat();
    ethernet(from, to, IPV6, &header)
}

/// RFC 1071, of an even number of bytes.
fn checksum(bytes: &[u8]) -> u16 {
    let sum = bytes.chunks(2).fold(0_u32, |sum, pair| {
        sum + u32::from(u16::from_be_bytes([pair[0], pair.get(1).copied().unwrap_or_default()]))
    });
    let folded = (sum & 0xffff) + (sum >> 16);
    !u16::try_from((folded & 0xffff) + (folded >> 16)).unwrap_or(u16::MAX)
}

/// How a frame is addressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cast {
    /// To everybody.
    Broadcast,
    /// To a group.
    Multicast,
    /// To one station.
    Unicast,
}

/// What an ARP or neighbor discovery packet says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packet {
    /// ARP.
    Arp {
        /// A request, else a reply.
        request: bool,
        /// Who sends it.
        sender: (MacAddr, Ipv4Addr),
        /// Whom it asks or answers.
        target: (MacAddr, Ipv4Addr),
    },
    /// A neighbor solicitation.
    Solicitation {
        /// The source of the packet; unspecified in duplicate address detection.
        source: Ipv6Addr,
        /// Whom it asks for.
        target: Ipv6Addr,
        /// The source link-layer option.
        link_layer: Option<MacAddr>,
    },
    /// A neighbor advertisement.
    Advertisement {
        /// The destination of the packet.
        destination: Ipv6Addr,
        /// Whose address it tells.
        target: Ipv6Addr,
        /// The target link-layer option.
        link_layer: Option<MacAddr>,
        /// The flag R.
        router: bool,
        /// The flag S.
        solicited: bool,
        /// The flag O.
        overriding: bool,
    },
}

impl Packet {
    /// Reads what stands behind an Ethernet header of this type; `None` when it is something else or cut off.
    pub fn read(ethertype: u16, payload: &[u8]) -> Option<Self> {
        match ethertype {
            ARP => read_arp(payload),
            IPV6 => read_neighbor(payload),
            _ => None,
        }
    }

    /// The address that it claims for its sender, and the Ethernet address that goes with it.
    pub fn claim(&self) -> Option<(IpAddr, Option<MacAddr>)> {
        match *self {
            Self::Arp { sender: (mac, address), .. } if !address.is_unspecified() => {
                Some((address.into(), Some(mac)))
            }
            Self::Solicitation { source, link_layer, .. } if !source.is_unspecified() => {
                Some((source.into(), link_layer))
            }
            Self::Advertisement { target, link_layer, .. } => Some((target.into(), link_layer)),
            Self::Arp { .. } | Self::Solicitation { .. } => None,
        }
    }

    /// The address that it asks for; gratuitous requests ask for nothing.
    pub fn asks_for(&self) -> Option<IpAddr> {
        match *self {
            Self::Arp { request: true, sender, target } if sender.1 != target.1 => Some(target.1.into()),
            Self::Solicitation { target, .. } => Some(target.into()),
            Self::Arp { .. } | Self::Advertisement { .. } => None,
        }
    }

    /// Whom it answers.
    pub fn answers_to(&self) -> Option<IpAddr> {
        match *self {
            Self::Arp { request: false, sender, target } if sender.1 != target.1 => Some(target.1.into()),
            Self::Advertisement { destination, .. } if !destination.is_multicast() => {
                Some(destination.into())
            }
            Self::Arp { .. } | Self::Advertisement { .. } | Self::Solicitation { .. } => None,
        }
    }

    /// Whether it claims an address to everybody without having been asked by anybody.
    pub fn is_gratuitous(&self) -> bool {
        match *self {
            Self::Arp { sender, target, .. } => sender.1 == target.1,
            Self::Advertisement { solicited, destination, .. } => !solicited && destination.is_multicast(),
            Self::Solicitation { .. } => false,
        }
    }
}

fn read_arp(bytes: &[u8]) -> Option<Packet> {
    let mac = |at: usize| Some(MacAddr(bytes.get(at..at + 6)?.try_into().ok()?));
    let address = |at: usize| Some(Ipv4Addr::from(<[u8; 4]>::try_from(bytes.get(at..at + 4)?).ok()?));
    Some(Packet::Arp {
        request: *bytes.get(7)? == 1,
        sender: (mac(8)?, address(14)?),
        target: (mac(18)?, address(24)?),
    })
}

fn read_neighbor(bytes: &[u8]) -> Option<Packet> {
    let address = |at: usize| Some(Ipv6Addr::from(<[u8; 16]>::try_from(bytes.get(at..at + 16)?).ok()?));
    let (source, destination, target) = (address(8)?, address(24)?, address(48)?);
    let flags = *bytes.get(44)?;
    let wanted = |kind: u8| {
        bytes
            .get(64..)?
            .chunks_exact(8)
            .find(|option| option[0] == kind)
            .and_then(|option| Some(MacAddr(option.get(2..8)?.try_into().ok()?)))
    };
    match (*bytes.get(6)?, *bytes.get(40)?) {
        (ICMPV6, SOLICITATION) => {
            Some(Packet::Solicitation { source, target, link_layer: wanted(SOURCE_LINK_LAYER) })
        }
        (ICMPV6, ADVERTISEMENT) => Some(Packet::Advertisement {
            destination,
            target,
            link_layer: wanted(TARGET_LINK_LAYER),
            router: flags & 0x80 != 0,
            solicited: flags & 0x40 != 0,
            overriding: flags & 0x20 != 0,
        }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 7]);

    fn sender() -> Sender {
        Sender { mac: MAC, v4: Ipv4Addr::new(10, 20, 0, 201), v6: "fd00:20::201".parse().unwrap() }
    }

    fn read(frame: &[u8]) -> Packet {
        Packet::read(u16::from_be_bytes([frame[12], frame[13]]), &frame[14..]).unwrap()
    }

    #[test]
    fn what_is_built_reads_as_meant() {
        for target in ["10.20.0.100".parse::<IpAddr>().unwrap(), "fd00:20::1:1".parse().unwrap()] {
            let asked = read(&request(sender(), target));
            assert_eq!(asked.asks_for(), Some(target));
            assert_eq!(asked.claim().and_then(|claim| claim.1), Some(MAC));
            let probe = read(&duplicate_probe(MAC, target));
            assert_eq!((probe.asks_for(), probe.claim()), (Some(target), None));
            let claimed = read(&gratuitous(MAC, target));
            assert!(claimed.is_gratuitous());
            assert_eq!((claimed.asks_for(), claimed.claim()), (None, Some((target, Some(MAC)))));
        }
    }

    #[test]
    fn the_checksum_is_that_of_a_known_packet() {
        // RFC 1071 section 3: the sum of these is ddf2.
        assert_eq!(checksum(&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]), !0xddf2);
    }

    #[test]
    fn a_solicitation_goes_to_the_group_of_its_target() {
        let frame = request(sender(), "fd00:20::1:abcd".parse().unwrap());
        assert_eq!(frame[..6], [0x33, 0x33, 0xff, 0x01, 0xab, 0xcd]);
    }
}
