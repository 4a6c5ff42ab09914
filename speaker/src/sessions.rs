//! The BGP sessions, as people see them: in the Speaker's status, in introspection, in the log.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;

use daymark_bgp::{SessionError, SessionState};
use daymark_model::{NeighborName, Reason, Timestamp};
use serde_json::{Value, json};
use tokio::sync::watch;
use tracing::{debug, info, warn};

use crate::bgp::{BgpEvent, BgpStatus, Change, NeighborConfig, NeighborStatus};
use crate::metrics::{Direction, Metrics};
use crate::status::{Problem, SessionReport};

/// Where the neighbors are, so that what is said of them names their addresses.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Routers(BTreeMap<NeighborName, Router>);

/// Where a neighbor is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Router {
    address: IpAddr,
    /// `None` when it connects to this node.
    port: Option<u16>,
}

impl fmt::Display for Router {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.port {
            Some(port) => write!(f, "{} port {port}", self.address),
            None => write!(f, "{}", self.address),
        }
    }
}

impl Routers {
    /// Where `neighbors` are.
    pub fn new(neighbors: &[NeighborConfig]) -> Self {
        let router = |config: &NeighborConfig| Router {
            address: config.transport.address,
            port: (!config.peer.passive).then_some(config.transport.port),
        };
        Self(neighbors.iter().map(|config| (config.name.clone(), router(config))).collect())
    }

    /// What is wrong with the session with `neighbor`, and where that is.
    fn explain(&self, neighbor: &NeighborName, error: &SessionError) -> String {
        let text = error.to_string();
        let unnamed = |router: &&Router| !text.contains(&router.address.to_string());
        let Some(router) = self.0.get(neighbor).filter(unnamed) else { return text };
        match text.strip_prefix("the router ") {
            Some(rest) => format!("router {router} {rest}"),
            None => format!("router {router}: {text}"),
        }
    }
}

/// The sessions for the status, without what changes at each attempt to connect: a router that is away must not make
/// the speaker write without end.
#[derive(Debug, Default)]
pub struct Steady(BTreeMap<NeighborName, (SessionState, Timestamp)>);

impl Steady {
    /// The sessions, each with its state and since when it is in it.
    pub fn reports(&mut self, status: &BgpStatus, routers: &Routers) -> Vec<SessionReport> {
        self.0.retain(|name, _| status.neighbors.contains_key(name));
        status.neighbors.iter().map(|(name, neighbor)| self.report(name, neighbor, routers)).collect()
    }

    fn report(&mut self, name: &NeighborName, neighbor: &NeighborStatus, routers: &Routers) -> SessionReport {
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
            last_error: neighbor.last_error.as_ref().map(|(_, error)| routers.explain(name, error)),
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
pub fn problems(status: &BgpStatus, routers: &Routers) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (name, neighbor) in &status.neighbors {
        let subject = || format!("BgpNeighbor/{name}");
        if let Some((_, error)) = &neighbor.last_error
            && neighbor.state != SessionState::Established
        {
            let message = routers.explain(name, error);
            problems.push(Problem { subject: subject(), reason: error.code(), message });
        }
        problems.extend(neighbor.problems.iter().map(|problem| Problem::new(subject(), problem)));
    }
    problems.extend(status.listener.iter().map(|error| Problem::new("Node/listener".to_owned(), error)));
    problems
}

/// The sessions in full, for introspection.
pub fn listing(status: &BgpStatus, routers: &Routers) -> Value {
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
                json!({"atMillis": at.0, "reason": error.code(), "message": routers.explain(name, error)})
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
    routers: watch::Receiver<Routers>,
    /// Why each session that is down does not come up, as it was logged: the same is not logged twice.
    logged: BTreeMap<NeighborName, String>,
}

impl Observer {
    /// An observer that counts in `metrics` and names `routers`.
    pub fn new(metrics: Metrics, routers: watch::Receiver<Routers>) -> Self {
        Self { metrics, routers, logged: BTreeMap::new() }
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
        let text = error.map(|error| self.routers.borrow().explain(&neighbor, error)).unwrap_or_default();
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
        let routers = Routers::default();
        let first = steady.reports(&status(SessionState::Active, 1000), &routers);
        assert_eq!((first[0].state, first[0].since), ("Active", Timestamp(1000)));
        assert_eq!(steady.reports(&status(SessionState::Connect, 2000), &routers), first);
        assert_eq!(steady.reports(&status(SessionState::OpenSent, 3000), &routers), first);
        let up = steady.reports(&status(SessionState::Established, 4000), &routers);
        assert_eq!((up[0].state, up[0].since), ("Established", Timestamp(4000)));
        let down = steady.reports(&status(SessionState::Connect, 5000), &routers);
        assert_eq!((down[0].state, down[0].since), ("Active", Timestamp(5000)));
    }

    #[test]
    fn a_session_that_is_down_is_a_problem_with_its_remedy() {
        let down = problems(&status(SessionState::Active, 1), &tor(Some(179)));
        assert_eq!(down[0].subject, "BgpNeighbor/tor");
        let message = &down[0].message;
        assert!(message.starts_with("router 198.51.100.1 port 179: connection refused"), "{message}");
        assert!(message.contains("check that the router runs BGP"), "{message}");
        assert!(problems(&status(SessionState::Established, 1), &Routers::default()).is_empty());
    }

    fn tor(port: Option<u16>) -> Routers {
        Routers([("tor".into(), Router { address: "198.51.100.1".parse().unwrap(), port })].into())
    }

    #[test]
    fn an_address_is_named_once() {
        let origin = "198.51.100.1".to_owned();
        let error = SessionError::Connect(ConnectFault::Source { origin, error: "gone".to_owned() });
        let text = tor(Some(179)).explain(&"tor".into(), &error);
        assert_eq!(text, error.to_string());
        let unreachable = SessionError::Connect(ConnectFault::Unreachable { error: "no route".to_owned() });
        let text = tor(Some(179)).explain(&"tor".into(), &unreachable);
        assert!(text.starts_with("router 198.51.100.1 port 179 cannot be reached (no route)"), "{text}");
        let refused = SessionError::Connect(ConnectFault::Refused);
        assert!(tor(None).explain(&"tor".into(), &refused).starts_with("router 198.51.100.1: connection"));
    }
}
