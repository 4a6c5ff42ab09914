//! AddressClaims as `daymark-pool` sees them.

use daymark_config::{Problem, crd, native};
use daymark_model::{Claim, Holder, ServiceKey, Timestamp};
use daymark_pool::view::{ClaimView, ResourceVersion};
use serde_json::Value;

/// What is kept of an AddressClaim.
///
/// # Errors
/// What is wrong with it, when it claims nothing.
pub fn claim(object: &crd::AddressClaim) -> Result<ClaimView, Vec<Problem>> {
    let meta = &object.metadata;
    Ok(ClaimView {
        claim: native::claim(object)?,
        uid: meta.uid.as_deref().unwrap_or_default().into(),
        resource_version: ResourceVersion::from(meta.resource_version.as_deref().unwrap_or_default()),
        created_at: native::created_at(meta),
    })
}

/// What is kept of an AddressClaim that is refused: `value` is the object.
///
/// The API server lets nobody else claim the address while it is there, and whoever holds it by UID goes on holding it.
/// What a user reserves with it does not count. `None` when it is not named by an address.
pub fn refused(value: &Value) -> Option<ClaimView> {
    let text = |pointer: &str| value.pointer(pointer).and_then(Value::as_str);
    let address = Claim::address_of(text("/metadata/name")?)?;
    let mut holders: Vec<Holder> = Vec::new();
    for entry in value.pointer("/spec/services").and_then(Value::as_array).into_iter().flatten() {
        let part = |key: &str| entry.get(key).and_then(Value::as_str).filter(|text| !text.is_empty());
        let (Some(namespace), Some(name), Some(uid)) = (part("namespace"), part("name"), part("uid")) else {
            continue;
        };
        let service = ServiceKey::new(namespace, name);
        if holders.iter().all(|holder| holder.service != service) {
            holders.push(Holder { service, uid: Some(uid.into()) });
        }
    }
    holders.sort();
    let time = |pointer: &str| text(pointer).and_then(|time| time.parse::<jiff::Timestamp>().ok());
    let created_at = time("/metadata/creationTimestamp").map(|at| Timestamp(at.as_millisecond()));
    Some(ClaimView {
        claim: Claim {
            address,
            holders,
            sharing_key: text("/spec/sharingKey").filter(|key| !key.is_empty()).map(str::to_owned),
            pool: None,
            retain: value.pointer("/spec/retain").and_then(Value::as_bool).unwrap_or_default(),
            released_at: None,
        },
        uid: text("/metadata/uid").unwrap_or_default().into(),
        resource_version: ResourceVersion::from(text("/metadata/resourceVersion").unwrap_or_default()),
        created_at: created_at.unwrap_or_default(),
    })
}

#[cfg(test)]
mod tests {
    use daymark_model::ClaimState;
    use serde_json::json;

    use super::*;

    #[test]
    fn a_refused_claim_keeps_its_holders_and_its_address_from_others() {
        let object = |services: Value| {
            json!({
                "metadata": {"name": "192.0.2.7", "uid": "u", "resourceVersion": "9"},
                "spec": {"address": 7, "pool": {}, "services": services},
            })
        };
        let held = refused(&object(json!([
            {"namespace": "shop", "name": "web", "uid": "w"},
            {"namespace": "shop", "name": "reserved"},
            {"namespace": "", "name": 3, "uid": "x"},
        ])))
        .unwrap();
        assert_eq!(
            (held.claim.address.to_string(), held.claim.state()),
            ("192.0.2.7".into(), ClaimState::Bound)
        );
        assert_eq!(
            held.claim.holders,
            [Holder { service: ServiceKey::new("shop", "web"), uid: Some("w".into()) }]
        );
        let blocked = refused(&object(json!("garbage"))).unwrap();
        assert_eq!((blocked.claim.state(), blocked.claim.holders), (ClaimState::Reserved, vec![]));
        assert_eq!(refused(&json!({"metadata": {"name": "web"}, "spec": {}})), None);
    }
}
