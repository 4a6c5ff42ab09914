//! Running a program to its end.

use std::ffi::OsStr;
use std::process::{Output, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

/// No helper program of the lab may take longer.
const LIMIT: Duration = Duration::from_secs(120);

/// Runs `program` and returns its standard output.
///
/// # Errors
/// When it cannot be started, ends with another status than 0 (the error holds what it wrote), or takes over 2 minutes.
pub async fn run<S: AsRef<OsStr>>(program: impl AsRef<OsStr>, arguments: &[S]) -> Result<String> {
    let mut command = Command::new(program);
    command.args(arguments);
    capture(command, None).await
}

/// Runs a prepared command, with `input` on its standard input, and returns its standard output.
///
/// # Errors
/// As [`run`].
pub async fn capture(command: Command, input: Option<&str>) -> Result<String> {
    let shown = shown(&command);
    let output = output(command, input).await?;
    if !output.status.success() {
        let stdout = String::from_utf8_lossy(&output.stdout);
        let stderr = String::from_utf8_lossy(&output.stderr);
        bail!("`{shown}`: {}: {}", output.status, [stderr.trim(), stdout.trim()].join("\n").trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Runs a prepared command and returns all that it gave, whatever its status.
///
/// # Errors
/// When it cannot be started or takes over 2 minutes.
pub async fn output(mut command: Command, input: Option<&str>) -> Result<Output> {
    let shown = shown(&command);
    command.stdin(if input.is_some() { Stdio::piped() } else { Stdio::null() });
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn().with_context(|| format!("`{shown}` does not start"))?;
    if let (Some(text), Some(mut stdin)) = (input, child.stdin.take()) {
        // A program that ends early closes the pipe; its status and output tell more than the broken pipe.
        let _ = stdin.write_all(text.as_bytes()).await;
    }
    let ended = tokio::time::timeout(LIMIT, child.wait_with_output()).await;
    ended
        .with_context(|| format!("`{shown}` did not end within {LIMIT:?}"))?
        .with_context(|| format!("`{shown}`"))
}

fn shown(command: &Command) -> String {
    let command = command.as_std();
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}
