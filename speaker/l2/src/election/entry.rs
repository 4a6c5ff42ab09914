//! What a member knows of an address.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use daymark_model::{MacAddr, TimingProfile};

use crate::hold::{Epoch, Hold, Phase};
use crate::member::MemberId;
use crate::offer::Offer;

use super::output::GaveUp;

/// How the last hold of an address ended, or would if its holder vanished.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    /// Nobody has been heard to hold it.
    Never,
    /// Its holder went without a word.
    Silent,
    /// Its holder stopped on purpose.
    Planned,
}

/// What this member does about an address.
#[derive(Debug)]
pub(super) enum Stage {
    Idle,
    Claiming { first: bool, again: u8 },
    Holding,
    Giving(Box<Giving>),
}

/// A hand-over under way.
#[derive(Debug)]
pub(super) struct Giving {
    pub cause: GaveUp,
    pub offer: Offer,
    pub to: MemberId,
    pub asked: u8,
    pub tried: Vec<MemberId>,
}

/// When to try again, and how long to wait after that.
#[derive(Debug, Clone, Copy)]
pub(super) struct Retry {
    pub at: Instant,
    pub wait: Duration,
    pub because: RetryCause,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RetryCause {
    Member,
    Stranger,
}

/// Another member's hold.
#[derive(Debug, Clone, Copy)]
pub(super) struct Holder {
    pub id: MemberId,
    pub phase: Phase,
    pub heard: Instant,
}

/// A stranger that was seen with the address.
#[derive(Debug, Clone, Copy)]
pub(super) struct Conflict {
    pub mac: MacAddr,
    pub seen: Instant,
    pub told: Instant,
}

/// What a member knows of an address.
#[derive(Debug)]
pub(super) struct Entry {
    pub offer: Option<Offer>,
    /// Until then a better member has no better claim by [`Failback::Gradual`](daymark_model::Failback::Gradual).
    pub settles_at: Instant,
    /// This member's hold, also a released one.
    pub own: Option<Hold>,
    pub stage: Stage,
    /// The others that hold or claim it.
    pub holders: Vec<Holder>,
    /// The greatest of a hold, not of a mere claim.
    pub epoch: Epoch,
    pub origin: Origin,
    pub vacant_since: Option<Instant>,
    pub retry: Option<Retry>,
    /// Nobody wanted it when it was handed over last: when to try that again, and how long to wait then.
    pub unwanted: Option<(Instant, Duration)>,
    /// The member whose hand-over was refused: it is told when it would be taken.
    pub declined: Option<MemberId>,
    pub conflict: Option<Conflict>,
    pub due: Option<Instant>,
    pub touched: Instant,
}

impl Entry {
    pub fn new(now: Instant) -> Self {
        Self {
            offer: None,
            settles_at: now,
            own: None,
            stage: Stage::Idle,
            holders: Vec::new(),
            epoch: Epoch::default(),
            origin: Origin::Never,
            vacant_since: None,
            retry: None,
            unwanted: None,
            declined: None,
            conflict: None,
            due: None,
            touched: now,
        }
    }

    /// Sets when to look at it again.
    pub fn schedule(
        &mut self,
        timers: &mut BTreeSet<(Instant, IpAddr)>,
        address: IpAddr,
        at: Option<Instant>,
    ) {
        if let Some(old) = self.due {
            timers.remove(&(old, address));
        }
        self.due = at;
        if let Some(at) = at {
            timers.insert((at, address));
        }
    }

    /// Another member that answers.
    pub fn held_by(&self) -> Option<MemberId> {
        self.holders.iter().find(|holder| holder.phase == Phase::Holding).map(|holder| holder.id)
    }

    pub fn claims(&self) -> impl Iterator<Item = &Holder> {
        self.holders.iter().filter(|holder| holder.phase == Phase::Claiming)
    }

    pub fn set_holder(&mut self, now: Instant, id: MemberId, phase: Phase) {
        let holder = Holder { id, phase, heard: now };
        match self.holders.iter_mut().find(|holder| holder.id == id) {
            Some(old) => *old = holder,
            None => self.holders.push(holder),
        }
    }

    pub fn drop_holder(&mut self, id: MemberId) {
        self.holders.retain(|holder| holder.id != id);
    }

    /// Whether a change of the members may change what this member does about it.
    pub fn undecided(&self) -> bool {
        match self.stage {
            Stage::Idle => self.offer.is_some() && (self.held_by().is_none() || self.declined.is_some()),
            Stage::Claiming { .. } => true,
            Stage::Holding | Stage::Giving(_) => false,
        }
    }

    /// Whether nobody offers or holds it.
    pub fn is_former(&self) -> bool {
        self.offer.is_none() && self.holders.is_empty() && matches!(self.stage, Stage::Idle)
    }

    pub fn profile(&self) -> TimingProfile {
        self.offer.as_ref().map_or(TimingProfile::default(), |offer| offer.terms.profile)
    }

    pub fn next_epoch(&self) -> Epoch {
        Epoch(self.epoch.0.saturating_add(1))
    }
}
