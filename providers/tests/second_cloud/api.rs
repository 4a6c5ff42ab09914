//! A cloud in memory that is nothing like AWS: one object per load balancer with an IPv4 address, changed by actions that
//! take a while, one at a time.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::future::Future;
use std::net::Ipv4Addr;
use std::pin::Pin;
use std::sync::{Mutex, MutexGuard};
use std::task::{Context, Poll};

use daymark_model::Timestamp;

/// How long an action keeps the load balancer locked.
pub const ACTION: i64 = 5_000;
/// How long a new load balancer is not found by its name.
const HIDDEN: i64 = 2_000;
/// How many servers fit on a load balancer, per unit of its size.
pub const SERVERS_PER_SIZE: usize = 2;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Balancer {
    pub id: u64,
    pub name: String,
    pub location: String,
    pub size: u32,
    pub ip: Ipv4Addr,
    pub servers: BTreeSet<String>,
    pub ports: BTreeSet<u16>,
    locked_until: Timestamp,
    listed_from: Timestamp,
}

/// What a call is refused with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refusal(pub &'static str);

#[derive(Default)]
pub struct State {
    pub now: Timestamp,
    pub balancers: BTreeMap<u64, Balancer>,
    /// Refusals to come, by action.
    pub faults: VecDeque<(&'static str, &'static str)>,
    /// What was done, in order.
    pub log: Vec<String>,
    last_id: u64,
}

#[derive(Default)]
pub struct Api(Mutex<State>);

/// Waits once: a place at which a caller can die.
#[derive(Default)]
pub struct Pause(bool);

impl Future for Pause {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if std::mem::replace(&mut self.0, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    }
}

impl Api {
    pub fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    pub async fn get(&self, id: u64) -> Result<Option<Balancer>, Refusal> {
        self.call("get", |state| Ok(state.balancers.get(&id).cloned())).await
    }

    pub async fn find(&self, name: &str) -> Result<Option<Balancer>, Refusal> {
        self.call("get", |state| {
            let listed = |balancer: &&Balancer| balancer.name == name && balancer.listed_from <= state.now;
            Ok(state.balancers.values().find(listed).cloned())
        })
        .await
    }

    pub async fn create(&self, name: &str, location: &str, size: u32) -> Result<Balancer, Refusal> {
        self.call("create", |state| {
            if state.balancers.values().any(|balancer| balancer.name == name) {
                return Err(Refusal("uniqueness_error"));
            }
            state.last_id += 1;
            let id = state.last_id;
            let balancer = Balancer {
                id,
                name: name.to_owned(),
                location: location.to_owned(),
                size,
                ip: Ipv4Addr::new(192, 0, 2, u8::try_from(id).unwrap()),
                servers: BTreeSet::new(),
                ports: BTreeSet::new(),
                locked_until: Timestamp(state.now.0 + ACTION),
                listed_from: Timestamp(state.now.0 + HIDDEN),
            };
            state.log.push(format!("create {name}"));
            state.balancers.insert(id, balancer.clone());
            Ok(balancer)
        })
        .await
    }

    pub async fn set_ports(&self, id: u64, ports: &BTreeSet<u16>) -> Result<(), Refusal> {
        self.action("ports", id, |balancer| {
            balancer.ports.clone_from(ports);
            Ok(())
        })
        .await
    }

    pub async fn attach(&self, id: u64, server: &str) -> Result<(), Refusal> {
        self.action("attach", id, |balancer| {
            if balancer.servers.len() >= balancer.size as usize * SERVERS_PER_SIZE {
                return Err(Refusal("resource_limit_exceeded"));
            }
            balancer.servers.insert(server.to_owned());
            Ok(())
        })
        .await
    }

    pub async fn detach(&self, id: u64, server: &str) -> Result<(), Refusal> {
        self.action("detach", id, |balancer| {
            balancer.servers.remove(server);
            Ok(())
        })
        .await
    }

    pub async fn resize(&self, id: u64, size: u32) -> Result<(), Refusal> {
        self.action("resize", id, |balancer| {
            balancer.size = size;
            Ok(())
        })
        .await
    }

    pub async fn delete(&self, id: u64) -> Result<(), Refusal> {
        self.call("delete", |state| {
            let now = state.now;
            let balancer = state.balancers.get(&id).ok_or(Refusal("not_found"))?;
            if balancer.locked_until > now {
                return Err(Refusal("locked"));
            }
            let line = format!("delete {}", balancer.name);
            state.log.push(line);
            state.balancers.remove(&id);
            Ok(())
        })
        .await
    }

    async fn action(
        &self,
        action: &'static str,
        id: u64,
        change: impl FnOnce(&mut Balancer) -> Result<(), Refusal>,
    ) -> Result<(), Refusal> {
        self.call(action, |state| {
            let now = state.now;
            let balancer = state.balancers.get_mut(&id).ok_or(Refusal("not_found"))?;
            if balancer.locked_until > now {
                return Err(Refusal("locked"));
            }
            change(balancer)?;
            balancer.locked_until = Timestamp(now.0 + ACTION);
            let line = format!("{action} {}", balancer.name);
            state.log.push(line);
            Ok(())
        })
        .await
    }

    /// A caller can die before the cloud hears of the call, and before it hears the answer.
    async fn call<T>(
        &self,
        action: &'static str,
        answer: impl FnOnce(&mut State) -> Result<T, Refusal>,
    ) -> Result<T, Refusal> {
        Pause::default().await;
        let answer = {
            let mut state = self.state();
            let fault = state.faults.iter().position(|(on, _)| *on == action);
            match fault.and_then(|at| state.faults.remove(at)) {
                Some((_, code)) => Err(Refusal(code)),
                None => answer(&mut state),
            }
        };
        Pause::default().await;
        answer
    }
}
