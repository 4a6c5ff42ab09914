//! What a pump says about itself: logs, metrics, checks.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use tracing::{info, warn};

use super::{KindLabel, Presence, PumpContext, check_name};
use crate::health::{Check, OpenWatch};
use crate::list_watch::{Change, Failure};
use crate::object::{Key, Kind, Object};

/// How many unreadable objects a check names.
const NAMED: usize = 5;
const SKIPPED: &str = "the object cannot be read and is skipped: repair it";

/// What is to be done about a kind that the API server does not give.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Remedy {
    text: String,
}

impl Remedy {
    /// The remedy, when `failure` means that the kind is not to be had, as against a server that is not reached.
    pub(super) fn of(kind: &Kind, failure: &Failure) -> Option<Self> {
        let resource = kind.resource();
        let text = match failure.code()? {
            404 if kind.is_ours() => {
                format!("{resource} is not installed: apply deploy/crds")
            }
            404 => format!("the API server does not serve {resource}"),
            401 => "the API server does not know our token: check the ServiceAccount or the kubeconfig"
                .to_owned(),
            403 => format!("we may not read {resource}: fix the ClusterRole (get, list, watch)"),
            500 if failure.to_string().contains("conversion webhook") => {
                format!(
                    "the conversion webhook of {resource} does not answer: repair it, or remove it from the CRD"
                )
            }
            _ => return None,
        };
        Some(Self { text })
    }
}

pub(super) struct Reporter {
    kind: Kind,
    label: KindLabel,
    presence: Presence,
    context: PumpContext,
    attempts: u32,
    listed: bool,
    unreadable: BTreeMap<Key, String>,
}

impl Reporter {
    pub(super) fn new(context: &PumpContext, kind: &Kind, presence: Presence) -> Self {
        Self {
            kind: kind.clone(),
            label: KindLabel { kind: kind.name.to_string() },
            presence,
            context: context.clone(),
            attempts: 0,
            listed: false,
            unreadable: BTreeMap::new(),
        }
    }

    pub(super) fn listed(&mut self, objects: usize, unreadable: BTreeMap<Key, String>) {
        for (key, error) in &unreadable {
            if self.unreadable.get(key) != Some(error) {
                warn!(kind = %self.kind, object = %key, %error, "{SKIPPED}");
            }
        }
        self.unreadable = unreadable;
        if !self.listed || self.attempts > 1 {
            info!(kind = %self.kind, objects, "listed");
        }
        self.listed = true;
        self.works();
    }

    /// A watch is open until what this returns is dropped.
    pub(super) fn watching(&mut self) -> OpenWatch {
        if self.attempts > 1 {
            info!(kind = %self.kind, "watching again");
        }
        self.works();
        self.context.health.watch_opened()
    }

    fn works(&mut self) {
        self.attempts = 0;
        self.context.metrics.synced.get_or_create(&self.label).set(1);
        self.tell();
        self.touch();
    }

    pub(super) fn heard<K: Object>(&mut self, change: &Change<K>) {
        self.touch();
        match change {
            Change::Bookmark => return,
            Change::Deleted(key) => self.readable(key),
            Change::Applied(Ok(object)) => {
                if !self.unreadable.is_empty() {
                    self.readable(&object.key());
                }
            }
            Change::Applied(Err(unreadable)) => {
                let before = self.unreadable.insert(unreadable.key.clone(), unreadable.error.clone());
                if before.as_ref() != Some(&unreadable.error) {
                    warn!(kind = %self.kind, object = %unreadable.key, error = %unreadable.error, "{SKIPPED}");
                    self.tell();
                }
            }
        }
        self.context.metrics.events.get_or_create(&self.label).inc();
    }

    fn readable(&mut self, key: &Key) {
        if self.unreadable.remove(key).is_some() {
            self.tell();
        }
    }

    pub(super) fn failed(&mut self, failure: &Failure, remedy: Option<&Remedy>) {
        self.attempts = self.attempts.saturating_add(1);
        self.context.metrics.failures.get_or_create(&self.label).inc();
        if matches!(failure, Failure::Expired) {
            return;
        }
        self.context.metrics.synced.get_or_create(&self.label).set(0);
        let text = remedy.map_or_else(|| failure.to_string(), |remedy| remedy.text.clone());
        // Ever fewer, and none for a connection that breaks and is there again: a line says something only once.
        if self.attempts.is_power_of_two() && (remedy.is_some() || self.attempts > 1) {
            match remedy {
                Some(_) => warn!(kind = %self.kind, attempt = self.attempts, error = %failure, "{text}"),
                None => {
                    warn!(kind = %self.kind, attempt = self.attempts, error = %failure, "not watched: trying again")
                }
            }
        }
        let serves = self.listed || (self.presence == Presence::Optional && remedy.is_some());
        let check = if serves { Check::Degraded(text) } else { Check::Failing(text) };
        self.context.health.set(&check_name(&self.kind), check);
    }

    fn touch(&self) {
        let now = jiff::Timestamp::now().as_second();
        self.context.metrics.last_heard.get_or_create(&self.label).set(now);
    }

    fn tell(&self) {
        let count = i64::try_from(self.unreadable.len()).unwrap_or(i64::MAX);
        self.context.metrics.unreadable.get_or_create(&self.label).set(count);
        let check = if self.unreadable.is_empty() {
            Check::Good
        } else {
            let mut text = format!("{count} cannot be read and are skipped:");
            for (key, error) in self.unreadable.iter().take(NAMED) {
                let _ = write!(text, " {key} ({error});");
            }
            Check::Degraded(text)
        };
        self.context.health.set(&check_name(&self.kind), check);
    }
}
