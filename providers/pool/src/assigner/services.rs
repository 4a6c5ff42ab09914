//! The Services of the cluster and what the core remembers of each.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use daymark_model::{ServiceKey, Timestamp, Uid};

use super::contest::Contest;
use super::pause::Pause;
use super::status::same_ingress;
use super::waiting::WaitKey;
use crate::io::{ConditionPatch, StatusPatch};
use crate::view::{AddressCondition, Ingress, ServiceView};

/// A Service.
#[derive(Debug, Clone)]
pub struct Service {
    /// As it was last seen.
    pub view: Arc<ServiceView>,
    /// Addresses chosen for it that it has no claim on yet.
    pub intended: Vec<IpAddr>,
    /// Whether a write for it is in flight.
    pub in_flight: bool,
    /// What we last wrote into its status.
    pub written: Option<WrittenStatus>,
    /// What our last write of its status leaves there; the watch may tell it before the answer does.
    pub writing: Option<WrittenStatus>,
    /// Who else writes its status.
    pub contest: Contest,
    /// When it is tried again after a failure.
    pub pause: Pause,
    /// What it waits for, if it stands in line.
    pub waits: Option<Vec<WaitKey>>,
    /// How it stands.
    pub standing: Standing,
}

/// What we wrote into a status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrittenStatus {
    ingress: Vec<Ingress>,
    condition: Option<AddressCondition>,
}

impl WrittenStatus {
    /// What `view`, the answer to a write of ours, shows.
    pub fn of(view: &ServiceView) -> Self {
        Self { ingress: view.ingress.clone(), condition: view.condition.clone() }
    }

    /// What `patch` leaves in the status of `view`.
    pub fn by(patch: &StatusPatch, view: &ServiceView) -> Self {
        let condition = match &patch.condition {
            ConditionPatch::Set(condition) => Some(condition.clone()),
            ConditionPatch::Remove => None,
        };
        Self { ingress: patch.ingress.clone().unwrap_or_else(|| view.ingress.clone()), condition }
    }

    /// Whether `view` still shows it; when the condition last changed is not compared.
    pub fn is_shown_by(&self, view: &ServiceView) -> bool {
        let same_condition = match (&self.condition, &view.condition) {
            (None, None) => true,
            (Some(a), Some(b)) => (a.status, &a.reason, &a.message) == (b.status, &b.reason, &b.message),
            (None, Some(_)) | (Some(_), None) => false,
        };
        same_condition && same_ingress(&self.ingress, &view.ingress)
    }
}

/// How a Service stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Standing {
    /// Not ours, or not yet decided.
    #[default]
    Outside,
    /// It has, or is about to have, all that it wants.
    Assigned,
    /// It waits, in whole or in part; with the code of the refusal.
    Waiting(&'static str),
}

impl Service {
    /// A Service just seen.
    pub fn new(view: Arc<ServiceView>) -> Self {
        Self {
            view,
            intended: Vec::new(),
            in_flight: false,
            written: None,
            writing: None,
            contest: Contest::default(),
            pause: Pause::default(),
            waits: None,
            standing: Standing::default(),
        }
    }

    /// Whether somebody else has written what it shows over what we wrote.
    pub fn is_overwritten(&self) -> bool {
        let shows = |status: &WrittenStatus| status.is_shown_by(&self.view);
        self.written.as_ref().is_some_and(|written| !shows(written))
            && !self.writing.as_ref().is_some_and(shows)
    }

    /// Its place among Services: the oldest first.
    pub fn rank(&self) -> Rank {
        (self.view.created_at, self.view.key.clone())
    }
}

/// A place in line: the oldest first, then the lower name.
pub type Rank = (Timestamp, ServiceKey);

/// All Services. Nothing may depend on the order in which a hash map gives them.
#[derive(Debug, Clone, Default)]
pub struct Services {
    by_key: HashMap<ServiceKey, Box<Service>>,
}

impl Services {
    /// The Service `key`.
    pub fn get(&self, key: &ServiceKey) -> Option<&Service> {
        self.by_key.get(key).map(|service| &**service)
    }

    /// The Service `key`.
    pub fn get_mut(&mut self, key: &ServiceKey) -> Option<&mut Service> {
        self.by_key.get_mut(key).map(|service| &mut **service)
    }

    /// The Service `key`, if it is the one with this UID.
    pub fn with_uid(&self, key: &ServiceKey, uid: &Uid) -> Option<&Service> {
        self.get(key).filter(|service| service.view.uid == *uid)
    }

    /// Puts a Service in place.
    pub fn insert(&mut self, service: Service) {
        self.by_key.insert(service.view.key.clone(), Box::new(service));
    }

    /// Takes a Service out.
    pub fn remove(&mut self, key: &ServiceKey) -> Option<Box<Service>> {
        self.by_key.remove(key)
    }

    /// All Services, in no order.
    pub fn iter(&self) -> impl Iterator<Item = &Service> {
        self.by_key.values().map(|service| &**service)
    }
}
