//! What goes to the neighbors: the routes of all addresses that are out, folded to prefixes, and what changes of them.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::Arc;

use daymark_announce::{Attributes, Export, Route, fold};
use daymark_bgp::{RouteAttributes, RouteChange};
use daymark_model::NeighborName;
use ipnet::IpNet;

/// The routes that are out.
#[derive(Debug, Default)]
pub(super) struct Rib {
    prefixes: HashMap<IpNet, Prefix>,
    dirty: BTreeSet<IpNet>,
    /// Equal attributes are one object on their way to the wire.
    attributes: HashMap<Arc<Attributes>, Arc<RouteAttributes>>,
}

#[derive(Debug, Default)]
struct Prefix {
    /// How the addresses in it go out, and how many of them so.
    exports: Vec<(Arc<Export>, u32)>,
    /// What the neighbors were told, by neighbor.
    told: Vec<(NeighborName, Arc<RouteAttributes>)>,
}

impl Rib {
    /// `address` goes out as `export` says.
    pub(super) fn add(&mut self, address: IpAddr, export: &Arc<Export>) {
        for prefix in export.prefixes(address) {
            let exports = &mut self.prefixes.entry(prefix).or_default().exports;
            match exports.iter_mut().find(|(known, _)| same(known, export)) {
                Some((_, count)) => *count += 1,
                None => exports.push((export.clone(), 1)),
            }
            self.dirty.insert(prefix);
        }
    }

    /// `address` no longer goes out as `export` says.
    pub(super) fn remove(&mut self, address: IpAddr, export: &Arc<Export>) {
        for prefix in export.prefixes(address) {
            let Some(known) = self.prefixes.get_mut(&prefix) else { continue };
            if let Some((_, count)) = known.exports.iter_mut().find(|(known, _)| same(known, export)) {
                *count -= 1;
            }
            known.exports.retain(|(_, count)| *count > 0);
            self.dirty.insert(prefix);
        }
    }

    /// Attributes of an older policy need not be kept for sharing.
    pub(super) fn forget_attributes(&mut self) {
        self.attributes.clear();
    }

    /// Tells the neighbors what changed since the last time.
    pub(super) fn flush(&mut self, out: &mut BTreeMap<NeighborName, Vec<RouteChange>>) {
        for prefix in std::mem::take(&mut self.dirty) {
            let Some(entry) = self.prefixes.get_mut(&prefix) else { continue };
            let mut next = Vec::new();
            for route in folded(prefix, &entry.exports) {
                let attributes = self
                    .attributes
                    .entry(route.attributes)
                    .or_insert_with_key(|attributes| Arc::new(on_the_wire(attributes)))
                    .clone();
                next.push((route.neighbor, attributes));
            }
            let before = std::mem::replace(&mut entry.told, next);
            for (neighbor, attributes) in changes(&before, &entry.told) {
                out.entry(neighbor).or_default().push(RouteChange { prefix, attributes });
            }
            if entry.told.is_empty() {
                self.prefixes.remove(&prefix);
            }
        }
    }

    /// What the neighbors were told of `prefix`.
    pub(super) fn told(&self, prefix: &IpNet) -> &[(NeighborName, Arc<RouteAttributes>)] {
        self.prefixes.get(prefix).map_or(&[], |entry| &entry.told)
    }
}

fn same(a: &Arc<Export>, b: &Arc<Export>) -> bool {
    Arc::ptr_eq(a, b) || a == b
}

/// The routes of `prefix`, by neighbor.
fn folded(prefix: IpNet, exports: &[(Arc<Export>, u32)]) -> Vec<Route> {
    let routes = exports
        .iter()
        .flat_map(|(export, _)| export.routes(prefix.network()))
        .filter(|route| route.prefix == prefix);
    match exports {
        [_] => routes.collect(),
        _ => fold(routes),
    }
}

fn on_the_wire(attributes: &Attributes) -> RouteAttributes {
    RouteAttributes {
        communities: attributes.communities.clone(),
        local_preference: attributes.local_preference,
        med: attributes.med,
        prepend: attributes.prepend,
    }
}

type Told = (NeighborName, Arc<RouteAttributes>);

fn changes(before: &[Told], after: &[Told]) -> Vec<(NeighborName, Option<Arc<RouteAttributes>>)> {
    let find =
        |list: &[Told], name: &NeighborName| list.iter().find(|(n, _)| n == name).map(|(_, a)| a.clone());
    let gone =
        before.iter().filter(|(name, _)| find(after, name).is_none()).map(|(name, _)| (name.clone(), None));
    let new = after
        .iter()
        .filter(|(name, attributes)| find(before, name).as_ref() != Some(attributes))
        .map(|(name, attributes)| (name.clone(), Some(attributes.clone())));
    gone.chain(new).collect()
}
