//! Load balancers and their listeners.

use std::collections::BTreeMap;

use daymark_model::{Ownership, Phase, ResourceKey};

use super::actual::{FoundListener, FoundLoadBalancer};
use super::describe::existing;
use super::look::{Look, describe_tags};
use crate::api::{
    Api, ApiError, DescribeCapacityReservation, DescribeListenerAttributes, DescribeListenerCertificates,
    DescribeListeners, DescribeLoadBalancerAttributes, DescribeLoadBalancers, LoadBalancer, NlbProtocol,
    Which, ask,
};
use crate::model::Adopt;
use crate::naming::{LOAD_BALANCER_ROLE, kind, record};
use crate::plan::attributes::is_recorded;
use crate::plan::listeners::listener_key;
use crate::plan::replacement::causes;
use crate::refusal::is_gone;

impl<A: Api> Look<'_, A> {
    pub(super) async fn load_balancers(&mut self) -> Result<(), ApiError> {
        let known = self.known(kind::LOAD_BALANCER);
        let arns: Vec<String> = known.keys().cloned().collect();
        let call = |arns| DescribeLoadBalancers { which: Which::Arns(arns) };
        let mut found: BTreeMap<String, LoadBalancer> =
            existing(self.api, &arns, call).await?.into_iter().map(|one| (one.arn.clone(), one)).collect();
        for (arn, key) in known {
            match found.remove(&arn) {
                Some(load_balancer) => self.load_balancer(key, load_balancer).await?,
                None => self.absent(&key),
            }
        }
        self.load_balancers_by_name().await
    }

    /// What may exist without being known, and what has the name that is about to be used.
    async fn load_balancers_by_name(&mut self) -> Result<(), ApiError> {
        let mut names = self.intended(kind::LOAD_BALANCER);
        if let Some((name, key)) = self.next_load_balancer() {
            names.entry(name).or_insert(key);
        }
        if names.is_empty() {
            return Ok(());
        }
        let wanted: Vec<String> = names.keys().cloned().collect();
        let call = |names| DescribeLoadBalancers { which: Which::Names(names) };
        let found = existing(self.api, &wanted, call).await?;
        let arns: Vec<String> = found.iter().map(|one| one.arn.clone()).collect();
        let tags = describe_tags(self.api, &arns).await?;
        for one in found {
            let Some(key) = names.get(&one.name).cloned() else { continue };
            if self.inventory.resources().any(|entry| entry.id.as_ref() == Some(&one.arn)) {
                continue;
            }
            if one.is_network && tags.get(&one.arn).is_some_and(|tags| self.is_ours(tags)) {
                self.recover(&key, &one.name, &one.arn);
                self.load_balancer(key, one).await?;
            } else if !self.may_be_ours(&key, tags.get(&one.arn)) {
                self.actual.foreign_names.insert(one.name);
            }
        }
        Ok(())
    }

    /// The name and key of the load balancer that is about to be made.
    fn next_load_balancer(&self) -> Option<(String, ResourceKey)> {
        let nlb = self.nlb()?;
        if matches!(nlb.adopt, Some(Adopt::Arn(_))) || !self.actual.adoptable.is_empty() {
            return None;
        }
        let fits = |entry: &daymark_model::Resource| match self.actual.load_balancers.get(&entry.key) {
            Some(found) => causes(nlb, entry, found).is_empty(),
            None => true,
        };
        if self.inventory.of_kind(kind::LOAD_BALANCER).any(fits) {
            return None;
        }
        let generation = self.inventory.next_generation(kind::LOAD_BALANCER, LOAD_BALANCER_ROLE);
        let key = ResourceKey::new(kind::LOAD_BALANCER, LOAD_BALANCER_ROLE, generation);
        Some((nlb.name.clone().unwrap_or_else(|| nlb.owner.resource_name(&key)), key))
    }

    /// One load balancer, as far as somebody wants to know.
    pub(super) async fn load_balancer(
        &mut self,
        key: ResourceKey,
        found: LoadBalancer,
    ) -> Result<(), ApiError> {
        let arn = found.arn.clone();
        let mut found = FoundLoadBalancer {
            load_balancer: found,
            attributes: None,
            capacity: None,
            tags: BTreeMap::new(),
            listeners: Vec::new(),
        };
        let entry = self.inventory.get(&key);
        let recorded = |name| entry.is_some_and(|entry| entry.recorded.contains_key(name));
        let (attributes, capacity) = match self.nlb() {
            None => (true, false),
            Some(nlb) => {
                let replaced = entry.is_some_and(|entry| {
                    entry.phase == Phase::Leaving || !causes(nlb, entry, &found).is_empty()
                });
                let attributes = !nlb.attributes.is_empty() || replaced || entry.is_some_and(is_recorded);
                (attributes, nlb.capacity.is_some() || recorded(record::CAPACITY))
            }
        };
        if attributes {
            let call = DescribeLoadBalancerAttributes { arn: arn.clone() };
            found.attributes = Some(ask(self.api, call).await?);
        }
        if capacity {
            found.capacity = Some(ask(self.api, DescribeCapacityReservation { arn: arn.clone() }).await?);
        }
        // What is ours goes with its listeners; what is borrowed keeps those of others.
        if self.desired.is_some() || entry.is_some_and(|entry| entry.ownership == Ownership::Borrowed) {
            match ask(self.api, DescribeListeners { load_balancer: arn }).await {
                Ok(listeners) => {
                    for listener in listeners {
                        let key = listener_key(&key, listener.port);
                        let one = self.listener(&key, listener).await?;
                        found.listeners.push(one);
                    }
                }
                Err(error) if is_gone(&error) => {}
                Err(error) => return Err(error),
            }
            self.absent_listeners(&key, &found);
        }
        self.actual.load_balancers.insert(key, found);
        Ok(())
    }

    async fn listener(
        &self,
        key: &ResourceKey,
        listener: crate::api::Listener,
    ) -> Result<FoundListener, ApiError> {
        let wish = self.nlb().and_then(|nlb| nlb.listeners.get(&listener.port));
        let entry = self.inventory.get(key);
        let attributes =
            wish.is_some_and(|wish| !wish.attributes.is_empty()) || entry.is_some_and(is_recorded);
        let certificates =
            listener.protocol == NlbProtocol::Tls && wish.is_some_and(|wish| wish.tls.is_some());
        let arn = listener.arn.clone();
        Ok(FoundListener {
            listener,
            attributes: if attributes {
                Some(ask(self.api, DescribeListenerAttributes { arn: arn.clone() }).await?)
            } else {
                None
            },
            certificates: if certificates {
                Some(ask(self.api, DescribeListenerCertificates { arn }).await?)
            } else {
                None
            },
            tags: BTreeMap::new(),
        })
    }

    fn absent_listeners(&mut self, key: &ResourceKey, found: &FoundLoadBalancer) {
        let all = self.known(kind::LISTENER).into_iter();
        let of_this = all.filter(|(_, listener)| listener.generation == key.generation);
        let is_there = |arn: &String| found.listeners.iter().any(|found| found.listener.arn == *arn);
        let absent: Vec<ResourceKey> =
            of_this.filter(|(arn, _)| !is_there(arn)).map(|(_, key)| key).collect();
        for key in absent {
            self.absent(&key);
        }
    }
}
