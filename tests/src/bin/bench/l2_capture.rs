//! What goes over one cable, to a file, and read at the end: far more than could be followed while it goes.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use daymark_tests::lan::frame::Packet;
use daymark_tests::lan::record::Time;
use daymark_tests::{Context, Lab, Result, bail, command, ensure};
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStderr};
use tokio::time::{sleep, timeout};

const LIMIT: Duration = Duration::from_secs(10);
/// The kernel hands packets over in blocks, one that is not full after a second.
const HANDED_OVER: Duration = Duration::from_millis(1_500);
/// A capture with nanoseconds.
const MAGIC: [u8; 4] = 0xa1b2_3c4d_u32.to_le_bytes();
const ETHERNET: usize = 14;

/// What is captured on a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// What goes in and out.
    Both,
    /// What its host sends.
    FromHost,
}

/// A running capture of ARP and neighbor discovery on a port of the switch.
pub struct Capture {
    child: Child,
    said: Lines<BufReader<ChildStderr>>,
    file: PathBuf,
}

impl Capture {
    /// Starts it; from now on nothing is missed.
    pub async fn start(lab: &Lab, port: &str, heard: Heard) -> Result<Self> {
        let file = lab.directory().join("capture");
        let mut command = lab.switches().netns().command("tcpdump");
        command.args([
            "-i",
            port,
            "-n",
            "-s",
            "128",
            "-B",
            "65536",
            "-Z",
            "root",
            "--time-stamp-precision=nano",
        ]);
        if heard == Heard::FromHost {
            command.args(["-Q", "in"]);
        }
        command.arg("-w").arg(&file).arg("arp or icmp6");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        command.process_group(0).kill_on_drop(true);
        let mut child = command.spawn().context("tcpdump does not start")?;
        let said = BufReader::new(child.stderr.take().context("tcpdump has no standard error")?).lines();
        let mut capture = Self { child, said, file };
        capture.until("listening on").await?;
        Ok(capture)
    }

    /// Ends it and returns the packets with their times. One that the kernel had no room for is an error.
    pub async fn stop(mut self) -> Result<Vec<(Time, Packet)>> {
        sleep(HANDED_OVER).await;
        let pid = self.child.id().context("tcpdump has ended")?;
        command::run("kill", &["-TERM", &pid.to_string()]).await?;
        let dropped = self.until("dropped by kernel").await?;
        ensure!(dropped.starts_with("0 "), "the capture is not whole: {dropped}");
        timeout(LIMIT, self.child.wait()).await.context("tcpdump does not end")??;
        read(&std::fs::read(&self.file)?)
    }

    async fn until(&mut self, words: &str) -> Result<String> {
        let line = async {
            while let Some(line) = self.said.next_line().await? {
                if line.contains(words) {
                    return Ok(line);
                }
            }
            bail!("tcpdump ended")
        };
        timeout(LIMIT, line).await.with_context(|| format!("tcpdump does not say {words:?}"))?
    }
}

fn read(bytes: &[u8]) -> Result<Vec<(Time, Packet)>> {
    let (header, mut rest) = bytes.split_at_checked(24).context("the capture has no header")?;
    ensure!(header.starts_with(&MAGIC), "the capture has another format");
    let mut packets = Vec::new();
    while let Some((head, behind)) = rest.split_at_checked(16) {
        let word = |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
        let length = usize::try_from(word(8))?;
        let (frame, behind) = behind.split_at_checked(length).context("the capture is cut off")?;
        let at = Time(u64::from(word(0)) * 1_000_000_000 + u64::from(word(4)));
        if let Some((ethernet, payload)) = frame.split_at_checked(ETHERNET)
            && let Some(packet) = Packet::read(u16::from_be_bytes([ethernet[12], ethernet[13]]), payload)
        {
            packets.push((at, packet));
        }
        rest = behind;
    }
    Ok(packets)
}
