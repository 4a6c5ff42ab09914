//! One interface of the node and the segment behind it: a responder, a mesh while there is a carrier, and an election.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use daymark_model::{Interface, InterfaceIndex, MacAddr, TimingProfile};

use super::context::Context;
use super::frame;
use super::output::{GiveUpCause, L2Event};
use crate::election::{
    Action, Election, ElectionEvent, ElectionOutput, GaveUp, Gone, MemberState, ProbeResult,
};
use crate::hold::HoldMessage;
use crate::member::{MemberId, NodeUid};
use crate::mesh::{
    Departure, Mesh, MeshAddress, MeshConfig, MeshDestination, MeshEvent, MeshKeys, MeshOutput,
};
use crate::offer::Offer;
use crate::report::{NodeReport, SegmentReport};
use crate::responder::{Outbox, Ownership, Responder, ResponderEvent};

/// How long ago members that are heard again may have fallen silent for this interface to have been cut off from them.
const CUT_OFF: Duration = Duration::from_secs(60);

/// Within what time several members are lost at once.
const AT_ONCE: Duration = Duration::from_millis(500);

pub(super) struct Segment {
    pub id: MemberId,
    pub interface: Interface,
    pub responder: Responder,
    pub mesh: Option<Mesh>,
    pub election: Election,
    /// The addresses that the election knows of.
    pub offered: BTreeSet<IpAddr>,
    /// The members that the election knows of.
    pub fed: BTreeSet<MemberId>,
    /// The mesh hears nobody, while others live here.
    pub broken: bool,
    /// Since when the mesh has heard nobody.
    pub alone_since: Option<Instant>,
    /// The members that fell silent, and when.
    fallen: BTreeMap<MemberId, Instant>,
    /// When the membership was whole again.
    pub whole_since: Option<Instant>,
    /// Others hear this node here, and it hears none of them.
    pub deaf: bool,
    /// Several members were lost at once, and no other is heard: whether they are dead is to be asked elsewhere.
    pub doubtful: bool,
    /// When members were lost last.
    lost_at: Vec<Instant>,
    settled: bool,
    /// When the election is due. Asking it takes as long as there are members, so it is asked when it was spoken to.
    election_due: Option<Instant>,
    consulted: bool,
    /// What the mesh tells the others of this node, and with which digest.
    advertised: (Bytes, u64),
    /// Why addresses are lost, while the election is told so.
    losing: GiveUpCause,
    mesh_out: MeshOutput,
    outbox: Outbox,
    election_out: ElectionOutput,
}

impl Segment {
    pub fn new(me: NodeUid, interface: Interface, seed: u64) -> Self {
        let id = MemberId { node: me, interface: interface.index };
        Self {
            id,
            responder: Responder::new(interface.mac, seed),
            election: Election::new(id, seed),
            interface,
            mesh: None,
            offered: BTreeSet::new(),
            fed: BTreeSet::new(),
            broken: false,
            alone_since: None,
            whole_since: None,
            fallen: BTreeMap::new(),
            deaf: false,
            doubtful: false,
            lost_at: Vec::new(),
            settled: false,
            election_due: None,
            consulted: true,
            advertised: (Bytes::new(), 0),
            losing: GiveUpCause::StoodStill,
            mesh_out: MeshOutput::default(),
            outbox: Outbox::default(),
            election_out: ElectionOutput::default(),
        }
    }

    pub fn index(&self) -> InterfaceIndex {
        self.id.interface
    }

    /// Whether it answers for something, or has stopped and waits for another to begin.
    pub fn busy(&self) -> bool {
        self.election.answering() > 0 || self.election.handing_over() > 0
    }

    /// How many others the mesh hears.
    pub fn peers(&self) -> usize {
        self.mesh.as_ref().map_or(0, |mesh| mesh.members().count())
    }

    /// The carrier is there: joins the mesh.
    pub fn connect(
        &mut self,
        cx: &mut Context<'_>,
        keys: MeshKeys,
        session: [u8; 16],
        seed: u64,
        profile: TimingProfile,
    ) {
        let address = MeshAddress::Mac(self.interface.mac);
        let config = MeshConfig { me: self.id, address, broadcast: true, session, keys, seed, profile };
        self.mesh = Some(Mesh::new(cx.now, config));
        self.alone_since = Some(cx.now);
        self.advertised = (Bytes::new(), 0);
        *cx.stale = true;
    }

    /// The carrier is gone: nothing is answered and nobody is heard.
    pub fn disconnect(&mut self, cx: &mut Context<'_>, cause: GiveUpCause) {
        self.lose(cx, cause);
        if self.mesh.take().is_none() {
            return;
        }
        for id in std::mem::take(&mut self.fed) {
            self.consulted = true;
            self.election.gone(cx.now, id, Gone::Died, &mut self.election_out);
        }
        cx.changed.extend(cx.directory.forget_mesh(cx.now, self.index()));
        self.set_broken(cx, false);
        self.alone_since = None;
        *cx.stale = true;
        self.pump(cx);
    }

    /// Goes for good: what is still owned is given up, the others are told.
    pub fn leave(&mut self, cx: &mut Context<'_>, cause: GiveUpCause) {
        if let Some(mesh) = &mut self.mesh {
            mesh.leave(cx.now, &mut self.mesh_out);
            self.send_packets(cx);
        }
        self.disconnect(cx, cause);
    }

    /// Stops answering at once; everything has to be won again.
    pub fn lose(&mut self, cx: &mut Context<'_>, cause: GiveUpCause) {
        self.responder.pause();
        self.losing = cause;
        self.consulted = true;
        self.election.lost(cx.now, &mut self.election_out);
        self.pump(cx);
        self.losing = GiveUpCause::StoodStill;
        self.responder.resume(cx.now);
    }

    /// The process stood still for `gap`.
    pub fn stalled(&mut self, cx: &mut Context<'_>, gap: Duration) {
        if let Some(mesh) = &mut self.mesh {
            mesh.stalled(cx.now, gap, &mut self.mesh_out);
        }
        self.pump(cx);
    }

    pub fn set_mac(&mut self, cx: &mut Context<'_>, mac: MacAddr) {
        self.interface.mac = mac;
        self.responder.set_mac(cx.now, mac, &mut self.outbox);
        if let Some(mesh) = &mut self.mesh {
            mesh.set_address(cx.now, MeshAddress::Mac(mac), &mut self.mesh_out);
        }
        *cx.stale = true;
        self.pump(cx);
    }

    pub fn offer(&mut self, cx: &mut Context<'_>, offer: &Offer) {
        if offer.interfaces.contains(&self.index()) {
            self.offered.insert(offer.address);
            self.consulted = true;
            self.election.offer(cx.now, offer, &mut self.election_out);
            self.pump(cx);
        } else {
            self.withdraw(cx, offer.address);
        }
    }

    pub fn withdraw(&mut self, cx: &mut Context<'_>, address: IpAddr) {
        if self.offered.remove(&address) {
            self.consulted = true;
            self.election.withdraw(cx.now, address, &mut self.election_out);
            self.pump(cx);
        }
    }

    pub fn frame(&mut self, cx: &mut Context<'_>, bytes: &[u8]) {
        match (frame::read(bytes), &mut self.mesh) {
            (Some((source, packet)), Some(mesh)) => {
                mesh.handle(cx.now, MeshAddress::Mac(source), packet, &mut self.mesh_out);
            }
            (Some(_), None) => return,
            (None, _) => self.responder.handle(cx.now, bytes, &mut self.outbox),
        }
        self.pump(cx);
    }

    pub fn tick(&mut self, cx: &mut Context<'_>) {
        let due = |deadline: Option<Instant>| deadline.is_some_and(|deadline| deadline <= cx.now);
        if let Some(mesh) = self.mesh.as_mut().filter(|mesh| due(mesh.next_deadline())) {
            mesh.tick(cx.now, &mut self.mesh_out);
        }
        if due(self.responder.next_deadline()) {
            self.responder.tick(cx.now, &mut self.outbox);
        }
        if due(self.election_due) {
            self.consulted = true;
            self.election.tick(cx.now, &mut self.election_out);
        }
        self.pump(cx);
    }

    pub fn next_deadline(&self) -> Option<Instant> {
        let mesh = self.mesh.as_ref().and_then(Mesh::next_deadline);
        [mesh, self.responder.next_deadline(), self.election_due].into_iter().flatten().min()
    }

    /// Tells the election what this node's report says.
    pub fn own(&mut self, cx: &mut Context<'_>, report: &NodeReport) {
        if let Some(state) = member_state(self.id, report, self.interface.mac) {
            self.consulted = true;
            self.election.own(cx.now, state, &mut self.election_out);
            self.pump(cx);
        }
    }

    /// Tells the others of the segment what this node's report says now.
    pub fn advertise(&mut self, cx: &mut Context<'_>, advert: &Bytes) {
        let digest = self.election.my_digest();
        let Some(mesh) = &mut self.mesh else { return };
        if !advert.is_empty() && (&self.advertised.0, self.advertised.1) != (advert, digest) {
            self.advertised = (advert.clone(), digest);
            mesh.advertise(cx.now, advert.clone(), digest, &mut self.mesh_out);
            self.pump(cx);
        }
    }

    /// What is known of a member of the mesh is to be told to the election: its node's report has changed.
    pub fn refresh(&mut self, cx: &mut Context<'_>, node: NodeUid) {
        let first = MemberId { node, interface: MemberId::NODE_NETWORK };
        let last = MemberId { node, interface: InterfaceIndex(u32::MAX) };
        let report = cx.directory.report(node).cloned();
        let told = report.iter().flat_map(|report| &report.segments).map(|segment| segment.interface);
        let mut ids: BTreeSet<MemberId> = self.fed.range(first..=last).copied().collect();
        ids.extend(told.map(|interface| MemberId { node, interface }));
        for id in ids {
            if let Some(report) = report.as_deref().filter(|_| self.hears(id) || self.fed.contains(&id)) {
                self.feed(cx, id, report);
            }
        }
    }

    /// Nodes that are heard here and do not hear, at most [`SegmentReport::MAX_DEAF`].
    pub fn deaf_ones(&self, now: Instant) -> Vec<NodeUid> {
        let deaf = self.mesh.iter().flat_map(|mesh| mesh.deaf(now)).map(|id| id.node);
        deaf.take(SegmentReport::MAX_DEAF).collect()
    }

    /// Others hear this node here, and it hears none of them.
    pub fn set_deaf(&mut self, cx: &mut Context<'_>, on: bool) {
        if self.deaf != on {
            self.deaf = on;
            *cx.stale = true;
            cx.out.events.push(L2Event::SegmentDeaf { interface: self.index(), on });
        }
    }

    /// Whether it can answer here.
    pub fn usable(&self) -> bool {
        self.interface.up && !self.deaf
    }

    fn suspects_all(&self) -> bool {
        self.mesh.as_ref().is_some_and(|mesh| mesh.members().all(|member| member.suspect))
    }

    pub fn hears(&self, id: MemberId) -> bool {
        self.mesh.as_ref().is_some_and(|mesh| mesh.member(id).is_some())
    }

    /// Tells the election of a member: as it is by its node's newest report, or that it cannot be there.
    pub fn feed(&mut self, cx: &mut Context<'_>, id: MemberId, report: &NodeReport) {
        let heard = self.mesh.as_ref().and_then(|mesh| mesh.member(id));
        let seen = heard.and_then(|member| match member.address {
            MeshAddress::Mac(mac) => Some(mac),
            MeshAddress::Socket(_) => None,
        });
        let state = report
            .segment(id.interface)
            .filter(|segment| segment.carrier)
            .and_then(|segment| member_state(id, report, seen.unwrap_or(segment.mac)));
        let Some(state) = state else {
            self.unfeed(cx, id, Gone::Died);
            return;
        };
        let new = self.fed.insert(id);
        let digest = heard.map(|member| member.digest);
        self.consulted = true;
        self.election.member(cx.now, state, &mut self.election_out);
        if let Some(digest) = digest.filter(|_| new) {
            self.election.digest_of(cx.now, id, digest, &mut self.election_out);
        }
        self.pump(cx);
    }

    /// Feeds the election what other meshes tell of the members here while this one is broken, and takes it back when it
    /// has been whole for `patience`.
    pub fn believe(
        &mut self,
        cx: &mut Context<'_>,
        told: &[(MemberId, Arc<NodeReport>)],
        patience: Duration,
    ) {
        if self.broken {
            for (id, report) in told {
                self.feed(cx, *id, report);
            }
        } else if self.whole_since.is_none_or(|since| cx.now.duration_since(since) < patience) {
            return;
        } else {
            self.whole_since = None;
        }
        let believed = |id: &MemberId| self.broken && told.iter().any(|(told, _)| told == id);
        let over: Vec<MemberId> =
            self.fed.iter().copied().filter(|id| !self.hears(*id) && !believed(id)).collect();
        for id in over {
            self.unfeed(cx, id, Gone::Died);
        }
    }

    pub fn unfeed(&mut self, cx: &mut Context<'_>, id: MemberId, how: Gone) {
        if self.fed.remove(&id) {
            self.consulted = true;
            self.election.gone(cx.now, id, how, &mut self.election_out);
            self.pump(cx);
        }
    }

    /// The membership here is broken, or whole again.
    pub fn set_broken(&mut self, cx: &mut Context<'_>, on: bool) {
        if self.broken != on {
            self.broken = on;
            self.whole_since = (!on).then_some(cx.now);
            self.consulted = true;
            self.election.broken(cx.now, on, &mut self.election_out);
            cx.out.events.push(L2Event::SegmentMembershipBroken { interface: self.index(), on });
            self.pump(cx);
        }
    }

    /// Speaks to members that the mesh does not hear.
    pub fn seed(&mut self, cx: &mut Context<'_>, seeds: &[MeshAddress]) {
        if let Some(mesh) = &mut self.mesh {
            mesh.seed(cx.now, seeds, &mut self.mesh_out);
            self.pump(cx);
        }
    }

    /// Carries what each part wants to the others and outside, until nothing is left.
    fn pump(&mut self, cx: &mut Context<'_>) {
        loop {
            self.send_packets(cx);
            cx.out.frames.extend(self.outbox.frames.drain(..).map(|frame| (self.id.interface, frame)));
            cx.out.groups.extend(self.outbox.groups.drain(..).map(|change| (self.id.interface, change)));
            let settled = self.mesh.as_ref().is_some_and(Mesh::settled);
            if self.settled != settled {
                self.settled = settled;
                self.consulted = true;
                self.election.settled(cx.now, settled, &mut self.election_out);
            }
            let heard = std::mem::take(&mut self.mesh_out.events);
            let answered = std::mem::take(&mut self.outbox.events);
            let actions = std::mem::take(&mut self.election_out.actions);
            let told = std::mem::take(&mut self.election_out.events);
            if heard.is_empty() && answered.is_empty() && actions.is_empty() && told.is_empty() {
                break;
            }
            self.consulted |= !heard.is_empty() || !answered.is_empty();
            for action in actions {
                self.act(cx.now, action);
            }
            for event in told {
                self.tell(cx, event);
            }
            for event in answered {
                self.answered(cx, event);
            }
            for event in heard {
                self.heard(cx, event);
            }
        }
        if std::mem::take(&mut self.consulted) {
            self.election_due = self.election.next_deadline();
        }
    }

    fn send_packets(&mut self, cx: &mut Context<'_>) {
        let (interface, source) = (self.index(), self.interface.mac);
        for (destination, packet) in self.mesh_out.packets.drain(..) {
            let destination = match destination {
                MeshDestination::Broadcast => MacAddr::BROADCAST,
                MeshDestination::To(MeshAddress::Mac(mac)) => mac,
                MeshDestination::To(MeshAddress::Socket(_)) => continue,
            };
            cx.out.frames.extend(frame::write(source, destination, &packet).map(|frame| (interface, frame)));
        }
    }

    fn act(&mut self, now: Instant, action: Action) {
        let (responder, outbox) = (&mut self.responder, &mut self.outbox);
        match action {
            Action::Own { address, refresh, profile, burst } => {
                responder.own(now, address, Ownership { refresh, burst, profile }, outbox);
            }
            Action::Disown { address } => responder.disown(address, outbox),
            Action::Burst { address } => responder.burst(now, address),
            Action::Probe { address, plan } => responder.probe(now, address, plan, outbox),
            Action::CancelProbe { address } => responder.cancel_probe(address, outbox),
            Action::Defend { address } => responder.defend(now, address, outbox),
            Action::Broadcast(message) => self.say(now, None, &message),
            Action::Send(to, message) => self.say(now, Some(to), &message),
        }
    }

    fn say(&mut self, now: Instant, to: Option<MemberId>, message: &HoldMessage) {
        let (Some(mesh), Ok(bytes)) = (&mut self.mesh, postcard::to_stdvec(message)) else { return };
        match to {
            Some(id) => mesh.send(now, id, &bytes, &mut self.mesh_out),
            None => mesh.broadcast(now, &bytes, &mut self.mesh_out),
        }
    }

    fn tell(&mut self, cx: &mut Context<'_>, event: ElectionEvent) {
        let interface = self.index();
        cx.out.events.push(match event {
            ElectionEvent::Took { address, cause } => {
                L2Event::Took { address, interface, cause: cause.into() }
            }
            ElectionEvent::GaveUp { address, cause } => {
                let cause = match cause {
                    GaveUp::Withdrawn => GiveUpCause::Withdrawn,
                    GaveUp::Leaving => GiveUpCause::Leaving,
                    GaveUp::Unfit => GiveUpCause::Unfit,
                    GaveUp::Failback => GiveUpCause::Failback,
                    GaveUp::Yielded { .. } => GiveUpCause::Yielded,
                    GaveUp::Lost => self.losing,
                };
                L2Event::GaveUp { address, interface, cause }
            }
            ElectionEvent::Conflict { address, mac } => L2Event::Conflict { address, interface, mac },
            ElectionEvent::ConflictEnded { address } => L2Event::ConflictEnded { address, interface },
        });
    }

    fn answered(&mut self, cx: &mut Context<'_>, event: ResponderEvent) {
        match event {
            ResponderEvent::ProbeUnanswered { address } => {
                let out = &mut self.election_out;
                self.election.probed(cx.now, address, ProbeResult::Unanswered, out);
            }
            ResponderEvent::ProbeAnswered { address, mac } => {
                let result = match self.member_with(cx, mac) {
                    Some(id) => ProbeResult::AnsweredByMember(id),
                    None => ProbeResult::AnsweredByStranger(mac),
                };
                self.election.probed(cx.now, address, result, &mut self.election_out);
            }
            // Between members holds decide, also about one that is held dead; clients are told the truth meanwhile.
            ResponderEvent::Contested { address, mac } if self.member_with(cx, mac).is_some() => {
                self.responder.defend(cx.now, address, &mut self.outbox);
            }
            ResponderEvent::Contested { address, mac } => {
                self.election.contested(cx.now, address, mac, &mut self.election_out);
            }
        }
    }

    /// Which member it is that has this Ethernet address: one of this mesh, else one that another mesh tells of.
    fn member_with(&self, cx: &Context<'_>, mac: MacAddr) -> Option<MemberId> {
        let told = cx.directory.owner_of(cx.now, mac);
        let here = |id: &MemberId| {
            let member = self.mesh.as_ref().and_then(|mesh| mesh.member(*id));
            member.is_some_and(|member| member.address == MeshAddress::Mac(mac))
        };
        told.filter(here).or_else(|| self.fed.iter().copied().find(|id| here(id))).or(told)
    }

    fn heard(&mut self, cx: &mut Context<'_>, event: MeshEvent) {
        let interface = Some(self.index());
        match event {
            MeshEvent::Up(id) => {
                let was_alone = self.alone_since.take().is_some();
                if self.came_back(cx.now, id) || was_alone {
                    // Who took over meanwhile may be gone again, and the neighbors' caches name it.
                    self.responder.burst_all(cx.now);
                }
                self.set_deaf(cx, false);
                *cx.stale = true;
                cx.out.events.push(L2Event::MemberUp { interface, node: cx.directory.name(id.node) });
                // Other meshes may have told of it before: now it is here, with holds of its own.
                self.fed.remove(&id);
                self.learn(cx, id);
                self.set_broken(cx, false);
            }
            MeshEvent::Advert(id) => self.learn(cx, id),
            MeshEvent::Down { id, why } => {
                let left = why == Departure::Left;
                let node = cx.directory.name(id.node);
                cx.out.events.push(L2Event::MemberDown { interface, node, left });
                self.fed.remove(&id);
                let how = if left { Gone::Left } else { Gone::Died };
                self.election.gone(cx.now, id, how, &mut self.election_out);
                if cx.directory.forget(cx.now, self.index(), id) {
                    cx.changed.insert(id.node);
                }
                self.lost_at.retain(|at| cx.now.saturating_duration_since(*at) < AT_ONCE);
                self.lost_at.push(cx.now);
                if !left {
                    self.fallen.insert(id, cx.now);
                }
                let peers = self.peers();
                if peers == 0 {
                    self.alone_since = Some(cx.now);
                }
                // All do not die at once: before anything is taken, other meshes are asked.
                let several = peers > 0 || self.lost_at.len() > 1;
                self.doubtful = !left && several && self.suspects_all();
                *cx.stale = true;
            }
            MeshEvent::Digest(id) => {
                let digest = self.mesh.as_ref().and_then(|mesh| mesh.member(id)).map(|member| member.digest);
                if let Some(digest) = digest.filter(|_| self.fed.contains(&id)) {
                    self.election.digest_of(cx.now, id, digest, &mut self.election_out);
                }
            }
            MeshEvent::Payload { from, bytes } => {
                if let Ok(message) = postcard::from_bytes(&bytes) {
                    self.election.heard(cx.now, from, message, &mut self.election_out);
                }
            }
            MeshEvent::WrongKey { from } => {
                cx.out.events.push(L2Event::WrongKey { interface, from: from.to_string() });
            }
            MeshEvent::Duplicate { from } => {
                cx.out.events.push(L2Event::DuplicateNode { interface, from: from.to_string() });
            }
        }
    }

    /// Whether a member that fell silent with most of the others is heard again: then it was this interface that was cut
    /// off, not they.
    fn came_back(&mut self, now: Instant, id: MemberId) -> bool {
        self.fallen.retain(|_, at| now.saturating_duration_since(*at) < CUT_OFF);
        let cut_off = self.fallen.contains_key(&id) && 2 * self.fallen.len() > self.peers();
        if cut_off {
            self.fallen.clear();
        }
        cut_off
    }

    fn learn(&mut self, cx: &mut Context<'_>, id: MemberId) {
        let Some(member) = self.mesh.as_ref().and_then(|mesh| mesh.member(id)) else { return };
        if !member.advert.is_empty() && cx.directory.hear(cx.now, self.id.interface, id, &member.advert) {
            cx.changed.insert(id.node);
        }
        if !self.fed.contains(&id)
            && let Some(report) = cx.directory.report(id.node).cloned()
        {
            self.feed(cx, id, &report);
        }
    }
}

fn member_state(id: MemberId, report: &NodeReport, mac: MacAddr) -> Option<MemberState> {
    Some(MemberState {
        id,
        name: report.name_hash(),
        mac,
        // Nobody is ranked by how many it hears: that this changes often is no news to the election.
        segment: SegmentReport { peers_heard: 0, ..report.segment(id.interface)?.clone() },
        standing: report.standing,
        nodes_reached: report.nodes_reached,
    })
}
