//! What people see when they ask a speaker: each Service with its addresses, routes and reasons.

use std::net::IpAddr;
use std::ops::Bound;

use daymark_announce::{L2Export, Reason};
use daymark_bgp::RouteAttributes;
use daymark_model::{AnnouncementName, NeighborName, Reason as _, ServiceKey};
use ipnet::IpNet;
use serde::Serialize;

use super::Index;
use super::address::State;

/// A Service, as this node announces it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ServiceListing {
    /// `namespace/name`.
    pub service: String,
    /// Its addresses.
    pub addresses: Vec<AddressListing>,
    /// What keeps all of it from going out.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub reasons: Vec<ReasonListing>,
}

/// An address, as this node announces it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AddressListing {
    /// The address.
    pub address: IpAddr,
    /// Where it stands.
    pub state: AddressState,
    /// What the neighbors were told.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub routes: Vec<RouteListing>,
    /// How it is offered on the node's segments.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub l2: Option<L2Listing>,
    /// What keeps it from going out for this Service.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub reasons: Vec<ReasonListing>,
}

/// How an address is offered on the node's segments.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct L2Listing {
    /// The interfaces that may answer.
    pub interfaces: Vec<String>,
    /// The Announcements that cover it, on this node or others.
    pub announcements: Vec<AnnouncementName>,
    /// The node's preference weight.
    pub weight: u32,
}

/// Where an address stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum AddressState {
    /// It does not go out.
    Hidden,
    /// It waits for the service proxy.
    Waiting,
    /// It is out.
    Announced,
}

/// A route that a neighbor was told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RouteListing {
    /// The prefix.
    pub prefix: IpNet,
    /// The neighbor.
    pub neighbor: NeighborName,
    /// Its communities, as text.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub communities: Vec<String>,
    /// LOCAL_PREF toward iBGP neighbors.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub local_preference: Option<u32>,
    /// MULTI_EXIT_DISC.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub med: Option<u32>,
    /// How many more times our AS stands in the path.
    pub prepend: u8,
}

/// A reason, as people and machines read it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ReasonListing {
    /// The CamelCase word.
    pub reason: &'static str,
    /// The sentence.
    pub message: String,
}

impl From<&Reason> for ReasonListing {
    fn from(reason: &Reason) -> Self {
        Self { reason: reason.code(), message: reason.to_string() }
    }
}

impl Index {
    /// At most `limit` Services in the order of their keys, behind `after`.
    pub fn list(&self, after: Option<&ServiceKey>, limit: usize) -> Vec<ServiceListing> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let keys = self.services.range((from, Bound::Unbounded)).take(limit).map(|(key, _)| key);
        keys.filter_map(|key| self.service(key)).collect()
    }

    /// One Service; `None` when it is not there or not of type LoadBalancer.
    pub fn service(&self, key: &ServiceKey) -> Option<ServiceListing> {
        let service = self.services.get(key)?;
        let held = super::held(service);
        let reasons =
            if held.is_empty() { vec![ReasonListing::from(&Reason::NotAssigned)] } else { Vec::new() };
        let addresses = held.into_iter().filter_map(|address| self.address(key, address)).collect();
        Some(ServiceListing { service: key.to_string(), addresses, reasons })
    }

    fn address(&self, key: &ServiceKey, address: IpAddr) -> Option<AddressListing> {
        let entry = self.addresses.get(address)?;
        let refusals = entry.refusals.iter().filter(|refusal| refusal.service == *key);
        let mut reasons: Vec<_> = refusals.map(|refusal| ReasonListing::from(&refusal.reason)).collect();
        let awaited = self.gate.awaits(address).map(|evidence| Reason::AwaitingProxy { evidence });
        reasons.extend(awaited.as_ref().map(ReasonListing::from));
        let (state, routes, l2) = match &entry.state {
            State::Hidden => (AddressState::Hidden, Vec::new(), None),
            State::Waiting(..) => (AddressState::Waiting, Vec::new(), None),
            State::Out(ways) => {
                let prefixes = ways.bgp.iter().flat_map(|export| export.prefixes(address));
                let routes = prefixes.flat_map(|prefix| {
                    self.rib
                        .told(&prefix)
                        .iter()
                        .map(move |(name, attributes)| route(prefix, name, attributes))
                });
                let l2 = ways.l2.as_ref().map(|export| self.l2_listing(export));
                (AddressState::Announced, routes.collect(), l2)
            }
        };
        Some(AddressListing { address, state, routes, l2, reasons })
    }

    fn l2_listing(&self, export: &L2Export) -> L2Listing {
        let may = self.node.interfaces.iter().filter(|i| export.interfaces.contains(&i.index));
        L2Listing {
            interfaces: may.map(|i| i.name.clone()).collect(),
            announcements: export.announcements.clone(),
            weight: export.weight,
        }
    }
}

fn route(prefix: IpNet, neighbor: &NeighborName, attributes: &RouteAttributes) -> RouteListing {
    RouteListing {
        prefix,
        neighbor: neighbor.clone(),
        communities: attributes.communities.iter().map(ToString::to_string).collect(),
        local_preference: attributes.local_preference,
        med: attributes.med,
        prepend: attributes.prepend,
    }
}
