//! Describes of many load balancers in one call.
//!
//! A question by ids waits a moment for others of its kind, and goes on waiting for them until it is its turn: the scarcer
//! turns are, the more is asked with each. Then all their ids are asked for together, [`MAX_DESCRIBED`] per call, and
//! everybody gets the answer to what they asked. A question that is more urgent than those that wait lines up for a turn of
//! its own; whoever gets one first takes the others along. Where AWS fails such a call because one of the ids does not
//! exist, each id is asked for by itself: a resource that is gone is told only to those who asked for it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use daymark_providers::StepClass;
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use super::{CallClass, Shared, Turn, class};
use crate::api::{
    Api, ApiError, Call, DescribeLoadBalancers, DescribeSecurityGroupRules, DescribeTags,
    DescribeTargetGroups, IngressRule, LoadBalancer, MAX_DESCRIBED, Request, Response, Tags, TargetGroup,
    Which,
};

/// How long a question waits for others.
pub(super) const WINDOW: Duration = Duration::from_millis(5);

/// What can be asked of many at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    LoadBalancers,
    TargetGroups,
    Tags,
    SecurityGroupRules,
}

/// A Describe by ids.
#[derive(Debug, Clone)]
pub(super) struct Question {
    kind: Kind,
    ids: Vec<String>,
}

/// The part of an answer that is about one id.
#[derive(Debug, Clone)]
enum Part {
    LoadBalancer(LoadBalancer),
    TargetGroup(TargetGroup),
    Tags(Tags),
    Rules(Vec<IngressRule>),
}

/// The answer for each id: `None` where AWS knew nothing of it and did not mind.
type Parts = BTreeMap<String, Result<Option<Part>, ApiError>>;

#[derive(Debug)]
struct Member {
    ids: Vec<String>,
    class: StepClass,
    reply: oneshot::Sender<Result<Response, ApiError>>,
}

/// The questions that wait for their turn. Those of one kind and urgency line up once.
#[derive(Debug, Default)]
pub(super) struct Batches(Mutex<BTreeMap<(Kind, StepClass), Vec<Member>>>);

impl Batches {
    /// Adds a question, and says whether it has to line up.
    fn join(&self, kind: Kind, member: Member) -> bool {
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let place = (kind, member.class);
        let first = !open.contains_key(&place);
        open.entry(place).or_default().push(member);
        first
    }

    /// Takes out all questions of a kind, the urgent first, and ends the lining up of `class`. An empty place stays for
    /// those of other classes that line up: who joins them then need not.
    fn close(&self, kind: Kind, class: StepClass) -> Vec<Member> {
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut taken = Vec::new();
        for ((other, _), members) in open.iter_mut() {
            if *other == kind {
                taken.append(members);
            }
        }
        open.remove(&(kind, class));
        taken
    }
}

impl Question {
    /// The question that `request` is; `None` where it is none that can be asked together with others.
    #[allow(clippy::wildcard_enum_match_arm, reason = "four of all calls can be asked together")]
    pub(super) fn of(request: &Request) -> Option<Self> {
        let (kind, ids) = match request {
            Request::DescribeLoadBalancers(call) => (Kind::LoadBalancers, class::arns(&call.which)?),
            Request::DescribeTargetGroups(call) => (Kind::TargetGroups, class::arns(&call.which)?),
            Request::DescribeTags(call) => (Kind::Tags, call.arns.as_slice()),
            Request::DescribeSecurityGroupRules(call) => (Kind::SecurityGroupRules, call.groups.as_slice()),
            _ => return None,
        };
        // No ids at all mean other things to AWS.
        (!ids.is_empty()).then(|| Self { kind, ids: ids.to_vec() })
    }
}

/// Asks together with whoever asks the same kind of question at this time.
pub(super) async fn ask<A: Api + 'static>(
    shared: &Arc<Shared<A>>,
    question: Question,
    class: StepClass,
    action: &'static str,
) -> Result<Response, ApiError> {
    let Question { kind, ids } = question;
    let (reply, answer) = oneshot::channel();
    if shared.batches.join(kind, Member { ids, class, reply }) {
        // A task of its own: whoever asked first may go away, and the others still wait.
        tokio::spawn(settle(Arc::clone(shared), kind, class, action));
    }
    answer.await.unwrap_or_else(|_| {
        let lost = ApiError::new(action, ApiError::CONNECTION, "the call was given up");
        Err(ApiError { status: None, ..lost })
    })
}

/// Lines up, asks for all who wait by then, and answers everybody.
async fn settle<A: Api + 'static>(
    shared: Arc<Shared<A>>,
    kind: Kind,
    class: StepClass,
    action: &'static str,
) {
    tokio::time::sleep(WINDOW).await;
    let turn = shared.turn(CallClass::of(&kind.request(Vec::new())), class).await;
    let mut members = shared.batches.close(kind, class);
    members.retain(|member| !member.reply.is_closed());
    if members.is_empty() {
        // Somebody else took them along, or nobody waits any more.
        turn.give_back();
        return;
    }
    let mut known = BTreeSet::new();
    let mut ids: Vec<(StepClass, String)> = Vec::new();
    for member in &members {
        let new = member.ids.iter().filter(|id| known.insert(id.as_str()));
        ids.extend(new.map(|id| (member.class, id.clone())));
    }
    let (mut turn, mut calls) = (Some(turn), JoinSet::new());
    for chunk in ids.chunks(MAX_DESCRIBED) {
        // Each call is as urgent as the most urgent who waits for it.
        let class = chunk.iter().map(|(class, _)| *class).min().unwrap_or(class);
        let ids = chunk.iter().map(|(_, id)| id.clone()).collect();
        calls.spawn(describe(Arc::clone(&shared), kind, ids, class, turn.take()));
    }
    shared.counters.note(action, |counts| {
        counts.shared += members.len().saturating_sub(calls.len()) as u64;
    });
    let mut waiting = members;
    let mut parts = Parts::new();
    while let Some(described) = calls.join_next().await {
        // A call that was torn down answers nobody: those who wait for it are told so when their sender is dropped.
        parts.extend(described.unwrap_or_default());
        // Nobody waits for calls that they do not need.
        let answered = |member: &Member| member.ids.iter().all(|id| parts.contains_key(id));
        let (ready, rest) = waiting.into_iter().partition::<Vec<_>, _>(answered);
        waiting = rest;
        for member in ready {
            let _ = member.reply.send(kind.join(&member.ids, &parts));
        }
    }
}

/// Asks for `ids` in one call, and for each by itself where one of them spoils it for the others.
async fn describe<A: Api>(
    shared: Arc<Shared<A>>,
    kind: Kind,
    ids: Vec<String>,
    class: StepClass,
    turn: Option<Turn>,
) -> Parts {
    let request = kind.request(ids.clone());
    let all = match turn {
        Some(turn) => shared.send_now(request, turn).await,
        None => shared.send(request, class).await,
    };
    if ids.len() == 1 || !all.as_ref().is_err_and(is_about_an_id) {
        return kind.split(ids, all);
    }
    let mut parts = Parts::new();
    for id in ids {
        let one = shared.send(kind.request(vec![id.clone()]), class).await;
        parts.extend(kind.split(vec![id], one));
    }
    parts
}

/// Whether an error may be about one of several ids: it does not exist, or is none.
fn is_about_an_id(error: &ApiError) -> bool {
    error.code.contains("NotFound") || error.code.contains("Malformed") || error.code == "ValidationError"
}

impl Kind {
    fn request(self, ids: Vec<String>) -> Request {
        match self {
            Self::LoadBalancers => DescribeLoadBalancers { which: Which::Arns(ids) }.into_request(),
            Self::TargetGroups => DescribeTargetGroups { which: Which::Arns(ids) }.into_request(),
            Self::Tags => DescribeTags { arns: ids }.into_request(),
            Self::SecurityGroupRules => DescribeSecurityGroupRules { groups: ids }.into_request(),
        }
    }

    /// The answer to one call, by id.
    fn split(self, ids: Vec<String>, answer: Result<Response, ApiError>) -> Parts {
        let found = answer.and_then(|response| self.parts(response));
        let part = |id: String| match &found {
            Ok(found) => (id.clone(), Ok(found.get(&id).cloned())),
            Err(error) => (id, Err(error.clone())),
        };
        ids.into_iter().map(part).collect()
    }

    fn parts(self, response: Response) -> Result<BTreeMap<String, Part>, ApiError> {
        let parts = match self {
            Self::LoadBalancers => DescribeLoadBalancers::answer(response)
                .map(|found| found.into_iter().map(|b| (b.arn.clone(), Part::LoadBalancer(b))).collect()),
            Self::TargetGroups => DescribeTargetGroups::answer(response)
                .map(|found| found.into_iter().map(|g| (g.arn.clone(), Part::TargetGroup(g))).collect()),
            Self::Tags => DescribeTags::answer(response)
                .map(|found| found.into_iter().map(|(arn, tags)| (arn, Part::Tags(tags))).collect()),
            Self::SecurityGroupRules => DescribeSecurityGroupRules::answer(response).map(by_group),
        };
        parts.ok_or_else(|| {
            let error =
                self.request(Vec::new()).error(ApiError::GARBLED, "the answer is one to another call");
            ApiError { status: None, ..error }
        })
    }

    /// The answer to a question for `ids`, as if it had been asked alone: an error where one of them has one.
    fn join(self, ids: &[String], parts: &Parts) -> Result<Response, ApiError> {
        let unique: BTreeSet<&String> = ids.iter().collect();
        let mut found = Vec::new();
        for id in unique {
            match parts.get(id) {
                Some(Ok(Some(part))) => found.push((id, part)),
                Some(Ok(None)) | None => {}
                Some(Err(error)) => return Err(error.clone()),
            }
        }
        let found = found.into_iter();
        Ok(match self {
            Self::LoadBalancers => {
                Response::DescribeLoadBalancers(found.filter_map(|(_, part)| part.load_balancer()).collect())
            }
            Self::TargetGroups => {
                Response::DescribeTargetGroups(found.filter_map(|(_, part)| part.target_group()).collect())
            }
            Self::Tags => Response::DescribeTags(
                found.filter_map(|(arn, part)| Some((arn.clone(), part.tags()?))).collect(),
            ),
            Self::SecurityGroupRules => {
                Response::DescribeSecurityGroupRules(found.flat_map(|(_, part)| part.rules()).collect())
            }
        })
    }
}

fn by_group(rules: Vec<IngressRule>) -> BTreeMap<String, Part> {
    let mut groups: BTreeMap<String, Vec<IngressRule>> = BTreeMap::new();
    for rule in rules {
        groups.entry(rule.group.clone()).or_default().push(rule);
    }
    groups.into_iter().map(|(group, rules)| (group, Part::Rules(rules))).collect()
}

#[allow(clippy::wildcard_enum_match_arm, reason = "a part of another kind is none of this")]
impl Part {
    fn load_balancer(&self) -> Option<LoadBalancer> {
        match self {
            Self::LoadBalancer(balancer) => Some(balancer.clone()),
            _ => None,
        }
    }

    fn target_group(&self) -> Option<TargetGroup> {
        match self {
            Self::TargetGroup(group) => Some(group.clone()),
            _ => None,
        }
    }

    fn tags(&self) -> Option<Tags> {
        match self {
            Self::Tags(tags) => Some(tags.clone()),
            _ => None,
        }
    }

    fn rules(&self) -> Vec<IngressRule> {
        match self {
            Self::Rules(rules) => rules.clone(),
            _ => Vec::new(),
        }
    }
}
