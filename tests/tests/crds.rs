//! The CRDs judged by a real API server, and malformed objects that a server without their rules has let in.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::path::{Path, PathBuf};
use std::time::Duration;

use common::{addresses, announce_everything, condition, routed_by, service};
use daymark_tests::{Lab, Result, RouterSpec, bail, ensure, tools, wait_for};
use http::Request;
use serde_json::{Value, json};

/// An object of `config/tests`, with what its head expects.
struct Sample {
    file: PathBuf,
    messages: Vec<String>,
    problems: Vec<String>,
    object: Value,
}

impl Sample {
    fn plural(&self) -> String {
        format!("{}s", self.object["kind"].as_str().unwrap().to_lowercase())
    }

    fn name(&self) -> &str {
        self.object["metadata"]["name"].as_str().unwrap()
    }

    fn label(&self) -> String {
        let parts: Vec<_> = self.file.iter().rev().take(3).filter_map(|part| part.to_str()).collect();
        parts.into_iter().rev().collect::<Vec<_>>().join("/")
    }
}

fn samples(folder: &str) -> Result<Vec<Sample>> {
    fn files(folder: &Path, found: &mut Vec<PathBuf>) -> Result<()> {
        for entry in std::fs::read_dir(folder)? {
            let path = entry?.path();
            if path.is_dir() {
                files(&path, found)?;
            } else if path.extension().is_some_and(|extension| extension == "yaml") {
                found.push(path);
            }
        }
        Ok(())
    }
    let mut found = Vec::new();
    files(&tools::project().join("config/tests").join(folder), &mut found)?;
    found.sort();
    found
        .into_iter()
        .map(|file| {
            let text = std::fs::read_to_string(&file)?;
            let expected = |key: &str| -> Vec<String> {
                text.lines()
                    .filter_map(|line| line.strip_prefix(&format!("# {key}: ")))
                    .map(str::to_owned)
                    .collect()
            };
            let object: Value = serde_saphyr::from_str(&text)?;
            Ok(Sample { messages: expected("message"), problems: expected("problem"), object, file })
        })
        .collect()
}

/// Creates an object with the server's checks of the schema, but without its checks of unknown fields.
async fn create(lab: &Lab, plural: &str, object: &Value, dry_run: bool) -> Result<()> {
    let dry = if dry_run { "&dryRun=All" } else { "" };
    let request = Request::post(format!("/apis/daymark.dev/v1alpha1/{plural}?fieldValidation=Ignore{dry}"))
        .header("content-type", "application/json")
        .body(object.to_string().into_bytes())?;
    lab.kube().request::<Value>(request).await.map(drop).map_err(Into::into)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_server_judges_every_object_as_written() -> Result<()> {
    let lab = Lab::builder("crds-judged").nodes(1).clients(0).start().await?;
    let mut wrong = Vec::new();
    let mut judged = 0;
    for folder in ["cel", "malformed", "judged"] {
        for sample in samples(folder)? {
            judged += 1;
            let verdict = create(&lab, &sample.plural(), &sample.object, true).await;
            match (verdict, sample.messages.as_slice()) {
                (Ok(()), []) => {}
                (Ok(()), messages) => {
                    wrong.push(format!("{}: accepted, not refused with {messages:?}", sample.label()))
                }
                (Err(error), []) => wrong.push(format!("{}: refused: {error}", sample.label())),
                (Err(error), messages) => {
                    let said = error.to_string();
                    for message in messages.iter().filter(|message| !said.contains(message.as_str())) {
                        wrong.push(format!("{}: refused without {message:?}: {said}", sample.label()));
                    }
                }
            }
        }
    }
    assert!(judged > 100, "only {judged} objects found");
    assert!(wrong.is_empty(), "{} of {judged}:\n{}", wrong.len(), wrong.join("\n"));
    lab.finish().await
}

/// Takes types, bounds, patterns, enums and CEL rules out of all CRDs.
async fn loosen(lab: &Lab) -> Result<()> {
    let list: Value = serde_json::from_str(&lab.kubectl(&["get", "crd", "-o", "json"]).await?)?;
    for crd in list["items"].as_array().unwrap() {
        let name = crd["metadata"]["name"].as_str().unwrap();
        if !name.ends_with(".daymark.dev") {
            continue;
        }
        let loose = json!({"openAPIV3Schema": {
            "type": "object",
            "x-kubernetes-preserve-unknown-fields": true,
            "properties": {"status": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}},
        }});
        let patch = json!([{"op": "replace", "path": "/spec/versions/0/schema", "value": loose}]);
        lab.kubectl(&["patch", "crd", name, "--type=json", "-p", &patch.to_string()]).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn one_bad_object_disables_only_itself() -> Result<()> {
    let lab = Lab::builder("crds-malformed").nodes(1).router(RouterSpec::bird(65001)).start().await?;
    lab.apply(&announce_everything(&lab)).await?;
    loosen(&lab).await?;

    let mut bad: Vec<Sample> = samples("malformed")?;
    bad.extend(samples("cel")?.into_iter().filter(|sample| !sample.messages.is_empty()));
    for (i, sample) in bad.iter_mut().enumerate() {
        // Claims are named by their address, Speakers by their node; the others get names of their own.
        if !["AddressClaim", "Speaker"].contains(&sample.object["kind"].as_str().unwrap()) {
            sample.object["metadata"]["name"] = json!(format!("bad-{i}"));
        }
        wait_for(format_args!("{} to be stored", sample.label()), Duration::from_secs(20), async || {
            match create(&lab, &sample.plural(), &sample.object, false).await {
                Err(error) if !error.to_string().contains("already exists") => Err(error),
                _ => Ok(()),
            }
        })
        .await?;
    }
    lab.start_daymark().await?;
    lab.apply(&service("web", "ipFamilyPolicy: RequireDualStack,")).await?;
    lab.pod("n1", "web-1", &[("app", "web")], &[8080]).await?;
    for vip in addresses(&lab, "web", 2).await? {
        routed_by(&lab, vip, &["n1"]).await?;
    }

    let mut silent = Vec::new();
    for sample in &bad {
        let plural = sample.plural();
        if ["addressclaims", "speakers"].contains(&plural.as_str()) {
            continue;
        }
        let told = wait_for(
            format_args!("the condition of {}", sample.label()),
            Duration::from_secs(30),
            async || match condition(&lab, &plural, sample.name(), "Accepted").await? {
                Some((status, _, message)) if status == "False" => Ok(message),
                other => bail!("{other:?}"),
            },
        )
        .await;
        match told {
            Err(error) => silent.push(format!("{}: {error:#}", sample.label())),
            Ok(message) => {
                for problem in sample.problems.iter().filter(|problem| !message.contains(problem.as_str())) {
                    silent.push(format!("{}: {message:?} lacks {problem:?}", sample.label()));
                }
            }
        }
        if silent.len() > 10 {
            break;
        }
    }
    assert!(silent.is_empty(), "{}", silent.join("\n"));
    for name in ["public"] {
        let (status, ..) = condition(&lab, "addresspools", name, "Accepted").await?.unwrap();
        assert_eq!(status, "True");
    }
    lab.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_with_an_odd_foreign_condition_stops_nobody() -> Result<()> {
    let lab = Lab::builder("crds-odd-condition").nodes(1).router(RouterSpec::bird(65001)).start().await?;
    lab.apply(&announce_everything(&lab)).await?;
    lab.apply(&service("odd", "")).await?;
    let odd = json!({"status": {"conditions": [
        {"type": "example.com/Odd", "status": "True", "reason": "Odd", "message": "", "lastTransitionTime": null}
    ]}});
    let request = Request::patch("/api/v1/namespaces/default/services/odd/status")
        .header("content-type", "application/merge-patch+json")
        .body(odd.to_string().into_bytes())?;
    let stored: Value = lab.kube().request(request).await?;
    ensure!(stored["status"]["conditions"][0]["lastTransitionTime"].is_null(), "{}", stored["status"]);
    lab.start_daymark().await?;
    lab.apply(&service("web", "")).await?;
    for name in ["odd", "web"] {
        lab.pod("n1", &format!("{name}-1"), &[("app", name)], &[8080]).await?;
        let vip = addresses(&lab, name, 1).await?[0];
        routed_by(&lab, vip, &["n1"]).await?;
    }
    let kept: Value = serde_json::from_str(&lab.raw("/api/v1/namespaces/default/services/odd").await?)?;
    let types: Vec<_> =
        kept["status"]["conditions"].as_array().unwrap().iter().map(|c| c["type"].clone()).collect();
    assert!(types.contains(&json!("example.com/Odd")), "{types:?}");
    lab.finish().await
}
