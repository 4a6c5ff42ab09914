//! The little HTTP that probing needs: one GET per connection, the status, and the body line by line.
//!
//! HTTP/1.0 is asked for, so that the server neither chunks the body nor keeps the connection. What comes back is
//! bounded in time, in line length and in total.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// How long a whole request may take.
const TIMEOUT: Duration = Duration::from_secs(2);
/// The most that is read of an answer.
const MAX_BODY: usize = 8 << 20;
/// The longest line that is looked at.
const MAX_LINE: usize = 16 << 10;

/// Why a request gave no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum HttpError {
    /// The connection failed or broke.
    #[error("no answer: {0}")]
    Io(#[from] std::io::Error),
    /// Nothing in time.
    #[error("no answer in time")]
    Timeout,
    /// Not HTTP, or too long.
    #[error("the answer is no usable HTTP")]
    Malformed,
}

/// The status of `GET path`; the body is left unread.
pub(super) async fn status(address: SocketAddr, path: &str) -> Result<u16, HttpError> {
    request(address, path, &mut |_| {}, Want::Status).await
}

/// The status of `GET path`, with each line of the body given to `line`.
pub(super) async fn lines(
    address: SocketAddr,
    path: &str,
    line: &mut (dyn FnMut(&[u8]) + Send),
) -> Result<u16, HttpError> {
    request(address, path, line, Want::Body).await
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Want {
    Status,
    Body,
}

async fn request(
    address: SocketAddr,
    path: &str,
    line: &mut (dyn FnMut(&[u8]) + Send),
    want: Want,
) -> Result<u16, HttpError> {
    tokio::time::timeout(TIMEOUT, exchange(address, path, line, want))
        .await
        .map_err(|_| HttpError::Timeout)?
}

async fn exchange(
    address: SocketAddr,
    path: &str,
    line: &mut (dyn FnMut(&[u8]) + Send),
    want: Want,
) -> Result<u16, HttpError> {
    let mut stream = TcpStream::connect(address).await?;
    let text = format!("GET {path} HTTP/1.0\r\nHost: {address}\r\nUser-Agent: daymark-speaker\r\n\r\n");
    stream.write_all(text.as_bytes()).await?;
    let mut parser = Parser::default();
    let mut total = 0_usize;
    let mut chunk = vec![0_u8; 16 << 10];
    loop {
        let read = stream.read(&mut chunk).await?;
        total = total.saturating_add(read);
        if total > MAX_BODY {
            return Err(HttpError::Malformed);
        }
        parser.feed(chunk.get(..read).unwrap_or_default(), line)?;
        match (parser.status, want) {
            (Some(status), Want::Status) => return Ok(status),
            (Some(status), Want::Body) if read == 0 => {
                parser.finish(line);
                return Ok(status);
            }
            (None, _) if read == 0 => return Err(HttpError::Malformed),
            (Some(_) | None, Want::Status | Want::Body) => {}
        }
    }
}

/// Splits an answer into its status and the lines of its body.
#[derive(Default)]
struct Parser {
    status: Option<u16>,
    in_body: bool,
    rest: Vec<u8>,
}

impl Parser {
    fn feed(&mut self, mut bytes: &[u8], line: &mut (dyn FnMut(&[u8]) + Send)) -> Result<(), HttpError> {
        while let Some(end) = bytes.iter().position(|b| *b == b'\n') {
            let (head, tail) = bytes.split_at(end);
            bytes = tail.get(1..).unwrap_or_default();
            if self.rest.is_empty() {
                self.line(head, line)?;
            } else {
                let mut whole = std::mem::take(&mut self.rest);
                whole.extend_from_slice(head);
                self.line(&whole, line)?;
            }
        }
        if self.rest.len().saturating_add(bytes.len()) > MAX_LINE {
            return Err(HttpError::Malformed);
        }
        self.rest.extend_from_slice(bytes);
        Ok(())
    }

    fn finish(&mut self, line: &mut (dyn FnMut(&[u8]) + Send)) {
        if self.in_body && !self.rest.is_empty() {
            line(&self.rest);
        }
    }

    fn line(&mut self, text: &[u8], line: &mut (dyn FnMut(&[u8]) + Send)) -> Result<(), HttpError> {
        let text = text.strip_suffix(b"\r").unwrap_or(text);
        if self.in_body {
            line(text);
        } else if self.status.is_none() {
            self.status = Some(status_line(text).ok_or(HttpError::Malformed)?);
        } else if text.is_empty() {
            self.in_body = true;
        }
        Ok(())
    }
}

fn status_line(text: &[u8]) -> Option<u16> {
    let text = std::str::from_utf8(text).ok()?.strip_prefix("HTTP/1.")?;
    let code = text.get(2..5)?.parse().ok()?;
    (100..600).contains(&code).then_some(code)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(chunks: &[&str]) -> (Result<(), HttpError>, Option<u16>, Vec<String>) {
        let mut seen = Vec::new();
        let mut parser = Parser::default();
        let mut line = |l: &[u8]| seen.push(String::from_utf8(l.to_vec()).unwrap());
        let mut outcome = Ok(());
        for chunk in chunks {
            outcome = parser.feed(chunk.as_bytes(), &mut line);
            if outcome.is_err() {
                break;
            }
        }
        parser.finish(&mut line);
        (outcome, parser.status, seen)
    }

    #[test]
    fn lines_survive_any_chunking() {
        let (outcome, status, lines) =
            parse(&["HTTP/1.", "0 200 OK\r\nA: b\r\n", "\r\none\ntw", "o\nthr", "ee"]);
        assert!(outcome.is_ok());
        assert_eq!((status, lines), (Some(200), vec!["one".into(), "two".into(), "three".into()]));
    }

    #[test]
    fn what_is_no_http_is_refused() {
        for garbage in ["SSH-2.0-OpenSSH\r\n", "HTTP/1.1 abc\r\n", "HTTP/1.1 999 x\r\n", "\n"] {
            assert!(parse(&[garbage]).0.is_err(), "{garbage:?}");
        }
        assert!(parse(&["HTTP/1.0 200 OK\n", &"x".repeat(MAX_LINE + 1)]).0.is_err());
    }
}
