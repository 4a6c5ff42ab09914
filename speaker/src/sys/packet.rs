//! Sockets that carry whole Ethernet frames (packet(7)).

use std::fmt;
use std::io;
use std::mem::{size_of, zeroed};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::ptr;

use socket2::{Domain, Protocol, SockFilter, Socket, Type};

/// The EtherType of the meshes of segments.
const MESH: u32 = 0x88b5;
const ARP: u32 = 0x0806;
const IPV6: u32 = 0x86dd;
const ICMPV6: u32 = 58;
const NEIGHBOR_SOLICITATION: u32 = 135;
const NEIGHBOR_ADVERTISEMENT: u32 = 136;

/// What the kernel may keep for a socket: a flood must not push the meshes' frames out at once. It gives what it allows.
const RECEIVE_BUFFER: usize = 4 << 20;

/// How many frames one call takes.
const BATCH: usize = 64;
/// The largest frame that is taken whole; a larger one is thrown away.
const FRAME: usize = 2048;

/// A socket for the frames of one interface that concern layer 2: ARP, neighbor discovery, our mesh; without those with
/// a VLAN tag, those for other stations, and our own.
pub struct FrameSocket(Socket);

impl FrameSocket {
    /// Opens a socket on an interface, by its index. It does not block.
    ///
    /// # Errors
    /// Without CAP_NET_RAW, and when the interface is gone or down.
    pub fn open(interface: u32) -> io::Result<Self> {
        // Protocol 0: nothing is received before the filter is in place and the socket is bound.
        let socket = Socket::new(Domain::PACKET, Type::RAW.nonblocking(), Some(Protocol::from(0)))?;
        socket.attach_filter(&filter())?;
        set_option(&socket, libc::PACKET_IGNORE_OUTGOING, 1)?;
        socket.set_recv_buffer_size(RECEIVE_BUFFER)?;
        bind(&socket, interface)?;
        Ok(Self(socket))
    }

    /// Sends a whole frame.
    ///
    /// # Errors
    /// ENETDOWN and ENXIO when the interface is down or gone; EWOULDBLOCK and ENOBUFS when it takes no more.
    pub fn send(&self, frame: &[u8]) -> io::Result<usize> {
        match self.0.send(frame) {
            // The first call after the interface was down says so, even if it is up again.
            Err(error) if error.raw_os_error() == Some(libc::ENETDOWN) => self.0.send(frame),
            result => result,
        }
    }

    /// Takes frames into `batch`, as many as there are and fit.
    ///
    /// # Errors
    /// EWOULDBLOCK when there is none; ENETDOWN once after the interface went down.
    pub fn receive(&self, batch: &mut FrameBatch) -> io::Result<()> {
        batch.received(&self.0)
    }

    /// How many frames the kernel has thrown away since the last call because the socket was full.
    pub fn take_dropped(&self) -> u64 {
        let mut statistics = libc::tpacket_stats { tp_packets: 0, tp_drops: 0 };
        let mut length = size_of::<libc::tpacket_stats>() as libc::socklen_t;
        // SAFETY: the pointers are to a struct of the kernel's layout and to its length, both live during the call.
        let result = unsafe {
            libc::getsockopt(
                self.0.as_raw_fd(),
                libc::SOL_PACKET,
                libc::PACKET_STATISTICS,
                ptr::from_mut(&mut statistics).cast(),
                &mut length,
            )
        };
        if result == 0 { statistics.tp_drops.into() } else { 0 }
    }
}

impl AsRawFd for FrameSocket {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

impl AsFd for FrameSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Room for frames, used again and again.
pub struct FrameBatch {
    buffers: Box<[[u8; FRAME]]>,
    lengths: Vec<usize>,
}

impl fmt::Debug for FrameBatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FrameBatch").field("lengths", &self.lengths).finish_non_exhaustive()
    }
}

impl Default for FrameBatch {
    fn default() -> Self {
        Self { buffers: vec![[0; FRAME]; BATCH].into_boxed_slice(), lengths: Vec::with_capacity(BATCH) }
    }
}

impl FrameBatch {
    /// The most frames that it holds.
    pub const CAPACITY: usize = BATCH;

    /// How many frames were taken, those included that were too large.
    pub fn taken(&self) -> usize {
        self.lengths.len()
    }

    /// The frames that were taken.
    pub fn frames(&self) -> impl Iterator<Item = &[u8]> {
        let pairs = self.buffers.iter().zip(&self.lengths);
        pairs.filter_map(|(buffer, length)| buffer.get(..*length)).filter(|frame| !frame.is_empty())
    }

    fn received(&mut self, socket: &Socket) -> io::Result<()> {
        self.lengths.clear();
        // SAFETY: iovec and mmsghdr are plain C structs of which zero is a valid value.
        let (mut vectors, mut messages): ([libc::iovec; BATCH], [libc::mmsghdr; BATCH]) =
            unsafe { (zeroed(), zeroed()) };
        for ((buffer, vector), message) in self.buffers.iter_mut().zip(&mut vectors).zip(&mut messages) {
            vector.iov_base = buffer.as_mut_ptr().cast();
            vector.iov_len = FRAME;
            message.msg_hdr.msg_iov = vector;
            message.msg_hdr.msg_iovlen = 1;
        }
        // SAFETY: each of the BATCH headers points to one vector, and that to FRAME bytes of a buffer that `self` owns;
        // all of them live during the call, and the call does not keep them.
        let count = unsafe {
            libc::recvmmsg(
                socket.as_raw_fd(),
                messages.as_mut_ptr(),
                BATCH as libc::c_uint,
                libc::MSG_DONTWAIT,
                ptr::null_mut(),
            )
        };
        let count = usize::try_from(count).map_err(|_| io::Error::last_os_error())?;
        self.lengths.extend(messages.iter().take(count).map(|message| {
            let whole = message.msg_hdr.msg_flags & libc::MSG_TRUNC == 0;
            if whole { message.msg_len as usize } else { 0 }
        }));
        Ok(())
    }
}

fn set_option(socket: &Socket, option: libc::c_int, value: libc::c_int) -> io::Result<()> {
    // SAFETY: the pointer is to an int that lives during the call, and the length is that of an int.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_PACKET,
            option,
            ptr::from_ref(&value).cast(),
            size_of::<libc::c_int>() as libc::socklen_t,
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

fn bind(socket: &Socket, interface: u32) -> io::Result<()> {
    let index = libc::c_int::try_from(interface).map_err(|_| io::Error::from_raw_os_error(libc::ENXIO))?;
    // SAFETY: sockaddr_ll is a plain C struct of which zero is a valid value.
    let mut address: libc::sockaddr_ll = unsafe { zeroed() };
    address.sll_family = libc::AF_PACKET as libc::sa_family_t;
    address.sll_protocol = (libc::ETH_P_ALL as u16).to_be();
    address.sll_ifindex = index;
    // SAFETY: the pointer is to a link-layer address that lives during the call, with its length.
    let result = unsafe {
        libc::bind(
            socket.as_raw_fd(),
            ptr::from_ref(&address).cast(),
            size_of::<libc::sockaddr_ll>() as libc::socklen_t,
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

const LOAD_BYTE: u16 = (libc::BPF_LD | libc::BPF_B | libc::BPF_ABS) as u16;
const LOAD_HALF: u16 = (libc::BPF_LD | libc::BPF_H | libc::BPF_ABS) as u16;
const IF_EQUAL: u16 = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
const IF_GREATER: u16 = (libc::BPF_JMP | libc::BPF_JGT | libc::BPF_K) as u16;
const IF_ANY_BIT: u16 = (libc::BPF_JMP | libc::BPF_JSET | libc::BPF_K) as u16;
const RETURN: u16 = (libc::BPF_RET | libc::BPF_K) as u16;

/// What the kernel knows of a frame beside its bytes (SKF_AD_OFF).
fn beside(what: libc::c_int) -> u32 {
    libc::SKF_AD_OFF.wrapping_add(what).cast_unsigned()
}

/// The frames that are wanted. A tag with VLAN 0 is a priority only: such a frame is untagged (IEEE 802.1Q 6.9.1).
fn filter() -> [SockFilter; 17] {
    let multicast = u32::from(libc::PACKET_MULTICAST);
    [
        SockFilter::new(LOAD_HALF, 0, 0, beside(libc::SKF_AD_VLAN_TAG_PRESENT)),
        SockFilter::new(IF_EQUAL, 2, 0, 0),
        SockFilter::new(LOAD_HALF, 0, 0, beside(libc::SKF_AD_VLAN_TAG)),
        SockFilter::new(IF_ANY_BIT, 12, 0, 0x0fff),
        // To this station, to all, or to a group: 0, 1, 2. To others and from us: more.
        SockFilter::new(LOAD_HALF, 0, 0, beside(libc::SKF_AD_PKTTYPE)),
        SockFilter::new(IF_GREATER, 10, 0, multicast),
        SockFilter::new(LOAD_HALF, 0, 0, 12),
        SockFilter::new(IF_EQUAL, 7, 0, MESH),
        SockFilter::new(IF_EQUAL, 6, 0, ARP),
        SockFilter::new(IF_EQUAL, 0, 6, IPV6),
        SockFilter::new(LOAD_BYTE, 0, 0, 14 + 6),
        SockFilter::new(IF_EQUAL, 0, 4, ICMPV6),
        SockFilter::new(LOAD_BYTE, 0, 0, 14 + 40),
        SockFilter::new(IF_EQUAL, 1, 0, NEIGHBOR_SOLICITATION),
        SockFilter::new(IF_EQUAL, 0, 1, NEIGHBOR_ADVERTISEMENT),
        SockFilter::new(RETURN, 0, 0, u32::MAX),
        SockFilter::new(RETURN, 0, 0, 0),
    ]
}
