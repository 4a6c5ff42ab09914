//! A node and a router, each in a network namespace, on one link with IPv4 and IPv6.
//!
//! A test's body must run inside the node's namespace, so [`in_lab`] makes the namespaces and starts this test program
//! again, for that test alone, inside.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;
use std::time::{Duration, Instant};

use daymark_bgp::{PeerConfig, RouteAttributes, RouteChange, SessionState};
use daymark_model::{Asn, Family, PeerAsn, PeerPath, RouterId, Timers};
use daymark_speaker::bgp::{
    BgpDriver, BgpEvent, BgpHandle, BgpStatus, NeighborConfig, NeighborStatus, Transport,
};
use daymark_speaker::netlink::Watcher;
use tempfile::TempDir;
use tokio::sync::mpsc;

const INSIDE: &str = "DAYMARK_BGP_LAB";
/// The AS of the node.
pub const NODE_AS: u32 = 4_200_000_001;
/// The AS of the router.
pub const ROUTER_AS: u32 = 65_010;
pub const NODE: [&str; 2] = ["10.99.1.1", "2001:db8:99::1"];
pub const ROUTER: [&str; 2] = ["10.99.1.254", "2001:db8:99::fe"];
const PATIENCE: Duration = Duration::from_secs(30);

/// What a test works with, inside the node's namespace.
pub struct Lab {
    pub router_netns: String,
    pub directory: TempDir,
}

/// Runs `body` inside a lab of its own. `name` is the test's.
pub fn in_lab<F: Future<Output = ()>>(name: &str, body: impl FnOnce(Lab) -> F) {
    if let Ok(prefix) = std::env::var(INSIDE) {
        let lab = Lab { router_netns: format!("{prefix}-r"), directory: TempDir::new().unwrap() };
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        return runtime.block_on(body(lab));
    }
    let spaces = Spaces::new(name);
    let output = Command::new("ip")
        .args(["netns", "exec", &spaces.node()])
        .arg(std::env::current_exe().unwrap())
        .args([name, "--exact", "--nocapture", "--test-threads=1"])
        .env(INSIDE, &spaces.prefix)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let failed = !output.status.success() || !text.contains("1 passed");
    assert!(!failed, "inside the lab:\n{text}\n{}", String::from_utf8_lossy(&output.stderr));
}

/// The namespaces; gone when dropped, with whatever still runs in them.
struct Spaces {
    prefix: String,
}

impl Spaces {
    fn new(name: &str) -> Self {
        sweep();
        let tag: u32 = name.bytes().fold(7, |tag: u32, b| tag.wrapping_mul(31).wrapping_add(b.into()));
        let spaces = Self { prefix: format!("dmbgp-{}-{:04x}", std::process::id(), tag & 0xffff) };
        let (node, router) = (spaces.node(), spaces.router());
        ip(&["netns", "add", &node]);
        ip(&["netns", "add", &router]);
        ip(&["-n", &node, "link", "add", "up0", "type", "veth", "peer", "name", "up0", "netns", &router]);
        for (netns, addresses) in [(&node, NODE), (&router, ROUTER)] {
            ip(&["-n", netns, "link", "set", "lo", "up"]);
            ip(&["-n", netns, "link", "set", "up0", "up"]);
            ip(&["-n", netns, "address", "add", &format!("{}/24", addresses[0]), "dev", "up0"]);
            ip(&["-n", netns, "address", "add", &format!("{}/64", addresses[1]), "dev", "up0", "nodad"]);
        }
        spaces
    }

    fn node(&self) -> String {
        format!("{}-n", self.prefix)
    }

    fn router(&self) -> String {
        format!("{}-r", self.prefix)
    }
}

impl Drop for Spaces {
    fn drop(&mut self) {
        [self.node(), self.router()].iter().for_each(|netns| remove(netns));
    }
}

/// Removes what a process left that was killed.
fn sweep() {
    for line in asked(&["netns", "list"]).lines() {
        let netns = line.split_whitespace().next().unwrap_or_default();
        let of = netns.strip_prefix("dmbgp-").and_then(|rest| rest.split('-').next());
        if of.is_some_and(|process| !std::path::Path::new("/proc").join(process).exists()) {
            remove(netns);
        }
    }
}

/// Removes a namespace, with whatever still runs in it.
fn remove(netns: &str) {
    for pid in asked(&["netns", "pids", netns]).lines() {
        let _ = Command::new("kill").args(["-9", pid]).status();
    }
    let _ = Command::new("ip").args(["netns", "del", netns]).status();
}

/// What `ip` answers; nothing when it fails.
fn asked(arguments: &[&str]) -> String {
    let output = Command::new("ip").args(arguments).output();
    output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default()
}

fn ip(arguments: &[&str]) {
    let output = Command::new("ip").args(arguments).output().unwrap();
    assert!(output.status.success(), "ip {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

impl Lab {
    /// A command in the router's namespace.
    pub fn on_router(&self, program: &str) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.router_netns, program]);
        command
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }
}

/// The driver under test.
pub struct Node {
    pub handle: BgpHandle,
    pub events: mpsc::UnboundedReceiver<BgpEvent>,
}

impl Node {
    pub async fn start(listen_port: u16) -> Self {
        let (to, events) = mpsc::unbounded_channel();
        let handle = BgpDriver { listen_port, seed: 42 }.spawn(to).unwrap();
        let (watcher, mut networks) = Watcher::start().await.unwrap();
        tokio::spawn(daymark_speaker::netlink::follow(watcher));
        let follower = handle.clone();
        handle.network(networks.borrow_and_update().clone());
        tokio::spawn(async move {
            while networks.changed().await.is_ok() {
                follower.network(networks.borrow_and_update().clone());
            }
        });
        Self { handle, events }
    }

    pub fn announce(&self, neighbor: &str, prefixes: &[&str], attributes: &Arc<RouteAttributes>) {
        let change =
            |p: &&str| RouteChange { prefix: p.parse().unwrap(), attributes: Some(attributes.clone()) };
        self.handle.update(neighbor.into(), prefixes.iter().map(change).collect(), Instant::now());
    }

    pub fn withdraw(&self, neighbor: &str, prefixes: &[&str]) {
        let change = |p: &&str| RouteChange { prefix: p.parse().unwrap(), attributes: None };
        self.handle.update(neighbor.into(), prefixes.iter().map(change).collect(), Instant::now());
    }

    pub fn status(&self) -> BgpStatus {
        self.handle.status().borrow().clone()
    }

    pub fn neighbor(&self, name: &str) -> NeighborStatus {
        self.status().neighbors[name].clone()
    }

    /// Waits until a neighbor's status is as wanted.
    pub async fn until(
        &self,
        name: &str,
        what: &str,
        holds: impl Fn(&NeighborStatus) -> bool,
    ) -> NeighborStatus {
        let mut status = self.handle.status();
        let waited = tokio::time::timeout(PATIENCE, async {
            loop {
                if let Some(neighbor) = status.borrow_and_update().neighbors.get(name)
                    && holds(neighbor)
                {
                    return neighbor.clone();
                }
                status.changed().await.unwrap();
            }
        });
        waited.await.unwrap_or_else(|_| panic!("{name} is not {what}: {:#?}", self.status()))
    }

    /// Waits for an event.
    pub async fn heard<T>(&mut self, what: &str, wanted: impl Fn(BgpEvent) -> Option<T>) -> T {
        let waited = tokio::time::timeout(PATIENCE, async {
            loop {
                if let Some(found) = wanted(self.events.recv().await.unwrap()) {
                    return found;
                }
            }
        });
        waited.await.unwrap_or_else(|_| panic!("{what}: nothing of it within {PATIENCE:?}"))
    }

    pub async fn up(&self, name: &str) -> NeighborStatus {
        self.until(name, "Established", |status| status.state == SessionState::Established).await
    }
}

/// The router as a neighbor of the node, over IPv4 or IPv6.
pub fn neighbor(name: &str, transport: Family) -> NeighborConfig {
    let at = usize::from(transport == Family::V6);
    NeighborConfig {
        name: name.into(),
        peer: PeerConfig {
            local_asn: Asn::new(NODE_AS).unwrap(),
            router_id: RouterId::new("10.99.1.1".parse().unwrap()).unwrap(),
            peer_asn: PeerAsn::Exact(Asn::new(ROUTER_AS).unwrap()),
            timers: Timers {
                hold: Duration::from_secs(9),
                keepalive: Duration::from_secs(3),
                connect_retry: Duration::from_secs(1),
            },
            passive: false,
            families: [Family::V4, Family::V6].into(),
        },
        transport: Transport {
            address: ROUTER[at].parse::<IpAddr>().unwrap(),
            port: 179,
            source: None,
            path: PeerPath::Direct,
        },
    }
}

/// Asks again and again until the answer is as wanted.
pub async fn eventually<T: std::fmt::Debug>(
    what: &str,
    ask: impl Fn() -> T,
    holds: impl Fn(&T) -> bool,
) -> T {
    let start = Instant::now();
    loop {
        let answer = ask();
        if holds(&answer) {
            return answer;
        }
        assert!(start.elapsed() < PATIENCE, "{what}: not within {PATIENCE:?}, but {answer:#?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// The standard output of a command that must not fail.
pub fn said(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text} {}", String::from_utf8_lossy(&output.stderr));
    text
}

/// Attributes with the given communities.
pub fn attributes(communities: &[&str]) -> Arc<RouteAttributes> {
    let communities = communities.iter().map(|text| text.parse().unwrap()).collect();
    Arc::new(RouteAttributes { communities, ..Default::default() })
}

pub fn write(path: &Path, text: &str) {
    std::fs::write(path, text).unwrap();
}
