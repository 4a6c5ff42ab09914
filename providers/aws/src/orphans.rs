//! What is tagged with this cluster and accounted for by nobody.

use std::collections::BTreeSet;
use std::fmt;

use daymark_providers::{CloudError, Outcome};

use crate::api::{
    Api, DeleteLoadBalancer, DeleteSecurityGroup, DeleteTargetGroup, DescribeLoadBalancers,
    DescribeSecurityGroupRules, DescribeSecurityGroups, DescribeTargetGroups, Filter, Peer,
    RevokeSecurityGroupIngress, Tags, Which, ask,
};
use crate::naming::tag;
use crate::observe::describe::existing;
use crate::observe::look::describe_tags;
use crate::refusal::{is_gone, is_in_use, refusal};

/// EC2: values of one filter.
const MAX_FILTER_VALUES: usize = 200;

/// What an orphan is, in the order in which orphans can be deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum OrphanKind {
    /// A network load balancer with its listeners.
    LoadBalancer,
    /// A target group.
    TargetGroup,
    /// A security group.
    SecurityGroup,
}

impl fmt::Display for OrphanKind {
    /// AWS's words.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::LoadBalancer => "load balancer",
            Self::TargetGroup => "target group",
            Self::SecurityGroup => "security group",
        })
    }
}

/// A resource that no CloudLoadBalancer accounts for. Sorted, orphans are in the order in which they can be deleted: load
/// balancers hold target groups and security groups; of one kind, by id.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Orphan {
    /// What it is.
    pub kind: OrphanKind,
    /// Its ARN, or `sg-…`.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Whose it was: `NAMESPACE/NAME`.
    pub owner: String,
    /// The identity of that one.
    pub uid: String,
}

/// All that is tagged with `cluster` and with none of `known_uids`, in the order in which it can be deleted.
///
/// # Errors
/// AWS's.
pub async fn scan<A: Api>(
    api: &A,
    cluster: &str,
    known_uids: &BTreeSet<String>,
) -> Result<Vec<Orphan>, CloudError> {
    let mut named = Vec::new();
    let load_balancers = ask(api, DescribeLoadBalancers { which: Which::All }).await.map_err(refusal)?;
    let networks = load_balancers.into_iter().filter(|one| one.is_network);
    named.extend(networks.map(|one| (OrphanKind::LoadBalancer, one.arn, one.name)));
    let groups = ask(api, DescribeTargetGroups { which: Which::All }).await.map_err(refusal)?;
    named.extend(groups.into_iter().map(|one| (OrphanKind::TargetGroup, one.arn, one.name)));
    let arns: Vec<String> = named.iter().map(|(_, arn, _)| arn.clone()).collect();
    let mut tags = describe_tags(api, &arns).await.map_err(refusal)?;
    let mut orphans = Vec::new();
    for (kind, id, name) in named {
        let tags = tags.remove(&id).unwrap_or_default();
        orphans.extend(orphan(kind, id, name, &tags, cluster, known_uids));
    }
    let by_tag = [(tag::CLUSTER.to_owned(), vec![cluster.to_owned()])].into();
    let filter = Filter { tags: by_tag, ..Filter::default() };
    for group in ask(api, DescribeSecurityGroups { filter }).await.map_err(refusal)? {
        orphans.extend(orphan(
            OrphanKind::SecurityGroup,
            group.id,
            group.name,
            &group.tags,
            cluster,
            known_uids,
        ));
    }
    orphans.sort();
    Ok(orphans)
}

fn orphan(
    kind: OrphanKind,
    id: String,
    name: String,
    tags: &Tags,
    cluster: &str,
    known_uids: &BTreeSet<String>,
) -> Option<Orphan> {
    let of_cluster = tags.get(tag::CLUSTER).is_some_and(|value| value == cluster);
    let uid = tags.get(tag::UID)?.clone();
    let owner = tags.get(tag::OWNER).cloned().unwrap_or_default();
    (of_cluster && !known_uids.contains(&uid)).then_some(Orphan { kind, id, name, owner, uid })
}

/// Deletes one orphan. What still uses it is waited for: call again.
///
/// # Errors
/// AWS's: a load balancer that is protected stays.
pub async fn purge<A: Api>(api: &A, orphan: &Orphan) -> Result<Outcome, CloudError> {
    let id = orphan.id.clone();
    let done = match orphan.kind {
        OrphanKind::LoadBalancer => ask(api, DeleteLoadBalancer { arn: id }).await,
        OrphanKind::TargetGroup => ask(api, DeleteTargetGroup { arn: id }).await,
        OrphanKind::SecurityGroup => ask(api, DeleteSecurityGroup { id }).await,
    };
    match done {
        Ok(()) => Ok(Outcome::Done),
        Err(error) if is_gone(&error) => Ok(Outcome::Done),
        Err(error) if is_in_use(&error) && orphan.kind != OrphanKind::LoadBalancer => Ok(Outcome::Wait {
            reason: "ResourceInUse",
            message: format!("{} {} ({}) is still in use", orphan.kind, orphan.name, orphan.id),
            after: std::time::Duration::from_secs(10),
        }),
        Err(error) => Err(refusal(error)),
    }
}

/// Removes the rules that let orphaned security groups into others, such as those of the nodes: the orphans could not be
/// deleted otherwise.
///
/// # Errors
/// AWS's.
pub async fn purge_rules<A: Api>(api: &A, orphans: &[Orphan]) -> Result<(), CloudError> {
    let groups = orphans.iter().filter(|one| one.kind == OrphanKind::SecurityGroup);
    let gone: Vec<String> = groups.map(|one| one.id.clone()).collect();
    let mut others = BTreeSet::new();
    for chunk in gone.chunks(MAX_FILTER_VALUES) {
        let filter = Filter { letting_in: chunk.to_vec(), ..Filter::default() };
        let found = ask(api, DescribeSecurityGroups { filter }).await.map_err(refusal)?;
        others.extend(found.into_iter().map(|group| group.id));
    }
    let others: Vec<String> = others.into_iter().collect();
    let rules =
        existing(api, &others, |groups| DescribeSecurityGroupRules { groups }).await.map_err(refusal)?;
    for rule in rules {
        let Peer::Group(peer) = &rule.ingress.peer else { continue };
        if !gone.contains(peer) {
            continue;
        }
        match ask(api, RevokeSecurityGroupIngress { group: rule.group, rules: vec![rule.id] }).await {
            Ok(()) => {}
            Err(error) if is_gone(&error) => {}
            Err(error) => return Err(refusal(error)),
        }
    }
    Ok(())
}
