//! What the cores of Daymark speak: addresses, names, pools, claims, neighbors, announcements.
//!
//! No Kubernetes, no clock, no I/O. Values are valid by construction: text is parsed once, at the edge (`daymark-config`).

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

pub mod address;
pub mod announcement;
pub mod aws;
pub mod bgp;
pub mod claim;
pub mod cloud;
pub mod interface;
pub mod inventory;
pub mod name;
pub mod neighbor;
pub mod pool;
pub mod profile;
pub mod reason;
pub mod selector;
pub mod service;
pub mod time;

pub use address::{AddressBlock, AddressError, Family};
pub use announcement::{
    Announcement, AnnouncementTarget, BgpAnnouncement, Failback, InterfacePattern, L2Announcement,
    PreferredNodes, TimingProfile,
};
pub use aws::AwsProfile;
pub use bgp::{
    Asn, Community, CommunityError, ExtendedCommunity, LargeCommunity, RouterId, StandardCommunity,
};
pub use claim::{Claim, ClaimState, Holder};
pub use cloud::{CloudMember, CloudPlace, CloudProvider, CloudRecord};
pub use interface::{Interface, InterfaceIndex, MacAddr, MacAddrError};
pub use inventory::{Inventory, Ownership, Phase, Resource, ResourceKey};
pub use name::{
    AnnouncementName, Name, NamespaceName, NeighborName, NodeName, PoolName, ProfileName, ServiceKey,
    ServiceName, Uid,
};
pub use neighbor::{LocalAsn, Neighbor, PeerAsn, PeerPath, SessionSource, Timers};
pub use pool::{Assignment, IpMode, Pool, Quarantine, SharingPolicy};
pub use profile::{LoadBalancerProfile, ProfileTarget};
pub use reason::Reason;
pub use selector::{Expression, Labels, Operator, Selector};
pub use service::{PortProtocol, Protocol, ServicePort, TrafficPolicy};
pub use time::Timestamp;
