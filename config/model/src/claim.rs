//! Claims: the durable record "this address belongs to that Service".

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

use serde::{Deserialize, Serialize};

use crate::name::{PoolName, ServiceKey, Uid};
use crate::time::Timestamp;

/// A Service that holds, or will hold, an address.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Holder {
    /// Namespace and name.
    pub service: ServiceKey,
    /// `None` in a reservation: the next Service of that name gets the address.
    pub uid: Option<Uid>,
}

/// The claim on one address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// The address, which is also the claim's identity.
    pub address: IpAddr,
    /// The Services that share it, sorted; usually one.
    pub holders: Vec<Holder>,
    /// The key under which the holders share it.
    pub sharing_key: Option<String>,
    /// The pool it was taken from; a memory, not a condition: the pool may be gone.
    pub pool: Option<PoolName>,
    /// Keep it for the same Service name over delete and re-create.
    pub retain: bool,
    /// When its last holder let it go.
    pub released_at: Option<Timestamp>,
}

/// Where a claim stands in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ClaimState {
    /// Made beforehand by a user: no holder has a UID.
    Reserved,
    /// Held by at least one Service with a UID.
    Bound,
    /// Released; rests until its quarantine is over.
    Resting,
}

impl Claim {
    /// Where it stands.
    pub fn state(&self) -> ClaimState {
        if self.released_at.is_some() {
            ClaimState::Resting
        } else if self.holders.iter().any(|h| h.uid.is_some()) {
            ClaimState::Bound
        } else {
            ClaimState::Reserved
        }
    }

    /// The name of the object that claims `address`: an IPv4 address is its own name, an IPv6 address is written with
    /// all 32 digits and `-` for `:`.
    pub fn name_of(address: IpAddr) -> String {
        match address {
            IpAddr::V4(a) => a.to_string(),
            IpAddr::V6(a) => Dashed(a).to_string(),
        }
    }

    /// The address that the object `name` claims; `None` when `name` is not what [`Claim::name_of`] writes.
    pub fn address_of(name: &str) -> Option<IpAddr> {
        let address: IpAddr = name.parse().ok().or_else(|| name.replace('-', ":").parse().ok())?;
        (Self::name_of(address) == name).then_some(address)
    }
}

struct Dashed(Ipv6Addr);

impl fmt::Display for Dashed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, segment) in self.0.segments().iter().enumerate() {
            let dash = if i == 0 { "" } else { "-" };
            write!(f, "{dash}{segment:04x}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_addresses_are_one_to_one() {
        for (address, name) in [
            ("192.0.2.7", "192.0.2.7"),
            ("2001:db8::10", "2001-0db8-0000-0000-0000-0000-0000-0010"),
            ("::", "0000-0000-0000-0000-0000-0000-0000-0000"),
        ] {
            let address: IpAddr = address.parse().unwrap();
            assert_eq!(Claim::name_of(address), name);
            assert_eq!(Claim::address_of(name), Some(address));
        }
        for other in
            ["", "192.0.2", "2001-db8--10", "2001:db8::10", "2001-0DB8-0000-0000-0000-0000-0000-0010"]
        {
            assert_eq!(Claim::address_of(other), None, "{other}");
        }
    }
}
