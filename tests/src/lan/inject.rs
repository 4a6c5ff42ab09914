//! Frames of a test's own making, sent from a namespace by `lab-inject`.

use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::process::Child;

use super::frame::Frame;
use crate::command::capture;
use crate::netns::Netns;
use crate::network::Network;
use crate::tools;

/// Frames that are being sent, until this is dropped.
#[derive(Debug)]
pub struct Injection {
    child: Child,
}

impl Injection {
    /// Ends it.
    ///
    /// # Errors
    /// When it had ended by itself, which it does only when the kernel refuses.
    pub async fn stop(mut self) -> Result<()> {
        if let Some(status) = self.child.try_wait()? {
            bail!("lab-inject ended by itself: {status}");
        }
        self.child.kill().await.context("lab-inject cannot be ended")
    }
}

/// Sends each frame once from the interface of `netns` on `network`.
///
/// # Errors
/// When the kernel refuses.
pub async fn once(netns: &Netns, network: Network, frames: &[Frame]) -> Result<()> {
    capture(command(netns, network, frames, &["--rounds", "1"])?, None).await.map(drop)
}

/// Sends all frames one after the other, again and again, one per `pause`.
///
/// # Errors
/// When the program cannot be started.
pub fn repeat(netns: &Netns, network: Network, frames: &[Frame], pause: Duration) -> Result<Injection> {
    let mut command = command(netns, network, frames, &["--pause-us", &pause.as_micros().to_string()])?;
    command.stdin(Stdio::null()).process_group(0).kill_on_drop(true);
    Ok(Injection { child: command.spawn().context("lab-inject does not start")? })
}

fn command(
    netns: &Netns,
    network: Network,
    frames: &[Frame],
    options: &[&str],
) -> Result<tokio::process::Command> {
    let mut command = netns.command(tools::binary("lab-inject")?);
    command.args(["--interface", network.name()]).args(options);
    command
        .args(frames.iter().map(|frame| frame.iter().map(|byte| format!("{byte:02x}")).collect::<String>()));
    Ok(command)
}
