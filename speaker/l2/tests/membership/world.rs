//! Members of one mesh on a network with a clock of its own: delay, loss, cuts, members that stand still or die.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use daymark_l2::member::{MemberId, NodeUid};
use daymark_l2::mesh::{
    Key, Mesh, MeshAddress, MeshConfig, MeshDestination, MeshEvent, MeshKeys, MeshOutput,
};
use daymark_model::{InterfaceIndex, MacAddr, TimingProfile};
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

pub fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

pub fn keys(current: u8, previous: Option<u8>) -> MeshKeys {
    let key = |byte| Key::new([byte; 32]);
    MeshKeys { current: key(current), previous: previous.map(key) }
}

/// A packet on its way from a sender to a receiver.
#[derive(Clone, Copy)]
pub struct Link {
    pub from: usize,
    pub to: usize,
    pub broadcast: bool,
}

type Cut = Box<dyn Fn(Link) -> bool>;

enum Due {
    Packet { to: usize, from: MeshAddress, payload: Vec<u8> },
    Tick { of: usize, life: u32 },
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Slot {
    at: Instant,
    sequence: u64,
}

pub struct Place {
    pub id: MemberId,
    pub address: MeshAddress,
    pub mesh: Option<Mesh>,
    frozen_since: Option<Instant>,
    next_tick: Option<Instant>,
    life: u32,
}

pub struct World {
    pub now: Instant,
    pub places: Vec<Place>,
    /// What every member told, with the time.
    pub events: Vec<(Instant, usize, MeshEvent)>,
    /// Every packet that was sent, if recorded.
    pub wire: Option<Vec<(usize, MeshDestination, Vec<u8>)>>,
    pub packets: u64,
    broadcast: bool,
    loss: f64,
    cut: Cut,
    rng: SmallRng,
    sequence: u64,
    slots: BinaryHeap<Reverse<Slot>>,
    due: BTreeMap<u64, Due>,
    profile: TimingProfile,
    by_address: BTreeMap<MeshAddress, usize>,
}

impl World {
    pub fn segment(members: usize, seed: u64) -> Self {
        Self::new(members, true, seed)
    }

    pub fn node_network(members: usize, seed: u64) -> Self {
        Self::new(members, false, seed)
    }

    fn new(members: usize, broadcast: bool, seed: u64) -> Self {
        let mut world = Self {
            now: Instant::now(),
            places: Vec::new(),
            events: Vec::new(),
            wire: None,
            packets: 0,
            broadcast,
            loss: 0.0,
            cut: Box::new(|_| false),
            rng: SmallRng::seed_from_u64(seed),
            sequence: 0,
            slots: BinaryHeap::new(),
            due: BTreeMap::new(),
            profile: TimingProfile::Fast,
            by_address: BTreeMap::new(),
        };
        for index in 0..members {
            world.place(index);
            world.start(index, keys(1, None));
        }
        if !broadcast {
            for index in 1..members {
                world.seed(index, &[0]);
            }
        }
        world
    }

    fn place(&mut self, index: usize) {
        let [high, low] = u16::try_from(index).unwrap().to_be_bytes();
        let mut uid = [0xaa; 16];
        uid[14..].copy_from_slice(&[high, low]);
        let (interface, address) = if self.broadcast {
            (InterfaceIndex(2), MeshAddress::Mac(MacAddr([2, 0, 0, 0, high, low])))
        } else {
            (MemberId::NODE_NETWORK, MeshAddress::Socket(SocketAddr::from(([10, 0, high, low], 7947))))
        };
        let id = MemberId { node: NodeUid(uid), interface };
        self.by_address.insert(address, index);
        self.places.push(Place { id, address, mesh: None, frozen_since: None, next_tick: None, life: 0 });
    }

    /// One more place, without a process.
    pub fn add_place(&mut self) -> usize {
        self.place(self.places.len());
        self.places.len() - 1
    }

    /// Another place of the same name as `index`, with a process.
    pub fn add_twin(&mut self, index: usize) -> usize {
        let twin = self.add_place();
        self.places[twin].id = self.places[index].id;
        self.start(twin, keys(1, None));
        twin
    }

    /// Starts a process, in place of the one before.
    pub fn start(&mut self, index: usize, keys: MeshKeys) {
        let session = self.rng.random();
        let seed = self.rng.random();
        let place = &mut self.places[index];
        let config = MeshConfig {
            me: place.id,
            address: place.address,
            broadcast: self.broadcast,
            session,
            keys,
            seed,
            profile: self.profile,
        };
        place.mesh = Some(Mesh::new(self.now, config));
        place.life += 1;
        place.frozen_since = None;
        place.next_tick = None;
        self.with(index, |_, _, _| ());
    }

    pub fn is_broadcast(&self) -> bool {
        self.broadcast
    }

    pub fn set_loss(&mut self, loss: f64) {
        self.loss = loss;
    }

    /// From now on packets for which `cut` is true do not arrive.
    pub fn cut(&mut self, cut: impl Fn(Link) -> bool + 'static) {
        self.cut = Box::new(cut);
    }

    pub fn heal(&mut self) {
        self.cut = Box::new(|_| false);
    }

    pub fn kill(&mut self, index: usize) {
        self.places[index].mesh = None;
    }

    pub fn freeze(&mut self, index: usize) {
        self.places[index].frozen_since = Some(self.now);
    }

    /// The process goes on, and knows for how long it stood still; what came meanwhile is dropped.
    pub fn thaw(&mut self, index: usize) {
        let since = self.places[index].frozen_since.take().unwrap();
        let gap = self.now - since;
        self.with(index, |mesh, now, out| {
            if gap > ms(250) {
                mesh.stalled(now, gap, out);
            }
        });
    }

    pub fn seed(&mut self, index: usize, seeds: &[usize]) {
        let seeds: Vec<MeshAddress> = seeds.iter().map(|seed| self.places[*seed].address).collect();
        self.with(index, |mesh, now, out| mesh.seed(now, &seeds, out));
    }

    pub fn advertise(&mut self, index: usize, advert: impl Into<Bytes>, digest: u64) {
        let advert = advert.into();
        self.with(index, |mesh, now, out| mesh.advertise(now, advert, digest, out));
    }

    /// Hands a packet from outside to a member.
    pub fn inject(&mut self, to: usize, from: MeshAddress, payload: &[u8]) {
        self.with(to, |mesh, now, out| mesh.handle(now, from, payload, out));
    }

    pub fn with<T>(&mut self, index: usize, act: impl FnOnce(&mut Mesh, Instant, &mut MeshOutput) -> T) -> T {
        let now = self.now;
        let mut out = MeshOutput::default();
        let place = &mut self.places[index];
        let mesh = place.mesh.as_mut().unwrap();
        let result = act(mesh, now, &mut out);
        let next = mesh.next_deadline();
        let (from, life) = (place.address, place.life);
        if let Some(next) = next
            && place.next_tick.is_none_or(|planned| next < planned)
        {
            place.next_tick = Some(next);
            self.plan(next, Due::Tick { of: index, life });
        }
        for event in out.events {
            self.events.push((now, index, event));
        }
        for (destination, payload) in out.packets {
            self.packets += 1;
            if let Some(wire) = &mut self.wire {
                wire.push((index, destination, payload.clone()));
            }
            match destination {
                MeshDestination::To(address) => {
                    if let Some(to) = self.by_address.get(&address).copied() {
                        self.carry(Link { from: index, to, broadcast: false }, from, &payload);
                    }
                }
                MeshDestination::Broadcast => {
                    for to in (0..self.places.len()).filter(|to| *to != index) {
                        self.carry(Link { from: index, to, broadcast: true }, from, &payload);
                    }
                }
            }
        }
        result
    }

    fn carry(&mut self, link: Link, from: MeshAddress, payload: &[u8]) {
        if self.places[link.to].mesh.is_none() || (self.cut)(link) || self.rng.random_bool(self.loss) {
            return;
        }
        let at = self.now + Duration::from_micros(self.rng.random_range(100..600));
        self.plan(at, Due::Packet { to: link.to, from, payload: payload.to_vec() });
    }

    fn plan(&mut self, at: Instant, due: Due) {
        self.sequence += 1;
        self.slots.push(Reverse(Slot { at, sequence: self.sequence }));
        self.due.insert(self.sequence, due);
    }

    /// Lets time pass.
    pub fn run(&mut self, time: Duration) {
        let end = self.now + time;
        let mut idle = 0;
        let mut at = self.now;
        while self.slots.peek().is_some_and(|Reverse(slot)| slot.at <= end) {
            self.step();
            idle = if self.now > at { 0 } else { idle + 1 };
            at = self.now;
            assert!(idle < 100_000, "time stands still: {}", self.describe());
        }
        self.now = end;
    }

    fn step(&mut self) {
        let Some(Reverse(Slot { at, sequence })) = self.slots.pop() else { return };
        self.now = self.now.max(at);
        match self.due.remove(&sequence) {
            Some(Due::Packet { to, from, payload }) if self.awake(to) => {
                self.with(to, |mesh, now, out| mesh.handle(now, from, &payload, out));
            }
            Some(Due::Tick { of, life }) if self.places[of].life == life => {
                self.places[of].next_tick = None;
                if self.awake(of) {
                    self.with(of, |mesh, now, out| mesh.tick(now, out));
                }
            }
            Some(Due::Packet { .. } | Due::Tick { .. }) | None => {}
        }
    }

    fn awake(&self, index: usize) -> bool {
        self.places[index].mesh.is_some() && self.places[index].frozen_since.is_none()
    }

    /// Lets time pass until `condition` holds, and says how long that took.
    pub fn until(&mut self, limit: Duration, what: &str, condition: impl Fn(&Self) -> bool) -> Duration {
        let start = self.now;
        while !condition(self) {
            assert!(self.now < start + limit, "{what}: not within {limit:?}; {}", self.describe());
            self.run(if self.places.len() > 50 { ms(10) } else { ms(2) });
        }
        self.now - start
    }

    pub fn alive(&self) -> BTreeSet<usize> {
        (0..self.places.len()).filter(|index| self.places[*index].mesh.is_some()).collect()
    }

    pub fn sees(&self, who: usize, whom: usize) -> bool {
        let id = self.places[whom].id;
        self.places[who].mesh.as_ref().is_some_and(|mesh| mesh.member(id).is_some())
    }

    /// Whether these, and only these, see each other.
    pub fn is_group(&self, group: &BTreeSet<usize>) -> bool {
        group.iter().all(|who| {
            let mesh = self.places[*who].mesh.as_ref().unwrap();
            mesh.members().count() == group.len() - 1
                && group.iter().all(|whom| who == whom || self.sees(*who, *whom))
        })
    }

    pub fn is_whole(&self) -> bool {
        self.is_group(&self.alive())
    }

    /// Whether everybody has the newest advert of everybody.
    pub fn adverts_are(&self, expected: impl Fn(usize) -> Bytes) -> bool {
        let alive = self.alive();
        alive.iter().all(|who| {
            let mesh = self.places[*who].mesh.as_ref().unwrap();
            alive.iter().filter(|whom| *whom != who).all(|whom| {
                mesh.member(self.places[*whom].id).is_some_and(|member| member.advert == expected(*whom))
            })
        })
    }

    /// What members told since `since`.
    pub fn told(&self, since: Instant) -> impl Iterator<Item = &(Instant, usize, MeshEvent)> {
        self.events.iter().filter(move |(at, ..)| *at >= since)
    }

    /// Who was held dead by whom since `since`.
    pub fn deaths(&self, since: Instant) -> Vec<(Instant, usize, MemberId)> {
        let down = |(at, who, event): &(Instant, usize, MeshEvent)| {
            if let MeshEvent::Down { id, .. } = event { Some((*at, *who, *id)) } else { None }
        };
        self.told(since).filter_map(down).collect()
    }

    fn describe(&self) -> String {
        let mut seen = BTreeMap::<usize, usize>::new();
        for index in self.alive() {
            *seen.entry(self.places[index].mesh.as_ref().unwrap().members().count()).or_default() += 1;
        }
        format!("members seen -> by how many: {seen:?}")
    }
}
