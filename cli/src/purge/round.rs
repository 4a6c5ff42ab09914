//! One round over all that is left, in the order in which it can go.

use std::collections::{BTreeMap, BTreeSet};

use daymark_aws::api::{Api, DescribeNetworkInterfaces, ask};
use daymark_aws::orphans::{self, Orphan, OrphanKind};
use daymark_providers::{CloudError, ErrorClass, Outcome};

use super::{Found, Kind};
use daymark_kube::views::cloud::subject;

/// What came of trying to delete one thing.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Result {
    /// AWS deletes it.
    Done,
    /// It may go later.
    Later(String),
    /// It stays, until somebody does something about it.
    Never(String),
}

/// What came of a round, by id.
#[derive(Debug, Default)]
pub(super) struct Round {
    results: BTreeMap<String, Result>,
}

impl Round {
    pub(super) async fn run<A: Api>(&mut self, api: &A, all: &[&Orphan]) {
        let doomed: Vec<Orphan> = all.iter().map(|orphan| (*orphan).clone()).collect();
        // Rules that let a group in keep it from being deleted; the group itself says so where they could not be removed.
        let rules = orphans::purge_rules(api, &doomed).await.err();
        for orphan in all {
            let result = match orphans::purge(api, orphan).await {
                Ok(Outcome::Done) => Result::Done,
                Ok(Outcome::Wait { message, .. }) => match (&rules, orphan.kind) {
                    (Some(error), OrphanKind::SecurityGroup) => failed(error),
                    (Some(_), OrphanKind::LoadBalancer | OrphanKind::TargetGroup) | (None, _) => {
                        Result::Later(message)
                    }
                },
                Err(error) => failed(&error),
            };
            self.results.insert(orphan.id.clone(), result);
        }
    }

    /// Says what is new since the last round.
    pub(super) fn tell(
        &self,
        all: &[&Orphan],
        told: &mut BTreeSet<(String, String)>,
        say: &mut impl FnMut(&str),
    ) {
        for orphan in all {
            let what = match self.results.get(&orphan.id) {
                Some(Result::Done) => "deleted".to_owned(),
                Some(Result::Later(why)) => format!("waits: {why}"),
                Some(Result::Never(why)) => format!("stays: {why}"),
                None => continue,
            };
            if told.insert((orphan.id.clone(), what.clone())) {
                say(&format!("{} {} {what}", Kind::from(orphan.kind).name(), orphan.name));
            }
        }
    }

    /// Whether another round may delete something of `left`, while `staying` is not to be touched.
    pub(super) fn has_hope(&self, left: &[&Orphan], staying: &[&Orphan]) -> bool {
        let stuck = |orphan: &&&Orphan| matches!(self.results.get(&orphan.id), Some(Result::Never(_)));
        let holders = left.iter().filter(stuck).chain(staying);
        let balancers = holders.filter(|orphan| orphan.kind == OrphanKind::LoadBalancer);
        let held: BTreeSet<&str> = balancers.map(|orphan| orphan.uid.as_str()).collect();
        // What belongs to a load balancer that stays is in use by it for ever, and so is the group that nodes let in.
        let is_held = |orphan: &Orphan| {
            held.contains(orphan.uid.as_str()) || (!held.is_empty() && is_node_access(&orphan.owner))
        };
        left.iter().filter(|orphan| !stuck(orphan)).any(|orphan| !is_held(orphan))
    }

    /// Why something is still there.
    pub(super) async fn why<A: Api>(&self, api: &A, found: &Found) -> String {
        let why = match self.results.get(&found.id) {
            Some(Result::Later(why) | Result::Never(why)) => why.clone(),
            Some(Result::Done) => "AWS still shows it: look again".to_owned(),
            None => "it was not tried to delete it: start again".to_owned(),
        };
        match found.kind {
            Kind::SecurityGroup => {
                users_of_group(api, &found.id).await.map_or(why.clone(), |by| format!("{why}: {by}"))
            }
            Kind::LoadBalancer | Kind::TargetGroup => why,
        }
    }
}

/// Whether an owner, `NAMESPACE/NAME`, is what lets the load balancers of a profile reach the nodes.
fn is_node_access(owner: &str) -> bool {
    owner.split_once('/').is_some_and(|(_, name)| subject::node_access_of(name).is_some())
}

fn failed(error: &CloudError) -> Result {
    match error.class {
        ErrorClass::Throttled | ErrorClass::Transient => Result::Later(error.to_string()),
        ErrorClass::Quota | ErrorClass::Permission | ErrorClass::User | ErrorClass::Blocked => {
            Result::Never(error.to_string())
        }
    }
}

/// Who uses a security group, where that can be found out.
async fn users_of_group<A: Api>(api: &A, group: &str) -> Option<String> {
    let all = ask(api, DescribeNetworkInterfaces { group: group.to_owned() }).await.ok()?;
    if all.is_empty() {
        return Some(
            "no network interface has it, so it is a rule of another security group that names it".to_owned(),
        );
    }
    let named = all.iter().map(|interface| format!("{} ({})", interface.id, interface.description));
    Some(format!("network interfaces have it: {}", named.collect::<Vec<_>>().join(", ")))
}
