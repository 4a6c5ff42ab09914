//! How long routes take from session up until a real router holds them, beside a replay of the same bytes ready-made.
//!
//! `bgp-feed [ROUTES] [ROUNDS]`, as root; 100,000 routes and 5 rounds by default. It makes two network namespaces and
//! starts BIRD, then FRR, in one of them. One JSON line per figure, with the median of the rounds.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use daymark_bgp::{Input, Link, Output, Peer, PeerConfig, RouteAttributes, RouteChange, SessionState};
use daymark_model::{Asn, Family, PeerAsn, PeerPath, RouterId, Timers};
use daymark_speaker::bgp::{BgpDriver, BgpEvent, NeighborConfig, Transport};
use ipnet::Ipv4Net;
use serde_json::json;
use tokio::sync::mpsc;

const INSIDE: &str = "DAYMARK_BGP_FEED";
const NODE: Ipv4Addr = Ipv4Addr::new(10, 99, 1, 1);
const ROUTER: Ipv4Addr = Ipv4Addr::new(10, 99, 1, 254);
const NODE_AS: u32 = 65001;
const ROUTER_AS: u32 = 65002;
const PATIENCE: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(1);

fn main() -> Result<()> {
    let mut numbers = std::env::args().skip(1);
    let mut number = |default: u32| numbers.next().map_or(Ok(default), |text| text.parse());
    let routes = number(100_000).context("ROUTES is a number")?;
    let rounds = number(5).context("ROUNDS is a number")?;
    match std::env::var(INSIDE) {
        Ok(prefix) => measure(&prefix, routes, rounds),
        Err(_) => outside(),
    }
}

/// Makes the namespaces and runs this program again inside that of the node.
fn outside() -> Result<()> {
    let spaces = Spaces { prefix: format!("dmbgp-feed-{}", std::process::id()) };
    let (node, router) = (format!("{}-n", spaces.prefix), format!("{}-r", spaces.prefix));
    ip(&["netns", "add", &node])?;
    ip(&["netns", "add", &router])?;
    ip(&["-n", &node, "link", "add", "up0", "type", "veth", "peer", "name", "up0", "netns", &router])?;
    for (netns, address) in [(&node, NODE), (&router, ROUTER)] {
        ip(&["-n", netns, "address", "add", &format!("{address}/24"), "dev", "up0"])?;
        ip(&["-n", netns, "link", "set", "up0", "up"])?;
    }
    let status = Command::new("ip")
        .args(["netns", "exec", &node])
        .arg(std::env::current_exe()?)
        .args(std::env::args().skip(1))
        .env(INSIDE, &spaces.prefix)
        .status()?;
    ensure!(status.success(), "the measurement failed");
    Ok(())
}

struct Spaces {
    prefix: String,
}

impl Drop for Spaces {
    fn drop(&mut self) {
        for end in ["n", "r"] {
            // There is nobody to tell; `ip netns` shows what stayed.
            let _ = ip(&["netns", "del", &format!("{}-{end}", self.prefix)]);
        }
    }
}

fn ip(arguments: &[&str]) -> Result<()> {
    let output = Command::new("ip").args(arguments).output()?;
    ensure!(output.status.success(), "ip {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

fn measure(prefix: &str, routes: u32, rounds: u32) -> Result<()> {
    let directory = std::env::temp_dir().join(prefix);
    std::fs::create_dir_all(&directory)?;
    let result = ["bird", "frr"].iter().try_for_each(|name| {
        let mut router = Router::start(name, &format!("{prefix}-r"), &directory)?;
        compare(name, &mut router, routes, rounds)
    });
    std::fs::remove_dir_all(&directory)?;
    result
}

fn compare(name: &str, router: &mut Router, routes: u32, rounds: u32) -> Result<()> {
    let mut ours = Vec::new();
    for _ in 0..rounds {
        ours.push(feed(router, routes)?);
    }
    let memory = peak_memory()?;
    let (_, heard) = connect()?;
    let bytes = ready_made(&heard, routes);
    let mut replays = Vec::new();
    for _ in 0..rounds {
        replays.push(replay(router, routes, &bytes)?);
    }
    let (value, against) = (median(&mut ours), median(&mut replays));
    let ratio = value / against;
    let figure = json!({
        "name": format!("routes_{routes}_to_{name}"), "value": value, "unit": "s",
        "against": "a replay of the same bytes", "against_value": against,
        "ratio": ratio, "budget": 2.0, "holds": ratio <= 2.0,
    });
    println!("{figure}");
    if name == "bird" {
        let figure = json!({
            "name": format!("bgp_memory_{routes}_routes"), "value": memory, "unit": "MiB",
            "budget": 40.0, "holds": memory < 40.0,
        });
        println!("{figure}");
    }
    Ok(())
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

fn config() -> Result<PeerConfig> {
    Ok(PeerConfig {
        local_asn: Asn::new(NODE_AS)?,
        router_id: RouterId::new(NODE).context("a router id")?,
        peer_asn: PeerAsn::Exact(Asn::new(ROUTER_AS)?),
        timers: Timers { connect_retry: Duration::from_secs(1), ..Timers::default() },
        passive: false,
        families: [Family::V4].into(),
    })
}

fn changes(routes: u32) -> Vec<RouteChange> {
    let attributes = Arc::new(RouteAttributes::default());
    let host = |n| Ipv4Net::from(Ipv4Addr::from_bits(0x6440_0000_u32.wrapping_add(n)));
    (0..routes)
        .map(|n| RouteChange { prefix: host(n).into(), attributes: Some(attributes.clone()) })
        .collect()
}

/// One round of the driver: seconds from Established until the router holds all.
fn feed(router: &mut Router, routes: u32) -> Result<f64> {
    router.wait_for(0)?;
    let (to, mut events) = mpsc::unbounded_channel();
    let handle = BgpDriver { listen_port: 0, seed: routes.into() }.spawn(to)?;
    handle.update("router".into(), changes(routes), Instant::now());
    handle.synced();
    let transport = Transport { address: ROUTER.into(), port: 179, source: None, path: PeerPath::Direct };
    handle.configure(vec![NeighborConfig { name: "router".into(), peer: config()?, transport }]);
    loop {
        match events.blocking_recv().context("the driver ended")? {
            BgpEvent::StateChanged { to: SessionState::Established, .. } => break,
            BgpEvent::StateChanged { .. } | BgpEvent::Written { .. } => {}
        }
    }
    let established = Instant::now();
    router.wait_for(routes)?;
    let took = established.elapsed().as_secs_f64();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async { handle.shutdown("measured".to_owned(), Duration::ZERO).await });
    Ok(took)
}

/// A peer that has just connected over `link`, and its OPEN.
fn connected(peer: &mut Peer, link: Link) -> (daymark_bgp::ConnectionId, Vec<Output>) {
    let mut out = Vec::new();
    peer.handle(Instant::now(), Input::Tick, &mut out);
    let connection = daymark_bgp::ConnectionId { origin: daymark_bgp::Origin::Outgoing, number: 0 };
    peer.handle(Instant::now(), Input::Connected { connection, link }, &mut out);
    (connection, out)
}

fn link() -> Link {
    Link { local: SocketAddr::new(NODE.into(), 0), local_v4: None, local_v6: None }
}

/// Brings a session without routes up; gives back what the router said.
fn handshake(stream: &mut TcpStream) -> Result<Vec<u8>> {
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut peer = Peer::new(config()?, 1, Instant::now());
    let (connection, mut out) = connected(&mut peer, link());
    let mut heard = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        for output in out.drain(..) {
            match output {
                Output::Send { bytes, .. } => stream.write_all(&bytes)?,
                Output::StateChanged { to: SessionState::Established, .. } => return Ok(heard),
                Output::Connect { .. } | Output::StateChanged { .. } => {}
                Output::Close { .. } | Output::Stopped => bail!("no session: {:?}", peer.status().last_error),
            }
        }
        let count = stream.read(&mut buffer)?;
        ensure!(count > 0, "the router closed the connection");
        let bytes = buffer.get(..count).unwrap_or_default();
        heard.extend_from_slice(bytes);
        peer.handle(Instant::now(), Input::Received { connection, bytes }, &mut out);
    }
}

/// All that the driver would send for the routes to a router that says `heard`, behind OPEN and KEEPALIVE.
fn ready_made(heard: &[u8], routes: u32) -> Vec<u8> {
    let Ok(config) = config() else { return Vec::new() };
    let mut peer = Peer::new(config, 1, Instant::now());
    let (connection, _) = connected(&mut peer, link());
    let mut out = Vec::new();
    peer.handle(Instant::now(), Input::RoutesChanged(changes(routes)), &mut out);
    peer.handle(Instant::now(), Input::Synced, &mut out);
    peer.handle(Instant::now(), Input::Received { connection, bytes: heard }, &mut out);
    let mut all = Vec::new();
    let mut keepalive = true;
    while !out.is_empty() {
        let mut octets: usize = 0;
        for output in std::mem::take(&mut out) {
            if let Output::Send { bytes, .. } = output {
                octets = octets.saturating_add(bytes.len());
                if !std::mem::replace(&mut keepalive, false) {
                    all.extend_from_slice(&bytes);
                }
            }
        }
        peer.handle(Instant::now(), Input::Written { connection, octets }, &mut out);
    }
    all
}

/// One round of the ready-made bytes.
fn replay(router: &mut Router, routes: u32, bytes: &[u8]) -> Result<f64> {
    router.wait_for(0)?;
    let (mut stream, _) = connect()?;
    let mut reader = stream.try_clone()?;
    let reading = std::thread::spawn(move || std::io::copy(&mut reader, &mut std::io::sink()));
    let established = Instant::now();
    stream.write_all(bytes)?;
    router.wait_for(routes)?;
    let took = established.elapsed().as_secs_f64();
    stream.shutdown(std::net::Shutdown::Both)?;
    // It ends with the connection, however that ends.
    let _ = reading.join();
    Ok(took)
}

/// A session without routes, and what the router said; it may refuse for a moment after the last session ended.
fn connect() -> Result<(TcpStream, Vec<u8>)> {
    let start = Instant::now();
    loop {
        let attempt =
            TcpStream::connect((ROUTER, 179)).map_err(anyhow::Error::from).and_then(|mut stream| {
                stream.set_nodelay(true)?;
                let heard = handshake(&mut stream)?;
                Ok((stream, heard))
            });
        match attempt {
            Ok(session) => return Ok(session),
            Err(error) if start.elapsed() > PATIENCE => return Err(error),
            Err(_) => std::thread::sleep(Duration::from_millis(200)),
        }
    }
}

fn peak_memory() -> Result<f64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("VmHWM")?;
    let kibibytes: f64 = line.trim().trim_end_matches("kB").trim().parse()?;
    Ok(kibibytes / 1024.0)
}

/// The router that receives; killed when dropped.
struct Router {
    child: Child,
    control: Control,
}

enum Control {
    Bird(UnixStream),
    Frr(UnixStream),
}

impl Router {
    fn start(name: &str, netns: &str, directory: &Path) -> Result<Self> {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", netns]).stdout(Stdio::null()).stderr(Stdio::null());
        let file = directory.join(name);
        let socket = match name {
            "bird" => {
                let text = format!(
                    "router id {ROUTER};\nprotocol device {{ }}\nprotocol bgp node {{ local {ROUTER} as {ROUTER_AS}; \
                     neighbor {NODE} as {NODE_AS}; passive on; error wait time 1, 1; \
                     ipv4 {{ import all; export none; }}; }}\n"
                );
                std::fs::write(&file, text)?;
                let socket = directory.join("bird.ctl");
                command.args(["bird", "-f", "-c"]).arg(&file).arg("-s").arg(&socket);
                command.arg("-P").arg(directory.join("bird.pid"));
                socket
            }
            _ => {
                let text = format!(
                    "router bgp {ROUTER_AS}\n bgp router-id {ROUTER}\n no bgp ebgp-requires-policy\n \
                     neighbor {NODE} remote-as {NODE_AS}\n neighbor {NODE} passive\n"
                );
                std::fs::write(&file, text)?;
                command.args(["/usr/lib/frr/bgpd", "-Z", "-S", "-P", "0", "-f"]).arg(&file);
                command.arg("--vty_socket").arg(directory).arg("-i").arg(directory.join("frr.pid"));
                directory.join("bgpd.vty")
            }
        };
        let child = command.spawn().with_context(|| format!("cannot start {name}"))?;
        let start = Instant::now();
        let stream = loop {
            match UnixStream::connect(&socket) {
                Ok(stream) => break stream,
                Err(error) if start.elapsed() > PATIENCE => return Err(error.into()),
                Err(_) => std::thread::sleep(Duration::from_millis(20)),
            }
        };
        stream.set_read_timeout(Some(PATIENCE))?;
        let control = if name == "bird" { Control::Bird(stream) } else { Control::Frr(stream) };
        let mut router = Self { child, control };
        router.greet()?;
        Ok(router)
    }

    fn greet(&mut self) -> Result<()> {
        match &mut self.control {
            Control::Bird(stream) => until(stream, |text| text.ends_with(b"\n")).map(drop),
            Control::Frr(stream) => ask_frr(stream, "enable").map(drop),
        }
    }

    /// Waits until the router holds `count` routes.
    fn wait_for(&mut self, count: u32) -> Result<()> {
        let start = Instant::now();
        loop {
            let held = self.held()?;
            if held == count {
                return Ok(());
            }
            ensure!(start.elapsed() < PATIENCE, "the router holds {held} routes, not {count}");
            std::thread::sleep(POLL);
        }
    }

    fn held(&mut self) -> Result<u32> {
        match &mut self.control {
            Control::Bird(stream) => {
                stream.write_all(b"show protocols all node\n")?;
                let answer =
                    until(stream, |text| text.ends_with(b"\n0000 \n") || text.ends_with(b"\n0000\n"))?;
                let answer = String::from_utf8_lossy(&answer);
                let line = answer.lines().find_map(|line| line.trim().strip_prefix("Routes:"));
                Ok(line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0))
            }
            Control::Frr(stream) => {
                let answer = ask_frr(stream, "show bgp ipv4 unicast summary json")?;
                let summary: serde_json::Value = serde_json::from_str(&answer).context("FRR's summary")?;
                let received = &summary["peers"][NODE.to_string()]["pfxRcd"];
                Ok(received.as_u64().and_then(|count| count.try_into().ok()).unwrap_or(0))
            }
        }
    }
}

impl Drop for Router {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn until(stream: &mut UnixStream, is_complete: impl Fn(&[u8]) -> bool) -> Result<Vec<u8>> {
    let mut answer = Vec::new();
    let mut buffer = [0; 4096];
    while !is_complete(&answer) {
        let count = stream.read(&mut buffer)?;
        ensure!(count > 0, "the router ended");
        answer.extend_from_slice(buffer.get(..count).unwrap_or_default());
    }
    Ok(answer)
}

/// A command to FRR's vty: ended by a zero, answered with a text, three zeros and a status.
fn ask_frr(stream: &mut UnixStream, command: &str) -> Result<String> {
    stream.write_all(command.as_bytes())?;
    stream.write_all(&[0])?;
    let mut answer = until(stream, |text| {
        text.len().checked_sub(4).and_then(|at| text.get(at..)).is_some_and(|end| end.starts_with(&[0, 0, 0]))
    })?;
    answer.truncate(answer.len().saturating_sub(4));
    Ok(String::from_utf8_lossy(&answer).into_owned())
}
