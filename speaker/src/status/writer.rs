//! Writes the Speaker's status: on semantic change only, and seldom.

use std::hash::{BuildHasher, RandomState};
use std::time::{Duration, Instant};

use daymark_config::crd::{Speaker, SpeakerSpec, SpeakerStatus};
use daymark_kube::{CallError, within};
use daymark_model::NodeName;
use kube::api::{ObjectMeta, Patch, PatchParams, PostParams};
use kube::{Api, Client};
use prometheus_client::metrics::counter::Counter;
use serde_json::json;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::pace::Pace;
use super::{Report, render};
use crate::wall_clock;

const CALL: Duration = Duration::from_secs(5);
/// How long the last write may hold up the end of the process.
const LAST_CALL: Duration = Duration::from_secs(1);
const FIELD_MANAGER: &str = "daymark-speaker";

/// Writes one node's Speaker.
#[derive(Debug)]
pub struct Writer {
    speakers: Api<Speaker>,
    node: NodeName,
    reports: watch::Receiver<Option<Report>>,
    writes: Counter,
    written: SpeakerStatus,
    /// The deletions that the last write made good.
    deletions: Option<u64>,
    pace: Pace,
}

impl Writer {
    /// Writes what comes over `reports` into the Speaker named as `node`, and counts in `writes`.
    pub fn new(
        client: Client,
        node: NodeName,
        reports: watch::Receiver<Option<Report>>,
        writes: Counter,
    ) -> Self {
        Self {
            speakers: Api::all(client),
            node,
            reports,
            writes,
            written: SpeakerStatus::default(),
            deletions: None,
            pace: Pace::new(Instant::now(), random()),
        }
    }

    /// Runs until `stop`; then writes the last report, if it differs, and ends.
    pub async fn run(mut self, stop: CancellationToken) {
        tokio::select! {
            () = self.read_back() => {}
            () = stop.cancelled() => return,
        }
        while self.is_current() {
            tokio::select! {
                changed = self.reports.changed() => if changed.is_err() { return },
                () = stop.cancelled() => return,
            }
        }
        loop {
            tokio::select! {
                () = tokio::time::sleep_until(self.pace.earliest().into()) => self.write(CALL).await,
                () = stop.cancelled() => break,
            }
            while self.is_current() {
                tokio::select! {
                    changed = self.reports.changed() => if changed.is_err() { return },
                    () = stop.cancelled() => return,
                }
            }
        }
        self.write(LAST_CALL).await;
    }

    /// What a speaker before this one has written stands, with the times of its conditions. An API server that does not
    /// answer is no reason to wait.
    async fn read_back(&mut self) {
        if let Ok(Some(known)) = within(CALL, self.speakers.get_opt(self.node.as_str())).await {
            self.written = known.status.unwrap_or_default();
            self.deletions = Some(0);
        }
    }

    /// Whether what was written last says what the last report says.
    fn is_current(&mut self) -> bool {
        let report = self.reports.borrow_and_update();
        let Some(report) = report.as_ref() else { return true };
        self.deletions == Some(report.deletions)
            && render(report, &self.written, wall_clock::now()) == self.written
    }

    async fn write(&mut self, limit: Duration) {
        let Some(report) = self.reports.borrow_and_update().clone() else { return };
        let status = render(&report, &self.written, wall_clock::now());
        if self.deletions == Some(report.deletions) && status == self.written {
            return;
        }
        match self.put(&status, limit).await {
            Ok(()) => {
                self.writes.inc();
                self.written = status;
                self.deletions = Some(report.deletions);
                self.pace.written(Instant::now(), random());
            }
            Err(error) => {
                self.pace.failed(Instant::now(), random());
                let retry = self.pace.earliest().saturating_duration_since(Instant::now());
                warn!(node = %self.node, %error, retry_ms = retry.as_millis(), "cannot write the Speaker's status");
            }
        }
    }

    /// One apply; when there is no Speaker yet, it is made first.
    async fn put(&self, status: &SpeakerStatus, limit: Duration) -> Result<(), CallError> {
        match self.apply(status, limit).await {
            Err(error) if error.code() == Some(404) => {
                self.create(limit).await?;
                self.apply(status, limit).await
            }
            other => other,
        }
    }

    async fn apply(&self, status: &SpeakerStatus, limit: Duration) -> Result<(), CallError> {
        let body = json!({
            "apiVersion": "daymark.dev/v1alpha1",
            "kind": "Speaker",
            "metadata": { "name": self.node.as_str() },
            "status": status,
        });
        let how = PatchParams::apply(FIELD_MANAGER).force();
        within(limit, self.speakers.patch_status(self.node.as_str(), &how, &Patch::Apply(&body))).await?;
        Ok(())
    }

    async fn create(&self, limit: Duration) -> Result<(), CallError> {
        let metadata = ObjectMeta { name: Some(self.node.to_string()), ..ObjectMeta::default() };
        let speaker = Speaker { metadata, spec: SpeakerSpec::default(), status: None };
        match within(limit, self.speakers.create(&PostParams::default(), &speaker)).await {
            Ok(_) => {
                info!(node = %self.node, "made the Speaker object of this node");
                Ok(())
            }
            Err(error) if error.code() == Some(409) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

/// A number that differs between processes and calls: the standard library seeds each hasher anew.
fn random() -> u64 {
    RandomState::new().hash_one(0)
}
