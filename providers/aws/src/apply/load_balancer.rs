//! Load balancers and listeners.

use std::collections::BTreeMap;

use daymark_model::ResourceKey;
use daymark_providers::{CloudError, ErrorClass, Outcome};

use super::Hand;
use super::target_group::{name_taken, port_taken};
use crate::api::{
    AddListenerCertificates, Api, Attributes, CreateListener, CreateLoadBalancer, DeleteListener,
    DeleteLoadBalancer, Forward, IpAddressType, ModifyCapacityReservation, ModifyListener,
    ModifyListenerAttributes, ModifyLoadBalancerAttributes, ModifyTargetGroupAttributes,
    RemoveListenerCertificates, SetIpAddressType, SetSecurityGroups, SetSubnets, SubnetMapping, ask,
};
use crate::naming::{fact, kind, record};
use crate::plan::attributes::note;
use crate::plan::operation::{
    BackendRef, ForwardRef, GroupRef, ListenerChange, NewListener, NewLoadBalancer, load_balancer_facts, say,
};
use crate::refusal::{is_gone, refusal};

impl<A: Api> Hand<'_, A> {
    pub(super) async fn create_load_balancer(
        &mut self,
        new: &NewLoadBalancer,
    ) -> Result<Outcome, CloudError> {
        let groups: Result<Vec<String>, CloudError> =
            new.security_groups.iter().map(|group| self.group_id(group)).collect();
        let call = CreateLoadBalancer {
            name: new.name.clone(),
            scheme: new.scheme,
            ip_address_type: new.ip_address_type,
            subnets: new.subnets.clone(),
            security_groups: groups?,
            source_nat: new.source_nat,
            tags: new.tags.clone(),
        };
        let made = match ask(self.api, call).await {
            Ok(made) => made,
            Err(error) if error.code.starts_with("DuplicateLoadBalancerName") => {
                return Ok(name_taken(&new.name));
            }
            Err(error) => return Err(refusal(error)),
        };
        self.inventory.made(&new.key, &made.arn, self.now);
        if let Some(entry) = self.inventory.get_mut(&new.key) {
            entry.facts.extend(load_balancer_facts(&made));
        }
        Ok(Outcome::Done)
    }

    pub(super) async fn set_subnets(
        &mut self,
        key: &ResourceKey,
        subnets: &[SubnetMapping],
        source_nat: Option<bool>,
        facts: &BTreeMap<String, String>,
    ) -> Result<Outcome, CloudError> {
        let call = SetSubnets { arn: self.id(key)?, subnets: subnets.to_vec(), source_nat };
        ask(self.api, call).await.map_err(|error| self.failed(key, error))?;
        if let Some(entry) = self.inventory.get_mut(key) {
            let stays = |name: &str| match name.strip_prefix(fact::STATIC_PREFIX) {
                Some(subnet) => subnets.iter().any(|mapping| mapping.subnet == subnet),
                None => true,
            };
            entry.facts.retain(|name, _| stays(name));
            entry.facts.extend(facts.clone());
        }
        Ok(Outcome::Done)
    }

    pub(super) async fn set_security_groups(
        &mut self,
        key: &ResourceKey,
        groups: &[GroupRef],
        private_link_rules: Option<bool>,
    ) -> Result<Outcome, CloudError> {
        let security_groups: Result<Vec<String>, CloudError> =
            groups.iter().map(|group| self.group_id(group)).collect();
        let call =
            SetSecurityGroups { arn: self.id(key)?, security_groups: security_groups?, private_link_rules };
        ask(self.api, call).await.map_err(|error| self.failed(key, error))?;
        if let (Some(rules), Some(entry)) = (private_link_rules, self.inventory.get_mut(key)) {
            entry.facts.insert(record::PRIVATE_LINK.to_owned(), rules.to_string());
        }
        Ok(Outcome::Done)
    }

    pub(super) async fn set_ip_address_type(
        &mut self,
        key: &ResourceKey,
        ip_address_type: IpAddressType,
    ) -> Result<Outcome, CloudError> {
        let call = SetIpAddressType { arn: self.id(key)?, ip_address_type };
        ask(self.api, call).await.map(|()| Outcome::Done).map_err(|error| self.failed(key, error))
    }

    pub(super) async fn set_attributes(
        &mut self,
        key: &ResourceKey,
        attributes: &Attributes,
    ) -> Result<Outcome, CloudError> {
        if attributes.is_empty() {
            return Ok(Outcome::Done);
        }
        let noted = note(attributes, self.now);
        let (arn, attributes) = (self.id(key)?, attributes.clone());
        let done = match key.kind.as_str() {
            kind::TARGET_GROUP => ask(self.api, ModifyTargetGroupAttributes { arn, attributes }).await,
            kind::LISTENER => ask(self.api, ModifyListenerAttributes { arn, attributes }).await,
            _ => ask(self.api, ModifyLoadBalancerAttributes { arn, attributes }).await,
        };
        done.map_err(|error| self.failed(key, error))?;
        if let Some(entry) = self.inventory.get_mut(key) {
            entry.facts.insert(fact::ATTRIBUTES_SET.to_owned(), noted);
        }
        Ok(Outcome::Done)
    }

    pub(super) async fn set_capacity(
        &mut self,
        key: &ResourceKey,
        units: u32,
    ) -> Result<Outcome, CloudError> {
        let call = ModifyCapacityReservation { arn: self.id(key)?, units };
        ask(self.api, call).await.map(|()| Outcome::Done).map_err(|error| self.failed(key, error))
    }

    pub(super) async fn delete_load_balancer(&mut self, key: &ResourceKey) -> Result<Outcome, CloudError> {
        if let Some(arn) = self.inventory.id(key).map(str::to_owned) {
            match ask(self.api, DeleteLoadBalancer { arn }).await {
                Ok(()) => {}
                Err(error) if is_gone(&error) => {}
                Err(error) => {
                    let name = self.inventory.get(key).map(|entry| entry.name.clone()).unwrap_or_default();
                    let mut error = refusal(error);
                    if error.class == ErrorClass::Blocked {
                        error.message = format!("load balancer {name} cannot be deleted: {}", error.message);
                    }
                    return Err(error);
                }
            }
        }
        let listeners: Vec<ResourceKey> =
            self.inventory.of_kind(kind::LISTENER).map(|e| e.key.clone()).collect();
        for listener in listeners.iter().filter(|listener| listener.generation == key.generation) {
            self.inventory.gone(listener);
        }
        self.inventory.gone(key);
        Ok(Outcome::Done)
    }

    fn forward(&self, forward: &[ForwardRef]) -> Result<Vec<Forward>, CloudError> {
        let resolve = |part: &ForwardRef| {
            let target_group = match &part.to {
                BackendRef::Own(key) => self.id(key)?,
                BackendRef::Arn(arn) => arn.clone(),
            };
            Ok(Forward { target_group, weight: part.weight })
        };
        let mut forward: Vec<Forward> = forward.iter().map(resolve).collect::<Result<_, CloudError>>()?;
        forward.sort();
        Ok(forward)
    }

    pub(super) async fn create_listener(&mut self, new: &NewListener) -> Result<Outcome, CloudError> {
        let call = CreateListener {
            load_balancer: self.id(&new.load_balancer)?,
            port: new.port,
            protocol: new.protocol,
            forward: self.forward(&new.forward)?,
            certificate: new.certificate.clone(),
            policy: new.policy.clone(),
            alpn: new.alpn.clone(),
            tags: new.tags.clone(),
        };
        let made = match ask(self.api, call).await {
            Ok(made) => made,
            Err(error) if error.code.starts_with("DuplicateListener") => return Ok(port_taken(&new.key)),
            Err(error) => return Err(self.failed(&new.load_balancer, error)),
        };
        self.inventory.made(&new.key, &made.arn, self.now);
        Ok(Outcome::Done)
    }

    pub(super) async fn modify_listener(&mut self, change: &ListenerChange) -> Result<Outcome, CloudError> {
        let call = ModifyListener {
            arn: self.id(&change.key)?,
            protocol: change.protocol,
            forward: change.forward.as_deref().map(|forward| self.forward(forward)).transpose()?,
            certificate: change.certificate.clone(),
            policy: change.policy.clone(),
            alpn: change.alpn.clone(),
        };
        let changes_nothing = ModifyListener { arn: call.arn.clone(), ..nothing() } == call;
        if changes_nothing {
            return Ok(Outcome::Done);
        }
        ask(self.api, call).await.map(|()| Outcome::Done).map_err(|error| self.failed(&change.key, error))
    }

    pub(super) async fn add_certificates(
        &mut self,
        key: &ResourceKey,
        certificates: &[String],
    ) -> Result<Outcome, CloudError> {
        let call = AddListenerCertificates { arn: self.id(key)?, certificates: certificates.to_vec() };
        ask(self.api, call).await.map(|()| Outcome::Done).map_err(|error| self.failed(key, error))
    }

    pub(super) async fn remove_certificates(
        &mut self,
        key: &ResourceKey,
        certificates: &[String],
    ) -> Result<Outcome, CloudError> {
        let call = RemoveListenerCertificates { arn: self.id(key)?, certificates: certificates.to_vec() };
        ask(self.api, call).await.map(|()| Outcome::Done).map_err(|error| self.failed(key, error))
    }

    pub(super) async fn delete_listener(&mut self, key: &ResourceKey) -> Result<Outcome, CloudError> {
        if let Some(arn) = self.inventory.id(key).map(str::to_owned) {
            match ask(self.api, DeleteListener { arn }).await {
                Ok(()) => {}
                Err(error) if is_gone(&error) => {}
                Err(error) => {
                    let mut error = refusal(error);
                    error.message = format!("{} cannot be deleted: {}", say(key), error.message);
                    return Err(error);
                }
            }
        }
        self.inventory.gone(key);
        Ok(Outcome::Done)
    }
}

fn nothing() -> ModifyListener {
    ModifyListener {
        arn: String::new(),
        protocol: None,
        forward: None,
        certificate: None,
        policy: None,
        alpn: None,
    }
}
