//! `daymark purge`: what a cluster left in AWS, found by its tags and deleted, without that cluster.
//!
//! Nothing is remembered between two rounds: each finds by tags what is left, so that it may be stopped and started again.

pub mod guard;
pub mod render;
mod round;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::time::Duration;

use clap::ValueEnum;
use daymark_aws::api::Api;
use daymark_aws::orphans::{self, Orphan, OrphanKind};
use daymark_providers::CloudError;
use serde::Serialize;
use tokio::time::Instant;

use round::Round;

/// How long AWS is given between two rounds.
const PAUSE: Duration = Duration::from_secs(10);

/// A kind of what is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum, Serialize)]
#[value(rename_all = "PascalCase")]
pub enum Kind {
    /// A load balancer with its listeners.
    LoadBalancer,
    /// A target group.
    TargetGroup,
    /// A security group, with the rules that name it.
    SecurityGroup,
}

impl Kind {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::LoadBalancer => "LoadBalancer",
            Self::TargetGroup => "TargetGroup",
            Self::SecurityGroup => "SecurityGroup",
        }
    }
}

impl From<OrphanKind> for Kind {
    fn from(kind: OrphanKind) -> Self {
        match kind {
            OrphanKind::LoadBalancer => Self::LoadBalancer,
            OrphanKind::TargetGroup => Self::TargetGroup,
            OrphanKind::SecurityGroup => Self::SecurityGroup,
        }
    }
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// The cluster's name in the tags.
    pub cluster: String,
    /// Only these kinds; empty = all.
    pub kinds: BTreeSet<Kind>,
    /// How long to go on.
    pub timeout: Duration,
}

impl Order {
    fn includes(&self, orphan: &Orphan) -> bool {
        self.kinds.is_empty() || self.kinds.contains(&Kind::from(orphan.kind))
    }
}

/// The answer of `daymark purge`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// The cluster.
    pub cluster: String,
    /// What was deleted.
    pub deleted: Vec<Found>,
    /// What is there.
    pub left: Vec<Found>,
}

/// Something with the cluster's tag.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Found {
    /// What it is.
    pub kind: Kind,
    /// Its name.
    pub name: String,
    /// Its ARN, or `sg-…`.
    pub id: String,
    /// The CloudLoadBalancer that it was made for: `NAMESPACE/NAME`.
    pub owner: String,
    /// Why it is still there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

impl From<&Orphan> for Found {
    fn from(orphan: &Orphan) -> Self {
        Self {
            kind: orphan.kind.into(),
            name: orphan.name.clone(),
            id: orphan.id.clone(),
            owner: orphan.owner.clone(),
            why: None,
        }
    }
}

/// What there is; nothing is deleted.
///
/// # Errors
/// AWS's.
pub async fn find<A: Api>(api: &A, order: &Order) -> Result<Report, CloudError> {
    let all = orphans::scan(api, &order.cluster, &BTreeSet::new()).await?;
    let left = all.iter().filter(|orphan| order.includes(orphan)).map(Found::from).collect();
    Ok(Report { cluster: order.cluster.clone(), deleted: Vec::new(), left })
}

/// Deletes what there is, round by round, until nothing is left, nothing more can be done, or the time is over. Each line
/// of progress goes to `say`.
///
/// # Errors
/// AWS's, where it does not say what there is in the first place.
pub async fn purge<A: Api>(api: &A, order: &Order, mut say: impl FnMut(&str)) -> Result<Report, CloudError> {
    let deadline = Instant::now() + order.timeout;
    let mut all = orphans::scan(api, &order.cluster, &BTreeSet::new()).await?;
    let mut seen: BTreeSet<Found> = BTreeSet::new();
    let mut told = BTreeSet::new();
    let mut round = Round::default();
    loop {
        let chosen: Vec<&Orphan> = all.iter().filter(|orphan| order.includes(orphan)).collect();
        seen.extend(chosen.iter().map(|orphan| Found::from(*orphan)));
        if chosen.is_empty() {
            break;
        }
        round = Round::default();
        round.run(api, &chosen).await;
        round.tell(&chosen, &mut told, &mut say);
        match orphans::scan(api, &order.cluster, &BTreeSet::new()).await {
            Ok(now) => all = now,
            Err(error) => say(&format!("what is left is not known: {error}")),
        }
        let left: Vec<&Orphan> = all.iter().filter(|orphan| order.includes(orphan)).collect();
        if left.is_empty() {
            break;
        }
        let stays = |orphan: &&Orphan| !order.includes(orphan);
        let staying: Vec<&Orphan> = all.iter().filter(stays).collect();
        if !round.has_hope(&left, &staying) {
            say("nothing more can be done");
            break;
        }
        if Instant::now() + PAUSE > deadline {
            say("the time is over (--timeout)");
            break;
        }
        tokio::time::sleep(PAUSE).await;
    }
    let mut left: Vec<Found> = all.iter().filter(|orphan| order.includes(orphan)).map(Found::from).collect();
    let deleted = seen.into_iter().filter(|found| !left.iter().any(|left| left.id == found.id)).collect();
    for found in &mut left {
        found.why = Some(round.why(api, found).await);
    }
    Ok(Report { cluster: order.cluster.clone(), deleted, left })
}
