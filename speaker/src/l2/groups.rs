//! Solicited-node groups of the addresses that the node answers for (RFC 4861 section 7.2.1).
//!
//! Switches with MLD snooping and network cards deliver solicitations only where somebody joined. Memberships belong to
//! sockets, and the kernel bounds how much memory those of one socket may take (`net.core.optmem_max`, some 2,340 of
//! them by default), so that they are spread over as many sockets as it takes. To join, the kernel takes the lock that
//! every change of an interface takes, which may be held for long where pods come and go: a thread of its own waits.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::io;
use std::net::Ipv6Addr;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use daymark_l2::responder::GroupChange;
use daymark_model::InterfaceIndex;
use socket2::{Domain, Socket, Type};
use tokio::sync::watch;

use super::retry::Retry;
use super::status::Problem;

/// How long the thread sleeps when nothing is due.
const IDLE: Duration = Duration::from_secs(3600);

/// The way to the thread, which starts with the first group to be joined.
#[derive(Default)]
pub(super) struct Groups {
    orders: Option<mpsc::Sender<Order>>,
    problems: watch::Sender<BTreeMap<InterfaceIndex, Problem>>,
}

enum Order {
    Change(InterfaceIndex, GroupChange),
    /// These are the interfaces that there are.
    Interfaces(BTreeSet<InterfaceIndex>),
}

impl Groups {
    pub(super) fn change(&mut self, interface: InterfaceIndex, change: GroupChange) {
        self.order(Order::Change(interface, change));
    }

    /// Other interfaces are gone, and memberships on them with them.
    pub(super) fn retain(&mut self, present: BTreeSet<InterfaceIndex>) {
        if self.orders.is_some() {
            self.order(Order::Interfaces(present));
        }
    }

    /// What does not work, by interface.
    pub(super) fn problems(&self) -> BTreeMap<InterfaceIndex, Problem> {
        self.problems.borrow().clone()
    }

    fn order(&mut self, order: Order) {
        let orders = self.orders.get_or_insert_with(|| {
            let (orders, given) = mpsc::channel();
            let memberships = Memberships { problems: self.problems.clone(), ..Memberships::default() };
            let thread = std::thread::Builder::new().name("l2-groups".to_owned());
            if let Err(error) = thread.spawn(move || memberships.run(&given)) {
                tracing::error!("multicast groups are not joined, restart the speaker: {error}");
            }
            orders
        });
        // Without the thread there is nobody to hear it; the log says so.
        let _ = orders.send(order);
    }
}

/// The memberships of the node.
#[derive(Default)]
struct Memberships {
    sockets: Vec<Holder>,
    /// By interface and group, the number of the socket that holds it.
    joined: HashMap<(InterfaceIndex, Ipv6Addr), usize>,
    refused: BTreeMap<InterfaceIndex, Refused>,
    retry: Retry,
    problems: watch::Sender<BTreeMap<InterfaceIndex, Problem>>,
}

struct Holder {
    socket: Socket,
    full: bool,
}

#[derive(Default)]
struct Refused {
    groups: HashSet<Ipv6Addr>,
    error: String,
}

impl Memberships {
    fn run(mut self, orders: &mpsc::Receiver<Order>) {
        loop {
            let due = self.retry.next().filter(|_| !self.refused.is_empty());
            let wait = due.map_or(IDLE, |due| due.saturating_duration_since(Instant::now()));
            match orders.recv_timeout(wait) {
                Ok(Order::Change(interface, GroupChange::Join(group))) => self.join(interface, group),
                Ok(Order::Change(interface, GroupChange::Leave(group))) => self.leave(interface, group),
                Ok(Order::Interfaces(present)) => self.retain(&present),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            self.try_again(Instant::now());
            self.publish();
        }
    }

    fn retain(&mut self, present: &BTreeSet<InterfaceIndex>) {
        let gone = self.joined.keys().filter(|(interface, _)| !present.contains(interface));
        for (interface, group) in gone.copied().collect::<Vec<_>>() {
            self.leave(interface, group);
        }
        self.refused.retain(|interface, _| present.contains(interface));
        self.retry.hurry();
    }

    /// Joins again what was refused, where that is due.
    fn try_again(&mut self, now: Instant) {
        if self.refused.is_empty() || !self.retry.is_due(now) {
            return;
        }
        let of = |(interface, refused): (&InterfaceIndex, &Refused)| {
            refused.groups.iter().map(|group| (*interface, *group)).collect::<Vec<_>>()
        };
        for (interface, group) in self.refused.iter().flat_map(of).collect::<Vec<_>>() {
            self.join(interface, group);
        }
        self.refused.retain(|_, refused| !refused.groups.is_empty());
        if self.refused.is_empty() {
            self.retry.worked();
        }
    }

    fn publish(&self) {
        let refused = self.refused.iter().filter(|(_, refused)| !refused.groups.is_empty());
        let problems = refused.map(|(interface, Refused { groups, error })| {
            let message = format!(
                "{} multicast groups cannot be joined, so that switches may withhold solicitations: {error}",
                groups.len()
            );
            (*interface, Problem { reason: "GroupMembership", message })
        });
        let problems = problems.collect();
        self.problems.send_if_modified(|known| {
            let changed = *known != problems;
            *known = problems;
            changed
        });
    }

    fn join(&mut self, interface: InterfaceIndex, group: Ipv6Addr) {
        if self.joined.contains_key(&(interface, group)) {
            return;
        }
        match self.join_somewhere(interface, group) {
            Ok(number) => {
                self.joined.insert((interface, group), number);
                self.forget_refusal(interface, group);
            }
            Err(error) => {
                self.retry.failed(Instant::now());
                let refused = self.refused.entry(interface).or_default();
                if refused.groups.is_empty() {
                    tracing::warn!(%interface, "cannot join multicast groups: {error}");
                }
                refused.groups.insert(group);
                refused.error = error.to_string();
            }
        }
    }

    fn join_somewhere(&mut self, interface: InterfaceIndex, group: Ipv6Addr) -> io::Result<usize> {
        let open = self.sockets.iter_mut().enumerate().filter(|(_, holder)| !holder.full);
        for (number, holder) in open {
            match holder.socket.join_multicast_v6(&group, interface.0) {
                Err(error) if is_full(&error) => holder.full = true,
                result => return result.map(|()| number),
            }
        }
        let socket = Socket::new(Domain::IPV6, Type::DGRAM, None)?;
        socket.join_multicast_v6(&group, interface.0)?;
        let number = self.sockets.len();
        self.sockets.push(Holder { socket, full: false });
        Ok(number)
    }

    fn leave(&mut self, interface: InterfaceIndex, group: Ipv6Addr) {
        self.forget_refusal(interface, group);
        self.refused.retain(|_, refused| !refused.groups.is_empty());
        let Some(number) = self.joined.remove(&(interface, group)) else { return };
        if let Some(holder) = self.sockets.get_mut(number) {
            // An interface that is gone took its memberships with it; the socket's memory is freed all the same.
            let _ = holder.socket.leave_multicast_v6(&group, interface.0);
            holder.full = false;
        }
    }

    fn forget_refusal(&mut self, interface: InterfaceIndex, group: Ipv6Addr) {
        if let Some(refused) = self.refused.get_mut(&interface) {
            refused.groups.remove(&group);
        }
    }
}

/// Whether the socket's memory for memberships is used up, which is not so for a fresh socket.
fn is_full(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ENOMEM | libc::ENOBUFS))
}
