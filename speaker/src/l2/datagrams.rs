//! The sockets of the node network's mesh: UDP, one per InternalIP.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::task::{Context, Poll};
use std::time::Instant;

use socket2::{Domain, SockAddr, Socket, Type};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::retry::Retry;
use super::status::{L2Counters, Problem};
use crate::sys::readiness::readable;

/// How many datagrams are taken from a socket in one turn.
const TURN: usize = 64;
/// The most datagrams that are thrown away in one go after the process stood still: more than a socket holds.
const DISCARDS: usize = 1 << 16;
const RECEIVE_BUFFER: usize = 1 << 20;
/// The largest datagram that is taken whole.
const DATAGRAM: usize = 2048;

/// The sockets, by the address that they are bound to.
pub(super) struct Datagrams {
    port: u16,
    endpoints: BTreeMap<IpAddr, Endpoint>,
    buffer: Box<[u8; DATAGRAM]>,
}

#[derive(Default)]
struct Endpoint {
    socket: Option<AsyncFd<UdpSocket>>,
    retry: Retry,
    error: Option<String>,
}

impl Datagrams {
    pub(super) fn new(port: u16) -> Self {
        Self { port, endpoints: BTreeMap::new(), buffer: Box::new([0; DATAGRAM]) }
    }

    /// Sets the addresses to be bound to.
    pub(super) fn configure(&mut self, addresses: &[IpAddr]) {
        self.endpoints.retain(|address, _| addresses.contains(address));
        for address in addresses {
            self.endpoints.entry(*address).or_default();
        }
    }

    /// The node's addresses changed: what could not be bound may be now.
    pub(super) fn hurry(&mut self) {
        self.endpoints.values_mut().for_each(|endpoint| endpoint.retry.hurry());
    }

    /// Binds what is not bound and due.
    pub(super) fn open(&mut self, now: Instant) {
        let port = self.port;
        for (address, endpoint) in &mut self.endpoints {
            if endpoint.socket.is_none() && endpoint.retry.is_due(now) {
                endpoint.open(SocketAddr::new(*address, port), now);
            }
        }
    }

    /// When something is to be bound again.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        let closed = self.endpoints.values().filter(|endpoint| endpoint.socket.is_none());
        closed.filter_map(|endpoint| endpoint.retry.next()).min()
    }

    /// Ready when a datagram may be there.
    pub(super) fn poll_ready(&self, cx: &mut Context<'_>) -> Poll<()> {
        let sockets = self.endpoints.values().filter_map(|endpoint| endpoint.socket.as_ref());
        let ready = sockets.filter(|socket| socket.poll_read_ready(cx).is_ready()).count();
        if ready > 0 { Poll::Ready(()) } else { Poll::Pending }
    }

    /// Takes what is there, at most [`TURN`] datagrams from each socket.
    pub(super) fn receive(&mut self, counters: &L2Counters, mut take: impl FnMut(SocketAddr, &[u8])) {
        let buffer = self.buffer.as_mut_slice();
        for socket in self.endpoints.values().filter_map(|endpoint| endpoint.socket.as_ref()) {
            for _ in 0..TURN {
                match socket.try_io(Interest::READABLE, |socket| socket.recv_from(buffer)) {
                    Ok((length, from)) => {
                        counters.datagrams_received.add(1);
                        take(canonical(from), buffer.get(..length).unwrap_or_default());
                    }
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                    // What the kernel tells of a datagram that was sent before says nothing about this socket.
                    Err(_) => {}
                }
            }
        }
    }

    /// Throws away what waits in the sockets.
    pub(super) fn discard(&mut self) {
        for socket in self.endpoints.values().filter_map(|endpoint| endpoint.socket.as_ref()) {
            let take = |_: &usize| socket.get_ref().recv_from(self.buffer.as_mut_slice()).is_ok();
            (0..DISCARDS).take_while(take).for_each(drop);
        }
    }

    /// Sends a datagram from an address of the same family.
    pub(super) fn send(&self, to: SocketAddr, payload: &[u8], counters: &L2Counters) {
        let mut fitting = self.endpoints.iter().filter(|(address, _)| address.is_ipv4() == to.is_ipv4());
        let socket = fitting.find_map(|(_, endpoint)| endpoint.socket.as_ref());
        match socket.map(|socket| socket.get_ref().send_to(payload, to)) {
            Some(Ok(_)) => counters.datagrams_sent.add(1),
            Some(Err(_)) | None => counters.datagrams_unsent.add(1),
        }
    }

    /// What does not work.
    pub(super) fn problems(&self) -> impl Iterator<Item = (String, Problem)> {
        self.endpoints.iter().filter_map(|(address, endpoint)| {
            let error = endpoint.error.as_ref()?;
            let at = SocketAddr::new(*address, self.port);
            let message = format!(
                "the node network's mesh cannot listen on {at}, free the port or choose another: {error}"
            );
            Some((at.to_string(), Problem { reason: "MeshSocket", message }))
        })
    }
}

impl Endpoint {
    fn open(&mut self, at: SocketAddr, now: Instant) {
        match bind(at) {
            Ok(socket) => {
                self.socket = Some(socket);
                self.error = None;
                self.retry.worked();
            }
            Err(error) => {
                if self.error.is_none() {
                    tracing::warn!(%at, "the node network's mesh cannot listen: {error}");
                }
                self.error = Some(error.to_string());
                self.retry.failed(now);
            }
        }
    }
}

fn bind(at: SocketAddr) -> io::Result<AsyncFd<UdpSocket>> {
    let socket = Socket::new(Domain::for_address(at), Type::DGRAM.nonblocking(), None)?;
    socket.set_recv_buffer_size(RECEIVE_BUFFER)?;
    socket.bind(&SockAddr::from(at))?;
    readable(socket.into())
}

/// The address by which the node is known, whatever the socket says.
fn canonical(from: SocketAddr) -> SocketAddr {
    SocketAddr::new(from.ip().to_canonical(), from.port())
}
