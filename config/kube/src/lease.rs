//! Leader election by a Lease, with the semantics of client-go.
//!
//! The lock is the object's resourceVersion: who PUTs over the version he read has it. Nobody compares clocks of two hosts:
//! a Lease has expired when *this* process has seen no change of it for its whole duration, by its own monotonic clock.
//! Who cannot renew for the renew deadline stops writing and ends, which is well before anybody else may take over.

mod driver;

use std::time::{Duration, Instant};

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

pub use driver::{Leadership, LeaseError, Tenure, acquire};

/// Who wants to lead what, and how patient everybody is.
#[derive(Debug, Clone)]
pub struct LeaseSettings {
    /// The namespace of the Lease.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Who we are: no two candidates have the same.
    pub identity: String,
    /// How long a Lease holds that is not renewed.
    pub duration: Duration,
    /// How long the holder tries to renew before it gives up.
    pub renew_deadline: Duration,
    /// How often the holder renews.
    pub renew_every: Duration,
    /// How often a candidate looks.
    pub look_every: Duration,
}

impl LeaseSettings {
    /// 15 s, 10 s, 2 s, as client-go. Candidates look twice a second, so that they see the last renewal of a dead leader
    /// soon after it was made.
    pub fn new(namespace: &str, name: &str, identity: &str) -> Self {
        Self {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            identity: identity.to_owned(),
            duration: Duration::from_secs(15),
            renew_deadline: Duration::from_secs(10),
            renew_every: Duration::from_secs(2),
            look_every: Duration::from_millis(500),
        }
    }
}

/// What a candidate has seen of the Lease, and when.
#[derive(Debug, Clone, Default)]
pub struct Observed {
    record: Option<(LeaseSpec, Instant)>,
}

/// What a candidate does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// There is no Lease: make it.
    Create,
    /// Nobody holds it, it has expired, or it is ours from an earlier life: take it.
    Take,
    /// Somebody holds it: look again, at the latest when it would expire.
    Wait {
        /// The time until it expires unless it is renewed.
        remaining: Duration,
    },
}

impl Observed {
    /// What to do about `lease` as it was read at `now`.
    pub fn evaluate(&mut self, settings: &LeaseSettings, lease: Option<&Lease>, now: Instant) -> Step {
        let Some(lease) = lease else {
            self.record = None;
            return Step::Create;
        };
        let spec = lease.spec.clone().unwrap_or_default();
        let holder = spec.holder_identity.clone().unwrap_or_default();
        if holder.is_empty() || holder == settings.identity {
            return Step::Take;
        }
        let seconds = spec.lease_duration_seconds.and_then(|s| u64::try_from(s).ok());
        let duration = seconds.map_or(settings.duration, Duration::from_secs);
        let since = match &self.record {
            Some((known, since)) if *known == spec => *since,
            _ => {
                self.record = Some((spec, now));
                now
            }
        };
        match duration.checked_sub(now.saturating_duration_since(since)) {
            Some(remaining) if !remaining.is_zero() => Step::Wait { remaining },
            _ => Step::Take,
        }
    }
}

/// The Lease as we write it, over the version `old` (none when we make it).
fn held(settings: &LeaseSettings, old: Option<&Lease>, wall: jiff::Timestamp) -> Lease {
    let before = old.and_then(|lease| lease.spec.clone()).unwrap_or_default();
    let same = before.holder_identity.as_deref() == Some(settings.identity.as_str());
    let transitions = before.lease_transitions.unwrap_or(0);
    let metadata = match old {
        Some(lease) => lease.metadata.clone(),
        None => ObjectMeta {
            name: Some(settings.name.clone()),
            namespace: Some(settings.namespace.clone()),
            ..ObjectMeta::default()
        },
    };
    Lease {
        metadata,
        spec: Some(LeaseSpec {
            acquire_time: if same { before.acquire_time.clone() } else { Some(MicroTime(wall)) },
            holder_identity: Some(settings.identity.clone()),
            lease_duration_seconds: Some(i32::try_from(settings.duration.as_secs()).unwrap_or(i32::MAX)),
            lease_transitions: Some(if same || old.is_none() {
                transitions
            } else {
                transitions.saturating_add(1)
            }),
            renew_time: Some(MicroTime(wall)),
            ..before
        }),
    }
}

/// The Lease as we leave it for the next.
fn released(lease: &Lease, wall: jiff::Timestamp) -> Lease {
    let before = lease.spec.clone().unwrap_or_default();
    Lease {
        metadata: lease.metadata.clone(),
        spec: Some(LeaseSpec {
            holder_identity: Some(String::new()),
            lease_duration_seconds: Some(1),
            renew_time: Some(MicroTime(wall)),
            ..before
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn settings() -> LeaseSettings {
        LeaseSettings::new("daymark-system", "daymark-controller", "me")
    }

    fn by(identity: &str, renewed: i64) -> Lease {
        let other = LeaseSettings { identity: identity.into(), ..settings() };
        held(&other, None, jiff::Timestamp::from_second(renewed).unwrap())
    }

    #[test]
    fn a_missing_a_free_and_an_own_lease_are_taken_at_once() {
        let (mut seen, now) = (Observed::default(), Instant::now());
        assert_eq!(seen.evaluate(&settings(), None, now), Step::Create);
        assert_eq!(seen.evaluate(&settings(), Some(&Lease::default()), now), Step::Take);
        assert_eq!(seen.evaluate(&settings(), Some(&by("me", 0)), now), Step::Take);
        let left = released(&by("other", 0), jiff::Timestamp::UNIX_EPOCH);
        assert_eq!(seen.evaluate(&settings(), Some(&left), now), Step::Take);
    }

    #[test]
    fn a_lease_expires_by_our_own_clock_whatever_time_it_shows() {
        let (mut seen, start) = (Observed::default(), Instant::now());
        let wait = |seconds| Step::Wait { remaining: seconds * SECOND };
        assert_eq!(seen.evaluate(&settings(), Some(&by("other", 0)), start), wait(15));
        assert_eq!(seen.evaluate(&settings(), Some(&by("other", 0)), start + 14 * SECOND), wait(1));
        let renewed = by("other", 1);
        assert_eq!(seen.evaluate(&settings(), Some(&renewed), start + 14 * SECOND), wait(15));
        assert_eq!(seen.evaluate(&settings(), Some(&renewed), start + 29 * SECOND), Step::Take);
    }

    #[test]
    fn a_take_over_counts_as_a_transition_and_a_renewal_does_not() {
        let wall = jiff::Timestamp::from_second(100).unwrap();
        let taken = held(&settings(), Some(&by("other", 0)), wall).spec.unwrap();
        assert_eq!(taken.lease_transitions, Some(1));
        assert_eq!(taken.acquire_time, Some(MicroTime(wall)));
        let renewed = held(&settings(), Some(&by("me", 0)), wall).spec.unwrap();
        assert_eq!(renewed.lease_transitions, Some(0));
        assert_eq!(renewed.acquire_time, Some(MicroTime(jiff::Timestamp::UNIX_EPOCH)));
        assert_eq!(renewed.renew_time, Some(MicroTime(wall)));
    }
}
