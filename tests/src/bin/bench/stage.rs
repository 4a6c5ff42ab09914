//! The two labs in which everything is measured: a small one, and one beside many Services.

use std::sync::Arc;

use daymark_tests::process::Process;
use daymark_tests::{Lab, Neighbors, Result, RouterSpec};

use crate::figure::Book;
use crate::{Asked, Row, assign, create, endpoint_change, memory, note, population, progress, speaker_start};

/// How much of everything.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    /// Services of the full lab.
    pub services: u32,
    /// How long Services are created at 200 per second.
    pub create_seconds: u32,
    /// Services that are followed into the routers.
    pub routed: u32,
    /// Endpoint changes of each kind.
    pub changes: u32,
    /// Of those, how many come when nothing else happens.
    pub changes_alone: usize,
    /// Starts of a speaker.
    pub starts: u32,
    /// How long a process is watched that has nothing to do.
    pub settled_seconds: u64,
    /// Routes that are fed into a router.
    pub routes: u32,
    /// How often a node goes, in each way.
    pub tries: usize,
    /// Services that get load balancers in AWS all at once.
    pub storm: u32,
    /// Load balancers in AWS that are looked at together, at most.
    pub together: u32,
}

impl Size {
    /// The whole size, or a twentieth; `tries` when they are not to follow from that.
    pub fn new(quick: bool, tries: Option<usize>) -> Self {
        let tries = tries.unwrap_or(if quick { 10 } else { 200 });
        if quick {
            Self {
                services: 500,
                create_seconds: 3,
                routed: 40,
                changes: 20,
                changes_alone: 8,
                starts: 2,
                settled_seconds: 10,
                routes: 5_000,
                tries,
                storm: 25,
                together: 50,
            }
        } else {
            Self {
                services: 10_000,
                create_seconds: 15,
                routed: 200,
                changes: 200,
                changes_alone: 40,
                starts: 3,
                settled_seconds: 30,
                routes: 100_000,
                tries,
                storm: 500,
                together: 1_000,
            }
        }
    }
}

/// A neighbor for the speakers.
pub fn neighbor(name: &str, address: impl std::fmt::Display, asn: u32) -> String {
    format!(
        "---\napiVersion: daymark.dev/v1alpha1\nkind: BgpNeighbor\nmetadata: {{name: {name}}}\n\
         spec: {{address: '{address}', asn: {asn}, localAsn: {}, timers: {{connectRetry: 1s}}}}\n",
        daymark_tests::SPEAKER_ASN
    )
}

async fn start(name: &str, routers: impl IntoIterator<Item = RouterSpec>) -> Result<Lab> {
    let mut builder = Lab::builder(name).nodes(1).clients(0);
    for router in routers {
        builder = builder.router(router);
    }
    let lab = builder.start().await?;
    let neighbors: String = lab
        .routers()
        .iter()
        .map(|router| neighbor(router.name(), router.addresses().v4, router.asn()))
        .collect();
    lab.apply(&format!("{}{neighbors}", population::POOL)).await?;
    Ok(lab)
}

/// The rows that need no population.
pub async fn small(book: &mut Book, asked: &Asked, size: Size, failed: &mut Vec<String>) {
    let rows = [Row::Memory, Row::Create];
    progress("the small lab: 1 node, FRR and BIRD");
    let lab = match start("bench-small", [RouterSpec::frr(65001), RouterSpec::bird(65002)]).await {
        Ok(lab) => lab,
        Err(error) => return lost(asked, &rows, failed, &error),
    };
    // The idle memory is that of a fresh process, so it comes first.
    let started = memory::idle(book, &lab, asked.wants(Row::Memory)).await;
    let ready = started.is_ok();
    note(failed, if asked.wants(Row::Memory) { Row::Memory } else { Row::Create }, started);
    if asked.wants(Row::Create) {
        let created = match ready {
            true => create::run(book, &lab, size).await,
            false => Err(daymark_tests::Error::msg("Daymark does not work in the small lab")),
        };
        note(failed, Row::Create, created);
    }
    if let Err(error) = lab.finish().await {
        lost(asked, &rows, failed, &error);
    }
}

/// The rows beside many Services.
pub async fn full(book: &mut Book, asked: &Asked, size: Size, failed: &mut Vec<String>) {
    let rows = [Row::Assign, Row::SpeakerStart, Row::Memory, Row::EndpointChange];
    progress(format_args!("the full lab: 1 node, BIRD, {} Services", size.services));
    let router = RouterSpec::bird(65002).neighbors(Neighbors::EachPassive);
    let lab = match start("bench-full", [router]).await {
        Ok(lab) => lab,
        Err(error) => return lost(asked, &rows, failed, &error),
    };
    match populate(book, &lab, asked, size).await {
        Ok(controller) if asked.wants_one_of(&rows[1..]) => {
            beside(book, &lab, asked, size, &controller, failed).await;
        }
        Ok(_) => {}
        Err(error) => lost(asked, &rows, failed, &error),
    }
    if let Err(error) = lab.finish().await {
        lost(asked, &rows, failed, &error);
    }
}

/// What is measured with a speaker beside the Services.
async fn beside(
    book: &mut Book,
    lab: &Lab,
    asked: &Asked,
    size: Size,
    controller: &Process,
    failed: &mut Vec<String>,
) {
    let started = match asked.wants(Row::SpeakerStart) {
        true => speaker_start::run(book, lab, size).await,
        false => speaker_start::start(lab, size.services).await,
    };
    let speaker = match started {
        Ok(speaker) => speaker,
        Err(error) => {
            return lost(asked, &[Row::SpeakerStart, Row::Memory, Row::EndpointChange], failed, &error);
        }
    };
    if asked.wants(Row::Memory) {
        note(failed, Row::Memory, memory::full(book, lab, size, &speaker, controller).await);
    }
    if asked.wants(Row::EndpointChange) {
        note(failed, Row::EndpointChange, endpoint_change::run(book, lab, size).await);
    }
}

/// Services with addresses and endpoints, kube-proxy with their rules. The assignment is measured on the way.
async fn populate(book: &mut Book, lab: &Lab, asked: &Asked, size: Size) -> Result<Arc<Process>> {
    let client = lab.kube();
    let node = lab.node("n1")?;
    // While the Services come, the machine is for the API server.
    node.proxy().kill().await?;
    let services = population::services(&client, "lb", size.services).await?;
    let floor = match asked.wants(Row::Assign) {
        true => Some(assign::floor(&client, &services).await?),
        false => None,
    };
    let (controller, pace, usage) = assign::controller(lab, services.len()).await?;
    if let Some(floor) = floor {
        assign::report(book, size.services, pace, usage, floor)?;
    }
    if asked.wants_one_of(&[Row::SpeakerStart, Row::Memory, Row::EndpointChange]) {
        population::slices(&client, "lb", size.services, 0).await?;
        progress("  kube-proxy loads its rules");
        node.start_proxy().await?;
        memory::proxy_settled(node).await?;
    }
    Ok(controller)
}

fn lost(asked: &Asked, rows: &[Row], failed: &mut Vec<String>, error: &daymark_tests::Error) {
    for row in rows.iter().filter(|row| asked.wants(**row)) {
        note(failed, *row, Err(daymark_tests::Error::msg(format!("{error:#}"))));
    }
}
