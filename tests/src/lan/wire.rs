//! The capture of every ARP and neighbor discovery frame that enters a network, at the switch's port where it enters.
//!
//! `tcpdump` hears all ports at once and stamps each frame with the kernel's time; this reads its stream.

use std::collections::BTreeMap;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use daymark_model::MacAddr;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::{Child, ChildStdout};
use tokio::task::JoinHandle;

use super::frame::{Cast, Packet};
use super::record::{Record, Seen, Time};
use crate::netns::Netns;
use crate::network::{Mute, Network, Switches};
use crate::wait::wait_for;

const FILTER: &str = "arp or (icmp6 and (ip6[40] == 135 or ip6[40] == 136))";
/// More frames are an error: at the prober's pace for four addresses this is a quarter of an hour.
const FRAMES_KEPT: usize = 1_000_000;
/// The header of a capture of several interfaces (LINKTYPE_LINUX_SLL2).
const COOKED: usize = 20;
/// A capture with nanoseconds.
const MAGIC: [u8; 4] = 0xa1b2_3c4d_u32.to_le_bytes();

/// A frame with the number of the interface where it came in.
#[derive(Clone, Debug)]
struct Raw {
    at: Time,
    port: u32,
    source: MacAddr,
    cast: Cast,
    packet: Packet,
}

#[derive(Debug, Default)]
struct Store {
    frames: Vec<Raw>,
    failed: Option<String>,
}

/// A running capture.
#[derive(Debug)]
pub struct Wire {
    child: Child,
    reader: JoinHandle<()>,
    store: Arc<Mutex<Store>>,
    switch: Netns,
    network: Network,
    mutes: Arc<Mutex<Vec<Mute>>>,
    lab_prefix: String,
}

/// A port of the network.
struct Port {
    host: Arc<str>,
    mutes: Vec<Mute>,
}

impl Wire {
    /// Starts it; when this returns, every frame from now on is recorded.
    ///
    /// # Errors
    /// When `tcpdump` does not run.
    pub async fn start(switches: &Switches, network: Network) -> Result<Self> {
        let mut command = switches.netns().command("tcpdump");
        command.args(["-i", "any", "-y", "LINUX_SLL2", "-Q", "in", "--immediate-mode", "-U", "-n"]);
        // The buffer has slots of the snapshot length, whatever a frame's: short ones make it hold bursts.
        command.args(["--time-stamp-precision=nano", "-s", "256", "-B", "16384", "-w", "-", FILTER]);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.process_group(0).kill_on_drop(true);
        let mut child = command.spawn().context("tcpdump does not start")?;
        let stdout = child.stdout.take().context("tcpdump has no standard output")?;
        let stderr = child.stderr.take().context("tcpdump has no standard error")?;
        let mut said = BufReader::new(stderr).lines();
        let listening = async {
            while let Some(line) = said.next_line().await? {
                if line.contains("listening on") {
                    return Ok(());
                }
            }
            bail!("tcpdump ended")
        };
        tokio::time::timeout(Duration::from_secs(10), listening)
            .await
            .context("tcpdump does not listen")??;
        let store = Arc::new(Mutex::new(Store::default()));
        let into = Arc::clone(&store);
        let reader = tokio::spawn(async move {
            // tcpdump's last words would block it when nobody reads them.
            let rest = async {
                let mut dropped = None;
                while let Ok(Some(line)) = said.next_line().await {
                    if line.contains("dropped by kernel") && !line.starts_with("0 ") {
                        dropped = Some(line);
                    }
                }
                dropped
            };
            let (read, dropped) = tokio::join!(read_all(stdout, &into), rest);
            let failed = read.err().map(|error| format!("{error:#}")).or(dropped);
            if let Some(failed) = failed {
                locked(&into).failed = Some(failed);
            }
        });
        Ok(Self {
            child,
            reader,
            store,
            switch: switches.netns().clone(),
            network,
            mutes: Arc::clone(switches.mutes()),
            lab_prefix: switches.lab().netns(""),
        })
    }

    /// What has been seen so far.
    ///
    /// # Errors
    /// When the capture has failed.
    pub async fn record(&self) -> Result<Record> {
        self.record_after(Time::default()).await
    }

    /// What has been seen after `since`.
    ///
    /// # Errors
    /// When the capture has failed.
    pub async fn record_after(&self, since: Time) -> Result<Record> {
        let ports = self.ports().await?;
        let store = locked(&self.store);
        if let Some(failed) = &store.failed {
            bail!("the capture failed: {failed}");
        }
        // Frames of different ports may be a little out of order.
        let slack = since.before(Duration::from_secs(1));
        let begin = store.frames.partition_point(|raw| raw.at < slack);
        let mut frames: Vec<Seen> = store.frames[begin..]
            .iter()
            .filter(|raw| raw.at > since)
            .filter_map(|raw| {
                // Other networks and the bridges themselves are not among the ports.
                let port = ports.get(&raw.port)?;
                let muted = port
                    .mutes
                    .iter()
                    .any(|mute| raw.at >= mute.from && mute.to.is_none_or(|to| raw.at <= to));
                let Raw { at, source, cast, packet, .. } = *raw;
                (!muted).then(|| Seen { at, host: Arc::clone(&port.host), source, cast, packet })
            })
            .collect();
        frames.sort_by_key(|seen| seen.at);
        Ok(Record { frames, end: Time::now() })
    }

    /// Ends the capture once everything up to now has come through, and returns it all.
    ///
    /// # Errors
    /// When the capture has failed or `tcpdump` does not end.
    pub async fn stop(mut self) -> Result<Record> {
        let end = Time::now();
        if let Some(pid) = self.child.id() {
            crate::command::run("kill", &["-TERM", &pid.to_string()]).await?;
        }
        let ended = tokio::time::timeout(Duration::from_secs(10), &mut self.reader).await;
        ended.context("tcpdump does not end")?.context("the reader of tcpdump")?;
        Ok(Record { end, ..self.record().await? })
    }

    /// Waits until a frame that fits has been seen after `since`.
    ///
    /// # Errors
    /// When the deadline passes.
    pub async fn until(
        &self,
        what: &str,
        since: Time,
        deadline: Duration,
        fits: impl Fn(&Seen) -> bool,
    ) -> Result<Seen> {
        wait_for(what, deadline, async || {
            let record = self.record_after(since).await?;
            let found = record.frames.iter().find(|seen| fits(seen)).cloned();
            found.with_context(|| format!("{} frames, none of them", record.frames.len()))
        })
        .await
    }

    /// The network's ports, by the number of their interface.
    async fn ports(&self) -> Result<BTreeMap<u32, Port>> {
        let text = self.switch.ip(&format!("-json link show master {}", self.network.name())).await?;
        let links: Vec<Value> = serde_json::from_str(&text)?;
        let mutes = self.mutes.lock().unwrap_or_else(PoisonError::into_inner);
        let ports = links.iter().filter_map(|link| {
            let host = link["ifalias"].as_str()?.strip_prefix(&self.lab_prefix)?;
            let mutes = mutes.iter().filter(|mute| link["ifname"] == mute.port).cloned().collect();
            Some((u32::try_from(link["ifindex"].as_u64()?).ok()?, Port { host: Arc::from(host), mutes }))
        });
        Ok(ports.collect())
    }
}

fn locked(store: &Mutex<Store>) -> std::sync::MutexGuard<'_, Store> {
    store.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn read_all(stdout: ChildStdout, into: &Mutex<Store>) -> Result<()> {
    let mut stream = BufReader::new(stdout);
    let mut header = [0; 24];
    stream.read_exact(&mut header).await.context("the capture has no header")?;
    ensure!(header[..4] == MAGIC, "the capture has another format: {header:02x?}");
    let mut packet = Vec::new();
    let mut head = [0; 16];
    loop {
        match stream.read_exact(&mut head).await {
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => return Ok(()),
            Err(error) => return Err(error.into()),
        }
        let [seconds, nanos, length, _] = [0, 4, 8, 12].map(|at| word(&head, at));
        packet.resize(usize::try_from(length)?, 0);
        stream.read_exact(&mut packet).await.context("the capture is cut off")?;
        let at = Time(u64::from(seconds) * 1_000_000_000 + u64::from(nanos));
        if let Some(raw) = read(at, &packet) {
            let mut store = locked(into);
            ensure!(store.frames.len() < FRAMES_KEPT, "more than {FRAMES_KEPT} frames");
            store.frames.push(raw);
        }
    }
}

fn word(bytes: &[u8; 16], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

fn read(at: Time, packet: &[u8]) -> Option<Raw> {
    let (head, payload) = packet.split_at_checked(COOKED)?;
    let cast = match head[10] {
        1 => Cast::Broadcast,
        2 => Cast::Multicast,
        _ => Cast::Unicast,
    };
    Some(Raw {
        at,
        port: u32::from_be_bytes(head[4..8].try_into().ok()?),
        source: MacAddr(head[12..18].try_into().ok()?),
        cast,
        packet: Packet::read(u16::from_be_bytes(head[..2].try_into().ok()?), payload)?,
    })
}
