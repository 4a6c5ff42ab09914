//! One TCP connection: what waits to be written, and its end.

use std::collections::VecDeque;
use std::io;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes};
use daymark_bgp::{ConnectionId, Link};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// How long a closing connection may take to write the rest and to see the neighbor's FIN.
const LINGER: Duration = Duration::from_secs(1);

/// A connection.
#[derive(Debug)]
pub(super) struct Socket {
    pub(super) id: ConnectionId,
    pub(super) link: Link,
    stream: TcpStream,
    queue: VecDeque<Bytes>,
}

impl Socket {
    pub(super) fn new(id: ConnectionId, link: Link, stream: TcpStream) -> Self {
        Self { id, link, stream, queue: VecDeque::new() }
    }

    pub(super) fn push(&mut self, bytes: Bytes) {
        self.queue.push_back(bytes);
    }

    /// Whether the kernel has taken all.
    pub(super) fn is_written(&self) -> bool {
        self.queue.is_empty()
    }

    /// Ready when there is something to read, or room for what waits.
    pub(super) fn poll_ready(&self, context: &mut Context<'_>) -> Poll<()> {
        if !self.queue.is_empty() && self.stream.poll_write_ready(context).is_ready() {
            return Poll::Ready(());
        }
        // An error shows itself to whoever reads or writes next.
        let _ = ready!(self.stream.poll_read_ready(context));
        Poll::Ready(())
    }

    /// Reads what there is. `Ok(None)`: nothing; `Ok(Some(0))`: the neighbor has closed.
    pub(super) fn read(&self, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        match self.stream.try_read(buffer) {
            Ok(count) => Ok(Some(count)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Writes what the kernel takes; tells how much that was. What breaks is seen when reading.
    pub(super) fn write(&mut self) -> usize {
        let mut written: usize = 0;
        while let Some(bytes) = self.queue.front_mut() {
            match self.stream.try_write(bytes) {
                Ok(count) => {
                    bytes.advance(count);
                    written = written.saturating_add(count);
                    if bytes.is_empty() {
                        self.queue.pop_front();
                    }
                }
                Err(_) => break,
            }
        }
        written
    }

    /// Writes the rest, closes the write side and reads on until the neighbor has closed too, all within a second.
    pub(super) async fn linger(mut self) {
        let farewell = async {
            for bytes in self.queue {
                self.stream.write_all(&bytes).await?;
            }
            self.stream.shutdown().await?;
            let mut rest = [0; 4096];
            while self.stream.read(&mut rest).await? > 0 {}
            io::Result::Ok(())
        };
        // Whatever goes wrong here, the connection is gone afterwards, as it shall be.
        let _ = tokio::time::timeout(LINGER, farewell).await;
    }
}
