//! What no sequence of events can bring about.

use std::time::{Duration, Instant};

use bytes::BytesMut;
use daymark_bgp::wire::{
    CeaseReason, Notification, Open, RefreshSubtype, RouteRefresh, encode_announce, encode_keepalive,
    encode_notification, encode_open, encode_route_refresh,
};
use daymark_bgp::{ConnectFault, ConnectionId, Input, Origin, Output, Peer, SessionState};
use daymark_model::{Asn, Family, RouterId};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::pair::{SECOND, beginning, config, hosts, link, tagged, withdraw};

#[derive(Debug, Clone)]
enum Act {
    Wait(u64),
    Connected(u64),
    Failed(u64),
    Accepted,
    Bytes(bool, Vec<u8>),
    Open(bool, u32),
    Keepalive(bool),
    Update(bool),
    Notify(bool),
    Refresh(bool),
    Written(bool, usize),
    Closed(bool),
    Announce(u32),
    Withdraw,
    Synced,
    Reconfigure(u32, bool),
    Reset,
    Shutdown,
}

fn act() -> impl Strategy<Value = Act> {
    use Act::*;
    prop_oneof![
        4 => (0..120_000_u64).prop_map(Wait),
        4 => (0..3_u64).prop_map(Connected),
        2 => (0..3_u64).prop_map(Failed),
        2 => Just(Accepted),
        1 => (any::<bool>(), vec(any::<u8>(), 0..60)).prop_map(|(o, b)| Bytes(o, b)),
        6 => (any::<bool>(), 65001..65004_u32).prop_map(|(o, a)| Open(o, a)),
        6 => any::<bool>().prop_map(Keepalive),
        2 => any::<bool>().prop_map(Update),
        1 => any::<bool>().prop_map(Notify),
        1 => any::<bool>().prop_map(Refresh),
        3 => (any::<bool>(), 0..100_000_usize).prop_map(|(o, n)| Written(o, n)),
        2 => any::<bool>().prop_map(Closed),
        2 => (1..300_u32).prop_map(Announce),
        1 => Just(Withdraw),
        1 => Just(Synced),
        1 => (1..30_u32, any::<bool>()).prop_map(|(r, p)| Reconfigure(r, p)),
        1 => Just(Reset),
        1 => Just(Shutdown),
    ]
}

/// A peer, what a driver would know of it, and the checks.
struct World {
    peer: Peer,
    now: Instant,
    shortest_retry: Duration,
    last_attempt: Option<Instant>,
    attempts: u64,
    accepted: u64,
    stopped: bool,
    open: Vec<ConnectionId>,
}

impl World {
    fn id(&self, outgoing: bool) -> ConnectionId {
        if outgoing {
            ConnectionId { origin: Origin::Outgoing, number: self.attempts.saturating_sub(1) }
        } else {
            ConnectionId { origin: Origin::Incoming, number: self.accepted.saturating_sub(1) }
        }
    }

    fn input(&mut self, input: Input<'_>) {
        let mut out = Vec::new();
        self.peer.handle(self.now, input, &mut out);
        for output in out {
            match output {
                Output::Connect { connection } => {
                    assert!(!self.stopped, "connects after it stopped");
                    if let Some(last) = self.last_attempt {
                        let gap = self.now - last;
                        assert!(gap >= self.shortest_retry * 3 / 4, "connects again after {gap:?}");
                    }
                    self.last_attempt = Some(self.now);
                    self.attempts = connection.number + 1;
                    self.open.push(connection);
                }
                Output::Close { connection, .. } => self.open.retain(|open| *open != connection),
                Output::Send { connection, .. } => {
                    assert!(self.open.contains(&connection), "sends on the closed {connection:?}");
                }
                Output::StateChanged { from, to, .. } => assert_ne!(from, to),
                Output::Stopped => self.stopped = true,
            }
        }
        let status = self.peer.status();
        assert!(status.ipv4.sent == 0 || status.state == SessionState::Established);
        assert!(self.peer.next_deadline().is_none_or(|at| at > self.now - SECOND * 200));
    }

    fn message(&mut self, outgoing: bool, encode: impl FnOnce(&mut BytesMut)) {
        let mut bytes = BytesMut::new();
        encode(&mut bytes);
        let connection = self.id(outgoing);
        self.input(Input::Received { connection, bytes: &bytes });
    }

    fn wait(&mut self, milliseconds: u64) {
        let end = self.now + Duration::from_millis(milliseconds);
        while let Some(at) = self.peer.next_deadline().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            self.input(Input::Tick);
        }
        self.now = end;
    }

    fn act(&mut self, act: Act) {
        let link = link("192.0.2.1", None, Some("2001:db8::1"));
        match act {
            Act::Wait(milliseconds) => self.wait(milliseconds),
            Act::Connected(back) => {
                let number = self.attempts.saturating_sub(1 + back);
                self.input(Input::Connected {
                    connection: ConnectionId { origin: Origin::Outgoing, number },
                    link,
                });
            }
            Act::Failed(back) => {
                let number = self.attempts.saturating_sub(1 + back);
                let connection = ConnectionId { origin: Origin::Outgoing, number };
                self.input(Input::ConnectFailed { connection, fault: ConnectFault::Refused });
            }
            Act::Accepted => {
                self.accepted += 1;
                let connection = self.id(false);
                self.open.push(connection);
                self.input(Input::Accepted { connection, link });
            }
            Act::Bytes(outgoing, bytes) => self.message(outgoing, |out| out.extend_from_slice(&bytes)),
            Act::Open(outgoing, asn) => self.message(outgoing, |out| {
                let open = Open {
                    asn: Asn::new(asn).unwrap(),
                    hold_time: 30,
                    router_id: RouterId::new("10.0.0.2".parse().unwrap()).unwrap(),
                    capabilities: Vec::new(),
                };
                encode_open(&open, out).unwrap();
            }),
            Act::Keepalive(outgoing) => self.message(outgoing, encode_keepalive),
            Act::Update(outgoing) => self.message(outgoing, |out| {
                let context = daymark_bgp::wire::EncodeContext {
                    four_octet_asn: false,
                    max_message_len: 4096,
                    internal: false,
                    extended_next_hop: false,
                };
                let next_hop = std::net::IpAddr::from([192, 0, 2, 2]).into();
                let mut prefixes = [crate::pair::prefix("203.0.113.0/24")].into_iter();
                encode_announce(&context, Family::V4, next_hop, &Default::default(), &mut prefixes, out)
                    .unwrap();
            }),
            Act::Notify(outgoing) => self.message(outgoing, |out| {
                encode_notification(&Notification::cease(CeaseReason::AdministrativeReset, "x"), out);
            }),
            Act::Refresh(outgoing) => self.message(outgoing, |out| {
                let refresh = RouteRefresh { family: Family::V4.into(), subtype: RefreshSubtype::Request };
                encode_route_refresh(refresh, out);
            }),
            Act::Written(outgoing, octets) => {
                let connection = self.id(outgoing);
                self.input(Input::Written { connection, octets });
            }
            Act::Closed(outgoing) => {
                let connection = self.id(outgoing);
                self.input(Input::Closed { connection, error: None });
            }
            Act::Announce(count) => self.input(Input::RoutesChanged(hosts(count, &tagged("65001:1")))),
            Act::Withdraw => self.input(Input::RoutesChanged(vec![withdraw("100.64.0.1/32")])),
            Act::Synced => self.input(Input::Synced),
            Act::Reconfigure(retry, passive) => {
                let mut config = self.peer.config().clone();
                config.timers.connect_retry = SECOND * retry;
                config.passive = passive;
                self.shortest_retry = self.shortest_retry.min(SECOND * retry);
                self.input(Input::Reconfigured(config));
            }
            Act::Reset => self.input(Input::Reset { reason: CeaseReason::AdministrativeReset }),
            Act::Shutdown => self.input(Input::Shutdown { text: "x".into(), wait: SECOND }),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn no_sequence_of_events_panics_or_connects_too_soon(acts in vec(act(), 1..80), seed in any::<u64>()) {
        let now = beginning();
        let config = config(65001, "10.0.0.1", 65002);
        let mut world = World {
            shortest_retry: config.timers.connect_retry,
            peer: Peer::new(config, seed, now),
            now,
            last_attempt: None,
            attempts: 0,
            accepted: 0,
            stopped: false,
            open: Vec::new(),
        };
        world.input(Input::Tick);
        for act in acts {
            world.act(act);
        }
        world.wait(200_000);
    }
}
