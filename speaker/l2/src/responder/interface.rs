//! The responder itself: who is answered, and what is done when.

use std::mem;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use daymark_model::MacAddr;
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

use super::announce::{Owned, Ownership, gratuitous};
use super::groups::Groups;
use super::outbox::{Outbox, ResponderEvent};
use super::probe::{Probe, ProbePlan, Step, question};
use super::schedule::{Class, Job, Map, Schedule};
use crate::wire::ndp::ALL_NODES;
use crate::wire::{
    Advertisement, AdvertisementFlags, ArpOperation, ArpPacket, EtherType, EthernetHeader, NdpMessage,
    Solicitation, multicast_mac,
};

/// One interface of the node.
#[derive(Debug)]
pub struct Responder {
    mac: MacAddr,
    random: SmallRng,
    paused: bool,
    owned: Map<IpAddr, Owned>,
    probes: Map<IpAddr, Probe>,
    groups: Groups,
    schedule: Schedule,
    counters: Counters,
}

/// What has happened since the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counters {
    /// Requests and solicitations for owned addresses.
    pub requests: u64,
    /// Answers to them.
    pub answers: u64,
    /// Bursts begun.
    pub bursts: u64,
    /// Gratuitous frames sent: bursts, refreshes, defence.
    pub gratuitous: u64,
    /// Probes sent.
    pub probes: u64,
    /// Frames by which others claimed owned addresses.
    pub conflicts: u64,
    /// Frames that were not what their type says, or broke its rules.
    pub refused: u64,
}

impl Responder {
    /// An interface with this Ethernet address that owns nothing.
    pub fn new(mac: MacAddr, seed: u64) -> Self {
        Self {
            mac,
            random: SmallRng::seed_from_u64(seed),
            paused: false,
            owned: Map::default(),
            probes: Map::default(),
            groups: Groups::default(),
            schedule: Schedule::new(),
            counters: Counters::default(),
        }
    }

    /// The interface has another Ethernet address: owned addresses burst with it, probes start again.
    pub fn set_mac(&mut self, now: Instant, mac: MacAddr, out: &mut Outbox) {
        if mac == self.mac {
            return;
        }
        self.mac = mac;
        self.restart_probes(now);
        self.burst_all(now);
        self.tick(now, out);
    }

    /// Answers for `address` from now on; ends a probe of it. For an address that is owned already, changes how.
    pub fn own(&mut self, now: Instant, address: IpAddr, ownership: Ownership, out: &mut Outbox) {
        // The group is joined before the probe's hold of it is released.
        let before = self.owned.get_mut(&address).map(|owned| mem::replace(&mut owned.ownership, ownership));
        if before.is_none() {
            self.owned.insert(address, Owned::new(ownership));
            self.groups.join(address, out);
        }
        self.cancel_probe(address, out);
        if ownership.burst {
            self.burst(now, address);
        } else if before.is_none_or(|before| before.refresh != ownership.refresh) {
            self.schedule_refresh(now, address);
        }
        self.tick(now, out);
    }

    /// Answers no more for `address`, and says nothing more of it.
    pub fn disown(&mut self, address: IpAddr, out: &mut Outbox) {
        if self.owned.remove(&address).is_some() {
            self.schedule.cancel(Job::Announce(address));
            self.schedule.cancel(Job::Defend(address));
            self.groups.leave(address, out);
        }
    }

    /// Tells the segment again that an owned address is here.
    pub fn burst(&mut self, now: Instant, address: IpAddr) {
        let Some(owned) = self.owned.get_mut(&address) else { return };
        if owned.restart() {
            self.counters.bursts += 1;
            self.schedule.set(Job::Announce(address), Class::First, now);
        }
    }

    /// [`Responder::burst`] for all owned addresses: the segment may have forgotten, or been exchanged.
    pub fn burst_all(&mut self, now: Instant) {
        let addresses: Vec<_> = self.owned.keys().copied().collect();
        for address in addresses {
            self.burst(now, address);
        }
    }

    /// Asks whether somebody has `address`. One event follows, unless the probe is cancelled; a probe that runs is
    /// replaced.
    pub fn probe(&mut self, now: Instant, address: IpAddr, plan: ProbePlan, out: &mut Outbox) {
        let mut probe = Probe::new(plan);
        let first = probe.restart(now, &mut self.random);
        if self.probes.insert(address, probe).is_none() {
            // RFC 4862 5.4.2: before sending a Neighbor Solicitation, an interface MUST join the solicited-node
            // multicast address of the tentative address.
            self.groups.join(address, out);
        }
        self.schedule.set(Job::Probe(address), Class::Probe, first);
        self.tick(now, out);
    }

    /// Ends the probe of `address` without an event.
    pub fn cancel_probe(&mut self, address: IpAddr, out: &mut Outbox) {
        if self.probes.remove(&address).is_some() {
            self.schedule.cancel(Job::Probe(address));
            self.groups.leave(address, out);
        }
    }

    /// Announces an owned address against somebody's claim, unless that was done within the last 10 s.
    pub fn defend(&mut self, now: Instant, address: IpAddr, out: &mut Outbox) {
        let Some(owned) = self.owned.get_mut(&address) else { return };
        if owned.defend(now) {
            self.schedule.set(Job::Defend(address), Class::First, now);
            self.tick(now, out);
        }
    }

    /// Answers nothing and sends nothing until [`Responder::resume`]: the process stood still, and somebody else may
    /// have taken over.
    pub fn pause(&mut self) {
        self.paused = true;
    }

    /// Goes on. Probes start again, since answers may have been missed.
    pub fn resume(&mut self, now: Instant) {
        if self.paused {
            self.paused = false;
            self.restart_probes(now);
        }
    }

    /// Whether `address` is answered for, unless paused.
    pub fn owns(&self, address: IpAddr) -> bool {
        self.owned.contains_key(&address)
    }

    /// What has happened since the start.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// A frame from the interface, without VLAN tag.
    pub fn handle(&mut self, now: Instant, frame: &[u8], out: &mut Outbox) {
        let Ok((header, payload)) = EthernetHeader::parse(frame) else {
            self.counters.refused += 1;
            return;
        };
        // A promiscuous interface (a bridge's port) hears what is meant for others, and a looped switch brings back
        // what came from here.
        if (header.destination != self.mac && !header.destination.is_group()) || header.source == self.mac {
            return;
        }
        if header.ethertype == EtherType::ARP {
            match ArpPacket::parse(payload) {
                Ok(packet) => self.handle_arp(now, packet, out),
                Err(_) => self.counters.refused += 1,
            }
        } else if header.ethertype == EtherType::IPV6 {
            match NdpMessage::parse(payload) {
                Ok(NdpMessage::Solicitation(message)) => {
                    self.handle_solicitation(now, header.source, message, out);
                }
                Ok(NdpMessage::Advertisement(message)) => {
                    let mac = message.link_layer.unwrap_or(header.source);
                    self.claimed(now, IpAddr::V6(message.target), mac, out);
                }
                Err(_) => self.counters.refused += 1,
            }
        }
    }

    fn handle_arp(&mut self, now: Instant, packet: ArpPacket, out: &mut Outbox) {
        if packet.sender_mac == self.mac {
            return;
        }
        let target = IpAddr::V4(packet.target);
        if packet.is_probe() {
            // RFC 5227 2.1.1: if the host receives any ARP Probe where the 'target IP address' is the address being
            // probed for, and the 'sender hardware address' is not of its own interfaces, it SHOULD treat this as an
            // address conflict.
            self.answered(now, target, packet.sender_mac, out);
        } else {
            self.claimed(now, IpAddr::V4(packet.sender), packet.sender_mac, out);
        }
        // RFC 826: ?Am I the target protocol address? ?Is the opcode ares_op$REQUEST? Who asks for its own address
        // wants no answer but announces it.
        if packet.operation == ArpOperation::Request
            && packet.sender != packet.target
            && self.owned.contains_key(&target)
        {
            // Send the packet to the (new) target hardware address.
            self.answer(out, |mac| packet.answer(mac).frame(packet.sender_mac));
        }
    }

    fn handle_solicitation(&mut self, now: Instant, from: MacAddr, asked: Solicitation, out: &mut Outbox) {
        let target = IpAddr::V6(asked.target);
        let mac = asked.link_layer.unwrap_or(from);
        if asked.source.is_unspecified() {
            // RFC 4862 5.4.3: if the source address is the unspecified address, the solicitation is from a node
            // performing Duplicate Address Detection. If it is from another node, the tentative address is a duplicate.
            self.answered(now, target, mac, out);
        } else {
            self.claimed(now, IpAddr::V6(asked.source), mac, out);
        }
        if mac == self.mac || asked.source == asked.target || !self.owned.contains_key(&target) {
            return;
        }
        // RFC 4861 7.2.4: if the source of the solicitation is the unspecified address, the node MUST set the Solicited
        // flag to zero and multicast the advertisement to the all-nodes address. Otherwise, it MUST set the Solicited
        // flag to one and unicast the advertisement to the Source Address of the solicitation.
        let to_all = asked.source.is_unspecified();
        let (destination, to) =
            if to_all { (ALL_NODES, multicast_mac(ALL_NODES)) } else { (asked.source, mac) };
        let flags = AdvertisementFlags { router: false, solicited: !to_all, override_entry: true };
        self.answer(out, |mac| {
            Advertisement {
                source: asked.target,
                destination,
                flags,
                target: asked.target,
                link_layer: Some(mac),
            }
            .frame(mac, to)
        });
    }

    fn answer(&mut self, out: &mut Outbox, frame: impl FnOnce(MacAddr) -> Vec<u8>) {
        self.counters.requests += 1;
        if !self.paused {
            self.counters.answers += 1;
            out.frames.push(frame(self.mac));
        }
    }

    /// Somebody says that `address` is at `mac`.
    fn claimed(&mut self, now: Instant, address: IpAddr, mac: MacAddr, out: &mut Outbox) {
        // RFC 5227 2.1.1, 2.4: any ARP packet (Request *or* Reply) whose sender IP address is the address is a conflict,
        // unless its sender hardware address is the host's own.
        if mac == self.mac || self.paused {
            return;
        }
        if let Some(owned) = self.owned.get_mut(&address) {
            self.counters.conflicts += 1;
            if owned.tell(now) {
                out.events.push(ResponderEvent::Contested { address, mac });
            }
        }
        self.answered(now, address, mac, out);
    }

    /// A frame came that answers a probe of `address`, if there is one.
    fn answered(&mut self, now: Instant, address: IpAddr, mac: MacAddr, out: &mut Outbox) {
        if mac == self.mac || self.paused {
            return;
        }
        if let Some(probe) = self.probes.get_mut(&address).filter(|probe| probe.is_running()) {
            let until = probe.end(now);
            self.schedule.set(Job::Probe(address), Class::Free, until);
            out.events.push(ResponderEvent::ProbeAnswered { address, mac });
        }
    }

    /// Does what is due.
    pub fn tick(&mut self, now: Instant, out: &mut Outbox) {
        if self.paused {
            return;
        }
        while let Some(job) = self.schedule.next(now) {
            match job {
                Job::Announce(address) => self.announce(now, address, out),
                Job::Defend(address) => {
                    // RFC 5227 2.4 (b): defend its address by broadcasting one single ARP Announcement.
                    self.counters.gratuitous += 1;
                    out.frames.push(gratuitous(self.mac, address, 0));
                }
                Job::Probe(address) => self.step_probe(now, address, out),
            }
        }
    }

    /// When [`Responder::tick`] has something to do.
    pub fn next_deadline(&self) -> Option<Instant> {
        if self.paused { None } else { self.schedule.next_deadline() }
    }

    fn announce(&mut self, now: Instant, address: IpAddr, out: &mut Outbox) {
        let Some(owned) = self.owned.get_mut(&address) else { return };
        let (frame, next) =
            owned.announce(now, self.mac, address, |refresh| jitter(&mut self.random, refresh));
        self.counters.gratuitous += 1;
        out.frames.push(frame);
        if let Some((class, at)) = next {
            self.schedule.set(Job::Announce(address), class, at);
        }
    }

    fn schedule_refresh(&mut self, now: Instant, address: IpAddr) {
        let Some(owned) = self.owned.get_mut(&address).filter(|owned| owned.is_settled()) else { return };
        match owned.refresh_at(now, |refresh| jitter(&mut self.random, refresh)) {
            Some((class, at)) => self.schedule.set(Job::Announce(address), class, at),
            None => self.schedule.cancel(Job::Announce(address)),
        }
    }

    fn step_probe(&mut self, now: Instant, address: IpAddr, out: &mut Outbox) {
        let Some(probe) = self.probes.get_mut(&address) else { return };
        let job = Job::Probe(address);
        match probe.step(now, &mut self.random) {
            Step::Send(class, at) => {
                self.counters.probes += 1;
                out.frames.push(question(self.mac, address));
                self.schedule.set(job, class, at);
            }
            Step::Wait(at) => self.schedule.set(job, Class::Free, at),
            Step::Unanswered => {
                let until = probe.end(now);
                self.schedule.set(job, Class::Free, until);
                out.events.push(ResponderEvent::ProbeUnanswered { address });
            }
            Step::Forget => self.cancel_probe(address, out),
        }
    }

    fn restart_probes(&mut self, now: Instant) {
        for (address, probe) in &mut self.probes {
            if probe.is_running() {
                let first = probe.restart(now, &mut self.random);
                self.schedule.set(Job::Probe(*address), Class::Probe, first);
            }
        }
    }
}

/// `time`, up to a tenth more or less.
fn jitter(random: &mut SmallRng, time: Duration) -> Duration {
    random.random_range(time - time / 10..=time + time / 10)
}
