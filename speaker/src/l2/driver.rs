//! The thread: turns of a loop around the core.
//!
//! Each turn serves everything that waits, a bounded part of it, and sends what comes of it. A turn that begins much
//! later than was asked for means that the process stood still: then the core hears of that before anything else, and
//! what has waited in the sockets is thrown away, since it tells of a world that may be gone. What a turn wants to send
//! is thrown away too when the process stood still within the turn: others may answer by now.

use std::future::poll_fn;
use std::io;
use std::time::{Duration, Instant};

use daymark_l2::node::{Input, L2, L2Config, Output};
use daymark_model::Interface;
use ring::rand::{SecureRandom, SystemRandom};
use tokio::sync::oneshot;

use super::datagrams::Datagrams;
use super::groups::Groups;
use super::handle::{Change, Command, Early, L2Driver, Wires};
use super::ports::Ports;
use super::status::{L2Snapshot, Phase};
use super::tally::Tally;
use crate::sys::thread;

/// The least lateness that counts as standing still.
const STALL: Duration = Duration::from_millis(250);
/// The longest time between two turns while something is announced: what tells a stall from silence.
const HEARTBEAT: Duration = Duration::from_millis(100);
/// The longest time between two turns.
const IDLE: Duration = Duration::from_secs(1);
/// The least time between two turns that a deadline asks for: timers are no finer.
const RESOLUTION: Duration = Duration::from_millis(1);
/// The least time between two snapshots.
const SNAPSHOTS: Duration = Duration::from_millis(100);
/// How many orders are taken in one turn.
const ORDERS: usize = 64;
/// How long it leaves when nobody is there any more who could say.
const ORPHAN_WAIT: Duration = Duration::from_secs(1);

/// Starts the thread.
pub(super) fn start(driver: L2Driver, wires: Wires, early: Early) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let config = L2Config {
        node: driver.node,
        name: driver.name,
        port: driver.port,
        seed: u64::from_ne_bytes(random()?),
        sessions: random()?,
    };
    let run = move || {
        if let Err(error) = thread::hurry() {
            tracing::debug!("layer 2 runs with ordinary priority: {error}");
        }
        runtime.block_on(Engine::new(config, wires).run(early));
    };
    std::thread::Builder::new().name("l2".to_owned()).spawn(run)?;
    Ok(())
}

fn random<const LENGTH: usize>() -> io::Result<[u8; LENGTH]> {
    let mut bytes = [0; LENGTH];
    let filled = SystemRandom::new().fill(&mut bytes);
    filled.map_err(|_| io::Error::other("the system gives no random bytes"))?;
    Ok(bytes)
}

struct Engine {
    core: L2,
    out: Output,
    ports: Ports,
    groups: Groups,
    datagrams: Datagrams,
    interfaces: Vec<Interface>,
    wires: Wires,
    listening: bool,
    leaving: Option<Leaving>,
    rhythm: Rhythm,
    publishing: Publishing,
    tally: Tally,
}

struct Leaving {
    until: Instant,
    waiting: Vec<oneshot::Sender<()>>,
}

/// When turns began, and when they should have.
struct Rhythm {
    last: Instant,
    asked: Instant,
}

/// When the snapshot is written.
struct Publishing {
    last: Instant,
    changed: bool,
}

impl Rhythm {
    /// How long the process stood still before a turn that begins `now`.
    fn turn(&mut self, now: Instant) -> Option<Duration> {
        let late = now.saturating_duration_since(self.asked.max(self.last));
        self.last = now;
        (late > STALL).then_some(late)
    }
}

impl Publishing {
    fn due(&self) -> Instant {
        self.last + if self.changed { SNAPSHOTS } else { IDLE }
    }
}

impl Engine {
    fn new(config: L2Config, wires: Wires) -> Self {
        let now = Instant::now();
        Self {
            ports: Ports::default(),
            groups: Groups::default(),
            datagrams: Datagrams::new(config.port),
            core: L2::new(now, config),
            out: Output::default(),
            interfaces: Vec::new(),
            wires,
            listening: true,
            leaving: None,
            rhythm: Rhythm { last: now, asked: now },
            publishing: Publishing { last: now, changed: true },
            tally: Tally::default(),
        }
    }

    async fn run(mut self, early: Early) {
        let mut orders = early.into_orders();
        loop {
            let now = Instant::now();
            if let Some(gap) = self.rhythm.turn(now) {
                self.stood_still(now, gap);
            }
            self.read_interfaces(now);
            for order in orders.drain(..) {
                self.obey(now, order);
            }
            self.serve(now);
            self.flush(now);
            self.publish(now);
            if self.has_left(now) {
                return self.end();
            }
            self.wait(now, &mut orders).await;
        }
    }

    /// Waits for something to do.
    async fn wait(&mut self, now: Instant, orders: &mut Vec<Command>) {
        let at = self.next_turn(now);
        self.rhythm.asked = at;
        let Self { wires: Wires { commands, network, .. }, ports, datagrams, listening, .. } = self;
        let followed = network.has_changed().is_ok();
        tokio::select! {
            biased;
            count = commands.recv_many(orders, ORDERS), if *listening => *listening = count > 0,
            _ = network.changed(), if followed => network.mark_changed(),
            () = poll_fn(|cx| ports.poll_ready(cx)) => {}
            () = poll_fn(|cx| datagrams.poll_ready(cx)) => {}
            () = tokio::time::sleep_until(at.into()) => {}
        }
        if !orders.is_empty() {
            // Many orders in a row must not keep the runtime from seeing that there are frames.
            tokio::task::yield_now().await;
        }
    }

    fn next_turn(&self, now: Instant) -> Instant {
        let longest = if self.ports.is_empty() { IDLE } else { HEARTBEAT };
        let deadlines = [
            self.core.next_deadline(),
            self.ports.next_deadline(),
            self.datagrams.next_deadline(),
            Some(self.publishing.due()),
            self.leaving.as_ref().map(|leaving| leaving.until),
        ];
        deadlines.into_iter().flatten().fold(now + longest, Instant::min).max(now + RESOLUTION)
    }

    fn stood_still(&mut self, now: Instant, gap: Duration) {
        self.wires.counters.stalls.add(1);
        tracing::warn!("stood still for {} ms: what others answer by now is asked first", gap.as_millis());
        self.core.handle(now, Input::Stalled(gap), &mut self.out);
        self.ports.discard(&self.wires.counters);
        self.datagrams.discard();
        self.publishing.changed = true;
    }

    fn read_interfaces(&mut self, now: Instant) {
        if !self.wires.network.has_changed().unwrap_or_default() {
            return;
        }
        self.datagrams.hurry();
        self.choose_interfaces(now);
    }

    /// Tells the core of those interfaces that matter, where they changed.
    fn choose_interfaces(&mut self, now: Instant) {
        let all = self.wires.network.borrow_and_update().interfaces();
        let chosen = self.ports.select(all);
        if chosen == self.interfaces {
            return;
        }
        self.interfaces.clone_from(&chosen);
        self.groups.retain(chosen.iter().map(|interface| interface.index).collect());
        self.core.handle(now, Input::Interfaces(chosen), &mut self.out);
        self.publishing.changed = true;
    }

    fn obey(&mut self, now: Instant, order: Command) {
        let out = &mut self.out;
        match order {
            Command::Configure(facts) => {
                self.datagrams.configure(&facts.internal);
                self.ports.want(facts.terms.keys().copied());
                self.choose_interfaces(now);
                self.core.handle(now, Input::Node(facts), &mut self.out);
            }
            Command::Keys(keys) => self.core.handle(now, Input::Keys(keys), out),
            Command::Change(Change::Offer(offer)) => self.core.handle(now, Input::Offer(offer), out),
            Command::Change(Change::Withdraw(address)) => {
                self.core.handle(now, Input::Withdraw(address), out);
            }
            Command::Seeds(seeds) => self.core.handle(now, Input::Seeds(seeds), out),
            // Who asked may have gone.
            Command::Addresses { after, limit, answer } => {
                return drop(answer.send(self.core.addresses(after, limit)));
            }
            Command::Address(address, answer) => return drop(answer.send(self.core.address(address))),
            Command::Shutdown { wait, done } => self.leave(now, wait, Some(done)),
        }
        self.publishing.changed = true;
    }

    fn leave(&mut self, now: Instant, wait: Duration, done: Option<oneshot::Sender<()>>) {
        let leaving = self.leaving.get_or_insert_with(|| Leaving { until: now, waiting: Vec::new() });
        leaving.until = now + wait;
        leaving.waiting.extend(done);
        self.core.handle(now, Input::Leave, &mut self.out);
    }

    /// Everything that waits: frames, datagrams, deadlines.
    fn serve(&mut self, now: Instant) {
        let Self { core, out, ports, datagrams, wires: Wires { counters, .. }, .. } = self;
        ports.open(now);
        datagrams.open(now);
        ports.receive(counters, |interface, frame| core.handle(now, Input::Frame { interface, frame }, out));
        datagrams.receive(counters, |from, payload| core.handle(now, Input::Datagram { from, payload }, out));
        if core.next_deadline().is_some_and(|at| at <= now) {
            core.tick(now, out);
        }
        if !self.listening && self.leaving.is_none() {
            self.leave(now, ORPHAN_WAIT, None);
        }
    }

    fn flush(&mut self, now: Instant) {
        let Self { out, ports, groups, datagrams, wires: Wires { counters, events, .. }, .. } = self;
        for (interface, change) in out.groups.drain(..) {
            groups.change(interface, change);
        }
        if now.elapsed() > STALL {
            counters.frames_unsent.add(out.frames.len() as u64);
            counters.datagrams_unsent.add(out.datagrams.len() as u64);
            out.frames.clear();
            out.datagrams.clear();
        }
        for (interface, frame) in out.frames.drain(..) {
            ports.send(interface, &frame, counters);
        }
        for (to, payload) in out.datagrams.drain(..) {
            datagrams.send(to, &payload, counters);
        }
        self.publishing.changed |= !out.events.is_empty();
        for event in out.events.drain(..) {
            // Nobody has to listen.
            let _ = events.send(event);
        }
    }

    fn publish(&mut self, now: Instant) {
        if now < self.publishing.due() {
            return;
        }
        self.publishing = Publishing { last: now, changed: false };
        self.ports.count_dropped(&self.wires.counters);
        self.tally.add(self.core.counters(), &self.wires.counters);
        let snapshot = self.snapshot(now);
        self.wires.status.send_if_modified(|known| {
            let changed = *known != snapshot;
            if changed {
                *known = snapshot;
            }
            changed
        });
    }

    fn snapshot(&self, now: Instant) -> L2Snapshot {
        let name = |index| {
            let known = self.interfaces.iter().find(|interface| interface.index == index);
            known.map_or_else(|| index.to_string(), |interface| interface.name.clone())
        };
        let groups = self.groups.problems().into_iter().map(|(index, problem)| (name(index), problem));
        L2Snapshot {
            phase: if self.leaving.is_some() { Phase::Leaving } else { Phase::Running },
            node: Some(self.core.status(now)),
            problems: groups.chain(self.ports.problems()).chain(self.datagrams.problems()).collect(),
        }
    }

    fn has_left(&self, now: Instant) -> bool {
        self.leaving.as_ref().is_some_and(|leaving| self.core.left() || leaving.until <= now)
    }

    fn end(self) {
        let last = L2Snapshot { phase: Phase::Left, ..self.snapshot(Instant::now()) };
        self.wires.status.send_replace(last);
        // Whoever does not wait any more needs no answer.
        for waiting in self.leaving.into_iter().flat_map(|leaving| leaving.waiting) {
            let _ = waiting.send(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_is_no_stall_but_lateness_is() {
        let start = Instant::now();
        let mut rhythm = Rhythm { last: start, asked: start + HEARTBEAT };
        assert_eq!(rhythm.turn(start + HEARTBEAT + Duration::from_millis(200)), None);
        rhythm.asked = start + IDLE;
        assert_eq!(rhythm.turn(start + IDLE), None);
        let late = start + IDLE + Duration::from_secs(3);
        assert_eq!(rhythm.turn(late), Some(Duration::from_secs(3)));
    }

    #[test]
    fn a_turn_that_took_long_is_a_stall_though_its_deadline_was_long_before() {
        let start = Instant::now();
        let mut rhythm = Rhythm { last: start, asked: start - Duration::from_millis(40) };
        assert_eq!(rhythm.turn(start + Duration::from_millis(300)), Some(Duration::from_millis(300)));
    }
}
