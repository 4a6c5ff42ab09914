//! What other nodes say of themselves, as heard over all meshes.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use daymark_model::{InterfaceIndex, MacAddr};

use crate::member::{MemberId, NodeUid};
use crate::report::{NodeReport, SegmentReport};

/// A mesh of this node: the interface of its segment, or [`MemberId::NODE_NETWORK`].
pub(super) type MeshId = InterfaceIndex;

/// The reports of all nodes that live in some mesh.
#[derive(Default)]
pub(super) struct Directory {
    nodes: BTreeMap<NodeUid, Known>,
    macs: HashMap<MacAddr, MemberId>,
    /// Those of interfaces that are not told of any more, and since when: a node that is held dead is no stranger.
    former: HashMap<MacAddr, (MemberId, Instant)>,
}

/// How long the Ethernet address of a node that is gone is taken for that node's.
const REMEMBER: Duration = Duration::from_secs(60);
/// The most of them.
const MAX_FORMER: usize = 1_024;

#[derive(Default)]
struct Known {
    /// What it says on each mesh, and by which of its interfaces there.
    heard: BTreeMap<(MeshId, InterfaceIndex), Arc<NodeReport>>,
    newest: Option<Arc<NodeReport>>,
}

impl Known {
    fn choose(&mut self) -> bool {
        let newest = self.heard.values().max_by_key(|report| report.version);
        let changed = newest != self.newest.as_ref();
        self.newest = newest.cloned();
        changed
    }
}

impl Directory {
    /// Reads a report; says whether the node's newest one is another now. What is no report of that node, or exceeds the
    /// bounds of one, is left out.
    pub fn hear(&mut self, now: Instant, mesh: MeshId, from: MemberId, advert: &[u8]) -> bool {
        let Ok(report) = postcard::from_bytes::<NodeReport>(advert) else { return false };
        if report.node != from.node || !within_bounds(&report) {
            return false;
        }
        let known = self.nodes.entry(from.node).or_default();
        let report = match &known.newest {
            Some(newest) if **newest == report => Arc::clone(newest),
            _ => Arc::new(report),
        };
        known.heard.insert((mesh, from.interface), report);
        let before = known.newest.clone();
        let changed = known.choose();
        if changed {
            self.index(now, from.node, before.as_deref());
        }
        changed
    }

    /// Forgets what was heard from a member that is gone; says whether the node's newest report is another now.
    pub fn forget(&mut self, now: Instant, mesh: MeshId, member: MemberId) -> bool {
        let Some(known) = self.nodes.get_mut(&member.node) else { return false };
        if known.heard.remove(&(mesh, member.interface)).is_none() {
            return false;
        }
        let before = known.newest.clone();
        let changed = known.choose();
        if known.heard.is_empty() {
            self.nodes.remove(&member.node);
        }
        if changed {
            self.index(now, member.node, before.as_deref());
        }
        changed
    }

    fn index(&mut self, now: Instant, node: NodeUid, before: Option<&NodeReport>) {
        self.former.retain(|_, (_, since)| now.saturating_duration_since(*since) < REMEMBER);
        for segment in before.map(|report| report.segments.as_slice()).unwrap_or_default() {
            if self.macs.get(&segment.mac).is_some_and(|member| member.node == node) {
                self.macs.remove(&segment.mac);
                if self.former.len() < MAX_FORMER {
                    let member = MemberId { node, interface: segment.interface };
                    self.former.insert(segment.mac, (member, now));
                }
            }
        }
        let Some(report) = self.report(node).cloned() else { return };
        for segment in &report.segments {
            self.macs.insert(segment.mac, MemberId { node, interface: segment.interface });
        }
    }

    /// Forgets all that was heard on `mesh`; the nodes whose newest report is another now.
    pub fn forget_mesh(&mut self, now: Instant, mesh: MeshId) -> Vec<NodeUid> {
        let heard_there = |known: &Known| -> Vec<InterfaceIndex> {
            known.heard.keys().filter(|(on, _)| *on == mesh).map(|(_, interface)| *interface).collect()
        };
        let members: Vec<MemberId> = self
            .nodes
            .iter()
            .flat_map(|(node, known)| {
                heard_there(known).into_iter().map(|interface| MemberId { node: *node, interface })
            })
            .collect();
        members
            .into_iter()
            .filter(|member| self.forget(now, mesh, *member))
            .map(|member| member.node)
            .collect()
    }

    /// The newest report of `node`.
    pub fn report(&self, node: NodeUid) -> Option<&Arc<NodeReport>> {
        self.nodes.get(&node)?.newest.as_ref()
    }

    /// Whose Ethernet address it is, or was a moment ago.
    pub fn owner_of(&self, now: Instant, mac: MacAddr) -> Option<MemberId> {
        let former = || self.former.get(&mac).filter(|(_, since)| now < *since + REMEMBER).map(|(id, _)| *id);
        self.macs.get(&mac).copied().or_else(former)
    }

    /// All nodes that live in some mesh, with their newest reports.
    pub fn reports(&self) -> impl Iterator<Item = &Arc<NodeReport>> {
        self.nodes.values().filter_map(|known| known.newest.as_ref())
    }

    /// Whether `node` has been heard on `mesh`.
    pub fn is_on(&self, mesh: MeshId, node: NodeUid) -> bool {
        self.nodes.get(&node).is_some_and(|known| known.heard.keys().any(|(on, _)| *on == mesh))
    }

    /// What people call `node`.
    pub fn name(&self, node: NodeUid) -> String {
        self.report(node).map_or_else(|| node.to_string(), |report| report.name.clone())
    }
}

fn within_bounds(report: &NodeReport) -> bool {
    report.name.len() <= 253
        && report.internal.len() <= 4
        && report.segments.len() <= NodeReport::MAX_SEGMENTS
        && report.segments.iter().all(|segment| {
            segment.subnets.len() <= NodeReport::MAX_SUBNETS
                && segment.default_routes.len() <= 2
                && segment.terms.len() <= NodeReport::MAX_TERMS
                && segment.deaf.len() <= SegmentReport::MAX_DEAF
        })
}
