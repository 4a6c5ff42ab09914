//! What the inventory keeps of a look, so that less has to be looked at later, or when the wish is gone.

use std::net::IpAddr;

use daymark_model::ResourceKey;
use daymark_model::aws::AddressForm;

use super::actual::FoundLoadBalancer;
use super::look::Look;
use crate::api::{Api, ApiError, DescribeAddresses, LoadBalancerState, ask};
use crate::cloud::published::is_served;
use crate::model::Nlb;
use crate::naming::{fact, family_word, kind};
use crate::plan::attributes::{note, settle, were_set_lately};
use crate::plan::operation::load_balancer_facts;

impl<A: Api> Look<'_, A> {
    pub(super) async fn keep_facts(&mut self) -> Result<(), ApiError> {
        let Some(nlb) = self.nlb().cloned() else { return Ok(()) };
        let keys: Vec<ResourceKey> = self.actual.load_balancers.keys().cloned().collect();
        for key in keys {
            self.keep_load_balancer(&nlb, &key).await?;
        }
        let deletion = format!("{:?}", nlb.policy.deletion);
        let entries: Vec<ResourceKey> =
            self.inventory.of_kind(kind::LOAD_BALANCER).map(|entry| entry.key.clone()).collect();
        for key in entries {
            self.fact(&key, fact::DELETION, Some(deletion.clone()));
            let protection = nlb.attributes.get("deletion_protection.enabled").cloned();
            if protection.is_some() {
                self.fact(&key, fact::PROTECTION, protection);
            }
        }
        self.keep_target_groups();
        Ok(())
    }

    fn fact(&mut self, key: &ResourceKey, name: &str, value: Option<String>) {
        let Some(entry) = self.inventory.get_mut(key) else { return };
        match value {
            Some(value) => entry.facts.insert(name.to_owned(), value),
            None => entry.facts.remove(name),
        };
    }

    async fn keep_load_balancer(&mut self, nlb: &Nlb, key: &ResourceKey) -> Result<(), ApiError> {
        let Some(found) = self.actual.load_balancers.get(key).cloned() else { return Ok(()) };
        for (name, value) in load_balancer_facts(&found.load_balancer) {
            self.fact(key, &name, Some(value));
        }
        match found.load_balancer.state {
            LoadBalancerState::Active | LoadBalancerState::ActiveImpaired => {
                self.fact(key, fact::ACTIVE, Some("true".to_owned()));
            }
            LoadBalancerState::Provisioning | LoadBalancerState::Failed => {}
        }
        if is_served(nlb, &self.actual, self.inventory, key) {
            self.fact(key, fact::READY, Some("true".to_owned()));
        }
        if nlb.policy.address_form == AddressForm::StaticAddresses {
            let addresses = self.static_addresses(nlb, &found).await?;
            self.fact(key, fact::ADDRESSES, addresses);
        }
        Ok(())
    }

    /// The addresses that were asked for; `None` where none was.
    async fn static_addresses(
        &self,
        nlb: &Nlb,
        found: &FoundLoadBalancer,
    ) -> Result<Option<String>, ApiError> {
        let wish = &nlb.subnets;
        let zones = &found.load_balancer.zones;
        let mut addresses: Vec<IpAddr> = Vec::new();
        if !wish.allocations.is_empty() {
            addresses.extend(zones.iter().filter_map(|zone| zone.address.public).map(IpAddr::V4));
            if addresses.len() < wish.allocations.len() {
                // AWS does not always tell the addresses of a load balancer; it tells those of Elastic IPs.
                let call = DescribeAddresses { allocations: wish.allocations.clone() };
                addresses = ask(self.api, call).await?.into_iter().map(|ip| IpAddr::V4(ip.address)).collect();
            }
        }
        addresses.extend(wish.private.iter().copied().map(IpAddr::V4));
        addresses.extend(wish.ipv6.iter().copied().map(IpAddr::V6));
        addresses.sort();
        let words: Vec<String> = addresses.iter().map(IpAddr::to_string).collect();
        Ok((!words.is_empty()).then(|| words.join(",")))
    }

    fn keep_target_groups(&mut self) {
        let facts: Vec<(ResourceKey, [(&str, String); 3])> = self
            .actual
            .target_groups
            .iter()
            .filter_map(|(key, found)| {
                let group = found.group.as_ref()?;
                let used_by = group.load_balancers.first().cloned().unwrap_or_default();
                let facts = [
                    (fact::TARGET_TYPE, group.target_type.to_string()),
                    (fact::FAMILY, family_word(group.family).to_owned()),
                    (fact::USED_BY, used_by),
                ];
                Some((key.clone(), facts))
            })
            .collect();
        for (key, facts) in facts {
            for (name, value) in facts {
                self.fact(&key, name, Some(value));
            }
        }
        self.keep_seen_attributes();
    }

    fn keep_seen_attributes(&mut self) {
        let Some(nlb) = self.nlb() else { return };
        let as_wished = self.actual.target_groups.iter().filter_map(|(key, found)| {
            let wish = nlb.target_groups.get(&key.role)?;
            let kinds = Some((wish.protocol, wish.target_type));
            let entry = self.inventory.get(key).filter(|entry| !were_set_lately(entry, self.now))?;
            let found = found.attributes.as_ref()?;
            let change = settle(kind::TARGET_GROUP, kinds, &wish.attributes, Some(found), Some(entry));
            change.is_none().then(|| (key.clone(), note(&wish.attributes, self.now)))
        });
        let as_wished: Vec<(ResourceKey, String)> = as_wished.collect();
        for (key, seen) in as_wished {
            self.fact(&key, fact::ATTRIBUTES_SEEN, Some(seen));
        }
    }
}
