//! The engine under a second cloud that has nothing in common with AWS: that the trait suffices, and that a pass may end
//! anywhere.

#![allow(clippy::unwrap_used, reason = "a test")]

mod api;
mod cloud;
mod crash;
mod passes;

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use daymark_model::Inventory;
use daymark_providers::pass::{self, End, PassReport};
use daymark_providers::{Depth, ErrorClass, InventoryStore, Policy, StoreError};

use api::Pause;
use cloud::{Desired, Small};

/// How many times a future may be polled before its process dies.
struct Life(Option<usize>);

impl Life {
    fn run<F: Future>(&mut self, future: F) -> Option<F::Output> {
        let mut future = pin!(future);
        let mut context = Context::from_waker(Waker::noop());
        loop {
            if let Some(left) = &mut self.0 {
                *left = left.checked_sub(1)?;
            }
            if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
                return Some(output);
            }
        }
    }
}

#[derive(Default)]
struct Store {
    saved: Inventory,
    /// How many saves succeed before all fail.
    conflict_after: Option<usize>,
}

impl InventoryStore for Store {
    async fn save(&mut self, inventory: &Inventory) -> Result<(), StoreError> {
        Pause::default().await;
        if let Some(left) = &mut self.conflict_after {
            *left = left.checked_sub(1).ok_or_else(|| StoreError("it was changed meanwhile".into()))?;
        }
        self.saved = inventory.clone();
        Pause::default().await;
        Ok(())
    }
}

/// A cloud, the store of one load balancer, and what its Service wishes.
struct World {
    cloud: Small,
    store: Store,
    desired: Option<Desired>,
    policy: Policy,
}

impl World {
    fn new() -> Self {
        let desired = Desired {
            name: "web".into(),
            location: "north".into(),
            size: 1,
            ports: [80, 443].into(),
            servers: ["a".to_owned(), "b".to_owned()].into(),
        };
        let (cloud, store, policy) = (Small::default(), Store::default(), Policy::default());
        Self { cloud, store, desired: Some(desired), policy }
    }

    /// One with a load balancer that serves.
    fn serving() -> Self {
        let mut world = Self::new();
        assert_eq!(world.settle(), End::Converged);
        world
    }

    fn wish(&mut self) -> &mut Desired {
        self.desired.as_mut().unwrap()
    }

    fn advance(&self, span: Duration) {
        let mut state = self.cloud.0.state();
        state.now = state.now + span;
    }

    /// A pass from what was saved; `None` when the process died in it.
    fn pass_within(&mut self, life: &mut Life, depth: Depth) -> Option<PassReport> {
        let now = self.cloud.0.state().now;
        let saved = self.store.saved.clone();
        let Self { cloud, store, desired, policy } = self;
        let report = life.run(pass::run(cloud, store, desired.as_ref(), saved, depth, policy, now));
        self.check_that_nothing_is_forgotten();
        report
    }

    fn pass(&mut self) -> PassReport {
        self.pass_within(&mut Life(None), Depth::Full).unwrap()
    }

    /// Passes until nothing more happens; `None` when the process died in one.
    fn settle_within(&mut self, life: &mut Life) -> Option<End> {
        let mut last = None;
        for _ in 0..60 {
            let report = self.pass_within(life, Depth::Full)?;
            let pause = report.again.unwrap_or(Duration::from_secs(10));
            let quiet = match &report.end {
                End::Waiting(_) => false,
                End::Failed(error) => error.class != ErrorClass::Transient,
                End::Converged | End::Held | End::Shown | End::Gone | End::Unsaved(_) => report.done == 0,
            };
            if quiet || report.end == End::Gone {
                return Some(report.end);
            }
            self.advance(pause);
            last = Some(report);
        }
        panic!("no end: {last:?}");
    }

    fn settle(&mut self) -> End {
        self.settle_within(&mut Life(None)).unwrap()
    }

    /// Whatever stands in the cloud is named in the inventory as it was saved.
    fn check_that_nothing_is_forgotten(&self) {
        for balancer in self.cloud.0.state().balancers.values() {
            let known = self.store.saved.resources().any(|resource| resource.name == balancer.name);
            assert!(known, "{} is in no inventory", balancer.name);
        }
    }

    /// What stands in the cloud: location, size, ports and servers.
    fn standing(&self) -> Vec<String> {
        let state = self.cloud.0.state();
        let line = |b: &api::Balancer| format!("{} {} {:?} {:?}", b.location, b.size, b.ports, b.servers);
        state.balancers.values().map(line).collect()
    }

    fn log(&self) -> Vec<String> {
        std::mem::take(&mut self.cloud.0.state().log)
    }

    fn refuse(&self, action: &'static str, code: &'static str) {
        self.cloud.0.state().faults.push_back((action, code));
    }
}
