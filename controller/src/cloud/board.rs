//! What statuses are to say, and the writes that make them say it.
//!
//! A status is compared with what the watch shows; a write that meets another version is given up, because the watch is
//! about to tell what there is now.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use daymark_config::conditions::{Verdict, shortened};
use daymark_config::crd::{CloudLoadBalancer, CloudLoadBalancerStatus, CloudPort};
use daymark_config::names::condition::{PLAN_PENDING, PROVISIONED};
use daymark_kube::slim::Meta;
use daymark_kube::views::cloud::{CloudService, ShownIngress};
use daymark_kube::{Key, Object, status};
use daymark_model::{ServiceKey, Uid};
use daymark_pool::Ingress;
use serde_json::{Map, Value, json};
use tracing::warn;

use super::index::Index;
use super::object::{Objects, WriteError};
use crate::NAME;
use crate::writer::ingress_entry;

/// How much of a message is written.
const LONGEST: usize = 4096;
/// Writes in flight.
const WINDOW: usize = 16;
/// How long after a failure a write is tried again.
const RETRY: Duration = Duration::from_secs(2);
/// Counts of one object are written at most this often.
const PACE: Duration = Duration::from_secs(10);

/// What the status of a CloudLoadBalancer is to say.
#[derive(Debug, Clone)]
pub struct Shown {
    /// Its fields, the conditions apart.
    pub status: CloudLoadBalancerStatus,
    /// Its conditions.
    pub verdicts: Vec<Verdict>,
    /// Whether a plan waits for consent.
    pub pending: bool,
}

/// What a Service's status is to say.
#[derive(Debug, Clone, PartialEq)]
struct Said {
    uid: Uid,
    verdict: Verdict,
    /// `None` = as it is.
    ingress: Option<Vec<Ingress>>,
}

/// One write.
#[derive(Debug, Clone)]
pub enum Write {
    /// Of a Service's status.
    Service(ServiceKey, Value),
    /// Of a CloudLoadBalancer's status.
    Object(Key, Box<Meta>, Map<String, Value>),
}

impl Write {
    /// Sends it; of an object that was written, its metadata then.
    ///
    /// # Errors
    /// The API server's refusal.
    pub async fn send(&self, objects: &Objects) -> Result<Option<Meta>, WriteError> {
        match self {
            Self::Service(key, body) => {
                objects.patch_service(key, body.clone()).await?;
                Ok(None)
            }
            Self::Object(key, meta, fields) => {
                let kind = <CloudLoadBalancer as Object>::kind();
                let written = status::patch(objects.client(), NAME, &kind, key, meta, fields.clone()).await?;
                Ok(Some(written))
            }
        }
    }

    /// The CloudLoadBalancer that it is about.
    pub fn object(&self) -> Option<&Key> {
        match self {
            Self::Service(..) => None,
            Self::Object(key, ..) => Some(key),
        }
    }

    fn id(&self) -> Id {
        match self {
            Self::Service(key, _) => Id::Service(key.clone()),
            Self::Object(key, ..) => Id::Object(key.clone()),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Id {
    Service(ServiceKey),
    Object(Key),
}

/// What all statuses are to say.
#[derive(Debug, Default)]
pub struct Board {
    services: BTreeMap<ServiceKey, Said>,
    objects: BTreeMap<Key, Shown>,
    dirty: BTreeSet<Id>,
    in_flight: BTreeSet<Id>,
    not_before: BTreeMap<Id, Instant>,
}

impl Board {
    /// A Service's status is to say this; without `ingress`, its addresses stay.
    pub fn say(&mut self, key: &ServiceKey, uid: &Uid, verdict: Verdict, ingress: Option<Vec<Ingress>>) {
        let before = self.services.get(key).filter(|said| said.uid == *uid);
        let ingress = ingress.or_else(|| before.and_then(|said| said.ingress.clone()));
        self.services.insert(key.clone(), Said { uid: uid.clone(), verdict, ingress });
        self.dirty.insert(Id::Service(key.clone()));
    }

    /// A CloudLoadBalancer's status is to say this.
    pub fn show(&mut self, key: &Key, shown: Shown) {
        self.objects.insert(key.clone(), shown);
        self.dirty.insert(Id::Object(key.clone()));
    }

    /// The health of the ports of a CloudLoadBalancer is this now; all else that is said of it stands, or, where nothing is
    /// said yet, what `found` says.
    pub fn show_health(&mut self, key: &Key, ports: Vec<CloudPort>, found: CloudLoadBalancerStatus) {
        let pending = found.conditions.iter().any(|condition| condition.type_ == PLAN_PENDING);
        let shown =
            self.objects.entry(key.clone()).or_insert(Shown { status: found, verdicts: Vec::new(), pending });
        shown.status.healthy = CloudLoadBalancerStatus::healthy_of(&ports);
        shown.status.ports = ports;
        self.dirty.insert(Id::Object(key.clone()));
    }

    /// Whether a CloudLoadBalancer's status is being written.
    pub fn is_writing(&self, key: &Key) -> bool {
        self.in_flight.contains(&Id::Object(key.clone()))
    }

    /// Nothing is to be said of a Service any more.
    pub fn forget_service(&mut self, key: &ServiceKey) {
        self.services.remove(key);
    }

    /// Nothing is to be said of a CloudLoadBalancer any more.
    pub fn forget(&mut self, key: &Key) {
        self.objects.remove(key);
    }

    /// Somebody may have written over what we said to this Service.
    pub fn service_changed(&mut self, key: &ServiceKey) {
        if self.services.contains_key(key) {
            self.dirty.insert(Id::Service(key.clone()));
        }
    }

    /// Somebody may have written over what we said to any Service.
    pub fn services_changed(&mut self) {
        self.dirty.extend(self.services.keys().cloned().map(Id::Service));
    }

    /// What is to be written now; nothing to the objects of `turning`, whose versions others of us rely on.
    pub fn next_writes(&mut self, index: &Index, turning: &BTreeSet<Key>) -> Vec<Write> {
        let now = Instant::now();
        let mut writes = Vec::new();
        let dirty: Vec<Id> = self.dirty.iter().cloned().collect();
        for id in dirty {
            if self.in_flight.len() >= WINDOW {
                break;
            }
            let in_turn = matches!(&id, Id::Object(key) if turning.contains(key));
            if in_turn || self.in_flight.contains(&id) || self.not_before.get(&id).is_some_and(|at| now < *at)
            {
                continue;
            }
            self.dirty.remove(&id);
            self.not_before.remove(&id);
            let write = match &id {
                Id::Service(key) => self.service_write(key, index),
                Id::Object(key) => self.object_write(key, index),
            };
            if let Some(write) = write {
                self.in_flight.insert(id);
                writes.push(write);
            }
        }
        writes
    }

    fn service_write(&self, key: &ServiceKey, index: &Index) -> Option<Write> {
        let said = self.services.get(key)?;
        let found = index.service(key).filter(|service| service.view.uid == said.uid)?;
        let message = shortened(&said.verdict.message, LONGEST);
        let verdict_stands = found.provisioned.as_ref().is_some_and(|condition| {
            condition.status.as_deref() == Some(said.verdict.status.as_str())
                && condition.reason.as_deref() == Some(&said.verdict.reason)
                && condition.message.as_deref() == Some(message)
        });
        let ingress_stands = said.ingress.as_ref().is_none_or(|wanted| {
            wanted.len() == found.ingress.len()
                && wanted.iter().zip(&found.ingress).all(|(a, b)| is_shown(a, b))
        });
        if verdict_stands && ingress_stands {
            return None;
        }
        Some(Write::Service(key.clone(), service_body(found, said)))
    }

    fn object_write(&self, key: &Key, index: &Index) -> Option<Write> {
        let shown = self.objects.get(key)?;
        let object = index.object(key)?;
        let raw = object.raw()?;
        let found = raw.status.clone().unwrap_or_default();
        let generation = raw.metadata.generation;
        let retired: &[&str] = if shown.pending { &[] } else { &[PLAN_PENDING] };
        let now = jiff::Timestamp::now();
        let conditions = status::conditions(&found.conditions, &shown.verdicts, retired, generation, now);
        let mut wanted = shown.status.clone();
        wanted.observed_generation = generation;
        wanted.conditions = conditions.unwrap_or_else(|| found.conditions.clone());
        wanted.last_sync.clone_from(&found.last_sync);
        let mut fields = match status::difference(raw.status.as_ref(), &wanted.bounded()) {
            Ok(fields) => fields?,
            Err(error) => {
                warn!(load_balancer = %key, %error, "a status cannot be written");
                return None;
            }
        };
        // That it was looked at again is no news of its own.
        fields.insert("lastSync".to_owned(), json!(shown.status.last_sync));
        let meta = Meta {
            uid: raw.metadata.uid.clone(),
            resource_version: raw.metadata.resource_version.clone(),
            ..Meta::default()
        };
        Some(Write::Object(key.clone(), Box::new(meta), fields))
    }

    /// Takes in how a write ended.
    pub fn written(&mut self, write: Write, result: Result<(), WriteError>) {
        let id = write.id();
        self.in_flight.remove(&id);
        match result {
            Ok(()) => {
                if matches!(id, Id::Object(_)) {
                    self.not_before.insert(id.clone(), Instant::now() + PACE);
                } else {
                    // Until the watch has told of it, the old status seems to stand.
                    self.not_before.insert(id.clone(), Instant::now() + Duration::from_millis(500));
                }
            }
            Err(error) => {
                // The watch is about to tell of what changed meanwhile. Of a Service, 422 says that it is another one.
                let passes = match id {
                    Id::Service(_) => matches!(error.code(), Some(404 | 409 | 422)),
                    Id::Object(_) => matches!(error.code(), Some(404 | 409)),
                };
                if !passes {
                    warn!(?id, %error, "a status is not written and will be tried again");
                }
                self.not_before.insert(id.clone(), Instant::now() + RETRY);
            }
        }
        self.dirty.insert(id);
    }
}

/// Whether a Service shows an entry as it is wanted.
fn is_shown(wanted: &Ingress, shown: &ShownIngress) -> bool {
    let ports = wanted.ports.iter().map(|port| (Some(i64::from(port.port)), Some(port.protocol.to_string())));
    wanted.hostname == shown.hostname
        && wanted.ip == shown.ip
        && wanted.ip_mode == shown.ip_mode
        && ports.eq(shown.ports.iter().map(|port| (port.port, port.protocol.clone())))
}

fn service_body(found: &CloudService, said: &Said) -> Value {
    let transition = found
        .provisioned
        .as_ref()
        .filter(|condition| condition.status.as_deref() == Some(said.verdict.status.as_str()))
        .and_then(|condition| condition.last_transition_time.as_ref()?.parse().ok())
        .unwrap_or_else(jiff::Timestamp::now);
    let mut status = json!({
        "conditions": [{
            "type": PROVISIONED,
            "status": said.verdict.status.as_str(),
            "reason": said.verdict.reason,
            "message": shortened(&said.verdict.message, LONGEST),
            "lastTransitionTime": k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(transition),
        }],
    });
    if let Some(ingress) = &said.ingress {
        let list: Vec<Value> = ingress.iter().map(ingress_entry).collect();
        status["loadBalancer"] =
            json!({"ingress": if list.is_empty() { Value::Null } else { Value::Array(list) }});
    }
    json!({
        "metadata": {"uid": found.view.uid, "resourceVersion": found.resource_version},
        "status": status,
    })
}
