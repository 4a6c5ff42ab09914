//! The objects in this folder: what the reader says of each, without a server. See `README.md`.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use daymark_config::{Problem, crd, native};
use serde::de::DeserializeOwned;
use serde_json::Value;

/// A file: what it expects, and the object.
struct Case {
    path: PathBuf,
    messages: Vec<String>,
    problems: Vec<String>,
    object: Value,
}

impl Case {
    fn read(path: PathBuf) -> Self {
        let text = fs::read_to_string(&path).unwrap();
        let headers = |key: &str| -> Vec<String> {
            let prefix = format!("# {key}: ");
            text.lines().filter_map(|line| line.strip_prefix(&prefix)).map(str::to_owned).collect()
        };
        Self {
            messages: headers("message"),
            problems: headers("problem"),
            object: serde_saphyr::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display())),
            path,
        }
    }

    fn is_accepted(&self) -> bool {
        self.file().starts_with("accepted-")
    }

    fn file(&self) -> &str {
        self.path.file_name().unwrap().to_str().unwrap()
    }

    /// What the reader says of it.
    fn said(&self) -> Vec<String> {
        let problems = match self.object["kind"].as_str().unwrap() {
            "AddressPool" => self.judge(|o| native::pool(o).map(drop)),
            "AddressClaim" => self.judge(|o| native::claim(o).map(drop)),
            "Announcement" => self.judge(|o| native::announcement(o).map(drop)),
            "BgpNeighbor" => self.judge(|o| native::neighbor(o).map(drop)),
            "CloudLoadBalancer" => self.judge(|o| native::cloud::record(o).map(drop)),
            "LoadBalancerProfile" => self.judge(|o| native::profile(o).map(drop)),
            "Speaker" => self.judge(|o| {
                let (_, problems) = native::speaker_settings(o);
                if problems.is_empty() { Ok(()) } else { Err(problems) }
            }),
            other => panic!("{}: kind {other}", self.path.display()),
        };
        problems.iter().map(ToString::to_string).collect()
    }

    fn judge<K: DeserializeOwned>(&self, read: impl Fn(&K) -> Result<(), Vec<Problem>>) -> Vec<Problem> {
        match serde_json::from_value(self.object.clone()) {
            Ok(object) => read(&object).err().unwrap_or_default(),
            Err(error) => vec![Problem::unreadable(&error.to_string())],
        }
    }
}

fn cases(folder: &str) -> Vec<Case> {
    let mut cases = Vec::new();
    for kind in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(folder)).unwrap() {
        let kind = kind.unwrap().path();
        if kind.is_dir() {
            cases.extend(fs::read_dir(kind).unwrap().map(|file| Case::read(file.unwrap().path())));
        }
    }
    assert!(!cases.is_empty());
    cases
}

/// What is not as the file expects.
fn difference(case: &Case) -> Option<String> {
    let said = case.said();
    let as_expected = said.len() == case.problems.len()
        && case.problems.iter().all(|expected| said.iter().any(|s| s.contains(expected)));
    let refused = case.is_accepted() || !said.is_empty();
    let path = case.path.display();
    (!as_expected || !refused).then(|| format!("{path}: expected {:#?}, got {said:#?}", case.problems))
}

fn all_as_expected<'a>(cases: impl IntoIterator<Item = &'a Case>) {
    let differences: Vec<String> = cases.into_iter().filter_map(difference).collect();
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

#[test]
fn what_the_server_accepts_is_read_and_what_it_refuses_is_refused() {
    all_as_expected(&cases("cel"));
}

#[test]
fn each_refused_object_has_its_accepted_counterpart() {
    let cases = cases("cel");
    let files: BTreeSet<&Path> = cases.iter().map(|c| c.path.as_path()).collect();
    for case in cases.iter().filter(|c| !c.is_accepted()) {
        let topic = case.file().strip_prefix("refused-").expect("accepted-* or refused-*");
        let counterpart = case.path.with_file_name(format!("accepted-{topic}"));
        assert!(files.contains(counterpart.as_path()), "{} is missing", counterpart.display());
    }
}

#[test]
fn malformed_objects_disable_nothing_but_themselves() {
    let cases = cases("malformed");
    for case in &cases {
        assert!(!case.messages.is_empty(), "{}: no `# message:`", case.path.display());
    }
    all_as_expected(&cases);
}

#[test]
fn what_cel_cannot_express_is_refused_by_the_reader() {
    all_as_expected(&cases("judged"));
}

#[test]
fn each_cel_rule_of_each_kind_has_a_refused_object() {
    let cases = cases("cel");
    for definition in crd::definitions() {
        let plural = &definition.spec.names.plural;
        let kind = &definition.spec.names.kind;
        let expected: BTreeSet<&str> = cases
            .iter()
            .filter(|c| c.object["kind"] == kind.as_str())
            .flat_map(|c| c.messages.iter().map(String::as_str))
            .collect();
        let mut messages = BTreeSet::new();
        rule_messages(&serde_json::to_value(&definition).unwrap(), &mut messages);
        for message in &messages {
            assert!(expected.contains(message.as_str()), "{plural}: no object is refused with {message:?}");
        }
    }
}

fn rule_messages(value: &Value, messages: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            for rule in fields.get("x-kubernetes-validations").and_then(Value::as_array).into_iter().flatten()
            {
                // What holds between two versions of an object is tried in the lab (tests/tests/crds.rs).
                if rule["rule"].as_str().is_some_and(|text| text.contains("oldSelf")) {
                    continue;
                }
                messages.insert(rule["message"].as_str().expect("each rule has a message").to_owned());
            }
            fields.values().for_each(|v| rule_messages(v, messages));
        }
        Value::Array(items) => items.iter().for_each(|v| rule_messages(v, messages)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[test]
fn every_list_and_string_of_a_schema_is_bounded() {
    for definition in crd::definitions() {
        let schema = serde_json::to_value(&definition.spec.versions[0].schema).unwrap();
        for part in ["spec", "status"] {
            let path = format!("{}.{part}", definition.spec.names.kind);
            bounded(&schema["openAPIV3Schema"]["properties"][part], &path);
        }
    }
}

fn bounded(schema: &Value, path: &str) {
    assert!(schema["description"].is_string() || path.ends_with("[]"), "{path} has no description");
    match schema["type"].as_str() {
        Some("string") => {
            let bounded = ["maxLength", "enum", "format"].iter().any(|key| !schema[key].is_null());
            assert!(bounded, "{path} is a string without bounds");
        }
        Some("array") => {
            assert!(schema["maxItems"].is_number(), "{path} is a list without bounds");
            bounded(&schema["items"], &format!("{path}[]"));
        }
        Some("object") => {
            for (name, property) in schema["properties"].as_object().into_iter().flatten() {
                bounded(property, &format!("{path}.{name}"));
            }
            if schema["additionalProperties"].is_object() {
                assert!(schema["maxProperties"].is_number(), "{path} is a map without bounds");
            }
        }
        Some(_) => {}
        None => panic!("{path} has no type"),
    }
}
