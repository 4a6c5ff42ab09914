//! One network namespace of a lab.

use std::ffi::OsStr;
use std::path::PathBuf;

use anyhow::{Context, Result};
use daymark_model::MacAddr;
use tokio::process::Command;

use crate::command::{capture, run};
use crate::process::Signal;

/// A named network namespace. It belongs to its lab, which removes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Netns {
    name: String,
}

impl Netns {
    /// The namespace `name`, which exists or is about to be made.
    pub fn named(name: impl Into<String>) -> Self {
        Self { name: name.into() }
    }

    /// Its name, as `ip netns` shows it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The file that keeps it alive.
    pub fn path(&self) -> PathBuf {
        PathBuf::from("/run/netns").join(&self.name)
    }

    /// A command that runs `program` in this namespace.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net={}", self.path().display())).arg("--").arg(program);
        command
    }

    /// Runs `program` in this namespace and returns its standard output.
    ///
    /// # Errors
    /// As [`run`].
    pub async fn run<S: AsRef<OsStr>>(&self, program: &str, arguments: &[S]) -> Result<String> {
        let mut command = self.command(program);
        command.args(arguments);
        capture(command, None).await
    }

    /// Runs `ip` with the words of `line` in this namespace.
    ///
    /// # Errors
    /// As [`run`].
    pub async fn ip(&self, line: &str) -> Result<String> {
        let words: Vec<&str> = ["-n", &self.name].into_iter().chain(line.split_whitespace()).collect();
        run("ip", &words).await
    }

    /// Runs many lines of `ip` in one process.
    ///
    /// # Errors
    /// As [`run`]; the first line that fails ends it.
    pub async fn ip_batch(&self, lines: &[String]) -> Result<()> {
        ip_batch(Some(self), lines).await
    }

    /// The Ethernet address of `interface`.
    ///
    /// # Errors
    /// When there is no such interface.
    pub async fn mac(&self, interface: &str) -> Result<MacAddr> {
        let text = self.ip(&format!("-json link show dev {interface}")).await?;
        let links: Vec<serde_json::Value> = serde_json::from_str(&text)?;
        let mac = links.first().and_then(|link| link["address"].as_str());
        Ok(mac.with_context(|| format!("{interface} has no Ethernet address"))?.parse()?)
    }

    /// The processes in it.
    ///
    /// # Errors
    /// When it is gone.
    pub async fn pids(&self) -> Result<Vec<String>> {
        let text = run("ip", &["netns", "pids", &self.name]).await?;
        Ok(text.split_whitespace().map(str::to_owned).collect())
    }

    /// Sends a signal to all processes in it.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub async fn signal_all(&self, signal: Signal) -> Result<()> {
        let mut arguments = vec![signal.name().to_owned()];
        arguments.extend(self.pids().await?);
        if arguments.len() > 1 {
            run("kill", &arguments).await?;
        }
        Ok(())
    }

    /// Sets kernel parameters: pairs of a path below `/proc/sys/net` and a value.
    ///
    /// # Errors
    /// When one of them cannot be written.
    pub async fn sysctl(&self, settings: &[(&str, &str)]) -> Result<()> {
        let script: String = settings
            .iter()
            .map(|(path, value)| format!("echo '{value}' > /proc/sys/net/{path} || exit 1\n"))
            .collect();
        self.run("sh", &["-c", &script]).await.map(drop)
    }

    /// Loads an nftables script.
    ///
    /// # Errors
    /// When nft refuses it.
    pub async fn nft(&self, script: &str) -> Result<()> {
        let mut command = self.command("nft");
        command.args(["-f", "-"]);
        capture(command, Some(script)).await.map(drop)
    }

    /// The kernel's counter `name` of this namespace, as `/proc/net/netstat` and `/proc/net/snmp` name it
    /// (for example `TCPSynRetrans`).
    ///
    /// # Errors
    /// When there is no such counter.
    pub async fn counter(&self, name: &str) -> Result<u64> {
        let text = self.run("cat", &["/proc/net/netstat", "/proc/net/snmp"]).await?;
        crate::report::counter(&text, name).with_context(|| format!("the kernel has no counter {name}"))
    }
}

/// Runs many lines of `ip` in one process, in a namespace or in the root namespace.
///
/// # Errors
/// As [`run`]; the first line that fails ends it.
pub async fn ip_batch(netns: Option<&Netns>, lines: &[String]) -> Result<()> {
    let mut command = Command::new("ip");
    if let Some(netns) = netns {
        command.args(["-n", netns.name()]);
    }
    command.args(["-batch", "-"]);
    capture(command, Some(&lines.join("\n")))
        .await
        .with_context(|| format!("lines:\n{}", lines.join("\n")))
        .map(drop)
}
