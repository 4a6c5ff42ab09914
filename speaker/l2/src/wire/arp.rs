//! ARP for IPv4 on Ethernet (RFC 826, RFC 5227).

use std::net::Ipv4Addr;

use daymark_model::MacAddr;

use super::ethernet::{EtherType, EthernetHeader};

const HARDWARE_ETHERNET: u16 = 1;
const PROTOCOL_IPV4: u16 = 0x0800;
const HARDWARE_LENGTH: u8 = 6;
const PROTOCOL_LENGTH: u8 = 4;
const NO_MAC: MacAddr = MacAddr([0; 6]);

/// What a packet wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ArpOperation {
    /// Who has the target?
    Request,
    /// The sender has its address.
    Reply,
}

/// A packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ArpPacket {
    /// What it wants.
    pub operation: ArpOperation,
    /// The sender's Ethernet address.
    pub sender_mac: MacAddr,
    /// The sender's address; 0.0.0.0 in a probe.
    pub sender: Ipv4Addr,
    /// The target's Ethernet address; means nothing in a request.
    pub target_mac: MacAddr,
    /// The target's address.
    pub target: Ipv4Addr,
}

/// Bytes that are no ARP packet which may be believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ArpError {
    /// Shorter than 28 bytes.
    #[error("the ARP packet has {0} bytes, fewer than 28")]
    TooShort(usize),
    /// Not for Ethernet.
    #[error("the ARP packet is for hardware type {0}, not for Ethernet")]
    HardwareType(u16),
    /// Not for IPv4.
    #[error("the ARP packet is for protocol {0:#06x}, not for IPv4")]
    ProtocolType(u16),
    /// Address lengths that do not fit the types.
    #[error("the ARP packet has addresses of {hardware} and {protocol} bytes, not of 6 and 4")]
    Lengths {
        /// Bytes of a hardware address.
        hardware: u8,
        /// Bytes of a protocol address.
        protocol: u8,
    },
    /// Neither request nor reply.
    #[error("the ARP packet has operation {0}, neither request nor reply")]
    Operation(u16),
    /// The sender's Ethernet address is a group, or zero.
    #[error("the ARP packet comes from {0}, which is no station")]
    SenderMac(MacAddr),
    /// The sender's address is no host's.
    #[error("the ARP packet comes from {0}, which is no host")]
    Sender(Ipv4Addr),
}

impl ArpPacket {
    /// Bytes of a packet.
    pub const LEN: usize = 28;

    /// The probe of RFC 5227 2.1.1: asks for `address` without saying whose it is.
    pub fn probe(mac: MacAddr, address: Ipv4Addr) -> Self {
        Self {
            operation: ArpOperation::Request,
            sender_mac: mac,
            sender: Ipv4Addr::UNSPECIFIED,
            // RFC 5227 2.1.1: the target hardware address field is ignored and SHOULD be set to all zeroes.
            target_mac: NO_MAC,
            target: address,
        }
    }

    /// The announcement of RFC 5227 2.3: the request form of a gratuitous ARP.
    pub fn announcement(mac: MacAddr, address: Ipv4Addr) -> Self {
        Self { sender: address, ..Self::probe(mac, address) }
    }

    /// The reply form of a gratuitous ARP (RFC 5944 4.6). The target MAC is the sender's: Linux heeds other replies only
    /// when its entry is older than a second.
    pub fn gratuitous_reply(mac: MacAddr, address: Ipv4Addr) -> Self {
        Self {
            operation: ArpOperation::Reply,
            sender_mac: mac,
            sender: address,
            target_mac: mac,
            target: address,
        }
    }

    /// The answer to this request, from the station `mac` (RFC 826, packet reception).
    pub fn answer(&self, mac: MacAddr) -> Self {
        Self {
            operation: ArpOperation::Reply,
            sender_mac: mac,
            sender: self.target,
            target_mac: self.sender_mac,
            target: self.sender,
        }
    }

    /// Whether it asks for an address on behalf of none (RFC 5227 1.1).
    pub fn is_probe(&self) -> bool {
        self.operation == ArpOperation::Request && self.sender.is_unspecified()
    }

    /// Reads the payload of a frame; what follows the packet is padding.
    ///
    /// # Errors
    /// When it is not ARP for IPv4 on Ethernet, or comes from what cannot be a station's address.
    pub fn parse(payload: &[u8]) -> Result<Self, ArpError> {
        let Some((&bytes, _padding)) = payload.split_first_chunk::<{ Self::LEN }>() else {
            return Err(ArpError::TooShort(payload.len()));
        };
        let [ht0, ht1, pt0, pt1, hardware, protocol, op0, op1, addresses @ ..] = bytes;
        let [a, b, c, d, e, f, s0, s1, s2, s3, g, h, i, j, k, l, t0, t1, t2, t3] = addresses;
        // RFC 826: ?Do I have the hardware type in ar$hrd? ?Do I speak the protocol in ar$pro? [optionally check the
        // protocol length ar$pln]
        let hardware_type = u16::from_be_bytes([ht0, ht1]);
        if hardware_type != HARDWARE_ETHERNET {
            return Err(ArpError::HardwareType(hardware_type));
        }
        let protocol_type = u16::from_be_bytes([pt0, pt1]);
        if protocol_type != PROTOCOL_IPV4 {
            return Err(ArpError::ProtocolType(protocol_type));
        }
        if (hardware, protocol) != (HARDWARE_LENGTH, PROTOCOL_LENGTH) {
            return Err(ArpError::Lengths { hardware, protocol });
        }
        let operation = match u16::from_be_bytes([op0, op1]) {
            1 => ArpOperation::Request,
            2 => ArpOperation::Reply,
            other => return Err(ArpError::Operation(other)),
        };
        let sender_mac = MacAddr([a, b, c, d, e, f]);
        if sender_mac.is_group() || sender_mac == NO_MAC {
            return Err(ArpError::SenderMac(sender_mac));
        }
        let sender = Ipv4Addr::new(s0, s1, s2, s3);
        // RFC 1812 5.3.7: no host has a multicast or the broadcast address.
        if sender.is_multicast() || sender.is_broadcast() {
            return Err(ArpError::Sender(sender));
        }
        let target_mac = MacAddr([g, h, i, j, k, l]);
        Ok(Self { operation, sender_mac, sender, target_mac, target: Ipv4Addr::new(t0, t1, t2, t3) })
    }

    /// The frame that takes it to `destination`.
    pub fn frame(&self, destination: MacAddr) -> Vec<u8> {
        let header = EthernetHeader { destination, source: self.sender_mac, ethertype: EtherType::ARP };
        let mut frame = header.frame(Self::LEN);
        let operation: u16 = match self.operation {
            ArpOperation::Request => 1,
            ArpOperation::Reply => 2,
        };
        frame.extend_from_slice(&HARDWARE_ETHERNET.to_be_bytes());
        frame.extend_from_slice(&PROTOCOL_IPV4.to_be_bytes());
        frame.extend_from_slice(&[HARDWARE_LENGTH, PROTOCOL_LENGTH]);
        frame.extend_from_slice(&operation.to_be_bytes());
        frame.extend_from_slice(&self.sender_mac.0);
        frame.extend_from_slice(&self.sender.octets());
        frame.extend_from_slice(&self.target_mac.0);
        frame.extend_from_slice(&self.target.octets());
        frame
    }
}
