//! What is looked at now and then: segments on which nobody is heard, nodes that a mesh does not know although others do.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::directory::Directory;
use super::{L2, L2Event, MeshAddress, Output, Segment};
use crate::member::{MemberId, NodeUid};
use crate::report::NodeReport;

const EVERY: Duration = Duration::from_millis(250);
/// For how long nobody must have been heard before that is held against what other meshes tell.
const SILENCE: Duration = Duration::from_secs(1);
/// The most members that are spoken to unasked in a review.
const SEEDS_AT_ONCE: usize = 8;

impl L2 {
    pub(super) fn review(&mut self, now: Instant, out: &mut Output) {
        self.review_at = Some(now + EVERY * self.facts.profile.factor());
        self.rounds = self.rounds.wrapping_add(1);
        if self.report.standing.stalls && !self.stalls.unfit(now) {
            out.events.push(L2Event::Stalls { on: false });
            self.urgent = true;
        }
        self.drop_segments(now, out);
        let silence = SILENCE * self.facts.profile.factor();
        let reaches_nobody = self.network.as_ref().is_none_or(|network| network.peers() == 0);
        let known_elsewhere = !self.seeds.is_empty() && reaches_nobody;
        for segment in self.segments.values_mut() {
            let told = told_of(&self.shared.directory, self.config.node, segment);
            let mut context = self.shared.context(now, out);
            let alone = segment.alone_since.is_some_and(|since| now.duration_since(since) > silence);
            let alone = alone || (segment.broken && segment.alone_since.is_some());
            segment.set_broken(&mut context, alone && (known_elsewhere || !told.is_empty()));
            segment.set_deaf(&mut context, segment.broken && is_called_deaf(&told, self.config.node));
            segment.believe(&mut context, &told, silence);
            let unheard = told.iter().filter(|(id, _)| !segment.hears(*id));
            let macs = unheard.filter_map(|(id, report)| report.segment(id.interface));
            let macs: Vec<MeshAddress> = macs.map(|told| MeshAddress::Mac(told.mac)).collect();
            segment.seed(&mut context, &some_of(&macs, self.rounds));
        }
        let deaf_ones = |segment: &Segment| segment.deaf_ones(now);
        self.urgent |= self.segments.values().any(|segment| {
            self.report.segment(segment.interface.index).is_some_and(|told| told.deaf != deaf_ones(segment))
        });
        self.seed_network(now, out);
    }

    /// Where several members were lost at once and others say that they live, it is this node that lost the segment.
    pub(super) fn doubt(&mut self, now: Instant, out: &mut Output) {
        for segment in self.segments.values_mut().filter(|segment| segment.doubtful) {
            segment.doubtful = false;
            if !told_of(&self.shared.directory, self.config.node, segment).is_empty() {
                segment.set_broken(&mut self.shared.context(now, out), true);
            }
        }
    }

    /// Speaks to nodes that the node network's mesh does not hear, where others tell of them.
    pub(super) fn seed_network(&mut self, now: Instant, out: &mut Output) {
        let Some(network) = &mut self.network else { return };
        let directory = &self.shared.directory;
        let unheard = directory
            .reports()
            .filter(|report| {
                report.node != self.config.node && !directory.is_on(MemberId::NODE_NETWORK, report.node)
            })
            .filter_map(|report| Some(SocketAddr::new(*report.internal.first()?, report.port)));
        let mut seeds: Vec<MeshAddress> = self
            .seeds
            .iter()
            .copied()
            .chain(unheard)
            .filter(|seed| !self.facts.internal.contains(&seed.ip()))
            .map(MeshAddress::Socket)
            .collect();
        seeds.retain(|seed| network.mesh.members().all(|member| member.address != *seed));
        let seeds = some_of(&seeds, self.rounds);
        network.seed(&mut self.shared.context(now, out), &seeds);
    }
}

/// The members that other meshes tell of which should be on the segment: their interface has a carrier and a subnet in
/// common with this one.
fn told_of(directory: &Directory, me: NodeUid, segment: &Segment) -> Vec<(MemberId, Arc<NodeReport>)> {
    let subnets = &segment.interface.subnets;
    let others = directory.reports().filter(|report| report.node != me && !report.standing.leaving);
    others
        .filter_map(|report| {
            let there = report.segments.iter().find(|told| {
                told.carrier
                    && told
                        .subnets
                        .iter()
                        .any(|subnet| subnets.iter().any(|own| own.trunc() == subnet.trunc()))
            })?;
            Some((MemberId { node: report.node, interface: there.interface }, Arc::clone(report)))
        })
        .collect()
}

/// Whether others hear this node on a segment where it hears nobody.
fn is_called_deaf(told: &[(MemberId, Arc<NodeReport>)], me: NodeUid) -> bool {
    told.iter().any(|(id, report)| report.segment(id.interface).is_some_and(|there| there.deaf.contains(&me)))
}

/// A few of `all`, others in each round.
fn some_of(all: &[MeshAddress], round: usize) -> Vec<MeshAddress> {
    let start = round.wrapping_mul(SEEDS_AT_ONCE).checked_rem(all.len()).unwrap_or(0);
    all.iter().cycle().skip(start).take(SEEDS_AT_ONCE.min(all.len())).copied().collect()
}
