//! Nodes, addresses and offers to begin with.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use daymark_l2::election::MemberState;
use daymark_l2::member::{MemberId, NodeNameHash, NodeUid};
use daymark_l2::offer::{AnnouncementId, Offer, Servers, Terms};
use daymark_l2::report::{SegmentReport, SegmentTerms, Standing};
use daymark_model::{Failback, InterfaceIndex, MacAddr, TimingProfile};

pub const fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

pub const fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

pub fn vip(n: u16) -> IpAddr {
    let [high, low] = n.to_be_bytes();
    Ipv4Addr::new(192, 0, high, low).into()
}

pub fn id(node: u8) -> MemberId {
    nic(node, 2)
}

pub fn nic(node: u8, interface: u32) -> MemberId {
    MemberId { node: NodeUid::of(&format!("node {node}")), interface: InterfaceIndex(interface) }
}

pub fn name(node: u8) -> NodeNameHash {
    NodeNameHash::of(&format!("node {node}"))
}

pub fn mac(member: MemberId) -> MacAddr {
    let [a, b, c, d, ..] = member.node.0;
    MacAddr([2, a, b, c, d, member.interface.0 as u8])
}

pub fn announcement(n: u8) -> AnnouncementId {
    AnnouncementId::of(&format!("announcement {n}"))
}

/// A node as it describes itself: weight 0 by Announcement 0.
pub fn state(node: u8) -> MemberState {
    let id = id(node);
    MemberState {
        id,
        name: name(node),
        mac: mac(id),
        segment: SegmentReport {
            interface: id.interface,
            mac: mac(id),
            carrier: true,
            peers_heard: 0,
            deaf: Vec::new(),
            subnets: vec!["192.0.0.0/16".parse().unwrap()],
            default_routes: Vec::new(),
            terms: BTreeMap::from([(announcement(0), SegmentTerms { weight: 0, by_pattern: false })]),
        },
        standing: Standing::default(),
        nodes_reached: 3,
    }
}

pub fn only(nodes: impl IntoIterator<Item = u8>) -> Servers {
    Servers::Only(Arc::new(nodes.into_iter().map(name).collect()))
}

/// What all nodes are offered alike; each gets its own weight.
#[derive(Debug, Clone)]
pub struct Service {
    pub address: IpAddr,
    pub announcements: Vec<AnnouncementId>,
    pub failback: Failback,
    pub servers: Servers,
    pub refresh: Option<Duration>,
}

impl Service {
    pub fn new(address: IpAddr) -> Self {
        Self {
            address,
            announcements: vec![announcement(0)],
            failback: Failback::Gradual,
            servers: Servers::Any,
            refresh: Some(secs(60)),
        }
    }

    pub fn offer_to(&self, node: &MemberState) -> Offer {
        let weight = node.segment.weight_for(self.address, &self.announcements).unwrap_or(0);
        Offer {
            address: self.address,
            interfaces: Arc::from([node.id.interface]),
            terms: Arc::new(Terms {
                announcements: self.announcements.clone(),
                weight,
                failback: self.failback,
                refresh: self.refresh,
                profile: TimingProfile::Fast,
            }),
            servers: self.servers.clone(),
        }
    }
}
