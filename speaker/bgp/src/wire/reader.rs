//! Reading off the front of a [`Bytes`] without ever panicking: `None` when too little is left.

use bytes::{Buf, Bytes};

/// What is left to read of a frame.
pub(super) trait Reader {
    /// The next `n` octets.
    fn octets(&mut self, n: usize) -> Option<Bytes>;
    /// The next octet.
    fn u8(&mut self) -> Option<u8>;
    /// The next two octets, big endian.
    fn u16(&mut self) -> Option<u16>;
    /// The next four octets, big endian.
    fn u32(&mut self) -> Option<u32>;
}

impl Reader for Bytes {
    fn octets(&mut self, n: usize) -> Option<Bytes> {
        (n <= self.len()).then(|| self.split_to(n))
    }

    fn u8(&mut self) -> Option<u8> {
        self.try_get_u8().ok()
    }

    fn u16(&mut self) -> Option<u16> {
        self.try_get_u16().ok()
    }

    fn u32(&mut self) -> Option<u32> {
        self.try_get_u32().ok()
    }
}
