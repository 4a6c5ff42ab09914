//! The load balancer that a Service would get, for people and scripts.

use std::collections::BTreeMap;

use daymark_aws::api::HealthCheck;
use daymark_aws::model::{
    Adopt, ForwardWish, ListenerWish, Nlb, NodeAccessState, Security, SubnetWish, TargetGroupWish,
};
use serde::Serialize;

use super::operations::{DECIDED, backend};

/// A load balancer as it is wanted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Wish {
    /// Its name, where the Service says one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What it takes over instead of being made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub adopts: Option<String>,
    /// `internal` or `internet-facing`.
    pub scheme: String,
    /// `ipv4` or `dualstack`.
    pub ip_address_type: String,
    /// The VPC.
    pub vpc: String,
    /// Subnets, with addresses.
    pub subnets: Vec<String>,
    /// Who may reach it.
    pub clients: Vec<String>,
    /// What nodes let in: protocol and ports.
    pub node_ports: Vec<String>,
    /// Attributes.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<String, String>,
    /// Tags beside Daymark's own.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, String>,
    /// Reserved capacity units.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub capacity: Option<u32>,
    /// Listeners.
    pub listeners: Vec<ListenerView>,
    /// Target groups.
    pub target_groups: Vec<TargetGroupView>,
}

/// A listener as it is wanted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ListenerView {
    /// Its port.
    pub port: u16,
    /// Its protocol.
    pub protocol: String,
    /// Target groups, with weights where there are several.
    pub forward: Vec<String>,
    /// How TLS is ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<TlsView>,
    /// Attributes.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<String, String>,
}

/// How TLS is ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TlsView {
    /// Certificates, the default one first.
    pub certificates: Vec<String>,
    /// The security policy.
    pub policy: String,
    /// The ALPN policy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alpn: Option<String>,
}

/// A target group as it is wanted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TargetGroupView {
    /// What it serves: `web/tcp-80`.
    pub role: String,
    /// Its protocol.
    pub protocol: String,
    /// Where its targets get traffic.
    pub port: u16,
    /// `instance` or `ip`.
    pub target_type: String,
    /// The family of its targets.
    pub family: String,
    /// How targets are checked.
    pub health: String,
    /// Its targets.
    pub targets: Vec<String>,
    /// Attributes.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<String, String>,
}

/// `nlb`, for people.
pub fn wish(nlb: &Nlb) -> Wish {
    Wish {
        name: nlb.name.clone(),
        adopts: nlb.adopt.as_ref().map(adopts),
        scheme: nlb.scheme.map_or("internal".to_owned(), |scheme| scheme.to_string()),
        ip_address_type: nlb.ip_address_type.to_string(),
        vpc: nlb.vpc.clone(),
        subnets: subnets(&nlb.subnets),
        clients: clients(&nlb.security),
        node_ports: match nlb.node_access {
            NodeAccessState::NotManaged => Vec::new(),
            NodeAccessState::Awaited | NodeAccessState::Group(_) => {
                let range =
                    |from: u16, to: u16| if from == to { from.to_string() } else { format!("{from}-{to}") };
                let ranges = nlb.node_ranges();
                ranges.iter().map(|r| format!("{} {}", r.protocol, range(r.from, r.to))).collect()
            }
        },
        attributes: nlb.attributes.clone(),
        tags: nlb.tags.clone(),
        capacity: nlb.capacity,
        listeners: nlb.listeners.values().map(listener).collect(),
        target_groups: nlb.target_groups.iter().map(|(role, group)| target_group(role, group)).collect(),
    }
}

fn adopts(adopt: &Adopt) -> String {
    match adopt {
        Adopt::Arn(arn) => arn.clone(),
        Adopt::Lbc { cluster, stack } => format!(
            "what the AWS Load Balancer Controller of cluster {cluster} made for {stack}, where it made anything"
        ),
    }
}

fn subnets(wish: &SubnetWish) -> Vec<String> {
    let count = [wish.named.len(), wish.allocations.len(), wish.private.len(), wish.ipv6.len()];
    let count = count.into_iter().max().unwrap_or_default();
    if count == 0 {
        return vec![DECIDED.to_owned()];
    }
    let subnet = |at: usize| {
        let mut parts = vec![wish.named.get(at).cloned().unwrap_or_else(|| DECIDED.to_owned())];
        parts.extend(wish.allocations.get(at).cloned());
        parts.extend(wish.source_nat_prefixes.get(at).cloned());
        parts.join(" ")
    };
    let mut all: Vec<String> = (0..count).map(subnet).collect();
    // Addresses belong to whichever subnet has them, which only AWS knows.
    let private = wish.private.iter().map(ToString::to_string);
    let addresses: Vec<String> = private.chain(wish.ipv6.iter().map(ToString::to_string)).collect();
    if !addresses.is_empty() {
        all.push(format!("with addresses {}", addresses.join(", ")));
    }
    all
}

fn clients(security: &Security) -> Vec<String> {
    match security {
        Security::Managed { sources, prefix_lists, path_mtu } => {
            let mut all: Vec<String> = sources.iter().map(ToString::to_string).collect();
            all.extend(prefix_lists.iter().cloned());
            if *path_mtu {
                all.push("ICMP for path MTU discovery".to_owned());
            }
            all
        }
        Security::Given { groups, .. } => groups.iter().map(|group| format!("as {group} says")).collect(),
        Security::Off => vec!["anybody: no security groups, for ever".to_owned()],
    }
}

fn listener(wish: &ListenerWish) -> ListenerView {
    let several = wish.forward.len() > 1;
    let forward = |forward: &ForwardWish| match several {
        true => format!("{} (weight {})", backend(&forward.to), forward.weight),
        false => backend(&forward.to).to_owned(),
    };
    ListenerView {
        port: wish.port,
        protocol: wish.protocol.to_string(),
        forward: wish.forward.iter().map(forward).collect(),
        tls: wish.tls.as_ref().map(|tls| TlsView {
            certificates: std::iter::once(&tls.certificate).chain(&tls.more).cloned().collect(),
            policy: tls.policy.clone(),
            alpn: tls.alpn.clone(),
        }),
        attributes: wish.attributes.clone(),
    }
}

fn target_group(role: &str, wish: &TargetGroupWish) -> TargetGroupView {
    TargetGroupView {
        role: role.to_owned(),
        protocol: wish.protocol.to_string(),
        port: wish.port,
        target_type: wish.target_type.to_string(),
        family: wish.family.to_string(),
        health: health(&wish.health),
        targets: wish
            .targets
            .iter()
            .map(|target| format!("{}:{}", bracketed(&target.id), target.port))
            .collect(),
        attributes: wish.attributes.clone(),
    }
}

fn bracketed(id: &str) -> String {
    if id.contains(':') { format!("[{id}]") } else { id.to_owned() }
}

/// `HTTP 10256 /healthz (200-399), every 10 s, timeout 6 s, 2 to be healthy, 3 not to be`.
pub fn health(check: &HealthCheck) -> String {
    let port = check.port.map_or("to the traffic's port".to_owned(), |port| port.to_string());
    let path = check.path.as_ref().map(|path| format!(" {path}")).unwrap_or_default();
    let codes = check.codes.as_ref().map(|codes| format!(" ({codes})")).unwrap_or_default();
    format!(
        "{} {port}{path}{codes}, every {} s, timeout {} s, {} to be healthy, {} not to be",
        check.protocol, check.interval, check.timeout, check.healthy, check.unhealthy
    )
}
