//! The driver as its callers see it, and the task that hands their words to the neighbors.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use daymark_bgp::{RouteChange, SessionError, SessionState};
use daymark_model::NeighborName;
use ipnet::IpNet;
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::{JoinError, JoinSet};

use super::config::NeighborConfig;
use super::listener::{Listener, turn_away};
use super::neighbor::{self, Setup, Word};
use super::status::BgpStatus;
use crate::netlink::HostNetwork;

/// How long after `wait` a shutdown may take.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(5);
/// How many orders are taken in one turn.
const ORDERS: usize = 1024;

/// What the driver is made with.
#[derive(Debug, Clone)]
pub struct BgpDriver {
    /// The port to listen on while a neighbor is passive; 179 by custom.
    pub listen_port: u16,
    /// Feeds the jitter of the timers.
    pub seed: u64,
}

/// Something to count or to log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BgpEvent {
    /// A session's state is another.
    StateChanged {
        /// The neighbor.
        neighbor: NeighborName,
        /// The old state.
        from: SessionState,
        /// The new one.
        to: SessionState,
        /// What ended the session or the attempt, when something did.
        error: Option<SessionError>,
    },
    /// All changes given so far are in the socket.
    Written {
        /// The neighbor.
        neighbor: NeighborName,
        /// What the changes did.
        change: Change,
        /// Since the oldest of them came about, as [`BgpHandle::update`] was told.
        elapsed: Duration,
    },
}

/// What a change of routes does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Change {
    /// It announces.
    Announced,
    /// It only withdraws.
    Withdrawn,
}

enum Command {
    Configure(Vec<NeighborConfig>),
    Update(NeighborName, Vec<RouteChange>, Instant),
    Synced,
    Network(HostNetwork),
    Shutdown { text: String, wait: Duration, done: oneshot::Sender<()> },
}

/// The way to a running driver. When all handles are gone the sessions are closed.
#[derive(Debug, Clone)]
pub struct BgpHandle {
    commands: mpsc::UnboundedSender<Command>,
    status: watch::Receiver<BgpStatus>,
}

impl BgpDriver {
    /// Starts the driver on a thread of its own. `events` hears what happens.
    ///
    /// # Errors
    /// When the system gives no thread or no event queue.
    pub fn spawn(self, events: mpsc::UnboundedSender<BgpEvent>) -> io::Result<BgpHandle> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (commands, orders) = mpsc::unbounded_channel();
        let (publisher, status) = watch::channel(BgpStatus::default());
        let manager = Manager {
            listener: Listener::new(self.listen_port),
            seed: self.seed,
            network: HostNetwork::default(),
            synced: false,
            neighbors: BTreeMap::new(),
            parked: BTreeMap::new(),
            tasks: JoinSet::new(),
            leaving: None,
            publisher,
            events,
        };
        std::thread::Builder::new()
            .name("bgp".to_owned())
            .spawn(move || runtime.block_on(manager.run(orders)))?;
        Ok(BgpHandle { commands, status })
    }
}

impl BgpHandle {
    /// Sets the neighbors of this node. A session that a change does not concern stays up.
    pub fn configure(&self, neighbors: Vec<NeighborConfig>) {
        self.order(Command::Configure(neighbors));
    }

    /// Announces, changes and withdraws routes toward a neighbor, whether it is configured already or not. `since` is
    /// when the cause came about.
    pub fn update(&self, neighbor: NeighborName, changes: Vec<RouteChange>, since: Instant) {
        self.order(Command::Update(neighbor, changes, since));
    }

    /// All routes that there are have been given: End-of-RIB may go out.
    pub fn synced(&self) {
        self.order(Command::Synced);
    }

    /// Tells the node's addresses, of which next hops and sources are taken.
    pub fn network(&self, network: HostNetwork) {
        self.order(Command::Network(network));
    }

    /// The state of all sessions, as it changes.
    pub fn status(&self) -> watch::Receiver<BgpStatus> {
        self.status.clone()
    }

    /// Leaves without losing a packet: routes get GRACEFUL_SHUTDOWN (RFC 8326), are withdrawn after `wait`, and each
    /// neighbor is told `text` (RFC 9003). The future is ready when all sessions are closed.
    pub fn shutdown(&self, text: String, wait: Duration) -> impl Future<Output = ()> + Send + use<> {
        let (done, closed) = oneshot::channel();
        self.order(Command::Shutdown { text, wait, done });
        async move {
            // A driver that is gone, or that takes too long, leaves nothing to wait for.
            let _ = tokio::time::timeout(wait.saturating_add(SHUTDOWN_GRACE), closed).await;
        }
    }

    fn order(&self, command: Command) {
        // The driver ends only after a shutdown: then there is nobody to whom the order could matter.
        let _ = self.commands.send(command);
    }
}

struct Neighbor {
    config: NeighborConfig,
    words: mpsc::UnboundedSender<Word>,
    task: tokio::task::Id,
}

/// Hands the callers' words to the neighbors' tasks, and incoming connections too.
struct Manager {
    listener: Listener,
    seed: u64,
    network: HostNetwork,
    synced: bool,
    neighbors: BTreeMap<NeighborName, Neighbor>,
    /// Routes for neighbors that are not configured, now or any more.
    parked: BTreeMap<NeighborName, BTreeMap<IpNet, RouteChange>>,
    tasks: JoinSet<()>,
    leaving: Option<oneshot::Sender<()>>,
    publisher: watch::Sender<BgpStatus>,
    events: mpsc::UnboundedSender<BgpEvent>,
}

impl Manager {
    async fn run(mut self, mut orders: mpsc::UnboundedReceiver<Command>) {
        let mut taken = Vec::new();
        let mut listening = true;
        loop {
            tokio::select! {
                count = orders.recv_many(&mut taken, ORDERS), if listening => {
                    if count == 0 {
                        listening = false;
                        self.leave(String::new(), Duration::ZERO);
                    }
                    for order in taken.drain(..) {
                        self.obey(order).await;
                    }
                }
                accepted = self.listener.accept() => self.accepted(accepted),
                Some(ended) = self.tasks.join_next_with_id(), if !self.tasks.is_empty() => self.task_ended(ended),
            }
            if self.tasks.is_empty() && (self.leaving.is_some() || !listening) {
                // Whoever does not wait any more needs no answer.
                let _ = self.leaving.take().map(|done| done.send(()));
                return;
            }
        }
    }

    /// A task that failed holds no session any more; the others go on.
    fn task_ended(&self, ended: Result<(tokio::task::Id, ()), JoinError>) {
        let Err(error) = ended else { return };
        let failed = self.neighbors.iter().find(|(_, neighbor)| neighbor.task == error.id());
        let name = failed.map(|(name, _)| name.as_str()).unwrap_or_default();
        tracing::error!(neighbor = name, "the session's task failed, restart the speaker: {error}");
    }

    async fn obey(&mut self, order: Command) {
        match order {
            Command::Configure(neighbors) if self.leaving.is_none() => self.configure(neighbors).await,
            Command::Configure(_) => {}
            Command::Update(name, changes, since) => self.update(name, changes, since),
            Command::Synced => {
                self.synced = true;
                self.tell_all(|| Word::Synced);
            }
            Command::Network(network) => {
                self.network = network;
                let network = self.network.clone();
                self.tell_all(|| Word::Network(network.clone()));
            }
            Command::Shutdown { text, wait, done } => {
                self.leaving = Some(done);
                self.leave(text, wait);
            }
        }
    }

    fn tell_all(&self, word: impl Fn() -> Word) {
        for neighbor in self.neighbors.values() {
            neighbor.tell(word());
        }
    }

    fn leave(&mut self, text: String, wait: Duration) {
        self.listener.set_wanted(false);
        self.tell_all(|| Word::Shutdown { text: text.clone(), wait });
    }

    async fn configure(&mut self, configs: Vec<NeighborConfig>) {
        let mut left = std::mem::take(&mut self.neighbors);
        for config in configs {
            let neighbor = match left.remove(&config.name) {
                Some(neighbor) if neighbor.config == config => neighbor,
                Some(neighbor) => {
                    neighbor.tell(Word::Configure(Box::new(config.clone())));
                    Neighbor { config, ..neighbor }
                }
                None => self.start(config),
            };
            self.neighbors.insert(neighbor.config.name.clone(), neighbor);
        }
        for (name, neighbor) in left {
            let (give_back, routes) = oneshot::channel();
            neighbor.tell(Word::Remove(give_back));
            let routes = routes.await.unwrap_or_default();
            self.park(name, routes);
        }
        self.listener.set_wanted(self.neighbors.values().any(|neighbor| neighbor.config.peer.passive));
        self.publish_listener();
    }

    fn start(&mut self, config: NeighborConfig) -> Neighbor {
        let (words, heard) = mpsc::unbounded_channel();
        self.seed = self.seed.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
        let setup = Setup {
            config: config.clone(),
            seed: self.seed,
            network: self.network.clone(),
            words: heard,
            status: self.publisher.clone(),
            events: self.events.clone(),
        };
        let task = self.tasks.spawn(neighbor::run(setup)).id();
        let neighbor = Neighbor { config, words, task };
        if let Some(routes) = self.parked.remove(&neighbor.config.name) {
            neighbor.tell(Word::Update(routes.into_values().collect(), Instant::now()));
        }
        if self.synced {
            neighbor.tell(Word::Synced);
        }
        neighbor
    }

    fn update(&mut self, name: NeighborName, changes: Vec<RouteChange>, since: Instant) {
        match self.neighbors.get(&name) {
            Some(neighbor) => neighbor.tell(Word::Update(changes, since)),
            None => self.park(name, changes),
        }
    }

    fn park(&mut self, name: NeighborName, changes: Vec<RouteChange>) {
        let routes = self.parked.entry(name.clone()).or_default();
        for change in changes {
            match change.attributes {
                Some(_) => drop(routes.insert(change.prefix, change)),
                None => drop(routes.remove(&change.prefix)),
            }
        }
        if routes.is_empty() {
            self.parked.remove(&name);
        }
    }

    fn accepted(&mut self, accepted: Option<(TcpStream, SocketAddr)>) {
        let Some((stream, from)) = accepted else { return self.publish_listener() };
        let address = from.ip().to_canonical();
        let expected = self.neighbors.values().find(|neighbor| neighbor.config.transport.address == address);
        match expected {
            Some(neighbor) => neighbor.tell(Word::Accepted(stream)),
            None => turn_away(stream),
        }
    }

    fn publish_listener(&self) {
        self.publisher.send_if_modified(|status| {
            let changed = status.listener.as_ref() != self.listener.error();
            if changed {
                status.listener = self.listener.error().cloned();
            }
            changed
        });
    }
}

impl Neighbor {
    fn tell(&self, word: Word) {
        // A task ends only when it was told to.
        let _ = self.words.send(word);
    }
}
