//! AWS in the lab: moto, a server that keeps VPCs, instances and load balancers as EC2 and Elastic Load Balancing do, and a
//! proxy before it that fails as they do.
//!
//! ```no_run
//! # async fn example() -> daymark_tests::Result<()> {
//! use daymark_tests::aws::{Fault, FaultProxy, Ground, Moto, Rule};
//!
//! let moto = Moto::start().await?;
//! let proxy = FaultProxy::start(&moto, "111111111111").await?;
//! let ground = Ground::lay(&proxy.past(), "lab", 3, 3).await?;
//! proxy.inject(Rule::on("CreateLoadBalancer", Fault::Throttled).times(2));
//! // Daymark gets proxy.endpoint() and ground.region.
//! assert_eq!(proxy.count("CreateLoadBalancer"), 3);
//! # let _ = ground;
//! # Ok(())
//! # }
//! ```

mod ground;
mod lab;
mod message;
mod moto;
mod proxy;
mod query;
mod rule;

pub use ground::{Ground, Instance, REGION};
pub use moto::Moto;
pub use proxy::{FaultProxy, Logged, Outcome};
pub use query::{Answer, Query};
pub use rule::{Fault, Rule};
