//! Frames at a steady pace, however high: so many each millisecond. It runs as a process of its own in a network namespace.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use daymark_tests::lan::frame::Frame;
use daymark_tests::netns::Netns;
use daymark_tests::network::Network;
use daymark_tests::{Context, Result, command, ensure};
use tokio::time::{MissedTickBehavior, interval};

#[path = "../lab-inject/packet.rs"]
mod packet;

/// Sends the frames of `file`, one in hexadecimal digits per line, for so many milliseconds, `each` of them in each.
pub async fn serve(file: &Path, each: usize, milliseconds: usize) -> Result<()> {
    let text = std::fs::read_to_string(file)?;
    let frames: Vec<Frame> = text.lines().map(bytes).collect::<Result<_>>()?;
    ensure!(!frames.is_empty(), "{} has no frames", file.display());
    let socket = packet::open(Network::Upstream.name())?;
    let mut all = frames.iter().cycle();
    let mut ticks = interval(Duration::from_millis(1));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    for _ in 0..milliseconds {
        ticks.tick().await;
        for frame in all.by_ref().take(each) {
            socket.send(frame)?;
        }
    }
    Ok(())
}

fn bytes(line: &str) -> Result<Frame> {
    let digits = (0..line.len()).step_by(2);
    digits
        .map(|at| u8::from_str_radix(line.get(at..at + 2).context("half a byte")?, 16).context("no digits"))
        .collect()
}

/// Sends `frames` from `netns`, one after the other, so many per second for so long.
pub async fn ask(
    netns: &Netns,
    folder: &Path,
    frames: &[Frame],
    rate: usize,
    length: Duration,
) -> Result<()> {
    let file: PathBuf = folder.join("questions");
    let hex = |frame: &Frame| frame.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    std::fs::write(&file, frames.iter().map(hex).collect::<Vec<_>>().join("\n"))?;
    let mut program = netns.command(std::env::current_exe()?);
    program.arg("questions").arg(&file);
    program.args([(rate / 1000).max(1).to_string(), length.as_millis().to_string()]);
    program.stdin(Stdio::null());
    command::capture(program, None).await.map(drop)
}
