//! What a daemon knows of its own state: named checks for `/readyz`, heartbeats for `/healthz`.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;

/// How one thing is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Check {
    /// As it should be.
    Good,
    /// Works, but somebody should look: does not make the daemon unready.
    Degraded(String),
    /// Not ready, with the reason.
    Failing(String),
}

impl Check {
    /// Whether the daemon is ready as far as this check goes.
    pub fn is_ready(&self) -> bool {
        !matches!(self, Self::Failing(_))
    }
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Good => f.write_str("good"),
            Self::Degraded(text) => write!(f, "degraded: {text}"),
            Self::Failing(text) => write!(f, "failing: {text}"),
        }
    }
}

/// The last sign of life of a loop.
#[derive(Debug, Clone, Copy)]
struct Beat {
    at: Instant,
    limit: Duration,
}

#[derive(Default)]
struct Shared {
    checks: ArcSwap<BTreeMap<String, Check>>,
    beats: ArcSwap<BTreeMap<String, Beat>>,
}

/// The checks and heartbeats of one daemon; cheap to clone.
#[derive(Clone, Default)]
pub struct Health(Arc<Shared>);

impl Health {
    /// Sets the check `name`.
    pub fn set(&self, name: &str, check: Check) {
        if self.0.checks.load().get(name) == Some(&check) {
            return;
        }
        self.0.checks.rcu(|checks| {
            let mut checks = BTreeMap::clone(checks);
            checks.insert(name.to_owned(), check.clone());
            checks
        });
    }

    /// Removes the check `name`.
    pub fn clear(&self, name: &str) {
        if !self.0.checks.load().contains_key(name) {
            return;
        }
        self.0.checks.rcu(|checks| {
            let mut checks = BTreeMap::clone(checks);
            checks.remove(name);
            checks
        });
    }

    /// All checks by name.
    pub fn checks(&self) -> Arc<BTreeMap<String, Check>> {
        self.0.checks.load_full()
    }

    /// Whether no check fails.
    pub fn is_ready(&self) -> bool {
        self.0.checks.load().values().all(Check::is_ready)
    }

    /// The loop `name` lives; it counts as dead when it says nothing for `limit`.
    pub fn beat(&self, name: &str, limit: Duration) {
        let beat = Beat { at: Instant::now(), limit };
        self.0.beats.rcu(|beats| {
            let mut beats = BTreeMap::clone(beats);
            beats.insert(name.to_owned(), beat);
            beats
        });
    }

    /// The loops that have been silent for longer than they may, with the time of silence.
    pub fn silent(&self) -> Vec<(String, Duration)> {
        let beats = self.0.beats.load();
        let silent = beats.iter().filter(|(_, beat)| beat.at.elapsed() > beat.limit);
        silent.map(|(name, beat)| (name.clone(), beat.at.elapsed())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_failing_check_makes_unready() {
        let health = Health::default();
        assert!(health.is_ready());
        health.set("watch/Service", Check::Failing("not listed yet".into()));
        health.set("watch/AddressPool", Check::Degraded("not installed".into()));
        assert!(!health.is_ready());
        health.set("watch/Service", Check::Good);
        assert!(health.is_ready());
        health.clear("watch/AddressPool");
        assert_eq!(health.checks().len(), 1);
    }

    #[test]
    fn a_loop_without_heartbeat_is_named() {
        let health = Health::default();
        health.beat("owner", Duration::from_secs(60));
        assert!(health.silent().is_empty());
        health.beat("owner", Duration::ZERO);
        std::thread::yield_now();
        assert_eq!(health.silent().first().map(|(name, _)| name.as_str()), Some("owner"));
    }
}
