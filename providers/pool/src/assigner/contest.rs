//! A rival that overwrites what we write into a status: the addresses, or our condition.

use std::time::Duration;

use daymark_model::Timestamp;

const WINDOW: Duration = Duration::from_secs(60);
const LIMIT: usize = 3;
const FIRST_RETREAT: Duration = Duration::from_secs(60);
const LONGEST_RETREAT: Duration = Duration::from_secs(3600);
const FORGIVEN_AFTER: Duration = Duration::from_secs(1800);

/// Three overwrites in a minute are a contest: we step back, and for longer each time.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Contest {
    overwrites: Vec<Timestamp>,
    retreats: u32,
    until: Option<Timestamp>,
    said: bool,
}

impl Contest {
    /// Somebody replaced what we wrote. Returns whether this makes us step back.
    pub fn overwritten(&mut self, now: Timestamp) -> bool {
        if self.until.is_some() {
            return false;
        }
        if self.overwrites.last().is_some_and(|last| now.since(*last) > FORGIVEN_AFTER) {
            self.retreats = 0;
        }
        self.overwrites.retain(|at| now.since(*at) <= WINDOW);
        self.overwrites.push(now);
        let patience = if self.retreats == 0 { LIMIT } else { 1 };
        if self.overwrites.len() < patience {
            return false;
        }
        let retreat = FIRST_RETREAT.saturating_mul(1 << self.retreats.min(16)).min(LONGEST_RETREAT);
        self.retreats = self.retreats.saturating_add(1);
        self.until = Some(now + retreat);
        self.said = false;
        true
    }

    /// Until when we stay away; `None` when nothing is contested.
    pub fn away_until(&mut self, now: Timestamp) -> Option<Timestamp> {
        if self.until.is_some_and(|until| until <= now) {
            self.until = None;
        }
        self.until
    }

    /// Whether the Service's condition says so already.
    pub fn is_said(&self) -> bool {
        self.said
    }

    /// The Service's condition says so now, or will not take it.
    pub fn say(&mut self) {
        self.said = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_overwrites_in_a_minute_make_us_step_back_for_longer_each_time() {
        let at = |s: i64| Timestamp(s * 1000);
        let mut contest = Contest::default();
        assert!(!contest.overwritten(at(0)));
        assert!(!contest.overwritten(at(50)));
        assert!(!contest.overwritten(at(70)));
        assert!(contest.overwritten(at(80)));
        assert_eq!(contest.away_until(at(81)), Some(at(140)));
        assert!(!contest.overwritten(at(90)));
        assert_eq!(contest.away_until(at(140)), None);
        assert!(contest.overwritten(at(141)));
        assert_eq!(contest.away_until(at(142)), Some(at(261)));
    }
}
