//! Files with several documents: a bad one is named, the others are read.

use serde::Serialize;
use serde_json::Value;

/// One object of a file.
#[derive(Debug, Clone, PartialEq)]
pub struct Document {
    /// Where it stands: `web.yaml, line 7`.
    pub source: String,
    /// What it says.
    pub value: Value,
}

/// Something in a file that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Fault {
    /// Where it stands, and what it is called.
    pub source: String,
    /// What is wrong with it.
    pub message: String,
}

/// The objects of `text`, which `name` names; of lists, those that are in them.
pub fn documents(name: &str, text: &str) -> (Vec<Document>, Vec<Fault>) {
    let (mut documents, mut faults) = (Vec::new(), Vec::new());
    for (line, piece) in pieces(text) {
        let source = format!("{name}, line {line}");
        match serde_saphyr::from_str::<Value>(&piece) {
            Ok(Value::Null) => {}
            Ok(value @ Value::Object(_)) => unfold(source, value, &mut documents),
            Ok(_) => faults.push(Fault { source, message: "is no object".to_owned() }),
            Err(error) => {
                // The reader counts from the beginning of the document, and shows several lines of it.
                let text = error.to_string();
                let first = text.lines().next().unwrap_or_default();
                faults.push(Fault { source, message: format!("is no YAML, counted from there: {first}") });
            }
        }
    }
    (documents, faults)
}

/// The documents with the lines at which they begin. `---` at the beginning of a line separates them wherever it stands
/// (YAML 1.2, section 9.1.2), so that they can be told apart without being read.
fn pieces(text: &str) -> Vec<(usize, String)> {
    let mut pieces: Vec<(usize, String)> = Vec::new();
    let mut piece = String::new();
    let mut begins = 1;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    for (at, line) in text.lines().enumerate() {
        let marker = |marker: &str| {
            let rest = line.strip_prefix(marker)?;
            (rest.is_empty() || rest.starts_with([' ', '\t'])).then_some(rest)
        };
        if let Some(rest) = marker("---") {
            pieces.push((begins, std::mem::take(&mut piece)));
            piece.push_str(rest.trim_start());
            piece.push('\n');
            begins = at + 1;
        } else if marker("...").is_some() {
            pieces.push((begins, std::mem::take(&mut piece)));
            begins = at + 2;
        } else {
            piece.push_str(line);
            piece.push('\n');
        }
    }
    pieces.push((begins, piece));
    pieces.retain(|(_, piece)| says_something(piece));
    pieces
}

fn says_something(piece: &str) -> bool {
    piece
        .lines()
        .any(|line| !matches!(line.trim_start().chars().next(), None | Some('#')) && !line.starts_with('%'))
}

/// What `kubectl get -o yaml` writes of several objects is one list.
fn unfold(source: String, value: Value, documents: &mut Vec<Document>) {
    let is_list = value.get("kind").and_then(Value::as_str).is_some_and(|kind| kind.ends_with("List"));
    match value.get("items") {
        Some(Value::Array(items)) if is_list => {
            let item = |(at, item): (usize, &Value)| Document {
                source: format!("{source}, item {}", at + 1),
                value: item.clone(),
            };
            documents.extend(items.iter().enumerate().map(item));
        }
        Some(_) | None => documents.push(Document { source, value }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(text: &str) -> (Vec<String>, Vec<String>) {
        let (documents, faults) = documents("f", text);
        let name = |d: &Document| format!("{} {}", d.source, d.value["a"]);
        (documents.iter().map(name).collect(), faults.into_iter().map(|fault| fault.source).collect())
    }

    #[test]
    fn documents_are_told_apart_and_a_bad_one_spoils_no_other() {
        let text = "%YAML 1.2\n---\n# nothing\n---\na: 1\n--- {a: 2}\n...\n---\na: [\n---\n- 1\n---\na: |\n  ---\n---\n\"a\": 3\n";
        let (found, faults) = names(text);
        assert_eq!(found, ["f, line 4 1", "f, line 6 2", "f, line 12 \"---\\n\"", "f, line 15 3"]);
        assert_eq!(faults, ["f, line 8", "f, line 10"]);
        assert_eq!(names("\u{feff}{\"a\": 1}").0, ["f, line 1 1"]);
        assert_eq!(names("").0.len() + names("---\n---\n").0.len(), 0);
    }

    #[test]
    fn lists_are_unfolded() {
        let (found, _) = names("kind: List\nitems:\n- a: 1\n- a: 2\n");
        assert_eq!(found, ["f, line 1, item 1 1", "f, line 1, item 2 2"]);
    }
}
