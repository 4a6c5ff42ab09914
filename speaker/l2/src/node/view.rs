//! What people see of a node.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::ops::Bound;
use std::time::Instant;

use daymark_model::InterfaceIndex;

use super::directory::Directory;
use super::{
    KeyState, L2, L2Address, L2Status, MeshMember, MeshStatus, NotAnswering, Owner, Segment, SegmentStatus,
};
use crate::election::{AddressState, AddressStatus, Silence};
use crate::member::MemberId;
use crate::mesh::Mesh;
use crate::offer::Offer;
use crate::responder::Counters;

impl L2 {
    /// How layer 2 stands on the node.
    pub fn status(&self, now: Instant) -> L2Status {
        let key = match &self.keys {
            None => KeyState::NoMeshKey,
            Some(keys) if keys.previous.is_some() => KeyState::Rotating,
            Some(_) => KeyState::Present,
        };
        let network = self.network.as_ref().map(|network| self.describe_mesh(now, &network.mesh));
        L2Status {
            node: self.config.name.clone(),
            key,
            standing: self.standing(now),
            nodes_reached: self.nodes_reached(),
            offers: count(self.offers.len()),
            network: network.unwrap_or_default(),
            segments: self.segments.values().map(|segment| self.describe_segment(now, segment)).collect(),
        }
    }

    /// How the first `limit` addresses behind `after` stand, on each interface that may answer for them.
    pub fn addresses(&self, after: Option<IpAddr>, limit: usize) -> Vec<L2Address> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let offers = self.offers.range((from, Bound::Unbounded)).take(limit);
        offers.flat_map(|(_, offer)| self.describe(offer)).collect()
    }

    /// How one address stands, on each interface that may answer for it.
    pub fn address(&self, address: IpAddr) -> Vec<L2Address> {
        self.offers.get(&address).map(|offer| self.describe(offer)).unwrap_or_default()
    }

    /// What the responders have counted, by interface.
    pub fn counters(&self) -> BTreeMap<InterfaceIndex, Counters> {
        self.segments.iter().map(|(index, segment)| (*index, segment.responder.counters())).collect()
    }

    fn describe_mesh(&self, now: Instant, mesh: &Mesh) -> MeshStatus {
        let members = mesh.members().map(|member| MeshMember {
            node: self.name(member.id),
            address: member.address.to_string(),
            alive_seconds: now.saturating_duration_since(member.alive_since).as_secs(),
            suspect: member.suspect,
        });
        MeshStatus { settled: mesh.settled(), members: members.collect() }
    }

    fn describe_segment(&self, now: Instant, segment: &Segment) -> SegmentStatus {
        let interface = &segment.interface;
        let others = segment.fed.iter().filter(|id| id.node != self.config.node);
        let candidates = others.filter(|id| may_answer(&self.shared.directory, **id)).count();
        let this_one = segment.usable() && !self.standing(now).leaving && self.announces(interface.index);
        SegmentStatus {
            interface: interface.index,
            name: interface.name.clone(),
            mac: interface.mac,
            carrier: interface.up,
            membership_broken: segment.broken,
            answered_by: lower_interface(segment),
            owned: count(segment.election.answering()),
            offered: count(segment.offered.len()),
            candidates: count(candidates + usize::from(this_one)),
            mesh: segment.mesh.as_ref().map(|mesh| self.describe_mesh(now, mesh)).unwrap_or_default(),
        }
    }

    fn describe(&self, offer: &Offer) -> Vec<L2Address> {
        offer.interfaces.iter().map(|interface| self.describe_on(*interface, offer)).collect()
    }

    fn describe_on(&self, interface: InterfaceIndex, offer: &Offer) -> L2Address {
        let segment = self.segments.get(&interface);
        let status = segment.and_then(|segment| Some((segment, segment.election.status(offer.address)?)));
        let Some((segment, status)) = status else {
            return L2Address {
                address: offer.address,
                interface,
                owner: None,
                ours: false,
                epoch: 0,
                conflict: None,
                not_answering: Some(self.absent(interface)),
            };
        };
        L2Address {
            address: offer.address,
            interface,
            owner: status.holder.and_then(|id| self.owner(segment, id)),
            ours: status.state == AddressState::Answering,
            epoch: status.epoch.0,
            conflict: status.conflict,
            not_answering: self.reason(segment, &status),
        }
    }

    /// Why there is no segment behind an interface.
    fn absent(&self, interface: InterfaceIndex) -> NotAnswering {
        if self.keys.is_none() {
            return NotAnswering::NoMeshKey;
        }
        if self.interfaces.contains_key(&interface) {
            return NotAnswering::NotAServer;
        }
        NotAnswering::InterfaceMissing { interface }
    }

    fn reason(&self, segment: &Segment, status: &AddressStatus) -> Option<NotAnswering> {
        let other = |id: Option<MemberId>| id.map_or_else(String::new, |id| self.name(id));
        let name = segment.interface.name.clone();
        if status.state == AddressState::Probing {
            return Some(NotAnswering::Probing);
        }
        Some(match status.silence? {
            _ if segment.deaf => NotAnswering::Deaf { interface: name },
            _ if !segment.interface.up => NotAnswering::NoCarrier { interface: name },
            Silence::NoCarrier => NotAnswering::NoCarrier { interface: name },
            Silence::NotOffered | Silence::NotAServer => NotAnswering::NotAServer,
            Silence::HeldByOther => NotAnswering::OwnedByOther { node: other(status.holder) },
            Silence::ClaimedByOther => NotAnswering::ClaimedByOther,
            Silence::Joining => NotAnswering::Joining,
            Silence::WaitsForBetter => NotAnswering::WaitsForBetter,
            Silence::AddressConflict => match status.conflict {
                Some(mac) => NotAnswering::AddressConflict { mac },
                None => NotAnswering::InProgress,
            },
            Silence::AnsweredByMember => NotAnswering::AnsweredByMember,
            Silence::Leaving => NotAnswering::Leaving,
            Silence::OtherInterface => {
                let lower = lower_interface(segment).and_then(|index| self.interfaces.get(&index));
                NotAnswering::LowerInterfaceAnswers {
                    interface: lower.map_or(name, |lower| lower.name.clone()),
                }
            }
            Silence::InProgress => NotAnswering::InProgress,
        })
    }

    fn owner(&self, segment: &Segment, id: MemberId) -> Option<Owner> {
        let mac = if id == segment.id {
            segment.interface.mac
        } else {
            self.shared.directory.report(id.node)?.segment(id.interface)?.mac
        };
        Some(Owner { node: self.name(id), mac })
    }

    fn name(&self, id: MemberId) -> String {
        if id.node == self.config.node {
            self.config.name.clone()
        } else {
            self.shared.directory.name(id.node)
        }
    }
}

/// The interface of the same node with the lowest number that is on the segment too, below the segment's own.
fn lower_interface(segment: &Segment) -> Option<InterfaceIndex> {
    let mut twins = segment.fed.iter().filter(|id| id.node == segment.id.node && **id < segment.id);
    twins.next().map(|id| id.interface)
}

fn may_answer(directory: &Directory, id: MemberId) -> bool {
    directory.report(id.node).is_some_and(|report| {
        let here = report.segment(id.interface);
        !report.standing.leaving && here.is_some_and(|here| here.carrier && !here.terms.is_empty())
    })
}

fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}
