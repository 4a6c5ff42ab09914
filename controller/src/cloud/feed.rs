//! Watches for what clouds need, begun when something needs a cloud.

use daymark_config::{crd, native};
use daymark_kube::pump::PumpContext;
use daymark_kube::slim::{CloudEndpointSlice, Node, Service};
use daymark_kube::views::cloud::{self, CloudService, CloudSlice};
use daymark_kube::{Pump, Update};
use daymark_model::LoadBalancerProfile;
use daymark_providers::view::{NodeView, ServiceView};
use tokio::sync::mpsc;

use super::object::CloudObject;

/// What is kept of a Service.
#[derive(Debug, Clone, PartialEq)]
pub enum Seen {
    /// It is or was a load balancer.
    Balancer(Box<CloudService>),
    /// Another may name it as a further backend.
    Backend(Box<ServiceView>),
}

impl Seen {
    fn of(service: &Service) -> Self {
        match cloud::service(service) {
            Some(balancer) => Self::Balancer(Box::new(balancer)),
            None => Self::Backend(Box::new(cloud::view(service))),
        }
    }
}

/// What the watches tell the owner.
#[derive(Debug)]
#[allow(clippy::large_enum_variant, reason = "few are under way at a time, and they are taken apart at once")]
pub enum Signal {
    /// About Services.
    Services(Update<Seen>),
    /// About Nodes.
    Nodes(Update<NodeView>),
    /// About EndpointSlices.
    Slices(Update<CloudSlice>),
    /// About CloudLoadBalancers.
    Objects(Update<CloudObject>),
    /// About LoadBalancerProfiles; `None` for one that is not sound.
    Profiles(Update<Option<LoadBalancerProfile>>),
}

/// Starts the watches that tell whether a cloud is needed.
pub fn spawn_few(context: &PumpContext, to: &mpsc::Sender<Signal>) {
    tokio::spawn(Pump::<crd::CloudLoadBalancer>::new(context).most_recent().optional().run_with_unreadable(
        |object| Some(CloudObject::read(object)),
        |unreadable| Some(CloudObject::unreadable(unreadable)),
        Signal::Objects,
        to.clone(),
    ));
    tokio::spawn(
        Pump::<crd::LoadBalancerProfile>::new(context).most_recent().optional().run_with_unreadable(
            |profile| Some(native::profile(&profile).ok()),
            |_| Some(None),
            Signal::Profiles,
            to.clone(),
        ),
    );
}

/// Starts the others.
pub fn spawn_rest(context: &PumpContext, to: &mpsc::Sender<Signal>) {
    let services = Pump::<Service>::new(context).most_recent();
    tokio::spawn(services.run(|s| Some(Seen::of(&s)), Signal::Services, to.clone()));
    let nodes = Pump::<Node>::new(context);
    tokio::spawn(nodes.run(|node| Some(cloud::node(&node)), Signal::Nodes, to.clone()));
    let slices = Pump::<CloudEndpointSlice>::new(context);
    tokio::spawn(slices.run(|slice| cloud::endpoints(&slice), Signal::Slices, to.clone()));
}
