//! Waiting for sockets.

use std::io;
use std::net::UdpSocket;
use std::os::fd::AsRawFd;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::packet::FrameSocket;

/// Types that own one file descriptor, which stays the same and open as long as they live.
pub trait OneDescriptor: AsRawFd {}

impl OneDescriptor for FrameSocket {}
impl OneDescriptor for UdpSocket {}

/// Waits for `socket` to be readable; must be called on a tokio runtime.
///
/// # Errors
/// When the kernel does not watch it.
pub fn readable<S: OneDescriptor>(socket: S) -> io::Result<AsyncFd<S>> {
    // SAFETY: the descriptor stays the same and open as long as the socket lives, and the result owns the socket.
    let registered = unsafe { AsyncFd::register_with_interest(socket, Interest::READABLE) };
    registered.map_err(|error| error.into_parts().1)
}
