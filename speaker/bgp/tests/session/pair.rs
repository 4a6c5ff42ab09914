//! Steps two peers that are connected by a network with delay.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use daymark_bgp::wire::{DecodeContext, Decoder, Message, RawAttribute, Update};
use daymark_bgp::{
    ConnectFault, ConnectionId, Input, Link, Origin, Output, Peer, PeerConfig, RouteAttributes, RouteChange,
    SessionError, SessionState,
};
use daymark_model::{Asn, Family, PeerAsn, RouterId, Timers};
use ipnet::IpNet;

pub const SECOND: Duration = Duration::from_secs(1);

#[expect(clippy::disallowed_methods, reason = "any instant serves as the beginning of virtual time")]
pub fn beginning() -> Instant {
    Instant::now()
}

pub fn config(local: u32, id: &str, peer: u32) -> PeerConfig {
    PeerConfig {
        local_asn: Asn::new(local).unwrap(),
        router_id: RouterId::new(id.parse().unwrap()).unwrap(),
        peer_asn: PeerAsn::Exact(Asn::new(peer).unwrap()),
        timers: Timers { hold: 9 * SECOND, keepalive: 3 * SECOND, connect_retry: 5 * SECOND },
        passive: false,
        families: [Family::V4, Family::V6].into(),
    }
}

pub fn prefix(text: &str) -> IpNet {
    text.parse().unwrap()
}

pub fn announce(text: &str, attributes: &Arc<RouteAttributes>) -> RouteChange {
    RouteChange { prefix: prefix(text), attributes: Some(attributes.clone()) }
}

pub fn withdraw(text: &str) -> RouteChange {
    RouteChange { prefix: prefix(text), attributes: None }
}

/// `count` host routes from 100.64.0.0 on.
pub fn hosts(count: u32, attributes: &Arc<RouteAttributes>) -> Vec<RouteChange> {
    let host = |n: u32| IpNet::new(IpAddr::V4(std::net::Ipv4Addr::from_bits(0x6440_0000 + n)), 32).unwrap();
    (0..count).map(|n| RouteChange { prefix: host(n), attributes: Some(attributes.clone()) }).collect()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Side {
    A,
    B,
}

impl Side {
    fn other(self) -> Self {
        match self {
            Self::A => Self::B,
            Self::B => Self::A,
        }
    }
}

/// What arrived at one side over one connection after the other.
#[derive(Default)]
pub struct Heard {
    pub messages: Vec<(Instant, Message)>,
    pub routes: BTreeMap<IpNet, Vec<RawAttribute>>,
}

impl Heard {
    pub fn updates(&self) -> Vec<&Update> {
        let update = |(_, message): &'_ (Instant, Message)| matches!(message, Message::Update(_));
        self.messages.iter().filter(|m| update(m)).map(|(_, m)| as_update(m)).collect()
    }
}

fn as_update(message: &Message) -> &Update {
    let Message::Update(update) = message else { unreachable!() };
    update
}

pub struct Node {
    pub peer: Peer,
    pub listens: bool,
    /// Whether its kernel takes what is sent.
    pub writable: bool,
    pub heard: Heard,
    pub attempts: Vec<Instant>,
    pub changes: Vec<(Instant, SessionState, SessionState, Option<SessionError>)>,
    pub stopped: Option<Instant>,
    /// Octets sent that the kernel has not taken.
    pub queued: usize,
    link: Link,
    accepted: u64,
}

struct Wire {
    ids: HashMap<Side, ConnectionId>,
    closed: HashMap<Side, bool>,
    taps: HashMap<Side, Decoder>,
}

enum Event {
    Syn { from: Side, wire: usize },
    SynAck { to: Side, wire: usize },
    Refused { to: Side, id: ConnectionId },
    Data { to: Side, wire: usize, bytes: Bytes },
    Fin { to: Side, wire: usize },
    Written { to: Side, id: ConnectionId, octets: usize },
}

pub struct Pair {
    pub now: Instant,
    pub delay: Duration,
    /// Nothing passes.
    pub cut: bool,
    pub nodes: HashMap<Side, Node>,
    wires: Vec<Wire>,
    events: BinaryHeap<Reverse<(Instant, usize)>>,
    due: HashMap<usize, Event>,
    sequence: usize,
}

fn tap(internal: bool) -> Decoder {
    let mut decoder = Decoder::new();
    decoder.set_context(DecodeContext {
        four_octet_asn: true,
        max_message_len: u16::MAX,
        families: vec![Family::V4, Family::V6],
        internal,
        enhanced_route_refresh: true,
    });
    decoder
}

pub fn link(local: &str, v4: Option<&str>, v6: Option<&str>) -> Link {
    Link {
        local: SocketAddr::new(local.parse().unwrap(), 179),
        local_v4: v4.map(|a| a.parse().unwrap()),
        local_v6: v6.map(|a| a.parse().unwrap()),
    }
}

impl Pair {
    pub fn new(a: PeerConfig, b: PeerConfig) -> Self {
        let now = beginning();
        let node = |config, seed, local: &str, v6: &str| Node {
            peer: Peer::new(config, seed, now),
            listens: true,
            writable: true,
            heard: Heard::default(),
            attempts: Vec::new(),
            changes: Vec::new(),
            stopped: None,
            queued: 0,
            link: link(local, None, Some(v6)),
            accepted: 0,
        };
        let nodes = HashMap::from([
            (Side::A, node(a, 1, "192.0.2.1", "2001:db8::1")),
            (Side::B, node(b, 2, "192.0.2.2", "2001:db8::2")),
        ]);
        Self {
            now,
            delay: Duration::from_millis(1),
            cut: false,
            nodes,
            wires: Vec::new(),
            events: BinaryHeap::new(),
            due: HashMap::new(),
            sequence: 0,
        }
    }

    /// A in AS 65001 connects, B in AS 65002 waits.
    pub fn simple() -> Self {
        let passive = PeerConfig { passive: true, ..config(65002, "10.0.0.2", 65001) };
        let mut pair = Self::new(config(65001, "10.0.0.1", 65002), passive);
        pair.node(Side::A).listens = false;
        pair
    }

    pub fn node(&mut self, side: Side) -> &mut Node {
        self.nodes.get_mut(&side).unwrap()
    }

    pub fn state(&self, side: Side) -> SessionState {
        self.nodes[&side].peer.status().state
    }

    pub fn is_up(&self) -> bool {
        self.state(Side::A) == SessionState::Established && self.state(Side::B) == SessionState::Established
    }

    pub fn set_link(&mut self, side: Side, link: Link) {
        self.node(side).link = link;
    }

    /// Gives an input to a side.
    pub fn input(&mut self, side: Side, input: Input<'_>) {
        let now = self.now;
        let mut out = Vec::new();
        self.node(side).peer.handle(now, input, &mut out);
        self.act(side, out);
    }

    /// What a side does about bytes on its first outgoing connection; it is not carried out.
    pub fn outputs_of(&mut self, side: Side, bytes: &[u8]) -> Vec<Output> {
        let connection = ConnectionId { origin: Origin::Outgoing, number: 0 };
        let (now, mut out) = (self.now, Vec::new());
        self.node(side).peer.handle(now, Input::Received { connection, bytes }, &mut out);
        out
    }

    fn schedule(&mut self, after: Duration, event: Event) {
        let key = self.sequence;
        self.sequence += 1;
        self.events.push(Reverse((self.now + after, key)));
        self.due.insert(key, event);
    }

    fn act(&mut self, side: Side, outputs: Vec<Output>) {
        let (now, delay) = (self.now, self.delay);
        for output in outputs {
            match output {
                Output::Connect { connection } => {
                    self.node(side).attempts.push(now);
                    let ids = HashMap::from([(side, connection)]);
                    let internal = self.nodes[&side].peer.config().is_internal();
                    self.wires.push(Wire {
                        ids,
                        closed: HashMap::new(),
                        taps: [Side::A, Side::B].map(|side| (side, tap(internal))).into(),
                    });
                    let wire = self.wires.len() - 1;
                    self.schedule(delay, Event::Syn { from: side, wire });
                }
                Output::Send { connection, bytes } => {
                    let wire = self.wire(side, connection);
                    let octets = bytes.len();
                    self.node(side).queued += octets;
                    if self.nodes[&side].writable {
                        self.schedule(Duration::ZERO, Event::Written { to: side, id: connection, octets });
                        self.schedule(delay, Event::Data { to: side.other(), wire, bytes });
                    }
                }
                Output::Close { connection, .. } => {
                    let wire = self.wire(side, connection);
                    self.wires[wire].closed.insert(side, true);
                    self.schedule(delay, Event::Fin { to: side.other(), wire });
                }
                Output::StateChanged { from, to, error } => {
                    self.node(side).changes.push((now, from, to, error));
                }
                Output::Stopped => self.node(side).stopped = Some(now),
            }
        }
    }

    fn wire(&self, side: Side, id: ConnectionId) -> usize {
        self.wires.iter().position(|wire| wire.ids.get(&side) == Some(&id)).expect("an unknown connection")
    }

    fn is_open(&self, wire: usize, side: Side) -> bool {
        !self.wires[wire].closed.contains_key(&side)
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Written { to, id, octets } => {
                self.node(to).queued -= octets;
                self.input(to, Input::Written { connection: id, octets });
            }
            Event::Syn { .. } | Event::SynAck { .. } | Event::Data { .. } | Event::Fin { .. } if self.cut => {
            }
            Event::Syn { from, wire } if !self.is_open(wire, from) => {}
            Event::Syn { from, wire } => {
                let to = from.other();
                if !self.nodes[&to].listens {
                    let id = self.wires[wire].ids[&from];
                    return self.schedule(self.delay, Event::Refused { to: from, id });
                }
                let number = self.node(to).accepted;
                self.node(to).accepted += 1;
                let id = ConnectionId { origin: Origin::Incoming, number };
                self.wires[wire].ids.insert(to, id);
                self.schedule(self.delay, Event::SynAck { to: from, wire });
                let link = self.nodes[&to].link;
                self.input(to, Input::Accepted { connection: id, link });
            }
            Event::SynAck { to, wire } => {
                if self.is_open(wire, to) {
                    let (connection, link) = (self.wires[wire].ids[&to], self.nodes[&to].link);
                    self.input(to, Input::Connected { connection, link });
                }
            }
            Event::Refused { to, id } => {
                self.input(to, Input::ConnectFailed { connection: id, fault: ConnectFault::Refused });
            }
            Event::Data { to, wire, bytes } => {
                self.hear(to, wire, &bytes);
                if self.is_open(wire, to) {
                    let connection = self.wires[wire].ids[&to];
                    self.input(to, Input::Received { connection, bytes: &bytes });
                }
            }
            Event::Fin { to, wire } => {
                if self.is_open(wire, to) && self.wires[wire].ids.contains_key(&to) {
                    let connection = self.wires[wire].ids[&to];
                    self.wires[wire].closed.insert(to, true);
                    self.input(to, Input::Closed { connection, error: None });
                }
            }
        }
    }

    fn hear(&mut self, to: Side, wire: usize, bytes: &[u8]) {
        let now = self.now;
        let tap = self.wires[wire].taps.get_mut(&to).unwrap();
        tap.feed(bytes);
        let mut messages = Vec::new();
        while let Some(message) = tap.next().expect("what a peer sends can be read") {
            messages.push(message);
        }
        let heard = &mut self.node(to).heard;
        for message in messages {
            match &message {
                Message::Open(_) => heard.routes.clear(),
                Message::Update(update) => {
                    assert!(update.defects.is_empty(), "{:?}", update.defects);
                    heard.routes.retain(|prefix, _| !update.withdrawn.contains(prefix));
                    heard.routes.extend(update.announced.iter().map(|p| (*p, update.attributes.clone())));
                }
                Message::Notification(_) | Message::Keepalive | Message::RouteRefresh(_) => {}
            }
            heard.messages.push((now, message));
        }
    }

    /// The next thing that happens; false when nothing ever will.
    pub fn step(&mut self) -> bool {
        let event = self.events.peek().map(|Reverse((at, _))| *at);
        let deadline = |pair: &Self, side| pair.nodes[&side].peer.next_deadline();
        let (a, b) = (deadline(self, Side::A), deadline(self, Side::B));
        let Some(next) = [event, a, b].into_iter().flatten().min() else { return false };
        self.now = self.now.max(next);
        if event.is_some_and(|event| event <= self.now) {
            let Some(Reverse((_, key))) = self.events.pop() else { return false };
            let event = self.due.remove(&key).unwrap();
            self.happen(event);
            return true;
        }
        for (side, deadline) in [(Side::A, a), (Side::B, b)] {
            if deadline.is_some_and(|deadline| deadline <= self.now) {
                self.input(side, Input::Tick);
            }
        }
        true
    }

    /// Lets time pass.
    pub fn run(&mut self, span: Duration) {
        let end = self.now + span;
        while self.next_event().is_some_and(|next| next <= end) {
            self.step();
        }
        self.now = end;
    }

    fn next_event(&self) -> Option<Instant> {
        let event = self.events.peek().map(|Reverse((at, _))| *at);
        let [a, b] = [Side::A, Side::B].map(|side| self.nodes[&side].peer.next_deadline());
        [event, a, b].into_iter().flatten().min()
    }

    /// Lets time pass until something holds; tells how much it was.
    pub fn until(&mut self, within: Duration, holds: impl Fn(&Self) -> bool) -> Duration {
        let start = self.now;
        while !holds(self) {
            assert!(
                self.now - start <= within && self.step(),
                "not within {within:?}: A is {:?}, B is {:?}",
                self.nodes[&Side::A].peer.status(),
                self.nodes[&Side::B].peer.status()
            );
        }
        self.now - start
    }

    /// Brings the session up.
    pub fn up(mut self) -> Self {
        self.until(30 * SECOND, Self::is_up);
        self.run(10 * self.delay);
        self
    }
}

/// One set of attributes with one community.
pub fn tagged(community: &str) -> Arc<RouteAttributes> {
    Arc::new(RouteAttributes { communities: [community.parse().unwrap()].into(), ..Default::default() })
}
