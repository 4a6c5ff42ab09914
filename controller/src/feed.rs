//! Watches, and what they tell as inputs of the `Assigner`.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;

use daymark_config::{crd, native};
use daymark_kube::pump::PumpContext;
use daymark_kube::slim::{Namespace, Node, Service};
use daymark_kube::{Key, Pump, Update, views};
use daymark_model::{Announcement, Claim, Labels, LoadBalancerProfile, Neighbor, Pool, ServiceKey, Uid};
use daymark_pool::{ClaimView, Input, ServiceView};
use tokio::sync::mpsc;

use crate::config::object::{ClaimObject, ConfigObject, PoolObject};
use crate::speakers::SpeakerObject;

/// What the watches tell the owner.
#[derive(Debug)]
pub enum Signal {
    /// About Services.
    Services(Update<ServiceView>),
    /// About Namespaces.
    Namespaces(Update<Labels>),
    /// About AddressClaims.
    Claims(Update<ClaimObject>),
    /// About AddressPools.
    Pools(Update<PoolObject>),
    /// About LoadBalancerProfiles.
    Profiles(Update<ConfigObject<LoadBalancerProfile>>),
    /// About Announcements.
    Announcements(Update<ConfigObject<Announcement>>),
    /// About BgpNeighbors.
    Neighbors(Update<ConfigObject<Neighbor>>),
    /// About Nodes.
    Nodes(Update<()>),
    /// About Speakers.
    Speakers(Update<SpeakerObject>),
}

/// Starts all watches. They end when the receiver of `to` is dropped.
pub fn spawn(context: &PumpContext, to: &mpsc::Sender<Signal>) {
    let services = Pump::<Service>::new(context).most_recent();
    tokio::spawn(services.run(|s| views::pool::service(&s), Signal::Services, to.clone()));
    let namespaces = Pump::<Namespace>::new(context).most_recent();
    tokio::spawn(namespaces.run(|n| Some(n.metadata.labels()), Signal::Namespaces, to.clone()));
    let nodes = Pump::<Node>::new(context).optional();
    tokio::spawn(nodes.run(|_| Some(()), Signal::Nodes, to.clone()));

    tokio::spawn(Pump::<crd::AddressClaim>::new(context).most_recent().run_with_unreadable(
        |claim| Some(ClaimObject::read(&claim)),
        |u| Some(ClaimObject::unreadable(u)),
        Signal::Claims,
        to.clone(),
    ));
    tokio::spawn(Pump::<crd::AddressPool>::new(context).most_recent().run_with_unreadable(
        |pool| Some(PoolObject::read(&pool)),
        |u| Some(PoolObject::unreadable(u)),
        Signal::Pools,
        to.clone(),
    ));
    tokio::spawn(
        Pump::<crd::LoadBalancerProfile>::new(context).most_recent().optional().run_with_unreadable(
            |profile| Some(ConfigObject::read(&profile, native::profile(&profile))),
            |u| Some(ConfigObject::unreadable(u)),
            Signal::Profiles,
            to.clone(),
        ),
    );
    tokio::spawn(Pump::<crd::Announcement>::new(context).optional().run_with_unreadable(
        |announcement| Some(ConfigObject::read(&announcement, native::announcement(&announcement))),
        |u| Some(ConfigObject::unreadable(u)),
        Signal::Announcements,
        to.clone(),
    ));
    tokio::spawn(Pump::<crd::BgpNeighbor>::new(context).optional().run_with_unreadable(
        |neighbor| Some(ConfigObject::read(&neighbor, native::neighbor(&neighbor))),
        |u| Some(ConfigObject::unreadable(u)),
        Signal::Neighbors,
        to.clone(),
    ));
    tokio::spawn(Pump::<crd::Speaker>::new(context).optional().run(
        |speaker| Some(SpeakerObject::of(&speaker)),
        Signal::Speakers,
        to.clone(),
    ));
}

/// Who is behind a key: a watch tells that a name is gone, the `Assigner` must know which object that was.
#[derive(Debug, Default)]
pub struct Identities {
    services: HashMap<ServiceKey, Uid>,
    claims: HashMap<IpAddr, Uid>,
}

impl Identities {
    /// The UID of a Service that is there.
    pub fn service(&self, key: &ServiceKey) -> Option<&Uid> {
        self.services.get(key)
    }

    /// What an update about Services means.
    pub fn services(&mut self, update: Update<ServiceView>) -> Option<Input> {
        match update {
            Update::Reset(all) => {
                self.services = all.values().map(|view| (view.key.clone(), view.uid.clone())).collect();
                Some(Input::ServicesReset(all.into_values().collect()))
            }
            Update::Apply(_, view) => {
                self.services.insert(view.key.clone(), view.uid.clone());
                Some(Input::ServiceChanged(Box::new(view)))
            }
            Update::Delete(key) => {
                let key = ServiceKey::from(&key);
                let uid = self.services.remove(&key)?;
                Some(Input::ServiceGone { key, uid })
            }
        }
    }

    /// What an update about AddressClaims means; one that claims nothing counts as gone.
    pub fn claims(&mut self, update: Update<Option<ClaimView>>) -> Option<Input> {
        match update {
            Update::Reset(all) => {
                let all: Vec<ClaimView> = all.into_values().flatten().collect();
                self.claims = all.iter().map(|view| (view.claim.address, view.uid.clone())).collect();
                Some(Input::ClaimsReset(all))
            }
            Update::Apply(_, Some(view)) => {
                self.claims.insert(view.claim.address, view.uid.clone());
                Some(Input::ClaimChanged(Box::new(view)))
            }
            Update::Apply(key, None) | Update::Delete(key) => {
                let address = Claim::address_of(&key.name)?;
                let uid = self.claims.remove(&address)?;
                Some(Input::ClaimGone { address, uid })
            }
        }
    }
}

/// What an update about Namespaces means.
pub fn namespaces(update: Update<Labels>) -> Input {
    match update {
        Update::Reset(all) => {
            Input::NamespacesReset(all.into_iter().map(|(key, labels)| (key.name.into(), labels)).collect())
        }
        Update::Apply(key, labels) => Input::NamespaceChanged(key.name.into(), labels),
        Update::Delete(key) => Input::NamespaceGone(key.name.into()),
    }
}

/// What an update about AddressPools means; one that is not accepted counts as gone.
pub fn pools(update: Update<Option<Pool>>) -> Input {
    match update {
        Update::Reset(all) => Input::PoolsReset(all.into_values().flatten().collect()),
        Update::Apply(_, Some(pool)) => Input::PoolChanged(Box::new(pool)),
        Update::Apply(key, None) | Update::Delete(key) => Input::PoolGone(key.name.into()),
    }
}

/// `update` with each value turned by `turn`.
pub fn map<T, U>(update: Update<T>, mut turn: impl FnMut(&Key, T) -> U) -> Update<U> {
    match update {
        Update::Reset(all) => {
            let turned = all.into_iter().map(|(key, value)| {
                let value = turn(&key, value);
                (key, value)
            });
            Update::Reset(turned.collect::<BTreeMap<_, _>>())
        }
        Update::Apply(key, value) => {
            let value = turn(&key, value);
            Update::Apply(key, value)
        }
        Update::Delete(key) => Update::Delete(key),
    }
}
