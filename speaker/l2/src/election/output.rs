//! What goes into an [`Election`](super::Election) besides messages, and what comes out.

use std::net::IpAddr;
use std::time::Duration;

use daymark_model::{MacAddr, TimingProfile};
use serde::Serialize;

use crate::hold::{Epoch, HoldMessage};
use crate::member::{MemberId, NodeNameHash};
use crate::report::{SegmentReport, Standing};
use crate::responder::ProbePlan;

/// A member of the segment as it describes itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberState {
    /// The member.
    pub id: MemberId,
    /// Its node's name.
    pub name: NodeNameHash,
    /// The Ethernet address with which it answers.
    pub mac: MacAddr,
    /// Its word about its interface on this segment.
    pub segment: SegmentReport,
    /// How its node is.
    pub standing: Standing,
    /// How many nodes its node reaches over the node network, itself included.
    pub nodes_reached: u16,
}

/// How a member went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gone {
    /// Without a word: its addresses are probed before they are taken.
    Died,
    /// It said so, or its process is another one now: it answers for nothing any more.
    Left,
}

/// How a probe ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProbeResult {
    /// Nobody else has the address.
    Unanswered,
    /// A member of the segment has it, or probes for it too.
    AnsweredByMember(MemberId),
    /// Somebody has it who is no member.
    AnsweredByStranger(MacAddr),
}

/// What a call wants done, in this order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ElectionOutput {
    /// What to do.
    pub actions: Vec<Action>,
    /// What to tell people.
    pub events: Vec<ElectionEvent>,
}

/// What an [`Election`](super::Election) wants done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Answer for the address from now on, or go on with changed settings.
    Own {
        /// The address.
        address: IpAddr,
        /// The time between periodic gratuitous frames.
        refresh: Option<Duration>,
        /// How fast the timers run.
        profile: TimingProfile,
        /// Tell the neighbors' caches.
        burst: bool,
    },
    /// Stop answering at once.
    Disown {
        /// The address.
        address: IpAddr,
    },
    /// Tell the neighbors' caches again.
    Burst {
        /// The address.
        address: IpAddr,
    },
    /// Find out whether somebody else has the address.
    Probe {
        /// The address.
        address: IpAddr,
        /// How.
        plan: ProbePlan,
    },
    /// The outcome of the probe does not matter any more.
    CancelProbe {
        /// The address.
        address: IpAddr,
    },
    /// Defend the address against a stranger (RFC 5227 section 2.4).
    Defend {
        /// The address.
        address: IpAddr,
    },
    /// Tell all members of the segment.
    Broadcast(HoldMessage),
    /// Tell one member.
    Send(MemberId, HoldMessage),
}

/// What happened to an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ElectionEvent {
    /// This member answers for it now.
    Took {
        /// The address.
        address: IpAddr,
        /// Why.
        cause: Took,
    },
    /// This member does not answer for it any more.
    GaveUp {
        /// The address.
        address: IpAddr,
        /// Why.
        cause: GaveUp,
    },
    /// A stranger has the address too; told at most once per 10 s and address.
    Conflict {
        /// The address.
        address: IpAddr,
        /// The stranger.
        mac: MacAddr,
    },
    /// The stranger has been silent for a minute, or the address was taken after all.
    ConflictEnded {
        /// The address.
        address: IpAddr,
    },
}

/// Why a member began to answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Took {
    /// Nobody had the address before.
    First,
    /// Its holder died or vanished.
    HolderGone,
    /// Its holder gave it up.
    Released,
    /// Its holder handed it over.
    HandedOver {
        /// The former holder.
        by: MemberId,
    },
    /// Nobody wanted to take it over.
    TakenBack,
}

/// Why a member stopped answering.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum GaveUp {
    /// The node may not answer for the address any more, or cannot serve it.
    Withdrawn,
    /// The node leaves.
    Leaving,
    /// Another member can serve it better.
    Unfit,
    /// It went back to a better member.
    Failback,
    /// Another member answered for it too, and has precedence.
    Yielded {
        /// The other.
        to: MemberId,
    },
    /// The carrier was gone, or the process stood still.
    Lost,
}

/// How an address stands at this member.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AddressStatus {
    /// The address.
    pub address: IpAddr,
    /// What this member does about it.
    pub state: AddressState,
    /// Who answers for it on the segment, as far as this member knows.
    pub holder: Option<MemberId>,
    /// How many times it has been taken.
    pub epoch: Epoch,
    /// Why this member does not answer.
    pub silence: Option<Silence>,
    /// A stranger that was seen with the address.
    pub conflict: Option<MacAddr>,
}

/// What a member does about an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum AddressState {
    /// It answers.
    Answering,
    /// It finds out whether somebody else has the address.
    Probing,
    /// It has stopped answering and waits for another to begin.
    HandingOver,
    /// It does not answer.
    Silent,
}

/// Why a member does not answer for an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Silence {
    /// The node may not answer for it, or cannot serve it.
    NotOffered,
    /// Another member answers.
    HeldByOther,
    /// Another member is about to answer.
    ClaimedByOther,
    /// This member does not know yet who answers for what.
    Joining,
    /// Better members have the first word.
    WaitsForBetter,
    /// A stranger has the address.
    AddressConflict,
    /// The probe was answered by a member that does not say that it holds it.
    AnsweredByMember,
    /// The node leaves.
    Leaving,
    /// The interface has no carrier.
    NoCarrier,
    /// The node is not among those that can serve it.
    NotAServer,
    /// Another interface of this node answers on the segment.
    OtherInterface,
    /// It is about to be probed or handed over.
    InProgress,
}
