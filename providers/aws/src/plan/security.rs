//! Security groups of a load balancer: our own one says who may come, exactly.

use std::collections::BTreeSet;

use daymark_model::{Phase, ResourceKey};
use daymark_providers::StepClass;
use ipnet::IpNet;

use super::Planner;
use super::operation::{AwsOperation, GroupRef, Records};
use crate::api::{Ingress, IngressRule, NlbProtocol, Peer, RuleProtocol};
use crate::model::{PortRange, Security, joined};
use crate::naming::{FRONTEND_ROLE, kind, record, rule_description};
use crate::observe::FoundLoadBalancer;

/// How many rules a security group of a new account may have, for each family.
pub const RULES_PER_GROUP: usize = 60;

/// How many rules these are, as the quota counts them: each family by itself. A prefix list counts as one here, and in AWS
/// as many as it may have entries.
pub fn rule_count<'a>(rules: impl IntoIterator<Item = &'a Ingress>) -> usize {
    let (mut v4, mut v6) = (0, 0);
    for rule in rules {
        match &rule.peer {
            Peer::Cidr(IpNet::V4(_)) => v4 += 1,
            Peer::Cidr(IpNet::V6(_)) => v6 += 1,
            Peer::PrefixList(_) | Peer::Group(_) => {
                v4 += 1;
                v6 += 1;
            }
        }
    }
    v4.max(v6)
}

impl Planner<'_> {
    /// The key of our own security group: the one that there is, else the next.
    pub(super) fn frontend_key(&self) -> ResourceKey {
        let stays = |entry: &&daymark_model::Resource| {
            entry.key.role == FRONTEND_ROLE && entry.phase != Phase::Leaving
        };
        let newest = self.inventory.of_kind(kind::SECURITY_GROUP).filter(stays).last();
        newest.map(|entry| entry.key.clone()).unwrap_or_else(|| {
            let generation = self.inventory.next_generation(kind::SECURITY_GROUP, FRONTEND_ROLE);
            ResourceKey::new(kind::SECURITY_GROUP, FRONTEND_ROLE, generation)
        })
    }

    /// Our own security group and its rules. What may come is let in now; what may not, is kept out at the end.
    pub(super) fn frontend(&mut self) {
        let Security::Managed { sources, prefix_lists, path_mtu } = &self.nlb.security else { return };
        if matches!(self.nlb.adopt, Some(crate::model::Adopt::Arn(_))) {
            return;
        }
        let key = self.frontend_key();
        if self.actual.unseen.contains(&key) {
            return;
        }
        let standing = self.actual.load_balancers.values().flat_map(|found| self.standing_listeners(found));
        let ports: BTreeSet<(NlbProtocol, u16)> = self
            .nlb
            .listeners
            .values()
            .map(|listener| (listener.protocol, listener.port))
            .chain(standing.map(|listener| (listener.protocol, listener.port)))
            .collect();
        let wanted = wanted_rules(&ports, sources, prefix_lists, *path_mtu);
        let found = self.actual.security_groups.get(&key);
        let Some(found) = found else {
            let operation = AwsOperation::CreateSecurityGroup {
                key: key.clone(),
                name: self.nlb.owner.resource_name(&key),
                description: format!(
                    "Who may reach the load balancer of {}/{}",
                    self.nlb.owner.namespace, self.nlb.owner.name
                ),
                vpc: self.nlb.vpc.clone(),
                tags: self.tags_of(FRONTEND_ROLE),
            };
            self.mend(operation, "it does not exist");
            if self.repairs {
                let total = rule_count(&wanted);
                self.authorize(&key, wanted, total);
            }
            return;
        };
        let found = found.clone();
        let present: BTreeSet<&Ingress> = found.rules.iter().map(|rule| &rule.ingress).collect();
        let missing: Vec<Ingress> = wanted.iter().filter(|rule| !present.contains(rule)).cloned().collect();
        let surplus: Vec<&IngressRule> =
            found.rules.iter().filter(|rule| !wanted.contains(&rule.ingress)).collect();
        let together = rule_count(present.iter().copied().chain(&missing));
        let left = if together <= RULES_PER_GROUP {
            self.authorize(&key, missing.into_iter().collect(), together);
            surplus
        } else {
            self.exchange(&key, &wanted, found.rules.iter().collect(), missing)
        };
        if !left.is_empty() {
            let rules = left.into_iter().map(|rule| rule.id.clone()).collect();
            let operation = AwsOperation::Revoke { group: GroupRef::Own(key.clone()), rules };
            if self.repairs {
                self.late_step(StepClass::Delete, operation, "not wished");
            } else {
                self.mend(operation, "not wished");
            }
        }
        self.tags(&key, &found.tags);
    }

    /// Brings the rules of a security group to `wanted` where the quota leaves no room for both: bit by bit, and nobody who
    /// may come is kept out longer than it takes to let him in by another rule. Gives what may go at the end.
    fn exchange<'r>(
        &mut self,
        key: &ResourceKey,
        wanted: &BTreeSet<Ingress>,
        mut present: Vec<&'r IngressRule>,
        mut missing: Vec<Ingress>,
    ) -> Vec<&'r IngressRule> {
        missing.sort_by(|a, b| a.peer.cmp(&b.peer).then_with(|| a.cmp(b)));
        let mut made: BTreeSet<Ingress> = BTreeSet::new();
        let is_surplus = |rule: &&&IngressRule| !wanted.contains(&rule.ingress);
        loop {
            let mut batch = BTreeSet::new();
            while let Some(next) = missing.first() {
                let then = present.iter().map(|rule| &rule.ingress).chain(&made).chain(&batch).chain([next]);
                if rule_count(then) > RULES_PER_GROUP {
                    break;
                }
                batch.insert(missing.remove(0));
            }
            made.extend(batch.iter().cloned());
            self.authorize(key, batch, rule_count(wanted));
            let surplus: Vec<&IngressRule> = present.iter().filter(is_surplus).copied().collect();
            if missing.is_empty() {
                return surplus;
            }
            // Whom nobody wishes to come goes first, then what says of somebody again what another rule says already.
            let waits = |rule: &&&IngressRule| missing.iter().any(|next| next.peer == rule.ingress.peer);
            let stranger = |rule: &&&IngressRule| wanted.iter().all(|other| other.peer != rule.ingress.peer);
            let mut goes: Vec<&IngressRule> = surplus.iter().filter(stranger).copied().collect();
            if goes.is_empty() {
                goes = surplus.iter().filter(|rule| !waits(rule)).copied().collect();
            }
            if goes.is_empty() {
                let next = missing.first().map(|next| &next.peer);
                let own = surplus.iter().find(|rule| Some(&rule.ingress.peer) == next);
                goes.extend(own.or(surplus.first()).copied());
            }
            if goes.is_empty() {
                // AWS says how many it allows: somebody may have raised the quota.
                self.authorize(key, missing.into_iter().collect(), rule_count(wanted));
                return Vec::new();
            }
            present.retain(|rule| !goes.iter().any(|other| other.id == rule.id));
            let rules = goes.into_iter().map(|rule| rule.id.clone()).collect();
            let operation = AwsOperation::Revoke { group: GroupRef::Own(key.clone()), rules };
            self.mend(operation, "it makes room for what is wished");
        }
    }

    fn authorize(&mut self, key: &ResourceKey, rules: BTreeSet<Ingress>, total: usize) {
        if rules.is_empty() {
            return;
        }
        let operation = AwsOperation::Authorize {
            group: GroupRef::Own(key.clone()),
            rules: rules.into_iter().collect(),
            description: rule_description(&self.nlb.owner.cluster),
            total,
        };
        self.mend(operation, "these clients may come");
    }

    /// Which security groups a load balancer has, where it can have any.
    pub(super) fn security_of(&mut self, key: &ResourceKey, found: &FoundLoadBalancer) {
        let is = &found.load_balancer.security_groups;
        let Some(wanted) = self.groups() else { return };
        if is.is_empty() || wanted.is_empty() {
            return;
        }
        let ids: Option<BTreeSet<String>> = wanted.iter().map(|group| self.group_id(group)).collect();
        let same = ids.is_some_and(|ids| ids == is.iter().cloned().collect());
        let (private_link_rules, records) = self.private_link(key, found);
        if same && private_link_rules.is_none() {
            return;
        }
        let operation =
            AwsOperation::SetSecurityGroups { key: key.clone(), groups: wanted, private_link_rules, records };
        self.mend(operation, if same { "rules for PrivateLink differ" } else { "security groups differ" });
    }

    fn group_id(&self, group: &GroupRef) -> Option<String> {
        match group {
            GroupRef::Own(key) => self.inventory.id(key).map(str::to_owned),
            GroupRef::Id(id) => Some(id.clone()),
        }
    }

    /// What has to be said of PrivateLink: nothing where it is as wished.
    fn private_link(&self, key: &ResourceKey, found: &FoundLoadBalancer) -> (Option<bool>, Records) {
        let entry = self.entry(key);
        // AWS does not always tell: then it is as it was last set, and else as AWS begins.
        let noted =
            entry.and_then(|entry| entry.facts.get(record::PRIVATE_LINK)).map(|value| value == "true");
        let is = found.load_balancer.private_link_rules.or(noted).unwrap_or(true);
        let recorded = entry.and_then(|entry| entry.recorded.get(record::PRIVATE_LINK));
        let mut records = Records::default();
        match (self.nlb.private_link_rules, recorded) {
            (Some(wish), _) if wish == is => (None, records),
            (Some(wish), recorded) => {
                if recorded.is_none() {
                    records.before.insert(record::PRIVATE_LINK.to_owned(), Some(is.to_string()));
                }
                (Some(wish), records)
            }
            (None, Some(before)) => {
                records.forget.push(record::PRIVATE_LINK.to_owned());
                (Some(before.as_deref() != Some("false")), records)
            }
            (None, None) => (None, records),
        }
    }

    /// Security groups of ours that no load balancer has or is to have.
    pub(super) fn surplus_security_groups(&mut self) {
        let keeps = match &self.nlb.security {
            Security::Managed { .. } => Some(self.frontend_key()),
            Security::Given { .. } | Security::Off => None,
        };
        let used: BTreeSet<&String> = self
            .actual
            .load_balancers
            .values()
            .flat_map(|found| &found.load_balancer.security_groups)
            .collect();
        let of_kind =
            self.inventory.of_kind(kind::SECURITY_GROUP).filter(|entry| Some(&entry.key) != keeps.as_ref());
        let surplus: Vec<ResourceKey> = of_kind
            .filter(|entry| entry.id.as_ref().is_none_or(|id| !used.contains(id)))
            .map(|entry| entry.key.clone())
            .collect();
        for key in surplus {
            if !self.actual.unseen.contains(&key) {
                self.late_step(
                    StepClass::Delete,
                    AwsOperation::DeleteSecurityGroup { key },
                    "nothing uses it",
                );
            }
        }
    }
}

/// The rules of our own security group: one for each source and port, or where that is more than a group may have, one for
/// each source and protocol, over all ports. That lets nobody in further: the group is the load balancer's own, and it
/// listens on no other ports.
fn wanted_rules(
    ports: &BTreeSet<(NlbProtocol, u16)>,
    sources: &BTreeSet<IpNet>,
    prefix_lists: &BTreeSet<String>,
    path_mtu: bool,
) -> BTreeSet<Ingress> {
    // Networks inside others, or halves of one, would only use up the quota of rules.
    let sources = IpNet::aggregate(&sources.iter().copied().collect());
    let peers: Vec<Peer> = sources
        .into_iter()
        .map(Peer::Cidr)
        .chain(prefix_lists.iter().cloned().map(Peer::PrefixList))
        .collect();
    let rules = |ranges: &BTreeSet<PortRange>| {
        let mut rules = BTreeSet::new();
        for peer in &peers {
            rules.extend(ranges.iter().map(|range| Ingress {
                protocol: range.protocol,
                from: i32::from(range.from),
                to: i32::from(range.to),
                peer: peer.clone(),
            }));
            if path_mtu {
                rules.extend(path_mtu_rules(peer));
            }
        }
        rules
    };
    let single: BTreeSet<PortRange> = ports
        .iter()
        .flat_map(|(protocol, port)| {
            let range = |protocol: &RuleProtocol| PortRange { protocol: *protocol, from: *port, to: *port };
            protocols(*protocol).iter().map(range)
        })
        .collect();
    let exact = rules(&single);
    if rule_count(&exact) <= RULES_PER_GROUP { exact } else { rules(&joined(single)) }
}

fn protocols(protocol: NlbProtocol) -> &'static [RuleProtocol] {
    match protocol {
        NlbProtocol::Tcp | NlbProtocol::Tls => &[RuleProtocol::Tcp],
        NlbProtocol::Udp => &[RuleProtocol::Udp],
        NlbProtocol::TcpUdp => &[RuleProtocol::Tcp, RuleProtocol::Udp],
    }
}

/// "Fragmentation needed" (type 3, code 4) and "packet too big" (type 2, code 0).
fn path_mtu_rules(peer: &Peer) -> Vec<Ingress> {
    let v4 = Ingress { protocol: RuleProtocol::Icmp, from: 3, to: 4, peer: peer.clone() };
    let v6 = Ingress { protocol: RuleProtocol::Icmpv6, from: 2, to: 0, peer: peer.clone() };
    match peer {
        Peer::Cidr(IpNet::V4(_)) => vec![v4],
        Peer::Cidr(IpNet::V6(_)) => vec![v6],
        Peer::PrefixList(_) | Peer::Group(_) => vec![v4, v6],
    }
}
