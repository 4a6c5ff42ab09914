//! Nodes, segments, a node network and clients on a virtual clock: everything that happens stands in one queue, and the
//! same seed gives the same run.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use daymark_l2::member::NodeUid;
use daymark_l2::node::{Input, L2, L2Config, L2Event, NodeFacts, Output};
use daymark_l2::offer::{Offer, Servers, Terms};
use daymark_l2::report::SegmentTerms;
use daymark_model::{Interface, InterfaceIndex, MacAddr, TimingProfile};
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

use crate::check::Checker;
use crate::faults::{Faults, Net, Place};
use crate::frames;
pub use crate::plan::{Plan, announcement, keys, mac, seconds};
use crate::plan::{client, interface};

/// What a socket's buffer holds of a process that does not read.
const BACKLOG: usize = 256;
/// The driver calls the process stalled when it stood still for longer.
const STALL: Duration = Duration::from_millis(250);
const PORT: u16 = 7947;
const MESH: [u8; 2] = [0x88, 0xb5];

enum State {
    Dead,
    Running,
    Frozen { since: Instant, backlog: VecDeque<Arrival> },
}

pub struct Node {
    core: Option<L2>,
    state: State,
    pub uid: NodeUid,
    pub interfaces: Vec<(Interface, usize)>,
    pub internal: IpAddr,
    pub key: u8,
    pub weight: u32,
    pub facts: NodeFacts,
    starts: u64,
    wake: Option<Instant>,
    leaving: bool,
}

#[derive(Clone)]
struct Arrival {
    node: usize,
    what: What,
}

#[derive(Clone)]
enum What {
    Frame(InterfaceIndex, Arc<[u8]>),
    Datagram(SocketAddr, Arc<[u8]>),
}

enum Event {
    Arrive(Arrival),
    Wake(usize),
    Round,
}

pub struct Client {
    pub segment: usize,
    pub mac: MacAddr,
    pub v4: Ipv4Addr,
    pub v6: Ipv6Addr,
    /// What gratuitous frames alone have taught it.
    pub learnt: BTreeMap<IpAddr, MacAddr>,
}

/// Something on a segment that is no node of the world, and hears the mesh frames for it and for all.
struct Listener {
    segment: usize,
    mac: MacAddr,
    heard: Vec<Arc<[u8]>>,
}

pub struct World {
    pub plan: Plan,
    pub start: Instant,
    pub now: Instant,
    pub nodes: Vec<Node>,
    pub clients: Vec<Client>,
    pub addresses: Vec<(usize, IpAddr)>,
    pub servers: BTreeMap<IpAddr, Servers>,
    pub faults: Faults,
    pub check: Checker,
    pub events: Vec<(Duration, usize, L2Event)>,
    /// Frames and datagrams that were sent.
    pub sent: u64,
    /// How many times a core that had just been woken wanted to be woken at once.
    pub spins: u64,
    rng: SmallRng,
    queue: BTreeMap<(Instant, u64), Event>,
    sequence: u64,
    answers: BTreeMap<(usize, IpAddr), BTreeSet<usize>>,
    listener: Option<Listener>,
}

impl Node {
    pub fn is_dead(&self) -> bool {
        self.core.is_none()
    }
}

impl World {
    pub fn new(plan: Plan) -> Self {
        #[allow(clippy::disallowed_methods)]
        let start = Instant::now();
        let mut addresses = Vec::new();
        for segment in 0..plan.segments {
            for number in 0..plan.addresses {
                let (segment8, number16) = (segment as u8, number as u16);
                let [high, low] = number16.to_be_bytes();
                addresses.push((
                    segment,
                    if number % 2 == 0 {
                        IpAddr::V4(Ipv4Addr::new(10, segment8, 200 + high, low))
                    } else {
                        IpAddr::V6(Ipv6Addr::new(0xfd00, segment as u16, 0, 0, 0, 0, 0xaaaa, number16))
                    },
                ));
            }
        }
        let mut world = Self {
            start,
            now: start,
            nodes: Vec::new(),
            clients: (0..plan.segments).map(|segment| client(segment, 0)).collect(),
            addresses,
            servers: BTreeMap::new(),
            faults: Faults::default(),
            check: Checker::new(start),
            events: Vec::new(),
            sent: 0,
            spins: 0,
            rng: SmallRng::seed_from_u64(plan.seed),
            queue: BTreeMap::new(),
            sequence: 0,
            answers: BTreeMap::new(),
            listener: None,
            plan,
        };
        for _ in 0..world.plan.nodes {
            world.add_node(&(0..world.plan.segments).collect::<Vec<_>>());
        }
        world.at(start, Event::Round);
        world
    }

    /// A node that does not run yet, with an interface on each of `segments`.
    pub fn add_node(&mut self, segments: &[usize]) -> usize {
        let node = self.nodes.len();
        let interfaces = segments.iter().enumerate().map(|(at, segment)| {
            let (index, mut mac) = (InterfaceIndex(2 + at as u32), mac(node, *segment));
            mac.0[1] = at as u8;
            (interface(index, mac, *segment), *segment)
        });
        let [high, low] = (node as u16 + 1).to_be_bytes();
        let internal = IpAddr::V4(Ipv4Addr::new(172, 16, high, low));
        self.nodes.push(Node {
            core: None,
            state: State::Dead,
            uid: NodeUid::of(&format!("uid-{}-{node}", self.plan.seed)),
            interfaces: interfaces.collect(),
            internal,
            key: 1,
            weight: 0,
            facts: NodeFacts { internal: vec![internal], ..NodeFacts::default() },
            starts: 0,
            wake: None,
            leaving: false,
        });
        node
    }

    /// Another client on `segment`.
    pub fn add_client(&mut self, segment: usize) -> usize {
        self.clients.push(client(segment, self.clients.len() as u8));
        self.clients.len() - 1
    }

    pub fn since_start(&self) -> Duration {
        self.now.duration_since(self.start)
    }

    fn at(&mut self, time: Instant, event: Event) {
        self.sequence += 1;
        self.queue.insert((time, self.sequence), event);
    }

    pub fn random(&mut self, below: usize) -> usize {
        self.rng.random_range(0..below)
    }

    /// Runs for `time`.
    pub fn run(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(entry) = self.queue.first_entry() {
            if entry.key().0 > end {
                break;
            }
            let ((time, _), event) = entry.remove_entry();
            self.now = time;
            match event {
                Event::Arrive(arrival) => self.arrive(arrival),
                Event::Wake(node) => self.wake(node),
                Event::Round => self.round(),
            }
        }
        self.now = end;
    }

    /// Runs until `condition` holds; how long that took, `None` when it took longer than `limit`.
    pub fn until(&mut self, limit: Duration, condition: impl Fn(&Self) -> bool) -> Option<Duration> {
        let from = self.now;
        while !condition(self) {
            if self.now.duration_since(from) >= limit {
                return None;
            }
            self.run(Duration::from_millis(5));
        }
        Some(self.now.duration_since(from))
    }

    /// Starts a node's process; a node that has run before starts with a new session.
    pub fn start(&mut self, node: usize) {
        let seeds: Vec<SocketAddr> = if self.plan.seeds {
            let others =
                (1..4).map(|step| (node + step * 7) % self.nodes.len()).filter(|other| *other != node);
            others.map(|other| SocketAddr::new(self.nodes[other].internal, PORT)).collect()
        } else {
            Vec::new()
        };
        let (now, seed) = (self.now, self.plan.seed);
        let this = &mut self.nodes[node];
        this.starts += 1;
        this.leaving = false;
        let mut sessions = [0; 32];
        sessions[..8].copy_from_slice(&(node as u64).to_be_bytes());
        sessions[8..16].copy_from_slice(&this.starts.to_be_bytes());
        sessions[16..24].copy_from_slice(&seed.to_be_bytes());
        let config = L2Config {
            node: this.uid,
            name: format!("node-{node}"),
            port: PORT,
            seed: seed ^ (node as u64) << 16 ^ this.starts << 40,
            sessions,
        };
        this.core = Some(L2::new(now, config));
        this.state = State::Running;
        let interfaces = this.interfaces.iter().map(|(interface, _)| interface.clone()).collect();
        let key = this.key;
        self.tell_facts(node);
        self.give(node, Input::Interfaces(interfaces));
        self.give(node, Input::Seeds(seeds));
        for (_, address) in self.addresses.clone() {
            self.offer(node, address);
        }
        self.give(node, Input::Keys(Some(keys(key, None))));
    }

    pub fn start_all(&mut self) {
        for node in 0..self.nodes.len() {
            self.start(node);
        }
    }

    /// Tells a node its facts again, after they have been changed here.
    pub fn tell_facts(&mut self, node: usize) {
        let this = &mut self.nodes[node];
        let terms =
            BTreeMap::from([(announcement(), SegmentTerms { weight: this.weight, by_pattern: false })]);
        this.facts.terms =
            this.interfaces.iter().map(|(interface, _)| (interface.index, terms.clone())).collect();
        let facts = this.facts.clone();
        self.give(node, Input::Node(facts));
    }

    pub fn tell_interfaces(&mut self, node: usize) {
        let interfaces = self.nodes[node].interfaces.iter().map(|(interface, _)| interface.clone()).collect();
        self.give(node, Input::Interfaces(interfaces));
    }

    /// The carrier of a node's interface on `segment` comes or goes.
    pub fn carrier(&mut self, node: usize, segment: usize, up: bool) {
        for (interface, at) in &mut self.nodes[node].interfaces {
            if *at == segment {
                interface.up = up;
            }
        }
        self.tell_interfaces(node);
    }

    /// Offers `address` to a node as it stands now.
    pub fn offer(&mut self, node: usize, address: IpAddr) {
        let this = &self.nodes[node];
        let interfaces: Vec<InterfaceIndex> = this
            .interfaces
            .iter()
            .filter(|(interface, _)| interface.has_subnet_of(address))
            .map(|(interface, _)| interface.index)
            .collect();
        if interfaces.is_empty() {
            return;
        }
        let offer = Offer {
            address,
            interfaces: interfaces.into(),
            terms: Arc::new(Terms {
                announcements: vec![announcement()],
                weight: this.weight,
                failback: self.plan.failback,
                refresh: Some(Duration::from_secs(60)),
                profile: TimingProfile::Fast,
            }),
            servers: self.servers.get(&address).cloned().unwrap_or(Servers::Any),
        };
        self.give(node, Input::Offer(offer));
    }

    /// The node's process dies.
    pub fn kill(&mut self, node: usize) {
        self.nodes[node].core = None;
        self.nodes[node].state = State::Dead;
    }

    /// The node's process stands still.
    pub fn freeze(&mut self, node: usize) {
        self.nodes[node].state = State::Frozen { since: self.now, backlog: VecDeque::new() };
    }

    /// The node's process goes on, as the driver does it: after a long time it says so first and throws away what had
    /// queued up.
    pub fn thaw(&mut self, node: usize) {
        let state = std::mem::replace(&mut self.nodes[node].state, State::Running);
        let State::Frozen { since, backlog } = state else { return };
        let gap = self.now.duration_since(since);
        if gap > STALL {
            self.give(node, Input::Stalled(gap));
        } else {
            for arrival in backlog {
                self.arrive(arrival);
            }
        }
        self.wake(node);
    }

    /// The node is asked to leave; its process ends when it has.
    pub fn leave(&mut self, node: usize) {
        self.nodes[node].leaving = true;
        self.give(node, Input::Leave);
    }

    pub fn runs(&self, node: usize) -> bool {
        matches!(self.nodes[node].state, State::Running)
    }

    pub fn core(&self, node: usize) -> &L2 {
        self.nodes[node].core.as_ref().expect("the node runs")
    }

    /// Gives a running node an input.
    pub fn give(&mut self, node: usize, input: Input<'_>) {
        if !self.runs(node) {
            return;
        }
        let now = self.now;
        let mut out = Output::default();
        if let Some(core) = &mut self.nodes[node].core {
            core.handle(now, input, &mut out);
        }
        self.after(node, out);
    }

    fn wake(&mut self, node: usize) {
        let now = self.now;
        let this = &mut self.nodes[node];
        if this.wake.is_some_and(|wake| wake > now) {
            return;
        }
        this.wake = None;
        if !matches!(this.state, State::Running) {
            return;
        }
        let Some(core) = &mut this.core else { return };
        let mut out = Output::default();
        if core.next_deadline().is_some_and(|deadline| deadline <= now) {
            core.tick(now, &mut out);
            let again = core.next_deadline().is_some_and(|deadline| deadline <= now);
            self.spins += u64::from(again);
        }
        self.after(node, out);
    }

    fn after(&mut self, node: usize, out: Output) {
        let now = self.now;
        let this = &mut self.nodes[node];
        let deadline = this.core.as_ref().and_then(L2::next_deadline);
        if let Some(deadline) = deadline {
            let wake = deadline.max(now + Duration::from_micros(100));
            if this.wake.is_none_or(|scheduled| wake < scheduled || scheduled <= now) {
                this.wake = Some(wake);
                self.at(wake, Event::Wake(node));
            }
        }
        let at = self.since_start();
        self.events.extend(out.events.into_iter().map(|event| (at, node, event)));
        for (interface, frame) in out.frames {
            self.send_frame(node, interface, frame.into());
        }
        for (to, payload) in out.datagrams {
            self.send_datagram(node, to, payload.into());
        }
        let this = &mut self.nodes[node];
        if this.leaving && this.core.as_ref().is_some_and(L2::left) {
            self.kill(node);
        }
    }

    /// A frame from something that is no node of the world.
    pub fn inject(&mut self, segment: usize, frame: &[u8]) {
        for node in 0..self.nodes.len() {
            for (port, at) in self.nodes[node].interfaces.clone() {
                if at == segment && port.up && (frame[0] & 1 == 1 || frame[..6] == port.mac.0) {
                    self.give(node, Input::Frame { interface: port.index, frame });
                }
            }
        }
    }

    /// The mesh frames that something with the Ethernet address `mac` has heard since it listened last; the first call
    /// begins to listen.
    pub fn overheard(&mut self, segment: usize, mac: MacAddr) -> Vec<Arc<[u8]>> {
        let listener = self.listener.get_or_insert_with(|| Listener { segment, mac, heard: Vec::new() });
        std::mem::take(&mut listener.heard)
    }

    fn delay(&mut self) -> Duration {
        Duration::from_micros(self.rng.random_range(100..2000))
    }

    fn send_frame(&mut self, node: usize, interface: InterfaceIndex, frame: Arc<[u8]>) {
        let Some((port, segment)) =
            self.nodes[node].interfaces.iter().find(|(port, _)| port.index == interface).cloned()
        else {
            return;
        };
        self.sent += 1;
        assert_eq!(
            &frame[6..12],
            &port.mac.0,
            "node {node} sends with an Ethernet address that is not its own"
        );
        let (net, group) = (Net::Segment(segment), frame[0] & 1 == 1);
        let mesh = frame[12..14] == MESH;
        if !port.up || (mesh && self.faults.filters(net, group)) {
            return;
        }
        if let Some(listener) = self.listener.as_mut().filter(|listener| mesh && listener.segment == segment)
            && (group || frame[..6] == listener.mac.0)
        {
            listener.heard.push(Arc::clone(&frame));
        }
        let mut receivers = Vec::new();
        for (other, this) in self.nodes.iter().enumerate() {
            for (to, at) in &this.interfaces {
                let addressed = *at == segment && to.mac != port.mac && (group || frame[..6] == to.mac.0);
                if addressed && to.up && self.faults.passes(net, Place::Node(node), Place::Node(other)) {
                    receivers.push((other, to.index));
                }
            }
        }
        for (other, index) in receivers {
            if self.lost(net) {
                continue;
            }
            let time = self.now + self.delay();
            let what = What::Frame(index, Arc::clone(&frame));
            self.at(time, Event::Arrive(Arrival { node: other, what }));
        }
        if !mesh {
            self.clients_hear(node, segment, &frame, group);
        }
    }

    fn clients_hear(&mut self, node: usize, segment: usize, frame: &[u8], group: bool) {
        let Some((address, mac)) = frames::claim(frame) else { return };
        for number in 0..self.clients.len() {
            let client = &mut self.clients[number];
            let passes = self.faults.passes(Net::Segment(segment), Place::Node(node), Place::Client(number));
            if client.segment != segment || !passes {
                continue;
            }
            if group {
                client.learnt.insert(address, mac);
            } else if frame[..6] == client.mac.0 {
                self.answers.entry((number, address)).or_default().insert(node);
            }
        }
    }

    fn send_datagram(&mut self, node: usize, to: SocketAddr, payload: Arc<[u8]>) {
        self.sent += 1;
        let from = SocketAddr::new(self.nodes[node].internal, PORT);
        // Nodes' addresses are made of their numbers: looked up, not searched.
        let IpAddr::V4(v4) = to.ip() else { return };
        let [_, _, high, low] = v4.octets();
        let Some(other) = usize::from(u16::from_be_bytes([high, low])).checked_sub(1) else { return };
        let known = self.nodes.get(other).is_some_and(|node| node.internal == to.ip());
        let passes = self.faults.passes(Net::Nodes, Place::Node(node), Place::Node(other));
        if !known || !passes || self.lost(Net::Nodes) {
            return;
        }
        let time = self.now + self.delay();
        self.at(time, Event::Arrive(Arrival { node: other, what: What::Datagram(from, payload) }));
    }

    fn lost(&mut self, net: Net) -> bool {
        let loss = self.faults.loss(net);
        loss > 0.0 && self.rng.random_bool(loss)
    }

    fn arrive(&mut self, arrival: Arrival) {
        let node = arrival.node;
        match &mut self.nodes[node].state {
            State::Dead => {}
            State::Frozen { backlog, .. } => {
                if backlog.len() < BACKLOG {
                    backlog.push_back(arrival);
                }
            }
            State::Running => match &arrival.what {
                What::Frame(interface, frame) => {
                    self.give(node, Input::Frame { interface: *interface, frame });
                }
                What::Datagram(from, payload) => self.give(node, Input::Datagram { from: *from, payload }),
            },
        }
    }

    /// Clients' requests of this round go out, and the answers to those of the round before are looked at.
    fn round(&mut self) {
        for number in 0..self.clients.len() {
            let Client { segment, mac, v4, v6, .. } = self.clients[number];
            let addresses: Vec<IpAddr> =
                self.addresses.iter().filter(|(at, _)| *at == segment).map(|(_, address)| *address).collect();
            for address in addresses {
                self.answers.remove(&(number, address));
                let frame = frames::request(mac, v4, v6, address);
                self.ask(number, segment, &frame);
                let by = self.answers.remove(&(number, address)).unwrap_or_default();
                self.check.round(self.now, self.plan.period, number, address, by);
            }
        }
        let next = self.now + self.plan.period;
        self.at(next, Event::Round);
    }

    fn ask(&mut self, client: usize, segment: usize, frame: &[u8]) {
        for node in 0..self.nodes.len() {
            if !self.faults.passes(Net::Segment(segment), Place::Client(client), Place::Node(node)) {
                continue;
            }
            let ports: Vec<InterfaceIndex> = self.nodes[node]
                .interfaces
                .iter()
                .filter(|(port, at)| *at == segment && port.up)
                .map(|(port, _)| port.index)
                .collect();
            for interface in ports {
                self.give(node, Input::Frame { interface, frame });
            }
        }
    }
}
