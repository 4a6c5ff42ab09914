//! Traffic from a namespace: `lab-load` with its progress and its report.

use std::net::SocketAddr;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Child;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::command::run;
use crate::netns::Netns;
use crate::report::{Line, Report};
use crate::tools;

/// A load that is not started yet.
#[derive(Clone, Debug)]
pub struct LoadSpec {
    netns: Netns,
    target: SocketAddr,
    rate: u32,
    timeout: Duration,
    duration: Option<Duration>,
    protocol: &'static str,
}

impl LoadSpec {
    /// 200 new TCP connections per second from `netns` to `target`, one request each, given up after 5 s.
    pub fn new(netns: &Netns, target: SocketAddr) -> Self {
        Self {
            netns: netns.clone(),
            target,
            rate: 200,
            timeout: Duration::from_secs(5),
            duration: None,
            protocol: "tcp",
        }
    }

    /// So many requests per second, each on a connection of its own.
    #[must_use]
    pub fn rate(mut self, per_second: u32) -> Self {
        self.rate = per_second;
        self
    }

    /// How long a request may take from its first packet to the whole answer.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Ends by itself after this time.
    #[must_use]
    pub fn duration(mut self, duration: Duration) -> Self {
        self.duration = Some(duration);
        self
    }

    /// Datagrams, each from a port of its own, instead of connections.
    #[must_use]
    pub fn udp(mut self) -> Self {
        self.protocol = "udp";
        self
    }

    /// Starts it.
    ///
    /// # Errors
    /// When the program cannot be started.
    pub async fn start(self) -> Result<Load> {
        let mut command = self.netns.command(tools::binary("lab-load")?);
        command.args(["--protocol", self.protocol]);
        command.args([
            "--rate",
            &self.rate.to_string(),
            "--timeout-ms",
            &self.timeout.as_millis().to_string(),
        ]);
        if let Some(duration) = self.duration {
            command.args(["--duration-ms", &duration.as_millis().to_string()]);
        }
        command.arg(self.target.to_string());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.process_group(0).kill_on_drop(true);
        let mut child = command.spawn().context("lab-load does not start")?;
        let stdout = child.stdout.take().context("lab-load has no standard output")?;
        let (progress, seen) = watch::channel(Progress::default());
        let reader = tokio::spawn(async move {
            let mut lines = BufReader::new(stdout).lines();
            while let Some(line) = lines.next_line().await? {
                match serde_json::from_str(&line).with_context(|| line.clone())? {
                    Line::Progress { sent, answered, failed } => {
                        progress.send_replace(Progress { sent, answered, failed });
                    }
                    Line::Report(report) => return Ok(report),
                }
            }
            bail!("lab-load ended without a report")
        });
        Ok(Load { child, seen, reader, timeout: self.timeout })
    }

    /// Starts it, waits for its end and returns the report.
    ///
    /// # Errors
    /// When it has no duration, or the program fails.
    pub async fn run(self) -> Result<Report> {
        ensure!(self.duration.is_some(), "a load without a duration ends only when it is stopped");
        self.start().await?.report().await
    }
}

/// How far a load is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Requests sent.
    pub sent: u64,
    /// Requests answered in time.
    pub answered: u64,
    /// Requests not answered in time.
    pub failed: u64,
}

/// A running load.
#[derive(Debug)]
pub struct Load {
    child: Child,
    seen: watch::Receiver<Progress>,
    reader: JoinHandle<Result<Report>>,
    timeout: Duration,
}

impl Load {
    /// How far it is; a quarter of a second old at most.
    pub fn progress(&self) -> Progress {
        *self.seen.borrow()
    }

    /// Waits until so many more requests than now have been sent: at 200 per second, 6,000 are 30 s.
    ///
    /// # Errors
    /// When the load ends before.
    pub async fn until_sent(&mut self, more: u64) -> Result<()> {
        let goal = self.progress().sent + more;
        let seen = self.seen.wait_for(|progress| progress.sent >= goal).await;
        seen.map(drop).with_context(|| format!("the load ended before {goal} requests were sent"))
    }

    /// Stops sending, waits for what is under way and returns the report.
    ///
    /// # Errors
    /// When the program fails.
    pub async fn stop(self) -> Result<Report> {
        if let Some(pid) = self.child.id() {
            run("kill", &["-TERM", &pid.to_string()]).await?;
        }
        let limit = self.timeout + Duration::from_secs(30);
        tokio::time::timeout(limit, self.report()).await.context("lab-load does not stop")?
    }

    /// Waits for its end and returns the report.
    ///
    /// # Errors
    /// When the program fails.
    pub async fn report(mut self) -> Result<Report> {
        let report = self.reader.await.context("the reader of lab-load")??;
        let status = self.child.wait().await?;
        ensure!(status.success(), "lab-load: {status}");
        Ok(report)
    }
}
