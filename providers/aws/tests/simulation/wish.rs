//! What a Service says, in a few choices of which every combination is valid; and the annotations that say it.

use daymark_aws::api::Scheme;
use daymark_aws::model::annotations::AWS_PREFIX;
use daymark_aws_fake::Account;
use daymark_model::{AwsProfile, Family, Protocol, ServiceKey, Timestamp, TrafficPolicy};
use daymark_providers::view::{PortView, ServiceView, TargetPort};

use crate::dice::Dice;

/// What is said about a load balancer as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Front {
    pub scheme: Option<Scheme>,
    /// The zones whose subnets are named; empty = none is.
    pub zones: Vec<usize>,
    /// Which set of Elastic IPs, where the subnets are named and clients come from anywhere.
    pub addresses: Option<usize>,
    pub dualstack: bool,
    pub security: SecurityChoice,
    pub ranges: usize,
    pub tags: usize,
    pub attributes: usize,
    pub name: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SecurityChoice {
    Managed,
    Given,
    Off,
}

/// What is said about the ports of a Service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Back {
    pub ports: Vec<(Protocol, u16)>,
    pub pods: bool,
    pub tls: usize,
    pub health: usize,
    pub attributes: usize,
    pub idle: Option<u32>,
}

/// The load balancer's attributes that may be asked for.
pub const ATTRIBUTES: [&str; 5] = [
    "",
    "load_balancing.cross_zone.enabled=true",
    "deletion_protection.enabled=true",
    "deletion_protection.enabled=false,dns_record.client_routing_policy=availability_zone_affinity",
    "load_balancing.cross_zone.enabled=true,dns_record.client_routing_policy=availability_zone_affinity",
];
/// The target groups'.
const GROUP_ATTRIBUTES: [&str; 4] = [
    "",
    "deregistration_delay.timeout_seconds=30",
    "deregistration_delay.timeout_seconds=60,target_health_state.unhealthy.connection_termination.enabled=false",
    "proxy_protocol_v2.enabled=true",
];
const RANGES: [&[&str]; 3] = [&[], &["10.0.0.0/8"], &["10.0.0.0/8", "192.168.7.0/24"]];
const TAGS: [&str; 3] = ["", "team=shop", "team=shop,tier=front"];

impl Front {
    pub fn plain() -> Self {
        Self {
            scheme: None,
            zones: Vec::new(),
            addresses: None,
            dualstack: false,
            security: SecurityChoice::Managed,
            ranges: 0,
            tags: 0,
            attributes: 0,
            name: 0,
        }
    }

    /// Changes one of them.
    pub fn edit(&mut self, dice: &mut Dice) {
        match dice.below(10) {
            0 | 1 => {
                let schemes = [None, Some(Scheme::Internal), Some(Scheme::InternetFacing)];
                self.scheme = dice.pick(&schemes).copied().flatten();
            }
            2 => {
                // Pods and nodes are in the first two zones: a load balancer that is in neither is never as healthy.
                let choices: [&[usize]; 3] = [&[], &[0, 1], &[0, 1, 2]];
                self.zones = dice.pick(&choices).map(|zones| zones.to_vec()).unwrap_or_default();
            }
            3 => {
                self.addresses = dice.pick(&[None, Some(0), Some(1)]).copied().flatten();
                if self.addresses.is_some() {
                    self.scheme = Some(Scheme::InternetFacing);
                    if self.zones.len() < 2 {
                        self.zones = vec![0, 1];
                    }
                }
            }
            4 => self.dualstack = !self.dualstack,
            5 => {
                use SecurityChoice::{Given, Managed, Off};
                self.security = *dice.pick(&[Managed, Managed, Given, Off]).unwrap_or(&Managed);
            }
            6 => self.ranges = dice.below(RANGES.len()),
            7 => self.tags = dice.below(TAGS.len()),
            8 => self.attributes = dice.below(ATTRIBUTES.len()),
            _ => self.name = dice.below(3),
        }
    }

    fn annotations(&self, account: &Account, owner: &str, set: usize) -> Vec<(String, String)> {
        let mut said = Vec::new();
        let mut say = |key: &str, value: String| said.push((format!("{AWS_PREFIX}{key}"), value));
        if let Some(scheme) = self.scheme {
            say("scheme", scheme.to_string());
        }
        let public = self.scheme == Some(Scheme::InternetFacing);
        // Subnets are named where the scheme is: those of another scheme would be nonsense.
        if !self.zones.is_empty() && self.scheme.is_some() {
            let subnets = if public { &account.public } else { &account.private };
            say("subnets", join(self.zones.iter().filter_map(|zone| subnets.get(*zone))));
            if let Some(which) = self.addresses
                && public
                && self.zones.len() > 1
            {
                let first = set * 6 + which * 3;
                let addresses = self.zones.iter().filter_map(|zone| account.elastic_ips.get(first + zone));
                say("eip-allocations", join(addresses));
            }
        }
        if self.dualstack {
            say("ip-address-type", "dualstack".to_owned());
            say("enable-prefix-for-ipv6-source-nat", "on".to_owned());
        }
        match self.security {
            SecurityChoice::Managed => {}
            SecurityChoice::Given => say("security-groups", "users".to_owned()),
            SecurityChoice::Off => say("disable-nlb-sg", "true".to_owned()),
        }
        if let Some(tags) = TAGS.get(self.tags).filter(|tags| !tags.is_empty()) {
            say("additional-resource-tags", (*tags).to_owned());
        }
        if let Some(attributes) = ATTRIBUTES.get(self.attributes).filter(|text| !text.is_empty()) {
            say("attributes", (*attributes).to_owned());
        }
        if self.name > 0 {
            say("name", format!("named-{owner}-{}", self.name));
        }
        said
    }
}

impl Back {
    /// One TCP port; `base` keeps the ports of Services apart.
    pub fn plain(base: u16) -> Self {
        Self { ports: vec![(Protocol::Tcp, base)], pods: true, tls: 0, health: 0, attributes: 0, idle: None }
    }

    /// Changes one of them.
    pub fn edit(&mut self, dice: &mut Dice, base: u16) {
        match dice.below(8) {
            0..=2 => {
                let ports = [
                    (Protocol::Tcp, base),
                    (Protocol::Tcp, base + 1),
                    (Protocol::Udp, base + 1),
                    (Protocol::Udp, base + 2),
                    (Protocol::Tcp, base + 3),
                ];
                let mut port = *dice.pick(&ports).unwrap_or(&(Protocol::Tcp, base));
                if base == 1100 {
                    port.0 = Protocol::Tcp;
                }
                if self.ports.contains(&port) {
                    self.ports.retain(|other| *other != port);
                } else {
                    self.ports.push(port);
                }
                if self.ports.is_empty() {
                    self.ports.push((Protocol::Tcp, base + 3));
                }
                self.ports.sort();
            }
            3 => self.pods = !self.pods,
            4 => self.tls = dice.below(3),
            5 => self.health = dice.below(4),
            6 => self.attributes = dice.below(GROUP_ATTRIBUTES.len()),
            _ => self.idle = if self.idle.is_some() { None } else { Some(400) },
        }
    }

    fn annotations(&self, account: &Account, base: u16) -> Vec<(String, String)> {
        let mut said = Vec::new();
        let mut say = |key: &str, value: String| said.push((format!("{AWS_PREFIX}{key}"), value));
        say("nlb-target-type", if self.pods { "ip" } else { "instance" }.to_owned());
        let tls_port = base + 3;
        let ends_tls = self.tls > 0 && self.ports.contains(&(Protocol::Tcp, tls_port));
        if ends_tls {
            say("ssl-cert", join(account.certificates.iter().skip(self.tls - 1).take(2)));
            say("ssl-ports", tls_port.to_string());
        }
        match self.health {
            0 => {}
            1 => say("healthcheck-interval", "5".to_owned()),
            2 => {
                say("healthcheck-protocol", "http".to_owned());
                say("healthcheck-path", "/ready".to_owned());
            }
            _ => say("healthcheck-port", "8090".to_owned()),
        }
        if let Some(attributes) = GROUP_ATTRIBUTES.get(self.attributes).filter(|text| !text.is_empty()) {
            say("target-group-attributes", (*attributes).to_owned());
        }
        let plain = self.ports.contains(&(Protocol::Tcp, base));
        if let (Some(idle), true) = (self.idle, plain) {
            say(&format!("listener-attributes.TCP-{base}"), format!("tcp.idle_timeout.seconds={idle}"));
        }
        said
    }
}

/// A Service that says so.
pub struct Said<'a> {
    pub account: &'a Account,
    pub name: &'a str,
    pub uid: &'a str,
    pub born: Timestamp,
    pub front: &'a Front,
    pub back: &'a Back,
    pub base: u16,
    /// Whose names and Elastic IPs the load balancer may have.
    pub owner: (&'a str, usize),
    pub group: Option<&'a str>,
}

impl Said<'_> {
    pub fn service(&self) -> ServiceView {
        let mut annotations = self.front.annotations(self.account, self.owner.0, self.owner.1);
        annotations.extend(self.back.annotations(self.account, self.base));
        annotations.extend(self.group.map(|group| ("daymark.dev/group".to_owned(), group.to_owned())));
        let port = |(protocol, number): &(Protocol, u16)| PortView {
            name: port_name(*protocol, *number),
            protocol: *protocol,
            port: *number,
            target_port: TargetPort::Number(8000 + number % 100),
            node_port: Some(30_000 + number % 1000),
        };
        let ranges = RANGES.get(self.front.ranges).copied().unwrap_or_default();
        ServiceView {
            key: ServiceKey::new("shop", self.name),
            uid: self.uid.into(),
            created_at: self.born,
            deleting: false,
            is_load_balancer: true,
            class: Some(AwsProfile::CLASS.to_owned()),
            annotations: annotations.into_iter().collect(),
            ports: self.back.ports.iter().map(port).collect(),
            families: vec![Family::V4],
            traffic_policy: TrafficPolicy::Cluster,
            health_check_node_port: None,
            source_ranges: ranges.iter().map(|range| (*range).to_owned()).collect(),
        }
    }
}

/// How the port of a Service is called.
pub fn port_name(protocol: Protocol, number: u16) -> String {
    format!("{}-{number}", protocol.to_string().to_ascii_lowercase())
}

fn join<'a>(words: impl Iterator<Item = &'a String>) -> String {
    words.cloned().collect::<Vec<_>>().join(",")
}
