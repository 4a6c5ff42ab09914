//! A node that stands still too often is not asked first.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Two stalls within this time make a node unfit.
const WITHIN: Duration = Duration::from_secs(600);
/// For how long.
const UNFIT: Duration = Duration::from_secs(300);

/// The stalls of this process.
#[derive(Default)]
pub(super) struct Stalls {
    recent: VecDeque<Instant>,
    unfit_until: Option<Instant>,
}

impl Stalls {
    /// The process stood still for longer than a suspicion lasts.
    pub fn count(&mut self, now: Instant) {
        while self.recent.front().is_some_and(|at| now.duration_since(*at) > WITHIN) {
            self.recent.pop_front();
        }
        self.recent.push_back(now);
        if self.recent.len() > 1 {
            self.recent.pop_front();
            self.unfit_until = Some(now + UNFIT);
        }
    }

    /// Whether the node is unfit because of them.
    pub fn unfit(&self, now: Instant) -> bool {
        self.unfit_until.is_some_and(|until| now < until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_stalls_within_ten_minutes_make_unfit_for_five() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut stalls = Stalls::default();
        stalls.count(at(0));
        assert!(!stalls.unfit(at(0)));
        stalls.count(at(700));
        assert!(!stalls.unfit(at(700)), "the first was too long ago");
        stalls.count(at(900));
        assert!(stalls.unfit(at(900)) && stalls.unfit(at(1199)) && !stalls.unfit(at(1200)));
    }
}
