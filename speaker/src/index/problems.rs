//! What keeps the node from doing what it was told, for the status of its Speaker: few entries that seldom change.

use std::collections::{BTreeMap, BTreeSet};

use daymark_announce::{Drain, L2Standing, Reason};
use daymark_model::Reason as _;

use super::Index;
use super::address::State;
use crate::status::Problem;

/// How many Services are named per reason.
const NAMED: usize = 5;

impl Index {
    /// What keeps the node from announcing what it should: the node's own state, contradicting Announcements, and per
    /// reason the first Services that it concerns. What is normal on some nodes (no local endpoint, another node
    /// selected, waiting for the proxy) is no problem.
    pub fn problems(&self) -> Vec<Problem> {
        let node = &self.node;
        let of_node = [
            (node.drain != Drain::No, Reason::Draining),
            (node.excluded(), Reason::NodeExcluded),
            (node.out_of_service, Reason::OutOfService),
            (node.network_unavailable, Reason::NetworkUnavailable),
            (self.uses_l2() && node.l2 == L2Standing::NoMeshKey, Reason::NoMeshKey),
            (self.uses_l2() && node.l2 == L2Standing::InvalidMeshKey, Reason::InvalidMeshKey),
        ];
        let mut problems: Vec<Problem> = of_node
            .iter()
            .filter(|(holds, _)| *holds)
            .map(|(_, reason)| Problem::new(format!("Node/{}", node.name), reason))
            .collect();
        let mut notes = BTreeSet::new();
        let mut refused: BTreeMap<&'static str, BTreeSet<Problem>> = BTreeMap::new();
        for (_, entry) in self.addresses.iter() {
            if let State::Out(ways) | State::Waiting(ways, _) = &entry.state {
                notes.extend(ways.notes());
            }
            for refusal in entry.refusals.iter().filter(|r| is_problem(&r.reason)) {
                let named = refused.entry(refusal.reason.code()).or_default();
                named.insert(Problem::new(format!("Service/{}", refusal.service), &refusal.reason));
                if named.len() > NAMED {
                    named.pop_last();
                }
            }
        }
        problems.extend(notes.into_iter().map(|n| Problem::new(format!("Announcement/{}", n.overruled), n)));
        problems.extend(refused.into_values().flatten());
        problems
    }

    /// How many Services are refused for each reason, for metrics.
    pub fn refusals(&self) -> BTreeMap<&'static str, usize> {
        let mut counts = BTreeMap::new();
        for (_, entry) in self.addresses.iter() {
            for refusal in &entry.refusals {
                *counts.entry(refusal.reason.code()).or_default() += 1;
            }
        }
        counts
    }
}

fn is_problem(reason: &Reason) -> bool {
    match reason {
        Reason::AddressIsInfrastructure { .. }
        | Reason::NoAnnouncement
        | Reason::NoNeighbor { .. }
        | Reason::FamilyNotEnabled { .. }
        | Reason::NoInterface { .. } => true,
        Reason::NotAssigned
        | Reason::NodeNotSelected { .. }
        | Reason::NodeExcluded
        | Reason::Draining
        | Reason::OutOfService
        | Reason::NetworkUnavailable
        | Reason::MeshKeyUnknown
        | Reason::NoMeshKey
        | Reason::InvalidMeshKey
        | Reason::NoEndpoints { .. }
        | Reason::NoLocalEndpoint { .. }
        | Reason::AwaitingProxy { .. } => false,
    }
}
