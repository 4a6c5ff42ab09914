//! Waiting for a condition with a deadline. What was seen instead stands in the error.

use std::fmt::Display;
use std::time::Duration;

use anyhow::{Result, anyhow};
use tokio::time::{Instant, sleep, timeout_at};

const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_millis(250);

/// Calls `probe` until it gives `Ok` and returns that value.
///
/// # Errors
/// When the deadline passes: an error with `what` and the last thing that `probe` said.
pub async fn wait_for<T>(
    what: impl Display,
    deadline: Duration,
    mut probe: impl AsyncFnMut() -> Result<T>,
) -> Result<T> {
    let end = Instant::now() + deadline;
    let mut pause = FIRST_PAUSE;
    let mut seen = "the first look did not come back".to_owned();
    loop {
        match timeout_at(end, probe()).await {
            Ok(Ok(value)) => return Ok(value),
            Ok(Err(error)) => seen = format!("{error:#}"),
            Err(_) => return Err(not_seen(&what, deadline, &seen)),
        }
        if Instant::now() + pause >= end {
            return Err(not_seen(&what, deadline, &seen));
        }
        sleep(pause).await;
        pause = (pause * 3 / 2).min(LONGEST_PAUSE);
    }
}

/// Looks until `duration` has passed and fails as soon as `probe` fails: for what must stay as it is.
///
/// # Errors
/// When `probe` fails once: an error with `what` and what it said.
pub async fn stays(
    what: impl Display,
    duration: Duration,
    mut probe: impl AsyncFnMut() -> Result<()>,
) -> Result<()> {
    let begin = Instant::now();
    while begin.elapsed() < duration {
        if let Err(error) = probe().await {
            return Err(anyhow!("{what} did not hold after {:.1?}: {error:#}", begin.elapsed()));
        }
        sleep(LONGEST_PAUSE).await;
    }
    Ok(())
}

fn not_seen(what: &impl Display, deadline: Duration, seen: &str) -> anyhow::Error {
    anyhow!("waited {deadline:?} for {what}; last seen: {seen}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_error_says_what_was_seen_last() {
        let mut looks = 0;
        let error = wait_for("rain", Duration::from_millis(50), || {
            looks += 1;
            let seen = looks;
            async move { anyhow::bail!("{seen} clouds") as Result<()> }
        })
        .await
        .unwrap_err()
        .to_string();
        assert!(error.starts_with("waited 50ms for rain; last seen: "), "{error}");
        assert!(error.ends_with("clouds"), "{error}");
    }

    #[tokio::test]
    async fn a_probe_that_hangs_is_cut_off() {
        let waiting = wait_for("an answer", Duration::from_millis(20), std::future::pending::<Result<()>>);
        assert!(waiting.await.unwrap_err().to_string().contains("did not come back"));
    }
}
