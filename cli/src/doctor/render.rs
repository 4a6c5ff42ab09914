//! The diagnosis for people.

use super::{Diagnosis, Outcome};
use crate::output::{Table, Width};

/// A table of findings, then the remedies, then a line that sums up.
pub fn text(diagnosis: &Diagnosis, _width: Width) -> String {
    let mut table = Table::new(&["RESULT", "CHECK", "SUBJECT", "WHAT"]);
    let mut remedies = String::new();
    let (mut problems, mut warnings, mut skipped) = (0, 0, 0);
    for finding in &diagnosis.findings {
        let (result, what, remedy) = match &finding.outcome {
            Outcome::Ok { what } => ("ok", what, None),
            Outcome::Warning { what, remedy } => {
                warnings += 1;
                ("warning", what, Some(remedy))
            }
            Outcome::Problem { what, remedy } => {
                problems += 1;
                ("PROBLEM", what, Some(remedy))
            }
            Outcome::Skipped { what } => {
                skipped += 1;
                ("skipped", what, None)
            }
        };
        table.row([result.to_owned(), finding.check.to_owned(), finding.subject.clone(), what.clone()]);
        if let Some(remedy) = remedy {
            let about = [finding.check, finding.subject.as_str()].join(" ");
            remedies.push_str(&format!("  {}: {remedy}\n", about.trim_end()));
        }
    }
    let mut text = table.render();
    if !remedies.is_empty() {
        text.push_str("\nWhat to do:\n");
        text.push_str(&remedies);
    }
    let on = diagnosis.node.as_ref().map(|node| format!(" on node {node}")).unwrap_or_default();
    text.push_str(&format!("\nproblems: {problems}, warnings: {warnings}, skipped: {skipped}{on}\n"));
    text
}
