//! `make bench`: the figures that Daymark is held to, each measured on real parts beside what it is compared with.
//!
//! A figure goes as one JSON line into `target/bench/results.jsonl` and, at the end, into a table. A missed budget is
//! printed as missed; it is no failure of the program. What could not be measured is.

mod assign;
mod aws;
mod aws_calls;
mod aws_fleet;
mod aws_lbc;
mod aws_planner;
mod aws_services;
mod aws_storm;
mod bird;
mod collector;
mod create;
mod endpoint_change;
mod external;
mod figure;
mod l2_asker;
mod l2_capture;
mod l2_failover;
mod l2_load;
mod l2_questions;
mod latency;
mod memory;
mod population;
mod rules;
mod server;
mod speaker_start;
mod stage;
mod usage;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::{Parser, Subcommand, ValueEnum};
use daymark_tests::Result;

use crate::figure::Book;
use crate::stage::Size;

/// Measures Daymark in a lab of its own (as root).
#[derive(Debug, Parser)]
struct Arguments {
    #[command(subcommand)]
    role: Option<Role>,
    /// Only this measurement; may be repeated.
    #[arg(long, value_enum)]
    only: Vec<Row>,
    /// A twentieth of the objects: shows that everything works, not how fast it is.
    #[arg(long)]
    quick: bool,
    /// How often the node that answers for an address goes, in each of the ways that the budget names: 200, or 10 when quick.
    #[arg(long)]
    tries: Option<usize>,
}

/// What this program is beside the measurement itself.
#[derive(Debug, Subcommand)]
enum Role {
    /// A router that writes down when which route came; part of a measurement.
    #[command(hide = true)]
    Collector {
        /// Where it listens.
        listen: SocketAddr,
        /// Its AS number.
        asn: u32,
    },
    /// Writes down when which rule came; part of a measurement.
    #[command(hide = true)]
    Rules,
    /// A client that asks again and again; part of a measurement.
    #[command(hide = true)]
    Asker {
        /// Whom it asks.
        target: SocketAddr,
        /// The time between two requests, in milliseconds.
        pause: u64,
        /// The time that a request has, in milliseconds.
        limit: u64,
    },
    /// Sends frames at a high pace; part of a measurement.
    #[command(hide = true)]
    Questions {
        /// The frames.
        file: PathBuf,
        /// How many in each millisecond.
        each: usize,
        /// For how long.
        milliseconds: usize,
    },
}

/// A measurement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Row {
    /// Waiting Services, until all have an address, against the same writes ready-made.
    Assign,
    /// A new Service, until its address is in the status and until its route is in a router.
    Create,
    /// Decisions in memory.
    Decision,
    /// 100,000 routes to BIRD and FRR, against a replay of the same bytes.
    Routes,
    /// An endpoint that goes or comes, until the wire says so.
    EndpointChange,
    /// The start of a speaker beside all Services, until the router has all routes.
    SpeakerStart,
    /// Memory, CPU and writes of processes that have nothing to do.
    Memory,
    /// The node that answers for an address goes, until another answers and clients are served.
    L2Failover,
    /// Half of all addresses on one node: its answers under load, and until another node has them all.
    L2Load,
    /// Memory and CPU of speakers that answer for all addresses, when nothing happens.
    L2Idle,
    /// Load balancers in AWS: calls, a storm of Services at AWS's rates, decisions in memory. Needs no lab.
    Aws,
}

impl Row {
    fn name(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }
}

/// Which measurements were asked for.
#[derive(Clone, Debug)]
pub struct Asked(Vec<Row>);

impl Asked {
    fn wants(&self, row: Row) -> bool {
        self.0.is_empty() || self.0.contains(&row)
    }

    fn wants_one_of(&self, rows: &[Row]) -> bool {
        rows.iter().any(|row| self.wants(*row))
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    let Arguments { role, only, quick, tries } = Arguments::parse();
    exit(match role {
        Some(Role::Collector { listen, asn }) => collector::serve(listen, asn),
        Some(Role::Rules) => rules::serve(),
        Some(Role::Asker { target, pause, limit }) => {
            l2_asker::serve(target, Duration::from_millis(pause), Duration::from_millis(limit)).await
        }
        Some(Role::Questions { file, each, milliseconds }) => {
            l2_questions::serve(&file, each, milliseconds).await
        }
        None => bench(&Asked(only), Size::new(quick, tries)).await,
    })
}

fn exit(result: Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn bench(asked: &Asked, size: Size) -> Result<()> {
    let begin = Instant::now();
    warn_of_load();
    let mut book = Book::create()?;
    let mut failed = Vec::new();
    if asked.wants(Row::Decision) {
        note(&mut failed, Row::Decision, external::decision(&mut book).await);
    }
    if asked.wants(Row::Routes) {
        note(&mut failed, Row::Routes, external::routes(&mut book, size.routes).await);
    }
    if asked.wants_one_of(&[Row::Create, Row::Memory]) {
        stage::small(&mut book, asked, size, &mut failed).await;
    }
    if asked.wants_one_of(&[Row::Assign, Row::EndpointChange, Row::SpeakerStart, Row::Memory]) {
        stage::full(&mut book, asked, size, &mut failed).await;
    }
    if asked.wants(Row::L2Failover) {
        progress("the node that answers goes: 3 nodes, a client on their LAN");
        note(&mut failed, Row::L2Failover, l2_failover::run(&mut book, size.tries).await);
    }
    if asked.wants_one_of(&[Row::L2Load, Row::L2Idle]) {
        l2_load::run(&mut book, asked, size, &mut failed).await;
    }
    if asked.wants(Row::Aws) {
        note(&mut failed, Row::Aws, aws::run(&mut book, size));
    }
    book.print();
    eprintln!("bench: {:.0} s; the figures are in {}", begin.elapsed().as_secs_f64(), book.path().display());
    match failed.as_slice() {
        [] => Ok(()),
        rows => daymark_tests::bail!("not measured: {}", rows.join(", ")),
    }
}

/// Keeps the name of a row that could not be measured and says why.
fn note(failed: &mut Vec<String>, row: Row, result: Result<()>) {
    if let Err(error) = result {
        eprintln!("bench: {} FAILED: {error:#}", row.name());
        if !failed.contains(&row.name()) {
            failed.push(row.name());
        }
    }
}

/// Other work on the machine makes figures worse, and none of them says so.
fn warn_of_load() {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load: f64 = text.split(' ').next().and_then(|word| word.parse().ok()).unwrap_or_default();
    progress(format_args!("{cores} cores, load {load}"));
    if load > 0.5 {
        progress("this machine is not quiet; the figures will be worse than they are");
    }
}

/// Says what goes on.
pub fn progress(text: impl std::fmt::Display) {
    eprintln!("bench: {text}");
}
