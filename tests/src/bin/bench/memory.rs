//! Processes that have nothing to do: their memory, their CPU time and what is written to the API server meanwhile.

use std::collections::BTreeMap;
use std::time::Duration;

use daymark_tests::node::Node;
use daymark_tests::process::Process;
use daymark_tests::{Lab, Result, ensure, wait_for};
use tokio::time::{Instant, sleep};

use crate::bird::Bird;
use crate::figure::{Book, Budget, Figure};
use crate::stage::Size;
use crate::usage::Usage;
use crate::{population, progress, server};

/// Routes of an idle speaker.
const IDLE_ROUTES: u32 = 100;
/// After it, what a change set off has ended.
const SETTLE: Duration = Duration::from_secs(10);
const LIMIT: Duration = Duration::from_secs(60);

/// Starts Daymark in the small lab with 100 routes and measures it there.
pub async fn idle(book: &mut Book, lab: &Lab, measured: bool) -> Result<()> {
    population::services(&lab.kube(), "idle", IDLE_ROUTES).await?;
    population::slices(&lab.kube(), "idle", IDLE_ROUTES, 0).await?;
    let controller = lab.start_controller("a").await?;
    let speaker = lab.start_speaker("n1").await?;
    let mut bird = Bird::connect(lab, "r2").await?;
    let there = bird.wait_imported("n1_v4", IDLE_ROUTES.into(), LIMIT).await;
    crate::assign::with_log(&speaker, there)?;
    if !measured {
        return Ok(());
    }
    sleep(SETTLE).await;
    memory(book, "idle-100", &speaker, &controller, 15.0).await
}

/// Measures Daymark beside many Services, when it has come to rest.
pub async fn full(
    book: &mut Book,
    lab: &Lab,
    size: Size,
    speaker: &Process,
    controller: &Process,
) -> Result<()> {
    progress(format_args!("  nothing happens for {} s", size.settled_seconds));
    sleep(SETTLE).await;
    let client = lab.kube();
    let (begin, writes) = (Instant::now(), server::writes(&client).await?);
    let before = [Usage::of(speaker).await?, Usage::of(controller).await?];
    sleep(Duration::from_secs(size.settled_seconds)).await;
    let after = [Usage::of(speaker).await?, Usage::of(controller).await?];
    let seconds = begin.elapsed().as_secs_f64();
    let written = server::writes(&client).await?.saturating_sub(writes);

    memory(book, &format!("{}-services", size.services), speaker, controller, 64.0).await?;
    let share = |place: usize| (after[place].cpu - before[place].cpu).as_secs_f64() * 100.0 / seconds;
    let cpu = |who: &str, place| {
        Figure::new(format!("settled-cpu-{who}-{}-services", size.services), share(place), "%")
    };
    book.add(cpu("speaker", 0).budget(Budget::Below(0.5)))?;
    book.add(cpu("controller", 1))?;
    let rate = Figure::new(
        format!("settled-writes-{}-services", size.services),
        written as f64 / seconds,
        "writes/s",
    );
    // One Speaker status in 10 s is the most that a node may write.
    book.add(rate.budget(Budget::Below(0.11)))
}

async fn memory(
    book: &mut Book,
    name: &str,
    speaker: &Process,
    controller: &Process,
    limit: f64,
) -> Result<()> {
    for (who, process) in [("speaker", speaker), ("controller", controller)] {
        let usage = Usage::of(process).await?;
        let figure = Figure::new(format!("memory-{who}-{name}"), usage.rss_mib, "MiB");
        book.add(if who == "speaker" { figure.budget(Budget::Below(limit)) } else { figure })?;
        book.add(Figure::new(format!("memory-{who}-{name}-peak"), usage.peak_mib, "MiB"))?;
    }
    Ok(())
}

/// Waits until kube-proxy has programmed all that it knows.
pub async fn proxy_settled(node: &Node) -> Result<()> {
    wait_for("kube-proxy to have programmed everything", Duration::from_secs(300), async || {
        let text = node.get("http://127.0.0.1:10249/metrics").await?;
        // Each family has times of its own: `name{ip_family="IPv4"} 1.7e+09`.
        let times = |name: &str| -> BTreeMap<String, f64> {
            let lines = text.lines().filter_map(|line| line.strip_prefix(name)?.rsplit_once(' '));
            lines.filter_map(|(family, time)| Some((family.to_owned(), time.parse().ok()?))).collect()
        };
        let synced = times("kubeproxy_sync_proxy_rules_last_timestamp_seconds");
        let queued = times("kubeproxy_sync_proxy_rules_last_queued_timestamp_seconds");
        let current = |(family, queued)| synced.get(family).is_some_and(|synced| synced >= queued);
        ensure!(!queued.is_empty() && queued.iter().all(current), "queued {queued:?}, synced {synced:?}");
        Ok(())
    })
    .await
}
