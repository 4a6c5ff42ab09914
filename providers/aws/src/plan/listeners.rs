//! Listeners: changed before others are deleted; moved to another target group when that one is as healthy.

use std::collections::BTreeSet;
use std::time::Duration;

use daymark_model::{Inventory, Ownership, Resource, ResourceKey};
use daymark_providers::{CloudError, StepClass};

use super::attributes::settle;
use super::operation::{AwsOperation, BackendRef, ForwardRef, ListenerChange, NewListener, Records, say};
use super::replacement::healthy_count;
use super::target_groups::Chosen;
use super::{Planner, SETTLES_WITHIN, SOON};
use crate::api::{Forward, Listener};
use crate::model::{Backend, ListenerWish};
use crate::naming::{kind, record};
use crate::observe::{FoundListener, FoundLoadBalancer};

/// How long what is new may take to become as healthy as what it replaces.
pub(super) const WARM_UP: Duration = Duration::from_secs(600);

/// The key of the listener of this load balancer and port.
pub fn listener_key(load_balancer: &ResourceKey, port: u16) -> ResourceKey {
    ResourceKey::new(kind::LISTENER, &port.to_string(), load_balancer.generation)
}

/// The entries of the listeners of one load balancer.
pub(super) fn entries_of<'a>(
    inventory: &'a Inventory,
    load_balancer: &'a ResourceKey,
) -> impl Iterator<Item = &'a ResourceKey> {
    let all = inventory.of_kind(kind::LISTENER).map(|entry| &entry.key);
    all.filter(|key| key.generation == load_balancer.generation)
}

impl Planner<'_> {
    /// The listeners of one load balancer, which exists or is about to.
    pub(super) fn listeners(
        &mut self,
        load_balancer: &ResourceKey,
        found: Option<&FoundLoadBalancer>,
        chosen: &Chosen,
    ) -> Result<(), CloudError> {
        let nlb = self.nlb;
        for wish in nlb.listeners.values() {
            let key = listener_key(load_balancer, wish.port);
            if self.actual.unseen.contains(&key) {
                continue;
            }
            let existing =
                found.and_then(|found| found.listeners.iter().find(|found| found.listener.port == wish.port));
            let held = self.held.clone();
            let differs = existing.is_none_or(|existing| existing.listener.protocol != wish.protocol);
            if differs && self.awaits_ipv6(load_balancer, found, wish.protocol) {
                continue;
            }
            if differs && let Some(change) = self.awaits_ipv4(load_balancer, found, wish.protocol) {
                self.held = Some(change);
            }
            match existing {
                None => self.create_listener(load_balancer, key, wish, chosen),
                Some(found) => {
                    self.claim(load_balancer, &key, found)?;
                    self.update_listener(key, wish, found, chosen);
                }
            }
            self.held = held;
        }
        if let Some(found) = found {
            self.claim_standing(found);
            self.surplus_listeners(load_balancer, found);
        }
        Ok(())
    }

    fn create_listener(
        &mut self,
        load_balancer: &ResourceKey,
        key: ResourceKey,
        wish: &ListenerWish,
        chosen: &Chosen,
    ) {
        let forward =
            wish.forward.iter().map(|forward| forward_ref(&forward.to, forward.weight, chosen)).collect();
        let new = NewListener {
            key: key.clone(),
            load_balancer: load_balancer.clone(),
            port: wish.port,
            protocol: wish.protocol,
            forward: single(forward),
            certificate: wish.tls.as_ref().map(|tls| tls.certificate.clone()),
            policy: wish.tls.as_ref().map(|tls| tls.policy.clone()),
            alpn: wish.tls.as_ref().and_then(|tls| tls.alpn.clone()),
            tags: self.tags_of(&key.role),
        };
        self.mend(AwsOperation::CreateListener(Box::new(new)), "it does not exist");
        if !self.repairs {
            return;
        }
        let more: Vec<String> = wish.tls.iter().flat_map(more_certificates).cloned().collect();
        if !more.is_empty() {
            let operation = AwsOperation::AddCertificates { key: key.clone(), certificates: more };
            self.step(StepClass::Change, operation, "further certificates");
        }
        if let Some(change) = settle(kind::LISTENER, None, &wish.attributes, None, self.inventory.get(&key)) {
            self.set_attributes(&key, change);
        }
    }

    /// Enters a listener that was found and is not in the inventory.
    ///
    /// # Errors
    /// `PortConflict` when it is somebody else's on a load balancer that is not ours.
    fn claim(
        &mut self,
        load_balancer: &ResourceKey,
        key: &ResourceKey,
        found: &FoundListener,
    ) -> Result<(), CloudError> {
        if self.inventory.id(key) == Some(found.listener.arn.as_str()) {
            return Ok(());
        }
        let borrowed = self.entry(load_balancer).is_some_and(|entry| entry.ownership == Ownership::Borrowed);
        if borrowed && !self.nlb.owner.owns(&found.tags) {
            let text = format!(
                "port {} has a listener that somebody else made ({})",
                found.listener.port, found.listener.arn
            );
            return Err(
                CloudError::user("PortConflict", text).remedy("use another port, or delete that listener")
            );
        }
        let operation = AwsOperation::Adopt {
            key: key.clone(),
            name: String::new(),
            id: found.listener.arn.clone(),
            ownership: Ownership::Owned,
            facts: Default::default(),
        };
        self.step(StepClass::Change, operation, "it is on a port of ours");
        Ok(())
    }

    fn update_listener(
        &mut self,
        key: ResourceKey,
        wish: &ListenerWish,
        found: &FoundListener,
        chosen: &Chosen,
    ) {
        let is = &found.listener;
        let forward = self.forward(wish, is, chosen);
        let protocol = (is.protocol != wish.protocol).then_some(wish.protocol);
        let moves = protocol.is_some() || !self.is_same_forward(&forward, &is.forward);
        let mut change = ListenerChange {
            key: key.clone(),
            protocol,
            forward: moves.then_some(forward),
            certificate: None,
            policy: None,
            alpn: None,
            records: Records::default(),
        };
        let mut surplus = Vec::new();
        if let Some(tls) = &wish.tls {
            let certificates: BTreeSet<&String> = found.certificates.iter().flatten().collect();
            let more: BTreeSet<&String> = more_certificates(tls).collect();
            let missing: Vec<String> =
                more.iter().filter(|arn| !certificates.contains(**arn)).map(|arn| (*arn).clone()).collect();
            let extra = certificates.iter().filter(|arn| !more.contains(**arn) && ***arn != tls.certificate);
            surplus = extra.map(|arn| (*arn).clone()).collect();
            if !missing.is_empty() && protocol.is_none() {
                let operation = AwsOperation::AddCertificates { key: key.clone(), certificates: missing };
                self.mend(operation, "certificates are missing");
            }
            change.certificate =
                (is.certificate.as_ref() != Some(&tls.certificate)).then(|| tls.certificate.clone());
            change.policy = (is.policy.as_ref() != Some(&tls.policy)).then(|| tls.policy.clone());
            self.alpn(&mut change, tls.alpn.as_ref(), is);
        }
        if change.protocol.is_some()
            || change.forward.is_some()
            || change.certificate.is_some()
            || change.policy.is_some()
            || change.alpn.is_some()
            || change.records != Records::default()
        {
            self.mend(AwsOperation::ModifyListener(Box::new(change)), "the listener differs");
        }
        if !surplus.is_empty() {
            let operation = AwsOperation::RemoveCertificates { key: key.clone(), certificates: surplus };
            self.mend(operation, "certificates that are not wished");
        }
        if let Some(attributes) = &found.attributes
            && let Some(change) =
                settle(kind::LISTENER, None, &wish.attributes, Some(attributes), self.inventory.get(&key))
        {
            self.set_attributes(&key, change);
        }
        self.tags(&key, &found.tags);
    }

    fn alpn(&self, change: &mut ListenerChange, wish: Option<&String>, is: &Listener) {
        let recorded = self.entry(&change.key).and_then(|entry| entry.recorded.get(record::ALPN));
        match (wish, recorded) {
            (Some(wish), _) if is.alpn.as_ref() == Some(wish) => {}
            (Some(wish), recorded) => {
                change.alpn = Some(wish.clone());
                if recorded.is_none() {
                    change.records.before.insert(record::ALPN.to_owned(), is.alpn.clone());
                }
            }
            (None, Some(before)) => {
                change.records.forget.push(record::ALPN.to_owned());
                let before = before.clone().unwrap_or_else(|| "None".to_owned());
                change.alpn = (is.alpn.as_deref().unwrap_or("None") != before).then_some(before);
            }
            (None, None) => {}
        }
    }

    /// Where the traffic goes now: where it is wished, unless that target group has to warm up first.
    ///
    /// AWS checks no target of a target group without a listener: it warms up beside the old one, with the weight 0.
    fn forward(&mut self, wish: &ListenerWish, is: &Listener, chosen: &Chosen) -> Vec<ForwardRef> {
        let mut forward = Vec::new();
        for part in &wish.forward {
            let wished = forward_ref(&part.to, part.weight, chosen);
            match self.predecessor(wish, part, is, chosen) {
                Some(old) => {
                    forward.push(ForwardRef { to: BackendRef::Arn(old), weight: part.weight.max(1) });
                    forward.push(ForwardRef { weight: 0, ..wished });
                }
                None => forward.push(wished),
            }
        }
        single(forward)
    }

    /// The target group that serves a part of the traffic until the chosen one is as healthy.
    fn predecessor(
        &mut self,
        wish: &ListenerWish,
        part: &crate::model::ForwardWish,
        is: &Listener,
        chosen: &Chosen,
    ) -> Option<String> {
        let Backend::Role(role) = &part.to else { return None };
        let new = chosen.get(role)?;
        let group_wish = self.nlb.target_groups.get(role)?;
        let serving =
            |arn: &str| is.forward.iter().any(|forward| forward.target_group == arn && forward.weight > 0);
        let (old_key, old) = self.actual.target_groups.iter().find(|(key, found)| {
            key.role == *role && *key != new && found.group.as_ref().is_some_and(|group| serving(&group.arn))
        })?;
        let group = old.group.as_ref()?;
        let together = group.protocol == group_wish.protocol && group.family == group_wish.family;
        if !together || is.protocol != wish.protocol {
            return None;
        }
        let before = healthy_count(old);
        let after = self.actual.target_groups.get(new).map_or(0, healthy_count);
        if after >= before.min(group_wish.targets.len()) {
            return None;
        }
        let arn = group.arn.clone();
        let text = format!("{} serves until {} is as healthy: {after} of {before}", say(old_key), say(new));
        let late = self.entry(new).is_some_and(|entry| self.now.since(entry.since) >= WARM_UP);
        if late {
            self.remark(
                "TargetsNotHealthy",
                format!("{text}, for more than 10 minutes: see the health of its targets"),
            );
        }
        self.plan.wait("WaitingForTargets", text, SOON);
        Some(arn)
    }

    fn is_same_forward(&self, wish: &[ForwardRef], is: &[Forward]) -> bool {
        let resolve = |forward: &ForwardRef| {
            let target_group = match &forward.to {
                BackendRef::Own(key) => self.inventory.id(key)?.to_owned(),
                BackendRef::Arn(arn) => arn.clone(),
            };
            Some(Forward { target_group, weight: forward.weight })
        };
        let Some(mut wish) = wish.iter().map(resolve).collect::<Option<Vec<Forward>>>() else { return false };
        let mut is = is.to_vec();
        if let [only] = is.as_mut_slice() {
            only.weight = 1;
        }
        wish.sort();
        is.sort();
        wish == is
    }

    /// Whether a listener stays as it is because a Service that it serves cannot be served as it is written now.
    pub(super) fn is_standing(&self, listener: &Listener) -> bool {
        let concerns = |forward: &Forward| {
            let mut groups = self.inventory.of_kind(kind::TARGET_GROUP);
            groups.any(|group| {
                group.id.as_ref() == Some(&forward.target_group) && self.nlb.standing.concerns(&group.key)
            })
        };
        !self.nlb.listeners.contains_key(&listener.port) && listener.forward.iter().any(concerns)
    }

    /// The listeners of a load balancer that stay as they are.
    pub(super) fn standing_listeners<'f>(
        &'f self,
        found: &'f FoundLoadBalancer,
    ) -> impl Iterator<Item = &'f Listener> {
        found.listeners.iter().map(|found| &found.listener).filter(|listener| self.is_standing(listener))
    }

    /// Keeps the target groups of listeners that stay as they are.
    fn claim_standing(&mut self, found: &FoundLoadBalancer) {
        let standing: BTreeSet<String> = self
            .standing_listeners(found)
            .flat_map(|listener| &listener.forward)
            .map(|forward| forward.target_group.clone())
            .collect();
        let groups = self.inventory.of_kind(kind::TARGET_GROUP);
        let kept = groups.filter(|group| group.id.as_ref().is_some_and(|id| standing.contains(id)));
        let kept: Vec<ResourceKey> = kept.map(|group| group.key.clone()).collect();
        self.claimed.extend(kept);
    }

    fn surplus_listeners(&mut self, load_balancer: &ResourceKey, found: &FoundLoadBalancer) {
        let entries: Vec<Resource> =
            entries_of(&self.inventory, load_balancer).filter_map(|key| self.entry(key)).cloned().collect();
        for found in &found.listeners {
            let port = found.listener.port;
            if self.nlb.listeners.contains_key(&port) || self.is_standing(&found.listener) {
                continue;
            }
            let arn = found.listener.arn.as_str();
            // One whose making was not noted is known by its port, and by its tags.
            let lost = |entry: &&Resource| {
                entry.id.is_none() && entry.key.role == port.to_string() && self.nlb.owner.owns(&found.tags)
            };
            let known = |entry: &&Resource| entry.id.as_deref() == Some(arn);
            match entries.iter().find(|entry| known(entry) || lost(entry)) {
                Some(entry) => {
                    if entry.id.is_none() {
                        let operation = AwsOperation::Adopt {
                            key: entry.key.clone(),
                            name: String::new(),
                            id: arn.to_owned(),
                            ownership: Ownership::Owned,
                            facts: Default::default(),
                        };
                        self.step(StepClass::Change, operation, "it was made, and that was not noted");
                    }
                    let operation = AwsOperation::DeleteListener { key: entry.key.clone() };
                    self.late_step(StepClass::Delete, operation, "the port is not wished any longer");
                }
                None if self
                    .entry(load_balancer)
                    .is_some_and(|entry| entry.ownership == Ownership::Owned) =>
                {
                    self.remark(
                        "Drift",
                        format!("listener {port} was made by somebody else, and is left alone"),
                    );
                }
                None => {}
            }
        }
        for entry in entries {
            let wished = self.nlb.listeners.keys().any(|port| port.to_string() == entry.key.role);
            let exists =
                found.listeners.iter().any(|found| entry.id.as_deref() == Some(found.listener.arn.as_str()));
            let lost = found
                .listeners
                .iter()
                .any(|found| entry.id.is_none() && found.listener.port.to_string() == entry.key.role);
            if lost && !wished {
                if self.now.since(entry.since) < SETTLES_WITHIN {
                    let text = format!("{} may just have been made", say(&entry.key));
                    self.plan.wait("WaitingForVisibility", text, SOON);
                }
                continue;
            }
            if !wished && !exists && !self.actual.unseen.contains(&entry.key) {
                let operation = AwsOperation::Strike { key: entry.key };
                self.late_step(StepClass::Delete, operation, "it does not exist");
            }
        }
    }
}

fn forward_ref(to: &Backend, weight: u32, chosen: &Chosen) -> ForwardRef {
    let to = match to {
        Backend::Arn(arn) => BackendRef::Arn(arn.clone()),
        Backend::Role(role) => match chosen.get(role) {
            Some(key) => BackendRef::Own(key.clone()),
            None => BackendRef::Own(ResourceKey::new(kind::TARGET_GROUP, role, 1)),
        },
    };
    ForwardRef { to, weight }
}

/// The weight of a single one means nothing.
fn single(mut forward: Vec<ForwardRef>) -> Vec<ForwardRef> {
    if let [only] = forward.as_mut_slice() {
        only.weight = 1;
    }
    forward
}

/// Certificates beside the default one.
fn more_certificates(tls: &crate::model::Tls) -> impl Iterator<Item = &String> {
    tls.more.iter().filter(|arn| **arn != tls.certificate)
}
