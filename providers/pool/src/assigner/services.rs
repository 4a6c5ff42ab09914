//! The Services of the cluster and what the core remembers of each.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use daymark_model::{ServiceKey, Timestamp, Uid};

use super::contest::Contest;
use super::pause::Pause;
use super::waiting::WaitKey;
use crate::view::{Ingress, ServiceView};

/// A Service.
#[derive(Debug, Clone)]
pub struct Service {
    /// As it was last seen.
    pub view: Arc<ServiceView>,
    /// Addresses chosen for it that it has no claim on yet.
    pub intended: Vec<IpAddr>,
    /// Whether a write for it is in flight.
    pub in_flight: bool,
    /// The ingress that we last wrote.
    pub written: Option<Vec<Ingress>>,
    /// Who else writes its status.
    pub contest: Contest,
    /// When it is tried again after a failure.
    pub pause: Pause,
    /// What it waits for, if it stands in line.
    pub waits: Option<Vec<WaitKey>>,
    /// How it stands.
    pub standing: Standing,
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
            contest: Contest::default(),
            pause: Pause::default(),
            waits: None,
            standing: Standing::default(),
        }
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
