//! Tables, JSON and YAML.

use std::fmt::Write as _;

use serde::Serialize;

use crate::flags::Format;

/// Stands where there is nothing to say.
pub const NOTHING: &str = "-";

/// Rows under headers, each column as wide as its widest cell.
#[derive(Debug, Clone, Default)]
pub struct Table {
    headers: Vec<&'static str>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table without rows.
    pub fn new(headers: &[&'static str]) -> Self {
        Self { headers: headers.to_vec(), rows: Vec::new() }
    }

    /// Adds a row; an empty cell is shown as `-`.
    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        let cell = |cell: String| if cell.is_empty() { NOTHING.to_owned() } else { printable(&cell) };
        self.rows.push(cells.into_iter().map(cell).collect());
    }

    /// Whether it has no rows.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The text, a line for each row.
    pub fn render(&self) -> String {
        let width = |column: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count());
            cells.chain(self.headers.get(column).map(|header| header.len())).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..self.headers.len()).map(width).collect();
        let mut text = String::new();
        let headers: Vec<String> = self.headers.iter().map(ToString::to_string).collect();
        for row in std::iter::once(&headers).chain(&self.rows) {
            let mut line = String::new();
            for (cell, width) in row.iter().zip(&widths) {
                // Writing to a String does not fail.
                let _ = write!(line, "{cell:<width$}   ");
            }
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }
}

/// What others wrote, on one line and unable to move the cursor of a terminal.
pub fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// Why an answer cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("the answer cannot be written: {0}")]
pub struct OutputError(String);

/// `answer` in `format`; tables come from `table`, which is told whether it may be wide.
///
/// # Errors
/// When it cannot be serialised.
pub fn render<T: Serialize>(
    answer: &T,
    format: Format,
    table: impl FnOnce(&T, Width) -> String,
) -> Result<String, OutputError> {
    match format {
        Format::Table => Ok(table(answer, Width::Usual)),
        Format::Wide => Ok(table(answer, Width::Wide)),
        Format::Json => {
            let text = serde_json::to_string_pretty(answer).map_err(|e| OutputError(e.to_string()))?;
            Ok(text + "\n")
        }
        Format::Yaml => {
            let text = serde_saphyr::to_string(answer).map_err(|e| OutputError(e.to_string()))?;
            Ok(text.trim_end().to_owned() + "\n")
        }
    }
}

/// How much a table shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Width {
    /// What is asked for most.
    Usual,
    /// Everything.
    Wide,
}

/// A time that has passed, as kubectl writes it: `42s`, `5m12s`, `3h7m`, `2d4h`.
pub fn age(seconds: u64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86400);
    match (days, hours, minutes) {
        (0, 0, 0..=1) => format!("{seconds}s"),
        (0, 0, _) => format!("{minutes}m{}s", seconds % 60),
        (0, ..) => format!("{hours}h{}m", minutes % 60),
        _ => format!("{days}d{}h", hours % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let mut table = Table::new(&["ADDRESS", "NODE"]);
        table.row(["2001:db8::1".to_owned(), "n1".to_owned()]);
        table.row(["192.0.2.1".to_owned(), String::new()]);
        assert_eq!(table.render(), "ADDRESS       NODE\n2001:db8::1   n1\n192.0.2.1     -\n");
    }

    #[test]
    fn what_others_wrote_cannot_move_the_cursor() {
        let mut table = Table::new(&["A"]);
        table.row(["x\u{1b}[2J\ny".to_owned()]);
        assert_eq!(table.render(), "A\nx [2J y\n");
    }

    #[test]
    fn ages_have_two_units() {
        let ages: Vec<_> = [0, 119, 130, 3600, 7260, 90_000].map(age).into();
        assert_eq!(ages, ["0s", "119s", "2m10s", "1h0m", "2h1m", "1d1h"]);
    }
}
