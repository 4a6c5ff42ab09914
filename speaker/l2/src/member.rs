//! Who is who.

use std::fmt;

use daymark_model::InterfaceIndex;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::{xxh3_64, xxh3_128};

/// A node, by the UID of its Node object: a name may be used again, a UID is not.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct NodeUid(pub [u8; 16]);

impl NodeUid {
    /// The UID that Kubernetes wrote as `text`: the bytes of a UUID, else the xxh3 hash of the text.
    pub fn of(text: &str) -> Self {
        let digits: String = text.chars().filter(|c| *c != '-').collect();
        let uuid = u128::from_str_radix(&digits, 16).ok().filter(|_| digits.len() == 32);
        Self(uuid.unwrap_or_else(|| xxh3_128(text.as_bytes())).to_be_bytes())
    }
}

impl fmt::Display for NodeUid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

impl fmt::Debug for NodeUid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// A node's name, hashed: EndpointSlices name nodes, not their UIDs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct NodeNameHash(pub u64);

impl NodeNameHash {
    /// The hash of `name`.
    pub fn of(name: &str) -> Self {
        Self(xxh3_64(name.as_bytes()))
    }
}

/// A member of a mesh: an interface of a node on a segment, or a node in the mesh of the node network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct MemberId {
    /// The node.
    pub node: NodeUid,
    /// Its interface; [`MemberId::NODE_NETWORK`] in the mesh of the node network.
    pub interface: InterfaceIndex,
}

impl MemberId {
    /// The interface number of members of the node network's mesh; the kernel gives it to no interface.
    pub const NODE_NETWORK: InterfaceIndex = InterfaceIndex(0);
}

impl fmt::Display for MemberId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}%{}", self.node, self.interface)
    }
}
