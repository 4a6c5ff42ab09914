//! Why a node does not answer for an address.

use std::fmt;

use daymark_model::{InterfaceIndex, MacAddr, Reason};
use serde::{Deserialize, Serialize};

/// Why this node does not answer for an address on an interface. The variants stand in the order in which they are
/// looked for: the first that holds is told.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(tag = "reason", rename_all_fields = "camelCase")]
pub enum NotAnswering {
    /// The Secret with the mesh key is missing or cannot be read.
    NoMeshKey,
    /// An interface that may answer does not exist on the node.
    InterfaceMissing {
        /// Its number.
        interface: InterfaceIndex,
    },
    /// The interface is down or has no carrier.
    NoCarrier {
        /// Its name.
        interface: String,
    },
    /// Others hear the node on the segment, and it hears nobody there.
    Deaf {
        /// The interface's name.
        interface: String,
    },
    /// Another interface of the node is on the same segment and answers there.
    LowerInterfaceAnswers {
        /// The name of the one that answers.
        interface: String,
    },
    /// Something that is no node of ours has the address.
    AddressConflict {
        /// Its Ethernet address.
        mac: MacAddr,
    },
    /// The node leaves and takes nothing.
    Leaving,
    /// Another node answers.
    OwnedByOther {
        /// Its name.
        node: String,
    },
    /// The node has just come to the segment and is hearing who has what.
    Joining,
    /// The node asks the segment whether somebody has the address.
    Probing,
    /// Another node is about to answer.
    ClaimedByOther,
    /// A node of the cluster answers, without saying that it holds the address.
    AnsweredByMember,
    /// Better nodes have the first word.
    WaitsForBetter,
    /// It is about to be probed or handed over.
    InProgress,
    /// The node has no endpoint that can serve it, or may not answer for it here.
    NotAServer,
}

impl Reason for NotAnswering {
    fn code(&self) -> &'static str {
        match self {
            Self::NoMeshKey => "NoMeshKey",
            Self::InterfaceMissing { .. } => "InterfaceMissing",
            Self::NoCarrier { .. } => "NoCarrier",
            Self::Deaf { .. } => "Deaf",
            Self::LowerInterfaceAnswers { .. } => "LowerInterfaceAnswers",
            Self::AddressConflict { .. } => "AddressConflict",
            Self::Leaving => "Leaving",
            Self::OwnedByOther { .. } => "OwnedByOther",
            Self::Joining => "Joining",
            Self::Probing => "Probing",
            Self::ClaimedByOther => "ClaimedByOther",
            Self::AnsweredByMember => "AnsweredByMember",
            Self::WaitsForBetter => "WaitsForBetter",
            Self::InProgress => "InProgress",
            Self::NotAServer => "NotAServer",
        }
    }
}

impl fmt::Display for NotAnswering {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoMeshKey => f.write_str("there is no mesh key: see that the Secret daymark-mesh exists"),
            Self::InterfaceMissing { interface } => {
                write!(f, "the node has no interface with number {interface}")
            }
            Self::NoCarrier { interface } => write!(f, "interface {interface} is down or has no carrier"),
            Self::Deaf { interface } => write!(
                f,
                "others hear the node on {interface} and it hears nobody: look at the switch port and at filters"
            ),
            Self::LowerInterfaceAnswers { interface } => {
                write!(f, "interface {interface} is on the same segment and answers")
            }
            Self::AddressConflict { mac } => {
                write!(f, "{mac}, which is no node of the cluster, has the address: take it away from there")
            }
            Self::Leaving => f.write_str("the node is drained or its speaker ends"),
            Self::OwnedByOther { node } => write!(f, "node {node} answers"),
            Self::Joining => f.write_str("the node has just joined the segment and hears who has what"),
            Self::Probing => f.write_str("the node asks the segment whether somebody has the address"),
            Self::ClaimedByOther => f.write_str("another node is about to answer"),
            Self::AnsweredByMember => {
                f.write_str("a node answers that does not say that it holds the address")
            }
            Self::WaitsForBetter => f.write_str("better nodes have the first word"),
            Self::InProgress => f.write_str("the address is about to be probed or handed over"),
            Self::NotAServer => f.write_str("the node has nothing that can serve the address here"),
        }
    }
}
