//! What the responders of all interfaces count together, those of interfaces that are gone included.

use std::collections::BTreeMap;

use daymark_l2::responder::Counters;
use daymark_model::InterfaceIndex;

use super::status::L2Counters;

/// What has been counted already.
#[derive(Default)]
pub(super) struct Tally(BTreeMap<InterfaceIndex, Counters>);

impl Tally {
    /// Adds what is new in `now`. An interface that counts less than before is another one.
    pub(super) fn add(&mut self, now: BTreeMap<InterfaceIndex, Counters>, totals: &L2Counters) {
        for (index, counters) in &now {
            let known = self.0.get(index).filter(|known| known.requests <= counters.requests);
            let known = known.copied().unwrap_or_default();
            totals.requests.add(counters.requests.saturating_sub(known.requests));
            totals.answers.add(counters.answers.saturating_sub(known.answers));
            totals.gratuitous.add(counters.gratuitous.saturating_sub(known.gratuitous));
            totals.probes.add(counters.probes.saturating_sub(known.probes));
        }
        self.0 = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interface_that_begins_again_is_added() {
        let (mut tally, totals) = (Tally::default(), L2Counters::default());
        let of = |requests| [(InterfaceIndex(2), Counters { requests, ..Counters::default() })].into();
        for requests in [3, 5, 5, 2] {
            tally.add(of(requests), &totals);
        }
        assert_eq!(totals.requests.get(), 7);
    }
}
