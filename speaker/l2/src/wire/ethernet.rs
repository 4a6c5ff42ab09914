//! The Ethernet II header: destination, source, type.

use daymark_model::MacAddr;

/// What a frame carries (IEEE 802 numbers).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct EtherType(pub u16);

impl EtherType {
    /// ARP, RFC 826.
    pub const ARP: Self = Self(0x0806);
    /// IPv6, RFC 2464.
    pub const IPV6: Self = Self(0x86dd);
    /// The mesh of a segment: IEEE 802's first type for local experiments.
    pub const MESH: Self = Self(0x88b5);
}

/// A frame's header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EthernetHeader {
    /// For whom.
    pub destination: MacAddr,
    /// From whom.
    pub source: MacAddr,
    /// What it carries.
    pub ethertype: EtherType,
}

/// Bytes that are no Ethernet frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EthernetError {
    /// Shorter than the header.
    #[error("the frame has {0} bytes, fewer than its header")]
    TooShort(usize),
    /// A group does not send.
    #[error("the frame's source {0} is a group address")]
    GroupSource(MacAddr),
}

impl EthernetHeader {
    /// Bytes of a header.
    pub const LEN: usize = 14;

    /// Reads the header; what follows it is the payload, possibly with padding.
    ///
    /// # Errors
    /// When the frame is too short, or its source is a group.
    pub fn parse(frame: &[u8]) -> Result<(Self, &[u8]), EthernetError> {
        let Some((&[a, b, c, d, e, f, g, h, i, j, k, l, high, low], payload)) = frame.split_first_chunk()
        else {
            return Err(EthernetError::TooShort(frame.len()));
        };
        let source = MacAddr([g, h, i, j, k, l]);
        // IEEE 802.3 3.2.3: the first bit of a source is 0.
        if source.is_group() {
            return Err(EthernetError::GroupSource(source));
        }
        let ethertype = EtherType(u16::from_be_bytes([high, low]));
        Ok((Self { destination: MacAddr([a, b, c, d, e, f]), source, ethertype }, payload))
    }

    /// A frame that has this header, and room for `payload` more bytes.
    pub fn frame(&self, payload: usize) -> Vec<u8> {
        let mut frame = Vec::with_capacity(Self::LEN.saturating_add(payload));
        frame.extend_from_slice(&self.destination.0);
        frame.extend_from_slice(&self.source.0);
        frame.extend_from_slice(&self.ethertype.0.to_be_bytes());
        frame
    }
}
