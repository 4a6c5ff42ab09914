//! Layer 2: on which interfaces a node may answer for an address, and how Announcements merge there.
//!
//! The interfaces are those that the Announcements name, else those with a subnet that contains the address, else those
//! with the default route of its family; several Announcements unite theirs. Preference weights add up; each other
//! attribute is that of the oldest Announcement.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use daymark_model::{
    Announcement, AnnouncementName, Failback, Interface, InterfaceIndex, L2Announcement, TimingProfile,
};

use crate::node::NodeView;
use crate::reason::{Note, Scalar};

/// How an address goes out by ARP or NDP: what the node offers to its segments' elections.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct L2Export {
    /// The interfaces that may answer, in ascending order; never empty.
    pub interfaces: Arc<[InterfaceIndex]>,
    /// The Announcements that cover the address on any node, in the order of their names: every node has the same.
    pub announcements: Vec<AnnouncementName>,
    /// The preference weight of the node: the sum over the Announcements that select it.
    pub weight: u32,
    /// When the address goes back to a better node.
    pub failback: Failback,
    /// The time between periodic gratuitous frames; `None` = none.
    pub refresh: Option<Duration>,
    /// How fast the timers run.
    pub profile: TimingProfile,
    /// Where the Announcements contradict each other.
    pub notes: Vec<Note>,
}

/// What a node may answer for by one Announcement, whatever the address: what it tells the other members of a segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct L2Terms {
    /// The Announcement.
    pub announcement: AnnouncementName,
    /// The node's preference weight.
    pub weight: u32,
    /// The interfaces that may answer.
    pub interfaces: L2Interfaces,
}

/// The interfaces that an Announcement lets a node answer on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum L2Interfaces {
    /// Those that it names, as far as the node has them, in ascending order.
    Named(Vec<InterfaceIndex>),
    /// Those with a subnet that contains the address, else those with the default route of its family.
    OfAddress,
}

/// What an Announcement says about layer 2 on one node.
#[derive(Debug)]
pub(crate) struct CompiledL2 {
    pub(crate) weight: u32,
    pub(crate) interfaces: L2Interfaces,
}

impl CompiledL2 {
    pub(crate) fn new(l2: &L2Announcement, node: &NodeView) -> Self {
        let preferring = l2.preferred_nodes.iter().filter(|p| p.selector.matches(&node.labels));
        let interfaces = match &l2.interfaces {
            Some(patterns) => {
                let named = |i: &&Interface| patterns.iter().any(|pattern| pattern.matches(&i.name));
                L2Interfaces::Named(indices(node.interfaces.iter().filter(named)))
            }
            None => L2Interfaces::OfAddress,
        };
        Self { weight: preferring.fold(0, |sum, p| p.weight.saturating_add(sum)), interfaces }
    }

    /// Whether the node has an interface on which it may answer for `address`.
    pub(crate) fn fits(&self, address: IpAddr, here: &[Interface]) -> bool {
        match &self.interfaces {
            L2Interfaces::Named(named) => !named.is_empty(),
            L2Interfaces::OfAddress => {
                here.iter().any(|i| i.has_subnet_of(address) || i.has_default_route_for(address))
            }
        }
    }

    fn interfaces_for(&self, address: IpAddr, here: &[Interface]) -> Vec<InterfaceIndex> {
        if let L2Interfaces::Named(named) = &self.interfaces {
            return named.clone();
        }
        let beside = indices(here.iter().filter(|i| i.has_subnet_of(address)));
        if beside.is_empty() {
            return indices(here.iter().filter(|i| i.has_default_route_for(address)));
        }
        beside
    }
}

fn indices<'a>(interfaces: impl Iterator<Item = &'a Interface>) -> Vec<InterfaceIndex> {
    let mut indices: Vec<_> = interfaces.map(|i| i.index).collect();
    indices.sort_unstable();
    indices.dedup();
    indices
}

/// The interfaces of all of `carrying` together.
pub(crate) fn unite<'a>(
    carrying: impl Iterator<Item = &'a CompiledL2>,
    address: IpAddr,
    here: &[Interface],
) -> Vec<InterfaceIndex> {
    let mut all: Vec<_> = carrying.flat_map(|l2| l2.interfaces_for(address, here)).collect();
    all.sort_unstable();
    all.dedup();
    all
}

/// What `carrying`, in their order, and `covering` say together.
pub(crate) fn export<'a>(
    interfaces: &[InterfaceIndex],
    carrying: impl Iterator<Item = (&'a Announcement, &'a L2Announcement, &'a CompiledL2)>,
    covering: impl Iterator<Item = &'a AnnouncementName>,
) -> L2Export {
    let carrying: Vec<_> = carrying.collect();
    let mut notes = Vec::new();
    let failback = pick(&carrying, Scalar::Failback, |l2| l2.failback, &mut notes);
    let refresh = pick(&carrying, Scalar::Refresh, |l2| l2.refresh, &mut notes);
    let profile = pick(&carrying, Scalar::Profile, |l2| l2.profile, &mut notes);
    notes.sort_unstable();
    let mut announcements: Vec<_> = covering.cloned().collect();
    announcements.sort_unstable();
    L2Export {
        interfaces: interfaces.into(),
        announcements,
        weight: carrying.iter().fold(0, |sum, (.., compiled)| compiled.weight.saturating_add(sum)),
        failback: failback.unwrap_or_default(),
        refresh: refresh.unwrap_or(Some(L2Announcement::DEFAULT_REFRESH)),
        profile: profile.unwrap_or_default(),
        notes,
    }
}

/// What the oldest says; `None` where there is none.
fn pick<T: PartialEq>(
    carrying: &[(&Announcement, &L2Announcement, &CompiledL2)],
    scalar: Scalar,
    of: fn(&L2Announcement) -> T,
    notes: &mut Vec<Note>,
) -> Option<T> {
    let ((oldest, l2, _), others) = carrying.split_first()?;
    let value = of(l2);
    let differing = others.iter().filter(|(_, l2, _)| of(l2) != value);
    notes.extend(differing.map(|(announcement, ..)| Note {
        scalar,
        kept: oldest.name.clone(),
        overruled: announcement.name.clone(),
    }));
    Some(value)
}
