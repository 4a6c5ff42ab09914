//! AddressPool: addresses that Services may get.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::schema;
use super::selector::LabelSelector;
use super::status::{has_status, lenient, lenient_list};

/// What a pool offers, and to whom.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, CustomResource, KubeSchema)]
#[kube(
    group = "daymark.dev",
    version = "v1alpha1",
    kind = "AddressPool",
    plural = "addresspools",
    shortname = "dmpool",
    category = "daymark",
    status = "AddressPoolStatus",
    derive = "PartialEq",
    doc = "A pool of IP addresses that Services of type LoadBalancer may get.",
    printcolumn(name = "Addresses", type_ = "string", json_path = ".spec.addresses"),
    printcolumn(name = "Assignment", type_ = "string", json_path = ".spec.assignment"),
    printcolumn(name = "v4 Assigned", type_ = "integer", json_path = ".status.ipv4.assigned"),
    printcolumn(name = "v4 Free", type_ = "integer", json_path = ".status.ipv4.available"),
    printcolumn(name = "v6 Assigned", type_ = "integer", json_path = ".status.ipv6.assigned"),
    printcolumn(name = "v6 Free", type_ = "integer", json_path = ".status.ipv6.available", priority = 1),
    printcolumn(name = "Priority", type_ = "integer", json_path = ".spec.priority", priority = 1),
    printcolumn(name = "Sharing", type_ = "string", json_path = ".spec.sharing", priority = 1),
    printcolumn(
        name = "Accepted",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Accepted\")].status"
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase", remote = "Self")]
pub struct AddressPoolSpec {
    /// The addresses of the pool, each entry a CIDR (`192.0.2.0/24`, `2001:db8::/112`) or a range
    /// (`192.0.2.10-192.0.2.20`). Both families may stand in one pool.
    #[schemars(schema_with = "schema::address_blocks")]
    pub addresses: Vec<String>,

    /// CIDRs and ranges that are never given, although `addresses` contains them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::optional_address_blocks")]
    pub exclude: Vec<String>,

    /// `Automatic`: every permitted Service may get an address. `OnRequest`: only one that names the pool or one of its
    /// addresses.
    #[serde(default)]
    pub assignment: AssignmentMode,

    /// Never give an IPv4 address that ends in .0 or .255, which some old clients and firewalls drop.
    #[serde(default)]
    pub avoid_edge_addresses: bool,

    /// Of the pools that a Service may use, the one with the lowest number is tried first.
    #[serde(default = "default_priority")]
    #[schemars(range(min = 0, max = 1_000_000))]
    pub priority: i64,

    /// The Services that may use the pool, by their labels. Absent: all. One that matches nothing permits nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_selector: Option<LabelSelector>,

    /// The namespaces whose Services may use the pool, by their labels. Absent: all. One that matches nothing permits
    /// nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace_selector: Option<LabelSelector>,

    /// Which Services may share one address of the pool, with the same `daymark.dev/sharing-key` and different ports:
    /// none, those of one namespace, or all.
    #[serde(default)]
    pub sharing: SharingMode,

    /// How long a released address rests before another Service may get it, such as `90s` or `1h`; the Service that
    /// had it gets it back at once. Absent: five minutes, and a pool with nothing else left gives the address that
    /// rested longest. A value set here is kept even then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::quarantine")]
    pub quarantine: Option<String>,

    /// What is written as `ipMode` into the status of Services: `VIP` (traffic of the cluster to the address is handled
    /// on the node) or `Proxy` (it is sent to the address).
    #[serde(default)]
    pub ip_mode: IpModeSetting,
}

super::pathed::pathed!(AddressPoolSpec);
has_status!(AddressPool);

fn default_priority() -> i64 {
    100
}

/// Who gets addresses of a pool.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum AssignmentMode {
    /// Every permitted Service.
    #[default]
    Automatic,
    /// Only a Service that names the pool or one of its addresses.
    OnRequest,
}

/// Which Services may share one address.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum SharingMode {
    /// None.
    Never,
    /// Those of one namespace.
    #[default]
    SameNamespace,
    /// All.
    AnyNamespace,
}

/// The `ipMode` of a Service's ingress (KEP-1860).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum IpModeSetting {
    /// Handled on the node, as if it had arrived from outside.
    #[default]
    VIP,
    /// Sent to the address itself.
    Proxy,
}

/// How full a pool is.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AddressPoolStatus {
    /// The generation of the spec that this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "lenient")]
    #[schemars(schema_with = "schema::generation")]
    pub observed_generation: Option<i64>,

    /// The pool's IPv4 addresses; absent when it has none.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "lenient")]
    pub ipv4: Option<FamilyCounts>,

    /// The pool's IPv6 addresses; absent when it has none.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "lenient")]
    pub ipv6: Option<FamilyCounts>,

    /// `Accepted`: the spec is sound and in use. `Overlap`: another pool has some of the addresses too, and none of
    /// those is given anew.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "lenient_list")]
    #[schemars(schema_with = "schema::conditions")]
    pub conditions: Vec<Condition>,
}

/// Counts of addresses of one family; 9223372036854775807 stands for that many or more.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FamilyCounts {
    /// Addresses that the pool may give: those listed, without excluded and avoided ones.
    #[schemars(range(min = 0))]
    pub total: i64,
    /// Addresses that Services hold or that are reserved.
    #[schemars(range(min = 0))]
    pub assigned: i64,
    /// Addresses that can be given now.
    #[schemars(range(min = 0))]
    pub available: i64,
    /// Released addresses that rest.
    #[schemars(range(min = 0))]
    pub quarantined: i64,
}
