//! Listens while a neighbor is passive.

use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::task::Poll;
use std::time::Duration;

use socket2::{Domain, SockRef, Socket, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, sleep_until};

use super::status::ListenError;

const BACKLOG: i32 = 16;
const FIRST_RETRY: Duration = Duration::from_secs(5);
const LONGEST_RETRY: Duration = Duration::from_secs(60);
/// The pause after a failed accept: it fails again at once while the process has no file descriptor left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The listening sockets, one per family.
#[derive(Debug)]
pub(super) struct Listener {
    port: u16,
    wanted: bool,
    sockets: Vec<TcpListener>,
    error: Option<ListenError>,
    retry: Duration,
    resume: Option<Instant>,
}

impl Listener {
    pub(super) fn new(port: u16) -> Self {
        Self { port, wanted: false, sockets: Vec::new(), error: None, retry: FIRST_RETRY, resume: None }
    }

    /// Why it does not listen although it should.
    pub(super) fn error(&self) -> Option<&ListenError> {
        self.error.as_ref()
    }

    /// Listens, or ceases to.
    pub(super) fn set_wanted(&mut self, wanted: bool) {
        if wanted == self.wanted {
            return;
        }
        self.wanted = wanted;
        (self.error, self.retry, self.resume) = (None, FIRST_RETRY, None);
        self.sockets.clear();
        if wanted {
            self.listen();
        }
    }

    fn listen(&mut self) {
        let opened = [IpAddr::V4(Ipv4Addr::UNSPECIFIED), IpAddr::V6(Ipv6Addr::UNSPECIFIED)]
            .map(|address| bind(SocketAddr::new(address, self.port)));
        let mut failed = None;
        for socket in opened {
            match socket {
                Ok(socket) => self.sockets.push(socket),
                // A host without IPv6 has no such sockets.
                Err(error) if error.raw_os_error() == Some(libc::EAFNOSUPPORT) => {}
                Err(error) => failed = Some(error.to_string()),
            }
        }
        (self.error, self.resume) = match failed {
            None => (None, None),
            Some(error) => {
                self.sockets.clear();
                let resume = Instant::now() + self.retry;
                self.retry = self.retry.saturating_mul(2).min(LONGEST_RETRY);
                (Some(ListenError { port: self.port, error }), Some(resume))
            }
        };
    }

    /// The next connection; `None` when the listener's own state has changed. Never ready while it is not wanted.
    pub(super) async fn accept(&mut self) -> Option<(TcpStream, SocketAddr)> {
        if let Some(resume) = self.resume {
            sleep_until(resume).await;
            self.resume = None;
            if self.sockets.is_empty() {
                self.listen();
                return None;
            }
        }
        let accepted = poll_fn(|context| {
            for socket in &self.sockets {
                if let Poll::Ready(accepted) = socket.poll_accept(context) {
                    return Poll::Ready(accepted);
                }
            }
            Poll::Pending
        });
        match accepted.await {
            Ok(accepted) => Some(accepted),
            Err(_) => {
                self.resume = Some(Instant::now() + ACCEPT_PAUSE);
                None
            }
        }
    }
}

fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

/// Closes a connection that nobody is configured for, with a RST: there is nothing to say to a stranger.
pub(super) fn turn_away(stream: TcpStream) {
    // Without it the kernel sends a FIN instead, which is as good.
    let _ = SockRef::from(&stream).set_linger(Some(Duration::ZERO));
    drop(stream);
}
