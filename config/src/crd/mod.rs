//! The custom resources of `daymark.dev/v1alpha1`.
//!
//! The `*Spec` and `*Status` types say what a field is; their doc comments are the descriptions in the CRDs. Whatever
//! they accept is read object by object by [`crate::native`], which trusts none of the rules written here.

#![allow(clippy::duplicated_attributes, reason = "columns of one kind repeat their types and priorities")]
#![allow(
    dead_code,
    reason = "KubeSchema derives the schema from a copy of the struct that nothing else reads"
)]

mod address_claim;
mod address_pool;
mod announcement;
mod aws_profile;
mod bgp_neighbor;
mod cloud_load_balancer;
mod cloud_status;
mod load_balancer_profile;
mod pathed;
pub(crate) mod schema;
mod selector;
mod speaker;
mod status;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt;

pub use address_claim::{AddressClaim, AddressClaimSpec, AddressClaimStatus, ClaimHolder};
pub use address_pool::{
    AddressPool, AddressPoolSpec, AddressPoolStatus, AssignmentMode, FamilyCounts, IpModeSetting, SharingMode,
};
pub use announcement::{
    Aggregate, Announcement, AnnouncementSpec, AnnouncementStatus, BgpSettings, FailbackMode, L2Settings,
    PreferredNodesSetting, TerminatingEndpointsMode, TimingProfileMode, WithoutEndpointsMode,
};
pub use aws_profile::{
    AddressFormMode, AwsSettings, CloudModeSetting, DeletionMode, DriftMode, OrphansMode, PublishMode,
    ReplacementMode, SubnetPolicyMode,
};
pub use bgp_neighbor::{
    AsnType, BgpNeighbor, BgpNeighborSpec, BgpNeighborStatus, BgpTimers, IpFamily, SourceSetting,
};
pub use cloud_load_balancer::{
    CloudInventory, CloudLoadBalancer, CloudLoadBalancerSpec, CloudMember, CloudPlace, CloudProvider,
    CloudResource, RecordedSetting, ResourceOwnership, ResourcePhase,
};
pub use cloud_status::{CloudFailure, CloudLoadBalancerStatus, CloudPlan, CloudPort, CloudRemark, CloudStep};
pub use load_balancer_profile::{
    LoadBalancerProfile, LoadBalancerProfileSpec, LoadBalancerProfileStatus, PoolProfile,
};
pub use selector::{LabelSelector, Requirement, RequirementOperator};
pub use speaker::{
    Speaker, SpeakerAddress, SpeakerL2, SpeakerProblem, SpeakerSession, SpeakerSpec, SpeakerStatus,
};
pub use status::{HasStatus, lenient, lenient_list};

/// The API group.
pub const GROUP: &str = "daymark.dev";

/// The API version.
pub const VERSION: &str = "v1alpha1";

/// The definitions of all kinds, in the order of their names.
pub fn definitions() -> Vec<CustomResourceDefinition> {
    [
        AddressClaim::crd(),
        AddressPool::crd(),
        Announcement::crd(),
        BgpNeighbor::crd(),
        CloudLoadBalancer::crd(),
        LoadBalancerProfile::crd(),
        Speaker::crd(),
    ]
    .into_iter()
    .map(schema::finish)
    .collect()
}
