//! Whole frames of the meshes as a host puts them on a wire, for somebody to use again.

use std::process::Stdio;
use std::time::Duration;

use daymark_tests::lan::frame::Frame;
use daymark_tests::network::Network;
use daymark_tests::{Context, Lab, Result, command, ensure, wait_for};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Child;

/// The EtherType of a segment's mesh.
pub const MESH: u16 = 0x88b5;
const IPV4: [u8; 2] = [8, 0];
const IPV6: [u8; 2] = [0x86, 0xdd];
/// The port of the node network's mesh.
pub const PORT: u16 = 7947;

/// A capture of what a node sends into a network's mesh.
pub struct Tap {
    child: Child,
    file: tempfile::TempPath,
}

impl Tap {
    /// Starts it; from now on nothing is missed.
    pub async fn start(lab: &Lab, node: &str, network: Network) -> Result<Self> {
        let ports = lab.switches().ports(lab.node(node)?.netns(), network).await?;
        let filter = format!("ether proto {MESH:#x} or udp port {PORT}");
        let file = tempfile::NamedTempFile::new()?.into_temp_path();
        let mut command = lab.switches().netns().command("tcpdump");
        command.args(["-i", &ports[0], "-Q", "in", "-U", "-n", "--immediate-mode", "-Z", "root", "-w"]);
        command.arg(&file).arg(&filter);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        command.process_group(0).kill_on_drop(true);
        let mut child = command.spawn().context("tcpdump does not start")?;
        let mut said = BufReader::new(child.stderr.take().context("tcpdump has no standard error")?).lines();
        let listening = async {
            while let Some(line) = said.next_line().await? {
                if line.contains("listening on") {
                    return Ok(());
                }
            }
            daymark_tests::bail!("tcpdump ended")
        };
        tokio::time::timeout(Duration::from_secs(10), listening)
            .await
            .context("tcpdump does not listen")??;
        // Its last words have somewhere to go.
        tokio::spawn(async move { while let Ok(Some(_)) = said.next_line().await {} });
        Ok(Self { child, file })
    }

    /// Ends it and returns the frames, those to one receiver and those to all.
    pub async fn stop(mut self) -> Result<Vec<Frame>> {
        if let Some(pid) = self.child.id() {
            command::run("kill", &["-TERM", &pid.to_string()]).await?;
        }
        wait_for("the end of tcpdump", Duration::from_secs(10), async || {
            ensure!(self.child.try_wait()?.is_some(), "it runs");
            Ok(())
        })
        .await?;
        let mut frames = frames(&std::fs::read(&self.file)?)?;
        frames.retain(|frame| frame.get(12..14) != Some(&IPV6));
        for frame in frames.iter_mut().filter(|frame| frame.get(12..14) == Some(&IPV4)) {
            // Its sender left the sum to the cable's end; none at all is right too (RFC 768).
            frame[40..42].fill(0);
        }
        Ok(frames)
    }
}

/// The packets of a capture file.
fn frames(mut bytes: &[u8]) -> Result<Vec<Frame>> {
    bytes = bytes.get(24..).context("the capture has no header")?;
    let mut frames = Vec::new();
    while let Some((head, rest)) = bytes.split_at_checked(16) {
        let length = u32::from_le_bytes(head[8..12].try_into()?) as usize;
        let Some((frame, rest)) = rest.split_at_checked(length) else { break };
        frames.push(frame.to_vec());
        bytes = rest;
    }
    Ok(frames)
}
