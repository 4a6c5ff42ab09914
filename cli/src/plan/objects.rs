//! Services and what belongs to them, out of files or the cluster.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use daymark_aws::model::check_profile;
use daymark_config::crd;
use daymark_config::native;
use daymark_config::references::{ProfileConflict, settle_profiles};
use daymark_kube::Key;
use daymark_kube::slim::{CloudEndpointSlice, Node, Service};
use daymark_kube::views::cloud::{self, CloudSlice, merged};
use daymark_model::{CloudRecord, LoadBalancerProfile, ProfileName, ProfileTarget};
use daymark_providers::view::{NodeView, World};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::defaults::{Completed, complete};
use super::yaml::{Document, Fault};

/// All objects that a plan is made from.
#[derive(Debug, Clone, Default)]
pub struct Objects {
    /// Services.
    pub services: BTreeMap<Key, Completed>,
    /// Sound profiles, by name.
    profiles: BTreeMap<String, LoadBalancerProfile>,
    /// Profiles that were given and cannot be used.
    pub bad_profiles: BTreeSet<String>,
    nodes: BTreeMap<String, NodeView>,
    slices: BTreeMap<Key, CloudSlice>,
    /// CloudLoadBalancers: what they record, or what is wrong with them.
    pub records: BTreeMap<Key, Result<CloudRecord, String>>,
    /// What cannot be used.
    pub faults: Vec<Fault>,
    /// How many objects are of other kinds.
    pub others: usize,
}

/// Where objects come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// Files: plans are shown for their Services, and they come before what the cluster has.
    Files,
    /// The cluster.
    Cluster,
}

impl Objects {
    /// Takes in one object.
    pub fn take(&mut self, document: Document, origin: Origin) {
        let Document { source, value } = document;
        let text = |path: &str| value.pointer(path).and_then(Value::as_str).unwrap_or_default().to_owned();
        let (kind, version) = (text("/kind"), text("/apiVersion"));
        let expected = match kind.as_str() {
            "Service" | "Node" => "v1",
            "EndpointSlice" => "discovery.k8s.io/v1",
            "LoadBalancerProfile" | "CloudLoadBalancer" => "daymark.dev/v1alpha1",
            "" => {
                let message = "has no kind, so it is no object of Kubernetes".to_owned();
                return self.faults.push(Fault { source, message });
            }
            _ => {
                self.others += 1;
                return;
            }
        };
        if version != expected {
            // Others have kinds of these names too.
            let near = version.is_empty() || version.starts_with("daymark.dev/") || !version.contains('/');
            match near {
                true => self.faults.push(Fault {
                    source: format!("{source}, {kind}"),
                    message: format!("apiVersion is {version:?}: write {expected}"),
                }),
                false => self.others += 1,
            }
            return;
        }
        let name = text("/metadata/name");
        let source = format!("{source}, {kind} {name}");
        if name.is_empty() {
            let message = match value.pointer("/metadata/name") {
                // YAML makes numbers and booleans out of names such as 1 and on.
                Some(Value::Number(_) | Value::Bool(_)) => "metadata.name is no text: write it in quotes",
                Some(Value::Null | Value::String(_) | Value::Array(_) | Value::Object(_)) | None => {
                    "metadata.name is missing"
                }
            };
            return self.faults.push(Fault { source, message: message.to_owned() });
        }
        // What kubectl would do with an object that names no namespace.
        let namespace = Some(text("/metadata/namespace")).filter(|namespace| !namespace.is_empty());
        let key = Key { namespace: namespace.unwrap_or_else(|| "default".to_owned()), name };
        let taken = match kind.as_str() {
            "Service" => self.take_service(key, value, origin),
            "Node" => read::<Node>(value).map(|node| {
                self.nodes.entry(key.name).or_insert_with(|| cloud::node(&node));
            }),
            "EndpointSlice" => self.take_slice(key, value),
            "LoadBalancerProfile" => self.take_profile(&key.name, value),
            _ => self.take_record(key, value),
        };
        if let Err(message) = taken {
            self.faults.push(Fault { source, message });
        }
    }

    fn take_service(&mut self, key: Key, value: Value, origin: Origin) -> Result<(), String> {
        let service: Service = read(value)?;
        match (self.services.get_mut(&key), origin) {
            (Some(known), Origin::Cluster) => known.learn(&service),
            (Some(_), Origin::Files) => {
                return Err(
                    "is there twice: the first one holds here, the last one would with kubectl".to_owned()
                );
            }
            (None, _) => {
                let completed = complete(&key, service, origin);
                self.services.insert(key, completed);
            }
        }
        Ok(())
    }

    fn take_slice(&mut self, key: Key, value: Value) -> Result<(), String> {
        let mut slice: CloudEndpointSlice = read(value)?;
        slice.metadata.namespace = Some(key.namespace.clone());
        if let Some(slice) = cloud::endpoints(&slice) {
            self.slices.entry(key).or_insert(slice);
        }
        Ok(())
    }

    fn take_profile(&mut self, name: &str, value: Value) -> Result<(), String> {
        if self.profiles.contains_key(name) || self.bad_profiles.contains(name) {
            return Ok(());
        }
        let read = read::<crd::LoadBalancerProfile>(value).and_then(|object| {
            native::profile(&object).map_err(|problems| sentences(problems.iter().map(ToString::to_string)))
        });
        let profile = match read {
            Ok(profile) => profile,
            Err(message) => {
                self.bad_profiles.insert(name.to_owned());
                return Err(message);
            }
        };
        let odd = match &profile.target {
            ProfileTarget::Aws(aws) => check_profile(aws),
            ProfileTarget::Pool { .. } => Vec::new(),
        };
        self.profiles.insert(name.to_owned(), profile);
        if odd.is_empty() { Ok(()) } else { Err(sentences(odd.iter().map(ToString::to_string))) }
    }

    fn take_record(&mut self, key: Key, value: Value) -> Result<(), String> {
        if self.records.contains_key(&key) {
            return Ok(());
        }
        let record = read::<crd::CloudLoadBalancer>(value).and_then(|object| {
            let told = native::cloud::record(&object);
            told.map_err(|problems| sentences(problems.iter().map(ToString::to_string)))
        });
        let fault = record.clone().map(drop);
        self.records.insert(key, record);
        fault
    }

    /// The profiles that are in use, and what is to be said of the others.
    pub fn profiles(&self) -> (Vec<LoadBalancerProfile>, BTreeMap<ProfileName, ProfileConflict>) {
        settle_profiles(self.profiles.values().cloned())
    }

    /// All that the load balancers of a namespace are made from.
    pub fn world(&self, namespace: &str) -> World {
        let here = |key: &&Key| key.namespace == namespace;
        let services = self.services.iter().filter(|(key, _)| here(key));
        let mut slices: BTreeMap<String, Vec<&CloudSlice>> = BTreeMap::new();
        for (_, slice) in self.slices.iter().filter(|(key, _)| here(key)) {
            slices.entry(slice.service.name.as_str().to_owned()).or_default().push(slice);
        }
        World {
            services: services.map(|(key, service)| (key.name.clone(), service.view())).collect(),
            endpoints: slices.into_iter().map(|(service, of)| (service, merged(of))).collect(),
            nodes: Arc::new(self.nodes.clone()),
        }
    }

    /// Whether there are nodes.
    pub fn has_nodes(&self) -> bool {
        !self.nodes.is_empty()
    }
}

fn sentences(all: impl Iterator<Item = String>) -> String {
    all.collect::<Vec<_>>().join("; ")
}

/// The object that `value` is, or what in it does not fit, with its path.
fn read<T: DeserializeOwned>(value: Value) -> Result<T, String> {
    serde_path_to_error::deserialize(value).map_err(|error| {
        let (path, text) = (error.path().to_string(), error.inner().to_string());
        // Kubernetes's strings are no numbers and no booleans, and YAML makes these out of what has no quotes.
        let quotes = text.contains("expected a string") && !text.contains("invalid type: map");
        let remedy = if quotes { ": write it in quotes" } else { "" };
        match path.as_str() {
            "." => format!("{text}{remedy}"),
            path if text.starts_with(path) => format!("{text}{remedy}"),
            path => format!("{path}: {text}{remedy}"),
        }
    })
}
