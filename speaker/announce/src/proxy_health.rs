//! When the node's service proxy makes the node a last resort.
//!
//! kube-proxy's `/healthz` demotes, it never withdraws: its rules outlive it, and where every node looks bad nothing
//! must change. Demoted is who says 503, or who fell silent for more than a minute after having answered once.

use std::time::{Duration, Instant};

use crate::node::ProxyStanding;

/// How long a proxy that once answered may be silent.
pub const SILENCE: Duration = Duration::from_secs(60);

/// What is known of the proxy's health.
#[derive(Debug, Clone, Copy, Default)]
pub struct ProxyHealth {
    standing: ProxyStanding,
    last_answer: Option<Instant>,
}

impl ProxyHealth {
    /// `/healthz` was asked at `asked` and answered with `status`, or not at all. Returns whether the standing changed.
    pub fn observe(&mut self, asked: Instant, status: Option<u16>) -> bool {
        let before = self.standing;
        match status {
            Some(status) => {
                self.last_answer = Some(self.last_answer.map_or(asked, |last| last.max(asked)));
                self.standing = if (200..300).contains(&status) {
                    ProxyStanding::Healthy
                } else {
                    ProxyStanding::Demoted
                };
            }
            None => return self.tick(asked),
        }
        self.standing != before
    }

    /// Time has come to `now`. Returns whether the standing changed.
    pub fn tick(&mut self, now: Instant) -> bool {
        let silent = self.last_answer.is_some_and(|last| now.saturating_duration_since(last) > SILENCE);
        let changed = silent && self.standing != ProxyStanding::Demoted;
        if changed {
            self.standing = ProxyStanding::Demoted;
        }
        changed
    }

    /// What the proxy says of itself.
    pub fn standing(&self) -> ProxyStanding {
        self.standing
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    #[test]
    fn a_proxy_that_never_answered_is_unknown() {
        let start = Instant::now();
        let mut health = ProxyHealth::default();
        for n in 0..1000 {
            assert!(!health.observe(start + seconds(n), None));
        }
        assert_eq!(health.standing(), ProxyStanding::Unknown);
    }

    #[test]
    fn a_503_demotes_at_once_and_a_200_restores_at_once() {
        let start = Instant::now();
        let mut health = ProxyHealth::default();
        assert!(health.observe(start, Some(200)));
        assert!(health.observe(start + seconds(5), Some(503)));
        assert_eq!(health.standing(), ProxyStanding::Demoted);
        assert!(!health.observe(start + seconds(10), Some(503)));
        assert!(health.observe(start + seconds(15), Some(200)));
        assert_eq!(health.standing(), ProxyStanding::Healthy);
    }

    #[test]
    fn silence_demotes_after_more_than_a_minute() {
        let start = Instant::now();
        let mut health = ProxyHealth::default();
        health.observe(start, Some(200));
        assert!(!health.observe(start + seconds(60), None));
        assert_eq!(health.standing(), ProxyStanding::Healthy);
        assert!(health.observe(start + seconds(61), None));
        assert_eq!(health.standing(), ProxyStanding::Demoted);
        assert!(!health.tick(start + seconds(62)), "told once");
    }
}
