//! Which Service gets which address: the pure, synchronous core of address assignment.
//!
//! Objects go in as typed views, writes come out; the API server is the only memory. See `DESIGN.md` in this folder for
//! what is promised.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

pub mod assigner;
pub mod claims;
pub mod free;
pub mod io;
pub mod overlap;
pub mod profiles;
pub mod ranges;
pub mod reason;
pub mod sharing;
pub mod validate;
pub mod view;
pub mod wanted;

pub use assigner::{Assigner, Summary};
pub use io::{
    ConditionPatch, Event, EventKind, FamilyCounts, Input, PoolOverlap, PoolReport, Settings, StatusPatch,
    Write, WriteAction, WriteId, WriteResult, Written,
};
pub use profiles::{Contested, ProfileConflict, ProfileTable};
pub use reason::{Barrier, Mismatch, Occupant, Refusal, SharingBarrier};
pub use validate::{PoolFinding, findings};
pub use view::{
    AddressCondition, ClaimView, ConditionStatus, FamilyPolicy, Ingress, Requests, ResourceVersion,
    ServiceView,
};
