//! Random schedules: whatever happens, there is one holder per address once it is quiet.

use std::collections::BTreeMap;
use std::time::Duration;

use daymark_l2::election::Action;
use daymark_l2::hold::HoldMessage;
use daymark_l2::member::MemberId;
use daymark_model::Failback;

use crate::given::{Service, announcement, id, ms, only, secs, state, vip};
use crate::world::World;

const ADDRESSES: u16 = 24;

struct Schedule {
    world: World,
    services: BTreeMap<u16, Service>,
    nodes: u8,
}

impl Schedule {
    fn new(seed: u64) -> Self {
        let mut world = World::new(seed);
        let nodes = 3 + world.random(18) as u8;
        for node in 0..nodes {
            world.start(state(node));
        }
        world.loss = world.random(4) as u32 * 100;
        world.delay.1 = ms(1 + world.random(20));
        let mut schedule = Self { world, services: BTreeMap::new(), nodes };
        for n in 0..ADDRESSES {
            schedule.serve(n);
        }
        schedule
    }

    fn serve(&mut self, n: u16) {
        let failbacks = [Failback::Gradual, Failback::Never, Failback::Immediate];
        let mut service =
            Service { failback: failbacks[self.world.random(3) as usize], ..Service::new(vip(n)) };
        if self.world.random(4) == 0 {
            let nodes: Vec<u8> = (0..self.nodes).filter(|_| self.world.random(2) == 0).collect();
            service.servers = only(nodes);
        }
        for id in self.world.living() {
            if service.servers.contains(self.world.nodes[&id].state.name) {
                self.world.offer_to(id, &service);
            } else {
                self.world.withdraw(id, service.address);
            }
        }
        self.services.insert(n, service);
    }

    fn someone(&mut self) -> MemberId {
        let node = self.world.random(u64::from(self.nodes)) as u8;
        id(node)
    }

    fn bring_back(&mut self, id: MemberId) {
        if self.world.nodes[&id].alive {
            return;
        }
        let node = (0..self.nodes).find(|node| crate::given::id(*node) == id).unwrap();
        self.world.nodes.get_mut(&id).unwrap().offers.clear();
        self.world.start(state(node));
        let name = self.world.nodes[&id].state.name;
        for service in self.services.values().filter(|service| service.servers.contains(name)) {
            self.world.offer_to(id, service);
        }
    }

    fn step(&mut self) {
        let who = self.someone();
        let alive = self.world.nodes[&who].alive;
        match self.world.random(15) {
            0 | 1 if alive && self.world.living().len() > 2 => self.world.kill(who),
            2 if alive && self.world.living().len() > 2 => {
                self.world.change(who, |state| state.standing.leaving = true);
                self.world.run(ms(300));
                self.world.say_goodbye(who);
            }
            3..=5 => self.bring_back(who),
            6 if alive => {
                let weight = self.world.random(3) as u32 * 10;
                self.world.change(who, |state| {
                    state.segment.terms.get_mut(&announcement(0)).unwrap().weight = weight;
                });
            }
            7 if alive => self.world.change(who, |state| state.standing.proxy_demoted ^= true),
            8 if alive => self.world.change(who, |state| state.nodes_reached = 4 - state.nodes_reached),
            9 if alive => self.world.change(who, |state| state.standing.api_stale ^= true),
            10 => {
                let n = self.world.random(u64::from(ADDRESSES)) as u16;
                self.serve(n);
            }
            11 if alive => {
                let n = self.world.random(u64::from(ADDRESSES)) as u16;
                self.world.withdraw(who, vip(n));
                self.world.run(ms(100));
                if self.services[&n].servers.contains(self.world.nodes[&who].state.name) {
                    let service = self.services[&n].clone();
                    self.world.offer_to(who, &service);
                }
            }
            13 => {
                let parts =
                    self.world.living().into_iter().filter(|_| self.world.random(2) == 0).map(|id| (id, 1));
                let parts = parts.collect();
                self.world.split(parts);
                let apart = 500 + self.world.random(3_000);
                self.world.run(ms(apart));
                self.world.split(BTreeMap::new());
            }
            12 if alive => self.world.with(who, |election, now, out| election.lost(now, out)),
            _ => {}
        }
        let pause = self.world.random(1_500);
        self.world.run(ms(pause));
    }

    /// The addresses that somebody can serve.
    fn servable(&self) -> Vec<std::net::IpAddr> {
        let able = |service: &&Service| {
            self.world.nodes.values().any(|node| {
                node.alive
                    && node.offers.contains_key(&service.address)
                    && service.servers.contains(node.state.name)
            })
        };
        self.services.values().filter(able).map(|service| service.address).collect()
    }
}

fn longest_double_of(seed: u64, steps: usize) -> (u32, Duration) {
    let mut schedule = Schedule::new(seed);
    let loss = schedule.world.loss;
    for _ in 0..steps {
        schedule.step();
    }
    schedule.world.run(secs(20));
    schedule.world.loss = 0;
    schedule.world.run(secs(10));
    let servable = schedule.servable();
    schedule.world.agreed(&servable).unwrap_or_else(|seen| panic!("seed {seed}: {seen}"));
    let everything: usize = schedule.world.holders().len();
    assert_eq!(everything, servable.len(), "seed {seed}: addresses without a server are held");
    let (messages, nodes) = (schedule.world.messages, usize::from(schedule.nodes));
    let bound = (steps + 30) * nodes * 40;
    assert!(messages < bound, "seed {seed}: {messages} messages for {steps} steps of {nodes} nodes");
    let before = schedule.world.messages;
    schedule.world.nodes.values_mut().for_each(|node| node.actions.clear());
    schedule.world.run(secs(20));
    assert!(schedule.world.messages - before < 20, "seed {seed}: quiet is not quiet");
    let mut said = schedule.world.nodes.values().flat_map(|node| &node.actions);
    let pulled = said.any(|(_, action)| matches!(action, Action::Send(_, HoldMessage::Pull)));
    assert!(!pulled, "seed {seed}: digests differ at rest");
    (loss, schedule.world.longest_double)
}

#[test]
fn one_holder_per_address_after_whatever_happens() {
    for seed in 0..30 {
        let (loss, longest) = longest_double_of(seed, 30);
        let bound = if loss == 0 { ms(250) } else { secs(1) };
        assert!(longest < bound, "seed {seed}, {loss} of 1,000 lost: two members answered for {longest:?}");
    }
}
