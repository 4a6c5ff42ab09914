//! The frame socket of each interface.
//!
//! Only interfaces that an Announcement has named get one: a node with hundreds of pods has hundreds of interfaces. It
//! stays until the interface is gone, since an address that is no longer announced is handed over through it.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::task::{Context, Poll};
use std::time::Instant;

use daymark_model::{Interface, InterfaceIndex};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::retry::Retry;
use super::status::{L2Counters, Problem};
use crate::sys::packet::{FrameBatch, FrameSocket};
use crate::sys::readiness::readable;

/// The most frames that are thrown away in one go after the process stood still: more than a socket holds.
const DISCARDS: usize = 1 << 16;

/// The interfaces that may be announced on, with their sockets.
#[derive(Default)]
pub(super) struct Ports {
    wanted: BTreeSet<InterfaceIndex>,
    ports: BTreeMap<InterfaceIndex, Port>,
    batch: FrameBatch,
}

struct Port {
    name: String,
    socket: Option<AsyncFd<FrameSocket>>,
    retry: Retry,
    error: Option<String>,
}

impl Ports {
    /// These are to have sockets, in addition to those known.
    pub(super) fn want(&mut self, interfaces: impl IntoIterator<Item = InterfaceIndex>) {
        self.wanted.extend(interfaces);
    }

    /// Those of `all` that are wanted. What is gone is forgotten: its number may come back for another one.
    pub(super) fn select(&mut self, all: Vec<Interface>) -> Vec<Interface> {
        let chosen: Vec<Interface> = all.into_iter().filter(|i| self.wanted.contains(&i.index)).collect();
        self.ports.retain(|index, _| chosen.iter().any(|interface| interface.index == *index));
        for interface in &chosen {
            let port = self.ports.entry(interface.index).or_insert_with(|| Port::new(&interface.name));
            port.name.clone_from(&interface.name);
            port.retry.hurry();
        }
        chosen
    }

    /// Opens what is closed and due.
    pub(super) fn open(&mut self, now: Instant) {
        for (index, port) in &mut self.ports {
            if port.socket.is_none() && port.retry.is_due(now) {
                port.open(*index, now);
            }
        }
    }

    /// When something is to be opened again.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.ports.values().filter(|port| port.socket.is_none()).filter_map(|port| port.retry.next()).min()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.ports.is_empty()
    }

    /// Ready when a frame may be there.
    pub(super) fn poll_ready(&self, cx: &mut Context<'_>) -> Poll<()> {
        let sockets = self.ports.values().filter_map(|port| port.socket.as_ref());
        let ready = sockets.filter(|socket| socket.poll_read_ready(cx).is_ready()).count();
        if ready > 0 { Poll::Ready(()) } else { Poll::Pending }
    }

    /// Takes what is there, at most [`FrameBatch::CAPACITY`] frames from each interface.
    pub(super) fn receive(&mut self, counters: &L2Counters, mut take: impl FnMut(InterfaceIndex, &[u8])) {
        for (index, port) in &mut self.ports {
            let Some(socket) = &port.socket else { continue };
            match socket.try_io(Interest::READABLE, |socket| socket.receive(&mut self.batch)) {
                Ok(()) => {
                    counters.frames_received.add(self.batch.taken() as u64);
                    self.batch.frames().for_each(|frame| take(*index, frame));
                }
                Err(error) => port.failed(&error),
            }
        }
    }

    /// Throws away what waits in the sockets.
    pub(super) fn discard(&mut self, counters: &L2Counters) {
        for socket in self.ports.values().filter_map(|port| port.socket.as_ref()) {
            let mut left = DISCARDS;
            while left > 0 && socket.get_ref().receive(&mut self.batch).is_ok() {
                counters.frames_dropped.add(self.batch.taken() as u64);
                left = left.saturating_sub(FrameBatch::CAPACITY);
            }
        }
    }

    /// Sends a frame.
    pub(super) fn send(&mut self, interface: InterfaceIndex, frame: &[u8], counters: &L2Counters) {
        let Some(port) = self.ports.get_mut(&interface) else { return counters.frames_unsent.add(1) };
        let Some(socket) = &port.socket else { return counters.frames_unsent.add(1) };
        match socket.get_ref().send(frame) {
            Ok(_) => counters.frames_sent.add(1),
            Err(error) => {
                counters.frames_unsent.add(1);
                port.failed(&error);
            }
        }
    }

    /// Counts what the kernel threw away because a socket was full.
    pub(super) fn count_dropped(&self, counters: &L2Counters) {
        for socket in self.ports.values().filter_map(|port| port.socket.as_ref()) {
            counters.frames_dropped.add(socket.get_ref().take_dropped());
        }
    }

    /// What does not work.
    pub(super) fn problems(&self) -> impl Iterator<Item = (String, Problem)> {
        self.ports.values().filter_map(|port| {
            let error = port.error.as_ref()?;
            let message = format!("no frames on interface {}: {error}", port.name);
            Some((port.name.clone(), Problem { reason: "FrameSocket", message }))
        })
    }
}

impl Port {
    fn new(name: &str) -> Self {
        Self { name: name.to_owned(), socket: None, retry: Retry::default(), error: None }
    }

    fn open(&mut self, index: InterfaceIndex, now: Instant) {
        match FrameSocket::open(index.0).and_then(readable) {
            Ok(socket) => {
                self.socket = Some(socket);
                self.error = None;
                self.retry.worked();
            }
            Err(error) => {
                if self.error.is_none() {
                    tracing::warn!(interface = self.name, "cannot open a frame socket: {error}");
                }
                self.error = Some(advice(&error));
                self.retry.failed(now);
            }
        }
    }

    /// A socket of an interface that is down works again when that is up; one whose interface is gone never does.
    fn failed(&mut self, error: &io::Error) {
        if matches!(error.raw_os_error(), Some(libc::ENXIO | libc::ENODEV)) {
            self.socket = None;
        }
    }
}

fn advice(error: &io::Error) -> String {
    if error.kind() == io::ErrorKind::PermissionDenied {
        return "the speaker needs the capability NET_RAW".to_owned();
    }
    error.to_string()
}
