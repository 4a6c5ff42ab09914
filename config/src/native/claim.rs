//! AddressClaim, in both directions.

use std::net::IpAddr;

use daymark_model::{Claim, Holder, PoolName, ServiceKey, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;

use super::field::{self, Problems};
use crate::crd::{self, AddressClaimSpec, ClaimHolder};
use crate::problem::{Fault, Problem};

/// The claim that an AddressClaim records.
pub fn claim(object: &crd::AddressClaim) -> Result<Claim, Vec<Problem>> {
    let spec = &object.spec;
    let mut problems = Problems::default();
    let address = problems.take("spec.address", canonical(&spec.address));
    if let Some(address) = address {
        let (expected, name) = (Claim::name_of(address), super::name(&object.metadata).to_owned());
        if expected != name {
            problems.add("metadata.name", Fault::ClaimName { address, expected, name });
        }
    }
    let mut holders: Vec<Holder> = Vec::new();
    for (i, entry) in spec.services.iter().enumerate() {
        let holder = problems.take(format!("spec.services[{i}]"), read_holder(entry, &holders));
        holders.extend(holder);
    }
    holders.sort();
    let pool = spec.pool.as_deref().and_then(|pool| {
        problems.take("spec.pool", field::object_name(pool, "an AddressPool")).map(PoolName::from)
    });
    if spec.sharing_key.as_deref() == Some("") {
        problems.add("spec.sharingKey", Fault::Empty { remedy: "write a key, or leave the field out" });
    }
    let claim = address.map(|address| Claim {
        address,
        holders,
        sharing_key: spec.sharing_key.clone(),
        pool,
        retain: spec.retain,
        released_at: spec.released_at.as_ref().map(|t| Timestamp(t.0.as_millisecond())),
    });
    problems.finish(claim)
}

fn canonical(text: &str) -> Result<IpAddr, Fault> {
    let address = field::address(text)?;
    if address.to_string() == text {
        Ok(address)
    } else {
        Err(Fault::NotCanonical { text: text.to_owned(), canonical: address })
    }
}

fn read_holder(entry: &ClaimHolder, present: &[Holder]) -> Result<Holder, Fault> {
    if entry.namespace.is_empty() || entry.name.is_empty() {
        return Err(Fault::Empty { remedy: "write the namespace and the name of the Service" });
    }
    let service = ServiceKey::new(&entry.namespace, &entry.name);
    if present.iter().any(|holder| holder.service == service) {
        return Err(Fault::Duplicate { entry: service.to_string() });
    }
    Ok(Holder { service, uid: entry.uid.as_deref().filter(|uid| !uid.is_empty()).map(Into::into) })
}

/// The AddressClaim that records `claim`, to be created.
pub fn claim_object(claim: &Claim) -> crd::AddressClaim {
    let spec = AddressClaimSpec {
        address: claim.address.to_string(),
        services: claim
            .holders
            .iter()
            .map(|holder| ClaimHolder {
                namespace: holder.service.namespace.as_str().to_owned(),
                name: holder.service.name.as_str().to_owned(),
                uid: holder.uid.as_ref().map(|uid| uid.as_str().to_owned()),
            })
            .collect(),
        sharing_key: claim.sharing_key.clone(),
        pool: claim.pool.as_ref().map(|pool| pool.as_str().to_owned()),
        retain: claim.retain,
        released_at: claim
            .released_at
            .and_then(|at| jiff::Timestamp::from_millisecond(at.0).ok())
            .map(MicroTime),
    };
    crd::AddressClaim::new(&Claim::name_of(claim.address), spec)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_survives_the_way_to_the_server_and_back() {
        let written = Claim {
            address: "2001:db8::10".parse().unwrap(),
            holders: vec![
                Holder { service: ServiceKey::new("shop", "web"), uid: Some("u-1".into()) },
                Holder { service: ServiceKey::new("shop", "web-udp"), uid: None },
            ],
            sharing_key: Some("shared".into()),
            pool: Some("public".into()),
            retain: true,
            released_at: Some(Timestamp(1_700_000_000_123)),
        };
        let stored = serde_json::to_string(&claim_object(&written)).unwrap();
        let object: crd::AddressClaim = serde_json::from_str(&stored).unwrap();
        assert_eq!(object.metadata.name.as_deref(), Some("2001-0db8-0000-0000-0000-0000-0000-0010"));
        assert_eq!(claim(&object), Ok(written));
    }
}
