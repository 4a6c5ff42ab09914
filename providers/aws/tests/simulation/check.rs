//! Whether the account is as everybody wishes, and nothing is in it that nobody accounts for.

use std::collections::{BTreeMap, BTreeSet};

use daymark_aws::api::{Attributes, NlbProtocol, Peer, Tags, Target, TargetState};
use daymark_aws::model::{Backend, Desired, ListenerWish, Nlb, NodeAccess, NodeAccessState, Security};
use daymark_aws::naming::{kind, tag};
use daymark_aws::subnets::{Purpose, mappings};
use daymark_aws_fake::Snapshot;
use daymark_aws_fake::inspect::{ListenerState, LoadBalancerState, TargetGroupState};
use daymark_model::Inventory;
use daymark_model::aws::SubnetPolicy;

use crate::book::Book;
use crate::controller::Controller;
use crate::shop::Task;

/// What differs, in words.
pub struct Check<'a> {
    snapshot: &'a Snapshot,
    faults: Vec<String>,
}

/// Everything that is not as it is wished.
pub fn wishes(controller: &Controller) -> Vec<String> {
    let snapshot = controller.aws.snapshot();
    let book = controller.shared.book();
    let mut check = Check { snapshot: &snapshot, faults: Vec::new() };
    let mut alive = BTreeSet::new();
    for key in controller.shop.subjects(&book) {
        let inventory = book.objects.get(&key).map(|object| object.inventory.clone()).unwrap_or_default();
        match controller.shop.task(&key, &book) {
            Ok(Task::Serve(uid, desired)) => {
                match &*desired {
                    Desired::LoadBalancer(nlb) => check.nlb(controller, nlb, &inventory, &book),
                    Desired::NodeAccess(access) => check.node_access(access, &inventory),
                    Desired::Standing(_) => check.faults.push(format!("{key} is not mended")),
                }
                alive.insert(uid);
            }
            Ok(Task::Nothing | Task::Remove) => {}
            Err(error) => check.faults.push(error),
        }
    }
    check.only_of(&alive);
    check.faults
}

/// Everything that is in no saved inventory, neither by id nor by name.
pub fn forgotten(controller: &Controller, cluster: &str) -> Vec<String> {
    let leaked = controller.aws.leaked(cluster);
    if leaked.is_empty() {
        return leaked;
    }
    let snapshot = controller.aws.snapshot();
    let book = controller.shared.book();
    let inventories = || book.objects.values().map(|object| &object.inventory);
    let by_id = |id: &str| inventories().any(|one| one.resources().any(|e| e.id.as_deref() == Some(id)));
    let by_name = |name: &str| inventories().any(|one| one.resources().any(|entry| entry.name == name));
    let known = |id: &String| {
        if let Some((_, group)) = id.split_once(" in ") {
            return inventories().any(|one| one.of_kind(kind::NODE_RULES).any(|e| e.key.role == group));
        }
        if by_id(id) {
            return true;
        }
        let balancer = snapshot.load_balancers.get(id).map(|found| &found.load_balancer.name);
        let pool = snapshot.target_groups.get(id).map(|found| &found.target_group.name);
        let group = snapshot.security_groups.get(id).map(|found| &found.group.name);
        if let Some(name) = balancer.or(pool).or(group) {
            return by_name(name);
        }
        // A listener goes with its load balancer.
        snapshot.load_balancers.values().any(|found| {
            let holds = found.listeners.values().any(|listener| listener.listener.arn == *id);
            holds && (by_id(&found.load_balancer.arn) || by_name(&found.load_balancer.name))
        })
    };
    leaked.into_iter().filter(|id| !known(id)).collect()
}

impl Check<'_> {
    fn same<T: PartialEq + std::fmt::Debug>(&mut self, what: &str, is: &T, wished: &T) {
        if is != wished {
            self.faults.push(format!("{what}: is {is:?}, wished {wished:?}"));
        }
    }

    /// Nothing is left of those that are gone.
    fn only_of(&mut self, alive: &BTreeSet<String>) {
        let tagged = |tags: &Tags| tags.get(tag::UID).is_some_and(|uid| !alive.contains(uid));
        let balancers = self.snapshot.load_balancers.values().filter(|found| tagged(&found.tags));
        let pools = self.snapshot.target_groups.values().filter(|found| tagged(&found.tags));
        let names = balancers.map(|found| found.load_balancer.name.clone());
        let names = names.chain(pools.map(|found| found.target_group.name.clone()));
        self.faults.extend(names.map(|name| format!("{name} is left of somebody who is gone")));
    }

    fn nlb(&mut self, controller: &Controller, nlb: &Nlb, inventory: &Inventory, book: &Book) {
        let owner = format!("{} ({})", nlb.owner.name, nlb.owner.uid);
        let object = format!("{}/{}", nlb.owner.namespace, nlb.owner.name);
        // A group has the UID of its first member, which may have left it.
        let own = |tags: &Tags| {
            tags.get(tag::UID).is_some_and(|uid| *uid == nlb.owner.uid)
                && tags.get(tag::OWNER).is_some_and(|owner| *owner == object)
        };
        let found: Vec<&LoadBalancerState> =
            self.snapshot.load_balancers.values().filter(|found| own(&found.tags)).collect();
        let [found] = found.as_slice() else {
            self.faults.push(format!("{owner}: {} load balancers", found.len()));
            return;
        };
        let balancer = &found.load_balancer;
        self.same(&format!("{owner}: scheme"), &balancer.scheme, &nlb.scheme.unwrap_or(balancer.scheme));
        self.same(&format!("{owner}: families"), &balancer.ip_address_type, &nlb.ip_address_type);
        if let Some(name) = &nlb.name {
            self.same(&format!("{owner}: name"), &balancer.name, name);
        }
        self.zones(controller, nlb, found, &owner);
        self.security(nlb, found, inventory, &owner);
        self.tags(&format!("{owner}: load balancer"), &found.tags, nlb);
        self.attributes(&format!("{owner}: load balancer"), &found.attributes, &nlb.attributes);
        let is: Vec<u16> = found.listeners.keys().copied().collect();
        let wished: Vec<u16> = nlb.listeners.keys().copied().collect();
        self.same(&format!("{owner}: listeners"), &is, &wished);
        let mut used = BTreeSet::new();
        for (port, wish) in &nlb.listeners {
            let Some(listener) = found.listeners.get(port) else { continue };
            self.listener(&format!("{owner}: listener {port}"), nlb, wish, listener, inventory);
            used.extend(listener.listener.forward.iter().map(|to| to.target_group.clone()));
        }
        for pool in self.snapshot.target_groups.values().filter(|pool| own(&pool.tags)) {
            if !used.contains(&pool.target_group.arn) {
                self.faults.push(format!("{owner}: nothing forwards to {}", pool.target_group.name));
            }
        }
        self.restored(nlb, found, inventory, book);
    }

    fn zones(&mut self, controller: &Controller, nlb: &Nlb, found: &LoadBalancerState, owner: &str) {
        let follows = !nlb.subnets.named.is_empty() || nlb.policy.subnets == SubnetPolicy::Exact;
        if !follows {
            return;
        }
        let balancer = &found.load_balancer;
        let dualstack = nlb.ip_address_type == daymark_aws::api::IpAddressType::Dualstack;
        let purpose = Purpose { scheme: balancer.scheme, dualstack, cluster: &nlb.owner.cluster };
        let subnets = controller.aws.as_other(daymark_aws::api::DescribeSubnets {
            filter: daymark_aws::api::Filter { vpc: Some(nlb.vpc.clone()), ..Default::default() },
        });
        match mappings(&nlb.subnets, purpose, &subnets.unwrap_or_default(), &[]) {
            Ok(wished) => {
                let is: BTreeMap<_, _> = balancer
                    .zones
                    .iter()
                    .map(|zone| (zone.subnet.clone(), zone.address.allocation.clone()))
                    .collect();
                let wished: BTreeMap<_, _> =
                    wished.into_iter().map(|mapping| (mapping.subnet, mapping.allocation)).collect();
                self.same(&format!("{owner}: zones"), &is, &wished);
            }
            Err(error) => self.faults.push(format!("{owner}: {error}")),
        }
    }

    fn security(&mut self, nlb: &Nlb, found: &LoadBalancerState, inventory: &Inventory, owner: &str) {
        let mut wished = BTreeSet::new();
        let frontend = inventory.of_kind(kind::SECURITY_GROUP).filter_map(|entry| entry.id.clone());
        let frontend: Vec<String> = frontend.collect();
        match &nlb.security {
            Security::Managed { sources, .. } => {
                self.same(&format!("{owner}: security groups of its own"), &frontend.len(), &1);
                wished.extend(frontend.iter().cloned());
                if let NodeAccessState::Group(id) = &nlb.node_access {
                    wished.insert(id.clone());
                }
                let mut rules = BTreeSet::new();
                for wish in nlb.listeners.values() {
                    let protocols: &[&str] = match wish.protocol {
                        NlbProtocol::Tcp | NlbProtocol::Tls => &["tcp"],
                        NlbProtocol::Udp => &["udp"],
                        NlbProtocol::TcpUdp => &["tcp", "udp"],
                    };
                    for (source, protocol) in
                        sources.iter().flat_map(|source| protocols.iter().map(move |one| (source, one)))
                    {
                        rules.insert(format!("{protocol} {} {source}", wish.port));
                    }
                }
                let group = frontend.first().and_then(|id| self.snapshot.security_groups.get(id));
                let is: BTreeSet<String> = group
                    .into_iter()
                    .flat_map(|group| &group.rules)
                    .map(|rule| match &rule.ingress.peer {
                        Peer::Cidr(net) => {
                            format!("{} {} {net}", rule.ingress.protocol, rule.ingress.from)
                        }
                        Peer::PrefixList(other) | Peer::Group(other) => other.clone(),
                    })
                    .collect();
                self.same(&format!("{owner}: rules"), &is, &rules);
            }
            Security::Given { .. } => {
                self.same(&format!("{owner}: security groups of its own"), &frontend, &Vec::new());
                let users = self.snapshot.security_groups.values();
                wished.extend(users.filter(|g| g.group.name == "users").map(|g| g.group.id.clone()));
            }
            Security::Off => {
                self.same(&format!("{owner}: security groups of its own"), &frontend, &Vec::new());
            }
        }
        let is: BTreeSet<String> = found.load_balancer.security_groups.iter().cloned().collect();
        self.same(&format!("{owner}: security groups"), &is, &wished);
    }

    fn tags(&mut self, what: &str, is: &Tags, nlb: &Nlb) {
        let wished = nlb.tags.iter().chain([]).map(|(key, value)| (key.clone(), value.clone()));
        let owner = [(tag::UID, &nlb.owner.uid), (tag::CLUSTER, &nlb.owner.cluster)];
        let owner = owner.map(|(key, value)| (key.to_owned(), value.clone()));
        for (key, value) in wished.chain(owner) {
            self.same(&format!("{what}: tag {key}"), &is.get(&key), &Some(&value));
        }
    }

    fn attributes(&mut self, what: &str, is: &Attributes, wished: &Attributes) {
        for (key, value) in wished {
            self.same(&format!("{what}: {key}"), &is.get(key), &Some(value));
        }
    }

    fn listener(
        &mut self,
        what: &str,
        nlb: &Nlb,
        wish: &ListenerWish,
        found: &ListenerState,
        inventory: &Inventory,
    ) {
        let listener = &found.listener;
        self.same(&format!("{what}: protocol"), &listener.protocol, &wish.protocol);
        self.same(
            &format!("{what}: certificate"),
            &listener.certificate.as_ref(),
            &wish.tls.as_ref().map(|tls| &tls.certificate),
        );
        // That the default one is among them too does no harm.
        let default = listener.certificate.as_ref();
        let more: BTreeSet<&String> = found.certificates.iter().filter(|arn| Some(*arn) != default).collect();
        if let Some(tls) = &wish.tls {
            self.same(&format!("{what}: further certificates"), &more, &tls.more.iter().collect());
        }
        self.attributes(what, &found.attributes, &wish.attributes);
        self.tags(what, &found.tags, nlb);
        self.same(&format!("{what}: target groups"), &listener.forward.len(), &wish.forward.len());
        for (to, forward) in listener.forward.iter().zip(&wish.forward) {
            let Backend::Role(role) = &forward.to else { continue };
            let entry = inventory
                .of_kind(kind::TARGET_GROUP)
                .find(|entry| entry.id.as_ref() == Some(&to.target_group));
            let Some(entry) = entry else {
                self.faults.push(format!("{what}: {} is in no inventory", to.target_group));
                continue;
            };
            self.same(&format!("{what}: role"), &entry.key.role, role);
            let Some(pool) = self.snapshot.target_groups.get(&to.target_group) else { continue };
            self.pool(&format!("{what}: target group"), nlb, role, pool);
        }
    }

    fn pool(&mut self, what: &str, nlb: &Nlb, role: &str, pool: &TargetGroupState) {
        let Some(wish) = nlb.target_groups.get(role) else { return };
        let group = &pool.target_group;
        self.same(&format!("{what}: protocol"), &group.protocol, &wish.protocol);
        self.same(&format!("{what}: target type"), &group.target_type, &wish.target_type);
        self.same(
            &format!("{what}: health check"),
            &(group.health.protocol, group.health.port, group.health.interval, group.health.timeout),
            &(wish.health.protocol, wish.health.port, wish.health.interval, wish.health.timeout),
        );
        if wish.health.path.is_some() {
            self.same(&format!("{what}: path"), &group.health.path, &wish.health.path);
        }
        self.attributes(what, &pool.attributes, &wish.attributes);
        self.tags(what, &pool.tags, nlb);
        let id = |target: &Target| (target.id.clone(), target.port);
        let is: BTreeSet<_> = pool
            .targets
            .iter()
            .filter(|health| health.state != TargetState::Draining)
            .map(|health| id(&health.target))
            .collect();
        self.same(&format!("{what}: targets"), &is, &wish.targets.iter().map(id).collect());
    }

    /// Attributes that are no longer asked for are as they were before.
    fn restored(&mut self, nlb: &Nlb, found: &LoadBalancerState, inventory: &Inventory, book: &Book) {
        let mut check = |arn: &str, is: &Attributes, wished: &Attributes| {
            let changed = book.before.range((arn.to_owned(), String::new())..);
            for ((_, name), before) in changed.take_while(|((of, _), _)| of == arn) {
                if !wished.contains_key(name) && is.get(name) != before.as_ref() {
                    let text = format!("{arn}: {name} is {:?}, and was {before:?}", is.get(name));
                    self.faults.push(text);
                }
            }
        };
        check(&found.load_balancer.arn, &found.attributes, &nlb.attributes);
        for (port, listener) in &found.listeners {
            let none = Attributes::new();
            let wished = nlb.listeners.get(port).map_or(&none, |wish| &wish.attributes);
            check(&listener.listener.arn, &listener.attributes, wished);
        }
        for entry in inventory.of_kind(kind::TARGET_GROUP) {
            let Some(pool) = entry.id.as_ref().and_then(|id| self.snapshot.target_groups.get(id)) else {
                continue;
            };
            if let Some(wish) = nlb.target_groups.get(&entry.key.role) {
                check(&pool.target_group.arn, &pool.attributes, &wish.attributes);
            }
        }
    }

    fn node_access(&mut self, access: &NodeAccess, inventory: &Inventory) {
        let groups: Vec<String> =
            inventory.of_kind(kind::SECURITY_GROUP).filter_map(|entry| entry.id.clone()).collect();
        let [group] = groups.as_slice() else {
            self.faults.push(format!("node access: {} security groups", groups.len()));
            return;
        };
        let rules = self.snapshot.security_groups.values().flat_map(|found| &found.rules);
        let ours = rules.filter(|rule| rule.ingress.peer == Peer::Group(group.clone()));
        let is: BTreeSet<String> = ours
            .map(|rule| {
                let ingress = &rule.ingress;
                format!("{} {}-{}", ingress.protocol, ingress.from, ingress.to)
            })
            .collect();
        let wished: BTreeSet<String> = access
            .ranges
            .iter()
            .map(|range| format!("{} {}-{}", range.protocol, range.from, range.to))
            .collect();
        self.same("node access: rules", &is, &wished);
    }
}
