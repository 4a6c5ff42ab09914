//! A packet socket. The only unsafe code of the tests: no safe library makes a `sockaddr_ll`.
#![allow(unsafe_code)]

use std::ffi::CString;

use anyhow::{Context, Result, ensure};
use libc::{AF_PACKET, if_nametoindex, sa_family_t, sockaddr_ll, socklen_t};
use socket2::{Domain, SockAddr, SockAddrStorage, Socket, Type};

/// A socket that sends whole frames from `interface` and hears nothing.
pub fn open(interface: &str) -> Result<Socket> {
    let name = CString::new(interface)?;
    // SAFETY: a string that ends with zero, which the call only reads.
    let index = unsafe { if_nametoindex(name.as_ptr()) };
    ensure!(index != 0, "no interface {interface}");
    let socket = Socket::new(Domain::PACKET, Type::RAW, None).context("a packet socket needs NET_RAW")?;
    let mut storage = SockAddrStorage::zeroed();
    // SAFETY: a sockaddr_ll fits into the storage, and any bytes are one.
    let address = unsafe { storage.view_as::<sockaddr_ll>() };
    address.sll_family = AF_PACKET as sa_family_t;
    address.sll_ifindex = i32::try_from(index)?;
    // SAFETY: the storage holds a sockaddr_ll with its family set.
    let address = unsafe { SockAddr::new(storage, size_of::<sockaddr_ll>() as socklen_t) };
    socket.bind(&address).with_context(|| format!("interface {interface}"))?;
    Ok(socket)
}
