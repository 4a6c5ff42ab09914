//! The last endpoint of a Service goes, or its first comes: when the event is there, when kube-proxy has the rule, and
//! when the wire says so.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use daymark_tests::network::Network;
use daymark_tests::{Context, Lab, Result};
use kube::Client;
use serde_json::{Value, json};
use tokio::time::interval;

use crate::collector::Collector;
use crate::create::milliseconds;
use crate::figure::{Book, Budget, Figure};
use crate::latency::Latencies;
use crate::population::{self, SERVICES, SLICES};
use crate::rules::RuleMonitor;
use crate::server::{self, List, Object, Service, Watch};
use crate::stage::{Size, neighbor};
use crate::{memory, progress};

/// The collector's host number on the upstream network, its AS and its port.
const HOST: u8 = 100;
const ASN: u32 = 65010;
const PORT: u16 = 179;
/// Changes per second.
const RATE: u32 = 10;
const LIMIT: Duration = Duration::from_secs(60);

/// When what happened to a Service was seen, by its address.
type Moments = HashMap<IpAddr, SystemTime>;

/// Measures beside all Services; the speaker runs.
pub async fn run(book: &mut Book, lab: &Lab, size: Size) -> Result<()> {
    let client = lab.kube();
    let netns = lab.switches().host("collector").await?;
    lab.switches().connect(&netns, &[(Network::Upstream, HOST)]).await?;
    let address = Network::Upstream.addresses(HOST).v4;
    let mut collector = Collector::start(&netns, (address, PORT).into(), ASN).await?;
    lab.apply(&neighbor("collector", address, ASN)).await?;
    announced(&mut collector, size.services as usize).await.context("the first routes")?;
    memory::proxy_settled(lab.node("n1")?).await?;

    let targets = targets(&client, size).await?;
    progress(format_args!("  {} Services lose their endpoints, {RATE} per second", targets.len()));
    let (events, wire) = change(&client, &mut collector, &targets, Change::Gone).await?;
    let mut withdrawn = Latencies::default();
    for target in &targets {
        withdrawn.add_ms(milliseconds(events[&target.address], wire[&target.address]));
    }
    let name = |what: &str| format!("endpoint-{what}-{}-services", size.services);
    book.add(Figure::new(name("withdraw-p50"), withdrawn.percentile(50), "ms"))?;
    book.add(Figure::new(name("withdraw-p99"), withdrawn.percentile(99), "ms").budget(Budget::Below(5.0)))?;
    memory::proxy_settled(lab.node("n1")?).await?;

    let (alone, busy) = targets.split_at(size.changes_alone);
    let mut rules = RuleMonitor::start(lab.node("n1")?.netns()).await?;
    progress(format_args!("  {} Services get them back, one after the other", alone.len()));
    let (mut events, mut wire) = (Moments::new(), Moments::new());
    for target in alone {
        let seen = change(&client, &mut collector, std::slice::from_ref(target), Change::Back).await?;
        events.extend(seen.0);
        wire.extend(seen.1);
        memory::proxy_settled(lab.node("n1")?).await?;
    }
    progress(format_args!("  {} Services get them back, {RATE} per second", busy.len()));
    let seen = change(&client, &mut collector, busy, Change::Back).await?;
    events.extend(seen.0);
    wire.extend(seen.1);
    let programmed = rules.collect(targets.iter().map(|target| target.address), LIMIT).await?;

    for (how, targets) in [("announce", alone), ("announce-busy", busy)] {
        let since = |from: &Moments| {
            let mut latencies = Latencies::default();
            for target in targets {
                latencies.add_ms(milliseconds(from[&target.address], wire[&target.address]));
            }
            latencies
        };
        let (rule, event) = (since(&programmed), since(&events));
        // Below zero, a route drew traffic before the node could serve it.
        for (which, percent) in [("least", 0), ("p50", 50)] {
            let value = rule.percentile(percent);
            book.add(Figure::new(name(&format!("{how}-after-rule-{which}")), value, "ms"))?;
        }
        let worst = Figure::new(name(&format!("{how}-after-rule-p99")), rule.percentile(99), "ms");
        book.add(if how == "announce" { worst.budget(Budget::Below(20.0)) } else { worst })?;
        for percent in [50, 99] {
            let value = event.percentile(percent);
            book.add(Figure::new(name(&format!("{how}-after-event-p{percent}")), value, "ms"))?;
        }
    }
    Ok(())
}

/// A Service whose endpoints go and come.
struct Target {
    name: String,
    number: u32,
    address: IpAddr,
}

/// Services spread over all.
async fn targets(client: &Client, size: Size) -> Result<Vec<Target>> {
    let list: List<Service> = server::get(client, &format!("{SERVICES}?resourceVersion=0")).await?;
    let addresses: BTreeMap<&str, Option<IpAddr>> =
        list.items.iter().map(|service| (service.metadata.name.as_str(), service.address())).collect();
    let numbers = (0..size.changes).map(|place| place * (size.services / size.changes));
    let targets = numbers.map(|number| {
        let name = population::name("lb", number);
        let address = addresses.get(name.as_str()).copied().flatten();
        let address = address.with_context(|| format!("{name} has no address"))?;
        Ok(Target { name, number, address })
    });
    targets.collect()
}

/// What happens to the endpoints of a Service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Change {
    Gone,
    Back,
}

/// Changes one Service after the other: when our own watch showed each change, and when its UPDATE came.
async fn change(
    client: &Client,
    collector: &mut Collector,
    targets: &[Target],
    change: Change,
) -> Result<(Moments, Moments)> {
    let mut watch = Watch::<Object>::start(client, SLICES).await?;
    let writes = async {
        let mut ticks = interval(Duration::from_secs(1) / RATE);
        for target in targets {
            ticks.tick().await;
            let endpoints = match change {
                Change::Gone => Value::Array(Vec::new()),
                Change::Back => population::endpoints(target.number),
            };
            let path = format!("{SLICES}/{}", population::slice_name(&target.name));
            server::merge::<Object>(client, &path, &json!({"endpoints": endpoints})).await?;
        }
        Ok::<_, daymark_tests::Error>(())
    };
    let events = async {
        let by_slice: HashMap<String, IpAddr> =
            targets.iter().map(|target| (population::slice_name(&target.name), target.address)).collect();
        let mut moments = Moments::new();
        while moments.len() < targets.len() {
            let (at, slice) = watch.next(LIMIT).await?;
            if let Some(address) = by_slice.get(&slice.metadata.name) {
                moments.entry(*address).or_insert(at);
            }
        }
        Ok(moments)
    };
    let wire = async {
        let mut moments = Moments::new();
        while !targets.iter().all(|target| moments.contains_key(&target.address)) {
            let update = collector.next(LIMIT).await;
            let update = update.with_context(|| format!("{} of {}", moments.len(), targets.len()))?;
            let (at, routes) = match change {
                Change::Gone => (update.at(), update.withdrawn),
                Change::Back => (update.at(), update.announced),
            };
            for address in routes {
                moments.entry(address.into()).or_insert(at);
            }
        }
        Ok(moments)
    };
    let ((), events, wire) = futures::future::try_join3(writes, events, wire).await?;
    Ok((events, wire))
}

/// Waits for the first announcement of so many routes.
async fn announced(collector: &mut Collector, count: usize) -> Result<()> {
    let mut found = std::collections::HashSet::new();
    while found.len() < count {
        let update = collector.next(LIMIT).await;
        found.extend(update.with_context(|| format!("{} of {count}", found.len()))?.announced);
    }
    Ok(())
}
