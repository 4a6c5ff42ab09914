//! The steps to a load balancer of which nothing exists, without AWS: what only AWS knows is stood in for.

use std::net::{Ipv4Addr, Ipv6Addr};

use daymark_aws::api::Subnet;
use daymark_aws::model::{Backend, Desired, Nlb, NodeAccessState, Security};
use daymark_aws::naming::kind;
use daymark_aws::observe::Actual;
use daymark_aws::plan::{AwsOperation, plan};
use daymark_aws::subnets::role_tag;
use daymark_model::{Inventory, ResourceKey, Timestamp};
use daymark_providers::{CloudError, Depth, Plan};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// Stands for an id that AWS decides.
pub const DECIDED: &str = "(decided at AWS)";
/// More addresses than any wish has subnets for; a wish with more is refused by AWS anyway.
const ENOUGH: u32 = 1 << 20;

/// The plan for `nlb` where nothing of it exists.
///
/// # Errors
/// What no AWS could make of it.
pub fn from_nothing(nlb: &Nlb, now: Timestamp) -> Result<Plan<AwsOperation>, CloudError> {
    let mut nlb = nlb.clone();
    if nlb.node_access == NodeAccessState::Awaited {
        nlb.node_access = NodeAccessState::Group(format!("sg-{DECIDED}"));
    }
    // What is to be taken over is found in AWS only; the rest of the plan is that of a new one.
    nlb.adopt = None;
    let mut actual = Actual::new(Depth::Full);
    actual.subnets = stand_ins(&nlb);
    actual.vpc = vec![IpNet::V4(Ipv4Net::default()), IpNet::V6(Ipv6Net::default())];
    if let Security::Given { groups, .. } = &nlb.security {
        actual.given_groups.clone_from(groups);
    }
    plan(Some(&Desired::LoadBalancer(Box::new(nlb))), &actual, &Inventory::default(), now)
}

/// A subnet for each that is named, each with the addresses that are wished in it; one where none is.
fn stand_ins(nlb: &Nlb) -> Vec<Subnet> {
    let wish = &nlb.subnets;
    let counts = [wish.named.len(), wish.allocations.len(), wish.private.len(), wish.ipv6.len(), 1];
    // Where some are named, a wrong count of addresses is a fault of the wish, and stays one.
    let count = if wish.named.is_empty() { counts.into_iter().max().unwrap_or(1) } else { wish.named.len() };
    let scheme = nlb.scheme.unwrap_or(daymark_aws::api::Scheme::Internal);
    let subnet = |at: usize| Subnet {
        id: wish.named.get(at).cloned().unwrap_or_else(|| format!("subnet-{DECIDED}")),
        vpc: nlb.vpc.clone(),
        zone: format!("zone {at}"),
        ipv4: Ipv4Net::from(wish.private.get(at).copied().unwrap_or(Ipv4Addr::UNSPECIFIED)),
        ipv6: vec![Ipv6Net::from(wish.ipv6.get(at).copied().unwrap_or(Ipv6Addr::UNSPECIFIED))],
        available: ENOUGH,
        tags: [(role_tag(scheme).to_owned(), "1".to_owned())].into(),
    };
    (0..count).map(subnet).collect()
}

/// The text of an operation in which the names that depend on a UID which is not known yet say so.
pub fn without_hashes(text: &str, nlb: &Nlb) -> String {
    keys(nlb).iter().fold(text.to_owned(), |text, key| {
        let name = nlb.owner.resource_name(key);
        let readable = name.rsplit_once('-').map_or(name.as_str(), |(front, _)| front);
        text.replace(&name, &format!("{readable}-…"))
    })
}

/// The keys of what is made first.
fn keys(nlb: &Nlb) -> Vec<ResourceKey> {
    let mut keys = vec![
        ResourceKey::new(kind::LOAD_BALANCER, daymark_aws::naming::LOAD_BALANCER_ROLE, 1),
        ResourceKey::new(kind::SECURITY_GROUP, daymark_aws::naming::FRONTEND_ROLE, 1),
    ];
    keys.extend(nlb.target_groups.keys().map(|role| ResourceKey::new(kind::TARGET_GROUP, role, 1)));
    keys
}

/// What `nlb` wants, against what `inventory` records, without AWS: settings are compared only there.
pub fn against_inventory(nlb: &Nlb, inventory: &Inventory) -> Vec<(String, &'static str)> {
    let has = |kind: &str, role: &str| inventory.of_kind(kind).any(|resource| resource.key.role == role);
    let mut lines = Vec::new();
    let mut compare = |kind: &'static str, role: &str| {
        let what = format!("{kind} {role}");
        lines.push(match has(kind, role) {
            true => (what, "exists: whether it differs is seen with --live"),
            false => (what, "would be made"),
        });
    };
    compare(kind::LOAD_BALANCER, daymark_aws::naming::LOAD_BALANCER_ROLE);
    if matches!(nlb.security, Security::Managed { .. }) {
        compare(kind::SECURITY_GROUP, daymark_aws::naming::FRONTEND_ROLE);
    }
    nlb.target_groups.keys().for_each(|role| compare(kind::TARGET_GROUP, role));
    nlb.listeners.keys().for_each(|port| compare(kind::LISTENER, &port.to_string()));
    let wanted = |kind: &str, role: &str| match kind {
        kind::TARGET_GROUP => nlb.target_groups.contains_key(role),
        kind::LISTENER => role.parse().is_ok_and(|port: u16| nlb.listeners.contains_key(&port)),
        kind::SECURITY_GROUP => matches!(nlb.security, Security::Managed { .. }),
        _ => true,
    };
    let surplus = inventory.resources().filter(|resource| !wanted(&resource.key.kind, &resource.key.role));
    lines.extend(surplus.map(|r| (format!("{} {}", r.key.kind, r.key.role), "would be deleted")));
    lines
}

/// Where a listener's traffic goes, for people.
pub fn backend(backend: &Backend) -> &str {
    match backend {
        Backend::Role(role) => role,
        Backend::Arn(arn) => arn,
    }
}
