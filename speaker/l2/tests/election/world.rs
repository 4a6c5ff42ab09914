//! Members of one segment with a virtual clock.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use daymark_l2::election::{
    Action, Election, ElectionEvent, ElectionOutput, Gone, MAX_MESSAGE, MemberState, ProbeResult,
};
use daymark_l2::hold::HoldMessage;
use daymark_l2::member::MemberId;
use daymark_l2::responder::ProbePlan;
use daymark_model::MacAddr;

use crate::given::{Service, ms, secs, state};

#[derive(Debug)]
enum Event {
    Tick(MemberId, u64),
    Message(MemberId, MemberId, HoldMessage),
    Digests,
    Digest(MemberId, MemberId, u64),
    Member(MemberId, MemberState),
    Gone(MemberId, MemberId, Gone, u64),
    Settled(MemberId, u64),
    Ask(MemberId, IpAddr, u64),
    Answered(MemberId, IpAddr, ProbeResult),
    ProbeEnds(MemberId, IpAddr, u64),
}

pub struct Node {
    pub election: Election,
    pub state: MemberState,
    pub alive: bool,
    pub offers: BTreeMap<IpAddr, Service>,
    pub owned: BTreeSet<IpAddr>,
    pub probes: BTreeMap<IpAddr, (u64, ProbePlan)>,
    pub events: Vec<(Instant, ElectionEvent)>,
    pub actions: Vec<(Instant, Action)>,
    life: u64,
    tick_at: Option<Instant>,
}

/// The segment.
pub struct World {
    pub now: Instant,
    pub nodes: BTreeMap<MemberId, Node>,
    /// Of a thousand messages.
    pub loss: u32,
    pub delay: (Duration, Duration),
    pub detection: (Duration, Duration),
    pub strangers: BTreeMap<IpAddr, MacAddr>,
    /// Members with different numbers do not hear each other.
    pub parts: BTreeMap<MemberId, u8>,
    pub messages: usize,
    pub probes: usize,
    /// How long several reachable members answered for one address at most.
    pub longest_double: Duration,
    doubles: BTreeMap<IpAddr, Instant>,
    queue: BinaryHeap<Reverse<(Instant, u64)>>,
    events: BTreeMap<u64, Event>,
    next: u64,
    random: u64,
}

impl World {
    pub fn new(seed: u64) -> Self {
        let now = Instant::now();
        let mut world = Self {
            now,
            nodes: BTreeMap::new(),
            loss: 0,
            delay: (Duration::from_micros(200), ms(2)),
            detection: (ms(300), ms(500)),
            strangers: BTreeMap::new(),
            parts: BTreeMap::new(),
            messages: 0,
            probes: 0,
            longest_double: Duration::ZERO,
            doubles: BTreeMap::new(),
            queue: BinaryHeap::new(),
            events: BTreeMap::new(),
            next: 0,
            random: seed,
        };
        world.push(ms(300), Event::Digests);
        world
    }

    /// `count` nodes that were started together, and took nothing yet.
    pub fn with_nodes(seed: u64, count: u8) -> Self {
        let mut world = Self::new(seed);
        for node in 0..count {
            world.start(state(node));
        }
        world.run(secs(3));
        world
    }

    pub fn random(&mut self, below: u64) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % below.max(1)
    }

    fn between(&mut self, (least, most): (Duration, Duration)) -> Duration {
        least + Duration::from_micros(self.random((most - least).as_micros() as u64 + 1))
    }

    fn push(&mut self, after: Duration, event: Event) {
        self.next += 1;
        self.events.insert(self.next, event);
        self.queue.push(Reverse((self.now + after, self.next)));
    }

    fn lost(&mut self) -> bool {
        self.loss > 0 && self.random(1_000) < u64::from(self.loss)
    }

    fn part(&self, id: MemberId) -> u8 {
        self.parts.get(&id).copied().unwrap_or(0)
    }

    fn reach(&self, a: MemberId, b: MemberId) -> bool {
        self.part(a) == self.part(b)
    }

    /// Starts a node, or starts it again.
    pub fn start(&mut self, state: MemberState) {
        let id = state.id;
        let life = self.random(u64::MAX);
        let election = Election::new(id, life);
        let offers = self.nodes.remove(&id).map(|node| node.offers).unwrap_or_default();
        let node = Node {
            election,
            state: state.clone(),
            alive: true,
            offers: BTreeMap::new(),
            owned: BTreeSet::new(),
            probes: BTreeMap::new(),
            events: Vec::new(),
            actions: Vec::new(),
            life,
            tick_at: None,
        };
        self.nodes.insert(id, node);
        self.with(id, |election, now, out| election.own(now, state.clone(), out));
        for other in self.living() {
            if other != id && self.reach(id, other) {
                self.push(ms(2), Event::Gone(other, id, Gone::Left, life));
                self.introduce(id, other);
                self.introduce(other, id);
            }
        }
        self.push(ms(800), Event::Settled(id, life));
        for service in offers.into_values() {
            self.offer_to(id, &service);
        }
    }

    fn introduce(&mut self, to: MemberId, whom: MemberId) {
        let state = self.nodes[&whom].state.clone();
        let delay = self.between((ms(5), ms(100)));
        self.push(delay, Event::Member(to, state));
    }

    pub fn living(&self) -> Vec<MemberId> {
        self.nodes.iter().filter(|(_, node)| node.alive).map(|(id, _)| *id).collect()
    }

    /// The node is dark from now on.
    pub fn kill(&mut self, id: MemberId) {
        self.end(id, Gone::Died, self.detection);
    }

    /// The node says goodbye, having handed everything over or not.
    pub fn say_goodbye(&mut self, id: MemberId) {
        self.end(id, Gone::Left, (ms(2), ms(50)));
    }

    fn end(&mut self, id: MemberId, how: Gone, known_after: (Duration, Duration)) {
        let node = self.nodes.get_mut(&id).unwrap();
        node.alive = false;
        node.owned.clear();
        node.probes.clear();
        let life = node.life;
        self.check_doubles();
        for other in self.living() {
            let after = self.between(known_after);
            self.push(after, Event::Gone(other, id, how, life));
        }
    }

    /// Members are in these parts from now on, and find out.
    pub fn split(&mut self, parts: BTreeMap<MemberId, u8>) {
        let before = std::mem::replace(&mut self.parts, parts);
        let part_before = |id| before.get(&id).copied().unwrap_or(0);
        for a in self.living() {
            for b in self.living() {
                let (was, is) = (part_before(a) == part_before(b), self.reach(a, b));
                if a != b && was && !is {
                    let life = self.nodes[&b].life;
                    let after = self.between(self.detection);
                    self.push(after, Event::Gone(a, b, Gone::Died, life));
                }
                if a != b && !was && is {
                    self.introduce(a, b);
                }
            }
        }
        self.check_doubles();
    }

    pub fn change(&mut self, id: MemberId, change: impl FnOnce(&mut MemberState)) {
        let node = self.nodes.get_mut(&id).unwrap();
        change(&mut node.state);
        let state = node.state.clone();
        self.with(id, |election, now, out| election.own(now, state.clone(), out));
        let services: Vec<Service> = self.nodes[&id].offers.values().cloned().collect();
        for service in services {
            self.offer_to(id, &service);
        }
        for other in self.living() {
            if other != id && self.reach(id, other) {
                let delay = self.between((ms(1), ms(60)));
                self.push(delay, Event::Member(other, state.clone()));
            }
        }
    }

    pub fn offer(&mut self, service: &Service) {
        for id in self.living() {
            self.offer_to(id, service);
        }
    }

    pub fn offer_to(&mut self, id: MemberId, service: &Service) {
        let node = self.nodes.get_mut(&id).unwrap();
        node.offers.insert(service.address, service.clone());
        let offer = service.offer_to(&node.state);
        self.with(id, |election, now, out| election.offer(now, &offer, out));
    }

    pub fn withdraw(&mut self, id: MemberId, address: IpAddr) {
        self.nodes.get_mut(&id).unwrap().offers.remove(&address);
        self.with(id, |election, now, out| election.withdraw(now, address, out));
    }

    /// Calls into a node, does what it wants, and lets it tick while it wants to at once.
    pub fn with(&mut self, id: MemberId, call: impl FnOnce(&mut Election, Instant, &mut ElectionOutput)) {
        let now = self.now;
        let Some(node) = self.nodes.get_mut(&id).filter(|node| node.alive) else { return };
        let mut out = ElectionOutput::default();
        call(&mut node.election, now, &mut out);
        self.act(id, out);
        let node = self.nodes.get_mut(&id).unwrap();
        let Some(deadline) = node.election.next_deadline() else { return };
        let at = deadline.max(now);
        if node.tick_at.is_none_or(|tick| at < tick) {
            node.tick_at = Some(at);
            let life = node.life;
            self.push(at - now, Event::Tick(id, life));
        }
    }

    fn act(&mut self, id: MemberId, out: ElectionOutput) {
        let now = self.now;
        let moved =
            out.actions.iter().any(|action| matches!(action, Action::Own { .. } | Action::Disown { .. }));
        for action in out.actions {
            let node = self.nodes.get_mut(&id).unwrap();
            node.actions.push((now, action.clone()));
            match action {
                Action::Own { address, .. } => {
                    assert!(node.offers.contains_key(&address), "{id} owns {address} without an offer");
                    node.owned.insert(address);
                    node.probes.remove(&address);
                }
                Action::Disown { address } => {
                    assert!(node.owned.remove(&address), "{id} disowns {address}, which it does not own");
                }
                Action::Burst { address } | Action::Defend { address } => {
                    assert!(
                        node.owned.contains(&address),
                        "{id} speaks for {address}, which it does not own"
                    );
                }
                Action::Probe { address, plan } => {
                    assert!(!node.owned.contains(&address));
                    let (times, end): (&[u64], u64) = match plan {
                        ProbePlan::First(_) => (&[100, 400, 700], 1_100),
                        ProbePlan::Takeover(_) => (&[0, 40], 80),
                    };
                    self.probes += 1;
                    let run = self.next;
                    self.nodes.get_mut(&id).unwrap().probes.insert(address, (run, plan));
                    for at in times {
                        self.push(ms(*at), Event::Ask(id, address, run));
                    }
                    self.push(ms(end), Event::ProbeEnds(id, address, run));
                }
                Action::CancelProbe { address } => {
                    node.probes.remove(&address);
                }
                Action::Broadcast(message) => {
                    self.count(&message);
                    for other in self.living() {
                        self.send(id, other, message.clone());
                    }
                }
                Action::Send(to, message) => {
                    self.count(&message);
                    self.send(id, to, message);
                }
            }
        }
        let node = self.nodes.get_mut(&id).unwrap();
        node.events.extend(out.events.into_iter().map(|event| (now, event)));
        if moved {
            self.check_doubles();
        }
    }

    fn count(&mut self, message: &HoldMessage) {
        assert!(postcard::to_stdvec(message).unwrap().len() <= MAX_MESSAGE);
        self.messages += 1;
    }

    fn send(&mut self, from: MemberId, to: MemberId, message: HoldMessage) {
        if from == to || !self.reach(from, to) || self.lost() {
            return;
        }
        let delay = self.between(self.delay);
        self.push(delay, Event::Message(from, to, message));
    }

    /// How many members answer for `address` among those that hear each other, at most.
    fn answerers(&self, address: IpAddr) -> usize {
        let mut counts: BTreeMap<u8, usize> = BTreeMap::new();
        for (id, node) in &self.nodes {
            if node.alive && node.owned.contains(&address) {
                *counts.entry(self.part(*id)).or_default() += 1;
            }
        }
        counts.into_values().max().unwrap_or(0)
    }

    fn check_doubles(&mut self) {
        let owned: Vec<IpAddr> = self.nodes.values().flat_map(|node| node.owned.iter().copied()).collect();
        let mut seen = BTreeSet::new();
        let several: BTreeSet<IpAddr> = owned.into_iter().filter(|address| !seen.insert(*address)).collect();
        let doubled: BTreeSet<IpAddr> =
            several.into_iter().filter(|address| self.answerers(*address) > 1).collect();
        let now = self.now;
        let ended: Vec<Duration> = self
            .doubles
            .iter()
            .filter(|(at, _)| !doubled.contains(at))
            .map(|(_, since)| now - *since)
            .collect();
        self.longest_double = ended.into_iter().max().unwrap_or_default().max(self.longest_double);
        self.doubles.retain(|address, _| doubled.contains(address));
        for address in doubled {
            self.doubles.entry(address).or_insert(now);
        }
    }

    pub fn run(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(Reverse((at, number))) =
            self.queue.peek().copied().filter(|Reverse((at, _))| *at <= end)
        {
            self.queue.pop();
            self.now = at;
            if let Some(event) = self.events.remove(&number) {
                self.happen(event);
            }
        }
        self.now = end;
    }

    /// Runs until `condition` holds; fails with what is seen after `limit`.
    pub fn until(&mut self, what: &str, limit: Duration, condition: impl Fn(&Self) -> bool) -> Duration {
        let begun = self.now;
        while !condition(self) {
            assert!(
                self.now - begun < limit,
                "{what}: not after {limit:?}; holders are {:?}",
                self.holders()
            );
            self.run(ms(1));
        }
        self.now - begun
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Tick(id, life) => {
                let now = self.now;
                let Some(node) = self.nodes.get_mut(&id).filter(|node| node.alive && node.life == life)
                else {
                    return;
                };
                if node.tick_at != Some(now) {
                    return;
                }
                node.tick_at = None;
                self.with(id, |election, now, out| election.tick(now, out));
            }
            Event::Message(from, to, message) => {
                if self.nodes.get(&from).is_some_and(|node| node.alive) {
                    self.with(to, |election, now, out| election.heard(now, from, message, out));
                }
            }
            Event::Digests => {
                for from in self.living() {
                    let digest = self.nodes[&from].election.my_digest();
                    for to in self.living() {
                        if from != to && self.reach(from, to) && !self.lost() {
                            let delay = self.between((ms(0), ms(100)));
                            self.push(delay, Event::Digest(from, to, digest));
                        }
                    }
                }
                self.push(ms(300), Event::Digests);
            }
            Event::Digest(from, to, digest) => {
                if self.nodes[&from].alive {
                    self.with(to, |election, now, out| election.digest_of(now, from, digest, out));
                }
            }
            Event::Member(to, state) => {
                let current = self.nodes.get(&state.id).filter(|node| node.alive);
                if let Some(state) =
                    current.map(|node| node.state.clone()).filter(|_| self.reach(state.id, to))
                {
                    self.with(to, |election, now, out| election.member(now, state, out));
                }
            }
            Event::Gone(to, id, how, life) => {
                if self.nodes.get(&id).is_some_and(|node| node.life == life) || how == Gone::Left {
                    self.with(to, |election, now, out| election.gone(now, id, how, out));
                }
            }
            Event::Settled(id, life) => {
                if self.nodes.get(&id).is_some_and(|node| node.life == life) {
                    self.with(id, |election, now, out| election.settled(now, true, out));
                }
            }
            Event::Ask(id, address, run) => self.ask(id, address, run),
            Event::Answered(id, address, result) => {
                let waits = self.nodes.get_mut(&id).and_then(|node| node.probes.remove(&address)).is_some();
                if waits {
                    self.with(id, |election, now, out| election.probed(now, address, result, out));
                }
            }
            Event::ProbeEnds(id, address, run) => {
                let Some(node) = self.nodes.get_mut(&id).filter(|node| node.alive) else { return };
                if node.probes.get(&address).is_some_and(|(current, _)| *current == run) {
                    node.probes.remove(&address);
                    self.with(id, |election, now, out| {
                        election.probed(now, address, ProbeResult::Unanswered, out);
                    });
                }
            }
        }
    }

    /// A probe goes out on the wire: holders and other probers of the address are heard by it, or hear it.
    fn ask(&mut self, id: MemberId, address: IpAddr, run: u64) {
        let Some(node) = self.nodes.get(&id).filter(|node| node.alive) else { return };
        if node.probes.get(&address).is_none_or(|(current, _)| *current != run) {
            return;
        }
        if let Some(mac) = self.strangers.get(&address).copied() {
            self.push(ms(1), Event::Answered(id, address, ProbeResult::AnsweredByStranger(mac)));
        }
        for other in self.living() {
            if other == id || !self.reach(id, other) || self.lost() {
                continue;
            }
            let delay = self.between(self.delay);
            if self.nodes[&other].owned.contains(&address) {
                self.push(delay * 2, Event::Answered(id, address, ProbeResult::AnsweredByMember(other)));
            } else if self.nodes[&other].probes.contains_key(&address) {
                self.push(delay, Event::Answered(other, address, ProbeResult::AnsweredByMember(id)));
            }
        }
    }

    pub fn holders(&self) -> BTreeMap<IpAddr, Vec<MemberId>> {
        let mut holders: BTreeMap<IpAddr, Vec<MemberId>> = BTreeMap::new();
        for (id, node) in &self.nodes {
            for address in &node.owned {
                holders.entry(*address).or_default().push(*id);
            }
        }
        holders
    }

    pub fn holder(&self, address: IpAddr) -> Option<MemberId> {
        self.holders().get(&address).map(|holders| {
            assert_eq!(holders.len(), 1, "{address} is answered for by {holders:?}");
            holders[0]
        })
    }

    /// One holder per address of `addresses`, in which all members agree, and digests that fit.
    pub fn agreed(&self, addresses: &[IpAddr]) -> Result<(), String> {
        let holders = self.holders();
        for address in addresses {
            let here = holders.get(address).cloned().unwrap_or_default();
            let [holder] = here[..] else {
                let seen: Vec<_> = self.nodes.values().map(|node| node.election.status(*address)).collect();
                return Err(format!("{address} is held by {here:?}; {seen:#?}"));
            };
            for id in self.living() {
                let status = self.nodes[&id].election.status(*address);
                if status.as_ref().and_then(|status| status.holder) != Some(holder) {
                    return Err(format!("{id} sees {status:?}, but {address} is held by {holder}"));
                }
            }
        }
        Ok(())
    }

    pub fn took(&self, id: MemberId, address: IpAddr) -> Vec<daymark_l2::election::Took> {
        let events = self.nodes[&id].events.iter();
        events
            .filter_map(|(_, event)| match event {
                ElectionEvent::Took { address: at, cause } if *at == address => Some(*cause),
                ElectionEvent::Took { .. }
                | ElectionEvent::GaveUp { .. }
                | ElectionEvent::Conflict { .. }
                | ElectionEvent::ConflictEnded { .. } => None,
            })
            .collect()
    }
}
