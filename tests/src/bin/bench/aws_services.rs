//! Services with three ports, as a cluster with three nodes has them, and the load balancers that they want.

use std::collections::BTreeMap;
use std::sync::Arc;

use daymark_aws::api::Attributes;
use daymark_aws::model::annotations::AWS_PREFIX;
use daymark_aws::model::{Built, Desired, NodeAccess, NodeAccessState, PortRange, Subject, build};
use daymark_aws::naming::Owner;
use daymark_aws_fake::{Account, Aws, Quotas, Timing};
use daymark_model::{AwsProfile, Family, Protocol, ServiceKey, Timestamp, TrafficPolicy};
use daymark_providers::view::{NodeView, PortView, ServiceView, TargetPort, World};
use daymark_tests::{Context, Result};

/// The ports of each Service.
pub const PORTS: u32 = 3;
/// The name that resources are tagged with.
pub const CLUSTER: &str = "bench";
const NAMESPACE: &str = "shop";
/// How long a call takes, in milliseconds: what a region answers in from inside.
const READ: u64 = 60;
const WRITE: u64 = 250;

/// An account with a node in each of three zones, room for all Services, and none of AWS's limits of rate.
pub fn account() -> Aws {
    let quotas =
        Quotas { load_balancers: 10_000, target_groups: 10_000, groups_per_vpc: 10_000, ..Quotas::default() };
    let timing = Timing {
        read: std::time::Duration::from_millis(READ),
        write: std::time::Duration::from_millis(WRITE),
        ..Timing::default()
    };
    Aws::builder().cluster(CLUSTER).zones(3).nodes_per_zone(1).quotas(quotas).timing(timing).build()
}

/// A Service, as far as it changes here.
#[derive(Clone, Debug)]
pub struct Service {
    number: u32,
    ports: u32,
    attributes: Attributes,
    nodes: Vec<String>,
    node_access: String,
}

impl Service {
    /// Number so many, with all nodes as its targets.
    pub fn new(account: &Account, number: u32, node_access: &str) -> Self {
        Self {
            number,
            ports: PORTS,
            attributes: Attributes::new(),
            nodes: account.instances.clone(),
            node_access: node_access.to_owned(),
        }
    }

    /// One port more.
    pub fn add_port(&mut self) {
        self.ports += 1;
    }

    /// An attribute of the load balancer.
    pub fn set_attribute(&mut self, name: &str, value: &str) {
        self.attributes.insert(name.to_owned(), value.to_owned());
    }

    /// The first node leaves, and `instance` comes.
    pub fn replace_node(&mut self, instance: &str) {
        if let Some(first) = self.nodes.first_mut() {
            *first = instance.to_owned();
        }
    }

    /// What the controller builds of it.
    pub fn build(&self, profile: &AwsProfile) -> Built {
        let name = self.name();
        let subject = Subject {
            namespace: NAMESPACE.to_owned(),
            object: name.clone(),
            uid: format!("uid-{name}"),
            group: None,
            members: vec![name],
        };
        build(profile, &subject, &self.world(), NodeAccessState::Group(self.node_access.clone()))
    }

    /// The load balancer that it wants.
    pub fn desired(&self, profile: &AwsProfile) -> Result<Desired> {
        let built = self.build(profile);
        let nlb = built.nlb.with_context(|| format!("refused: {:?}", built.refused))?;
        Ok(Desired::LoadBalancer(Box::new(nlb)))
    }

    fn name(&self) -> String {
        format!("web-{}", self.number)
    }

    fn world(&self) -> World {
        let node = |instance: &String| NodeView {
            name: instance.clone(),
            labels: Default::default(),
            provider_id: Some(format!("aws:///eu-west-1a/{instance}")),
            excluded: false,
        };
        let nodes: BTreeMap<String, NodeView> = self.nodes.iter().map(|id| (id.clone(), node(id))).collect();
        World {
            services: [(self.name(), self.view())].into(),
            endpoints: BTreeMap::new(),
            nodes: Arc::new(nodes),
        }
    }

    fn view(&self) -> ServiceView {
        let mut annotations: BTreeMap<String, String> =
            [(format!("{AWS_PREFIX}nlb-target-type"), "instance".to_owned())].into();
        if !self.attributes.is_empty() {
            let words: Vec<String> =
                self.attributes.iter().map(|(key, value)| format!("{key}={value}")).collect();
            annotations.insert(format!("{AWS_PREFIX}attributes"), words.join(","));
        }
        ServiceView {
            key: ServiceKey::new(NAMESPACE, &self.name()),
            uid: self.name().as_str().into(),
            created_at: Timestamp::default(),
            deleting: false,
            is_load_balancer: true,
            class: Some(AwsProfile::CLASS.to_owned()),
            annotations,
            ports: (0..self.ports).map(|place| self.port(place)).collect(),
            families: vec![Family::V4],
            traffic_policy: TrafficPolicy::Cluster,
            health_check_node_port: None,
            source_ranges: Vec::new(),
        }
    }

    fn port(&self, place: u32) -> PortView {
        // Node ports are those of Kubernetes: 30000 to 32767.
        let node_port = 30_000 + (self.number * 4 + place) % 2768;
        PortView {
            name: format!("p{place}"),
            protocol: Protocol::Tcp,
            port: u16::try_from(8000 + place).unwrap_or(u16::MAX),
            target_port: TargetPort::Number(8080),
            node_port: u16::try_from(node_port).ok(),
        }
    }
}

/// The profile of all these Services.
pub fn profile(account: &Account) -> AwsProfile {
    AwsProfile::new(CLUSTER, &account.vpc)
}

/// What lets their load balancers reach the nodes.
pub fn node_access(account: &Account) -> Desired {
    let ports = PortRange { protocol: daymark_aws::api::RuleProtocol::Tcp, from: 30_000, to: 32_767 };
    Desired::NodeAccess(NodeAccess {
        owner: Owner {
            cluster: CLUSTER.to_owned(),
            namespace: "daymark-system".to_owned(),
            name: "node-access.aws".to_owned(),
            uid: "uid-node-access".to_owned(),
        },
        vpc: account.vpc.clone(),
        node_groups: Vec::new(),
        ranges: [ports].into(),
        surplus: Default::default(),
        tags: Default::default(),
    })
}
