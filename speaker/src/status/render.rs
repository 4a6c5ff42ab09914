//! From a [`Report`] to the bounded status that the API server accepts.

use daymark_config::conditions::{self, ConditionStatus, Verdict};
use daymark_config::crd::{IpFamily, SpeakerProblem, SpeakerSession, SpeakerStatus};
use daymark_config::names::condition::{ACCEPTED, PROGRAMMED};
use daymark_model::{Family, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff;
use serde_json::Value;

use super::{Problem, Report, SessionReport};

/// How many addresses, next hops or labels of the node are told.
const MAX_FACTS: usize = 512;

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

fn facts(report: &Report) -> Option<serde_json::Map<String, Value>> {
    let Ok(Value::Object(mut facts)) = serde_json::to_value(&report.facts) else { return None };
    for value in facts.values_mut() {
        if let Value::Array(items) = value {
            items.truncate(MAX_FACTS);
        }
    }
    Some(facts)
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

    fn report() -> Report {
        Report {
            generation: Some(2),
            deletions: 0,
            sessions: Vec::new(),
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
        let status = render(&Report { problems, ..report() }, &SpeakerStatus::default(), Timestamp(0));
        assert_eq!(status.problems.len(), SpeakerStatus::MAX_PROBLEMS);
        assert!(status.problems.iter().all(|p| p.message.len() <= SpeakerStatus::MAX_MESSAGE));
        assert!(status.conditions.iter().all(|c| c.message.len() <= 32_768));
    }
}
