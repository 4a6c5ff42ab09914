//! What was found, deleted and left, as tables.

use super::{Found, Report};
use crate::output::{Table, Width};

/// The tables.
pub fn text(report: &Report, _width: Width) -> String {
    if report.left.is_empty() && report.deleted.is_empty() {
        return format!("nothing has the tag daymark.dev/cluster={}\n", report.cluster);
    }
    let mut text = String::new();
    if !report.deleted.is_empty() {
        text.push_str(&format!("Deleted:\n{}", table(&report.deleted, false).render()));
    }
    if report.left.is_empty() {
        text.push_str("\nnothing is left\n");
        return text;
    }
    let tried = report.left.iter().any(|found| found.why.is_some());
    if tried {
        text.push_str(&format!("{}Left:\n", if text.is_empty() { "" } else { "\n" }));
    }
    text.push_str(&table(&report.left, tried).render());
    if !tried {
        text.push_str("\nnothing was deleted: --yes deletes it\n");
    }
    text
}

fn table(all: &[Found], tried: bool) -> Table {
    let mut headers = vec!["KIND", "NAME", "ID", "OWNER"];
    if tried {
        headers.push("WHY");
    }
    let mut table = Table::new(&headers);
    for found in all {
        let mut row =
            vec![found.kind.name().to_owned(), found.name.clone(), found.id.clone(), found.owner.clone()];
        if tried {
            row.push(found.why.clone().unwrap_or_default());
        }
        table.row(row);
    }
    table
}
