//! Many addresses on one node: how fast it answers ten thousand questions per second, how fast another node takes all of them,
//! and what layer 2 costs when nothing happens.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use daymark_tests::lan::frame::request;
use daymark_tests::lan::record::Time;
use daymark_tests::network::Network;
use daymark_tests::{Context, Lab, Result, ensure, wait_for};
use kube::Client;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::figure::{Book, Budget, Figure};
use crate::l2_capture::{Capture, Heard};
use crate::l2_questions;
use crate::latency::Latencies;
use crate::population::{self, SERVICES, SLICES};
use crate::server::{self, Object, side_by_side};
use crate::stage::Size;
use crate::usage::Usage;
use crate::{Asked, Row, assign, note, progress};

const NODES: [&str; 3] = ["n1", "n2", "n3"];
/// The node that has half of all addresses, and the one that has them after it.
const OWNER: &str = "n1";
const HEIR: &str = "n2";
const RATE: usize = 10_000;
const LIMIT: Duration = Duration::from_secs(180);
const SETTLE: Duration = Duration::from_secs(15);

/// Half of the Services have their addresses on one node, the others on the other two.
const OBJECTS: &str = "
apiVersion: daymark.dev/v1alpha1
kind: AddressPool
metadata: {name: many}
spec: {addresses: [100.64.0.0/16, '2001:db8:64::/112']}
---
apiVersion: daymark.dev/v1alpha1
kind: Announcement
metadata: {name: one-node}
spec:
  serviceSelector: {matchLabels: {group: one-node}}
  l2:
    interfaces: [upstream]
    failback: Never
    preferredNodes:
    - {weight: 20, selector: {matchLabels: {kubernetes.io/hostname: n1}}}
    - {weight: 10, selector: {matchLabels: {kubernetes.io/hostname: n2}}}
---
apiVersion: daymark.dev/v1alpha1
kind: Announcement
metadata: {name: others}
spec:
  serviceSelector: {matchLabels: {group: others}}
  nodeSelector: {matchExpressions: [{key: kubernetes.io/hostname, operator: NotIn, values: [n1]}]}
  l2: {interfaces: [upstream]}
";

/// Service number `number` with one address: IPv4 and IPv6 in turn.
fn service(number: u32) -> Value {
    let group = if number.is_multiple_of(4) || number % 4 == 1 { "one-node" } else { "others" };
    json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": population::name("l2", number), "labels": {"group": group}},
        "spec": {
            "type": "LoadBalancer",
            "allocateLoadBalancerNodePorts": false,
            "ipFamilies": [if v4(number) { "IPv4" } else { "IPv6" }],
            "ports": [{"port": 80, "targetPort": 8080}],
        },
    })
}

fn v4(number: u32) -> bool {
    number.is_multiple_of(2)
}

fn slice(number: u32) -> Value {
    let name = population::name("l2", number);
    let address = |place: u32| {
        let number = number * 5 + place;
        match v4(number / 5) {
            true => IpAddr::from(Ipv4Addr::from(u32::from_be_bytes([10, 160, 0, 0]) + number)),
            false => Ipv6Addr::from(0xfd00_0160_u128 << 96 | u128::from(number)).into(),
        }
    };
    let endpoint = |place: u32| {
        let node = NODES[place as usize % NODES.len()];
        json!({"addresses": [address(place)], "conditions": {"ready": true}, "nodeName": node})
    };
    json!({
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": format!("{name}-1"), "labels": {
            "kubernetes.io/service-name": name,
            "endpointslice.kubernetes.io/managed-by": "daymark-bench",
        }},
        "addressType": if v4(number) { "IPv4" } else { "IPv6" },
        "ports": [{"name": "", "protocol": "TCP", "port": 8080}],
        "endpoints": (0..5).map(endpoint).collect::<Vec<_>>(),
    })
}

async fn populate(lab: &Lab, count: u32) -> Result<()> {
    lab.apply(OBJECTS).await?;
    // Nothing is served here: what kube-proxy does with so many Services would only be in the way.
    for node in lab.nodes() {
        node.proxy().kill().await?;
    }
    let client: Client = lab.kube();
    for (what, path, body) in
        [("Services", SERVICES, service as fn(u32) -> Value), ("EndpointSlices", SLICES, slice)]
    {
        let bodies = (0..count).map(body).collect();
        side_by_side(what, bodies, async |body: Value| {
            server::post::<Object>(&client, path, serde_json::to_vec(&body)?).await.map(drop)
        })
        .await?;
    }
    Ok(())
}

/// How many addresses a node answers for on the LAN.
async fn owned(lab: &Lab, node: &str) -> Result<u64> {
    let told: Value = serde_json::from_str(&lab.node(node)?.get("http://127.0.0.1:7472/debug/l2").await?)?;
    let segments = told["node"]["segments"].as_array().context("no segments")?;
    let lan = segments.iter().find(|segment| segment["name"] == "upstream").context("no segment upstream")?;
    lan["owned"].as_u64().context("no number")
}

/// The addresses of the Services of one group.
async fn addresses(lab: &Lab, group: &str) -> Result<Vec<IpAddr>> {
    let path = format!("{SERVICES}?labelSelector=group%3D{group}");
    let list = server::get::<server::List<server::Service>>(&lab.kube(), &path).await?;
    list.items.iter().map(|service| service.address().context("a Service without an address")).collect()
}

/// Measures what is asked for.
pub async fn run(book: &mut Book, asked: &Asked, size: Size, failed: &mut Vec<String>) {
    let rows = [Row::L2Idle, Row::L2Load].into_iter().filter(|row| asked.wants(*row));
    if let Err(error) = measure(book, asked, size, failed).await {
        for row in rows {
            note(failed, row, Err(daymark_tests::Error::msg(format!("{error:#}"))));
        }
    }
}

async fn measure(book: &mut Book, asked: &Asked, size: Size, failed: &mut Vec<String>) -> Result<()> {
    progress(format_args!("the lab of many addresses: 3 nodes, {} Services", size.services));
    let lab = Lab::builder("bench-l2-many").nodes(3).clients(0).lan_clients(1).start().await?;
    populate(&lab, size.services).await?;
    let (controller, ..) = assign::controller(&lab, size.services as usize).await?;
    let begin = Instant::now();
    for node in NODES {
        lab.start_speaker(node).await?;
    }
    let half = u64::from(size.services / 2);
    wait_for("all addresses to be answered for", LIMIT, async || {
        let (mine, others) = (owned(&lab, OWNER).await?, owned(&lab, "n2").await? + owned(&lab, "n3").await?);
        ensure!(mine == half && others == half, "n1 has {mine}, the others have {others}");
        Ok(())
    })
    .await?;
    progress(format_args!("  all addresses are answered for after {:.1} s", begin.elapsed().as_secs_f64()));
    controller.check_running().await?;
    if asked.wants(Row::L2Idle) {
        note(failed, Row::L2Idle, idle(book, &lab, size).await);
    }
    if asked.wants(Row::L2Load) {
        let vips = addresses(&lab, "one-node").await?;
        note(failed, Row::L2Load, answers(book, &lab, size, &vips).await);
        note(failed, Row::L2Load, takeover(book, &lab, &vips).await);
    }
    lab.finish().await
}

/// What speakers need when nothing happens.
async fn idle(book: &mut Book, lab: &Lab, size: Size) -> Result<()> {
    progress(format_args!("  nothing happens for {} s", size.settled_seconds));
    sleep(SETTLE).await;
    let begin = Instant::now();
    let mut before = Vec::new();
    for node in NODES {
        before.push(Usage::of(&*lab.speaker(node).await?).await?);
    }
    sleep(Duration::from_secs(size.settled_seconds)).await;
    let seconds = begin.elapsed().as_secs_f64();
    let (mut cpu, mut memory, mut peak) = (0.0_f64, 0.0_f64, 0.0_f64);
    for (node, before) in NODES.iter().zip(before) {
        let after = Usage::of(&*lab.speaker(node).await?).await?;
        cpu = cpu.max((after.cpu - before.cpu).as_secs_f64() * 100.0 / seconds);
        memory = memory.max(after.rss_mib);
        peak = peak.max(after.peak_mib);
    }
    let name = format!("l2-idle-{}-services", size.services);
    book.add(Figure::new(format!("{name}-cpu"), cpu, "%").budget(Budget::Below(2.0)))?;
    book.add(Figure::new(format!("{name}-memory"), memory, "MiB").budget(Budget::Below(64.0)))?;
    book.add(Figure::new(format!("{name}-memory-peak"), peak, "MiB"))
}

/// Ten thousand questions per second for the addresses of one node.
async fn answers(book: &mut Book, lab: &Lab, size: Size, vips: &[IpAddr]) -> Result<()> {
    let length = Duration::from_secs(size.settled_seconds / 3);
    progress(format_args!("  {RATE} questions per second for {} addresses, {length:?}", vips.len()));
    let (asker, speaker) = (lab.lan_client("l1")?, lab.speaker(OWNER).await?);
    let sender = asker.sender().await?;
    let frames: Vec<_> = vips.iter().map(|vip| request(sender, *vip)).collect();
    let port = lab.switches().ports(lab.node(OWNER)?.netns(), Network::Upstream).await?.remove(0);
    let capture = Capture::start(lab, &port, Heard::Both).await?;
    let (begin, before) = (Instant::now(), Usage::of(&speaker).await?);
    l2_questions::ask(asker.netns(), lab.directory(), &frames, RATE, length).await?;
    let (seconds, after) = (begin.elapsed().as_secs_f64(), Usage::of(&speaker).await?);
    let packets = capture.stop().await?;

    let ours: HashSet<IpAddr> = vips.iter().copied().collect();
    let (mut open, mut latencies) = (HashMap::new(), Latencies::default());
    let (mut asked, mut answered) = (0_u32, 0_u32);
    for (at, packet) in packets {
        if let Some(vip) = packet.asks_for().filter(|vip| ours.contains(vip)) {
            asked += 1;
            open.insert(vip, at);
        } else if let Some((vip, _)) = packet.claim()
            && !packet.is_gratuitous()
            && let Some(question) = open.remove(&vip)
        {
            answered += 1;
            latencies.add_ms(at.since(question).as_secs_f64() * 1000.0);
        }
    }
    ensure!(answered > 0, "{asked} questions, no answer");
    let name = format!("l2-load-{}", vips.len());
    book.add(Figure::new(format!("{name}-rate"), f64::from(asked) / seconds, "questions/s"))?;
    book.add(Figure::new(format!("{name}-answer-p50"), latencies.percentile(50), "ms"))?;
    book.add(
        Figure::new(format!("{name}-answer-p99"), latencies.percentile(99), "ms").budget(Budget::Below(1.0)),
    )?;
    let lost = Figure::new(format!("{name}-unanswered"), f64::from(asked - answered), "questions");
    book.add(lost.budget(Budget::Below(1.0)))?;
    let cpu = (after.cpu - before.cpu).as_secs_f64() * 100.0 / seconds;
    book.add(Figure::new(format!("{name}-cpu"), cpu, "%"))?;
    book.add(Figure::new(format!("{name}-memory"), after.rss_mib, "MiB"))
}

/// The owner of all dies.
async fn takeover(book: &mut Book, lab: &Lab, vips: &[IpAddr]) -> Result<()> {
    progress(format_args!("  the owner of {} addresses dies", vips.len()));
    let port = lab.switches().ports(lab.node(HEIR)?.netns(), Network::Upstream).await?.remove(0);
    let capture = Capture::start(lab, &port, Heard::FromHost).await?;
    let before = owned(lab, HEIR).await?;
    let at = Time::now();
    lab.speaker(OWNER).await?.kill().await?;
    wait_for(format_args!("{HEIR} to answer for all"), LIMIT, async || {
        let more = owned(lab, HEIR).await?.saturating_sub(before);
        ensure!(more >= vips.len() as u64, "{more}");
        Ok(())
    })
    .await?;
    // The rest of the burst.
    sleep(Duration::from_secs(6)).await;
    let packets = capture.stop().await?;
    let ours: HashSet<IpAddr> = vips.iter().copied().collect();
    let (mut first, mut paces) = (HashMap::new(), BTreeMap::new());
    for (time, packet) in packets.iter().filter(|(time, _)| *time > at) {
        *paces.entry(time.since(at).as_millis() / 100).or_insert(0_u32) += 1;
        if let Some((vip, _)) = packet.claim().filter(|(vip, _)| ours.contains(vip)) {
            first.entry(vip).or_insert(*time);
        }
    }
    let probes = packets.iter().filter(|(_, packet)| packet.asks_for().is_some()).count();
    progress(format_args!("  {} frames, {probes} of them probes", packets.len()));
    ensure!(first.len() == vips.len(), "{} of {} addresses were told", first.len(), vips.len());
    let mut latencies = Latencies::default();
    first.values().for_each(|seen| latencies.add_ms(seen.since(at).as_secs_f64() * 1000.0));
    let name = format!("l2-takeover-{}", vips.len());
    for (percent, what) in [(0, "first"), (50, "p50"), (100, "last")] {
        let figure = Figure::new(format!("{name}-{what}"), latencies.percentile(percent), "ms");
        book.add(if percent == 100 { figure.budget(Budget::Below(2000.0)) } else { figure })?;
    }
    let peak = paces.values().max().copied().unwrap_or_default();
    book.add(Figure::new(format!("{name}-peak"), f64::from(peak) * 10.0, "frames/s"))
}
