//! Waiting Services until all have an address, against the same writes sent ready-made.

use std::collections::HashSet;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use daymark_tests::process::Process;
use daymark_tests::{Context, Lab, Result};
use kube::Client;
use serde_json::json;

use crate::figure::{Book, Budget, Figure};
use crate::population::SERVICES;
use crate::progress;
use crate::server::{self, Object, Service, Watch, side_by_side};
use crate::usage::Usage;

const CLAIMS: &str = "/apis/daymark.dev/v1alpha1/addressclaims";
/// The first address that the floor hands out: outside of every pool.
const FIRST: u32 = u32::from_be_bytes([100, 96, 0, 0]);
/// With nothing new for so long, something is broken.
const STANDSTILL: Duration = Duration::from_secs(30);

/// How fast Services got their addresses.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// Services per second over the whole time.
    pub rate: f64,
    /// Of the first tenth, counted from its first Service.
    pub first: f64,
    /// Of the last tenth.
    pub last: f64,
}

impl Pace {
    fn new(begin: SystemTime, moments: &[SystemTime]) -> Result<Self> {
        let at: Vec<f64> = moments
            .iter()
            .map(|moment| Ok(moment.duration_since(begin)?.as_secs_f64()))
            .collect::<Result<_>>()?;
        let tenth = at.len() / 10;
        let rate = |part: &[f64]| match part {
            [first, .., last] => (part.len() - 1) as f64 / (last - first),
            _ => f64::NAN,
        };
        let end = at.last().context("there is no Service")?;
        Ok(Self {
            rate: at.len() as f64 / end,
            first: rate(&at[..tenth]),
            last: rate(&at[at.len() - tenth..]),
        })
    }
}

/// What one Service costs: its claim and its status, as the controller writes them.
struct Ready {
    name: String,
    claim_name: String,
    claim: Vec<u8>,
    status: Vec<u8>,
}

impl Ready {
    fn new(service: &Object, number: u32) -> Result<Self> {
        let address = Ipv4Addr::from(FIRST + number);
        let meta = &service.metadata;
        let claim = json!({
            "apiVersion": "daymark.dev/v1alpha1",
            "kind": "AddressClaim",
            "metadata": {"name": address},
            "spec": {
                "address": address,
                "pool": "bench",
                "retain": false,
                "services": [{"namespace": "default", "name": meta.name, "uid": meta.uid}],
            },
        });
        let status = json!({
            "metadata": {"uid": meta.uid, "resourceVersion": meta.resource_version},
            "status": {
                "loadBalancer": {"ingress": [
                    {"ip": address, "ipMode": "VIP", "ports": [{"port": 80, "protocol": "TCP"}]},
                ]},
                "conditions": [{
                    "type": "daymark.dev/AddressAssigned",
                    "status": "True",
                    "reason": "Assigned",
                    "message": format!("{address} from pool bench"),
                    "lastTransitionTime": "2026-01-01T00:00:00Z",
                }],
            },
        });
        Ok(Self {
            name: meta.name.clone(),
            claim_name: address.to_string(),
            claim: serde_json::to_vec(&claim)?,
            status: serde_json::to_vec(&status)?,
        })
    }

    fn status_path(&self) -> String {
        format!("{SERVICES}/{}/status?fieldManager=daymark-bench", self.name)
    }
}

/// Sends the writes for all Services ready-made, 32 at a time, and takes everything back afterwards.
pub async fn floor(client: &Client, services: &[Object]) -> Result<Pace> {
    let writes: Vec<Ready> = services
        .iter()
        .zip(0..)
        .map(|(service, number)| Ready::new(service, number))
        .collect::<Result<_>>()?;
    let mut watch = Watch::<Service>::start(client, SERVICES).await?;
    let begin = SystemTime::now();
    side_by_side("claims and statuses, ready-made", writes.iter().collect(), async |write: &Ready| {
        server::post::<Object>(client, &format!("{CLAIMS}?fieldManager=daymark-bench"), write.claim.clone())
            .await?;
        server::patch::<Object>(client, &write.status_path(), write.status.clone()).await.map(drop)
    })
    .await?;
    let pace = Pace::new(begin, &assigned(&mut watch, services.len()).await?)?;
    let clear = serde_json::to_vec(&json!({"status": {
        "loadBalancer": {"ingress": null},
        "conditions": [{"type": "daymark.dev/AddressAssigned", "$patch": "delete"}],
    }}))?;
    side_by_side("taken back", writes, async |write| {
        server::delete(client, &format!("{CLAIMS}/{}", write.claim_name)).await?;
        server::patch::<Object>(client, &write.status_path(), clear.clone()).await.map(drop)
    })
    .await?;
    Ok(pace)
}

/// Starts the controller beside `count` waiting Services and waits until all have an address.
pub async fn controller(lab: &Lab, count: usize) -> Result<(Arc<Process>, Pace, Usage)> {
    progress(format_args!("  the controller starts beside {count} waiting Services"));
    let mut watch = Watch::<Service>::start(&lab.kube(), SERVICES).await?;
    let begin = SystemTime::now();
    let process = lab.start_controller("a").await?;
    let moments = with_log(&process, assigned(&mut watch, count).await)?;
    let usage = Usage::of(&process).await?;
    Ok((process, Pace::new(begin, &moments)?, usage))
}

/// The moments at which `count` Services were seen with their first address.
async fn assigned(watch: &mut Watch<Service>, count: usize) -> Result<Vec<SystemTime>> {
    let (mut seen, mut moments, begin) = (HashSet::new(), Vec::new(), Instant::now());
    while moments.len() < count {
        let next = watch.next(STANDSTILL).await;
        let (at, service) = next.with_context(|| {
            format!("{} of {count} have an address after {:.0?}", seen.len(), begin.elapsed())
        })?;
        if service.address().is_some() && seen.insert(service.metadata.name) {
            moments.push(at);
        }
    }
    Ok(moments)
}

/// Adds the end of a process's log to an error.
pub fn with_log<T>(process: &Process, result: Result<T>) -> Result<T> {
    result.with_context(|| {
        let log = daymark_tests::process::tail(process.log(), 15);
        format!("{}'s log ends with:\n{log}\nso", process.name())
    })
}

/// Writes the row down.
pub fn report(book: &mut Book, count: u32, pace: Pace, usage: Usage, floor: Pace) -> Result<()> {
    let name = format!("assign-{count}");
    let figure = Figure::new(name.as_str(), pace.rate, "Services/s");
    book.add(figure.against("ready-made", floor.rate).budget(Budget::RatioAtLeast(0.8)))?;
    let tenth = Figure::new(format!("{name}-last-tenth"), pace.last, "Services/s");
    book.add(tenth.against("first tenth", pace.first).budget(Budget::RatioAtLeast(0.8)))?;
    let tenth = Figure::new(format!("{name}-floor-last-tenth"), floor.last, "Services/s");
    book.add(tenth.against("first tenth", floor.first))?;
    let cpu = Figure::new(format!("{name}-controller-cpu"), usage.cpu.as_secs_f64(), "s");
    book.add(cpu.budget(Budget::Below(10.0)))?;
    book.add(Figure::new(format!("{name}-controller-peak-memory"), usage.peak_mib, "MiB"))
}
