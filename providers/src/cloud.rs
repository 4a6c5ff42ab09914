//! All that a cloud must be able to do.

use std::future::Future;
use std::net::IpAddr;
use std::time::Duration;

use daymark_model::{Inventory, IpMode, PortProtocol, ServiceKey, Timestamp};

use crate::error::CloudError;
use crate::plan::{Operation, Plan};

/// What a cloud's load balancers can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capabilities {
    /// Several Services may be served by one load balancer.
    pub groups: bool,
    /// Instances are reached through node ports: the Service must have them.
    pub needs_node_ports: bool,
    /// UDP.
    pub udp: bool,
    /// IPv6.
    pub dual_stack: bool,
    /// `loadBalancerSourceRanges`.
    pub source_ranges: bool,
    /// The PROXY protocol.
    pub proxy_protocol: bool,
    /// TLS is ended by the load balancer.
    pub tls: bool,
}

/// How much is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Depth {
    /// Only whether traffic goes where it should: for a change of endpoints or nodes.
    Targets,
    /// Everything.
    Full,
}

/// How an operation ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Done.
    Done,
    /// Begun, or not possible yet: the rest of the plan is made anew after this time.
    Wait {
        /// The CamelCase word.
        reason: &'static str,
        /// For what, in a sentence.
        message: String,
        /// When to look again.
        after: Duration,
    },
}

/// One address under which a load balancer is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// A host name.
    Hostname(String),
    /// An address.
    Ip(IpAddr, IpMode),
}

/// The health of one port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortHealth {
    /// The Service whose port it is.
    pub service: ServiceKey,
    /// The port.
    pub port: PortProtocol,
    /// Targets that pass the health check.
    pub healthy: u32,
    /// Targets that are registered and not draining.
    pub total: u32,
    /// Targets that finish their connections.
    pub draining: u32,
}

/// What is told of a load balancer.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Published {
    /// Where clients reach it, empty while they cannot.
    pub addresses: Vec<Address>,
    /// Facts for people: the ARN, the hosted zone; by name.
    pub facts: Vec<(&'static str, String)>,
    /// The health of each port.
    pub ports: Vec<PortHealth>,
}

/// A cloud. Implementations hold a client and caches, and no state that a restart would miss.
pub trait Cloud: Send + Sync {
    /// What one load balancer should be.
    type Desired: Send + Sync;
    /// What was found of it.
    type Actual: Send + Sync;
    /// One thing that can be done.
    type Operation: Operation;

    /// What its load balancers can do.
    fn capabilities(&self) -> Capabilities;

    /// Looks at what `inventory` names, by id; by name where the id is unknown. `None` = it is to go.
    ///
    /// The inventory is brought up to date with what was found: ids of what was only intended, and what is gone.
    fn observe(
        &self,
        desired: Option<&Self::Desired>,
        inventory: &mut Inventory,
        depth: Depth,
        now: Timestamp,
    ) -> impl Future<Output = Result<Self::Actual, CloudError>> + Send;

    /// What has to be done, decided from the arguments alone.
    ///
    /// # Errors
    /// When what is wanted cannot be had: a fault of the user, or somebody else's resource in the way.
    fn plan(
        &self,
        desired: Option<&Self::Desired>,
        actual: &Self::Actual,
        inventory: &Inventory,
        now: Timestamp,
    ) -> Result<Plan<Self::Operation>, CloudError>;

    /// Does one thing, once or again: an operation that was done before, or half, does no harm. Notes in `inventory` what
    /// came of it.
    fn apply(
        &self,
        operation: &Self::Operation,
        inventory: &mut Inventory,
        now: Timestamp,
    ) -> impl Future<Output = Result<Outcome, CloudError>> + Send;

    /// What is told of the load balancer; `None` = what was told before.
    fn published(
        &self,
        desired: &Self::Desired,
        actual: &Self::Actual,
        inventory: &Inventory,
    ) -> Option<Published>;
}
