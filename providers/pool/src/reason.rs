//! Why a Service does not get an address, or not all that it wants.

use std::fmt;
use std::net::IpAddr;

use daymark_model::{Family, PoolName, PortProtocol, Reason, ServiceKey};

/// Why not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No pool may serve the Service in this family.
    #[error(
        "no AddressPool gives {family} addresses to this Service: create one, or check assignment, serviceSelector and namespaceSelector of those there are"
    )]
    NoPool {
        /// The family that is wanted.
        family: Family,
    },
    /// The pools that may serve it have no free address.
    #[error("no {family} address is free in {}: add addresses, or delete Services that need none", listed(.pools))]
    PoolExhausted {
        /// The family that is wanted.
        family: Family,
        /// The pools that were asked, in order.
        pools: Vec<PoolName>,
    },
    /// The requested address belongs to somebody else.
    #[error(
        "{address} is taken by {by}: request another address, or set the same sharing key on both Services"
    )]
    AddressInUse {
        /// The requested address.
        address: IpAddr,
        /// Who has it.
        by: Occupant,
    },
    /// The requested address is in none of the pools in question.
    #[error("{address} is in no {}: add it to a pool, or request another address", which(.pools))]
    AddressOutsidePools {
        /// The requested address.
        address: IpAddr,
        /// The pools that the Service names; empty = any.
        pools: Vec<PoolName>,
    },
    /// The request is of a family that the Service or the pools do not have.
    #[error("{0}")]
    FamilyMismatch(Mismatch),
    /// The pool is not for this Service.
    #[error("pool {pool} may not serve this Service: {barrier}")]
    NotPermitted {
        /// The pool.
        pool: PoolName,
        /// What is in the way.
        barrier: Barrier,
    },
    /// The address cannot be shared.
    #[error("{address} cannot be shared: {barrier}")]
    SharingConflict {
        /// The address.
        address: IpAddr,
        /// What is in the way.
        barrier: SharingBarrier,
    },
    /// The request cannot be read.
    #[error("{0}")]
    InvalidRequest(String),
    /// A named pool is not there.
    #[error("there is no AddressPool {pool}, or it is not accepted: create it, or correct the name")]
    UnknownPool {
        /// The name.
        pool: PoolName,
    },
    /// The address is kept although no pool contains it any more.
    #[error(
        "{address} is in no pool any more and stays with this Service: add it to a pool, or delete its AddressClaim to move the Service"
    )]
    PoolGone {
        /// The address.
        address: IpAddr,
    },
    /// The requested address is in several pools.
    #[error("{address} is in several pools ({}): let only one of them contain it", names(.pools))]
    Overlap {
        /// The requested address.
        address: IpAddr,
        /// The pools.
        pools: Vec<PoolName>,
    },
    /// Somebody else overwrites our part of the status.
    #[error(
        "{manager} keeps overwriting the status of this Service: stop it, or give the Service its loadBalancerClass"
    )]
    StatusContested {
        /// The field manager of the last overwrite.
        manager: String,
    },
}

impl Reason for Refusal {
    fn code(&self) -> &'static str {
        match self {
            Self::NoPool { .. } => "NoPool",
            Self::PoolExhausted { .. } => "PoolExhausted",
            Self::AddressInUse { .. } => "AddressInUse",
            Self::AddressOutsidePools { .. } => "AddressOutsidePools",
            Self::FamilyMismatch(_) => "FamilyMismatch",
            Self::NotPermitted { .. } => "NotPermitted",
            Self::SharingConflict { .. } => "SharingConflict",
            Self::InvalidRequest(_) => "InvalidRequest",
            Self::UnknownPool { .. } => "UnknownPool",
            Self::PoolGone { .. } => "PoolGone",
            Self::Overlap { .. } => "Overlap",
            Self::StatusContested { .. } => "StatusContested",
        }
    }
}

/// Who has an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Occupant {
    /// A Service.
    Service(ServiceKey),
    /// An AddressClaim made beforehand for this Service, or for nobody yet.
    Reservation(Option<ServiceKey>),
    /// Nobody: it rests after a release.
    Quarantine,
}

impl fmt::Display for Occupant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Service(key) => write!(f, "Service {key}"),
            Self::Reservation(Some(key)) => write!(f, "a reservation for Service {key}"),
            Self::Reservation(None) => f.write_str("a reservation"),
            Self::Quarantine => f.write_str("its quarantine after a release"),
        }
    }
}

/// What does not fit together.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Mismatch {
    /// An address was requested of a family that the Service does not have.
    #[error("{address} is requested, but the Service has no {}: change spec.ipFamilies or the request", Family::of(*.address))]
    Address {
        /// The requested address.
        address: IpAddr,
    },
    /// None of the named pools has addresses of the family.
    #[error("{} has no {family} addresses: name a pool that has, or change spec.ipFamilies", listed(.pools))]
    Pools {
        /// The family that is wanted.
        family: Family,
        /// The named pools.
        pools: Vec<PoolName>,
    },
}

/// Why a pool does not serve a Service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Barrier {
    /// `serviceSelector`.
    #[error("its serviceSelector does not match the Service's labels")]
    ServiceSelector,
    /// `namespaceSelector`.
    #[error("its namespaceSelector does not match the labels of the Service's namespace")]
    NamespaceSelector,
    /// `avoidEdgeAddresses`.
    #[error("it avoids addresses that end in .0 or .255")]
    EdgeAddress,
}

/// Why two Services do not share an address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SharingBarrier {
    /// A holder has another sharing key, or none.
    #[error("Service {holder} does not have the same sharing key")]
    Key {
        /// Who holds it.
        holder: ServiceKey,
    },
    /// A port is taken.
    #[error("{port} belongs to Service {holder}: use another port")]
    Port {
        /// The port that both have.
        port: PortProtocol,
        /// Who holds it.
        holder: ServiceKey,
    },
    /// Local traffic policy with different pods.
    #[error(
        "with externalTrafficPolicy Local both Services need the same namespace and the same selector, and Service {holder} differs"
    )]
    LocalTraffic {
        /// Who holds it.
        holder: ServiceKey,
    },
    /// The pool forbids it.
    #[error("pool {pool} has sharing: Never")]
    Never {
        /// The pool.
        pool: PoolName,
    },
    /// The pool forbids it between namespaces.
    #[error("pool {pool} has sharing: SameNamespace, and Service {holder} is in another")]
    OtherNamespace {
        /// The pool.
        pool: PoolName,
        /// Who holds it.
        holder: ServiceKey,
    },
}

fn names(pools: &[PoolName]) -> String {
    const NAMED: usize = 5;
    let mut text = pools.iter().take(NAMED).map(PoolName::as_str).collect::<Vec<_>>().join(", ");
    if pools.len() > NAMED {
        text.push_str(&format!(" and {} more", pools.len() - NAMED));
    }
    text
}

fn listed(list: &[PoolName]) -> String {
    format!("{} {}", if list.len() == 1 { "pool" } else { "pools" }, names(list))
}

fn which(list: &[PoolName]) -> String {
    if list.is_empty() { "AddressPool".to_owned() } else { format!("requested pool ({})", names(list)) }
}
