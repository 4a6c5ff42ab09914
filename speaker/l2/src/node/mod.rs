//! All of a node: for each interface a responder, a mesh and an election, one more mesh over the node network, and the
//! report that the node spreads over all of them.
//!
//! What a member of a segment says of itself is believed from whichever mesh brings the newest word: a node whose
//! carrier is gone says so over the node network, and is replaced before its silence is noticed.

mod context;
mod directory;
mod frame;
mod input;
mod network;
mod output;
mod own;
mod reason;
mod review;
mod segment;
mod stalls;
mod status;
mod view;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use bytes::Bytes;
use daymark_model::{Interface, InterfaceIndex};
use ring::digest;

use crate::member::NodeUid;
use crate::mesh::{MeshAddress, MeshKeys};
use crate::offer::Offer;
use crate::report::{NodeReport, Standing};

use context::Context;
use directory::Directory;
use network::Network;
use segment::Segment;
use stalls::Stalls;

pub use input::{Input, L2Config, NodeFacts};
pub use output::{GiveUpCause, L2Event, Output, TakeCause};
pub use reason::NotAnswering;
pub use status::{KeyState, L2Address, L2Status, MeshMember, MeshStatus, Owner, SegmentStatus};

/// A process that stood still for longer is suspected by others, who may have taken what it owns.
const SUSPICION: Duration = Duration::from_millis(300);
/// How long leaving may take.
const FAREWELL: Duration = Duration::from_secs(1);
/// Counts in the report change at most so often, and more rarely the more members hear of it.
const RECOUNT: Duration = Duration::from_millis(50);
const RECOUNT_PER_MEMBER: Duration = Duration::from_millis(1);

/// Layer 2 on a node.
pub struct L2 {
    config: L2Config,
    facts: NodeFacts,
    keys: Option<MeshKeys>,
    interfaces: BTreeMap<InterfaceIndex, Interface>,
    offers: BTreeMap<IpAddr, Offer>,
    seeds: Vec<SocketAddr>,
    segments: BTreeMap<InterfaceIndex, Segment>,
    network: Option<Network>,
    shared: Shared,
    report: NodeReport,
    advert: Bytes,
    /// The report has to change now, not just its counts.
    urgent: bool,
    published: Option<Instant>,
    review_at: Option<Instant>,
    rounds: usize,
    stalls: Stalls,
    leaving: Option<Leaving>,
    sessions: u64,
}

/// What all meshes of a node write to.
#[derive(Default)]
struct Shared {
    directory: Directory,
    changed: BTreeSet<NodeUid>,
    stale: bool,
}

impl Shared {
    fn context<'a>(&'a mut self, now: Instant, out: &'a mut Output) -> Context<'a> {
        let Self { directory, changed, stale } = self;
        Context { now, directory, out, changed, stale }
    }
}

enum Leaving {
    /// Hands everything over, at most until then.
    Since(Instant),
    Done,
}

impl L2 {
    /// A node that knows nothing of itself yet.
    pub fn new(_now: Instant, config: L2Config) -> Self {
        let report = NodeReport {
            node: config.node,
            name: config.name.clone(),
            version: 0,
            internal: Vec::new(),
            port: config.port,
            standing: Standing::default(),
            nodes_reached: 0,
            segments: Vec::new(),
        };
        Self {
            config,
            facts: NodeFacts::default(),
            keys: None,
            interfaces: BTreeMap::new(),
            offers: BTreeMap::new(),
            seeds: Vec::new(),
            segments: BTreeMap::new(),
            network: None,
            shared: Shared::default(),
            report,
            advert: Bytes::new(),
            urgent: false,
            published: None,
            review_at: None,
            rounds: 0,
            stalls: Stalls::default(),
            leaving: None,
            sessions: 0,
        }
    }

    /// Something happened.
    pub fn handle(&mut self, now: Instant, input: Input<'_>, out: &mut Output) {
        if self.left() {
            return;
        }
        match input {
            Input::Frame { interface, frame } => {
                if let Some(segment) = self.segments.get_mut(&interface) {
                    segment.frame(&mut self.shared.context(now, out), frame);
                }
            }
            Input::Datagram { from, payload } => {
                if let Some(network) = &mut self.network {
                    network.datagram(&mut self.shared.context(now, out), from, payload);
                }
            }
            Input::Interfaces(interfaces) => {
                self.interfaces =
                    interfaces.into_iter().map(|interface| (interface.index, interface)).collect();
                self.arrange(now, out);
            }
            Input::Node(facts) => {
                self.set_facts(now, facts, out);
            }
            Input::Keys(keys) => self.set_keys(now, keys, out),
            Input::Offer(offer) => self.offer(now, offer, out),
            Input::Withdraw(address) => {
                self.offers.remove(&address);
                for segment in self.segments.values_mut() {
                    segment.withdraw(&mut self.shared.context(now, out), address);
                }
            }
            Input::Seeds(seeds) => {
                self.seeds = seeds;
                self.seed_network(now, out);
            }
            Input::Stalled(gap) => self.stalled(now, gap, out),
            Input::Leave => {
                if self.leaving.is_none() {
                    self.leaving = Some(Leaving::Since(now + FAREWELL * self.facts.profile.factor()));
                    self.urgent = true;
                }
            }
        }
        self.finish(now, out);
    }

    /// Time has passed.
    pub fn tick(&mut self, now: Instant, out: &mut Output) {
        if self.left() {
            return;
        }
        for segment in self.segments.values_mut() {
            segment.tick(&mut self.shared.context(now, out));
        }
        if let Some(network) = &mut self.network {
            network.tick(&mut self.shared.context(now, out));
        }
        if self.review_at.is_some_and(|at| at <= now) {
            self.review(now, out);
        }
        self.finish(now, out);
    }

    /// When [`L2::tick`] wants to be called; a time in the past = at once.
    pub fn next_deadline(&self) -> Option<Instant> {
        if self.left() {
            return None;
        }
        let segments = self.segments.values().filter_map(Segment::next_deadline).min();
        let network = self.network.as_ref().and_then(|network| network.mesh.next_deadline());
        let publish = if self.shared.stale { self.may_publish_at() } else { None };
        [segments, network, publish, self.review_at].into_iter().flatten().min()
    }

    /// Whether the node has handed over everything and has said goodbye: nothing more comes from it.
    pub fn left(&self) -> bool {
        matches!(self.leaving, Some(Leaving::Done))
    }

    fn set_facts(&mut self, now: Instant, facts: NodeFacts, out: &mut Output) {
        if self.facts == facts {
            return;
        }
        let profile = (self.facts.profile != facts.profile).then_some(facts.profile);
        self.facts = facts;
        if let Some(profile) = profile {
            let segments = self.segments.values_mut().filter_map(|segment| segment.mesh.as_mut());
            for mesh in segments.chain(self.network.as_mut().map(|network| &mut network.mesh)) {
                mesh.set_profile(now, profile);
            }
        }
        self.arrange(now, out);
    }

    fn set_keys(&mut self, now: Instant, keys: Option<MeshKeys>, out: &mut Output) {
        if self.keys == keys {
            return;
        }
        match &keys {
            Some(keys) => {
                let segments = self.segments.values_mut().filter_map(|segment| segment.mesh.as_mut());
                for mesh in segments.chain(self.network.as_mut().map(|network| &mut network.mesh)) {
                    mesh.set_keys(keys.clone());
                }
            }
            None => self.disband(now, GiveUpCause::NoMeshKey, out),
        }
        self.keys = keys;
        self.arrange(now, out);
    }

    /// Gives up everything and leaves all meshes.
    fn disband(&mut self, now: Instant, cause: GiveUpCause, out: &mut Output) {
        for (_, mut segment) in std::mem::take(&mut self.segments) {
            segment.leave(&mut self.shared.context(now, out), cause);
        }
        if let Some(mut network) = self.network.take() {
            network.leave(&mut self.shared.context(now, out));
        }
    }

    fn offer(&mut self, now: Instant, offer: Offer, out: &mut Output) {
        if self.offers.get(&offer.address) == Some(&offer) {
            return;
        }
        for segment in self.segments.values_mut() {
            segment.offer(&mut self.shared.context(now, out), &offer);
        }
        self.offers.insert(offer.address, offer);
    }

    fn stalled(&mut self, now: Instant, gap: Duration, out: &mut Output) {
        if gap > SUSPICION * self.facts.profile.factor() {
            let unfit = self.stalls.unfit(now);
            self.stalls.count(now);
            if !unfit && self.stalls.unfit(now) {
                out.events.push(L2Event::Stalls { on: true });
            }
            self.urgent = true;
            for segment in self.segments.values_mut() {
                segment.lose(&mut self.shared.context(now, out), GiveUpCause::StoodStill);
            }
        }
        for segment in self.segments.values_mut() {
            segment.stalled(&mut self.shared.context(now, out), gap);
        }
        if let Some(network) = &mut self.network {
            network.stalled(&mut self.shared.context(now, out), gap);
        }
    }

    /// Makes the segments and the node network's mesh fit the interfaces, the facts and the keys.
    fn arrange(&mut self, now: Instant, out: &mut Output) {
        self.urgent = true;
        let Some(keys) = self.keys.clone() else { return };
        self.review_at.get_or_insert(now);
        self.drop_segments(now, out);
        let wanted: Vec<Interface> = self
            .interfaces
            .values()
            .filter(|interface| self.announces(interface.index))
            .take(NodeReport::MAX_SEGMENTS)
            .cloned()
            .collect();
        for interface in wanted {
            self.arrange_segment(now, interface, &keys, out);
        }
        let address = self.facts.internal.first().map(|ip| SocketAddr::new(*ip, self.config.port));
        match (&mut self.network, address) {
            (Some(network), Some(address)) => {
                network.set_address(&mut self.shared.context(now, out), address);
            }
            (None, Some(address)) => {
                let (session, seed) = self.session();
                let (node, profile) = (self.config.node, self.facts.profile);
                self.network = Some(Network::new(now, node, address, keys, session, seed, profile));
                self.seed_network(now, out);
            }
            (_, None) => {
                if let Some(mut network) = self.network.take() {
                    network.leave(&mut self.shared.context(now, out));
                }
            }
        }
    }

    fn announces(&self, interface: InterfaceIndex) -> bool {
        self.facts.terms.get(&interface).is_some_and(|terms| !terms.is_empty())
    }

    /// Drops the segments of interfaces that are gone, and of those that announce no more once all is handed over.
    fn drop_segments(&mut self, now: Instant, out: &mut Output) {
        let idle: Vec<InterfaceIndex> = self
            .segments
            .keys()
            .copied()
            .filter(|index| !self.interfaces.contains_key(index) || !self.announces(*index))
            .collect();
        for index in idle {
            let exists = self.interfaces.contains_key(&index);
            let Some(segment) = self.segments.get_mut(&index) else { continue };
            let mut context = self.shared.context(now, out);
            if exists {
                for address in segment.offered.clone() {
                    segment.withdraw(&mut context, address);
                }
            }
            if !exists || !segment.busy() {
                segment.leave(&mut context, GiveUpCause::InterfaceGone);
                self.segments.remove(&index);
                self.urgent = true;
            }
        }
    }

    fn arrange_segment(&mut self, now: Instant, interface: Interface, keys: &MeshKeys, out: &mut Output) {
        let (session, seed) = self.session();
        let profile = self.facts.profile;
        let (index, up) = (interface.index, interface.up);
        let new = !self.segments.contains_key(&index);
        let segment = self
            .segments
            .entry(index)
            .or_insert_with(|| Segment::new(self.config.node, interface.clone(), seed));
        let mut context = self.shared.context(now, out);
        if segment.interface.mac != interface.mac {
            segment.set_mac(&mut context, interface.mac);
        }
        segment.interface = interface;
        match (up, segment.mesh.is_some()) {
            (true, false) => segment.connect(&mut context, keys.clone(), session, seed, profile),
            (false, true) => segment.disconnect(&mut context, GiveUpCause::NoCarrier),
            (true, true) | (false, false) => {}
        }
        let back = self.offers.values().filter(|offer| {
            offer.interfaces.contains(&index) && (new || !segment.offered.contains(&offer.address))
        });
        let back: Vec<Offer> = back.cloned().collect();
        for offer in back {
            segment.offer(&mut context, &offer);
        }
    }

    /// A session that was never used before, and a seed.
    fn session(&mut self) -> ([u8; 16], u64) {
        self.sessions += 1;
        let mut context = digest::Context::new(&digest::SHA256);
        context.update(&self.config.sessions);
        context.update(&self.sessions.to_be_bytes());
        let hash = context.finish();
        let session = hash.as_ref().first_chunk().copied().unwrap_or_default();
        (session, self.config.seed.wrapping_add(self.sessions.wrapping_mul(0x9e37_79b9_7f4a_7c15)))
    }

    /// What follows from what happened: others' reports that changed, the own report, a farewell.
    fn finish(&mut self, now: Instant, out: &mut Output) {
        self.doubt(now, out);
        while let Some(node) = self.shared.changed.pop_first() {
            for segment in self.segments.values_mut() {
                segment.refresh(&mut self.shared.context(now, out), node);
            }
        }
        if self.urgent || (self.shared.stale && self.may_publish_at().is_none_or(|at| at <= now)) {
            self.publish(now, out);
        }
        for segment in self.segments.values_mut() {
            segment.advertise(&mut self.shared.context(now, out), &self.advert);
        }
        if let Some(network) = &mut self.network {
            network.advertise(&mut self.shared.context(now, out), &self.advert);
        }
        self.go(now, out);
    }

    fn may_publish_at(&self) -> Option<Instant> {
        let members = u32::from(self.nodes_reached());
        Some(self.published? + RECOUNT.max(RECOUNT_PER_MEMBER * members) * self.facts.profile.factor())
    }

    fn publish(&mut self, now: Instant, out: &mut Output) {
        self.urgent = false;
        self.shared.stale = false;
        let mut report = self.compose(now);
        if report == self.report {
            return;
        }
        report.version += 1;
        self.published = Some(now);
        self.report = report;
        self.advert = postcard::to_stdvec(&self.report).unwrap_or_default().into();
        for segment in self.segments.values_mut() {
            segment.own(&mut self.shared.context(now, out), &self.report);
        }
    }

    /// Ends the farewell when nothing is left to hand over.
    fn go(&mut self, now: Instant, out: &mut Output) {
        let Some(Leaving::Since(until)) = self.leaving else { return };
        if now >= until || !self.segments.values().any(Segment::busy) {
            self.disband(now, GiveUpCause::Leaving, out);
            self.shared.changed.clear();
            self.leaving = Some(Leaving::Done);
        }
    }
}
