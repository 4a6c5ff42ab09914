//! New Services: until the address is in the status, and until the route is in a router's kernel.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::process::Stdio;
use std::time::{Duration, SystemTime};

use daymark_tests::netns::Netns;
use daymark_tests::{Context, Lab, Result, bail};
use kube::Client;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Child;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, interval, timeout_at};

use crate::figure::{Book, Budget, Figure};
use crate::latency::Latencies;
use crate::population::{self, SERVICES};
use crate::server::{self, Object, Service, Watch};
use crate::stage::Size;
use crate::{memory, progress};

/// Creates per second while the status is awaited.
const STATUS_RATE: u32 = 200;
/// Creates per second while the routers are awaited.
const ROUTE_RATE: u32 = 20;
const LIMIT: Duration = Duration::from_secs(60);
/// The number of the first endpoint that the idle Services leave.
const FIRST_ENDPOINT: u32 = 1000;

/// Measures in the small lab, where controller and speaker run.
pub async fn run(book: &mut Book, lab: &Lab, size: Size) -> Result<()> {
    let client = lab.kube();
    let node = lab.node("n1")?;
    // The address does not need speaker and proxy; on a real cluster they are on other machines.
    node.proxy().kill().await?;
    let count = STATUS_RATE * size.create_seconds;
    progress(format_args!("  {count} new Services, {STATUS_RATE} per second"));
    let (made, seen) = create(&client, "new", count, STATUS_RATE).await?;
    let mut latencies = Latencies::default();
    for (name, at) in &made {
        let (there, _) = seen.get(name).context("a Service without an address")?;
        latencies.add_ms(milliseconds(*at, *there));
    }
    let span = made.values().max().zip(made.values().min());
    let rate =
        span.map_or(f64::NAN, |(last, first)| f64::from(count - 1) * 1000.0 / milliseconds(*first, *last));
    book.add(Figure::new("create-rate", rate, "Services/s"))?;
    book.add(Figure::new("create-to-status-p50", latencies.percentile(50), "ms"))?;
    book.add(
        Figure::new("create-to-status-p99", latencies.percentile(99), "ms").budget(Budget::Below(50.0)),
    )?;

    population::slices(&client, "route", size.routed, FIRST_ENDPOINT).await?;
    node.start_proxy().await?;
    memory::proxy_settled(node).await?;
    progress(format_args!("  {} new Services into the routers, {ROUTE_RATE} per second", size.routed));
    let mut monitors = Vec::new();
    for router in lab.routers() {
        monitors.push((router, RouteMonitor::start(router.netns())?));
    }
    let (made, seen) = create(&client, "route", size.routed, ROUTE_RATE).await?;
    for (router, mut monitor) in monitors {
        let routes = monitor.collect(seen.values().map(|(_, address)| *address).collect()).await;
        let routes = routes.with_context(|| format!("routes of {}", router.name()))?;
        let mut latencies = Latencies::default();
        for (name, at) in &made {
            let found = seen.get(name).and_then(|(_, address)| routes.get(address));
            latencies.add_ms(milliseconds(*at, *found.context("a Service without a route")?));
        }
        let software = format!("{:?}", router.software()).to_lowercase();
        for percent in [50, 99] {
            let name = format!("create-to-route-{software}-p{percent}");
            book.add(Figure::new(name, latencies.percentile(percent), "ms"))?;
        }
    }
    Ok(())
}

type Made = BTreeMap<String, SystemTime>;
type Seen = BTreeMap<String, (SystemTime, IpAddr)>;

/// Creates Services at a steady rate, whatever the answers take: when each answer came, and when its address was seen.
async fn create(client: &Client, prefix: &str, count: u32, rate: u32) -> Result<(Made, Seen)> {
    let mut watch = Watch::<Service>::start(client, SERVICES).await?;
    let mut ticks = interval(Duration::from_secs(1) / rate);
    let mut tasks = JoinSet::new();
    for number in 0..count {
        ticks.tick().await;
        let (client, name) = (client.clone(), population::name(prefix, number));
        let body = serde_json::to_vec(&population::service(&name))?;
        tasks.spawn(async move {
            server::post::<Object>(&client, SERVICES, body).await?;
            Ok::<_, daymark_tests::Error>((name, SystemTime::now()))
        });
    }
    let made: Made = tasks.join_all().await.into_iter().collect::<Result<_>>()?;
    let mut seen = Seen::new();
    while seen.len() < made.len() {
        let next = watch.next(LIMIT).await;
        let (at, service) = next.with_context(|| format!("{} of {count} have an address", seen.len()))?;
        if let Some(address) = service.address()
            && made.contains_key(&service.metadata.name)
        {
            seen.entry(service.metadata.name).or_insert((at, address));
        }
    }
    Ok((made, seen))
}

/// From one moment to another; negative when the other came first.
pub fn milliseconds(from: SystemTime, to: SystemTime) -> f64 {
    match to.duration_since(from) {
        Ok(after) => after.as_secs_f64() * 1000.0,
        Err(before) => -before.duration().as_secs_f64() * 1000.0,
    }
}

/// The kernel's route events of a namespace.
struct RouteMonitor {
    _child: Child,
    events: mpsc::UnboundedReceiver<(SystemTime, IpAddr)>,
}

impl RouteMonitor {
    fn start(netns: &Netns) -> Result<Self> {
        let mut command = netns.command("ip");
        command.args(["-4", "-o", "monitor", "route"]);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn()?;
        let mut lines = BufReader::new(child.stdout.take().context("no output")?).lines();
        let (sender, events) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                let address = line.split_whitespace().next().and_then(|word| word.parse::<Ipv4Addr>().ok());
                if let Some(address) = address
                    && sender.send((SystemTime::now(), address.into())).is_err()
                {
                    return;
                }
            }
        });
        Ok(Self { _child: child, events })
    }

    /// When the first route to each of `addresses` came.
    async fn collect(&mut self, addresses: Vec<IpAddr>) -> Result<BTreeMap<IpAddr, SystemTime>> {
        let (mut found, end) = (BTreeMap::new(), Instant::now() + LIMIT);
        while !addresses.iter().all(|address| found.contains_key(address)) {
            let Ok(Some((at, address))) = timeout_at(end, self.events.recv()).await else {
                bail!("{} of {} came within {LIMIT:?}", found.len(), addresses.len());
            };
            found.entry(address).or_insert(at);
        }
        Ok(found)
    }
}
