//! Objects with everything at its default.

use std::collections::BTreeSet;
use std::net::IpAddr;

use daymark_model::{
    Assignment, Claim, Family, Holder, IpMode, Pool, PortProtocol, Protocol, Quarantine, ServiceKey,
    SharingPolicy, Timestamp, TrafficPolicy,
};
use daymark_pool::{ClaimView, FamilyPolicy, Ingress, Requests, ServiceView};

pub fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

pub fn tcp(port: u16) -> PortProtocol {
    PortProtocol { protocol: Protocol::Tcp, port }
}

/// A Service of type LoadBalancer with one IPv4 address and port 80; `name` may carry a namespace.
pub fn service(name: &str) -> ServiceView {
    let (namespace, name) = name.split_once('/').unwrap_or(("default", name));
    ServiceView {
        key: ServiceKey::new(namespace, name),
        uid: format!("uid-{namespace}-{name}").into(),
        resource_version: "1".into(),
        created_at: Timestamp(0),
        labels: Default::default(),
        is_load_balancer: true,
        class: None,
        families: vec![Family::V4],
        family_policy: FamilyPolicy::SingleStack,
        requests: Ok(Requests::default()),
        sharing_key: None,
        ports: vec![tcp(80)],
        traffic_policy: TrafficPolicy::Cluster,
        pod_selector: [("app".to_owned(), name.to_owned())].into(),
        deleting: false,
        ingress: Vec::new(),
        condition: None,
        ingress_manager: None,
    }
}

pub fn pool(name: &str, blocks: &[&str]) -> Pool {
    Pool {
        name: name.into(),
        labels: Default::default(),
        addresses: blocks.iter().map(|b| b.parse().unwrap()).collect(),
        exclude: Vec::new(),
        assignment: Assignment::Automatic,
        avoid_edge_addresses: false,
        priority: 100,
        service_selector: None,
        namespace_selector: None,
        sharing: SharingPolicy::SameNamespace,
        quarantine: Quarantine::DEFAULT,
        ip_mode: IpMode::VIP,
        overlapping: BTreeSet::new(),
    }
}

pub fn shown(address: &str) -> Ingress {
    Ingress { ip: Some(ip(address)), hostname: None, ip_mode: Some(IpMode::VIP), ports: Vec::new() }
}

/// A claim held by `holders`, each a Service and its UID.
pub fn claim(address: &str, holders: &[(&str, Option<&str>)]) -> ClaimView {
    let holder = |(name, uid): &(&str, Option<&str>)| {
        let (namespace, name) = name.split_once('/').unwrap_or(("default", name));
        Holder { service: ServiceKey::new(namespace, name), uid: uid.map(Into::into) }
    };
    ClaimView {
        claim: Claim {
            address: ip(address),
            holders: holders.iter().map(holder).collect(),
            sharing_key: None,
            pool: None,
            retain: false,
            released_at: None,
        },
        uid: format!("claim-{address}").into(),
        resource_version: "1".into(),
        created_at: Timestamp(0),
    }
}
