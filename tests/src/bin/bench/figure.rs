//! Figures: one JSON line each, and a table.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use daymark_tests::{Context, Result, tools};
use serde::Serialize;

/// What a figure must reach.
#[derive(Clone, Copy, Debug)]
pub enum Budget {
    /// Its value is below this.
    Below(f64),
    /// Its ratio to what it is compared with is below this.
    RatioBelow(f64),
    /// Its ratio to what it is compared with is at most this.
    RatioAtMost(f64),
    /// Its ratio to what it is compared with is at least this.
    RatioAtLeast(f64),
}

/// One measured number.
#[derive(Clone, Debug, Serialize)]
pub struct Figure {
    /// Its name.
    pub name: String,
    /// The number.
    pub value: f64,
    /// What it counts.
    pub unit: String,
    /// What it is compared with.
    pub against: Option<String>,
    /// That one's number, in the same unit.
    pub against_value: Option<f64>,
    /// `value / against_value`.
    pub ratio: Option<f64>,
    /// What must be reached.
    pub budget: Option<String>,
    /// Whether it is.
    pub holds: Option<bool>,
}

impl Figure {
    /// A number that stands for itself.
    pub fn new(name: impl Into<String>, value: f64, unit: &str) -> Self {
        Self {
            name: name.into(),
            value,
            unit: unit.to_owned(),
            against: None,
            against_value: None,
            ratio: None,
            budget: None,
            holds: None,
        }
    }

    /// Compares it with another number of the same unit.
    #[must_use]
    pub fn against(mut self, what: &str, value: f64) -> Self {
        self.against = Some(what.to_owned());
        self.against_value = Some(value);
        self.ratio = (value != 0.0).then(|| self.value / value);
        self
    }

    /// Holds it to a budget.
    #[must_use]
    pub fn budget(mut self, budget: Budget) -> Self {
        let (text, holds) = match budget {
            Budget::Below(limit) => (format!("< {limit} {}", self.unit), Some(self.value < limit)),
            Budget::RatioBelow(limit) => (format!("ratio < {limit}"), self.ratio.map(|ratio| ratio < limit)),
            Budget::RatioAtMost(limit) => {
                (format!("ratio <= {limit}"), self.ratio.map(|ratio| ratio <= limit))
            }
            Budget::RatioAtLeast(limit) => {
                (format!("ratio >= {limit}"), self.ratio.map(|ratio| ratio >= limit))
            }
        };
        self.budget = Some(text);
        self.holds = holds;
        self
    }

    fn verdict(&self) -> &'static str {
        match self.holds {
            Some(true) => "holds",
            Some(false) => "MISSED",
            None => "",
        }
    }
}

/// All figures of one run.
#[derive(Debug)]
pub struct Book {
    path: PathBuf,
    file: File,
    figures: Vec<Figure>,
}

impl Book {
    /// Begins `target/bench/results.jsonl` anew.
    pub fn create() -> Result<Self> {
        let folder = tools::project().join("target/bench");
        std::fs::create_dir_all(&folder)?;
        let path = folder.join("results.jsonl");
        let file = File::create(&path).with_context(|| path.display().to_string())?;
        Ok(Self { path, file, figures: Vec::new() })
    }

    /// The file with the JSON lines.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes a figure down and shows it.
    pub fn add(&mut self, figure: Figure) -> Result<()> {
        eprintln!("bench:   {} = {} {} {}", figure.name, short(figure.value), figure.unit, figure.verdict());
        writeln!(self.file, "{}", serde_json::to_string(&figure)?)?;
        self.figures.push(figure);
        Ok(())
    }

    /// Prints the table to standard output.
    pub fn print(&self) {
        let head = ["figure", "value", "against", "ratio", "budget", ""].map(str::to_owned);
        let rows: Vec<[String; 6]> = std::iter::once(head).chain(self.figures.iter().map(row)).collect();
        let width =
            |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default();
        let widths: [usize; 6] = std::array::from_fn(width);
        println!();
        for row in &rows {
            let cells: Vec<String> =
                row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
            println!("{}", cells.join("  ").trim_end());
        }
    }
}

fn row(figure: &Figure) -> [String; 6] {
    let against = match (&figure.against, figure.against_value) {
        (Some(what), Some(value)) => format!("{} {} ({what})", short(value), figure.unit),
        _ => String::new(),
    };
    [
        figure.name.clone(),
        format!("{} {}", short(figure.value), figure.unit),
        against,
        figure.ratio.map(|ratio| format!("{ratio:.2}")).unwrap_or_default(),
        figure.budget.clone().unwrap_or_default(),
        figure.verdict().to_owned(),
    ]
}

/// Three digits that matter.
fn short(value: f64) -> String {
    match value.abs() {
        v if v >= 100.0 || v == 0.0 => format!("{value:.0}"),
        v if v >= 10.0 => format!("{value:.1}"),
        v if v >= 1.0 => format!("{value:.2}"),
        v if v >= 0.1 => format!("{value:.3}"),
        _ => format!("{value:.5}"),
    }
}
