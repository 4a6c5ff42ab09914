//! All that a cloud has to bring along: `Cloud` for the load balancers of `api`.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use daymark_model::{Inventory, IpMode, Phase, Resource, ResourceKey, Timestamp};
use daymark_providers::cloud::Address;
use daymark_providers::plan::{Manner, Wait};
use daymark_providers::{
    Capabilities, Cloud, CloudError, Depth, ErrorClass, Operation, Outcome, Plan, Published, StepClass,
};

use crate::api::{Api, Balancer, Refusal, SERVERS_PER_SIZE};

/// How long a call that nobody waits for any more may still make something.
const IN_FLIGHT: Duration = Duration::from_secs(30);
const KIND: &str = "Balancer";

#[derive(Default)]
pub struct Small(pub Api);

#[derive(Debug, Clone)]
pub struct Desired {
    pub name: String,
    pub location: String,
    pub size: u32,
    pub ports: BTreeSet<u16>,
    pub servers: BTreeSet<String>,
}

#[derive(Debug, Clone)]
pub struct Op {
    key: ResourceKey,
    what: What,
}

#[derive(Debug, Clone)]
enum What {
    Create { name: String, location: String, size: u32 },
    Ports(BTreeSet<u16>),
    Attach(String),
    Detach(String),
    Resize(u32),
    Delete,
}

impl Operation for Op {
    fn describe(&self) -> String {
        format!("{:?} of {}", self.what, self.key)
    }

    fn remember(&self, inventory: &mut Inventory, now: Timestamp) {
        match &self.what {
            What::Create { name, .. } => {
                inventory.intend(Resource::intended(self.key.clone(), name.clone(), now));
            }
            What::Delete => inventory.leaving(&self.key, now),
            What::Ports(_) | What::Attach(_) | What::Detach(_) | What::Resize(_) => {}
        }
    }
}

fn error(action: &str, Refusal(code): Refusal) -> CloudError {
    let class = match code {
        "rate_limit_exceeded" => ErrorClass::Throttled,
        "resource_limit_exceeded" => ErrorClass::Quota,
        "forbidden" => ErrorClass::Permission,
        "invalid_input" => ErrorClass::User,
        "protected" => ErrorClass::Blocked,
        _ => ErrorClass::Transient,
    };
    let error = CloudError::new(class, class.as_str(), code);
    CloudError { action: Some(action.to_owned()), code: Some(code.to_owned()), ..error }
}

fn id_of(inventory: &Inventory, key: &ResourceKey) -> Option<u64> {
    inventory.id(key)?.parse().ok()
}

fn note(inventory: &mut Inventory, key: &ResourceKey, balancer: &Balancer, now: Timestamp) {
    inventory.made(key, &balancer.id.to_string(), now);
    if let Some(resource) = inventory.get_mut(key) {
        resource.facts.insert("ip".into(), balancer.ip.to_string());
    }
}

impl Cloud for Small {
    type Desired = Desired;
    type Actual = BTreeMap<ResourceKey, Balancer>;
    type Operation = Op;

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            groups: false,
            needs_node_ports: true,
            udp: false,
            dual_stack: false,
            source_ranges: false,
            proxy_protocol: false,
            tls: false,
        }
    }

    async fn observe(
        &self,
        _: Option<&Desired>,
        inventory: &mut Inventory,
        _: Depth,
        now: Timestamp,
    ) -> Result<Self::Actual, CloudError> {
        let mut found = BTreeMap::new();
        for resource in inventory.clone().resources() {
            let key = &resource.key;
            let balancer = match id_of(inventory, key) {
                Some(id) => self.0.get(id).await,
                None => self.0.find(&resource.name).await,
            };
            match balancer.map_err(|refusal| error("get", refusal))? {
                Some(balancer) if resource.phase == Phase::Leaving => {
                    found.insert(key.clone(), balancer);
                }
                Some(balancer) => {
                    note(inventory, key, &balancer, now);
                    found.insert(key.clone(), balancer);
                }
                None if resource.phase == Phase::Intended && now.since(resource.since) < IN_FLIGHT => {}
                None => inventory.gone(key),
            }
        }
        Ok(found)
    }

    fn plan(
        &self,
        desired: Option<&Desired>,
        actual: &Self::Actual,
        inventory: &Inventory,
        _: Timestamp,
    ) -> Result<Plan<Op>, CloudError> {
        let mut plan = Plan::default();
        let Some(desired) = desired else {
            for key in actual.keys() {
                plan.step(StepClass::Delete, op(key, What::Delete), "not wished for");
            }
            if inventory.resources().any(|resource| !actual.contains_key(&resource.key)) {
                plan.wait("Settling", "a call in flight may still make something", IN_FLIGHT);
            }
            return Ok(plan);
        };
        for (key, balancer) in actual {
            servers(&mut plan, desired, key, balancer);
        }
        // One that was intended and is not there has the number that the next one gets.
        let known = inventory.of_kind(KIND).map(|resource| resource.key.generation).last();
        let Some((key, balancer)) = actual.last_key_value() else {
            let (key, create) = creation(desired, known.unwrap_or(1));
            plan.step(StepClass::Change, op(&key, create), "there is none");
            let ports = What::Ports(desired.ports.clone());
            plan.step(StepClass::Change, op(&key, ports), "a new one has none");
            return Ok(plan);
        };
        if balancer.ports != desired.ports {
            let ports = What::Ports(desired.ports.clone());
            plan.step(StepClass::Change, op(key, ports), "other ports are wished for");
        }
        if balancer.location != desired.location {
            let change = moves(&mut plan, key);
            let (key, create) = creation(desired, known.unwrap_or(1).max(key.generation + 1));
            plan.held_step(&change, StepClass::Change, op(&key, create), "no location can be changed");
        } else if balancer.size != desired.size {
            let text = format!("{} is resized: connections break", desired.name);
            let change = plan.disrupt(format!("resize-{}", key.generation), Manner::Interrupts, text);
            let resize = op(key, What::Resize(desired.size));
            plan.held_step(&change, StepClass::Change, resize, "another size is wished for");
        }
        let serves = balancer.ports == desired.ports && balancer.servers == wanted(desired, balancer);
        for old in actual.keys().filter(|old| *old != key) {
            let change = moves(&mut plan, old);
            if serves {
                plan.held_step(&change, StepClass::Delete, op(old, What::Delete), "it is replaced");
            } else {
                plan.wait("WaitingForReplacement", "the new one does not serve yet", IN_FLIGHT);
            }
        }
        Ok(plan)
    }

    async fn apply(&self, op: &Op, inventory: &mut Inventory, now: Timestamp) -> Result<Outcome, CloudError> {
        let wait = |message: &str| Outcome::Wait {
            reason: "ActionRunning",
            message: message.to_owned(),
            after: Duration::from_secs(5),
        };
        let (action, done) = match (&op.what, id_of(inventory, &op.key)) {
            (What::Create { name, location, size }, _) => {
                let made = match self.0.create(name, location, *size).await {
                    // Ours: an earlier pass made it and did not hear the answer.
                    Err(Refusal("uniqueness_error")) => {
                        self.0.find(name).await.and_then(|b| b.ok_or(Refusal("not_found")))
                    }
                    made => made,
                };
                let noted = made.map(|balancer| note(inventory, &op.key, &balancer, now));
                ("create", noted)
            }
            (_, None) => return Ok(wait("it is not made yet")),
            (What::Ports(ports), Some(id)) => ("ports", self.0.set_ports(id, ports).await),
            (What::Attach(server), Some(id)) => ("attach", self.0.attach(id, server).await),
            (What::Detach(server), Some(id)) => ("detach", self.0.detach(id, server).await),
            (What::Resize(size), Some(id)) => ("resize", self.0.resize(id, *size).await),
            (What::Delete, Some(id)) => match self.0.delete(id).await {
                Ok(()) | Err(Refusal("not_found")) => {
                    inventory.gone(&op.key);
                    ("delete", Ok(()))
                }
                refused => ("delete", refused),
            },
        };
        match done {
            Ok(()) => Ok(Outcome::Done),
            Err(Refusal("locked")) => Ok(wait("another action runs")),
            Err(refusal) => Err(error(action, refusal)),
        }
    }

    fn published(&self, _: &Desired, _: &Self::Actual, inventory: &Inventory) -> Option<Published> {
        let ips = inventory.of_kind(KIND).filter_map(|r| r.facts.get("ip")?.parse::<IpAddr>().ok());
        let addresses = ips.map(|ip| Address::Ip(ip, IpMode::VIP)).collect();
        Some(Published { addresses, ..Published::default() })
    }
}

fn op(key: &ResourceKey, what: What) -> Op {
    Op { key: key.clone(), what }
}

fn creation(desired: &Desired, generation: u32) -> (ResourceKey, What) {
    let name = format!("{}-{generation}", desired.name);
    let create = What::Create { name, location: desired.location.clone(), size: desired.size };
    (ResourceKey::new(KIND, "main", generation), create)
}

/// The change that replaces `key`, from the wish for another location until the old one is gone.
fn moves(plan: &mut Plan<Op>, key: &ResourceKey) -> String {
    plan.disrupt(format!("move-{}", key.generation), Manner::NewFirst, format!("{key} gets another address"))
}

fn wanted(desired: &Desired, balancer: &Balancer) -> BTreeSet<String> {
    desired.servers.iter().take(balancer.size as usize * SERVERS_PER_SIZE).cloned().collect()
}

fn servers(plan: &mut Plan<Op>, desired: &Desired, key: &ResourceKey, balancer: &Balancer) {
    let wanted = wanted(desired, balancer);
    let full = balancer.servers.union(&wanted).count() > balancer.size as usize * SERVERS_PER_SIZE;
    let attach = wanted.difference(&balancer.servers).map(|server| What::Attach(server.clone()));
    let detach = balancer.servers.difference(&wanted).map(|server| What::Detach(server.clone()));
    // New ones first, unless there is no room for them.
    let steps: Vec<What> = if full { detach.chain(attach).collect() } else { attach.chain(detach).collect() };
    for what in steps {
        plan.step(StepClass::Targets, op(key, what), "its servers changed");
    }
    if wanted.len() < desired.servers.len() {
        let message = format!("{} servers do not fit", desired.servers.len() - wanted.len());
        plan.remarks.push(Wait { reason: "QuotaExceeded", message, after: Duration::from_secs(60) });
    }
}
