//! The driver as its callers see it, and its late start.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use daymark_l2::member::NodeUid;
use daymark_l2::mesh::MeshKeys;
use daymark_l2::node::{L2Address, L2Event, NodeFacts};
use daymark_l2::offer::Offer;
use tokio::sync::{mpsc, oneshot, watch};

use super::driver;
use super::status::{L2Counters, L2Snapshot, Phase, Problem};
use crate::netlink::HostNetwork;

/// How long after `wait` a shutdown may take.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(1);

/// What the driver is made with.
#[derive(Debug, Clone)]
pub struct L2Driver {
    /// The node.
    pub node: NodeUid,
    /// Its name.
    pub name: String,
    /// The UDP port of the node network's mesh; 7947 by custom.
    pub port: u16,
}

/// What becomes of an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// The node may answer for it, or the terms are others.
    Offer(Offer),
    /// It may no more.
    Withdraw(IpAddr),
}

pub(super) enum Command {
    Configure(NodeFacts),
    Keys(Option<MeshKeys>),
    Change(Change),
    Seeds(Vec<SocketAddr>),
    Addresses { after: Option<IpAddr>, limit: usize, answer: oneshot::Sender<Vec<L2Address>> },
    Address(IpAddr, oneshot::Sender<Vec<L2Address>>),
    Shutdown { wait: Duration, done: oneshot::Sender<()> },
}

/// The way to the driver. When all handles are gone it leaves.
#[derive(Debug, Clone)]
pub struct L2Handle {
    commands: mpsc::UnboundedSender<Command>,
    status: watch::Receiver<L2Snapshot>,
    counters: Arc<L2Counters>,
}

/// What the driver's thread is given.
pub(super) struct Wires {
    pub(super) commands: mpsc::UnboundedReceiver<Command>,
    pub(super) network: watch::Receiver<HostNetwork>,
    pub(super) status: watch::Sender<L2Snapshot>,
    pub(super) counters: Arc<L2Counters>,
    pub(super) events: mpsc::UnboundedSender<L2Event>,
}

impl L2Driver {
    /// Makes the driver ready; must be called on a tokio runtime. `network` tells the node's interfaces, `events` hears
    /// what happens. The thread starts with the first [`NodeFacts`] that have terms, or the first offer.
    pub fn spawn(
        self,
        network: watch::Receiver<HostNetwork>,
        events: mpsc::UnboundedSender<L2Event>,
    ) -> L2Handle {
        let (commands, orders) = mpsc::unbounded_channel();
        let (publisher, status) = watch::channel(L2Snapshot::default());
        let counters = Arc::new(L2Counters::default());
        let wires =
            Wires { commands: orders, network, status: publisher, counters: counters.clone(), events };
        tokio::spawn(start_late(self, wires));
        L2Handle { commands, status, counters }
    }
}

impl L2Handle {
    /// Tells what the node is and by which Announcements it may answer where.
    pub fn configure(&self, facts: NodeFacts) {
        self.order(Command::Configure(facts));
    }

    /// Sets the keys of the meshes; without any, nothing is answered.
    pub fn keys(&self, keys: Option<MeshKeys>) {
        self.order(Command::Keys(keys));
    }

    /// Offers and withdraws addresses.
    pub fn change(&self, changes: Vec<Change>) {
        // One by one: the driver looks at frames in between.
        changes.into_iter().for_each(|change| self.order(Command::Change(change)));
    }

    /// Tells where the meshes of other nodes may be found, for when this one's is empty.
    pub fn seeds(&self, seeds: Vec<SocketAddr>) {
        self.order(Command::Seeds(seeds));
    }

    /// The state, as it changes.
    pub fn status(&self) -> watch::Receiver<L2Snapshot> {
        self.status.clone()
    }

    /// Counts for metrics.
    pub fn counters(&self) -> &L2Counters {
        &self.counters
    }

    /// The addresses behind `after`, in ascending order, at most `limit`; one listing per address and interface.
    pub async fn addresses(&self, after: Option<IpAddr>, limit: usize) -> Vec<L2Address> {
        let (answer, answered) = oneshot::channel();
        self.order(Command::Addresses { after, limit, answer });
        answered.await.unwrap_or_default()
    }

    /// One address, on each interface where it may be answered.
    pub async fn address(&self, address: IpAddr) -> Vec<L2Address> {
        let (answer, answered) = oneshot::channel();
        self.order(Command::Address(address, answer));
        answered.await.unwrap_or_default()
    }

    /// Hands everything over and leaves the meshes. The future is ready when that is done, at the latest after `wait`.
    pub fn shutdown(&self, wait: Duration) -> impl Future<Output = ()> + Send + use<> {
        let (done, left) = oneshot::channel();
        self.order(Command::Shutdown { wait, done });
        async move {
            // A driver that is gone, or that takes too long, leaves nothing to wait for.
            let _ = tokio::time::timeout(wait.saturating_add(SHUTDOWN_GRACE), left).await;
        }
    }

    fn order(&self, command: Command) {
        // The driver ends only after a shutdown: then there is nobody to whom the order could matter.
        let _ = self.commands.send(command);
    }
}

/// What was said before there was anything to do.
#[derive(Default)]
pub(super) struct Early {
    facts: Option<NodeFacts>,
    keys: Option<MeshKeys>,
    offer: Option<Offer>,
    seeds: Vec<SocketAddr>,
}

/// Listens until there is something to do, and hands over to the thread.
async fn start_late(driver: L2Driver, mut wires: Wires) {
    let mut early = Early::default();
    while !early.is_work() {
        match wires.commands.recv().await {
            Some(Command::Configure(facts)) => early.facts = Some(facts),
            Some(Command::Keys(keys)) => early.keys = keys,
            Some(Command::Seeds(seeds)) => early.seeds = seeds,
            Some(Command::Change(Change::Offer(offer))) => early.offer = Some(offer),
            Some(Command::Change(Change::Withdraw(_))) => {}
            // Without an answer the question is answered with nothing.
            Some(Command::Addresses { .. } | Command::Address(..)) => {}
            Some(Command::Shutdown { done, .. }) => {
                wires.status.send_modify(|status| status.phase = Phase::Left);
                let _ = done.send(());
                return;
            }
            None => return,
        }
    }
    let status = wires.status.clone();
    if let Err(error) = driver::start(driver, wires, early) {
        let message = format!("layer 2 does not run, restart the speaker: {error}");
        tracing::error!("{message}");
        status.send_modify(|status| {
            status.problems.insert("thread".to_owned(), Problem { reason: "Thread", message });
        });
    }
}

impl Early {
    fn is_work(&self) -> bool {
        self.offer.is_some() || self.facts.as_ref().is_some_and(|facts| !facts.terms.is_empty())
    }

    pub(super) fn into_orders(self) -> Vec<Command> {
        let facts = self.facts.map(Command::Configure);
        let offer = self.offer.map(|offer| Command::Change(Change::Offer(offer)));
        let rest = [Command::Keys(self.keys), Command::Seeds(self.seeds)];
        facts.into_iter().chain(rest).chain(offer).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn threads() -> Vec<String> {
        let tasks = std::fs::read_dir("/proc/self/task").unwrap();
        tasks.filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("comm")).ok()).collect()
    }

    #[tokio::test]
    async fn a_node_without_l2_has_no_thread_and_leaves_at_once() {
        let (_network, networks) = watch::channel(HostNetwork::default());
        let (events, _heard) = mpsc::unbounded_channel();
        let driver = L2Driver { node: NodeUid::of("a"), name: "a".to_owned(), port: 0 };
        let handle = driver.spawn(networks, events);
        handle.keys(None);
        handle.configure(NodeFacts::default());
        assert_eq!(handle.addresses(None, 10).await, []);
        assert!(!threads().iter().any(|name| name.trim() == "l2"), "{:?}", threads());
        assert_eq!(handle.status().borrow().phase, Phase::Idle);
        handle.shutdown(Duration::from_secs(60)).await;
        assert_eq!(handle.status().borrow().phase, Phase::Left);
    }
}
