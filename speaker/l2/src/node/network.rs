//! The mesh of the node network.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use daymark_model::TimingProfile;

use super::context::Context;
use super::output::L2Event;
use crate::member::{MemberId, NodeUid};
use crate::mesh::{
    Departure, Mesh, MeshAddress, MeshConfig, MeshDestination, MeshEvent, MeshKeys, MeshOutput,
};

pub(super) struct Network {
    pub mesh: Mesh,
    pub address: SocketAddr,
    peers: usize,
    advertised: Bytes,
    out: MeshOutput,
}

impl Network {
    pub fn new(
        now: Instant,
        node: NodeUid,
        address: SocketAddr,
        keys: MeshKeys,
        session: [u8; 16],
        seed: u64,
        profile: TimingProfile,
    ) -> Self {
        let me = MemberId { node, interface: MemberId::NODE_NETWORK };
        let config = MeshConfig {
            me,
            address: MeshAddress::Socket(address),
            broadcast: false,
            session,
            keys,
            seed,
            profile,
        };
        Self {
            mesh: Mesh::new(now, config),
            address,
            peers: 0,
            advertised: Bytes::new(),
            out: MeshOutput::default(),
        }
    }

    pub fn set_address(&mut self, cx: &mut Context<'_>, address: SocketAddr) {
        if self.address != address {
            self.address = address;
            self.mesh.set_address(cx.now, MeshAddress::Socket(address), &mut self.out);
            self.pump(cx);
        }
    }

    pub fn datagram(&mut self, cx: &mut Context<'_>, from: SocketAddr, payload: &[u8]) {
        self.mesh.handle(cx.now, MeshAddress::Socket(from), payload, &mut self.out);
        self.pump(cx);
    }

    pub fn tick(&mut self, cx: &mut Context<'_>) {
        if self.mesh.next_deadline().is_some_and(|deadline| deadline <= cx.now) {
            self.mesh.tick(cx.now, &mut self.out);
            self.pump(cx);
        }
    }

    pub fn stalled(&mut self, cx: &mut Context<'_>, gap: Duration) {
        self.mesh.stalled(cx.now, gap, &mut self.out);
        self.pump(cx);
    }

    pub fn leave(&mut self, cx: &mut Context<'_>) {
        self.mesh.leave(cx.now, &mut self.out);
        self.pump(cx);
        cx.changed.extend(cx.directory.forget_mesh(cx.now, MemberId::NODE_NETWORK));
    }

    pub fn advertise(&mut self, cx: &mut Context<'_>, advert: &Bytes) {
        if !advert.is_empty() && self.advertised != *advert {
            self.advertised = advert.clone();
            // Holds are of segments.
            self.mesh.advertise(cx.now, advert.clone(), 0, &mut self.out);
            self.pump(cx);
        }
    }

    pub fn seed(&mut self, cx: &mut Context<'_>, seeds: &[MeshAddress]) {
        self.mesh.seed(cx.now, seeds, &mut self.out);
        self.pump(cx);
    }

    /// How many other nodes are reached.
    pub fn peers(&self) -> usize {
        self.peers
    }

    fn pump(&mut self, cx: &mut Context<'_>) {
        for (destination, packet) in self.out.packets.drain(..) {
            match destination {
                MeshDestination::To(MeshAddress::Socket(to)) => cx.out.datagrams.push((to, packet)),
                MeshDestination::To(MeshAddress::Mac(_)) | MeshDestination::Broadcast => {}
            }
        }
        for event in std::mem::take(&mut self.out.events) {
            self.heard(cx, event);
        }
    }

    fn heard(&mut self, cx: &mut Context<'_>, event: MeshEvent) {
        let mesh = MemberId::NODE_NETWORK;
        match event {
            MeshEvent::Up(id) => {
                *cx.stale = true;
                self.peers = self.mesh.members().count();
                let node = cx.directory.name(id.node);
                cx.out.events.push(L2Event::MemberUp { interface: None, node });
                self.learn(cx, id);
            }
            MeshEvent::Advert(id) => self.learn(cx, id),
            MeshEvent::Down { id, why } => {
                *cx.stale = true;
                self.peers = self.mesh.members().count();
                let node = cx.directory.name(id.node);
                let left = why == Departure::Left;
                cx.out.events.push(L2Event::MemberDown { interface: None, node, left });
                if cx.directory.forget(cx.now, mesh, id) {
                    cx.changed.insert(id.node);
                }
            }
            MeshEvent::WrongKey { from } => {
                cx.out.events.push(L2Event::WrongKey { interface: None, from: from.to_string() });
            }
            MeshEvent::Duplicate { from } => {
                cx.out.events.push(L2Event::DuplicateNode { interface: None, from: from.to_string() });
            }
            MeshEvent::Digest(_) | MeshEvent::Payload { .. } => {}
        }
    }

    fn learn(&mut self, cx: &mut Context<'_>, id: MemberId) {
        let Some(member) = self.mesh.member(id) else { return };
        if !member.advert.is_empty() && cx.directory.hear(cx.now, MemberId::NODE_NETWORK, id, &member.advert)
        {
            cx.changed.insert(id.node);
        }
    }
}
