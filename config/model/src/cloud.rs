//! A load balancer in a cloud, as it is recorded: for whom and where it was made, and what was made.

use crate::aws::Deletion;
use crate::inventory::Inventory;
use crate::name::{ProfileName, ServiceName, Uid};

/// The record of one load balancer in a cloud.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CloudRecord {
    /// The cloud.
    pub provider: CloudProvider,
    /// The profile that it was made by; it may be gone.
    pub profile: ProfileName,
    /// The Service that it was made for; of a group, the first. `None` without a group: what lets all load balancers of
    /// the profile reach the nodes.
    pub service_uid: Option<Uid>,
    /// The group that it serves.
    pub group: Option<String>,
    /// The Services that it serves.
    pub members: Vec<CloudMember>,
    /// Where it was made.
    pub place: CloudPlace,
    /// What becomes of it when it is no longer wanted.
    pub deletion: Deletion,
    /// What exists, or may.
    pub inventory: Inventory,
}

/// A cloud.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CloudProvider {
    /// Amazon Web Services.
    Aws,
}

/// A Service that a load balancer serves.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CloudMember {
    /// Its name; its namespace is the record's.
    pub name: ServiceName,
    /// Its UID.
    pub uid: Uid,
}

/// Where a load balancer was made: what is needed to find and delete it, whatever became of its profile.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CloudPlace {
    /// The cluster's name in the tags.
    pub cluster: String,
    /// The region; `None` = the controller's own.
    pub region: Option<String>,
    /// The VPC.
    pub vpc: String,
    /// The IAM role that was assumed.
    pub role_arn: Option<String>,
    /// The URL that the cloud was reached at; `None` = the region's own endpoints.
    pub endpoint: Option<String>,
}
