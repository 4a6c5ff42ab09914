//! A speaker's start beside all Services until the router has all routes, against fetching and decoding the same lists.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use daymark_tests::process::Process;
use daymark_tests::{Lab, Result, ensure};
use serde::Deserialize;
use tokio::time::Instant;

use crate::assign::with_log;
use crate::bird::Bird;
use crate::figure::{Book, Budget, Figure};
use crate::latency::median;
use crate::progress;
use crate::server::{self, List};
use crate::stage::Size;

const LIMIT: Duration = Duration::from_secs(120);
const PROTOCOL: &str = "n1_v4";

/// What a speaker reads of an object: the fields that it decides by.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(dead_code, reason = "decoding them is what is measured")]
struct Metadata {
    name: Option<String>,
    namespace: Option<String>,
    uid: Option<String>,
    resource_version: Option<String>,
    labels: Option<BTreeMap<String, String>>,
    annotations: Option<BTreeMap<String, String>>,
}

#[derive(Debug, Deserialize)]
#[expect(dead_code, reason = "decoding them is what is measured")]
struct Service {
    metadata: Metadata,
    spec: Option<ServiceSpec>,
    status: Option<ServiceStatus>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(dead_code, reason = "decoding them is what is measured")]
struct ServiceSpec {
    #[serde(rename = "type")]
    type_: Option<String>,
    external_traffic_policy: Option<String>,
    health_check_node_port: Option<u16>,
    ip_families: Option<Vec<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(dead_code, reason = "decoding them is what is measured")]
struct ServiceStatus {
    load_balancer: Option<LoadBalancer>,
    conditions: Option<Vec<Condition>>,
}

#[derive(Debug, Deserialize)]
#[expect(dead_code, reason = "decoding them is what is measured")]
struct LoadBalancer {
    ingress: Option<Vec<Ingress>>,
}

#[derive(Debug, Deserialize)]
#[expect(dead_code, reason = "decoding them is what is measured")]
struct Ingress {
    ip: Option<String>,
}

#[derive(Debug, Deserialize)]
#[expect(dead_code, reason = "decoding them is what is measured")]
struct Condition {
    #[serde(rename = "type")]
    type_: Option<String>,
    status: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(dead_code, reason = "decoding them is what is measured")]
struct Slice {
    metadata: Metadata,
    address_type: Option<String>,
    endpoints: Option<Vec<Endpoint>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(dead_code, reason = "decoding them is what is measured")]
struct Endpoint {
    addresses: Option<Vec<String>>,
    conditions: Option<BTreeMap<String, Option<bool>>>,
    node_name: Option<String>,
}

/// Starts the speaker of `n1` and waits until BIRD has a route for each Service.
pub async fn start(lab: &Lab, count: u32) -> Result<Arc<Process>> {
    let speaker = lab.start_speaker("n1").await?;
    let mut bird = Bird::connect(lab, "r1").await?;
    with_log(&speaker, bird.wait_imported(PROTOCOL, count.into(), LIMIT).await)?;
    Ok(speaker)
}

/// Measures; the speaker runs afterwards.
pub async fn run(book: &mut Book, lab: &Lab, size: Size) -> Result<Arc<Process>> {
    progress(format_args!("  the speaker starts beside {} Services", size.services));
    let speaker = start(lab, size.services).await?;
    let mut bird = Bird::connect(lab, "r1").await?;
    let (mut starts, mut floors) = (Vec::new(), Vec::new());
    for _ in 0..size.starts {
        speaker.kill().await?;
        bird.wait_ready(PROTOCOL, Duration::from_secs(30)).await?;
        let lists = fetch(lab, size.services as usize).await?;
        let begin = Instant::now();
        speaker.start().await?;
        with_log(&speaker, bird.wait_imported(PROTOCOL, size.services.into(), LIMIT).await)?;
        let whole = begin.elapsed().as_secs_f64();
        progress(format_args!("  all routes after {whole:.2} s, the lists alone {lists:.2} s"));
        starts.push(whole);
        floors.push(lists);
    }
    let name = format!("speaker-start-{}", size.services);
    book.add(Figure::new(name.as_str(), median(&starts), "s").budget(Budget::Below(3.0)))?;
    let figure = Figure::new(format!("{name}-lists"), median(&starts), "s");
    book.add(
        figure.against("fetching and decoding the lists", median(&floors)).budget(Budget::RatioBelow(1.5)),
    )?;
    Ok(speaker)
}

/// Fetches and decodes what the speaker must know, on connections of its own.
async fn fetch(lab: &Lab, count: usize) -> Result<f64> {
    let begin = Instant::now();
    let client = lab.control_plane().admin_client().await?;
    let (services, slices) = futures::future::try_join(
        server::get::<List<Service>>(&client, "/api/v1/services?resourceVersion=0"),
        server::get::<List<Slice>>(&client, "/apis/discovery.k8s.io/v1/endpointslices?resourceVersion=0"),
    )
    .await?;
    let seconds = begin.elapsed().as_secs_f64();
    ensure!(services.items.len() > count && slices.items.len() > count, "the lists are too short");
    Ok(seconds)
}
