//! A load balancer as tests wish it, and what drives it pass by pass.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use daymark_aws::api::{
    Attributes, HealthCheck, HealthProtocol, IpAddressType, NlbProtocol, Scheme, Target, TargetType,
};
use daymark_aws::cloud::AwsCloud;
use daymark_aws::model::{
    Backend, Desired, ForwardWish, ListenerWish, Nlb, NlbPolicy, NodeAccess, NodeAccessState, Security,
    Standing, SubnetWish, Surplus, TargetGroupWish,
};
use daymark_aws::naming::Owner;
use daymark_aws_fake::Aws;
use daymark_model::aws::{AddressForm, Deletion, Drift, PublishWhen, SubnetPolicy};
use daymark_model::{Family, Inventory, PortProtocol, Protocol, ServiceKey, Timestamp};
use daymark_providers::cloud::Address;
use daymark_providers::pass::{self, End};
use daymark_providers::{Depth, InventoryStore, PassReport, Policy, StoreError};
use tokio::time::Instant;

pub fn owner() -> Owner {
    Owner { cluster: "test".into(), namespace: "shop".into(), name: "web".into(), uid: "uid-1".into() }
}

pub fn role(port: u16) -> String {
    format!("web/tcp-{port}")
}

pub fn pod(aws: &Aws, number: u16, port: u16) -> Target {
    Target { id: aws.account().pod(0, number), port, zone: None }
}

pub fn group_wish(port: u16, targets: impl IntoIterator<Item = Target>) -> TargetGroupWish {
    TargetGroupWish {
        service: ServiceKey::new("shop", "web"),
        service_port: PortProtocol { protocol: Protocol::Tcp, port },
        protocol: NlbProtocol::Tcp,
        target_type: TargetType::Ip,
        family: Family::V4,
        port: 8080,
        health: HealthCheck {
            protocol: HealthProtocol::Tcp,
            port: None,
            path: None,
            codes: None,
            interval: 10,
            timeout: 10,
            healthy: 3,
            unhealthy: 3,
        },
        attributes: Attributes::new(),
        targets: targets.into_iter().collect(),
    }
}

pub fn listener_wish(port: u16) -> ListenerWish {
    ListenerWish {
        port,
        protocol: NlbProtocol::Tcp,
        forward: vec![ForwardWish { to: Backend::Role(role(port)), weight: 1 }],
        tls: None,
        attributes: Attributes::new(),
        serves: vec![(ServiceKey::new("shop", "web"), PortProtocol { protocol: Protocol::Tcp, port })],
    }
}

/// An internal load balancer with these ports and three pods.
pub fn nlb(aws: &Aws, ports: &[u16]) -> Nlb {
    let pods = || (1..=3).map(|number| pod(aws, number, 8080));
    Nlb {
        owner: owner(),
        vpc: aws.account().vpc.clone(),
        name: None,
        adopt: None,
        scheme: None,
        ip_address_type: IpAddressType::Ipv4,
        subnets: SubnetWish::default(),
        security: Security::Managed {
            sources: BTreeSet::from(["0.0.0.0/0".parse().unwrap()]),
            prefix_lists: BTreeSet::new(),
            path_mtu: false,
        },
        private_link_rules: None,
        source_nat: None,
        attributes: Attributes::new(),
        capacity: None,
        tags: BTreeMap::from([("team".to_owned(), "shop".to_owned())]),
        listeners: ports.iter().map(|port| (*port, listener_wish(*port))).collect(),
        target_groups: ports.iter().map(|port| (role(*port), group_wish(*port, pods()))).collect(),
        node_access: NodeAccessState::NotManaged,
        standing: Standing::default(),
        policy: NlbPolicy {
            subnets: SubnetPolicy::Sticky,
            drift: Drift::Repair,
            deletion: Deletion::Delete,
            publish: PublishWhen::Created,
            address_form: AddressForm::Hostname,
            replacement_grace: Duration::from_secs(600),
        },
    }
}

pub fn node_access(aws: &Aws) -> NodeAccess {
    NodeAccess {
        owner: Owner { name: "node-access".into(), uid: "uid-nodes".into(), ..owner() },
        vpc: aws.account().vpc.clone(),
        node_groups: Vec::new(),
        ranges: BTreeSet::new(),
        surplus: Surplus::Revoke,
        tags: BTreeMap::new(),
    }
}

pub fn internet_facing(nlb: &mut Nlb) {
    nlb.scheme = Some(Scheme::InternetFacing);
}

/// What was saved, for whoever comes after a crash.
#[derive(Default)]
struct Store(Option<Inventory>);

impl InventoryStore for Store {
    async fn save(&mut self, inventory: &Inventory) -> Result<(), StoreError> {
        self.0 = Some(inventory.clone());
        Ok(())
    }
}

/// Drives one CloudLoadBalancer.
pub struct Driver {
    pub aws: Aws,
    pub cloud: AwsCloud<Aws>,
    pub inventory: Inventory,
    pub policy: Policy,
    started: Instant,
}

impl Driver {
    pub fn new(aws: &Aws) -> Self {
        Self {
            aws: aws.clone(),
            cloud: AwsCloud::new(aws.clone()),
            inventory: Inventory::default(),
            policy: Policy::default(),
            started: Instant::now(),
        }
    }

    pub fn now(&self) -> Timestamp {
        Timestamp(1_000_000) + self.started.elapsed()
    }

    pub async fn pass(&mut self, desired: Option<&Desired>, depth: Depth) -> PassReport {
        let inventory = self.inventory.clone();
        let mut store = Store::default();
        let report =
            pass::run(&self.cloud, &mut store, desired, inventory, depth, &self.policy, self.now()).await;
        self.inventory = report.inventory.clone();
        report
    }

    /// A pass in which the process may die: only what was saved is known afterwards.
    pub async fn mortal_pass(&mut self, desired: Option<&Desired>) -> Option<PassReport> {
        let inventory = self.inventory.clone();
        let mut store = Store::default();
        let run =
            pass::run(&self.cloud, &mut store, desired, inventory, Depth::Full, &self.policy, self.now());
        let report = tokio::select! {
            report = run => Some(report),
            () = self.aws.crashed() => None,
        };
        match &report {
            Some(report) => self.inventory = report.inventory.clone(),
            None => {
                self.inventory = store.0.unwrap_or_else(|| self.inventory.clone());
                self.cloud = AwsCloud::new(self.aws.clone());
            }
        }
        report
    }

    /// Passes until nothing is left to be done, and what the last one said.
    pub async fn settle(&mut self, desired: Option<&Desired>) -> PassReport {
        let mut last = None;
        for _ in 0..200 {
            let report = self.pass(desired, Depth::Full).await;
            let after = match &report.end {
                End::Converged | End::Held if report.done == 0 => return report,
                End::Converged | End::Held => report.again.unwrap_or_default(),
                End::Waiting(wait) => wait.after,
                End::Shown | End::Gone | End::Failed(_) | End::Unsaved(_) => return report,
            };
            last = Some(report);
            tokio::time::sleep(after).await;
        }
        panic!("not settled: {last:#?}");
    }

    pub async fn settled(&mut self, nlb: &Nlb) -> PassReport {
        let desired = Desired::LoadBalancer(Box::new(nlb.clone()));
        let report = self.settle(Some(&desired)).await;
        assert_eq!(report.end, End::Converged, "{report:#?}");
        report
    }

    /// Shows a plan that waits for consent, consents, and carries it out.
    pub async fn consent(&mut self, nlb: &Nlb) -> PassReport {
        let desired = Desired::LoadBalancer(Box::new(nlb.clone()));
        let report = self.settle(Some(&desired)).await;
        assert_eq!(report.end, End::Held, "{report:#?}");
        self.policy.consent = report.plan.consent.clone();
        self.settled(nlb).await
    }
}

/// The driver of a load balancer that is as wished for a while.
pub async fn settled(aws: &Aws, wish: &Nlb) -> Driver {
    let mut driver = Driver::new(aws);
    driver.settled(wish).await;
    tokio::time::sleep(Duration::from_secs(180)).await;
    driver
}

pub fn desired(nlb: &Nlb) -> Desired {
    Desired::LoadBalancer(Box::new(nlb.clone()))
}

pub fn hostnames(report: &PassReport) -> Vec<String> {
    let published = report.published.clone().unwrap_or_default();
    let name = |address| match address {
        Address::Hostname(name) => name,
        Address::Ip(address, _) => address.to_string(),
    };
    published.addresses.into_iter().map(name).collect()
}

/// The ids of the targets of the group that serves `port`, that are not draining.
pub fn registered(aws: &Aws, port: u16) -> BTreeSet<String> {
    let snapshot = aws.snapshot();
    let listeners = snapshot.load_balancers.values().filter_map(|found| found.listeners.get(&port));
    let arns: BTreeSet<String> = listeners
        .flat_map(|found| &found.listener.forward)
        .map(|forward| forward.target_group.clone())
        .collect();
    let groups = snapshot.target_groups.values().filter(|found| arns.contains(&found.target_group.arn));
    let targets = groups.flat_map(|found| &found.targets);
    let serving = targets.filter(|health| health.state != daymark_aws::api::TargetState::Draining);
    serving.map(|health| health.target.id.clone()).collect()
}
