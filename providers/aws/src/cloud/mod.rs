//! All of it behind [`Cloud`].

mod cache;
pub mod published;

use std::sync::Arc;

use daymark_model::{Inventory, Timestamp};
use daymark_providers::{Capabilities, Cloud, CloudError, Depth, Outcome, Plan, Published};

use crate::api::Api;
use crate::apply::apply;
use crate::model::Desired;
use crate::observe::{Actual, Surroundings, observe};
use crate::plan::{AwsOperation, plan};
use cache::Cache;

/// Network Load Balancers of one account and region.
#[derive(Debug)]
pub struct AwsCloud<A> {
    api: A,
    cache: Arc<Cache>,
}

impl<A: Api> AwsCloud<A> {
    /// Those that `api` speaks for.
    pub fn new(api: A) -> Self {
        Self { api, cache: Arc::default() }
    }

    /// The same through other hands: with what is known already.
    pub fn through<B: Api>(&self, api: B) -> AwsCloud<B> {
        AwsCloud { api, cache: Arc::clone(&self.cache) }
    }

    /// What the calls are made with.
    pub fn api(&self) -> &A {
        &self.api
    }

    async fn surroundings(&self, desired: Option<&Desired>) -> Result<Surroundings, CloudError> {
        match desired {
            Some(Desired::LoadBalancer(nlb)) => self.cache.surroundings(&self.api, &nlb.vpc).await,
            Some(Desired::Standing(standing)) => self.cache.surroundings(&self.api, &standing.vpc).await,
            Some(Desired::NodeAccess(_)) | None => Ok(Surroundings::default()),
        }
    }
}

impl<A: Api> Cloud for AwsCloud<A> {
    type Desired = Desired;
    type Actual = Actual;
    type Operation = AwsOperation;

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            groups: true,
            needs_node_ports: true,
            udp: true,
            dual_stack: true,
            source_ranges: true,
            proxy_protocol: true,
            tls: true,
        }
    }

    async fn observe(
        &self,
        desired: Option<&Desired>,
        inventory: &mut Inventory,
        depth: Depth,
        now: Timestamp,
    ) -> Result<Actual, CloudError> {
        // What is to go, and what lets load balancers reach the nodes, has no targets.
        let depth = match desired {
            Some(Desired::LoadBalancer(_)) => depth,
            Some(Desired::Standing(_)) => Depth::Targets,
            Some(Desired::NodeAccess(_)) | None => Depth::Full,
        };
        let surroundings = self.surroundings(desired).await?;
        observe(&self.api, surroundings, desired, inventory, depth, now).await
    }

    fn plan(
        &self,
        desired: Option<&Desired>,
        actual: &Actual,
        inventory: &Inventory,
        now: Timestamp,
    ) -> Result<Plan<AwsOperation>, CloudError> {
        plan(desired, actual, inventory, now)
    }

    async fn apply(
        &self,
        operation: &AwsOperation,
        inventory: &mut Inventory,
        now: Timestamp,
    ) -> Result<Outcome, CloudError> {
        apply(&self.api, operation, inventory, now).await
    }

    fn published(&self, desired: &Desired, actual: &Actual, inventory: &Inventory) -> Option<Published> {
        match desired {
            Desired::LoadBalancer(nlb) => Some(published::published(nlb, actual, inventory)),
            Desired::NodeAccess(_) | Desired::Standing(_) => None,
        }
    }
}
