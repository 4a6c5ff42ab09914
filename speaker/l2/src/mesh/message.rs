//! What members say to each other, once opened. A message ends where its tail begins; a tail that a kind of message does
//! not have is left alone, so that a newer version may add to it.

use serde::{Deserialize, Serialize};

use super::types::MeshAddress;
use crate::member::MemberId;

/// A member as others know it: one process and one address of it, until it renews itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct Identity {
    /// Counts up whenever the member must win over what others hold of it.
    pub(super) generation: u32,
    /// It said goodbye: what is gossiped of a member that is down tells its death from that.
    pub(super) left: bool,
    /// Tells a restarted process from the one before.
    pub(super) process: [u8; 8],
    pub(super) member: MemberId,
    pub(super) address: MeshAddress,
}

impl Identity {
    /// The one that replaces this one and `other`.
    pub(super) fn above(&self, other: u32) -> Self {
        Self { generation: self.generation.max(other).saturating_add(1), ..*self }
    }
}

impl foca::Identity for Identity {
    type Addr = MemberId;

    fn renew(&self) -> Option<Self> {
        Some(self.above(0))
    }

    fn addr(&self) -> MemberId {
        self.member
    }

    fn win_addr_conflict(&self, adversary: &Self) -> bool {
        self > adversary
    }
}

/// Whom a message is for: one that was captured on its way to somebody else is nobody's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Audience {
    All,
    /// Whoever is there.
    Anyone,
    Member(MemberId),
}

/// How far a member's word about itself is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct Told {
    /// Counts every change up, also that of the digest alone.
    pub(super) version: u64,
    /// The version in which the advert changed last.
    pub(super) body: u64,
    pub(super) digest: u64,
}

/// A live member in somebody's view.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Entry {
    pub(super) identity: Identity,
    pub(super) told: Told,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Body {
    /// Prove that your session lives.
    Challenge { nonce: u64 },
    /// It does; and does yours?
    Echo { nonce: u64, challenge: Option<u64> },
    /// The tail is for foca.
    Swim,
    /// I am here and see this.
    Hello { view: u64, told: Told },
    /// I hold these against whoever now goes by their names.
    Declared { held: Vec<Identity> },
    /// Goodbye.
    Leave,
    /// This one has just been found dead.
    Dead { found: Identity },
    /// A member's word about itself, advert left out.
    Told { owner: MemberId, process: [u8; 8], told: Told },
    /// The tail is a part of a member's advert.
    Part { owner: MemberId, process: [u8; 8], told: Told, total: u16, offset: u16 },
    /// My view, in short; answered by a [`Body::View`] of what differs.
    Summary { buckets: Vec<u64> },
    /// Members in my view: all of them in the buckets of the mask `covers`.
    View { covers: u64, entries: Vec<Entry>, answer: bool },
    /// Tell me the adverts of these.
    Pull { owners: Vec<MemberId> },
    /// The tail is for whoever uses the mesh.
    Payload,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Envelope {
    pub(super) from: Identity,
    pub(super) to: Audience,
    pub(super) body: Body,
}

impl Envelope {
    pub(super) fn write(&self, tail: &[u8]) -> Option<Vec<u8>> {
        let mut bytes = postcard::to_extend(self, Vec::with_capacity(128 + tail.len())).ok()?;
        bytes.extend_from_slice(tail);
        Some(bytes)
    }

    /// The message in `bytes` and its tail; `None` for one that this version does not know.
    pub(super) fn read(bytes: &[u8]) -> Option<(Self, &[u8])> {
        postcard::take_from_bytes(bytes).ok()
    }
}
