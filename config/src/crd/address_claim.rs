//! AddressClaim: the durable record "this address belongs to that Service".

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, MicroTime};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::schema;
use super::status::{has_status, lenient, lenient_list};

/// Which address belongs to whom.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, CustomResource, KubeSchema)]
#[kube(
    group = "daymark.dev",
    version = "v1alpha1",
    kind = "AddressClaim",
    plural = "addressclaims",
    shortname = "dmclaim",
    category = "daymark",
    status = "AddressClaimStatus",
    derive = "PartialEq",
    doc = "The record that one address belongs to a Service. Its name is the address, so that no address can have two: \
           an IPv4 address as it is, an IPv6 address with all 32 digits and a dash for each colon. Made beforehand it \
           reserves the address.",
    printcolumn(name = "Address", type_ = "string", json_path = ".spec.address"),
    printcolumn(name = "Namespace", type_ = "string", json_path = ".spec.services[0].namespace"),
    printcolumn(name = "Service", type_ = "string", json_path = ".spec.services[0].name"),
    printcolumn(name = "Pool", type_ = "string", json_path = ".spec.pool"),
    printcolumn(name = "Released", type_ = "date", json_path = ".spec.releasedAt"),
    printcolumn(name = "Retain", type_ = "boolean", json_path = ".spec.retain", priority = 1),
    printcolumn(name = "Sharing Key", type_ = "string", json_path = ".spec.sharingKey", priority = 1),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    validation = Rule::new(
        "isIP(self.spec.address) && ip.isCanonical(self.spec.address) && (ip(self.spec.address).family() == 4 ? \
         self.metadata.name == self.spec.address : \
         (self.metadata.name.matches('^[0-9a-f]{4}(-[0-9a-f]{4}){7}$') && \
         ip(self.metadata.name.replace('-', ':')) == ip(self.spec.address)))"
    ).message(
        "spec.address must be a canonical address, and the claim must be named by it: 192.0.2.10 is claimed by \
         \"192.0.2.10\", 2001:db8::10 by \"2001-0db8-0000-0000-0000-0000-0000-0010\""
    )
)]
#[serde(rename_all = "camelCase", remote = "Self")]
pub struct AddressClaimSpec {
    /// The address, in canonical form (RFC 5952).
    #[schemars(length(max = 45))]
    pub address: String,

    /// The Services that hold the address; several when they share it. Without a `uid`, or with none at all, the claim
    /// is a reservation.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 256),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["namespace", "name"])
    )]
    pub services: Vec<ClaimHolder>,

    /// The key under which the Services share the address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub sharing_key: Option<String>,

    /// The pool that the address was taken from. A memory: the pool may be gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::object_name")]
    pub pool: Option<String>,

    /// Keep the address for Services of the same namespace and name when they are deleted.
    #[serde(default)]
    pub retain: bool,

    /// When the last holder let the address go. It rests from then on until its pool's quarantine is over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::time")]
    pub released_at: Option<MicroTime>,
}

super::pathed::pathed!(AddressClaimSpec);
has_status!(AddressClaim);

/// A Service that holds an address, or will.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClaimHolder {
    /// The Service's namespace.
    #[schemars(length(min = 1, max = 63))]
    pub namespace: String,

    /// The Service's name.
    #[schemars(length(min = 1, max = 63))]
    pub name: String,

    /// The Service's UID; absent in a reservation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    pub uid: Option<String>,
}

/// What Daymark has to say about a claim that it refuses.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AddressClaimStatus {
    /// The generation of the spec that this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "lenient")]
    #[schemars(schema_with = "schema::generation")]
    pub observed_generation: Option<i64>,

    /// `Accepted`: absent unless the claim is refused.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "lenient_list")]
    #[schemars(schema_with = "schema::conditions")]
    pub conditions: Vec<Condition>,
}
