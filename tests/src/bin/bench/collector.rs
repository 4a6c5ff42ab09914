//! A BGP neighbor that only listens: it answers OPEN and KEEPALIVE and writes down when which route came or went.
//!
//! It runs as a process of its own in a network namespace and prints one JSON line per UPDATE.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::Stdio;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use daymark_tests::netns::Netns;
use daymark_tests::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Child;
use tokio::sync::mpsc;
use tokio::time::timeout;

// RFC 4271 section 4.1.
const OPEN: u8 = 1;
const UPDATE: u8 = 2;
const KEEPALIVE: u8 = 4;
// RFC 4760 section 3 and 4.
const MP_REACH: u8 = 14;
const MP_UNREACH: u8 = 15;
const IPV4_UNICAST: [u8; 3] = [0, 1, 1];

/// One UPDATE, IPv4 host routes only.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Update {
    at_us: u64,
    /// Routes that came.
    pub announced: Vec<Ipv4Addr>,
    /// Routes that went.
    pub withdrawn: Vec<Ipv4Addr>,
}

impl Update {
    /// When its last byte was read.
    pub fn at(&self) -> SystemTime {
        UNIX_EPOCH + Duration::from_micros(self.at_us)
    }
}

/// Listens for one neighbor after the other, for ever.
pub fn serve(listen: SocketAddr, asn: u32) -> Result<()> {
    let listener = TcpListener::bind(listen).with_context(|| listen.to_string())?;
    let IpAddr::V4(identifier) = listen.ip() else { bail!("an IPv4 address is needed") };
    // The first line says that connections are accepted.
    println!("{}", serde_json::to_string(&Update::default())?);
    loop {
        let (stream, neighbor) = listener.accept()?;
        if let Err(error) = session(stream, identifier, asn) {
            eprintln!("the session with {neighbor} ended: {error:#}");
        }
    }
}

fn session(mut stream: TcpStream, identifier: Ipv4Addr, asn: u32) -> Result<()> {
    stream.set_nodelay(true)?;
    loop {
        let (kind, body) = read(&mut stream)?;
        match kind {
            OPEN => {
                stream.write_all(&message(OPEN, &open(identifier, asn)))?;
                stream.write_all(&message(KEEPALIVE, &[]))?;
            }
            KEEPALIVE => stream.write_all(&message(KEEPALIVE, &[]))?,
            UPDATE => {
                let mut update = decode(&body).context("an UPDATE that makes no sense")?;
                update.at_us = u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_micros())?;
                println!("{}", serde_json::to_string(&update)?);
            }
            _ => bail!("message type {kind}: {body:?}"),
        }
    }
}

fn read(stream: &mut TcpStream) -> Result<(u8, Vec<u8>)> {
    let mut header = [0; 19];
    stream.read_exact(&mut header)?;
    let length = usize::from(u16::from_be_bytes([header[16], header[17]]));
    let mut body = vec![0; length.checked_sub(header.len()).context("a length below 19")?];
    stream.read_exact(&mut body)?;
    Ok((header[18], body))
}

fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = u16::try_from(19 + body.len()).unwrap_or(u16::MAX);
    [&[0xff; 16][..], &length.to_be_bytes(), &[kind], body].concat()
}

/// Both families, route refresh, 4-byte AS numbers.
fn open(identifier: Ipv4Addr, asn: u32) -> Vec<u8> {
    let capabilities = [&[1, 4, 0, 1, 0, 1, 1, 4, 0, 2, 0, 1, 2, 0, 65, 4][..], &asn.to_be_bytes()].concat();
    let length = u8::try_from(capabilities.len()).unwrap_or_default();
    // RFC 6793: AS_TRANS stands for a number that does not fit.
    let short = u16::try_from(asn).unwrap_or(23456).to_be_bytes();
    [&[4][..], &short, &180_u16.to_be_bytes(), &identifier.octets(), &[length + 2, 2, length], &capabilities]
        .concat()
}

fn decode(body: &[u8]) -> Option<Update> {
    let (withdrawn, rest) = counted(body)?;
    let (mut attributes, announced) = counted(rest)?;
    let mut update = Update { at_us: 0, announced: prefixes(announced)?, withdrawn: prefixes(withdrawn)? };
    while let [flags, kind, rest @ ..] = attributes {
        // RFC 4271 section 4.3: the extended length bit.
        let (value, rest) = if flags & 0x10 == 0 {
            let (length, rest) = rest.split_first()?;
            rest.split_at_checked(usize::from(*length))?
        } else {
            counted(rest)?
        };
        attributes = rest;
        let Some(routes) = value.strip_prefix(&IPV4_UNICAST) else { continue };
        if *kind == MP_REACH {
            let (length, rest) = routes.split_first()?;
            update.announced.extend(prefixes(rest.get(usize::from(*length) + 1..)?)?);
        } else if *kind == MP_UNREACH {
            update.withdrawn.extend(prefixes(routes)?);
        }
    }
    Some(update)
}

/// A field with its length in two bytes before it, and what follows it.
fn counted(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<2>()?;
    rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))
}

fn prefixes(mut bytes: &[u8]) -> Option<Vec<Ipv4Addr>> {
    let mut found = Vec::new();
    while let Some((bits, rest)) = bytes.split_first() {
        let (prefix, rest) = rest.split_at_checked(usize::from(*bits).div_ceil(8))?;
        bytes = rest;
        if let Ok(octets) = <[u8; 4]>::try_from(prefix) {
            found.push(octets.into());
        }
    }
    Some(found)
}

/// A collector in a namespace.
#[derive(Debug)]
pub struct Collector {
    _child: Child,
    updates: mpsc::UnboundedReceiver<Update>,
}

impl Collector {
    /// Starts it and waits until it listens.
    pub async fn start(netns: &Netns, listen: SocketAddr, asn: u32) -> Result<Self> {
        let mut command = netns.command(std::env::current_exe()?);
        command.args(["collector", &listen.to_string(), &asn.to_string()]);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn()?;
        let mut lines = BufReader::new(child.stdout.take().context("no output")?).lines();
        let (sender, updates) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                let Ok(update) = serde_json::from_str(&line) else { continue };
                if sender.send(update).is_err() {
                    return;
                }
            }
        });
        let mut collector = Self { _child: child, updates };
        collector.next(Duration::from_secs(10)).await.context("the collector does not listen")?;
        Ok(collector)
    }

    /// The next UPDATE.
    ///
    /// # Errors
    /// When none comes within `limit`.
    pub async fn next(&mut self, limit: Duration) -> Result<Update> {
        match timeout(limit, self.updates.recv()).await {
            Ok(Some(update)) => Ok(update),
            Ok(None) => bail!("the collector has ended"),
            Err(_) => bail!("no UPDATE for {limit:?}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn routes_are_found_in_every_place() {
        let attributes: &[u8] = &[
            0x40, 1, 1, 0, // ORIGIN
            0x80, 14, 14, 0, 1, 1, 4, 10, 0, 0, 1, 0, 32, 192, 0, 2, 1, // MP_REACH_NLRI
            0x90, 15, 0, 8, 0, 1, 1, 32, 192, 0, 2, 2, // MP_UNREACH_NLRI, extended length
        ];
        let length = u16::try_from(attributes.len()).unwrap().to_be_bytes();
        let body = [&[0, 5, 32, 192, 0, 2, 3][..], &length, attributes, &[32, 192, 0, 2, 4]].concat();
        let update = decode(&body).unwrap();
        assert_eq!(update.announced, [Ipv4Addr::new(192, 0, 2, 4), Ipv4Addr::new(192, 0, 2, 1)]);
        assert_eq!(update.withdrawn, [Ipv4Addr::new(192, 0, 2, 3), Ipv4Addr::new(192, 0, 2, 2)]);
    }
}
