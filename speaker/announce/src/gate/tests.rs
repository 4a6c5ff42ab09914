use std::net::IpAddr;
use std::num::NonZeroU16;
use std::time::{Duration, Instant};

use super::*;

const EPOCH: Duration = Duration::from_secs(1_700_000_000);

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn port() -> NonZeroU16 {
    NonZeroU16::new(31000).unwrap()
}

/// A gate, and a clock that starts at zero.
struct Bench {
    start: Instant,
    gate: Gate,
}

impl Bench {
    fn new() -> Self {
        Self { start: Instant::now() + Duration::from_secs(3600), gate: Gate::new(GateSettings::default()) }
    }

    fn at(&self, n: u64) -> Instant {
        self.start + ms(n)
    }

    fn wait(&mut self, now: u64, text: &str, since: u64, health_check: Option<NonZeroU16>) {
        let servable = Servable { since: self.at(since), ceased: None, health_check };
        self.gate.wait(self.at(now), address(text), servable);
    }

    fn health(&mut self, asked: u64, status: Option<u16>) -> Vec<IpAddr> {
        let mut open = Vec::new();
        let observation = Observation::HealthCheck { port: port(), asked: self.at(asked), status };
        self.gate.observe(&observation, &mut open);
        open
    }

    fn sync(&mut self, asked: u64, v4: Option<SyncState>) -> Vec<IpAddr> {
        let mut open = Vec::new();
        let observation =
            Observation::ProxySync { asked: self.at(asked), asked_at: EPOCH + ms(asked), v4, v6: None };
        self.gate.observe(&observation, &mut open);
        open
    }

    fn tick(&mut self, now: u64) -> Vec<IpAddr> {
        let mut open = Vec::new();
        self.gate.tick(self.at(now), &mut open);
        open
    }
}

fn state(queued: u64, synced: u64, syncs: u64, syncing: u64) -> Option<SyncState> {
    Some(SyncState {
        queued: Some(EPOCH + ms(queued)),
        synced: Some(EPOCH + ms(synced)),
        syncs: Some(syncs),
        syncing: Some(ms(syncing)),
    })
}

const VIP: &str = "192.0.2.1";

#[test]
fn a_health_check_opens_with_200_only() {
    let mut bench = Bench::new();
    bench.wait(1000, VIP, 1000, Some(port()));
    assert_eq!(bench.gate.awaits(address(VIP)), Some(AwaitedEvidence::HealthCheck));
    assert!(bench.gate.probes().health_checks.contains(&port()));
    assert!(bench.health(990, Some(200)).is_empty(), "asked before the change");
    assert!(bench.health(1010, Some(503)).is_empty());
    assert_eq!(bench.health(1250, Some(200)), [address(VIP)]);
    assert!(bench.gate.is_empty() && bench.gate.next_deadline().is_none());
    assert_eq!(bench.gate.probes(), Probes::default());
}

#[test]
fn both_families_of_a_service_open_with_one_health_check() {
    let mut bench = Bench::new();
    bench.wait(0, "2001:db8::1", 0, Some(port()));
    bench.wait(0, VIP, 0, Some(port()));
    assert_eq!(bench.health(10, Some(200)), [address(VIP), address("2001:db8::1")]);
}

#[test]
fn a_200_right_after_the_last_endpoint_went_may_speak_of_that_one() {
    let mut bench = Bench::new();
    let servable =
        Servable { since: bench.at(1100), ceased: Some(bench.at(1000)), health_check: Some(port()) };
    bench.gate.wait(bench.at(1100), address(VIP), servable);
    assert!(bench.health(1200, Some(200)).is_empty());
    assert!(bench.health(1300, Some(503)).is_empty());
    assert_eq!(bench.health(1400, Some(200)), [address(VIP)]);
}

#[test]
fn a_health_check_that_says_no_outweighs_delay_and_metrics() {
    let mut bench = Bench::new();
    bench.wait(0, VIP, 0, Some(port()));
    bench.health(10, Some(503));
    assert!(bench.sync(10_000, state(20, 5000, 7, 700)).is_empty());
    assert!(bench.tick(10_000).is_empty());
    assert_eq!(bench.gate.probes().proxy_sync_since, None, "the metrics are not needed");
    assert_eq!(bench.health(11_000, Some(200)), [address(VIP)]);
}

#[test]
fn without_anybody_to_ask_a_fixed_delay_holds() {
    let mut bench = Bench::new();
    bench.wait(0, VIP, 0, None);
    bench.sync(5, None);
    assert_eq!(bench.gate.awaits(address(VIP)), Some(AwaitedEvidence::Delay));
    assert_eq!(bench.gate.next_deadline(), Some(bench.at(2000)));
    assert!(bench.tick(1999).is_empty());
    assert_eq!(bench.tick(2000), [address(VIP)]);
}

#[test]
fn the_delay_counts_from_the_change() {
    let mut bench = Bench::new();
    bench.wait(60_000, VIP, 0, None);
    assert!(bench.tick(60_400).is_empty(), "there must be time to ask");
    assert_eq!(bench.tick(60_500), [address(VIP)]);
}

#[test]
fn a_proxy_that_fell_silent_is_waited_for() {
    let mut bench = Bench::new();
    bench.sync(0, state(0, 100, 9, 900));
    bench.wait(10_000, VIP, 10_000, None);
    bench.sync(10_010, None);
    assert_eq!(bench.gate.awaits(address(VIP)), Some(AwaitedEvidence::ProxySync));
    assert!(bench.tick(12_000).is_empty());
    assert!(bench.tick(59_999).is_empty());
    assert_eq!(bench.tick(60_000), [address(VIP)]);
}

#[test]
fn a_sync_that_began_after_the_change_opens() {
    let mut bench = Bench::new();
    bench.wait(10_000, VIP, 10_000, None);
    assert!(bench.sync(10_005, state(10_004, 4_000, 7, 700)).is_empty(), "asked for, not begun");
    // Ended 10,300 after 100 ms; something else was asked for meanwhile.
    assert_eq!(bench.sync(10_310, state(10_250, 10_300, 8, 800)), [address(VIP)]);
}

#[test]
fn an_idle_proxy_opens_at_the_first_look_after_its_sync() {
    let mut bench = Bench::new();
    bench.wait(10_000, VIP, 10_000, None);
    for asked in (10_010..10_260).step_by(10) {
        assert!(bench.sync(asked, state(10_002, 4_000, 7, 700)).is_empty());
    }
    assert_eq!(bench.sync(10_260, state(10_002, 10_252, 8, 950)), [address(VIP)]);
}

#[test]
fn a_change_during_a_sync_is_not_in_it() {
    let mut bench = Bench::new();
    bench.wait(10_000, VIP, 10_000, None);
    assert!(bench.sync(10_001, state(9_900, 9_000, 7, 700)).is_empty());
    // This one began at 9,950, before the change was asked for at 10,002, and ended after it.
    assert!(bench.sync(10_160, state(10_002, 10_150, 8, 900)).is_empty());
    assert!(bench.sync(10_900, state(10_002, 10_150, 8, 900)).is_empty());
    assert_eq!(bench.sync(11_160, state(10_002, 11_150, 9, 1_100)), [address(VIP)]);
}

#[test]
fn the_end_of_a_sync_that_is_not_yet_counted_proves_nothing() {
    let mut bench = Bench::new();
    bench.wait(10_000, VIP, 10_000, None);
    bench.sync(10_001, state(9_900, 9_000, 7, 700));
    assert!(bench.sync(10_150, state(10_002, 10_150, 7, 700)).is_empty());
}

#[test]
fn a_proxy_at_rest_opens_after_a_quiet_moment() {
    let mut bench = Bench::new();
    bench.wait(100_000, VIP, 100_000, None);
    assert!(bench.sync(100_010, state(50_000, 80_000, 7, 700)).is_empty());
    assert_eq!(bench.sync(100_250, state(50_000, 80_000, 7, 700)), [address(VIP)]);
    // What has long been served needs one look.
    bench.wait(200_000, VIP, 100_000, None);
    assert_eq!(bench.sync(200_005, state(50_000, 190_000, 9, 900)), [address(VIP)]);
}

#[test]
fn a_booting_proxy_opens_nothing_before_its_first_sync() {
    let mut bench = Bench::new();
    bench.wait(0, VIP, 0, None);
    let booting = Some(SyncState { queued: Some(EPOCH), ..SyncState::default() });
    for asked in [10, 3_000, 30_000] {
        assert!(bench.sync(asked, booting).is_empty());
        assert!(bench.tick(asked).is_empty());
    }
    assert_eq!(bench.sync(31_000, state(0, 30_900, 1, 500)), [address(VIP)]);
}

#[test]
fn families_are_proved_apart() {
    let mut bench = Bench::new();
    bench.wait(0, "2001:db8::1", 0, None);
    bench.sync(10, state(5, 0, 1, 100));
    assert!(bench.sync(10_000, state(5, 9_000, 2, 200)).is_empty());
    assert_eq!(bench.tick(10_000), [address("2001:db8::1")], "nobody can be asked about IPv6");
}

#[test]
fn health_checks_are_asked_for_the_youngest_first() {
    let mut bench = Bench::new();
    for n in 0..100_u8 {
        let port = NonZeroU16::new(30_000 + u16::from(n));
        bench.wait(u64::from(n), &format!("192.0.2.{n}"), u64::from(n), port);
    }
    let probes = bench.gate.probes();
    assert_eq!(probes.health_checks.len(), 16);
    assert_eq!(probes.health_checks.last().unwrap().get(), 30_099);
    assert_eq!(probes.proxy_sync_since, Some(bench.at(99)));
}

#[test]
fn who_is_cancelled_does_not_go_out() {
    let mut bench = Bench::new();
    bench.wait(0, VIP, 0, Some(port()));
    bench.gate.cancel(address(VIP));
    assert!(bench.health(100, Some(200)).is_empty());
    assert!(bench.tick(100_000).is_empty());
}

/// A kube-proxy with its own watch, at least a second between the begins of two syncs, and syncs that take a while.
struct Proxy {
    /// When each change reaches it, in order.
    changes: Vec<u64>,
    /// Begin and end of each sync.
    syncs: Vec<(u64, u64)>,
}

impl Proxy {
    fn run(changes: Vec<u64>, mut durations: impl FnMut() -> u64) -> Self {
        let mut syncs: Vec<(u64, u64)> = vec![(0, durations())];
        let mut served = 0;
        while let Some(&next) = changes.iter().find(|at| **at > served) {
            let &(last_begin, last_end) = syncs.last().unwrap();
            let begin = next.max(last_begin + 1000).max(last_end);
            syncs.push((begin, begin + durations()));
            served = begin;
        }
        Self { changes, syncs }
    }

    fn state(&self, at: u64) -> Option<SyncState> {
        let ended: Vec<_> = self.syncs.iter().take_while(|(_, end)| *end <= at).collect();
        let queued = self.changes.iter().rev().find(|change| **change <= at).copied().unwrap_or(0);
        let &&(_, synced) = ended.last()?;
        state(queued, synced, ended.len() as u64, ended.iter().map(|(begin, end)| end - begin).sum())
    }

    /// When the rules contain what reached it at `change`.
    fn programmed(&self, change: u64) -> u64 {
        self.syncs.iter().find(|(begin, _)| *begin >= change).unwrap().1
    }
}

proptest::proptest! {
    #![proptest_config(proptest::test_runner::Config { cases: 2000, failure_persistence: None, ..Default::default() })]

    /// However busy the proxy is: never before it has written the rule, and soon after.
    #[test]
    fn never_before_the_rule(
        gaps in proptest::collection::vec(1_u64..800, 1..60),
        lags in proptest::collection::vec(0_u64..45, 60),
        took in proptest::collection::vec(20_u64..600, 8),
        which in 0_usize..60,
    ) {
        let mut seen = 5_000;
        let (mut received, mut reached) = (Vec::new(), Vec::new());
        for (gap, lag) in gaps.iter().zip(&lags) {
            seen += gap;
            received.push(seen);
            reached.push((seen + lag).max(reached.last().copied().unwrap_or(0)));
        }
        let which = which % received.len();
        let close = BEGIN_ERROR.as_millis() as u64;
        let mut durations = took.iter().cycle();
        let proxy = Proxy::run(reached.clone(), || *durations.next().unwrap());
        let programmed = proxy.programmed(reached[which]);
        let at_the_begin = |(begin, _): &(u64, u64)| (begin + 1..=begin + close).contains(&reached[which]);
        proptest::prop_assume!(!proxy.syncs.iter().any(at_the_begin), "indistinguishable from the cause of the sync");

        let mut bench = Bench::new();
        bench.wait(received[which], VIP, received[which], None);
        let mut now = received[which];
        let opened = loop {
            now += 10;
            if !bench.sync(now, proxy.state(now)).is_empty() {
                break now;
            }
            proptest::prop_assert!(now < programmed + 20_000, "still shut 20 s after the rule");
        };
        proptest::prop_assert!(opened >= programmed, "open at {opened}, the rule came at {programmed}");
    }
}
