//! Packets of a segment's mesh in Ethernet frames: behind the header the packet's length, since short frames are padded,
//! then the packet.

use daymark_model::MacAddr;

use crate::wire::{EtherType, EthernetHeader};

/// The packet of a mesh, and the Ethernet address that sent it; `None` for any other frame.
pub(super) fn read(frame: &[u8]) -> Option<(MacAddr, &[u8])> {
    let (header, payload) = EthernetHeader::parse(frame).ok()?;
    if header.ethertype != EtherType::MESH {
        return None;
    }
    let (length, rest) = payload.split_first_chunk::<2>()?;
    let packet = rest.get(..usize::from(u16::from_be_bytes(*length)))?;
    Some((header.source, packet))
}

/// The frame that carries `packet`; `None` when none can.
pub(super) fn write(source: MacAddr, destination: MacAddr, packet: &[u8]) -> Option<Vec<u8>> {
    let length = u16::try_from(packet.len()).ok()?;
    let header = EthernetHeader { destination, source, ethertype: EtherType::MESH };
    let mut frame = header.frame(packet.len() + 2);
    frame.extend_from_slice(&length.to_be_bytes());
    frame.extend_from_slice(packet);
    Some(frame)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_survive_padding_and_nothing_else_is_read() {
        let (here, there) = (MacAddr([2, 0, 0, 0, 0, 1]), MacAddr([2, 0, 0, 0, 0, 2]));
        let mut frame = write(here, there, b"packet").unwrap();
        assert_eq!(frame[..6], there.0);
        frame.resize(60, 0);
        assert_eq!(read(&frame), Some((here, b"packet".as_slice())));
        assert_eq!(read(&frame[..20]), None, "cut short");
        frame[13] = 0x06;
        assert_eq!(read(&frame), None, "another EtherType");
        assert_eq!(write(here, there, &vec![0; 70_000]), None);
    }
}
