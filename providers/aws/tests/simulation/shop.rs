//! The cluster: its Services, pods and nodes, and the profile; and which load balancers they want.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use daymark_aws::model::{
    Built, Desired, NodeAccess, NodeAccessState, PortRange, Subject, Surplus, build, joined,
};
use daymark_aws::naming::Owner;
use daymark_aws::plan::node_access::backend_key;
use daymark_aws_fake::Account;
use daymark_model::aws::{CloudMode, Replacement};
use daymark_model::{AwsProfile, Timestamp};
use daymark_providers::Policy;
use daymark_providers::view::{EndpointState, EndpointView, NodeView, ServiceView, World};

use crate::book::{Book, Object};
use crate::wish::{Back, Front, Said, port_name};

/// The names of Services; the last two may join the group.
pub const NAMES: [&str; 3] = ["web", "api", "dns"];
pub const GROUP: &str = "group.front";
pub const NODE_ACCESS: &str = "node-access.aws";

/// A Service as its author keeps it.
#[derive(Debug, Clone)]
pub struct Entry {
    pub uid: String,
    pub born: Timestamp,
    pub front: Front,
    pub back: Back,
    pub grouped: bool,
    /// Whether it has an annotation that does not exist.
    pub mistaken: bool,
    /// Numbers of its pods, and whether they are ready.
    pub pods: BTreeMap<u16, bool>,
}

#[derive(Debug, Clone)]
pub struct Node {
    pub instance: String,
    pub zone: String,
    pub excluded: bool,
}

#[derive(Debug)]
pub struct Shop {
    pub account: Account,
    pub profile: AwsProfile,
    pub replacement: Replacement,
    pub mode: CloudMode,
    pub services: BTreeMap<&'static str, Entry>,
    /// What is said about the load balancer of the group.
    pub group_front: Front,
    pub nodes: BTreeMap<String, Node>,
    /// The consent that the Services of each load balancer carry.
    pub consents: BTreeMap<String, String>,
    pub born: u64,
}

/// What is to be done for a load balancer.
#[derive(Debug)]
pub enum Task {
    Nothing,
    /// It is to be so, on behalf of the object with this identity.
    Serve(String, Box<Desired>),
    Remove,
}

impl Shop {
    pub fn new(account: &Account) -> Self {
        let node = |instance: &String| Node {
            instance: instance.clone(),
            zone: account.zones.first().cloned().unwrap_or_default(),
            excluded: false,
        };
        let nodes = account.instances.iter().take(2).enumerate();
        Self {
            account: account.clone(),
            profile: AwsProfile::new("test", &account.vpc),
            replacement: Replacement::OnConsent,
            mode: CloudMode::Apply,
            services: BTreeMap::new(),
            group_front: Front::plain(),
            nodes: nodes.map(|(number, instance)| (format!("n{number}"), node(instance))).collect(),
            consents: BTreeMap::new(),
            born: 0,
        }
    }

    /// A Service comes, with a UID that none had before.
    pub fn create(&mut self, name: &'static str, now: Timestamp) {
        self.born += 1;
        let entry = Entry {
            uid: format!("uid-{}", self.born),
            born: now,
            front: Front::plain(),
            back: Back::plain(base(name)),
            grouped: false,
            mistaken: false,
            pods: [(1, true), (2, true)].into(),
        };
        self.services.insert(name, entry);
    }

    /// The load balancer of a Service.
    pub fn subject_of(&self, name: &str) -> String {
        match self.services.get(name) {
            Some(entry) if entry.grouped => GROUP.to_owned(),
            Some(_) | None => name.to_owned(),
        }
    }

    /// All load balancers that there are, or are wanted.
    pub fn subjects(&self, book: &Book) -> BTreeSet<String> {
        let wanted = self.services.keys().map(|name| self.subject_of(name));
        let kept = book.objects.keys().cloned();
        wanted.chain(kept).chain([NODE_ACCESS.to_owned()]).collect()
    }

    fn view(&self, name: &str, entry: &Entry) -> ServiceView {
        let owner = if entry.grouped { ("front", 3) } else { (name, index(name)) };
        let said = Said {
            account: &self.account,
            name,
            uid: &entry.uid,
            born: entry.born,
            front: if entry.grouped { &self.group_front } else { &entry.front },
            back: &entry.back,
            base: base(name),
            owner,
            group: entry.grouped.then_some("front"),
        };
        let mut view = said.service();
        if entry.mistaken {
            view.annotations.insert("daymark.dev/grup".to_owned(), "front".to_owned());
        }
        view
    }

    fn world(&self) -> World {
        let mut world = World::default();
        for (name, entry) in &self.services {
            let view = self.view(name, entry);
            let pod = |(number, ready): (&u16, &bool)| {
                let zone = u8::try_from(number % 2).unwrap_or(0);
                let ports = entry
                    .back
                    .ports
                    .iter()
                    .map(|(protocol, port)| (port_name(*protocol, *port), 8000 + port % 100));
                EndpointView {
                    address: self
                        .account
                        .pod(zone, number + 100 * u16::try_from(index(name)).unwrap_or(0))
                        .parse()
                        .unwrap_or_else(|_| [0, 0, 0, 0].into()),
                    ports: ports.collect(),
                    state: if *ready { EndpointState::Ready } else { EndpointState::Draining },
                    node: Some("n0".to_owned()),
                    zone: self.account.zones.get(usize::from(zone)).cloned(),
                }
            };
            world.endpoints.insert((*name).to_owned(), entry.pods.iter().map(pod).collect());
            world.services.insert((*name).to_owned(), view);
        }
        let node = |(name, node): (&String, &Node)| {
            let view = NodeView {
                name: name.clone(),
                labels: Default::default(),
                provider_id: Some(format!("aws:///{}/{}", node.zone, node.instance)),
                excluded: node.excluded,
            };
            (name.clone(), view)
        };
        world.nodes = Arc::new(self.nodes.iter().map(node).collect());
        world
    }

    fn members(&self, subject: &str) -> Vec<(&'static str, &Entry)> {
        let mut members: Vec<_> = self
            .services
            .iter()
            .filter(|(name, _)| self.subject_of(name) == subject)
            .map(|(name, entry)| (*name, entry))
            .collect();
        members.sort_by_key(|(name, entry)| (entry.born, *name));
        members
    }

    fn built(&self, world: &World, subject: &str, uid: &str, nodes: NodeAccessState) -> Built {
        let subject = Subject {
            namespace: "shop".to_owned(),
            object: subject.to_owned(),
            uid: uid.to_owned(),
            group: (subject == GROUP).then(|| "front".to_owned()),
            members: self.members(subject).iter().map(|(name, _)| (*name).to_owned()).collect(),
        };
        build(&self.profile, &subject, world, nodes)
    }

    /// What the controller has to do for a load balancer.
    pub fn task(&self, key: &str, book: &Book) -> Result<Task, String> {
        if key == NODE_ACCESS {
            return self.node_access(book);
        }
        let object = book.objects.get(key);
        let members = self.members(key);
        let Some((_, first)) = members.first() else {
            return Ok(if object.is_some() { Task::Remove } else { Task::Nothing });
        };
        let namesake =
            object.is_some_and(|object| key != GROUP && members.iter().all(|(_, m)| m.uid != object.uid));
        if namesake {
            return Ok(Task::Remove);
        }
        let uid = object.map_or(&first.uid, |object| &object.uid);
        let world = self.world();
        let mut built = self.built(&world, key, uid, self.way(book));
        if !built.refused.is_empty() && !members.iter().any(|(_, member)| member.mistaken) {
            return Err(format!("the simulation wishes what is refused: {:?}", built.refused));
        }
        let desired = built.take_desired(&self.profile, &world, object.map(|object| &object.inventory));
        Ok(desired.map_or(Task::Nothing, |desired| Task::Serve(uid.clone(), Box::new(desired))))
    }

    pub fn policy(&self, key: &str) -> Policy {
        Policy { mode: self.mode, replacement: self.replacement, consent: self.consents.get(key).cloned() }
    }

    fn way(&self, book: &Book) -> NodeAccessState {
        let id = book.objects.get(NODE_ACCESS).and_then(|object| object.inventory.id(&backend_key()));
        id.map_or(NodeAccessState::Awaited, |id| NodeAccessState::Group(id.to_owned()))
    }

    fn ranges(&self, book: &Book) -> (BTreeSet<PortRange>, Surplus) {
        let world = self.world();
        let subjects: BTreeSet<String> = self.services.keys().map(|name| self.subject_of(name)).collect();
        let mut all: BTreeSet<PortRange> = BTreeSet::new();
        let mut surplus = Surplus::Revoke;
        for subject in subjects {
            let built = self.built(&world, &subject, "", NodeAccessState::Awaited);
            if !built.refused.is_empty() && book.objects.contains_key(&subject) {
                surplus = Surplus::Keep;
            }
            if let Some(nlb) = built.nlb
                && nlb.node_access != NodeAccessState::NotManaged
            {
                all.extend(nlb.node_ranges());
            }
        }
        (joined(all), surplus)
    }

    fn node_access(&self, book: &Book) -> Result<Task, String> {
        let object: Option<&Object> = book.objects.get(NODE_ACCESS);
        let in_use = book.objects.keys().any(|key| key != NODE_ACCESS);
        let (ranges, surplus) = self.ranges(book);
        if ranges.is_empty() && (object.is_none() || !in_use) {
            return Ok(if object.is_some() { Task::Remove } else { Task::Nothing });
        }
        let uid = object.map_or(NODE_ACCESS.to_owned(), |object| object.uid.clone());
        let access = NodeAccess {
            owner: Owner {
                cluster: self.profile.cluster_name.clone(),
                namespace: "daymark".to_owned(),
                name: NODE_ACCESS.to_owned(),
                uid: uid.clone(),
            },
            vpc: self.profile.vpc_id.clone(),
            node_groups: self.profile.node_security_groups.clone(),
            ranges,
            surplus,
            tags: self.profile.tags.clone(),
        };
        Ok(Task::Serve(uid, Box::new(Desired::NodeAccess(access))))
    }
}

pub fn index(name: &str) -> usize {
    NAMES.iter().position(|known| *known == name).unwrap_or(0)
}

/// The first port of a Service: no two Services have one in common.
pub fn base(name: &str) -> u16 {
    100 * (1 + u16::try_from(index(name)).unwrap_or(0)) + 1000
}
