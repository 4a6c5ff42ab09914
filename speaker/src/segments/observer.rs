//! Log lines and metrics of layer 2.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use daymark_config::crd::SpeakerStatus;
use daymark_model::{InterfaceIndex, Timestamp};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};
use tracing::{debug, info, warn};

use super::{L2Event, News, interface_name};
use crate::l2::{L2Handle, Problem};
use crate::metrics::Metrics;
use crate::netlink::HostNetwork;
use crate::status::{Owned, OwnedAddress};
use crate::wall_clock;

/// The least time between two looks at the status for metrics, and between two lines about addresses.
const INTERVAL: Duration = Duration::from_millis(500);
/// So many addresses that move alike get a line each; more are counted.
const NAMED: usize = 3;
const NODE_NETWORK: &str = "node-network";

/// How addresses moved: taken or given up, on which interface, why.
type Move = (bool, InterfaceIndex, String);

/// Logs and counts what the driver tells, and tells the owner what concerns it.
pub(super) struct Observer {
    driver: L2Handle,
    networks: watch::Receiver<HostNetwork>,
    metrics: Metrics,
    tell: mpsc::UnboundedSender<News>,
    moved: BTreeMap<Move, Vec<IpAddr>>,
    problems: BTreeMap<String, Problem>,
    /// Since when the node answers for what.
    owned: BTreeMap<(IpAddr, InterfaceIndex), Timestamp>,
    told: Owned,
}

impl Observer {
    pub(super) fn new(
        driver: L2Handle,
        networks: watch::Receiver<HostNetwork>,
        metrics: Metrics,
        tell: mpsc::UnboundedSender<News>,
    ) -> Self {
        Self {
            driver,
            networks,
            metrics,
            tell,
            moved: BTreeMap::new(),
            problems: BTreeMap::new(),
            owned: BTreeMap::new(),
            told: Owned::default(),
        }
    }

    /// Observes until the driver is gone.
    pub(super) async fn run(mut self, mut heard: mpsc::UnboundedReceiver<L2Event>) {
        let mut status = self.driver.status();
        let mut due = None;
        loop {
            let look = due.unwrap_or_else(Instant::now);
            tokio::select! {
                event = heard.recv() => match event {
                    Some(event) => self.observe(event),
                    None => break,
                },
                Ok(()) = status.changed() => {}
                () = sleep_until(look), if due.is_some() => {
                    due = None;
                    self.look();
                    continue;
                }
            }
            due.get_or_insert_with(|| Instant::now() + INTERVAL);
        }
        self.look();
    }

    fn observe(&mut self, event: L2Event) {
        match event {
            L2Event::Took { address, interface, cause } => {
                self.metrics.l2.taken(cause.code());
                self.owned.insert((address, interface), wall_clock::now());
                debug!(%address, %interface, %cause, "answering");
                self.moved.entry((true, interface, cause.to_string())).or_default().push(address);
            }
            L2Event::GaveUp { address, interface, cause } => {
                self.metrics.l2.given_up(cause.code());
                self.owned.remove(&(address, interface));
                debug!(%address, %interface, %cause, "no longer answering");
                self.moved.entry((false, interface, cause.to_string())).or_default().push(address);
            }
            L2Event::Conflict { address, interface, mac } => {
                self.metrics.l2.conflicts.inc();
                let name = self.name(interface);
                warn!(%address, interface = name, %mac, reason = "AddressConflict",
                    "somebody that is no node of the cluster has the address");
                self.tell(News::Conflict { address, interface, mac: Some(mac) });
            }
            L2Event::ConflictEnded { address, interface } => {
                info!(%address, interface = self.name(interface), "nobody else has the address any more");
                self.tell(News::Conflict { address, interface, mac: None });
            }
            L2Event::MemberUp { interface, node } => {
                debug!(node, mesh = self.mesh(interface), "heard a node")
            }
            L2Event::MemberDown { interface, node, left: true } => {
                info!(node, mesh = self.mesh(interface), "a node has left");
            }
            L2Event::MemberDown { interface, node, left: false } => {
                warn!(node, mesh = self.mesh(interface), "a node is gone");
            }
            L2Event::WrongKey { interface, from } => {
                let mesh = self.mesh(interface);
                self.metrics.l2.wrong_key(&mesh);
                warn!(from, mesh, "somebody speaks with another key: compare the Secrets daymark-mesh");
            }
            L2Event::DuplicateNode { interface, from } => {
                warn!(
                    from,
                    mesh = self.mesh(interface),
                    "another node says that it is this one: two nodes have one UID, or two speakers run here"
                );
            }
            L2Event::SegmentDeaf { interface, on: true } => {
                warn!(
                    interface = self.name(interface),
                    reason = "Deaf",
                    "others hear this node, and it hears nobody: it answers for nothing there"
                );
            }
            L2Event::SegmentDeaf { interface, on: false } => {
                info!(interface = self.name(interface), "no longer deaf");
            }
            L2Event::SegmentMembershipBroken { interface, on: true } => {
                warn!(
                    interface = self.name(interface),
                    reason = "SegmentMembershipBroken",
                    "nobody is heard on a segment on which others live"
                );
            }
            L2Event::SegmentMembershipBroken { interface, on: false } => {
                info!(interface = self.name(interface), "others are heard again");
            }
            L2Event::Stalls { on: true } => {
                warn!(
                    "the speaker stood still twice: other nodes answer first; give it CPU, or set no CPU limit"
                );
            }
            L2Event::Stalls { on: false } => info!("the speaker has not stood still for a while"),
        }
    }

    /// Brings metrics up to date, and says what moved.
    fn look(&mut self) {
        let status = self.driver.status();
        let snapshot = status.borrow();
        if let Some(node) = &snapshot.node {
            let members = |mesh: &daymark_l2::node::MeshStatus| mesh.members.len();
            let segments = node.segments.iter();
            let network = (NODE_NETWORK.to_owned(), members(&node.network));
            self.metrics.l2.members(
                std::iter::once(network).chain(segments.clone().map(|s| (s.name.clone(), members(&s.mesh)))),
            );
            self.metrics.l2.addresses(segments.map(|s| (s.name.clone(), s.owned, s.offered)));
        }
        self.metrics.l2.frames(self.driver.counters());
        if self.problems != snapshot.problems {
            self.problems.clone_from(&snapshot.problems);
            self.tell(News::Problems);
        }
        drop(snapshot);
        self.tell_owned();
        for ((took, interface, cause), addresses) in std::mem::take(&mut self.moved) {
            let what = if took { "answers for" } else { "answers no longer for" };
            let interface = self.name(interface);
            match addresses.as_slice() {
                few if few.len() <= NAMED => {
                    few.iter().for_each(|address| info!(interface, "{what} {address}: {cause}"));
                }
                many => info!(interface, "{what} {} addresses: {cause}", many.len()),
            }
        }
    }

    fn tell_owned(&mut self) {
        let first = self.owned.iter().take(SpeakerStatus::MAX_OWNED);
        let first = first.map(|((address, interface), since)| OwnedAddress {
            address: *address,
            interface: self.name(*interface),
            since: *since,
        });
        let owned = Owned { count: self.owned.len(), first: first.collect() };
        if owned != self.told {
            self.told = owned.clone();
            self.tell(News::Owned(owned));
        }
    }

    fn tell(&self, news: News) {
        // An owner that is gone needs no news.
        let _ = self.tell.send(news);
    }

    fn name(&self, interface: InterfaceIndex) -> String {
        interface_name(&self.networks.borrow(), interface)
    }

    fn mesh(&self, interface: Option<InterfaceIndex>) -> String {
        interface.map_or_else(|| NODE_NETWORK.to_owned(), |interface| self.name(interface))
    }
}
