//! Listeners, their certificates and where they forward to.

use std::collections::BTreeSet;

use daymark_aws::api::{
    Attributes, CreateListener, Forward, IpAddressType, Listener, ModifyListener, NlbProtocol, Tags,
};
use daymark_model::Family;

use crate::attributes;
use crate::clock::{Birth, Lagged};
use crate::load_balancer::Balancer;
use crate::quota::within;
use crate::refusal::{Answer, refuse, require};
use crate::state::State;
use crate::tags::{self, missing};

/// What a TLS listener gets that names no policy.
const DEFAULT_POLICY: &str = "ELBSecurityPolicy-2016-08";

const ALPN_POLICIES: [&str; 5] = ["None", "HTTP1Only", "HTTP2Only", "HTTP2Optional", "HTTP2Preferred"];

/// A listener.
#[derive(Debug, Clone)]
pub(crate) struct Listening {
    pub(crate) listener: Listener,
    /// Beside the default one.
    pub(crate) certificates: BTreeSet<String>,
    pub(crate) attributes: Lagged<Attributes>,
    pub(crate) tags: Lagged<Tags>,
    pub(crate) birth: Birth,
}

impl State {
    fn listening(&self, arn: &str) -> Answer<&Listening> {
        self.listeners.get(arn).ok_or_else(|| missing(arn))
    }

    fn listening_mut(&mut self, arn: &str) -> Answer<&mut Listening> {
        self.listeners.get_mut(arn).ok_or_else(|| missing(arn))
    }

    pub(crate) fn describe_listeners(&self, load_balancer: &str) -> Answer<Vec<Listener>> {
        self.balancer(load_balancer)?;
        let lag = self.consistency.lists;
        let own =
            self.listeners.values().filter(|listening| listening.listener.load_balancer == load_balancer);
        let seen = own.filter(|listening| listening.birth.is_seen(self.now, lag));
        Ok(seen.map(|listening| listening.listener.clone()).collect())
    }

    pub(crate) fn create_listener(&mut self, call: &CreateListener) -> Answer<Listener> {
        let balancer = self.balancer(&call.load_balancer)?;
        let message =
            format!("'{}' listeners are not supported by this type of load balancer", call.protocol);
        require(balancer.is_network, "UnsupportedProtocol", message)?;
        require(call.port > 0, "ValidationError", "The port must be between 1 and 65535")?;
        let mut forward = call.forward.clone();
        forward.sort();
        let listener = Listener {
            arn: String::new(),
            load_balancer: call.load_balancer.clone(),
            port: call.port,
            protocol: call.protocol,
            forward,
            certificate: call.certificate.clone(),
            policy: call.policy.clone(),
            alpn: call.alpn.clone(),
        };
        let listener = self.checked(listener)?;
        if let Some(existing) = self.on_port(&call.load_balancer, call.port) {
            let same = Listener { arn: existing.arn.clone(), ..listener };
            let message = format!("A listener already exists on port {} for this load balancer", call.port);
            require(same == *existing, "DuplicateListener", message)?;
            return Ok(same);
        }
        let own = self
            .listeners
            .values()
            .filter(|listening| listening.listener.load_balancer == call.load_balancer);
        let message = "The maximum number of listeners has been reached for this load balancer";
        require(within(own.count() + 1, self.quotas.listeners), "TooManyListeners", message)?;
        tags::check(&call.tags, self.quotas.tags, "TooManyTags")?;
        let path = self.balancer(&call.load_balancer)?.path();
        let number = self.number();
        let listener = Listener { arn: self.arn(&format!("listener/{path}/{number:016x}")), ..listener };
        let listening = Listening {
            listener: listener.clone(),
            certificates: BTreeSet::new(),
            attributes: Lagged::settled(attributes::of_listener(call.protocol), self.now),
            tags: self.fresh(call.tags.clone(), Tags::new()),
            birth: self.birth(),
        };
        self.listeners.insert(listener.arn.clone(), listening);
        self.refresh_use(&forwarded(&listener));
        Ok(listener)
    }

    fn on_port(&self, load_balancer: &str, port: u16) -> Option<&Listener> {
        let mut all = self.listeners.values().map(|listening| &listening.listener);
        all.find(|listener| listener.load_balancer == load_balancer && listener.port == port)
    }

    /// A listener as AWS would keep it.
    fn checked(&self, listener: Listener) -> Answer<Listener> {
        let balancer = self.balancer(&listener.load_balancer)?;
        let is_dual = balancer.ip_address_type == IpAddressType::Dualstack;
        let needs_nat = is_dual && attributes::is_datagram(listener.protocol);
        let message = "UDP listeners on a dualstack load balancer require source NAT for IPv6";
        require(!needs_nat || balancer.source_nat, "InvalidConfigurationRequest", message)?;
        let listener = self.checked_tls(listener)?;
        self.check_forward(balancer, &listener)?;
        Ok(listener)
    }

    fn checked_tls(&self, mut listener: Listener) -> Answer<Listener> {
        match listener.protocol {
            NlbProtocol::Tls => {
                let Some(certificate) = &listener.certificate else {
                    return refuse("ValidationError", "A certificate must be specified for TLS listeners");
                };
                self.require_certificate(certificate)?;
                let policy = listener.policy.get_or_insert_with(|| DEFAULT_POLICY.to_owned());
                let is_known = policy.starts_with("ELBSecurityPolicy-");
                require(is_known, "SSLPolicyNotFound", format!("The policy '{policy}' is not found"))?;
                let alpn = listener.alpn.as_deref().unwrap_or("None");
                let message = format!("ALPN policy '{alpn}' is not supported");
                require(ALPN_POLICIES.contains(&alpn), "ALPNPolicyNotSupported", message)?;
            }
            NlbProtocol::Tcp | NlbProtocol::Udp | NlbProtocol::TcpUdp => {
                let has_tls =
                    listener.certificate.is_some() || listener.policy.is_some() || listener.alpn.is_some();
                let message = format!(
                    "Certificates, policies and ALPN are not supported for {} listeners",
                    listener.protocol
                );
                require(!has_tls, "InvalidConfigurationRequest", message)?;
            }
        }
        Ok(listener)
    }

    fn require_certificate(&self, arn: &str) -> Answer<()> {
        let is_known = self.certificates.contains(arn);
        require(is_known, "CertificateNotFound", format!("Certificate '{arn}' not found"))
    }

    fn check_forward(&self, balancer: &Balancer, listener: &Listener) -> Answer<()> {
        let forward = &listener.forward;
        require(!forward.is_empty(), "ValidationError", "At least one target group must be specified")?;
        let distinct = forwarded(listener);
        let message = "A target group can be specified once in a forward action";
        require(distinct.len() == forward.len(), "ValidationError", message)?;
        let message = "The maximum number of target groups per action has been reached";
        require(within(forward.len(), self.quotas.target_groups_per_action), "TooManyTargetGroups", message)?;
        for Forward { target_group, weight } in forward {
            require(*weight <= 999, "ValidationError", "A weight must be between 0 and 999")?;
            let pool = self.pool(target_group)?;
            let message = format!("Target group '{target_group}' is not in the VPC of the load balancer");
            require(pool.vpc == balancer.vpc, "InvalidConfigurationRequest", message)?;
            let message = format!(
                "Listener protocol '{}' is incompatible with target group protocol '{}'",
                listener.protocol, pool.protocol
            );
            require(is_compatible(listener.protocol, pool.protocol), "IncompatibleProtocols", message)?;
            let is_dual = balancer.ip_address_type == IpAddressType::Dualstack;
            let message = "IPv6 target groups require a dualstack load balancer";
            require(is_dual || pool.family == Family::V4, "InvalidConfigurationRequest", message)?;
            let others = self.believed_users(pool).into_iter().any(|user| user != balancer.arn);
            let message = format!(
                "Target group '{target_group}' cannot be associated with more than one load balancer"
            );
            require(!others, "TargetGroupAssociationLimit", message)?;
        }
        let families: BTreeSet<bool> = forward
            .iter()
            .filter_map(|forward| self.pools.get(&forward.target_group))
            .map(|pool| pool.family == Family::V4)
            .collect();
        let message = "All target groups of an action must have the same IP address type";
        require(families.len() == 1, "InvalidConfigurationRequest", message)?;
        let changed: Vec<_> = distinct
            .iter()
            .filter_map(|arn| self.pools.get(arn).map(|pool| (&**arn, &pool.targets)))
            .collect();
        self.require_target_quota(&balancer.arn, &changed)
    }

    pub(crate) fn modify_listener(&mut self, call: &ModifyListener) -> Answer<()> {
        let current = self.listening(&call.arn)?.listener.clone();
        let mut next = current.clone();
        next.protocol = call.protocol.unwrap_or(next.protocol);
        let keeps_tls = next.protocol == NlbProtocol::Tls;
        let or_kept =
            |asked: &Option<String>, kept: Option<String>| asked.clone().or(kept.filter(|_| keeps_tls));
        next.certificate = or_kept(&call.certificate, next.certificate);
        next.policy = or_kept(&call.policy, next.policy);
        next.alpn = or_kept(&call.alpn, next.alpn);
        if let Some(forward) = &call.forward {
            next.forward = forward.clone();
            next.forward.sort();
        }
        let next = self.checked(next)?;
        let mut touched = forwarded(&current);
        touched.extend(forwarded(&next));
        let (now, lag) = (self.now, self.consistency.attributes);
        let listening = self.listening_mut(&call.arn)?;
        if !keeps_tls {
            listening.certificates.clear();
        }
        if next.protocol != current.protocol {
            let defaults = attributes::of_listener(next.protocol);
            listening.attributes.change(now, lag, |attributes| *attributes = defaults);
        }
        listening.listener = next;
        self.refresh_use(&touched);
        Ok(())
    }

    pub(crate) fn delete_listener(&mut self, arn: &str) -> Answer<()> {
        let Some(listening) = self.listeners.remove(arn) else {
            return match missing(arn).code {
                "ListenerNotFound" => Ok(()),
                _ => Err(missing(arn)),
            };
        };
        self.refresh_use(&forwarded(&listening.listener));
        Ok(())
    }

    pub(crate) fn listener_attributes(&self, arn: &str) -> Answer<Attributes> {
        Ok(self.listening(arn)?.attributes.seen(self.now, self.consistency.attributes).clone())
    }

    pub(crate) fn modify_listener_attributes(&mut self, arn: &str, changes: &Attributes) -> Answer<()> {
        let (now, lag) = (self.now, self.consistency.attributes);
        let listening = self.listening_mut(arn)?;
        let protocol = listening.listener.protocol;
        let all = attributes::change_listener(protocol, listening.attributes.truth(), changes)?;
        listening.attributes.change(now, lag, |attributes| *attributes = all);
        Ok(())
    }

    pub(crate) fn listener_certificates(&self, arn: &str) -> Answer<Vec<String>> {
        Ok(self.listening(arn)?.certificates.iter().cloned().collect())
    }

    pub(crate) fn add_listener_certificates(&mut self, arn: &str, added: &[String]) -> Answer<()> {
        let listener = &self.listening(arn)?.listener;
        let message = format!("Certificates are not supported for {} listeners", listener.protocol);
        require(listener.protocol == NlbProtocol::Tls, "InvalidConfigurationRequest", message)?;
        require(!added.is_empty(), "ValidationError", "At least one certificate must be specified")?;
        added.iter().try_for_each(|certificate| self.require_certificate(certificate))?;
        let own =
            self.listeners.values().filter(|other| other.listener.load_balancer == listener.load_balancer);
        let mut all: BTreeSet<&String> = own.flat_map(|listening| &listening.certificates).collect();
        all.extend(added);
        let message = "The maximum number of certificates of the load balancer has been reached";
        require(within(all.len(), self.quotas.certificates), "TooManyCertificates", message)?;
        self.listening_mut(arn)?.certificates.extend(added.iter().cloned());
        Ok(())
    }

    pub(crate) fn remove_listener_certificates(&mut self, arn: &str, removed: &[String]) -> Answer<()> {
        let listening = self.listening_mut(arn)?;
        let has_default =
            removed.iter().any(|removed| listening.listener.certificate.as_ref() == Some(removed));
        let message = "The default certificate of a listener cannot be removed";
        require(!has_default, "OperationNotPermitted", message)?;
        listening.certificates.retain(|certificate| !removed.contains(certificate));
        Ok(())
    }
}

fn forwarded(listener: &Listener) -> BTreeSet<String> {
    listener.forward.iter().map(|forward| forward.target_group.clone()).collect()
}

/// Which target groups a listener may forward to.
fn is_compatible(listener: NlbProtocol, target_group: NlbProtocol) -> bool {
    match listener {
        NlbProtocol::Tls => matches!(target_group, NlbProtocol::Tcp | NlbProtocol::Tls),
        NlbProtocol::Tcp | NlbProtocol::Udp | NlbProtocol::TcpUdp => listener == target_group,
    }
}
