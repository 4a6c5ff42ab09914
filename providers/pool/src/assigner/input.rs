//! What inputs change in the index, and whom they line up.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use daymark_model::{Labels, LoadBalancerProfile, NamespaceName, Pool, PoolName, ServiceKey, Timestamp, Uid};

use super::services::Service;
use super::{Assigner, Item};
use crate::io::Input;
use crate::profiles::ProfileTable;
use crate::reason::Refusal;
use crate::view::{ClaimView, ServiceView};

/// Where a view of an object comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// A full set: it is the truth, even where it looks older.
    List,
    /// A watch: it may lag behind what we wrote.
    Watch,
    /// The answer to a write of ours.
    Answer,
}

impl Assigner {
    pub(super) fn take_in(&mut self, now: Timestamp, input: Input) {
        match input {
            Input::ServicesReset(views) => self.reset_services(now, views),
            Input::ServiceChanged(view) => self.see_service(now, Arc::new(*view), Source::Watch),
            Input::ServiceGone { key, uid } => self.lose_service(&key, &uid),
            Input::NamespacesReset(namespaces) => {
                let named: BTreeSet<NamespaceName> =
                    namespaces.iter().map(|(name, _)| name.clone()).collect();
                let gone: Vec<NamespaceName> =
                    self.index.namespaces.keys().filter(|name| !named.contains(*name)).cloned().collect();
                gone.into_iter().for_each(|name| self.set_namespace(name, None));
                namespaces.into_iter().for_each(|(name, labels)| self.set_namespace(name, Some(labels)));
                self.synced.namespaces = true;
            }
            Input::NamespaceChanged(name, labels) => self.set_namespace(name, Some(labels)),
            Input::NamespaceGone(name) => self.set_namespace(name, None),
            Input::PoolsReset(pools) => {
                let named: BTreeSet<PoolName> = pools.iter().map(|pool| pool.name.clone()).collect();
                let gone: Vec<PoolName> = self
                    .index
                    .book
                    .pools()
                    .map(|p| &p.name)
                    .filter(|n| !named.contains(*n))
                    .cloned()
                    .collect();
                let mut changes: Vec<_> = gone.into_iter().map(|name| (name, None)).collect();
                changes.extend(pools.into_iter().map(|pool| (pool.name.clone(), Some(pool))));
                self.set_pools(changes);
                self.synced.pools = true;
            }
            Input::PoolChanged(pool) => self.set_pools(vec![(pool.name.clone(), Some(*pool))]),
            Input::PoolGone(name) => self.set_pools(vec![(name, None)]),
            Input::ProfilesReset(profiles) => {
                self.set_profiles(profiles);
                self.synced.profiles = true;
            }
            Input::ClaimsReset(views) => self.reset_claims(views),
            Input::ClaimChanged(view) => self.see_claim(*view, Source::Watch),
            Input::ClaimGone { address, uid } => self.lose_claim(address, &uid),
            Input::WriteDone { id, result } => self.write_done(now, id, result),
        }
    }

    fn reset_services(&mut self, now: Timestamp, views: Vec<ServiceView>) {
        let named: BTreeSet<ServiceKey> = views.iter().map(|view| view.key.clone()).collect();
        let gone: Vec<(ServiceKey, Uid)> = self
            .index
            .services
            .iter()
            .filter(|service| !named.contains(&service.view.key))
            .map(|service| (service.view.key.clone(), service.view.uid.clone()))
            .collect();
        gone.into_iter().for_each(|(key, uid)| self.lose_service(&key, &uid));
        views.into_iter().for_each(|view| self.see_service(now, Arc::new(view), Source::List));
        self.synced.services = true;
    }

    pub(super) fn see_service(&mut self, now: Timestamp, view: Arc<ServiceView>, source: Source) {
        let key = view.key.clone();
        let Some(service) = self.index.services.get_mut(&key) else {
            if source == Source::Answer {
                return;
            }
            self.put_new_service(&view);
            return;
        };
        if source != Source::List && view.resource_version.is_older_than(&service.view.resource_version) {
            return;
        }
        if service.view.uid != view.uid {
            if source == Source::Answer {
                return;
            }
            let former = service.view.uid.clone();
            self.lose_service(&key, &former);
            self.put_new_service(&view);
            return;
        }
        if service.view == view {
            return;
        }
        service.pause.refreshed();
        let before = std::mem::replace(&mut service.view, view.clone());
        if source == Source::Watch {
            self.look_for_rival(now, &key);
        }
        self.service_seen(Some(&before), &view);
    }

    /// Counts it when somebody else has written over the status that we wrote.
    pub(super) fn look_for_rival(&mut self, now: Timestamp, key: &ServiceKey) {
        let Some(service) = self.index.services.get_mut(key) else { return };
        let view = service.view.clone();
        let ours = self.index.profiles.profile_for(view.class.as_deref()).is_some() && view.is_load_balancer;
        if !ours || !service.is_overwritten() {
            return;
        }
        service.written = None;
        if service.contest.overwritten(now) {
            let manager = view.ingress_manager.clone().unwrap_or_else(|| "another controller".to_owned());
            self.tell_refusal(key, &view.uid, &Refusal::StatusContested { manager });
        }
    }

    fn put_new_service(&mut self, view: &Arc<ServiceView>) {
        let mut service = Service::new(view.clone());
        // It may be back after an old event said that it was gone.
        let mine = |record: &super::InFlight| {
            record.service.as_ref().is_some_and(|(key, uid)| *key == view.key && *uid == view.uid)
        };
        service.in_flight = self.in_flight.values().any(mine);
        self.index.services.insert(service);
        self.service_seen(None, view);
    }

    fn service_seen(&mut self, before: Option<&ServiceView>, view: &ServiceView) {
        let shown = |view: &ServiceView| -> BTreeSet<IpAddr> {
            if view.is_load_balancer { view.shown().collect() } else { BTreeSet::new() }
        };
        let (old, new) = (before.map(shown).unwrap_or_default(), shown(view));
        for address in old.difference(&new) {
            self.index.book.edit(*address, |entry| entry.shown_by.retain(|key| *key != view.key));
        }
        for address in new.difference(&old) {
            self.index.book.edit(*address, |entry| entry.shown_by.push(view.key.clone()));
        }
        if !self.synced.all() {
            return;
        }
        if let Some(before) = before
            && (before.sharing_key.is_some() || view.sharing_key.is_some())
            && (before.sharing_key != view.sharing_key
                || before.ports != view.ports
                || before.traffic_policy != view.traffic_policy
                || before.pod_selector != view.pod_selector
                || before.is_load_balancer != view.is_load_balancer
                || before.class != view.class)
        {
            self.sharing_changed(before);
            self.sharing_changed(view);
        }
        if before.is_some_and(|before| self.may_concern_us(before)) || self.may_concern_us(view) {
            self.line_up(Item::Service(view.key.clone()));
        }
    }

    /// Whoever shares with `view`, or would like to, is judged again.
    fn sharing_changed(&mut self, view: &ServiceView) {
        if let Some(sharing_key) = &view.sharing_key {
            let woken = self.waiting.for_sharing_key(sharing_key);
            self.line_up_services(woken);
        }
        let held: Vec<IpAddr> = self.index.held_by(view).into_iter().map(|(address, _)| address).collect();
        for address in held {
            self.line_up_named(address);
            let woken = self.waiting.for_address(address);
            self.line_up_services(woken);
        }
    }

    fn line_up_named(&mut self, address: IpAddr) {
        let named: Vec<ServiceKey> = self
            .index
            .book
            .claim(address)
            .into_iter()
            .flat_map(|view| view.claim.holders.iter().map(|h| h.service.clone()))
            .collect();
        self.line_up_services(named);
    }

    fn lose_service(&mut self, key: &ServiceKey, uid: &Uid) {
        if self.index.services.with_uid(key, uid).is_none() {
            return;
        }
        self.stands(key, super::Standing::Outside);
        let Some(service) = self.index.services.remove(key) else { return };
        let rank = service.rank();
        if let Some(waits) = &service.waits {
            self.waiting.leave(&rank, waits);
        }
        for address in service.intended {
            self.index.book.edit(address, |entry| entry.intended_by.retain(|(of, _)| of != key));
            self.line_up(Item::Claim(address));
        }
        for address in service.view.shown() {
            self.index.book.edit(address, |entry| entry.shown_by.retain(|by| by != key));
        }
        let named: Vec<IpAddr> = self.index.book.claims_naming(key).map(|(address, _)| address).collect();
        for address in named {
            self.line_up(Item::Claim(address));
            self.line_up_named(address);
        }
        if let Some(sharing_key) = &service.view.sharing_key {
            let woken = self.waiting.for_sharing_key(sharing_key);
            self.line_up_services(woken);
        }
        self.pass_on(&rank);
    }

    fn reset_claims(&mut self, views: Vec<ClaimView>) {
        let named: BTreeSet<IpAddr> = views.iter().map(|view| view.claim.address).collect();
        let gone: Vec<IpAddr> =
            self.index.book.claimed().filter(|address| !named.contains(address)).collect();
        for address in gone {
            self.put_claim(address, None);
        }
        self.deleted.clear();
        for (address, _) in self.in_flight.values().filter_map(|record| record.claim.as_ref()) {
            self.overtaken.entry(*address).or_default().by_list = true;
        }
        views.into_iter().for_each(|view| self.see_claim(view, Source::List));
        self.synced.claims = true;
    }

    pub(super) fn see_claim(&mut self, view: ClaimView, source: Source) {
        let address = view.claim.address;
        if source == Source::Watch && self.deleted.get(&address) == Some(&view.uid) {
            return;
        }
        if let Some(known) = self.index.book.claim(address) {
            let older = view.resource_version.is_older_than(&known.resource_version);
            if *known == view || source != Source::List && older {
                return;
            }
        }
        self.put_claim(address, Some(view));
    }

    fn lose_claim(&mut self, address: IpAddr, uid: &Uid) {
        if self.deleted.get(&address) == Some(uid) {
            self.deleted.remove(&address);
        }
        if self.index.book.entry(address).is_some_and(|entry| entry.in_flight) {
            self.overtaken.entry(address).or_default().gone.insert(uid.clone());
        }
        self.drop_claim(address, uid);
    }

    /// The claim `uid` on `address` is not there any more, as the answer to a write of ours says.
    pub(super) fn claim_deleted(&mut self, address: IpAddr, uid: &Uid) {
        self.deleted.insert(address, uid.clone());
        self.drop_claim(address, uid);
    }

    fn drop_claim(&mut self, address: IpAddr, uid: &Uid) {
        if self.index.book.claim(address).is_some_and(|known| known.uid == *uid) {
            self.put_claim(address, None);
        }
    }

    fn put_claim(&mut self, address: IpAddr, view: Option<ClaimView>) {
        if self.synced.all() {
            self.line_up_named(address);
        }
        self.index.book.edit(address, |entry| entry.claim = view);
        if let Some(pause) = self.claim_pauses.get_mut(&address) {
            pause.refreshed();
        }
        if !self.synced.all() {
            return;
        }
        if let Some(sharing_key) = self.index.book.claim(address).and_then(|v| v.claim.sharing_key.clone()) {
            let woken = self.waiting.for_sharing_key(&sharing_key);
            self.line_up_services(woken);
        }
        let named: Vec<ServiceKey> = self
            .index
            .book
            .claim(address)
            .into_iter()
            .flat_map(|view| view.claim.holders.iter().map(|h| h.service.clone()))
            .collect();
        for key in named {
            if let Some(service) = self.index.services.get_mut(&key) {
                service.pause.refreshed();
            }
            self.line_up(Item::Service(key));
        }
        let showing = self.index.book.entry(address).map(|entry| entry.shown_by.clone()).unwrap_or_default();
        self.line_up_services(showing);
        self.line_up(Item::Claim(address));
    }

    fn set_namespace(&mut self, name: NamespaceName, labels: Option<Labels>) {
        if self.index.namespaces.get(&name) == labels.as_ref() {
            return;
        }
        let woken = self.waiting.in_namespace(&name);
        match labels {
            Some(labels) => self.index.namespaces.insert(name, labels),
            None => self.index.namespaces.remove(&name),
        };
        self.line_up_services(woken);
    }

    fn set_pools(&mut self, mut changes: Vec<(PoolName, Option<Pool>)>) {
        changes.retain(|(name, pool)| self.index.book.pool(name).map(|state| &state.pool) != pool.as_ref());
        if changes.is_empty() {
            return;
        }
        let concerned = self.index.book.set_pools(changes);
        if !self.synced.all() {
            return;
        }
        for address in concerned {
            self.line_up(Item::Claim(address));
            self.line_up_named(address);
            let showing = self.index.book.entry(address).map(|entry| entry.shown_by.clone());
            self.line_up_services(showing.unwrap_or_default());
        }
        let waiting = self.waiting.everybody();
        self.line_up_services(waiting);
    }

    fn set_profiles(&mut self, profiles: Vec<LoadBalancerProfile>) {
        let table = ProfileTable::new(profiles, self.settings.built_in_default);
        if table == self.index.profiles {
            return;
        }
        self.index.profiles = table;
        if self.synced.all() {
            let all: Vec<ServiceKey> = self.index.services.iter().map(|s| s.view.key.clone()).collect();
            self.line_up_services(all);
        }
    }
}
