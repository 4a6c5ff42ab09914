//! Measurements that other crates of the workspace make; their programs print figures as JSON lines.

use std::path::PathBuf;

use daymark_tests::{Context, Result, bail, command, tools};
use serde::Deserialize;
use tokio::process::Command;

use crate::figure::{Book, Figure};
use crate::progress;

/// A figure as the programs print it: the budget in words, or the number that ratio or value must stay below.
#[derive(Debug, Deserialize)]
struct Printed {
    name: String,
    value: f64,
    unit: String,
    against: Option<String>,
    against_value: Option<f64>,
    budget: Option<Limit>,
    holds: Option<bool>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Limit {
    Words(String),
    Number(f64),
}

impl Printed {
    fn figure(self) -> Figure {
        let mut figure = Figure::new(self.name.replace('_', "-"), self.value, &self.unit);
        if let Some(value) = self.against_value {
            figure = figure.against(self.against.as_deref().unwrap_or("floor"), value);
        }
        figure.budget = self.budget.map(|budget| match budget {
            Limit::Words(text) => text,
            Limit::Number(limit) if figure.ratio.is_some() => format!("ratio < {limit}"),
            Limit::Number(limit) => format!("< {limit} {}", self.unit),
        });
        figure.holds = self.holds;
        figure
    }
}

/// Decisions in memory.
pub async fn decision(book: &mut Book) -> Result<()> {
    progress("decisions in memory");
    record(book, Command::new(example("pool-bench")?)).await
}

/// Routes into BIRD and FRR.
pub async fn routes(book: &mut Book, count: u32) -> Result<()> {
    progress(format_args!("{count} routes into BIRD and FRR"));
    let mut command = Command::new(example("bgp-feed")?);
    command.arg(count.to_string());
    record(book, command).await
}

/// A program of the workspace, a binary or an example.
fn example(name: &str) -> Result<PathBuf> {
    let folder = tools::binaries()?;
    let found =
        [folder.join(name), folder.join("examples").join(name)].into_iter().find(|path| path.exists());
    found.with_context(|| format!("{name} is not built in {}; run `make bench`", folder.display()))
}

async fn record(book: &mut Book, program: Command) -> Result<()> {
    let text = command::capture(program, None).await?;
    let mut lines = text.lines().filter(|line| !line.trim().is_empty()).peekable();
    if lines.peek().is_none() {
        bail!("the program printed no figure");
    }
    for line in lines {
        let printed: Printed = serde_json::from_str(line).with_context(|| format!("no figure: {line}"))?;
        book.add(printed.figure())?;
    }
    Ok(())
}
