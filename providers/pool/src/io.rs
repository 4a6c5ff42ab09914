//! What goes into an [`Assigner`](crate::Assigner) and what comes out of it.

use std::net::IpAddr;
use std::num::NonZeroUsize;
use std::time::Duration;

use daymark_model::{
    AddressBlock, Claim, Labels, LoadBalancerProfile, NamespaceName, Pool, PoolName, ServiceKey, Uid,
};

use crate::view::{AddressCondition, ClaimView, Ingress, ResourceVersion, ServiceView};

/// What does not change while an [`Assigner`](crate::Assigner) lives.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// How many writes may be in flight at once.
    pub window: NonZeroUsize,
    /// Whether the built-in profile, which holds while there is no profile object, takes Services without a class.
    pub built_in_default: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self { window: NonZeroUsize::MIN.saturating_add(31), built_in_default: true }
    }
}

/// Something that happened.
///
/// A `…Reset` is a full set: what it lacks is gone. Nothing is decided before Services, Namespaces, Pools, Claims and
/// Profiles delivered theirs; a kind that cannot be listed is delivered as an empty set (Profiles only).
/// Within one kind, inputs come in the order in which the API server sent them; old and repeated ones do no harm.
#[derive(Debug, Clone)]
pub enum Input {
    /// All Services.
    ServicesReset(Vec<ServiceView>),
    /// A Service was made or changed.
    ServiceChanged(Box<ServiceView>),
    /// A Service is gone.
    ServiceGone {
        /// Which.
        key: ServiceKey,
        /// Its UID: a namesake stays.
        uid: Uid,
    },
    /// All Namespaces with their labels.
    NamespacesReset(Vec<(NamespaceName, Labels)>),
    /// A Namespace was made or changed.
    NamespaceChanged(NamespaceName, Labels),
    /// A Namespace is gone.
    NamespaceGone(NamespaceName),
    /// All accepted pools.
    PoolsReset(Vec<Pool>),
    /// A pool was made, changed or became acceptable.
    PoolChanged(Box<Pool>),
    /// A pool is gone or no longer acceptable.
    PoolGone(PoolName),
    /// All readable profiles; empty where the kind cannot be listed.
    ///
    /// Profiles are few: a change is delivered as the new full set.
    ProfilesReset(Vec<LoadBalancerProfile>),
    /// All readable claims.
    ClaimsReset(Vec<ClaimView>),
    /// A claim was made or changed.
    ClaimChanged(Box<ClaimView>),
    /// A claim is gone.
    ClaimGone {
        /// The claimed address.
        address: IpAddr,
        /// The claim's UID: a later claim on the address stays.
        uid: Uid,
    },
    /// A write ended.
    WriteDone {
        /// Which.
        id: WriteId,
        /// How.
        result: WriteResult,
    },
}

/// Tells the writes in flight apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WriteId(pub u64);

/// A write that the driver sends, and answers with [`Input::WriteDone`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Write {
    /// Names it in the answer.
    pub id: WriteId,
    /// What to do.
    pub action: WriteAction,
}

/// What a [`Write`] does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WriteAction {
    /// POST a claim named by its address.
    CreateClaim(Claim),
    /// PUT a claim over the version that was read.
    ReplaceClaim {
        /// What it says then.
        claim: Claim,
        /// The UID of the claim that was read.
        uid: Uid,
        /// The version that was read: another one is a conflict.
        resource_version: ResourceVersion,
    },
    /// DELETE a claim with both preconditions.
    DeleteClaim {
        /// The claimed address.
        address: IpAddr,
        /// Only this object.
        uid: Uid,
        /// Only this version.
        resource_version: ResourceVersion,
    },
    /// Strategic-merge PATCH of a Service's status, carrying both preconditions.
    PatchServiceStatus {
        /// Which Service.
        key: ServiceKey,
        /// Only this object.
        uid: Uid,
        /// Only this version.
        resource_version: ResourceVersion,
        /// What changes.
        patch: StatusPatch,
    },
}

/// What changes in a Service's status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatusPatch {
    /// The whole ingress list (empty = `null`), or `None` to leave it as it is.
    pub ingress: Option<Vec<Ingress>>,
    /// Our condition.
    pub condition: ConditionPatch,
}

/// What happens to the condition `daymark.dev/AddressAssigned`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConditionPatch {
    /// It is written with all its fields.
    Set(AddressCondition),
    /// It is removed (`$patch: delete`), and with it our other condition types.
    Remove,
}

/// How a write ended.
#[derive(Debug, Clone)]
pub enum WriteResult {
    /// Done; with the object as the server returned it.
    Done(Written),
    /// 409: the object has another resourceVersion.
    Conflict,
    /// 409 to a create: the claim that is there, when it could be read.
    AlreadyExists(Option<Box<ClaimView>>),
    /// 404.
    NotFound,
    /// 409 or 422 because the UID is another one.
    UidMismatch,
    /// Anything else: refused, not reached, out of time. It is tried again with growing pauses.
    Failed {
        /// What the server or the network said.
        message: String,
        /// The server's `Retry-After`.
        retry_after: Option<Duration>,
    },
}

/// What a write left in the API server.
#[derive(Debug, Clone)]
pub enum Written {
    /// The claim.
    Claim(Box<ClaimView>),
    /// The Service.
    Service(Box<ServiceView>),
    /// Nothing: it is deleted.
    Deleted,
}

/// Something to tell about a Service, as a Kubernetes Event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Which Service.
    pub service: ServiceKey,
    /// Its UID.
    pub uid: Uid,
    /// What kind of news it is.
    pub kind: EventKind,
    /// The CamelCase word.
    pub reason: &'static str,
    /// The sentence.
    pub text: String,
}

/// What kind of news an [`Event`] is: it decides on its type and on whether it may be dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventKind {
    /// A first successful assignment (`Normal`): may be dropped under backlog.
    Assigned,
    /// A change of addresses (`Normal`).
    Changed,
    /// A release (`Normal`).
    Released,
    /// A refusal or a rival (`Warning`).
    Refused,
}

/// Addresses of one family of a pool; numbers above `i64::MAX` are shown as that.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FamilyCounts {
    /// All that the pool may give.
    pub total: i64,
    /// Claimed or reserved.
    pub assigned: i64,
    /// Free to be given.
    pub available: i64,
    /// Resting after a release.
    pub quarantined: i64,
}

/// A range that a pool has in common with another.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct PoolOverlap {
    /// The other pool.
    pub other: PoolName,
    /// The range that both have.
    pub block: AddressBlock,
}

/// What a pool's status says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolReport {
    /// Which pool.
    pub pool: PoolName,
    /// IPv4 addresses.
    pub ipv4: FamilyCounts,
    /// IPv6 addresses.
    pub ipv6: FamilyCounts,
    /// What it shares with other pools: nothing new is given from there. Sorted.
    pub overlaps: Vec<PoolOverlap>,
}
