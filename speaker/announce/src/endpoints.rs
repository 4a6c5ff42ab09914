//! EndpointSlices folded to counts per Service and family, as they arrive.
//!
//! What is kept of an endpoint is its address, the hash of its node's name and three bits; of endpoints that can serve
//! nothing, nothing is kept. An endpoint that is in two slices for a moment counts once.

use std::collections::{BTreeSet, HashMap};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use daymark_model::{Family, NodeName, ServiceKey, TrafficPolicy};
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use crate::view::{Conditions, EndpointView, SliceView};

/// The endpoints of a Service of one family, as counted from one node.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Endpoints {
    /// Ready ones on this node.
    pub ready_here: u32,
    /// Not ready, but serving while they terminate (KEP-1669), on this node.
    pub serving_terminating_here: u32,
    /// Ready ones on any node.
    pub ready_anywhere: u32,
    /// Not ready, but serving while they terminate, on any node.
    pub serving_terminating_anywhere: u32,
}

impl Endpoints {
    /// Whether the node's service proxy forwards a request from outside to any of them, once it knows of them.
    ///
    /// `Cluster`: a ready one anywhere, else a terminating one that still serves. `Local`: a ready one here; a
    /// terminating one here only while no node has a ready one (kube-proxy's own health check says the same).
    pub fn can_serve(&self, policy: TrafficPolicy) -> bool {
        self.ready(policy) || self.only_terminating(policy)
    }

    pub(crate) fn ready(&self, policy: TrafficPolicy) -> bool {
        match policy {
            TrafficPolicy::Cluster => self.ready_anywhere > 0,
            TrafficPolicy::Local => self.ready_here > 0,
        }
    }

    /// Whether all that can serve is terminating.
    pub(crate) fn only_terminating(&self, policy: TrafficPolicy) -> bool {
        self.ready_anywhere == 0
            && match policy {
                TrafficPolicy::Cluster => self.serving_terminating_anywhere > 0,
                TrafficPolicy::Local => self.serving_terminating_here > 0,
            }
    }

    fn count(&mut self, flags: Flags) {
        let (here, anywhere) = if flags.has(Flags::READY) {
            (&mut self.ready_here, &mut self.ready_anywhere)
        } else {
            (&mut self.serving_terminating_here, &mut self.serving_terminating_anywhere)
        };
        *anywhere += 1;
        *here += u32::from(flags.has(Flags::HERE));
    }
}

/// A node by the xxh3 hash (64 bits, seed 0) of its name: many endpoints name few nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeHash(pub u64);

impl NodeHash {
    /// What stands for the node of an endpoint that names none.
    const NOBODY: Self = Self(0);

    /// The hash of `name`.
    pub fn of(name: &NodeName) -> Self {
        Self(xxh3_64(name.as_str().as_bytes()))
    }
}

/// What is kept of an endpoint's state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Flags(u8);

impl Flags {
    const READY: Self = Self(1);
    const SERVING_TERMINATING: Self = Self(2);
    const HERE: Self = Self(4);

    fn has(self, flag: Self) -> bool {
        self.0 & flag.0 != 0
    }

    fn with(self, flag: Self) -> Self {
        Self(self.0 | flag.0)
    }

    /// `None` for an endpoint that can serve nothing.
    ///
    /// Source: Kubernetes `discovery/v1.EndpointConditions`: a nil `ready` or `serving` is read as true, a nil
    /// `terminating` as false.
    fn of(conditions: Conditions) -> Option<Self> {
        if conditions.ready.unwrap_or(true) {
            Some(Self::READY)
        } else if conditions.terminating.unwrap_or(false) && conditions.serving.unwrap_or(true) {
            Some(Self::SERVING_TERMINATING)
        } else {
            None
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
struct Slice {
    name: Box<str>,
    v4: Box<[Kept<Ipv4Addr>]>,
    v6: Box<[Kept<Ipv6Addr>]>,
}

/// What is kept of an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Kept<A> {
    address: A,
    node: NodeHash,
    flags: Flags,
}

#[derive(Debug, Default)]
struct Folded {
    slices: Vec<Slice>,
    v4: Counted,
    v6: Counted,
}

/// What the endpoints of one family come to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Counted {
    endpoints: Endpoints,
    /// A sum over the nodes that have endpoints in use, each counted once: it changes when these nodes do.
    nodes: u64,
}

/// The endpoints of all Services, counted from one node.
#[derive(Debug)]
pub struct EndpointFold {
    node: NodeName,
    services: HashMap<ServiceKey, Folded>,
    /// The Service of each slice, by `namespace/name` of the slice.
    owners: HashMap<Box<str>, ServiceKey>,
}

impl EndpointFold {
    /// A fold that counts from `node`.
    pub fn new(node: NodeName) -> Self {
        Self { node, services: HashMap::new(), owners: HashMap::new() }
    }

    /// The endpoints of `service` of `family`.
    pub fn of(&self, service: &ServiceKey, family: Family) -> Endpoints {
        self.services.get(service).map_or(Endpoints::default(), |folded| match family {
            Family::V4 => folded.v4.endpoints,
            Family::V6 => folded.v6.endpoints,
        })
    }

    /// The nodes with endpoints of `service` of `family` that take connections from outside when the service's traffic
    /// policy is `Local`: those with a ready one; while there is none, those with one that serves while it terminates.
    pub fn nodes(&self, service: &ServiceKey, family: Family) -> BTreeSet<NodeHash> {
        let Some(folded) = self.services.get(service) else { return BTreeSet::new() };
        match family {
            Family::V4 => in_use(&merged(folded.slices.iter().map(|s| &*s.v4))),
            Family::V6 => in_use(&merged(folded.slices.iter().map(|s| &*s.v6))),
        }
    }

    /// A slice is new or changed. Services whose counts or nodes changed go into `changed`.
    pub fn apply(
        &mut self,
        namespace: &str,
        name: &str,
        slice: &SliceView,
        changed: &mut BTreeSet<ServiceKey>,
    ) {
        let id = format!("{namespace}/{name}");
        if let Some(owner) = self.owners.get(id.as_str())
            && Some(owner) != slice.service.as_ref()
        {
            self.remove(namespace, name, changed);
        }
        let Some(service) = &slice.service else { return };
        let slice = Slice::of(name, &slice.endpoints, &self.node);
        let folded = self.services.entry(service.clone()).or_default();
        match folded.slices.iter_mut().find(|s| *s.name == *name) {
            Some(known) if *known == slice => return,
            Some(known) => *known = slice,
            None => {
                folded.slices.push(slice);
                self.owners.insert(id.into(), service.clone());
            }
        }
        if folded.recount() {
            changed.insert(service.clone());
        }
    }

    /// A slice is gone. A Service whose counts or nodes changed goes into `changed`.
    pub fn remove(&mut self, namespace: &str, name: &str, changed: &mut BTreeSet<ServiceKey>) {
        let Some(service) = self.owners.remove(format!("{namespace}/{name}").as_str()) else { return };
        let Some(folded) = self.services.get_mut(&service) else { return };
        folded.slices.retain(|s| *s.name != *name);
        let recounted = folded.recount();
        if folded.slices.is_empty() {
            self.services.remove(&service);
        }
        if recounted {
            changed.insert(service);
        }
    }

    /// These slices are all there are. Services whose counts or nodes changed go into `changed`.
    pub fn reset<'a>(
        &mut self,
        all: impl IntoIterator<Item = (&'a str, &'a str, &'a SliceView)>,
        changed: &mut BTreeSet<ServiceKey>,
    ) {
        let mut gone: BTreeSet<Box<str>> = self.owners.keys().cloned().collect();
        for (namespace, name, slice) in all {
            gone.remove(format!("{namespace}/{name}").as_str());
            self.apply(namespace, name, slice, changed);
        }
        for id in gone {
            if let Some((namespace, name)) = id.split_once('/') {
                self.remove(namespace, name, changed);
            }
        }
    }
}

impl Slice {
    fn of(name: &str, endpoints: &[EndpointView], node: &NodeName) -> Self {
        let (mut v4, mut v6) = (Vec::new(), Vec::new());
        for endpoint in endpoints {
            let Some(mut flags) = Flags::of(endpoint.conditions) else { continue };
            if endpoint.node.as_ref() == Some(node) {
                flags = flags.with(Flags::HERE);
            }
            let node = endpoint.node.as_ref().map_or(NodeHash::NOBODY, NodeHash::of);
            match endpoint.address {
                IpAddr::V4(address) => v4.push(Kept { address, node, flags }),
                IpAddr::V6(address) => v6.push(Kept { address, node, flags }),
            }
        }
        Self { name: name.into(), v4: v4.into(), v6: v6.into() }
    }
}

impl Folded {
    /// Counts again; returns whether a count or a node changed.
    fn recount(&mut self) -> bool {
        let v4 = count(&merged(self.slices.iter().map(|s| &*s.v4)));
        let v6 = count(&merged(self.slices.iter().map(|s| &*s.v6)));
        let changed = (v4, v6) != (self.v4, self.v6);
        (self.v4, self.v6) = (v4, v6);
        changed
    }
}

/// The endpoints of all slices, each once with its best state.
fn merged<'a, A: Copy + Ord + 'a>(slices: impl Iterator<Item = &'a [Kept<A>]>) -> Vec<Kept<A>> {
    let mut all: Vec<Kept<A>> = slices.flatten().copied().collect();
    all.sort_unstable();
    all.dedup_by(|next, kept| {
        let same = next.address == kept.address;
        if same {
            kept.flags = kept.flags.with(next.flags);
        }
        same
    });
    all
}

fn count<A>(all: &[Kept<A>]) -> Counted {
    let mut endpoints = Endpoints::default();
    for kept in all {
        endpoints.count(kept.flags);
    }
    let nodes = in_use(all).iter().fold(0_u64, |sum, node| sum.wrapping_add(node.0));
    Counted { endpoints, nodes }
}

/// The nodes of the ready ones; where none is ready, of all.
fn in_use<A>(all: &[Kept<A>]) -> BTreeSet<NodeHash> {
    let none_ready = !all.iter().any(|kept| kept.flags.has(Flags::READY));
    let used = all.iter().filter(|kept| none_ready || kept.flags.has(Flags::READY));
    used.map(|kept| kept.node).filter(|node| *node != NodeHash::NOBODY).collect()
}

#[cfg(test)]
mod tests;
