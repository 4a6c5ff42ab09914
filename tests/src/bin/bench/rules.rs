//! When kube-proxy wrote the rule of an address: the kernel tells every new element of an nftables set.
//!
//! `nft monitor` reads the whole ruleset before it shows what is new, which takes minutes beside 10,000 Services. The
//! messages themselves name the set and the key, so this reads only them; it runs as a process of its own in a network
//! namespace and prints one JSON line per message.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};
use std::process::Stdio;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use daymark_tests::netns::Netns;
use daymark_tests::{Context, Result, bail};
use netlink_sys::protocols::NETLINK_NETFILTER;
use netlink_sys::{Socket, SocketAddr};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout};
use tokio::time::timeout;

// linux/netfilter/nfnetlink.h and nf_tables.h.
const NFNLGRP_NFTABLES: u32 = 7;
const NEW_SET_ELEMENT: u16 = (10 << 8) | 12;
const ELEMENT_LIST_SET: u16 = 2;
const ELEMENT_LIST_ELEMENTS: u16 = 3;
const LIST_ELEMENT: u16 = 1;
const ELEMENT_KEY: u16 = 1;
const DATA_VALUE: u16 = 1;
/// The map of kube-proxy from (address, protocol, port) to the chain of a Service.
const SERVICE_IPS: &[u8] = b"service-ips\0";
/// Room for the messages of a sync that rewrites everything.
const RECEIVE_BUFFER: u32 = 64 << 20;

/// Addresses whose elements came in one message.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Written {
    at_us: u64,
    addresses: Vec<Ipv4Addr>,
}

/// Prints what is written, for ever.
pub fn serve() -> Result<()> {
    let mut socket = Socket::new(NETLINK_NETFILTER)?;
    socket.set_rx_buf_sz(RECEIVE_BUFFER)?;
    socket.bind(&SocketAddr::new(0, 0))?;
    socket.add_membership(NFNLGRP_NFTABLES)?;
    // The first line says that nothing is missed from here on.
    println!("{}", serde_json::to_string(&Written::default())?);
    loop {
        let (datagram, _) = socket.recv_from_full().context("messages were lost")?;
        let at_us = u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_micros())?;
        let addresses = addresses(&datagram).context("a message that makes no sense")?;
        if !addresses.is_empty() {
            println!("{}", serde_json::to_string(&Written { at_us, addresses })?);
        }
    }
}

/// The IPv4 addresses of new elements in all messages of a datagram.
fn addresses(mut datagram: &[u8]) -> Option<Vec<Ipv4Addr>> {
    let mut found = Vec::new();
    while datagram.len() >= 16 {
        let length = u32::from_ne_bytes(datagram.get(..4)?.try_into().ok()?) as usize;
        let kind = u16::from_ne_bytes(datagram.get(4..6)?.try_into().ok()?);
        let message = datagram.get(16..length)?;
        if kind == NEW_SET_ELEMENT {
            // Behind the family, version and resource of nfgenmsg.
            new_elements(message.get(4..)?, &mut found)?;
        }
        datagram = datagram.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    Some(found)
}

fn new_elements(attributes: &[u8], found: &mut Vec<Ipv4Addr>) -> Option<()> {
    if attribute(attributes, ELEMENT_LIST_SET)? != SERVICE_IPS {
        return Some(());
    }
    for (kind, element) in each(attribute(attributes, ELEMENT_LIST_ELEMENTS)?) {
        let key = (kind == LIST_ELEMENT).then(|| attribute(element, ELEMENT_KEY)).flatten();
        let key = key.and_then(|key| attribute(key, DATA_VALUE)).unwrap_or_default();
        found
            .extend(key.first_chunk::<4>().filter(|_| key.len() == 12).map(|octets| Ipv4Addr::from(*octets)));
    }
    Some(())
}

fn attribute(attributes: &[u8], wanted: u16) -> Option<&[u8]> {
    each(attributes).find(|(kind, _)| *kind == wanted).map(|(_, value)| value)
}

/// Netlink attributes: length and kind in host order, padded to 4; the two highest bits of the kind are flags.
fn each(mut attributes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let length = usize::from(u16::from_ne_bytes(attributes.get(..2)?.try_into().ok()?));
        let kind = u16::from_ne_bytes(attributes.get(2..4)?.try_into().ok()?);
        let value = attributes.get(4..length)?;
        attributes = attributes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind & 0x3fff, value))
    })
}

/// Follows the rules of a node.
pub struct RuleMonitor {
    _child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl RuleMonitor {
    /// Starts it and waits until nothing is missed any more.
    pub async fn start(netns: &Netns) -> Result<Self> {
        let mut command = netns.command(std::env::current_exe()?);
        command.arg("rules").stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn()?;
        let lines = BufReader::new(child.stdout.take().context("no output")?).lines();
        let mut monitor = Self { _child: child, lines };
        monitor.next(Duration::from_secs(10)).await.context("the first line")?;
        Ok(monitor)
    }

    async fn next(&mut self, limit: Duration) -> Result<Written> {
        let line = timeout(limit, self.lines.next_line()).await??;
        Ok(serde_json::from_str(&line.context("the monitor of rules has ended")?)?)
    }

    /// When the rule of each of `wanted` came first, since the start.
    pub async fn collect(
        &mut self,
        wanted: impl Iterator<Item = IpAddr> + Clone,
        limit: Duration,
    ) -> Result<HashMap<IpAddr, SystemTime>> {
        let mut moments = HashMap::new();
        while !wanted.clone().all(|address| moments.contains_key(&address)) {
            let Ok(written) = self.next(limit).await else {
                bail!("rules for {} of {} Services were seen", moments.len(), wanted.count());
            };
            let at = UNIX_EPOCH + Duration::from_micros(written.at_us);
            for address in written.addresses {
                moments.entry(address.into()).or_insert(at);
            }
        }
        Ok(moments)
    }
}
