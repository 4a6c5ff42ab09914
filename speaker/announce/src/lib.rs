//! Who announces which address how, and why not: pure, synchronous, without a clock.
//!
//! [`decide`] answers for one address on one node. Every "no" is a [`Reason`]. A daemon that decides often compiles a
//! [`Policy`] once per change of node or configuration and asks that.
//!
//! | module | about |
//! |---|---|
//! | [`view`] | what is kept of Services, EndpointSlices and addresses |
//! | [`node`] | what is known of a node |
//! | [`pools`] | which pool an address belongs to, removed pools included |
//! | [`endpoints`] | EndpointSlices folded to counts |
//! | [`policy`] | the decision |
//! | [`l2`] | interfaces, weights, how Announcements of layer 2 merge |
//! | [`route`] | attributes, the order in which Announcements merge, aggregation |
//! | [`gate`] | when a wanted address may go out |
//! | [`proxy_health`] | when the node's service proxy demotes it |

// Tests start a virtual clock somewhere.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::disallowed_methods))]

pub mod endpoints;
pub mod gate;
pub mod l2;
pub mod node;
pub mod policy;
pub mod pools;
pub mod proxy_health;
pub mod reason;
pub mod route;
pub mod view;

pub use endpoints::{EndpointFold, Endpoints, NodeHash};
pub use gate::{Gate, GateSettings, Observation, Probes, Servable, SyncState};
pub use l2::{L2Export, L2Interfaces, L2Terms};
pub use node::{Drain, Infrastructure, L2Standing, NodeView, ProxyStanding};
pub use policy::{Config, Decision, Export, ExportedRoute, Policy, Verdict, Ways, decide};
pub use pools::PoolTable;
pub use proxy_health::ProxyHealth;
pub use reason::{AwaitedEvidence, Note, Reason, Refusal, Scalar};
pub use route::{Attributes, Route, Source, Standing, fold};
pub use view::{AddressView, Conditions, EndpointView, ServiceView, Sharer, SliceView};
