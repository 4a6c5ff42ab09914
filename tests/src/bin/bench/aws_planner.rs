//! Deciding, in real time: what is wanted, and what has to be done.

use std::hint::black_box;
use std::time::Instant;

use daymark_aws::plan::plan;
use daymark_providers::{Cloud, Depth};
use daymark_tests::{Context, Result, ensure};

use crate::aws_fleet::Fleet;
use crate::aws_services::account;
use crate::figure::{Book, Figure};

const TIMES: u32 = 5000;
/// Load balancers that are kept in memory at once.
const KEPT: u32 = 5000;

/// One load balancer with three ports and three targets that is as it should be.
pub async fn run(book: &mut Book) -> Result<()> {
    let mut fleet = Fleet::new(&account()).await?;
    let service = fleet.service(0);
    fleet.wish(0, &service, Depth::Full)?;
    fleet.settle().await?;
    let (desired, mut inventory) = fleet.record(0).context("the Service is gone")?;
    let cloud = fleet.cloud();
    let now = fleet.now();
    let actual = cloud.observe(Some(&*desired), &mut inventory, Depth::Full, now).await?;
    let decide = || plan(Some(&*desired), &actual, &inventory, now);
    ensure!(decide()?.steps.is_empty(), "it is not as it should be");

    reset_peak();
    let (before, begin) = (peak_kib()?, Instant::now());
    for _ in 0..TIMES {
        black_box(decide()?);
    }
    book.add(Figure::new("aws-plan", micros(begin), "us"))?;
    book.add(Figure::new("aws-plan-peak-memory", peak_kib()? - before, "KiB"))?;

    let begin = Instant::now();
    for _ in 0..TIMES {
        black_box(service.build(fleet.profile()));
    }
    book.add(Figure::new("aws-build", micros(begin), "us"))?;

    let services: Vec<_> = (0..KEPT).map(|number| fleet.service(number)).collect();
    let mut kept = Vec::with_capacity(services.len());
    reset_peak();
    let before = peak_kib()?;
    for service in &services {
        kept.push((service.desired(fleet.profile())?, inventory.clone()));
    }
    let each = (peak_kib()? - before) / f64::from(KEPT);
    black_box(&kept);
    book.add(Figure::new("aws-memory-each", each, "KiB"))
}

/// The time of each, in microseconds; what the account in memory wished for is built with it, which takes little.
fn micros(begin: Instant) -> f64 {
    begin.elapsed().as_secs_f64() * 1e6 / f64::from(TIMES)
}

/// From now on the peak counts from what is used now. Where that is not allowed, the peak is one of the whole run.
fn reset_peak() {
    let _ = std::fs::write("/proc/self/clear_refs", "5");
}

fn peak_kib() -> Result<f64> {
    let text = std::fs::read_to_string("/proc/self/status")?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("no VmHWM")?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}
