//! Members who speak though we hold them dead, or replaced by another process: they are told, so that they renew
//! themselves. On a segment one of many who noticed tells it, to all.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::message::Identity;
use super::types::MeshAddress;
use crate::member::MemberId;

/// How long nobody is told the same again.
const PAUSE: Duration = Duration::from_millis(100);

#[derive(Debug, Default)]
pub(super) struct Verdicts {
    verdicts: BTreeMap<MemberId, Verdict>,
}

#[derive(Debug)]
struct Verdict {
    /// What we hold of the member.
    held: Identity,
    /// Where it is.
    at: MeshAddress,
    to_all: bool,
    /// When to say so; `None` once it has been said.
    due: Option<Instant>,
    quiet_until: Instant,
}

impl Verdicts {
    /// The member that `held` is about was heard at `at`. To all: after a while, unless somebody else tells it.
    pub(super) fn add(&mut self, held: Identity, at: MeshAddress, to_all: bool, due: Instant) {
        let quiet_until = due + PAUSE;
        let verdict = Verdict { held, at, to_all, due: Some(due), quiet_until };
        self.verdicts.entry(held.member).or_insert(verdict);
    }

    /// Somebody else has told everybody.
    pub(super) fn told(&mut self, held: &Identity) {
        if let Some(verdict) = self.verdicts.get_mut(&held.member)
            && verdict.to_all
            && verdict.held <= *held
        {
            verdict.due = None;
        }
    }

    /// The member has renewed itself.
    pub(super) fn settle(&mut self, member: MemberId) {
        self.verdicts.remove(&member);
    }

    /// What is to be said now: to all, and to single members.
    pub(super) fn due(&mut self, now: Instant) -> (Vec<Identity>, Vec<(MeshAddress, Identity)>) {
        let (mut to_all, mut to_each) = (Vec::new(), Vec::new());
        for verdict in self.verdicts.values_mut().filter(|verdict| verdict.due.is_some_and(|due| due <= now))
        {
            verdict.due = None;
            if verdict.to_all {
                to_all.push(verdict.held);
            } else {
                to_each.push((verdict.at, verdict.held));
            }
        }
        self.verdicts.retain(|_, verdict| verdict.due.is_some() || now < verdict.quiet_until);
        (to_all, to_each)
    }

    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.verdicts.values().filter_map(|verdict| verdict.due).min()
    }
}
