//! How long the core takes per assignment: 100,000 Services in 100 pools, as JSON lines.
//!
//! `assignment-*` is everything from a Service's first event to its settled status (the event, the claim's answer and
//! the status's answer, with all that is decided in between); `decision-*` is the part from the event to the claim.
//! `…-waiting` frees one address at a time while 1,000 Services wait for one.

#![allow(clippy::disallowed_methods, reason = "a benchmark reads the clock")]

use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

use daymark_model::{
    Assignment, Family, IpMode, Pool, PortProtocol, Protocol, Quarantine, ServiceKey, SharingPolicy,
    Timestamp, TrafficPolicy,
};
use daymark_pool::{
    Assigner, ClaimView, ConditionPatch, FamilyPolicy, Input, Requests, ResourceVersion, ServiceView,
    Settings, Write, WriteAction, WriteResult, Written,
};

const SERVICES: usize = 100_000;
const POOLS: usize = 100;
const PER_POOL: u32 = 1_010;
const NOW: Timestamp = Timestamp(1_700_000_000_000);
const BUDGET_US: f64 = 5.0;

fn pool(number: usize) -> Pool {
    let first = 0x0a00_0000 + u32::try_from(number).unwrap_or(0) * 4096;
    let last = first + PER_POOL - 1;
    Pool {
        name: format!("pool-{number:03}").into(),
        labels: Default::default(),
        addresses: vec![daymark_model::AddressBlock::V4 { first: first.into(), last: last.into() }],
        exclude: Vec::new(),
        assignment: Assignment::Automatic,
        avoid_edge_addresses: false,
        priority: 100,
        service_selector: None,
        namespace_selector: None,
        sharing: SharingPolicy::SameNamespace,
        quarantine: Quarantine::Strict(Duration::ZERO),
        ip_mode: IpMode::VIP,
        overlapping: Default::default(),
    }
}

fn service(number: usize) -> ServiceView {
    let key = ServiceKey::new(&format!("ns-{:03}", number % 200), &format!("svc-{number:06}"));
    ServiceView {
        key,
        uid: format!("7a5e2f1c-0000-4000-8000-{number:012}").into(),
        resource_version: "1".into(),
        created_at: Timestamp(NOW.0 + i64::try_from(number / 100).unwrap_or(0)),
        labels: [("app".to_owned(), "x".to_owned())].into(),
        is_load_balancer: true,
        class: None,
        families: vec![Family::V4],
        family_policy: FamilyPolicy::SingleStack,
        requests: Ok(Requests::default()),
        sharing_key: None,
        ports: vec![PortProtocol { protocol: Protocol::Tcp, port: 80 }],
        traffic_policy: TrafficPolicy::Cluster,
        pod_selector: [("app".to_owned(), "x".to_owned())].into(),
        deleting: false,
        ingress: Vec::new(),
        condition: None,
        ingress_manager: None,
    }
}

/// Answers writes at once, as the API server would.
struct Server {
    version: u64,
}

impl Server {
    fn version(&mut self) -> ResourceVersion {
        self.version += 1;
        self.version.to_string().as_str().into()
    }

    fn answer(&mut self, write: Write, service: &mut ServiceView) -> Input {
        let written = match write.action {
            WriteAction::CreateClaim(claim) | WriteAction::ReplaceClaim { claim, .. } => {
                let resource_version = self.version();
                let uid = format!("c{}", self.version).into();
                Written::Claim(Box::new(ClaimView { claim, uid, resource_version, created_at: NOW }))
            }
            WriteAction::DeleteClaim { .. } => Written::Deleted,
            WriteAction::PatchServiceStatus { patch, .. } => {
                service.resource_version = self.version();
                service.ingress = patch.ingress.unwrap_or_else(|| service.ingress.clone());
                service.condition = match patch.condition {
                    ConditionPatch::Set(condition) => Some(condition),
                    ConditionPatch::Remove => None,
                };
                Written::Service(Box::new(service.clone()))
            }
        };
        Input::WriteDone { id: write.id, result: WriteResult::Done(written) }
    }
}

fn synced() -> Assigner {
    let window = NonZeroUsize::new(32).unwrap_or(NonZeroUsize::MIN);
    let mut assigner = Assigner::new(Settings { window, built_in_default: true });
    assigner.handle(NOW, Input::ProfilesReset(Vec::new()));
    assigner.handle(NOW, Input::NamespacesReset(Vec::new()));
    assigner.handle(NOW, Input::PoolsReset((0..POOLS).map(pool).collect()));
    assigner.handle(NOW, Input::ClaimsReset(Vec::new()));
    assigner.handle(NOW, Input::ServicesReset(Vec::new()));
    assigner
}

/// Times of batches of 100 Services; their median says what the core takes, whatever else the machine does.
#[derive(Default)]
struct Spent {
    decision: Duration,
    assignment: Duration,
    services: u32,
    batches: Vec<(Duration, Duration)>,
}

impl Spent {
    const BATCH: u32 = 100;

    fn count(&mut self) {
        self.services += 1;
        if self.services == Self::BATCH {
            self.batches.push((self.decision, self.assignment));
            (self.decision, self.assignment, self.services) = (Duration::ZERO, Duration::ZERO, 0);
        }
    }

    fn median(&self, of: impl Fn(&(Duration, Duration)) -> Duration) -> f64 {
        let mut all: Vec<Duration> = self.batches.iter().map(of).collect();
        all.sort();
        all.get(all.len() / 2).copied().unwrap_or_default().as_secs_f64() * 1e6 / f64::from(Self::BATCH)
    }
}

/// One Service from its first event to its settled status; returns how long the core took.
fn settle(assigner: &mut Assigner, server: &mut Server, view: ServiceView, spent: &mut Spent) -> ServiceView {
    let mut service = view.clone();
    let mut input = Input::ServiceChanged(Box::new(view));
    let mut first = true;
    loop {
        let began = Instant::now();
        assigner.handle(NOW, input);
        let write = assigner.next_write(NOW);
        let took = began.elapsed();
        spent.assignment += took;
        if std::mem::take(&mut first) {
            spent.decision += took;
        }
        while assigner.next_event().is_some() {}
        match write {
            Some(write) => input = server.answer(write, &mut service),
            None => break,
        }
    }
    spent.count();
    service
}

/// The budget is for the decision; the whole assignment is shown beside it.
fn print(name: &str, value: f64, budget: Option<f64>) {
    let judged = budget.map_or(String::new(), |budget| {
        format!(",\"budget\":\"< {budget} us\",\"holds\":{}", value < budget)
    });
    println!("{{\"name\":\"{name}\",\"value\":{value:.3},\"unit\":\"us\"{judged}}}");
}

fn main() {
    let mut assigner = synced();
    let mut server = Server { version: 10 };
    let mut first = Spent::default();
    let mut middle = Spent::default();
    let mut last = Spent::default();
    let mut rest = Spent::default();
    let mut settled = Vec::with_capacity(SERVICES);
    for number in 0..SERVICES {
        let spent = match number * 100 / SERVICES {
            0..10 => &mut first,
            45..55 => &mut middle,
            98.. => &mut last,
            _ => &mut rest,
        };
        let view = service(number);
        settled.push(settle(&mut assigner, &mut server, view, spent));
    }
    eprintln!("{:?}", assigner.summary());
    for (at, spent) in [("empty", &first), ("50-percent", &middle), ("99-percent", &last)] {
        print(&format!("decision-{at}"), spent.median(|batch| batch.0), Some(BUDGET_US));
        print(&format!("assignment-{at}"), spent.median(|batch| batch.1), None);
    }
    waiting(&mut assigner, &mut server, settled);
    // What it built is not worth taking apart.
    std::mem::forget(assigner);
}

/// All pools full, 1,000 Services waiting; then each deletion of a Service lets the oldest have its address.
fn waiting(assigner: &mut Assigner, server: &mut Server, settled: Vec<ServiceView>) {
    let capacity = POOLS * PER_POOL as usize;
    let mut ignored = Spent::default();
    let mut views: Vec<ServiceView> = Vec::new();
    for number in SERVICES..capacity + 1_000 {
        views.push(settle(assigner, server, service(number), &mut ignored));
    }
    views.drain(..capacity - SERVICES);
    eprintln!("{:?}", assigner.summary());
    let mut spent = Spent::default();
    for (gone, view) in settled.into_iter().step_by(97).take(1_000).zip(&mut views) {
        let mut input = Input::ServiceGone { key: gone.key, uid: gone.uid };
        loop {
            let began = Instant::now();
            assigner.handle(NOW, input);
            let write = assigner.next_write(NOW);
            spent.assignment += began.elapsed();
            while assigner.next_event().is_some() {}
            match write {
                Some(write) => input = server.answer(write, view),
                None => break,
            }
        }
        spent.count();
    }
    eprintln!("{:?}", assigner.summary());
    let value = spent.median(|batch| batch.1);
    print("release-and-reassign-waiting", value, None);
}
