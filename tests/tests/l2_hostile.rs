//! Layer 2 among stations that mean ill: gossip that is forged or old, floods, garbage, others' claims.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;
#[path = "l2_hostile/floods.rs"]
mod floods;
#[path = "l2_hostile/gossip.rs"]
mod gossip;
#[path = "l2_hostile/strangers.rs"]
mod strangers;
#[path = "l2_hostile/tap.rs"]
mod tap;

use daymark_tests::process::Process;
use daymark_tests::{Context, Lab, Result};

/// What a process holds in memory, in MiB.
async fn memory(process: &Process) -> Result<f64> {
    let pid = process.pid().await.with_context(|| format!("{} does not run", process.name()))?;
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
    let kib: f64 = line.split_whitespace().next().context("no number")?.parse()?;
    Ok(kib / 1024.0)
}

/// The sum of a speaker's counters or gauges whose name begins so.
async fn metric(lab: &Lab, node: &str, name: &str) -> Result<f64> {
    let text = lab.node(node)?.get("http://127.0.0.1:7472/metrics").await?;
    let lines = text.lines().filter(|line| line.starts_with(name));
    let values: Vec<f64> = lines.filter_map(|line| line.rsplit_once(' ')?.1.parse().ok()).collect();
    if values.is_empty() {
        daymark_tests::bail!("{node} has no {name}")
    }
    Ok(values.into_iter().sum())
}
