//! The BGP sessions, as people see them: in the Speaker's status, in introspection, in the log.

use std::collections::BTreeMap;

use daymark_bgp::{SessionError, SessionState};
use daymark_model::{NeighborName, Reason, Timestamp};
use serde_json::{Value, json};
use tracing::{debug, info, warn};

use crate::bgp::{BgpEvent, BgpStatus, Change, NeighborStatus};
use crate::metrics::{Direction, Metrics};
use crate::status::{Problem, SessionReport};

/// The sessions for the status, without what changes at each attempt to connect: a router that is away must not make
/// the speaker write without end.
#[derive(Debug, Default)]
pub struct Steady(BTreeMap<NeighborName, (SessionState, Timestamp)>);

impl Steady {
    /// The sessions, each with its state and since when it is in it.
    pub fn reports(&mut self, status: &BgpStatus) -> Vec<SessionReport> {
        self.0.retain(|name, _| status.neighbors.contains_key(name));
        status.neighbors.iter().map(|(name, neighbor)| self.report(name, neighbor)).collect()
    }

    fn report(&mut self, name: &NeighborName, neighbor: &NeighborStatus) -> SessionReport {
        let state = steady(neighbor.state);
        let known = self.0.entry(name.clone()).or_insert((state, neighbor.since));
        if known.0 != state || state == SessionState::Established {
            *known = (state, neighbor.since);
        }
        SessionReport {
            neighbor: name.clone(),
            state: state.as_str(),
            since: known.1,
            flaps: neighbor.flaps,
            families: neighbor.families.clone(),
            last_error: neighbor.last_error.as_ref().map(|(_, error)| error.to_string()),
        }
    }
}

/// `Active` stands for all steps on the way up.
fn steady(state: SessionState) -> SessionState {
    match state {
        SessionState::Idle | SessionState::Established => state,
        SessionState::Active | SessionState::Connect | SessionState::OpenSent | SessionState::OpenConfirm => {
            SessionState::Active
        }
    }
}

/// What keeps sessions down, or routes back.
pub fn problems(status: &BgpStatus) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (name, neighbor) in &status.neighbors {
        let subject = || format!("BgpNeighbor/{name}");
        if let Some((_, error)) = &neighbor.last_error
            && neighbor.state != SessionState::Established
        {
            problems.push(Problem::new(subject(), error));
        }
        problems.extend(neighbor.problems.iter().map(|problem| Problem::new(subject(), problem)));
    }
    problems.extend(status.listener.iter().map(|error| Problem::new("Node/listener".to_owned(), error)));
    problems
}

/// The sessions in full, for introspection.
pub fn listing(status: &BgpStatus) -> Value {
    let counts = |counts: daymark_bgp::RouteCounts| json!({"wanted": counts.wanted, "sent": counts.sent});
    let reasons = |neighbor: &NeighborStatus| -> Vec<Value> {
        let reasons = neighbor.problems.iter();
        reasons.map(|p| json!({"reason": p.code(), "message": p.to_string()})).collect()
    };
    let session = |(name, neighbor): (&NeighborName, &NeighborStatus)| {
        json!({
            "neighbor": name,
            "state": neighbor.state.as_str(),
            "sinceMillis": neighbor.since.0,
            "flaps": neighbor.flaps,
            "families": neighbor.families,
            "holdSeconds": neighbor.hold.map(|hold| hold.as_secs()),
            "peerAsn": neighbor.peer_asn,
            "peerRouterId": neighbor.peer_router_id,
            "ipv4": counts(neighbor.ipv4),
            "ipv6": counts(neighbor.ipv6),
            "prefixesReceived": neighbor.prefixes_received,
            "problems": reasons(neighbor),
            "lastError": neighbor.last_error.as_ref().map(|(at, error)| {
                json!({"atMillis": at.0, "reason": error.code(), "message": error.to_string()})
            }),
        })
    };
    json!({
        "sessions": status.neighbors.iter().map(session).collect::<Vec<_>>(),
        "listener": status.listener.as_ref().map(ToString::to_string),
    })
}

/// Logs and counts what the driver tells.
#[derive(Debug)]
pub struct Observer {
    metrics: Metrics,
    /// Why each session that is down does not come up, as it was logged: the same is not logged twice.
    logged: BTreeMap<NeighborName, String>,
}

impl Observer {
    /// An observer that counts in `metrics`.
    pub fn new(metrics: Metrics) -> Self {
        Self { metrics, logged: BTreeMap::new() }
    }

    /// Takes in one event.
    pub fn observe(&mut self, event: BgpEvent) {
        match event {
            BgpEvent::Written { change, elapsed, .. } => {
                let direction = match change {
                    Change::Announced => Direction::Announce,
                    Change::Withdrawn => Direction::Withdraw,
                };
                self.metrics.wire_time(direction, elapsed);
            }
            BgpEvent::StateChanged { neighbor, from, to, error } => {
                self.state_changed(neighbor, from, to, error.as_ref());
            }
        }
    }

    fn state_changed(
        &mut self,
        neighbor: NeighborName,
        from: SessionState,
        to: SessionState,
        error: Option<&SessionError>,
    ) {
        let reason = error.map(Reason::code);
        let text = error.map(ToString::to_string).unwrap_or_default();
        match (from, to) {
            (_, SessionState::Established) => {
                self.logged.remove(&neighbor);
                info!(%neighbor, "session established");
            }
            (SessionState::Established, _) if is_ours(error) => {
                info!(%neighbor, reason, "session closed: {text}");
            }
            (SessionState::Established, _) => warn!(%neighbor, reason, "session lost: {text}"),
            (_, _) if error.is_some() && self.logged.get(&neighbor) != Some(&text) => {
                info!(%neighbor, reason, "no session: {text}");
                self.logged.insert(neighbor, text);
            }
            (_, _) => debug!(%neighbor, %from, %to, reason, "session state"),
        }
    }
}

/// Whether the session ended because we wanted it to.
fn is_ours(error: Option<&SessionError>) -> bool {
    matches!(error, Some(SessionError::Stopped { .. }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use daymark_bgp::{ConnectFault, RouteCounts};

    fn status(state: SessionState, since: i64) -> BgpStatus {
        let neighbor = NeighborStatus {
            state,
            since: Timestamp(since),
            flaps: 0,
            families: Vec::new(),
            hold: None,
            peer_asn: None,
            peer_router_id: None,
            ipv4: RouteCounts::default(),
            ipv6: RouteCounts::default(),
            prefixes_received: 0,
            problems: Vec::new(),
            last_error: Some((Timestamp(since), SessionError::Connect(ConnectFault::Refused))),
        };
        BgpStatus { neighbors: [("tor".into(), neighbor)].into(), listener: None }
    }

    #[test]
    fn attempts_to_connect_do_not_change_the_report() {
        let mut steady = Steady::default();
        let first = steady.reports(&status(SessionState::Active, 1000));
        assert_eq!((first[0].state, first[0].since), ("Active", Timestamp(1000)));
        assert_eq!(steady.reports(&status(SessionState::Connect, 2000)), first);
        assert_eq!(steady.reports(&status(SessionState::OpenSent, 3000)), first);
        let up = steady.reports(&status(SessionState::Established, 4000));
        assert_eq!((up[0].state, up[0].since), ("Established", Timestamp(4000)));
        let down = steady.reports(&status(SessionState::Connect, 5000));
        assert_eq!((down[0].state, down[0].since), ("Active", Timestamp(5000)));
    }

    #[test]
    fn a_session_that_is_down_is_a_problem_with_its_remedy() {
        let down = problems(&status(SessionState::Active, 1));
        assert_eq!(down[0].subject, "BgpNeighbor/tor");
        assert!(down[0].message.contains("check that the router runs BGP"), "{}", down[0].message);
        assert!(problems(&status(SessionState::Established, 1)).is_empty());
    }
}
