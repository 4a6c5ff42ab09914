//! Neighbor solicitations and advertisements (RFC 4861, RFC 4862) as whole IPv6 packets in Ethernet.

use std::net::Ipv6Addr;

use daymark_model::MacAddr;

use super::ethernet::{EtherType, EthernetHeader};

const ICMPV6: u8 = 58;
const HOP_LIMIT: u8 = 255;
const SOLICITATION: u8 = 135;
const ADVERTISEMENT: u8 = 136;
const SOURCE_LINK_LAYER: u8 = 1;
const TARGET_LINK_LAYER: u8 = 2;
const IPV6_LEN: usize = 40;
/// Type, code, checksum, flags, target.
const FIXED_LEN: usize = 24;
const LINK_LAYER_OPTION_LEN: usize = 8;

/// All nodes of a segment.
pub const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);

/// The solicited-node group of an address (RFC 4291 2.7.1): ff02::1:ff and the address's last 24 bits.
pub fn solicited_node(address: Ipv6Addr) -> Ipv6Addr {
    let [.., a, b, c] = address.octets();
    Ipv6Addr::from([0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, a, b, c])
}

/// The Ethernet address of a multicast group (RFC 2464 7): 33:33 and the group's last 32 bits.
pub fn multicast_mac(group: Ipv6Addr) -> MacAddr {
    let [.., a, b, c, d] = group.octets();
    MacAddr([0x33, 0x33, a, b, c, d])
}

/// Who has the target?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Solicitation {
    /// The sender's address; `::` while it detects duplicates of the target.
    pub source: Ipv6Addr,
    /// The target, or its solicited-node group.
    pub destination: Ipv6Addr,
    /// The address asked for.
    pub target: Ipv6Addr,
    /// The sender's Ethernet address.
    pub link_layer: Option<MacAddr>,
}

/// Here is the target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Advertisement {
    /// The sender's address.
    pub source: Ipv6Addr,
    /// Who asked; all nodes when nobody did, or when who asked has no address yet.
    pub destination: Ipv6Addr,
    /// The flags.
    pub flags: AdvertisementFlags,
    /// The address that is advertised.
    pub target: Ipv6Addr,
    /// Where it is.
    pub link_layer: Option<MacAddr>,
}

/// The flags of an advertisement (RFC 4861 4.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct AdvertisementFlags {
    /// R: the sender is a router.
    pub router: bool,
    /// S: it answers a solicitation, and so proves that the neighbor can be reached.
    pub solicited: bool,
    /// O: it replaces what the receiver knows.
    pub override_entry: bool,
}

/// A message of either kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NdpMessage {
    /// A solicitation.
    Solicitation(Solicitation),
    /// An advertisement.
    Advertisement(Advertisement),
}

/// Bytes that are no message which may be believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NdpError {
    /// The packet ends early.
    #[error("the IPv6 packet ends after {0} bytes")]
    TooShort(usize),
    /// Not IPv6.
    #[error("the packet is of IP version {0}")]
    Version(u8),
    /// Not ICMPv6, or with extension headers.
    #[error("the packet's next header is {0}, not ICMPv6")]
    NextHeader(u8),
    /// Neither solicitation nor advertisement.
    #[error("the ICMPv6 message is of type {0}, neither solicitation nor advertisement")]
    Type(u8),
    /// It may come from beyond the segment.
    #[error("the hop limit is {0}, so that a router may have forwarded the message")]
    HopLimit(u8),
    /// Damaged.
    #[error("the ICMPv6 checksum is wrong")]
    Checksum,
    /// A code other than 0.
    #[error("the ICMPv6 code is {0}, not 0")]
    Code(u8),
    /// A group does not send.
    #[error("the source {0} is a group address")]
    Source(Ipv6Addr),
    /// A group has no neighbor entry.
    #[error("the target {0} is a group address")]
    Target(Ipv6Addr),
    /// An option of length 0, or one that ends beyond the message.
    #[error("an option has no length, or ends beyond the message")]
    Option,
    /// A link-layer option that holds no station's Ethernet address.
    #[error("a link-layer option does not hold a station's Ethernet address")]
    LinkLayer,
    /// A solicitation from `::` that does not go to a solicited-node group.
    #[error("a solicitation from :: goes to {0}, which is no solicited-node group")]
    UnspecifiedToUnicast(Ipv6Addr),
    /// A solicitation from `::` with a source link-layer option.
    #[error("a solicitation from :: has a source link-layer option")]
    UnspecifiedWithLinkLayer,
    /// S in an advertisement to a group.
    #[error("an advertisement to a group says that it was solicited")]
    SolicitedToGroup,
}

impl Solicitation {
    /// The solicitation of RFC 4862 5.4.2, which asks whether somebody has `address`.
    pub fn duplicate_detection(address: Ipv6Addr) -> Self {
        Self {
            source: Ipv6Addr::UNSPECIFIED,
            destination: solicited_node(address),
            target: address,
            link_layer: None,
        }
    }

    /// The frame that takes it from the station `source` to `destination`.
    pub fn frame(&self, source: MacAddr, destination: MacAddr) -> Vec<u8> {
        let option = self.link_layer.map(|mac| (SOURCE_LINK_LAYER, mac));
        Body { kind: SOLICITATION, flags: 0, target: self.target, option }.frame(
            EthernetHeader { destination, source, ethertype: EtherType::IPV6 },
            self.source,
            self.destination,
        )
    }
}

impl Advertisement {
    /// The unsolicited advertisement of RFC 4861 7.2.6: `address` is at `mac` from now on.
    pub fn unsolicited(mac: MacAddr, address: Ipv6Addr) -> Self {
        Self {
            source: address,
            destination: ALL_NODES,
            flags: AdvertisementFlags { router: false, solicited: false, override_entry: true },
            target: address,
            link_layer: Some(mac),
        }
    }

    /// The frame that takes it from the station `source` to `destination`.
    pub fn frame(&self, source: MacAddr, destination: MacAddr) -> Vec<u8> {
        let option = self.link_layer.map(|mac| (TARGET_LINK_LAYER, mac));
        Body { kind: ADVERTISEMENT, flags: self.flags.bits(), target: self.target, option }.frame(
            EthernetHeader { destination, source, ethertype: EtherType::IPV6 },
            self.source,
            self.destination,
        )
    }
}

impl AdvertisementFlags {
    const ROUTER: u8 = 0x80;
    const SOLICITED: u8 = 0x40;
    const OVERRIDE: u8 = 0x20;

    fn of(bits: u8) -> Self {
        Self {
            router: bits & Self::ROUTER != 0,
            solicited: bits & Self::SOLICITED != 0,
            override_entry: bits & Self::OVERRIDE != 0,
        }
    }

    fn bits(self) -> u8 {
        let bit = |set: bool, bit: u8| if set { bit } else { 0 };
        bit(self.router, Self::ROUTER)
            | bit(self.solicited, Self::SOLICITED)
            | bit(self.override_entry, Self::OVERRIDE)
    }
}

impl NdpMessage {
    /// Reads the payload of a frame; what follows the IPv6 packet is padding.
    ///
    /// # Errors
    /// Whatever RFC 4861 7.1.1 and 7.1.2 tell to discard, and packets with extension headers.
    pub fn parse(payload: &[u8]) -> Result<Self, NdpError> {
        let too_short = NdpError::TooShort(payload.len());
        let (header, rest) = payload.split_first_chunk::<IPV6_LEN>().ok_or(too_short)?;
        let [version, _, _, _, len0, len1, next_header, hop_limit, addresses @ ..] = *header;
        if version >> 4 != 6 {
            return Err(NdpError::Version(version >> 4));
        }
        if next_header != ICMPV6 {
            return Err(NdpError::NextHeader(next_header));
        }
        let length = usize::from(u16::from_be_bytes([len0, len1]));
        let icmp = rest.get(..length).ok_or(too_short)?;
        let kind = *icmp.first().ok_or(too_short)?;
        if kind != SOLICITATION && kind != ADVERTISEMENT {
            return Err(NdpError::Type(kind));
        }
        // RFC 4861 7.1.1, 7.1.2: The IP Hop Limit field has a value of 255.
        if hop_limit != HOP_LIMIT {
            return Err(NdpError::HopLimit(hop_limit));
        }
        // ICMP length (derived from the IP length) is 24 or more octets.
        let (fixed, options) = icmp.split_first_chunk::<FIXED_LEN>().ok_or(too_short)?;
        let [_, code, _, _, flags, _, _, _, target @ ..] = *fixed;
        // ICMP Checksum is valid.
        if checksum(&addresses, icmp) != 0 {
            return Err(NdpError::Checksum);
        }
        // ICMP Code is 0.
        if code != 0 {
            return Err(NdpError::Code(code));
        }
        let (source, destination) = split_addresses(addresses);
        let target = Ipv6Addr::from(target);
        // RFC 4291 2.7: multicast addresses must not be used as source addresses.
        if source.is_multicast() {
            return Err(NdpError::Source(source));
        }
        // Target Address is not a multicast address.
        if target.is_multicast() {
            return Err(NdpError::Target(target));
        }
        let wanted = if kind == SOLICITATION { SOURCE_LINK_LAYER } else { TARGET_LINK_LAYER };
        let link_layer = link_layer_option(options, wanted)?;
        if kind == SOLICITATION {
            Solicitation { source, destination, target, link_layer }.checked().map(Self::Solicitation)
        } else {
            let flags = AdvertisementFlags::of(flags);
            // RFC 4861 7.1.2: If the IP Destination Address is a multicast address the Solicited flag is zero.
            if destination.is_multicast() && flags.solicited {
                return Err(NdpError::SolicitedToGroup);
            }
            Ok(Self::Advertisement(Advertisement { source, destination, flags, target, link_layer }))
        }
    }
}

impl Solicitation {
    fn checked(self) -> Result<Self, NdpError> {
        if !self.source.is_unspecified() {
            return Ok(self);
        }
        // RFC 4861 7.1.1: If the IP source address is the unspecified address, the IP destination address is a
        // solicited-node multicast address.
        if solicited_node(self.destination) != self.destination {
            return Err(NdpError::UnspecifiedToUnicast(self.destination));
        }
        // If the IP source address is the unspecified address, there is no source link-layer address option.
        if self.link_layer.is_some() { Err(NdpError::UnspecifiedWithLinkLayer) } else { Ok(self) }
    }
}

/// The first link-layer option of type `wanted`; others are passed over, but all must be well-formed.
fn link_layer_option(mut options: &[u8], wanted: u8) -> Result<Option<MacAddr>, NdpError> {
    let mut found = None;
    while let Some((&kind, rest)) = options.split_first() {
        // RFC 4861 7.1.1, 7.1.2: All included options have a length that is greater than zero.
        let length = rest.first().map_or(0, |&eights| usize::from(eights).saturating_mul(8));
        let option = options.get(..length).filter(|option| !option.is_empty()).ok_or(NdpError::Option)?;
        if kind == wanted && found.is_none() {
            // RFC 2464 6: on Ethernet the length is 1.
            let &[_, _, a, b, c, d, e, f] = option else { return Err(NdpError::LinkLayer) };
            let mac = MacAddr([a, b, c, d, e, f]);
            if mac.is_group() || mac == MacAddr([0; 6]) {
                return Err(NdpError::LinkLayer);
            }
            found = Some(mac);
        }
        options = options.get(length..).unwrap_or_default();
    }
    Ok(found)
}

fn split_addresses(bytes: [u8; 32]) -> (Ipv6Addr, Ipv6Addr) {
    let both = bytes.as_chunks::<16>().0;
    let address = |at: usize| both.get(at).map_or(Ipv6Addr::UNSPECIFIED, |octets| Ipv6Addr::from(*octets));
    (address(0), address(1))
}

/// The Internet checksum of an ICMPv6 message and its pseudo-header (RFC 4443 2.3, RFC 8200 8.1); 0 over a message that
/// holds the right one.
fn checksum(addresses: &[u8; 32], icmp: &[u8]) -> u16 {
    let length = icmp.len();
    let sum = sum_words(addresses)
        .saturating_add(sum_words(icmp))
        .saturating_add(u64::try_from(length).unwrap_or(u64::MAX))
        .saturating_add(u64::from(ICMPV6));
    let mut folded = sum;
    while folded > 0xffff {
        folded = (folded >> 16).saturating_add(folded & 0xffff);
    }
    !u16::try_from(folded).unwrap_or(u16::MAX)
}

fn sum_words(bytes: &[u8]) -> u64 {
    let (words, odd) = bytes.as_chunks::<2>();
    let last = odd.first().map_or(0, |&byte| u64::from(byte) << 8);
    words.iter().fold(last, |sum, word| sum.saturating_add(u64::from(u16::from_be_bytes(*word))))
}

struct Body {
    kind: u8,
    flags: u8,
    target: Ipv6Addr,
    option: Option<(u8, MacAddr)>,
}

impl Body {
    fn frame(&self, header: EthernetHeader, source: Ipv6Addr, destination: Ipv6Addr) -> Vec<u8> {
        let mut addresses = [0; 32];
        for (to, from) in addresses.iter_mut().zip(source.octets().into_iter().chain(destination.octets())) {
            *to = from;
        }
        let icmp = self.icmp(&addresses);
        let mut frame = header.frame(IPV6_LEN.saturating_add(icmp.len()));
        frame.extend_from_slice(&[6 << 4, 0, 0, 0]);
        frame.extend_from_slice(&u16::try_from(icmp.len()).unwrap_or(u16::MAX).to_be_bytes());
        frame.extend_from_slice(&[ICMPV6, HOP_LIMIT]);
        frame.extend_from_slice(&addresses);
        frame.extend_from_slice(&icmp);
        frame
    }

    fn icmp(&self, addresses: &[u8; 32]) -> Vec<u8> {
        let mut icmp = Vec::with_capacity(FIXED_LEN.saturating_add(LINK_LAYER_OPTION_LEN));
        icmp.extend_from_slice(&[self.kind, 0, 0, 0, self.flags, 0, 0, 0]);
        icmp.extend_from_slice(&self.target.octets());
        if let Some((kind, mac)) = self.option {
            icmp.extend_from_slice(&[kind, 1]);
            icmp.extend_from_slice(&mac.0);
        }
        let sum = checksum(addresses, &icmp).to_be_bytes();
        for (to, from) in icmp.iter_mut().skip(2).zip(sum) {
            *to = from;
        }
        icmp
    }
}
