//! Which calls were made, and what became of them.

use std::collections::BTreeMap;
use std::time::Duration;

use daymark_aws::api::Request;

/// What became of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// It has not returned: it is on its way, or its caller is dead.
    Pending,
    /// It was done, and the caller knows.
    Done,
    /// It failed with this code; after a lost answer it was done nevertheless.
    Failed(String),
}

/// A call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallRecord {
    /// When, from the account's first moment.
    pub at: Duration,
    /// What was asked.
    pub request: Request,
    /// What became of it.
    pub fate: Fate,
}

impl CallRecord {
    /// The action without its service: `CreateLoadBalancer`.
    pub fn name(&self) -> &'static str {
        bare(self.request.action())
    }
}

/// The calls since the last reset.
#[derive(Debug, Clone, Default)]
pub(crate) struct Log {
    pub(crate) calls: Vec<CallRecord>,
    generation: u64,
}

/// A call's place in the log.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    index: usize,
    generation: u64,
}

impl Log {
    pub(crate) fn begin(&mut self, at: Duration, request: Request) -> Place {
        self.calls.push(CallRecord { at, request, fate: Fate::Pending });
        Place { index: self.calls.len() - 1, generation: self.generation }
    }

    pub(crate) fn end(&mut self, place: Place, fate: Fate) {
        if place.generation != self.generation {
            return;
        }
        if let Some(record) = self.calls.get_mut(place.index) {
            record.fate = fate;
        }
    }

    pub(crate) fn reset(&mut self) {
        self.calls.clear();
        self.generation += 1;
    }

    pub(crate) fn counts(&self) -> BTreeMap<&'static str, usize> {
        let mut counts = BTreeMap::new();
        for call in &self.calls {
            *counts.entry(call.name()).or_default() += 1;
        }
        counts
    }
}

fn bare(action: &'static str) -> &'static str {
    action.split_once(':').map_or(action, |(_, bare)| bare)
}

/// Whether a call changes something.
pub(crate) fn is_write(request: &Request) -> bool {
    !bare(request.action()).starts_with("Describe")
}
