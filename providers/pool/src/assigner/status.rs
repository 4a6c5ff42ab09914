//! The status of a Service: what it should say, and whether it says so already.

use std::net::IpAddr;

use daymark_model::{IpMode, Reason, Timestamp};

use super::decide::{Assignment, Index};
use crate::io::{ConditionPatch, EventKind, StatusPatch};
use crate::reason::Refusal;
use crate::view::{AddressCondition, ConditionStatus, Ingress, ServiceView};

/// The reason of the condition when nothing is wrong.
pub const ASSIGNED: &str = "AddressAssigned";

/// A status patch, and what it means to a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// What is written.
    pub patch: StatusPatch,
    /// What is told when it is written.
    pub news: Option<News>,
}

/// What is told about a change of status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct News {
    /// What kind of news.
    pub kind: EventKind,
    /// The CamelCase word.
    pub reason: &'static str,
    /// The sentence.
    pub text: String,
}

/// The patch that makes the status of `view` say what `assignment` is; `None` when it does.
pub fn assigned(
    index: &Index,
    view: &ServiceView,
    assignment: &Assignment,
    now: Timestamp,
) -> Option<Statement> {
    let wanted = ingress_of(index, view, assignment);
    let found = view.condition.as_ref();
    let was_true = found.is_some_and(|c| c.status == ConditionStatus::True);
    let ingress = if !wanted.is_empty() || was_true || shows_claimed(index, view) {
        (!same_ingress(&view.ingress, &wanted)).then_some(wanted)
    } else {
        // Addresses that we did not give, and nobody has claimed, stay in sight until there are ours.
        None
    };
    let status = if assignment.chosen.is_empty() { ConditionStatus::False } else { ConditionStatus::True };
    let reason = assignment.problem.as_ref().map_or(ASSIGNED, |problem| problem.code());
    let message = message_of(index, assignment);
    let same = found.is_some_and(|c| c.status == status && c.reason == reason && c.message == message);
    if same && ingress.is_none() {
        return None;
    }
    let news = news(view, assignment, reason, &message);
    let condition = condition(view, status, reason, message, now);
    Some(Statement { patch: StatusPatch { ingress, condition: ConditionPatch::Set(condition) }, news })
}

/// The patch that takes our addresses and our condition out of a status; `None` when they are out.
pub fn released(index: &Index, view: &ServiceView) -> Option<Statement> {
    let held: Vec<IpAddr> = index.held_by(view).into_iter().map(|(address, _)| address).collect();
    let (ours, others): (Vec<Ingress>, Vec<Ingress>) =
        view.ingress.iter().cloned().partition(|i| i.ip.is_some_and(|ip| held.contains(&ip)));
    if ours.is_empty() && view.condition.is_none() {
        return None;
    }
    let news = (!held.is_empty()).then(|| News {
        kind: EventKind::Released,
        reason: "AddressReleased",
        text: format!("released {}: this Service is no longer served by Daymark", list(&held)),
    });
    let ingress = (!ours.is_empty()).then_some(others);
    Some(Statement { patch: StatusPatch { ingress, condition: ConditionPatch::Remove }, news })
}

/// The patch that says that a rival writes the status, and leaves the rival's addresses alone; `None` when it says so.
///
/// Where the rival leaves our addresses in place they are still assigned.
pub fn contested(
    index: &Index,
    view: &ServiceView,
    assignment: &Assignment,
    refusal: &Refusal,
    now: Timestamp,
) -> Option<Statement> {
    let message = refusal.to_string();
    let ours = ingress_of(index, view, assignment);
    let is_shown = !ours.is_empty() && same_ingress(&view.ingress, &ours);
    let status = if is_shown { ConditionStatus::True } else { ConditionStatus::False };
    if view
        .condition
        .as_ref()
        .is_some_and(|c| c.status == status && c.reason == refusal.code() && c.message == message)
    {
        return None;
    }
    let condition = condition(view, status, refusal.code(), message, now);
    Some(Statement {
        patch: StatusPatch { ingress: None, condition: ConditionPatch::Set(condition) },
        news: None,
    })
}

/// Whether two ingress lists say the same; the API server fills in `VIP` beside an address.
pub fn same_ingress(a: &[Ingress], b: &[Ingress]) -> bool {
    let mode = |i: &Ingress| i.ip_mode.or(i.ip.map(|_| IpMode::VIP));
    a.len() == b.len()
        && a.iter().zip(b).all(|(a, b)| {
            a.ip == b.ip && a.hostname == b.hostname && a.ports == b.ports && mode(a) == mode(b)
        })
}

fn ingress_of(index: &Index, view: &ServiceView, assignment: &Assignment) -> Vec<Ingress> {
    let entry = |address: IpAddr| {
        let shown = view.ingress.iter().find(|i| i.ip == Some(address)).and_then(|i| i.ip_mode);
        let home = index.book.home(address).map(|state| state.pool.ip_mode);
        Ingress {
            ip: Some(address),
            hostname: None,
            ip_mode: Some(home.or(shown).unwrap_or_default()),
            ports: view.ports.clone(),
        }
    };
    assignment.chosen.iter().map(|choice| entry(choice.address)).collect()
}

fn shows_claimed(index: &Index, view: &ServiceView) -> bool {
    view.shown().any(|address| index.book.claim(address).is_some())
}

fn message_of(index: &Index, assignment: &Assignment) -> String {
    let addresses: Vec<String> = assignment
        .chosen
        .iter()
        .map(|choice| match index.home_name(choice.address) {
            Some(pool) => format!("{} from pool {pool}", choice.address),
            None => choice.address.to_string(),
        })
        .collect();
    let mut text = addresses.join(" and ");
    let addition = match (&assignment.problem, &assignment.missing) {
        (Some(problem), _) => problem.to_string(),
        (None, Some((family, refusal))) => format!("no {family} address: {refusal}"),
        (None, None) => return text,
    };
    if !text.is_empty() {
        text.push_str("; ");
    }
    text.push_str(&addition);
    text
}

fn condition(
    view: &ServiceView,
    status: ConditionStatus,
    reason: &str,
    message: String,
    now: Timestamp,
) -> AddressCondition {
    let unchanged = view.condition.as_ref().filter(|c| c.status == status);
    AddressCondition {
        status,
        reason: reason.to_owned(),
        message,
        last_transition_time: Some(unchanged.and_then(|c| c.last_transition_time).unwrap_or(now)),
    }
}

fn news(view: &ServiceView, assignment: &Assignment, reason: &'static str, message: &str) -> Option<News> {
    let before = view.condition.as_ref();
    let was_true = before.is_some_and(|c| c.status == ConditionStatus::True);
    let shown: Vec<IpAddr> = view.shown().collect();
    let chosen: Vec<IpAddr> = assignment.chosen.iter().map(|choice| choice.address).collect();
    let new_problem =
        assignment.problem.is_some() && before.is_none_or(|c| c.reason != reason || c.message != message);
    if new_problem {
        return Some(News { kind: EventKind::Refused, reason, text: message.to_owned() });
    }
    if was_true && shown == chosen {
        return None;
    }
    if was_true {
        let text =
            format!("was {}, is now {}", list(&shown), if message.is_empty() { "nothing" } else { &message });
        return Some(News { kind: EventKind::Changed, reason: "AddressChanged", text });
    }
    let text = format!("assigned {message}");
    (!chosen.is_empty()).then_some(News { kind: EventKind::Assigned, reason: ASSIGNED, text })
}

fn list(addresses: &[IpAddr]) -> String {
    if addresses.is_empty() {
        return "no address".to_owned();
    }
    addresses.iter().map(IpAddr::to_string).collect::<Vec<_>>().join(", ")
}
