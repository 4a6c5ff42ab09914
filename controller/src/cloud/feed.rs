//! Watches for what clouds need, begun when something needs a cloud.

use daymark_config::{crd, native};
use daymark_kube::pump::PumpContext;
use daymark_kube::slim::{CloudEndpointSlice, Node, Service};
use daymark_kube::views::cloud::{self, CloudService, SliceView};
use daymark_kube::{Pump, Update};
use daymark_model::LoadBalancerProfile;
use daymark_providers::view::NodeView;
use tokio::sync::mpsc;

use super::object::CloudObject;

/// What the watches tell the owner.
#[derive(Debug)]
pub enum Signal {
    /// About Services.
    Services(Update<CloudService>),
    /// About Nodes.
    Nodes(Update<NodeView>),
    /// About EndpointSlices.
    Slices(Update<SliceView>),
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
    tokio::spawn(services.run(|s| Some(cloud::service(&s)), Signal::Services, to.clone()));
    let nodes = Pump::<Node>::new(context);
    tokio::spawn(nodes.run(|node| Some(cloud::node(&node)), Signal::Nodes, to.clone()));
    let slices = Pump::<CloudEndpointSlice>::new(context);
    tokio::spawn(slices.run(|slice| cloud::slice(&slice), Signal::Slices, to.clone()));
}
