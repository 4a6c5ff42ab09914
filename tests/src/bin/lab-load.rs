//! Sends requests at a steady pace, each on a connection (or socket) of its own, none of them twice, and reports what
//! became of each.

#[path = "../report.rs"]
#[allow(dead_code)]
mod report;

use std::cell::{Cell, RefCell};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::rc::Rc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};
use clap::{Parser, ValueEnum};
use report::{Answer, Failure, Line, Report, counter};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::LocalSet;
use tokio::time::{Instant, interval, sleep_until, timeout};

const FAILURES_KEPT: usize = 1000;
const PROGRESS: Duration = Duration::from_millis(250);

/// An answer that takes longer was hardly answered at the first SYN.
const SLOW: Duration = Duration::from_millis(500);
const SLOW_KEPT: usize = 100;

#[derive(Parser)]
#[command(
    about = "Sends requests at a steady pace and reports what became of each, as JSON; SIGTERM ends it early"
)]
struct Arguments {
    /// Sends one request and prints its answer.
    #[arg(long)]
    once: bool,
    /// Requests per second.
    #[arg(long, default_value_t = 200)]
    rate: u32,
    /// How long to send; until SIGTERM when absent.
    #[arg(long)]
    duration_ms: Option<u64>,
    /// The time a request has, from its first packet to the whole answer.
    #[arg(long, default_value_t = 5000)]
    timeout_ms: u64,
    /// What to send.
    #[arg(long, value_enum, default_value = "tcp")]
    protocol: Protocol,
    /// Address and port.
    target: SocketAddr,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Protocol {
    Tcp,
    Udp,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    if arguments.once {
        let limit = Duration::from_millis(arguments.timeout_ms);
        let answer = ask(arguments.protocol, arguments.target, limit, &Cell::new("connecting")).await?;
        println!("{}", serde_json::to_string(&answer)?);
        return Ok(());
    }
    let report = LocalSet::new().run_until(send_all(&arguments)).await?;
    println!("{}", serde_json::to_string(&Line::Report(report))?);
    Ok(())
}

/// What is known so far.
#[derive(Default)]
struct Tally {
    report: Report,
    times_us: Vec<u64>,
}

async fn send_all(arguments: &Arguments) -> Result<Report> {
    let limit = Duration::from_millis(arguments.timeout_ms);
    let mut stop = signal(SignalKind::terminate())?;
    let tally = Rc::new(RefCell::new(Tally::default()));
    let syn_retrans_before = syn_retrans()?;
    let begin = Instant::now();
    let end = arguments.duration_ms.map(|duration| begin + Duration::from_millis(duration));
    let mut progress = interval(PROGRESS);
    let mut under_way = Vec::new();
    let mut number = 0_u64;
    loop {
        // Counted from the start, so that no delay adds up.
        let due = begin + Duration::from_nanos(number * 1_000_000_000 / u64::from(arguments.rate.max(1)));
        if end.is_some_and(|end| due >= end) {
            break;
        }
        tokio::select! {
            biased;
            _ = stop.recv() => break,
            () = sleep_until(due) => {
                tally.borrow_mut().report.sent += 1;
                let (protocol, target) = (arguments.protocol, arguments.target);
                under_way.push(tokio::task::spawn_local(one(Rc::clone(&tally), protocol, target, limit, begin, due)));
                number += 1;
            }
            _ = progress.tick() => {
                print_progress(&tally.borrow().report)?;
                under_way.retain(|request| !request.is_finished());
            }
        }
    }
    let duration = begin.elapsed();
    for request in under_way {
        request.await?;
    }
    let mut tally = tally.take();
    print_progress(&tally.report)?;
    tally.times_us.sort_unstable();
    let mut report = tally.report;
    report.duration_ms = millis(duration);
    report.median_us = tally.times_us.get(tally.times_us.len() / 2).copied().unwrap_or_default();
    report.slowest_us = tally.times_us.last().copied().unwrap_or_default();
    report.syn_retrans_before = syn_retrans_before;
    report.syn_retrans_after = syn_retrans()?;
    Ok(report)
}

async fn one(
    tally: Rc<RefCell<Tally>>,
    protocol: Protocol,
    target: SocketAddr,
    limit: Duration,
    begin: Instant,
    due: Instant,
) {
    let sent = Instant::now();
    let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let stage = Cell::new("connecting");
    let result = ask(protocol, target, limit, &stage).await;
    let took = sent.elapsed();
    let mut tally = tally.borrow_mut();
    let late = micros(sent - due);
    tally.report.latest_start_us = tally.report.latest_start_us.max(late);
    match result {
        Ok(answer) => {
            tally.report.answered += 1;
            tally.times_us.push(micros(took));
            if took > SLOW && tally.report.slow.len() < SLOW_KEPT {
                tally.report.slow.push((millis(unix), millis(took)));
            }
            *tally.report.answers_by_pod.entry(answer.pod).or_default() += 1;
            tally.report.clients_seen.insert(answer.client);
        }
        Err(error) => {
            tally.report.failed += 1;
            if tally.report.failures.len() < FAILURES_KEPT {
                tally.report.failures.push(Failure {
                    sent_ms: millis(sent - begin),
                    took_ms: millis(took),
                    unix_ms: millis(unix),
                    connected: protocol == Protocol::Tcp && stage.get() != "connecting",
                    error: format!("{error:#}"),
                });
            }
        }
    }
}

async fn ask(
    protocol: Protocol,
    target: SocketAddr,
    limit: Duration,
    stage: &Cell<&'static str>,
) -> Result<Answer> {
    let work = async {
        match protocol {
            Protocol::Tcp => ask_tcp(target, stage).await,
            Protocol::Udp => ask_udp(target, stage).await,
        }
    };
    match timeout(limit, work).await {
        Ok(result) => result.with_context(|| format!("while {}", stage.get())),
        Err(_) => bail!("no answer within {limit:?}, while {}", stage.get()),
    }
}

async fn ask_tcp(target: SocketAddr, stage: &Cell<&'static str>) -> Result<Answer> {
    let mut stream = TcpStream::connect(target).await?;
    stage.set("sending");
    stream.set_nodelay(true)?;
    // The client closes: a pod that does it keeps the connection in TIME_WAIT, and a later one that a node masquerades to the
    // same port is answered with an ACK of the old one, which makes the client send its SYN again.
    let request = format!("GET / HTTP/1.1\r\nHost: {target}\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    stage.set("reading");
    let mut received = Vec::new();
    loop {
        if let Some(body) = body(&received)? {
            return Ok(serde_json::from_slice(body)?);
        }
        if stream.read_buf(&mut received).await? == 0 {
            bail!("the answer is cut off");
        }
    }
}

/// The body of a complete answer.
fn body(received: &[u8]) -> Result<Option<&[u8]>> {
    let Some(end) = received.windows(4).position(|bytes| bytes == b"\r\n\r\n") else { return Ok(None) };
    let head = String::from_utf8_lossy(&received[..end]);
    if !head.starts_with("HTTP/1.1 200") {
        bail!("the answer is {}", head.lines().next().unwrap_or_default());
    }
    let length =
        head.lines().find_map(|line| line.strip_prefix("Content-Length: ")).context("no Content-Length")?;
    Ok(received.get(end + 4..end + 4 + length.trim().parse::<usize>()?))
}

async fn ask_udp(target: SocketAddr, stage: &Cell<&'static str>) -> Result<Answer> {
    let any: IpAddr =
        if target.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((any, 0)).await?;
    socket.connect(target).await?;
    stage.set("sending");
    socket.send(b"?").await?;
    stage.set("waiting");
    let mut buffer = [0; 2048];
    let length = socket.recv(&mut buffer).await?;
    Ok(serde_json::from_slice(&buffer[..length])?)
}

fn print_progress(report: &Report) -> Result<()> {
    let line = Line::Progress { sent: report.sent, answered: report.answered, failed: report.failed };
    println!("{}", serde_json::to_string(&line)?);
    Ok(())
}

fn syn_retrans() -> Result<u64> {
    let text = std::fs::read_to_string("/proc/net/netstat")?;
    counter(&text, "TCPSynRetrans").context("the kernel does not count TCPSynRetrans")
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
