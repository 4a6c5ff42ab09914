//! Why an address does not go out, and what else is worth saying about one that does.

use std::fmt;
use std::net::IpAddr;

use daymark_model::{AnnouncementName, Family, Reason as ReasonTrait, ServiceKey};
use serde::{Deserialize, Serialize};

use crate::node::{EXCLUDE_LABEL, Infrastructure};

/// Why an address of a Service does not go out from a node. The variants stand in the order of [`Ord`]: where several
/// hold, the first is the one to mend first.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(tag = "reason", rename_all_fields = "camelCase")]
pub enum Reason {
    /// The Service has no address, or the one it shows was not assigned by Daymark.
    NotAssigned,
    /// The address belongs to the network itself.
    AddressIsInfrastructure {
        /// Whose it is.
        of: Infrastructure,
    },
    /// No Announcement covers the address.
    NoAnnouncement,
    /// Announcements cover the address, but none of them selects the node.
    NodeNotSelected {
        /// Those that cover it.
        announcements: Vec<AnnouncementName>,
    },
    /// The node carries the label that excludes it from load balancing.
    NodeExcluded,
    /// The node is being drained.
    Draining,
    /// The node has the taint `node.kubernetes.io/out-of-service`.
    OutOfService,
    /// The node's network is not up.
    NetworkUnavailable,
    /// No BgpNeighbor that the Announcements name has a session with the node.
    NoNeighbor {
        /// The Announcements that would announce it.
        announcements: Vec<AnnouncementName>,
    },
    /// The neighbors learn only the other family.
    FamilyNotEnabled {
        /// The family of the address.
        family: Family,
    },
    /// The node has not yet said whether it can answer ARP and NDP.
    MeshKeyUnknown,
    /// There is no Secret with the key of the nodes' meshes, without which none answers ARP and NDP.
    NoMeshKey,
    /// The Secret with the key of the nodes' meshes holds none.
    InvalidMeshKey,
    /// The node has no interface on which it may answer for the address.
    NoInterface {
        /// The Announcements that would announce it.
        announcements: Vec<AnnouncementName>,
    },
    /// No endpoint of the address's family can serve, on any node.
    NoEndpoints {
        /// The family of the address.
        family: Family,
        /// Endpoints that are terminating but still serve, and that the Announcements ignore.
        terminating: u32,
    },
    /// `externalTrafficPolicy: Local`, and no endpoint on the node can serve.
    NoLocalEndpoint {
        /// Endpoints that can serve on other nodes.
        ready_elsewhere: u32,
    },
    /// All is decided; the node's service proxy has not yet said that it can serve the address.
    AwaitingProxy {
        /// What is waited for.
        evidence: AwaitedEvidence,
    },
}

/// What the gate waits for before an address goes out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum AwaitedEvidence {
    /// A 200 from the Service's `healthCheckNodePort`.
    HealthCheck,
    /// The end of a sync of kube-proxy that includes the change.
    ProxySync,
    /// The end of a fixed delay, because the proxy can be asked nothing.
    Delay,
}

impl ReasonTrait for Reason {
    fn code(&self) -> &'static str {
        match self {
            Self::NotAssigned => "NotAssigned",
            Self::AddressIsInfrastructure { .. } => "AddressIsInfrastructure",
            Self::NoAnnouncement => "NoAnnouncement",
            Self::NodeNotSelected { .. } => "NodeNotSelected",
            Self::NodeExcluded => "NodeExcluded",
            Self::Draining => "Draining",
            Self::OutOfService => "OutOfService",
            Self::NetworkUnavailable => "NetworkUnavailable",
            Self::NoNeighbor { .. } => "NoNeighbor",
            Self::FamilyNotEnabled { .. } => "FamilyNotEnabled",
            Self::MeshKeyUnknown => "MeshKeyUnknown",
            Self::NoMeshKey => "NoMeshKey",
            Self::InvalidMeshKey => "InvalidMeshKey",
            Self::NoInterface { .. } => "NoInterface",
            Self::NoEndpoints { .. } => "NoEndpoints",
            Self::NoLocalEndpoint { .. } => "NoLocalEndpoint",
            Self::AwaitingProxy { .. } => "AwaitingProxy",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAssigned => {
                f.write_str("no address has been assigned: see its condition daymark.dev/AddressAssigned")
            }
            Self::AddressIsInfrastructure { of } => {
                write!(f, "the address belongs to {of}: take it out of the pool with spec.exclude")
            }
            Self::NoAnnouncement => f.write_str(
                "no Announcement covers it: create one, or widen its pool, Service or namespace selector",
            ),
            Self::NodeNotSelected { announcements } => {
                write!(f, "the node selector of {} does not match this node", List(announcements))
            }
            Self::NodeExcluded => write!(
                f,
                "the node carries the label {EXCLUDE_LABEL}: remove it, or set ignoreExcludeLabel in the Announcement"
            ),
            Self::Draining => {
                f.write_str("the node is draining: unset spec.drain of its Speaker to end that")
            }
            Self::OutOfService => f.write_str("the node has the taint node.kubernetes.io/out-of-service"),
            Self::NetworkUnavailable => f.write_str("the node's condition NetworkUnavailable is True"),
            Self::NoNeighbor { announcements } => {
                write!(
                    f,
                    "no BgpNeighbor selected by {} has this node in its nodeSelector",
                    List(announcements)
                )
            }
            Self::FamilyNotEnabled { family } => {
                write!(f, "no selected BgpNeighbor learns {family}: add it to spec.families")
            }
            Self::MeshKeyUnknown => {
                f.write_str("the node's speaker has not yet read the Secret daymark-mesh, without which it answers no ARP or NDP")
            }
            Self::NoMeshKey => f.write_str(
                "there is no Secret daymark-mesh in Daymark's namespace: the controller makes it, or create it with \
                 32 random bytes as data.key",
            ),
            Self::InvalidMeshKey => f.write_str(
                "the Secret daymark-mesh holds no key: data.key and, while it is changed, data.previous must be 32 \
                 bytes each; delete the Secret and the controller makes a new one",
            ),
            Self::NoInterface { announcements } => write!(
                f,
                "the node has no interface for {}: none with a name in spec.l2.interfaces or, where that is absent, \
                 with a subnet that contains the address or the default route of its family",
                List(announcements)
            ),
            Self::NoEndpoints { family, terminating: 0 } => {
                write!(f, "no {family} endpoint is ready on any node")
            }
            Self::NoEndpoints { family, terminating } => write!(
                f,
                "no {family} endpoint is ready on any node; {terminating} serve while they terminate, which \
                 terminatingEndpoints: Ignore leaves out"
            ),
            Self::NoLocalEndpoint { ready_elsewhere } => write!(
                f,
                "externalTrafficPolicy is Local and no endpoint on this node is ready ({ready_elsewhere} on others)"
            ),
            Self::AwaitingProxy { evidence } => f.write_str(match evidence {
                AwaitedEvidence::HealthCheck => {
                    "waits for a 200 from the Service's healthCheckNodePort on this node"
                }
                AwaitedEvidence::ProxySync => "waits until kube-proxy on this node has written its rules",
                AwaitedEvidence::Delay => {
                    "waits a fixed time, because kube-proxy's metrics on 127.0.0.1:10249 cannot be had"
                }
            }),
        }
    }
}

/// A [`Reason`] and the Service that it concerns.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Refusal {
    /// The Service.
    pub service: ServiceKey,
    /// The address; `None` when it has none.
    pub address: Option<IpAddr>,
    /// Why.
    #[serde(flatten)]
    pub reason: Reason,
}

/// An attribute of which one value holds where Announcements meet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Scalar {
    /// `localPreference`.
    LocalPreference,
    /// `med`.
    Med,
    /// `prepend`.
    Prepend,
    /// `failback`.
    Failback,
    /// `refresh`.
    Refresh,
    /// `profile`.
    Profile,
}

impl fmt::Display for Scalar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::LocalPreference => "localPreference",
            Self::Med => "med",
            Self::Prepend => "prepend",
            Self::Failback => "failback",
            Self::Refresh => "refresh",
            Self::Profile => "profile",
        })
    }
}

/// Two Announcements of one route or address differ in a scalar: the older one's value holds.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Note {
    /// What they differ in.
    pub scalar: Scalar,
    /// The Announcement whose value holds.
    pub kept: AnnouncementName,
    /// The Announcement whose value does not.
    pub overruled: AnnouncementName,
}

impl ReasonTrait for Note {
    fn code(&self) -> &'static str {
        "Overruled"
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { scalar, kept, overruled } = self;
        write!(
            f,
            "{scalar} of the Announcement {overruled} differs from that of {kept}, which is older and holds"
        )
    }
}

struct List<'a>(&'a [AnnouncementName]);

impl fmt::Display for List<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            [] => f.write_str("the Announcements"),
            [one] => write!(f, "the Announcement {one}"),
            [first, rest @ ..] => {
                write!(f, "the Announcements {first}")?;
                rest.iter().try_for_each(|name| write!(f, ", {name}"))
            }
        }
    }
}
