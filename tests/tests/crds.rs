//! The CRDs judged by a real API server, and malformed objects that a server without their rules has let in.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::path::{Path, PathBuf};
use std::time::Duration;

use common::{addresses, announce_everything, condition, routed_by, service};
use daymark_config::crd;
use daymark_config::native::cloud;
use daymark_model::aws::Deletion;
use daymark_model::{
    AwsProfile, CloudMember, CloudProvider, CloudRecord, Inventory, Ownership, Phase, Resource, ResourceKey,
    Timestamp,
};
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
    let namespace = object["metadata"]["namespace"].as_str();
    let namespace = namespace.map(|name| format!("namespaces/{name}/")).unwrap_or_default();
    let path = format!("/apis/daymark.dev/v1alpha1/{namespace}{plural}?fieldValidation=Ignore{dry}");
    let request = Request::post(path)
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
        // Nobody says anything of these kinds in a condition `Accepted`, or only of a user's own.
        if ["addressclaims", "cloudloadbalancers", "speakers"].contains(&plural.as_str()) {
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
async fn an_inventory_comes_back_from_the_server_as_it_was_written() -> Result<()> {
    let lab = Lab::builder("crds-inventory").nodes(1).clients(0).start().await?;
    let mut inventory = Inventory::default();
    let limit = u32::try_from(crd::CloudInventory::MAX_RESOURCES)?;
    for generation in 0..limit {
        let key = ResourceKey::new("TargetGroup", "web/tcp-80", generation);
        let mut resource =
            Resource::intended(key, format!("dm-shop-web-{generation:010}"), Timestamp(1_700_000_000_123));
        resource.id = (generation % 2 == 0).then(|| format!("arn:aws:elasticloadbalancing:::{generation}"));
        resource.facts.insert("zone".into(), "Z1".into());
        resource.recorded = [("a".to_owned(), Some(String::new())), ("b".to_owned(), None)].into();
        if generation % 3 == 0 {
            resource.ownership = Ownership::Borrowed;
            resource.phase = Phase::Leaving;
        }
        inventory.put(resource);
    }
    inventory.epoch = u32::MAX;
    inventory.granted.insert("replace nlb".into());
    let mut record = CloudRecord {
        provider: CloudProvider::Aws,
        profile: "nlb".into(),
        service_uid: Some("u-1".into()),
        group: None,
        members: vec![CloudMember { name: "web".into(), uid: "u-1".into() }],
        place: AwsProfile::new("production-1", "vpc-0a1b2c3d").place(),
        deletion: Deletion::Retain,
        inventory,
    };
    let path = "/apis/daymark.dev/v1alpha1/namespaces/default/cloudloadbalancers";
    let full = cloud::cloud_object("default", "web", &record);
    create(&lab, "cloudloadbalancers", &serde_json::to_value(&full)?, false).await?;
    let mut stored: crd::CloudLoadBalancer = serde_json::from_str(&lab.raw(&format!("{path}/web")).await?)?;
    assert_eq!(cloud::record(&stored).as_ref(), Ok(&record));

    // What is written over it is not mixed with what was there.
    record.inventory = Inventory::default();
    stored.spec = cloud::cloud_spec(&record);
    let request = Request::put(format!("{path}/web"))
        .header("content-type", "application/json")
        .body(serde_json::to_vec(&stored)?)?;
    let stored: crd::CloudLoadBalancer = lab.kube().request(request).await?;
    assert_eq!(cloud::record(&stored).as_ref(), Ok(&record));

    // Where it was made stays so; the role that is assumed there may have another name.
    for (place, accepted) in [
        (json!({"vpc": "vpc-00000000"}), false),
        (json!({"cluster": "other"}), false),
        (json!({"region": "eu-west-1"}), false),
        (json!({"roleArn": "arn:aws:iam::111111111111:role/daymark"}), true),
    ] {
        let request = Request::patch(format!("{path}/web?dryRun=All"))
            .header("content-type", "application/merge-patch+json")
            .body(serde_json::to_vec(&json!({"spec": {"place": place}}))?)?;
        match lab.kube().request::<Value>(request).await {
            Ok(_) => ensure!(accepted, "{place} was accepted"),
            Err(error) => {
                ensure!(!accepted && error.to_string().contains("cannot change"), "{place}: {error}")
            }
        }
    }

    let status = crd::CloudLoadBalancerStatus {
        hostnames: vec!["web-1.elb.example".into()],
        healthy: Some("2/3".into()),
        load_balancer: [("arn".to_owned(), "arn:aws:x".to_owned())].into(),
        plan: Some(crd::CloudPlan {
            consent: Some("0123456789".into()),
            disruptive: vec!["replaces the load balancer".into()],
            steps: vec![crd::CloudStep { what: "create".into(), why: "new".into(), held: true }],
            more: 1,
        }),
        ports: vec![
            crd::CloudPort {
                service: "web".into(),
                port: 53,
                protocol: "TCP".into(),
                healthy: 1,
                total: 2,
                draining: 0,
            },
            crd::CloudPort {
                service: "web".into(),
                port: 53,
                protocol: "UDP".into(),
                healthy: 1,
                total: 1,
                draining: 3,
            },
        ],
        remarks: vec![crd::CloudRemark { reason: "Drift".into(), message: "a tag is gone".into() }],
        last_error: Some(crd::CloudFailure {
            class: "Throttled".into(),
            reason: "Throttled".into(),
            message: "rate exceeded".into(),
            ..Default::default()
        }),
        ..Default::default()
    };
    let request = Request::patch(format!("{path}/web/status"))
        .header("content-type", "application/merge-patch+json")
        .body(serde_json::to_vec(&json!({"status": status}))?)?;
    let stored: crd::CloudLoadBalancer = lab.kube().request(request).await?;
    assert_eq!(stored.status, Some(status));

    // However much there is to tell, the server takes what is left of it.
    let long = "é".repeat(5000);
    let much = crd::CloudLoadBalancerStatus {
        hostnames: vec!["web-1.elb.example".into(); 9],
        addresses: vec!["192.0.2.1".into(); 99],
        // A merge patch takes nothing away, so the fact from before is among them.
        load_balancer: (0..99)
            .map(|i| (if i == 0 { "arn".to_owned() } else { format!("fact-{i}") }, long.clone()))
            .collect(),
        plan: Some(crd::CloudPlan {
            disruptive: vec![long.clone(); 99],
            steps: vec![crd::CloudStep { what: long.clone(), why: long.clone(), held: false }; 99],
            ..stored.status.clone().and_then(|status| status.plan).unwrap_or_default()
        }),
        remarks: vec![crd::CloudRemark { reason: "Drift".into(), message: long.clone() }; 99],
        last_error: Some(crd::CloudFailure {
            class: "Blocked".into(),
            reason: "Blocked".into(),
            message: long.clone(),
            action: Some(long.clone()),
            code: Some(long.clone()),
            remedy: Some(long),
            retry_at: None,
        }),
        ..stored.status.unwrap_or_default()
    }
    .bounded();
    let request = Request::patch(format!("{path}/web/status"))
        .header("content-type", "application/merge-patch+json")
        .body(serde_json::to_vec(&json!({"status": much}))?)?;
    lab.kube().request::<Value>(request).await?;
    let shown = lab.kubectl(&["get", "dmclb", "web", "--no-headers"]).await?;
    let columns: Vec<&str> = shown.split_whitespace().take(5).collect();
    assert_eq!(columns, ["web", "nlb", "web-1.elb.example", "2/3", "0123456789"], "{shown}");
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
