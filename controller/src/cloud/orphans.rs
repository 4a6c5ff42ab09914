//! What is tagged with a cluster and accounted for by no CloudLoadBalancer: reported, or deleted where a profile says so.
//!
//! A resource counts as an orphan only when two searches, ten minutes apart, found it so: what is just being made, or just
//! being recorded, is none.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use daymark_aws::orphans::{self, Orphan};
use daymark_model::CloudPlace;
use daymark_model::aws::{CloudMode, Orphans};
use daymark_providers::cloud::Outcome;
use daymark_providers::error::CloudError;
use daymark_providers::plan::StepClass;
use tracing::{info, warn};

use super::connection::Connections;
use super::index::Index;
use super::turn::not_connected;

/// How often each place is searched.
const EVERY: Duration = Duration::from_secs(3600);
/// How long after orphans were found they are looked for again.
const AGAIN: Duration = Duration::from_secs(600);
/// How long after the start the first search begins.
const FIRST: Duration = Duration::from_secs(120);

/// A search to be made.
#[derive(Debug, Clone)]
pub struct Order {
    place: CloudPlace,
    /// The identities of CloudLoadBalancers, as tags have them.
    known: BTreeSet<String>,
    /// The orphans to delete: found before, and again.
    delete: Option<BTreeSet<String>>,
}

/// What a search found.
#[derive(Debug)]
pub struct Findings {
    /// In which cluster's name.
    pub cluster: String,
    place: CloudPlace,
    /// What nobody accounts for.
    pub orphans: Result<Vec<Orphan>, CloudError>,
    deleted: Vec<Orphan>,
}

/// When which place is searched, and what was found there before.
#[derive(Debug, Default)]
pub struct Search {
    due: BTreeMap<CloudPlace, Instant>,
    found: BTreeMap<CloudPlace, BTreeSet<String>>,
    running: bool,
}

impl Search {
    /// The search that is due.
    pub fn next(&mut self, index: &Index) -> Option<Order> {
        if self.running || index.objects().any(|object| object.record.is_err()) {
            // What an object accounts for that cannot be read is nobody's orphan.
            return None;
        }
        let now = Instant::now();
        for profile in index.profiles() {
            let place = profile.aws.place();
            let due = *self.due.entry(place.clone()).or_insert(now + FIRST);
            if now < due {
                continue;
            }
            self.running = true;
            self.due.insert(place.clone(), now + EVERY);
            let delete = profile.aws.orphans == Orphans::Delete && profile.aws.mode == CloudMode::Apply;
            return Some(Order {
                known: index.objects().map(|object| object.identity.clone()).collect(),
                delete: delete.then(|| self.found.get(&place).cloned().unwrap_or_default()),
                place,
            });
        }
        None
    }

    /// Takes in what a search found.
    pub fn found(&mut self, findings: Findings) {
        self.running = false;
        let Findings { cluster, place, orphans, deleted } = findings;
        for orphan in &deleted {
            info!(cluster, kind = %orphan.kind, id = orphan.id, name = orphan.name, "deleted an orphan");
        }
        match orphans {
            Ok(orphans) => {
                let ids: BTreeSet<String> = orphans.iter().map(|orphan| orphan.id.clone()).collect();
                let before = self.found.insert(place.clone(), ids.clone()).unwrap_or_default();
                for orphan in orphans.iter().filter(|orphan| !before.contains(&orphan.id)) {
                    warn!(
                        cluster,
                        kind = %orphan.kind,
                        id = orphan.id,
                        name = orphan.name,
                        owner = orphan.owner,
                        "a resource with this cluster's tag is accounted for by no CloudLoadBalancer"
                    );
                }
                if !ids.is_empty() && ids != before {
                    self.due.insert(place, Instant::now() + AGAIN);
                }
            }
            Err(error) => {
                warn!(cluster, %error, "orphans are not looked for");
                self.due.insert(place, Instant::now() + AGAIN);
            }
        }
    }
}

/// Makes one search.
pub async fn search(connections: &Connections, order: Order) -> Findings {
    let Order { place, known, delete } = order;
    let mut deleted = Vec::new();
    let orphans = async {
        let connection = connections.to(&place).await.map_err(|error| not_connected(&error))?;
        let cloud = connection.cloud(StepClass::Cosmetic);
        let found = orphans::scan(cloud.api(), &place.cluster, &known).await?;
        let Some(confirmed) = delete else { return Ok(found) };
        let (doomed, rest): (Vec<Orphan>, Vec<Orphan>) =
            found.into_iter().partition(|orphan| confirmed.contains(&orphan.id));
        orphans::purge_rules(cloud.api(), &doomed).await?;
        let mut left = rest;
        for orphan in doomed {
            match orphans::purge(cloud.api(), &orphan).await? {
                Outcome::Done => deleted.push(orphan),
                // It is found again, and tried again, by the next search.
                Outcome::Wait { .. } => left.push(orphan),
            }
        }
        Ok(left)
    }
    .await;
    Findings { cluster: place.cluster.clone(), place, orphans, deleted }
}
