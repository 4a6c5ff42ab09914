//! What a process uses, as the kernel counts it.

use std::time::Duration;

use daymark_tests::process::Process;
use daymark_tests::{Context, Result};

/// Clock ticks per second in `/proc/PID/stat`: fixed for user space on Linux.
const TICKS: u64 = 100;

/// CPU time and memory of a process.
#[derive(Clone, Copy, Debug)]
pub struct Usage {
    /// User and system time since its start.
    pub cpu: Duration,
    /// What it holds in memory.
    pub rss_mib: f64,
    /// The most it ever held.
    pub peak_mib: f64,
}

impl Usage {
    /// Of a running process.
    pub async fn of(process: &Process) -> Result<Self> {
        let pid = process.pid().await.with_context(|| format!("{} does not run", process.name()))?;
        let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
        Ok(Self {
            cpu: cpu(&stat).context("/proc/PID/stat cannot be read")?,
            rss_mib: mib(&status, "VmRSS:").context("no VmRSS")?,
            peak_mib: mib(&status, "VmHWM:").context("no VmHWM")?,
        })
    }
}

/// proc_pid_stat(5): fields 14 and 15; the second field, the name, ends with the last parenthesis.
fn cpu(stat: &str) -> Option<Duration> {
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(Duration::from_millis((user + system) * 1000 / TICKS))
}

fn mib(status: &str, name: &str) -> Option<f64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    let kib: f64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kib / 1024.0)
}
