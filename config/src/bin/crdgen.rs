//! Writes the CRDs of all kinds into `deploy/crds`, one file each, or says with `--check` which differ.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::{env, fs, io};

use daymark_config::crd;
use serde_json::Value;

const USAGE: &str = "usage: crdgen [--check] [FOLDER]   (FOLDER: deploy/crds when absent)";

fn main() -> ExitCode {
    let mut check = false;
    let mut folder = None;
    for argument in env::args().skip(1) {
        match argument.as_str() {
            "--check" => check = true,
            path if !path.starts_with('-') && folder.is_none() => folder = Some(PathBuf::from(path)),
            _ => {
                eprintln!("{USAGE}");
                return ExitCode::from(2);
            }
        }
    }
    let folder = folder.unwrap_or_else(default_folder);
    let outcome = if check { differences(&folder) } else { write(&folder).map(|()| Vec::new()) };
    match outcome {
        Ok(differing) if differing.is_empty() => ExitCode::SUCCESS,
        Ok(differing) => {
            eprintln!("not as generated, run `make generate`: {}", differing.join(", "));
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("{}: {error}", folder.display());
            ExitCode::FAILURE
        }
    }
}

fn default_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/crds")
}

/// The names of the files with their contents.
fn files() -> io::Result<BTreeMap<String, String>> {
    let mut files = BTreeMap::new();
    for definition in crd::definitions() {
        let mut value = serde_json::to_value(&definition)?;
        whole_numbers(&mut value);
        let name = format!("{}.yaml", definition.spec.names.plural);
        files.insert(
            name,
            serde_saphyr::to_string(&value).map_err(io::Error::other)?.trim_end().to_owned() + "\n",
        );
    }
    let mut kustomization = "resources:\n".to_owned();
    for name in files.keys() {
        kustomization += &format!("  - {name}\n");
    }
    files.insert("kustomization.yaml".to_owned(), kustomization);
    Ok(files)
}

/// Writes 0 where the schema's type says 0.0.
fn whole_numbers(value: &mut Value) {
    match value {
        Value::Number(number) => {
            if let Some(whole) = number.as_f64().filter(|n| n.fract() == 0.0 && n.abs() < 9e15) {
                *number = (whole as i64).into();
            }
        }
        Value::Array(items) => items.iter_mut().for_each(whole_numbers),
        Value::Object(fields) => fields.values_mut().for_each(whole_numbers),
        Value::Null | Value::Bool(_) | Value::String(_) => {}
    }
}

fn write(folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    for (name, content) in files()? {
        fs::write(folder.join(name), content)?;
    }
    for stray in strays(folder)? {
        fs::remove_file(folder.join(stray))?;
    }
    Ok(())
}

fn differences(folder: &Path) -> io::Result<Vec<String>> {
    let mut differing = strays(folder)?;
    for (name, content) in files()? {
        if fs::read_to_string(folder.join(&name)).ok().as_ref() != Some(&content) {
            differing.push(name);
        }
    }
    Ok(differing)
}

/// YAML files that nothing generates.
fn strays(folder: &Path) -> io::Result<Vec<String>> {
    let files = files()?;
    let mut strays = Vec::new();
    for entry in fs::read_dir(folder)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if name.ends_with(".yaml") && !files.contains_key(&name) {
            strays.push(name);
        }
    }
    Ok(strays)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_committed_files_are_as_generated() {
        assert_eq!(differences(&default_folder()).unwrap(), Vec::<String>::new(), "run `make generate`");
    }
}
