//! EndpointSlices folded to counts per Service and family, as they arrive.
//!
//! What is kept of an endpoint is its address and three bits; of endpoints that can serve nothing, nothing is kept. An
//! endpoint that is in two slices for a moment counts once.

use std::collections::{BTreeSet, HashMap};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use daymark_model::{Family, NodeName, ServiceKey, TrafficPolicy};
use serde::{Deserialize, Serialize};

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
    v4: Box<[(Ipv4Addr, Flags)]>,
    v6: Box<[(Ipv6Addr, Flags)]>,
}

#[derive(Debug, Default)]
struct Folded {
    slices: Vec<Slice>,
    v4: Endpoints,
    v6: Endpoints,
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
            Family::V4 => folded.v4,
            Family::V6 => folded.v6,
        })
    }

    /// A slice is new or changed. Services whose counts changed go into `changed`.
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

    /// A slice is gone. A Service whose counts changed goes into `changed`.
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

    /// These slices are all there are. Services whose counts changed go into `changed`.
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
            match endpoint.address {
                IpAddr::V4(address) => v4.push((address, flags)),
                IpAddr::V6(address) => v6.push((address, flags)),
            }
        }
        Self { name: name.into(), v4: v4.into(), v6: v6.into() }
    }
}

impl Folded {
    /// Counts again; returns whether a count changed.
    fn recount(&mut self) -> bool {
        let v4 = count(self.slices.iter().map(|s| &*s.v4));
        let v6 = count(self.slices.iter().map(|s| &*s.v6));
        let changed = (v4, v6) != (self.v4, self.v6);
        (self.v4, self.v6) = (v4, v6);
        changed
    }
}

fn count<'a, A: Copy + Ord + 'a>(slices: impl Iterator<Item = &'a [(A, Flags)]>) -> Endpoints {
    let mut all: Vec<(A, Flags)> = slices.flatten().copied().collect();
    all.sort_unstable();
    all.dedup_by(|next, kept| {
        let same = next.0 == kept.0;
        if same {
            kept.1 = kept.1.with(next.1);
        }
        same
    });
    let mut endpoints = Endpoints::default();
    for (_, flags) in all {
        endpoints.count(flags);
    }
    endpoints
}

#[cfg(test)]
mod tests;
