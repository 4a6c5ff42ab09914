//! What there is, and what follows from it for each load balancer. Pure: objects in, tasks out.

mod way;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use daymark_aws::model::{
    Built, Claimant, Desired, NodeAccessState, ServiceOptions, Subject, build, claimant, service_options,
};
use daymark_config::names::finalizer;
use daymark_config::references::settle_profiles;
use daymark_kube::slim::Meta;
use daymark_kube::views::cloud::subject;
use daymark_kube::views::cloud::{CloudService, CloudSlice, merged};
use daymark_kube::{Key, Update};
use daymark_model::aws::{CloudMode, Deletion, Replacement};
use daymark_model::{AwsProfile, LoadBalancerProfile, ProfileName, ProfileTarget, ServiceKey};
use daymark_providers::cloud::Depth;
use daymark_providers::error::CloudError;
use daymark_providers::pass::Policy;
use daymark_providers::view::{NodeView, ServiceView, World};

use super::feed::Seen;
use super::object::CloudObject;

/// The load balancers that a change concerns, and how deep they are to be looked at.
pub type Touched = BTreeMap<Key, Depth>;

/// The kinds that must have been listed before anything is decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// Services.
    Services,
    /// Nodes.
    Nodes,
    /// EndpointSlices.
    Endpoints,
    /// CloudLoadBalancers.
    Objects,
    /// LoadBalancerProfiles.
    Profiles,
}

/// A profile whose Services get NLBs.
#[derive(Debug, Clone)]
pub struct Served {
    /// Its name.
    pub name: ProfileName,
    /// What it says.
    pub aws: Arc<AwsProfile>,
    class: String,
}

impl Served {
    /// Whether the AWS Load Balancer Controller serves the same class.
    pub fn shares_class_with_lbc(&self) -> bool {
        self.class == AwsProfile::LBC_CLASS
    }
}

/// What is to be done for one load balancer.
#[derive(Debug)]
pub enum Task {
    /// Nothing.
    Nothing,
    /// It is to be as its Services want it.
    Serve(Box<Serve>),
    /// It is to go.
    Remove(Box<Remove>),
    /// It stays as it is: nobody says any more how it should be.
    Leave(CloudError),
}

/// A load balancer that is to be as its Services want it.
#[derive(Debug)]
pub struct Serve {
    /// By which profile.
    pub profile: Served,
    /// Its object, where it has one.
    pub object: Option<CloudObject>,
    /// Its Services, oldest first; none for a way to the nodes.
    pub members: Vec<CloudService>,
    /// Services that it served and that want it no more.
    pub leaving: Vec<CloudService>,
    /// What it should be; `None` when none of its Services can be served.
    pub desired: Option<Desired>,
    /// Why Services are not served.
    pub refused: BTreeMap<ServiceKey, Vec<CloudError>>,
    /// What is odd about Services that are served.
    pub warnings: Vec<CloudError>,
    /// What may be done.
    pub policy: Policy,
    /// What tells it from a later one of that name.
    pub uid: String,
}

impl Serve {
    /// What becomes of the load balancer in the end; `None` = as was said before.
    pub fn deletion(&self) -> Option<Deletion> {
        match &self.desired {
            Some(Desired::LoadBalancer(nlb)) => Some(nlb.policy.deletion),
            Some(Desired::NodeAccess(_)) => Some(Deletion::Delete),
            Some(Desired::Standing(_)) | None => None,
        }
    }

    /// Its Services that are served.
    pub fn accepted(&self) -> impl Iterator<Item = &CloudService> {
        self.members.iter().filter(|member| !self.refused.contains_key(&member.view.key))
    }

    /// Whether only targets are to be looked at, because nothing else can be told.
    pub fn only_stands(&self) -> bool {
        matches!(self.desired, Some(Desired::Standing(_)))
    }

    /// Whether a load balancer may be there.
    pub fn stands(&self) -> bool {
        let record = self.object.as_ref().and_then(|object| object.record.as_ref().ok());
        record.is_some_and(|record| !record.inventory.is_empty())
    }
}

/// A load balancer that is to go.
#[derive(Debug)]
pub struct Remove {
    /// Its object, where it has one.
    pub object: Option<CloudObject>,
    /// The Services to let go when nothing is left.
    pub leaving: Vec<CloudService>,
    /// Services of the same name that wait for the name.
    pub waiting: Vec<CloudService>,
    /// What may be done.
    pub policy: Policy,
}

/// All that decisions are made from.
#[derive(Debug, Default)]
pub struct Index {
    /// Where Daymark's own objects are.
    namespace: String,
    services: BTreeMap<ServiceKey, CloudService>,
    /// Services that are no load balancers.
    backends: BTreeMap<ServiceKey, ServiceView>,
    nodes: Arc<BTreeMap<String, NodeView>>,
    slices: BTreeMap<Key, CloudSlice>,
    objects: BTreeMap<Key, CloudObject>,
    all_profiles: BTreeMap<String, LoadBalancerProfile>,
    profiles: Vec<Served>,
    default: Option<usize>,
    listed: BTreeSet<Source>,
}

impl Index {
    /// An index that knows nothing yet; Daymark's own objects are in `namespace`.
    pub fn new(namespace: &str) -> Self {
        Self { namespace: namespace.to_owned(), ..Self::default() }
    }

    /// Whether everything was listed.
    pub fn is_complete(&self) -> bool {
        self.listed.len() == 5
    }

    /// Whether anything needs a cloud.
    pub fn is_needed(&self) -> bool {
        !self.profiles.is_empty() || !self.objects.is_empty()
    }

    /// Where Daymark's own objects are.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Takes in that we wrote an object's status, before the watch tells.
    pub fn object_written(&mut self, key: &Key, meta: &Meta) {
        if let Some(object) = self.objects.get_mut(key) {
            object.written(meta);
        }
    }

    /// Forgets an object that we deleted, before the watch tells.
    pub fn forget(&mut self, key: &Key) {
        self.objects.remove(key);
    }

    /// One Service.
    pub fn service(&self, key: &ServiceKey) -> Option<&CloudService> {
        self.services.get(key)
    }

    /// The objects.
    pub fn objects(&self) -> impl Iterator<Item = &CloudObject> {
        self.objects.values()
    }

    /// One object.
    pub fn object(&self, key: &Key) -> Option<&CloudObject> {
        self.objects.get(key)
    }

    /// The profiles that have Services served by a cloud.
    pub fn profiles(&self) -> &[Served] {
        &self.profiles
    }

    /// All load balancers that there are or should be.
    pub fn all(&self) -> Touched {
        let wanted =
            self.services.values().filter(|s| self.is_served(s)).map(|s| subject::of_service(&s.view));
        let kept = self.objects.keys().cloned();
        let ways = self.profiles.iter().map(|p| subject::node_access(&self.namespace, p.name.as_str()));
        let leaving =
            self.services.values().filter(|s| self.carries_our_mark(s)).map(|s| subject::of_service(&s.view));
        wanted.chain(kept).chain(ways).chain(leaving).map(|key| (key, Depth::Full)).collect()
    }

    /// Takes in what happened to Services.
    pub fn take_services(&mut self, update: Update<Seen>) -> Touched {
        match update {
            Update::Reset(all) => {
                let mut touched = self.all();
                self.listed.insert(Source::Services);
                self.services.clear();
                self.backends.clear();
                for seen in all.into_values() {
                    match seen {
                        Seen::Balancer(service) => {
                            drop(self.services.insert(service.view.key.clone(), *service))
                        }
                        Seen::Backend(view) => drop(self.backends.insert(view.key.clone(), *view)),
                    }
                }
                touched.extend(self.all());
                touched
            }
            Update::Apply(_, Seen::Balancer(service)) => self.take_service(*service),
            Update::Apply(_, Seen::Backend(view)) => {
                let key = view.key.clone();
                let mut touched = self.service_gone(&key);
                if self.backends.get(&key) != Some(&view) {
                    self.backends.insert(key.clone(), *view);
                    touched.extend(self.referring(&key, Depth::Full));
                }
                touched
            }
            Update::Delete(key) => {
                let key = ServiceKey::from(&key);
                let mut touched = self.service_gone(&key);
                if self.backends.remove(&key).is_some() {
                    touched.extend(self.referring(&key, Depth::Full));
                }
                touched
            }
        }
    }

    fn take_service(&mut self, service: CloudService) -> Touched {
        let key = service.view.key.clone();
        self.backends.remove(&key);
        let before = self.services.insert(key.clone(), service.clone());
        let same =
            |before: &CloudService| before.view == service.view && before.finalizers == service.finalizers;
        if before.as_ref().is_some_and(same) {
            return Touched::new();
        }
        let mut touched = self.referring(&key, Depth::Full);
        for side in before.iter().chain([&service]) {
            if self.is_served(side) || self.carries_our_mark(side) {
                touched.insert(subject::of_service(&side.view), Depth::Full);
            }
            touched.extend(self.holding(side).map(|key| (key, Depth::Full)));
        }
        touched
    }

    fn service_gone(&mut self, key: &ServiceKey) -> Touched {
        let Some(gone) = self.services.remove(key) else { return Touched::new() };
        let mut touched = self.referring(key, Depth::Full);
        touched.extend(self.holding(&gone).map(|key| (key, Depth::Full)));
        touched
    }

    /// Takes in what happened to Nodes.
    pub fn take_nodes(&mut self, update: Update<NodeView>) -> Touched {
        let nodes = Arc::make_mut(&mut self.nodes);
        let changed = match update {
            Update::Reset(all) => {
                self.listed.insert(Source::Nodes);
                let all: BTreeMap<_, _> = all.into_values().map(|node| (node.name.clone(), node)).collect();
                let changed = *nodes != all;
                *nodes = all;
                changed
            }
            Update::Apply(key, node) => nodes.insert(key.name, node.clone()).as_ref() != Some(&node),
            Update::Delete(key) => nodes.remove(&key.name).is_some(),
        };
        if !changed {
            return Touched::new();
        }
        let balancers = self.services.values().filter(|s| self.is_served(s));
        balancers.map(|s| (subject::of_service(&s.view), Depth::Targets)).collect()
    }

    /// Takes in what happened to EndpointSlices.
    pub fn take_slices(&mut self, update: Update<CloudSlice>) -> Touched {
        let mut of: BTreeSet<ServiceKey> = BTreeSet::new();
        match update {
            Update::Reset(all) => {
                self.listed.insert(Source::Endpoints);
                of.extend(self.slices.values().chain(all.values()).map(|slice| slice.service.clone()));
                self.slices = all;
            }
            Update::Apply(key, slice) => {
                let service = slice.service.clone();
                let before = self.slices.insert(key, slice.clone());
                if before.as_ref() == Some(&slice) {
                    return Touched::new();
                }
                of.extend(before.map(|before| before.service));
                of.insert(service);
            }
            Update::Delete(key) => of.extend(self.slices.remove(&key).map(|slice| slice.service)),
        }
        of.iter().flat_map(|key| self.backed_by(key, Depth::Targets)).collect()
    }

    /// Takes in what happened to CloudLoadBalancers.
    pub fn take_objects(&mut self, update: Update<CloudObject>) -> Touched {
        match update {
            Update::Reset(all) => {
                self.listed.insert(Source::Objects);
                let touched = self.objects.keys().chain(all.keys()).cloned();
                let touched = touched.map(|key| (key, Depth::Full)).collect();
                self.objects = all;
                touched
            }
            Update::Apply(key, object) => {
                let is_old = self.objects.get(&key).is_some_and(|known| known.is_newer_than(&object));
                if is_old {
                    return Touched::new();
                }
                let same = self.objects.get(&key).is_some_and(|known| known.is_same_wish(&object));
                self.objects.insert(key.clone(), object);
                if same { Touched::new() } else { [(key, Depth::Full)].into() }
            }
            Update::Delete(key) => {
                self.objects.remove(&key);
                let mut touched = Touched::from([(key.clone(), Depth::Full)]);
                // Whoever was the last may have kept the way to the nodes open.
                touched.extend(self.ways());
                touched
            }
        }
    }

    /// Remembers an object as we wrote it, before the watch tells.
    pub fn wrote(&mut self, object: CloudObject) {
        self.objects.insert(object.key.clone(), object);
    }

    /// Takes in what happened to LoadBalancerProfiles.
    pub fn take_profiles(&mut self, update: Update<Option<LoadBalancerProfile>>) -> Touched {
        match update {
            Update::Reset(all) => {
                self.listed.insert(Source::Profiles);
                self.all_profiles = all.into_iter().filter_map(|(k, p)| Some((k.name, p?))).collect();
            }
            Update::Apply(key, Some(profile)) => {
                if self.all_profiles.get(&key.name) == Some(&profile) {
                    return Touched::new();
                }
                self.all_profiles.insert(key.name, profile);
            }
            Update::Apply(key, None) | Update::Delete(key) => {
                self.all_profiles.remove(&key.name);
            }
        }
        let before = self.all();
        let (settled, _) = settle_profiles(self.all_profiles.values().cloned());
        let default = settled.iter().find(|profile| profile.default).and_then(|profile| profile.name.clone());
        self.profiles = settled.into_iter().filter_map(served).collect();
        self.default = default.and_then(|name| self.profiles.iter().position(|served| served.name == name));
        let mut touched = self.all();
        touched.extend(before);
        touched
    }

    /// The profile that serves a Service.
    pub fn profile_of(&self, service: &CloudService) -> Option<&Served> {
        if !service.view.is_load_balancer {
            return None;
        }
        match claimant(&service.view) {
            Claimant::Class(class) => self.profiles.iter().find(|profile| profile.class == class),
            Claimant::Default => self.default.and_then(|at| self.profiles.get(at)),
            Claimant::Elsewhere => None,
        }
    }

    /// Whether a load balancer was made for a Service here, or may have been.
    fn carries_our_mark(&self, service: &CloudService) -> bool {
        shows_our_mark(service) || (is_held(service) && self.is_served(service))
    }

    fn is_served(&self, service: &CloudService) -> bool {
        self.profile_of(service).is_some()
    }

    /// Load balancers to which a Service's endpoints matter.
    fn backed_by(&self, key: &ServiceKey, depth: Depth) -> Touched {
        let mut touched = self.referring(key, depth);
        if let Some(service) = self.services.get(key).filter(|service| self.is_served(service)) {
            touched.insert(subject::of_service(&service.view), depth);
        }
        touched
    }

    /// Load balancers in the namespace that may forward to other Services too.
    fn referring(&self, key: &ServiceKey, depth: Depth) -> Touched {
        let others = self.in_namespace(key.namespace.as_str());
        let referring = others.filter(|s| s.view.key != *key && has_actions(s) && self.is_served(s));
        referring.map(|s| (subject::of_service(&s.view), depth)).collect()
    }

    /// The objects that were made for a Service.
    fn holding(&self, service: &CloudService) -> impl Iterator<Item = Key> {
        let uid = service.view.uid.as_str().to_owned();
        let held =
            self.objects_in(service.view.key.namespace.as_str()).filter(move |object| object.is_for(&uid));
        held.map(|object| object.key.clone()).collect::<Vec<_>>().into_iter()
    }

    fn in_namespace<'a>(&'a self, namespace: &'a str) -> impl Iterator<Item = &'a CloudService> {
        let from = ServiceKey::new(namespace, "");
        let of = self.services.range(from..).map(|(_, service)| service);
        of.take_while(move |service| service.view.key.namespace.as_str() == namespace)
    }

    fn objects_in<'a>(&'a self, namespace: &'a str) -> impl Iterator<Item = &'a CloudObject> {
        let from = Key { namespace: namespace.to_owned(), name: String::new() };
        self.objects.range(from..).map(|(_, o)| o).take_while(move |o| o.key.namespace == namespace)
    }

    /// What is to be done for a load balancer.
    pub fn task(&self, key: &Key) -> Task {
        if let Some(profile) = self.way_profile(key) {
            return self.way_task(key, profile);
        }
        let object = self.objects.get(key).cloned();
        let mut members: Vec<&CloudService> = self
            .in_namespace(&key.namespace)
            .filter(|s| !s.view.deleting && self.is_served(s) && subject::of_service(&s.view) == *key)
            .collect();
        members.sort_by(|a, b| (a.view.created_at, &a.view.key).cmp(&(b.view.created_at, &b.view.key)));
        let is_member = |s: &CloudService| members.iter().any(|member| member.view.uid == s.view.uid);
        let was_here = |s: &&CloudService| {
            let by_name = subject::group_of(&key.name).is_none() && s.view.key == subject::service_key(key);
            self.carries_our_mark(s)
                && (by_name || object.as_ref().is_some_and(|o| o.is_for(s.view.uid.as_str())))
        };
        let leaving: Vec<CloudService> = self
            .in_namespace(&key.namespace)
            .filter(|s| !is_member(s))
            .filter(was_here)
            .filter(|s| s.view.deleting || !self.is_kept_by_lost_profile(s))
            .cloned()
            .collect();
        let namesake = object.as_ref().is_some_and(|object| {
            subject::group_of(&key.name).is_none()
                && members.iter().any(|m| !object.is_for(m.view.uid.as_str()))
        });
        match (members.first(), object) {
            (Some(first), object) if !namesake => {
                let Some(profile) = self.profile_of(first).cloned() else { return Task::Nothing };
                Task::Serve(Box::new(self.serve(key, profile, &members, leaving, object)))
            }
            (_, None) if leaving.is_empty() => Task::Nothing,
            (None, Some(object)) if self.is_orphan_of_profile(&object) => Task::Leave(
                CloudError::user(
                    "ProfileGone",
                    format!(
                        "the LoadBalancerProfile {} is gone: the load balancer stays as it is",
                        object.profile
                    ),
                )
                .remedy("make the profile again, or delete the Service"),
            ),
            (_, object) => {
                let going: Vec<&CloudService> = leaving.iter().collect();
                let policy = self.policy(object.as_ref().and_then(|o| self.named(&o.profile)), &going);
                let waiting = members.into_iter().cloned().collect();
                Task::Remove(Box::new(Remove { object, leaving, waiting, policy }))
            }
        }
    }

    /// A Service that still wants its load balancer, while the profile that served it is gone.
    fn is_kept_by_lost_profile(&self, service: &CloudService) -> bool {
        service.view.is_load_balancer && !self.is_served(service) && {
            let key = subject::of_service(&service.view);
            self.objects.get(&key).is_some_and(|object| self.named(&object.profile).is_none())
        }
    }

    /// Whether an object has Services that want it, but no profile.
    fn is_orphan_of_profile(&self, object: &CloudObject) -> bool {
        self.in_namespace(&object.key.namespace).any(|s| {
            !s.view.deleting && object.is_for(s.view.uid.as_str()) && self.is_kept_by_lost_profile(s)
        })
    }

    fn named(&self, profile: &str) -> Option<&Served> {
        self.profiles.iter().find(|served| served.name.as_str() == profile)
    }

    fn serve(
        &self,
        key: &Key,
        profile: Served,
        members: &[&CloudService],
        leaving: Vec<CloudService>,
        object: Option<CloudObject>,
    ) -> Serve {
        let first_uid = members.first().map(|m| m.view.uid.as_str().to_owned()).unwrap_or_default();
        let uid = object.as_ref().map_or(first_uid, |object| object.identity.clone());
        let world = self.world(&key.namespace);
        let mut built = self.built(key, &profile, members, &uid, &world);
        let record = object.as_ref().and_then(|object| object.record.as_ref().ok());
        let desired = built.take_desired(&profile.aws, &world, record.map(|record| &record.inventory));
        let mut refused: BTreeMap<ServiceKey, Vec<CloudError>> = BTreeMap::new();
        for (name, errors) in built.refused {
            refused.insert(ServiceKey::new(&key.namespace, &name), errors);
        }
        let policy = self.policy(Some(&profile), members);
        Serve {
            profile,
            object,
            members: members.iter().map(|member| (*member).clone()).collect(),
            leaving,
            desired,
            refused,
            warnings: built.warnings.into_values().flatten().collect(),
            policy,
            uid,
        }
    }

    fn built(
        &self,
        key: &Key,
        profile: &Served,
        members: &[&CloudService],
        uid: &str,
        world: &World,
    ) -> Built {
        let subject = Subject {
            namespace: key.namespace.clone(),
            object: key.name.clone(),
            uid: uid.to_owned(),
            group: subject::group_of(&key.name).map(str::to_owned),
            members: members.iter().map(|member| member.view.key.name.as_str().to_owned()).collect(),
        };
        let way = match self.way_state(&profile.name) {
            // A plan that is only shown waits for nothing.
            NodeAccessState::Awaited if self.policy(Some(profile), members).mode != CloudMode::Apply => {
                NodeAccessState::Group("the group that nodes let in".to_owned())
            }
            way @ (NodeAccessState::NotManaged | NodeAccessState::Awaited | NodeAccessState::Group(_)) => way,
        };
        build(&profile.aws, &subject, world, way)
    }

    fn world(&self, namespace: &str) -> World {
        let from = ServiceKey::new(namespace, "");
        let others = self.backends.range(from..).map(|(_, view)| view);
        let others = others.take_while(|view| view.key.namespace.as_str() == namespace);
        let views = self.in_namespace(namespace).map(|service| &service.view).chain(others);
        let services = views.map(|view| (view.key.name.as_str().to_owned(), view.clone())).collect();
        let mut slices: BTreeMap<String, Vec<&CloudSlice>> = BTreeMap::new();
        let from = Key { namespace: namespace.to_owned(), name: String::new() };
        for (_, slice) in self.slices.range(from..).take_while(|(key, _)| key.namespace == namespace) {
            slices.entry(slice.service.name.as_str().to_owned()).or_default().push(slice);
        }
        let endpoints = slices.into_iter().map(|(service, of)| (service, merged(of))).collect();
        World { services, endpoints, nodes: self.nodes.clone() }
    }

    fn policy(&self, profile: Option<&Served>, members: &[&CloudService]) -> Policy {
        let options: Vec<ServiceOptions> =
            members.iter().filter_map(|member| service_options(&member.view).ok()).collect();
        let of_profile = profile.map(|profile| profile.aws.mode).unwrap_or_default();
        Policy {
            mode: options.first().and_then(|options| options.mode).unwrap_or(of_profile),
            replacement: profile.map_or(Replacement::default(), |profile| profile.aws.replacement),
            consent: options.into_iter().find_map(|options| options.allow_replacement),
        }
    }
}

fn served(profile: LoadBalancerProfile) -> Option<Served> {
    match profile.target {
        ProfileTarget::Pool { .. } => None,
        ProfileTarget::Aws(aws) => {
            Some(Served { name: profile.name?, aws: Arc::new(*aws), class: profile.class })
        }
    }
}

/// Whether a Service shows that a load balancer was made for it here.
fn shows_our_mark(service: &CloudService) -> bool {
    service.provisioned.is_some() && (is_held(service) || !service.view.is_load_balancer)
}

/// Whether a Service has the finalizer that we share with the provider inside Kubernetes.
fn is_held(service: &CloudService) -> bool {
    service.has_finalizer(finalizer::LOAD_BALANCER_CLEANUP)
}

fn has_actions(service: &CloudService) -> bool {
    service.view.annotations.keys().any(|key| key.starts_with("service.beta.kubernetes.io/actions."))
}

#[cfg(test)]
mod tests;
