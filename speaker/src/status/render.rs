//! From a [`Report`] to the bounded status that the API server accepts.

use daymark_config::conditions::{self, ConditionStatus, Verdict};
use daymark_config::crd::{
    IpFamily, SpeakerAddress, SpeakerL2, SpeakerProblem, SpeakerSession, SpeakerStatus,
};
use daymark_config::names::condition::{ACCEPTED, PROGRAMMED};
use daymark_model::{Family, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff;
use serde_json::Value;

use super::{Owned, OwnedAddress, Problem, Report, SessionReport};

/// How many addresses, next hops or labels of the node are told.
const MAX_FACTS: usize = 512;
/// How many subnets of one interface.
const MAX_INNER_FACTS: usize = 32;

/// The status; conditions keep the time of `previous` while they say the same.
pub fn render(report: &Report, previous: &SpeakerStatus, now: Timestamp) -> SpeakerStatus {
    let mut conditions = previous.conditions.clone();
    let accepted = verdict(ACCEPTED, "Accepted", &report.spec_problems);
    let programmed = verdict(PROGRAMMED, "Programmed", &report.problems);
    for verdict in [accepted, programmed] {
        conditions::set(&mut conditions, &verdict, report.generation, time(now).0);
    }
    SpeakerStatus {
        observed_generation: report.generation,
        version: Some(env!("CARGO_PKG_VERSION").to_owned()),
        sessions: report.sessions.iter().take(SpeakerStatus::MAX_SESSIONS).map(session).collect(),
        l2: l2(report),
        facts: facts(report),
        problems: problems(&report.problems),
        conditions,
    }
}

/// The first problem speaks in the condition, with the number of the others.
fn verdict(kind: &'static str, good: &'static str, problems: &[Problem]) -> Verdict {
    let (status, reason, message) = match problems {
        [] => (ConditionStatus::True, good, String::new()),
        [problem] => (ConditionStatus::False, problem.reason, problem.to_string()),
        [problem, rest @ ..] => {
            (ConditionStatus::False, problem.reason, format!("{problem} (and {} more)", rest.len()))
        }
    };
    Verdict { kind, status, reason: reason.to_owned(), message }
}

fn session(session: &SessionReport) -> SpeakerSession {
    SpeakerSession {
        neighbor: session.neighbor.to_string(),
        state: session.state.to_owned(),
        since: Some(time(session.since)),
        flaps: i64::try_from(session.flaps).unwrap_or(i64::MAX),
        families: session.families.iter().map(|family| ip_family(*family)).collect(),
        last_error: session.last_error.as_deref().map(bounded),
    }
}

fn ip_family(family: Family) -> IpFamily {
    match family {
        Family::V4 => IpFamily::IPv4,
        Family::V6 => IpFamily::IPv6,
    }
}

/// Nothing is said of layer 2 on a node that answers for nothing.
fn l2(report: &Report) -> Option<SpeakerL2> {
    let Owned { count, first } = &report.owned;
    let address = |owned: &OwnedAddress| SpeakerAddress {
        address: owned.address.to_string(),
        interface: owned.interface.clone(),
        since: Some(time(owned.since)),
    };
    (*count > 0).then(|| SpeakerL2 {
        owned_count: i64::try_from(*count).unwrap_or(i64::MAX),
        owned: first.iter().take(SpeakerStatus::MAX_OWNED).map(address).collect(),
    })
}

fn facts(report: &Report) -> Option<serde_json::Map<String, Value>> {
    let Ok(Value::Object(mut facts)) = serde_json::to_value(&report.facts) else { return None };
    facts.values_mut().for_each(|value| bound(value, MAX_FACTS));
    Some(facts)
}

/// Shortens a list to `max` items, and lists inside of them to a few.
fn bound(value: &mut Value, max: usize) {
    match value {
        Value::Array(items) => {
            items.truncate(max);
            items.iter_mut().for_each(|item| bound(item, MAX_INNER_FACTS));
        }
        Value::Object(fields) => fields.values_mut().for_each(|field| bound(field, MAX_INNER_FACTS)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn problems(problems: &[Problem]) -> Vec<SpeakerProblem> {
    let shown = problems.iter().take(SpeakerStatus::MAX_PROBLEMS).map(|problem| SpeakerProblem {
        subject: problem.subject.clone(),
        reason: problem.reason.to_owned(),
        message: bounded(&problem.message),
    });
    shown.collect()
}

fn bounded(text: &str) -> String {
    conditions::shortened(text, SpeakerStatus::MAX_MESSAGE).to_owned()
}

/// Whole seconds: what the API server keeps.
fn time(at: Timestamp) -> Time {
    Time(jiff::Timestamp::from_second(at.0.div_euclid(1000)).unwrap_or(jiff::Timestamp::UNIX_EPOCH))
}

#[cfg(test)]
mod tests {
    use super::*;
    use daymark_announce::NodeView;
    use daymark_model::{Interface, InterfaceIndex, MacAddr};

    fn report() -> Report {
        Report {
            generation: Some(2),
            deletions: 0,
            sessions: Vec::new(),
            owned: Owned::default(),
            facts: NodeView::new("n1".into()),
            spec_problems: Vec::new(),
            problems: Vec::new(),
        }
    }

    fn problem(n: usize) -> Problem {
        Problem { subject: format!("BgpNeighbor/r{n:03}"), reason: "NoLocalAsn", message: "ü".repeat(2000) }
    }

    #[test]
    fn a_condition_keeps_its_time_until_its_status_changes() {
        let first = render(&report(), &SpeakerStatus::default(), Timestamp(5_500));
        let second = render(&report(), &first, Timestamp(99_000));
        assert_eq!(first, second);
        let worse = render(&Report { problems: vec![problem(1)], ..report() }, &first, Timestamp(99_000));
        let [accepted, programmed] = worse.conditions.as_slice() else { panic!("{:?}", worse.conditions) };
        assert_eq!(accepted.last_transition_time, time(Timestamp(5_000)));
        assert_eq!(programmed.last_transition_time, time(Timestamp(99_000)));
        assert_eq!((programmed.status.as_str(), programmed.reason.as_str()), ("False", "NoLocalAsn"));
    }

    #[test]
    fn everything_is_bounded() {
        let problems: Vec<_> = (0..500).map(problem).collect();
        let mut facts = report().facts;
        facts.interfaces = vec![Interface {
            index: InterfaceIndex(2),
            name: "eth0".to_owned(),
            mac: MacAddr([2; 6]),
            up: true,
            subnets: (0..200).map(|n| format!("10.0.{n}.0/24").parse().unwrap()).collect(),
            default_routes: Vec::new(),
            link_local: None,
            mtu: 1500,
        }];
        let report = Report { problems, facts, ..report() };
        let status = render(&report, &SpeakerStatus::default(), Timestamp(0));
        let facts: NodeView = serde_json::from_value(Value::Object(status.facts.unwrap())).unwrap();
        assert_eq!(facts.interfaces[0].subnets.len(), MAX_INNER_FACTS, "what is bounded can be read again");
        assert_eq!(status.problems.len(), SpeakerStatus::MAX_PROBLEMS);
        assert!(status.problems.iter().all(|p| p.message.len() <= SpeakerStatus::MAX_MESSAGE));
        assert!(status.conditions.iter().all(|c| c.message.len() <= 32_768));
    }
}
