//! What a daemon knows of its own state: named checks for `/readyz`, heartbeats for `/healthz`.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
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

struct Shared {
    checks: ArcSwap<BTreeMap<String, Check>>,
    beats: ArcSwap<BTreeMap<String, Beat>>,
    open_watches: AtomicUsize,
    /// When the last watch ended, or the daemon started.
    touched: ArcSwap<Instant>,
}

impl Default for Shared {
    fn default() -> Self {
        Self {
            checks: ArcSwap::default(),
            beats: ArcSwap::default(),
            open_watches: AtomicUsize::new(0),
            touched: ArcSwap::from_pointee(Instant::now()),
        }
    }
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

impl Health {
    /// A watch of the API server is open, until what this returns is dropped.
    pub fn watch_opened(&self) -> OpenWatch {
        self.0.open_watches.fetch_add(1, Ordering::Relaxed);
        OpenWatch(self.clone())
    }

    /// For how long no watch of the API server has been open; zero while one is. A connection that is open counts: what
    /// ends without a word is noticed by the watch itself.
    pub fn cut_off_for(&self) -> Duration {
        match self.0.open_watches.load(Ordering::Relaxed) {
            0 => self.0.touched.load().elapsed(),
            _ => Duration::ZERO,
        }
    }
}

/// A watch that is open.
pub struct OpenWatch(Health);

impl Drop for OpenWatch {
    fn drop(&mut self) {
        self.0.0.touched.store(Arc::new(Instant::now()));
        self.0.0.open_watches.fetch_sub(1, Ordering::Relaxed);
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
    fn an_open_watch_keeps_in_touch() {
        let health = Health::default();
        let (one, other) = (health.watch_opened(), health.watch_opened());
        drop(one);
        assert_eq!(health.cut_off_for(), Duration::ZERO);
        drop(other);
        while health.cut_off_for().is_zero() {
            std::thread::yield_now();
        }
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
