//! One neighbor's task: it owns the [`Peer`], the sockets and the timer.

use std::future::{pending, poll_fn};
use std::pin::Pin;
use std::task::Poll;
use std::time::Instant;

use daymark_bgp::wire::CeaseReason;
use daymark_bgp::{
    CloseMode, ConnectFault, ConnectionId, Input, Origin, Output, Peer, RouteChange, SessionState,
};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;

use super::config::NeighborConfig;
use super::connect::{connect, equip_accepted, link};
use super::driver::{BgpEvent, Change};
use super::socket::Socket;
use super::status::{BgpStatus, Clock, NeighborStatus};
use crate::netlink::HostNetwork;

/// How many words are taken in one turn, so that their routes leave in common messages.
const WORDS: usize = 1024;
const READ_BUFFER: usize = 64 * 1024;
/// How often a socket is read in one turn.
const READS: usize = 4;

/// What a neighbor's task is told.
pub(super) enum Word {
    Configure(Box<NeighborConfig>),
    Update(Vec<RouteChange>, Instant),
    Synced,
    Network(HostNetwork),
    Accepted(TcpStream),
    Shutdown {
        text: String,
        wait: std::time::Duration,
    },
    /// The neighbor is no longer configured; its routes are given back.
    Remove(oneshot::Sender<Vec<RouteChange>>),
}

/// What a task is made with.
pub(super) struct Setup {
    pub(super) config: NeighborConfig,
    pub(super) seed: u64,
    pub(super) network: HostNetwork,
    pub(super) words: mpsc::UnboundedReceiver<Word>,
    pub(super) status: watch::Sender<BgpStatus>,
    pub(super) events: mpsc::UnboundedSender<BgpEvent>,
}

type Dialing = Pin<Box<dyn Future<Output = Result<TcpStream, ConnectFault>> + Send>>;

struct Task {
    config: NeighborConfig,
    peer: Peer,
    network: HostNetwork,
    sockets: Vec<Socket>,
    dialing: Option<(ConnectionId, Dialing)>,
    closing: JoinSet<()>,
    accepted: u64,
    /// Since when changes wait to be written.
    unwritten: [Option<(Change, Instant)>; 2],
    buffer: Vec<u8>,
    clock: Clock,
    published: Option<NeighborStatus>,
    status: watch::Sender<BgpStatus>,
    events: mpsc::UnboundedSender<BgpEvent>,
    stopped: bool,
    /// It is no longer configured, so nothing is told of it.
    removed: bool,
}

/// Runs a neighbor until it is stopped.
pub(super) async fn run(setup: Setup) {
    let Setup { config, seed, network, mut words, status, events } = setup;
    let mut task = Task {
        peer: Peer::new(config.peer.clone(), seed, Instant::now()),
        config,
        network,
        sockets: Vec::new(),
        dialing: None,
        closing: JoinSet::new(),
        accepted: 0,
        unwritten: [None, None],
        buffer: vec![0; READ_BUFFER],
        clock: Clock::default(),
        published: None,
        status,
        events,
        stopped: false,
        removed: false,
    };
    let mut taken = Vec::new();
    task.publish();
    while !(task.stopped && task.closing.is_empty()) {
        let deadline = task.peer.next_deadline();
        tokio::select! {
            count = words.recv_many(&mut taken, WORDS), if !task.stopped => {
                if count == 0 {
                    task.input(Input::Stop { reason: CeaseReason::AdministrativeShutdown, text: String::new() });
                }
                task.take(taken.drain(..));
            }
            at = ready(&task.sockets) => task.read(at),
            result = dialed(&mut task.dialing) => task.dialed(result),
            () = until(deadline) => task.tick(),
            Some(_) = task.closing.join_next(), if !task.closing.is_empty() => {}
        }
        task.publish();
    }
}

/// The place of a socket that can be read, or written where something waits.
async fn ready(sockets: &[Socket]) -> usize {
    poll_fn(|context| {
        let at = sockets.iter().position(|socket| socket.poll_ready(context).is_ready());
        at.map_or(Poll::Pending, Poll::Ready)
    })
    .await
}

async fn dialed(
    dialing: &mut Option<(ConnectionId, Dialing)>,
) -> (ConnectionId, Result<TcpStream, ConnectFault>) {
    let Some((id, attempt)) = dialing else { return pending().await };
    let result = (*id, attempt.await);
    *dialing = None;
    result
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
        None => pending().await,
    }
}

impl Task {
    /// Gives an input to the peer and does what follows.
    fn input(&mut self, input: Input<'_>) {
        let mut outputs = Vec::new();
        self.peer.handle(Instant::now(), input, &mut outputs);
        self.act(outputs);
        self.write();
    }

    fn act(&mut self, outputs: Vec<Output>) {
        for output in outputs {
            match output {
                Output::Connect { connection } => {
                    let attempt = connect(self.config.clone(), self.network.clone());
                    self.dialing = Some((connection, Box::pin(attempt)));
                }
                Output::Send { connection, bytes } => {
                    if let Some(socket) = self.sockets.iter_mut().find(|socket| socket.id == connection) {
                        socket.push(bytes);
                    }
                }
                Output::Close { connection, mode } => self.close(connection, mode),
                Output::StateChanged { from, to, error } => {
                    let neighbor = self.config.name.clone();
                    // Whoever does not listen any more needs no events.
                    let _ = self.events.send(BgpEvent::StateChanged { neighbor, from, to, error });
                }
                Output::Stopped => self.stopped = true,
            }
        }
    }

    fn close(&mut self, id: ConnectionId, mode: CloseMode) {
        self.dialing.take_if(|(attempt, _)| *attempt == id);
        let Some(at) = self.sockets.iter().position(|socket| socket.id == id) else { return };
        let mut socket = self.sockets.swap_remove(at);
        match mode {
            CloseMode::Abort => drop(socket),
            CloseMode::Linger => {
                socket.write();
                self.closing.spawn(socket.linger());
            }
        }
    }

    /// Writes as long as the kernel takes something; the peer may have more to say each time.
    fn write(&mut self) {
        loop {
            let written: Vec<_> = self
                .sockets
                .iter_mut()
                .map(|s| (s.id, s.write()))
                .filter(|(_, octets)| *octets > 0)
                .collect();
            if written.is_empty() {
                break;
            }
            for (connection, octets) in written {
                let mut outputs = Vec::new();
                self.peer.handle(Instant::now(), Input::Written { connection, octets }, &mut outputs);
                self.act(outputs);
            }
        }
        self.tell_written();
    }

    fn tell_written(&mut self) {
        if self.unwritten.iter().all(Option::is_none) || !self.sockets.iter().all(Socket::is_written) {
            return;
        }
        let up = self.published.as_ref().is_some_and(|known| known.state == SessionState::Established);
        for (change, since) in self.unwritten.iter_mut().filter_map(Option::take) {
            if up {
                let neighbor = self.config.name.clone();
                let _ = self.events.send(BgpEvent::Written { neighbor, change, elapsed: since.elapsed() });
            }
        }
    }

    fn take(&mut self, words: impl Iterator<Item = Word>) {
        let mut changes = Vec::new();
        for word in words {
            if let Word::Update(more, since) = word {
                self.note_change(&more, since);
                if changes.is_empty() {
                    changes = more;
                } else {
                    changes.extend(more);
                }
                continue;
            }
            self.change(&mut changes);
            match word {
                Word::Update(..) => {}
                Word::Configure(config) => self.configure(*config),
                Word::Synced => self.input(Input::Synced),
                Word::Network(network) => self.network(network),
                Word::Accepted(stream) => self.accepted(stream),
                Word::Shutdown { text, wait } => self.input(Input::Shutdown { text, wait }),
                Word::Remove(routes) => {
                    // Whoever asked and went away does not need them.
                    let _ = routes.send(self.peer.routes().collect());
                    self.input(Input::Stop { reason: CeaseReason::PeerDeconfigured, text: String::new() });
                    self.removed = true;
                    self.status.send_modify(|status| drop(status.neighbors.remove(&self.config.name)));
                }
            }
        }
        self.change(&mut changes);
    }

    fn change(&mut self, changes: &mut Vec<RouteChange>) {
        if !changes.is_empty() {
            self.input(Input::RoutesChanged(std::mem::take(changes)));
        }
    }

    fn note_change(&mut self, changes: &[RouteChange], since: Instant) {
        let announces = changes.iter().any(|change| change.attributes.is_some());
        let (at, change) = if announces { (0, Change::Announced) } else { (1, Change::Withdrawn) };
        if let Some(oldest) = self.unwritten.get_mut(at) {
            oldest.get_or_insert((change, since));
        }
    }

    fn configure(&mut self, config: NeighborConfig) {
        let old = std::mem::replace(&mut self.config, config);
        if old.peer != self.config.peer {
            self.input(Input::Reconfigured(self.config.peer.clone()));
        }
        if old.transport != self.config.transport {
            self.input(Input::Reset { reason: CeaseReason::OtherConfigurationChange });
        }
    }

    fn network(&mut self, network: HostNetwork) {
        self.network = network;
        let mut changed = Vec::new();
        for socket in &mut self.sockets {
            let link = link(socket.link.local, &self.network);
            if link != socket.link {
                socket.link = link;
                changed.push((socket.id, link));
            }
        }
        for (connection, link) in changed {
            self.input(Input::LinkChanged { connection, link });
        }
    }

    fn accepted(&mut self, stream: TcpStream) {
        let id = ConnectionId { origin: Origin::Incoming, number: self.accepted };
        self.accepted = self.accepted.wrapping_add(1);
        // A connection that is gone already is not worth a word: the neighbor will come again.
        let Ok(local) = equip_accepted(&stream, &self.config).and_then(|()| stream.local_addr()) else {
            return;
        };
        let link = link(local, &self.network);
        self.sockets.push(Socket::new(id, link, stream));
        self.input(Input::Accepted { connection: id, link });
    }

    fn dialed(&mut self, (connection, result): (ConnectionId, Result<TcpStream, ConnectFault>)) {
        let connected = result.and_then(|stream| match stream.local_addr() {
            Ok(local) => Ok((stream, local)),
            Err(error) => Err(ConnectFault::Other { error: error.to_string() }),
        });
        match connected {
            Ok((stream, local)) => {
                let link = link(local, &self.network);
                self.sockets.push(Socket::new(connection, link, stream));
                self.input(Input::Connected { connection, link });
            }
            Err(fault) => self.input(Input::ConnectFailed { connection, fault }),
        }
    }

    fn read(&mut self, at: usize) {
        let Some(id) = self.sockets.get(at).map(|socket| socket.id) else { return };
        let mut buffer = std::mem::take(&mut self.buffer);
        for _ in 0..READS {
            let Some(socket) = self.sockets.iter().find(|socket| socket.id == id) else { break };
            match socket.read(&mut buffer) {
                Ok(None) => break,
                Ok(Some(0)) => self.lost(id, None),
                Ok(Some(count)) => {
                    let bytes = buffer.get(..count).unwrap_or_default();
                    self.input(Input::Received { connection: id, bytes });
                }
                Err(error) => self.lost(id, Some(error.to_string())),
            }
        }
        self.buffer = buffer;
        self.write();
    }

    fn lost(&mut self, id: ConnectionId, error: Option<String>) {
        self.sockets.retain(|socket| socket.id != id);
        self.input(Input::Closed { connection: id, error });
    }

    /// A timer is due. What has arrived is read before it is judged that nothing has: this task may be late.
    fn tick(&mut self) {
        for at in 0..self.sockets.len() {
            self.read(at);
        }
        self.input(Input::Tick);
    }

    fn publish(&mut self) {
        if self.removed {
            return;
        }
        let status = self.clock.render(self.peer.status());
        if self.published.as_ref() == Some(&status) {
            return;
        }
        let name = self.config.name.clone();
        self.status.send_modify(|all| drop(all.neighbors.insert(name, status.clone())));
        self.published = Some(status);
    }
}
