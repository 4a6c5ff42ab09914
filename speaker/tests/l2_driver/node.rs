//! A node: a driver in a process of its own, so that it can be killed and frozen.
//!
//! The process is this test program once more, running [`process`] alone; it takes orders from its standard input.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::IpAddr;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use daymark_l2::member::NodeUid;
use daymark_l2::mesh::{Key, MeshKeys};
use daymark_l2::node::NodeFacts;
use daymark_l2::offer::{AnnouncementId, Offer, Servers, Terms};
use daymark_l2::report::{SegmentTerms, Standing};
use daymark_model::{Failback, Interface, Reason, TimingProfile};
use daymark_speaker::l2::{Change, L2Driver, L2Handle};
use daymark_speaker::netlink::{self, HostNetwork, Watcher};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::lan::{Lan, UP, VIPS, eventually};

const INSIDE: &str = "DAYMARK_L2_NODE";
/// What a process says begins with this, so that it can be told from what the test program says.
const ANSWER: &str = "state ";
/// The interfaces that are announced on.
const ANNOUNCING: [&str; 4] = [UP, "lan0", "bond0", "up0.7"];
const PORT: u16 = 7947;
const ANNOUNCEMENT: &str = "all";

/// A node's process; killed when dropped.
pub struct Node {
    child: Child,
    orders: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Node {
    /// Starts a node in the namespace called `name`, with the one capability that it needs; it offers [`VIPS`].
    pub fn start(lan: &Lan, name: &str) -> Self {
        Self::start_with("-all,+net_raw", lan, name)
    }

    /// Starts a node with other capabilities, as setpriv(1) takes them.
    pub fn start_with(capabilities: &str, lan: &Lan, name: &str) -> Self {
        let mut child = Command::new("ip")
            .args(["netns", "exec", &lan.named(name), "setpriv", "--bounding-set", capabilities])
            .args(["--inh-caps", "-all"])
            .arg(std::env::current_exe().unwrap())
            .args(["node::process", "--exact", "--nocapture", "--test-threads=1"])
            .env(INSIDE, name)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (orders, answers) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let mut node = Self { child, orders, answers: BufReader::new(answers) };
        for vip in VIPS {
            node.tell(&format!("offer {vip}"));
        }
        node
    }

    /// Gives an order.
    pub fn tell(&mut self, order: &str) {
        writeln!(self.orders, "{order}").unwrap();
    }

    /// What the driver says of itself.
    pub fn state(&mut self) -> Value {
        self.tell("state");
        loop {
            let mut line = String::new();
            assert!(self.answers.read_line(&mut line).unwrap() > 0, "the node ended");
            if let Some((_, state)) = line.split_once(ANSWER) {
                return serde_json::from_str(state).unwrap();
            }
        }
    }

    /// Waits until it hears as many others on the segment behind `interface`.
    pub fn until_hears(&mut self, interface: &str, others: usize) {
        let heard = |state: &Value| {
            let segments = state["node"]["segments"].as_array()?;
            let segment = segments.iter().find(|segment| segment["name"] == interface)?;
            segment["mesh"]["members"].as_array().map(Vec::len)
        };
        let what = format!("it hears {others} others on {interface}");
        eventually(&what, || self.state(), |state| heard(state) == Some(others));
    }

    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Stops or continues the process.
    pub fn signal(&self, signal: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args([signal, &pid]).status().unwrap().success());
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn process() {
    let Ok(name) = std::env::var(INSIDE) else { return };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    runtime.block_on(run(&name));
}

async fn run(name: &str) {
    let (watcher, mut networks) = Watcher::start().await.unwrap();
    tokio::spawn(netlink::follow(watcher));
    let (events, mut heard) = mpsc::unbounded_channel();
    let driver = L2Driver { node: NodeUid::of(name), name: name.to_owned(), port: PORT };
    let l2 = driver.spawn(networks.clone(), events);
    l2.keys(Some(MeshKeys { current: Key::new([7; 32]), previous: None }));
    let (read, mut lines) = mpsc::unbounded_channel();
    std::thread::spawn(move || {
        std::io::stdin().lines().map_while(Result::ok).try_for_each(|line: String| read.send(line).ok())
    });
    let mut offered: Vec<IpAddr> = Vec::new();
    configure(&l2, &networks.borrow_and_update(), &offered);
    loop {
        tokio::select! {
            _ = networks.changed() => configure(&l2, &networks.borrow_and_update(), &offered),
            Some(_) = heard.recv() => {}
            line = lines.recv() => match line {
                None => return,
                Some(line) => {
                    let network = networks.borrow().clone();
                    obey(&l2, &line, &network, &mut offered).await;
                },
            },
        }
    }
}

/// Tells the driver everything, as it is now.
fn configure(l2: &L2Handle, network: &HostNetwork, offered: &[IpAddr]) {
    let named = |i: &Interface| ANNOUNCING.contains(&i.name.as_str());
    let announcing: Vec<Interface> = network.interfaces().into_iter().filter(named).collect();
    l2.configure(facts(network, &announcing));
    l2.change(offered.iter().map(|address| Change::Offer(offer(*address, &announcing))).collect());
}

async fn obey(l2: &L2Handle, line: &str, network: &HostNetwork, offered: &mut Vec<IpAddr>) {
    let (order, object) = line.split_once(' ').unwrap_or((line, ""));
    match order {
        "offer" => {
            offered.push(object.parse().unwrap());
            configure(l2, network, offered);
        }
        // As many addresses of IPv6, each with a group of its own.
        "offer-many" => {
            let count: u32 = object.parse().unwrap();
            let address = |i: u32| IpAddr::V6(format!("2001:db8:98::a0:{i:x}").parse().unwrap());
            offered.extend((0..count).map(address));
            configure(l2, network, offered);
        }
        "shutdown" => l2.shutdown(Duration::from_secs(5)).await,
        "state" => {
            let counters = l2.counters();
            let mut state = json!(*l2.status().borrow());
            state["stalls"] = counters.stalls.get().into();
            state["framesReceived"] = counters.frames_received.get().into();
            let mut silent: BTreeMap<&str, usize> = BTreeMap::new();
            for reason in l2.addresses(None, usize::MAX).await.iter().filter_map(|a| a.not_answering.as_ref())
            {
                *silent.entry(reason.code()).or_default() += 1;
            }
            state["silent"] = json!(silent);
            println!("{ANSWER}{state}");
        }
        _ => panic!("there is no order {line:?}"),
    }
}

fn facts(network: &HostNetwork, announcing: &[Interface]) -> NodeFacts {
    let terms =
        BTreeMap::from([(AnnouncementId::of(ANNOUNCEMENT), SegmentTerms { weight: 0, by_pattern: false })]);
    let indices = announcing.iter().map(|interface| interface.index);
    let of_announcing = |index: u32| announcing.iter().any(|interface| interface.index.0 == index);
    let internal = network.addresses.iter().filter(|a| a.usable && of_announcing(a.interface));
    NodeFacts {
        internal: internal.map(|a| a.address).collect(),
        standing: Standing::default(),
        terms: indices.map(|index| (index, terms.clone())).collect(),
        profile: TimingProfile::default(),
    }
}

fn offer(address: IpAddr, announcing: &[Interface]) -> Offer {
    let fitting = announcing.iter().filter(|interface| interface.has_subnet_of(address));
    Offer {
        address,
        interfaces: fitting.map(|interface| interface.index).collect(),
        terms: Arc::new(Terms {
            announcements: vec![AnnouncementId::of(ANNOUNCEMENT)],
            weight: 0,
            failback: Failback::default(),
            refresh: Some(Duration::from_secs(60)),
            profile: TimingProfile::default(),
        }),
        servers: Servers::Any,
    }
}
